package sample

import (
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"math/rand/v2"
	"strings"

	"github.com/boombuler/barcode"
	"github.com/boombuler/barcode/code128"
	"github.com/boombuler/barcode/code39"
	"github.com/boombuler/barcode/datamatrix"
	"github.com/boombuler/barcode/ean"
	"github.com/boombuler/barcode/qr"
	"github.com/boombuler/barcode/twooffive"
)

// A Code is a barcode on a side.
type Code struct {
	Kind string // code39, code128, ean13, itf, qr, datamatrix or patch
	Text string // of a patch code: its letter
}

// symbol is a code as it is printed: upright bars, or a square of modules.
type symbol struct {
	Code
	x, y   float64 // upper left corner, millimetres
	module float64 // width of the narrowest bar, millimetres
	height float64 // of the bars, millimetres; 0: square
	turned bool    // the bars lie
}

// wide are the wide bars of the patch codes, of four each.
var wide = map[string]string{"1": "1100", "2": "1001", "3": "1010", "4": "0110", "6": "0011", "T": "0101"}

// modules gives the code, black where it is true.
func (s symbol) modules() ([][]bool, error) {
	var b barcode.Barcode
	var err error
	switch s.Kind {
	case "code39":
		b, err = code39.Encode(s.Text, false, false)
	case "code128":
		b, err = code128.Encode(s.Text)
	case "ean13":
		b, err = ean.Encode(s.Text)
	case "itf":
		b, err = twooffive.Encode(s.Text, true)
	case "qr":
		b, err = qr.Encode(s.Text, qr.M, qr.Auto)
	case "datamatrix":
		b, err = datamatrix.Encode(s.Text)
	case "patch":
		var row []bool
		for i, w := range wide[s.Text] {
			if i > 0 {
				row = append(row, false, false)
			}
			row = append(row, true, true)
			if w == '1' {
				row = append(row, true, true, true) // 0.2 inches to 0.08
			}
		}
		return [][]bool{row}, nil
	default:
		return nil, fmt.Errorf("there is no code %q", s.Kind)
	}
	if err != nil {
		return nil, fmt.Errorf("make a %s: %w", s.Kind, err)
	}
	size := b.Bounds()
	rows := make([][]bool, size.Dy())
	for y := range rows {
		rows[y] = make([]bool, size.Dx())
		for x := range rows[y] {
			v, _, _, _ := b.At(size.Min.X+x, size.Min.Y+y).RGBA()
			rows[y][x] = v < 0x8000
		}
	}
	return rows, nil
}

// print draws s in ink.
func (s symbol) print(img *image.RGBA, dpi int, ink color.RGBA) error {
	rows, err := s.modules()
	if err != nil {
		return err
	}
	high := s.module
	if s.height > 0 {
		high, rows = s.height, rows[:1]
	}
	for y, row := range rows {
		for x, dark := range row {
			if !dark {
				continue
			}
			x0, y0 := float64(x)*s.module, float64(y)*high
			x1, y1 := x0+s.module, y0+high
			if s.turned {
				x0, y0, x1, y1 = y0, x0, y1, x1
			}
			r := image.Rect(pixels(s.x+x0, dpi), pixels(s.y+y0, dpi), pixels(s.x+x1, dpi), pixels(s.y+y1, dpi))
			draw.Draw(img, r, image.NewUniform(ink), image.Point{}, draw.Src)
		}
	}
	return nil
}

// size gives how wide s is, in millimetres.
func (s symbol) size() float64 {
	rows, err := s.modules()
	if err != nil {
		return 0 // printing it tells
	}
	return float64(len(rows[0])) * s.module
}

// separator is a sheet with a code in the middle and a word below it.
func separator(s symbol, word string) paper {
	if s.x == 0 {
		s.x = (a4Width - s.size()) / 2
	}
	if s.y == 0 {
		s.y = 90
	}
	return paper{symbols: []symbol{s}, blocks: []block{{x: 80, y: 180, size: 22, face: "bold", text: word}}}
}

