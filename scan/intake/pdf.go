package intake

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	_ "image/jpeg" // pdftoppm's
	_ "image/png"
	"io"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"docscan/scan/refusal"
	"docscan/scan/text"
)

const poppler = "poppler-utils"

var errNoPage = refusal.New(ErrDamaged, "The file is damaged: there is no page in it.")

// countPDF counts the pages and sees whether the file can be opened.
func (f *File) countPDF(ctx context.Context, dir string) (int, error) {
	said, err := f.tool(ctx, dir, poppler, "pdfinfo", "-enc", "UTF-8", f.path)
	if err != nil {
		if errors.Is(err, ErrDamaged) && strings.Contains(strings.ToLower(err.Error()), "password") {
			return 0, ErrEncrypted
		}
		if errors.Is(err, ErrDamaged) && strings.Contains(err.Error(), "page range") { // it counts to 0
			return 0, errNoPage
		}
		return 0, err
	}
	n, err := strconv.Atoi(field(said, "Pages"))
	if err != nil || n < 1 {
		return 0, errNoPage
	}
	return n, nil
}

// field gives the value of a line "NAME:   VALUE" of pdfinfo; the spaces within
// names vary.
func field(said []byte, name string) string {
	lines := bufio.NewScanner(bytes.NewReader(said))
	lines.Buffer(nil, maxPrinted)
	for lines.Scan() {
		key, value, ok := strings.Cut(lines.Text(), ":")
		if ok && strings.Join(strings.Fields(key), " ") == name {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// A sheet is the size of a page's crop box, before it is turned, in points of
// 1/72 inch.
type sheet struct {
	width, height float64
	turned        bool // it is shown turned by quarters
	sideways      bool // by one or three of them
}

// high is the height of the page as it is shown.
func (s sheet) high() float64 {
	if s.sideways {
		return s.width
	}
	return s.height
}

// box reads four numbers.
func box(s string) (b [4]float64, ok bool) {
	parts := strings.Fields(s)
	if len(parts) != 4 {
		return b, false
	}
	for i, p := range parts {
		v, err := strconv.ParseFloat(p, 64)
		if err != nil || math.IsNaN(v) || math.Abs(v) > 1e6 {
			return b, false
		}
		b[i] = v
	}
	return b, true
}

// sheetOf asks for the size of page n.
func (f *File) sheetOf(ctx context.Context, n int, dir string) (sheet, error) {
	number := strconv.Itoa(n)
	said, err := f.tool(ctx, dir, poppler, "pdfinfo", "-box", "-f", number, "-l", number, f.path)
	if err != nil {
		return sheet{}, err
	}
	crop, ok := box(field(said, "Page "+number+" CropBox"))
	if !ok || crop[2]-crop[0] < 1 || crop[3]-crop[1] < 1 {
		return sheet{}, fmt.Errorf("%w: page %d has no size", ErrDamaged, n)
	}
	turn := field(said, "Page "+number+" rot")
	return sheet{
		width: crop[2] - crop[0], height: crop[3] - crop[1],
		turned: turn != "" && turn != "0", sideways: turn == "90" || turn == "270",
	}, nil
}

// A picture is an image on a page of a PDF, as pdfimages lists it.
type picture struct {
	area   float64 // square inches
	pixels float64
	dpi    float64
	tones  bool // a photograph or a scan in grey or colour, not line art
	plain  bool // pdfimages gives it as it is; colours without JPEG would take seconds, and much room
}

// pictures lists the images of page n. A list that makes no sense is empty: it
// only chooses resolution and format.
func (f *File) pictures(ctx context.Context, n int, dir string) ([]picture, error) {
	number := strconv.Itoa(n)
	said, err := f.tool(ctx, dir, poppler, "pdfimages", "-list", "-f", number, "-l", number, f.path)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err != nil {
		return nil, nil
	}
	return listed(said), nil
}

// listed reads what `pdfimages -list` prints: page, number, type, width, height,
// color, comp, bpc, enc, interp, object (two), x-ppi, y-ppi, size, ratio.
func listed(said []byte) []picture {
	var list []picture
	for line := range bytes.Lines(said) {
		c := strings.Fields(string(line))
		if len(c) < 14 || c[2] != "image" {
			continue
		}
		width, err1 := strconv.ParseFloat(c[3], 64)
		height, err2 := strconv.ParseFloat(c[4], 64)
		x, err3 := strconv.ParseFloat(c[12], 64)
		y, err4 := strconv.ParseFloat(c[13], 64)
		if err := errors.Join(err1, err2, err3, err4); err != nil || x < 1 || y < 1 || width < 1 || height < 1 {
			continue
		}
		list = append(list, picture{
			area: width / x * height / y, pixels: width * height, dpi: max(x, y),
			tones: c[7] != "1" && (c[8] == "jpeg" || c[8] == "jpx" || c[8] == "image"),
			plain: c[8] == "jpeg" || c[6] == "1" && (c[8] == "image" || c[8] == "ccitt" || c[8] == "jbig2"),
		})
	}
	return list
}

// Resolutions of the pictures made of a PDF's pages, in dpi: that of words and
// drawings, and the bounds for pages that are images.
const (
	drawnDPI         = 300
	minDPI, maxDPI   = 150, 600
	leastDPI         = 20  // of a poster
	jpegQuality      = 92  // of pages with photographs; above it files grow faster than pictures improve
	mostOfPage       = 0.5 // an image that covers more of its page is the page
	photographOfPage = 0.05
)

// pagePDF gives the image that page n is, or draws it.
func (f *File) pagePDF(ctx context.Context, n int, dir string) (Side, error) {
	s, err := f.sheetOf(ctx, n, dir)
	if err != nil {
		return Side{}, err
	}
	images, err := f.pictures(ctx, n, dir)
	if err != nil {
		return Side{}, err
	}
	dpi, tones, scan := plan(s, images, f.cfg.MaxPixels)
	scanned, scannedDPI, err := f.asItIs(ctx, n, dir, s, images)
	if err != nil {
		return Side{}, err
	}
	if scanned != "" {
		side := Side{Type: string(JPEG), Resolution: scannedDPI, Path: scanned}
		if filepath.Ext(scanned) == ".png" {
			side.Type = string(PNG)
		}
		err = f.addWords(ctx, n, dir, &side, s, images, scan)
		return side, err
	}
	args := []string{"-f", strconv.Itoa(n), "-l", strconv.Itoa(n), "-singlefile", "-cropbox", "-r", strconv.Itoa(dpi)}
	side := Side{Type: string(PNG), Resolution: dpi, Path: filepath.Join(dir, "page.png")}
	if tones {
		side.Type, side.Path = string(JPEG), filepath.Join(dir, "page.jpg")
		args = append(args, "-jpeg", "-jpegopt", fmt.Sprintf("quality=%d,optimize=y", jpegQuality))
	} else {
		args = append(args, "-png")
	}
	if _, err := f.tool(ctx, dir, poppler, "pdftoppm", append(args, f.path, filepath.Join(dir, "page"))...); err != nil {
		return Side{}, err
	}
	if err := s.whole(side.Path, dpi); err != nil {
		return Side{}, fmt.Errorf("%w: page %d cannot be drawn: %w", ErrDamaged, n, err)
	}
	err = f.addWords(ctx, n, dir, &side, s, images, scan)
	return side, err
}

// errShort says that a page is not all there: pdftoppm calls it a success when it
// runs out of memory, and leaves a picture that breaks off or has a single pixel.
var errShort = errors.New("it needs more memory than one page may have")

// whole reports whether the picture at path is one of the page, to its end.
func (s sheet) whole(path string, dpi int) error {
	f, err := os.Open(path)
	if err != nil {
		return errors.New("there is no picture")
	}
	defer f.Close()
	c, _, err := image.DecodeConfig(f)
	const longest = 12 // the last chunk of a PNG
	if err != nil {
		return errShort
	}
	if _, err := f.Seek(-longest, io.SeekEnd); err != nil {
		return errShort
	}
	end, err := io.ReadAll(io.LimitReader(f, longest))
	if err != nil {
		return err
	}
	if !bytes.HasSuffix(end, []byte("\xff\xd9")) && !bytes.HasPrefix(end[4:], []byte("IEND")) {
		return errShort
	}
	scale := float64(dpi) / 72
	if float64(c.Width*c.Height) < 0.9*s.width*scale*s.height*scale {
		return errShort
	}
	return nil
}

// plan chooses resolution and format of a page's picture: those of the scan that
// the page is, or those of print. scan says that one image covers most of it.
func plan(s sheet, images []picture, maxPixels int64) (dpi int, tones, scan bool) {
	area := s.width / 72 * s.height / 72
	want := 0.0
	for _, p := range images {
		if p.area >= photographOfPage*area {
			tones = tones || p.tones
		}
		if p.area >= mostOfPage*area {
			scan = true
			want = max(want, p.dpi)
		}
	}
	if !scan {
		want = drawnDPI
	}
	want = min(max(want, minDPI), maxDPI)
	// A little below the bound, because both sides are rounded up.
	most := math.Sqrt(0.98 * float64(maxPixels) / area)
	return int(max(leastDPI, min(want, math.Floor(most)))), tones, scan
}

// addWords gives a side the text that stands in the file for it.
func (f *File) addWords(ctx context.Context, n int, dir string, side *Side, s sheet, images []picture, scan bool) (err error) {
	if side.Text, err = f.words(ctx, n, dir, side.Resolution, scan); side.Text != nil {
		side.Sparse = sparse(side.Text, s, images, scan)
	}
	return err
}

// sparse reports whether the words of a page may be fewer than what is seen on it: a stamp over
// a scan, a heading above pictures of text, or a line of a page whose other letters are drawn.
func sparse(p *text.Page, s sheet, images []picture, scan bool) bool {
	const (
		enough   = 50   // words; a page with fewer is read in no time
		bands    = 20   // of the page, one below the other
		filled   = 7    // of them that have words where a scan was read by another program
		pictures = 0.15 // of the page, which may be pictures of text
		small    = 0.01 // of the page: a sign, or a part of a drawing
	)
	band := s.high() / 72 * float64(p.DPI) / bands
	words, with := 0, make(map[int]bool)
	for _, l := range p.Lines {
		words += len(l.Words)
		for _, w := range l.Words {
			with[int(w.Y/band)] = true
		}
	}
	if words < enough || scan {
		return words < enough || len(with) < filled
	}
	area, shown := s.width/72*s.height/72, 0.0
	for _, i := range images {
		if i.area >= small*area {
			shown += i.area
		}
	}
	return shown >= pictures*area
}

// words gives the text that stands in the file for page n, nil if there is none
// or if it is worthless.
func (f *File) words(ctx context.Context, n int, dir string, dpi int, scan bool) (*text.Page, error) {
	number := strconv.Itoa(n)
	said, err := f.tool(ctx, dir, poppler, "pdftotext", "-bbox-layout", "-cropbox", "-enc", "UTF-8", "-f", number, "-l", number, f.path, "-")
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err != nil {
		return nil, nil // its text is read from the picture
	}
	p := layout(said, dpi)
	if !worth(p, scan) {
		return nil, nil
	}
	return p, nil
}
