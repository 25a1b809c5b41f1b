//go:build linux

package swap

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/mod/semver"

	"docscan/packaging/bundle"
	"docscan/packaging/slot"
)

// Config is the table [update] of docscan.toml.
type Config struct {
	// Dir has the installed versions; empty: slots below store.dir.
	Dir string `toml:"dir"`
	// RunDir is a directory that is empty at each start of the box.
	RunDir string `toml:"run_dir"`
	// Package is where Debian's package keeps the version it brings.
	Package string `toml:"package"`
	// Keys are directories of the keys that updates are checked with. Those that
	// updates bring are kept below store.dir.
	Keys []string `toml:"keys"`
	// ProveSeconds is how long a new version is looked at before it is committed.
	ProveSeconds int `toml:"prove_seconds"`
	// PatienceSeconds is how late one of its answers may be.
	PatienceSeconds int `toml:"patience_seconds"`
	// MemoryMB is how much memory of its own it may use meanwhile, in MiB.
	MemoryMB int `toml:"memory_mb"`
}

// DefaultConfig is what holds where docscan.toml is silent. A fault that shows
// in the third minute is still seen.
func DefaultConfig() Config {
	return Config{RunDir: "/run/docscan-slots", Package: "/usr/lib/docscan/release", Keys: []string{"/etc/docscan/update-keys"}, ProveSeconds: 200, PatienceSeconds: 5, MemoryMB: 512}
}

// Check reports the first value that makes no sense.
func (c *Config) Check() error {
	switch {
	case c.RunDir == "":
		return errors.New("run_dir is empty; it must name a directory that is empty at each start of the box")
	case c.ProveSeconds < 1 || c.ProveSeconds > 86400:
		return fmt.Errorf("prove_seconds is %d; it must be 1 to 86400", c.ProveSeconds)
	case c.PatienceSeconds < 1 || c.PatienceSeconds > 60:
		return fmt.Errorf("patience_seconds is %d; it must be 1 to 60", c.PatienceSeconds)
	case c.MemoryMB < 64 || c.MemoryMB > 65536:
		return fmt.Errorf("memory_mb is %d; it must be 64 to 65536", c.MemoryMB)
	}
	return nil
}

// slotTime is how long a trial may take beside the proof: the copy and the check, which
// read all of a database that may have gigabytes, start, the sheet boundary, and a last
// look.
const slotTime = 15 * time.Minute

// Slots is where the versions are, with the data in dir.
func (c *Config) Slots(dir string) slot.Config {
	s := slot.DefaultConfig()
	s.Dir, s.RunDir = c.Dir, c.RunDir
	if s.Dir == "" {
		s.Dir = filepath.Join(dir, "slots")
	}
	s.TrialSeconds = min(c.ProveSeconds+int(slotTime/time.Second), 86400)
	return s
}

// Data are what an Updater needs to know and do with the data, while this
// process has them.
type Data interface {
	Schema() (form, reader uint64, err error)
	DatabaseBytes() (int64, error)
	CopyDatabase(name string) error
}

// Deps are what an Updater works with.
type Deps struct {
	Frame   *Frame
	Slots   *slot.Slots
	Dir     string                // of the data
	Version string                // of this program
	Schema  uint64                // the newest form of data it knows
	Free    func() (int64, error) // bytes the disk with the data has room for
	Args    []string
	Exe     string // the file of this program
	// Settings is the docscan.toml that this program was started with; empty if
	// there was none.
	Settings string
	Data     func() Data   // nil while another process has them
	Main     func(pid int) // told which process is now the one
	Log      *slog.Logger
}

// An Updater installs versions and hands over to them, one at a time.
type Updater struct {
	cfg  Config
	deps Deps

	mu      sync.Mutex
	doing   string // in words; empty: nothing
	failure error  // of what was asked for last
	uploads map[string]bool
	wg      sync.WaitGroup
	stop    context.CancelFunc
	ctx     context.Context
}

// NewUpdater returns an updater. It works until Close.
func NewUpdater(cfg Config, d Deps) *Updater {
	u := &Updater{cfg: cfg, deps: d, uploads: make(map[string]bool)}
	u.ctx, u.stop = context.WithCancel(context.Background())
	return u
}

// Close breaks off what is going on and waits for its end.
func (u *Updater) Close() {
	u.stop()
	u.wg.Wait()
}

