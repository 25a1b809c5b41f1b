//go:build linux

package swap

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// roleKey stands for how web knows the local socket.
type roleKey struct{}

// testServers tell local requests as web does: by the request's context.
func testServers() Servers {
	as := func(r *http.Request, v any) *http.Request {
		return r.WithContext(context.WithValue(r.Context(), roleKey{}, v))
	}
	return Servers{
		Server: func(h http.Handler) *http.Server { return &http.Server{Handler: h} },
		Local: func(r *http.Request) (string, bool) {
			who, local := r.Context().Value(roleKey{}).(string)
			return who, local
		},
		AsLocal:  func(r *http.Request, who string) *http.Request { return as(r, who) },
		AsRemote: func(r *http.Request) *http.Request { return as(r, nil) },
	}
}

// What is passed on arrives as what it was: nobody becomes trusted on the way.
func TestOnward(t *testing.T) {
	s := testServers()
	l, err := listenOnward()
	if err != nil {
		t.Fatal(err)
	}
	tell := func(by string) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			who, local := s.Local(r)
			body, _ := io.ReadAll(r.Body) // the answer shows it
			fmt.Fprintf(w, "%s from=%s local=%t who=%s tls=%t host=%s for=%s swap=%d body=%s", by, r.RemoteAddr, local, who, r.TLS != nil, r.Host,
				r.Header.Get("X-Forwarded-For"), len(r.Header.Values(fromHeader))+len(r.Header.Values(localHeader))+len(r.Header.Values(tlsHeader)), body)
		})
	}
	next := httptest.NewUnstartedServer(arrive(tell("public"), tell("local"), s))
	next.Listener.Close()
	next.Listener = ownListener{l}
	// As web does for every connection over a unix socket: the process that
	// passes requests on is trusted itself.
	next.Config.ConnContext = func(ctx context.Context, _ net.Conn) context.Context {
		return context.WithValue(ctx, roleKey{}, "itself")
	}
	next.Start()
	defer next.Close()
	h := onward(l.Addr().String(), slog.New(slog.DiscardHandler), s.Local)
	forge := map[string]string{localHeader: "true", fromHeader: "127.0.0.1:1", tlsHeader: "1"}
	tests := []struct {
		name   string
		target string
		with   func(*http.Request) *http.Request
		header map[string]string
		want   string
	}{
		{"over the network", "http://box:8000/", s.AsRemote, nil, "public from=192.0.2.1:1234 local=false who= tls=false host=box:8000 for= swap=0 body=in"},
		{"over TLS", "https://box/", s.AsRemote, nil, "public from=192.0.2.1:1234 local=false who= tls=true host=box for= swap=0 body=in"},
		{"forged", "http://box/", s.AsRemote, forge, "public from=192.0.2.1:1234 local=false who= tls=false host=box for= swap=0 body=in"},
		{"behind a proxy", "http://box/", s.AsRemote, map[string]string{"X-Forwarded-For": "10.0.0.9"}, "public from=192.0.2.1:1234 local=false who= tls=false host=box for=10.0.0.9 swap=0 body=in"},
		{"root at the box", "http://localhost/", func(r *http.Request) *http.Request { return s.AsLocal(r, "true") }, nil, "local from=192.0.2.1:1234 local=true who=true tls=false host=localhost for= swap=0 body=in"},
		{"somebody at the box", "http://localhost/", func(r *http.Request) *http.Request { return s.AsLocal(r, "1001") }, forge, "local from=192.0.2.1:1234 local=true who=1001 tls=false host=localhost for= swap=0 body=in"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := tt.with(httptest.NewRequest("POST", tt.target, strings.NewReader("in")))
			for k, v := range tt.header {
				r.Header.Set(k, v)
			}
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			if got := w.Body.String(); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
			if got := w.Header().Get("Connection"); got != "close" {
				t.Errorf("Connection is %q, want close", got)
			}
		})
	}
	next.Close()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", "http://box/", nil))
	if w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" {
		t.Errorf("with nobody there: status %d, headers %v; want 503 and when to try again", w.Code, w.Header())
	}
}

// What is passed on may take longer than this process would allow: the other one knows
// how long an upload or a download may be.
func TestOnwardIsPatient(t *testing.T) {
	const bound = 50 * time.Millisecond
	s := testServers()
	l, err := listenOnward()
	if err != nil {
		t.Fatal(err)
	}
	echo := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Errorf("the body breaks off: %v", err)
		}
		if err := http.NewResponseController(w).Flush(); err != nil {
			t.Error(err)
		}
		time.Sleep(3 * bound) // longer than the front's own patience
		w.Write(body)
	})
	next := httptest.NewUnstartedServer(arrive(echo, echo, s))
	next.Listener.Close()
	next.Listener = ownListener{l}
	next.Start()
	defer next.Close()
	front := httptest.NewUnstartedServer(onward(l.Addr().String(), slog.New(slog.DiscardHandler), s.Local))
	front.Config.ReadTimeout = bound
	front.Start()
	defer front.Close()
	r, w := io.Pipe()
	go func() {
		for _, part := range []string{"slowly", " but", " surely"} {
			if _, err := io.WriteString(w, part); err != nil {
				t.Errorf("the body was not taken: %v", err)
			}
			time.Sleep(2 * bound) // longer than the front's own patience
		}
		w.Close()
	}()
	resp, err := http.Post(front.URL, "text/plain", r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if got, err := io.ReadAll(resp.Body); err != nil || string(got) != "slowly but surely" {
		t.Errorf("the answer is %q (%v)", got, err)
	}
}

func TestJudge(t *testing.T) {
	before := Proof{Version: "1.0.0", Text: "one two three four five six seven eight nine ten", Devices: []string{"a", "b"}}
	tests := []struct {
		name string
		now  Proof
		want string
	}{
		{"the same", Proof{"2.0.0", before.Text, []string{"b", "a", "c"}}, ""},
		{"a word read otherwise", Proof{"2.0.0", strings.Replace(before.Text, "nine", "nlne", 1), before.Devices}, ""},
		{"half of it read", Proof{"2.0.0", "one two three four five", before.Devices}, "of 10 words"},
		{"a machine missing", Proof{"2.0.0", before.Text, []string{"a"}}, "scanner b"},
		{"another version", Proof{"1.9.0", before.Text, before.Devices}, `"1.9.0"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := judge(before, tt.now, "2.0.0")
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("%v, want %q", err, tt.want)
			}
		})
	}
}
