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
	"testing"
	"testing/synctest"
	"time"

	"docscan/device"
	"docscan/device/quirks"
	"docscan/device/sim/usbface"
)

// facePipe is an interface of a simulated device without a bus between.
type facePipe struct {
	t        *testing.T
	dev      *usbface.Device
	number   int
	in, out  uint8
	restarts *int
}

func (p facePipe) Read(ctx context.Context, b []byte) (int, error) {
	if len(b)%1024 != 0 || len(b) > 16<<10 {
		p.t.Errorf("read of %d bytes, want a multiple of 1024 up to 16384", len(b))
	}
	n, err := p.dev.In(ctx, p.in, b)
	return n, explain(err)
}

func (p facePipe) Write(ctx context.Context, b []byte) (int, error) {
	n, err := p.dev.Out(ctx, p.out, b)
	return n, explain(err)
}

func (p facePipe) Restart(context.Context) error {
	*p.restarts++
	p.dev.SetInterface(p.number, 1)
	return nil
}

func explain(err error) error {
	if errors.Is(err, usbface.ErrGone) {
		return &device.Fault{Kind: device.Unplugged, Err: err}
	}
	return err
}

// bench is a Transport to a simulated device that answers with a handler.
type bench struct {
	t                *testing.T
	dev              *usbface.Device
	transport        *Transport
	client           *http.Client
	restarts, resets int
	resetErr         error
}

// onBench runs body in a bubble of fake time.
func onBench(t *testing.T, pairs int, f usbface.Faults, h http.Handler, body func(*testing.T, *bench)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		layout := usbface.DefaultLayout()
		layout.Pairs = pairs
		log := slog.New(slog.NewTextHandler(t.Output(), nil))
		dev, err := usbface.New(layout, f, h, log)
		if err != nil {
			t.Fatal(err)
		}
		b := &bench{t: t, dev: dev}
		var pipes []Pipe
		for i, n := range dev.Interfaces() {
			dev.SetInterface(n, 1)
			pipes = append(pipes, facePipe{t, dev, n, uint8(0x82 + 2*i), uint8(1 + 2*i), &b.restarts})
		}
		reset := func(context.Context) error {
			b.resets++
			dev.Reset()
			for _, n := range dev.Interfaces() {
				dev.SetInterface(n, 1)
			}
			return b.resetErr
		}
		b.transport = NewTransport(DefaultConfig(), quirks.Quirks{}, pipes, reset, dev.Close, nil, log)
		b.transport.started.Store(true) // as after the first answer, from when on a machine may take its time
		b.client = &http.Client{Transport: b.transport}
		defer b.transport.Close()
		body(t, b)
	})
}

// get asks for path and gives the body.
func (b *bench) get(ctx context.Context, path string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://scanner.invalid"+path, nil)
	if err != nil {
		return "", err
	}
	resp, err := b.client.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return string(body), err
}

// inStep checks that answers belong to their requests, on every pipe.
func (b *bench) inStep() {
	b.t.Helper()
	for i := range 4 {
		path := fmt.Sprintf("/echo/%d", i)
		if got, err := b.get(b.t.Context(), path); err != nil || got != path {
			b.t.Fatalf("GET %s = %q, %v", path, got, err)
		}
	}
}

// echoPath is the part of every handler that inStep needs.
func echoPath(more map[string]http.HandlerFunc) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/echo/", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.URL.Path) })
	for pattern, h := range more {
		mux.HandleFunc(pattern, h)
	}
	return mux
}

// raw answers with bytes as they are and leaves the connection as it is.
func raw(answer string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		c, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			panic(err)
		}
		io.WriteString(c, answer)
		// The connection stays open as on USB; a restart of the interface ends it.
		go func() {
			io.Copy(io.Discard, c)
			c.Close()
		}()
	}
}

func bigBody(w http.ResponseWriter, _ *http.Request) {
	w.Write(bytes.Repeat([]byte("0123456789abcdef"), 1<<16))
}

// never answers until its connection ends.
func never(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }

func interim(w http.ResponseWriter, _ *http.Request) {
	w.WriteHeader(http.StatusProcessing)
	w.WriteHeader(http.StatusProcessing)
	io.WriteString(w, "ok")
}

