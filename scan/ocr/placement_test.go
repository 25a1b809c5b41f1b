package ocr

import (
	"math"
	"testing"
)

// forward does what was done to the image, one step after the other.
func (p *placement) forward(x, y float64) (float64, float64) {
	x, y = x/p.scaleX, y/p.scaleY
	w, h := float64(p.scaledW), float64(p.scaledH)
	switch p.quarters {
	case 1:
		x, y = h-y, x
	case 2:
		x, y = w-x, h-y
	case 3:
		x, y = y, w-x
	}
	x, y = x+float64(p.border)-p.centreX, y+float64(p.border)-p.centreY
	s, c := math.Sincos(p.degrees * math.Pi / 180) // clockwise, y down
	return p.centreX + x*c - y*s, p.centreY + x*s + y*c
}

func TestPlacementScanned(t *testing.T) {
	for quarters := range 4 {
		for _, degrees := range []float64{0, 1.2, -3} {
			p := newPlacement(2480, 3508, 2067, 2923, quarters, 40, degrees)
			for _, want := range []point{{0, 0}, {2480, 3508}, {1000, 200}} {
				x, y := p.scanned(p.forward(want.x, want.y))
				if math.Abs(x-want.x) > 1e-6 || math.Abs(y-want.y) > 1e-6 {
					t.Errorf("%d quarters, %g degrees: %v comes back as %g, %g", quarters, degrees, want, x, y)
				}
			}
		}
	}
}

// A word of 100 x 20 pixels at 300,400 in an image of 1000 x 2000 that the
// engine sees at half the size.
func TestPlacementWords(t *testing.T) {
	tests := []struct {
		name              string
		quarters, angle   int
		box               box // as the engine sees it
		x, y, turn, width float64
	}{
		{"upright", 0, 0, box{150, 200, 200, 210}, 300, 416, 0, 100},
		{"upside down", 2, 0, box{300, 790, 350, 800}, 400, 404, 180, 100},
		{"turned to the left", 1, 0, box{790, 150, 840, 160}, 316, 420, -90, 100},
		{"turned to the right", 3, 0, box{200, 340, 250, 350}, 304, 400, 90, 100},
		{"read as running down", 0, 270, box{150, 200, 160, 250}, 304.4, 400, 90, 100},
		{"read as running up", 0, 90, box{150, 200, 160, 250}, 315.6, 500, -90, 100},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := newPlacement(1000, 2000, 500, 1000, tt.quarters, 0, 0)
			l := hocrLine{box: tt.box, offset: -2, size: 10, descenders: 2, angle: tt.angle, words: []hocrWord{{box: tt.box, text: "word", confidence: 90}}}
			w := p.words(&l)[0]
			near := func(a, b float64) bool { return math.Abs(a-b) < 0.1 }
			if !near(w.X, tt.x) || !near(w.Y, tt.y) || !near(math.Mod(w.Angle+360, 360), math.Mod(tt.turn+360, 360)) || !near(w.Width, tt.width) || !near(w.Height, 20) {
				t.Errorf("word %+v, want at %g,%g along %g, %g long", w, tt.x, tt.y, tt.turn, tt.width)
			}
		})
	}
}

// What the ink has measured wrongly the baselines put right, if they agree.
func TestResidual(t *testing.T) {
	lines := func(degrees ...float64) []hocrLine {
		var list []hocrLine
		for _, d := range degrees {
			list = append(list, hocrLine{box: box{0, 0, 400, 20}, slope: math.Tan(d * math.Pi / 180), based: true})
		}
		return list
	}
	tests := []struct {
		name     string
		turned   float64 // clockwise, before the engine saw it
		measured float64
		lines    []hocrLine
		want     float64
	}{
		{"nothing read", -1.5, 1.5, nil, 1.5},
		{"one line", -1.5, 1.5, lines(0.3), 1.5},
		{"level", -1.5, 1.5, lines(0, 0, 0), 1.5},
		{"wrong by 0.3", -1.5, 1.5, lines(0.3, 0.28, 0.32, 0.3), 1.8},
		{"too little to be taken away", 0, 0.1, lines(-0.12, -0.1, -0.08), -0.1},
		{"an outlier", -1, 1, lines(0.2, 0.2, 0.21, 0.19, 0.2, 5), 1.2},
		{"they do not agree", -1, 1, lines(-2, 0.5, 3, 1), 1},
		{"beyond belief", -1, 1, lines(4, 4, 4), 1},
	}
	for _, tt := range tests {
		p := newPlacement(1000, 1000, 1000, 1000, 0, 0, tt.turned)
		if got := p.residual(tt.lines, tt.measured); math.Abs(got-tt.want) > 0.005 {
			t.Errorf("%s: %.3f, want %.3f", tt.name, got, tt.want)
		}
	}
}
