package fujitsu

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"docscan/device"
	"docscan/device/quirks"
	"docscan/device/sim/fujitsu"
	"docscan/device/sim/scantest"
	"docscan/device/usb"
)

func unhex(s string) []byte {
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		panic(err)
	}
	return b
}

// Every code that is known has its reason, and keeps its numbers.
func TestSense(t *testing.T) {
	tests := []struct {
		in   string
		kind device.FaultKind
		text string
	}{
		{"f0 00 03 00000000 0a 00000000 80 01 00 000000", device.Jam, "3/80/01 paper jam"},
		{"70 00 03 00000000 0a 00000000 80 02 00 000000", device.Cover, "3/80/02 cover open"},
		{"70 00 03 00000000 0a 00000000 80 03 00 000000", device.NoPaper, "3/80/03 hopper empty"},
		{"70 00 03 00000000 0a 00000000 80 04 00 000000", device.Jam, "3/80/04 unusual paper"},
		{"70 00 03 00000000 0a 00000000 80 07 00 000000", device.DoubleFeed, "3/80/07 double feed"},
		{"70 00 03 00000000 0a 00000000 80 08 00 000000", device.Mispick, "3/80/08 feeder not set up"},
		{"70 00 03 00000000 0a 00000000 80 09 00 000000", device.Jam, "3/80/09 carrier sheet"},
		{"70 00 03 00000000 0a 00000000 80 0c 00 000000", device.Jam, "3/80/0C feeder blocked by a card"},
		{"70 00 03 00000000 0a 00000000 80 10 00 000000", device.Hardware, "3/80/10 no ink cartridge"},
		{"70 00 03 00000000 0a 00000000 80 13 00 000000", device.Hardware, "3/80/13 no data for too long"},
		{"70 00 03 00000000 0a 00000000 80 14 00 000000", device.Hardware, "3/80/14 endorser error"},
		{"70 00 03 00000000 0a 00000000 80 20 00 000000", device.Stopped, "3/80/20 stop button"},
		{"70 00 03 00000000 0a 00000000 80 22 00 000000", device.Stopped, "3/80/22 scan halted"},
		{"70 00 03 00000000 0a 00000000 80 30 00 000000", device.NoPaper, "3/80/30 not enough paper"},
		{"70 00 03 00000000 0a 00000000 80 31 00 000000", device.Stopped, "3/80/31 scanning disabled"},
		{"70 00 03 00000000 0a 00000000 80 32 00 000000", device.Stopped, "3/80/32 scan paused"},
		{"70 00 03 00000000 0a 00000000 80 33 00 000000", device.Hardware, "3/80/33 Wi-Fi error"},
		{"70 00 04 00000000 0a 00000000 80 03 00 000000", device.Hardware, "4/80/03 lamp fuse"},
		{"70 00 04 00000000 0a 00000000 44 00 00 000000", device.Hardware, "4/44/00 EEPROM error"},
		{"70 00 05 00000000 0a 00000000 00 00 00 000000", device.PageLength, "5/00/00 paper edge too soon"},
		{"70 00 05 00000000 0a 00000000 26 00 00 000021", device.BadAnswer, "5/26/00 field of a list (byte 33)"},
		{"70 00 05 00000000 0a 00000000 2c 02 00 000000", device.BadAnswer, "5/2C/02 wrong windows"},
		{"70 00 02 00000000 0a 00000000 00 00 00 000000", device.Warming, "2/00/00 not ready"},
		{"70 00 06 00000000 0a 00000000 80 01 00 000000", device.Warming, "6/80/01 reset or woken"},
		{"70 00 0b 00000000 0a 00000000 80 03 00 000000", device.Hardware, "B/80/03 JPEG overflow"},
		{"70 00 0b 00000000 0a 00000000 48 00 00 000000", device.Hardware, "B/48/00 transfer error"},
		{"70 00 03 00000000 0a 00000000 81 77 00 000000", device.Hardware, "3/81/77"},
	}
	for _, tt := range tests {
		s, err := parseSense(unhex(tt.in))
		if err != nil || s.kind() != tt.kind || s.String() != tt.text {
			t.Errorf("sense %s is %s, %q, %v, want %s, %q", tt.in, s.kind(), s, err, tt.kind, tt.text)
		}
	}
	s, err := parseSense(unhex("f0 00 60 00001234 0a 00000000 00 00 00 000000"))
	if err != nil || !s.end || !s.short || s.residual != 0x1234 || s.key != 0 {
		t.Errorf("the end of a side: %+v, %v", s, err)
	}
}

