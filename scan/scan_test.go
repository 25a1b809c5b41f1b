package scan

import (
	"compress/zlib"
	"errors"
	"io"
	"testing"

	"docscan/device"
	"docscan/store"
)

func TestPlaceAfter(t *testing.T) {
	page := func(seq, sheet int, back bool) store.Page { return store.Page{Seq: seq, Sheet: sheet, Back: back} }
	tests := []struct {
		name   string
		pages  []store.Page
		duplex bool
		want   place
	}{
		{"nothing yet", nil, true, place{}},
		{"whole sheets", []store.Page{page(1, 1, false), page(2, 1, true)}, true, place{pages: 2, sheets: 1}},
		{"half a sheet", []store.Page{page(1, 1, false), page(2, 1, true), page(3, 2, false)}, true, place{pages: 3, sheets: 1, redo: 3}},
		{"fronts only", []store.Page{page(1, 1, false), page(2, 2, false)}, false, place{pages: 2, sheets: 2}},
	}
	for _, tt := range tests {
		if got := placeAfter(tt.pages, tt.duplex); got != tt.want {
			t.Errorf("%s: %+v, want %+v", tt.name, got, tt.want)
		}
	}
}

func TestStanding(t *testing.T) {
	pages := []store.Page{{Seq: 1}, {Seq: 2}, {Seq: 3}, {Seq: 4, Supersedes: 3}, {Seq: 5}}
	got := standing(pages)
	if len(got) != 4 || got[2].Seq != 4 || len(pages) != 5 {
		t.Errorf("%+v, want all but page 3", got)
	}
}

// machine is a Scanner of which only the capabilities matter.
type machine struct {
	device.Scanner
	caps device.Caps
}

func (m machine) Info() device.Info { return device.Info{Model: "S1"} }
func (m machine) Caps() device.Caps { return m.caps }

func TestSettingsFor(t *testing.T) {
	both := device.Caps{Sources: []device.Source{device.Feeder, device.Platen}, Duplex: true}
	glass := device.Caps{Sources: []device.Source{device.Platen}}
	simplex := device.Caps{Sources: []device.Source{device.Feeder}}
	tests := []struct {
		name   string
		source string
		caps   device.Caps
		want   device.Source
		duplex bool
		err    error
	}{
		{"auto on an MFP", "auto", both, device.Feeder, true, nil},
		{"auto on a flatbed", "auto", glass, device.Platen, false, nil},
		{"both sides where it cannot", "feeder", simplex, device.Feeder, false, nil},
		{"the glass", "platen", both, device.Platen, false, nil},
		{"a feeder it lacks", "feeder", glass, "", false, ErrUnfit},
	}
	for _, tt := range tests {
		got, err := settingsFor(store.Profile{Source: tt.source, Duplex: true}, machine{caps: tt.caps})
		if !errors.Is(err, tt.err) || err == nil && (got.Source != tt.want || got.Duplex != tt.duplex) {
			t.Errorf("%s: %+v, %v", tt.name, got, err)
		}
	}
}

// Paper is asked for by its size, as far as the machine takes it.
func TestSettingsForPaper(t *testing.T) {
	tests := []struct {
		paper         string
		caps          device.Caps
		width, length int
		err           error
	}{
		{"", device.Caps{MaxWidth: 2592, MaxLength: 4200}, 0, 0, nil},
		{"a4", device.Caps{}, 2480, 3508, nil},
		{"a3", device.Caps{MaxWidth: 2592, MaxLength: 6600}, 2592, 4961, nil},
		{"napkin", device.Caps{}, 0, 0, ErrUnfit},
	}
	for _, tt := range tests {
		tt.caps.Sources = []device.Source{device.Feeder}
		got, err := settingsFor(store.Profile{Source: "feeder", Paper: tt.paper}, machine{caps: tt.caps})
		if !errors.Is(err, tt.err) || err == nil && (got.Width != tt.width || got.Length != tt.length) {
			t.Errorf("%q: %d by %d, %v, want %d by %d, %v", tt.paper, got.Width, got.Length, err, tt.width, tt.length, tt.err)
		}
	}
}

