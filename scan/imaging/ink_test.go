package imaging

import (
	"image"
	"image/color"
	"math"
	"math/rand/v2"
	"testing"
)

// care is that of a usual profile.
var care = Care{Contrast: 0.12, Sharp: 5.3, Mark: 0.6, Letter: 1.3, Few: 4, Row: 3}

// ball is a disc, or a ring if inner is not 0.
func ball(m *image.Gray, cx, cy, r, inner int, v uint8) {
	for y := -r; y <= r; y++ {
		for x := -r; x <= r; x++ {
			if d := x*x + y*y; d <= r*r && d >= inner*inner {
				m.SetGray(cx+x, cy+y, color.Gray{Y: v})
			}
		}
	}
}

// soften blurs an area as paper does that something is seen through.
func soften(m *image.Gray, r image.Rectangle) {
	for range 3 {
		from := image.NewGray(m.Rect)
		copy(from.Pix, m.Pix)
		for y := r.Min.Y; y < r.Max.Y; y++ {
			for x := r.Min.X; x < r.Max.X; x++ {
				sum := 0
				for dy := -2; dy <= 2; dy++ {
					for dx := -2; dx <= 2; dx++ {
						sum += int(from.GrayAt(x+dx, y+dy).Y)
					}
				}
				m.SetGray(x, y, color.Gray{Y: uint8(sum / 25)})
			}
		}
	}
}

// strokes are short lines of a grey, as many as on a few words.
func strokes(m *image.Gray, v uint8) {
	for i := range 40 {
		fill(m, image.Rect(200+12*i, 500, 205+12*i, 525), v)
	}
}

// crease draws a pale line that falls by two in a hundred, in pieces as long as said.
func crease(m *image.Gray, from, to, piece int) {
	for x := from; x < to; x++ {
		if x%(piece+10) < piece {
			y := 600 + x/50
			fill(m, image.Rect(x, y, x+1, y+3), 150)
		}
	}
}

// fibres draws those of recycled paper: short, pale and all over it.
func fibres(m *image.Gray) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 300 {
		x, y := 20+r.IntN(950), 20+r.IntN(1350)
		if r.IntN(2) == 0 {
			fill(m, image.Rect(x, y, x+7, y+2), 145)
		} else {
			fill(m, image.Rect(x, y, x+2, y+7), 145)
		}
	}
}

// longFibres draws those of coarse paper: the longer the fewer, some as long as letters are high.
func longFibres(m *image.Gray) {
	r := rand.New(rand.NewPCG(5, 6))
	for range 400 {
		x, y, long, v := 20+r.IntN(930), 20+r.IntN(1330), 5+min(int(3*r.ExpFloat64()), 20), uint8(130+r.IntN(30))
		if r.IntN(2) == 0 {
			fill(m, image.Rect(x, y, x+long, y+2), v)
		} else {
			fill(m, image.Rect(x, y, x+2, y+long), v)
		}
	}
}

// fold draws a pale line across a part of the sheet that is lit on one side, and
// in the shade on the other, if relief says so.
func fold(m *image.Gray, relief bool) {
	for x := 300; x < 700; x++ {
		y := 500 + x/10
		fill(m, image.Rect(x, y, x+1, y+3), 160)
		if relief {
			fill(m, image.Rect(x, y-10, x+1, y), 206)
			fill(m, image.Rect(x, y+3, x+1, y+30), 196)
		}
	}
}

// underlined draws a pale line along one of words that shine through the paper.
func underlined(m *image.Gray) {
	for x := 300; x < 700; x += 20 {
		fill(m, image.Rect(x, 503, x+9, 520), 190)
	}
	fill(m, image.Rect(200, 480, 800, 500), 204)
	fill(m, image.Rect(300, 500, 700, 503), 160)
}

// tinyLetters draws the letter c, a millimetre high, at the places given as x and y.
func tinyLetters(at ...int) func(m *image.Gray) {
	return func(m *image.Gray) {
		for i := 0; i < len(at); i += 2 {
			x, y := at[i], at[i+1]
			fill(m, image.Rect(x, y, x+8, y+11), 110)
			fill(m, image.Rect(x+2, y+2, x+8, y+9), paperLevel)
		}
	}
}