func TestRequestOnTheWire(t *testing.T) {
	long := strings.Repeat("x", 100_000)
	tests := []struct {
		name        string
		body        io.Reader
		wantLength  int64
		wantChunked bool
		wantBody    string
	}{
		{"no body", nil, 0, false, ""},
		{"small body", strings.NewReader("<scan/>"), 7, false, "<scan/>"},
		{"large body", strings.NewReader(long), -1, true, long},
		{"body of unknown length", io.MultiReader(strings.NewReader("<scan/>")), -1, true, "<scan/>"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var got *http.Request
			var gotBody []byte
			h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				got = r
				gotBody, _ = io.ReadAll(r.Body)
			})
			onBench(t, 1, usbface.Faults{}, h, func(t *testing.T, b *bench) {
				req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://scanner.invalid/eSCL/ScanJobs", tt.body)
				if err != nil {
					t.Fatal(err)
				}
				req.Header.Set("Expect", "100-continue")
				req.Header.Set("Connection", "close")
				req.Close = true
				resp, err := b.client.Do(req)
				if err != nil {
					t.Fatal(err)
				}
				resp.Body.Close()
			})
			if got.Host != "localhost" {
				t.Errorf("Host = %q, want localhost", got.Host)
			}
			for _, h := range []string{"Connection", "Expect"} {
				if v, ok := got.Header[h]; ok {
					t.Errorf("%s = %q, want none", h, v)
				}
			}
			if chunked := len(got.TransferEncoding) > 0; got.ContentLength != tt.wantLength || chunked != tt.wantChunked {
				t.Errorf("length %d, chunked %t, want %d, %t", got.ContentLength, chunked, tt.wantLength, tt.wantChunked)
			}
			if string(gotBody) != tt.wantBody {
				t.Errorf("body of %d bytes, want %d", len(gotBody), len(tt.wantBody))
			}
		})
	}
}

func TestUpgradeIsRefused(t *testing.T) {
	onBench(t, 1, usbface.Faults{}, echoPath(nil), func(t *testing.T, b *bench) {
		req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://scanner.invalid/", nil)
		req.Header.Set("Upgrade", "websocket")
		if _, err := b.client.Do(req); err == nil {
			t.Error("an upgrade was let through")
		}
		b.inStep()
	})
}

// A request whose body breaks off has begun on the wire, so it must end there.
func TestBrokenRequestBody(t *testing.T) {
	h := echoPath(map[string]http.HandlerFunc{"/take": func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		bigBody(w, r)
	}})
	onBench(t, 1, usbface.Faults{}, h, func(t *testing.T, b *bench) {
		cut := errors.New("cut")
		body := io.MultiReader(strings.NewReader(strings.Repeat("x", 50_000)), failing{cut})
		_, err := b.client.Post("http://scanner.invalid/take", "text/plain", body)
		if !errors.Is(err, cut) {
			t.Errorf("error = %v, want %v", err, cut)
		}
		b.inStep()
		if b.restarts > 0 {
			t.Errorf("%d restarts, want none", b.restarts)
		}
	})
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// Whoever no longer wants an answer, the next one must not begin with its rest.
func TestAbandonedAnswers(t *testing.T) {
	slow := func(w http.ResponseWriter, r *http.Request) {
		time.Sleep(10 * time.Second)
		bigBody(w, r)
	}
	h := echoPath(map[string]http.HandlerFunc{"/big": bigBody, "/slow": slow})
	tests := []struct {
		name    string
		abandon func(t *testing.T, b *bench)
	}{
		{"closed unread", func(t *testing.T, b *bench) {
			resp, err := b.client.Get("http://scanner.invalid/big")
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
		}},
		{"closed half read", func(t *testing.T, b *bench) {
			resp, err := b.client.Get("http://scanner.invalid/big")
			if err != nil {
				t.Fatal(err)
			}
			io.CopyN(io.Discard, resp.Body, 300_000)
			resp.Body.Close()
		}},
		{"cancelled before the answer", func(t *testing.T, b *bench) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			if _, err := b.get(ctx, "/slow"); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("error = %v, want the deadline's", err)
			}
		}},
		{"cancelled in the answer", func(t *testing.T, b *bench) {
			ctx, cancel := context.WithCancel(t.Context())
			req, _ := http.NewRequestWithContext(ctx, http.MethodGet, "http://scanner.invalid/big", nil)
			resp, err := b.client.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			io.CopyN(io.Discard, resp.Body, 300_000)
			cancel()
			if _, err := io.Copy(io.Discard, resp.Body); !errors.Is(err, context.Canceled) {
				t.Errorf("error = %v, want the context's", err)
			}
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			onBench(t, 1, usbface.Faults{}, h, func(t *testing.T, b *bench) {
				for range 3 {
					tt.abandon(t, b)
					b.inStep()
				}
				if b.restarts+b.resets > 0 {
					t.Errorf("%d restarts, %d resets, want none", b.restarts, b.resets)
				}
			})
		})
	}
}

