package receive

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/klauspost/compress/zstd"
)

// ErrNotBox says that whatever answers is not "docscanctl receive".
var ErrNotBox = errors.New("this account does not lead to docscan")

// ErrFormat says that the box speaks a later form of the protocol.
var ErrFormat = errors.New("the box speaks a form of the protocol that this docscanctl does not know; use a newer docscanctl")

// A Conn speaks with a box. It does one thing at a time.
type Conn struct {
	Version string // of docscanctl on the box
	Allow   Allow  // what the key may do besides updates

	r *bufio.Reader
	w io.Writer
}

// NewConn begins to speak with the box at the other end of r and w.
func NewConn(r io.Reader, w io.Writer) (*Conn, error) {
	c := &Conn{r: bufio.NewReader(r), w: w}
	line, err := readLine(c.r, maxRequest)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, errLong) {
		return nil, ErrNotBox
	}
	if err != nil {
		return nil, err
	}
	var h hello
	if json.Unmarshal(line, &h) != nil || h.Protocol != Protocol {
		return nil, fmt.Errorf("%w: it says %.60q", ErrNotBox, line)
	}
	if h.Format != Format {
		return nil, fmt.Errorf("format %d: %w", h.Format, ErrFormat)
	}
	c.Version, c.Allow = h.Version, h.Allow
	return c, nil
}

// ask sends a request, with n bytes of body behind it if body is not nil.
func (c *Conn) ask(q Request, body io.Reader, n int64) error {
	q.Length = n
	line, err := json.Marshal(q)
	if err != nil {
		return err
	}
	if _, err := c.w.Write(append(line, '\n')); err != nil {
		return fmt.Errorf("ask the box for %s: %w", q.Verb, err)
	}
	if body == nil {
		return nil
	}
	if _, err := io.CopyN(c.w, body, n); err != nil {
		return fmt.Errorf("send to the box: %w", err)
	}
	return nil
}

// answer reads one answer. What the box refuses is a *Refusal.
func (c *Conn) answer() (answer, error) {
	var a answer
	line, err := readLine(c.r, maxAnswer)
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return a, fmt.Errorf("the box's answer: %w", err)
	}
	if err := json.Unmarshal(line, &a); err != nil || a.Length < 0 || a.Length > maxLength {
		return a, fmt.Errorf("the box's answer makes no sense: %.80q", line)
	}
	if a.Error != nil {
		return a, a.Error
	}
	return a, nil
}

// Ask does one request without bytes and reads the answer into out, unless that
// is nil.
func (c *Conn) Ask(q Request, out any) error { return c.send(q, nil, 0, out) }

func (c *Conn) send(q Request, body io.Reader, n int64, out any) error {
	if err := c.ask(q, body, n); err != nil {
		return err
	}
	a, err := c.answer()
	if err != nil || out == nil {
		return err
	}
	if err := json.Unmarshal(a.Body, out); err != nil {
		return fmt.Errorf("the box's answer makes no sense: %w", err)
	}
	return nil
}

// Status is how an update stands on a box, as docscand's API says it.
type Status struct {
	Running     string    `json:"running"`
	State       string    `json:"state"` // idle, staged, trying, committed, rolled-back
	Doing       string    `json:"doing"` // empty: nothing
	Current     *Version  `json:"current"`
	Previous    *Version  `json:"previous"`
	Next        *Version  `json:"next"`
	Reason      string    `json:"reason"`       // of the last roll back
	Failure     string    `json:"failure"`      // why the last wish came to nothing
	FailureKind string    `json:"failure_kind"` // one of the kinds of refusals
	Deadline    time.Time `json:"deadline"`
}

// Version is one installed on a box.
type Version struct {
	Slot    string `json:"slot"`
	Version string `json:"version"`
	Digest  string `json:"digest"` // of the version, not of a file
}

// Status asks how an update stands.
func (c *Conn) Status() (Status, error) {
	var s Status
	return s, c.Ask(Request{Verb: VerbStatus}, &s)
}

// Facts are what a box says of itself.
type Facts struct {
	Host         string    `json:"host"` // its own name
	Architecture string    `json:"architecture"`
	Time         time.Time `json:"time"`
	Error        string    `json:"error,omitempty"` // why docscand does not answer
	Docscan      *Docscan  `json:"docscan,omitempty"`
}

