package imaging

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// #include "lept.h"
// #include "planes.h"
import "C"

// An image in colour takes four bytes a pixel once Leptonica has decoded it, and as many
// again while it does: 70 MB for a sheet of A4 at 300 dpi, 280 MB at 600. Scanners
// without a JPEG encoder send bare lines, which are stored as they come, and many files
// that are handed in are PNGs or TIFFs. Of these one line at a time is enough to make what
// is worked with, which is grey, or reduced, or planes.

// eachLine calls do with the lines of an image that has them, see [Header.Lines], from
// the top: a byte a pixel of grey, or three of red, green and blue. A line is
// good until do returns. damaged tells that what could not be read is white.
func (h Header) eachLine(data []byte, do func(line []byte) error) (damaged bool, err error) {
	if h.Format == TIFF {
		return h.eachOfTIFF(data, do)
	}
	return false, h.eachOfPNG(data, do)
}

// lineBytes is the length of a line.
func (h Header) lineBytes() int { return h.Width * h.Samples }

// forget lets go of a part of a file that is mapped: the system has it still, and maps
// it again when it is read. What is written to, as Go's own memory is, must not
// come here.
func (h Header) forget(part []byte) {
	page := uintptr(os.Getpagesize())
	if !h.Mapped || len(part) == 0 {
		return
	}
	from := uintptr(unsafe.Pointer(unsafe.SliceData(part)))
	skip := -from & (page - 1)
	if size := uintptr(len(part)); skip < size {
		if whole := (size - skip) &^ (page - 1); whole > 0 {
			unix.Madvise(part[skip:skip+whole], unix.MADV_DONTNEED) // an advice: who cannot take it goes on
		}
	}
}

// eachOfPNG undoes the filters of ISO/IEC 15948, 9.2.
func (h Header) eachOfPNG(data []byte, do func(line []byte) error) error {
	defer h.forget(data)
	var parts []io.Reader
	sound := true
	err := pngChunks(data, func(name string, body []byte) bool {
		if name == "IDAT" {
			whole := body[:cap(body)] // of the file, with what follows
			sum := crc32.Update(crc32.ChecksumIEEE([]byte(name)), crc32.IEEETable, body)
			sound = sound && len(whole) >= len(body)+4 && sum == binary.BigEndian.Uint32(whole[len(body):])
			parts = append(parts, bytes.NewReader(body))
		}
		return sound
	})
	if err != nil {
		return err
	}
	if !sound {
		return fmt.Errorf("%w: the PNG is cut off, or a checksum of it is wrong", ErrDamaged)
	}
	damaged := func(err error) error {
		return fmt.Errorf("%w: the pixels of the PNG: %w", ErrDamaged, err)
	}
	z, err := zlib.NewReader(io.MultiReader(parts...))
	if err != nil {
		return damaged(err)
	}
	size, back := h.lineBytes(), h.Samples
	line, before := make([]byte, 1+size), make([]byte, 1+size)
	for range h.Height {
		if _, err := io.ReadFull(z, line); err != nil {
			return damaged(err)
		}
		if err := unfilter(line, before, back); err != nil {
			return err
		}
		if err := do(line[1:]); err != nil {
			return err
		}
		line, before = before, line
	}
	return nil
}

// The filters of a PNG.
const (
	noFilter = iota
	subFilter
	upFilter
	meanFilter
	paethFilter
	filters
)

// unfilter gives line, which begins with its filter, the values of its pixels of back bytes
// each. before is the line above.
func unfilter(line, before []byte, back int) error {
	cur, up := line[1:], before[1:]
	switch line[0] {
	case noFilter:
	case subFilter:
		for i := back; i < len(cur); i++ {
			cur[i] += cur[i-back]
		}
	case upFilter:
		for i, v := range up {
			cur[i] += v
		}
	case meanFilter:
		for i := range min(back, len(cur)) {
			cur[i] += up[i] / 2
		}
		for i := back; i < len(cur); i++ {
			cur[i] += uint8((int(cur[i-back]) + int(up[i])) / 2)
		}
	case paethFilter:
		for i := range min(back, len(cur)) {
			cur[i] += up[i]
		}
		for i := back; i < len(cur); i++ {
			cur[i] += paeth(cur[i-back], up[i], up[i-back])
		}
	default:
		return fmt.Errorf("%w: filter %d in the PNG", ErrDamaged, line[0])
	}
	return nil
}

