package jbig2

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// drawings are images that take each way through the encoder.
func drawings() map[string]*Bitmap {
	r := rand.New(rand.NewPCG(1, 2))
	noise := NewBitmap(203, 97)
	sparse := NewBitmap(1201, 400)
	for y := range noise.Height {
		for x := range noise.Width {
			if r.IntN(2) == 0 {
				noise.Set(x, y)
			}
		}
	}
	for range 300 {
		sparse.Set(r.IntN(sparse.Width), r.IntN(sparse.Height))
	}
	bars := NewBitmap(640, 480)
	for y := range bars.Height {
		for x := range bars.Width {
			if x/20%2 == 0 && y/30%3 == 0 || y > 400 {
				bars.Set(x, y)
			}
		}
	}
	dot := NewBitmap(1, 1)
	dot.Set(0, 0)
	corner := NewBitmap(9, 5)
	corner.Set(8, 4)
	return map[string]*Bitmap{
		"noise": noise, "sparse": sparse, "bars": bars, "dot": dot, "corner": corner,
		"white": NewBitmap(2480, 3508), "one row": NewBitmap(17, 1),
	}
}

func TestEncode(t *testing.T) {
	for name, b := range drawings() {
		t.Run(name, func(t *testing.T) {
			data, err := Encode(b)
			if err != nil {
				t.Fatal(err)
			}
			got, err := decode(data)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got.Pix, b.Pix) {
				t.Errorf("%d x %d pixels came back changed", b.Width, b.Height)
			}
			if name == "white" && len(data) > 100 {
				t.Errorf("a white page took %d bytes, want at most 100", len(data))
			}
		})
	}
}

// What lies in the padding of a row must not be seen.
func TestEncodePadding(t *testing.T) {
	b := &Bitmap{Width: 3, Height: 1, Stride: 4, Pix: []byte{0xbf, 0xff, 0xff, 0xff}}
	data, err := Encode(b)
	if err != nil {
		t.Fatal(err)
	}
	got, err := decode(data)
	if err != nil {
		t.Fatal(err)
	}
	if want := []byte{0xa0}; !bytes.Equal(got.Pix, want) {
		t.Errorf("pixels %x, want %x", got.Pix, want)
	}
}

func TestEncodeRefuses(t *testing.T) {
	for _, b := range []*Bitmap{{}, {Width: 8, Height: 2, Stride: 1, Pix: make([]byte, 1)}, {Width: 9, Height: 1, Stride: 1, Pix: make([]byte, 1)}} {
		if _, err := Encode(b); err == nil {
			t.Errorf("Encode(%+v) succeeded", b)
		}
	}
}

// Others must read it as well: jbig2dec takes the segments of a PDF as they are.
func TestJbig2dec(t *testing.T) {
	for name, b := range drawings() {
		data, err := Encode(b)
		if err != nil {
			t.Fatal(err)
		}
		dir := t.TempDir()
		in, out := filepath.Join(dir, "in.jb2"), filepath.Join(dir, "out.pbm")
		if err := os.WriteFile(in, data, 0o600); err != nil {
			t.Fatal(err)
		}
		if said, err := exec.Command("jbig2dec", "-e", "-t", "pbm", "-o", out, in).CombinedOutput(); err != nil || len(said) > 0 {
			t.Fatalf("%s: jbig2dec: %v: %s", name, err, said)
		}
		got, err := os.ReadFile(out)
		if err != nil {
			t.Fatal(err)
		}
		if want := append(fmt.Appendf(nil, "P4\n%d %d\n", b.Width, b.Height), b.Pix...); !bytes.Equal(got, want) {
			t.Errorf("%s: jbig2dec reads another image", name)
		}
	}
}

func FuzzEncode(f *testing.F) {
	f.Add(uint16(8), []byte{0xff, 0, 0, 0x18, 0x18})
	f.Add(uint16(33), bytes.Repeat([]byte{0, 0, 0, 0, 0x80}, 7))
	f.Fuzz(func(t *testing.T, width uint16, pix []byte) {
		stride := (int(width) + 7) / 8
		if stride == 0 || len(pix) < stride || len(pix) > 1<<16 {
			return
		}
		b := &Bitmap{Width: int(width), Height: len(pix) / stride, Stride: stride, Pix: pix}
		data, err := Encode(b)
		if err != nil {
			t.Fatal(err)
		}
		got, err := decode(data)
		if err != nil {
			t.Fatal(err)
		}
		for y := range b.Height {
			for x := range b.Width {
				if got.At(x, y) != b.At(x, y) {
					t.Fatalf("pixel %d, %d of %d x %d is %t, want %t", x, y, b.Width, b.Height, got.At(x, y), b.At(x, y))
				}
			}
		}
	})
}

func BenchmarkEncode(b *testing.B) {
	page := NewBitmap(2480, 3508)
	r := rand.New(rand.NewPCG(3, 4))
	for line := 200; line < 3200; line += 60 { // something like letters
		for x := 250; x < 2200; x += 12 + r.IntN(14) {
			w, h := 3+r.IntN(8), 15+r.IntN(20)
			for y := range h {
				for i := range w {
					page.Set(x+i+y%3, line+y)
				}
			}
		}
	}
	for b.Loop() {
		data, err := Encode(page)
		if err != nil {
			b.Fatal(err)
		}
		b.SetBytes(int64(len(page.Pix)))
		b.ReportMetric(float64(len(data)), "bytes")
	}
}
