package sane

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"docscan/device"
	"docscan/device/spill"
)

// run is one pass through a paper source.
type run struct {
	s   *Scanner
	p   *process // a run does not outlive its helper
	set device.Settings
	dpi int

	sides int            // handed over, the one under way included
	frame *frame         // under way, or nil
	body  *body          // of the side before, or nil
	kept  []*spill.Queue // of the side before
	spare [][]byte       // memory of sides
	idle  bool           // the backend has been told that the scan is over
	over  error          // what Next returns from now on, once it has ended

	once sync.Once
	stop chan struct{} // closed by Cancel
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

// Next gives the next side. It returns once the backend has sent the first bytes
// of it, so that a sheet that did not come is told here.
func (r *run) Next(ctx context.Context) (*device.Side, error) {
	if r.over != nil {
		return nil, r.over
	}
	if err := r.finishSide(ctx); err != nil {
		return nil, r.fail(err)
	}
	sheetDone := !r.set.Duplex || r.sides%2 == 0
	switch {
	case r.stopped() && sheetDone:
		return nil, r.fail(device.Faultf(device.Stopped, "cancelled"))
	case r.set.Source == device.Platen && r.sides > 0:
		return nil, r.fail(io.EOF)
	}
	side, err := r.next(ctx)
	if err != nil {
		return nil, r.fail(err)
	}
	return side, nil
}

// fail ends the run with err.
func (r *run) fail(err error) error {
	if r.over == nil {
		r.over = err
		r.settle()
	}
	return r.over
}

// settle tells the backend that the scan is over: it stops the machine, throws
// out what is inside, and is ready for the next run. A backend that does not do
// so in time is ended; the next use starts it again.
func (r *run) settle() {
	r.frame = nil
	r.drop()
	if r.idle {
		return
	}
	r.idle = true
	// Next may have left a call under way when its ctx ended.
	patience := r.s.f.cfg.call()
	ctx, stop := context.WithTimeout(context.Background(), patience)
	defer stop()
	if _, _, err := r.p.call(ctx, patience, &request{Op: opCancel}); err != nil {
		if !errors.Is(err, errDead) {
			r.s.log.Warn("SANE backend does not stop; it is started again", "err", err)
		}
		r.p.stop(0)
	}
}

// cancelTime is how long a cancel waits for a page that is being started.
const cancelTime = 5 * time.Second

// next starts a frame, and collects what must be known as a whole before the
// image can begin.
func (r *run) next(ctx context.Context) (*device.Side, error) {
	if err := r.startFrame(ctx); err != nil {
		if device.KindOf(err) == device.NoPaper && r.sides > 0 {
			return nil, io.EOF
		}
		return nil, err
	}
	p := r.frame.p
	from, lines := io.Reader(newLineReader(p, r.frame)), int(p.Lines)
	var err error
	switch {
	case p.plane() && p.Last:
		// The only plane: grey, as far as it says anything.
		p.Format = frameGray
		from = newLineReader(p, r.frame)
	case p.plane():
		from, lines, err = r.collectPlanes(ctx)
	case lines < 0:
		from, lines, err = r.collect(from, p)
	}
	if err != nil {
		return nil, err
	}
	image, err := tiffOf(p, lines, r.dpi, from)
	if err != nil {
		return nil, err
	}
	r.sides++
	side := &device.Side{Sheet: r.sides, Type: "image/tiff", Resolution: r.dpi}
	if r.set.Duplex {
		side.Sheet, side.Back = (r.sides+1)/2, r.sides%2 == 0
	}
	r.body = &body{r: r, from: image}
	side.Body = r.body
	return side, nil
}

// startFrame starts a frame and waits for its first bytes. A cancel does not wait
// for a machine that does not get to it.
func (r *run) startFrame(ctx context.Context) error {
	cctx, give := context.WithCancelCause(ctx)
	defer give(nil)
	watched := make(chan struct{})
	var watch sync.WaitGroup
	defer watch.Wait()
	defer close(watched)
	watch.Go(func() {
		select {
		case <-watched:
			return
		case <-r.stop:
		}
		select {
		case <-watched:
		case <-time.After(cancelTime):
			give(device.Faultf(device.Stopped, "cancelled while the machine was starting"))
		}
	})
	r.idle = false
	a, _, err := r.p.call(cctx, time.Duration(r.s.f.cfg.StartSeconds)*time.Second, &request{Op: opStart})
	switch {
	case errors.Is(err, errDead):
		return r.s.deadFault("start", err)
	case err != nil:
		return context.Cause(cctx)
	case a.Status == statusEOF: // some mean that there is no sheet
		return r.s.explain("start", statusNoDocs)
	case a.Status != statusGood:
		return r.s.explain("start", a.Status)
	case a.Parameters == nil:
		return device.Faultf(device.BadAnswer, "%s: no parameters", r.s.name)
	}
	r.frame = &frame{r: r, p: *a.Parameters}
	switch err := r.frame.fill(cctx); {
	case err == io.EOF:
		return device.Faultf(device.BadAnswer, "%s: an image without a single byte", r.s.name)
	case err != nil && cctx.Err() != nil:
		return context.Cause(cctx)
	default:
		return err
	}
}

// collect keeps an image whose length nobody knows before its end.
func (r *run) collect(from io.Reader, p parameters) (io.Reader, int, error) {
	q, err := r.keep(from)
	if err != nil {
		return nil, 0, err
	}
	lines := q.Len() / int64(p.lineBytes())
	if lines == 0 {
		return nil, 0, device.Faultf(device.BadAnswer, "%s: an image without lines", r.s.name)
	}
	return q, int(lines), nil
}

// collectPlanes keeps the three frames of a three-pass scanner and makes one
// image of them. They come in any order.
func (r *run) collectPlanes(ctx context.Context) (io.Reader, int, error) {
	first := r.frame.p
	var planes [3]io.Reader
	lines := int64(-1)
	for {
		p := r.frame.p
		if !p.plane() || p.Pixels != first.Pixels || planes[planeOf(p.Format)] != nil {
			return nil, 0, device.Faultf(device.BadAnswer, "%s: a frame of %d pixels and format %d after one of %d and %d",
				r.s.name, p.Pixels, p.Format, first.Pixels, first.Format)
		}
		q, err := r.keep(newLineReader(p, r.frame))
		if err != nil {
			return nil, 0, err
		}
		planes[planeOf(p.Format)] = q
		if n := q.Len() / int64(p.lineBytes()); lines < 0 || n < lines {
			lines = n
		}
		if p.Last {
			break
		}
		if err := r.startFrame(ctx); err != nil {
			return nil, 0, err
		}
	}
	for _, q := range planes {
		if q == nil || lines == 0 {
			return nil, 0, device.Faultf(device.BadAnswer, "%s: a colour image without one of its three frames", r.s.name)
		}
	}
	return newMerger(int(first.Pixels), planes), int(lines), nil
}

// Sizes of what keeps an image, in bytes. A sheet of A3 at 600 dpi in colour has
// 209 MB.
const (
	memory       = 8 << 20 // of one plane in memory; the rest waits in a file
	maxCollected = 1 << 30 // of one frame at all
)

// keep takes all that comes from from. An error of from comes back as it is.
func (r *run) keep(from io.Reader) (*spill.Queue, error) {
	q := spill.New(r.s.f.dir, memory, &r.spare)
	r.kept = append(r.kept, q)
	n, err := io.Copy(q, io.LimitReader(from, maxCollected+1))
	if err == nil && n > maxCollected {
		err = device.Faultf(device.TooLarge, "a page of more than %d bytes", maxCollected)
	}
	return q, err
}

// drop gives the memory and the files of the side before back.
func (r *run) drop() {
	for _, q := range r.kept {
		if err := q.Close(); err != nil {
			r.s.log.Warn("forgetting a side failed", "err", err)
		}
	}
	r.kept = nil
}

// finishSide has the backend send what was not read of the side before: only
// then it feeds the next one.
func (r *run) finishSide(ctx context.Context) error {
	if r.body != nil {
		r.body.Close()
		r.body = nil
	}
	r.drop()
	for r.frame != nil {
		for !r.frame.done {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if err := r.frame.fill(ctx); err != nil && err != io.EOF {
				return err
			}
		}
		if r.frame.p.Last {
			break
		}
		// Frames of a kind that we did not ask for, such as infrared.
		if err := r.startFrame(ctx); err != nil {
			return err
		}
	}
	r.frame = nil
	return nil
}

// Cancel stops the feeding: the sheet that is inside is the last. From a platen,
// where nothing is inside, it stops at once.
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
	r.fail(device.Faultf(device.Stopped, "the run was closed"))
	r.spare = nil
	r.s.runEnded(r)
	return nil
}

