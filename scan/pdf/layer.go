package pdf

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"strings"
)

// A Layer is one of several things that a page shows over each other: an image,
// a stencil filled with one colour, or, without an image, a rectangle of one
// colour. A stencil hides nothing where it is not black. That is no transparency
// in the sense of PDF, so that every part of PDF/A takes it.
type Layer struct {
	// X, Y, Width and Height are where it lies, in pixels of Page.Image from its
	// upper left corner.
	X, Y, Width, Height float64
	Color               [3]uint8 // sRGB
	Image               *Image   // its DPI is not used
	Stencil             bool
}

func (l *Layer) check() error {
	for _, f := range []float64{l.X, l.Y, l.Width, l.Height} {
		if math.IsNaN(f) || math.Abs(f) > 1e6 {
			return errors.New("it has no place")
		}
	}
	switch {
	case l.Width <= 0 || l.Height <= 0:
		return fmt.Errorf("%g x %g pixels", l.Width, l.Height)
	case l.Stencil && (l.Image == nil || l.Image.Bits != 1):
		return errors.New("a stencil that is not bilevel")
	case l.Image == nil:
		return nil
	}
	return l.Image.check()
}

// layers draws those of p and ends the graphics state that was begun. scale is
// points a pixel.
func layers(c *bytes.Buffer, p Page, scale float64) {
	n := 0
	for _, l := range p.Layers {
		if l.Image == nil || l.Stencil {
			fmt.Fprintf(c, "%s %s %s rg ", part255(l.Color[0]), part255(l.Color[1]), part255(l.Color[2]))
		}
		x, y := num(l.X*scale), num((float64(p.Image.Height)-l.Y-l.Height)*scale)
		if l.Image == nil {
			fmt.Fprintf(c, "%s %s %s %s re f\n", x, y, num(l.Width*scale), num(l.Height*scale))
			continue
		}
		fmt.Fprintf(c, "q %s 0 0 %s %s %s cm/Im%d Do Q\n", num(l.Width*scale), num(l.Height*scale), x, y, n)
		n++
	}
	c.WriteString("Q\n")
}

// part255 writes a component of a colour.
func part255(v uint8) string {
	return strings.TrimSuffix(strings.TrimRight(fmt.Sprintf("%.3f", float64(v)/255), "0"), ".")
}

// images names the objects from first to before beyond in a page's resources.
func images(first, beyond int) string {
	if first == beyond {
		return ""
	}
	var b strings.Builder
	for n := first; n < beyond; n++ {
		fmt.Fprintf(&b, "/Im%d %d 0 R", n-first, n)
	}
	return "/XObject<<" + b.String() + ">>"
}
