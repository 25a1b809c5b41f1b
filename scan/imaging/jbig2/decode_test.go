package jbig2

import (
	"encoding/binary"
	"errors"
)

// decode is a plain reader of what Encode writes, after T.88 and not after the
// encoder: pixel by pixel, without shortcuts.
func decode(data []byte) (*Bitmap, error) {
	var b *Bitmap
	for n := uint32(0); len(data) > 0; n++ {
		if len(data) < 11 || binary.BigEndian.Uint32(data) != n || data[5] != 0 || data[6] != 1 {
			return nil, errors.New("segment header")
		}
		kind, size := data[4], int(binary.BigEndian.Uint32(data[7:]))
		if size > len(data)-11 {
			return nil, errors.New("segment length")
		}
		body := data[11 : 11+size]
		data = data[11+size:]
		switch {
		case kind == 48 && size == 19:
			b = NewBitmap(int(binary.BigEndian.Uint32(body)), int(binary.BigEndian.Uint32(body[4:])))
		case kind == 38 && b != nil && size > 26 && body[17] == 8:
			if int(binary.BigEndian.Uint32(body)) != b.Width || int(binary.BigEndian.Uint32(body[4:])) != b.Height {
				return nil, errors.New("region size")
			}
			decodeGeneric(b, body[26:])
		default:
			return nil, errors.New("segment")
		}
	}
	return b, nil
}

func decodeGeneric(b *Bitmap, data []byte) {
	d := newDecoder(data)
	bit := func(x, y int) uint32 {
		if b.At(x, y) {
			return 1
		}
		return 0
	}
	same := false
	for y := range b.Height {
		if d.decode(contextTypical) {
			same = !same
		}
		if same {
			if y > 0 {
				copy(b.Row(y), b.Row(y-1))
			}
			continue
		}
		for x := range b.Width {
			var c uint32
			for dx := -2; dx <= 2; dx++ {
				c = c<<1 | bit(x+dx, y-2)
			}
			for dx := -3; dx <= 3; dx++ {
				c = c<<1 | bit(x+dx, y-1)
			}
			for dx := -4; dx < 0; dx++ {
				c = c<<1 | bit(x+dx, y)
			}
			if d.decode(c) {
				b.Set(x, y)
			}
		}
	}
}

// A decoder is the arithmetic decoder (T.88, annex E.3).
type decoder struct {
	data  []byte
	at    int
	a, c  uint32
	ct    uint
	index [1 << 16]uint8
	mps   [1 << 16]bool
}

func newDecoder(data []byte) *decoder {
	d := &decoder{data: data}
	d.c = uint32(d.byte(0)) << 16
	d.byteIn()
	d.c <<= 7
	d.ct -= 7
	d.a = 0x8000
	return d
}

func (d *decoder) byte(at int) byte {
	if at < len(d.data) {
		return d.data[at]
	}
	return 0xff
}

func (d *decoder) byteIn() {
	if d.byte(d.at) == 0xff {
		if d.byte(d.at+1) > 0x8f {
			d.c += 0xff00
			d.ct = 8
			return
		}
		d.at++
		d.c += uint32(d.byte(d.at)) << 9
		d.ct = 7
		return
	}
	d.at++
	d.c += uint32(d.byte(d.at)) << 8
	d.ct = 8
}

func (d *decoder) decode(cx uint32) bool {
	q := states[d.index[cx]]
	d.a -= q.qe
	more := true // the more probable symbol
	if d.c>>16 < q.qe {
		more = d.a < q.qe
		d.a = q.qe
	} else {
		d.c -= q.qe << 16
		if d.a&0x8000 != 0 {
			return d.mps[cx]
		}
		more = d.a >= q.qe
	}
	bit := d.mps[cx] == more
	if more {
		d.index[cx] = q.nmps
	} else {
		if q.exchange {
			d.mps[cx] = !d.mps[cx]
		}
		d.index[cx] = q.nlps
	}
	for {
		if d.ct == 0 {
			d.byteIn()
		}
		d.a <<= 1
		d.c <<= 1
		d.ct--
		if d.a&0x8000 != 0 {
			return bit
		}
	}
}
