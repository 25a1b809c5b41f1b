package imaging

import (
	"bytes"
	"compress/zlib"
	"errors"
	"fmt"
	"io"
)

// How the pixels of a strip are stored (TIFF 6.0 sections 7, 9, 13 and 14, and Adobe's note on
// Deflate).
const (
	bare          = 1
	lzw           = 5
	deflate       = 8
	packBits      = 32773
	earlyDeflate  = 32946
	noPredictor   = 1
	differences   = 2 // of a pixel from that to its left
	contiguous    = 1
	planesApart   = 2
	tagStripRows  = 278
	tagCompressed = 259
	tagPredictor  = 317
	tagPlanar     = 284
)

// strips gives what a TIFF of 8-bit grey or colour stores, in the order of its lines, a piece
// for each plane if they are apart. It gives nil for another TIFF, or if parts of it are missing. h
// says what it should be.
func (d directory) strips(h Header) [][]byte {
	const (
		tagPhotometric, tagFill, tagExtra, tagFormat = 262, 266, 338, 339
		blackIsZero, rgb, highFirst, unsigned        = 1, 2, 1, 1
	)
	if h.Width < 1 || h.Height < 1 || h.Width > maxSide || h.Height > maxSide { // a claim: nothing may grow with it
		return nil
	}
	photometric := map[int]int{1: blackIsZero, 3: rgb}[h.Samples]
	if photometric == 0 || h.Bits != 8 || d.number(tagPhotometric, 0) != photometric ||
		d.number(tagFill, highFirst) != highFirst || d.number(tagOrientation, 1) != 1 ||
		d.number(tagFormat, unsigned) != unsigned || d.entries[tagExtra].count > 0 {
		return nil
	}
	if _, palette := d.entries[320]; palette {
		return nil
	}
	for i := range h.Samples {
		if d.item(tagBits, i, 8) != 8 {
			return nil
		}
	}
	s := d.storage(h)
	if !s.known() {
		return nil
	}
	n := (h.Height + s.rows - 1) / s.rows
	if d.entries[tagStripOffset].count != uint32(n*s.planes) {
		return nil
	}
	var out [][]byte
	for i := range n * s.planes {
		size := uint64(min(s.rows, h.Height-i%n*s.rows)) * uint64(h.lineBytes()/s.planes)
		if s.compression != bare {
			size = uint64(d.item(tagStripBytes, i, 0))
		}
		at := uint64(d.item(tagStripOffset, i, 0))
		if all := uint64(len(d.data)); at == 0 || at > all || size == 0 || size > all-at {
			return nil
		}
		strip := d.data[at : at+size]
		if s.compression == lzw && strip[0] == 0 { // codes from the low end, as long ago; others begin with a 1
			return nil
		}
		out = append(out, strip)
	}
	return out
}

// A storage is how the pixels of a TIFF are stored.
type storage struct {
	compression, predictor int
	planes                 int // that are apart; 1: none is
	rows                   int // of a strip
}

func (d directory) storage(h Header) storage {
	s := storage{d.number(tagCompressed, bare), noPredictor, 1, min(d.number(tagStripRows, h.Height), h.Height)}
	if s.compression == lzw || s.compression == deflate || s.compression == earlyDeflate {
		s.predictor = d.number(tagPredictor, noPredictor)
	}
	switch planar := d.number(tagPlanar, contiguous); {
	case planar == planesApart:
		s.planes = h.Samples
	case planar != contiguous:
		s.planes = 0
	}
	return s
}

func (s storage) known() bool {
	switch s.compression {
	case bare, lzw, deflate, packBits, earlyDeflate:
		return (s.predictor == noPredictor || s.predictor == differences) && s.planes > 0 && s.rows > 0
	}
	return false
}

