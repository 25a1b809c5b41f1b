package fujitsu

import (
	"context"
	"errors"
	"io"
	"sync"

	"docscan/device"
	"docscan/device/raster"
)

// run is one pass through the paper source.
type run struct {
	s      *Scanner
	p      *plan
	sheet  *sheet // whose sides are being handed over
	sheets int    // taken in
	inside bool   // there may be something in the machine to be forgotten
	body   *body  // of the side before, or nil
	over   error  // what Next returns from now on, once it has ended
	spare  [][]byte
	buffer []byte // of one read

	once sync.Once
	stop chan struct{} // closed by Cancel
}

// Next gives the next side: of the sheet that is inside, or of the next one.
func (r *run) Next(ctx context.Context) (*device.Side, error) {
	if err := r.finishBody(ctx); err != nil {
		return nil, err
	}
	if r.over != nil {
		return nil, r.over
	}
	if r.sheet == nil || r.sheet.given == r.sheet.count {
		if err := r.feed(ctx); err != nil {
			return nil, r.fail(ctx, err)
		}
	}
	side, err := r.give()
	if err != nil {
		return nil, r.fail(ctx, err)
	}
	return side, nil
}

// finishBody closes the side before. What was not read of it must come out of
// the machine all the same.
func (r *run) finishBody(ctx context.Context) error {
	b := r.body
	if b == nil {
		return nil
	}
	r.body = nil
	b.Close()
	for r.over == nil && !b.side.done {
		if err := r.sheet.step(ctx); err != nil {
			return r.fail(ctx, err)
		}
	}
	return nil
}

// fail ends the run with err, and has the machine forget what it still holds of
// the scan. It gives the Fault that err is, or the end of ctx.
func (r *run) fail(ctx context.Context, err error) error {
	r.over = err
	if err != io.EOF { // which is the proper end; one from the wire is wrapped
		r.over = fault(ctx, err)
	}
	if device.KindOf(r.over) == device.BadAnswer {
		r.s.o.Ladder.Climb(device.TellPerson, r.over)
	}
	r.forget()
	return r.over
}

// forget has the machine drop its scan and stop. Without it, what is inside
// would come out as the next sheet. That a machine which is gone, or mute, cannot
// be told is no error: the pipe is restarted before it is used again.
func (r *run) forget() {
	r.dropSheet()
	if !r.inside || device.KindOf(r.over) == device.Unplugged {
		return
	}
	cmd := scannerControl("cancel", cancel)
	switch v := &r.s.v; {
	case v.scannerControl:
	case v.halts:
		cmd = position("halt", halt)
	default:
		return
	}
	r.inside = false
	r.s.o.Ladder.Climb(device.CancelCommand, r.over)
	ctx, stop := context.WithTimeout(context.Background(), cancelTime)
	defer stop()
	if _, _, err := r.s.c.patiently(ctx, cmd, nil); err != nil {
		r.s.log.Warn("scanner was not told to forget its scan", "device", r.s.info.ID, "err", err)
	}
}

// dropSheet gives the memory of the present sheet back.
func (r *run) dropSheet() {
	if r.sheet == nil {
		return
	}
	for _, side := range r.sheet.sides {
		if side == nil {
			continue
		}
		if err := side.kept.Close(); err != nil {
			r.s.log.Warn("forgetting a side failed", "device", r.s.info.ID, "err", err)
		}
		side.dropped = true
	}
	r.sheet = nil
}

// stopped says whether somebody cancelled the run.
func (r *run) stopped() bool {
	select {
	case <-r.stop:
		return true
	default:
		return false
	}
}

