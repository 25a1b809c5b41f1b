package barcode

import (
	"image"
	"math"
	"testing"

	"github.com/boombuler/barcode/datamatrix"
)

// drawnMatrix draws a Data Matrix code in a view, turned counter-clockwise by quarters,
// with modules of five pixels.
func drawnMatrix(t *testing.T, text string, quarters int) (v *view, modules int) {
	t.Helper()
	code, err := datamatrix.Encode(text)
	if err != nil {
		t.Fatal(err)
	}
	const module, margin = 5, 14
	modules = code.Bounds().Dx()
	side := modules*module + 2*margin
	v = &view{strip: strip{pixels: make([]byte, side*side), width: side, height: side}, g: region{ux: 1, width: float64(side), height: float64(side)}, scale: 1}
	v.middle = [2]float64{float64(side) / 2, float64(side) / 2}
	v.g.x, v.g.y = v.middle[0], v.middle[1]
	for y := range side {
		for x := range side {
			v.pixels[y*side+x] = 225
			p := image.Pt(x-margin, y-margin)
			if !p.In(image.Rect(0, 0, modules*module, modules*module)) {
				continue
			}
			at := p.Div(module)
			for range quarters { // clockwise: where it is when it stands upright
				at = image.Pt(modules-1-at.Y, at.X)
			}
			if l, _, _, _ := code.At(at.X, at.Y).RGBA(); l < 0x8000 {
				v.pixels[y*side+x] = 40
			}
		}
	}
	return v, modules
}

// Dust around a code, and some on it, does not hide what it says or how it lies.
func TestReadGrid(t *testing.T) {
	for quarters := range 4 {
		v, _ := drawnMatrix(t, "ASN00123", quarters)
		for i := 3; i < v.width; i += 11 { // a speck here and there, of a pixel
			v.pixels[5*v.width+i], v.pixels[i*v.width+v.width-6] = 30, 30
		}
		for i := range 25 { // a module in the middle that is lost
			v.pixels[(v.height/2+i/5)*v.width+v.width/2+i%5] = 128
		}
		r := new(reader)
		if !r.readGrid(v) || len(r.codes) != 1 || r.codes[0].Text != "ASN00123" {
			t.Errorf("turned by %d quarters: %v", quarters, r.codes)
			continue
		}
		c := r.codes[0]
		if want := turn(float64(-90 * quarters)); math.Abs(turn(c.Angle-want)) > 1 || math.Abs(c.X-v.middle[0]) > 2 || math.Abs(c.Y-v.middle[1]) > 2 {
			t.Errorf("turned by %d quarters: it is at %+v", quarters, c)
		}
	}
}

// What has no frame of a code is none, whatever its size.
func TestReadGridOfNoise(t *testing.T) {
	v, modules := drawnMatrix(t, "ASN00123", 0)
	for i := range modules { // its solid side is broken
		if i%2 == 0 {
			for k := range 25 {
				v.pixels[(14+5*i+k/5)*v.width+14+k%5] = 225
			}
		}
	}
	r := new(reader)
	if r.readGrid(v) {
		t.Errorf("%v was read", r.codes)
	}
}