// open gives the pixels of a strip, the differences of them if there is a predictor. before is a
// reader of another strip, or nil: its memory is taken again. It gives nil if nothing can be read.
func (s storage) open(strip []byte, before io.Reader) io.Reader {
	switch s.compression {
	case lzw:
		z, ok := before.(*lzwReader)
		if !ok {
			z = newLZW()
		}
		z.reset(strip)
		return z
	case deflate, earlyDeflate:
		in := bytes.NewReader(strip)
		if z, ok := before.(zlib.Resetter); ok && z.Reset(in, nil) == nil {
			return before
		}
		if z, err := zlib.NewReader(in); err == nil {
			return z
		}
		return nil
	case packBits:
		return &packBitsReader{in: strip}
	}
	return bytes.NewReader(strip)
}

// item gives one of the values of an integer tag, or otherwise if it is absent.
func (d directory) item(tag uint16, i, otherwise int) int {
	e, ok := d.entries[tag]
	size := map[uint16]int{3: 2, 4: 4}[e.kind] // short and long
	if !ok || size == 0 || i >= int(e.count) {
		return otherwise
	}
	all := e.value
	if n := uint64(e.count) * uint64(size); n > 4 {
		if all = d.at(e, n); all == nil {
			return otherwise
		}
	}
	if size == 2 {
		return int(d.order.Uint16(all[2*i:]))
	}
	return int(d.order.Uint32(all[4*i:]))
}

func (h Header) eachOfTIFF(data []byte, do func(line []byte) error) (damaged bool, err error) {
	d, err := readIFD(data)
	if err != nil {
		return false, err
	}
	s := d.storage(h)
	strips := d.strips(h)
	if s.compression == bare && s.planes == 1 {
		return false, h.eachBare(strips, do)
	}
	line, plane := make([]byte, h.lineBytes()), make([]byte, h.lineBytes()/s.planes)
	n, read := len(strips)/s.planes, 0
	from := make([]io.Reader, s.planes)
	for i := range n {
		for p := range from {
			from[p] = s.open(strips[p*n+i], from[p])
		}
		for range min(s.rows, h.Height-i*s.rows) {
			for p := range from {
				to, back := line, h.Samples
				if s.planes > 1 {
					to, back = plane, 1
				}
				if s.line(from[p], to, back) {
					read++
				} else {
					from[p], damaged = nil, true
				}
				for x := 0; x < len(plane) && s.planes > 1; x++ {
					line[x*s.planes+p] = plane[x]
				}
			}
			if err := do(line); err != nil {
				return damaged, err
			}
		}
		for p := range from {
			h.forget(strips[p*n+i])
		}
	}
	if read == 0 {
		return false, fmt.Errorf("%w: no line of the TIFF can be read", ErrDamaged)
	}
	return damaged, nil
}

// line reads a line of pixels of back bytes. If not all of it is there it makes it white, and
// reports false.
func (s storage) line(from io.Reader, line []byte, back int) bool {
	if from != nil {
		if _, err := io.ReadFull(from, line); err == nil {
			for i := back; i < len(line) && s.predictor == differences; i++ {
				line[i] += line[i-back]
			}
			return true
		}
	}
	for i := range line {
		line[i] = 255
	}
	return false
}

// eachBare gives lines that are stored as they are.
func (h Header) eachBare(strips [][]byte, do func(line []byte) error) error {
	const enough = 1 << 20 // bytes that are let go of at once
	size := h.lineBytes()
	for _, s := range strips {
		kept := 0
		for at := 0; at < len(s); at += size {
			if err := do(s[at : at+size]); err != nil {
				return err
			}
			if at+size-kept > enough {
				h.forget(s[kept : at+size])
				kept = at + size
			}
		}
		h.forget(s[kept:])
	}
	return nil
}

// A packBitsReader reads bytes that are packed as a Macintosh did.
type packBitsReader struct {
	in   []byte
	copy []byte // to take as they are
	run  int    // times that the first byte of in is to be repeated
}

