package gpio

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"docscan/device"
)

// tick is how far apart the levels of these tests are.
const tick = 10 * time.Millisecond

// play gives the gestures of levels ('#' down, '_' up, one each tick) with the
// tick at which each was told, such as "short@12".
func play(t timing, levels string) []string {
	t0 := time.Unix(1_700_000_000, 0)
	b := newButton(t, t0, levels[0] == '#')
	var told []string
	for i, c := range levels {
		for _, g := range b.read(t0.Add(time.Duration(i)*tick), c == '#') {
			told = append(told, fmt.Sprintf("%s@%d", g, i))
		}
	}
	return told
}

func TestButton(t *testing.T) {
	var (
		plain  = timing{debounce: 20 * time.Millisecond, long: 100 * time.Millisecond}
		all    = timing{debounce: 20 * time.Millisecond, long: 100 * time.Millisecond, gap: 50 * time.Millisecond}
		double = timing{debounce: 20 * time.Millisecond, gap: 50 * time.Millisecond}
		quick  = timing{debounce: 20 * time.Millisecond}
		raw    = timing{}
	)
	tests := []struct {
		name   string
		t      timing
		levels string
		want   string
	}{
		//                       0         1         2         3
		//                       0123456789012345678901234567890123456789
		{"nothing", plain, "____________________", ""},
		{"short", plain, "__####__________", "short@8"},
		{"spike", plain, "__#_____________", ""},
		{"bounce on the way down", plain, "__#_####________", "short@10"},
		{"bounce on the way up", plain, "__####_#________", "short@10"},
		{"two short ones", plain, "__###___###_____", "short@7 short@13"},
		{"long", plain, "__###############____", "long@12"},
		{"long just missed", plain, "__#########_____", "short@13"},
		{"long with a gap in it", plain, "__#####_########____", "long@12"},
		{"held at the start", plain, "##############______", ""},
		{"held at the start, then pressed", plain, "######___###_____", "short@14"},
		{"pressed at the start for a spike", plain, "#_______________", ""},
		{"short waits for a second", all, "__###_______________", "short@10"},
		{"double", all, "__###__###__________", "double@9"},
		{"double held long", all, "__###__###############__", "double@9"},
		{"double too slow", all, "__###______###______", "short@10 short@19"},
		{"three", all, "__###__###__###_______", "double@9 short@20"},
		{"long then short", all, "__##############____###________", "long@12 short@28"},
		{"no long press", double, "__####################____________", "short@27"},
		{"at once", quick, "__####################____", "short@4"},
		{"at once, twice", quick, "__###___###___", "short@4 short@10"},
		{"without debouncing", raw, "__#_#_____", "short@2 short@4"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := strings.Join(play(tt.t, tt.levels), " "); got != tt.want {
				t.Errorf("%s: %q, want %q", tt.levels, got, tt.want)
			}
		})
	}
}

// A reader that was kept from the line for a while still tells what is sure.
func TestButtonLate(t *testing.T) {
	all := timing{debounce: 20 * time.Millisecond, long: 100 * time.Millisecond, gap: 50 * time.Millisecond}
	type sample struct {
		ms   int
		down bool
	}
	tests := []struct {
		name    string
		samples []sample
		want    string
	}{
		{"short, told late", []sample{{0, true}, {30, true}, {60, false}, {500, false}}, "short"},
		{"long, told late", []sample{{0, true}, {500, true}}, "long"},
		{"released within the late read", []sample{{0, true}, {500, false}, {600, false}}, "long"},
		{"short and the next press", []sample{{0, true}, {30, false}, {300, true}, {600, true}}, "short long"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t0 := time.Unix(1_700_000_000, 0)
			b := newButton(all, t0.Add(-time.Second), false)
			var got []string
			for _, s := range tt.samples {
				for _, g := range b.read(t0.Add(time.Duration(s.ms)*time.Millisecond), s.down) {
					got = append(got, string(g))
				}
			}
			if s := strings.Join(got, " "); s != tt.want {
				t.Errorf("told %q, want %q", s, tt.want)
			}
		})
	}
}

// Whoever reads only when next says so misses nothing, whatever the level does
// in between: each gesture is told at the very time it becomes sure.
func TestButtonNext(t *testing.T) {
	all := timing{debounce: 20 * time.Millisecond, long: 100 * time.Millisecond, gap: 50 * time.Millisecond}
	t0 := time.Unix(1_700_000_000, 0)
	b := newButton(all, t0, false)
	if at, ok := b.next(); ok {
		t.Errorf("at rest next = %v, want none", at)
	}
	now := t0.Add(time.Second)
	steps := []struct {
		down bool
		next time.Duration // from the first edge; 0: none
		told []device.Gesture
	}{
		{true, 20 * time.Millisecond, nil},
		{true, 100 * time.Millisecond, nil},
		{true, 0, []device.Gesture{device.Long}},
	}
	for i, s := range steps {
		told := b.read(now, s.down)
		if len(told) != len(s.told) || len(told) > 0 && told[0] != s.told[0] {
			t.Errorf("step %d: told %v, want %v", i, told, s.told)
		}
		at, ok := b.next()
		if ok != (s.next > 0) || ok && at != t0.Add(time.Second+s.next) {
			t.Fatalf("step %d: next = %v, %v, want %v after the edge", i, at, ok, s.next)
		}
		now = at
	}
}

// Levels come from a wire, in any order and at any time.
func FuzzButton(f *testing.F) {
	f.Add([]byte{0, 1, 3, 1, 9, 0, 50, 1}, uint8(20), uint8(100), uint8(50))
	f.Add([]byte{1, 1, 0, 0}, uint8(0), uint8(0), uint8(0))
	f.Fuzz(func(t *testing.T, in []byte, debounce, long, gap uint8) {
		now := time.Unix(1_700_000_000, 0)
		tm := timing{time.Duration(debounce) * time.Millisecond, time.Duration(long) * time.Millisecond, time.Duration(gap) * time.Millisecond}
		b := newButton(tm, now, len(in)%2 == 1)
		downs, told := 0, 0
		isDown := len(in)%2 == 1
		for _, c := range in {
			now = now.Add(time.Duration(c>>1) * time.Millisecond)
			if d := c&1 == 1; d != isDown {
				isDown = d
				if d {
					downs++
				}
			}
			told += len(b.read(now, isDown))
			if at, ok := b.next(); ok && at.Before(now) {
				t.Fatalf("next is %v before now", now.Sub(at))
			}
		}
		if told > downs {
			t.Errorf("%d gestures of %d presses", told, downs)
		}
	})
}
