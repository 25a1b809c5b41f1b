package raster

import (
	"bytes"
	"errors"
	"image"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"golang.org/x/image/tiff"

	"docscan/device"
)

// The file is read by another implementation, which must see the same pixels.
func TestTIFF(t *testing.T) {
	tests := []struct {
		name  string
		f     Format
		lines string
		want  string // one letter a pixel, line by line
	}{
		{"colour", Format{2, 2, device.Color, 300}, "\xff\x00\x00\x00\xff\x00\x00\x00\xff\xff\xff\xff", "rgbw"},
		{"grey", Format{3, 1, device.Gray, 200}, "\x00\xff\x00", "kwk"},
		{"line art", Format{9, 2, device.LineArt, 600}, "\xaa\x80\x00\x00", "kwkwkwkwkwwwwwwwww"},
		{"short colour page", Format{1, 3, device.Color, 300}, "\x00\x00\x00", "kww"},
		{"short line art page", Format{8, 2, device.LineArt, 300}, "\xff", "kkkkkkkkwwwwwwww"},
		{"empty page", Format{1, 2, device.Gray, 300}, "", "ww"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r, err := TIFF(tt.f, iotest.OneByteReader(strings.NewReader(tt.lines)))
			if err != nil {
				t.Fatal(err)
			}
			b, err := io.ReadAll(r)
			if err != nil {
				t.Fatal(err)
			}
			img, err := tiff.Decode(bytes.NewReader(b))
			if err != nil {
				t.Fatal(err)
			}
			if got := letters(img); got != tt.want {
				t.Errorf("pixels %q, want %q", got, tt.want)
			}
		})
	}
}

// letters names the pixels of img.
func letters(img image.Image) string {
	var b strings.Builder
	for y := range img.Bounds().Dy() {
		for x := range img.Bounds().Dx() {
			r, g, bl, _ := img.At(x, y).RGBA()
			switch [3]uint32{r >> 15, g >> 15, bl >> 15} {
			case [3]uint32{1, 0, 0}:
				b.WriteByte('r')
			case [3]uint32{0, 1, 0}:
				b.WriteByte('g')
			case [3]uint32{0, 0, 1}:
				b.WriteByte('b')
			case [3]uint32{1, 1, 1}:
				b.WriteByte('w')
			default:
				b.WriteByte('k')
			}
		}
	}
	return b.String()
}

func TestTIFFErrors(t *testing.T) {
	read := func(lines io.Reader) error {
		r, err := TIFF(Format{1, 1, device.Gray, 300}, lines)
		if err != nil {
			t.Fatal(err)
		}
		_, err = io.Copy(io.Discard, r)
		return err
	}
	jam := device.Faultf(device.Jam, "sense 3/80/01")
	if err := read(iotest.ErrReader(jam)); !errors.Is(err, jam) {
		t.Errorf("a jam in the lines gave %v", err)
	}
	if err := read(io.MultiReader(strings.NewReader("x"), iotest.ErrReader(jam))); !errors.Is(err, jam) {
		t.Errorf("a jam after the last line gave %v", err)
	}
	if err := read(strings.NewReader("xyz")); !errors.Is(err, ErrTooLong) {
		t.Errorf("two bytes too many gave %v, want %v", err, ErrTooLong)
	}
	for _, f := range []Format{
		{0, 1, device.Gray, 300}, {1, 0, device.Gray, 300}, {1, 1, device.Gray, 0}, {1, 1, "sepia", 300},
		{1 << 16, 1 << 20, device.Color, 300},
	} {
		if _, err := TIFF(f, strings.NewReader("")); err == nil {
			t.Errorf("TIFF(%v) gave no error", f)
		}
	}
}

func TestInvert(t *testing.T) {
	for _, n := range []int{0, 1, 7, 4096, 10_001} {
		b := bytes.Repeat([]byte{0x0f}, n)
		Invert(b)
		if want := bytes.Repeat([]byte{0xf0}, n); !bytes.Equal(b, want) {
			t.Errorf("%d bytes: %.8x, want %.8x", n, b, want)
		}
	}
}
