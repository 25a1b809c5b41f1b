package device

import (
	"cmp"
	"context"
	"errors"
	"io"
	"log/slog"
	"slices"
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
		{Faultf(NoRights, "mode 0600"), Status{State: Faulty, Fault: NoRights}},
		{Faultf(Warming, "503"), Status{State: WarmingUp}},
	}
	for _, tt := range tests {
		synctest.Test(t, func(t *testing.T) {
			b := &bus{here: map[string]*machine{"one": {openErr: tt.err}}}
			r := watch(t, b)
			if got := state(t, r); got != tt.want {
				t.Errorf("%v: %+v, want %+v", tt.err, got, tt.want)
			}
			// Who wants to scan is told the same.
			want := cmp.Or(KindOf(tt.err), Unplugged)
			if _, _, err := r.Acquire("one"); KindOf(err) != want {
				t.Errorf("Acquire: %v, want %s", err, want)
			}
		})
	}
}

// What a machine answers with when it is asked how it is says how it is.
func TestRegistryTellsWhyAsking(t *testing.T) {
	tests := []struct {
		err  error
		want Status
	}{
		{Faultf(HeldByOther, "NAK"), Status{State: InUse, Fault: HeldByOther}},
		{Faultf(Warming, "busy"), Status{State: WarmingUp}},
		{Faultf(Cover, "open"), Status{State: CoverOpen, Fault: Cover}},
		{Faultf(NoPaper, "none"), Status{State: Empty}},
		{Faultf(Hardware, "fuse"), Status{State: Faulty, Fault: Hardware}},
		{errors.New("no idea"), Status{State: Faulty, Fault: BadAnswer}},
	}
	for _, tt := range tests {
		synctest.Test(t, func(t *testing.T) {
			m := &machine{status: Status{State: Ready}}
			r := watch(t, &bus{here: map[string]*machine{"one": m}})
			m.set(Status{}, tt.err)
			round()
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

// hanging is a machine that does not answer until the caller's time is over.
type hanging struct {
	machine
	asked chan struct{} // closed at the first question
	once  sync.Once
}

func (h *hanging) Status(ctx context.Context) (Status, error) {
	h.once.Do(func() { close(h.asked) })
	<-ctx.Done()
	return Status{}, Faultf(BadAnswer, "no answer")
}

// A machine that hangs while it is opened, or while it is asked, neither hides what
// happens to the others nor keeps one waiting that has just been plugged in.
func TestRegistryDoesNotWaitForTheSlow(t *testing.T) {
	for _, opens := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			slow := &hanging{machine: machine{status: Status{State: Ready}}, asked: make(chan struct{})}
			others := &bus{here: map[string]*machine{"one": {status: Status{State: Ready}}}}
			find := finderFunc(func(ctx context.Context) ([]Found, error) {
				list, err := others.Find(ctx)
				return append(list, Found{Info: Info{ID: "slow"}, Open: func(ctx context.Context) (Scanner, error) {
					if opens {
						return slow, nil
					}
					_, err := slow.Status(ctx)
					return nil, err
				}}), err
			})
			r := NewRegistry(slog.New(slog.DiscardHandler), func(string) {}, find)
			ctx, stop := context.WithCancel(t.Context())
			ended := make(chan error, 1)
			go func() { ended <- r.Run(ctx) }()
			<-slow.asked
			began := time.Now()
			others.here["one"].set(Status{State: CoverOpen, Fault: Cover}, nil)
			others.set("new", &machine{status: Status{State: Ready}})
			round()
			if got := state(t, r).State; got != CoverOpen {
				t.Errorf("the other machine is shown as %s, %v after its cover was opened", got, time.Since(began))
			}
			if d, err := r.Device("new"); err != nil || d.Status.State != Ready {
				t.Errorf("the new machine is %v, %v, %v after it was plugged in", d.Status.State, err, time.Since(began))
			}
			stop()
			if err := <-ended; err != nil {
				t.Error(err)
			}
		})
	}
}

// buttoned is a machine with buttons of its own.
type buttoned struct {
	machine
	down   []string
	loaded bool
	looks  int
	fail   error
}

func (b *buttoned) Buttons(context.Context) (ButtonState, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.looks++
	return ButtonState{Down: b.down, Loaded: b.loaded}, b.fail
}

func (b *buttoned) looked() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.looks
}

func (b *buttoned) hold(names ...string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.down = names
}

