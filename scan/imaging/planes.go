package imaging

// #cgo LDFLAGS: -ljpeg
// #include <stdlib.h>
// #include "planes.h"
import "C"

import (
	"errors"
	"fmt"
	"math"
	"runtime"
	"unsafe"
)

// A Plane is one component of an image, 8 bits a pixel.
type Plane struct {
	Width, Height int
	Stride        int // bytes from row to row
	Pix           []uint8
}

// NewPlane makes a plane of zeros.
func NewPlane(width, height int) *Plane {
	return &Plane{width, height, width, make([]uint8, width*height)}
}

// Row gives the pixels of a row.
func (p *Plane) Row(y int) []uint8 { return p.Pix[y*p.Stride : y*p.Stride+p.Width] }

// Extremes gives the darkest and the lightest of each block of 8 x 8 pixels, as
// planes with a pixel for each block. It takes the means of 2 x 2 for pixels,
// which halves the noise.
func (p *Plane) Extremes() (low, high *Plane, err error) {
	if p.Width < 2 || p.Height < 1 {
		return nil, nil, fmt.Errorf("look for the extremes of %d x %d pixels", p.Width, p.Height)
	}
	low, high = NewPlane((p.Width+7)/8, (p.Height+7)/8), NewPlane((p.Width+7)/8, (p.Height+7)/8)
	if C.plane_extremes((*C.uint8_t)(unsafe.SliceData(p.Pix)), C.int(p.Width), C.int(p.Height), C.int(p.Stride),
		(*C.uint8_t)(unsafe.SliceData(low.Pix)), (*C.uint8_t)(unsafe.SliceData(high.Pix))) != 0 {
		return nil, nil, fmt.Errorf("%w: look for extremes", ErrMemory)
	}
	return low, high, nil
}

// Turn gives a copy turned clockwise about its middle by degrees, less than 45.
func (p *Plane) Turn(degrees float64) *Plane {
	out := NewPlane(p.Width, p.Height)
	if p.Width > 0 && p.Height > 0 {
		C.plane_turn((*C.uint8_t)(unsafe.SliceData(p.Pix)), C.int(p.Width), C.int(p.Height), C.int(p.Stride),
			C.double(degrees*math.Pi/180), (*C.uint8_t)(unsafe.SliceData(out.Pix)))
	}
	return out
}

// Shrink gives the means of squares of size pixels; those at the right and lower
// edge may be smaller.
func (p *Plane) Shrink(size int) *Plane {
	out := NewPlane((p.Width+size-1)/size, (p.Height+size-1)/size)
	if p.Width > 0 && p.Height > 0 {
		C.plane_shrink((*C.uint8_t)(unsafe.SliceData(p.Pix)), C.int(p.Width), C.int(p.Height), C.int(p.Stride), C.int(size),
			(*C.uint8_t)(unsafe.SliceData(out.Pix)))
	}
	return out
}

// Part gives the pixels from x0, y0 to before x1, y1. It shares them with p.
func (p *Plane) Part(x0, y0, x1, y1 int) *Plane {
	return &Plane{x1 - x0, y1 - y0, p.Stride, p.Pix[y0*p.Stride+x0 : (y1-1)*p.Stride+x1]}
}

// Planes are luminance and colour of an image apart, as JFIF defines them. The
// colours have as many pixels as the luminance or fewer; a grey image has none.
type Planes struct {
	Y, Cb, Cr *Plane
	c         *C.planes // whose memory they are; nil for Go's
}

// Gray reports whether there are no colours.
func (p *Planes) Gray() bool { return p.Cb == nil }

// Close frees the planes. Closing nil does nothing.
func (p *Planes) Close() {
	if p != nil && p.c != nil {
		C.planes_free(p.c)
		C.free(unsafe.Pointer(p.c))
		*p = Planes{}
	}
}

// errUnknown says that a JPEG's components are not Y, Cb and Cr.
var errUnknown = errors.New("not grey or YCbCr")

