package fujitsu

import (
	"context"
	"encoding/binary"
	"errors"
	"io"

	"docscan/device"
	"docscan/device/spill"
)

// sheet is one piece of paper while it is being read.
type sheet struct {
	r      *run
	p      plan // with the size that the machine told
	sides  [2]*sideIn
	count  int // of sides
	given  int // handed over
	double bool
	ended  bool // the machine has reported the end of the sheet
	stall  device.Stall
}

// sideIn is one side on its way in.
type sideIn struct {
	side    int
	kept    *spill.Queue // what has come and was not read
	to      io.Writer    // converts what comes and puts it into kept
	jpeg    *jpegStream  // behind to, if there is one
	total   int64        // bytes of the whole side; 0: only the machine knows
	came    int64
	ready   bool // the readiness check is done
	waits   bool // had nothing when it was last asked
	short   bool // the last read was
	dropped bool // nobody wants it any more
	done    bool
}

// newSheet makes room for the sheet whose scan has begun.
func (r *run) newSheet(ctx context.Context) (*sheet, error) {
	sh := &sheet{r: r, p: *r.p, count: 1}
	if r.p.duplex {
		sh.count = 2
	}
	if err := sh.askSize(ctx); err != nil {
		return nil, err
	}
	size := sh.p.lineBytes()
	if need := max(r.s.m.transfer(), 2*size) + packetSize; cap(r.buffer) < need {
		r.buffer = make([]byte, need)
	}
	for i := range sh.count {
		s := &sideIn{side: i, kept: spill.New(r.s.o.Temp, r.s.room, &r.spare)}
		if !sh.p.jpeg {
			s.total = int64(size) * int64(sh.p.lines)
			s.to = newLines(&sh.p, (*sink)(s))
		}
		sh.sides[i] = s
	}
	if sh.p.jpeg {
		for i, s := range sh.sides[:sh.count] {
			s.jpeg = &jpegStream{dpi: sh.p.dpi, width: sh.p.width}
			s.jpeg.to[front] = (*sink)(s)
			if i == front && sh.count == 2 {
				s.jpeg.to[back] = (*sink)(sh.sides[back])
			}
			s.to = s.jpeg
		}
	}
	return sh, nil
}

// sink keeps what comes of a side, if somebody wants it.
type sink sideIn

func (s *sink) Write(b []byte) (int, error) {
	if s.dropped {
		return len(b), nil
	}
	return s.kept.Write(b)
}

// The largest size that a machine is believed, in pixels and lines.
const (
	maxWidth = 1 << 16
	maxLines = 1 << 20
)

// askSize asks how large the image will be: the machine may round. One that does
// not tell takes what it was asked for.
func (sh *sheet) askSize(ctx context.Context) error {
	s := sh.r.s
	s.mu.Lock()
	noSize := s.noSize
	s.mu.Unlock()
	if noSize {
		return nil
	}
	for i := range sh.count {
		b := make([]byte, 32, packetSize)
		n, _, err := s.c.do(ctx, read("READ of the size", pixelSize, i, b))
		var refused *senseError
		switch {
		case errors.As(err, &refused) && refused.key == 5:
			s.mu.Lock()
			s.noSize = true
			s.mu.Unlock()
			return nil
		case err != nil:
			return err
		case n < 8:
			continue
		}
		width, lines := int(binary.BigEndian.Uint32(b)), int(binary.BigEndian.Uint32(b[4:]))
		if sh.p.wire == wireLineArt {
			width = width / 8 * 8
		}
		if width < 1 || width > maxWidth || lines > maxLines || i == back && width != sh.p.width {
			return device.Faultf(device.BadAnswer, "image of %d by %d pixels", width, lines)
		}
		sh.p.width = width
		if lines > 0 && i == front {
			sh.p.lines = lines
		}
	}
	return nil
}

// done says whether all sides have come.
func (sh *sheet) done() bool {
	for _, s := range sh.sides[:sh.count] {
		if !s.done {
			return false
		}
	}
	return true
}

