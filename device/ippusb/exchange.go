package ippusb

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"docscan/device"
)

// Limits of one exchange.
const (
	transferSize  = 16 << 10                // one bulk transfer, in bytes: more is unreliable on a Raspberry Pi
	maxHeader     = 64 << 10                // of an answer, in bytes
	maxInterim    = 5                       // answers with a 1xx status before the real one
	startQuiet    = 5 * time.Second         // silence of a machine that has not answered yet: it is asked again
	unframedQuiet = 2 * time.Second         // silence that ends a body whose end cannot be told
	emptyFirst    = 10 * time.Millisecond   // pause after a first empty read
	emptyLast     = 1000 * time.Millisecond // longest pause after an empty read
)

// errAbandoned ends the body of an answer that its reader closed.
var errAbandoned = errors.New("the answer was not read to its end")

// errOutOfStep says that an exchange went well, but that what the machine sends
// next cannot be told from the rest of the answer.
var errOutOfStep = errors.New("out of step")

// errQuiet says that the machine said nothing for too long.
var errQuiet = errors.New("the machine said nothing for too long")

// conn is one pipe as a stream. One exchange at a time owns it.
type conn struct {
	pipe     Pipe
	failures int // exchanges that failed since the last one that did not

	buf     [transferSize]byte
	waiting []byte // part of buf that was received and not read yet
}

// forget drops what was received.
func (c *conn) forget() { c.waiting = nil }

// exchange is one request and its answer. Its goroutine owns the conn until
// the last byte of the answer was read, whoever still wants it.
type exchange struct {
	t       *Transport
	c       *conn
	request *http.Request
	body    *requestBody // nil if the request's body is small or missing
	ctx     context.Context
	cancel  context.CancelCauseFunc

	starting bool // the machine has not given a whole answer yet

	quiet time.Duration // how long the machine may say nothing
	head  int           // bytes of the header that may still come; negative: no limit

	answered chan struct{}  // closed when response or err is set
	response *http.Response // its body is of no use; the reader gets from
	err      error
	from     *io.PipeReader
	to       *io.PipeWriter

	once sync.Once // of abandon
}

func newExchange(t *Transport, c *conn, r *http.Request, body *requestBody) *exchange {
	x := &exchange{t: t, c: c, request: r, body: body, answered: make(chan struct{})}
	x.ctx, x.cancel = context.WithCancelCause(t.ctx)
	x.from, x.to = io.Pipe()
	x.quiet = time.Duration(t.cfg.SilenceSeconds) * time.Second
	if x.starting = !t.started.Load(); x.starting {
		x.quiet = startQuiet
		if t.quirks.StartSeconds > 0 {
			x.quiet = time.Duration(t.quirks.StartSeconds) * time.Second
		}
	}
	// Neither a body that does not come nor one that nobody takes may hold up
	// the end of the Transport.
	context.AfterFunc(x.ctx, func() {
		x.to.CloseWithError(context.Cause(x.ctx))
		x.closeBody()
	})
	return x
}

func (x *exchange) closeBody() {
	if x.body != nil {
		x.body.Close() // its error could change nothing
	}
}

// abandon makes the exchange go on without its reader, with a limit of time.
func (x *exchange) abandon(why error) {
	x.once.Do(func() {
		x.to.CloseWithError(why)
		x.closeBody()
		limit := time.Duration(x.t.cfg.DrainSeconds) * time.Second
		timer := time.AfterFunc(limit, func() {
			x.cancel(fmt.Errorf("the rest of an unwanted answer did not end within %v", limit))
		})
		context.AfterFunc(x.ctx, func() { timer.Stop() })
	})
}

// run does the exchange and makes the conn ready for the next one.
func (x *exchange) run() {
	started := x.t.resetsSoFar()
	err := x.do()
	if err != nil {
		x.t.recover(x.c, started, err)
	} else {
		x.c.failures = 0
		x.t.started.Store(true)
	}
	// The end of the Transport cuts the pause short; it is no error here.
	_ = pause(x.ctx, time.Duration(x.t.quirks.RequestDelayMS)*time.Millisecond)
	x.cancel(nil)
	x.t.free <- x.c
}

