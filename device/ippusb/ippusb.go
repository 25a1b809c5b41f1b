// Package ippusb speaks HTTP to a machine over USB, as the IPP-over-USB
// specification has it: every interface of class 7/1/4 is one HTTP/1.1
// connection that is never opened or closed.
//
// [Transport] is the [http.RoundTripper] for one machine, [Driver] tells which
// machines on the bus are of the kind. What is said in HTTP is the business of the drivers
// above, which see no difference to a machine on the network.
package ippusb

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"docscan/device"
	"docscan/device/quirks"
)

// Config says how long we have patience with a machine.
type Config struct {
	SilenceSeconds int `toml:"silence_seconds"` // how long it may say nothing within an exchange
	// IPPUSBDir is where ipp-usb, if it runs here, keeps what it knows of the
	// devices it holds; empty: a scanner that ipp-usb holds is not used.
	IPPUSBDir    string `toml:"ipp_usb_dir"`
	DrainSeconds int    `toml:"drain_seconds"` // how long the rest of an answer that nobody wants may take
}

// DefaultConfig has room for a machine that warms up before it sends a page.
func DefaultConfig() Config {
	return Config{IPPUSBDir: "/var/ipp-usb/dev", SilenceSeconds: 120, DrainSeconds: 60}
}

// Check says what is wrong with c.
func (c *Config) Check() error {
	for _, v := range []struct {
		key             string
		value, min, max int
	}{
		{"silence_seconds", c.SilenceSeconds, 1, 3600},
		{"drain_seconds", c.DrainSeconds, 1, 3600},
	} {
		if v.value < v.min || v.value > v.max {
			return fmt.Errorf("%s is %d: it must be from %d to %d", v.key, v.value, v.min, v.max)
		}
	}
	return nil
}

// smallBody is the size below which a request's body is read before the
// request is sent, in bytes.
const smallBody = 16 << 10

// Pipe is one interface: two streams of bytes. [usb.Pipe] is one; so is the
// simulated device, for tests that need no bus.
type Pipe interface {
	// Read does one transfer from the machine, which may be empty.
	Read(ctx context.Context, b []byte) (int, error)
	// Write does one transfer to the machine.
	Write(ctx context.Context, b []byte) (int, error)
	// Restart puts both ends in step. Transfers under way end with an error.
	Restart(ctx context.Context) error
}

// Transport does HTTP exchanges with one machine, as many at a time as it has
// pipes. Its methods may be called from any goroutine.
type Transport struct {
	cfg    Config
	quirks quirks.Quirks
	reset  func(context.Context) error
	close  func() error
	ladder *device.Ladder
	log    *slog.Logger

	free   chan *conn      // the pipes that no exchange owns
	ctx    context.Context // ends with Close or when the machine has gone
	cancel context.CancelCauseFunc
	closed sync.Once

	started atomic.Bool // the machine has given a whole answer

	resetMu sync.Mutex
	resets  int // port resets done so far
}

// NewTransport makes a Transport of a machine's pipes. reset resets the whole
// machine, close gives it up. The Transport owns the machine from here on. ladder
// counts what is done to bring the machine back, besides what pipes and reset
// count themselves; it may be nil.
func NewTransport(cfg Config, q quirks.Quirks, pipes []Pipe, reset func(context.Context) error, close func() error, ladder *device.Ladder, log *slog.Logger) *Transport {
	t := &Transport{cfg: cfg, quirks: q, reset: reset, close: close, ladder: ladder, log: log, free: make(chan *conn, len(pipes))}
	t.ctx, t.cancel = context.WithCancelCause(context.Background())
	for _, p := range pipes {
		t.free <- &conn{pipe: p}
	}
	return t
}

// Ladder counts what was done to bring the machine back; may be nil.
func (t *Transport) Ladder() *device.Ladder { return t.ladder }

// Close ends the exchanges under way and gives the machine up.
func (t *Transport) Close() error {
	var err error
	t.closed.Do(func() {
		t.cancel(errors.New("the connection to the scanner was closed"))
		for range cap(t.free) {
			<-t.free // the last thing that an exchange does is to give its pipe back
		}
		err = t.close()
	})
	return err
}

// RoundTrip does one exchange. When the request's context ends it returns at
// once, but the exchange goes on to its end behind the scenes: on USB, what is
// not read now would be read as the start of the next answer.
func (t *Transport) RoundTrip(r *http.Request) (*http.Response, error) {
	out, body, err := t.prepare(r)
	if err != nil {
		return nil, err
	}
	ctx := r.Context()
	c, err := t.acquire(ctx)
	if err != nil {
		closeBody(r.Body)
		return nil, err
	}
	x := newExchange(t, c, out, body)
	go x.run()
	select {
	case <-x.answered:
	case <-ctx.Done():
		x.abandon(context.Cause(ctx))
		return nil, context.Cause(ctx)
	}
	if x.err != nil {
		return nil, x.err
	}
	stop := context.AfterFunc(ctx, func() { x.abandon(context.Cause(ctx)) })
	x.response.Request = r
	x.response.Body = &responseBody{x: x, stop: stop}
	return x.response, nil
}