// shadows draws those of the left and the lower edge of the sheet.
func shadows(m *image.Gray) {
	fill(m, image.Rect(0, 0, 8, 1400), 90)
	fill(m, image.Rect(0, 1390, 1000, 1400), 90)
}

func TestInk(t *testing.T) {
	lockThread(t)
	tests := []struct {
		name  string
		draw  func(m *image.Gray)
		blank bool
		holes int
		soft  int
	}{
		{"nothing", func(*image.Gray) {}, true, 0, 0},
		{"dust", func(m *image.Gray) {
			r := rand.New(rand.NewPCG(9, 10))
			for i := range 50 {
				ball(m, 100+17*i, 50+r.IntN(1300), 4, 0, 20)
			}
		}, true, 0, 0},
		{"punch holes", func(m *image.Gray) { ball(m, 100, 500, 30, 0, 10); ball(m, 100, 900, 30, 0, 10) }, true, 2, 0},
		{"a torn corner", func(m *image.Gray) {
			for y := range 120 {
				fill(m, image.Rect(880+y, y, 1000, y+1), 5)
			}
		}, true, 0, 0},
		{"a large corner that is folded over", func(m *image.Gray) {
			for y := range 250 {
				fill(m, image.Rect(750+y, y, 1000, y+1), 5)
			}
		}, true, 0, 0},
		{"a large square in the corner", func(m *image.Gray) { fill(m, image.Rect(750, 0, 1000, 250), 5) }, false, 0, 0},
		{"a square in the corner", func(m *image.Gray) { fill(m, image.Rect(900, 0, 1000, 100), 5) }, false, 0, 0},
		{"holes in which only the rim is dark", func(m *image.Gray) { ball(m, 100, 500, 30, 24, 90); ball(m, 100, 900, 30, 24, 90) }, true, 2, 0},
		{"a disc in the middle", func(m *image.Gray) { ball(m, 500, 700, 30, 0, 10) }, false, 0, 0},
		{"a grey area", func(m *image.Gray) { fill(m, image.Rect(500, 700, 560, 760), 120) }, false, 0, 0},
		{"the same through the paper", func(m *image.Gray) {
			fill(m, image.Rect(500, 700, 560, 760), 150)
			soften(m, image.Rect(450, 650, 610, 810))
		}, true, 0, 1},
		{"a grey half-moon at the edge", func(m *image.Gray) { ball(m, 0, 700, 90, 0, 115) }, false, 0, 0},
		{"the holes of a staple", func(m *image.Gray) {
			fill(m, image.Rect(80, 90, 97, 98), 90)
			fill(m, image.Rect(160, 155, 176, 163), 90)
		}, true, 0, 0},
		{"the same in the middle", func(m *image.Gray) {
			fill(m, image.Rect(480, 690, 497, 698), 90)
			fill(m, image.Rect(560, 755, 576, 763), 90)
		}, false, 0, 0},
		{"they are as near as letters", func(m *image.Gray) {
			fill(m, image.Rect(80, 90, 97, 98), 90)
			fill(m, image.Rect(110, 90, 126, 98), 90)
		}, false, 0, 0},
		{"and a digit", func(m *image.Gray) {
			fill(m, image.Rect(80, 90, 97, 98), 90)
			fill(m, image.Rect(160, 155, 176, 163), 90)
			fill(m, image.Rect(500, 1300, 504, 1325), 20)
		}, false, 0, 0},
		{"shadow of the edge", func(m *image.Gray) { fill(m, image.Rect(0, 0, 8, 1400), 0) }, true, 0, 0},
		{"shadows of two edges", func(m *image.Gray) { shadows(m) }, true, 0, 0},
		{"shadows of two edges, and dust", func(m *image.Gray) {
			shadows(m)
			for i := range 20 {
				ball(m, 100+37*i, 200+50*i, 4, 0, 20)
			}
		}, true, 0, 0},
		{"a digit between shadows of two edges", func(m *image.Gray) {
			shadows(m)
			fill(m, image.Rect(500, 1300, 504, 1325), 20)
			fill(m, image.Rect(488, 1300, 504, 1303), 20)
		}, false, 0, 0},
		{"a line from the shadow into the sheet", func(m *image.Gray) {
			shadows(m)
			fill(m, image.Rect(0, 700, 300, 704), 40)
		}, false, 0, 0},
		{"a streak of the glass", func(m *image.Gray) { fill(m, image.Rect(400, 0, 403, 1400), 120) }, true, 0, 0},
		{"a crease askew", func(m *image.Gray) { crease(m, 0, 1000, 1000) }, true, 0, 0},
		{"a broken crease", func(m *image.Gray) { crease(m, 0, 1000, 30) }, true, 0, 0},
		{"a rule that ends at the margins", func(m *image.Gray) { crease(m, 150, 850, 1000) }, false, 0, 0},
		{"a pale dashed rule that ends at the margins", func(m *image.Gray) { crease(m, 150, 850, 30) }, false, 0, 0},
		{"a tick beside a crease", func(m *image.Gray) {
			crease(m, 0, 1000, 1000)
			fill(m, image.Rect(500, 800, 504, 830), 90)
		}, false, 0, 0},
		{"a signature across a crease", func(m *image.Gray) {
			crease(m, 0, 1000, 1000)
			for x := range 300 {
				y := 600 + max(x%40, 39-x%40)
				fill(m, image.Rect(300+x, y, 304+x, y+4), 60)
			}
		}, false, 0, 0},
		{"small writing across a crease", func(m *image.Gray) {
			crease(m, 0, 1000, 1000)
			for x := range 80 {
				y := 570 + 2*max(x%40, 39-x%40)
				fill(m, image.Rect(300+x, y, 303+x, y+4), 120)
			}
		}, false, 0, 0},
		{"a letter that is darker than what is seen through the paper", func(m *image.Gray) {
			strokes(m, 130)
			soften(m, image.Rect(150, 450, 750, 580))
			for i, v := range []uint8{170, 140, 110} { // as sharp as coarse scans are
				fill(m, image.Rect(500+i, 800+i, 509-i, 825-i), v)
			}
		}, false, 0, 0},
		{"grain", func(m *image.Gray) {
			r := rand.New(rand.NewPCG(1, 2))
			for i := range m.Pix {
				m.Pix[i] = uint8(min(max(200+8*r.NormFloat64(), 0), 255))
			}
		}, true, 0, 0},
		{"seen through the paper", func(m *image.Gray) { strokes(m, 120); soften(m, image.Rect(150, 450, 750, 580)) }, true, 0, 40},
		{"fibres of the paper", fibres, true, 0, 0},
		{"a pencil line among fibres", func(m *image.Gray) { fibres(m); fill(m, image.Rect(300, 600, 400, 604), 150) }, false, 0, 0},
		{"a pale word of small letters", func(m *image.Gray) {
			for i := range 12 {
				fill(m, image.Rect(400+12*i, 600, 403+12*i, 611), 140)
			}
		}, false, 0, 0},
		{"a word of three tiny letters", tinyLetters(400, 600, 411, 600, 422, 601), false, 0, 0},
		{"it runs up the page", tinyLetters(400, 600, 400, 614, 401, 628), false, 0, 0},
		{"three tiny pieces that lie anyhow", tinyLetters(400, 600, 411, 607, 440, 601), true, 0, 0},
		{"a dotted line", func(m *image.Gray) {
			for i := range 20 {
				ball(m, 300+15*i, 700+i/2, 2, 0, 90)
			}
		}, false, 0, 0},
		{"a dotted line down the page", func(m *image.Gray) {
			for i := range 20 {
				ball(m, 500-i/4, 300+15*i, 2, 0, 90)
			}
		}, false, 0, 0},
		{"much dust", func(m *image.Gray) {
			r := rand.New(rand.NewPCG(7, 8))
			for range 150 {
				ball(m, 10+r.IntN(980), 10+r.IntN(1380), 2, 0, 90)
			}
		}, true, 0, 0},
		{"long fibres", longFibres, true, 0, 0},
		{"a pale digit among long fibres", func(m *image.Gray) {
			longFibres(m)
			fill(m, image.Rect(500, 1300, 504, 1325), 120)
			fill(m, image.Rect(488, 1300, 504, 1303), 120)
		}, false, 0, 0},
		{"a pale word of small letters among long fibres", func(m *image.Gray) {
			longFibres(m)
			for i := range 12 {
				fill(m, image.Rect(400+12*i, 600, 403+12*i, 611), 140)
			}
		}, false, 0, 0},
		{"as many pieces that are dark", func(m *image.Gray) {
			r := rand.New(rand.NewPCG(5, 6))
			for range 100 {
				x, y := 20+r.IntN(930), 20+r.IntN(1330)
				fill(m, image.Rect(x, y, x+3, y+10), 20)
			}
		}, false, 0, 0},
		{"pale letters far from each other", func(m *image.Gray) {
			for i := range 80 {
				x, y := 100+100*(i%9), 100+140*(i/9)
				fill(m, image.Rect(x, y, x+4, y+25), 140)
				fill(m, image.Rect(x-12, y, x+4, y+3), 140)
			}
		}, false, 0, 0},
		{"folded twice", func(m *image.Gray) {
			crease(m, 0, 1000, 1000)
			fill(m, image.Rect(480, 0, 483, 1400), 150)
		}, true, 0, 0},
		{"folded twice, and a line of pencil", func(m *image.Gray) {
			crease(m, 0, 1000, 1000)
			fill(m, image.Rect(480, 0, 483, 1400), 150)
			fill(m, image.Rect(300, 700, 600, 704), 150)
		}, false, 0, 0},
		{"a cross of two lines", func(m *image.Gray) {
			fill(m, image.Rect(300, 600, 700, 603), 150)
			fill(m, image.Rect(480, 400, 483, 1000), 150)
		}, false, 0, 0},
		{"a crease that runs into the shadows of the edges", func(m *image.Gray) {
			shadows(m)
			crease(m, 0, 1000, 1000)
		}, true, 0, 0},
		{"a crease that ends within the sheet", func(m *image.Gray) { fold(m, true) }, true, 0, 0},
		{"a line that is not lit from one side", func(m *image.Gray) { fold(m, false) }, false, 0, 0},
		{"a line under what shines through", underlined, false, 0, 0},
		{"pale pencil", func(m *image.Gray) { strokes(m, 160) }, false, 0, 0},
		{"one pencil line", func(m *image.Gray) { fill(m, image.Rect(300, 600, 600, 604), 160) }, false, 0, 0},
		{"a digit", func(m *image.Gray) {
			fill(m, image.Rect(500, 1300, 504, 1325), 20)
			fill(m, image.Rect(488, 1300, 504, 1303), 20)
		}, false, 0, 0},
		{"a signature", func(m *image.Gray) {
			for x := range 300 {
				y := 700 + max(x%40, 39-x%40)
				fill(m, image.Rect(300+x, y, 304+x, y+4), 0)
			}
		}, false, 0, 0},
		{"print", lines, false, 0, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := drawn(t, paperLevel, tt.draw)
			ink, err := p.Ink(p, 250, findSheet(raster{}, p.Width(), p.Height()), care, 300)
			if err != nil {
				t.Fatal(err)
			}
			if care.Blank(ink) != tt.blank || ink.Holes != tt.holes {
				t.Errorf("ink %+v: blank %v, want blank %v, %d holes", ink, care.Blank(ink), tt.blank, tt.holes)
			}
			if ink.Soft < tt.soft {
				t.Errorf("%d pieces are soft, want %d", ink.Soft, tt.soft)
			}
		})
	}
}

