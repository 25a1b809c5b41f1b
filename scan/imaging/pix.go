package imaging

// #cgo CFLAGS: -O2
// #cgo LDFLAGS: -lleptonica -lm -ldl
// #include <stdlib.h>
// #include "lept.h"
// #include "ink.h"
import "C"

import (
	"errors"
	"fmt"
	"image"
	"math"
	"strings"
	"sync"
	"syscall"
	"unsafe"
)

// A Pix is a decoded image: 1 bit a pixel with 1 for black, 8 bits of grey, or
// colour. It lives in C memory until Close.
type Pix struct {
	p *C.PIX
}

var quiet = sync.OnceFunc(func() { C.lept_quiet() })

// take wraps what a C function has made. err is the errno of the call.
func take(p *C.PIX, what string, err error) (*Pix, error) {
	if p != nil {
		return &Pix{p}, nil
	}
	return nil, failure(what, err)
}

// failure is the error of a C function that was to do what.
func failure(what string, err error) error {
	var buf [256]C.char
	said := strings.TrimSpace(C.GoString(C.lept_message(&buf[0], C.size_t(len(buf)))))
	if errors.Is(err, syscall.ENOMEM) || strings.Contains(said, "alloc") {
		return fmt.Errorf("%w: %s: %s", ErrMemory, what, said)
	}
	return fmt.Errorf("%s: %s", what, said)
}

// Close frees the image. Closing a nil Pix does nothing.
func (p *Pix) Close() {
	if p != nil {
		C.pixDestroy(&p.p)
	}
}

// Pointer gives the image to C code that takes a PIX. It is good until Close.
func (p *Pix) Pointer() unsafe.Pointer { return unsafe.Pointer(p.p) }

// Width and Height are in pixels; Depth is 1, 8 or 32 bits a pixel.
func (p *Pix) Width() int  { return int(C.pixGetWidth(p.p)) }
func (p *Pix) Height() int { return int(C.pixGetHeight(p.p)) }
func (p *Pix) Depth() int  { return int(C.pixGetDepth(p.p)) }

// bytesOf gives C memory as data. Empty data gives nil.
func bytesOf(data []byte) *C.l_uint8 {
	return (*C.l_uint8)(unsafe.Pointer(unsafe.SliceData(data)))
}

