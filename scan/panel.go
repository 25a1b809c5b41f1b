package scan

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"docscan/device"
	"docscan/scan/refusal"
	"docscan/store"
	"docscan/store/audit"
)

// Times of the gestures that a machine's own buttons are given, where somebody
// has a use for them.
const (
	longPress   = time.Second
	doublePress = 350 * time.Millisecond // within it the second press must follow
)

// How long the lights say something that is over: long enough to be seen by a
// person who has just turned to the stack.
const (
	safeShown      = 4 * time.Second
	deliveredShown = 30 * time.Second
)

// maxAutoStart bounds the grace time of a scan that begins by itself, in seconds.
const maxAutoStart = 60

// showLight sets what the panels show from what goes on now, and looks again
// when that will have changed by itself.
func (e *Engine) showLight() {
	open, err := e.store.OpenBatches()
	if err != nil {
		e.log.Warn("reading open batches failed", "err", err)
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	light, again := lightFor(time.Now(), open, e.safe, e.delivered)
	if again > 0 && !e.stopping {
		if e.lightTimer != nil {
			e.lightTimer.Stop()
		}
		e.lightTimer = e.after(again, e.showLight)
	}
	if e.light == device.LightFault && light != device.LightScanning && light != device.LightNeedsYou {
		return // a press that came to nothing stays visible until the next one
	}
	e.setLight(light)
}

// after calls f when d is over, unless Run has been asked to end by then; Run
// ends after f.
func (e *Engine) after(d time.Duration, f func()) *time.Timer {
	return time.AfterFunc(d, func() {
		e.mu.Lock()
		if e.stopping {
			e.mu.Unlock()
			return
		}
		e.timed.Add(1)
		e.mu.Unlock()
		defer e.timed.Done()
		f()
	})
}

// lightFor says what to show at now of the open batches and of the last document
// that was delivered, whose pages had all been safe since safe, and after how long
// that will be something else; 0 is not by itself. What wants a person goes before
// what does not.
func lightFor(now time.Time, open []store.Batch, safe, delivered time.Time) (light device.Light, again time.Duration) {
	light = device.LightIdle
	if left := deliveredShown - now.Sub(delivered); !delivered.IsZero() && left > 0 {
		light, again = device.LightDelivered, left
	}
	// A short document is delivered before anybody has seen that it is safe.
	if left := safeShown - now.Sub(safe); !delivered.IsZero() && left > 0 {
		light, again = device.LightSafe, left
	}
	order := []device.Light{device.LightIdle, device.LightDelivered, device.LightWorking, device.LightSafe, device.LightScanning, device.LightNeedsYou}
	for _, b := range open {
		l, left := device.LightWorking, time.Duration(0)
		switch {
		case b.Upload != nil: // nobody at the scanner waits for it
		case b.State == store.BatchScanning:
			l = device.LightScanning
		case b.State == store.BatchStopped:
			l = device.LightNeedsYou
		case b.State == store.BatchProcessing:
			if left = safeShown - now.Sub(b.Closed); left > 0 {
				l = device.LightSafe
			} else {
				left = 0
			}
		}
		if slices.Index(order, l) > slices.Index(order, light) {
			light = l
		}
		if left > 0 && (again == 0 || left < again) {
			again = left
		}
	}
	return light, again
}

// setLight shows l on all panels; e.mu is held.
func (e *Engine) setLight(l device.Light) {
	if l == e.light {
		return
	}
	e.light = l
	for _, p := range e.panels {
		if err := p.Show(l); err != nil {
			e.log.Warn("setting the light failed", "err", err)
		}
	}
}

// Pressed answers a press at a panel or at a machine's own button.
func (e *Engine) Pressed(p device.Press) {
	profile, err := e.profileFor(p)
	if err == nil {
		_, err = e.Scan(context.Background(), Request{
			Device:  p.Device,
			Profile: profile,
			Origin:  "panel",
			By:      By{Actor: "panel"},
		})
	}
	switch {
	case err == nil:
	case errors.Is(err, ErrDeviceBusy):
		e.log.Info("a press while the scanner is at work does nothing", "device", p.Device)
	default:
		e.log.Warn("the press at the panel came to nothing", "device", p.Device, "button", p.Button, "err", err)
		e.mu.Lock()
		e.setLight(device.LightFault)
		e.mu.Unlock()
	}
}

// profileFor says what a press means: what was chosen for this button and
// gesture, or else by the gesture alone the first profile, the second for a
// double press and the third for a long one, as far as there are so many.
func (e *Engine) profileFor(p device.Press) (store.ProfileID, error) {
	m, err := e.store.Machine(p.Device)
	if err != nil {
		return "", fmt.Errorf("choose a profile: %w", err)
	}
	list, err := e.store.Profiles()
	if err != nil {
		return "", fmt.Errorf("choose a profile: %w", err)
	}
	for _, button := range []string{p.Button, ""} {
		for _, x := range m.Presses {
			known := slices.ContainsFunc(list, func(p store.Profile) bool { return p.ID == x.Profile })
			if x.Button == button && x.Gesture == string(p.Gesture) && known {
				return x.Profile, nil
			}
		}
	}
	if len(list) == 0 {
		return "", fmt.Errorf("choose a profile: %w", store.ErrNotFound)
	}
	n := 0
	switch p.Gesture {
	case device.Double:
		n = 1
	case device.Long:
		n = 2
	}
	return list[min(n, len(list)-1)].ID, nil
}

// ErrChoice is wrapped by refusals of what somebody chose for a machine, a profile
// or a print.
var ErrChoice = errors.New("this cannot be chosen")

func refuseChoice(message string, args ...any) error {
	return refusal.New(ErrChoice, message, args...)
}

// Choose records what people want of a machine, which need not be here, and puts
// it in force. The error wraps ErrChoice.
func (e *Engine) Choose(m store.Machine, by By) error {
	if err := e.checkChoice(&m); err != nil {
		return err
	}
	entry := by.entry("device_settings", m.ID)
	entry.EventType = audit.AdminAction
	if err := e.store.PutMachine(m, entry); err != nil {
		return err
	}
	e.reg.Choose(m.ID, choiceOf(m))
	return nil
}

// Bounds of what is chosen for a machine: characters of its name, and presses that
// mean something.
const maxMachineName, maxPresses = 64, 32

func (e *Engine) checkChoice(m *store.Machine) error {
	m.Name = strings.TrimSpace(m.Name)
	if utf8.RuneCountInString(m.Name) > maxMachineName || !Readable(m.Name) {
		return refuseChoice("A name has at most %d characters, all of which can be seen.", maxMachineName)
	}
	if m.AutoStartSeconds < 0 || m.AutoStartSeconds > maxAutoStart {
		return refuseChoice("The grace time is %d; it must be 0 to %d seconds.", m.AutoStartSeconds, maxAutoStart)
	}
	if m.AutoStartProfile != "" {
		if _, err := e.store.Profile(m.AutoStartProfile); err != nil {
			return refuseChoice("There is no profile %q.", m.AutoStartProfile)
		}
	}
	if len(m.Presses) > maxPresses {
		return refuseChoice("There are more than %d presses.", maxPresses)
	}
	for _, p := range m.Presses {
		switch device.Gesture(p.Gesture) {
		case device.Short, device.Long, device.Double:
		default:
			return refuseChoice("A gesture is short, long or double, not %q.", p.Gesture)
		}
		if len(p.Button) > maxMachineName {
			return refuseChoice("The name of a button has at most %d bytes.", maxMachineName)
		}
		if _, err := e.store.Profile(p.Profile); err != nil {
			return refuseChoice("There is no profile %q.", p.Profile)
		}
	}
	return nil
}

// choiceOf is what the registry needs to know of m. A gesture that means nothing
// gets no time, so that a short press need not wait for it.
func choiceOf(m store.Machine) device.Choice {
	c := device.Choice{Name: m.Name}
	for _, p := range m.Presses {
		switch device.Gesture(p.Gesture) {
		case device.Long:
			c.Timing.Long = longPress
		case device.Double:
			c.Timing.Gap = doublePress
		}
	}
	return c
}

// noticePaper begins a scan by itself where that was chosen and paper has just
// been put into the feeder: not for paper that lay there when the machine was
// first seen, nor for what a fault has left.
func (e *Engine) noticePaper(id string) {
	if e.reg == nil {
		return // not attached yet
	}
	d, err := e.reg.Device(id)
	if err != nil {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	before, seen := e.paper[id]
	if d.Status.State == device.Scanning {
		return // what its feeder holds is known when it has ended
	}
	now := d.Status.Loaded && startable(d.Status.State)
	e.paper[id] = d.Status.Loaded
	if t := e.starts[id]; t != nil && !now {
		t.Stop()
		delete(e.starts, id)
	}
	if !now || !seen || before || e.stopping || e.ctx == nil {
		return
	}
	m, err := e.store.Machine(id)
	if err != nil {
		e.log.Warn("reading what was chosen for the scanner failed", "device", id, "err", err)
		return
	}
	if !m.AutoStart {
		return
	}
	e.starts[id] = e.after(time.Duration(m.AutoStartSeconds)*time.Second, func() { e.startByPaper(id, m) })
}

// startable says whether a machine in that state takes a scan; one that sleeps wakes
// up for it.
func startable(s device.State) bool { return s == device.Ready || s == device.Asleep }

// startByPaper begins the scan when the grace time is over.
func (e *Engine) startByPaper(id string, m store.Machine) {
	e.mu.Lock()
	delete(e.starts, id)
	e.mu.Unlock()
	if d, err := e.reg.Device(id); err != nil || !startable(d.Status.State) {
		return
	}
	_, err := e.Scan(context.Background(), Request{
		Device: id, Profile: m.AutoStartProfile, Origin: "panel", By: By{Actor: "paper"},
	})
	if err != nil && !errors.Is(err, ErrDeviceBusy) {
		e.log.Warn("starting the scan by its paper failed", "device", id, "err", err)
	}
}

// feederLeft notes what a run has left in the feeder of a machine: after a
// proper end it is empty, after a fault its paper must not start anything.
func (e *Engine) feederLeft(id string, err error) {
	e.mu.Lock()
	e.paper[id] = err != nil
	e.mu.Unlock()
}
