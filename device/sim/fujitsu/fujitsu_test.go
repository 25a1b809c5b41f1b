package fujitsu

import (
	"bytes"
	"context"
	"errors"
	"image"
	"image/color"
	"image/jpeg"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"docscan/device/sim/scantest"
)

// exchange sends one command and gives its data and SCSI status.
func exchange(t *testing.T, s *Scanner, cdb, out []byte, in int) (data []byte, status byte) {
	t.Helper()
	frame := make([]byte, commandSize)
	frame[0] = commandMark
	copy(frame[commandAt:], cdb)
	if err := s.Out(t.Context(), frame); err != nil {
		t.Fatal(err)
	}
	if out != nil {
		if err := s.Out(t.Context(), out); err != nil {
			t.Fatal(err)
		}
	}
	var err error
	if in > 0 {
		if data, err = s.In(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	b, err := s.In(t.Context())
	if err != nil || len(b) != statusSize || b[0] != statusMark {
		t.Fatalf("status %x, %v", b, err)
	}
	return data, b[statusAt]
}

// senseOf asks what is wrong.
func senseOf(t *testing.T, s *Scanner) Sense {
	t.Helper()
	b, _ := exchange(t, s, []byte{opSense, 0, 0, 0, 18, 0}, nil, 18)
	return Sense{b[2] & 0xf, b[12], b[13]}
}

// goodWindow is SET WINDOW's data for a colour front of a test page.
func goodWindow() []byte {
	b := make([]byte, windowHead+windowSize)
	b[7] = windowSize
	w := b[windowHead:]
	w[3], w[5] = scantest.DPI, scantest.DPI
	copy(w[0x0e:], []byte{0, 0, 0x12, 0xc0, 0, 0, 0x0e, 0x10}) // 4800 by 3600
	w[0x19], w[0x1a], w[0x28], w[0x2a], w[0x35] = colorImage, 8, 0xc1, 1, 0xc0
	copy(w[0x36:], w[0x0e:0x16])
	return b
}

// What a real machine refuses this one refuses, and says why.
func TestRefuses(t *testing.T) {
	set := func(n byte) []byte { return []byte{opSetWindow, 0, 0, 0, 0, 0, 0, 0, n, 0} }
	feed := []byte{opPosition, 1, 0, 0, 0, 0, 0, 0, 0, 0}
	tests := []struct {
		name string
		cdb  []byte
		out  []byte
		in   int
		want Sense
	}{
		{"unknown command", []byte{0x5a}, nil, 0, badOpcode},
		{"image before a scan", []byte{opRead, 0, 0, 0, 0, 0, 0, 4, 0, 0}, nil, 1024, badSequence},
		{"unknown page", []byte{opModeSense, 0, 0x3e, 0, 20, 0}, nil, 20, badCommand},
		{"other vital page", []byte{opInquiry, 1, 0x80, 0, 96, 0}, nil, 96, badCommand},
		{"window of a bad length", set(70), make([]byte, 70), 0, badList},
		{"window of nothing", set(72), append([]byte{0, 0, 0, 0, 0, 0, 0, 64}, make([]byte, 64)...), 0, badField},
		{"scan before a feed", []byte{opScan, 0, 0, 0, 1, 0}, []byte{0}, 0, badSequence},
		{"feed before a window", feed, nil, 0, badSequence},
		{"mode page of a bad length", []byte{opModeSelect, 0x10, 0, 0, 8, 0}, make([]byte, 8), 0, badList},
		{"question unknown", []byte{opSendDiag, 0, 0, 0, 16, 0}, []byte("WHO ARE YOU, SIR"), 0, badField},
		{"answer to no question", []byte{opReadDiag, 0, 0, 0, 10, 0}, nil, 10, badSequence},
		{"halt", []byte{opPosition, 4, 0, 0, 0, 0, 0, 0, 0, 0}, nil, 0, badField},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, err := New(Config{Model: "fi-7160", Pages: []image.Image{testPage(0)}, Resolution: scantest.DPI})
			if err != nil {
				t.Fatal(err)
			}
			if data, status := exchange(t, s, tt.cdb, tt.out, tt.in); status != statusCheck || len(data) > 0 {
				t.Errorf("status %d with %d bytes, want a refusal", status, len(data))
			}
			if got := senseOf(t, s); got != tt.want {
				t.Errorf("sense %v, want %v", got, tt.want)
			}
			if _, status := exchange(t, s, set(72), goodWindow(), 0); status != statusGood {
				t.Errorf("a good window after it: %v", senseOf(t, s))
			}
		})
	}
}

