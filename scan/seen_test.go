package scan

import (
	"context"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"docscan/device"
	"docscan/store/audit"
)

// A scanner on a loose cable does not fill the log, which says how often it was when the
// hour ends, whether the scanner comes again or not.
func TestLooseCableIsBounded(t *testing.T) {
	c := make(comings)
	start := time.Date(2026, 3, 9, 8, 0, 0, 0, time.UTC)
	recorded := 0
	for i := range 500 {
		now := start.Add(time.Duration(i) * time.Second)
		if c.count("acme", now) {
			recorded++
		}
		if missed := c.over(now); len(missed) > 0 {
			t.Errorf("change %d: %v is told too early", i, missed)
		}
	}
	if recorded != maxComings {
		t.Errorf("%d of 500 changes are recorded, want %d", recorded, maxComings)
	}
	if !c.count("other", start) {
		t.Error("another scanner is not recorded")
	}
	if missed := c.over(start.Add(time.Hour)); len(missed) != 1 || missed["acme"] != 500-maxComings || len(c) != 0 {
		t.Errorf("an hour later: %v, want %d, and nothing kept but %v", missed, 500-maxComings, c)
	}
	if !c.count("acme", start.Add(time.Hour)) {
		t.Error("a new hour does not begin")
	}
	if missed := c.over(start); len(missed) != 0 || len(c) != 0 {
		t.Errorf("after the clock was put back: %v, %v", missed, c)
	}

	e := chooser(t)
	e.loose["acme"] = coming{time.Now().Add(-time.Hour), maxComings + 7}
	e.loose["well"] = coming{time.Now().Add(-time.Hour), maxComings}
	for range 2 {
		e.tellLoose(time.Now())
	}
	told, _, err := e.store.Audit(audit.Query{Action: "device_loose", Limit: 10})
	if err != nil || len(told) != 1 || told[0].Target != "acme" || told[0].Details != "7 more changes" {
		t.Errorf("told: %+v, %v", told, err)
	}
}

// A scanner that was never here is told from one that comes back, also by the process
// after.
func TestComingAndGoingIsRecorded(t *testing.T) {
	e := chooser(t)
	var here atomic.Bool
	here.Store(true)
	find := func(context.Context) ([]device.Found, error) {
		if !here.Load() {
			return nil, nil
		}
		return []device.Found{{Info: device.Info{ID: "acme", Make: "Acme", Model: "S1", Port: "1-2"}, Open: func(context.Context) (device.Scanner, error) {
			return nil, device.Faultf(device.HeldByOther, "for the test")
		}}}, nil
	}
	done := func() (list []string) {
		lines, _, err := e.store.Audit(audit.Query{Target: "acme", Limit: 10})
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range lines { // the newest first
			list = append(list, l.EventType+" "+l.Action+" "+l.Status+" "+l.Details)
		}
		return list
	}
	wait := func(want ...string) {
		t.Helper()
		for range 1000 {
			if slices.Equal(done(), want) {
				return
			}
			time.Sleep(10 * time.Millisecond)
		}
		t.Fatalf("recorded: %q, want %q", done(), want)
	}
	const what = " success Acme S1, 1-2"
	const added, gone, back = "security device_new" + what, "security device_disconnected" + what, "security device_connected" + what
	run := func(e *Engine) (look, stop func()) {
		reg := device.NewRegistry(e.log, e.DeviceChanged, finderFunc(find))
		e.Attach(reg)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- reg.Run(ctx) }()
		return reg.Look, func() {
			cancel()
			if err := <-ended; err != nil {
				t.Error(err)
			}
		}
	}
	look, stop := run(e)
	wait(added)
	here.Store(false)
	look()
	wait(gone, added)
	here.Store(true)
	look()
	wait(back, gone, added)
	stop()
	// The next process finds it where it was.
	_, stop = run(New(DefaultConfig(), 1, e.store, nil, nil, e.log))
	wait(back, back, gone, added)
	stop()
}
