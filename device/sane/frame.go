package sane

import (
	"encoding/binary"
	"io"

	"docscan/device"
	"docscan/device/raster"
)

// mode is what the lines of a frame become. Samples of 16 bits lose the lower
// eight: no page needs them. The three frames of a three-pass scanner are planes
// of a colour image, whatever their depth.
func (p *parameters) mode() device.ColorMode {
	switch {
	case p.Format != frameGray:
		return device.Color
	case p.Depth == 1:
		return device.LineArt
	}
	return device.Gray
}

// plane says whether the frame is one of three that make an image.
func (p *parameters) plane() bool { return p.Format >= frameRed }

// lineBytes is the length of a line after convert.
func (p *parameters) lineBytes() int {
	if p.plane() {
		return int(p.Pixels)
	}
	return raster.Format{Width: int(p.Pixels), Mode: p.mode()}.LineBytes()
}

// convert makes a line as package raster wants it of one as a backend sends it.
// dst has room for lineBytes; src has p.Bytes.
func (p *parameters) convert(dst, src []byte) {
	switch {
	case p.Depth == 8, p.mode() == device.LineArt: // SANE's line art is that of raster: 1 is black
		copy(dst, src)
	case p.Depth == 16:
		for i := range dst {
			dst[i] = byte(binary.NativeEndian.Uint16(src[2*i:]) >> 8)
		}
	case p.plane():
		for x := range dst {
			dst[x] = bit(src[x/8], x)
		}
	default:
		// Eight pixels are a byte of red, one of green and one of blue; here 1 is
		// full light.
		for x := range int(p.Pixels) {
			for c := range 3 {
				dst[3*x+c] = bit(src[x/8*3+c], x)
			}
		}
	}
}

// bit is the sample of pixel x, which is in b, the first in the highest bit.
func bit(b byte, x int) byte {
	if b&(0x80>>(x%8)) != 0 {
		return 0xff
	}
	return 0
}

// lineReader converts the lines of one frame while they pass. What comes after
// the last whole line is no line and is left out.
type lineReader struct {
	p    parameters
	from io.Reader
	in   []byte
	out  []byte
	left []byte // of out, not yet given
}

// newLineReader reads from as a frame of p.
func newLineReader(p parameters, from io.Reader) *lineReader {
	const batch = 64 << 10 // a few lines at a time cost less than each by itself
	n := max(1, batch/int(p.Bytes))
	return &lineReader{p: p, from: from, in: make([]byte, n*int(p.Bytes)), out: make([]byte, n*p.lineBytes())}
}

func (l *lineReader) Read(b []byte) (int, error) {
	if len(l.left) == 0 {
		n, err := io.ReadFull(l.from, l.in)
		if err == io.ErrUnexpectedEOF {
			err = nil // it comes again
		}
		size, width := int(l.p.Bytes), l.p.lineBytes()
		lines := n / size
		for i := range lines {
			l.p.convert(l.out[i*width:(i+1)*width], l.in[i*size:(i+1)*size])
		}
		l.left = l.out[:lines*width]
		switch {
		case err != nil:
			return 0, err
		case lines == 0:
			return 0, io.EOF
		}
	}
	n := copy(b, l.left)
	l.left = l.left[n:]
	return n, nil
}

// merger makes one colour image of three planes of the same size.
type merger struct {
	planes [3]io.Reader // red, green, blue
	in     [3][]byte
	out    []byte
	left   []byte
}

func newMerger(width int, planes [3]io.Reader) *merger {
	m := &merger{planes: planes, out: make([]byte, 3*width)}
	for i := range m.in {
		m.in[i] = make([]byte, width)
	}
	return m
}

func (m *merger) Read(b []byte) (int, error) {
	if len(m.left) == 0 {
		for c, plane := range m.planes {
			if _, err := io.ReadFull(plane, m.in[c]); err != nil {
				return 0, err
			}
			for x, v := range m.in[c] {
				m.out[3*x+c] = v
			}
		}
		m.left = m.out
	}
	n := copy(b, m.left)
	m.left = m.left[n:]
	return n, nil
}

// planeOf is the place of a plane in a merger.
func planeOf(f frameFormat) int { return int(f - frameRed) }

// tiffOf makes the file of an image of lines.
func tiffOf(p parameters, lines, dpi int, from io.Reader) (io.Reader, error) {
	f := raster.Format{Width: int(p.Pixels), Lines: lines, Mode: p.mode(), Resolution: dpi}
	r, err := raster.TIFF(f, from)
	if err != nil {
		return nil, device.Faultf(device.BadAnswer, "size of the image: %v", err)
	}
	return r, nil
}
