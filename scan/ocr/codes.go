package ocr

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"docscan/scan/imaging"
	"docscan/scan/imaging/barcode"
	"docscan/scan/text"
)

// A Separator is a code that makes a side a separator sheet.
type Separator struct {
	Kind string `json:"kind,omitempty"` // as text.Code has it; empty: any but the bars of patch sheets
	Text string `json:"text"`           // capitals and small letters are the same
}

// Separates reports whether one of the codes of a page is one of list.
func Separates(codes []text.Code, list []Separator) bool {
	return slices.ContainsFunc(codes, func(c text.Code) bool {
		return slices.ContainsFunc(list, func(s Separator) bool {
			return (s.Kind == c.Kind || s.Kind == "" && c.Kind != text.Patch) && strings.EqualFold(s.Text, c.Text)
		})
	})
}

// readCodes reads the codes of a page in full, the image that p was made of, and
// hides them from the engine, which would take bars for letters.
func (p *page) readCodes(full *imaging.Pix) error {
	gray := full
	if full.Depth() != 8 {
		var err error
		if gray, err = full.Gray(); err != nil {
			return err
		}
		defer gray.Close()
	}
	scale := float64(p.width) / float64(gray.Width())
	codes, err := barcode.Read(gray, float64(p.request.DPI)/scale, p.sheet.Level)
	if err != nil {
		return fmt.Errorf("look for barcodes: %w", err)
	}
	for _, c := range codes {
		p.codes = append(p.codes, text.Code{
			Kind: string(c.Kind), Text: c.Text, X: round(c.X * scale), Y: round(c.Y * scale),
			Width: round(c.Width * scale), Height: round(c.Height * scale), Angle: round(c.Angle),
		})
	}
	p.bars = bars{codes, gray.Width()}
	p.blot(p.gray)
	p.blot(p.clean)
	return nil
}

// bars are codes as they were found in an image of so many pixels.
type bars struct {
	codes []barcode.Code
	width int
}

// blot hides the codes of the page in one of its images.
func (p *page) blot(pix *imaging.Pix) { barcode.Blot(pix, p.bars.width, p.bars.codes) }

// lieBy turns out, the page of a separator, as its code lies.
func (p *page) lieBy(out *text.Page) {
	i := slices.IndexFunc(p.codes, func(c text.Code) bool { return Separates([]text.Code{c}, p.request.Separators) && c.Kind != text.Patch })
	if i < 0 {
		return // the bars of a patch sheet look the same upside down
	}
	quarters := math.Round(p.codes[i].Angle / 90)
	if p.does(Upright) {
		out.Rotate = (int(-quarters) + 8) % 4 * 90
	}
	if p.does(Straighten) {
		out.Skew = round(p.codes[i].Angle - 90*quarters)
	}
}

// maxCodes and maxCodeBytes bound what a page can hold.
const maxCodes, maxCodeBytes = 64, 8192

// checkCodes says what cannot be among the codes of a page of this long side.
func checkCodes(codes []text.Code, side float64) error {
	if len(codes) > maxCodes {
		return fmt.Errorf("%w: %d codes", errAnswer, len(codes))
	}
	for _, c := range codes {
		control := func(r rune) bool { return unicode.IsControl(r) && r != '\n' && r != '\t' }
		if !slices.Contains(barcode.Kinds(), barcode.Kind(c.Kind)) || c.Text == "" || len(c.Text) > maxCodeBytes ||
			!utf8.ValidString(c.Text) || strings.ContainsFunc(c.Text, control) {
			return fmt.Errorf("%w: code %q of kind %q", errAnswer, c.Text, c.Kind)
		}
		if !within(c.X, -side, side) || !within(c.Y, -side, side) || !within(c.Width, 0, 2*side) || !within(c.Height, 0, 2*side) || !within(c.Angle, -180, 180) {
			return fmt.Errorf("%w: a code at %+v", errAnswer, c)
		}
	}
	return nil
}
