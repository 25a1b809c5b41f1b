package fujitsu

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"

	"docscan/device"
)

// Markers of ITU-T T.81 and of JFIF.
const (
	markSOI  = 0xd8
	markEOI  = 0xd9
	markSOS  = 0xda
	markRST0 = 0xd0
	markRST7 = 0xd7
	markAPP0 = 0xe0
)

// maxHead bounds what stands before the compressed data, in bytes. That of a
// scanner has about 600.
const maxHead = 64 << 10

// jpegStream repairs a machine's JPEG while it passes. Files without the head
// that has the resolution get one. Older machines send both sides of a sheet in
// one file of twice the width, whose restart intervals are by turns of the front
// and of the back; that is parted into two.
type jpegStream struct {
	to    [2]io.Writer // back is nil where only one side comes
	dpi   int
	width int // pixels of one side

	head   []byte
	begun  bool // the head is through
	joint  bool // both sides are in it
	ended  bool // EOI has come
	marked bool // the last byte was ff, and is not written
	side   int
	rst    [2]int // restart markers written to each side
	parts  int    // restart markers seen
}

// Write takes the next bytes. What comes after the end of the image is dropped:
// some machines pad.
func (j *jpegStream) Write(b []byte) (int, error) {
	n := len(b)
	if !j.begun {
		j.head = append(j.head, b...)
		size, err := headLength(j.head)
		if err != nil {
			return 0, err
		}
		if size == 0 {
			return n, nil
		}
		b = j.head[size:]
		if err := j.start(j.head[:size]); err != nil {
			return 0, err
		}
		j.begun, j.head = true, nil
	}
	return n, j.body(b)
}

// notJPEG is a fault of the machine.
func notJPEG(format string, args ...any) error {
	return device.Faultf(device.BadAnswer, "JPEG: "+format, args...)
}

// headLength gives the length of all that stands before the compressed data, or
// 0 while it has not come.
func headLength(b []byte) (int, error) {
	if len(b) >= 2 && (b[0] != 0xff || b[1] != markSOI) {
		return 0, notJPEG("begins with %.4x", b)
	}
	for at := 2; at+4 <= len(b); {
		size := int(binary.BigEndian.Uint16(b[at+2:]))
		if b[at] != 0xff || size < 2 {
			return 0, notJPEG("no segment at byte %d: %.4x", at, b[at:])
		}
		next := at + 2 + size
		if b[at+1] == markSOS && next <= len(b) {
			return next, nil
		}
		at = next
	}
	if len(b) > maxHead {
		return 0, notJPEG("head of more than %d bytes", maxHead)
	}
	return 0, nil
}

// start writes the head, to both sides if the image is twice as wide as asked
// for.
func (j *jpegStream) start(head []byte) error {
	frame := -1
	for at := 2; at+4 <= len(head); at += 2 + int(binary.BigEndian.Uint16(head[at+2:])) {
		// A frame of any kind; c4, c8 and cc are something else.
		if m := head[at+1]; m >= 0xc0 && m <= 0xcf && m != 0xc4 && m != 0xc8 && m != 0xcc {
			frame = at
			break
		}
	}
	if frame < 0 || frame+9 > len(head) {
		return notJPEG("no frame in its head")
	}
	width := int(binary.BigEndian.Uint16(head[frame+7:]))
	if j.to[back] != nil && width == 2*j.width {
		j.joint = true
		binary.BigEndian.PutUint16(head[frame+7:], uint16(width/2))
	}
	var out []byte
	if head[3] != markAPP0 {
		out = append(out, 0xff, markSOI, 0xff, markAPP0, 0, 16, 'J', 'F', 'I', 'F', 0, 1, 2, 1)
		out = binary.BigEndian.AppendUint16(out, uint16(j.dpi))
		out = binary.BigEndian.AppendUint16(out, uint16(j.dpi))
		out = append(out, 0, 0)
		head = head[2:]
	}
	out = append(out, head...)
	if _, err := j.to[front].Write(out); err != nil {
		return err
	}
	if j.joint {
		if _, err := j.to[back].Write(out); err != nil {
			return err
		}
	}
	return nil
}

// body takes compressed data.
func (j *jpegStream) body(b []byte) error {
	for len(b) > 0 && !j.ended {
		if j.marked {
			j.marked = false
			if err := j.marker(b[0]); err != nil {
				return err
			}
			b = b[1:]
			continue
		}
		n := bytes.IndexByte(b, 0xff)
		if n < 0 {
			n = len(b)
		} else {
			j.marked = true
		}
		if n > 0 {
			if _, err := j.to[j.side].Write(b[:n]); err != nil {
				return err
			}
		}
		b = b[min(n+1, len(b)):]
	}
	return nil
}

// marker takes the byte after an ff.
func (j *jpegStream) marker(m byte) error {
	switch {
	case m == 0xff: // a fill byte
		j.marked = true
		return nil
	case m == markEOI:
		j.ended = true
		if j.joint {
			if _, err := j.to[back].Write([]byte{0xff, m}); err != nil {
				return err
			}
		}
		_, err := j.to[front].Write([]byte{0xff, m})
		return err
	case m >= markRST0 && m <= markRST7 && j.joint:
		// The other side goes on. Its own markers count on from 0; before its
		// first interval there is none.
		j.parts++
		j.side = 1 - j.side
		if j.parts == 1 {
			return nil
		}
		m = markRST0 + byte(j.rst[j.side]%8)
		j.rst[j.side]++
	}
	_, err := j.to[j.side].Write([]byte{0xff, m})
	return err
}

// finish says whether the image is whole.
func (j *jpegStream) finish() error {
	if !j.ended {
		return fmt.Errorf("JPEG: %w", io.ErrUnexpectedEOF)
	}
	return nil
}
