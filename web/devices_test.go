package web

import (
	"context"
	"fmt"
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
	office := store.Group{ID: store.GroupID(store.NewID()), Name: "Office", Created: time.Now()}
	if err := s.Store.PutGroup(office); err != nil {
		t.Fatal(err)
	}
	mars := store.Group{ID: store.GroupID(store.NewID()), Name: "Mars", Created: time.Now()}
	if err := s.Store.PutGroup(mars); err != nil {
		t.Fatal(err)
	}
	letter := s.file(s.named("anna").ID, "Letter", "boiler")
	s.json("PUT", "/api/v1/preferences", admin, `{"language":"en","keys":true}`, 200, nil) // whatever the box speaks
	box := func() string {
		b, err := s.boxSettings()
		if err != nil {
			t.Fatal(err)
		}
		return b.Language
	}
	was := regexp.MustCompile(`name="was" value="([^"]*)"`)
	names := [2]string{"Theirs", "Mine"}
	for _, tt := range []struct {
		page, form   string
		mine, theirs url.Values
		typed        string // shows that what was typed is kept
		kept         func() string
		want         [2]string // of kept: theirs, then mine
	}{
		{
			"/profiles", "/profiles",
			url.Values{"id": {"standard"}, "name": {"Mine"}, "source": {"auto"}, "mode": {"gray"}, "resolution": {"300"}},
			url.Values{"id": {"standard"}, "name": {"Theirs"}, "source": {"auto"}, "mode": {"gray"}, "resolution": {"300"}},
			`value="Mine"`,
			func() string {
				p, err := s.Store.Profile("standard")
				if err != nil {
					t.Fatal(err)
				}
				return p.Name
			}, names,
		},
		{ben, ben, url.Values{"full_name": {"Mine"}}, url.Values{"full_name": {"Theirs"}}, `value="Mine"`, func() string { return s.named("ben").FullName }, names},
		{
			"/system", "/system/settings", url.Values{"language": {"de"}, "zone": {"Asia/Tokyo"}}, url.Values{"language": {"en"}, "zone": {"Europe/Berlin"}},
			`value="Asia/Tokyo"`, box, [2]string{"en", "de"},
		},
		{
			"/welcome/zone", "/welcome/zone", url.Values{"language": {"en"}, "zone": {"Asia/Tokyo"}}, url.Values{"language": {"de"}, "zone": {"Europe/Berlin"}},
			`value="Asia/Tokyo"`, box, [2]string{"de", "en"},
		},
		{
			"/account", "/account/preferences", url.Values{"language": {"en"}, "keys": {"1"}}, url.Values{"language": {"en"}},
			`name="keys" value="1" checked>`, func() string { return fmt.Sprint(s.prefers("anna").Keys) }, [2]string{"false", "true"},
		},
		{
			"/people", "/groups/" + string(office.ID), url.Values{"name": {"Mine"}}, url.Values{"name": {"Theirs"}}, `value="Mine"`, func() string {
				a := s.ask("GET", "/api/v1/groups/"+string(office.ID), admin, "")
				return s.read(a, "name")
			}, names,
		},
		{
			"/documents/" + string(letter.ID), "/documents/" + string(letter.ID) + "/share", url.Values{"group": {string(office.ID)}}, url.Values{"group": {string(mars.ID)}},
			`value="` + string(office.ID) + `" checked`, func() string {
				d, err := s.Store.Document(letter.ID)
				if err != nil {
					t.Fatal(err)
				}
				return fmt.Sprint(d.Groups)
			}, [2]string{fmt.Sprint([]store.GroupID{mars.ID}), fmt.Sprint([]store.GroupID{office.ID})},
		},
	} {
		state := func(body string) url.Values {
			_, of, _ := strings.Cut(body, `action="`+tt.form+`"`)
			m := was.FindStringSubmatch(of)
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
		if a.StatusCode != 412 || !strings.Contains(a.body, "Somebody else has changed this") || !strings.Contains(a.body, tt.typed) {
			t.Errorf("%s, the second: %s %s", tt.page, a.Status, a.body)
		}
		if got := tt.kept(); got != tt.want[0] {
			t.Errorf("%s: %q is kept, want %q, what was saved first", tt.page, got, tt.want[0])
		}
		if a := send(tt.mine, state(a.body)); a.StatusCode != 303 || tt.kept() != tt.want[1] {
			t.Errorf("%s, saved again: %s, %q is kept", tt.page, a.Status, tt.kept())
		}
	}
}

// prefers gives what somebody has chosen for the pages.
func (s *site) prefers(name string) preferencesView {
	s.t.Helper()
	p, err := s.preferences(s.named(name).ID)
	if err != nil {
		s.t.Fatal(err)
	}
	return p.view()
}

// What two can change answers with its state, and is changed and removed only from that.
func TestOneRuleForState(t *testing.T) {
	ops := operations()
	found := 0
	for key, op := range ops {
		path, ok := strings.CutPrefix(key, "GET ")
		if !ok || !op.tag {
			continue
		}
		found++
		for _, method := range []string{"PUT", "PATCH", "DELETE"} {
			if change, ok := ops[method+" "+path]; ok && !change.match {
				t.Errorf("%s %s does not want If-Match", method, path)
			}
		}
	}
	for key := range ops {
		method, path, _ := strings.Cut(key, " ")
		if read, ok := ops["GET "+path]; ok && (method == "PUT" || method == "PATCH") && !read.tag && path != uploadPath {
			t.Errorf("%s can be changed, and its state has no name", path)
		}
	}
	if found < 8 {
		t.Errorf("only %d things name their state", found)
	}
	s := newSite(t, nil)
	admin := s.user("anna", store.RoleAdmin)
	office := s.group(admin, "Office")
	d := s.file("", "Letter", "boiler")
	group, doc := "/api/v1/groups/"+string(office.ID), "/api/v1/documents/"+string(d.ID)
	for _, tt := range []struct{ read, method, path, body string }{
		{"/api/v1/system/settings", "PUT", "/api/v1/system/settings", `{"language":"de","zone":"Asia/Tokyo"}`},
		{"/api/v1/preferences", "PUT", "/api/v1/preferences", `{"language":"de","keys":false}`},
		{"/api/v1/searches", "PUT", "/api/v1/searches", `{"searches":[{"name":"a","query":"tag:tax"}]}`},
		{group, "PATCH", group, `{"name":"Back office"}`},
		{doc, "PUT", doc + "/groups", fmt.Sprintf(`{"groups":[%q]}`, office.ID)},
		{group, "DELETE", group, ""},
		{doc, "DELETE", doc + "?forever=1", ""},
	} {
		before := s.ask("GET", tt.read, admin, "").Header.Get("ETag")
		if before == "" {
			t.Errorf("%s does not name its state", tt.read)
		}
		if got := s.status(tt.method, tt.path, admin, tt.body); got != 428 {
			t.Errorf("%s %s without a state: %d, want 428", tt.method, tt.path, got)
		}
		if got := s.ask(tt.method, tt.path, admin, tt.body, "If-Match", `"another"`); got.StatusCode != 412 {
			t.Errorf("%s %s from another state: %s, want 412", tt.method, tt.path, got.Status)
		}
		got := s.ask(tt.method, tt.path, admin, tt.body, "If-Match", before)
		if got.StatusCode/100 != 2 {
			t.Errorf("%s %s: %s %s", tt.method, tt.path, got.Status, got.body)
		}
		if tt.method == "DELETE" {
			continue
		}
		if after := s.ask("GET", tt.read, admin, "").Header.Get("ETag"); after == before || after != got.Header.Get("ETag") {
			t.Errorf("%s: the state is named %s before and %s after, the answer says %s", tt.path, before, after, got.Header.Get("ETag"))
		}
	}
}