// On a bed with wide margins, holes are near the edge of the sheet, not of the
// image; print in the same place of the image is print.
func TestInkOnBed(t *testing.T) {
	lockThread(t)
	sheet := findSheet(raster{}, 1000, 1400)
	sheet.Edges[Left] = Edge{A: 1, C: 300, Seen: true}
	p := drawn(t, paperLevel, func(m *image.Gray) { ball(m, 400, 500, 30, 0, 10); ball(m, 400, 900, 30, 0, 10) })
	ink, err := p.Ink(p, 250, sheet, care, 300)
	if err != nil || ink.Holes != 2 || !care.Blank(ink) {
		t.Errorf("%+v, %v: want two holes", ink, err)
	}
	if ink, err = p.Ink(p, 250, findSheet(raster{}, 1000, 1400), care, 300); err != nil || ink.Holes != 0 {
		t.Errorf("%+v, %v: in the middle of a sheet they are no holes", ink, err)
	}
}

// A photograph is an area, pale or not; light, shadows, lines and bands at the
// edge are none.
func TestTint(t *testing.T) {
	lockThread(t)
	tests := []struct {
		name   string
		draw   func(m *image.Gray)
		tinted bool
	}{
		{"nothing", func(*image.Gray) {}, false},
		{"a photograph", func(m *image.Gray) { fill(m, image.Rect(300, 400, 700, 700), 90) }, true},
		{"a pale one", func(m *image.Gray) { fill(m, image.Rect(300, 400, 700, 700), 150) }, true},
		{"a stroke of a text marker", func(m *image.Gray) { fill(m, image.Rect(200, 400, 790, 449), 160) }, true},
		{"what is seen through the paper", func(m *image.Gray) { fill(m, image.Rect(300, 400, 700, 700), 184) }, false},
		{"uneven light", func(m *image.Gray) {
			for i := range m.Pix {
				m.Pix[i] -= uint8(i/m.Stride*40/1400 + i%m.Stride*40/1000)
			}
		}, false},
		{"a photograph in uneven light", func(m *image.Gray) {
			fill(m, image.Rect(300, 400, 700, 700), 120)
			for i := range m.Pix {
				m.Pix[i] -= uint8(i/m.Stride*40/1400 + i%m.Stride*40/1000)
			}
		}, true},
		{"a line", func(m *image.Gray) { fill(m, image.Rect(100, 400, 900, 412), 20) }, false},
		{"the shadow of an edge", func(m *image.Gray) { fill(m, image.Rect(0, 0, 60, 1400), 120) }, false},
	}
	for _, tt := range tests {
		p := drawn(t, paperLevel, tt.draw)
		sheet := findSheet(raster{}, 1000, 1400)
		sheet.Level = paperLevel
		area, err := p.Tint(250, sheet, 0.15, 0)
		if err != nil || area > 100 != tt.tinted {
			t.Errorf("%s: %.0f mm², %v", tt.name, area, err)
		}
	}
}

