//go:build linux

// Package slot keeps two installed versions of docscan and decides which runs.
//
// Below one directory lie
//
//	a/ b/           the slots, each one whole unpacked bundle with its manifest
//	current         link to the slot whose version is started
//	previous        link to the slot that can be gone back to; missing if none can
//	state.json      what happened, and state.json.old before that
//	rollback        why a roll back was begun, until it is recorded in state.json
//	incoming/       a version that is being written
//	discard/        what is being removed
//
// A version is on trial while it runs out of its slot and current still leads to
// the other. It becomes current, in one rename, when it is committed. So there
// is nothing to undo after a power cut: what starts is always the version that
// last proved itself. The links are the truth, state.json tells the story; where
// a power cut has come between them, reading them together gives the one state
// that both can mean.
//
// How the running daemon hands over to a version on trial is not known here, and
// neither is how a version proves itself.
package slot

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"time"

	"docscan/packaging/bundle"
)

// Config is where the slots are and how long a version has to prove itself.
type Config struct {
	Dir           string `toml:"dir"`
	RunDir        string `toml:"run_dir"`       // where crashes are counted; empty at each start of the box
	TrialSeconds  int    `toml:"trial_seconds"` // from Try to Commit at most, 10 to 86400
	TrialAttempts int    `toml:"trial_attempts"`
}

// DefaultConfig returns the settings of a box.
func DefaultConfig() Config {
	return Config{Dir: "/var/lib/docscan/slots", RunDir: "/run/docscan-slots", TrialSeconds: 300, TrialAttempts: 3}
}

// Check finds what cannot be.
func (c Config) Check() error {
	switch {
	case c.Dir == "":
		return errors.New("dir is empty: name the directory of the installed versions")
	case c.RunDir == "":
		return errors.New("run_dir is empty: name a directory that is empty at each start of the box")
	case c.TrialSeconds < 10 || c.TrialSeconds > 86400:
		return fmt.Errorf("trial_seconds is %d: want 10 to 86400", c.TrialSeconds)
	case c.TrialAttempts < 1 || c.TrialAttempts > 100:
		return fmt.Errorf("trial_attempts is %d: want 1 to 100", c.TrialAttempts)
	}
	return nil
}

// Why a step is refused. Nothing has changed then.
var (
	ErrBusy     = errors.New("another step of an update is going on")
	ErrNoRoom   = errors.New("there is not enough room on the disk for the new version; free some, such as by emptying the trash")
	ErrState    = errors.New("this is not the time for that")
	ErrAttempts = errors.New("the version was tried too often without proving itself; install another one")
	ErrLate     = errors.New("the version did not prove itself in time")
	ErrNoWay    = errors.New("there is no other version to go back to")
	ErrDamaged  = errors.New("the installed version is not as it was installed")
)

// Names in the directory.
const (
	nameA        = "a"
	nameB        = "b"
	currentName  = "current"
	previousName = "previous"
	stateName    = "state.json"
	oldStateName = "state.json.old"
	noteName     = "rollback"
	incomingName = "incoming"
	discardName  = "discard"
	lockName     = "lock"
	newSuffix    = ".new"
)

// reserve is the room that an installation leaves on the disk, in bytes, for
// the state and for whatever else is written meanwhile.
const reserve = 32 << 20

// Slots are the two slots. The methods may be called concurrently, also by
// several processes: of steps that change something one at a time is let in, the
// others fail with ErrBusy.
type Slots struct {
	cfg   Config
	disk  *disk
	audit func(Event)
	now   func() time.Time // for people
	// uptime is what decisions go by: a box may have no clock at boot, and have
	// it set later.
	uptime func() (time.Duration, error)
	free   func() (int64, error) // bytes that the disk has room for
}

// Open gives the slots below cfg.Dir, which is made if it is missing. Nothing
// else is changed. audit is told each step, also those that fail, before the
// method returns.
func Open(cfg Config, audit func(Event)) (*Slots, error) {
	d, err := openDisk(cfg.Dir)
	if err != nil {
		return nil, fmt.Errorf("open slots: %w", err)
	}
	return &Slots{cfg: cfg, disk: d, audit: audit, now: time.Now, uptime: uptime, free: d.free}, nil
}