// A machine's own buttons become presses, but not what is held while it comes or
// while it scans.
func TestOwnButtons(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &buttoned{machine: machine{status: Status{State: Ready, Loaded: true}}, loaded: true}
		find := finderFunc(func(context.Context) ([]Found, error) {
			return []Found{{Info: Info{ID: "one"}, Open: func(context.Context) (Scanner, error) { return m, nil }}}, nil
		})
		var mu sync.Mutex
		var got []Press
		r := NewRegistry(slog.New(slog.DiscardHandler), func(string) {}, find)
		r.OnPress(func(p Press) {
			mu.Lock()
			defer mu.Unlock()
			got = append(got, p)
		})
		r.Choose("one", Choice{Name: "Front desk", Timing: Timing{Long: time.Second}})
		m.hold("scan") // while it is plugged in
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- r.Run(ctx) }()
		press := func(d time.Duration, names ...string) {
			time.Sleep(500 * time.Millisecond)
			m.hold(names...)
			time.Sleep(d)
			m.hold()
			time.Sleep(500 * time.Millisecond)
		}
		want := func(what string, presses ...Press) {
			t.Helper()
			mu.Lock()
			defer mu.Unlock()
			if !slices.Equal(got, presses) {
				t.Errorf("%s: presses %v, want %v", what, got, presses)
			}
			got = nil
		}
		press(100*time.Millisecond, "scan")
		want("held since before it came") // the first press only lets go
		press(200*time.Millisecond, "scan")
		want("short", Press{"one", "scan", Short})
		press(2*time.Second, "email")
		want("long", Press{"one", "email", Long})
		_, release, err := r.Acquire("one")
		if err != nil {
			t.Fatal(err)
		}
		looks := m.looked()
		press(200*time.Millisecond, "scan")
		m.hold("scan")
		release()
		if n := m.looked() - looks; n > 1 {
			t.Errorf("a lent machine was asked %d times", n)
		}
		press(0)
		want("while it scans")
		d, err := r.Device("one")
		if err != nil || d.Name != "Front desk" {
			t.Errorf("it is called %q, %v, want the name that was chosen", d.Name, err)
		}
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// A machine that does not tell its buttons is asked seldom, and tells again when
// it can.
func TestButtonsThatFail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &buttoned{fail: errors.New("no answer")}
		find := finderFunc(func(context.Context) ([]Found, error) {
			return []Found{{Info: Info{ID: "one"}, Open: func(context.Context) (Scanner, error) { return m, nil }}}, nil
		})
		presses := make(chan Press, 10)
		r := NewRegistry(slog.New(slog.DiscardHandler), func(string) {}, find)
		r.OnPress(func(p Press) { presses <- p })
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- r.Run(ctx) }()
		time.Sleep(20 * time.Second)
		if n := m.looked(); n > 12 {
			t.Errorf("asked %d times in 20 s", n)
		}
		m.mu.Lock()
		m.fail = nil
		m.mu.Unlock()
		time.Sleep(3 * time.Second)
		m.hold("scan")
		if p := <-presses; p.Button != "scan" {
			t.Errorf("the press is %v", p)
		}
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// A machine is asked often while somebody may be about to press, and less often
// when its paper has lain there for long or when it has none.
func TestHowOftenButtonsAreAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &buttoned{machine: machine{status: Status{State: Ready, Loaded: true}}, loaded: true}
		find := finderFunc(func(context.Context) ([]Found, error) {
			return []Found{{Info: Info{ID: "one"}, Open: func(context.Context) (Scanner, error) { return m, nil }}}, nil
		})
		r := NewRegistry(slog.New(slog.DiscardHandler), func(string) {}, find)
		r.OnPress(func(Press) {})
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- r.Run(ctx) }()
		paper := func(in bool) {
			m.mu.Lock()
			defer m.mu.Unlock()
			m.loaded = in
		}
		for _, step := range []struct {
			name string
			do   func()
			wait time.Duration // before it is counted
			want int           // looks in 30 s
		}{
			{"paper was put in", func() {}, 0, 300},
			{"it lies there", func() {}, restedAfter, 200},
			{"a press", func() { m.hold("scan"); time.Sleep(time.Second); m.hold() }, 0, 300},
			{"no paper", func() { paper(false) }, time.Second, 120},
			{"paper again", func() { paper(true) }, time.Second, 300},
		} {
			step.do()
			time.Sleep(step.wait)
			synctest.Wait()
			before := m.looked()
			time.Sleep(30 * time.Second)
			synctest.Wait()
			if n := m.looked() - before; n < step.want-3 || n > step.want+3 {
				t.Errorf("%s: asked %d times in 30 s, want %d", step.name, n, step.want)
			}
		}
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// finderFunc is a Finder made of its one method.
type finderFunc func(context.Context) ([]Found, error)

func (f finderFunc) Find(ctx context.Context) ([]Found, error) { return f(ctx) }
