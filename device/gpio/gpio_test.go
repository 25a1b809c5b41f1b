package gpio

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	pin "periph.io/x/conn/v3/gpio"

	"docscan/device"
)

// fakeLine is a line with a hand on its far end.
type fakeLine struct {
	name, consumer string
	refuse         error // what In and Out answer

	mu     sync.Mutex
	level  pin.Level
	edges  chan struct{}
	broken chan struct{} // closed: waiting fails at once
	pull   pin.Pull
	wrote  []string // "level@ms" since start
	start  time.Time
	closed int
}

func newLine(name string) *fakeLine {
	return &fakeLine{name: name, edges: make(chan struct{}, 16), broken: make(chan struct{}), start: time.Now()}
}

func (l *fakeLine) Name() string     { return l.name }
func (l *fakeLine) Consumer() string { return l.consumer }

func (l *fakeLine) In(pull pin.Pull, edge pin.Edge) error {
	if l.refuse == nil && edge != pin.BothEdges {
		return fmt.Errorf("edges %v, want both", edge)
	}
	l.pull = pull
	return l.refuse
}

func (l *fakeLine) Out(level pin.Level) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.refuse != nil {
		return l.refuse
	}
	l.level = level
	n := 0
	if level {
		n = 1
	}
	l.wrote = append(l.wrote, fmt.Sprintf("%d@%d", n, time.Since(l.start).Milliseconds()))
	return nil
}

func (l *fakeLine) Read() pin.Level {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.level
}

func (l *fakeLine) WaitForEdge(timeout time.Duration) bool {
	select {
	case <-l.edges:
		return true
	case <-l.broken:
		return false
	case <-time.After(timeout):
		return false
	}
}

func (l *fakeLine) Close() { l.closed++ }

// drive sets the level from outside.
func (l *fakeLine) drive(level pin.Level) {
	l.mu.Lock()
	l.level = level
	l.mu.Unlock()
	l.edges <- struct{}{}
}

// refuseNow makes every later write fail.
func (l *fakeLine) refuseNow(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.refuse = err
}

func (l *fakeLine) written() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.wrote, " ")
}

// fakeChip has lines GPIO0 to GPIO27, as a Raspberry Pi's header has.
func fakeChip() (*chip, []*fakeLine) {
	k := &chip{name: "gpiochip0", label: "pinctrl-bcm2711", path: "/dev/gpiochip0"}
	var lines []*fakeLine
	for i := range 28 {
		l := newLine(fmt.Sprintf("GPIO%d", i))
		lines = append(lines, l)
		k.lines = append(k.lines, l)
	}
	return k, lines
}

// running is a panel at work.
type running struct {
	*Panel
	lines   []*fakeLine
	log     *strings.Builder
	stop    func() // ends Watch and waits for it
	mu      sync.Mutex
	presses []string // "button device gesture@ms" since start
}

func (r *running) pressed() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return strings.Join(r.presses, ", ")
}

// run opens and watches a panel within a synctest bubble. before may set levels.
func run(t *testing.T, text string, before func([]*fakeLine)) *running {
	t.Helper()
	start := time.Now()
	k, lines := fakeChip()
	if before != nil {
		before(lines)
	}
	r := &running{lines: lines, log: new(strings.Builder)}
	p, err := open(parseConfig(t, text), []*chip{k}, slog.New(slog.NewTextHandler(r.log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	r.Panel = p
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		err := p.Watch(ctx, func(one device.Press) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.presses = append(r.presses, fmt.Sprintf("%s %q %s@%d", one.Button, one.Device, one.Gesture, time.Since(start).Milliseconds()))
		})
		if err != nil {
			t.Errorf("Watch = %v, want nil", err)
		}
	}()
	r.stop = func() { cancel(); <-done; p.Close() }
	synctest.Wait()
	return r
}

func TestWatch(t *testing.T) {
	const buttons = `
double_ms = 300
[[button]]
line = "GPIO17"
active_low = true
[[button]]
name = "archive"
line = "27"
device = "fi-7160-1"
`
	type step struct {
		ms    int
		line  int
		level pin.Level
	}
	tests := []struct {
		name  string
		steps []step
		want  string
	}{
		{"nobody", nil, ""},
		{"short, active low", []step{{100, 17, false}, {200, 17, true}}, `scan "" short@500`},
		{"short, active high, with a device", []step{{100, 27, true}, {200, 27, false}}, `archive "fi-7160-1" short@500`},
		{"long", []step{{100, 17, false}, {1500, 17, true}}, `scan "" long@900`},
		{"double", []step{{100, 17, false}, {200, 17, true}, {300, 17, false}, {400, 17, true}}, `scan "" double@320`},
		{"bounce", []step{{100, 17, false}, {103, 17, true}, {106, 17, false}, {200, 17, true}, {204, 17, false}, {208, 17, true}}, `scan "" short@508`},
		{"spike", []step{{100, 17, false}, {110, 17, true}}, ""},
		{"both at once", []step{{100, 17, false}, {101, 27, true}, {1900, 17, true}, {1901, 27, false}}, `scan "" long@900, archive "fi-7160-1" long@901`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				start := time.Now()
				r := run(t, buttons, func(l []*fakeLine) { l[17].level = pin.High })
				for _, s := range tt.steps {
					time.Sleep(time.Until(start.Add(time.Duration(s.ms) * time.Millisecond)))
					r.lines[s.line].drive(s.level)
				}
				time.Sleep(3 * time.Second)
				r.stop()
				if got := r.pressed(); got != tt.want {
					t.Errorf("presses %s, want %s", got, tt.want)
				}
				if got, want := []pin.Pull{r.lines[17].pull, r.lines[27].pull}, []pin.Pull{pin.PullUp, pin.PullDown}; !slices.Equal(got, want) {
					t.Errorf("pulls %v, want %v", got, want)
				}
			})
		})
	}
}

