package web

import (
	"context"
	"html"
	"io"
	"log/slog"
	"maps"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"docscan/device"
	"docscan/store"
)

// posed is a machine that is as it was told to be.
type posed struct {
	info device.Info
	is   device.Status
	err  error // of opening it
}

func (p posed) Info() device.Info                                          { return p.info }
func (p posed) Caps() device.Caps                                          { return device.Caps{Sources: []device.Source{device.Feeder}} }
func (p posed) Status(context.Context) (device.Status, error)              { return p.is, nil }
func (p posed) Start(context.Context, device.Settings) (device.Run, error) { return nil, io.EOF }
func (p posed) Close() error                                               { return nil }

// row is a finder of such machines.
type row []posed

func (r row) Find(context.Context) ([]device.Found, error) {
	var list []device.Found
	for _, p := range r {
		list = append(list, device.Found{Info: p.info, Open: func(context.Context) (device.Scanner, error) { return p, p.err }})
	}
	return list, nil
}

// Every state a scanner can be in is told in words on the pages, with what to do
// where somebody has to.
func TestEveryState(t *testing.T) {
	tests := []struct {
		is   device.Status
		err  error
		want string
		do   string // part of the advice
	}{
		{is: device.Status{State: device.Ready}, want: "Ready"},
		{is: device.Status{State: device.Ready, Loaded: true}, want: "Ready, paper loaded"},
		{is: device.Status{State: device.Empty}, want: "Ready, feeder empty"},
		{is: device.Status{State: device.Scanning}, want: "Scanning"},
		{is: device.Status{State: device.Asleep}, want: "Asleep"},
		{is: device.Status{State: device.WarmingUp}, want: "Warming up"},
		{is: device.Status{State: device.CoverOpen, Fault: device.Cover}, want: "Cover open", do: "Close the cover"},
		{is: device.Status{State: device.Faulty, Fault: device.Jam}, want: "Needs attention", do: "take out the sheet"},
		{err: device.Faultf(device.HeldByOther, "busy"), want: "In use by another program", do: "End the other scan"},
		{err: device.Faultf(device.NoRights, "mode"), want: "Needs attention", do: "docscand check"},
		{err: device.Faultf(device.Unplugged, "away"), want: "Not connected"},
	}
	s := newSite(t, nil)
	token := s.user("anna", store.RoleAdmin)
	var machines row
	for i, tt := range tests {
		name := string(rune('a' + i))
		machines = append(machines, posed{device.Info{ID: name, Model: "Model " + name}, tt.is, tt.err})
	}
	s.Registry = device.NewRegistry(slog.New(slog.DiscardHandler), func(string) {}, machines)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Registry.Run(ctx) }()
	defer func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}()
	// All have been opened, or tried, when each is in its state.
	settled := func() bool {
		list := s.Registry.Devices()
		for i, d := range list {
			if tests[i].err == nil && d.Status != tests[i].is || device.KindOf(tests[i].err) != device.Unplugged && d.Status.State == device.Gone {
				return false
			}
		}
		return len(list) == len(tests)
	}
	for !settled() {
		time.Sleep(5 * time.Millisecond)
		if ctx.Err() != nil {
			t.Fatal("the scanners did not settle")
		}
	}
	for _, page := range []string{"/live", "/devices"} {
		body := html.UnescapeString(s.ask("GET", page, token, "").body)
		for i, tt := range tests {
			_, of, ok := strings.Cut(body, machines[i].info.Model)
			if i+1 < len(tests) {
				of, _, _ = strings.Cut(of, machines[i+1].info.Model)
			}
			if !ok || !strings.Contains(of, tt.want) || !strings.Contains(of, tt.do) {
				t.Errorf("%s does not say %q and %q of %+v %v: %.300s", page, tt.want, tt.do, tt.is, tt.err, of)
			}
		}
	}
}

// Two administrators fill in the same form: the second is told, keeps what was
// typed, and overwrites only when saying so again.
func TestFormsOfTwo(t *testing.T) {
	s := newSite(t, nil)
	admin := s.user("anna", store.RoleAdmin)
	s.user("ben", store.RoleMember)
	ben := "/people/" + string(s.named("ben").ID)
	was := regexp.MustCompile(`name="was" value="([^"]*)"`)
	for _, tt := range []struct {
		page, form   string
		mine, theirs url.Values
		kept         func() string
	}{
		{
			"/profiles", "/profiles",
			url.Values{"id": {"standard"}, "name": {"Mine"}, "source": {"auto"}, "mode": {"gray"}, "resolution": {"300"}},
			url.Values{"id": {"standard"}, "name": {"Theirs"}, "source": {"auto"}, "mode": {"gray"}, "resolution": {"300"}},
			func() string {
				p, err := s.Store.Profile("standard")
				if err != nil {
					t.Fatal(err)
				}
				return p.Name
			},
		},
		{ben, ben, url.Values{"full_name": {"Mine"}}, url.Values{"full_name": {"Theirs"}}, func() string { return s.named("ben").FullName }},
	} {
		state := func(body string) url.Values {
			m := was.FindStringSubmatch(body)
			if m == nil {
				t.Fatalf("%s does not say which state it shows: %s", tt.page, body)
			}
			return url.Values{"was": {html.UnescapeString(m[1])}}
		}
		seen := state(s.ask("GET", tt.page, admin, "").body)
		send := func(v, was url.Values) answer {
			v = maps.Clone(v)
			maps.Copy(v, was)
			return s.form(tt.form, admin, v)
		}
		if a := send(tt.theirs, seen); a.StatusCode != 303 {
			t.Fatalf("%s, the first: %s %s", tt.page, a.Status, a.body)
		}
		a := send(tt.mine, seen)
		if a.StatusCode != 412 || !strings.Contains(a.body, "Somebody else has changed this") || !strings.Contains(a.body, `value="Mine"`) {
			t.Errorf("%s, the second: %s %s", tt.page, a.Status, a.body)
		}
		if got := tt.kept(); got != "Theirs" {
			t.Errorf("%s: %q is kept, want what was saved first", tt.page, got)
		}
		if a := send(tt.mine, state(a.body)); a.StatusCode != 303 || tt.kept() != "Mine" {
			t.Errorf("%s, saved again: %s, %q is kept", tt.page, a.Status, tt.kept())
		}
	}
}
