package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"
)

// The lines of the panel, by their number on the chip; docscan.toml of the rig
// has the same.
const (
	button  = 17
	green   = 22
	yellow  = 23
	red     = 24 // lit while low
	sounder = 25
)

// lineCount is that of a Raspberry Pi's header.
const lineCount = 28

// configFS is where the kernel makes simulated chips; see
// Documentation/admin-guide/gpio/gpio-sim.rst.
const configFS = "/sys/kernel/config/gpio-sim/rig"

// makeChip makes a chip with the label "rig" whose lines are named as those of a
// Raspberry Pi.
func makeChip() error {
	bank := filepath.Join(configFS, "bank0")
	if err := os.MkdirAll(bank, 0o755); err != nil {
		return fmt.Errorf("make a GPIO chip: %w", err)
	}
	set := func(name, value string) error { return os.WriteFile(filepath.Join(bank, name), []byte(value), 0o644) }
	if err := set("num_lines", strconv.Itoa(lineCount)); err != nil {
		return fmt.Errorf("make a GPIO chip: %w", err)
	}
	if err := set("label", "rig"); err != nil {
		return fmt.Errorf("make a GPIO chip: %w", err)
	}
	for i := range lineCount {
		line := fmt.Sprintf("line%d", i)
		if err := os.Mkdir(filepath.Join(bank, line), 0o755); err != nil {
			return fmt.Errorf("make a GPIO chip: %w", err)
		}
		if err := set(line+"/name", fmt.Sprintf("GPIO%d", i)); err != nil {
			return fmt.Errorf("make a GPIO chip: %w", err)
		}
	}
	if err := os.WriteFile(filepath.Join(configFS, "live"), []byte("1"), 0o644); err != nil {
		return fmt.Errorf("make a GPIO chip: %w", err)
	}
	return nil
}

// removeChip takes the chip out of the running machine.
func removeChip() error {
	if err := os.WriteFile(filepath.Join(configFS, "live"), []byte("0"), 0o644); err != nil {
		return fmt.Errorf("remove the GPIO chip: %w", err)
	}
	return nil
}

// board is the far end of the chip's lines: what a hand, an eye and an ear have
// of them. It notes every change it sees.
type board struct {
	dir    string // in sysfs, with a folder for each line
	values map[int]*os.File

	mu      sync.Mutex
	changes []change
}

// change is a line that became lit, or loud.
type change struct {
	at   time.Time
	line int
	on   bool
}

// newBoard finds the chip.
func newBoard() (*board, error) {
	device, err := os.ReadFile(filepath.Join(configFS, "dev_name"))
	if err != nil {
		return nil, fmt.Errorf("find the GPIO chip: %w", err)
	}
	chip, err := os.ReadFile(filepath.Join(configFS, "bank0", "chip_name"))
	if err != nil {
		return nil, fmt.Errorf("find the GPIO chip: %w", err)
	}
	b := &board{
		dir:    filepath.Join("/sys/devices/platform", string(bytes.TrimSpace(device)), string(bytes.TrimSpace(chip))),
		values: make(map[int]*os.File),
	}
	for _, line := range []int{green, yellow, red, sounder} {
		if b.values[line], err = os.Open(b.path(line, "value")); err != nil {
			return nil, fmt.Errorf("look at a line: %w", err)
		}
	}
	return b, nil
}

func (b *board) path(line int, file string) string {
	return filepath.Join(b.dir, fmt.Sprintf("sim_gpio%d", line), file)
}

// look samples the lines until ctx ends.
func (b *board) look(ctx context.Context) error {
	t := time.NewTicker(5 * time.Millisecond)
	defer t.Stop()
	last := make(map[int]bool)
	buf := make([]byte, 4)
	for {
		for line, f := range b.values {
			n, err := f.ReadAt(buf, 0)
			if n == 0 {
				return fmt.Errorf("look at line %d: %w", line, err)
			}
			on := (buf[0] == '1') != (line == red)
			if was, seen := last[line]; !seen || was != on {
				last[line] = on
				b.mu.Lock()
				b.changes = append(b.changes, change{time.Now(), line, on})
				b.mu.Unlock()
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		}
	}
}

// hold presses the button for d, with a bounce at either end, and gives the time
// at which it was let go. Between the levels of a bounce is no time at all: an
// emulated processor can make a pause of two milliseconds as long as a press.
func (b *board) hold(d time.Duration) (time.Time, error) {
	for _, pull := range []string{"pull-down", "pull-up", "pull-down", "", "pull-up", "pull-down", "pull-up"} {
		if pull == "" {
			time.Sleep(d)
			continue
		}
		if err := os.WriteFile(b.path(button, "pull"), []byte(pull), 0o644); err != nil {
			return time.Time{}, fmt.Errorf("press the button: %w", err)
		}
	}
	return time.Now(), nil
}

// on says whether line is lit, and since when.
func (b *board) on(line int) (lit bool, since time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, c := range b.changes {
		if c.line == line {
			lit, since = c.on, c.at
		}
	}
	return lit, since
}

// steady says whether line has been so for d.
func (b *board) steady(line int, lit bool, d time.Duration) bool {
	is, since := b.on(line)
	return is == lit && time.Since(since) >= d
}

// flashes gives how long line was lit each time that ended after from.
func (b *board) flashes(line int, from time.Time) []time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	var list []time.Duration
	var began time.Time
	for _, c := range b.changes {
		switch {
		case c.line != line:
		case c.on:
			began = c.at
		case !began.IsZero() && c.at.After(from):
			list = append(list, c.at.Sub(began))
		}
	}
	return list
}
