package scan

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"docscan/device"
	"docscan/store"
)

func TestLightFor(t *testing.T) {
	now := time.Now()
	ago := func(d time.Duration) time.Time { return now.Add(-d) }
	batch := func(s store.BatchState, closed time.Duration) store.Batch {
		return store.Batch{State: s, Closed: ago(closed)}
	}
	tests := []struct {
		name      string
		open      []store.Batch
		safe      time.Time
		delivered time.Time
		want      device.Light
		again     time.Duration
	}{
		{"nothing", nil, time.Time{}, time.Time{}, device.LightIdle, 0},
		{"just delivered", nil, ago(15 * time.Second), ago(10 * time.Second), device.LightDelivered, 20 * time.Second},
		{"delivered at once", nil, ago(time.Second), ago(0), device.LightSafe, 3 * time.Second},
		{"delivered long ago", nil, ago(time.Hour), ago(time.Hour), device.LightIdle, 0},
		{"scanning", []store.Batch{batch(store.BatchScanning, 0)}, time.Time{}, time.Time{}, device.LightScanning, 0},
		{"all paper is in", []store.Batch{batch(store.BatchProcessing, time.Second)}, time.Time{}, time.Time{}, device.LightSafe, 3 * time.Second},
		{"pages are read", []store.Batch{batch(store.BatchProcessing, time.Minute)}, time.Time{}, time.Time{}, device.LightWorking, 0},
		{"a jam, while another is read", []store.Batch{batch(store.BatchProcessing, time.Minute), batch(store.BatchStopped, 0), batch(store.BatchScanning, 0)}, ago(time.Minute), ago(time.Second), device.LightNeedsYou, 29 * time.Second},
		{"scanning, just after a delivery", []store.Batch{batch(store.BatchScanning, 0)}, ago(time.Minute), ago(0), device.LightScanning, 30 * time.Second},
	}
	for _, tt := range tests {
		light, again := lightFor(now, tt.open, tt.safe, tt.delivered)
		if light != tt.want || again != tt.again {
			t.Errorf("%s: %s for %v, want %s for %v", tt.name, light, again, tt.want, tt.again)
		}
	}
}

// A press that came to nothing stays visible until something else is begun, also
// when the last document has just been delivered.
func TestFaultStays(t *testing.T) {
	e := chooser(t)
	e.delivered = time.Now()
	e.showLight()
	if e.light != device.LightDelivered {
		t.Fatalf("after a delivery the light is %s, want %s", e.light, device.LightDelivered)
	}
	e.Pressed(device.Press{Button: "scan", Gesture: device.Short}) // there is no scanner
	e.showLight()
	if e.light != device.LightFault {
		t.Errorf("after a press that came to nothing the light is %s, want %s", e.light, device.LightFault)
	}
	if err := e.store.AddBatch(store.Batch{ID: "b", State: store.BatchScanning}); err != nil {
		t.Fatal(err)
	}
	e.showLight()
	if e.light != device.LightScanning {
		t.Errorf("when scanning begins the light is %s, want %s", e.light, device.LightScanning)
	}
	e.lightTimer.Stop()
}

// chooser is an engine of which only the store and the registry are used.
func chooser(t *testing.T) *Engine {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	st, err := store.Open(store.Config{Dir: t.TempDir()}, log)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	})
	e := New(DefaultConfig(), 1, st, nil, nil, log)
	e.Attach(device.NewRegistry(log, e.DeviceChanged))
	return e
}

func TestProfileFor(t *testing.T) {
	e := chooser(t)
	err := e.Choose(store.Machine{ID: "desk", Presses: []store.MachinePress{
		{Gesture: "long", Profile: "single-sided"},
		{Button: "email", Gesture: "short", Profile: "photo"},
	}}, By{Actor: "anna"})
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		press device.Press
		want  store.ProfileID
	}{
		{device.Press{Device: "desk", Button: "scan", Gesture: device.Short}, "standard"},
		{device.Press{Device: "desk", Button: "email", Gesture: device.Short}, "photo"},
		{device.Press{Device: "desk", Button: "scan", Gesture: device.Long}, "single-sided"},
		{device.Press{Device: "other", Button: "scan", Gesture: device.Long}, "photo"}, // by the gesture alone: sorted by name, Front... is before Photo...
		{device.Press{Button: "scan", Gesture: device.Double}, "single-sided"},
	}
	for _, tt := range tests {
		if got, err := e.profileFor(tt.press); got != tt.want || err != nil {
			t.Errorf("%+v means %s, %v, want %s", tt.press, got, err, tt.want)
		}
	}
}