func (k *packBitsReader) Read(b []byte) (n int, err error) {
	for n < len(b) {
		switch {
		case len(k.copy) > 0:
			m := copy(b[n:], k.copy)
			k.copy = k.copy[m:]
			n += m
		case k.run > 0:
			m := min(k.run, len(b)-n)
			for i := range m {
				b[n+i] = k.in[0]
			}
			n += m
			if k.run -= m; k.run == 0 {
				k.in = k.in[1:]
			}
		case len(k.in) < 2:
			return n, io.ErrUnexpectedEOF
		default:
			head := int(int8(k.in[0]))
			k.in = k.in[1:]
			switch {
			case head >= 0:
				m := min(head+1, len(k.in))
				k.copy, k.in = k.in[:m], k.in[m:]
			case head != -128:
				k.run = 1 - head
			}
		}
	}
	return n, nil
}

// An lzwReader reads TIFF's LZW, whose codes grow by a bit one code earlier than those of a
// GIF. Of each string that has a code the table has the last byte and the code of
// what comes before it.
type lzwReader struct {
	in     []byte
	bits   uint32
	n      uint // of bits that are left
	width  uint // of a code
	next   int  // code that is to be given
	last   int  // code that was read; < 0: none since the table was cleared
	prefix [1 << mostLZW]uint16
	suffix [1 << mostLZW]byte
	first  [1 << mostLZW]byte
	length [1 << mostLZW]uint16
	buf    [1 << mostLZW]byte
	left   []byte // of buf, to be read
	err    error
}

// mostLZW is the most bits of a code.
const mostLZW = 12

// The codes behind those of single bytes.
const (
	lzwClear = 256 + iota
	lzwEnd
	lzwFirst
)

func newLZW() *lzwReader {
	z := new(lzwReader)
	for i := range 256 {
		z.suffix[i], z.first[i], z.length[i] = byte(i), byte(i), 1
	}
	return z
}

func (z *lzwReader) reset(in []byte) {
	z.in, z.n, z.left, z.err = in, 0, nil, nil
	z.clear()
}

func (z *lzwReader) clear() { z.width, z.next, z.last = 9, lzwFirst, -1 }

func (z *lzwReader) Read(b []byte) (n int, err error) {
	for n < len(b) {
		if len(z.left) > 0 {
			m := copy(b[n:], z.left)
			z.left = z.left[m:]
			n += m
			continue
		}
		if z.err != nil {
			return n, z.err
		}
		var code int
		if code, z.err = z.code(); z.err != nil {
			continue
		}
		to := z.buf[:z.length[code]]
		if room := b[n:]; len(to) <= len(room) {
			to = room[:len(to)]
			n += len(to)
		} else {
			z.left = to
		}
		for i := len(to) - 1; i >= 0; i-- {
			to[i] = z.suffix[code]
			code = int(z.prefix[code])
		}
	}
	return n, nil
}

// code gives the next code of a string, which is in the table.
func (z *lzwReader) code() (int, error) {
	for {
		for z.n < z.width {
			if len(z.in) == 0 {
				return 0, io.ErrUnexpectedEOF
			}
			z.bits = z.bits<<8 | uint32(z.in[0])
			z.in = z.in[1:]
			z.n += 8
		}
		z.n -= z.width
		code := int(z.bits >> z.n & (1<<z.width - 1))
		switch {
		case code == lzwClear:
			z.clear()
			continue
		case code == lzwEnd:
			return 0, io.EOF
		case code > z.next || z.last < 0 && code > 255 || code == z.next && z.next == len(z.prefix):
			return 0, errors.New("a code that nothing has been given")
		}
		if z.last >= 0 && z.next < len(z.prefix) {
			z.prefix[z.next], z.first[z.next], z.length[z.next] = uint16(z.last), z.first[z.last], z.length[z.last]+1
			z.suffix[z.next] = z.first[code] // of the code itself, if that is this one
			z.next++
			if z.next+1 >= 1<<z.width && z.width < mostLZW {
				z.width++
			}
		}
		z.last = code
		return code, nil
	}
}
