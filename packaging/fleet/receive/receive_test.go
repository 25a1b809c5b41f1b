package receive

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// fakeDaemon remembers what it was asked for.
type fakeDaemon struct {
	mu     sync.Mutex
	asked  []string
	refuse error
	takes  int64 // bytes that Put reads
}

func (d *fakeDaemon) note(format string, args ...any) (json.RawMessage, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.asked = append(d.asked, fmt.Sprintf(format, args...))
	if d.refuse != nil {
		return nil, d.refuse
	}
	return json.RawMessage(`{"offset":1,"running":"1.0.0","version":"1.0.0","healthy":true}`), nil
}

func (d *fakeDaemon) Get(_ context.Context, path string) (json.RawMessage, error) {
	return d.note("GET %s", path)
}

func (d *fakeDaemon) Post(_ context.Context, path string, in any) (json.RawMessage, error) {
	body, err := json.Marshal(in)
	if err != nil {
		return nil, err
	}
	return d.note("POST %s %s", path, body)
}

func (d *fakeDaemon) Put(_ context.Context, path string, body io.Reader, size int64) (json.RawMessage, error) {
	var got bytes.Buffer
	if _, err := io.CopyN(&got, body, min(d.takes, size)); err != nil {
		return nil, err
	}
	return d.note("PUT %s %d %q", path, size, got.String())
}

func (d *fakeDaemon) Open(_ context.Context, path string) (io.ReadCloser, error) {
	_, err := d.note("OPEN %s", path)
	return io.NopCloser(strings.NewReader(strings.Repeat("line\n", 20000))), err
}

// converse starts a box that is d and gives a Conn to it.
func converse(t *testing.T, d Daemon, o Options) *Conn {
	t.Helper()
	inR, inW := io.Pipe()
	outR, outW := io.Pipe()
	if o.Idle == 0 {
		o.Idle = time.Minute
	}
	ended := make(chan error, 1)
	go func() {
		err := Serve(t.Context(), inR, outW, d, o)
		outW.Close()
		inR.Close()
		ended <- err
	}()
	c, err := NewConn(outR, inW)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		inW.Close()
		outR.Close()
		if err := <-ended; err != nil {
			t.Errorf("the box ended with %v", err)
		}
	})
	return c
}

const sum = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

func TestConversation(t *testing.T) {
	d := &fakeDaemon{takes: 3}
	c := converse(t, d, Options{Version: "9.9.9", Allow: Allow{VerbAudit, VerbConfig}})
	if c.Version != "9.9.9" || c.Allow.String() != "audit,config" {
		t.Errorf("the box says version %q, allowed %q", c.Version, c.Allow)
	}
	s, err := c.Status()
	if err != nil || s.Running != "1.0.0" {
		t.Errorf("status %+v, %v", s, err)
	}
	f, drift, err := c.Facts()
	if err != nil || f.Docscan == nil || !f.Docscan.Healthy || f.Architecture == "" || drift.Abs() > time.Minute {
		t.Errorf("facts %+v, drift %v, %v", f, drift, err)
	}
	if at, err := c.Offer(sum, 9); err != nil || at != 1 {
		t.Errorf("offer: %d, %v", at, err)
	}
	// docscand takes only the first three bytes; the rest must not be taken for a
	// request.
	if _, err := c.Data(sum, 9, 1, strings.NewReader(`{"verb":"rollback"}`+"\nxyz"), 23); err != nil {
		t.Error(err)
	}
	if err := c.Install(sum, 9); err != nil {
		t.Error(err)
	}
	if err := c.RollBack("slow"); err != nil {
		t.Error(err)
	}
	if err := c.PushConfig(strings.NewReader("[web]"), 5, true, nil); err != nil {
		t.Error(err)
	}
	var log bytes.Buffer
	if err := c.Stream(Request{Verb: VerbAudit}, &log); err != nil || log.Len() != 100000 {
		t.Errorf("audit: %d bytes, %v", log.Len(), err)
	}
	var r *Refusal
	if err := c.Stream(Request{Verb: VerbLogs, Lines: 5}, &log); !errors.As(err, &r) || r.Kind != KindNotAllowed {
		t.Errorf("logs without allowance: %v", err)
	}
	want := []string{
		"GET /api/v1/update", "GET /api/v1/update/facts", "GET /api/v1/update/uploads/" + sum + "?size=9",
		"PUT /api/v1/update/uploads/" + sum + `?size=9&offset=1 23 "{\"v"`,
		"POST /api/v1/update/install " + `{"digest":"` + sum + `","size":9}`, `POST /api/v1/update/rollback {"reason":"slow"}`,
		`PUT /api/v1/fleet/config?dry_run=1 5 "[we"`, "OPEN " + auditPath,
	}
	if !slices.Equal(d.asked, want) {
		t.Errorf("docscand was asked for\n%s\nwant\n%s", strings.Join(d.asked, "\n"), strings.Join(want, "\n"))
	}
	d.refuse = &Refusal{KindNoRoom, "the disk is full"}
	if err := c.Install(sum, 9); !errors.As(err, &r) || r.Kind != KindNoRoom {
		t.Errorf("a refusal: %v", err)
	}
	f, _, err = c.Facts()
	if err != nil || f.Error != "the disk is full" || f.Docscan != nil {
		t.Errorf("facts without docscand: %+v, %v", f, err)
	}
}

