package imaging

import (
	"encoding/binary"
	"fmt"
	"math"
)

// TIFF tags that are read here (TIFF 6.0 section 8).
const (
	tagWidth       = 256
	tagHeight      = 257
	tagBits        = 258
	tagStripOffset = 273
	tagOrientation = 274
	tagSamples     = 277
	tagStripBytes  = 279
	tagXRes        = 282
	tagYRes        = 283
	tagResUnit     = 296
)

// readTIFF reads the first directory: of several pages the first is meant.
func readTIFF(data []byte) (Header, error) {
	d, err := readIFD(data)
	if err != nil {
		return Header{}, err
	}
	h := Header{
		Format:  TIFF,
		Width:   d.number(tagWidth, 0),
		Height:  d.number(tagHeight, 0),
		Bits:    d.number(tagBits, 1),
		Samples: d.number(tagSamples, 1),
	}
	h.XRes, h.YRes = d.resolution()
	if d.number(tagOrientation, 1) <= upside {
		h.square()
	}
	h.Lines = !h.Oblong && d.strips(h) != nil
	return h, nil
}

// upside is the last orientation in which rows of the file are rows of the image.
const upside = 4

// square sees to it that the image of a fax, which has about half as many lines to the inch as
// pixels in a line, is decoded with as many of both. One of the fine kind, of 204 x 196, stays as it
// is.
func (h *Header) square() {
	const least, most = 1.5, 4 // times one resolution
	if h.XRes < MinDPI || h.YRes < MinDPI || h.XRes > MaxDPI || h.YRes > MaxDPI || h.Width < 1 || h.Height < 1 || h.Width > maxSide || h.Height > maxSide {
		return
	}
	high := max(h.XRes, h.YRes)
	if low := min(h.XRes, h.YRes); high < least*low || high > most*low {
		return
	}
	width, height := int(math.Round(float64(h.Width)*high/h.XRes)), int(math.Round(float64(h.Height)*high/h.YRes))
	if width > maxSide || height > maxSide {
		return // a fax roll is better flat than refused
	}
	h.Width, h.Height, h.XRes, h.YRes, h.Oblong = width, height, high, high, true
}

// A directory is the first image file directory of a TIFF, or that of an Exif
// segment, which has the same form.
type directory struct {
	data    []byte
	order   binary.ByteOrder
	entries map[uint16]tiffEntry
}

type tiffEntry struct {
	kind  uint16
	count uint32
	value []byte // the four bytes in the entry: the value, or where it is
}

// readIFD reads the first directory of data. Values are looked up later.
func readIFD(data []byte) (directory, error) {
	cut := fmt.Errorf("%w: the TIFF is cut off", ErrDamaged)
	if len(data) < 8 {
		return directory{}, cut
	}
	d := directory{data: data, order: binary.LittleEndian, entries: make(map[uint16]tiffEntry)}
	if data[0] == 'M' {
		d.order = binary.BigEndian
	}
	at := uint64(d.order.Uint32(data[4:]))
	if at+2 > uint64(len(data)) {
		return directory{}, cut
	}
	n := uint64(d.order.Uint16(data[at:]))
	at += 2
	if at+12*n > uint64(len(data)) {
		return directory{}, cut
	}
	for ; n > 0; n-- {
		e := data[at : at+12]
		d.entries[d.order.Uint16(e)] = tiffEntry{d.order.Uint16(e[2:]), d.order.Uint32(e[4:]), e[8:12]}
		at += 12
	}
	return d, nil
}

// number gives the first value of an integer tag, or otherwise if it is absent.
func (d directory) number(tag uint16, otherwise int) int {
	e, ok := d.entries[tag]
	if !ok || e.count == 0 {
		return otherwise
	}
	const short, long = 3, 4
	switch e.kind {
	case short:
		if e.count <= 2 {
			return int(d.order.Uint16(e.value))
		}
		if v := d.at(e, 2); v != nil {
			return int(d.order.Uint16(v))
		}
	case long:
		if e.count == 1 {
			return int(d.order.Uint32(e.value))
		}
		if v := d.at(e, 4); v != nil {
			return int(d.order.Uint32(v))
		}
	}
	return otherwise
}

// at gives the n bytes that e points to, nil if they are not in the file.
func (d directory) at(e tiffEntry, n uint64) []byte {
	at := uint64(d.order.Uint32(e.value))
	if at+n > uint64(len(d.data)) {
		return nil
	}
	return d.data[at : at+n]
}

// resolution gives the dots per inch, 0 where there are none.
func (d directory) resolution() (x, y float64) {
	const inch, centimetre = 2, 3
	unit := 1.0
	switch d.number(tagResUnit, inch) {
	case inch:
	case centimetre:
		unit = 2.54
	default:
		return 0, 0
	}
	return unit * d.rational(tagXRes), unit * d.rational(tagYRes)
}

// turn says how the image asks to be shown: mirrored left to right, and then turned
// clockwise by quarters.
func (d directory) turn() (quarters int, mirrored bool) {
	switch d.number(tagOrientation, 1) {
	case 2:
		return 0, true
	case 3:
		return 2, false
	case 4:
		return 2, true
	case 5:
		return 3, true
	case 6:
		return 1, false
	case 7:
		return 1, true
	case 8:
		return 3, false
	}
	return 0, false
}

func (d directory) rational(tag uint16) float64 {
	const rational = 5
	e, ok := d.entries[tag]
	if !ok || e.kind != rational || e.count == 0 {
		return 0
	}
	v := d.at(e, 8)
	if v == nil {
		return 0
	}
	den := d.order.Uint32(v[4:])
	if den == 0 {
		return 0
	}
	return float64(d.order.Uint32(v)) / float64(den)
}

// strip gives the compressed pixels of a TIFF that has them in one piece.
func (d directory) strip() ([]byte, error) {
	at, n := uint64(d.number(tagStripOffset, 0)), uint64(d.number(tagStripBytes, 0))
	if d.entries[tagStripOffset].count != 1 || at == 0 || n == 0 || at+n > uint64(len(d.data)) {
		return nil, fmt.Errorf("%w: the TIFF does not hold its pixels in one piece", ErrDamaged)
	}
	return d.data[at : at+n], nil
}