// paeth gives the one of the left, upper and upper left neighbours that is nearest to what a
// plane through them would be.
func paeth(left, up, corner uint8) uint8 {
	a, b, c := int(left), int(up), int(corner)
	// The distances of a+b-c.
	da, db, dc := b-c, a-c, a+b-2*c
	da, db, dc = max(da, -da), max(db, -db), max(dc, -dc)
	switch {
	case da <= db && da <= dc:
		return left
	case db <= dc:
		return up
	}
	return corner
}

// reduced calls do with the lines of an image at 1/reduce of its size. The pixels at the
// right and lower edge may be means of fewer. colored tells whether any pixel
// is not grey; it is sure at the end.
func (h Header) reduced(data []byte, reduce int, colored *bool, do func(line []byte) error) (damaged bool, err error) {
	if h.Samples != 3 {
		*colored = false
	}
	width := (h.Width + reduce - 1) / reduce
	sum, out := make([]uint32, width*h.Samples), make([]byte, width*h.Samples)
	lines, seen := 0, h.Samples != 3
	emit := func() error {
		for x := range width {
			n := uint32(lines * min(reduce, h.Width-x*reduce))
			for i := x * h.Samples; i < (x+1)*h.Samples; i++ {
				out[i] = uint8((sum[i] + n/2) / n)
				sum[i] = 0
			}
		}
		lines = 0
		return do(out)
	}
	damaged, err = h.eachLine(data, func(line []byte) error {
		for x := 0; !seen && x < len(line); x += 3 {
			seen = line[x] != line[x+1] || line[x] != line[x+2]
		}
		*colored = seen && h.Samples == 3
		if reduce == 1 {
			return do(line)
		}
		if h.Samples == 1 {
			for x, v := range line {
				sum[x/reduce] += uint32(v)
			}
		} else {
			for x := range width {
				s := sum[3*x : 3*x+3 : 3*x+3]
				for part := line[3*x*reduce : 3*min((x+1)*reduce, h.Width)]; len(part) >= 3; part = part[3:] {
					s[0], s[1], s[2] = s[0]+uint32(part[0]), s[1]+uint32(part[1]), s[2]+uint32(part[2])
				}
			}
		}
		if lines++; lines < reduce {
			return nil
		}
		return emit()
	})
	if err == nil && lines > 0 {
		err = emit()
	}
	return damaged, err
}

// luminance is that of JFIF, in units of 1/65536.
func luminance(r, g, b uint8) uint8 {
	return uint8((19595*uint32(r) + 38470*uint32(g) + 7471*uint32(b) + 32768) >> 16)
}

// decodeLines is [Decode] for an image that has lines.
func decodeLines(data []byte, h Header, reduce int, gray bool) (p *Pix, damaged bool, err error) {
	samples := h.Samples
	if gray {
		samples = 1
	}
	width, height := (h.Width+reduce-1)/reduce, (h.Height+reduce-1)/reduce
	q, err := C.pixCreateNoInit(C.l_int32(width), C.l_int32(height), C.l_int32(map[int]int{1: 8, 3: 32}[samples]))
	if p, err = take(q, "decode the image", err); err != nil {
		return nil, false, err
	}
	y, colored := 0, false
	light := make([]byte, width)
	damaged, err = h.reduced(data, reduce, &colored, func(line []byte) error {
		if samples < h.Samples {
			for x := range light {
				light[x] = luminance(line[3*x], line[3*x+1], line[3*x+2])
			}
			line = light
		}
		C.lept_line(p.p, C.l_int32(y), bytesOf(line))
		y++
		return nil
	})
	if err != nil {
		p.Close()
		return nil, false, err
	}
	if samples == 3 && !colored {
		flat, cause := C.lept_flatten(p.p) // which takes it over
		if p, err = take(flat, "decode the image", cause); err != nil {
			return nil, false, err
		}
	}
	return p, damaged, err
}