// Close lets go of the directory.
func (s *Slots) Close() error { return s.disk.root.Close() }

// A Version is what is installed in a slot.
type Version struct {
	Slot     string          `json:"slot"` // "a" or "b"
	Dir      string          `json:"dir"`  // where its files are
	Digest   string          `json:"digest"`
	Manifest bundle.Manifest `json:"manifest"`
}

// version reads what is in a slot.
func (s *Slots) version(slot string) (Version, error) {
	b, err := s.disk.read(path.Join(slot, bundle.ManifestName), bundle.MaxManifest)
	if err != nil {
		return Version{}, err
	}
	m, err := bundle.ParseManifest(b)
	if err != nil {
		return Version{}, fmt.Errorf("slot %s: %w", slot, err)
	}
	return Version{Slot: slot, Dir: filepath.Join(s.cfg.Dir, slot), Digest: m.Digest(), Manifest: m}, nil
}

// Keys gives the signed manifest of the current version, for [bundle.Keys.Adopt].
// signature is nil if it came by Debian's package, which brings no keys.
func (s *Slots) Keys() (manifest, signature []byte, err error) {
	manifest, err = s.disk.read(path.Join(currentName, bundle.ManifestName), bundle.MaxManifest)
	if err == nil {
		signature, err = s.disk.read(path.Join(currentName, bundle.SignatureName), bundle.MaxSignature)
	}
	if manifest != nil && errors.Is(err, fs.ErrNotExist) {
		return manifest, nil, nil
	}
	if err != nil {
		return nil, nil, fmt.Errorf("manifest of the current version: %w", err)
	}
	return manifest, signature, nil
}

// whole proves every file of a version against its manifest.
func (s *Slots) whole(ctx context.Context, v Version) error {
	for _, f := range v.Manifest.Files {
		if err := s.wholeFile(ctx, v.Slot, f); err != nil {
			return fmt.Errorf("slot %s, %s: %w", v.Slot, f.Path, err)
		}
	}
	return nil
}

func (s *Slots) wholeFile(ctx context.Context, slot string, want bundle.File) error {
	f, err := s.disk.root.Open(path.Join(slot, want.Path))
	if errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("missing: %w", ErrDamaged)
	}
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	h := sha256.New()
	if _, err := io.Copy(h, io.LimitReader(f, want.Size+1)); err != nil {
		return err
	}
	if info.Mode() != want.FileMode() || hex.EncodeToString(h.Sum(nil)) != want.SHA256 {
		return ErrDamaged
	}
	return ctx.Err()
}

// A Request is an installation that somebody asks for. Its Target says what the
// caller knows: the data, whether an older version may be installed, and, for
// when no slot is in use yet, the version that runs. The rest is filled in.
type Request struct {
	Origin
	Target bundle.Target
}

// Install writes the version of b into the slot that is not in use. The version
// there before is lost, but only once the new one is whole; until then, and
// after any error, everything is as it was.
func (s *Slots) Install(ctx context.Context, b *bundle.Bundle, r Request) error {
	e := Event{Step: StepInstall, Origin: r.Origin, Version: b.Manifest.Version, Digest: b.Manifest.Digest()}
	return s.change(e, "install", func(l *layout, e *Event) error {
		if l.State == Trying {
			return fmt.Errorf("a version is on trial: %w", ErrState)
		}
		if err := b.Manifest.Fits(s.target(l, r.Target)); err != nil {
			return err
		}
		e.Slot = other(l.current)
		if err := s.clean(); err != nil {
			return err
		}
		if err := s.room(b.Manifest); err != nil {
			return err
		}
		if err := s.write(ctx, b, l.current); err != nil {
			return errors.Join(err, s.clean())
		}
		if err := s.enter(e.Slot); err != nil {
			return err
		}
		l.state = state{State: Staged, Slot: e.Slot, Digest: e.Digest, History: l.History}
		return nil
	})
}

// target adds to t what the slots know.
func (s *Slots) target(l *layout, t bundle.Target) bundle.Target {
	t.Architecture = runtime.GOARCH
	if v, err := s.version(l.current); l.current != "" && err == nil {
		t.Version, t.Digest, t.Schema = v.Manifest.Version, v.Digest, v.Manifest.Schema.Newest
	}
	return t
}