// keys reads the trusted keys.
func (u *Updater) keys() (*bundle.Keys, error) {
	return bundle.LoadKeys(append(slices.Clone(u.cfg.Keys), filepath.Join(u.deps.Dir, "update-keys"))...)
}

// Adopt takes over the keys that the current version brings. It is for a version
// that was just committed, and for each start of the box, which may have lost its
// power between the two.
func (u *Updater) Adopt() error {
	manifest, signature, err := u.deps.Slots.Keys()
	if errors.Is(err, fs.ErrNotExist) { // this one came by no update
		return nil
	}
	if err != nil || signature == nil {
		return err
	}
	k, err := u.keys()
	if err != nil {
		return err
	}
	err = k.Adopt(manifest, signature)
	if errors.Is(err, bundle.ErrRevoked) || errors.Is(err, bundle.ErrUntrusted) {
		return nil // it has revoked its own key, or somebody took that away since
	}
	return err
}

// Doing says what goes on now, and why what was asked for last came to nothing.
func (u *Updater) Doing() (doing string, failure error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.doing, u.failure
}

func (u *Updater) say(doing string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.doing = doing
}

// busy reports whether something is going on. Without data another process has taken over
// since the request came. The caller holds u.mu.
func (u *Updater) busy() bool {
	return u.doing != "" || u.deps.Frame.OnTrial() || u.deps.Data() == nil
}

// begin lets do run by itself, if nothing else is going on.
func (u *Updater) begin(doing string, do func(context.Context) error) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.busy() {
		return ErrBusy
	}
	if err := u.ctx.Err(); err != nil {
		return err
	}
	u.doing, u.failure = doing, nil
	u.wg.Go(func() {
		err := do(u.ctx)
		if err != nil {
			u.deps.Log.Error("the update came to nothing", "err", err)
		}
		u.mu.Lock()
		defer u.mu.Unlock()
		u.doing, u.failure = "", err
	})
	return nil
}

// uploadDir is where bundles arrive.
func (u *Updater) uploadDir() string { return filepath.Join(u.deps.Dir, "updates") }

// uploadAge is how long a part of a bundle is kept for its sender to go on.
const uploadAge = 7 * 24 * time.Hour

// Part adds what r gives to an upload, and says where the next part begins. A nil
// r only asks.
func (u *Updater) Part(ctx context.Context, digest string, size, offset int64, r io.Reader) (int64, error) {
	u.mu.Lock()
	busy := u.uploads[digest]
	u.uploads[digest] = true
	u.mu.Unlock()
	if busy {
		return 0, fmt.Errorf("another upload of this file is going on: %w", ErrBusy)
	}
	defer func() {
		u.mu.Lock()
		delete(u.uploads, digest)
		u.mu.Unlock()
	}()
	up, err := bundle.OpenUpload(u.uploadDir(), digest, size)
	if err != nil {
		return 0, err
	}
	if offset == 0 {
		if err := bundle.SweepUploads(u.uploadDir(), digest, time.Now().Add(-uploadAge)); err != nil {
			return 0, err
		}
		if err := u.room(size - up.Offset()); err != nil {
			return 0, err
		}
	}
	if r == nil {
		return up.Offset(), nil
	}
	err = up.Write(ctx, offset, r)
	return up.Offset(), err
}

// Receive takes a whole bundle that nobody has announced, of about size bytes, and
// gives its SHA-256 and size.
func (u *Updater) Receive(ctx context.Context, size int64, r io.Reader) (string, int64, error) {
	if err := bundle.SweepUploads(u.uploadDir(), "", time.Now().Add(-uploadAge)); err != nil {
		return "", 0, err
	}
	if err := u.room(size); err != nil {
		return "", 0, err
	}
	return bundle.Receive(ctx, u.uploadDir(), r)
}

// spare is the room that an update leaves on the disk, in bytes.
const spare = 64 << 20

// room refuses what the disk has no room for.
func (u *Updater) room(need int64) error {
	free, err := u.deps.Free()
	if err != nil {
		return err
	}
	if free < need+spare {
		return fmt.Errorf("%d MiB are needed, %d MiB are free: %w", (need+spare)>>20, free>>20, ErrNoRoom)
	}
	return nil
}

