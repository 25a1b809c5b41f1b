// Package jbig2 codes black-and-white images without loss as JBIG2 (ITU-T
// T.88), in the form in which a PDF takes them: one page with one generic
// region, arithmetic coding, template 0, typical prediction.
//
// There are no symbol dictionaries here: those that save much put one letter in
// the place of another that looks alike, which no archive can bear.
package jbig2

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// A Bitmap is an image with one bit a pixel, 1 for black. Rows are padded to
// whole bytes, the leftmost pixel is the highest bit, and the padding is 0.
type Bitmap struct {
	Width, Height int
	Stride        int // bytes of a row
	Pix           []byte
}

// NewBitmap makes a white bitmap.
func NewBitmap(width, height int) *Bitmap {
	stride := (width + 7) / 8
	return &Bitmap{width, height, stride, make([]byte, stride*height)}
}

// At reports whether a pixel is black. Outside all is white.
func (b *Bitmap) At(x, y int) bool {
	return x >= 0 && y >= 0 && x < b.Width && y < b.Height && b.Pix[y*b.Stride+x/8]&(0x80>>(x%8)) != 0
}

// Set makes a pixel black.
func (b *Bitmap) Set(x, y int) { b.Pix[y*b.Stride+x/8] |= 0x80 >> (x % 8) }

// Row gives the bytes of a row.
func (b *Bitmap) Row(y int) []byte { return b.Pix[y*b.Stride : (y+1)*b.Stride] }

// Types of segments (T.88, 7.3), and how their headers are built.
const (
	segmentPage    = 48
	segmentGeneric = 38 // immediate generic region
	pageOfSegment  = 1
	lossless       = 0x01 // flag of the page: eventually lossless
	typical        = 0x08 // flag of the region: typical prediction
)

// adaptive holds the nominal places of the four adaptive pixels of template 0
// (T.88, 6.2.5.4).
var adaptive = [8]byte{3, 0xff, 0xfd, 0xff, 2, 0xfe, 0xfe, 0xfe}

// contextTypical is the context in which the bit of typical prediction is coded
// (T.88, figure 8).
const contextTypical = 0x9b25

// Encode codes b for the filter JBIG2Decode, which shows 1 as black and needs no
// globals.
func Encode(b *Bitmap) ([]byte, error) {
	if b.Width < 1 || b.Height < 1 || b.Width > math.MaxInt32 || b.Height > math.MaxInt32 ||
		b.Stride < (b.Width+7)/8 || len(b.Pix) < b.Stride*b.Height {
		return nil, fmt.Errorf("code as JBIG2: an image of %d x %d pixels in %d bytes", b.Width, b.Height, len(b.Pix))
	}
	size := binary.BigEndian.AppendUint32(nil, uint32(b.Width))
	size = binary.BigEndian.AppendUint32(size, uint32(b.Height))

	page := append(size[:8:8], make([]byte, 8)...) // resolution unknown
	page = append(page, lossless, 0, 0)            // not striped
	region := append(size[:8:8], make([]byte, 8)...)
	region = append(region, 0) // it lies in the page's corner and is laid over
	region = append(region, typical)
	region = append(region, adaptive[:]...)
	region = append(region, generic(b)...)
	if len(region) > math.MaxInt32 {
		return nil, errors.New("code as JBIG2: too many bytes")
	}
	out := segment(nil, 0, segmentPage, page)
	return segment(out, 1, segmentGeneric, region), nil
}

// segment appends a segment that refers to no other.
func segment(out []byte, number uint32, kind byte, data []byte) []byte {
	out = binary.BigEndian.AppendUint32(out, number)
	out = append(out, kind, 0, pageOfSegment)
	out = binary.BigEndian.AppendUint32(out, uint32(len(data)))
	return append(out, data...)
}

// generic codes the pixels (T.88, 6.2.5.7). A pixel's context are its
// neighbours: bits 15 to 11 are x-2 to x+2 two rows above, 10 to 4 are x-3 to
// x+3 one row above, 3 to 0 are x-4 to x-1.
func generic(b *Bitmap) []byte {
	c := newCoder()
	// Rows with a byte more than they have, which stands for what is beyond the
	// edge, so that the loop below need not look for it.
	wide := (b.Width + 7) / 8
	row, above, above2 := make([]byte, wide+1), make([]byte, wide+1), make([]byte, wide+1)
	marks := make([]byte, wide+1) // what is black in any of the three
	same := false                 // the row above was the same as the one above it
	for y := range b.Height {
		row, above, above2 = above2, row, above
		copy(row, b.Row(y)[:wide])
		if r := b.Width % 8; r != 0 {
			row[wide-1] &= 0xff << (8 - r)
		}
		typical := string(row) == string(above)
		c.code(contextTypical, typical != same)
		same = typical
		if typical {
			continue
		}
		for i := range marks {
			marks[i] = row[i] | above[i] | above2[i]
		}
		codeRow(c, b.Width, row, above, above2, marks)
	}
	return c.flush()
}

// codeRow codes one row; the slices have a byte of nothing at their end.
func codeRow(c *coder, width int, row, above, above2, marks []byte) {
	// The next pixels of the rows above that come into the context.
	context := uint32(above[0]>>4)<<4 | uint32(above2[0]>>5)<<11
	last := len(row) - 1
	for i := 0; i < last; i++ {
		if context == 0 && marks[i] == 0 && marks[i+1] == 0 {
			// Most of a page is white: pass over as much as there is at once.
			j := i + 1
			for j < last && marks[j+1] == 0 {
				j++
			}
			c.white(min(width, j*8) - i*8)
			i = j - 1
			continue
		}
		// 16 bits: this byte's pixels and those of the next.
		a := uint32(above[i])<<8 | uint32(above[i+1])
		a2 := uint32(above2[i])<<8 | uint32(above2[i+1])
		r := uint32(row[i])
		for bit := range min(8, width-i*8) {
			v := r >> (7 - bit) & 1
			c.code(context, v != 0)
			context = context<<1&0xf7ee | v | a>>(11-bit)&1<<4 | a2>>(12-bit)&1<<11
		}
	}
}