// room refuses what the disk has no room for. The new version comes beside both
// others.
func (s *Slots) room(m bundle.Manifest) error {
	const block = 4096 // a file takes whole blocks
	need := int64(bundle.MaxManifest + reserve)
	for _, f := range m.Files {
		need += f.Size&^(block-1) + 2*block // and its name
	}
	free, err := s.free()
	if err != nil {
		return err
	}
	if free < need {
		return fmt.Errorf("it needs %d MiB, %s has %d MiB: %w", (need+1<<20-1)>>20, s.cfg.Dir, free>>20, ErrNoRoom)
	}
	return nil
}

// write unpacks b into incoming and syncs it.
func (s *Slots) write(ctx context.Context, b *bundle.Bundle, current string) error {
	if err := s.disk.mkdir(incomingName); err != nil {
		return err
	}
	base, err := fs.Sub(s.disk.root.FS(), cmp.Or(current, "."))
	if err != nil {
		return err
	}
	for i, f := range b.Manifest.Files {
		name := path.Join(incomingName, f.Path)
		if err := s.disk.mkdirAll(path.Dir(name)); err != nil {
			return err
		}
		err := s.disk.create(name, f.FileMode(), func(w io.Writer) error { return b.Unpack(ctx, i, base, w) })
		if err != nil {
			return fmt.Errorf("%s: %w", f.Path, err)
		}
	}
	manifest, signature := b.Signed()
	for name, content := range map[string][]byte{bundle.ManifestName: manifest, bundle.SignatureName: signature} {
		if content == nil {
			continue // a version of Debian's package is not signed
		}
		err := s.disk.create(path.Join(incomingName, name), 0o644, func(w io.Writer) error {
			_, err := w.Write(content)
			return err
		})
		if err != nil {
			return err
		}
	}
	return s.disk.syncTree(incomingName)
}

// enter puts incoming in the place of a slot. First of all nobody may go back
// to what was there.
func (s *Slots) enter(slot string) error {
	if err := s.unlink(previousName); err != nil {
		return err
	}
	if s.disk.exists(slot) {
		if err := s.disk.rename(slot, discardName); err != nil {
			return err
		}
	}
	if err := s.disk.rename(incomingName, slot); err != nil {
		return err
	}
	if err := s.disk.syncDir("."); err != nil {
		return err
	}
	return s.disk.remove(discardName)
}

// clean removes what an interrupted installation left.
func (s *Slots) clean() error {
	return errors.Join(s.disk.remove(incomingName), s.disk.remove(discardName))
}

// unlink removes a name for good.
func (s *Slots) unlink(name string) error {
	if !s.disk.exists(name) {
		return nil
	}
	if err := s.disk.remove(name); err != nil {
		return err
	}
	return s.disk.syncDir(".")
}

// Try puts the staged version, or one that was rolled back, on trial: from now
// it may be started out of its Dir. current stays as it is until [Slots.Commit].
func (s *Slots) Try(ctx context.Context, by Origin) (Version, error) {
	var v Version
	err := s.change(Event{Step: StepTry, Origin: by}, "try", func(l *layout, e *Event) error {
		if !l.waits() {
			return fmt.Errorf("no version is waiting for it (%s): %w", l.State, ErrState)
		}
		var err error
		if v, err = s.version(l.Slot); err != nil {
			return fmt.Errorf("%w: %w", ErrDamaged, err)
		}
		e.Slot, e.Version, e.Digest = v.Slot, v.Manifest.Version, v.Digest
		if l.Attempts >= s.cfg.TrialAttempts {
			return fmt.Errorf("%d times: %w", l.Attempts, ErrAttempts)
		}
		if err := s.whole(ctx, v); err != nil {
			return err
		}
		up, err := s.uptime()
		if err != nil {
			return err
		}
		trial := time.Duration(s.cfg.TrialSeconds) * time.Second
		l.State, l.Reason = Trying, ""
		l.Attempts++
		l.Begun, l.End, l.Deadline = up, up+trial, s.now().UTC().Add(trial)
		return nil
	})
	return v, err
}