// Install begins to install the bundle with that digest and to hand over to it.
func (u *Updater) Install(digest string, size int64, downgrade bool, by slot.Origin) error {
	up, err := bundle.OpenUpload(u.uploadDir(), digest, size)
	if err != nil {
		return err
	}
	if up.Offset() < size {
		return u.refuse(up, by, fmt.Errorf("%d of %d bytes are here: %w", up.Offset(), size, bundle.ErrTruncated))
	}
	err = u.begin("The update file is checked.", func(ctx context.Context) error {
		if err := gently(func() error { return u.unpack(ctx, up, downgrade, by) }); err != nil {
			return err
		}
		return u.try(ctx, by)
	})
	if err != nil {
		return u.refuse(up, by, err)
	}
	return nil
}

// Package begins to install the version that Debian's package has brought and to
// hand over to it. It is signed by nobody but the package manager.
func (u *Updater) Package(downgrade bool, by slot.Origin) error {
	b, tree, err := bundle.OpenTree(u.cfg.Package)
	if errors.Is(err, fs.ErrNotExist) {
		return ErrNoPackage
	}
	if err != nil {
		return err
	}
	err = u.begin("The version of Debian's package is checked.", func(ctx context.Context) error {
		defer tree.Close()
		st, err := u.deps.Slots.Status()
		if err != nil {
			return err
		}
		if st.Current != nil && st.Current.Digest == b.Manifest.Digest() {
			return nil // installed again
		}
		if err := gently(func() error { return u.write(ctx, b, downgrade, by) }); err != nil {
			return err
		}
		return u.try(ctx, by)
	})
	if err != nil {
		u.note(slot.Event{Step: slot.StepInstall, Origin: by, Version: b.Manifest.Version, Digest: b.Manifest.Digest()}, err)
		return errors.Join(err, tree.Close())
	}
	return nil
}

// unpack checks the bundle and writes it into its slot.
func (u *Updater) unpack(ctx context.Context, up *bundle.Upload, downgrade bool, by slot.Origin) error {
	f, err := up.Finish(ctx)
	if err != nil {
		return u.refuse(up, by, err)
	}
	defer f.Close()
	b, err := u.open(f)
	switch {
	case errors.Is(err, bundle.ErrUntrusted): // its key may be added
		return u.refuse(up, by, err)
	case err != nil:
		return u.refuse(up, by, errors.Join(err, up.Discard()))
	}
	err = u.write(ctx, b, downgrade, by)
	if err == nil || errors.Is(err, bundle.ErrTampered) { // any other try may be another matter
		err = errors.Join(err, up.Discard())
	}
	return err
}

// refuse notes that an upload was not taken, and gives why. Which version it is
// nobody can believe, so the digest is that of the file.
func (u *Updater) refuse(up *bundle.Upload, by slot.Origin, why error) error {
	u.note(slot.Event{Step: slot.StepInstall, Origin: by, Digest: up.Digest()}, why)
	return why
}

// open proves the signature and the form of the bundle in f.
func (u *Updater) open(f *os.File) (*bundle.Bundle, error) {
	keys, err := u.keys()
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	return bundle.Open(f, info.Size(), keys)
}

// write writes a version into its slot.
func (u *Updater) write(ctx context.Context, b *bundle.Bundle, downgrade bool, by slot.Origin) error {
	t, err := u.target(b)
	if err != nil { // the slots, which note each step, are not asked
		u.note(slot.Event{Step: slot.StepInstall, Origin: by, Version: b.Manifest.Version, Digest: b.Manifest.Digest()}, err)
		return err
	}
	t.AllowDowngrade = downgrade
	u.say("Version " + b.Manifest.Version + " is written.")
	return u.deps.Slots.Install(ctx, b, slot.Request{Origin: by, Target: t})
}

// target is what b would be installed on, if there is room for it.
func (u *Updater) target(b *bundle.Bundle) (bundle.Target, error) {
	d := u.deps.Data()
	if d == nil {
		return bundle.Target{}, ErrBusy
	}
	form, reader, err := d.Schema()
	if err != nil {
		return bundle.Target{}, err
	}
	bytes, err := d.DatabaseBytes()
	if err != nil {
		return bundle.Target{}, err
	}
	// The copy comes later, but what it needs must be there now: nothing is
	// touched before that is known.
	if err := u.room(b.Manifest.Size() + copies*bytes); err != nil {
		return bundle.Target{}, err
	}
	return bundle.Target{Version: u.deps.Version, Schema: u.deps.Schema, DataSchema: form, DataReader: reader}, nil
}