// What a short read keeps.
func TestKept(t *testing.T) {
	tests := []struct {
		came, asked int
		residual    uint32
		want        int
	}{
		{100, 1000, 900, 100}, {1000, 1000, 900, 100}, {0, 1000, 1000, 0}, {100, 1000, 1001, 100}, {100, 1000, 0xffffffff, 100}, {50, 1000, 900, 50},
	}
	for _, tt := range tests {
		if got := kept(tt.came, tt.asked, sense{residual: tt.residual}); got != tt.want {
			t.Errorf("%d of %d with a residual of %d: %d, want %d", tt.came, tt.asked, tt.residual, got, tt.want)
		}
	}
}

func FuzzParseSense(f *testing.F) {
	f.Add(unhex("f0 00 60 00001234 0a 00000000 00 00 00 000000"))
	f.Add(unhex("70 00 05 00000000 0a 00000000 26 00 00 000021"))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := parseSense(b)
		if err == nil && (s.key > 0xf || s.kind() == "" || s.String() == "") {
			t.Errorf("parseSense(%x) = %+v", b, s)
		}
	})
}

// leastVital is a vital page with which SANE's driver is content.
func leastVital() []byte {
	b := make([]byte, 0x68)
	copy(b, unhex("06f000005f 012c 012c 11 02580258 00320032 0000 00000a20 000019c8 8e"))
	b[0x20], b[0x21], b[0x28], b[0x29], b[0x2b], b[0x31] = 0x90, 0x68, 0xef, 0x8f, 4, 2
	b[0x57], b[0x5a] = 0x10, 8
	return b
}

func TestParseVital(t *testing.T) {
	v, err := parseVital(leastVital())
	if err != nil {
		t.Fatal(err)
	}
	want := vital{
		minDPI: 50, maxDPI: 600, anyDPI: true, width: 10368, length: 26400, binary: true, gray: true, color: true,
		feeder: true, duplex: true, thickness: true, scannerControl: true, hardwareStatus: true, diagnostics: true, jpeg: true,
	}
	if !reflect.DeepEqual(v, want) {
		t.Errorf("vital page is\n%+v, want\n%+v", v, want)
	}
	fixed := leastVital()
	fixed[0x09], fixed[0x12], fixed[0x13] = 0, 0b0010_0001, 0b0100_0101
	if v, err = parseVital(fixed); err != nil || !slices.Equal(v.resolutions(), []int{100, 200, 300, 600}) {
		t.Errorf("resolutions %v, %v", v.resolutions(), err)
	}
	for dpi, want := range map[int]int{1: 100, 149: 100, 151: 200, 299: 300, 1200: 600} {
		if got := v.nearest(dpi); got != want {
			t.Errorf("nearest to %d dpi is %d, want %d", dpi, got, want)
		}
	}
	for name, change := range map[string]func([]byte) []byte{
		"short":         func(b []byte) []byte { return b[:0x40] },
		"says little":   func(b []byte) []byte { b[4] = 0x19; return b },
		"no units":      func(b []byte) []byte { b[5], b[6] = 0, 0; return b },
		"endless":       func(b []byte) []byte { b[0x14] = 0xff; return b },
		"no mode":       func(b []byte) []byte { b[0x1c] = 0; return b },
		"no source":     func(b []byte) []byte { b[0x20] = 0; return b },
		"no resolution": func(b []byte) []byte { b[0x09] = 0; return b },
		"turned round":  func(b []byte) []byte { b[0x0a], b[0x0b] = 0, 1; return b },
	} {
		if v, err := parseVital(change(leastVital())); err == nil {
			t.Errorf("%s: %+v, want an error", name, v)
		}
	}
}

