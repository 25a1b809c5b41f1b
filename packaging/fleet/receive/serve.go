package receive

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/klauspost/compress/zstd"
)

// Daemon reaches docscand on the box. What it refuses is a *Refusal in the chain
// of the error.
type Daemon interface {
	Get(ctx context.Context, path string) (json.RawMessage, error)
	Post(ctx context.Context, path string, in any) (json.RawMessage, error)
	// Put sends size bytes.
	Put(ctx context.Context, path string, body io.Reader, size int64) (json.RawMessage, error)
	// Open gives an answer as a stream.
	Open(ctx context.Context, path string) (io.ReadCloser, error)
}

// Options are what a box lets a key do.
type Options struct {
	Version string // of this program
	Allow   Allow
	// Idle is how long the other end may say nothing; then it is taken for dead,
	// and what it had begun is free for whoever comes next.
	Idle time.Duration
	// Journal writes the last lines of docscan's log, at most so many seconds old.
	Journal func(ctx context.Context, w io.Writer, lines, since int) error
}

// DefaultIdle leaves a line of 1 kB/s the time for what lies in its buffers.
const DefaultIdle = 3 * time.Minute

// ErrSilent ends a conversation whose other end says nothing any more.
var ErrSilent = errors.New("nothing came for too long")

// Serve speaks with a fleet until it hangs up, which is no error. It may come
// back while in is still being read, if in can be interrupted by nothing.
func Serve(ctx context.Context, in io.Reader, out io.Writer, d Daemon, o Options) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	quiet := time.AfterFunc(o.Idle, func() { stop(ErrSilent) })
	quiet.Stop()
	defer quiet.Stop()
	s := &server{
		Options: o, daemon: d, w: out,
		r: bufio.NewReader(alive{in, quiet, o.Idle}),
	}
	ended := make(chan error, 1)
	go func() { ended <- s.serve(ctx) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
		select {
		case err := <-ended: // it heeds ctx, unless it waits for in
			if err == nil {
				return nil
			}
		case <-time.After(time.Second):
		}
		return context.Cause(ctx)
	}
}

// alive notes when nothing comes although something is waited for.
type alive struct {
	r     io.Reader
	quiet *time.Timer
	idle  time.Duration
}

func (a alive) Read(p []byte) (int, error) {
	a.quiet.Reset(a.idle)
	defer a.quiet.Stop()
	return a.r.Read(p)
}

// server is one conversation.
type server struct {
	Options
	daemon Daemon
	r      *bufio.Reader

	mu sync.Mutex
	w  io.Writer
}

func (s *server) say(v any) error {
	line, err := json.Marshal(v)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	_, err = s.w.Write(append(line, '\n'))
	return err
}

func (s *server) serve(ctx context.Context) error {
	if err := s.say(hello{Protocol, Format, s.Version, append(Allow{}, s.Allow...)}); err != nil {
		return err
	}
	for {
		line, err := readLine(s.r, maxRequest)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if errors.Is(err, errLong) {
			return errors.Join(s.say(answer{Error: refuse(KindBadRequest, "the request is longer than %d bytes", maxRequest)}), err)
		}
		if err != nil {
			return err
		}
		q, err := parseRequest(line)
		if err != nil { // what follows it cannot be told from a request
			return errors.Join(s.say(answer{Error: refuse(KindBadRequest, "%v", err)}), err)
		}
		if err := s.one(ctx, q); err != nil {
			return err
		}
	}
}

// one answers one request. An error ends the conversation.
func (s *server) one(ctx context.Context, q Request) error {
	limit := int64(0)
	switch q.Verb {
	case VerbData:
		limit = MaxPart
	case VerbConfig:
		limit = MaxConfig
	}
	if q.Length > limit {
		err := refuse(KindBadRequest, "%s with %d bytes behind it, at most %d", q.Verb, q.Length, limit)
		return errors.Join(s.say(answer{Error: err}), err)
	}
	body := &io.LimitedReader{R: s.r, N: q.Length}
	raw, err := s.do(ctx, q, body)
	// What was not wanted must be out of the way of the next request.
	if _, derr := io.Copy(io.Discard, body); derr != nil || body.N > 0 {
		return errors.Join(derr, io.ErrUnexpectedEOF)
	}
	if err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return s.say(answer{Error: refusal(err)})
	}
	return s.say(answer{Body: raw})
}

// refusal makes an error fit to be said.
func refusal(err error) *Refusal {
	var r *Refusal
	if errors.As(err, &r) {
		return r
	}
	return refuse(KindFailed, "%v", err)
}

// allowed refuses a verb that the key was not given.
func (s *server) allowed(verb string) error {
	if slices.Contains(s.Allow, verb) {
		return nil
	}
	return refuse(KindNotAllowed, "this key may not do that here; an administrator of the box can allow it: docscanctl receive setup --allow %s", verb)
}