// A corner is missing where an edge of the sheet lies askew and leaves the image.
func TestInkCornerBesideTheImage(t *testing.T) {
	lockThread(t)
	p := drawn(t, paperLevel, func(m *image.Gray) {
		for y := range 100 {
			fill(m, image.Rect(900+y, y, 1000, y+1), 5)
		}
	})
	sheet := findSheet(raster{}, p.Width(), p.Height())
	sheet.Edges[Right] = Edge{A: -1, C: -1080, Seen: true, Dark: true}
	ink, err := p.Ink(p, 250, sheet, care, 300)
	if err != nil || !care.Blank(ink) || ink.Corners != 1 {
		t.Errorf("blank %v, %+v, %v; want one corner", care.Blank(ink), ink, err)
	}
}

// Where an edge is torn the bed is seen. What is printed there has another grey, or is as broad within
// the sheet as at its edge, or is not even.
func TestInkTornEdge(t *testing.T) {
	lockThread(t)
	moon := func(v uint8) func(m *image.Gray) {
		return func(m *image.Gray) {
			for y := range 160 {
				deep := int(70 * math.Sqrt(math.Sin(math.Pi*float64(y)/160)))
				fill(m, image.Rect(900-deep, 500+y, 892, 501+y), v)
			}
		}
	}
	bite := func(v uint8) func(m *image.Gray) {
		return func(m *image.Gray) {
			for y := range 160 {
				deep := int((70 - 25*math.Abs(math.Sin(float64(y)/12))) * math.Sqrt(math.Sin(math.Pi*float64(y)/160)))
				fill(m, image.Rect(900-deep, 500+y, 892, 501+y), v)
			}
		}
	}
	for _, tt := range []struct {
		name  string
		draw  func(m *image.Gray)
		blank bool
	}{
		{"a torn edge", bite(40), true},
		{"in the shadow of the bed", bite(31), true},
		{"as dark as print", bite(10), false},
		{"a half-moon, nearly as dark as the bed", moon(31), false},
		{"lighter than the bed", bite(75), false},
		{"a tab", func(m *image.Gray) { fill(m, image.Rect(830, 500, 892, 660), 40) }, false},
		{"a tab with a mark in it", func(m *image.Gray) { moon(40)(m); fill(m, image.Rect(850, 540, 885, 620), 70) }, false},
		{"away from the edge", func(m *image.Gray) {
			for y := range 160 {
				fill(m, image.Rect(860-int(70*math.Sqrt(math.Sin(math.Pi*float64(y)/160))), 500+y, 850, 501+y), 40)
			}
		}, false},
	} {
		sheet := findSheet(raster{}, 1000, 1400)
		sheet.Edges[Right] = Edge{A: -1, C: -900, Seen: true, Dark: true, Bed: 40}
		p := drawn(t, paperLevel, tt.draw)
		ink, err := p.Ink(p, 250, sheet, care, 300)
		if err != nil || care.Blank(ink) != tt.blank || tt.blank && ink.Corners != 1 {
			t.Errorf("%s: blank %v, %+v, %v; want %v", tt.name, care.Blank(ink), ink, err, tt.blank)
		}
	}
}

