package gpio

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"docscan/device"
)

// Config is the table [panel] of docscan.toml.
type Config struct {
	// Chip is where the lines are: a chip's name (gpiochip0), label
	// (pinctrl-rp1) or file (/dev/gpiochip0). Empty: that of the Raspberry Pi's
	// 40-pin header, or the only chip of the box.
	Chip string `toml:"chip"`
	// DebounceMS is how long a level must hold before it counts.
	DebounceMS int `toml:"debounce_ms"`
	// LongMS is how long a button is held for a long press. 0: there are none.
	LongMS int `toml:"long_ms"`
	// DoubleMS is within what time of a press the second one makes it a double
	// press. Every short press waits as long before it is told. 0: there are
	// no double presses.
	DoubleMS int `toml:"double_ms"`

	Buttons []Button `toml:"button"`
	LEDs    []LED    `toml:"led"`
	Sounder Sounder  `toml:"sounder"`
}

// Button is one element of [[panel.button]].
type Button struct {
	Name      string `toml:"name"`       // what a press calls it; empty: scan
	Line      string `toml:"line"`       // the chip's name for it, such as GPIO17, or its number
	ActiveLow bool   `toml:"active_low"` // the line is low while the button is pressed
	Pull      string `toml:"pull"`       // up, down or none; empty: up if active_low, else down
	Device    string `toml:"device"`     // the ID of the scanner it belongs to; empty: whichever is there
}

// LED is one element of [[panel.led]]. What is empty of the patterns is the
// colour's default.
type LED struct {
	Line      string  `toml:"line"`       // the chip's name for it, such as GPIO27, or its number
	ActiveLow bool    `toml:"active_low"` // the LED is lit while the line is low
	Color     string  `toml:"color"`      // green, yellow, blue or red; white, or empty: an LED that is alone
	Idle      Pattern `toml:"idle"`
	Scanning  Pattern `toml:"scanning"`
	Safe      Pattern `toml:"safe"`
	Working   Pattern `toml:"working"`
	Delivered Pattern `toml:"delivered"`
	NeedsYou  Pattern `toml:"needs_you"`
	Fault     Pattern `toml:"fault"`
}

// Sounder is the table [panel.sounder]: a buzzer that sounds while its line is
// active.
type Sounder struct {
	Line      string `toml:"line"`       // as of an LED; empty: there is none
	ActiveLow bool   `toml:"active_low"` // it sounds while the line is low
}

// DefaultConfig is what holds where docscan.toml is silent: no button and no
// light. A cheap push button bounces for less than 20 ms. Double presses are
// off, so that a short press answers when the button is let go.
func DefaultConfig() Config { return Config{DebounceMS: 20, LongMS: 800} }

// Enabled reports whether there is a panel at all.
func (c *Config) Enabled() bool {
	return len(c.Buttons) > 0 || len(c.LEDs) > 0 || c.Sounder.Line != ""
}

// maxLines bounds the buttons and, apart from them, the LEDs.
const maxLines = 16

