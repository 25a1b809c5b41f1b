package rollout

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"aead.dev/minisign"

	"docscan/packaging/bundle"
	"docscan/packaging/fleet/inventory"
	"docscan/packaging/fleet/receive"
)

// update makes an update file of some size, whose signature nobody here proves.
func update(t *testing.T, size int) Bundle {
	t.Helper()
	dir := t.TempDir()
	content := make([]byte, size) // which does not shrink
	rand.Read(content)            // never fails
	if err := os.Mkdir(filepath.Join(dir, "tree"), 0o755); err != nil {
		t.Fatal(err)
	}
	_, key, err := minisign.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	var plain, signed bytes.Buffer
	err = errors.Join(
		os.WriteFile(filepath.Join(dir, "tree", "docscand"), content, 0o755),
		bundle.Create(t.Context(), &plain, bundle.Manifest{
			Version: "2.0.0", Architecture: runtime.GOARCH, Created: time.Now().UTC().Truncate(time.Second), Schema: bundle.Schema{Oldest: 1, Newest: 2, Reader: 1},
		}, filepath.Join(dir, "tree")),
	)
	if err == nil {
		err = bundle.Sign(&signed, bytes.NewReader(plain.Bytes()), int64(plain.Len()), key)
	}
	name := filepath.Join(dir, "update.bundle")
	if err = errors.Join(err, os.WriteFile(name, signed.Bytes(), 0o600)); err != nil {
		t.Fatal(err)
	}
	b, err := ReadBundle(name, nil)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// office is many boxes in the time of a test, each with what package receive has at
// the far end of an SSH connection.
type office struct {
	*testing.T
	bundle Bundle
	boxes  map[string]*member
	open   atomic.Int32 // connections
	most   atomic.Int32 // at the same time
}

// member is the docscand of one box.
type member struct {
	mu      sync.Mutex
	off     time.Time // until then nobody answers
	dead    bool      // it does not answer again once it installs
	busy    time.Time // until then another update goes on
	got     int64
	digest  string // of what it runs
	asked   int
	at      time.Time // when it was asked to install
	takes   time.Duration
	refused error
}

var _ receive.Daemon = (*member)(nil)

func (m *member) Get(_ context.Context, path string) (json.RawMessage, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case strings.HasPrefix(path, "/api/v1/update/uploads/"):
		return json.Marshal(map[string]int64{"offset": m.got})
	case path == "/api/v1/update/facts":
		return json.Marshal(receive.Docscan{Version: "1.0.0", Healthy: true})
	}
	s := receive.Status{Running: "1.0.0", State: "committed", Current: &receive.Version{Version: "1.0.0", Digest: m.digest}}
	if m.asked > 0 && time.Since(m.at) < m.takes {
		s.Doing = "the update file is checked"
	} else if time.Now().Before(m.busy) {
		s.Doing = "somebody else installs something"
	}
	return json.Marshal(s)
}

func (m *member) Put(_ context.Context, path string, body io.Reader, _ int64) (json.RawMessage, error) {
	u, err := url.Parse(path)
	if err != nil {
		return nil, err
	}
	offset, err := strconv.ParseInt(u.Query().Get("offset"), 10, 64)
	if err != nil {
		return nil, err
	}
	n, err := io.Copy(io.Discard, body)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.got = offset + n
	if err != nil {
		return nil, err
	}
	return json.Marshal(map[string]int64{"offset": m.got})
}

func (m *member) Post(context.Context, string, any) (json.RawMessage, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.refused != nil {
		return nil, m.refused
	}
	m.asked++
	m.at = time.Now()
	return json.RawMessage(`{}`), nil
}

func (m *member) Open(context.Context, string) (io.ReadCloser, error) {
	return nil, errors.ErrUnsupported
}

