package ocr

import (
	"fmt"
	"math"
)

// A box is given by its edges: right and bottom are outside.
type box struct{ left, top, right, bottom float64 }

type point struct{ x, y float64 }

func (b *box) set(v []float64) error {
	if len(v) != 4 || v[2] < v[0] || v[3] < v[1] {
		return fmt.Errorf("a box of %v", v)
	}
	*b = box{v[0], v[1], v[2], v[3]}
	return nil
}

func (b *box) move(x, y float64) {
	b.left, b.right, b.top, b.bottom = b.left+x, b.right+x, b.top+y, b.bottom+y
}

func (b box) centre() point { return point{(b.left + b.right) / 2, (b.top + b.bottom) / 2} }

func (b box) height() float64 { return b.bottom - b.top }

// holds reports whether a point lies in b.
func (b box) holds(p point) bool {
	return p.x >= b.left && p.x <= b.right && p.y >= b.top && p.y <= b.bottom
}

func (b box) meets(o box) bool {
	return b.left < o.right && b.right > o.left && b.top < o.bottom && b.bottom > o.top
}

// before reports whether b stands to the left of o in the same row.
func (b box) before(o box) bool {
	if b.right > o.left+(o.bottom-o.top)/2 || b.left >= o.left {
		return false
	}
	shared := math.Min(b.bottom, o.bottom) - math.Max(b.top, o.top)
	return shared > 0.5*math.Min(b.bottom-b.top, o.bottom-o.top)
}

// with gives the box around b and o.
func (b box) with(o box) box {
	return box{math.Min(b.left, o.left), math.Min(b.top, o.top), math.Max(b.right, o.right), math.Max(b.bottom, o.bottom)}
}