// A button that is stuck, or held while the box starts, starts no scan.
func TestWatchHeldAtStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := run(t, "[[button]]\nline=\"GPIO17\"\nactive_low=true", nil) // the level is low: pressed
		time.Sleep(5 * time.Second)
		r.lines[17].drive(pin.High)
		time.Sleep(time.Second)
		if got := r.pressed(); got != "" {
			t.Errorf("held at the start: %s, want nothing", got)
		}
		r.lines[17].drive(pin.Low)
		time.Sleep(100 * time.Millisecond)
		r.lines[17].drive(pin.High)
		time.Sleep(time.Second)
		r.stop()
		if got, want := r.pressed(), `scan "" short@6120`; got != want {
			t.Errorf("pressed after that: %s, want %s", got, want)
		}
	})
}

// A chip that goes away reads as low, which must not become presses.
func TestWatchBrokenLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := run(t, "[[button]]\nline=\"GPIO17\"\nactive_low=true\n[[button]]\nname=\"other\"\nline=\"GPIO27\"", func(l []*fakeLine) { l[17].level = pin.High })
		r.lines[17].mu.Lock()
		r.lines[17].level = pin.Low
		r.lines[17].mu.Unlock()
		close(r.lines[17].broken)
		time.Sleep(5 * time.Second)
		r.lines[27].drive(pin.High)
		time.Sleep(100 * time.Millisecond)
		r.lines[27].drive(pin.Low)
		time.Sleep(time.Second)
		r.stop()
		if got, want := r.pressed(), `other "" short@5120`; got != want {
			t.Errorf("presses %s, want %s", got, want)
		}
		if got := strings.Count(r.log.String(), "cannot be read any more"); got != 1 {
			t.Errorf("the broken line was logged %d times, want once:\n%s", got, r.log)
		}
	})
}

func TestShow(t *testing.T) {
	const leds = `
[[led]]
line = "GPIO5"
color = "green"
[[led]]
line = "GPIO6"
color = "yellow"
active_low = true
[[led]]
line = "GPIO13"
color = "red"
[sounder]
line = "GPIO19"
`
	synctest.Test(t, func(t *testing.T) {
		r := run(t, leds, nil)
		// Off the whole seconds, so that no blink falls on a change.
		time.Sleep(100 * time.Millisecond)
		for _, l := range []device.Light{device.LightScanning, device.LightSafe, device.LightIdle, device.LightNeedsYou} {
			if err := r.Show(l); err != nil {
				t.Errorf("Show(%s) = %v, want nil", l, err)
			}
			if err := r.Show(l); err != nil { // the same again changes nothing
				t.Errorf("Show(%s) = %v, want nil", l, err)
			}
			time.Sleep(1200 * time.Millisecond)
		}
		r.stop()
		tests := []struct {
			name string
			line int
			want string
		}{
			{"green", 5, "0@0 1@0 0@100 1@1300 0@3700"},
			{"yellow, lit when low", 6, "1@0 0@100 1@600 0@1100 1@2500"},
			{"red", 13, "0@0 1@3700 0@3820 1@3980 0@4100"},
			{"sounder", 19, "0@0 1@1300 0@1380 1@3700 0@4400"},
		}
		for _, tt := range tests {
			if got := r.lines[tt.line].written(); got != tt.want {
				t.Errorf("%s: wrote %s, want %s", tt.name, got, tt.want)
			}
			if got := r.lines[tt.line].closed; got != 1 {
				t.Errorf("%s: closed %d times, want once", tt.name, got)
			}
		}
	})
}

// A beep is heard in full, though the light changes meanwhile.
func TestBeepIsWhole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := run(t, "[sounder]\nline=\"7\"", nil)
		time.Sleep(100 * time.Millisecond)
		for _, l := range []device.Light{device.LightSafe, device.LightIdle} {
			if err := r.Show(l); err != nil {
				t.Fatal(err)
			}
			time.Sleep(30 * time.Millisecond)
		}
		time.Sleep(time.Second)
		r.stop()
		if got, want := r.lines[7].written(), "0@0 1@100 0@180"; got != want {
			t.Errorf("sounder: wrote %s, want %s", got, want)
		}
	})
}

// All is dark when docscan has stopped, so that nothing looks safe.
func TestDarkAtTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := run(t, "[[led]]\nline=\"5\"\n[[led]]\nline=\"6\"\nactive_low=true\n[sounder]\nline=\"7\"", nil)
		if err := r.Show(device.LightSafe); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Millisecond)
		if got := []pin.Level{r.lines[5].Read(), r.lines[6].Read(), r.lines[7].Read()}; !slices.Equal(got, []pin.Level{true, false, true}) {
			t.Errorf("safe: levels %v, want High Low High", got)
		}
		r.stop()
		if got := []pin.Level{r.lines[5].Read(), r.lines[6].Read(), r.lines[7].Read()}; !slices.Equal(got, []pin.Level{false, true, false}) {
			t.Errorf("stopped: levels %v, want Low High Low", got)
		}
	})
}

func TestShowFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := run(t, "[[led]]\nline=\"5\"", nil)
		broken := errors.New("no such device")
		r.lines[5].refuseNow(broken)
		if err := r.Show(device.LightScanning); err != nil {
			t.Errorf("the first Show = %v, want nil", err)
		}
		time.Sleep(600 * time.Millisecond)
		if err := r.Show(device.LightSafe); !errors.Is(err, broken) || !strings.Contains(err.Error(), "led 1") {
			t.Errorf("the next Show = %v, want led 1 and %v", err, broken)
		}
		r.stop()
	})
}