// Where the bed was painted over with another grey than that of the paper beside it, that shows
// along two edges as one piece. It is no mark; what begins there and goes on into the sheet is one.
func TestInkSeam(t *testing.T) {
	lockThread(t)
	for _, tt := range []struct {
		name  string
		draw  func(m *image.Gray)
		blank bool
	}{
		{"the seam", func(*image.Gray) {}, true},
		{"a line from it into the sheet", func(m *image.Gray) { fill(m, image.Rect(112, 700, 300, 704), 60) }, false},
	} {
		sheet := findSheet(raster{}, 1000, 1400)
		sheet.Edges[Left] = Edge{A: 1, C: 100, Seen: true}
		sheet.Edges[Bottom] = Edge{B: -1, C: -1300, Seen: true}
		p := drawn(t, paperLevel, func(m *image.Gray) {
			fill(m, image.Rect(108, 0, 112, 1292), 140)
			fill(m, image.Rect(108, 1288, 1000, 1292), 140)
			tt.draw(m)
		})
		if ink, err := p.Ink(p, 250, sheet, care, 300); err != nil || care.Blank(ink) != tt.blank {
			t.Errorf("%s: blank %v, %+v, %v; want %v", tt.name, care.Blank(ink), ink, err, tt.blank)
		}
	}
}