// Check reports all values that make no sense.
func (c *Config) Check() error {
	var errs []error
	add := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if c.DebounceMS < 1 || c.DebounceMS > 500 {
		add("debounce_ms is %d; it must be 1 to 500", c.DebounceMS)
	}
	if c.LongMS != 0 && (c.LongMS < 200 || c.LongMS > 10_000) {
		add("long_ms is %d; it must be 200 to 10000, or 0 for no long presses", c.LongMS)
	}
	if c.DoubleMS != 0 && (c.DoubleMS < 100 || c.DoubleMS > 2000) {
		add("double_ms is %d; it must be 100 to 2000, or 0 for no double presses", c.DoubleMS)
	}
	if len(c.Buttons) > maxLines {
		add("button: there are %d; at most %d are possible", len(c.Buttons), maxLines)
	}
	if len(c.LEDs) > maxLines {
		add("led: there are %d; at most %d are possible", len(c.LEDs), maxLines)
	}
	used := make(map[string]string) // line to what is on it
	names := make(map[string]bool)
	for _, u := range c.uses() {
		if err := checkLine(u.line); err != nil {
			add("%s: line is %q; %w", u.what, u.line, err)
		} else if other, twice := used[u.line]; twice {
			add("%s: line %s is that of %s too; each needs one of its own", u.what, u.line, other)
		}
		used[u.line] = u.what
	}
	for i, b := range c.Buttons {
		what := fmt.Sprintf("button %d", i+1)
		if names[b.name()] {
			add("%s: name %q is taken by a button before it; a press could not tell them apart", what, b.name())
		}
		names[b.name()] = true
		if !slices.Contains([]string{"", "up", "down", "none"}, b.Pull) {
			add("%s: pull is %q; it must be up, down or none", what, b.Pull)
		}
	}
	for i, l := range c.LEDs {
		if _, ok := patterns[l.color()]; !ok {
			add("led %d: color is %q; it must be white, green, yellow, blue or red", i+1, l.Color)
		}
		for _, s := range l.settings() {
			if s.pattern != "" && s.pattern != Off && s.pattern != On && s.pattern.times() == nil {
				add("led %d: %s is %q; it must be off, on, blink-slow, blink-fast or double-flash", i+1, s.key, s.pattern)
			}
		}
	}
	return errors.Join(errs...)
}

// checkLine says what is wrong with the name or number of a line. The kernel's
// names have at most 31 bytes (GPIO_MAX_NAME_SIZE in linux/gpio.h).
func checkLine(s string) error {
	if s == "" || len(s) > 31 || strings.TrimSpace(s) != s {
		return errors.New(`it must be a line's name, such as "GPIO17", or its number on the chip`)
	}
	return nil
}

// number is the offset that a line is given by, if it is.
func number(line string) (int, bool) {
	n, err := strconv.Atoi(line)
	return n, err == nil && n >= 0
}

// use is one line that is needed.
type use struct {
	what string // where docscan.toml asks for it, such as "button 1"
	line string
}

// uses lists the lines that are needed.
func (c *Config) uses() []use {
	var list []use
	for i, b := range c.Buttons {
		list = append(list, use{fmt.Sprintf("button %d", i+1), b.Line})
	}
	for i, l := range c.LEDs {
		list = append(list, use{fmt.Sprintf("led %d", i+1), l.Line})
	}
	if c.Sounder.Line != "" {
		list = append(list, use{"sounder", c.Sounder.Line})
	}
	return list
}

func (c *Config) timing() device.Timing {
	const ms = time.Millisecond
	return device.Timing{Debounce: time.Duration(c.DebounceMS) * ms, Long: time.Duration(c.LongMS) * ms, Gap: time.Duration(c.DoubleMS) * ms}
}

func (b *Button) name() string {
	if b.Name == "" {
		return "scan"
	}
	return b.Name
}

func (l *LED) color() string {
	if l.Color == "" {
		return "white"
	}
	return l.Color
}

// ledSetting is one key of an LED that sets a pattern.
type ledSetting struct {
	key     string
	light   device.Light
	pattern Pattern
}

func (l *LED) settings() []ledSetting {
	return []ledSetting{
		{"idle", device.LightIdle, l.Idle},
		{"scanning", device.LightScanning, l.Scanning},
		{"safe", device.LightSafe, l.Safe},
		{"working", device.LightWorking, l.Working},
		{"delivered", device.LightDelivered, l.Delivered},
		{"needs_you", device.LightNeedsYou, l.NeedsYou},
		{"fault", device.LightFault, l.Fault},
	}
}

// pattern is what the LED shows for light.
func (l *LED) pattern(light device.Light) Pattern {
	for _, s := range l.settings() {
		if s.light == light && s.pattern != "" {
			return s.pattern
		}
	}
	if p, ok := patterns[l.color()][light]; ok {
		return p
	}
	return Off
}