// DecodePlanes decodes data, of which h is the header, at 1/reduce of its size,
// where reduce is 1, 2, 4 or 8. A JPEG, of which alone the parts that are there
// are given if others are missing, is decoded straight into its planes, in
// half the time that it takes with colours as red, green and blue. What has lines is
// decoded line by line.
func DecodePlanes(data []byte, h Header, reduce int) (*Planes, error) {
	if h.Lines {
		return linePlanes(data, h, reduce)
	}
	if h.Format == JPEG && !h.Mirrored {
		defer h.forget(data)
		p, err := takePlanes("decode the image", func(c *C.planes) C.int {
			return C.planes_jpeg((*C.uint8_t)(unsafe.SliceData(data)), C.size_t(len(data)), C.int(reduce), c)
		})
		if !errors.Is(err, errUnknown) {
			return p, err
		}
	}
	pix, _, err := Decode(data, h, reduce, false)
	if err != nil {
		return nil, err
	}
	defer pix.Close()
	if pix.Depth() == 1 {
		gray, err := pix.Gray()
		if err != nil {
			return nil, err
		}
		defer gray.Close()
		return gray.Planes()
	}
	for r := reduce; h.Format != JPEG && r > 1; r /= 2 {
		small, err := pix.Scale(max(1, pix.Width()/2), max(1, pix.Height()/2))
		if err != nil {
			return nil, err
		}
		defer small.Close()
		pix = &Pix{small.p}
	}
	return pix.Planes()
}

// Planes gives a copy of an 8-bit or colour image as planes.
func (p *Pix) Planes() (*Planes, error) {
	return takePlanes("take the colours apart", func(c *C.planes) C.int { return C.planes_pix(p.p, c) })
}

// takePlanes wraps what a C function makes.
func takePlanes(what string, make func(*C.planes) C.int) (*Planes, error) {
	c := (*C.planes)(C.calloc(1, C.sizeof_planes))
	if c == nil {
		return nil, fmt.Errorf("%w: %s", ErrMemory, what)
	}
	if code := make(c); code != 0 {
		C.free(unsafe.Pointer(c))
		switch code {
		case 2:
			return nil, errUnknown
		case 3:
			return nil, fmt.Errorf("%w: %s", ErrMemory, what)
		}
		return nil, fmt.Errorf("%w: %s", ErrDamaged, what)
	}
	out := &Planes{c: c}
	for i, p := range []**Plane{&out.Y, &out.Cb, &out.Cr}[:c.count] {
		from := &c.plane[i]
		*p = &Plane{
			Width: int(from.width), Height: int(from.height), Stride: int(from.stride),
			Pix: unsafe.Slice((*uint8)(unsafe.Pointer(from.data)), int(from.stride)*int(from.height)),
		}
	}
	return out, nil
}

// EncodeJPEG codes p, whose planes are all of one size and packed, as a JPEG with
// the smallest tables. Its colours are halved in both directions.
func (p *Planes) EncodeJPEG(quality int) ([]byte, error) {
	list := []*Plane{p.Y}
	if !p.Gray() {
		list = append(list, p.Cb, p.Cr)
	}
	var data [3]*C.uint8_t
	var pin runtime.Pinner
	defer pin.Unpin()
	for i, q := range list {
		if q.Width != p.Y.Width || q.Height != p.Y.Height || q.Stride != q.Width || len(q.Pix) < q.Width*q.Height || q.Width < 1 || q.Height < 1 {
			return nil, fmt.Errorf("write a JPEG: planes of %d x %d and %d x %d pixels", p.Y.Width, p.Y.Height, q.Width, q.Height)
		}
		first := unsafe.SliceData(q.Pix)
		pin.Pin(first)
		data[i] = (*C.uint8_t)(first)
	}
	var out *C.uint8_t
	var size C.size_t
	if C.planes_encode(&data[0], C.int(len(list)), C.int(p.Y.Width), C.int(p.Y.Height), C.int(quality), &out, &size) != 0 {
		return nil, fmt.Errorf("%w: write a JPEG", ErrMemory)
	}
	defer C.free(unsafe.Pointer(out))
	if size > math.MaxInt32 {
		return nil, errors.New("write a JPEG: it is too large")
	}
	return C.GoBytes(unsafe.Pointer(out), C.int(size)), nil
}