// Where the bed is seen, a dark triangle in a corner that is not of its grey is print, and so is
// any on a light bed.
func TestInkCornerOfAnotherGrey(t *testing.T) {
	lockThread(t)
	for _, tt := range []struct {
		name  string
		bed   int
		blank bool
	}{{"as dark as the bed", 30, true}, {"in its shadow", 42, true}, {"darker than the bed", 70, false}, {"lighter than the bed", 15, false}, {"the bed is white", 250, false}, {"the bed is not seen", 0, true}} {
		p := drawn(t, paperLevel, func(m *image.Gray) {
			for y := range 120 {
				fill(m, image.Rect(880+y, y, 1000, y+1), 30)
			}
		})
		sheet := findSheet(raster{}, p.Width(), p.Height())
		sheet.Level = 245
		sheet.Edges[Left].Seen, sheet.Edges[Left].Bed = true, tt.bed
		if ink, err := p.Ink(p, 250, sheet, care, 300); err != nil || care.Blank(ink) != tt.blank {
			t.Errorf("%s: blank %v, %+v, %v; want %v", tt.name, care.Blank(ink), ink, err, tt.blank)
		}
	}
}

// A pale area is told from a stain by its edges, also one that is round, and one of a
// text marker.
func TestTintPale(t *testing.T) {
	lockThread(t)
	stain := func(m *image.Gray, soft float64) {
		for y := range 400 {
			for x := range 400 {
				d := math.Hypot(float64(x-200), float64(y-200))
				m.SetGray(300+x, 400+y, color.Gray{Y: uint8(paperLevel - 18*min(max((190-d)/soft, 0), 1))})
			}
		}
	}
	for _, tt := range []struct {
		name   string
		draw   func(m *image.Gray)
		tinted bool
	}{
		{"a round mark of a firm", func(m *image.Gray) { stain(m, 1) }, true},
		{"a stain", func(m *image.Gray) { stain(m, 25) }, false},
		{"a stroke of a text marker", func(m *image.Gray) { fill(m, image.Rect(200, 400, 500, 450), 178) }, true},
		{"a stroke of a text marker, through the paper", func(m *image.Gray) {
			fill(m, image.Rect(200, 400, 500, 450), 178)
			soften(m, image.Rect(150, 380, 600, 470))
		}, false},
	} {
		p := drawn(t, paperLevel, tt.draw)
		sheet := findSheet(raster{}, 1000, 1400)
		sheet.Level = paperLevel
		if area, err := p.Tint(250, sheet, 0.6*care.Contrast, 1.2*care.Sharp); err != nil || area > 0 != tt.tinted {
			t.Errorf("%s: %.0f mm², %v; want some %v", tt.name, area, err, tt.tinted)
		}
	}
}

