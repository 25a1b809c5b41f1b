package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	"docscan/device/sim"
	"docscan/device/sim/usbface"
	"docscan/device/uevent"
)

// rig is what the steps have: the panel, the plug and docscand.
type rig struct {
	began       time.Time
	board       *board
	stopLooking func() // at the board
	ear         *ear
	port        *port
	daemon      *daemon
}

// say tells the people outside what has been seen.
func (r *rig) say(format string, args ...any) {
	fmt.Printf("rig: %5.1f s  %s\n", time.Since(r.began).Seconds(), fmt.Sprintf(format, args...))
}

// How long is waited for what docscand does, which an emulated processor makes
// slow, and for what a light does, which comes by the clock.
const (
	patience = 4 * time.Minute
	glance   = 15 * time.Second
)

// until waits until look says that it has seen what is waited for.
func until(what string, limit time.Duration, look func() (bool, error)) error {
	end := time.Now().Add(limit)
	for {
		ok, err := look()
		if ok && err == nil {
			return nil
		}
		if time.Now().After(end) {
			if err != nil {
				return fmt.Errorf("%s: not within %v: %w", what, limit, err)
			}
			return fmt.Errorf("%s: not within %v", what, limit)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// serial is what the scanner is known by.
func serial() string { return usbface.DefaultLayout().Serial }

// scannerIs waits until docscand says that the scanner is in state.
func (r *rig) scannerIs(state, port string) error {
	var last scanner
	err := until("scanner is "+state, patience, func() (bool, error) {
		s, err := r.daemon.scanner(serial())
		last = s
		return s.Status.State == state && (port == "" || s.Info.Port == port), err
	})
	if err != nil {
		return fmt.Errorf("%w; it is %+v", err, last)
	}
	return nil
}

// lights waits until the three lights have been steady as told for d.
func (r *rig) lights(what string, limit, d time.Duration, isGreen, isYellow, isRed bool) error {
	return until(what, limit, func() (bool, error) {
		return r.board.steady(green, isGreen, d) && r.board.steady(yellow, isYellow, d) && r.board.steady(red, isRed, d), nil
	})
}

// flashing waits until line has flashed n times after from, each for about d,
// and the lights named in lit, and no others but line, are steady.
func (r *rig) flashing(what string, line int, from time.Time, n int, d time.Duration, lit ...int) error {
	err := until(what, patience, func() (bool, error) {
		seen := 0
		for _, f := range r.board.flashes(line, from) {
			if near(f, d) {
				seen++
			}
		}
		for _, l := range []int{green, yellow, red} {
			if l != line && !r.board.steady(l, slices.Contains(lit, l), 100*time.Millisecond) {
				return false, nil
			}
		}
		return seen >= n, nil
	})
	if err != nil {
		return fmt.Errorf("%w; it flashed %v", err, r.board.flashes(line, from))
	}
	r.say("%s", what)
	return nil
}

// delivered waits for the light that says so.
func (r *rig) delivered() error {
	return r.flashing("delivered: green double-flashes, yellow and red are off", green, time.Now(), 3, 120*time.Millisecond)
}

// near says whether a flash is one of about d, on a machine that is now and then
// late.
func near(flash, d time.Duration) bool { return flash > d*6/10 && flash < d*15/10 }

// check waits for docscand and has the same program look at the panel's lines,
// which the one that runs holds.
func (r *rig) check() error {
	if err := until("docscand answers", patience, func() (bool, error) {
		_, err := r.daemon.get("/api/v1/status", nil)
		return err == nil, err
	}); err != nil {
		return err
	}
	out, err := exec.Command("docscand", "check", "--config", "/etc/docscan/docscan.toml", "--json").CombinedOutput()
	for line := range strings.Lines(string(out)) {
		var finding struct{ Check, Result, What string }
		if json.Unmarshal([]byte(line), &finding) == nil && finding.Check == "panel" && finding.Result == "ok" {
			r.say("docscand check: %s", finding.What)
			return nil
		}
	}
	return fmt.Errorf("docscand check does not find the panel in order: %w\n%s", err, out)
}

// plugIn plugs the scanner in: docscand finds it, and the panel is idle.
func (r *rig) plugIn() error {
	if err := layPaper(paperDir); err != nil {
		return err
	}
	if err := r.lights("idle: green alone", glance, time.Second, true, false, false); err != nil {
		return err
	}
	r.say("idle: green is on, yellow and red are off")
	began := time.Now()
	if err := r.port.plug(0); err != nil {
		return err
	}
	if err := r.scannerIs("ready", "usb:1-1"); err != nil {
		return err
	}
	if err := r.ear.has(uevent.Add, "usb:1-1"); err != nil {
		return err
	}
	r.say("scanner plugged into port 1 is ready after %v", since(began))
	power, err := os.ReadFile("/sys/bus/usb/devices/1-1/power/control")
	if err != nil || strings.TrimSpace(string(power)) != "on" {
		return fmt.Errorf("the kernel may put the scanner to sleep: power/control is %q, %v", power, err)
	}
	r.say("the kernel does not put it to sleep")
	return nil
}

// scan presses the button: all sheets become one document.
func (r *rig) scan() error {
	pressed := time.Now()
	released, err := r.board.hold(150 * time.Millisecond)
	if err != nil {
		return err
	}
	if err := until("the scanner is asked to feed", glance, func() (bool, error) {
		_, ok := r.port.asked(pressed)
		return ok, nil
	}); err != nil {
		return err
	}
	asked, _ := r.port.asked(pressed)
	r.say("button pressed: the scanner was asked to feed %v after it was let go", asked.Sub(released).Round(time.Millisecond))
	if err := r.flashing("scanning: yellow blinks slowly, green and red are off", yellow, pressed, 1, 500*time.Millisecond); err != nil {
		return err
	}
	if err := r.lights("safe: green and yellow", patience, 200*time.Millisecond, true, true, false); err != nil {
		return err
	}
	safe := time.Now()
	r.say("safe: green and yellow are on")
	if err := until("one short beep", glance, func() (bool, error) {
		beeps := r.board.flashes(sounder, pressed)
		return len(beeps) == 1 && near(beeps[0], 80*time.Millisecond), nil
	}); err != nil {
		return fmt.Errorf("%w; it sounded %v", err, r.board.flashes(sounder, pressed))
	}
	if err := r.stored(1, len(words)); err != nil {
		return err
	}
	// On a fast machine all pages are read while the lights still say safe.
	for _, f := range r.board.flashes(yellow, safe) {
		if near(f, 120*time.Millisecond) {
			r.say("working: yellow double-flashed before that")
			break
		}
	}
	return r.delivered()
}

// stored waits until there are n batches, of which the last is one document
// with all sheets in their order.
func (r *rig) stored(n, sheets int) error {
	var last batch
	if err := until("the batch is completed", patience, func() (bool, error) {
		list, err := r.daemon.batches()
		if len(list) == 0 {
			return false, err
		}
		last = list[0]
		if len(list) != n {
			return false, fmt.Errorf("there are %d batches, want %d", len(list), n)
		}
		return last.State == "completed", err
	}); err != nil {
		return fmt.Errorf("%w; the last is %+v", err, last)
	}
	if last.Sheets != sheets || len(last.Documents) != 1 || last.Origin != "panel" {
		return fmt.Errorf("the batch is %+v, want %d sheets, one document and the panel as its origin", last, sheets)
	}
	pages, err := r.daemon.pages(last.Documents[0])
	if err != nil {
		return err
	}
	if len(pages) != sheets {
		return fmt.Errorf("the document has %d pages, want %d: %q", len(pages), sheets, pages)
	}
	for i, text := range pages {
		if !strings.Contains(text, words[i]) {
			return fmt.Errorf("page %d says %q, want %q in it", i+1, text, words[i])
		}
	}
	r.say("stored: one document with %d pages, in order, their words read", sheets)
	return nil
}

// pull pulls the plug in the middle of the third of four sheets.
func (r *rig) pull() error {
	if err := r.port.scanner.Arm(sim.Fault{Kind: sim.Unplugged, AfterSheets: 2, Where: sim.MidPage}); err != nil {
		return err
	}
	pressed := time.Now()
	if _, err := r.board.hold(150 * time.Millisecond); err != nil {
		return err
	}
	if err := until("the third sheet is on its way", patience, func() (bool, error) {
		return r.port.scanner.State().Struck == sim.Unplugged, nil
	}); err != nil {
		return err
	}
	pulled := time.Now()
	if err := r.port.pull(); err != nil {
		return err
	}
	if err := r.ear.has(uevent.Remove, "usb:1-1"); err != nil {
		return err
	}
	r.say("plug pulled in the middle of sheet 3")
	if err := r.flashing("needs you: red double-flashes, green and yellow are off", red, pulled, 3, 120*time.Millisecond); err != nil {
		return err
	}
	if err := until("one long beep", glance, func() (bool, error) {
		beeps := r.board.flashes(sounder, pressed)
		return len(beeps) == 1 && near(beeps[0], 700*time.Millisecond), nil
	}); err != nil {
		return fmt.Errorf("%w; it sounded %v", err, r.board.flashes(sounder, pressed))
	}
	if err := r.scannerIs("gone", ""); err != nil {
		return err
	}
	list, err := r.daemon.batches()
	if err != nil {
		return err
	}
	last := list[0]
	if len(list) != 2 || last.State != "stopped" || last.Sheets != 2 || last.Fault == nil || last.Fault.Kind != "unplugged" {
		return fmt.Errorf("of %d batches the last is %+v, want 2 batches, stopped, 2 sheets safe, unplugged", len(list), last)
	}
	r.say("batch stopped, 2 sheets safe: %s %s %s", last.Fault.What, last.Fault.Safe, last.Fault.Advice)
	return nil
}

// resume plugs the scanner into another port, with the sheet put back, and
// presses again.
func (r *rig) resume() error {
	r.port.scanner.Clear()
	began := time.Now()
	if err := r.port.plug(4); err != nil {
		return err
	}
	if err := r.scannerIs("ready", "usb:1-5"); err != nil {
		return err
	}
	r.say("the same scanner plugged into port 5 is ready after %v", since(began))
	if _, err := r.board.hold(150 * time.Millisecond); err != nil {
		return err
	}
	if err := r.stored(2, len(words)); err != nil {
		return err
	}
	return r.delivered()
}

// nothing presses the button of a box without a scanner.
func (r *rig) nothing() error {
	if err := r.port.pull(); err != nil {
		return err
	}
	if err := r.scannerIs("gone", ""); err != nil {
		return err
	}
	pressed := time.Now()
	if _, err := r.board.hold(150 * time.Millisecond); err != nil {
		return err
	}
	return r.flashing("fault, after a press without a scanner: red blinks fast, green and yellow are off", red, pressed, 3, 170*time.Millisecond)
}

// breakChip takes the GPIO chip away: docscand says so once, takes nothing for a
// press, and goes on.
func (r *rig) breakChip() error {
	before, err := r.daemon.batches()
	if err != nil {
		return err
	}
	r.stopLooking()
	if err := removeChip(); err != nil {
		return err
	}
	var log []byte
	const says = "a button cannot be read any more"
	if err := until("docscand says that the button is gone", glance, func() (bool, error) {
		log, err = exec.Command("journalctl", "--unit=docscand", "--output=cat").Output()
		return strings.Count(string(log), says) == 1, err
	}); err != nil {
		return fmt.Errorf("%w; its log:\n%s", err, log)
	}
	after, err := r.daemon.batches()
	if err != nil {
		return err
	}
	if strings.Contains(string(log), "no news of USB") {
		return errors.New("docscand was not allowed to hear the kernel's events")
	}
	if len(after) != len(before) {
		return fmt.Errorf("a chip that went away made %d batches", len(after)-len(before))
	}
	r.say("GPIO chip taken away: docscand says so once, and goes on")
	return nil
}

func since(t time.Time) time.Duration { return time.Since(t).Round(10 * time.Millisecond) }