// acquire waits for a pipe that is free.
func (t *Transport) acquire(ctx context.Context) (*conn, error) {
	select {
	case <-t.ctx.Done():
		return nil, context.Cause(t.ctx)
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	case c := <-t.free:
		// A select with more than one way open takes any of them.
		if t.ctx.Err() != nil {
			t.free <- c
			return nil, context.Cause(t.ctx)
		}
		if ctx.Err() != nil {
			t.free <- c
			return nil, context.Cause(ctx)
		}
		return c, nil
	}
}

// prepare makes of r what goes over the wire.
func (t *Transport) prepare(r *http.Request) (out *http.Request, body *requestBody, err error) {
	if r.Header.Get("Upgrade") != "" {
		closeBody(r.Body)
		return nil, nil, errors.New("HTTP over USB cannot change its protocol (Upgrade)")
	}
	out = r.Clone(context.Background())
	for _, h := range []string{"Connection", "Expect", "Keep-Alive", "Proxy-Connection", "Te", "Trailer"} {
		out.Header.Del(h)
	}
	if t.quirks.Connection != "" {
		out.Header.Set("Connection", t.quirks.Connection)
	}
	out.Close = false
	out.Host = "localhost" // the specification wants it
	out.TransferEncoding = nil
	out.Trailer = nil
	if r.Body == nil || r.Body == http.NoBody {
		out.Body, out.ContentLength = nil, 0
		return out, nil, nil
	}
	if r.ContentLength > 0 && r.ContentLength < smallBody {
		b := make([]byte, r.ContentLength)
		_, err := io.ReadFull(r.Body, b)
		closeBody(r.Body)
		if err != nil {
			return nil, nil, fmt.Errorf("read the request's body: %w", err)
		}
		out.Body = io.NopCloser(bytes.NewReader(b))
		return out, nil, nil
	}
	// In chunks, so that a body that breaks off still ends properly.
	body = &requestBody{body: r.Body}
	out.Body, out.ContentLength = body, -1
	return out, body, nil
}

// requestBody ends early instead of failing.
type requestBody struct {
	body io.ReadCloser
	err  error // why it ended early
}

func (b *requestBody) Read(p []byte) (int, error) {
	n, err := b.body.Read(p)
	if err != nil && err != io.EOF {
		b.err = err
		err = io.EOF
	}
	return n, err
}

func (b *requestBody) Close() error { return b.body.Close() }

func closeBody(b io.Closer) {
	if b != nil {
		b.Close() // its error could change nothing
	}
}

// recover makes c fit for the next exchange after one that failed with err, in
// steps: restart the pipe, then reset the machine. started is the number of
// resets when the failed exchange began. If c cannot be saved the Transport
// ends, as the Finder can then open the machine anew.
func (t *Transport) recover(c *conn, started int, err error) {
	if device.KindOf(err) == device.Unplugged {
		t.cancel(err)
	}
	if t.ctx.Err() != nil {
		return
	}
	t.resetMu.Lock()
	defer t.resetMu.Unlock()
	c.forget()
	if !errors.Is(err, errOutOfStep) {
		c.failures++
	}
	if t.resets > started {
		return // another exchange has just reset the machine
	}
	ctx, cancel := context.WithTimeout(t.ctx, 10*time.Second)
	defer cancel()
	if c.failures <= 1 {
		t.log.Info("restart USB interface", "err", err)
		restarted := c.pipe.Restart(ctx)
		if restarted == nil {
			return
		}
		err = restarted
	}
	if device.KindOf(err) != device.Unplugged {
		t.log.Warn("reset USB device", "err", err)
		t.resets++
		if err = t.reset(ctx); err == nil {
			return
		}
	}
	if device.KindOf(err) != device.Unplugged {
		t.ladder.Climb(device.TellPerson, err)
		err = &device.Fault{Kind: device.Unplugged, Detail: "given up after a reset that failed", Err: err}
	}
	t.cancel(err)
}

func (t *Transport) resetsSoFar() int {
	t.resetMu.Lock()
	defer t.resetMu.Unlock()
	return t.resets
}

// framed says whether the end of r's body can be told.
func framed(r *http.Response) bool {
	chunked := len(r.TransferEncoding) > 0 && strings.EqualFold(r.TransferEncoding[0], "chunked")
	return r.ContentLength >= 0 || chunked
}
