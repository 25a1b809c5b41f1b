//go:build linux

package slot

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"aead.dev/minisign"

	"docscan/packaging/bundle"
)

// press makes signed bundles, each version once. It may be used concurrently.
type press struct {
	key  minisign.PrivateKey
	keys *bundle.Keys

	mu   sync.Mutex
	made map[string]*bundle.Bundle
}

// newPress gives the press that all tests share, for making a bundle takes longer
// than most of them.
func newPress(t testing.TB) *press {
	t.Helper()
	p, err := thePress()
	if err != nil {
		t.Fatal(err)
	}
	return p
}

var thePress = sync.OnceValues(func() (*press, error) {
	public, private, err := minisign.GenerateKey(rand.NewChaCha8([32]byte{1}))
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "docscan-slot-keys-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	if err := os.WriteFile(filepath.Join(dir, "test.pub"), []byte(public.String()), 0o600); err != nil {
		return nil, err
	}
	keys, err := bundle.LoadKeys(dir)
	return &press{key: private, keys: keys, made: map[string]*bundle.Bundle{}}, err
})

// box is a box with slots.
type box struct {
	*Slots
	*press
	t      testing.TB
	events []Event
	up     time.Duration // since its start
}

func newBox(t testing.TB, p *press) *box {
	t.Helper()
	b := &box{t: t, up: time.Hour, press: p}
	cfg := DefaultConfig()
	memory := b.memory()
	cfg.Dir, cfg.RunDir = filepath.Join(memory, "slots"), memory
	b.open(cfg)
	return b
}

func (b *box) open(cfg Config) {
	b.t.Helper()
	s, err := Open(cfg, func(e Event) { b.events = append(b.events, e) })
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { s.Close() }) // again, if it was discarded: no harm
	s.uptime = func() (time.Duration, error) { return b.up, nil }
	b.Slots = s
}

var admin = Origin{Who: "ada", From: "10.0.0.9"}

// daemon is the program of a version: a script that says which.
func daemon(version string) string { return "#!/bin/sh\necho " + version + "\n" }

// bundle makes a signed bundle of a version for this machine.
func (p *press) bundle(t testing.TB, version string) *bundle.Bundle {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	if b := p.made[version]; b != nil {
		return b
	}
	dir := t.TempDir()
	for name, text := range map[string]string{
		"bin/docscand": daemon(version), "bin/docscanctl": "#!/bin/sh\n", "systemd/docscand.service": "[Service]\n", "LICENSE": "free",
	} {
		mode := fs.FileMode(0o644)
		if strings.HasPrefix(name, "bin/") {
			mode = 0o755
		}
		name = filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
	}
	m := bundle.Manifest{
		Version: version, Architecture: runtime.GOARCH, Created: time.Unix(1e9, 0),
		Schema: bundle.Schema{Oldest: 1, Newest: 2, Reader: 1},
	}
	var out bytes.Buffer
	if err := bundle.Create(t.Context(), &out, m, dir); err != nil {
		t.Fatal(err)
	}
	b := p.sign(t, out.Bytes())
	p.made[version] = b
	return b
}

