//go:build linux

package swap

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// hold is a handler that tells when it is entered and waits to be let go.
type hold struct{ in, out chan struct{} }

func newHold() hold { return hold{make(chan struct{}), make(chan struct{})} }

func (h hold) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/leave" {
		Leave(r.Context())
	}
	h.in <- struct{}{}
	<-h.out
	io.WriteString(w, "done")
}

func say(text string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, text) })
}

// ask asks through h and gives the answer when it is there.
func ask(ctx context.Context, h http.Handler, path string) <-chan string {
	answer := make(chan string, 1)
	go func() {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequestWithContext(ctx, "GET", path, nil))
		answer <- w.Body.String()
	}()
	return answer
}

func TestGateWaitsForRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, h := NewGate(), newHold()
		g.Open(h, h)
		slow := ask(t.Context(), g.Public(), "/")
		<-h.in
		if g.Close(time.Second) {
			t.Error("the gate closed over a request")
		}
		late := ask(t.Context(), g.Public(), "/")
		synctest.Wait()
		g.Reopen()
		<-h.in // the late one
		time.AfterFunc(time.Second, func() { close(h.out) })
		if !g.Close(time.Minute) {
			t.Error("the gate did not notice that all requests had ended")
		}
		if got := <-slow + <-late; got != "donedone" {
			t.Errorf("the answers are %q", got)
		}
	})
}

func TestGatePasses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewGate()
		g.Open(say("here"), say("local"))
		if !g.Close(0) {
			t.Fatal("an empty gate did not close")
		}
		waits := ask(t.Context(), g.Public(), "/")
		gone, leave := context.WithCancel(t.Context())
		given := ask(gone, g.Public(), "/")
		synctest.Wait()
		leave()
		if got := <-given; got != "" {
			t.Errorf("who has gone gets %q", got)
		}
		g.Pass(say("there"))
		if got := <-waits; got != "there" {
			t.Errorf("who waited is answered %q, want there", got)
		}
		if got := <-ask(t.Context(), g.Local(), "/"); got != "there" {
			t.Errorf("the local socket is answered %q, want there", got)
		}
		g.Close(0)
		g.Open(say("again"), say("local"))
		if got := <-ask(t.Context(), g.Local(), "/"); got != "local" {
			t.Errorf("after coming back: %q, want local", got)
		}
	})
}

// A download that has its file open holds nothing up.
func TestGateLeave(t *testing.T) {
	g, h := NewGate(), newHold()
	g.Open(h, h)
	answer := ask(t.Context(), g.Public(), "/leave")
	<-h.in
	if !g.Close(0) {
		t.Error("a request that has left holds the gate")
	}
	close(h.out)
	if got := <-answer; got != "done" {
		t.Errorf("its answer is %q", got)
	}
	if g.inside != 0 {
		t.Errorf("%d are inside after one has left and ended, want 0", g.inside)
	}
}

// While paper comes to rest an upload that begins waits, and all else goes on.
func TestGateIsNarrow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewGate()
		g.Open(say("here"), say("here"))
		send := func(size int) <-chan string {
			answer := make(chan string, 1)
			go func() {
				w := httptest.NewRecorder()
				g.Public().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "POST", "/", strings.NewReader(strings.Repeat("x", size))))
				answer <- w.Body.String()
			}()
			return answer
		}
		g.Close(0)
		g.Narrow()
		if got := <-send(smallBody); got != "here" {
			t.Errorf("a small body is answered %q", got)
		}
		large := send(smallBody + 1)
		g.Close(0)
		g.Reopen()
		synctest.Wait()
		select {
		case got := <-large:
			t.Errorf("a large body is answered %q, want it to wait", got)
		default:
		}
		g.Close(0)
		g.Pass(say("there"))
		if got := <-large; got != "there" {
			t.Errorf("the large body is answered %q, want there", got)
		}
		g.Close(0)
		g.Open(say("again"), nil)
		if got := <-send(smallBody + 1); got != "again" {
			t.Errorf("a large body after coming back is answered %q, want again", got)
		}
	})
}

// While paper comes to rest, work that lasts and that begins waits for the next process.
func TestGateHoldsWhatLasts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewGate()
		g.lasting = func(r *http.Request) bool { return r.URL.Path == "/check" }
		g.Open(say("here"), nil)
		if got := <-ask(t.Context(), g.Public(), "/check"); got != "here" {
			t.Errorf("while all is open: %q", got)
		}
		g.Close(0)
		g.Narrow()
		lasts := ask(t.Context(), g.Public(), "/check")
		synctest.Wait()
		if got := <-ask(t.Context(), g.Public(), "/"); got != "here" {
			t.Errorf("what is quick is answered %q", got)
		}
		select {
		case got := <-lasts:
			t.Errorf("what lasts is answered %q, want it to wait", got)
		default:
		}
		g.Close(0)
		g.Pass(say("there"))
		if got := <-lasts; got != "there" {
			t.Errorf("what lasts is answered %q, want there", got)
		}
	})
}

// A small body is here before its request is let in; a large one is not waited for.
func TestGateReadsSmallBodies(t *testing.T) {
	g := NewGate()
	g.Open(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.Copy(w, r.Body) }), nil)
	for _, size := range []int{0, 1, smallBody, smallBody + 1} {
		w := httptest.NewRecorder()
		body := strings.Repeat("x", size)
		g.Public().ServeHTTP(w, httptest.NewRequest("POST", "/", strings.NewReader(body)))
		if w.Body.String() != body {
			t.Errorf("of %d bytes %d arrive", size, w.Body.Len())
		}
	}
}