// linePlanes is [DecodePlanes] for an image that has lines.
func linePlanes(data []byte, h Header, reduce int) (*Planes, error) {
	width, height := (h.Width+reduce-1)/reduce, (h.Height+reduce-1)/reduce
	p, err := takePlanes("decode the image", func(c *C.planes) C.int {
		return C.planes_make(C.int(width), C.int(height), C.int(h.Samples), c)
	})
	if err != nil {
		return nil, err
	}
	y, colored := 0, false
	colors := make([]int32, 4*((width+1)/2)) // sums of red, green and blue, and how many
	shared := func() {                       // one colour for four pixels, when the second of two lines is through
		cb, cr := p.Cb.Row((y-1)/2), p.Cr.Row((y-1)/2)
		for x := range cb {
			r, g, b, n := colors[4*x], colors[4*x+1], colors[4*x+2], colors[4*x+3]
			cb[x] = uint8(((-11059*r-21709*g+32768*b)/n + 128<<16 + 32767) >> 16)
			cr[x] = uint8(((32768*r-27439*g-5329*b)/n + 128<<16 + 32767) >> 16)
		}
		clear(colors)
	}
	_, err = h.reduced(data, reduce, &colored, func(line []byte) error {
		to := p.Y.Row(y)
		y++
		if h.Samples == 1 {
			copy(to, line)
			return nil
		}
		for x := range to {
			r, g, b := line[3*x], line[3*x+1], line[3*x+2]
			to[x] = luminance(r, g, b)
			c := colors[4*(x/2) : 4*(x/2)+4 : 4*(x/2)+4]
			c[0], c[1], c[2], c[3] = c[0]+int32(r), c[1]+int32(g), c[2]+int32(b), c[3]+1
		}
		if y%2 == 0 || y == height {
			shared()
		}
		return nil
	})
	if err != nil {
		p.Close()
		return nil, err
	}
	if !colored {
		p.Cb, p.Cr = nil, nil
	}
	return p, nil
}

// deflate writes the lines of an image as FlateDecode with predictor 15 takes them. colors
// is 1 for an image in colour all of whose pixels are grey.
func (h Header) deflate(w io.Writer, data []byte) (colors int, err error) {
	colored := false
	if h.Samples == 3 {
		if _, err := h.reduced(data, 1, &colored, func([]byte) error {
			if colored {
				return errEnough
			}
			return nil
		}); err != nil && !errors.Is(err, errEnough) {
			return 0, err
		}
	}
	colors = 1
	if colored {
		colors = 3
	}
	// Scanned paper is noisy: higher levels take several times as long for a few per cent.
	const level = 4
	z, err := zlib.NewWriterLevel(w, level)
	if err != nil {
		return 0, err
	}
	size := h.Width * colors
	before, light := make([]byte, size), make([]byte, size)
	var tried [filters][]byte
	for i := range tried {
		tried[i] = make([]byte, 1+size)
		tried[i][0] = byte(i)
	}
	if _, err := h.eachLine(data, func(line []byte) error {
		if colors < h.Samples {
			for x := range light {
				light[x] = line[3*x]
			}
			line = light
		}
		_, err := z.Write(filtered(&tried, line, before, colors))
		copy(before, line)
		return err
	}); err != nil {
		return 0, err
	}
	return colors, z.Close()
}

// errEnough ends a look at lines.
var errEnough = errors.New("enough was seen")

// filtered gives line behind the filter after which it is smallest: by the sum of its
// differences, as the standard advises (12.8). The mean is hardly ever best for paper, and is not
// tried.
func filtered(tried *[filters][]byte, line, before []byte, back int) []byte {
	sub, up, pth := tried[subFilter][1:], tried[upFilter][1:], tried[paethFilter][1:]
	var sums [filters]int
	size := func(v uint8) int {
		d := int(int8(v))
		return max(d, -d)
	}
	for i, v := range line {
		var left, corner uint8
		if i >= back {
			left, corner = line[i-back], before[i-back]
		}
		above := before[i]
		sub[i], up[i], pth[i] = v-left, v-above, v-paeth(left, above, corner)
		sums[subFilter] += size(sub[i])
		sums[upFilter] += size(up[i])
		sums[paethFilter] += size(pth[i])
	}
	best := subFilter
	for _, f := range []int{upFilter, paethFilter} {
		if sums[f] < sums[best] {
			best = f
		}
	}
	return tried[best]
}
