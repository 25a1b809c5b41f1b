package gpio

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"periph.io/x/conn/v3/driver/driverreg"
	pin "periph.io/x/conn/v3/gpio"
	"periph.io/x/host/v3/gpioioctl"
)

// Conditions that a person can clear. Their texts say how.
var (
	ErrNoChip   = errors.New("there is no GPIO chip here: no file /dev/gpiochip*. On a board that has one its driver is not loaded; on any other box remove [panel] from docscan.toml")
	ErrNoRights = errors.New(`the GPIO chips are there but may not be opened. Give docscand's user the right with a udev rule such as SUBSYSTEM=="gpio", KERNEL=="gpiochip*", GROUP="docscan", MODE="0660" in /etc/udev/rules.d/60-docscan-gpio.rules, then run: udevadm control --reload && udevadm trigger --subsystem-match=gpio`)
	ErrBusy     = errors.New("it is in use. Stop what uses it, or choose another line; gpioinfo of the package gpiod shows who uses which")
)

// headers are the labels of the chips behind the Raspberry Pi's 40-pin header:
// of the 5, of the 4, and of all before it.
var headers = []string{"pinctrl-rp1", "pinctrl-bcm2711", "pinctrl-bcm2835"}

// line is one line of a chip, so that the panel's logic can be tested where
// there is none. *gpioioctl.GPIOLine is one. Its wait is not interrupted by
// Halt, which periph does not guard against a wait that begins.
type line interface {
	Name() string
	Consumer() string // who used it when the chip was looked at; empty: nobody
	In(pull pin.Pull, edge pin.Edge) error
	Out(level pin.Level) error
	Read() pin.Level // Low also if it cannot be read
	WaitForEdge(timeout time.Duration) bool
	Close()
}

var _ line = (*gpioioctl.GPIOLine)(nil)

// chip is one GPIO chip.
type chip struct {
	name  string // gpiochip0
	label string // pinctrl-rp1
	path  string // /dev/gpiochip0
	lines []line // by their number
}

// chips looks at all chips of the box. periph looks once in the life of a
// process; a chip that comes later is not seen. Looking changes no line.
func chips() ([]*chip, error) {
	if _, err := driverreg.Init(); err != nil {
		return nil, fmt.Errorf("look for GPIO chips: %w", err)
	}
	var list []*chip
	for _, c := range gpioioctl.Chips {
		k := &chip{name: c.Name(), label: c.Label(), path: c.Path()}
		for _, l := range c.Lines() {
			k.lines = append(k.lines, l)
		}
		list = append(list, k)
	}
	if len(list) > 0 {
		return list, nil
	}
	files, err := filepath.Glob("/dev/gpiochip*")
	if err != nil || len(files) == 0 {
		return nil, ErrNoChip
	}
	f, err := os.Open(files[0])
	if errors.Is(err, fs.ErrPermission) {
		return nil, ErrNoRights
	}
	if err != nil {
		return nil, fmt.Errorf("open the GPIO chip: %w", err)
	}
	f.Close()
	return nil, fmt.Errorf("%s was not there, or did not answer, when docscan started: start it again", files[0])
}

// choose gives the chip that docscan.toml means by name.
func choose(name string, list []*chip) (*chip, error) {
	if name == "" {
		for _, label := range headers {
			for _, c := range list {
				if c.label == label {
					return c, nil
				}
			}
		}
		if len(list) == 1 {
			return list[0], nil
		}
		return nil, fmt.Errorf("chip is not set and this is no Raspberry Pi; set it to one of %s", listed(list))
	}
	path := name
	if p, err := filepath.EvalSymlinks(name); err == nil {
		path = p // on some kernels of the Pi gpiochip4 is a link to gpiochip0
	}
	var found []*chip
	for _, c := range list {
		if c.name == name || c.label == name || c.path == name || c.path == path {
			found = append(found, c)
		}
	}
	switch len(found) {
	case 0:
		return nil, fmt.Errorf("chip is %q, which is not here; here is %s", name, listed(list))
	case 1:
		return found[0], nil
	}
	return nil, fmt.Errorf("chip is %q, which fits %s; set it to the name of one", name, listed(found))
}

// listed names chips for a person, ten at most.
func listed(list []*chip) string {
	var s []string
	for _, c := range list[:min(len(list), 10)] {
		s = append(s, fmt.Sprintf("%s (%s)", c.name, c.label))
	}
	if len(s) == 0 {
		return "none"
	}
	return strings.Join(s, ", ")
}

// find gives the number of the line that docscan.toml means by name.
func (c *chip) find(name string) (int, error) {
	if n, ok := number(name); ok {
		if n >= len(c.lines) {
			return 0, fmt.Errorf("line is %d, but %s (%s) has lines 0 to %d only", n, c.name, c.label, len(c.lines)-1)
		}
		return n, nil
	}
	is := func(l line) bool {
		// periph puts the chip's name before a line's that another chip has too.
		return l.Name() == name || l.Name() == c.name+"-"+name
	}
	n := slices.IndexFunc(c.lines, is)
	switch {
	case n < 0:
		return 0, fmt.Errorf("line is %q, which %s (%s) does not have; gpioinfo of the package gpiod lists the names", name, c.name, c.label)
	case slices.IndexFunc(c.lines[n+1:], is) >= 0:
		return 0, fmt.Errorf("line is %q, which %s (%s) has more than once; give its number", name, c.name, c.label)
	}
	return n, nil
}

// resolve finds all the lines that c asks for, in the order of uses.
func (c *Config) resolve(list []*chip) ([]line, *chip, error) {
	k, err := choose(c.Chip, list)
	if err != nil {
		return nil, nil, err
	}
	var lines []line
	var errs []error
	taken := make(map[int]string)
	for _, u := range c.uses() {
		n, err := k.find(u.line)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", u.what, err))
			continue
		}
		if other, twice := taken[n]; twice {
			errs = append(errs, fmt.Errorf("%s: line %s is that of %s too; each needs one of its own", u.what, u.line, other))
		}
		taken[n] = u.what
		lines = append(lines, k.lines[n])
	}
	if err := errors.Join(errs...); err != nil {
		return nil, nil, err
	}
	return lines, k, nil
}

// refused says why a line could not be taken into use. periph gives the text of
// the kernel's error only.
func refused(u use, l line, err error) error {
	if strings.HasSuffix(err.Error(), syscall.EBUSY.Error()) {
		if who := l.Consumer(); who != "" {
			return fmt.Errorf("%s: line %s: %w (by %s at the start)", u.what, u.line, ErrBusy, who)
		}
		return fmt.Errorf("%s: line %s: %w", u.what, u.line, ErrBusy)
	}
	return fmt.Errorf("%s: line %s: %w", u.what, u.line, err)
}

// Examine says whether the panel that c describes could be opened, without
// changing any line. A line that another docscand holds counts as free: that is
// the one that runs.
func Examine(c Config) error {
	list, err := chips()
	if err != nil {
		return err
	}
	return c.examine(list, filepath.Base(os.Args[0]))
}

func (c *Config) examine(list []*chip, program string) error {
	lines, _, err := c.resolve(list)
	if err != nil {
		return err
	}
	var errs []error
	for i, u := range c.uses() {
		who := lines[i].Consumer()
		if who != "" && !strings.HasPrefix(who, program+"@") {
			errs = append(errs, fmt.Errorf("%s: line %s is used by %q: %w", u.what, u.line, who, ErrBusy))
		}
	}
	return errors.Join(errs...)
}
