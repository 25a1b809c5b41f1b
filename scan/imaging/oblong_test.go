package imaging

import (
	"encoding/binary"
	"io"
	"testing"
)

// tiffAt is a grey TIFF of rows of pixels with a resolution, all white but for one pixel.
func tiffAt(width, height, xres, yres, orientation, x, y int) []byte {
	pixels := make([]byte, width*height)
	for i := range pixels {
		pixels[i] = 255
	}
	pixels[y*width+x] = 0
	return tiffOf(width, height, xres, yres, orientation, 8, pixels)
}

// tiffOf is a TIFF of rows of pixels of so many bits. Of one bit, 1 is black; of 8, 0.
func tiffOf(width, height, xres, yres, orientation, bits int, pixels []byte) []byte {
	le := binary.LittleEndian
	const entries = 12
	values := 8 + 2 + entries*12 + 4
	b := append([]byte("II*\x00"), 8, 0, 0, 0, entries, 0)
	for _, e := range [entries][4]int{
		{256, 4, 1, width}, {257, 4, 1, height}, {258, 3, 1, bits}, {259, 3, 1, 1}, {262, 3, 1, bits / 8}, {273, 4, 1, values + 16}, {274, 3, 1, orientation},
		{278, 4, 1, height}, {279, 4, 1, len(pixels)}, {282, 5, 1, values}, {283, 5, 1, values + 8}, {296, 3, 1, 2},
	} {
		b = le.AppendUint16(le.AppendUint16(b, uint16(e[0])), uint16(e[1]))
		b = le.AppendUint32(le.AppendUint32(b, uint32(e[2])), uint32(e[3]))
	}
	b = le.AppendUint32(b, 0)
	for _, v := range []int{xres, 1, yres, 1} {
		b = le.AppendUint32(b, uint32(v))
	}
	return append(b, pixels...)
}

// A fax of the coarse kind has half as many lines to the inch as pixels in a line. It is shown as
// high as it was, and all that is done with it has one resolution.
func TestFaxIsNotFlat(t *testing.T) {
	tests := []struct {
		name                     string
		xres, yres, orientation  int
		width, height, dpi, x, y int
	}{
		{"coarse", 204, 98, 1, 200, 208, 204, 50, 63},
		{"upside down", 204, 98, 3, 200, 208, 204, 149, 144},
		{"fewer pixels in a line", 100, 200, 1, 400, 100, 200, 101, 30},
		{"fine", 204, 196, 1, 200, 100, 100, 50, 30},
		{"square", 300, 300, 1, 200, 100, 300, 50, 30},
		{"no resolution that can be", 204, 3, 1, 200, 100, 100, 50, 30},
	}
	for _, tt := range tests {
		data := tiffAt(200, 100, tt.xres, tt.yres, tt.orientation, 50, 30)
		h, err := ReadHeader(data, 1e6)
		if err != nil {
			t.Fatalf("%s: %v", tt.name, err)
		}
		if h.Width != tt.width || h.Height != tt.height || tt.dpi != h.DPI(0) {
			t.Errorf("%s: %d x %d at %d dpi, want %d x %d at %d", tt.name, h.Width, h.Height, h.DPI(0), tt.width, tt.height, tt.dpi)
		}
		p, _, err := Decode(data, h, 1, false)
		if err != nil {
			t.Fatalf("%s: %v", tt.name, err)
		}
		defer p.Close()
		if p.Width() != h.Width || p.Height() != h.Height {
			t.Errorf("%s: decoded to %d x %d, want %d x %d", tt.name, p.Width(), p.Height(), h.Width, h.Height)
		}
		planes, err := DecodePlanes(data, h, 1)
		if err != nil {
			t.Fatalf("%s: %v", tt.name, err)
		}
		defer planes.Close()
		darkest, x, y := byte(255), 0, 0
		for row := range planes.Y.Height {
			for col, v := range planes.Y.Row(row)[:planes.Y.Width] {
				if v < darkest {
					darkest, x, y = v, col, row
				}
			}
		}
		if dx, dy := x-tt.x, y-tt.y; darkest > 128 || dx < -1 || dx > 1 || dy < -2 || dy > 2 {
			t.Errorf("%s: the dot (%d) is at %d, %d, want %d, %d", tt.name, darkest, x, y, tt.x, tt.y)
		}
	}
	// What it claims counts as it will be decoded.
	if _, err := ReadHeader(tiffAt(200, 100, 204, 98, 1, 0, 0), 30_000); err == nil {
		t.Error("more pixels than the limit are taken")
	}
}

// A long roll is shown flat rather than refused.
func TestFaxRollIsTaken(t *testing.T) {
	h, err := ReadHeader(tiffAt(8, 40_000, 204, 98, 1, 0, 0), 1e6)
	if err != nil || h.Oblong || h.Width != 8 || h.Height != 40_000 {
		t.Errorf("%+v, %v", h, err)
	}
}

// A fax of one bit a pixel stays so: its lines are repeated, and stand in a PDF as they were.
func TestFaxStaysBlackAndWhite(t *testing.T) {
	const width, height = 203, 101
	dark := func(x, y int) bool { return (x*x+3*y*y+x*y)%7 < 3 }
	for _, tt := range []struct{ xres, yres, width, height int }{{204, 98, width, 210}, {200, 100, width, 2 * height}, {100, 200, 2 * width, height}, {204, 196, width, height}} {
		var rows []byte
		for y := range height {
			row := make([]byte, (width+7)/8)
			for x := range width {
				if dark(x, y) {
					row[x/8] |= 0x80 >> (x % 8)
				}
			}
			rows = append(rows, row...)
		}
		data := tiffOf(width, height, tt.xres, tt.yres, 1, 1, rows)
		h, err := ReadHeader(data, 1e6)
		if err != nil {
			t.Fatal(err)
		}
		p, _, err := Decode(data, h, 1, false)
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		if p.Depth() != 1 || p.Width() != tt.width || p.Height() != tt.height {
			t.Fatalf("%+v: decoded to %d x %d of %d bits", tt, p.Width(), p.Height(), p.Depth())
		}
		gray, err := p.Gray()
		if err != nil {
			t.Fatal(err)
		}
		defer gray.Close()
		planes, err := gray.Planes()
		if err != nil {
			t.Fatal(err)
		}
		defer planes.Close()
		wrong := 0
		for y := range tt.height {
			for x, v := range planes.Y.Row(y)[:tt.width] {
				if (v < 128) != dark(x*width/tt.width, y*height/tt.height) {
					wrong++
				}
			}
		}
		if wrong > 0 {
			t.Errorf("%+v: %d pixels are others", tt, wrong)
		}
		e, err := Embed(io.Discard, data, h, p)
		if err != nil || e.Filter != "CCITTFaxDecode" || e.Bits != 1 || e.Width != tt.width || e.Height != tt.height {
			t.Errorf("%+v: in a PDF %+v, %v", tt, e, err)
		}
	}
}
