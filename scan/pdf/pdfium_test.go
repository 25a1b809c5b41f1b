//go:build !race

package pdf

import (
	"fmt"
	"math"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/klippa-app/go-pdfium"
	"github.com/klippa-app/go-pdfium/requests"
	"github.com/klippa-app/go-pdfium/webassembly"

	"docscan/scan/text"
)

// Not with the race detector, which takes minutes to start it: make test runs
// this file without.
//
// PDFium is what Chromium shows PDF with: its viewer searches, selects and copies
// by these very calls. The viewer itself cannot be driven without a screen.
func newPDFium(t *testing.T) pdfium.Pdfium {
	t.Helper()
	pool, err := webassembly.Init(webassembly.Config{Context: t.Context(), MinIdle: 1, MaxIdle: 1, MaxTotal: 1})
	if err != nil {
		t.Fatal(err)
	}
	p, err := pool.GetInstance(time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
		if err := pool.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

// Chromium finds each word, once, where it stands on the paper, selects it by a
// click there, and copies the lines in order: on pages turned each way, askew,
// taken straight, and in layers.
func TestPDFiumSelects(t *testing.T) {
	const width, height, dpi = 600.0, 800.0, 100
	const points = 72.0 / dpi
	p := newPDFium(t)
	data := picture(t, width, height)
	for _, turn := range []int{0, 90, 180, 270} {
		for _, skew := range []float64{0, -2.5} {
			for _, form := range []string{"image", "layers"} {
				t.Run(fmt.Sprintf("turned %d, askew %v, %s", turn, skew, form), func(t *testing.T) {
					// The text runs so that the page is upright once it is turned.
					along := float64((360-turn)%360) * math.Pi / 180
					lean := skew * math.Pi / 180
					page := &text.Page{Width: width, Height: height, Skew: skew}
					var want []string
					centres := map[string][2]float64{} // on the page as it is shown, points from the lower left corner
					for row := range 8 {
						var l text.Line
						for column, s := range []string{"Rechnung", "über", "Größe", "Zahl"} {
							s = fmt.Sprintf("%s%d", s, row)
							// From the middle of the page along and across the text, before it went askew.
							x, y := float64(column)*110-220, float64(row)*40-140
							u, v := x*math.Cos(along)-y*math.Sin(along), x*math.Sin(along)+y*math.Cos(along)
							m := x + 45
							mu, mv := m*math.Cos(along)-(y-7)*math.Sin(along), m*math.Sin(along)+(y-7)*math.Cos(along)
							centres[s] = [2]float64{(width/2 + mu) * points, (height/2 - mv) * points}
							sin, cos := math.Sincos(lean)
							w := word(s, width/2+u*cos-v*sin, height/2+u*sin+v*cos, 90, 24, 0)
							w.Angle = math.Mod(along*180/math.Pi+skew+360, 360)
							l.Words = append(l.Words, w)
							want = append(want, s)
						}
						page.Lines = append(page.Lines, l)
					}
					out := jpegPage(data, width, height, dpi, turn, page)
					if form == "layers" {
						out = layered(t, width, height, dpi, page)
						out.Rotate, out.Straight = turn, true
					}
					raw, err := os.ReadFile(write(t, a2u, out))
					if err != nil {
						t.Fatal(err)
					}
					doc, err := p.OpenDocument(&requests.OpenDocument{File: &raw})
					if err != nil {
						t.Fatal(err)
					}
					defer p.FPDF_CloseDocument(&requests.FPDF_CloseDocument{Document: doc.Document})
					first := requests.Page{ByIndex: &requests.PageByIndex{Document: doc.Document}}
					plain, err := p.GetPageText(&requests.GetPageText{Page: first})
					if err != nil {
						t.Fatal(err)
					}
					if got := strings.Fields(plain.Text); !slices.Equal(got, want) {
						t.Errorf("copied: %q, want %q", got, want)
					}
					words, err := p.FPDFText_LoadPage(&requests.FPDFText_LoadPage{Page: first})
					if err != nil {
						t.Fatal(err)
					}
					defer p.FPDFText_ClosePage(&requests.FPDFText_ClosePage{TextPage: words.TextPage})
					for _, s := range want {
						found, err := p.FPDFText_FindStart(&requests.FPDFText_FindStart{TextPage: words.TextPage, Find: s, Flags: requests.FPDFText_FindStartFlag_MATCHWHOLEWORD})
						if err != nil {
							t.Fatal(err)
						}
						next := func() bool {
							r, err := p.FPDFText_FindNext(&requests.FPDFText_FindNext{Search: found.Search})
							if err != nil {
								t.Fatal(err)
							}
							return r.GotMatch
						}
						if !next() {
							t.Errorf("%s is not found", s)
							continue
						}
						at, err := p.FPDFText_GetSchResultIndex(&requests.FPDFText_GetSchResultIndex{Search: found.Search})
						if err != nil {
							t.Fatal(err)
						}
						if next() {
							t.Errorf("%s is found twice", s)
						}
						if _, err := p.FPDFText_FindClose(&requests.FPDFText_FindClose{Search: found.Search}); err != nil {
							t.Fatal(err)
						}
						c := centres[s]
						hit, err := p.FPDFText_GetCharIndexAtPos(&requests.FPDFText_GetCharIndexAtPos{TextPage: words.TextPage, X: c[0], Y: c[1], XTolerance: 1, YTolerance: 1})
						if err != nil {
							t.Fatal(err)
						}
						if n := len([]rune(s)); hit.CharIndex < at.Index || hit.CharIndex >= at.Index+n {
							t.Errorf("a click on the middle of %s hits character %d, it has %d to %d", s, hit.CharIndex, at.Index, at.Index+n-1)
						}
						rects, err := p.FPDFText_CountRects(&requests.FPDFText_CountRects{TextPage: words.TextPage, StartIndex: at.Index, Count: len([]rune(s))})
						if err != nil {
							t.Fatal(err)
						}
						if rects.Count != 1 {
							t.Errorf("%s is marked in %d pieces", s, rects.Count)
						}
						r, err := p.FPDFText_GetRect(&requests.FPDFText_GetRect{TextPage: words.TextPage, Index: 0})
						if err != nil {
							t.Fatal(err)
						}
						x, y := (r.Left+r.Right)/2, (r.Top+r.Bottom)/2
						if math.Hypot(x-c[0], y-c[1]) > 2 {
							t.Errorf("%s is marked about %.1f %.1f, want %.1f %.1f", s, x, y, c[0], c[1])
						}
						if long := math.Max(r.Right-r.Left, r.Top-r.Bottom); math.Abs(long-90*points) > 2 {
							t.Errorf("the mark of %s is %.1f points long, want %.1f", s, long, 90*points)
						}
					}
				})
			}
		}
	}
}