// feed takes the next sheet in and starts its scan. The proper end of the feeder
// is io.EOF.
func (r *run) feed(ctx context.Context) error {
	r.dropSheet()
	c := r.s.c
	switch {
	case r.stopped():
		return device.Faultf(device.Stopped, "cancelled")
	case r.p.platen && r.sheets > 0:
		return io.EOF
	}
	if !r.p.platen {
		_, s, err := c.patiently(ctx, position("feed", feed), r.stop)
		if err != nil && s.is(hopperEmpty) && r.sheets > 0 {
			return io.EOF
		}
		if err != nil {
			return err
		}
	}
	r.sheets++
	r.inside = true
	if !r.p.platen && !r.s.m.noReady {
		cmd := testReady()
		cmd.time = stageTime // the sheet is on its way
		_, _, err := c.patiently(ctx, cmd, r.stop)
		var refused *senseError
		if err != nil && (!errors.As(err, &refused) || refused.key == 3 || refused.key == 4) {
			return err
		}
	}
	if _, _, err := c.patiently(ctx, scan(r.p.duplex), r.stop); err != nil {
		return err
	}
	sh, err := r.newSheet(ctx)
	if err != nil {
		return err
	}
	r.sheet = sh
	if !r.p.collects {
		return sh.begin(ctx)
	}
	for !sh.done() {
		if err := sh.step(ctx); err != nil {
			return err
		}
	}
	if r.p.doubles == device.FlagDoubleFeed && r.s.v.hardwareStatus {
		h, err := r.s.look(ctx)
		if err != nil {
			return err
		}
		sh.double = h.doubleFeed
	}
	return nil
}

// give hands over the next side of the sheet.
func (r *run) give() (*device.Side, error) {
	sh := r.sheet
	in := sh.sides[sh.given]
	side := &device.Side{
		Sheet: r.sheets, Back: sh.given == back, Type: "image/jpeg", Resolution: r.p.dpi, DoubleFeed: sh.double,
	}
	sh.given++
	b := &body{r: r, side: in}
	b.from = sideReader{b}
	if !sh.p.jpeg {
		count := sh.p.lines
		if r.p.collects {
			size := int64(sh.p.format(1).LineBytes())
			if count = int(in.kept.Len() / size); count == 0 {
				return nil, device.Faultf(device.BadAnswer, "an image without lines")
			}
			b.from = io.LimitReader(b.from, int64(count)*size) // not half a line more
		}
		tiff, err := raster.TIFF(sh.p.format(count), b.from)
		if err != nil {
			return nil, device.Faultf(device.BadAnswer, "size of the image: %v", err)
		}
		side.Type, b.from = "image/tiff", tiff
	}
	r.body = b
	side.Body = b
	return side, nil
}

// Cancel stops the feeding: the sheet that is inside is the last.
func (r *run) Cancel(context.Context) error {
	r.once.Do(func() { close(r.stop) })
	return nil
}

// Close ends the run.
func (r *run) Close() error {
	if r.body != nil {
		r.body.Close()
		r.body = nil
	}
	if r.over == nil {
		r.over = device.Faultf(device.Stopped, "the run was closed")
		r.forget()
	}
	r.spare, r.buffer = nil, nil
	r.s.ended()
	return nil
}

// body is the image of one side.
type body struct {
	r      *run
	side   *sideIn
	from   io.Reader
	over   error
	closed bool
}

func (b *body) Read(p []byte) (int, error) {
	if b.closed {
		return 0, io.ErrClosedPipe
	}
	if b.over != nil {
		return 0, b.over
	}
	n, err := b.from.Read(p)
	if errors.Is(err, raster.ErrTooLong) {
		err = b.r.fail(context.Background(), device.Faultf(device.BadAnswer, "the image has %v", err))
	}
	b.over = err
	return n, err
}

// Close forgets what was not read. The machine is made to part with it before
// the next side.
func (b *body) Close() error {
	if b.closed {
		return nil
	}
	b.closed = true
	b.side.dropped = true
	return b.side.kept.Close()
}

// sideReader reads what has come of a side, and has the machine send more.
type sideReader struct{ b *body }

func (s sideReader) Read(p []byte) (int, error) {
	r, side := s.b.r, s.b.side
	for {
		if side.kept.Len() > 0 {
			n, err := side.kept.Read(p)
			if err != nil {
				err = r.fail(context.Background(), err)
			}
			return n, err
		}
		if side.done {
			return 0, io.EOF
		}
		if r.over != nil {
			return 0, r.over
		}
		if err := r.sheet.step(context.Background()); err != nil {
			return 0, r.fail(context.Background(), err)
		}
	}
}