// Edges tell an area on this side from a picture on the other.
func TestTintSharp(t *testing.T) {
	lockThread(t)
	for _, soft := range []bool{false, true} {
		p := drawn(t, paperLevel, func(m *image.Gray) {
			fill(m, image.Rect(200, 400, 790, 449), 160)
			if soft {
				soften(m, image.Rect(150, 380, 850, 470))
			}
		})
		sheet := findSheet(raster{}, 1000, 1400)
		sheet.Level = paperLevel
		area, err := p.Tint(250, sheet, 0.15, care.Sharp)
		if err != nil || area > 100 == soft {
			t.Errorf("soft %v: %.0f mm², %v", soft, area, err)
		}
		if area, err = p.Tint(250, sheet, 0.15, 0); err != nil || area < 100 {
			t.Errorf("however steep: %.0f mm², %v", area, err)
		}
	}
}

// Of what is seen through the paper, a coarse scan makes single pieces look sharp;
// all together are softer than writing is. A line that is sharper stands on this side.
func TestInkSeenThrough(t *testing.T) {
	lockThread(t)
	for _, tt := range []struct {
		name  string
		draw  func(m *image.Gray)
		blank bool
	}{
		{"only that", func(*image.Gray) {}, true},
		{"a pencil line over it", func(m *image.Gray) { fill(m, image.Rect(300, 700, 500, 704), 150) }, false},
		{"a signature beside it", func(m *image.Gray) { fill(m, image.Rect(300, 900, 400, 904), 40) }, false},
	} {
		p := drawn(t, paperLevel, func(m *image.Gray) {
			strokes(m, 120)
			soften(m, image.Rect(150, 450, 750, 580))
			tt.draw(m)
		})
		coarse := care
		coarse.Sharp = 3.2 // less than any of them has
		ink, err := p.Ink(p, 250, findSheet(raster{}, p.Width(), p.Height()), coarse, 300)
		if err != nil || coarse.Blank(ink) != tt.blank {
			t.Errorf("%s: blank %v, %+v, %v", tt.name, coarse.Blank(ink), ink, err)
		}
	}
}

// Pale letters become as dark as others; paper and dark letters stay as they are.
func TestDeepen(t *testing.T) {
	lockThread(t)
	p := drawn(t, paperLevel, func(m *image.Gray) {
		strokes(m, 150)
		fill(m, image.Rect(300, 900, 305, 925), 30)
	})
	if err := p.Deepen(250); err != nil {
		t.Fatal(err)
	}
	if err := p.Whiten(); err != nil {
		t.Fatal(err)
	}
	r := p.raster()
	for _, tt := range []struct {
		name        string
		x, y        int
		least, most uint8
	}{{"pale stroke", 202, 512, 0, 40}, {"dark stroke", 302, 912, 0, 10}, {"paper beside a pale stroke", 208, 512, 240, 255}, {"paper", 600, 1200, 240, 255}} {
		if v := r.pix[tt.y*r.w+tt.x]; v < tt.least || v > tt.most {
			t.Errorf("%s: %d, want %d to %d", tt.name, v, tt.least, tt.most)
		}
	}
}
