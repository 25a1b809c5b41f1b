package esci

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"docscan/device"
	"docscan/device/spill"
)

// maxBlock is the most image data that one answer may have, in bytes. It is what
// is asked for; some machines send less, and some what they like, but none more.
const maxBlock = 1 << 20

// Sizes of what keeps a side, in bytes.
const (
	memory  = 16 << 20 // of one side in memory; of two together 32 MiB
	maxSide = 1 << 30  // of one side at all
)

// front and back are the sides of a sheet.
const (
	front = 0
	back  = 1
)

// run is one pass through the paper source.
type run struct {
	s *Scanner
	p *plan

	begun    [2]int         // sides of each kind that have begun
	open     [2]*side       // on their way in
	ready    []*device.Side // whole, and not handed over
	given    int            // sides handed over
	noneLeft bool           // the machine says that no image is left
	feeding  bool           // the machine is in its data state, and must be told to leave it
	retired  bool           // the machine has been given back
	over     error          // what Next returns once ready is empty
	body     io.ReadCloser  // of the side before, or nil
	buffer   []byte         // of one block
	spare    [][]byte       // memory of sides
	patience device.Stall

	once sync.Once
	stop chan struct{} // closed by Cancel
}

// Next gives the next side, and has the machine send until that is whole.
func (r *run) Next(ctx context.Context) (*device.Side, error) {
	if r.body != nil {
		b := r.body
		r.body = nil
		if err := b.Close(); err != nil {
			r.s.log.Warn("forgetting a side failed", "err", err)
		}
	}
	for {
		if side := r.take(); side != nil {
			r.given++
			r.body = side.Body
			return side, nil
		}
		if r.over != nil {
			return nil, r.over
		}
		if err := r.step(ctx); err != nil {
			r.fail(ctx, err)
		}
	}
}

// take gives the side whose turn it is, if it is whole.
func (r *run) take() *device.Side {
	sheet, isBack := r.given+1, false
	if r.p.duplex {
		sheet, isBack = r.given/2+1, r.given%2 == back
	}
	for i, s := range r.ready {
		if s.Sheet == sheet && s.Back == isBack {
			r.ready = append(r.ready[:i:i], r.ready[i+1:]...)
			return s
		}
	}
	return nil
}

// whole says whether nothing of a sheet is under way.
func (r *run) whole() bool {
	return r.open[front] == nil && r.open[back] == nil && (!r.p.duplex || r.begun[front] == r.begun[back])
}

// step asks for image data once.
func (r *run) step(ctx context.Context) error {
	if r.whole() {
		if r.noneLeft || r.p.platen && r.begun[front] > 0 {
			r.feeding = false
			return io.EOF
		}
		if r.stopped() {
			return device.Faultf(device.Stopped, "cancelled")
		}
	}
	a, data, err := r.exchange(ctx)
	if err != nil {
		return err
	}
	n := front
	if a.back && r.p.duplex {
		n = back
	}
	if a.begin != nil {
		if err := r.beginSide(n, *a.begin); err != nil {
			return err
		}
	}
	if len(data) > 0 {
		s := r.open[n]
		if s == nil {
			return device.Faultf(device.BadAnswer, "IMG: %d bytes outside of a page", len(data))
		}
		if s.kept.Len()+int64(len(data)) > maxSide {
			return device.Faultf(device.TooLarge, "a side of more than %d bytes", maxSide)
		}
		if _, err := s.kept.Write(data); err != nil {
			return err
		}
	}
	if a.end != nil {
		if err := r.endSide(n, a.end); err != nil {
			return err
		}
	}
	if a.left == 0 {
		r.noneLeft = true
	}
	switch {
	case len(a.faults) > 0:
		return r.judge(a.faults)
	case a.cancel:
		return device.Faultf(device.Stopped, "IMG: #atnCAN")
	case a.begin != nil || a.end != nil || len(data) > 0:
		r.patience.Over()
		return nil
	}
	if r.patience.Beyond(busyTime) {
		return device.Faultf(device.Warming, "IMG: nothing came for %v", busyTime)
	}
	var stop <-chan struct{}
	if r.whole() {
		stop = r.stop
	}
	if err := sleep(ctx, emptyImage, stop); !errors.Is(err, errStopped) {
		return err
	}
	return nil // the next step says so
}

