// Load is the people at work while docscan is swapped: a process of its own that
// logs in, lists, looks at pictures, uploads and watches, over kept and over new
// connections, and that counts every request which fails and how long each took.
//
// It works until its standard input is closed, then prints one line of JSON.
package main

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptrace"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Report is what it prints.
type Report struct {
	Requests int      `json:"requests"`
	Failed   int      `json:"failed"`
	Errors   []string `json:"errors,omitempty"` // the first of them
	P999     float64  `json:"p999_ms"`
	P50      float64  `json:"p50_ms"`
	Uploads  int      `json:"uploads"`
	LogIn50  float64  `json:"p50_log_in_ms"` // to prove a password takes long by itself
	// The longest, longest first.
	LogIns  []Wait `json:"log_ins"`
	Others  []Wait `json:"others"`
	Events  int    `json:"events"`
	Resets  int    `json:"resets"`  // events were lost
	Twice   int    `json:"twice"`   // events that came again
	Streams int    `json:"streams"` // how often a stream began
}

// A Wait is how long a request took.
type Wait struct {
	Begun time.Time `json:"begun"`
	MS    float64   `json:"ms"`
	What  string    `json:"what"`
}

// longest is how many waits are told.
const longest = 100

// keep puts w among the longest if it is one of them.
func keep(list []Wait, w Wait) []Wait {
	if len(list) == longest && w.MS <= list[longest-1].MS {
		return list
	}
	at, _ := slices.BinarySearchFunc(list, w, func(a, b Wait) int { return cmp.Compare(b.MS, a.MS) })
	return slices.Insert(list, at, w)[:min(len(list)+1, longest)]
}

// load is what all workers have in common.
type load struct {
	base, token string
	user, pass  string
	uploads     bool
	look        time.Duration // at what somebody has got

	mu      sync.Mutex
	times   []time.Duration // of all but log-ins
	entries []time.Duration // of log-ins
	report  Report
}

func main() {
	l := &load{}
	flag.StringVar(&l.base, "url", "", "address of the daemon")
	flag.StringVar(&l.token, "token", "", "bearer token of an administrator")
	flag.StringVar(&l.user, "user", "anna", "who logs in")
	flag.StringVar(&l.pass, "password", "", "and with what")
	flag.DurationVar(&l.look, "look", 5*time.Millisecond, "how long somebody looks at a picture before the next one")
	flag.BoolVar(&l.uploads, "uploads", true, "upload 8 MB at a time")
	flag.Parse()
	ctx, stop := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() { l.browse(ctx, i%2 == 0) })
	}
	wg.Go(func() { l.logIn(ctx) })
	wg.Go(func() { l.rare(ctx) })
	if l.uploads {
		wg.Go(func() { l.upload(ctx) })
	}
	for range 2 {
		wg.Go(func() { l.watch(ctx) })
	}
	_, _ = io.Copy(io.Discard, os.Stdin) // its end is the sign to stop
	stop()
	wg.Wait()
	slices.Sort(l.times)
	slices.Sort(l.entries)
	r := &l.report
	r.Requests = len(l.times) + len(l.entries) + r.Failed
	if n := len(l.times); n > 0 {
		r.P999, r.P50 = ms(l.times[n*999/1000]), ms(l.times[n/2])
	}
	if n := len(l.entries); n > 0 {
		r.LogIn50 = ms(l.entries[n/2])
	}
	if err := json.NewEncoder(os.Stdout).Encode(r); err != nil {
		fmt.Fprintln(os.Stderr, "load:", err)
		os.Exit(1)
	}
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// client keeps its connections, or takes a new one each time.
func client(keep bool) *http.Client {
	return &http.Client{Transport: &http.Transport{
		DisableKeepAlives: !keep, MaxIdleConnsPerHost: 8,
		DialContext: (&net.Dialer{Timeout: 30 * time.Second}).DialContext,
	}, Timeout: 60 * time.Second}
}

// ask does one request and counts it. A nil answer is a failure. http.Transport
// quietly repeats a request whose kept connection was closed under it; that
// counts as a failure too, for other clients do not.
func (l *load) ask(ctx context.Context, c *http.Client, method, path string, body []byte, want int) []byte {
	var tries atomic.Int32
	tctx := httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { tries.Add(1) }})
	req, err := http.NewRequestWithContext(tctx, method, l.base+path, bytes.NewReader(body))
	if err != nil {
		l.fail(method, path, err)
		return nil
	}
	if len(body) > 0 {
		req.Header.Set("Content-Type", "application/json")
	}
	req.Header.Set("Authorization", "Bearer "+l.token)
	start := time.Now()
	resp, err := c.Do(req)
	var b []byte
	if err == nil {
		b, err = io.ReadAll(resp.Body)
		resp.Body.Close()
		if err == nil && resp.StatusCode != want {
			err = fmt.Errorf("status %d: %.120q", resp.StatusCode, b)
		}
	}
	if ctx.Err() != nil {
		return nil
	}
	if err == nil && tries.Load() > 1 {
		err = errors.New("its connection was closed under it")
	}
	if err != nil {
		l.fail(method, path, err)
		return nil
	}
	d := time.Since(start)
	l.mu.Lock()
	defer l.mu.Unlock()
	w := Wait{start.UTC(), ms(d), method + " " + path}
	switch {
	case path == loginPath:
		l.entries = append(l.entries, d)
		l.report.LogIns = keep(l.report.LogIns, w)
	case len(body) < 1<<20: // an upload's time is that of its bytes
		l.times = append(l.times, d)
		l.report.Others = keep(l.report.Others, w)
	}
	return b
}