// Decode decodes data, of which h is the header. A JPEG, and what has lines, is decoded at a
// whole fraction 1/reduce of its size, where reduce is 1, 2, 4 or 8, and without its
// colours if gray is set; others come as they are, see [Header.Reduces]. A JPEG that is cut off
// or corrupt in places gives what there is, and damaged says so.
func Decode(data []byte, h Header, reduce int, gray bool) (p *Pix, damaged bool, err error) {
	quiet()
	if h.Lines {
		return decodeLines(data, h, reduce, gray)
	}
	defer h.forget(data)
	var pix *C.PIX
	size := C.size_t(len(data))
	switch h.Format {
	case JPEG:
		hint := C.l_int32(C.L_JPEG_CONTINUE_WITH_BAD_DATA)
		// libjpeg makes grey of grey, YCbCr and RGB, but not of CMYK.
		if gray && h.Samples <= 3 {
			hint |= C.L_JPEG_READ_LUMINANCE
		}
		var warnings C.l_int32
		pix, err = C.pixReadMemJpeg(bytesOf(data), size, 0, C.l_int32(reduce), &warnings, hint)
		damaged = warnings > 0
		if pix != nil && h.Mirrored {
			C.pixFlipLR(pix, pix)
		}
	case PNG:
		pix, err = C.pixReadMemPng(bytesOf(data), size)
	case TIFF:
		var broken C.l_int32
		pix, err = C.lept_tiff(bytesOf(data), size, &broken)
		damaged = broken != 0
	default:
		return nil, false, ErrFormat
	}
	if pix != nil {
		pix, err = C.lept_flatten(pix)
	}
	p, err = take(pix, "decode the image", err)
	if err != nil && !errors.Is(err, ErrMemory) {
		return nil, false, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	if err != nil || !h.Oblong {
		return p, damaged, err
	}
	defer p.Close()
	scale := p.Scale
	if p.Depth() == 1 {
		scale = p.repeat
	}
	square, err := scale(h.Width, h.Height)
	return square, damaged, err
}

// Reduces reports whether [Decode] decodes the image at a fraction of its size.
func (h Header) Reduces() bool { return h.Format == JPEG || h.Lines }

// A Packed is an 8-bit image of which what is white takes no memory. It lives in C
// memory until Close.
type Packed struct {
	width, height int
	data          *C.l_uint32
	size          C.size_t
}

// Pack gives a copy of an 8-bit image. Of a whitened page it takes a quarter of the memory,
// and little time.
func (p *Pix) Pack() (*Packed, error) {
	k := &Packed{width: p.Width(), height: p.Height()}
	if k.data = C.lept_pack(p.p, &k.size); k.data == nil {
		return nil, fmt.Errorf("%w: put the image away", ErrMemory)
	}
	return k, nil
}

// Unpack gives the image that was packed.
func (k *Packed) Unpack() (*Pix, error) {
	q, err := C.pixCreateNoInit(C.l_int32(k.width), C.l_int32(k.height), 8)
	p, err := take(q, "take the image out again", err)
	if err == nil {
		C.lept_unpack(k.data, k.size, p.p)
	}
	return p, err
}

// Close frees the memory. Closing nil does nothing.
func (k *Packed) Close() {
	if k != nil {
		C.free(unsafe.Pointer(k.data))
		k.data, k.size = nil, 0
	}
}

// Gray gives a copy with 8 bits of grey.
func (p *Pix) Gray() (*Pix, error) {
	q, err := C.pixConvertTo8(p.p, 0)
	return take(q, "make the image grey", err)
}

// repeat gives a copy of a 1-bit image with each line and each pixel repeated until it has the given
// size, which is no smaller.
func (p *Pix) repeat(width, height int) (*Pix, error) {
	q, err := C.lept_repeat(p.p, C.l_int32(width), C.l_int32(height))
	return take(q, "scale the image", err)
}

// Scale gives a copy of the given size. A 1-bit image becomes grey.
func (p *Pix) Scale(width, height int) (*Pix, error) {
	sx := float64(width) / float64(p.Width())
	sy := float64(height) / float64(p.Height())
	if p.Depth() == 1 && sx < 1 && math.Abs(sx-sy) < 0.01 {
		// This one averages the bits; it rounds the size its own way.
		q, err := C.pixScaleToGray(p.p, C.l_float32(sx))
		return take(q, "scale the image", err)
	}
	src := p
	if p.Depth() == 1 {
		gray, err := p.Gray()
		if err != nil {
			return nil, err
		}
		defer gray.Close()
		src = gray
	}
	var q *C.PIX
	var err error
	if sx < 1 && sy < 1 {
		q, err = C.pixScaleAreaMapToSize(src.p, C.l_int32(width), C.l_int32(height))
	} else {
		q, err = C.pixScaleToSize(src.p, C.l_int32(width), C.l_int32(height))
	}
	return take(q, "scale the image", err)
}

// Halve gives a copy of an 8-bit image at half its size, with the means of two by
// two pixels.
func (p *Pix) Halve() (*Pix, error) {
	q, err := C.pixScaleAreaMap2(p.p)
	return take(q, "scale the image", err)
}

// Turn gives the image turned clockwise by a quarter turn for each of quarters.
func (p *Pix) Turn(quarters int) (*Pix, error) {
	if quarters&3 == 0 {
		q, err := C.pixClone(p.p)
		return take(q, "share the image", err)
	}
	q, err := C.pixRotateOrth(p.p, C.l_int32(quarters&3))
	return take(q, "turn the image", err)
}

// Rotate gives a copy of an 8-bit image turned clockwise about its centre by
// degrees, with a white border of the given width added first, so that no
// corner is lost.
func (p *Pix) Rotate(degrees float64, border int) (*Pix, error) {
	q, err := C.lept_turn(p.p, C.double(degrees*math.Pi/180), C.int(border))
	return take(q, "straighten the image", err)
}

// Invert makes light dark and dark light in p itself, an 8-bit image.
func (p *Pix) Invert() error {
	if q, err := C.pixInvert(p.p, p.p); q == nil {
		return failure("invert the image", err)
	}
	return nil
}

// paperLevel is the grey that an even background has.
const paperLevel = 200

// Level gives a copy of a grey or colour image of the same size that is turned
// clockwise about its middle by degrees. White comes in at the corners.
func (p *Pix) Level(degrees float64) (*Pix, error) {
	q, err := C.pixRotate(p.p, C.l_float32(degrees*math.Pi/180), C.L_ROTATE_AREA_MAP, C.L_BRING_IN_WHITE, 0, 0)
	return take(q, "straighten the image", err)
}

// Cut gives a copy of a part.
func (p *Pix) Cut(x, y, width, height int) (*Pix, error) {
	box := C.boxCreate(C.l_int32(x), C.l_int32(y), C.l_int32(width), C.l_int32(height))
	defer C.boxDestroy(&box)
	q, err := C.pixClipRectangle(p.p, box, nil)
	return take(q, "cut the image", err)
}

// Even gives a copy of an 8-bit image with an even background of 200: uneven
// light, tints and stains go. Areas that are dark all over, as photographs and
// white print on colour, suffer.
func (p *Pix) Even() (*Pix, error) {
	q, err := C.pixBackgroundNormSimple(p.p, nil, nil)
	return take(q, "even out the background", err)
}

// The black and white points of a cleaned page were found by measurement: lower
// whites leave show-through, higher ones eat thin print.
const blackPoint, whitePoint = 70, 190

// Whiten makes the background of an even image white in p itself. Print stays.
func (p *Pix) Whiten() error { return p.stretch(blackPoint, whitePoint) }

// Deepen makes pale ink in p itself, an even image, as dark as other ink, letter
// by letter: of print that is dark in places and pale in others the engine sees
// only the former.
func (p *Pix) Deepen(dpi float64) error {
	if failed, err := C.lept_deepen(p.p, C.double(dpi/25.4), blackPoint, whitePoint); failed != 0 {
		return failure("darken pale ink", err)
	}
	return nil
}

// Fade makes white in p itself, a whitened image, what is seen through the paper
// with a contrast of shine, 0 to 1.
func (p *Pix) Fade(shine float64) error {
	const least = 110 // what is darker is print
	point := math.Max(paperLevel*(1-1.2*shine), least)
	if point >= whitePoint {
		return nil
	}
	return p.stretch(0, 255*(point-blackPoint)/(whitePoint-blackPoint))
}

// stretch makes black and white what is beyond two levels, in p itself.
func (p *Pix) stretch(black, white float64) error {
	if q, err := C.pixGammaTRC(p.p, p.p, 1, C.l_int32(black), C.l_int32(white)); q == nil {
		return failure("whiten the background", err)
	}
	return nil
}

// Solids looks for areas of gray, an image before it was cleaned, that are dark
// all over. The dark bed of a scanner around the sheet is made white in p, the
// cleaned image. What is left, as photographs and light print on colour, is told
// as a share of the page, 0 to 1, and put back into p as it was. level is the
// grey of the paper. Images too small to hold any have none.
func (p *Pix) Solids(gray *Pix, dpi float64, level int) (share float64, err error) {
	if min(p.Width(), p.Height()) < 32 {
		return 0, nil
	}
	const dark = 0.65 // of the paper; a shadow is lighter
	var s C.double
	if failed, err := C.lept_solids(p.p, gray.p, C.double(dpi/25.4), C.int(dark*float64(level)), &s); failed != 0 {
		return 0, failure("look for dark areas", err)
	}
	return float64(s), nil
}

// Binary gives a 1-bit copy of an 8-bit image, black where it is darker than
// level.
func (p *Pix) Binary(level int) (*Pix, error) {
	q, err := C.pixThresholdToBinary(p.p, C.l_int32(level))
	return take(q, "reduce the image to black and white", err)
}

// Pieces gives the black pieces of a 1-bit image whose longer side has least to most
// pixels, but no more than limit.
func (p *Pix) Pieces(least, most, limit int) ([]image.Rectangle, error) {
	var boxes *C.int32_t
	n, err := C.lept_pieces(p.p, C.int(least), C.int(most), C.int(limit), &boxes)
	return rectangles(boxes, n, "look for pieces of print", err)
}

// Strokes gives the upright strokes of a 1-bit image that are least pixels long and longer,
// but no more than limit.
func (p *Pix) Strokes(least, limit int) ([]image.Rectangle, error) {
	var boxes *C.int32_t
	n, err := C.lept_strokes(p.p, C.int(least), C.int(limit), &boxes)
	return rectangles(boxes, n, "look for strokes", err)
}

// rectangles takes what a C function has found, and frees it.
func rectangles(boxes *C.int32_t, n C.int, what string, err error) ([]image.Rectangle, error) {
	defer C.free(unsafe.Pointer(boxes))
	if n < 0 {
		return nil, failure(what, err)
	}
	out := make([]image.Rectangle, n)
	for i := range out {
		b := unsafe.Slice(boxes, 4*int(n))[4*i:]
		out[i] = image.Rect(int(b[0]), int(b[1]), int(b[0]+b[2]), int(b[1]+b[3]))
	}
	return out, nil
}

// Clear makes a part of an 8-bit image of one grey, in p itself.
func (p *Pix) Clear(r image.Rectangle, level int) {
	C.lept_clear(p.p, C.int(r.Min.X), C.int(r.Min.Y), C.int(r.Dx()), C.int(r.Dy()), C.int(level))
}

// A Cell is one of the cells of a row of an image, and what is in it.
type Cell struct {
	image.Rectangle                 // within the image
	Ink             image.Rectangle // empty: none
	Parts           int             // pieces beside each other
	Floor           int             // how much of the cell's width has a line below it, pixels
	At              int             // where its ink begins in the image that Row gives, if it has any
}

// Look looks at the cells of an 8-bit image for ink darker than level, and at up to reach
// pixels below their feet for a line darker than pale.
func (p *Pix) Look(cells []Cell, level, pale, reach int) {
	list := cellList(cells)
	C.lept_look(p.p, C.int(level), C.int(pale), C.int(reach), &list[0], C.int(len(list)))
	for i := range cells {
		l := &list[i]
		if cells[i].Parts, cells[i].Floor = int(l.parts), int(l.floor); l.left >= 0 {
			cells[i].Ink = image.Rect(int(l.left), int(l.top), int(l.right), int(l.bottom))
		}
	}
}

// Row moves the ink of cells, of which there is some, together to an image of its own, with
// apart pixels between letters and the width of space for an empty cell.
func (p *Pix) Row(cells []Cell, apart, space int) (*Pix, error) {
	list := cellList(cells)
	row, err := C.lept_row(p.p, &list[0], C.int(len(list)), C.int(apart), C.int(space))
	for i := range cells {
		cells[i].At = int(list[i].at)
	}
	return take(row, "move the letters of cells together", err)
}

// cellList gives cells as C knows them.
func cellList(cells []Cell) []C.lept_cell {
	list := make([]C.lept_cell, len(cells))
	for i, c := range cells {
		list[i] = C.lept_cell{x: C.int32_t(c.Min.X), y: C.int32_t(c.Min.Y), w: C.int32_t(c.Dx()), h: C.int32_t(c.Dy()), left: -1}
		if !c.Ink.Empty() {
			list[i].left, list[i].right = C.int32_t(c.Ink.Min.X), C.int32_t(c.Ink.Max.X)
		}
	}
	return list
}

// Skew measures how far the lines of a 1-bit image are turned clockwise, in
// degrees, at most 10. Without lines that agree it is 0.
func (p *Pix) Skew() float64 {
	// Leptonica advises 3, which misses receipts and handwriting; pages without lines
	// give 0.
	return p.skewWithin(10, 2)
}

// FarSkew is Skew for a page that somebody has laid onto the glass: at most 30 degrees.
func (p *Pix) FarSkew() float64 { return p.skewWithin(30, 3) }

// skewWithin measures a skew of at most so many degrees. least is the confidence, by
// Leptonica's measure, under which there are no lines.
func (p *Pix) skewWithin(most, least float64) float64 {
	const (
		sweepReduction, searchReduction = 4, 2
		sweepStep, accuracy             = 1.0, 0.01 // degrees
	)
	var angle, confidence C.l_float32
	// It fails on images without ink.
	if C.pixFindSkewSweepAndSearch(p.p, &angle, &confidence, sweepReduction, searchReduction,
		C.l_float32(most), sweepStep, accuracy) != 0 || float64(confidence) < least {
		return 0
	}
	return -float64(angle) // it gives the turn that puts the page right
}

// Upright tells by the ascenders and descenders of its letters how a 1-bit image
// lies: quarters is the number of clockwise quarter turns that make it upright.
// sure is how many deviations more stand than chance would have, some 8 to 15 where
// there are digits and capitals mostly, and 20 to 70 on a page of text; 0 if they do not tell.
func (p *Pix) Upright() (quarters int, sure float64, err error) {
	up, err := p.standing()
	if err != nil {
		return 0, 0, err
	}
	// So many stand or hang that it need not be looked how they would lie, which takes
	// as long again.
	const plain = 40
	if up >= plain {
		return 0, up, nil
	}
	if up <= -plain {
		return 2, -up, nil
	}
	turned, err := p.Turn(1)
	if err != nil {
		return 0, 0, err
	}
	defer turned.Close()
	left, err := turned.standing() // whose heads are at the left
	if err != nil {
		return 0, 0, err
	}
	// Leptonica's own bounds; larger ones miss many and mend nothing.
	const least, ratio = 8, 2.5
	switch most, other := math.Max(math.Abs(up), math.Abs(left)), math.Min(math.Abs(up), math.Abs(left)); {
	case most <= least || most <= ratio*other:
		return 0, 0, nil
	case most == up:
		return 0, most, nil
	case most == left:
		return 1, most, nil
	case most == -up:
		return 2, most, nil
	default:
		return 3, most, nil
	}
}

// standing tells by how many deviations more letters of a 1-bit image have a part above
// the line than below it.
func (p *Pix) standing() (float64, error) {
	var up C.l_float32
	if failed, err := C.lept_updown(p.p, &up); failed != 0 {
		return 0, failure("look how the letters stand", err)
	}
	return float64(up), nil
}

// EncodeJPEG gives the image as a JPEG file.
func (p *Pix) EncodeJPEG(quality int) ([]byte, error) {
	var data *C.l_uint8
	var size C.size_t
	failed, err := C.pixWriteMemJpeg(&data, &size, p.p, C.l_int32(quality), 0)
	return encoded(failed, data, size, "write a JPEG", err)
}

// encodePNG gives the image as a PNG file.
func (p *Pix) encodePNG() ([]byte, error) {
	// Scanned paper is noisy: higher levels take several times as long for a few
	// per cent.
	const level = 4
	C.pixSetZlibCompression(p.p, level)
	var data *C.l_uint8
	var size C.size_t
	failed, err := C.pixWriteMemPng(&data, &size, p.p, 0)
	return encoded(failed, data, size, "write a PNG", err)
}

// encodeG4 gives a 1-bit image as a TIFF file with one strip in CCITT group 4.
func (p *Pix) encodeG4() ([]byte, error) {
	var data *C.l_uint8
	var size C.size_t
	failed, err := C.pixWriteMemTiff(&data, &size, p.p, C.IFF_TIFF_G4)
	return encoded(failed, data, size, "write a TIFF", err)
}

// encoded moves what an encoder made into Go memory.
func encoded(failed C.l_ok, data *C.l_uint8, size C.size_t, what string, err error) ([]byte, error) {
	defer C.lept_free(unsafe.Pointer(data))
	if failed != 0 || size == 0 || size > math.MaxInt32 {
		return nil, failure(what, err)
	}
	return C.GoBytes(unsafe.Pointer(data), C.int(size)), nil
}

// Serialized calls do with the image in Leptonica's own uncompressed format,
// which its readers take. The bytes are good until do returns.
func (p *Pix) Serialized(do func([]byte) error) error {
	var data *C.l_uint32
	var size C.size_t
	failed, err := C.pixSerializeToMemory(p.p, &data, &size)
	defer C.lept_free(unsafe.Pointer(data))
	if failed != 0 {
		return failure("serialize the image", err)
	}
	return do(unsafe.Slice((*byte)(unsafe.Pointer(data)), int(size)))
}

// Fit gives a copy whose long side is at most side pixels.
func (p *Pix) Fit(side int) (*Pix, error) {
	width, height := p.Width(), p.Height()
	long := max(width, height)
	if long <= side {
		q, err := C.pixClone(p.p)
		return take(q, "share the image", err)
	}
	return p.Scale(max(1, (width*side+long/2)/long), max(1, (height*side+long/2)/long))
}