// labelled is a letter with codes stuck onto it.
func labelled(r *rand.Rand, codes ...symbol) paper {
	p := proseLetter(r, "eng", "", 11)
	p.symbols = codes
	return p
}

// A codeKind makes pages with codes, or such as look as if they had some.
type codeKind struct {
	name      string
	separator bool
	make      func(r *rand.Rand) (paper, conditions)
}

// Codes gives pages with barcodes as offices have them, and pages without any
// that look as if they had. Another seed gives other texts, turns and marks.
func Codes(seed uint64) []Page {
	var pages []Page
	for i, k := range codeKinds {
		r := rand.New(rand.NewPCG(seed, 1000+uint64(i)))
		p, c := k.make(r)
		page := finish(kind{name: k.name}, p, c, r)
		page.Separator = k.separator
		for _, s := range p.symbols {
			page.Codes = append(page.Codes, s.Code)
		}
		pages = append(pages, page)
	}
	return pages
}

// sheetOf makes separator sheets.
func sheetOf(s symbol, c conditions) func(r *rand.Rand) (paper, conditions) {
	return func(*rand.Rand) (paper, conditions) { return separator(s, s.Text), c }
}

// labelOf makes letters with a label.
func labelOf(s symbol, c conditions) func(r *rand.Rand) (paper, conditions) {
	return func(r *rand.Rand) (paper, conditions) {
		s := s
		s.x += 3 * r.Float64()
		s.y += 3 * r.Float64()
		return labelled(r, s), c
	}
}

// stripes makes a page of boxes as close and as dark as bars.
func stripes(blocks ...block) func(r *rand.Rand) (paper, conditions) {
	return func(r *rand.Rand) (paper, conditions) {
		p := proseLetter(r, "eng", "", 11)
		p.blocks = append(p.blocks[:3:3], blocks...)
		return p, conditions{}
	}
}

// bars gives n boxes of the given size at random distances.
func bars(r *rand.Rand, x, y, width, height float64, n int) []block {
	var list []block
	for range n {
		list = append(list, block{x: x, y: y, rule: width * float64(1+r.IntN(3)), size: height, mark: true, ink: black})
		x += width * float64(3+r.IntN(3))
	}
	return list
}

var (
	patch39  = symbol{Code: Code{"code39", "PATCHT"}, module: 0.5, height: 45}
	patch128 = symbol{Code: Code{"code128", "PATCHT"}, module: 0.6, height: 40}
	patchQR  = symbol{Code: Code{"qr", "PATCHT"}, module: 2, x: 80, y: 80}
	patchT   = symbol{Code: Code{"patch", "T"}, module: 25.4 * 0.04, height: 160, turned: true, x: 25, y: 12}
)