func TestNotABox(t *testing.T) {
	for _, text := range []string{"", "Welcome to Debian\n", strings.Repeat("x", 1<<20), `{"protocol":"smtp"}` + "\n"} {
		if _, err := NewConn(strings.NewReader(text), io.Discard); !errors.Is(err, ErrNotBox) {
			t.Errorf("%.30q: %v, want %v", text, err, ErrNotBox)
		}
	}
	if _, err := NewConn(strings.NewReader(`{"protocol":"docscan-receive","format":2}`+"\n"), io.Discard); !errors.Is(err, ErrFormat) {
		t.Errorf("a later format: %v", err)
	}
}

// Who says nothing any more does not keep what it had begun.
func TestSilence(t *testing.T) {
	r, w := io.Pipe()
	defer w.Close()
	err := Serve(t.Context(), r, io.Discard, &fakeDaemon{}, Options{Idle: 20 * time.Millisecond})
	if !errors.Is(err, ErrSilent) {
		t.Errorf("%v, want %v", err, ErrSilent)
	}
}

// Whatever a key for updates sends, docscand is asked for nothing but updates.
func FuzzServe(f *testing.F) {
	for _, q := range []string{
		`{"verb":"status"}`, `{"verb":"facts"}`, `{"verb":"offer","digest":"` + sum + `","size":5}`,
		`{"verb":"data","digest":"` + sum + `","size":5,"offset":1,"length":4}` + "\nabcd" + `{"verb":"install","digest":"` + sum + `","size":5}`,
		`{"verb":"rollback","reason":"x"}`, `{"verb":"config","length":2}` + "\nab", `{"verb":"run","what":"check"}`,
		`{"verb":"offer","digest":"../../../fleet/config?x=` + "`" + `","size":5}`, `{"verb":"audit"}`,
		`{"verb":"logs","lines":-1}`, `{"verb":"data","length":99999999999}`,
	} {
		f.Add([]byte(q + "\n"))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		d := &fakeDaemon{takes: 2}
		var out bytes.Buffer
		err := Serve(t.Context(), bytes.NewReader(in), &out, d, Options{Idle: time.Minute})
		for _, a := range d.asked {
			method, rest, _ := strings.Cut(a, " ")
			path, _, _ := strings.Cut(rest, " ")
			path, _, _ = strings.Cut(path, "?")
			upload, found := strings.CutPrefix(path, "/api/v1/update/uploads/")
			switch {
			case found && isSHA256(upload) && (method == "GET" || method == "PUT"):
			case method == "GET" && (path == "/api/v1/update" || path == "/api/v1/update/facts"):
			case method == "POST" && (path == "/api/v1/update/install" || path == "/api/v1/update/rollback"):
			default:
				t.Errorf("docscand was asked for %s", a)
			}
		}
		for line := range bytes.Lines(out.Bytes()) {
			if !json.Valid(line) {
				t.Errorf("the box says %q (%v)", line, err)
			}
		}
	})
}

// limited takes so many bytes, as whoever streams has to.
type limited struct {
	bytes.Buffer
	left int
}

func (l *limited) Write(p []byte) (int, error) {
	if l.left -= len(p); l.left < 0 {
		return 0, io.ErrShortWrite
	}
	return l.Buffer.Write(p)
}

// A box that was taken over must not harm the laptop.
func FuzzConn(f *testing.F) {
	f.Add([]byte(`{"protocol":"docscan-receive","format":1}` + "\n" + `{"body":{"running":"1"}}` + "\n" + `{"length":3,"more":true}` + "\nabc" + `{}` + "\n"))
	f.Add([]byte(`{"protocol":"docscan-receive","format":1}` + "\n" + `{"error":{"kind":"busy","text":"x"}}` + "\n" + `{"length":-3}` + "\n"))
	f.Fuzz(func(t *testing.T, in []byte) {
		c, err := NewConn(bytes.NewReader(in), io.Discard)
		if err != nil {
			return
		}
		if _, err := c.Status(); err != nil {
			return
		}
		out := &limited{left: 1 << 20}
		if err := c.Stream(Request{Verb: VerbLogs}, out); err == nil && !bytes.Contains(in, []byte("\n{")) && out.Len() > 0 {
			t.Errorf("%d bytes of nothing", out.Len())
		}
	})
}
