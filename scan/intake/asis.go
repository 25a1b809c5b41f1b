package intake

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"docscan/scan/imaging"
)

// A scan in a PDF mostly is one image and nothing else but words that nobody sees. Drawn, a
// JPEG would be coded a second time, and print of one bit a pixel be blurred; so the image
// is taken as it is: a JPEG byte for byte, other grey or bilevel ones pixel for pixel.
// Whether the page shows anything else, such as a stamp that somebody has added, or shows
// the image otherwise, turned or in other colours, is told by what both look like.

// asItIs gives the image, a JPEG or a PNG, that page n, of size s with these images, consists
// of, and its resolution. file is empty if the page is anything else.
func (f *File) asItIs(ctx context.Context, n int, dir string, s sheet, images []picture) (file string, dpi int, err error) {
	if s.turned || len(images) != 1 || !images[0].plain || images[0].pixels > float64(f.cfg.MaxPixels) {
		return "", 0, nil
	}
	number := strconv.Itoa(n)
	if _, err := f.tool(ctx, dir, poppler, "pdfimages", "-j", "-png", "-f", number, "-l", number, f.path, filepath.Join(dir, "image")); err != nil {
		return "", 0, ctx.Err() // it is drawn
	}
	file, err = onlyImage(dir)
	if file == "" || err != nil {
		return "", 0, err
	}
	h, err := headerOf(file, f.cfg.MaxPixels)
	if err != nil {
		return "", 0, nil // poppler may draw what we cannot read
	}
	dpi = h.DPI(int(math.Round(images[0].dpi)))
	const near = 0.01 // of a length: producers round
	like := func(got, want float64) bool { return math.Abs(got-want) <= near*want }
	if h.Turn != 0 || h.Mirrored || !like(float64(dpi), images[0].dpi) ||
		!like(float64(h.Width)/float64(dpi)*72, s.width) || !like(float64(h.Height)/float64(dpi)*72, s.height) {
		return "", 0, nil
	}
	alone := filepath.Join(dir, "alone.pdf")
	if ok, err := writeAlone(alone, file, h, s); !ok || err != nil {
		return "", 0, err
	}
	defer os.Remove(alone)
	shown, err := f.coarse(ctx, n, dir, s)
	if err != nil {
		return "", 0, ctx.Err()
	}
	bare, err := (&File{path: alone, cfg: f.cfg}).coarse(ctx, 1, dir, s)
	if err != nil {
		return "", 0, ctx.Err()
	}
	if !shown.like(bare) {
		return "", 0, nil
	}
	return file, dpi, nil
}

// onlyImage gives the file that pdfimages has written to dir, if it is one.
func onlyImage(dir string) (string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return "", fmt.Errorf("look for the image of a page: %w", err)
	}
	found := ""
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), "image-") {
			continue
		}
		if found != "" {
			return "", nil
		}
		found = filepath.Join(dir, e.Name())
	}
	return found, nil
}

// headerOf reads what an image claims to be, of so many pixels at most.
func headerOf(path string, maxPixels int64) (imaging.Header, error) {
	file, err := os.Open(path)
	if err != nil {
		return imaging.Header{}, err
	}
	defer file.Close()
	const most = 1 << 20 // bytes before its picture: a profile and a small copy of itself
	head, err := io.ReadAll(io.LimitReader(file, most))
	if err != nil {
		return imaging.Header{}, err
	}
	return imaging.ReadHeader(head, maxPixels)
}

// writeAlone makes a PDF whose page, of size s, shows nothing but an image. ok is false if a PDF
// cannot take that as it is.
func writeAlone(path, file string, h imaging.Header, s sheet) (ok bool, err error) {
	in, err := os.Open(file)
	if err != nil {
		return false, fmt.Errorf("look at the image of a page: %w", err)
	}
	defer in.Close()
	info, err := in.Stat()
	if err != nil {
		return false, fmt.Errorf("look at the image of a page: %w", err)
	}
	data, size, filter := io.Reader(in), info.Size(), "/DCTDecode"
	if _, ok := h.PassThrough(); !ok {
		pixels, err := deflated(in, size, h)
		if len(pixels) == 0 || err != nil {
			return false, err
		}
		data, size = bytes.NewReader(pixels), int64(len(pixels))
		filter = fmt.Sprintf("/FlateDecode/DecodeParms<</Predictor 15/Colors %d/BitsPerComponent %d/Columns %d>>", h.Samples, h.Bits, h.Width)
	}
	space := "/DeviceGray"
	if h.Samples == 3 {
		space = "/DeviceRGB"
	}
	show := fmt.Sprintf("%g 0 0 %g 0 0 cm/I Do", s.width, s.height)
	var head bytes.Buffer
	head.WriteString("%PDF-1.4\n")
	var at []int
	for i, object := range []string{
		"<</Type/Catalog/Pages 2 0 R>>",
		"<</Type/Pages/Kids[3 0 R]/Count 1>>",
		fmt.Sprintf("<</Type/Page/Parent 2 0 R/MediaBox[0 0 %g %g]/Resources<</XObject<</I 5 0 R>>>>/Contents 4 0 R>>", s.width, s.height),
		fmt.Sprintf("<</Length %d>>\nstream\n%s\nendstream", len(show), show),
	} {
		at = append(at, head.Len())
		fmt.Fprintf(&head, "%d 0 obj\n%s\nendobj\n", i+1, object)
	}
	at = append(at, head.Len())
	fmt.Fprintf(&head, "5 0 obj\n<</Type/XObject/Subtype/Image/Width %d/Height %d/ColorSpace%s/BitsPerComponent %d/Filter%s/Length %d>>\nstream\n",
		h.Width, h.Height, space, h.Bits, filter, size)
	foot := bytes.NewBufferString("\nendstream\nendobj\n")
	xref := int64(head.Len()) + size + int64(foot.Len())
	fmt.Fprintf(foot, "xref\n0 %d\n0000000000 65535 f \n", len(at)+1)
	for _, n := range at {
		fmt.Fprintf(foot, "%010d 00000 n \n", n)
	}
	fmt.Fprintf(foot, "trailer\n<</Size %d/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF\n", len(at)+1, xref)
	out, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return false, fmt.Errorf("look at the image of a page: %w", err)
	}
	_, err = io.Copy(out, io.MultiReader(&head, data, foot))
	if err = errors.Join(err, out.Close()); err != nil {
		return false, fmt.Errorf("look at the image of a page: %w", err)
	}
	return true, nil
}

