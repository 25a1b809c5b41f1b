// Package raster makes an image file of the bare lines that a scanner sends.
//
// A document scanner without a JPEG encoder of its own sends its pixels line by
// line. [TIFF] puts the head of an uncompressed TIFF file in front of them while
// they pass: nothing is lost, nothing is held in memory, and it costs next to no
// time, so that the feeder never waits for an encoder. The pages that are kept
// are made smaller later, in a worker.
package raster

import (
	"bytes"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"docscan/device"
)

// Format says what the lines hold.
type Format struct {
	Width      int              // pixels a line
	Lines      int              // of the whole image; see Pad
	Mode       device.ColorMode // Color: RGB by pixel; Gray: 0 is black; LineArt: 1 is black, first pixel in the highest bit
	Resolution int              // dpi
}

// LineBytes is the length of one line.
func (f Format) LineBytes() int {
	switch f.Mode {
	case device.Gray:
		return f.Width
	case device.LineArt:
		return (f.Width + 7) / 8
	}
	return 3 * f.Width
}

// The most that a TIFF file made here may hold. A sheet of A3 at 600 dpi in
// colour has 209 MB; the longest paper of the fi series, 5.6 m, at 200 dpi 460 MB.
const maxBytes = 1 << 30

// check reports a format that no scanner has.
func (f Format) check() error {
	switch {
	case f.Width < 1 || f.Width > 1<<16 || f.Lines < 1 || f.Lines > 1<<20:
		return fmt.Errorf("image of %d by %d pixels", f.Width, f.Lines)
	case f.Resolution < 1 || f.Resolution > 1<<14:
		return fmt.Errorf("image of %d dpi", f.Resolution)
	case f.Mode != device.Color && f.Mode != device.Gray && f.Mode != device.LineArt:
		return fmt.Errorf("image of mode %q", f.Mode)
	case int64(f.LineBytes())*int64(f.Lines) > maxBytes:
		return fmt.Errorf("image of %d by %d pixels is too large", f.Width, f.Lines)
	}
	return nil
}

// ErrTooLong says that the scanner sent more lines than it had announced.
var ErrTooLong = errors.New("more lines than announced")

// TIFF returns a reader of a TIFF file whose pixels come from lines. A paper
// that ends before the announced number of lines is filled up with white, as the
// head of the file has gone by then: scanners announce the longest sheet when
// they find the end of the paper by themselves. Whatever error lines ends with,
// besides io.EOF, is what the reader ends with.
func TIFF(f Format, lines io.Reader) (io.Reader, error) {
	if err := f.check(); err != nil {
		return nil, err
	}
	return &file{head: head(f), lines: lines, left: int64(f.LineBytes()) * int64(f.Lines), white: white(f.Mode)}, nil
}

type file struct {
	head  []byte
	lines io.Reader
	left  int64 // bytes of pixels still to be given
	white byte
	ended bool // lines has ended: the rest is white
}

// Read gives the head, the lines and what is missing.
func (t *file) Read(b []byte) (int, error) {
	if len(t.head) > 0 {
		n := copy(b, t.head)
		t.head = t.head[n:]
		return n, nil
	}
	if t.left == 0 {
		if t.ended {
			return 0, io.EOF
		}
		t.ended = true
		return 0, t.surplus()
	}
	b = b[:min(int64(len(b)), t.left)]
	if t.ended {
		for i := range b {
			b[i] = t.white
		}
		t.left -= int64(len(b))
		return len(b), nil
	}
	n, err := t.lines.Read(b)
	t.left -= int64(n)
	if err == io.EOF {
		t.ended = true
		err = nil
	}
	return n, err
}

// surplus reads on to the end of the lines and says whether there were more.
func (t *file) surplus() error {
	n, err := io.Copy(io.Discard, t.lines)
	switch {
	case err != nil:
		return err
	case n > 0:
		return fmt.Errorf("%w: %d bytes", ErrTooLong, n)
	}
	return io.EOF
}

// white is a byte of paper.
func white(m device.ColorMode) byte {
	if m == device.LineArt {
		return 0
	}
	return 0xff
}

// ones turns bytes over.
var ones = bytes.Repeat([]byte{0xff}, 4<<10)

// Invert makes black white and white black.
func Invert(b []byte) {
	for len(b) > 0 {
		b = b[subtle.XORBytes(b, b, ones):]
	}
}

// Tags and types of TIFF 6.0, part 1, in the order in which a directory has them.
const (
	tagWidth          = 256
	tagLength         = 257
	tagBits           = 258
	tagCompression    = 259
	tagPhotometric    = 262
	tagStripOffsets   = 273
	tagOrientation    = 274
	tagSamples        = 277
	tagRowsPerStrip   = 278
	tagStripBytes     = 279
	tagXResolution    = 282
	tagYResolution    = 283
	tagResolutionUnit = 296

	typeShort    = 3
	typeLong     = 4
	typeRational = 5
)

// head makes what stands before the pixels: the file header, one directory and
// the values that do not fit into it. All pixels are one strip.
func head(f Format) []byte {
	const entries = 13
	const extra = 8 + 2 + entries*12 + 4 // where the values begin that do not fit
	const start = extra + 6 + 2 + 16     // where the pixels begin: bits (padded), two resolutions
	le := binary.LittleEndian
	b := []byte{'I', 'I', 42, 0, 8, 0, 0, 0}
	b = le.AppendUint16(b, entries)
	entry := func(tag, kind uint16, count, value uint32) {
		b = le.AppendUint16(b, tag)
		b = le.AppendUint16(b, kind)
		b = le.AppendUint32(b, count)
		b = le.AppendUint32(b, value)
	}
	bits, samples, photometric := uint32(8), uint32(1), uint32(1) // grey: 0 is black
	switch f.Mode {
	case device.Color:
		samples, photometric = 3, 2 // RGB
	case device.LineArt:
		bits, photometric = 1, 0 // 0 is white
	}
	entry(tagWidth, typeLong, 1, uint32(f.Width))
	entry(tagLength, typeLong, 1, uint32(f.Lines))
	if samples == 3 {
		entry(tagBits, typeShort, 3, extra)
	} else {
		entry(tagBits, typeShort, 1, bits)
	}
	entry(tagCompression, typeShort, 1, 1) // none
	entry(tagPhotometric, typeShort, 1, photometric)
	entry(tagStripOffsets, typeLong, 1, start)
	entry(tagOrientation, typeShort, 1, 1)
	entry(tagSamples, typeShort, 1, samples)
	entry(tagRowsPerStrip, typeLong, 1, uint32(f.Lines))
	entry(tagStripBytes, typeLong, 1, uint32(f.LineBytes()*f.Lines))
	entry(tagXResolution, typeRational, 1, extra+8)
	entry(tagYResolution, typeRational, 1, extra+16)
	entry(tagResolutionUnit, typeShort, 1, 2) // inch
	b = le.AppendUint32(b, 0)                 // no further directory
	for range 3 {
		b = le.AppendUint16(b, uint16(bits))
	}
	b = append(b, 0, 0)
	for range 2 {
		b = le.AppendUint32(b, uint32(f.Resolution))
		b = le.AppendUint32(b, 1)
	}
	return b
}
