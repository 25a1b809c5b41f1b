package ocr

import (
	"context"
	"errors"
	"fmt"
	"image"
	"math"
	"os"
	"path/filepath"
	"slices"
	"time"

	"docscan/scan/imaging"
	"docscan/scan/imaging/mrc"
	"docscan/scan/text"
)

// Size is how small the pages of a document are to be.
type Size string

// The sizes.
const (
	OriginalSize Size = "original" // the scanner's own images, bit for bit
	BalancedSize Size = "balanced" // in layers; nothing that can be seen is lost; also when empty
	SmallestSize Size = "smallest" // in layers; photographs and tints are coarser
)

// Sizes lists them, the usual one first.
func Sizes() []Size { return []Size{BalancedSize, OriginalSize, SmallestSize} }

// options are those of the separation.
func (s Size) options() mrc.Options {
	if s == SmallestSize {
		return mrc.Smallest()
	}
	return mrc.Balanced()
}

// SureWord is the confidence from which on a word is taken as read, so that sharp edges
// lose nothing of it. Good print has 91 and more.
const SureWord = 90

// A CompactJob asks for the layers of one side.
type CompactJob struct {
	Path string // the side as it was scanned
	DPI  int    // Prepared.DPI
	Size Size   // not OriginalSize
	// Leave names the steps of the clean-up that are left out. Only Background and
	// Colour matter here.
	Leave    []Step
	Shine    float64 // Recognized.Shine
	Negative bool    // Recognized.Negative
	Holes    []Hole  // Recognized.Holes; they are painted over with paper
	// Turn is how far the page is to be turned clockwise about its middle, in
	// degrees, less than 45: minus its skew.
	Turn float64
	// Doubtful are places on the page, once it is turned, whose ink keeps its soft edges.
	Doubtful []text.Box
	Sheet    *text.Box // of the recognized text: the bed around it is left out; nil if there is none
	Dir      string    // where the layers are to be written: an existing folder of the caller's
}

// Compacted is what became of a CompactJob.
type Compacted struct {
	Path   string        // of a file in Dir that holds the data of the layers, one after the other
	Layers []Layer       // none if the page does not suit layers
	CPU    time.Duration // that the worker took
}

// A Layer is part of what a page shows; see [mrc.Layer].
type Layer struct {
	Kind                mrc.Kind
	X, Y, Width, Height float64
	Color               [3]uint8
	Columns, Rows       int
	Colors              int
	Size                int64 // bytes of its data; 0 for a Fill
}

// fileLayers is the file to write of a CompactJob, by its place.
const fileLayers = fileImage + 1

type compacted struct {
	Layers []Layer `json:"layers"`
}

// Compact takes one side apart into layers that are small together. When ctx
// ends, so does the work.
func (p *Pool) Compact(ctx context.Context, job CompactJob) (Compacted, error) {
	t := &task{
		ctx:   ctx,
		req:   request{Kind: kindCompact, MaxPixels: p.cfg.MaxPixels, DPI: job.DPI, Size: job.Size, Turn: job.Turn, Leave: job.Leave, Shine: job.Shine, Negative: job.Negative, Holes: job.Holes, Doubtful: boxes(job.Doubtful), Sheet: sheetOf(job.Sheet)},
		image: job.Path,
		out:   []string{filepath.Join(job.Dir, "layers")},
	}
	if err := p.do(p.recognize, t); err != nil {
		return Compacted{}, fmt.Errorf("make the page small: %w", err)
	}
	out := Compacted{Path: t.out[0], Layers: t.answer.Compacted.Layers, CPU: t.answer.CPU}
	info, err := os.Stat(out.Path)
	if err != nil {
		return Compacted{}, fmt.Errorf("make the page small: %w", err)
	}
	if size := layersSize(out.Layers); size != info.Size() {
		t.removeFiles()
		return Compacted{}, fmt.Errorf("make the page small: %w: layers of %d bytes in %d", ErrCrashed, size, info.Size())
	}
	return out, nil
}

// mostBoxes bounds the places of a request, which is to stay small.
const mostBoxes = 400

// sheetOf gives a sheet as a request has it.
func sheetOf(b *text.Box) [][4]int {
	if b == nil {
		return nil
	}
	return boxes([]text.Box{*b})
}

