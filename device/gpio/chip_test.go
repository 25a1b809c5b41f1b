package gpio

import (
	"errors"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
)

func TestChoose(t *testing.T) {
	pi4 := &chip{name: "gpiochip0", label: "pinctrl-bcm2711", path: "/dev/gpiochip0"}
	pi5 := &chip{name: "gpiochip4", label: "pinctrl-rp1", path: "/dev/gpiochip4"}
	expander := &chip{name: "gpiochip1", label: "raspberrypi-exp-gpio", path: "/dev/gpiochip1"}
	stb0 := &chip{name: "gpiochip2", label: "brcmstb", path: "/dev/gpiochip2"}
	stb1 := &chip{name: "gpiochip3", label: "brcmstb", path: "/dev/gpiochip3"}
	tests := []struct {
		name string
		set  string
		list []*chip
		want *chip
		err  string
	}{
		{"Pi 4 by itself", "", []*chip{expander, pi4}, pi4, ""},
		{"Pi 5 by itself", "", []*chip{stb0, stb1, pi5}, pi5, ""},
		{"the only one", "", []*chip{expander}, expander, ""},
		{"by name", "gpiochip1", []*chip{pi4, expander}, expander, ""},
		{"by label", "raspberrypi-exp-gpio", []*chip{pi4, expander}, expander, ""},
		{"by file", "/dev/gpiochip4", []*chip{stb0, pi5}, pi5, ""},
		{"no Pi", "", []*chip{stb0, expander}, nil, "chip is not set and this is no Raspberry Pi; set it to one of gpiochip2 (brcmstb), gpiochip1 (raspberrypi-exp-gpio)"},
		{"not here", "gpiochip9", []*chip{pi4}, nil, `chip is "gpiochip9", which is not here; here is gpiochip0 (pinctrl-bcm2711)`},
		{"label of two", "brcmstb", []*chip{stb0, stb1}, nil, `chip is "brcmstb", which fits gpiochip2 (brcmstb), gpiochip3 (brcmstb); set it to the name of one`},
		{"none at all", "gpiochip0", nil, nil, `chip is "gpiochip0", which is not here; here is none`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := choose(tt.set, tt.list)
			if got != tt.want || text(err) != tt.err {
				t.Errorf("choose(%q) = %v, %q, want %v, %q", tt.set, got, text(err), tt.want, tt.err)
			}
		})
	}
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func TestFind(t *testing.T) {
	k, _ := fakeChip()
	k.lines = append(k.lines, newLine("2712_WAKE"), newLine("2712_WAKE"), newLine("gpiochip0-PWR"), newLine(""))
	tests := []struct {
		line string
		want int
		err  string
	}{
		{"GPIO17", 17, ""},
		{"17", 17, ""},
		{"0", 0, ""},
		{"31", 31, ""},
		{"PWR", 30, ""}, // another chip has a PWR too
		{"32", 0, "line is 32, but gpiochip0 (pinctrl-bcm2711) has lines 0 to 31 only"},
		{"GPIO99", 0, `line is "GPIO99", which gpiochip0 (pinctrl-bcm2711) does not have; gpioinfo of the package gpiod lists the names`},
		{"-1", 0, `line is "-1", which gpiochip0 (pinctrl-bcm2711) does not have; gpioinfo of the package gpiod lists the names`},
		{"2712_WAKE", 0, `line is "2712_WAKE", which gpiochip0 (pinctrl-bcm2711) has more than once; give its number`},
	}
	for _, tt := range tests {
		got, err := k.find(tt.line)
		if got != tt.want || text(err) != tt.err {
			t.Errorf("find(%q) = %d, %q, want %d, %q", tt.line, got, text(err), tt.want, tt.err)
		}
	}
}

// One line by its name and by its number is still one line.
func TestResolveTwice(t *testing.T) {
	k, _ := fakeChip()
	c := parseConfig(t, "[[button]]\nline=\"GPIO17\"\n[[led]]\nline=\"17\"\n[[led]]\nline=\"nowhere\"")
	_, _, err := c.resolve([]*chip{k})
	want := "led 1: line 17 is that of button 1 too; each needs one of its own\n" +
		`led 2: line is "nowhere", which gpiochip0 (pinctrl-bcm2711) does not have; gpioinfo of the package gpiod lists the names`
	if text(err) != want {
		t.Errorf("resolve = %q, want %q", text(err), want)
	}
}

// What cannot be had is said for all lines at once, and none is kept.
func TestOpenRefused(t *testing.T) {
	k, lines := fakeChip()
	// As periph has it: the text of the kernel's error and no number.
	lines[17].refuse, lines[17].consumer = errors.New("line_request ioctl: device or resource busy"), "w1-gpio"
	lines[6].refuse = errors.New("invalid argument")
	c := parseConfig(t, "[[button]]\nline=\"GPIO17\"\n[[led]]\nline=\"5\"\n[[led]]\nline=\"6\"")
	_, err := open(c, []*chip{k}, slog.New(slog.DiscardHandler))
	if !errors.Is(err, ErrBusy) {
		t.Errorf("open = %v, want %v in it", err, ErrBusy)
	}
	for _, want := range []string{"button 1: line GPIO17: ", "(by w1-gpio at the start)", "led 2: line 6: invalid argument"} {
		if !strings.Contains(text(err), want) {
			t.Errorf("open = %q, want %q in it", text(err), want)
		}
	}
	if lines[5].closed != 1 {
		t.Errorf("the line that could be had was closed %d times, want once", lines[5].closed)
	}
}

func TestExamine(t *testing.T) {
	k, lines := fakeChip()
	c := parseConfig(t, "[[button]]\nline=\"GPIO17\"\n[[led]]\nline=\"5\"\n[sounder]\nline=\"6\"")
	if err := c.examine([]*chip{k}, "docscand"); err != nil {
		t.Errorf("free lines: examine = %v, want nil", err)
	}
	lines[17].consumer, lines[5].consumer = "docscand@4711", "led0"
	err := c.examine([]*chip{k}, "docscand")
	if want := `led 1: line 5 is used by "led0": `; !strings.HasPrefix(text(err), want) || !errors.Is(err, ErrBusy) || strings.Contains(text(err), "button") {
		t.Errorf("examine = %q, want only %q", text(err), want)
	}
	for i, l := range lines {
		if l.written() != "" || l.closed > 0 {
			t.Errorf("examine changed line %d", i)
		}
	}
}

// A box without a chip, as this one or the rig's, is told apart from one
// without rights.
func TestChipsHere(t *testing.T) {
	list, err := chips()
	files, globErr := filepath.Glob("/dev/gpiochip*")
	if globErr != nil {
		t.Fatal(globErr)
	}
	switch {
	case len(files) == 0 && !errors.Is(err, ErrNoChip):
		t.Errorf("no chip here: chips = %v, %v, want %v", list, err, ErrNoChip)
	case len(files) > 0 && err == nil && len(list) == 0:
		t.Error("chips = none without an error")
	}
}