// do does the exchange. An error means that the pipe may be out of step; the
// reader has been told.
func (x *exchange) do() error {
	r := bufio.NewReader(x)
	resp, err := x.talk(r)
	if x.body != nil && x.body.err != nil {
		// The machine got a whole request that means something else than it
		// should have. Its answer must be read, but nobody may believe it.
		if err == nil {
			_, err = io.Copy(io.Discard, resp.Body)
		}
		x.err = fmt.Errorf("read the request's body: %w", x.body.err)
		close(x.answered)
		return err
	}
	if err != nil {
		x.err = x.explain(err)
		close(x.answered)
		return err
	}
	isFramed, body := framed(resp), resp.Body
	x.response = resp
	close(x.answered) // from here on the response is the caller's

	if !isFramed {
		x.quiet = unframedQuiet
	}
	_, err = io.Copy(&drain{to: x.to, ladder: x.t.ladder}, body)
	switch {
	case !isFramed && errors.Is(err, errQuiet):
		x.to.Close()
		return fmt.Errorf("%w: an answer without length or chunks, so that its end had to be guessed", errOutOfStep)
	case x.starting && x.t.quirks.PartialStart && errors.Is(err, errQuiet):
		x.to.Close() // a machine that boots says "not yet" and no more
		return fmt.Errorf("%w: an answer that broke off", errOutOfStep)
	case err != nil:
		x.to.CloseWithError(x.explain(err))
		return err
	}
	x.to.Close()
	if n := r.Buffered() + len(x.c.waiting); n > 0 {
		return fmt.Errorf("%w: %d bytes after the end of an answer", errOutOfStep, n)
	}
	return nil
}

// talk sends the request and reads the answer up to its body.
func (x *exchange) talk(r *bufio.Reader) (*http.Response, error) {
	w := bufio.NewWriterSize(writer{x}, transferSize)
	if err := x.request.Write(w); err != nil {
		return nil, fmt.Errorf("send the request: %w", err)
	}
	if err := w.Flush(); err != nil {
		return nil, fmt.Errorf("send the request: %w", err)
	}
	for range maxInterim + 1 {
		x.head = maxHeader
		resp, err := http.ReadResponse(r, x.request)
		if err != nil {
			return nil, fmt.Errorf("read the answer: %w", err)
		}
		if resp.StatusCode == http.StatusSwitchingProtocols {
			return nil, errors.New("read the answer: the machine changed its protocol unasked")
		}
		if resp.StatusCode >= 200 {
			x.head = -1
			return resp, nil
		}
	}
	return nil, fmt.Errorf("read the answer: more than %d interim answers", maxInterim)
}

// Read reads from the machine. It asks for full transfers only and waits out
// the empty ones that some machines answer with while they are busy.
func (x *exchange) Read(b []byte) (int, error) {
	if x.head == 0 {
		return 0, fmt.Errorf("a header of more than %d bytes", maxHeader)
	}
	if len(x.c.waiting) == 0 {
		if err := x.fill(); err != nil {
			return 0, err
		}
	}
	if x.head > 0 {
		b = b[:min(len(b), x.head)]
	}
	n := copy(b, x.c.waiting)
	x.c.waiting = x.c.waiting[n:]
	if x.head > 0 {
		x.head -= n
	}
	return n, nil
}

// fill does transfers until there is data.
func (x *exchange) fill() error {
	ctx, cancel := context.WithTimeoutCause(x.ctx, x.quiet, errQuiet)
	defer cancel()
	for wait := emptyFirst; ; wait = min(wait*5/4, emptyLast) {
		n, err := x.c.pipe.Read(ctx, x.c.buf[:])
		if n > 0 {
			x.c.waiting = x.c.buf[:n] // an error will come again
			return nil
		}
		if err == nil {
			err = pause(ctx, wait)
		}
		if err != nil {
			return cause(ctx, err)
		}
	}
}

// writer is the machine's ear.
type writer struct{ x *exchange }

func (w writer) Write(b []byte) (int, error) {
	ctx, cancel := context.WithTimeoutCause(w.x.ctx, w.x.quiet, errQuiet)
	defer cancel()
	n, err := w.x.c.pipe.Write(ctx, b)
	if err == nil && n < len(b) {
		err = io.ErrShortWrite
	}
	if err != nil {
		return n, cause(ctx, err)
	}
	return n, nil
}

// cause gives the reason for the end of ctx if that is what err is about.
func cause(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// explain makes of an error what the caller of RoundTrip gets: a Fault that
// names what a person can do something about.
func (x *exchange) explain(err error) error {
	if device.KindOf(err) != "" {
		return err
	}
	if x.t.ctx.Err() != nil {
		return context.Cause(x.t.ctx)
	}
	return &device.Fault{Kind: device.BadAnswer, Detail: "HTTP over USB", Err: err}
}

// drain hands an answer to its reader until there is none any more, and then
// throws the rest away.
type drain struct {
	to        *io.PipeWriter
	ladder    *device.Ladder
	abandoned bool
}

func (d *drain) Write(b []byte) (int, error) {
	if !d.abandoned {
		if _, err := d.to.Write(b); err != nil {
			d.abandoned = true
			d.ladder.Climb(device.Drain, err)
		}
	}
	return len(b), nil
}

// responseBody is the body as the caller of RoundTrip sees it.
type responseBody struct {
	x    *exchange
	stop func() bool // no longer abandon when the request's context ends
}

func (b *responseBody) Read(p []byte) (int, error) { return b.x.from.Read(p) }

func (b *responseBody) Close() error {
	b.stop()
	b.x.abandon(errAbandoned)
	return nil
}

// pause waits for d, or less if ctx ends.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
