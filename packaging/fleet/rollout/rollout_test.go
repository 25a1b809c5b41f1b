package rollout

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"docscan/packaging/fleet/inventory"
)

func share(t *testing.T, s string) Share {
	t.Helper()
	v, err := ParseShare(s)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestWaves(t *testing.T) {
	tests := []struct {
		boxes, canary int
		waves         string
		want          []int // where each ends
	}{
		{1000, 5, "5%,25%,100%", []int{5, 50, 250, 1000}},
		{1000, 0, "100%", []int{1000}},
		{3, 1, "5%,25%,100%", []int{1, 3}},
		{10, 20, "50%", []int{10}},
		{10, 2, "3,4", []int{2, 3, 4, 10}}, // nobody is left out
		{7, 1, "50%,100%", []int{1, 4, 7}},
	}
	for _, tt := range tests {
		o := Defaults()
		o.Canary, o.Waves = tt.canary, nil
		for w := range strings.SplitSeq(tt.waves, ",") {
			o.Waves = append(o.Waves, share(t, w))
		}
		if got := ends(tt.boxes, o); !slices.Equal(got, tt.want) {
			t.Errorf("%d boxes, %d first, then %s: %v, want %v", tt.boxes, tt.canary, tt.waves, got, tt.want)
		}
	}
	for _, bad := range []string{"", "x", "-1", "101%", "NaN%", "5 %%"} {
		if s, err := ParseShare(bad); err == nil {
			t.Errorf("%q is %v", bad, s)
		}
	}
	if got := share(t, "29%").of(100); got != 29 {
		t.Errorf("29%% of 100 is %d", got)
	}
	o := Defaults()
	o.Waves = []Share{{Percent: 25}, {Percent: 5}}
	if o.Check() == nil {
		t.Error("a wave may end before the one before it")
	}
}

func TestWindow(t *testing.T) {
	at := func(s string) time.Time {
		v, err := time.Parse("15:04", s)
		if err != nil {
			t.Fatal(err)
		}
		return v.AddDate(2026, 0, 0)
	}
	tests := []struct {
		window, now string
		want        time.Duration
	}{
		{"", "12:00", 0},
		{"20:00-05:00", "19:00", time.Hour},
		{"20:00-05:00", "20:00", 0},
		{"20:00-05:00", "04:59", 0},
		{"20:00-05:00", "05:00", 15 * time.Hour},
		{"09:00-17:00", "08:00", time.Hour},
		{"09:00-17:00", "17:00", 16 * time.Hour},
	}
	for _, tt := range tests {
		w, err := ParseWindow(tt.window)
		if got := w.wait(at(tt.now)); err != nil || got != tt.want {
			t.Errorf("%s at %s: %v, %v; want %v", tt.window, tt.now, got, err, tt.want)
		}
	}
	for _, bad := range []string{"20:00", "25:00-01:00", "05:00-05:00", "a-b"} {
		if _, err := ParseWindow(bad); err == nil {
			t.Errorf("%q is a window", bad)
		}
	}
}

// sum is a digest that begins with that letter.
func sum(letter string) string { return strings.Repeat(letter, 64) }

func testPlan(t *testing.T, boxes int) *Plan {
	t.Helper()
	var hosts []inventory.Host
	for i := range boxes {
		hosts = append(hosts, inventory.Host{Name: fmt.Sprintf("box-%d", i+1)})
	}
	bundles := []Bundle{
		{File: "full", SHA256: sum("1"), Size: 100, Version: "2.0.0", Architecture: "arm64", Digest: sum("a")},
		{File: "delta", SHA256: sum("2"), Size: 10, Version: "2.0.0", Architecture: "arm64", Digest: sum("a"), Base: sum("b")},
		{File: "other", SHA256: sum("3"), Size: 100, Version: "2.0.0", Architecture: "amd64", Digest: sum("c")},
	}
	p, err := NewPlan(bundles, hosts, Defaults(), "anna", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestBundleFor(t *testing.T) {
	p := testPlan(t, 1)
	tests := []struct {
		arch, has string
		whole     bool
		want      string
	}{
		{"arm64", sum("b"), false, "delta"},
		{"arm64", sum("b"), true, "full"},
		{"arm64", sum("x"), false, "full"},
		{"arm64", "", false, "full"},
		{"amd64", sum("b"), false, "other"},
	}
	for _, tt := range tests {
		if b, err := p.bundleFor(tt.arch, tt.has, tt.whole); err != nil || b.File != tt.want {
			t.Errorf("%s with %.4s, whole %t: %s, %v; want %s", tt.arch, tt.has, tt.whole, b.File, err, tt.want)
		}
	}
	if _, err := p.bundleFor("arm", "", false); err == nil {
		t.Error("there is a file for another kind of machine")
	}
	for name, change := range map[string]func([]Bundle){
		"two versions":       func(b []Bundle) { b[1].Version = "2.0.1" },
		"two of one version": func(b []Bundle) { b[1].Digest = sum("d") },
		"only a delta":       func(b []Bundle) { b[0].Base = sum("e") },
	} {
		bundles := slices.Clone(p.Bundles)
		change(bundles)
		if _, err := NewPlan(bundles, p.Boxes, Defaults(), "anna", time.Now()); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// A rollout goes on where it was, also after a crash in the middle of a line, and
// only one at a time works with it.
func TestFile(t *testing.T) {
	name := filepath.Join(t.TempDir(), "r")
	r, err := Create(name, testPlan(t, 3), "anna@laptop")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Open(name, "ben"); !errors.Is(err, ErrTaken) || !strings.Contains(err.Error(), "anna@laptop") {
		t.Errorf("a second one opens it: %v", err)
	}
	for _, e := range []Event{
		{Box: "box-1", State: Installing, From: "1.0.0", Before: &mark{State: "committed"}, Delta: true},
		{Box: "box-1", Sent: 5, Asked: true},
		{Box: "box-1", State: Committed, Sent: 7},
		{Box: "box-2", State: OffLine, Kind: KindOff, Text: "no answer"},
		{Doing: WaveBegun, Wave: 1},
		{Doing: Halted, Text: "too many"},
	} {
		if err := r.put(e); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(name, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString(`{"t":"2026-01-01T00:00:00Z","box":"box-3","sta`); err != nil {
		t.Fatal(err)
	}
	f.Close()
	if _, err := Create(name, testPlan(t, 3), "ben"); !errors.Is(err, ErrThere) {
		t.Errorf("made again: %v", err)
	}
	if r, err = Open(name, "ben"); err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	b := r.box("box-1")
	if b.State != Committed || b.Sent != 12 || b.From != "1.0.0" || !b.Changed || !b.Delta || b.before != nil || b.asked != 1 {
		t.Errorf("box-1: %+v", b)
	}
	if b := r.box("box-2"); b.State != OffLine || b.Text != "no answer" || b.Changed {
		t.Errorf("box-2: %+v", b)
	}
	if r.Halt() != "too many" || r.begun != 1 || r.passed != 0 || r.Opened() != "ben" {
		t.Errorf("halted %q, begun %d, passed %d, opened by %s", r.Halt(), r.begun, r.passed, r.Opened())
	}
	if err := r.put(Event{Box: "box-3", State: Failed}); err != nil {
		t.Fatal(err)
	}
	again, err := Read(name)
	if err != nil || again.box("box-3").State != Failed {
		t.Errorf("what follows a line that was cut short is lost: %v", err)
	}
}

// The report says of every box what the rollout knows, and fits a page.
func TestReport(t *testing.T) {
	name := filepath.Join(t.TempDir(), "r")
	r, err := Create(name, testPlan(t, 4), "anna")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for _, e := range []Event{
		{Box: "box-1", State: Updated, Sent: 5 << 20},
		{Box: "box-2", State: Failed, Kind: "no-room", Text: "<b>full</b>"},
		{Box: "box-3", State: Failed, Kind: "no-room", Text: "full too", Drift: -90},
	} {
		if err := r.put(e); err != nil {
			t.Fatal(err)
		}
	}
	names, err := r.WriteReport()
	if err != nil || len(names) != 2 {
		t.Fatalf("%q, %v", names, err)
	}
	page, err := os.ReadFile(names[0])
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"<b>1</b>updated", "<b>2</b>failed", "&lt;b&gt;full", "-90 s off", "5120 KiB", "box-4"} {
		if !bytes.Contains(page, []byte(want)) {
			t.Errorf("the page lacks %q", want)
		}
	}
	text, err := os.ReadFile(names[1])
	if err != nil {
		t.Fatal(err)
	}
	var p Report
	if err := json.Unmarshal(text, &p); err != nil || p.Counts[Failed] != 2 || len(p.Reasons) != 1 || len(p.Reasons[0].Boxes) != 2 || p.Boxes[2].Drift != -90 {
		t.Errorf("%+v, %v", p, err)
	}
}

// A rollout may have been carried around, so any bytes may be in its file.
func FuzzRead(f *testing.F) {
	p, err := NewPlan([]Bundle{{Version: "1.0.0", Architecture: "arm", Digest: sum("a")}}, []inventory.Host{{Name: "a"}, {Name: "b"}}, Defaults(), "anna", time.Unix(1e9, 0))
	if err != nil {
		f.Fatal(err)
	}
	line, err := json.Marshal(p)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(append(line, "\n{\"box\":\"a\",\"state\":\"failed\"}\n{\"doing\":\"passed\",\"wave\":99}\n{\"box\":\"x\""...))
	f.Add([]byte("{\"rollout\":1}\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		r := &Rollout{name: "r"}
		if _, err := r.replay(bytes.NewReader(data)); err != nil {
			return
		}
		if p := r.Report(); len(p.Boxes) != len(r.Plan.Boxes) {
			t.Errorf("%d boxes in the report, %d in the plan", len(p.Boxes), len(r.Plan.Boxes))
		}
	})
}