func FuzzParseVital(f *testing.F) {
	f.Add(leastVital())
	f.Fuzz(func(t *testing.T, b []byte) {
		v, err := parseVital(b)
		if err != nil {
			return
		}
		if v.width <= 0 || v.length <= 0 || v.nearest(300) < v.minDPI || v.nearest(300) > v.maxDPI || len(v.resolutions()) == 0 {
			t.Errorf("parseVital(%x) = %+v", b, v)
		}
	})
}

func FuzzParseInquiry(f *testing.F) {
	f.Add(append([]byte{6, 0, 2, 2, 91, 0, 0, 0}, "FUJITSU fi-7160         0M00"...))
	f.Fuzz(func(t *testing.T, b []byte) {
		q, err := parseInquiry(b)
		if err == nil && strings.ContainsFunc(q.vendor+q.product+q.firmware, func(r rune) bool { return r < ' ' || r > '~' }) {
			t.Errorf("parseInquiry(%x) = %+v", b, q)
		}
	})
}

func FuzzParseHardware(f *testing.F) {
	f.Add(unhex("000000a0 05000100 00000000"))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := parseHardware(b)
		if err == nil && h.scan != slices.Contains(h.down(), "scan") {
			t.Errorf("parseHardware(%x) = %+v", b, h)
		}
	})
}

// babble is a machine that answers with whatever the fuzzer says.
type babble struct{ left []byte }

func (p *babble) Write(_ context.Context, b []byte) (int, error) { return len(b), nil }
func (p *babble) Restart(context.Context) error                  { return nil }
func (p *babble) Exchange(ctx context.Context, x *usb.Exchange) error {
	return scantest.InTurn(ctx, p, x)
}

// Read gives messages whose first byte is their length.
func (p *babble) Read(_ context.Context, b []byte) (int, error) {
	if len(p.left) == 0 {
		return 0, io.ErrUnexpectedEOF
	}
	n := min(int(p.left[0]), len(p.left)-1, len(b))
	copy(b, p.left[1:1+n])
	p.left = p.left[1+n:]
	return n, nil
}

// A machine may say anything at any time.
func FuzzFrames(f *testing.F) {
	good := append([]byte{13}, unhex("53000000000000000000000000")...)
	check := append([]byte{13}, unhex("53000000000000000002000000")...)
	senseData := append([]byte{18}, unhex("f0000300000000 0a000000008001 00000000")...)
	f.Add(slices.Concat(good, good))
	f.Add(slices.Concat([]byte{4, 1, 2, 3, 4}, check, senseData, good))
	f.Fuzz(func(t *testing.T, said []byte) {
		c := &conn{pipe: &babble{said}, log: slog.New(slog.DiscardHandler)}
		for range 4 {
			in := make([]byte, 96)
			n, s, err := c.do(t.Context(), &command{name: "x", cdb: []byte{0x12}, in: in})
			if n < 0 || n > len(in) || err == nil && s.key != 0 {
				t.Errorf("do = %d, %v, %v", n, s, err)
			}
			if err != nil && fault(t.Context(), err) == nil {
				t.Errorf("no fault of %v", err)
			}
		}
	})
}