var codeKinds = []codeKind{
	{name: "separator: Code 39", separator: true, make: sheetOf(patch39, conditions{})},
	{name: "separator: Code 39, small", separator: true, make: sheetOf(symbol{Code: patch39.Code, module: 0.25, height: 12}, conditions{})},
	{name: "separator: Code 39, fuzzy", separator: true, make: sheetOf(patch39, conditions{blur: true, wear: 0.8, grain: 14, dust: 400})},
	{name: "separator: Code 39, worn, 150 dpi", separator: true, make: sheetOf(patch39, conditions{dpi: 150, wear: 0.9, grain: 12})},
	{name: "separator: Code 39, 20 degrees", separator: true, make: sheetOf(patch39, conditions{skew: 20})},
	{name: "separator: Code 39, -20 degrees, fuzzy", separator: true, make: sheetOf(patch39, conditions{skew: -20, blur: true, wear: 0.6, grain: 10})},
	{name: "separator: Code 39, upside down", separator: true, make: sheetOf(patch39, conditions{quarters: 2})},
	{name: "separator: Code 39, sideways", separator: true, make: sheetOf(patch39, conditions{quarters: 1, skew: 4})},
	{name: "separator: Code 128", separator: true, make: sheetOf(patch128, conditions{})},
	{name: "separator: Code 128, 20 degrees, blurred", separator: true, make: sheetOf(patch128, conditions{skew: 19, blur: true})},
	{name: "separator: Code 128, tinted, 200 dpi", separator: true, make: sheetOf(patch128, conditions{dpi: 200, tint: pink, quarters: 2})},
	{name: "separator: Code 128, bleed-through", separator: true, make: func(r *rand.Rand) (paper, conditions) {
		return separator(patch128, "PATCHT"), conditions{shine: 0.35, behind: proseLetter(r, "eng", "bold", 12)}
	}},
	{name: "separator: QR", separator: true, make: sheetOf(patchQR, conditions{})},
	{name: "separator: QR, 20 degrees", separator: true, make: sheetOf(patchQR, conditions{skew: -20})},
	{name: "separator: QR, upside down, worn", separator: true, make: sheetOf(patchQR, conditions{quarters: 2, wear: 0.5, grain: 8})},
	{name: "separator: QR, small", separator: true, make: sheetOf(symbol{Code: patchQR.Code, module: 0.6}, conditions{skew: 7})},
	{name: "separator: QR on a black bed", separator: true, make: sheetOf(patchQR, conditions{bed: blackBed, margin: 8, skew: 5})},
	{name: "separator: patch bars", separator: true, make: sheetOf(patchT, conditions{})},
	{name: "separator: patch bars, upside down", separator: true, make: sheetOf(patchT, conditions{quarters: 2})},
	{name: "separator: patch bars, skewed", separator: true, make: sheetOf(patchT, conditions{skew: 15, wear: 0.4})},
	{name: "separator: patch bars, standing", separator: true, make: sheetOf(symbol{Code: patchT.Code, module: patchT.module, height: 60, x: 12, y: 40}, conditions{skew: -3})},
	{name: "label: QR", make: labelOf(symbol{Code: Code{"qr", "ASN00123"}, module: 0.45, x: 165, y: 12}, conditions{})},
	{name: "label: QR, 150 dpi", make: labelOf(symbol{Code: Code{"qr", "ASN00124"}, module: 0.34, x: 165, y: 12}, conditions{dpi: 150})},
	{name: "label: QR, tiny, 300 dpi", make: labelOf(symbol{Code: Code{"qr", "ASN00125"}, module: 0.27, x: 165, y: 12}, conditions{skew: 3.5})},
	{name: "label: QR, 20 degrees, 150 dpi", make: labelOf(symbol{Code: Code{"qr", "ASN00126"}, module: 0.5, x: 150, y: 30}, conditions{dpi: 150, skew: 20})},
	{name: "label: Code 39", make: labelOf(symbol{Code: Code{"code39", "ASN00077"}, module: 0.25, height: 10, x: 140, y: 12}, conditions{})},
	{name: "label: Code 39, low, 200 dpi", make: labelOf(symbol{Code: Code{"code39", "ASN00078"}, module: 0.3, height: 5, x: 130, y: 12}, conditions{dpi: 200})},
	{name: "label: Code 39, 20 degrees", make: labelOf(symbol{Code: Code{"code39", "ASN00079"}, module: 0.25, height: 10, x: 110, y: 45}, conditions{skew: 20})},
	{name: "label: Code 128", make: labelOf(symbol{Code: Code{"code128", "ASN00200"}, module: 0.25, height: 8, x: 150, y: 12}, conditions{quarters: 2})},
	{name: "label: Code 128, low quality", make: labelOf(symbol{Code: Code{"code128", "ASN00201"}, module: 0.3, height: 9, x: 150, y: 12}, conditions{dpi: 200, blur: true, grain: 8})},
	{name: "label: Code 128, sideways", make: labelOf(symbol{Code: Code{"code128", "ASN00202"}, module: 0.3, height: 9, x: 8, y: 120, turned: true}, conditions{})},
	{name: "label: Data Matrix", make: labelOf(symbol{Code: Code{"datamatrix", "ASN00300"}, module: 0.5, x: 180, y: 12}, conditions{})},
	{name: "label: Data Matrix, small", make: labelOf(symbol{Code: Code{"datamatrix", "ASN00301"}, module: 0.3, x: 180, y: 12}, conditions{skew: -2})},
	{name: "label: Data Matrix, 20 degrees", make: labelOf(symbol{Code: Code{"datamatrix", "ASN00302"}, module: 0.45, x: 150, y: 35}, conditions{skew: 20})},
	{name: "label: Data Matrix, upside down, 200 dpi", make: labelOf(symbol{Code: Code{"datamatrix", "ASN00303"}, module: 0.5, x: 180, y: 12}, conditions{dpi: 200, quarters: 2})},
	{name: "codes: EAN 13 and a web address", make: func(r *rand.Rand) (paper, conditions) {
		return labelled(r,
			symbol{Code: Code{"ean13", "4006381333931"}, module: 0.33, height: 18, x: 30, y: 255},
			symbol{Code: Code{"qr", "https://www.example.org/pay/" + number(r, 10000, 99999)}, module: 0.6, x: 150, y: 245}), conditions{}
	}},
	{name: "codes: on a delivery note", make: func(r *rand.Rand) (paper, conditions) {
		p := itemTable(r)
		p.symbols = []symbol{
			{Code: Code{"code128", "LS-2026-" + number(r, 1000, 9999)}, module: 0.25, height: 10, x: 130, y: 14},
			{Code: Code{"itf", "00340" + number(r, 100000, 999999) + "9"}, module: 0.4, height: 14, x: 25, y: 240},
		}
		return p, conditions{}
	}},
	{name: "codes: a label with a number", make: labelOf(symbol{Code: Code{"code39", "K-4711"}, module: 0.3, height: 10, x: 130, y: 12}, conditions{wear: 0.3})},
	{name: "none: two columns", make: func(r *rand.Rand) (paper, conditions) { return columns(r), conditions{} }},
	{name: "none: table", make: func(r *rand.Rand) (paper, conditions) { return itemTable(r), conditions{skew: 1} }},
	{name: "none: small bold print", make: func(r *rand.Rand) (paper, conditions) {
		return paper{blocks: []block{{x: 15, y: 20, size: 6, face: "bold", leading: 1, text: prose(r, "eng", 110, 140)}}}, conditions{}
	}},
	{name: "none: rows of l and I", make: func(r *rand.Rand) (paper, conditions) {
		row := strings.Repeat("lI|l!IlH|lIl|I! ", 5)
		return paper{blocks: []block{{x: 15, y: 30, size: 12, face: "mono", leading: 0.9, text: strings.TrimSuffix(strings.Repeat(row+"\n", 30), "\n")}}}, conditions{}
	}},
	{name: "none: bars at random", make: func(r *rand.Rand) (paper, conditions) { return stripes(bars(r, 30, 220, 0.4, 15, 60)...)(r) }},
	{name: "none: wide bars", make: func(r *rand.Rand) (paper, conditions) { return stripes(bars(r, 30, 220, 2, 40, 9)...)(r) }},
	{name: "none: a keyboard of bars", make: stripes(func() []block {
		var list []block
		for i := range 40 {
			list = append(list, block{x: 30 + 2*float64(i), y: 220, rule: 1, size: 20, mark: true, ink: black})
		}
		return list
	}()...)},
	{name: "none: a photograph", make: func(r *rand.Rand) (paper, conditions) {
		p := proseLetter(r, "eng", "", 11)
		p.picture = image.Rect(20, 100, 190, 200)
		p.blocks = p.blocks[:2]
		return p, conditions{}
	}},
	{name: "none: numbers", make: func(r *rand.Rand) (paper, conditions) {
		rows := ""
		for i := range 60 {
			if i > 0 {
				rows += "\n"
			}
			rows += number(r, 1e9, 2e9) + " " + number(r, 1e9, 2e9) + " " + number(r, 1e9, 2e9)
		}
		return paper{blocks: []block{{x: 20, y: 25, size: 9, face: "mono", leading: 1.1, text: rows}}}, conditions{}
	}},
}