// do does what is asked for and gives the body of the last answer.
func (s *server) do(ctx context.Context, q Request, body io.Reader) (json.RawMessage, error) {
	switch q.Verb {
	case VerbStatus:
		return s.daemon.Get(ctx, "/api/v1/update")
	case VerbFacts:
		return s.facts(ctx)
	case VerbOffer, VerbData:
		if !isSHA256(q.Digest) || q.Size == 0 {
			return nil, refuse(KindBadRequest, "a bundle has a SHA-256 and a size")
		}
		path := "/api/v1/update/uploads/" + q.Digest + "?size=" + strconv.FormatInt(q.Size, 10)
		if q.Verb == VerbOffer {
			return s.daemon.Get(ctx, path)
		}
		return s.daemon.Put(ctx, path+"&offset="+strconv.FormatInt(q.Offset, 10), body, q.Length)
	case VerbInstall:
		return s.daemon.Post(ctx, "/api/v1/update/install", map[string]any{"digest": q.Digest, "size": q.Size})
	case VerbRollback:
		return s.daemon.Post(ctx, "/api/v1/update/rollback", map[string]string{"reason": q.Reason})
	case VerbConfig, VerbAudit, VerbLogs, VerbRun:
		if err := s.allowed(q.Verb); err != nil {
			return nil, err
		}
		return s.doAllowed(ctx, q, body)
	}
	return nil, refuse(KindBadRequest, "there is no verb %q", q.Verb)
}

// auditPath gives the audit log.
const auditPath = "/api/v1/audit/export"

func (s *server) doAllowed(ctx context.Context, q Request, body io.Reader) (json.RawMessage, error) {
	switch q.Verb {
	case VerbConfig:
		path := "/api/v1/fleet/config"
		if q.DryRun {
			path += "?dry_run=1"
		}
		return s.daemon.Put(ctx, path, body, q.Length)
	case VerbAudit:
		log, err := s.daemon.Open(ctx, auditPath)
		if err != nil {
			return nil, err
		}
		defer log.Close()
		return nil, s.stream(func(w io.Writer) error {
			_, err := io.Copy(w, log)
			return err
		})
	case VerbLogs:
		if s.Journal == nil {
			return nil, refuse(KindFailed, "this box keeps no journal")
		}
		return nil, s.stream(func(w io.Writer) error { return s.Journal(ctx, w, min(q.Lines, maxLogLines), q.Since) })
	}
	switch q.What {
	case RunCheck:
		return s.daemon.Post(ctx, "/api/v1/fleet/check", nil)
	case RunDevices:
		return s.daemon.Get(ctx, "/api/v1/fleet/devices")
	case RunHistory:
		return s.daemon.Get(ctx, "/api/v1/update/history")
	case RunRestart:
		return s.daemon.Post(ctx, "/api/v1/fleet/restart", nil)
	}
	return nil, refuse(KindBadRequest, "%q is nothing that can be run", q.What)
}

// maxLogLines bounds what one request can take of the log.
const maxLogLines = 100_000

// stream sends what do writes, compressed: logs shrink to a tenth.
func (s *server) stream(do func(io.Writer) error) error {
	z, err := zstd.NewWriter(pieces{s}, zstd.WithEncoderConcurrency(1))
	if err != nil {
		return err
	}
	return errors.Join(do(z), z.Close())
}

// pieces is the way of something long to the other end.
type pieces struct{ s *server }

// maxPiece bounds what one answer announces, in bytes.
const maxPiece = 64 << 10

func (p pieces) Write(b []byte) (n int, err error) {
	for len(b) > 0 {
		part := b[:min(len(b), maxPiece)]
		if err := p.s.say(answer{Length: int64(len(part)), More: true}); err != nil {
			return n, err
		}
		p.s.mu.Lock()
		k, err := p.s.w.Write(part)
		p.s.mu.Unlock()
		if n += k; err != nil {
			return n, err
		}
		b = b[len(part):]
	}
	return n, nil
}

// facts are what can be said also while docscand is down.
func (s *server) facts(ctx context.Context) (json.RawMessage, error) {
	host, err := os.Hostname()
	if err != nil {
		host = ""
	}
	f := Facts{Host: host, Architecture: runtime.GOARCH, Time: time.Now()}
	raw, err := s.daemon.Get(ctx, "/api/v1/update/facts")
	if err == nil {
		err = json.Unmarshal(raw, &f.Docscan)
	}
	if err != nil {
		f.Error = fmt.Sprint(err)
	}
	f.Time = time.Now() // as late as can be: the call above may have taken time
	return json.Marshal(f)
}

func isSHA256(s string) bool {
	if len(s) != 64 {
		return false
	}
	for _, c := range s {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}
