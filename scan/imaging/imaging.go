// Package imaging works on the pixels of a page: it reads images of any of the
// [Format]s, makes of each the form in which a PDF takes it, and straightens and
// cleans it for reading.
//
// [ReadHeader] is plain Go and says what a file claims to be before anything is
// allocated for it. A [Pix] is a decoded image in Leptonica's memory. Decoding
// is C code fed with bytes from outside, so everything that makes a Pix belongs
// in a worker process; see package ocr. A Pix and the package's C state are for
// one goroutine at a time, locked to its thread.
package imaging

import (
	"bytes"
	"errors"
	"fmt"
	"math"
)

// What can be wrong with an image. The text is fit for people.
var (
	ErrFormat  = errors.New("the file is not a JPEG, PNG or TIFF image")
	ErrDamaged = errors.New("the image is damaged")
	ErrSize    = errors.New("the image has an impossible size")
	ErrMemory  = errors.New("there is not enough memory for the image")
)

// Format is the true format of a file, told by its content.
type Format string

// The formats that scanners give.
const (
	JPEG Format = "jpeg"
	PNG  Format = "png"
	TIFF Format = "tiff"
)

// A Header is what an image claims about itself.
type Header struct {
	Format  Format
	Width   int     // pixels, as stored: before any turn the file asks for, unless it is Oblong
	Height  int     // pixels
	Samples int     // per pixel: 1 grey or palette, 2 grey and alpha, 3 colour, 4 colour and alpha, or CMYK
	Bits    int     // per sample
	XRes    float64 // dots per inch; 0 if the file says nothing
	YRes    float64
	// Turn is how a JPEG wishes to be shown, in clockwise quarter turns. Cameras and
	// telephones say so; the decoder does nothing about it.
	Turn int
	// Mirrored reports that a JPEG is, left to right, and wishes to be shown otherwise, before any
	// Turn. Front cameras and slide copiers write that. The decoder undoes it.
	Mirrored bool
	// Plain reports that the compressed data can stand in a PDF as they are:
	// for a JPEG that every reader decodes it, for a PNG that its rows hold
	// 8-bit grey or colour in order.
	Plain bool
	// Lines reports that the image can be read line by line, 8 bits of grey or of red,
	// green and blue: it is decoded at a whole fraction of its size and without its
	// colours, as a JPEG is.
	Lines bool
	// Oblong reports that the pixels of a TIFF, as of a fax, are not square. Width, Height and
	// the resolutions are those of the image that it is decoded to, whose pixels are. Lines of one
	// bit a pixel are repeated for it.
	Oblong bool
	// Mapped is set by who has mapped the file into memory and changes nothing of it: what was
	// read of it is let go of.
	Mapped bool
}

// Colored reports whether the image may have colours. One in grey or black and white can have
// them only by a palette.
func (h Header) Colored() bool {
	return h.Samples > 2 || h.Samples == 1 && h.Format != JPEG && !h.Lines && h.Bits > 1
}

// maxSide bounds width and height. It is the limit of the JPEG format, about
// four metres at 400 dpi.
const maxSide = 65535

// ReadHeader reads what data, a whole file, claims to be. It allocates nothing
// that depends on the claimed size. A claim over maxPixels is refused with an
// error that matches [ErrSize].
func ReadHeader(data []byte, maxPixels int64) (Header, error) {
	var h Header
	var err error
	switch {
	case bytes.HasPrefix(data, []byte("\xff\xd8\xff")):
		h, err = readJPEG(data)
	case bytes.HasPrefix(data, []byte(pngSignature)):
		h, err = readPNG(data)
	case bytes.HasPrefix(data, []byte("II*\x00")), bytes.HasPrefix(data, []byte("MM\x00*")):
		h, err = readTIFF(data)
	default:
		return Header{}, ErrFormat
	}
	if err != nil {
		return Header{}, err
	}
	if h.Width <= 0 || h.Height <= 0 {
		return Header{}, fmt.Errorf("%w: %d x %d pixels", ErrSize, h.Width, h.Height)
	}
	if pixels := int64(h.Width) * int64(h.Height); pixels > maxPixels {
		return Header{}, fmt.Errorf("%w: it claims %d x %d pixels, and the limit is %d million pixels",
			ErrSize, h.Width, h.Height, maxPixels/1e6)
	}
	if h.Width > maxSide || h.Height > maxSide {
		return Header{}, fmt.Errorf("%w: it claims %d x %d pixels, and the limit is %d on a side",
			ErrSize, h.Width, h.Height, maxSide)
	}
	return h, nil
}

// The resolutions that an image of a sheet of paper can have, in dots per inch.
const (
	MinDPI = 75
	MaxDPI = 1200
)

// DPI settles the resolution of an image: its own where that is credible, else
// asked, what the machine was told to scan with, else a guess from its size.
// Software that knows no resolution writes 72 or 96, so these two are believed
// only where nothing was asked.
func (h Header) DPI(asked int) int {
	own := int(math.Round(h.XRes))
	square := math.Abs(h.XRes-h.YRes) <= 0.02*h.XRes
	isDefault := own == 72 || own == 96
	switch {
	case square && !isDefault && own >= MinDPI && own <= MaxDPI:
		return own
	case asked >= MinDPI && asked <= MaxDPI:
		return asked
	case square && own >= MinDPI && own <= MaxDPI:
		return own
	}
	// Nothing is known: take the usual resolution at which the long side comes
	// nearest to that of A4, 11.7 inches.
	best, miss := 300, math.Inf(1)
	for _, dpi := range []int{100, 150, 200, 300, 400, 600} {
		if m := math.Abs(math.Log(float64(max(h.Width, h.Height)) / float64(dpi) / 11.7)); m < miss {
			best, miss = dpi, m
		}
	}
	return best
}
