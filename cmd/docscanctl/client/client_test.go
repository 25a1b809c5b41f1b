package client

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

// remote returns a client of a server that answers with h.
func remote(t *testing.T, h http.HandlerFunc) *Client {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	c, err := Remote(s.URL, "secret", "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.http.CloseIdleConnections)
	return c
}

func TestRemoteAddress(t *testing.T) {
	tests := []struct {
		address string
		ok      bool
	}{
		{"http://localhost:8000", true},
		{"https://scanner.example/", true},
		{"localhost:8000", false},
		{"ftp://scanner.example", false},
		{"http://", false},
		{"http://name:password@scanner.example", false},
		{"http://scanner.example/?token=x", false},
	}
	for _, tt := range tests {
		if _, err := Remote(tt.address, "", ""); (err == nil) != tt.ok {
			t.Errorf("Remote(%q): %v", tt.address, err)
		}
	}
}

func TestProblem(t *testing.T) {
	tests := []struct {
		name, kind, body string
		status           int
		want             Problem
		text             string
	}{
		{"problem", "application/problem+json", `{"type":"/problems/x","title":"T","detail":"D","status":1}`, 409, Problem{"/problems/x", "T", 409, "D"}, "D"},
		{"charset", "application/problem+json; charset=utf-8", `{"detail":"D"}`, 401, Problem{"", "", 401, "D"}, "D"},
		{"title only", "application/problem+json", `{"title":"T"}`, 500, Problem{"", "T", 500, ""}, "T"},
		{"proxy", "text/html", "<html>", 502, Problem{"", "", 502, ""}, "the server answered 502 Bad Gateway"},
		{"broken", "application/problem+json", `{"detail":"D"`, 500, Problem{"", "", 500, ""}, "the server answered 500 Internal Server Error"},
		{"redirect", "text/html", "", 302, Problem{"", "", 302, ""}, "the server answered 302 Found"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := remote(t, func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/elsewhere" {
					t.Error("a redirect was followed")
				}
				w.Header().Set("Content-Type", tt.kind)
				w.Header().Set("Location", "/elsewhere")
				w.WriteHeader(tt.status)
				io.WriteString(w, tt.body)
			})
			_, err := c.Get(t.Context(), "/x")
			var p *Problem
			if !errors.As(err, &p) {
				t.Fatalf("got %v, want a Problem", err)
			}
			if *p != tt.want || err.Error() != tt.text {
				t.Errorf("got %+v %q, want %+v %q", *p, err, tt.want, tt.text)
			}
		})
	}
}

func TestCall(t *testing.T) {
	c := remote(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, `{"call":%q}`, fmt.Sprintf("%s %s %s %s %s", r.Method, r.URL, r.Header.Get("Content-Type"), r.Header.Get("Authorization"), body))
	})
	got, err := c.Post(t.Context(), "/a?b=c", map[string]int{"n": 1})
	if want := `{"call":"POST /a?b=c application/json Bearer secret {\"n\":1}"}`; err != nil || string(got) != want {
		t.Errorf("got %s, %v; want %s", got, err, want)
	}
}

func TestNoJSON(t *testing.T) {
	c := remote(t, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "<html>") })
	if _, err := c.Get(t.Context(), "/"); err == nil || !strings.Contains(err.Error(), "is this really docscand?") {
		t.Errorf("got %v", err)
	}
}

func TestUnreachable(t *testing.T) {
	dir := t.TempDir()
	left := filepath.Join(dir, "left")
	l, err := net.Listen("unix", left)
	if err != nil {
		t.Fatal(err)
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false) // as after a crash
	l.Close()
	for _, path := range []string{filepath.Join(dir, "none"), left} {
		if _, err := Local(path).Get(t.Context(), "/"); !errors.Is(err, ErrUnreachable) {
			t.Errorf("%s: %v, want ErrUnreachable", path, err)
		}
	}
	if _, err := Local(filepath.Join(dir, "none")).Get(t.Context(), "/"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no socket: %v, want ErrNotExist", err)
	}
}

func TestCanceled(t *testing.T) {
	c := remote(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	ctx, stop := context.WithCancelCause(t.Context())
	why := errors.New("enough")
	stop(why)
	if _, err := c.Get(ctx, "/"); !errors.Is(err, why) {
		t.Errorf("got %v, want the cause", err)
	}
}

// flaky serves content and breaks the connection off after each piece bytes.
func flaky(content []byte, piece int, tag func(n int) string, requests *[]string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		*requests = append(*requests, r.Header.Get("Range"))
		w.Header().Set("ETag", tag(len(*requests)))
		http.ServeContent(&shortWriter{ResponseWriter: w, left: piece}, r, "", time.Time{}, bytes.NewReader(content))
	}
}