// copies is how often the database is there while it is copied.
const copies = 2

// try puts the installed version on trial.
func (u *Updater) try(ctx context.Context, by slot.Origin) error {
	v, err := u.deps.Slots.Try(ctx, by)
	if err != nil {
		return err
	}
	version := v.Manifest.Version
	err = u.hand(ctx, version, program(v), Trial{
		Commit: func() error { return u.deps.Slots.Commit(by) },
		Undo: func(reason string) error {
			return u.deps.Slots.RollBack(context.WithoutCancel(ctx), reason, slot.Boot())
		},
	})
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return err // the next start rolls back
	}
	if st, serr := u.deps.Slots.Status(); serr == nil && st.State == slot.Trying {
		err = errors.Join(err, u.deps.Slots.RollBack(ctx, err.Error(), slot.Boot()))
	}
	return fmt.Errorf("version %s: %w", version, err)
}

// RollBack begins to go back to the version before.
func (u *Updater) RollBack(reason string, by slot.Origin) error {
	st, err := u.deps.Slots.Status()
	if err != nil {
		return err
	}
	reason = strings.TrimSpace(reason)
	if reason == "" {
		reason = "no reason was given"
	}
	e := slot.Event{Step: slot.StepRollBack, Origin: by, Reason: reason}
	if st.Current != nil {
		e.Version, e.Digest = st.Current.Manifest.Version, st.Current.Digest
	}
	u.mu.Lock()
	busy := u.busy()
	u.mu.Unlock()
	switch {
	case busy: // which way there is will be known at its end
		err = ErrBusy
	case st.Previous == nil || st.State != slot.Committed:
		err = slot.ErrNoWay
	default:
		err = u.begin("docscan goes back to version "+st.Previous.Manifest.Version+".", func(ctx context.Context) error {
			return u.goBack(ctx, *st.Previous, e)
		})
	}
	if err != nil {
		u.note(e, err)
	}
	return err
}

// goBack hands over to the version before.
func (u *Updater) goBack(ctx context.Context, to slot.Version, e slot.Event) error {
	noted := false
	err := u.hand(ctx, to.Manifest.Version, program(to), Trial{
		Commit: func() error {
			noted = true // by the slots, whatever comes of it
			return u.deps.Slots.RollBack(ctx, e.Reason, e.Origin)
		},
		// The box starts the version before in any case: whoever asked
		// wanted that.
		Undo: func(string) error { return nil },
	})
	if err != nil && !noted {
		u.note(e, err)
	}
	return err
}

// program is the file of docscand in a version.
func program(v slot.Version) string { return filepath.Join(v.Dir, "bin", "docscand") }

// hand copies the database, lets the version check the box, and hands over to
// its program.
func (u *Updater) hand(ctx context.Context, version, exe string, t Trial) error {
	t.Version, t.Exe, t.Args = version, exe, u.deps.Args
	t.Main = u.deps.Main
	t.Prove, t.Patience = time.Duration(u.cfg.ProveSeconds)*time.Second, time.Duration(u.cfg.PatienceSeconds)*time.Second
	t.Memory = int64(u.cfg.MemoryMB) << 20
	u.say("The database is copied.")
	var copied string
	err := gently(func() (err error) {
		copied, err = u.copy(t.Version, time.Now())
		return err
	})
	if err != nil {
		return err
	}
	u.say("Version " + t.Version + " checks this box.")
	began := time.Now()
	if err := gently(func() error { return check(ctx, t, copied) }); err != nil {
		return err
	}
	t.Silence = silence(time.Since(began), t.Patience)
	if semver.Compare("v"+t.Version, "v"+u.deps.Version) < 0 { // it may tell no steps
		t.Silence *= 4
	}
	u.say("Version " + t.Version + " takes over.")
	return u.deps.Frame.Hand(ctx, t)
}

// silence is how long a program may say nothing while it starts, whose check took as
// long as that. A check does more than all of a start; so a box that is quick soon knows
// that one hangs, and one that is slow or busy has its time.
func silence(check, patience time.Duration) time.Duration {
	return min(max(check, patience), 4*patience)
}

