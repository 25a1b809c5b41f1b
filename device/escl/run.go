package escl

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"sync"
	"time"

	"docscan/device"
	"docscan/device/raster"
	"docscan/device/spill"
)

// run is one job.
type run struct {
	s          *Scanner
	set        device.Settings
	resolution int
	lines      int // asked for
	job        *url.URL
	sides      int           // handed out
	body       io.Closer     // of the side before, or nil
	over       error         // what Next returns from now on, once it has ended
	asked      time.Time     // when the side before was asked for
	rest       time.Duration // before the next side is asked for

	mu       sync.Mutex
	canceled bool
	deleted  bool
}

// Next asks for the next side and waits for the machine to have it.
func (r *run) Next(ctx context.Context) (*device.Side, error) {
	if r.body != nil {
		r.body.Close()
		r.body = nil
		if r.s.quirks.Pause {
			r.rest = min(time.Since(r.asked)/2, maxRest)
		}
	}
	if r.over != nil {
		return nil, r.over
	}
	if err := sleep(ctx, r.rest); err != nil {
		return nil, err
	}
	r.asked = time.Now()
	side, err := r.next(ctx)
	if err != nil {
		r.over = err
	}
	return side, err
}

func (r *run) next(ctx context.Context) (*device.Side, error) {
	if r.set.Source == device.Platen && r.sides == 1 {
		return nil, io.EOF // a platen gives one side; some machines would scan it again
	}
	// A cancel that did not get through in the middle of a side, such as to a
	// machine with one interface only, is repeated between two.
	if r.wasCanceled() {
		if err := r.delete(ctx, true); err != nil {
			return nil, &device.Fault{Kind: device.Stopped, Detail: "the scanner did not take the cancel", Err: err}
		}
	}
	for try := 1; ; try++ {
		// The request lives as long as the body: its own context ends it.
		bctx, stop := context.WithCancel(context.WithoutCancel(ctx))
		waiting := context.AfterFunc(ctx, stop)
		resp, err := r.s.do(bctx, http.MethodGet, r.job.JoinPath("NextDocument"), nil)
		if err != nil {
			waiting()
			stop()
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			return nil, err
		}
		switch resp.StatusCode {
		case http.StatusOK:
			side, err := r.side(resp, stop)
			if err != nil {
				waiting()
				stop()
			}
			return side, err
		case http.StatusServiceUnavailable:
			r.s.drain(resp)
			waiting()
			stop()
			if err := r.notYet(ctx, try); err != nil {
				return nil, err
			}
		default:
			r.s.drain(resp)
			waiting()
			stop()
			if r.s.quirks.WaitOnNotFound && resp.StatusCode == http.StatusNotFound && r.working(ctx) {
				if err := r.notYet(ctx, try); err != nil {
					return nil, err
				}
				continue
			}
			return nil, r.end(ctx, resp.StatusCode)
		}
	}
}

// maxRest is the longest pause between two sides. Brother's feeders want half of
// the time that the side before took, and no more than this.
const maxRest = time.Second

// working reports whether the machine says that it is still at our job.
func (r *run) working(ctx context.Context) bool {
	if r.wasCanceled() {
		return false
	}
	st, err := r.s.status(ctx)
	return err == nil && st.fault() == "" && st.State == "Processing" && st.Adf != "ScannerAdfEmpty"
}

// notYet handles 503: the machine wants another try, unless its status shows a
// fault. "Empty" there is no proof of the end.
func (r *run) notYet(ctx context.Context, try int) error {
	st, err := r.s.status(ctx)
	if err != nil {
		return err
	}
	if k := st.fault(); k != "" && r.set.Source == device.Feeder {
		return device.Faultf(k, "%s while waiting for a side", st.Adf)
	}
	if try >= pageTries {
		return device.Faultf(device.Warming, "HTTP status 503 to NextDocument, %d times; state %s, feeder %s", try, st.State, st.Adf)
	}
	return sleep(ctx, retryEvery)
}

// end tells the proper end of the feeder from a fault. The machine's answer to
// NextDocument is the same for both; only its status knows.
func (r *run) end(ctx context.Context, code int) error {
	if r.wasCanceled() {
		return device.Faultf(device.Stopped, "HTTP status %d after a cancel", code)
	}
	st, err := r.s.status(ctx)
	if err != nil {
		return err
	}
	if k := st.fault(); k != "" && r.set.Source == device.Feeder {
		return device.Faultf(k, "%s, HTTP status %d to NextDocument", st.Adf, code)
	}
	for _, j := range st.Jobs {
		if path, err := url.Parse(j.URI); err != nil || path.Path != r.job.Path {
			continue
		}
		if j.State == "Canceled" {
			return device.Faultf(device.Stopped, "the job is canceled: %v", j.Reasons)
		}
		if j.State == "Aborted" && r.sides > 0 {
			return device.Faultf(device.Hardware, "the job is aborted: %v", j.Reasons)
		}
	}
	switch code {
	case http.StatusNotFound, http.StatusGone, http.StatusConflict:
	default:
		return device.Faultf(device.BadAnswer, "HTTP status %d to NextDocument", code)
	}
	if r.sides == 0 {
		return device.Faultf(device.NoPaper, "feeder %s, HTTP status %d to the first NextDocument", st.Adf, code)
	}
	return io.EOF
}