// Every fault a driver can report has its own words.
func TestEveryFaultHasWords(t *testing.T) {
	seen := make(map[string]device.FaultKind)
	for _, k := range []device.FaultKind{device.Jam, device.DoubleFeed, device.Mispick, device.Cover, device.NoPaper, device.PageLength,
		device.Stopped, device.Unplugged, device.Busy, device.HeldByOther, device.Warming, device.BadAnswer, device.Hardware,
		device.DiskFull, device.Interrupted, device.TooLarge, device.NoRights} {
		f := tellFault(k, 7)
		if f.What == "" || f.Advice == "" || f.Safe != "Pages 1-7 are safe." || f.Kind != string(k) {
			t.Errorf("%s: %+v", k, f)
		}
		if other, ok := seen[f.What]; ok {
			t.Errorf("%s and %s are told alike", k, other)
		}
		seen[f.What] = k
	}
	if f := tellFault("", 1); f.What == "" || f.Safe != "Page 1 is safe." {
		t.Errorf("an unknown fault: %+v", f)
	}
}

func TestEventsAreReplayed(t *testing.T) {
	e := &Engine{hub: newHub()}
	start := e.hub.last
	for _, id := range []string{"a", "b", "c"} {
		e.DeviceChanged(id)
	}
	read := func(s *Subscription, n int) (got string) {
		for range n {
			ev := <-s.C
			got += ev.Device
			if ev.Name == EventReset {
				got += "!"
			}
		}
		return got
	}
	for _, tt := range []struct {
		name  string
		after uint64
		n     int
		want  string
	}{
		{"all of them", start, 3, "abc"},
		{"the last", start + 2, 1, "c"},
		{"older than what is kept", start - 5, 1, "!"},
		{"from a time that never was", start + 99, 1, "!"},
	} {
		s := e.Subscribe(tt.after)
		if got := read(s, tt.n); got != tt.want || len(s.C) != 0 {
			t.Errorf("%s: %q and %d more, want %q", tt.name, got, len(s.C), tt.want)
		}
		s.Close()
	}
	s := e.Subscribe(0)
	e.DeviceChanged("d")
	if got := read(s, 1); got != "d" {
		t.Errorf("a new one: %q", got)
	}
	s.Close()
	s.Close()
	if _, ok := <-s.C; ok {
		t.Error("a closed subscription still gives events")
	}
}

// A subscriber that does not read must not hold up the others; it is cut off.
func TestSlowSubscriberIsCutOff(t *testing.T) {
	e := &Engine{hub: newHub()}
	s := e.Subscribe(0)
	for range 2 * keptEvents {
		e.DeviceChanged("x")
	}
	n := 0
	for range s.C {
		n++
	}
	if n != bufferedEvents {
		t.Errorf("%d events before it was cut off, want %d", n, bufferedEvents)
	}
	if len(e.hub.kept) > keptEvents {
		t.Errorf("%d events are kept, want at most %d", len(e.hub.kept), keptEvents)
	}
}

func TestQueue(t *testing.T) {
	q := newQueue()
	a, b := pageKey{"x", 1}, pageKey{"x", 2}
	q.add(a)
	q.add(b)
	q.add(a) // waits already
	if k, ok := q.next(); !ok || k != a {
		t.Errorf("first %v", k)
	}
	q.add(a) // is being worked on
	if !q.has(a) {
		t.Error("the page being worked on is not known")
	}
	if k, ok := q.next(); !ok || k != b {
		t.Errorf("second %v", k)
	}
	q.done(a)
	q.add(a)
	if k, ok := q.next(); !ok || k != a {
		t.Errorf("after done: %v", k)
	}
	got := make(chan bool)
	go func() {
		_, ok := q.next()
		got <- ok
	}()
	q.close()
	if <-got {
		t.Error("a closed queue gives a page")
	}
}

func TestPlaceholderIsAnImage(t *testing.T) {
	drawn := make(placeholders)
	const message = "This page cannot be shown: the image could not be opened. The file is kept."
	img, err := drawn.image(message)
	if err != nil {
		t.Fatal(err)
	}
	again, err := drawn.image(message)
	if err != nil || len(drawn) != 1 {
		t.Errorf("%d pictures of one message, %v", len(drawn), err)
	}
	if n, err := io.Copy(io.Discard, again.Data); err != nil || n != img.Size {
		t.Errorf("the second has %d bytes of %d, %v", n, img.Size, err)
	}
	z, err := zlib.NewReader(img.Data)
	if err != nil {
		t.Fatal(err)
	}
	pix, err := io.ReadAll(z)
	if err != nil || len(pix) != img.Width*img.Height {
		t.Fatalf("%d bytes, %v, want %d", len(pix), err, img.Width*img.Height)
	}
	dark := 0
	for _, p := range pix {
		if p < 128 {
			dark++
		}
	}
	if dark < 500 || dark > len(pix)/10 {
		t.Errorf("%d dark pixels: no text is drawn", dark)
	}
}