// keptCopies is how many copies of the database are kept.
const keptCopies = 2

// copy makes a copy of the database from before version, and gives its file.
func (u *Updater) copy(version string, now time.Time) (file string, err error) {
	d := u.deps.Data()
	if d == nil {
		return "", ErrBusy
	}
	bytes, err := d.DatabaseBytes()
	if err != nil {
		return "", err
	}
	if err := u.room(copies * bytes); err != nil {
		return "", err
	}
	dir := filepath.Join(u.deps.Dir, "backups")
	const prefix = "before-"
	name := prefix + now.UTC().Format("20060102T150405.000Z") + "-" + filepath.Base(version) + ".db"
	if err := d.CopyDatabase(filepath.Join(dir, name)); err != nil {
		return "", err
	}
	if err := sweepCopies(dir, prefix, name); err != nil {
		return "", err
	}
	return filepath.Join(dir, name), nil
}

// sweepCopies removes the copies in dir, whose names begin with prefix and go on with
// their time, but name, which was made just now, and those from right before it. A clock
// may be set back: what is later than name is from a time that never was.
func sweepCopies(dir, prefix, name string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	var earlier, later []string // by name: by time
	for _, e := range entries {
		switch n := e.Name(); {
		case !strings.HasPrefix(n, prefix) || n == name:
		case n < name:
			earlier = append(earlier, n)
		default:
			later = append(later, n)
		}
	}
	others := append(later, earlier...)
	for _, n := range others[:max(0, len(others)-keptCopies+1)] {
		if err := os.Remove(filepath.Join(dir, n)); err != nil {
			return err
		}
	}
	return nil
}

// checkTime bounds a version's check of the box, with the reading of a page. For so many
// bytes of the database, of which each record is read, there is another second.
const (
	checkTime  = 90 * time.Second
	checkBytes = 4 << 20
)

// checkLimit is how long the check of a box may take whose database is of that size.
func checkLimit(bytes int64) time.Duration {
	return checkTime + time.Duration(bytes/checkBytes)*time.Second
}

// withLimit is a context whose end says that there was no result.
func withLimit(ctx context.Context, limit time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, limit, fmt.Errorf("no result within %s", limit))
}

// maxCheckText bounds what is kept of what a failed check says, in bytes.
const maxCheckText = 600

// wrongUsage is the exit status of a docscand that does not understand its flags.
const wrongUsage = 2

// check lets the new version check this box, in a process of its own. This one
// holds the data, so it looks at the copy.
func check(ctx context.Context, t Trial, copied string) error {
	info, err := os.Stat(copied)
	if err != nil {
		return err
	}
	ctx, stop := withLimit(ctx, checkLimit(info.Size()))
	defer stop()
	args := t.Args
	if len(args) > 0 && args[0] == "run" {
		args = args[1:]
	}
	args = append([]string{"check", "--known-page"}, args...)
	err = runCheck(ctx, t.Exe, append(slices.Clone(args), "--database", copied))
	var ended *exec.ExitError
	if errors.As(err, &ended) && ended.ExitCode() == wrongUsage { // one from before that flag, to which somebody goes back
		err = runCheck(ctx, t.Exe, args)
	}
	if err != nil {
		return fmt.Errorf("%w: its check: %w", ErrCheck, err)
	}
	return nil
}

// runCheck runs a check and gives what failed, with what to do.
func runCheck(ctx context.Context, exe string, args []string) error {
	cmd := exec.CommandContext(ctx, exe, args...)
	cmd.WaitDelay = killTime
	out, err := cmd.CombinedOutput()
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if err == nil {
		return nil
	}
	var said []string
	failed := false
	for line := range strings.Lines(string(out)) {
		text := strings.Join(strings.Fields(line), " ")
		advice, advises := strings.CutPrefix(text, "-> ")
		if advises && failed {
			said[len(said)-1] += ". " + advice
		}
		failed = strings.HasPrefix(line, "FAIL")
		if failed || strings.HasPrefix(line, "docscand:") || strings.HasPrefix(line, "panic:") {
			said = append(said, text)
		}
	}
	text := strings.Join(said, "; ")
	return fmt.Errorf("%w: %s", err, strings.ToValidUTF8(text[:min(len(text), maxCheckText)], ""))
}
