package gpio

import (
	"strings"
	"testing"
	"time"

	"github.com/pelletier/go-toml/v2"

	"docscan/device"
)

// wired is the panel of docs/panel.md.
const wired = `
chip = "pinctrl-rp1"
double_ms = 350

[[button]]
line = "GPIO17"
active_low = true

[[button]]
name = "archive"
line = "27"
pull = "none"
device = "fujitsu-fi-7160-123"

[[led]]
line = "GPIO22"
color = "green"

[[led]]
line = "GPIO23"
color = "red"
fault = "on"

[sounder]
line = "GPIO24"
`

func parseConfig(t *testing.T, text string) Config {
	t.Helper()
	c := DefaultConfig()
	if err := toml.NewDecoder(strings.NewReader(text)).DisallowUnknownFields().Decode(&c); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return c
}

func TestConfig(t *testing.T) {
	c := parseConfig(t, wired)
	if err := c.Check(); err != nil {
		t.Errorf("Check of the example = %v, want nil", err)
	}
	if !c.Enabled() {
		t.Error("the example is not enabled")
	}
	if got, want := c.timing(), (device.Timing{Debounce: 20 * time.Millisecond, Long: 800 * time.Millisecond, Gap: 350 * time.Millisecond}); got != want {
		t.Errorf("timing = %v, want %v", got, want)
	}
	if got := c.Buttons[0].name(); got != "scan" {
		t.Errorf("name of a button without one = %q, want scan", got)
	}
	none := DefaultConfig()
	if none.Enabled() || none.Check() != nil {
		t.Errorf("default: enabled %v, check %v, want false, nil", none.Enabled(), none.Check())
	}
}

func TestConfigCheck(t *testing.T) {
	many := strings.Repeat("[[led]]\nline=\"1\"\n", maxLines+1)
	tests := []struct{ text, want string }{
		{`debounce_ms = 0`, "debounce_ms is 0; it must be 1 to 500"},
		{`debounce_ms = 501`, "debounce_ms is 501; it must be 1 to 500"},
		{`long_ms = 199`, "long_ms is 199; it must be 200 to 10000, or 0 for no long presses"},
		{`double_ms = 2001`, "double_ms is 2001; it must be 100 to 2000, or 0 for no double presses"},
		{"[[button]]", `button 1: line is ""; it must be a line's name, such as "GPIO17", or its number on the chip`},
		{"[[button]]\nline=\"1\"\npull=\"sideways\"", `button 1: pull is "sideways"; it must be up, down or none`},
		{"[[button]]\nline=\"1\"\n[[button]]\nline=\"2\"", `button 2: name "scan" is taken by a button before it; a press could not tell them apart`},
		{"[[button]]\nline=\"GPIO5\"\n[sounder]\nline=\"GPIO5\"", "sounder: line GPIO5 is that of button 1 too; each needs one of its own"},
		{"[[led]]\nline=\" x\"", `led 1: line is " x"; it must be a line's name, such as "GPIO17", or its number on the chip`},
		{"[[led]]\nline=\"1\"\ncolor=\"pink\"", `led 1: color is "pink"; it must be white, green, yellow, blue or red`},
		{"[[led]]\nline=\"1\"\nneeds_you=\"strobe\"", `led 1: needs_you is "strobe"; it must be off, on, blink-slow, blink-fast or double-flash`},
		{many, "led: there are 17; at most 16 are possible"},
	}
	for _, tt := range tests {
		c := parseConfig(t, tt.text)
		err := c.Check()
		if err == nil {
			t.Errorf("%s: Check = nil, want %q", tt.text, tt.want)
			continue
		}
		if got, _, _ := strings.Cut(err.Error(), "\n"); got != tt.want {
			t.Errorf("%s: Check = %q, want %q", tt.text, got, tt.want)
		}
	}
	c := parseConfig(t, "debounce_ms = 0\nlong_ms = 1")
	if got := strings.Count(c.Check().Error(), "\n"); got != 1 {
		t.Errorf("two mistakes give %d lines, want 2", got+1)
	}
}

func TestPatternAt(t *testing.T) {
	const ms = time.Millisecond
	tests := []struct {
		p       Pattern
		elapsed time.Duration
		lit     bool
		stays   time.Duration
	}{
		{Off, 5 * time.Second, false, 0},
		{On, 0, true, 0},
		{BlinkSlow, 0, true, 500 * ms},
		{BlinkSlow, 499 * ms, true, 1 * ms},
		{BlinkSlow, 500 * ms, false, 500 * ms},
		{BlinkSlow, 1000 * ms, true, 500 * ms},
		{BlinkFast, 170 * ms, false, 170 * ms},
		{DoubleFlash, 0, true, 120 * ms},
		{DoubleFlash, 280 * ms, true, 120 * ms},
		{DoubleFlash, 400 * ms, false, 1100 * ms},
		{DoubleFlash, 24 * time.Hour, true, 120 * ms},
	}
	for _, tt := range tests {
		if lit, stays := tt.p.at(tt.elapsed); lit != tt.lit || stays != tt.stays {
			t.Errorf("%s at %v = %v, %v, want %v, %v", tt.p, tt.elapsed, lit, stays, tt.lit, tt.stays)
		}
	}
}

// Flashing faster than three times a second can hurt people.
func TestPatternsAreSlow(t *testing.T) {
	for _, p := range []Pattern{BlinkSlow, BlinkFast, DoubleFlash} {
		flashes := 0
		var at time.Duration
		for at < 10*time.Second {
			lit, stays := p.at(at)
			if lit {
				flashes++
			}
			at += stays
		}
		if flashes > 30 {
			t.Errorf("%s flashes %d times in 10 s, want 30 at most", p, flashes)
		}
	}
}

// What a person must not confuse differs on every panel that can show it.
func TestDefaultPatterns(t *testing.T) {
	shown := func(light device.Light, colors ...string) string {
		var s []string
		for _, c := range colors {
			l := LED{Color: c}
			s = append(s, string(l.pattern(light)))
		}
		return strings.Join(s, " ")
	}
	all := []device.Light{device.LightIdle, device.LightScanning, device.LightSafe, device.LightWorking,
		device.LightDelivered, device.LightNeedsYou, device.LightFault}
	for _, middle := range []string{"yellow", "blue"} {
		seen := make(map[string]device.Light)
		for _, l := range all {
			s := shown(l, "green", middle, "red")
			if other, twice := seen[s]; twice {
				t.Errorf("three LEDs show %s for both %s and %s", s, other, l)
			}
			seen[s] = l
		}
	}
	seen := make(map[string]bool)
	for _, l := range []device.Light{device.LightIdle, device.LightScanning, device.LightNeedsYou, device.LightFault} {
		s := shown(l, "white")
		if seen[s] {
			t.Errorf("one LED shows %s for %s and for something else", s, l)
		}
		seen[s] = true
	}
	own := LED{Color: "red", Fault: On}
	if got := own.pattern(device.LightFault); got != On {
		t.Errorf("pattern set = %s, want on", got)
	}
	if got := own.pattern("unheard of"); got != Off {
		t.Errorf("pattern of an unknown light = %s, want off", got)
	}
}