// shortWriter aborts the connection after so many bytes of body.
type shortWriter struct {
	http.ResponseWriter
	left int
}

func (w *shortWriter) Write(p []byte) (int, error) {
	if len(p) <= w.left {
		w.left -= len(p)
		return w.ResponseWriter.Write(p)
	}
	w.ResponseWriter.Write(p[:w.left])
	w.ResponseWriter.(http.Flusher).Flush()
	panic(http.ErrAbortHandler)
}

func TestDownload(t *testing.T) {
	content := bytes.Repeat([]byte("0123456789"), 1000)
	same := func(int) string { return `"a"` }
	tests := []struct {
		name  string
		piece int
		tag   func(int) string
		want  string // the error
		asked []string
	}{
		{"whole", 1 << 20, same, "", []string{""}},
		{"breaks off twice", 4000, same, "", []string{"", "bytes=4000-", "bytes=8000-"}},
		{"changes meanwhile", 4000, func(n int) string { return fmt.Sprintf(`"%d"`, n) }, "the file changed on the server", []string{"", "bytes=4000-"}},
		{"no tag to go by", 4000, func(int) string { return "" }, "the connection broke off", []string{""}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var asked []string
			c := remote(t, flaky(content, tt.piece, tt.tag, &asked))
			dir := t.TempDir()
			file := filepath.Join(dir, "x.pdf")
			n, err := c.Download(t.Context(), "/x", file)
			if !reflect.DeepEqual(asked, tt.asked) {
				t.Errorf("asked for %q, want %q", asked, tt.asked)
			}
			if tt.want != "" {
				if err == nil || !strings.Contains(err.Error(), tt.want) {
					t.Errorf("error %v, want %q", err, tt.want)
				}
				if left, _ := os.ReadDir(dir); len(left) > 0 {
					t.Errorf("%v is left behind", left)
				}
				return
			}
			got, rerr := os.ReadFile(file)
			if err != nil || rerr != nil || n != int64(len(content)) || !bytes.Equal(got, content) {
				t.Errorf("got %d bytes, file of %d, %v, %v", n, len(got), err, rerr)
			}
		})
	}
}

func TestDownloadGivesUp(t *testing.T) {
	content := make([]byte, 1000)
	requests := 0
	c := remote(t, func(w http.ResponseWriter, r *http.Request) {
		requests++
		if requests > 1 {
			panic(http.ErrAbortHandler)
		}
		w.Header().Set("ETag", `"a"`)
		http.ServeContent(&shortWriter{w, 500}, r, "", time.Time{}, bytes.NewReader(content))
	})
	dir := t.TempDir()
	if _, err := c.Download(t.Context(), "/x", filepath.Join(dir, "x")); !errors.Is(err, ErrUnreachable) {
		t.Errorf("got %v, want ErrUnreachable", err)
	}
	if left, _ := os.ReadDir(dir); len(left) > 0 {
		t.Errorf("%v is left behind", left)
	}
}

func TestDownloadRefused(t *testing.T) {
	c := remote(t, http.NotFound)
	dir := t.TempDir()
	file := filepath.Join(dir, "x")
	if err := os.WriteFile(file, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	var p *Problem
	if _, err := c.Download(t.Context(), "/x", file); !errors.As(err, &p) || p.Status != 404 {
		t.Errorf("got %v, want 404", err)
	}
	if got, _ := os.ReadFile(file); string(got) != "old" {
		t.Errorf("the file that was there is now %q", got)
	}
	if _, err := c.Download(t.Context(), "/x", dir); err == nil || !strings.Contains(err.Error(), "no ordinary file") {
		t.Errorf("onto a directory: %v", err)
	}
}

func TestDownloadPrivate(t *testing.T) {
	c := remote(t, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "all of it") })
	dir := t.TempDir()
	file := filepath.Join(dir, "backup")
	var seen string
	verify := func(f *os.File) error {
		b, err := io.ReadAll(f)
		seen = string(b)
		return err
	}
	if _, err := c.DownloadPrivate(t.Context(), "/x", file, verify); err != nil || seen != "all of it" {
		t.Fatalf("verify saw %q, %v", seen, err)
	}
	if st, err := os.Stat(file); err != nil || st.Mode().Perm()&0o077 != 0 {
		t.Errorf("mode %v, %v; others must not read it", st.Mode(), err)
	}
	bad := errors.New("damaged")
	_, err := c.DownloadPrivate(t.Context(), "/x", filepath.Join(dir, "second"), func(*os.File) error { return bad })
	if left, _ := os.ReadDir(dir); !errors.Is(err, bad) || len(left) != 1 {
		t.Errorf("got %v and %v, want only the first file", err, left)
	}
}

