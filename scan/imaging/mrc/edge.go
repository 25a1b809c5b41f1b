package mrc

import (
	"image"

	"docscan/scan/imaging/jbig2"
)

// Pixels beside ink that have so many per cent of its contrast with the paper belong to
// its soft edges, and are drawn with softTone per cent of it.
const softFrom, softTone = 22, 33

// softEdges gives, for each ink, a stencil of its edges where these are to stay soft.
func (s *separation) softEdges(inks []ink) []ink {
	if s.soft == nil {
		return nil
	}
	var out []ink
	for _, k := range inks {
		if s.paper.y-k.color.y < 2*leastContrast {
			continue
		}
		frame := image.Rect(k.x-blur, k.y-blur, k.x+k.bits.Width+blur, k.y+k.bits.Height+blur).Intersect(image.Rect(0, 0, s.w, s.h))
		near := jbig2.NewBitmap(frame.Dx(), frame.Dy())
		for y := range k.bits.Height {
			eachRun(k.bits.Row(y), k.bits.Width, func(x0, x1 int) {
				fill(near.Row(y+k.y-frame.Min.Y), x0+k.x-frame.Min.X, x1+k.x-frame.Min.X)
			})
		}
		near = grown(near, blur)
		tone := func(paper, ink int) int { return paper + (ink-paper)*softTone/100 }
		edge := ink{
			color: color{tone(s.paper.y, k.color.y), tone(s.paper.cb, k.color.cb), tone(s.paper.cr, k.color.cr)},
			x:     frame.Min.X, y: frame.Min.Y, bits: jbig2.NewBitmap(frame.Dx(), frame.Dy()),
		}
		any := false
		for y := frame.Min.Y; y < frame.Max.Y; y++ {
			row, light := s.y.Row(y), s.light.Row(y/block)
			eachRun(near.Row(y-frame.Min.Y), frame.Dx(), func(x0, x1 int) {
				for x := x0 + frame.Min.X; x < x1+frame.Min.X; x++ {
					paper := int(light[x/block])
					if 100*(paper-int(row[x])) >= softFrom*(paper-k.color.y) && !s.mask.At(x, y) && s.soft.At(x, y) && !s.pictured(x, y) {
						edge.bits.Set(x-edge.x, y-edge.y)
						any = true
					}
				}
			})
		}
		if any {
			out = append(out, edge)
		}
	}
	return out
}

// softPlaces marks the pixels in places whose ink keeps its soft edges.
func (s *separation) softPlaces() {
	if len(s.options.Soft) == 0 {
		return
	}
	s.soft = jbig2.NewBitmap(s.w, s.h)
	scaled := func(v int, by float64, most int) int { return min(max(int(float64(v)/by), 0), most) }
	for _, r := range s.options.Soft {
		x0, x1 := scaled(r.Min.X, s.scaleX, s.w), scaled(r.Max.X, s.scaleX, s.w)
		for y := scaled(r.Min.Y, s.scaleY, s.h); y < scaled(r.Max.Y, s.scaleY, s.h) && x0 < x1; y++ {
			fill(s.soft.Row(y), x0, x1)
		}
	}
}
