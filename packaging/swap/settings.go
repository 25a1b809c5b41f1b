//go:build linux

package swap

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"docscan/packaging/slot"
)

// Beside docscan.toml lie, while new settings are on trial, those that work; and
// afterwards those that were replaced last.
const (
	provenSuffix = ".proven"
	beforeSuffix = ".before"
)

// What the audit log calls steps that change no slot.
const (
	stepRestart  slot.Step = "restart"
	stepSettings slot.Step = "settings"
)

// note puts a step into the audit log, wherever the store is.
func (u *Updater) note(e slot.Event, err error) {
	if e.Time = time.Now().UTC(); err != nil {
		e.Error = err.Error()
	}
	if err := u.deps.Frame.Record(e); err != nil {
		u.deps.Log.Error("a step is not in the audit log", "step", e.Step, "who", e.Who, "err", err)
	}
}

// Restart begins to hand over to a new process of this version.
func (u *Updater) Restart(by slot.Origin) error {
	e := slot.Event{Step: stepRestart, Origin: by, Version: u.deps.Version}
	return u.begin("docscan starts anew.", func(ctx context.Context) error {
		err := u.hand(ctx, u.deps.Version, u.deps.Exe, Trial{
			Commit: func() error { u.note(e, nil); return nil },
			Undo:   func(string) error { return nil },
		})
		if err != nil {
			u.note(e, err)
		}
		return err
	})
}

// Configure checks settings, the content of a docscan.toml. Unless it is a dry
// run it then begins to work with them: a new process of this version takes over
// and is put to the proof like an update. If it does not prove itself, or the
// power goes meanwhile, the settings before hold. What web.listen says holds
// from the next start of the service on: the sockets outlive the process.
func (u *Updater) Configure(ctx context.Context, settings []byte, dryRun bool, by slot.Origin) error {
	file := u.deps.Settings
	if file == "" {
		return fmt.Errorf("docscand was started without a docscan.toml, so there is none to replace: %w", ErrSettings)
	}
	info, err := os.Stat(file)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrSettings, err)
	}
	name, err := writeBeside(file, settings, info.Mode())
	if err != nil {
		return fmt.Errorf("%w: docscand must be allowed to write in %s: %w", ErrSettings, filepath.Dir(file), err)
	}
	args := append([]string{"check"}, u.deps.Args[1:]...)
	cctx, stop := withLimit(ctx, checkTime)
	err = runCheck(cctx, u.deps.Exe, append(args, "--config", name)) // the last one counts
	stop()
	if err != nil || dryRun {
		if err != nil {
			err = fmt.Errorf("%w: %w", ErrSettings, err)
		}
		return errors.Join(err, os.Remove(name))
	}
	sum := sha256.Sum256(settings)
	e := slot.Event{Step: stepSettings, Origin: by, Version: u.deps.Version, Digest: hex.EncodeToString(sum[:])}
	err = u.begin("New settings are tried.", func(ctx context.Context) error {
		err := u.trySettings(ctx, file, name, e)
		if err != nil {
			u.note(e, err)
		}
		return err
	})
	if err != nil {
		err = errors.Join(err, os.Remove(name))
	}
	return err
}

// trySettings puts name in the place of file and hands over.
func (u *Updater) trySettings(ctx context.Context, file, name string, e slot.Event) error {
	if err := os.Remove(file + provenSuffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: %w", ErrSettings, err)
	}
	if err := errors.Join(os.Link(file, file+provenSuffix), syncDir(filepath.Dir(file))); err != nil {
		return fmt.Errorf("%w: %w", ErrSettings, err)
	}
	err := os.Rename(name, file)
	if err == nil {
		err = u.hand(ctx, u.deps.Version, u.deps.Exe, Trial{
			Commit: func() error {
				err := errors.Join(os.Rename(file+provenSuffix, file+beforeSuffix), syncDir(filepath.Dir(file)))
				if err == nil {
					u.note(e, nil)
				}
				return err
			},
			Undo: func(string) error { return nil },
		})
	}
	if err == nil {
		return nil
	}
	_, rerr := RecoverSettings(file)
	return errors.Join(fmt.Errorf("%w: %w", ErrSettings, err), rerr)
}

// RecoverSettings brings the settings back that worked, if others were on trial
// when docscand ended, and reports that.
func RecoverSettings(file string) (bool, error) {
	// Where docscan may not write, as Debian's unit has it, even the renaming of
	// nothing fails.
	if _, err := os.Lstat(file + provenSuffix); errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	err := os.Rename(file+provenSuffix, file)
	if err == nil {
		err = syncDir(filepath.Dir(file))
	}
	if err != nil {
		return false, fmt.Errorf("bring back the settings before: %w", err)
	}
	return true, nil
}

// writeBeside writes content into a new file in the directory of file.
func writeBeside(file string, content []byte, mode fs.FileMode) (string, error) {
	f, err := os.CreateTemp(filepath.Dir(file), ".new-*.toml")
	if err != nil {
		return "", err
	}
	_, err = f.Write(content)
	err = errors.Join(err, f.Chmod(mode.Perm()), f.Sync(), f.Close())
	if err != nil {
		return "", errors.Join(err, os.Remove(f.Name()))
	}
	return f.Name(), nil
}

// syncDir makes renames in dir outlive a power cut.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