// A gesture gets time only where it means something.
func TestChoiceOf(t *testing.T) {
	tests := []struct {
		gestures []string
		want     device.Timing
	}{
		{nil, device.Timing{}},
		{[]string{"short"}, device.Timing{}},
		{[]string{"short", "long"}, device.Timing{Long: longPress}},
		{[]string{"double"}, device.Timing{Gap: doublePress}},
	}
	for _, tt := range tests {
		m := store.Machine{Name: "Desk"}
		for _, g := range tt.gestures {
			m.Presses = append(m.Presses, store.MachinePress{Gesture: g})
		}
		if got := choiceOf(m); got.Timing != tt.want || got.Name != "Desk" {
			t.Errorf("%v: %+v, want %+v", tt.gestures, got, tt.want)
		}
	}
}

func TestChoicesAreChecked(t *testing.T) {
	e := chooser(t)
	for name, m := range map[string]store.Machine{
		"long name":       {Name: strings.Repeat("x", 65)},
		"control in name": {Name: "a\x00b"},
		"grace":           {AutoStartSeconds: 61},
		"auto profile":    {AutoStartProfile: "none"},
		"gesture":         {Presses: []store.MachinePress{{Gesture: "stroke", Profile: "photo"}}},
		"profile":         {Presses: []store.MachinePress{{Gesture: "short", Profile: "none"}}},
		"too many":        {Presses: make([]store.MachinePress, 33)},
	} {
		m.ID = "desk"
		if err := e.Choose(m, By{}); !errors.Is(err, ErrChoice) {
			t.Errorf("%s: %v, want %v", name, err, ErrChoice)
		}
	}
	all, err := e.store.Machines()
	if len(all) != 0 || err != nil {
		t.Errorf("%v, %v is recorded, want nothing", all, err)
	}
}

// sensor is a scanner of which a test says whether paper is in its feeder. It
// cannot be started, and counts the tries.
type sensor struct {
	machine
	loaded atomic.Bool
	asleep atomic.Bool
	starts atomic.Int32
}

func (s *sensor) Info() device.Info { return device.Info{ID: "desk", Model: "S1"} }
func (s *sensor) Close() error      { return nil }

func (s *sensor) Status(context.Context) (device.Status, error) {
	if !s.loaded.Load() {
		return device.Status{State: device.Empty}, nil
	}
	if s.asleep.Load() {
		return device.Status{State: device.Asleep, Loaded: true}, nil
	}
	return device.Status{State: device.Ready, Loaded: true}, nil
}

func (s *sensor) Start(context.Context, device.Settings) (device.Run, error) {
	s.starts.Add(1)
	return nil, device.Faultf(device.Jam, "at once")
}

// Find makes it a finder of itself.
func (s *sensor) Find(context.Context) ([]device.Found, error) {
	return []device.Found{{Info: s.Info(), Open: func(context.Context) (device.Scanner, error) { return s, nil }}}, nil
}

// Paper that is put in begins a scan when the time of grace is over, and not if it
// was taken out again meanwhile.
func TestPaperStartsAfterGrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := chooser(t)
		s := &sensor{machine: machine{caps: device.Caps{Sources: []device.Source{device.Feeder}}}}
		reg := device.NewRegistry(slog.New(slog.DiscardHandler), e.DeviceChanged, s)
		e.Attach(reg)
		ctx, stop := context.WithCancel(t.Context())
		e.ctx = ctx
		ended := make(chan error, 1)
		go func() { ended <- reg.Run(ctx) }()
		synctest.Wait()
		if err := e.Choose(store.Machine{ID: s.Info().ID, AutoStart: true, AutoStartSeconds: 10}, By{}); err != nil {
			t.Fatal(err)
		}
		for _, step := range []struct {
			loaded bool
			wait   time.Duration
			starts int32
		}{
			{true, 9 * time.Second, 0}, {false, time.Minute, 0}, // thought better of it
			{true, 9 * time.Second, 0}, {true, 5 * time.Second, 1},
			{true, time.Minute, 1},                                   // what a fault has left starts nothing
			{false, 5 * time.Second, 1}, {true, 15 * time.Second, 2}, // it sleeps, and wakes for that
		} {
			s.asleep.Store(step.starts == 2)
			s.loaded.Store(step.loaded)
			time.Sleep(step.wait)
			synctest.Wait()
			if n := s.starts.Load(); n != step.starts {
				t.Errorf("paper %t for %v: %d starts, want %d", step.loaded, step.wait, n, step.starts)
			}
		}
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		e.feeding.Wait()
		e.timed.Wait()
	})
}