// emptyImage is between requests for image data that gave nothing.
const emptyImage = 20 * time.Millisecond

// exchange asks the machine for image data.
func (r *run) exchange(ctx context.Context) (reply, []byte, error) {
	r.s.wire.Lock()
	defer r.s.wire.Unlock()
	return r.s.c.exchange(ctx, "IMG ", nil, r.buffer, feedTime)
}

// beginSide makes room for a side that begins.
func (r *run) beginSide(n int, e extent) error {
	if r.open[n] != nil {
		return device.Faultf(device.BadAnswer, "IMG: #pst in the middle of a page")
	}
	r.begun[n]++
	if r.p.duplex && max(r.begun[front]-r.begun[back], r.begun[back]-r.begun[front]) > 1 {
		return device.Faultf(device.BadAnswer, "IMG: %d fronts and %d backs", r.begun[front], r.begun[back])
	}
	r.open[n] = &side{sheet: r.begun[n], back: n == back, begin: e, kept: spill.New(r.s.o.Temp, memory, &r.spare)}
	return nil
}

// endSide makes the image of a side that has ended.
func (r *run) endSide(n int, e *extent) error {
	s := r.open[n]
	if s == nil {
		return device.Faultf(device.BadAnswer, "IMG: #pen outside of a page")
	}
	img, err := s.image(r.p, e)
	if err != nil {
		return err
	}
	r.open[n] = nil
	r.ready = append(r.ready, img)
	return nil
}

// judge says what the faults in an answer mean for the run. An empty feeder after
// whole sheets is its proper end.
func (r *run) judge(faults []cause) error {
	f := faultOf("IMG", faults)
	r.feeding = false // it has left the data state by itself
	if f.Kind != device.NoPaper {
		return f
	}
	switch {
	case r.begun[front] == 0 && r.begun[back] == 0:
		return f
	case r.whole():
		return io.EOF
	}
	f.Kind = device.Jam // it has lost the sheet in the middle
	return f
}

// fail ends the run with err. The machine is given back at once, so that a person
// can clear it and its panel tells.
func (r *run) fail(ctx context.Context, err error) {
	if r.over = err; err != io.EOF { // which is the proper end; one from the wire is wrapped
		r.over = fault(ctx, err)
	}
	if device.KindOf(r.over) == device.BadAnswer {
		r.s.o.Ladder.Climb(device.TellPerson, r.over)
	}
	r.drop()
	r.retire()
}

// drop forgets the sides that did not come whole.
func (r *run) drop() {
	for n, s := range r.open {
		if s != nil {
			r.forget(s.kept)
			r.open[n] = nil
		}
	}
}

// forget gives memory and disk back.
func (r *run) forget(c io.Closer) {
	if err := c.Close(); err != nil {
		r.s.log.Warn("forgetting a side failed", "err", err)
	}
}

// retire gives the machine back, once.
func (r *run) retire() {
	if r.retired {
		return
	}
	r.retired = true
	if device.KindOf(r.over) != device.Unplugged {
		r.s.retire(r.feeding)
	}
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

// Cancel stops the feeding: the sheet that is inside is the last.
func (r *run) Cancel(context.Context) error {
	r.once.Do(func() { close(r.stop) })
	return nil
}

// Close ends the run.
func (r *run) Close() error {
	if r.body != nil {
		r.forget(r.body)
		r.body = nil
	}
	if r.over == nil {
		r.over = device.Faultf(device.Stopped, "the run was closed")
	}
	r.drop()
	for _, s := range r.ready {
		r.forget(s.Body)
	}
	r.ready, r.buffer, r.spare = nil, nil, nil
	r.retire()
	r.s.ended()
	return nil
}
