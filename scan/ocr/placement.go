package ocr

import (
	"math"
	"slices"

	"docscan/scan/text"
)

// A placement says how the image that the engine sees came from the scanned
// image: it was scaled, turned by quarters, given a white border all round, and
// then turned a little about its centre.
type placement struct {
	width, height  int     // of the scanned image
	scaledW        int     // after scaling
	scaledH        int     // after scaling
	quarters       int     // clockwise quarter turns after that: 0 to 3
	border         int     // pixels
	degrees        float64 // clockwise turn about the centre
	centreX        float64 // of the image the engine sees
	centreY        float64
	cosine, sine   float64 // of degrees
	scaleX, scaleY float64 // scanned pixels in one scaled pixel
}

func newPlacement(width, height, scaledW, scaledH, quarters, border int, degrees float64) placement {
	w, h := scaledW, scaledH
	if quarters%2 != 0 {
		w, h = h, w
	}
	s, c := math.Sincos(degrees * math.Pi / 180)
	return placement{
		width: width, height: height, scaledW: scaledW, scaledH: scaledH,
		quarters: quarters, border: border, degrees: degrees,
		// Leptonica turns about the middle of this pixel, in whole numbers.
		centreX: float64((w+2*border)/2) + 0.5, centreY: float64((h+2*border)/2) + 0.5,
		cosine: c, sine: s,
		scaleX: float64(width) / float64(scaledW), scaleY: float64(height) / float64(scaledH),
	}
}

// scanned gives the place in the scanned image of a place in the image that the
// engine sees.
func (p *placement) scanned(x, y float64) (float64, float64) {
	dx, dy := x-p.centreX, y-p.centreY
	x = p.centreX + dx*p.cosine + dy*p.sine - float64(p.border)
	y = p.centreY + dy*p.cosine - dx*p.sine - float64(p.border)
	w, h := float64(p.scaledW), float64(p.scaledH)
	switch p.quarters {
	case 1:
		x, y = y, h-x
	case 2:
		x, y = w-x, h-y
	case 3:
		x, y = w-y, x
	}
	return x * p.scaleX, y * p.scaleY
}

// residual gives the skew of the page in degrees by the baselines of lines, which
// the engine found, where they agree: they tell it better than the page's ink
// where that has few lines, or much that is none. Otherwise it gives measured.
func (p *placement) residual(lines []hocrLine, measured float64) float64 {
	const (
		longEnough = 6.0 // heights of a line: what is shorter tells nothing
		fewest     = 2   // lines
		most       = 1.0 // degrees that the ink may have been wrong by
		spread     = 0.2 // degrees between the quarters of the lines
	)
	var slopes []float64
	for i := range lines {
		l := &lines[i]
		if l.angle == 0 && l.based && l.box.right-l.box.left > longEnough*(l.box.bottom-l.box.top) {
			slopes = append(slopes, math.Atan(l.slope)*180/math.Pi)
		}
	}
	if len(slopes) < fewest {
		return measured
	}
	slices.Sort(slopes)
	n := len(slopes)
	if slopes[n-1-n/4]-slopes[n/4] > spread {
		return measured
	}
	// The engine tells a slope in steps of 0.06 degrees.
	var sum float64
	middle := slopes[n/4 : n-n/4]
	for _, s := range middle {
		sum += s
	}
	skew := sum/float64(len(middle)) - p.degrees
	if math.Abs(skew-measured) > most {
		return measured
	}
	return skew
}

// words places the words of l in the scanned image.
func (p *placement) words(l *hocrLine) []text.Word {
	words := make([]text.Word, 0, len(l.words))
	for _, w := range l.words {
		// In the image that the engine sees: where the baseline starts, which way
		// it runs, and the extent along it, above it and below it.
		var x, y, length, above, below float64
		radians := 0.0
		b := w.box
		switch l.angle {
		case 0:
			radians = math.Atan(l.slope)
			x = b.left
			y = l.box.bottom + l.offset + l.slope*(b.left-l.box.left)
			end := y + l.slope*(b.right-b.left)
			length = math.Hypot(b.right-b.left, end-y)
			above, below = l.extent(math.Max(y, end)-b.top, b.bottom-math.Min(y, end))
		case 90: // upwards
			radians = -math.Pi / 2
			length = b.bottom - b.top
			above, below = split(b.right - b.left)
			x, y = b.right-below, b.bottom
		case 180:
			radians = math.Pi
			length = b.right - b.left
			above, below = split(b.bottom - b.top)
			x, y = b.right, b.top+below
		case 270: // downwards
			radians = math.Pi / 2
			length = b.bottom - b.top
			above, below = split(b.right - b.left)
			x, y = b.left+below, b.top
		}
		s, c := math.Sincos(radians)
		x0, y0 := p.scanned(x, y)
		x1, y1 := p.scanned(x+length*c, y+length*s)
		topX, topY := p.scanned(x+above*s, y-above*c)
		lowX, lowY := p.scanned(x-below*s, y+below*c)
		angle := math.Atan2(y1-y0, x1-x0) * 180 / math.Pi
		if x1 == x0 && y1 == y0 {
			angle = 0
		}
		descent := round(math.Hypot(lowX-x0, lowY-y0))
		words = append(words, text.Word{
			Text:       w.text,
			X:          round(x0),
			Y:          round(y0),
			Width:      round(math.Hypot(x1-x0, y1-y0)),
			Height:     round(math.Hypot(topX-x0, topY-y0)) + descent,
			Descent:    descent,
			Angle:      round(angle),
			Confidence: w.confidence,
		})
	}
	return words
}

// extent gives how far a word reaches above and below the baseline, when its
// own ink reaches as far as told. The words of a line get the height of the
// line's letters, so that marking them gives an even band, unless the engine's
// idea of that height is beyond the line.
func (l *hocrLine) extent(above, below float64) (float64, float64) {
	if height := l.box.bottom - l.box.top; l.size > 0 && l.size <= 1.5*height && l.descenders >= 0 && l.descenders < l.size {
		above = math.Max(above, l.size-l.descenders)
		below = math.Max(below, l.descenders)
	}
	return math.Max(above, 0), math.Max(below, 0)
}

// split divides the height of a word whose baseline is not known as most
// letters do.
func split(height float64) (above, below float64) {
	return 0.78 * height, 0.22 * height
}

// round keeps hundredths, which is finer than any pixel and short in JSON.
func round(v float64) float64 { return math.Round(v*100) / 100 }