func (p *press) sign(t testing.TB, unsigned []byte) *bundle.Bundle {
	t.Helper()
	var out bytes.Buffer
	if err := bundle.Sign(&out, bytes.NewReader(unsigned), int64(len(unsigned)), p.key); err != nil {
		t.Fatal(err)
	}
	b, err := bundle.Open(bytes.NewReader(out.Bytes()), int64(out.Len()), p.keys)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func (b *box) install(version string) error {
	return b.Install(b.t.Context(), b.bundle(b.t, version), Request{Origin: admin})
}

func (b *box) try() error {
	_, err := b.Try(b.t.Context(), admin)
	return err
}

func (b *box) rollBack() error { return b.RollBack(b.t.Context(), "health gate", admin) }

func (b *box) boot() error {
	_, err := b.AtBoot(b.t.Context())
	return err
}

// crash lets the current version crash three times.
func (b *box) crash() error {
	for range crashLimit - 1 {
		if back, err := b.Crashed(); back || err != nil {
			return fmt.Errorf("rolled back too early (%v): %w", back, err)
		}
	}
	_, err := b.Crashed()
	return err
}

// update takes a version all the way.
func (b *box) update(version string) error {
	return errors.Join(b.install(version), b.try(), b.Commit(admin))
}

// runs is the version that current leads to, empty for none.
func (b *box) runs() string { return versionAt(filepath.Join(b.cfg.Dir, currentName)) }

// versionAt is the version of the daemon below dir.
func versionAt(dir string) string {
	text, err := os.ReadFile(filepath.Join(dir, "bin", "docscand"))
	if err != nil {
		return ""
	}
	v, _ := strings.CutPrefix(strings.TrimSpace(string(text)), "#!/bin/sh\necho ")
	return v
}

func (b *box) state() State {
	b.t.Helper()
	st, err := b.Status()
	if err != nil {
		b.t.Fatal(err)
	}
	return st.State
}

func TestUpdates(t *testing.T) {
	b := newBox(t, newPress(t))
	steps := []struct {
		name    string
		do      func() error
		state   State
		runs    string
		version [3]string // current, previous, next
	}{
		{"nothing yet", func() error { return nil }, Idle, "", [3]string{}},
		{"first install", func() error { return b.install("1.0.0") }, Staged, "", [3]string{"", "", "1.0.0"}},
		{"try", b.try, Trying, "", [3]string{"", "", "1.0.0"}},
		{"commit", func() error { return b.Commit(admin) }, Committed, "1.0.0", [3]string{"1.0.0", "", ""}},
		{"second install", func() error { return b.install("1.1.0") }, Staged, "1.0.0", [3]string{"1.0.0", "", "1.1.0"}},
		{"another instead", func() error { return b.install("1.1.1") }, Staged, "1.0.0", [3]string{"1.0.0", "", "1.1.1"}},
		{"try", b.try, Trying, "1.0.0", [3]string{"1.0.0", "", "1.1.1"}},
		{"health gate", b.rollBack, RolledBack, "1.0.0", [3]string{"1.0.0", "", "1.1.1"}},
		{"try again", b.try, Trying, "1.0.0", [3]string{"1.0.0", "", "1.1.1"}},
		{"power cut", b.boot, RolledBack, "1.0.0", [3]string{"1.0.0", "", "1.1.1"}},
		{"try once more", b.try, Trying, "1.0.0", [3]string{"1.0.0", "", "1.1.1"}},
		{"commit", func() error { return b.Commit(admin) }, Committed, "1.1.1", [3]string{"1.1.1", "1.0.0", ""}},
		{"start of the box", b.boot, Committed, "1.1.1", [3]string{"1.1.1", "1.0.0", ""}},
		{"roll back by an administrator", b.rollBack, RolledBack, "1.0.0", [3]string{"1.0.0", "", "1.1.1"}},
		{"third install", func() error { return b.update("1.2.0") }, Committed, "1.2.0", [3]string{"1.2.0", "1.0.0", ""}},
		{"crashes", b.crash, RolledBack, "1.0.0", [3]string{"1.0.0", "", "1.2.0"}},
		{"start of the box", b.boot, RolledBack, "1.0.0", [3]string{"1.0.0", "", "1.2.0"}},
	}
	for _, s := range steps {
		if err := s.do(); err != nil {
			t.Fatalf("%s: %v", s.name, err)
		}
		st, err := b.Status()
		if err != nil {
			t.Fatalf("%s: status: %v", s.name, err)
		}
		var got [3]string
		for i, v := range []*Version{st.Current, st.Previous, st.Next} {
			if v != nil {
				got[i] = v.Manifest.Version
				if at := versionAt(v.Dir); at != got[i] {
					t.Errorf("%s: version %s is in a slot with %s", s.name, got[i], at)
				}
			}
		}
		if st.State != s.state || b.runs() != s.runs || got != s.version {
			t.Errorf("%s: %s, runs %q, versions %q; want %s, %q, %q", s.name, st.State, b.runs(), got, s.state, s.runs, s.version)
		}
	}
	entries, err := os.ReadDir(b.cfg.Dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	if want := []string{"a", "b", "current", "lock", "state.json", "state.json.old"}; !slices.Equal(names, want) {
		t.Errorf("the directory has %q, want %q", names, want)
	}
}

// Who did what, from where, with which digest, is told of every step.
func TestEvents(t *testing.T) {
	b := newBox(t, newPress(t))
	if err := errors.Join(b.update("1.0.0"), b.update("1.1.0"), b.rollBack()); err != nil {
		t.Fatal(err)
	}
	if err := b.install("0.9.0"); !errors.Is(err, bundle.ErrDowngrade) {
		t.Errorf("older version: %v, want %v", err, bundle.ErrDowngrade)
	}
	want := []string{"install 1.0.0", "try 1.0.0", "commit 1.0.0", "install 1.1.0", "try 1.1.0", "commit 1.1.0", "roll-back 1.1.0 (health gate)", "install 0.9.0 refused"}
	var got []string
	for _, e := range b.events {
		s := string(e.Step) + " " + e.Version
		if e.Reason != "" {
			s += " (" + e.Reason + ")"
		}
		if e.Error != "" {
			s += " refused"
		}
		got = append(got, s)
		if e.Origin != admin || len(e.Digest) != 64 || e.Time.IsZero() {
			t.Errorf("%s: origin %v, digest %q, time %v", s, e.Origin, e.Digest, e.Time)
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("events %q, want %q", got, want)
	}
	history, err := b.History()
	if err != nil || len(history) != len(want)-1 {
		t.Errorf("history of %d steps, error %v, want %d", len(history), err, len(want)-1)
	}
}

// situations bring a box into every state there is.
var situations = []struct {
	name  string
	bring func(*box) error
	state State
}{
	{"idle", func(*box) error { return nil }, Idle},
	{"first staged", func(b *box) error { return b.install("1.0.0") }, Staged},
	{"first trying", func(b *box) error { return errors.Join(b.install("1.0.0"), b.try()) }, Trying},
	{"first rolled back", func(b *box) error { return errors.Join(b.install("1.0.0"), b.try(), b.rollBack()) }, RolledBack},
	{"first committed", func(b *box) error { return b.update("1.0.0") }, Committed},
	{"staged", func(b *box) error { return errors.Join(b.update("1.0.0"), b.install("1.1.0")) }, Staged},
	{"trying", func(b *box) error { return errors.Join(b.update("1.0.0"), b.install("1.1.0"), b.try()) }, Trying},
	{"committed", func(b *box) error { return errors.Join(b.update("1.0.0"), b.update("1.1.0")) }, Committed},
	{"rolled back from the trial", func(b *box) error {
		return errors.Join(b.update("1.0.0"), b.install("1.1.0"), b.try(), b.rollBack())
	}, RolledBack},
	{"rolled back from current", func(b *box) error {
		return errors.Join(b.update("1.0.0"), b.update("1.1.0"), b.rollBack())
	}, RolledBack},
}

// Every event in every state: what follows, or why it is refused.
func TestStatesAndEvents(t *testing.T) {
	press := newPress(t)
	type outcome struct {
		state State
		runs  string
		err   error
	}
	ok := func(s State, runs string) outcome { return outcome{s, runs, nil} }
	stays := errors.New("stays as it is")
	no := func(err error) outcome { return outcome{err: err} }
	// In the order: install, try, commit, roll back, at boot, three crashes.
	want := map[string][6]outcome{
		"idle":                       {ok(Staged, ""), no(ErrState), no(ErrState), no(ErrNoWay), no(stays), no(ErrNoWay)},
		"first staged":               {ok(Staged, ""), ok(Trying, ""), no(ErrState), no(ErrNoWay), no(stays), no(ErrNoWay)},
		"first trying":               {no(ErrState), no(ErrState), ok(Committed, "1.0.0"), ok(RolledBack, ""), ok(RolledBack, ""), no(ErrNoWay)},
		"first rolled back":          {ok(Staged, ""), ok(Trying, ""), no(ErrState), no(ErrNoWay), no(stays), no(ErrNoWay)},
		"first committed":            {ok(Staged, "1.0.0"), no(ErrState), no(ErrState), no(ErrNoWay), no(stays), no(ErrNoWay)},
		"staged":                     {ok(Staged, "1.0.0"), ok(Trying, "1.0.0"), no(ErrState), no(ErrNoWay), no(stays), no(ErrNoWay)},
		"trying":                     {no(ErrState), no(ErrState), ok(Committed, "1.1.0"), ok(RolledBack, "1.0.0"), ok(RolledBack, "1.0.0"), no(ErrNoWay)},
		"committed":                  {ok(Staged, "1.1.0"), no(ErrState), no(ErrState), ok(RolledBack, "1.0.0"), no(stays), ok(RolledBack, "1.0.0")},
		"rolled back from the trial": {ok(Staged, "1.0.0"), ok(Trying, "1.0.0"), no(ErrState), no(ErrNoWay), no(stays), no(ErrNoWay)},
		"rolled back from current":   {ok(Staged, "1.0.0"), ok(Trying, "1.0.0"), no(ErrState), no(ErrNoWay), no(stays), no(ErrNoWay)},
	}
	events := []struct {
		name string
		do   func(*box) error
	}{
		{"install", func(b *box) error { return b.install("2.0.0") }},
		{"try", (*box).try},
		{"commit", func(b *box) error { return b.Commit(admin) }},
		{"roll back", (*box).rollBack},
		{"at boot", (*box).boot},
		{"three crashes", (*box).crash},
	}
	for _, s := range situations {
		for i, e := range events {
			t.Run(s.name+", "+e.name, func(t *testing.T) {
				t.Parallel()
				b := newBox(t, press)
				if err := s.bring(b); err != nil {
					t.Fatal(err)
				}
				if got := b.state(); got != s.state {
					t.Fatalf("%s to begin with, want %s", got, s.state)
				}
				before := b.runs()
				w := want[s.name][i]
				err := e.do(b)
				switch {
				case w.err == nil && err != nil, w.err == stays && err != nil:
					t.Errorf("%v", err)
				case w.err != nil && w.err != stays && !errors.Is(err, w.err):
					t.Errorf("%v, want %v", err, w.err)
				}
				if w.err != nil {
					w.state, w.runs = s.state, before
				}
				if b.state() != w.state || b.runs() != w.runs {
					t.Errorf("%s, runs %q; want %s, %q", b.state(), b.runs(), w.state, w.runs)
				}
			})
		}
	}
}

func TestTrialEnds(t *testing.T) {
	b := newBox(t, newPress(t))
	if err := errors.Join(b.update("1.0.0"), b.install("1.1.0"), b.try()); err != nil {
		t.Fatal(err)
	}
	begun := b.up
	for name, up := range map[string]time.Duration{"too late": begun + 301*time.Second, "after another start of the box": begun - time.Minute} {
		b.up = up
		if err := b.Commit(admin); !errors.Is(err, ErrLate) {
			t.Errorf("%s: %v, want %v", name, err, ErrLate)
		}
	}
	b.up = begun + 300*time.Second
	// The clock may be set meanwhile; the trial does not go by it.
	b.now = func() time.Time { return time.Now().Add(24 * time.Hour) }
	if err := b.Commit(admin); err != nil {
		t.Errorf("in time, with the clock set: %v", err)
	}
}

func TestAttemptsEnd(t *testing.T) {
	b := newBox(t, newPress(t))
	if err := errors.Join(b.update("1.0.0"), b.install("1.1.0")); err != nil {
		t.Fatal(err)
	}
	for i := range b.cfg.TrialAttempts {
		if err := errors.Join(b.try(), b.rollBack()); err != nil {
			t.Fatalf("attempt %d: %v", i+1, err)
		}
	}
	if err := b.try(); !errors.Is(err, ErrAttempts) {
		t.Errorf("one attempt more: %v, want %v", err, ErrAttempts)
	}
	if err := b.update("1.1.0"); err != nil {
		t.Errorf("installed anew: %v", err)
	}
}

func TestNoRoom(t *testing.T) {
	b := newBox(t, newPress(t))
	if err := errors.Join(b.update("1.0.0"), b.update("1.1.0")); err != nil {
		t.Fatal(err)
	}
	b.free = func() (int64, error) { return 20 << 20, nil }
	err := b.install("1.2.0")
	if !errors.Is(err, ErrNoRoom) || !strings.Contains(err.Error(), "needs 33 MiB") || !strings.Contains(err.Error(), "has 20 MiB") {
		t.Errorf("full disk: %v, want %v with the sizes", err, ErrNoRoom)
	}
	if err := b.rollBack(); err != nil {
		t.Errorf("the previous version after a refused install: %v", err)
	}
}

func TestDamage(t *testing.T) {
	press := newPress(t)
	spoil := func(slot string, how func(string) error) func(*box) error {
		return func(b *box) error { return how(filepath.Join(b.cfg.Dir, slot, "bin", "docscand")) }
	}
	change := func(name string) error { return os.WriteFile(name, []byte("x"), 0o755) }
	tests := []struct {
		name  string
		spoil func(*box) error
		do    func(*box) error
	}{
		{"staged, changed", spoil("b", change), (*box).try},
		{"staged, removed", spoil("b", os.Remove), (*box).try},
		{"staged, not executable", spoil("b", func(n string) error { return os.Chmod(n, 0o644) }), (*box).try},
		{"previous, changed", func(b *box) error {
			return errors.Join(b.try(), b.Commit(admin), spoil("a", change)(b))
		}, (*box).rollBack},
		{"previous, all gone", func(b *box) error {
			return errors.Join(b.try(), b.Commit(admin), os.RemoveAll(filepath.Join(b.cfg.Dir, "a")))
		}, (*box).rollBack},
		{"previous not executable, crashes", func(b *box) error {
			return errors.Join(b.try(), b.Commit(admin), os.Chmod(filepath.Join(b.cfg.Dir, "a/bin/docscand"), 0o644))
		}, (*box).crash},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := newBox(t, press)
			if err := errors.Join(b.update("1.0.0"), b.install("1.1.0"), tt.spoil(b)); err != nil {
				t.Fatal(err)
			}
			state, runs := b.state(), b.runs()
			if err := tt.do(b); !errors.Is(err, ErrDamaged) {
				t.Errorf("%v, want %v", err, ErrDamaged)
			}
			if b.state() != state || b.runs() != runs {
				t.Errorf("%s, runs %q; want %s, %q", b.state(), b.runs(), state, runs)
			}
		})
	}
	t.Run("staged, all gone", func(t *testing.T) {
		b := newBox(t, press)
		if err := errors.Join(b.update("1.0.0"), b.install("1.1.0"), os.RemoveAll(filepath.Join(b.cfg.Dir, "b"))); err != nil {
			t.Fatal(err)
		}
		if err := b.try(); !errors.Is(err, ErrState) || b.state() != Committed || b.runs() != "1.0.0" {
			t.Errorf("%v, %s, runs %q; want %v, %s, 1.0.0", err, b.state(), b.runs(), ErrState, Committed)
		}
	})
	t.Run("current, removed", func(t *testing.T) {
		b := newBox(t, press)
		if err := errors.Join(b.update("1.0.0"), b.update("1.1.0"), spoil("b", os.Remove)(b), b.boot()); err != nil {
			t.Fatal(err)
		}
		if b.state() != RolledBack || b.runs() != "1.0.0" {
			t.Errorf("%s, runs %q; want %s, 1.0.0", b.state(), b.runs(), RolledBack)
		}
	})
}

func TestBusy(t *testing.T) {
	b := newBox(t, newPress(t))
	if err := b.install("1.0.0"); err != nil {
		t.Fatal(err)
	}
	unlock, err := b.disk.lock()
	if err != nil {
		t.Fatal(err)
	}
	for name, do := range map[string]func() error{
		"try": b.try, "boot": b.boot, "install": func() error { return b.install("1.0.0") },
		"crash": func() error { _, err := b.Crashed(); return err },
	} {
		if err := do(); !errors.Is(err, ErrBusy) {
			t.Errorf("%s meanwhile: %v, want %v", name, err, ErrBusy)
		}
	}
	if b.state() != Staged {
		t.Errorf("%s, want %s", b.state(), Staged)
	}
	unlock()
	if err := b.try(); err != nil {
		t.Errorf("after it: %v", err)
	}
}

func TestDeltaInstall(t *testing.T) {
	b := newBox(t, newPress(t))
	from, to := b.bundle(t, "1.0.0"), b.bundle(t, "1.1.0")
	var out bytes.Buffer
	if err := bundle.Delta(t.Context(), &out, from, to); err != nil {
		t.Fatal(err)
	}
	delta := b.sign(t, out.Bytes())
	request := Request{Origin: admin}
	if err := b.Install(t.Context(), delta, request); !errors.Is(err, bundle.ErrBase) {
		t.Errorf("delta on nothing: %v, want %v", err, bundle.ErrBase)
	}
	if err := errors.Join(b.Install(t.Context(), from, request), b.try(), b.Commit(admin), b.Install(t.Context(), delta, request)); err != nil {
		t.Fatal(err)
	}
	v, err := b.Try(t.Context(), admin)
	if err != nil {
		t.Fatal(err)
	}
	if v.Digest != to.Manifest.Digest() || versionAt(v.Dir) != "1.1.0" {
		t.Errorf("digest %s in %s with %s, want %s", v.Digest, v.Dir, versionAt(v.Dir), to.Manifest.Digest())
	}
	manifest, sig, err := b.Keys()
	if err != nil {
		t.Fatal(err)
	}
	if err := b.keys.Adopt(manifest, sig); err != nil {
		t.Errorf("keys of the current version: %v", err)
	}
}

func TestConfig(t *testing.T) {
	tests := []struct {
		name   string
		change func(*Config)
		ok     bool
	}{
		{"default", func(*Config) {}, true},
		{"no directory", func(c *Config) { c.Dir = "" }, false},
		{"no run directory", func(c *Config) { c.RunDir = "" }, false},
		{"short trial", func(c *Config) { c.TrialSeconds = 9 }, false},
		{"long trial", func(c *Config) { c.TrialSeconds = 86401 }, false},
		{"no attempt", func(c *Config) { c.TrialAttempts = 0 }, false},
		{"many attempts", func(c *Config) { c.TrialAttempts = 101 }, false},
	}
	for _, tt := range tests {
		c := DefaultConfig()
		tt.change(&c)
		if err := c.Check(); (err == nil) != tt.ok {
			t.Errorf("%s: %v, want ok: %v", tt.name, err, tt.ok)
		}
	}
}