// dial connects to a box.
func (o *office) dial(ctx context.Context, h inventory.Host) (Line, error) {
	m := o.boxes[h.Name]
	m.mu.Lock()
	if m.asked > 0 && time.Since(m.at) >= m.takes {
		m.digest = o.bundle.Digest
	}
	silent := time.Now().Before(m.off) || m.dead && m.asked > 0
	m.mu.Unlock()
	if silent {
		return Line{}, sleepThen(ctx, time.Second, errors.New("no answer"))
	}
	now := o.open.Add(1)
	for most := o.most.Load(); now > most && !o.most.CompareAndSwap(most, now); most = o.most.Load() {
	}
	inR, inW := io.Pipe()
	outR, outW := io.Pipe()
	go func() {
		err := receive.Serve(context.WithoutCancel(ctx), inR, outW, m, receive.Options{Idle: time.Hour})
		inR.CloseWithError(err)
		outW.CloseWithError(err)
	}()
	c, err := receive.NewConn(outR, inW)
	var once sync.Once
	return Line{Conn: c, Bytes: func() (int64, int64) { return 0, 0 }, Close: func() error {
		once.Do(func() { o.open.Add(-1) })
		return errors.Join(inW.Close(), outR.Close())
	}}, err
}

func sleepThen(ctx context.Context, d time.Duration, err error) error {
	return errors.Join(sleep(ctx, d), err)
}

// run runs a rollout to that many boxes, which change may make other than well, and
// gives what became of them and how long it took.
func run(t *testing.T, b Bundle, boxes int, set func(*Options), change func(*office)) (counts Counts, took time.Duration, o *office, err error) {
	t.Helper()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		o = &office{T: t, bundle: b, boxes: make(map[string]*member)}
		var hosts []inventory.Host
		for i := range boxes {
			h := inventory.Host{Name: fmt.Sprintf("box-%d", i+1)}
			hosts, o.boxes[h.Name] = append(hosts, h), &member{digest: "old", takes: time.Second}
		}
		options := Defaults()
		options.Canary, options.Waves, options.Pause, options.Watch = 0, []Share{{Percent: 100}}, 0, 0
		set(&options)
		if change != nil {
			change(o)
		}
		p, perr := NewPlan([]Bundle{b}, hosts, options, "anna", time.Now())
		if perr != nil {
			t.Fatal(perr)
		}
		r, perr := Create(filepath.Join(dir, "r"), p, "anna")
		if perr != nil {
			t.Fatal(perr)
		}
		began := time.Now()
		err = r.Run(t.Context(), Deps{Dial: o.dial, Keeps: func(error) (string, bool) { return "", false }})
		took, counts = time.Since(began), r.Counts()
		if perr := r.Close(); perr != nil {
			t.Error(perr)
		}
	})
	return counts, took, o, err
}

// Neither one line nor all together carry more than they are allowed, and no more
// boxes are spoken with at once than that.
func TestRates(t *testing.T) {
	b := update(t, 400<<10)
	seconds := func(kb int) time.Duration {
		return time.Duration(float64(b.Size) / float64(kb<<10) * float64(time.Second))
	}
	tests := []struct {
		name         string
		rate, total  int
		atOnce, most int
		want         time.Duration // for the transfers
	}{
		{"a box", 100, 0, 50, 6, seconds(100)},
		{"all together", 0, 100, 50, 6, 6 * seconds(100)},
		{"the lower one", 50, 1000, 50, 6, seconds(50)},
		{"one after another", 100, 0, 1, 1, 6 * seconds(100)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			counts, took, o, err := run(t, b, 6, func(o *Options) { o.RateKB, o.TotalRateKB, o.AtOnce = tt.rate, tt.total, tt.atOnce }, nil)
			if err != nil || counts[Updated] != 6 {
				t.Fatalf("%v, %v", counts, err)
			}
			// Beside the transfers there is the time until it is looked what came of it.
			if took < tt.want-time.Second || took > tt.want+2*againMost {
				t.Errorf("it took %v, want %v and a little more", took, tt.want)
			}
			if most := int(o.most.Load()); most > tt.most {
				t.Errorf("%d connections at the same time, want at most %d", most, tt.most)
			}
		})
	}
}