// deflated gives the pixels of a PNG of so many bytes with header h as a PDF takes them; none
// for other files.
func deflated(in io.Reader, size int64, h imaging.Header) ([]byte, error) {
	const most = 8 << 20 // bytes, which are held in memory: grey at 300 dpi, or print at 600
	if h.Format != imaging.PNG || h.Samples != 1 && h.Samples != 3 || h.Bits != 1 && h.Bits != 8 || size > most {
		return nil, nil
	}
	file, err := io.ReadAll(in)
	if err != nil {
		return nil, fmt.Errorf("look at the image of a page: %w", err)
	}
	parts, err := imaging.PNGData(file)
	if err != nil {
		return nil, nil // the page is drawn
	}
	return bytes.Join(parts, nil), nil
}

// coarseDPI is the resolution at which pages are compared: the full stop of a line of 6 points
// darkens one pixel at least by more than a quarter of what print does.
const coarseDPI = 150

// A raster is a page as drawn: red, green and blue, a byte each.
type raster struct {
	width, height int
	pix           []byte
}

// coarse draws page n coarsely, at a size that depends on s alone.
func (f *File) coarse(ctx context.Context, n int, dir string, s sheet) (*raster, error) {
	const most = 4e6 // pixels: of a poster fewer to the inch
	scale := min(coarseDPI/72.0, math.Sqrt(most/(s.width*s.height)))
	number, out := strconv.Itoa(n), filepath.Join(dir, "coarse")
	_, err := f.tool(ctx, dir, poppler, "pdftoppm", "-f", number, "-l", number, "-singlefile", "-cropbox",
		"-scale-to-x", strconv.Itoa(int(math.Ceil(s.width*scale))), "-scale-to-y", strconv.Itoa(int(math.Ceil(s.height*scale))), f.path, out)
	if err != nil {
		return nil, err
	}
	file, err := os.Open(out + ".ppm")
	if err != nil {
		return nil, err
	}
	defer os.Remove(out + ".ppm")
	defer file.Close()
	in := bufio.NewReader(file)
	r := new(raster)
	var deepest int
	if _, err := fmt.Fscanf(in, "P6\n%d %d\n%d\n", &r.width, &r.height, &deepest); err != nil {
		return nil, fmt.Errorf("read a drawn page: %w", err)
	}
	if deepest != 255 || r.width < 1 || r.height < 1 || r.width > 2*most || r.height > 2*most/r.width {
		return nil, fmt.Errorf("read a drawn page: %d x %d pixels of %d levels", r.width, r.height, deepest)
	}
	r.pix = make([]byte, 3*r.width*r.height)
	if _, err := io.ReadFull(in, r.pix); err != nil {
		return nil, fmt.Errorf("read a drawn page: %w", err)
	}
	return r, nil
}

// like reports whether two drawings show the same: nowhere does the mean of a block differ, nor
// is a pixel of one darker or lighter than all of the other around its place.
func (r *raster) like(o *raster) bool {
	const (
		block = 16 // pixels: 2.7 mm; a thin line through one changes its mean by 10 levels
		most  = 4  // levels
		rim   = 4  // pixels: at the edge of the page it is a matter of rounding how much is white
	)
	if r.width != o.width || r.height != o.height {
		return false
	}
	for y := rim; y < r.height-rim; y += block {
		for x := rim; x < r.width-rim; x += block {
			var diff [3]int
			n := 0
			for yy := y; yy < min(y+block, r.height-rim); yy++ {
				for xx := x; xx < min(x+block, r.width-rim); xx++ {
					at := 3 * (yy*r.width + xx)
					for c := range diff {
						diff[c] += int(r.pix[at+c]) - int(o.pix[at+c])
					}
					n++
					if r.dotted(o, xx, yy) || o.dotted(r, xx, yy) {
						return false
					}
				}
			}
			for _, d := range diff {
				if d > most*n || -d > most*n {
					return false
				}
			}
		}
	}
	return true
}

// dotted reports whether r has at a place, not at its edge, what o has nowhere beside it: a full
// stop that somebody has added or covered changes a few pixels, and no mean.
func (r *raster) dotted(o *raster, x, y int) bool {
	const most = 24 // levels: a tenth of what print is darker than paper
	at := 3 * (y*r.width + x)
	for c := range 3 {
		v := int(r.pix[at+c])
		if d := v - int(o.pix[at+c]); d <= most && -d <= most {
			continue
		}
		low, high := 255, 0
		for row := at + c - 3*r.width; row <= at+c+3*r.width; row += 3 * r.width {
			for _, w := range []uint8{o.pix[row-3], o.pix[row], o.pix[row+3]} {
				low, high = min(low, int(w)), max(high, int(w))
			}
		}
		if v < low-most || v > high+most {
			return true
		}
	}
	return false
}
