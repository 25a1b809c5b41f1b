//go:build linux

package swap

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"log/slog"
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
	"docscan/packaging/slot"
)

// fakeData is a store of that size.
type fakeData struct{ bytes int64 }

func (fakeData) Schema() (form, reader uint64, err error) { return 2, 1, nil }
func (d fakeData) DatabaseBytes() (int64, error)          { return d.bytes, nil }
func (d fakeData) CopyDatabase(name string) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		return err
	}
	return os.WriteFile(name, nil, 0o600)
}

// ledger is a program that keeps what is recorded, and does nothing else.
type ledger struct {
	Program
	mu     sync.Mutex
	events []slot.Event
}

func (l *ledger) Record(e slot.Event) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.events = append(l.events, e)
	return nil
}

// last is what was recorded last.
func (l *ledger) last() slot.Event {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.events) == 0 {
		return slot.Event{}
	}
	return l.events[len(l.events)-1]
}

// shop is an updater with a bundle that it trusts.
type shop struct {
	*Updater
	slots  *slot.Slots
	key    minisign.PrivateKey
	tree   string // what bundles are made of
	bundle []byte
	digest string
	free   int64
	data   fakeData
	ledger *ledger
}

// digestOf is the SHA-256 of b.
func digestOf(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// newKey makes a pair of keys.
func newKey(t *testing.T) (minisign.PublicKey, minisign.PrivateKey) {
	t.Helper()
	public, private, err := minisign.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return public, private
}

// sign makes a bundle of a version, with what change says of it.
func (s *shop) sign(t *testing.T, key minisign.PrivateKey, change func(*bundle.Manifest)) []byte {
	t.Helper()
	return signed(t, s.unsigned(t, change), key)
}

func (s *shop) unsigned(t *testing.T, change func(*bundle.Manifest)) []byte {
	t.Helper()
	m := bundle.Manifest{Version: "2.0.0", Architecture: runtime.GOARCH, Schema: bundle.Schema{Oldest: 1, Newest: 2, Reader: 1}, From: "0.1.0"}
	if change != nil {
		change(&m)
	}
	var out bytes.Buffer
	if err := bundle.Create(t.Context(), &out, m, s.tree); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func signed(t *testing.T, unsigned []byte, key minisign.PrivateKey) []byte {
	t.Helper()
	var out bytes.Buffer
	if err := bundle.Sign(&out, bytes.NewReader(unsigned), int64(len(unsigned)), key); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// opened opens a bundle with the keys of the shop.
func (s *shop) opened(t *testing.T, raw []byte) *bundle.Bundle {
	t.Helper()
	k, err := s.keys()
	if err != nil {
		t.Fatal(err)
	}
	b, err := bundle.Open(bytes.NewReader(raw), int64(len(raw)), k)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func newShop(t *testing.T) *shop {
	t.Helper()
	dir := t.TempDir()
	s := &shop{free: 1 << 40, data: fakeData{1 << 20}, tree: filepath.Join(dir, "tree"), ledger: &ledger{}}
	public, private := newKey(t)
	s.key = private
	text, err := public.MarshalText()
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string][]byte{"keys/a.pub": text, "tree/bin/docscand": []byte("#!/bin/sh\nexit 1\n")} {
		name = filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, content, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	s.bundle = s.sign(t, private, nil)
	s.digest = digestOf(s.bundle)
	cfg := DefaultConfig()
	cfg.Keys, cfg.RunDir = []string{filepath.Join(dir, "keys")}, filepath.Join(dir, "run")
	if s.slots, err = slot.Open(cfg.Slots(dir), func(e slot.Event) { _ = s.ledger.Record(e) }); err != nil { // it never fails
		t.Fatal(err)
	}
	s.Updater = NewUpdater(cfg, Deps{
		Frame: &Frame{program: s.ledger},
		Slots: s.slots, Dir: dir, Version: "1.0.0", Schema: 2, Args: []string{"run"}, Log: slog.New(slog.DiscardHandler),
		Data: func() Data { return s.data }, Free: func() (int64, error) { return s.free, nil },
	})
	t.Cleanup(func() {
		s.Close()
		s.slots.Close()
	})
	return s
}

// upload uploads the bundle.
func (s *shop) upload(t *testing.T) error {
	t.Helper()
	next, err := s.Part(t.Context(), s.digest, int64(len(s.bundle)), 0, bytes.NewReader(s.bundle))
	if err == nil && next != int64(len(s.bundle)) {
		t.Errorf("the next part begins at %d, want the end, %d", next, len(s.bundle))
	}
	return err
}

// install installs what was uploaded and gives why that came to nothing.
func (s *shop) install(t *testing.T) error {
	t.Helper()
	if err := s.Install(s.digest, int64(len(s.bundle)), false, slot.Origin{Who: "anna"}); err != nil {
		return err
	}
	s.wg.Wait()
	_, err := s.Doing()
	return err
}

func (s *shop) state(t *testing.T) slot.Status {
	t.Helper()
	st, err := s.slots.Status()
	if err != nil {
		t.Fatal(err)
	}
	return st
}

// What the disk has no room for is refused before anything is touched.
func TestNoRoom(t *testing.T) {
	s := newShop(t)
	s.free = spare
	if err := s.upload(t); !errors.Is(err, ErrNoRoom) {
		t.Errorf("an upload to a full disk: %v, want %v", err, ErrNoRoom)
	}
	s.free = 1 << 40
	if err := s.upload(t); err != nil {
		t.Fatal(err)
	}
	// What is here already needs no room once more.
	s.free = spare + int64(len(s.bundle))/4
	half := int64(len(s.bundle)) / 2
	if _, err := s.Part(t.Context(), s.digest, int64(len(s.bundle)), 0, nil); err != nil {
		t.Errorf("going on with an upload that is all but done: %v", err)
	}
	if _, err := s.Part(t.Context(), digestOf([]byte("x")), half, 0, nil); !errors.Is(err, ErrNoRoom) {
		t.Errorf("another upload: %v, want %v", err, ErrNoRoom)
	}
	// There is room for the slot, but not for the copy of a large database.
	s.data.bytes, s.free = 1<<30, 1<<30
	if err := s.install(t); !errors.Is(err, ErrNoRoom) {
		t.Errorf("without room for the copy: %v, want %v", err, ErrNoRoom)
	}
	if st := s.state(t); st.State != slot.Idle || st.Next != nil {
		t.Errorf("after that: %+v, want nothing touched", st)
	}
}

// A version whose check fails was on trial: the reason is kept, and a copy of the
// data from before.
func TestCheckFails(t *testing.T) {
	s := newShop(t)
	if err := s.upload(t); err != nil {
		t.Fatal(err)
	}
	if err := s.install(t); !errors.Is(err, ErrCheck) {
		t.Fatalf("%v, want %v", err, ErrCheck)
	}
	if st := s.state(t); st.State != slot.RolledBack || !strings.Contains(st.Reason, "its check") || st.Current != nil {
		t.Errorf("after that: %+v, want it rolled back with its reason", st)
	}
	copies, err := filepath.Glob(filepath.Join(s.deps.Dir, "backups", "before-*-2.0.0.db"))
	if err != nil || len(copies) != 1 {
		t.Errorf("copies of the database: %v (%v), want one", copies, err)
	}
}

// Copies of the database are kept from right before, whatever the clock says: a box may
// begin without one, or with one that somebody has set wrong.
func TestCopiesAreKept(t *testing.T) {
	s := newShop(t)
	dir := filepath.Join(s.deps.Dir, "backups")
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(os.MkdirAll(dir, 0o700))
	for _, name := range []string{"before-20990101T000000.000Z-1.0.0.db", "before-20990102T000000.000Z-1.1.0.db", "docscan-20260101.backup"} {
		must(os.WriteFile(filepath.Join(dir, name), nil, 0o600))
	}
	var last string
	for n := range 3 { // whose names are told apart by the millisecond
		name, err := s.copy("2.0.0", time.UnixMilli(1795700000000+int64(n)))
		must(err)
		if _, err := os.Stat(name); err != nil {
			t.Fatalf("the copy that was just made: %v", err)
		}
		all, err := filepath.Glob(filepath.Join(dir, "before-*"))
		must(err)
		if len(all) != keptCopies || last != "" && !slices.Contains(all, last) {
			t.Errorf("there are %q, want %s and the one before, %s", all, name, last)
		}
		last = name
	}
	if _, err := os.Stat(filepath.Join(dir, "docscan-20260101.backup")); err != nil {
		t.Errorf("a backup of somebody's: %v", err)
	}
}

// What is refused leaves everything as it was, with its reason, and is recorded like a
// step: by whom, and with the digest of the file or, once that is believed, of the version.
func TestRefusals(t *testing.T) {
	s := newShop(t)
	_, stranger := newKey(t)
	revokedPublic, revoked := newKey(t)
	text, err := revokedPublic.MarshalText()
	if err == nil {
		err = os.MkdirAll(filepath.Join(s.cfg.Keys[0], "revoked"), 0o755)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(s.cfg.Keys[0], "revoked", "b.pub"), text, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
	of := func(change func(*bundle.Manifest)) []byte { return s.sign(t, s.key, change) }
	// The last byte that is no zero is the last of what is stored of a file.
	tampered := bytes.Clone(s.bundle)
	tampered[len(bytes.TrimRight(tampered, "\x00"))-1] ^= 1
	var unsigned bytes.Buffer
	before := s.opened(t, of(func(m *bundle.Manifest) { m.Version = "1.5.0" }))
	if err := bundle.Delta(t.Context(), &unsigned, before, s.opened(t, s.bundle)); err != nil {
		t.Fatal(err)
	}
	garbage := bytes.Repeat([]byte("x"), 5000)
	const all = 1 << 40
	tests := []struct {
		name     string
		file     []byte
		free     int64 // when it is installed
		believed bool  // that it is the version it says
		want     error
		kept     bool // another try needs no upload
	}{
		{"no update", garbage, all, false, bundle.ErrNotBundle, false},
		{"not signed", unsigned.Bytes(), all, false, bundle.ErrUnsigned, false},
		{"unknown key", s.sign(t, stranger, nil), all, false, bundle.ErrUntrusted, true},
		{"revoked key", s.sign(t, revoked, nil), all, false, bundle.ErrRevoked, false},
		{"truncated", s.bundle[:len(s.bundle)-1], all, false, bundle.ErrTruncated, false},
		{"something behind it", append(bytes.Clone(s.bundle), 'x'), all, false, bundle.ErrTampered, false},
		{"a byte of a file is changed", tampered, all, true, bundle.ErrTampered, false},
		{"another machine", of(func(m *bundle.Manifest) { m.Architecture = "mips" }), all, true, bundle.ErrArchitecture, true},
		{"older", of(func(m *bundle.Manifest) { m.Version = "0.9.0" }), all, true, bundle.ErrDowngrade, true},
		{"cannot read the data", of(func(m *bundle.Manifest) { m.Schema = bundle.Schema{Oldest: 3, Newest: 3, Reader: 2} }), all, true, bundle.ErrSchema, true},
		{"no way back from it", of(func(m *bundle.Manifest) { m.Schema = bundle.Schema{Oldest: 1, Newest: 3, Reader: 3} }), all, true, bundle.ErrSchema, true},
		{"from later versions only", of(func(m *bundle.Manifest) { m.From = "1.5.0" }), all, true, bundle.ErrTooOld, true},
		{"a delta against another version", signed(t, unsigned.Bytes(), s.key), all, true, bundle.ErrBase, true},
		{"full disk", s.bundle, spare, true, ErrNoRoom, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s.bundle, s.digest, s.free = tt.file, digestOf(tt.file), all
			digest := s.digest
			if tt.believed {
				digest = s.opened(t, tt.file).Manifest.Digest()
			}
			if err := s.upload(t); err != nil {
				t.Fatal(err)
			}
			s.free = tt.free
			if err := s.install(t); !errors.Is(err, tt.want) {
				t.Errorf("%v, want %v", err, tt.want)
			}
			if e := s.ledger.last(); e.Step != slot.StepInstall || e.Who != "anna" || e.Digest != digest || !strings.Contains(e.Error, tt.want.Error()) {
				t.Errorf("recorded as %+v, want the digest %s and why", e, digest)
			}
			if st := s.state(t); st.State != slot.Idle || st.Next != nil {
				t.Errorf("after that: %+v, want nothing touched", st)
			}
			entries, err := os.ReadDir(filepath.Join(s.deps.Dir, "slots"))
			if err != nil || slices.ContainsFunc(entries, func(e os.DirEntry) bool { return e.Name() != "lock" }) {
				t.Errorf("left in the slots: %v, %v", entries, err)
			}
			if _, err := os.Stat(filepath.Join(s.deps.Dir, "backups")); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("the database was copied: %v", err)
			}
			s.free = all
			want := int64(0)
			if tt.kept {
				want = int64(len(tt.file))
			}
			if at, err := s.Part(t.Context(), s.digest, int64(len(tt.file)), 0, nil); err != nil || at != want {
				t.Errorf("the upload goes on at %d (%v), want %d", at, err, want)
			}
		})
	}
	if err := s.RollBack("dark", slot.Origin{Who: "ben"}); !errors.Is(err, slot.ErrNoWay) {
		t.Errorf("going back from nothing: %v, want %v", err, slot.ErrNoWay)
	}
	if e := s.ledger.last(); e.Step != slot.StepRollBack || e.Who != "ben" || e.Reason != "dark" || e.Error == "" {
		t.Errorf("recorded as %+v", e)
	}
}

// bring makes the tree what Debian's package of a version brings.
func (s *shop) bring(t *testing.T, version string) {
	t.Helper()
	manifest := filepath.Join(s.tree, bundle.ManifestName)
	if err := os.RemoveAll(manifest); err != nil {
		t.Fatal(err)
	}
	r := tar.NewReader(bytes.NewReader(s.unsigned(t, func(m *bundle.Manifest) { m.Version = version })))
	if h, err := r.Next(); err != nil || h.Name != bundle.ManifestName {
		t.Fatalf("a bundle that is not signed begins with %+v, %v", h, err)
	}
	text, err := io.ReadAll(r)
	if err == nil {
		err = os.WriteFile(manifest, text, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// The package manager brings a version with everything that holds for an update file but
// the signature. One that is older than what runs, as when a box was updated by a file
// since, is left alone unless somebody wants it.
func TestPackage(t *testing.T) {
	s := newShop(t)
	by := slot.Origin{Who: "package", From: "local"}
	s.cfg.Package = filepath.Join(s.deps.Dir, "nowhere")
	if err := s.Package(false, by); !errors.Is(err, ErrNoPackage) {
		t.Errorf("without a package: %v, want %v", err, ErrNoPackage)
	}
	s.cfg.Package = s.tree
	try := func(version string, downgrade bool) error {
		t.Helper()
		s.bring(t, version)
		if err := s.Package(downgrade, by); err != nil {
			return err
		}
		s.wg.Wait()
		_, err := s.Doing()
		return err
	}
	if err := try("0.9.0", false); !errors.Is(err, bundle.ErrDowngrade) {
		t.Errorf("an older one: %v, want %v", err, bundle.ErrDowngrade)
	}
	if st := s.state(t); st.State != slot.Idle || st.Next != nil {
		t.Errorf("after that: %+v, want nothing touched", st)
	}
	if e := s.ledger.last(); e.Step != slot.StepInstall || e.Origin != by || e.Version != "0.9.0" || e.Error == "" {
		t.Errorf("recorded as %+v", e)
	}
	for version, downgrade := range map[string]bool{"0.9.0": true, "2.0.0": false} {
		if err := try(version, downgrade); !errors.Is(err, ErrCheck) { // its program does nothing but fail
			t.Errorf("%s, downgrade %t: %v, want %v", version, downgrade, err, ErrCheck)
		}
		if st := s.state(t); st.State != slot.RolledBack || st.Next == nil || st.Next.Manifest.Version != version {
			t.Errorf("%s, downgrade %t: afterwards %+v, want it tried", version, downgrade, st)
		}
	}
}

// The keys that a version brings count once it is committed, and if the power was cut
// before they could, from the next start on.
func TestKeysAreTakenOver(t *testing.T) {
	s := newShop(t)
	if err := s.Adopt(); err != nil {
		t.Errorf("nothing was installed: %v", err)
	}
	newPublic, newPrivate := newKey(t)
	old := s.key.Public().(minisign.PublicKey)
	b := s.opened(t, s.sign(t, s.key, func(m *bundle.Manifest) { m.Trust, m.Revoke = []string{newPublic.String()}, []string{old.String()} }))
	by := slot.Origin{Who: "anna"}
	err := s.slots.Install(t.Context(), b, slot.Request{Origin: by})
	if err == nil {
		_, err = s.slots.Try(t.Context(), by)
	}
	if err := errors.Join(err, s.slots.Commit(by)); err != nil {
		t.Fatal(err)
	}
	for _, when := range []string{"at first", "at the next start"} {
		if err := s.Adopt(); err != nil {
			t.Errorf("%s: %v", when, err)
		}
	}
	k, err := s.keys()
	if err != nil {
		t.Fatal(err)
	}
	for key, want := range map[*minisign.PrivateKey]error{&s.key: bundle.ErrRevoked, &newPrivate: nil} {
		raw := s.sign(t, *key, nil)
		if _, err := bundle.Open(bytes.NewReader(raw), int64(len(raw)), k); !errors.Is(err, want) {
			t.Errorf("afterwards: %v, want %v", err, want)
		}
	}
}

func TestOneUpdateAtATime(t *testing.T) {
	s := newShop(t)
	if err := s.upload(t); err != nil {
		t.Fatal(err)
	}
	release := make(chan struct{})
	if err := s.begin("a test", func(context.Context) error { <-release; return nil }); err != nil {
		t.Fatal(err)
	}
	if err := s.install(t); !errors.Is(err, ErrBusy) {
		t.Errorf("a second one meanwhile: %v, want %v", err, ErrBusy)
	}
	back := func() error { return s.RollBack("dark", slot.Origin{Who: "ben"}) }
	if err := back(); !errors.Is(err, ErrBusy) {
		t.Errorf("going back meanwhile: %v, want %v", err, ErrBusy)
	}
	if doing, _ := s.Doing(); doing != "a test" {
		t.Errorf("what goes on is %q", doing)
	}
	close(release)
	s.wg.Wait()
	s.deps.Frame = &Frame{rope: &rope{}}
	if err := s.install(t); !errors.Is(err, ErrBusy) {
		t.Errorf("while this version is itself on trial: %v, want %v", err, ErrBusy)
	}
	if err := back(); !errors.Is(err, ErrBusy) {
		t.Errorf("going back while this version is itself on trial: %v, want %v", err, ErrBusy)
	}
	s.deps.Frame = &Frame{}
	here := s.deps.Data
	s.deps.Data = func() Data { return nil }
	if err := s.install(t); !errors.Is(err, ErrBusy) {
		t.Errorf("while another version has the data: %v, want %v", err, ErrBusy)
	}
	s.deps.Data = here
	if err := s.install(t); errors.Is(err, ErrBusy) {
		t.Error("still busy after its end")
	}
}

func TestUploads(t *testing.T) {
	s := newShop(t)
	size := int64(len(s.bundle))
	half := size / 2
	if err := s.install(t); !errors.Is(err, bundle.ErrTruncated) {
		t.Errorf("installing what was not uploaded: %v, want %v", err, bundle.ErrTruncated)
	}
	if next, err := s.Part(t.Context(), s.digest, size, 0, bytes.NewReader(s.bundle[:half])); err != nil || next != half {
		t.Errorf("after the first half %d (%v), want %d", next, err, half)
	}
	if next, err := s.Part(t.Context(), s.digest, size, 0, nil); err != nil || next != half {
		t.Errorf("it goes on at %d (%v), want %d", next, err, half)
	}
	if _, err := s.Part(t.Context(), s.digest, size, half+1, bytes.NewReader(s.bundle[half:])); !errors.Is(err, bundle.ErrGap) {
		t.Errorf("with a gap: %v, want %v", err, bundle.ErrGap)
	}
	r, w := io.Pipe()
	slow := make(chan error, 1)
	go func() {
		_, err := s.Part(t.Context(), s.digest, size, half, r)
		slow <- err
	}()
	if _, err := w.Write(s.bundle[half:]); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Part(t.Context(), s.digest, size, half, nil); !errors.Is(err, ErrBusy) {
		t.Errorf("two at once: %v, want %v", err, ErrBusy)
	}
	w.Close()
	if err := <-slow; err != nil {
		t.Error(err)
	}
	if err := s.RollBack("", slot.Origin{}); !errors.Is(err, slot.ErrNoWay) {
		t.Errorf("going back from nothing: %v, want %v", err, slot.ErrNoWay)
	}
}

func TestConfig(t *testing.T) {
	tests := []struct {
		name   string
		change func(*Config)
		want   string
	}{
		{"as shipped", func(*Config) {}, ""},
		{"no run_dir", func(c *Config) { c.RunDir = "" }, "run_dir"},
		{"no proof", func(c *Config) { c.ProveSeconds = 0 }, "prove_seconds"},
		{"no patience", func(c *Config) { c.PatienceSeconds = 61 }, "patience_seconds"},
		{"no memory", func(c *Config) { c.MemoryMB = 63 }, "memory_mb"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := DefaultConfig()
			tt.change(&c)
			err := c.Check()
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("%v, want %q", err, tt.want)
			}
			s := c.Slots("/data")
			if err := s.Check(); tt.want == "" && err != nil {
				t.Errorf("the slots' settings: %v", err)
			}
		})
	}
}

// Whoever has a large database has time for reading it.
func TestCheckLimit(t *testing.T) {
	for bytes, want := range map[int64]time.Duration{0: checkTime, 1 << 20: checkTime, 1 << 30: checkTime + 256*time.Second} {
		if got := checkLimit(bytes); got != want {
			t.Errorf("checkLimit(%d) = %v, want %v", bytes, got, want)
		}
	}
}

// A box that is quick waits less for a version that hangs at its start.
func TestSilence(t *testing.T) {
	const patience = 5 * time.Second
	for check, want := range map[time.Duration]time.Duration{
		300 * time.Millisecond: patience, 4 * time.Second: patience, 8 * time.Second: 8 * time.Second, time.Minute: 20 * time.Second,
	} {
		if got := silence(check, patience); got != want {
			t.Errorf("silence(%v) = %v, want %v", check, got, want)
		}
	}
}