// The head of a JPEG may come in any pieces.
func TestJPEGInPieces(t *testing.T) {
	head := unhex("ffd8 ffdb 0003 00 ffc0 000b 08 0010 0020 01 01 11 00 ffdd 0004 0002 ffda 0008 01 01 00 00 3f 00")
	file := slices.Concat(head, unhex("01ff00 ffd0 02 ffd1 03 ffd2 04ff00 ffd9 0000"))
	var front, back bytes.Buffer
	j := &jpegStream{dpi: 300, width: 16, to: [2]io.Writer{&front, &back}}
	for _, b := range file {
		if _, err := j.Write([]byte{b}); err != nil {
			t.Fatal(err)
		}
	}
	halved := bytes.Replace(head[2:], unhex("00100020"), unhex("00100010"), 1)
	jfif := unhex("ffd8 ffe0 0010 4a46494600 0102 01 012c 012c 0000")
	if want := slices.Concat(jfif, halved, unhex("01ff00 ffd0 03 ffd9")); !bytes.Equal(front.Bytes(), want) {
		t.Errorf("front is %x, want %x", front.Bytes(), want)
	}
	if want := slices.Concat(jfif, halved, unhex("02 ffd0 04ff00 ffd9")); !bytes.Equal(back.Bytes(), want) {
		t.Errorf("back is %x, want %x", back.Bytes(), want)
	}
	if err := j.finish(); err != nil {
		t.Error(err)
	}
}

func FuzzJPEG(f *testing.F) {
	f.Add(unhex("ffd8 ffc0 000b 08 0010 0020 01 01 11 00 ffda 0008 01 01 00 00 3f 00 01ff00 ffd0 02 ffd9"), uint8(3))
	f.Add(unhex("ffd8 ffe0 0010 4a46494600 0102 01 012c 012c 0000 ffda 0002"), uint8(1))
	f.Fuzz(func(t *testing.T, b []byte, piece uint8) {
		var front, back bytes.Buffer
		j := &jpegStream{dpi: 300, width: 16, to: [2]io.Writer{&front, &back}}
		for rest := range slices.Chunk(slices.Clone(b), int(piece)+1) {
			if _, err := j.Write(rest); err != nil {
				return
			}
		}
		const jfif = 18
		if n := front.Len() + back.Len(); n > 2*len(b)+2*jfif+2 {
			t.Errorf("%d bytes made of %d", n, len(b))
		}
		if j.ended != (j.finish() == nil) {
			t.Error("the end is no end")
		}
	})
}

// Whom the driver takes for one of its own.
func TestMatch(t *testing.T) {
	vendor := usb.Setting{Class: 0xff, SubClass: 0xff, Protocol: 0xff, In: 1, Out: 2}
	ipp := usb.Setting{Class: 7, SubClass: 1, Protocol: 4, In: 3, Out: 4}
	tests := []struct {
		name string
		d    usb.Desc
		want bool
	}{
		{"iX500", usb.Desc{Vendor: 0x04c5, Product: 0x132b, Settings: []usb.Setting{vendor}}, true},
		{"Ricoh", usb.Desc{Vendor: 0x05ca, Product: 0x0307, Settings: []usb.Setting{ipp, vendor}}, true},
		{"class of the interface unusual", usb.Desc{Vendor: 0x04c5, Product: 0x132e, Settings: []usb.Setting{{Class: 6, In: 1, Out: 2}}}, true},
		{"eSCL only", usb.Desc{Vendor: 0x05ca, Product: 0x0307, Settings: []usb.Setting{ipp}}, false},
		{"S1300i, another protocol", usb.Desc{Vendor: 0x04c5, Product: 0x128d, Settings: []usb.Setting{vendor}}, false},
		{"another maker", usb.Desc{Vendor: 0x04b8, Product: 0x132b, Settings: []usb.Setting{vendor}}, false},
		{"no pipes", usb.Desc{Vendor: 0x04c5, Product: 0x132b}, false},
	}
	v := NewDriver("", &quirks.List{}, slog.New(slog.DiscardHandler))
	for _, tt := range tests {
		if got := v.Match(tt.d); got != tt.want {
			t.Errorf("%s: %t, want %t", tt.name, got, tt.want)
		}
	}
	if info, ok := v.Know(tests[1].d, usb.Strings{Manufacturer: "RICOH", Model: "RICOH fi-8040"}); !ok || info.Name() != "RICOH fi-8040" || info.Driver != "fujitsu" {
		t.Errorf("Know = %+v, %t", info, ok)
	}
}