// next chooses the side to read. The sides of a JPEG sheet come one after the
// other, those of lines by turns: the machine has not room for a whole side.
func (sh *sheet) next() *sideIn {
	f, b := sh.sides[front], sh.sides[back]
	switch {
	case b == nil || b.done:
		return f
	case f.done:
		return b
	case sh.p.jpeg || sh.r.s.m.frontsThenBacks:
		return f
	}
	behind, ahead := f, b
	if b.came < f.came {
		behind, ahead = b, f
	}
	// If it has nothing of the one, it may want to be rid of the other first.
	if behind.waits && !ahead.waits && ahead.came-behind.came <= int64(sh.r.s.m.transfer()) {
		return ahead
	}
	return behind
}

// begin does the readiness check of the front, where the machine tells first
// what went wrong on the paper's way.
func (sh *sheet) begin(ctx context.Context) error {
	return sh.check(ctx, sh.sides[front], sh.request(sh.sides[front]))
}

// request is how many bytes the next read of a side asks for: whole lines, and
// an even number of bytes, which the larger machines want, except at the end.
func (sh *sheet) request(s *sideIn) int {
	most := sh.r.s.m.transfer()
	if sh.p.jpeg {
		return most
	}
	size := sh.p.lineBytes()
	n := max(most/size, 1)
	if n%2 != 0 && size%2 != 0 {
		n = max(n-1, 2)
	}
	return int(min(int64(n*size), s.total-s.came))
}

// check asks whether the first read of a side would find something.
func (sh *sheet) check(ctx context.Context, s *sideIn, size int) error {
	if s.ready || !sh.r.s.v.scannerControl {
		return nil
	}
	_, _, err := sh.r.s.c.patiently(ctx, ready(s.side, size), sh.r.stop)
	var refused *senseError
	if errors.As(err, &refused) && refused.key != 3 && refused.key != 4 {
		err = nil // not every machine knows the check
	}
	s.ready = err == nil
	return err
}

// step reads once from the side whose turn it is.
func (sh *sheet) step(ctx context.Context) error {
	s := sh.next()
	size := sh.request(s)
	if err := sh.check(ctx, s, size); err != nil {
		return err
	}
	buf := sh.r.buffer[:size]
	n, sense, err := sh.r.s.c.do(ctx, read("READ of a side", imageData, s.side, buf))
	if err != nil && !passes(err) {
		return err
	}
	if err == nil && sense.short {
		n = kept(n, size, sense)
	}
	if err != nil || n == 0 && !sense.end && !(sense.short && sh.ended) {
		s.waits = true
		if sh.stall.Beyond(busyTime) {
			if err == nil {
				err = device.Faultf(device.BadAnswer, "no more of a side after %d bytes", s.came)
			}
			return err
		}
		return sleep(ctx, emptyPause, nil)
	}
	s.waits = false
	sh.stall.Over()
	if most := sh.r.s.o.MaxSide; s.came+int64(n) > most {
		return device.Faultf(device.TooLarge, "more than %d bytes", most)
	}
	if _, err := s.to.Write(buf[:n]); err != nil {
		return err
	}
	s.came += int64(n)
	return sh.judge(s, n, sense)
}

// kept says how many bytes of a short read are good: those asked for without the
// residual. Some fill up what is missing, so what came does not tell; but if the
// residual makes no sense, it has to.
func kept(n, asked int, s sense) int {
	if int64(s.residual) > int64(asked) {
		return n
	}
	return min(n, asked-int(s.residual))
}

// judge notes what the end of a read says of the end of the sides. The end of
// the sheet may be told with one side only; the other has then come to its end
// when a read of it is short, unless it is still behind the first.
func (sh *sheet) judge(s *sideIn, n int, sense sense) error {
	sh.ended = sh.ended || sense.end
	s.short = sense.short
	other := sh.sides[1-s.side]
	switch {
	case sh.p.jpeg:
		s.done = sense.end && sense.short || s.jpeg.ended && (s.jpeg.joint || sense.short || n == 0)
	case s.came == s.total, sense.short && sense.end, n == 0:
		s.done = true
	case sense.short && sh.ended:
		s.done = other == nil || !other.done || s.came >= other.came
	}
	if s.done && sh.ended && !sh.p.jpeg && other != nil && other.short && other.came >= s.came {
		other.done = true // it had come to its end before
	}
	if !s.done || s.jpeg == nil {
		return nil
	}
	if err := s.jpeg.finish(); err != nil {
		return &device.Fault{Kind: device.BadAnswer, Detail: "the image broke off", Err: err}
	}
	if s.jpeg.joint {
		sh.sides[back].done = true
	}
	return nil
}