// sniffBytes is how much of an image is looked at before it is believed to be
// one.
const sniffBytes = 512

// side makes the answer a Side, if it is an image. stop ends the request.
func (r *run) side(resp *http.Response, stop context.CancelFunc) (*device.Side, error) {
	head := make([]byte, sniffBytes)
	n, err := io.ReadFull(resp.Body, head)
	head = head[:n]
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) || n == 0 {
		resp.Body.Close()
		return nil, lost(err)
	}
	kind := imageType(head)
	if kind == "" {
		r.s.drain(resp)
		// Some send an error text with status 200 (Lexmark MB2236, Xerox 3225).
		return nil, device.Faultf(device.BadAnswer, "not an image (%.40q): %.80q", resp.Header.Get("Content-Type"), head)
	}
	r.sides++
	side := &device.Side{Sheet: r.sides, Type: kind, Resolution: r.resolution}
	if r.set.Duplex {
		side.Sheet, side.Back = (r.sides+1)/2, r.sides%2 == 0
		side.Turned = side.Back && r.s.quirks.BacksTurned
	}
	short := resp.ContentLength >= 0 && int64(n) < sniffBytes && int64(n) < resp.ContentLength
	b := &body{r: r, resp: resp, stop: stop, head: bytes.NewReader(head), left: r.s.maxSide, mark: endMarks[kind], short: short}
	r.body, side.Body = b, b
	if lines, ok := raster.JPEGLines(head); ok && kind == "image/jpeg" && (lines == 0 || lines > r.lines*5/4+64 || r.s.quirks.AskHeight) {
		u := &unsized{body: b, kept: spill.New(r.s.temp, unsizedMemory, new([][]byte))}
		r.body, side.Body = u, u
	}
	return side, nil
}

// imageType tells an image by its first bytes; "" is no image that we know.
func imageType(head []byte) string {
	switch {
	case bytes.HasPrefix(head, []byte("\xff\xd8\xff")):
		return "image/jpeg"
	case bytes.HasPrefix(head, []byte("\x89PNG\r\n\x1a\n")):
		return "image/png"
	case bytes.HasPrefix(head, []byte("II*\x00")), bytes.HasPrefix(head, []byte("MM\x00*")):
		return "image/tiff"
	}
	return ""
}

// lost is an image that did not come to its end.
func lost(err error) error {
	if err == nil {
		err = io.ErrUnexpectedEOF
	}
	var f *device.Fault
	if errors.As(err, &f) {
		return f
	}
	return &device.Fault{Kind: device.Unplugged, Detail: "the image broke off", Err: err}
}

// body streams one side. A read error in it is a Fault.
type body struct {
	r     *run
	resp  *http.Response
	stop  context.CancelFunc
	head  *bytes.Reader
	left  int64  // bytes until the limit
	mark  string // what stands at the end of a whole image of this type; "": nothing
	tail  []byte // the last bytes seen, if there is a mark
	short bool   // the answer ended within the head, before its announced end
	done  bool
	over  error // io.EOF or a Fault
}

func (b *body) Read(p []byte) (int, error) {
	if b.over != nil {
		return 0, b.over
	}
	if b.head.Len() == 0 && b.short {
		b.over = b.broken(io.ErrUnexpectedEOF)
		return 0, b.over
	}
	from := io.Reader(b.resp.Body)
	if b.head.Len() > 0 {
		from = b.head
	}
	n, err := from.Read(p)
	if b.left -= int64(n); b.left < 0 {
		b.over = device.Faultf(device.TooLarge, "more than %d bytes", b.r.s.maxSide)
		return 0, b.over
	}
	if b.mark != "" {
		b.tail = append(b.tail, p[:n]...)
		b.tail = b.tail[max(0, len(b.tail)-tailBytes):]
	}
	switch {
	case errors.Is(err, io.EOF):
		b.over = b.end()
	case err != nil:
		b.over = b.broken(err)
	}
	return n, b.over
}

// tailBytes is how far from the end of an image its end mark may stand: some
// machines pad.
const tailBytes = 64

// endMarks are JPEG's marker EOI and PNG's chunk IEND.
var endMarks = map[string]string{"image/jpeg": "\xff\xd9", "image/png": "IEND"}