// body is the image of one side.
type body struct {
	r      *run
	from   io.Reader
	over   error
	closed bool
}

func (b *body) Read(p []byte) (int, error) {
	switch {
	case b.closed:
		return 0, io.ErrClosedPipe
	case b.over != nil:
		return 0, b.over
	case b.r.over != nil:
		return 0, b.r.over
	}
	n, err := b.from.Read(p)
	if err != nil && err != io.EOF {
		var f *device.Fault
		if !errors.As(err, &f) {
			err = &device.Fault{Kind: device.BadAnswer, Detail: "image from " + b.r.s.name, Err: err}
		}
		err = b.r.fail(err)
	}
	b.over = err
	return n, err
}

// Close forgets what was not read.
func (b *body) Close() error {
	b.closed = true
	return nil
}

// frame reads the bytes of one frame.
type frame struct {
	r    *run
	p    parameters
	left []byte // of the helper's last answer: nothing may be asked of it before this is used up
	done bool
}

// fill asks for bytes until some come. At the end of the frame it is io.EOF.
func (f *frame) fill(ctx context.Context) error {
	silence := time.Duration(f.r.s.f.cfg.SilenceSeconds) * time.Second
	f.left = nil
	for begun := time.Now(); ; {
		if f.done {
			return io.EOF
		}
		if f.r.set.Source == device.Platen && f.r.stopped() {
			return device.Faultf(device.Stopped, "cancelled in the middle of a page")
		}
		a, data, err := f.r.p.call(ctx, silence, &request{Op: opRead})
		switch {
		case errors.Is(err, errDead):
			return f.r.s.deadFault("read", err)
		case err != nil:
			return err
		case a.Status == statusEOF:
			f.done = true
		case a.Status != statusGood:
			return f.r.s.explain("read", a.Status)
		case len(data) == 0 && time.Since(begun) > silence:
			return device.Faultf(device.Hardware, "read %s: no bytes for %v", f.r.s.name, silence)
		}
		if len(data) > 0 {
			f.left = data
			return nil
		}
	}
}

// Read gives the bytes as the backend sends them.
func (f *frame) Read(b []byte) (int, error) {
	if len(f.left) == 0 {
		if err := f.fill(context.Background()); err != nil {
			return 0, err
		}
	}
	n := copy(b, f.left)
	f.left = f.left[n:]
	return n, nil
}