// boxes gives places as a request has them. Where there are very many it is all between
// them.
func boxes(list []text.Box) [][4]int {
	var out [][4]int
	for _, b := range list {
		next := [4]int{int(b.X), int(b.Y), int(math.Ceil(b.X + b.Width)), int(math.Ceil(b.Y + b.Height))}
		if last := len(out) - 1; len(out) == mostBoxes {
			was := out[last]
			next = [4]int{min(was[0], next[0]), min(was[1], next[1]), max(was[2], next[2]), max(was[3], next[3])}
			out = out[:last]
		}
		out = append(out, next)
	}
	return out
}

// Smaller reports whether a page takes less of a PDF in these layers than as an image of
// so many bytes. Without layers it does not.
func (c *Compacted) Smaller(image int64) bool {
	const beside = 250 // bytes for each layer, and for the image, to say what and where it is
	n := int64(len(c.Layers))
	return n > 0 && layersSize(c.Layers)+n*beside < image+beside
}

func layersSize(layers []Layer) int64 {
	var n int64
	for i := range layers {
		n += layers[i].Size
	}
	return n
}

// compact is the job of [Pool.Compact].
func compact(_ *worker, r request, files []*os.File) (answer, error) {
	if len(files) != fileLayers+1 {
		return answer{}, fmt.Errorf("compact: %d files", len(files))
	}
	if r.DPI < imaging.MinDPI || r.DPI > imaging.MaxDPI {
		return answer{}, fmt.Errorf("compact: %d dpi", r.DPI)
	}
	if !within(r.Shine, 0, 1) {
		return answer{}, fmt.Errorf("compact: a shine of %g", r.Shine)
	}
	if !within(r.Turn, -45, 45) {
		return answer{}, fmt.Errorf("compact: a turn by %g degrees", r.Turn)
	}
	src, err := openSource(files[fileImage], r.MaxPixels)
	if err != nil {
		return answer{}, err
	}
	defer src.close()
	planes, err := imaging.DecodePlanes(src.data, src.header, mrc.Reduction(r.DPI))
	if err != nil {
		return answer{}, err
	}
	defer planes.Close()
	width, height := src.header.Width, src.header.Height
	if src.header.Format == imaging.TIFF && (planes.Y.Width > planes.Y.Height) != (width > height) {
		width, height = height, width // it asked to be turned, which the decoder has done
	}
	planes.Fill(r.Holes, width)
	options := r.Size.options()
	options.Turn, options.Shine, options.Negative = r.Turn, r.Shine, r.Negative
	options.Gray = !slices.Contains(r.Leave, Colour) && !mrc.Coloured(planes, r.DPI/mrc.Reduction(r.DPI))
	for _, b := range r.Doubtful {
		options.Soft = append(options.Soft, image.Rect(b[0], b[1], b[2], b[3]))
	}
	for _, b := range r.Sheet {
		options.Sheet = image.Rect(b[0], b[1], b[2], b[3])
	}
	options.Paper = slices.Contains(r.Leave, Background)
	layers, err := mrc.Separate(planes, width, height, r.DPI, options)
	if errors.Is(err, mrc.ErrResolution) {
		return answer{Compacted: &compacted{}}, nil
	}
	if err != nil {
		return answer{}, err
	}
	var out compacted
	for _, l := range layers {
		if _, err := files[fileLayers].Write(l.Data); err != nil {
			return answer{}, fmt.Errorf("write a layer: %w", err)
		}
		out.Layers = append(out.Layers, Layer{l.Kind, l.X, l.Y, l.Width, l.Height, l.Color, l.Columns, l.Rows, l.Colors, int64(len(l.Data))})
	}
	return answer{Compacted: &out}, nil
}

// maxLayers bounds those of a page: it has some dozens of inks and edges at most, and photographs.
const maxLayers = 1000

// check says what cannot be in c.
func (c *compacted) check() error {
	if len(c.Layers) > maxLayers {
		return fmt.Errorf("%w: %d layers", errAnswer, len(c.Layers))
	}
	for _, l := range c.Layers {
		const side = 2 * maxPixelSide
		fill := l.Kind == mrc.Fill && l.Size == 0
		picture := (l.Kind == mrc.Stencil || l.Kind == mrc.Picture && slices.Contains([]int{1, 3}, l.Colors)) &&
			l.Size > 0 && l.Columns > 0 && l.Rows > 0 && l.Columns <= side && l.Rows <= side
		if !fill && !picture || !within(l.X, 0, side) || !within(l.Y, 0, side) || !within(l.Width, 1e-3, side) || !within(l.Height, 1e-3, side) {
			return fmt.Errorf("%w: layer %+v", errAnswer, l)
		}
	}
	return nil
}