// The lamp page locks some machines up for good: not even a reset helps.
func TestLampTrap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, err := New(Config{Model: "iX500"})
		if err != nil {
			t.Fatal(err)
		}
		frame := make([]byte, commandSize)
		frame[0] = commandMark
		copy(frame[commandAt:], []byte{opModeSense, 0, lampTrapPage, 0, 20, 0})
		if err := s.Out(t.Context(), frame); err != nil {
			t.Fatal(err)
		}
		s.Reset()
		ctx, stop := context.WithTimeout(t.Context(), time.Hour)
		defer stop()
		if err := s.Out(ctx, frame); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a command after it: %v, want no answer", err)
		}
		if _, err := s.In(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("reading after it: %v, want no answer", err)
		}
		if v := s.Violations(); len(v) != 1 {
			t.Errorf("violations %q, want that one", v)
		}
	})
}

// The one JPEG of both sides is front and back beside each other to who does not
// know better.
func TestInterleave(t *testing.T) {
	front, back := testPage(0), image.NewRGBA(image.Rect(0, 0, testWidth, testHeight))
	for i := range back.Pix {
		back.Pix[i] = 200
	}
	b, err := interleave(front, back)
	if err != nil {
		t.Fatal(err)
	}
	img, err := jpeg.Decode(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	if got := img.Bounds().Size(); got != image.Pt(2*testWidth, testHeight) {
		t.Fatalf("size %v", got)
	}
	alone, err := encode(front, false)
	if err != nil {
		t.Fatal(err)
	}
	want, err := jpeg.Decode(bytes.NewReader(alone))
	if err != nil {
		t.Fatal(err)
	}
	for y := range testHeight {
		for x := range testWidth {
			if img.At(x, y) != want.At(x, y) {
				t.Fatalf("front at %d,%d is %v, want %v", x, y, img.At(x, y), want.At(x, y))
			}
			if g := color.GrayModel.Convert(img.At(testWidth+x, y)).(color.Gray).Y; g < 198 || g > 202 {
				t.Fatalf("back at %d,%d is %d, want 200", x, y, g)
			}
		}
	}
}

func TestParseConfig(t *testing.T) {
	cfg, err := ParseConfig(`{"Model":"iX500","Faults":[{"Sheet":2,"Where":"ric","Sense":[3,128,1]}],"Slow":1000000}`)
	if err != nil || cfg.Model != "iX500" || cfg.Faults[0].Sense != Jam || cfg.Slow != time.Millisecond {
		t.Errorf("ParseConfig = %+v, %v", cfg, err)
	}
	for _, bad := range []string{`{"Modell":"x"}`, `[]`, ``} {
		if _, err := ParseConfig(bad); err == nil {
			t.Errorf("ParseConfig(%q) took it", bad)
		}
	}
	if _, err := New(Config{Model: "fi-9999"}); err == nil || !strings.Contains(err.Error(), "fi-7160") {
		t.Errorf("New of an unknown model: %v, want the known ones", err)
	}
}

// A host may send any messages.
func FuzzMessages(f *testing.F) {
	frame := func(cdb ...byte) []byte {
		return append(append([]byte{commandMark}, make([]byte, commandAt-1)...), append(cdb, make([]byte, 12-len(cdb))...)...)
	}
	f.Add(frame(opInquiry, 0, 0, 0, 96), []byte{}, []byte{})
	f.Add(frame(opSetWindow, 0, 0, 0, 0, 0, 0, 0, 72), goodWindow(), frame(opPosition, 1))
	f.Add(frame(opSendDiag, 0, 0, 0, 16), []byte("GET DEVICE ID   "), frame(opReadDiag, 0, 0, 0, 10))
	f.Fuzz(func(t *testing.T, a, b, c []byte) {
		s, err := New(Config{Model: "fi-5120C"})
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range [][]byte{a, b, c} {
			if err := s.Out(t.Context(), m); err != nil {
				t.Errorf("Out(%x): %v", m, err)
			}
			for range s.out.Waiting() {
				if _, err := s.In(t.Context()); err != nil {
					t.Errorf("In: %v", err)
				}
			}
		}
	})
}
