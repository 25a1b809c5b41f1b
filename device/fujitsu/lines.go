package fujitsu

import (
	"io"

	"docscan/device"
	"docscan/device/raster"
)

// lines makes of what the wire carries the lines that package raster wants.
type lines struct {
	to   io.Writer
	p    *plan
	part []byte // of a line that has not come whole; only where lines are taken apart
	out  []byte // of the lines of one read, where they change their length
}

// newLines makes a converter that writes to to.
func newLines(p *plan, to io.Writer) *lines {
	return &lines{to: to, p: p}
}

// Write converts b, in place where it can, and hands it on.
func (l *lines) Write(b []byte) (int, error) {
	n := len(b)
	if l.p.wire != wireLineArt { // white is 0 in grey and colour
		raster.Invert(b)
	}
	if l.p.wire != wireColor || l.p.order == byPixel && l.p.wanted == device.Color {
		_, err := l.to.Write(b)
		return n, err
	}
	size := l.p.lineBytes()
	if len(l.part) > 0 {
		k := min(size-len(l.part), len(b))
		l.part = append(l.part, b[:k]...)
		b = b[k:]
		if len(l.part) == size {
			if err := l.convert(l.part); err != nil {
				return 0, err
			}
			l.part = l.part[:0]
		}
	}
	whole := len(b) / size * size
	if err := l.convert(b[:whole]); err != nil {
		return 0, err
	}
	l.part = append(l.part, b[whole:]...)
	return n, nil
}

// convert puts the colours of whole lines into their order, and makes them grey
// or black and white on machines that know only colour.
func (l *lines) convert(b []byte) error {
	size := l.p.lineBytes()
	l.out = l.out[:0]
	for ; len(b) > 0; b = b[size:] {
		l.out = l.line(l.out, b[:size])
	}
	_, err := l.to.Write(l.out)
	return err
}

// line appends one converted line to out.
func (l *lines) line(out, b []byte) []byte {
	r, g, bl, step := 0, 1, 2, 3
	switch l.p.order {
	case byPixelBlueFirst:
		r, bl = 2, 0
	case byLine:
		g, bl, step = l.p.width, 2*l.p.width, 1
	}
	red, green, blue := b[r:], b[g:], b[bl:]
	switch l.p.wanted {
	case device.Color:
		for i := 0; i < l.p.width*step; i += step {
			out = append(out, red[i], green[i], blue[i])
		}
	case device.Gray:
		for i := 0; i < l.p.width*step; i += step {
			out = append(out, luma(red[i], green[i], blue[i]))
		}
	default:
		var bits byte
		for i := range l.p.width {
			at := i * step
			bits <<= 1
			if luma(red[at], green[at], blue[at]) < threshold {
				bits |= 1
			}
			if i%8 == 7 {
				out = append(out, bits)
			}
		}
		if n := l.p.width % 8; n > 0 {
			out = append(out, bits<<(8-n))
		}
	}
	return out
}

// threshold is what is still black in line art that is made here.
const threshold = 128

// luma is how bright a colour is, by ITU-R BT.601.
func luma(r, g, b byte) byte {
	return byte((77*int(r) + 150*int(g) + 29*int(b) + 128) >> 8)
}