// What the machine does wrong ends one exchange, not the ones after it.
func TestMisbehaviour(t *testing.T) {
	tests := []struct {
		name         string
		handler      http.HandlerFunc
		wantBody     string
		wantKind     device.FaultKind
		wantRestarts int
	}{
		{"no length, no chunks", raw("HTTP/1.1 200 OK\r\n\r\n<xml/>"), "<xml/>", "", 1},
		{"more than was announced", raw("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokrest"), "ok", "", 1},
		{"less than was announced", raw("HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\nok"), "ok", device.BadAnswer, 1},
		{"no HTTP", raw("\x00\x01\x02\x03 garbage\r\n\r\n"), "", device.BadAnswer, 1},
		{"endless header", raw("HTTP/1.1 200 OK\r\nX: " + strings.Repeat("y", 200_000)), "", device.BadAnswer, 1},
		{"endless interim answers", raw(strings.Repeat("HTTP/1.1 102 Processing\r\n\r\n", 99)), "", device.BadAnswer, 1},
		{"interim answers", interim, "ok", "", 0},
		{"bad chunk", raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"), "", device.BadAnswer, 1},
		{"silence", never, "", device.BadAnswer, 1},
		{"protocol changed", raw("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"), "", device.BadAnswer, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			onBench(t, 2, usbface.Faults{}, echoPath(map[string]http.HandlerFunc{"/bad": tt.handler}), func(t *testing.T, b *bench) {
				got, err := b.get(t.Context(), "/bad")
				if got != tt.wantBody || device.KindOf(err) != tt.wantKind || (err == nil) != (tt.wantKind == "") {
					t.Errorf("got %q, %v, want %q and a fault of kind %q", got, err, tt.wantBody, tt.wantKind)
				}
				synctest.Wait()
				if b.restarts != tt.wantRestarts || b.resets != 0 {
					t.Errorf("%d restarts, %d resets, want %d, 0", b.restarts, b.resets, tt.wantRestarts)
				}
				b.inStep()
			})
		})
	}
}

func TestLadder(t *testing.T) {
	h := echoPath(map[string]http.HandlerFunc{"/never": never})
	onBench(t, 1, usbface.Faults{}, h, func(t *testing.T, b *bench) {
		for i, want := range [][2]int{{1, 0}, {1, 1}, {1, 2}} {
			if _, err := b.get(t.Context(), "/never"); device.KindOf(err) != device.BadAnswer {
				t.Fatalf("error = %v, want a bad answer", err)
			}
			synctest.Wait()
			if got := [2]int{b.restarts, b.resets}; got != want {
				t.Errorf("after failure %d: restarts and resets %v, want %v", i+1, got, want)
			}
		}
		b.inStep()
		b.get(t.Context(), "/never")
		synctest.Wait()
		if b.restarts != 2 {
			t.Errorf("after a success the ladder began with a reset")
		}
		b.resetErr = errors.New("no")
		if _, err := b.get(t.Context(), "/never"); device.KindOf(err) != device.BadAnswer {
			t.Fatalf("error = %v, want a bad answer", err)
		}
		if _, err := b.get(t.Context(), "/echo/"); device.KindOf(err) != device.Unplugged {
			t.Errorf("after a reset that failed: %v, want a fault that makes the machine be opened anew", err)
		}
	})
}

func TestUnwantedAnswerThatNeverEnds(t *testing.T) {
	drip := func(w http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			time.Sleep(time.Second)
			w.Write([]byte("."))
			http.NewResponseController(w).Flush()
		}
	}
	onBench(t, 1, usbface.Faults{}, echoPath(map[string]http.HandlerFunc{"/drip": drip}), func(t *testing.T, b *bench) {
		start := time.Now()
		resp, err := b.client.Get("http://scanner.invalid/drip")
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		b.inStep()
		if d := time.Since(start); d < 59*time.Second || d > 65*time.Second {
			t.Errorf("in step again after %v, want about the 60 s of drain_seconds", d)
		}
	})
}