// Lines come out the same in whatever pieces they come in.
func TestLinesInPieces(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	wire := make([]byte, 3*13*20)
	for i := range wire {
		wire[i] = byte(rnd.Uint32())
	}
	for _, o := range orders() {
		for _, mode := range []device.ColorMode{device.Color, device.Gray, device.LineArt} {
			p := &plan{wire: wireColor, wanted: mode, order: o, width: 13, dpi: 100}
			var whole, pieces bytes.Buffer
			if _, err := newLines(p, &whole).Write(slices.Clone(wire)); err != nil {
				t.Fatal(err)
			}
			l := newLines(p, &pieces)
			for b := range slices.Chunk(slices.Clone(wire), 17) {
				if _, err := l.Write(b); err != nil {
					t.Fatal(err)
				}
			}
			if want := 20 * p.format(20).LineBytes(); whole.Len() != want || !bytes.Equal(whole.Bytes(), pieces.Bytes()) {
				t.Errorf("%v %s: %d bytes whole and %d in pieces, want %d", o, mode, whole.Len(), pieces.Len(), want)
			}
		}
	}
}

// dead takes all and never answers.
type dead struct{}

func (dead) Write(_ context.Context, b []byte) (int, error) { return len(b), nil }
func (dead) Restart(context.Context) error                  { return nil }
func (d dead) Exchange(ctx context.Context, x *usb.Exchange) error {
	return scantest.InTurn(ctx, d, x)
}
func (dead) Read(ctx context.Context, _ []byte) (int, error) {
	<-ctx.Done()
	return 0, ctx.Err()
}

// A machine that is mute is given up after seconds.
func TestOpenDead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		_, err := Open(t.Context(), Options{Pipe: dead{}, Log: slog.New(slog.DiscardHandler)})
		if d := time.Since(began); device.KindOf(err) != device.BadAnswer || !errors.Is(err, usb.ErrLate) || d > 5*time.Second {
			t.Errorf("Open: %v after %v", err, d)
		}
	})
}

// lateRiser answers from its second try on, as old machines do.
type lateRiser struct {
	scantest.Wire
	slept bool
}

func (l *lateRiser) Exchange(ctx context.Context, x *usb.Exchange) error {
	return scantest.InTurn(ctx, l, x)
}

func (l *lateRiser) Read(ctx context.Context, b []byte) (int, error) {
	if !l.slept {
		l.slept = true
		return dead{}.Read(ctx, b)
	}
	return l.Wire.Read(ctx, b)
}

func TestOpenLateRiser(t *testing.T) {
	onBench(t, fujitsu.Config{}, func(t *testing.T, b *bench) {
		s, err := Open(t.Context(), Options{Pipe: &lateRiser{Wire: scantest.Wire{Dev: b.dev}}, Log: slog.New(slog.DiscardHandler)})
		if err != nil || s.Info().Model != "fi-7160" {
			t.Errorf("Open: %v", err)
		}
	})
}

// What it costs to make lines of a side of A4 at 300 dpi of what comes.
func BenchmarkLines(b *testing.B) {
	for _, o := range orders() {
		for _, mode := range []device.ColorMode{device.Color, device.Gray} {
			b.Run(fmt.Sprintf("%v %s", o, mode), func(b *testing.B) {
				p := &plan{wire: wireColor, wanted: mode, order: o, width: 2480, dpi: 300}
				wire := make([]byte, p.lineBytes()*35)
				l := newLines(p, io.Discard)
				b.SetBytes(int64(len(wire)) * 100)
				for b.Loop() {
					for range 100 {
						if _, err := l.Write(wire); err != nil {
							b.Fatal(err)
						}
					}
				}
			})
		}
	}
}