// Docscan is what docscand says of itself; names of documents are not in it.
type Docscan struct {
	Version       string    `json:"version"`
	UptimeSeconds int64     `json:"uptime_seconds"`
	Healthy       bool      `json:"healthy"`
	Trouble       []string  `json:"trouble"` // why it is not healthy, and what is worth a look
	DiskFree      int64     `json:"disk_free_bytes"`
	DiskTotal     int64     `json:"disk_total_bytes"`
	OpenBatches   int       `json:"open_batches"`
	PagesWaiting  int       `json:"pages_waiting"`
	LastDocument  time.Time `json:"last_document,omitzero"`
	Devices       []Device  `json:"devices"`
}

// Device is a scanner.
type Device struct {
	Name  string `json:"name"`
	State string `json:"state"`
}

// Facts asks a box about itself, and says how far its clock is from the one
// here: positive is fast.
func (c *Conn) Facts() (f Facts, drift time.Duration, err error) {
	before := time.Now()
	err = c.Ask(Request{Verb: VerbFacts}, &f)
	after := time.Now()
	return f, f.Time.Sub(before.Add(after.Sub(before) / 2)), err
}

// Offer says which bundle will come, and learns where it goes on.
func (c *Conn) Offer(digest string, size int64) (offset int64, err error) {
	return c.part(Request{Verb: VerbOffer, Digest: digest, Size: size}, nil, 0)
}

// Data sends the n bytes of a bundle from offset on, and learns where it goes on.
func (c *Conn) Data(digest string, size, offset int64, body io.Reader, n int64) (next int64, err error) {
	return c.part(Request{Verb: VerbData, Digest: digest, Size: size, Offset: offset}, body, n)
}

func (c *Conn) part(q Request, body io.Reader, n int64) (int64, error) {
	var out struct {
		Offset int64 `json:"offset"`
	}
	err := c.send(q, body, n, &out)
	if err == nil && (out.Offset < 0 || out.Offset > q.Size) {
		err = fmt.Errorf("the box says that it goes on at %d of %d bytes", out.Offset, q.Size)
	}
	return out.Offset, err
}

// Install begins to install what was sent. What comes of it, Status tells.
func (c *Conn) Install(digest string, size int64) error {
	return c.Ask(Request{Verb: VerbInstall, Digest: digest, Size: size}, nil)
}

// RollBack begins to go back to the version before.
func (c *Conn) RollBack(reason string) error {
	return c.Ask(Request{Verb: VerbRollback, Reason: reason}, nil)
}

// PushConfig has docscan.toml checked on the box and, unless it is a dry run,
// taken. What the box says of it goes to w.
func (c *Conn) PushConfig(toml io.Reader, size int64, dryRun bool, out any) error {
	return c.send(Request{Verb: VerbConfig, DryRun: dryRun}, toml, size, out)
}

// maxWindow bounds the memory for what a box has compressed, in bytes.
const maxWindow = 8 << 20

// Stream asks for something long and copies it to w, which bounds how much that
// may be.
func (c *Conn) Stream(q Request, w io.Writer) error {
	if err := c.ask(q, nil, 0); err != nil {
		return err
	}
	r := &streamReader{c: c}
	z, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow), zstd.WithDecoderLowmem(true))
	if err != nil {
		return err
	}
	defer z.Close()
	_, err = io.Copy(w, z)
	if r.err != nil && r.err != io.EOF {
		return r.err // what the box says goes before what that did to the decompression
	}
	if err != nil {
		return fmt.Errorf("the box's answer: %w", err)
	}
	return nil
}

// streamReader reads what comes in several answers.
type streamReader struct {
	c    *Conn
	left int64
	err  error
}

func (s *streamReader) Read(p []byte) (int, error) {
	for s.left == 0 && s.err == nil {
		var a answer
		if a, s.err = s.c.answer(); s.err == nil && !a.More {
			s.err = io.EOF
		}
		s.left = a.Length
	}
	if s.left == 0 {
		return 0, s.err
	}
	n, err := s.c.r.Read(p[:min(int64(len(p)), s.left)])
	s.left -= int64(n)
	if err != nil {
		s.err = fmt.Errorf("the box's answer: %w", errors.Join(err, io.ErrUnexpectedEOF))
		err = s.err
	}
	return n, err
}