func TestZeroReads(t *testing.T) {
	onBench(t, 1, usbface.Faults{ZeroReads: 10}, echoPath(nil), func(t *testing.T, b *bench) {
		start := time.Now()
		if got, err := b.get(t.Context(), "/echo/0"); err != nil || got != "/echo/0" {
			t.Fatalf("got %q, %v", got, err)
		}
		// 10 ms, growing by a quarter each time, ten times: 333 ms.
		if d := time.Since(start).Round(time.Millisecond); d < 330*time.Millisecond || d > 336*time.Millisecond {
			t.Errorf("waited %v for ten empty reads, want 333 ms", d)
		}
	})
}

func TestStall(t *testing.T) {
	h := echoPath(map[string]http.HandlerFunc{"/big": bigBody})
	onBench(t, 1, usbface.Faults{StallAfter: 200_000}, h, func(t *testing.T, b *bench) {
		if _, err := b.get(t.Context(), "/big"); err == nil {
			t.Fatal("a body with a stall in it came whole")
		}
		b.inStep()
		if b.restarts != 1 || b.resets != 0 {
			t.Errorf("%d restarts, %d resets, want 1, 0", b.restarts, b.resets)
		}
	})
}

func TestTwoAtATime(t *testing.T) {
	var gate chan struct{} // of the bubble under way
	h := echoPath(map[string]http.HandlerFunc{"/gate": func(w http.ResponseWriter, _ *http.Request) {
		<-gate
		io.WriteString(w, "open")
	}})
	for _, tt := range []struct {
		pairs int
		want  string // what a request gets while another waits at the gate
	}{{1, ""}, {2, "/echo/status"}} {
		onBench(t, tt.pairs, usbface.Faults{}, h, func(t *testing.T, b *bench) {
			gate = make(chan struct{})
			var wg sync.WaitGroup
			wg.Go(func() {
				if got, err := b.get(t.Context(), "/gate"); err != nil || got != "open" {
					t.Errorf("at the gate: %q, %v", got, err)
				}
			})
			synctest.Wait()
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			got, err := b.get(ctx, "/echo/status")
			if got != tt.want || (err == nil) != (tt.want != "") {
				t.Errorf("%d pipes: meanwhile %q, %v, want %q", tt.pairs, got, err, tt.want)
			}
			close(gate)
			wg.Wait()
			b.inStep()
		})
	}
}

func TestUnplugInAnAnswer(t *testing.T) {
	h := echoPath(map[string]http.HandlerFunc{"/big": bigBody})
	onBench(t, 2, usbface.Faults{UnplugAfter: 200_000}, h, func(t *testing.T, b *bench) {
		if _, err := b.get(t.Context(), "/big"); device.KindOf(err) != device.Unplugged {
			t.Errorf("error = %v, want a fault of kind unplugged", err)
		}
		synctest.Wait()
		if _, err := b.get(t.Context(), "/echo/"); device.KindOf(err) != device.Unplugged {
			t.Errorf("the next request: %v, want a fault of kind unplugged", err)
		}
	})
}

// Close must not wait for a machine, a body or a reader that never comes.
func TestCloseUnderWay(t *testing.T) {
	h := echoPath(map[string]http.HandlerFunc{"/never": never, "/big": bigBody})
	onBench(t, 3, usbface.Faults{}, h, func(t *testing.T, b *bench) {
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := b.get(t.Context(), "/never"); err == nil {
				t.Error("an answer after Close")
			}
		})
		unread, err := b.client.Get("http://scanner.invalid/big")
		if err != nil {
			t.Fatal(err)
		}
		r, w := io.Pipe()
		wg.Go(func() {
			if _, err := b.client.Post("http://scanner.invalid/echo/", "text/plain", r); err == nil {
				t.Error("an answer to a request that never ended")
			}
		})
		synctest.Wait()
		start := time.Now()
		if err := b.transport.Close(); err != nil {
			t.Errorf("Close = %v", err)
		}
		wg.Wait()
		w.Close()
		unread.Body.Close()
		if d := time.Since(start); d > time.Second {
			t.Errorf("Close took %v", d)
		}
		if _, err := b.get(t.Context(), "/echo/"); err == nil {
			t.Error("an exchange after Close")
		}
	})
}