// Commit makes the version on trial the current one. The version before stays,
// to be gone back to. After ErrLate only [Slots.RollBack] is left.
func (s *Slots) Commit(by Origin) error {
	return s.change(Event{Step: StepCommit, Origin: by}, "commit", func(l *layout, e *Event) error {
		if l.State != Trying {
			return fmt.Errorf("no version is on trial (%s): %w", l.State, ErrState)
		}
		s.fill(e, l.Slot)
		up, err := s.uptime()
		if err != nil {
			return err
		}
		if up < l.Begun || up > l.End { // before: in another life of the box
			return fmt.Errorf("it had %s: %w", l.End-l.Begun, ErrLate)
		}
		if err := s.forgetCrashes(); err != nil {
			return err
		}
		if l.current != "" {
			if err := s.disk.point(previousName, l.current); err != nil {
				return err
			}
		}
		if err := s.disk.point(currentName, l.Slot); err != nil { // this is the moment
			return err
		}
		l.state = state{State: Committed, Slot: l.Slot, Digest: l.Digest, Attempts: l.Attempts, History: l.History}
		return nil
	})
}

// RollBack ends the trial, or goes from the current version back to the one
// before. What runs now is not touched: the caller starts the version that
// current then leads to.
func (s *Slots) RollBack(ctx context.Context, reason string, by Origin) error {
	return s.change(Event{Step: StepRollBack, Origin: by, Reason: reason}, "roll back", func(l *layout, e *Event) error {
		switch {
		case l.State == Trying:
			s.fill(e, l.Slot)
		case l.previous == "" || l.State != Committed:
			return fmt.Errorf("%s: %w", l.State, ErrNoWay)
		default:
			s.fill(e, l.Slot)
			back, err := s.version(l.previous)
			if err != nil {
				return fmt.Errorf("%w: %w", ErrDamaged, err)
			}
			if err := s.whole(ctx, back); err != nil {
				return err
			}
			return s.retreat(l, reason)
		}
		l.endTrial(firstLine(reason))
		return nil
	})
}

// retreat goes from the current version back to the one before.
func (s *Slots) retreat(l *layout, reason string) error {
	reason = firstLine(reason)
	if reason == "" {
		reason = "no reason was given"
	}
	if err := s.disk.replace(noteName, []byte(reason+"\n")); err != nil {
		return err
	}
	if err := s.goBack(l); err != nil {
		return err
	}
	l.endTrial(reason)
	return nil
}

// goBack moves the links. The note is there, so whoever starts after a power
// cut goes on with it.
func (s *Slots) goBack(l *layout) error {
	if err := s.disk.point(currentName, l.previous); err != nil {
		return err
	}
	l.current, l.previous = l.previous, ""
	return s.unlink(previousName)
}

// fill adds to an event what is in a slot.
func (s *Slots) fill(e *Event, slot string) {
	e.Slot = slot
	if v, err := s.version(slot); err == nil {
		e.Version, e.Digest = v.Manifest.Version, v.Digest
	}
}

// other is the slot that is not in use, the first if none is.
func other(current string) string {
	if current == nameA {
		return nameB
	}
	return nameA
}

// change does one step: it reads and mends how things are, lets do change them,
// and records and reports what came of it.
func (s *Slots) change(e Event, what string, do func(*layout, *Event) error) error {
	e.Who, e.From, e.Reason = firstLine(e.Who), firstLine(e.From), firstLine(e.Reason)
	var mended []Event
	err := s.locked(func() error {
		l, err := s.layout()
		if err != nil {
			return err
		}
		if mended, err = s.mend(&l); err != nil {
			return err
		}
		if err := do(&l, &e); err != nil {
			return err
		}
		e.Time = s.now().UTC()
		l.remember(e)
		return s.save(&l)
	})
	if err != nil {
		err = fmt.Errorf("%s: %w", what, err)
		e.Error = err.Error()
	}
	e.Time = cmp.Or(e.Time, s.now().UTC())
	s.report(append(mended, e))
	return err
}

func (s *Slots) report(events []Event) {
	if s.audit == nil {
		return
	}
	for _, e := range events {
		s.audit(e)
	}
}

func (s *Slots) locked(do func() error) error {
	unlock, err := s.disk.lock()
	if err != nil {
		return err
	}
	defer unlock()
	return do()
}