func TestWatch(t *testing.T) {
	var asked []string
	c := remote(t, func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.Header.Get("Last-Event-ID"))
		w.Header().Set("Content-Type", "text/event-stream")
		switch len(asked) {
		case 1: // ends before any event
			w.WriteHeader(http.StatusOK)
		case 2:
			io.WriteString(w, "id: 7\nevent: page\ndata: {\"batch\":\"b\",\"page\":1}\n\nid: 8\nevent: pa")
		default:
			io.WriteString(w, ": still here\n\nid: 9\nevent: batch\ndata: {\"batch\":\"b\"}\n\n")
		}
	})
	var got []Event
	ready := 0
	err := c.Watch(t.Context(), func() { ready++ }, func(e Event) bool {
		got = append(got, e)
		return e.Name != "batch"
	})
	want := []Event{{Name: "reset"}, {ID: "7", Name: "page", Batch: "b", Page: 1}, {ID: "9", Name: "batch", Batch: "b"}}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v; want %+v", got, err, want)
	}
	if ready != 1 || !reflect.DeepEqual(asked, []string{"", "", "7"}) {
		t.Errorf("ready %d times, asked for what follows %q", ready, asked)
	}
}

func TestWatchRefused(t *testing.T) {
	c := remote(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) })
	var p *Problem
	if err := c.Watch(t.Context(), func() {}, func(Event) bool { return true }); !errors.As(err, &p) {
		t.Errorf("got %v, want a Problem", err)
	}
}

func TestReadEvents(t *testing.T) {
	tests := []struct {
		name, text string
		want       []Event
	}{
		{"several lines of data", "event: page\ndata: {\"page\":\ndata: 2}\n\n", []Event{{Name: "page", Page: 2}}},
		{"carriage returns", "event: page\r\nid: 1\r\ndata: {}\r\n\r\n", []Event{{Name: "page", ID: "1"}}},
		{"no space", "event:page\nid:1\n\n", []Event{{Name: "page", ID: "1"}}},
		{"data of another shape", "event: page\ndata: [1]\n\n", []Event{{Name: "page"}}},
		{"comment and unknown field", ": x\nretry: 3\nfoo\n\nevent: batch\n\n", []Event{{Name: "batch"}}},
		{"unfinished", "event: page\ndata: {}", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var got []Event
			err := readEvents(strings.NewReader(tt.text), func(e Event) bool {
				got = append(got, e)
				return true
			})
			if !errors.Is(err, ErrUnreachable) || !reflect.DeepEqual(got, tt.want) {
				t.Errorf("got %+v, %v; want %+v", got, err, tt.want)
			}
		})
	}
}

// The stream comes from the network.
func FuzzReadEvents(f *testing.F) {
	f.Add([]byte("id: 7\nevent: page\ndata: {\"batch\":\"b\",\"page\":1}\n\n"))
	f.Add([]byte("event:x\r\ndata:[\r\ndata:]\r\n\r\n:\n\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		n := 0
		if err := readEvents(bytes.NewReader(b), func(e Event) bool {
			n++
			return e.Name != "" // always true: an event has a name
		}); err == nil {
			t.Error("an event without a name was handed on")
		}
		if n > len(b) {
			t.Errorf("%d events in %d bytes", n, len(b))
		}
	})
}

// A certificate that the box made itself is known by its fingerprint.
func TestFingerprint(t *testing.T) {
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte("{}")) // the client sees what is missing
	}))
	defer s.Close()
	sum := sha256.Sum256(s.Certificate().Raw)
	right := strings.ReplaceAll(fmt.Sprintf("% X", sum), " ", ":")
	sum[0]++
	for _, tt := range []struct {
		fingerprint string
		good        bool
	}{{right, true}, {strings.ToLower(strings.ReplaceAll(right, ":", "")), true}, {fmt.Sprintf("%x", sum), false}, {"", false}} {
		c, err := Remote(s.URL, "secret", tt.fingerprint)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Get(t.Context(), "/"); (err == nil) != tt.good {
			t.Errorf("with the fingerprint %.8q: %v", tt.fingerprint, err)
		}
		c.http.CloseIdleConnections()
	}
	for _, bad := range []string{"AB:CD", "nonsense"} {
		if _, err := Remote(s.URL, "secret", bad); err == nil {
			t.Errorf("%q is taken for a fingerprint", bad)
		}
	}
	if _, err := Remote("http://box", "secret", right); err == nil {
		t.Error("a fingerprint of a connection that has no certificate")
	}
}