// end is what an answer that has come to its end means. A machine that jams in
// mid-page may send what it has and say nothing; its status then tells.
func (b *body) end() error {
	if b.mark == "" || bytes.Contains(b.tail, []byte(b.mark)) {
		return io.EOF
	}
	ctx, stop := context.WithTimeout(context.Background(), abortWait)
	defer stop()
	st, err := b.r.s.status(ctx)
	if err == nil && st.fault() == "" {
		return io.EOF // an image without its end, but all there is
	}
	return b.broken(io.ErrUnexpectedEOF)
}

// broken says why an image broke off: a machine that is still there may tell.
func (b *body) broken(err error) error {
	ctx, stop := context.WithTimeout(context.Background(), abortWait)
	defer stop()
	st, serr := b.r.s.status(ctx)
	switch {
	case device.KindOf(serr) == device.BadAnswer: // it is there, but not itself
		return serr
	case serr != nil:
	case st.fault() != "":
		return &device.Fault{Kind: st.fault(), Detail: st.Adf + " in mid-page", Err: err}
	}
	return lost(err)
}

// Close reads what is left, within bounds, or gives the request up.
func (b *body) Close() error {
	if b.done {
		return nil
	}
	b.done = true
	if b.over == nil {
		b.r.s.drain(b.resp)
	} else {
		b.resp.Body.Close()
	}
	b.stop()
	return nil
}

// unsizedMemory is how much of a side waits in memory whose length is told at its
// end, in bytes; JPEG of A4 has one or two million.
const unsizedMemory = 8 << 20

// unsized is a JPEG whose head holds a place for its number of lines and no more:
// the machine sends that before it has seen the end of the paper. It is taken in
// whole, then the machine is asked, and the head is mended.
type unsized struct {
	*body
	kept  *spill.Queue
	whole bool
}

func (u *unsized) Read(p []byte) (int, error) {
	if !u.whole {
		if _, err := io.Copy(u.kept, u.body); err != nil {
			return 0, err
		}
		u.whole = true
		lines := raster.JPEGLinesAtEnd(u.tail)
		if lines == 0 {
			lines = u.r.trueLines()
		}
		if lines > 0 {
			if err := raster.ShortenJPEG(u.kept.Head(), lines); err != nil {
				return 0, device.Faultf(device.BadAnswer, "JPEG: %v", err)
			}
		}
	}
	return u.kept.Read(p)
}

// Close forgets what was not read.
func (u *unsized) Close() error { return errors.Join(u.body.Close(), u.kept.Close()) }

// trueLines asks how many lines the image before has; 0 if the machine does not
// tell: not every one does.
func (r *run) trueLines() int {
	ctx, stop := context.WithTimeout(context.Background(), abortWait)
	defer stop()
	resp, err := r.s.do(ctx, http.MethodGet, r.job.JoinPath("ScanImageInfo"), nil)
	if err != nil {
		r.s.log.Debug("the scanner does not tell the true size", "err", err)
		return 0
	}
	defer r.s.drain(resp)
	var info imageInfo
	if resp.StatusCode != http.StatusOK {
		r.s.log.Debug("the scanner does not tell the true size", "status", resp.Status)
		return 0
	}
	if err := parse(resp.Body, &info); err != nil {
		r.s.log.Debug("the scanner does not tell the true size", "err", err)
		return 0
	}
	return max(0, info.Height)
}

// Cancel deletes the job: the machine stops feeding. Over USB this takes
// another interface than the one the side comes in by.
func (r *run) Cancel(ctx context.Context) error {
	r.mu.Lock()
	r.canceled = true
	r.mu.Unlock()
	return r.delete(ctx, true)
}

// wasCanceled says whether somebody cancelled the run.
func (r *run) wasCanceled() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.canceled
}

// delete ends the job on the machine, unless that is done. early says that it has
// not come to its proper end.
func (r *run) delete(ctx context.Context, early bool) error {
	r.mu.Lock()
	deleted := r.deleted
	r.mu.Unlock()
	if deleted {
		return nil
	}
	if early {
		r.s.ladder.Climb(device.CancelCommand, nil)
	}
	err := r.s.deleteJob(ctx, r.job)
	r.s.mu.Lock()
	if r.s.stale = nil; err != nil {
		r.s.stale = r.job
	}
	r.s.mu.Unlock()
	r.mu.Lock()
	r.deleted = err == nil
	r.mu.Unlock()
	return err
}

// Close ends the run. That a machine which is gone cannot be told is no error.
func (r *run) Close() error {
	defer r.s.ended(r)
	if r.body != nil {
		r.body.Close()
		r.body = nil
	}
	if r.s.quirks.KeepJob && errors.Is(r.over, io.EOF) {
		return nil
	}
	ctx, stop := context.WithTimeout(context.Background(), abortWait)
	defer stop()
	if err := r.delete(ctx, !errors.Is(r.over, io.EOF)); err != nil && !unreachable(err) {
		return err
	}
	return nil
}
