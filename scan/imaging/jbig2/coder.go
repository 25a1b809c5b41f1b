package jbig2

// A state is one row of the table of probabilities.
type state struct {
	qe       uint32 // estimate for the less probable symbol
	nmps     uint8  // next state after the more probable one
	nlps     uint8  // and after the less probable one
	exchange bool   // the less probable symbol becomes the more probable one
}

// states is table E.1 of T.88.
var states = [47]state{
	{0x5601, 1, 1, true}, {0x3401, 2, 6, false}, {0x1801, 3, 9, false}, {0x0ac1, 4, 12, false},
	{0x0521, 5, 29, false}, {0x0221, 38, 33, false}, {0x5601, 7, 6, true}, {0x5401, 8, 14, false},
	{0x4801, 9, 14, false}, {0x3801, 10, 14, false}, {0x3001, 11, 17, false}, {0x2401, 12, 18, false},
	{0x1c01, 13, 20, false}, {0x1601, 29, 21, false}, {0x5601, 15, 14, true}, {0x5401, 16, 14, false},
	{0x5101, 17, 15, false}, {0x4801, 18, 16, false}, {0x3801, 19, 17, false}, {0x3401, 20, 18, false},
	{0x3001, 21, 19, false}, {0x2801, 22, 19, false}, {0x2401, 23, 20, false}, {0x2201, 24, 21, false},
	{0x1c01, 25, 22, false}, {0x1801, 26, 23, false}, {0x1601, 27, 24, false}, {0x1401, 28, 25, false},
	{0x1201, 29, 26, false}, {0x1101, 30, 27, false}, {0x0ac1, 31, 28, false}, {0x09c1, 32, 29, false},
	{0x08a1, 33, 30, false}, {0x0521, 34, 31, false}, {0x0441, 35, 32, false}, {0x02a1, 36, 33, false},
	{0x0221, 37, 34, false}, {0x0141, 38, 35, false}, {0x0111, 39, 36, false}, {0x0085, 40, 37, false},
	{0x0049, 41, 38, false}, {0x0025, 42, 39, false}, {0x0015, 43, 40, false}, {0x0009, 44, 41, false},
	{0x0005, 45, 42, false}, {0x0001, 45, 43, false}, {0x5601, 46, 46, false},
}

// A coder is the arithmetic encoder (T.88, annex E.2). Its fields are the
// registers of the standard.
type coder struct {
	a, c uint32
	ct   uint
	b    uint32 // the byte in work, which a carry may still raise; the first is none
	out  []byte
	mq   [1 << 16]uint8 // by context: twice the state, plus the more probable symbol
}

func newCoder() *coder { return &coder{a: 0x8000, ct: 12} }

// code codes a bit in its context.
func (c *coder) code(context uint32, bit bool) {
	s := c.mq[context&0xffff]
	q := &states[s>>1]
	c.a -= q.qe
	if bit == (s&1 != 0) {
		if c.a&0x8000 != 0 {
			c.c += q.qe
			return
		}
		if c.a < q.qe {
			c.a = q.qe
		} else {
			c.c += q.qe
		}
		c.mq[context&0xffff] = q.nmps<<1 | s&1
	} else {
		if c.a < q.qe {
			c.c += q.qe
		} else {
			c.a = q.qe
		}
		if q.exchange {
			s ^= 1
		}
		c.mq[context&0xffff] = q.nlps<<1 | s&1
	}
	for {
		c.a <<= 1
		c.c <<= 1
		if c.ct--; c.ct == 0 {
			c.byteOut()
		}
		if c.a&0x8000 != 0 {
			return
		}
	}
}

// white codes n white pixels in the context of nothing but white.
func (c *coder) white(n int) {
	for n > 0 {
		s := c.mq[0]
		q := states[s>>1].qe
		// As long as a stays in its upper half, coding the more probable symbol
		// is an addition.
		k := min(int((c.a-0x8000)/q), n)
		if s&1 != 0 || k == 0 {
			c.code(0, false)
			n--
			continue
		}
		c.a -= uint32(k) * q
		c.c += uint32(k) * q
		n -= k
	}
}

// byteOut moves a byte out of the register, with a bit stuffed after 0xff.
func (c *coder) byteOut() {
	if c.b != 0xff && c.c >= 1<<27 { // a carry
		c.b++
		c.c &= 1<<27 - 1
	}
	if c.b == 0xff {
		c.emit(c.c >> 20)
		c.c &= 1<<20 - 1
		c.ct = 7
		return
	}
	c.emit(c.c >> 19)
	c.c &= 1<<19 - 1
	c.ct = 8
}

// emit writes the byte in work and begins the next.
func (c *coder) emit(next uint32) {
	c.out = append(c.out, byte(c.b))
	c.b = next
}

// flush ends the code and gives its bytes.
func (c *coder) flush() []byte {
	end := c.c + c.a
	c.c |= 0xffff
	if c.c >= end {
		c.c -= 0x8000
	}
	for range 2 {
		c.c <<= c.ct
		c.byteOut()
	}
	if c.b != 0xff {
		c.emit(0xff)
	}
	return append(c.out, 0xff, 0xac)[1:]
}