func (l *load) fail(method, path string, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.report.Failed++
	if len(l.report.Errors) < 20 {
		l.report.Errors = append(l.report.Errors, fmt.Sprintf("%s %s %s: %v", time.Now().UTC().Format("15:04:05.000"), method, path, err))
	}
}

// browse lists and looks at pictures.
func (l *load) browse(ctx context.Context, keep bool) {
	c := client(keep)
	for ctx.Err() == nil {
		l.ask(ctx, c, "GET", "/api/v1/batches?limit=5", nil, 200)
		b := l.ask(ctx, c, "GET", "/api/v1/documents?limit=5", nil, 200)
		var list struct {
			Documents []struct {
				ID string `json:"id"`
			} `json:"documents"`
		}
		if b != nil && json.Unmarshal(b, &list) == nil && len(list.Documents) > 0 {
			d := list.Documents[rand.IntN(len(list.Documents))].ID
			l.ask(ctx, c, "GET", "/api/v1/documents/"+d+"/pages/1/thumb", nil, 200)
			l.ask(ctx, c, "GET", "/api/v1/documents/"+d+"/pdf", nil, 200)
		}
		l.ask(ctx, c, "GET", "/api/v1/status", nil, 200)
		pause(ctx, l.look)
	}
}

// rare uses a kept connection after it has been idle for a while.
func (l *load) rare(ctx context.Context) {
	c := client(true)
	for ctx.Err() == nil {
		l.ask(ctx, c, "GET", "/api/health", nil, 200)
		pause(ctx, time.Duration(100+rand.IntN(3000))*time.Millisecond)
	}
}

const loginPath = "/api/v1/login"

// logIn begins and ends sessions.
func (l *load) logIn(ctx context.Context) {
	c := client(true)
	for ctx.Err() == nil {
		b := l.ask(ctx, c, "POST", loginPath, fmt.Appendf(nil, `{"username":%q,"password":%q}`, l.user, l.pass), 200)
		var in struct {
			Token string `json:"access_token"`
		}
		if b != nil && json.Unmarshal(b, &in) == nil {
			mine := &load{base: l.base, token: in.Token}
			mine.ask(ctx, c, "POST", "/api/v1/logout", nil, 204)
			l.merge(mine)
		}
		pause(ctx, 200*time.Millisecond)
	}
}

func (l *load) merge(x *load) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.times = append(l.times, x.times...)
	for _, w := range x.report.Others {
		l.report.Others = keep(l.report.Others, w)
	}
	l.report.Failed += x.report.Failed
	l.report.Errors = append(l.report.Errors, x.report.Errors...)
}

// upload sends 8 MB again and again.
func (l *load) upload(ctx context.Context) {
	c := client(true)
	data := make([]byte, 8<<20)
	binary.BigEndian.PutUint64(data, rand.Uint64()) // another file than that of a load before, whose last part may still be on its way
	sum := sha256.Sum256(data)
	// One byte is missing, so it stays an upload; each time it begins anew.
	path := fmt.Sprintf("/api/v1/update/uploads/%s?size=%d&offset=0", hex.EncodeToString(sum[:]), len(data)+1)
	for ctx.Err() == nil {
		if b := l.ask(ctx, c, "PUT", path, data, 200); b != nil {
			l.mu.Lock()
			l.report.Uploads++
			l.mu.Unlock()
		}
		pause(ctx, 500*time.Millisecond)
	}
}

// watch follows the events and notices those that are missing or come twice. A
// stream may end; it is taken up with the last ID.
func (l *load) watch(ctx context.Context) {
	c := client(true)
	c.Timeout = 0
	var last uint64
	for ctx.Err() == nil {
		req, err := http.NewRequestWithContext(ctx, "GET", l.base+"/api/v1/events", nil)
		if err != nil {
			l.fail("GET", "/api/v1/events", err)
			return
		}
		req.Header.Set("Authorization", "Bearer "+l.token)
		if last > 0 {
			req.Header.Set("Last-Event-ID", strconv.FormatUint(last, 10))
		}
		resp, err := c.Do(req)
		if ctx.Err() != nil {
			return
		}
		if err != nil || resp.StatusCode != 200 {
			l.fail("GET", "/api/v1/events", fmt.Errorf("%v %v", resp, err))
			pause(ctx, 100*time.Millisecond)
			continue
		}
		last = l.follow(resp.Body, last)
		resp.Body.Close()
		pause(ctx, 50*time.Millisecond)
	}
}

func (l *load) follow(r io.Reader, last uint64) uint64 {
	l.mu.Lock()
	l.report.Streams++
	l.mu.Unlock()
	lines := bufio.NewScanner(r)
	id, data := last, false
	for lines.Scan() {
		line := lines.Text()
		switch text, isID := strings.CutPrefix(line, "id: "); {
		case isID:
			n, err := strconv.ParseUint(text, 10, 64)
			if err != nil {
				continue
			}
			id = n
		case strings.HasPrefix(line, "data: "):
			data = true
		case line == "event: reset":
			l.mu.Lock()
			l.report.Resets++
			l.mu.Unlock()
		case line == "": // an ID without data only says from where to go on
			l.mu.Lock()
			if data {
				l.report.Events++
			}
			if data && id <= last {
				l.report.Twice++
			}
			l.mu.Unlock()
			last, data = id, false
		}
	}
	return last
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}
