package device

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// bus is a Finder whose machines come and go as the test says.
type bus struct {
	mu     sync.Mutex
	here   map[string]*machine
	fail   error
	opened int
}

func (b *bus) Find(context.Context) ([]Found, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	var list []Found
	for id, m := range b.here {
		list = append(list, Found{Info: Info{ID: id}, Open: func(context.Context) (Scanner, error) {
			b.mu.Lock()
			defer b.mu.Unlock()
			if m.openErr != nil {
				return nil, m.openErr
			}
			b.opened++
			m.closed = false
			return m, nil
		}})
	}
	return list, b.fail
}

func (b *bus) set(id string, m *machine) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if m == nil {
		delete(b.here, id)
	} else {
		b.here[id] = m
	}
}

// machine is the least a registry needs of a Scanner.
type machine struct {
	mu      sync.Mutex
	status  Status
	err     error
	openErr error
	closed  bool
	asked   int
}

func (m *machine) Info() Info { return Info{ID: "one", Make: "Acme", Model: "S1"} }
func (m *machine) Caps() Caps { return Caps{Sources: []Source{Feeder}} }
func (m *machine) Status(context.Context) (Status, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.asked++
	return m.status, m.err
}
func (m *machine) Start(context.Context, Settings) (Run, error) { return nil, ErrUnsupported }
func (m *machine) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed = true
	return nil
}

func (m *machine) set(s Status, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.status, m.err = s, err
}

// watch runs a registry over b and returns it; it ends with the test.
func watch(t *testing.T, b *bus) *Registry {
	t.Helper()
	r := NewRegistry(slog.New(slog.NewTextHandler(io.Discard, nil)), func(string) {}, b)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- r.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	synctest.Wait()
	return r
}

func round() {
	time.Sleep(findEvery) // of the bubble's clock
	synctest.Wait()
}

func state(t *testing.T, r *Registry) Status {
	t.Helper()
	d, err := r.Device("one")
	if err != nil {
		t.Fatal(err)
	}
	return d.Status
}

func TestRegistryFollowsTheMachine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &machine{status: Status{State: Ready, Loaded: true}}
		b := &bus{here: map[string]*machine{}}
		r := watch(t, b)
		if _, err := r.Device("one"); !errors.Is(err, ErrUnknown) {
			t.Errorf("before it came: %v, want ErrUnknown", err)
		}
		b.set("one", m)
		round()
		if got := state(t, r); got != m.status {
			t.Errorf("after it came: %+v, want %+v", got, m.status)
		}
		m.set(Status{State: CoverOpen, Fault: Cover}, nil)
		round()
		if got := state(t, r).State; got != CoverOpen {
			t.Errorf("with the cover open: %v", got)
		}
		b.set("one", nil)
		round()
		if got := state(t, r).State; got != Gone || !m.closed {
			t.Errorf("unplugged: %v, closed %v, want gone and closed", got, m.closed)
		}
		m.set(Status{State: Ready}, nil)
		b.set("one", m)
		round()
		if got := state(t, r).State; got != Ready || b.opened != 2 {
			t.Errorf("plugged in again: %v after %d opens, want ready after 2", got, b.opened)
		}
	})
}

func TestRegistryLendsToOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &machine{status: Status{State: Ready}}
		b := &bus{here: map[string]*machine{"one": m}}
		r := watch(t, b)
		_, release, err := r.Acquire("one")
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := r.Acquire("one"); KindOf(err) != Busy {
			t.Errorf("second Acquire: %v, want a Busy fault", err)
		}
		before := m.asked
		b.set("one", nil)
		round()
		if m.asked != before || m.closed {
			t.Errorf("a lent machine was asked or closed")
		}
		if got := state(t, r).State; got != Scanning {
			t.Errorf("lent: %v, want scanning", got)
		}
		release()
		synctest.Wait()
		if got := state(t, r).State; got != Gone || !m.closed {
			t.Errorf("given back after an unplug: %v, want gone", got)
		}
		if _, _, err := r.Acquire("one"); KindOf(err) != Unplugged {
			t.Errorf("Acquire of a gone machine: %v, want Unplugged", err)
		}
	})
}

// A finder that fails must not make machines disappear.
func TestRegistryKeepsMachinesWhenFindingFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &machine{status: Status{State: Ready}}
		b := &bus{here: map[string]*machine{"one": m}}
		r := watch(t, b)
		b.mu.Lock()
		b.fail = errors.New("the bus is upset")
		delete(b.here, "one")
		b.mu.Unlock()
		round()
		if got := state(t, r).State; got != Ready {
			t.Errorf("%v, want ready", got)
		}
	})
}

func TestRegistryTellsWhyOpeningFails(t *testing.T) {
	tests := []struct {
		err  error
		want Status
	}{
		{Faultf(HeldByOther, "claimed"), Status{State: InUse, Fault: HeldByOther}},
		{Faultf(BadAnswer, "not XML"), Status{State: Faulty, Fault: BadAnswer}},
		{Faultf(Unplugged, "no device"), Status{State: Gone}},
		{errors.New("no route"), Status{State: Gone}},
	}
	for _, tt := range tests {
		synctest.Test(t, func(t *testing.T) {
			b := &bus{here: map[string]*machine{"one": {openErr: tt.err}}}
			r := watch(t, b)
			if got := state(t, r); got != tt.want {
				t.Errorf("%v: %+v, want %+v", tt.err, got, tt.want)
			}
		})
	}
}

// A machine that stops answering with Unplugged is opened anew when it is back.
func TestRegistryReopensAfterUnplugged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &machine{status: Status{State: Ready}}
		b := &bus{here: map[string]*machine{"one": m}}
		r := watch(t, b)
		m.set(Status{}, Faultf(Unplugged, "no answer"))
		round()
		if got := state(t, r).State; got != Gone {
			t.Errorf("%v, want gone", got)
		}
		m.set(Status{State: Ready}, nil)
		round()
		if got := state(t, r).State; got != Ready {
			t.Errorf("%v, want ready again", got)
		}
	})
}