// The time until it is a box's turn is not the box's: neither its transfer nor its
// silence is measured by it.
func TestTurns(t *testing.T) {
	b := update(t, 100<<10)
	counts, took, _, err := run(t, b, 60, func(o *Options) {
		o.AtOnce, o.RateKB, o.Transfer, o.Lost = 1, 50, 5*time.Second, 10*time.Second
	}, nil)
	if err != nil || counts[Updated] != 60 || took < time.Minute {
		t.Errorf("%v after %v, %v; want all updated", counts, took, err)
	}
}

func TestTroubles(t *testing.T) {
	b := update(t, 100<<10)
	tests := []struct {
		name   string
		set    func(*Options)
		change func(*office)
		want   State // of box-1; box-2 is well
	}{
		{"off for a while", func(o *Options) { o.Patience = time.Hour }, func(o *office) { o.boxes["box-1"].off = time.Now().Add(20 * time.Minute) }, Updated},
		{"off for longer", func(o *Options) { o.Patience = 10 * time.Minute }, func(o *office) { o.boxes["box-1"].off = time.Now().Add(time.Hour) }, OffLine},
		{"never back", func(*Options) {}, func(o *office) { o.boxes["box-1"].dead = true }, Lost},
		{"long at work", func(o *Options) { o.Lost = time.Minute }, func(o *office) { o.boxes["box-1"].takes = 9 * time.Minute }, Updated},
		{"another update", func(*Options) {}, func(o *office) { o.boxes["box-1"].busy = time.Now().Add(5 * time.Minute) }, Updated},
		{"another update without end", func(*Options) {}, func(o *office) { o.boxes["box-1"].busy = time.Now().Add(5 * time.Hour) }, OffLine},
		{"slow", func(o *Options) { o.RateKB, o.Transfer = 1, 10*time.Second }, nil, OffLine},
		{"refused", func(*Options) {}, func(o *office) {
			o.boxes["box-1"].refused = &receive.Refusal{Kind: receive.KindRefused, Text: "not trusted here"}
		}, Failed},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			set := func(o *Options) { o.MaxFailures = Share{Percent: 100}; tt.set(o) }
			counts, _, o, err := run(t, b, 2, set, tt.change)
			if counts[tt.want] == 0 || tt.want == Updated && (err != nil || counts[Updated] != 2) {
				t.Errorf("%v, %v; want %s", counts, err, tt.want)
			}
			if n := o.boxes["box-1"].asked; n > 1 {
				t.Errorf("it was asked %d times", n)
			}
		})
	}
}

// Boxes are touched only in their window, each by its own clock.
func TestWindowOfBoxes(t *testing.T) {
	b := update(t, 1<<10)
	_, took, o, err := run(t, b, 1, func(o *Options) {
		from := time.Now().Add(3 * time.Hour)
		o.Window = Window{from.Hour()*60 + from.Minute(), (from.Hour()*60 + from.Minute() + 60) % (24 * 60)}
	}, nil)
	if err != nil || o.boxes["box-1"].asked != 1 || took < 3*time.Hour-time.Minute || took > 4*time.Hour {
		t.Errorf("asked %d times after %v, %v; want once after three hours", o.boxes["box-1"].asked, took, err)
	}
}

// A halted rollout lets nobody begin whose turn comes later.
func TestHaltHolds(t *testing.T) {
	b := update(t, 1<<10)
	counts, _, o, err := run(t, b, 100, func(o *Options) {
		o.Canary, o.MaxFailures, o.Waves = 5, Share{Percent: 2}, []Share{{Percent: 50}, {Percent: 100}}
	}, func(o *office) {
		for _, name := range []string{"box-7", "box-8"} {
			o.boxes[name].refused = &receive.Refusal{Kind: receive.KindRefused, Text: "no"}
		}
	})
	if !errors.Is(err, ErrHalted) || counts[Failed] != 2 || counts[Waiting] < 50 {
		t.Errorf("%v, %v; want it halted", counts, err)
	}
	for i := 51; i <= 100; i++ {
		if n := o.boxes[fmt.Sprintf("box-%d", i)].asked; n != 0 {
			t.Errorf("box-%d was asked %d times", i, n)
		}
	}
}
