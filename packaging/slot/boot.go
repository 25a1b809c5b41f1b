//go:build linux

package slot

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Boot is the origin of what happens without a person.
func Boot() Origin { return Origin{Who: "docscan", From: "boot"} }

// AtBoot makes out what a power cut or crash left, and gives the state that
// follows: a roll back that was begun is finished, a version on trial is rolled
// back, what is half written is removed. It is for the process that was started
// out of current, before anything else; a version on trial must not call it.
func (s *Slots) AtBoot(ctx context.Context) (Status, error) {
	var events []Event
	err := s.locked(func() error {
		var err error
		events, err = s.atBoot(ctx)
		return err
	})
	s.report(events)
	if err != nil {
		return Status{}, fmt.Errorf("slots at boot: %w", err)
	}
	return s.Status()
}

func (s *Slots) atBoot(ctx context.Context) ([]Event, error) {
	l, err := s.layout()
	if err != nil {
		return nil, err
	}
	if err := s.clean(); err != nil {
		return nil, err
	}
	events, err := s.mend(&l)
	if err != nil || ctx.Err() != nil {
		return events, errors.Join(err, ctx.Err())
	}
	reason := ""
	switch {
	case l.State == Trying:
		reason = "the box or docscan stopped during the trial"
		l.endTrial(reason)
	case l.State == Committed && l.previous != "" && !s.startable(l.current) && s.startable(l.previous):
		reason = "its files are missing"
		if err := s.retreat(&l, reason); err != nil {
			return events, err
		}
	default:
		return events, nil
	}
	e := s.event(StepRollBack, l.Slot, reason)
	l.remember(e)
	return append(events, e), s.save(&l)
}

// mend finishes a roll back that was begun, and records what the links tell and
// the state file does not.
func (s *Slots) mend(l *layout) ([]Event, error) {
	var events []Event
	if l.lost {
		events = append(events, s.event(StepMend, l.current, "the record of updates was damaged; it begins anew"))
	} else if l.mended {
		events = append(events, l.mending(s))
	}
	if l.note != "" && l.State == Committed && l.previous != "" && s.startable(l.previous) {
		if err := s.goBack(l); err != nil {
			return nil, err
		}
		l.endTrial(l.note)
		events = append(events, s.event(StepRollBack, l.Slot, l.note))
	}
	if len(events) == 0 && l.note == "" {
		return nil, nil
	}
	for _, e := range events {
		l.remember(e)
	}
	if err := s.save(l); err != nil {
		return nil, err
	}
	l.note, l.lost, l.mended = "", false, false
	return events, nil
}

// mending is the event by which the state came to be another than the state file
// tells.
func (l *layout) mending(s *Slots) Event {
	switch {
	case l.State == RolledBack:
		return s.event(StepRollBack, l.Slot, l.Reason)
	case l.State == Committed && l.Digest != "":
		return s.event(StepCommit, l.Slot, "")
	}
	return s.event(StepMend, l.Slot, "an installation was cut off; nothing is staged")
}

// event is one that nobody asked for.
func (s *Slots) event(step Step, slot, reason string) Event {
	e := Event{Time: s.now().UTC(), Step: step, Origin: Boot(), Reason: reason}
	s.fill(&e, slot)
	return e
}

// startable reports whether a slot has a daemon to start. Like the script it
// asks no more: at boot there is no time to read all of it.
func (s *Slots) startable(slot string) bool {
	info, err := s.disk.root.Stat(filepath.Join(slot, "bin", "docscand"))
	return err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0
}

// A version that crashes this often within this time is rolled back.
const (
	crashLimit = 3
	crashTime  = 10 * time.Minute
)

// crashesName is the file in Config.RunDir that the crashes since the box was
// started are counted in: lines of the time since then in seconds, and a slot.
// The script writes it too. It is not on the disk because a clock may be wrong,
// but the time since the start of the box is not.
const (
	crashesName = "crashes"
	maxCrashes  = 64 << 10 // bytes
)

// uptime is the time since the start of the box, sleep included.
func uptime() (time.Duration, error) {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &t); err != nil {
		return 0, fmt.Errorf("time since the start of the box: %w", err)
	}
	return time.Duration(t.Nano()), nil
}

// Crashed counts a crash of the current version. With the third within ten minutes it rolls back, and reports so. Where
// systemd starts docscan, docscand-rollback.service does this without us.
func (s *Slots) Crashed() (rolledBack bool, err error) {
	e := Event{Step: StepRollBack, Origin: Boot()}
	var n int
	err = s.locked(func() error {
		l, err := s.layout()
		if err != nil {
			return err
		}
		n, err = s.countCrash(l.current)
		return err
	})
	if err != nil {
		return false, fmt.Errorf("count a crash: %w", err)
	}
	if n < crashLimit {
		return false, nil
	}
	e.Reason = fmt.Sprintf("it crashed %d times within %s", n, crashTime)
	err = s.change(e, "roll back after crashes", func(l *layout, e *Event) error {
		if l.State != Committed || l.previous == "" {
			return fmt.Errorf("%s: %w", l.State, ErrNoWay)
		}
		s.fill(e, l.Slot)
		if !s.startable(l.previous) {
			return fmt.Errorf("slot %s: %w", l.previous, ErrDamaged)
		}
		return s.retreat(l, e.Reason)
	})
	return err == nil, err
}

// countCrash adds a crash of the slot and gives how many there were lately.
func (s *Slots) countCrash(slot string) (int, error) {
	up, err := s.uptime()
	if err != nil {
		return 0, err
	}
	now := int64(up / time.Second)
	if err := os.MkdirAll(s.cfg.RunDir, 0o755); err != nil {
		return 0, err
	}
	name := filepath.Join(s.cfg.RunDir, crashesName)
	b, err := os.ReadFile(name)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return 0, err
	}
	if len(b) > maxCrashes {
		b = nil
	}
	b = fmt.Appendf(b, "%d %s\n", now, slot)
	return crashes(string(b), now, slot), os.WriteFile(name, b, 0o644)
}

// forgetCrashes begins the count anew, for another version.
func (s *Slots) forgetCrashes() error {
	err := os.Remove(filepath.Join(s.cfg.RunDir, crashesName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// crashes counts those of the slot in the last crashTime before now, which is in
// seconds. Lines that make no sense count for nothing.
func crashes(text string, now int64, slot string) int {
	var n int
	for line := range strings.Lines(text) {
		at, of, _ := strings.Cut(strings.TrimSpace(line), " ")
		t, err := strconv.ParseInt(at, 10, 64)
		if err == nil && of == slot && t <= now && now-t <= int64(crashTime/time.Second) {
			n++
		}
	}
	return n
}
