package sane

import (
	"errors"
	"fmt"
	"image"
	"image/color"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"docscan/device"
)

// oddLibrary builds the library of testdata/odd.c.
func oddLibrary(t testing.TB) string {
	t.Helper()
	lib := filepath.Join(t.TempDir(), "odd.so")
	out, err := exec.CommandContext(t.Context(), "cc", "-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-o", lib, "testdata/odd.c").CombinedOutput()
	if err != nil {
		t.Fatalf("build the odd library: %v\n%s", err, out)
	}
	return lib
}

// newOddRig makes a Finder of the odd library, whose backends are the lines of
// its dll.conf.
func newOddRig(t testing.TB, backends string, change func(*Config)) *rig {
	t.Helper()
	lib := oddLibrary(t)
	dir := settings(t, map[string]string{"dll.conf": backends})
	r := newRigWith(t, lib, dir, change)
	r.launcher.flags.readable = append(r.launcher.flags.readable, filepath.Dir(lib))
	return r
}

// odd opens a device by its name, which it need not be found by.
func (r *rig) odd(t testing.TB, name string) (device.Scanner, error) {
	t.Helper()
	d := listed{Name: name, Vendor: "Odd", Model: "Scanner", Kind: "virtual device"}
	s, err := r.open(t.Context(), entry{listed: d, info: infoOf(d, nil)})
	if err == nil {
		t.Cleanup(func() { s.Close() })
	}
	return s, err
}

func TestOddOptions(t *testing.T) {
	r := newOddRig(t, "odd\n", nil)
	s, err := r.odd(t, "odd:sheets")
	if err != nil {
		t.Fatal(err)
	}
	want := device.Caps{
		Sources: []device.Source{device.Platen, device.Feeder}, Duplex: true,
		Modes:       []device.ColorMode{device.LineArt, device.Gray, device.Color},
		Resolutions: []int{100, 150, 300, 600},
		MaxWidth:    2539, MaxLength: 2539, // 215 mm
	}
	if got := s.Caps(); !reflect.DeepEqual(got, want) {
		t.Errorf("caps %+v, want %+v", got, want)
	}
	set := device.Settings{Source: device.Feeder, Duplex: true, Mode: device.Gray, Resolution: 200, Width: 600, Length: 900}
	run, err := s.Start(t.Context(), set)
	if err != nil {
		t.Fatal(err)
	}
	got := make(map[string]any)
	for _, o := range s.(withButtons).opts {
		switch o.Name {
		case "source", "mode":
			got[o.Name] = o.Value.Text
		case "resolution", "br-x", "br-y", "tl-x", "tl-y":
			got[o.Name] = int(o.number(o.Value.Word) + 0.5)
		}
	}
	wantSet := map[string]any{
		"source": "ADF Duplex", "mode": "True Gray", "resolution": 150, "tl-x": 0, "tl-y": 0, "br-x": 51, "br-y": 76,
	}
	if !reflect.DeepEqual(got, wantSet) {
		t.Errorf("options %v, want %v", got, wantSet)
	}
	var order []string
	for {
		side, err := run.Next(t.Context())
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		place := "front"
		if side.Back {
			place = "back"
		}
		order = append(order, place)
		if side.Sheet != (len(order)+1)/2 || side.Resolution != 150 {
			t.Errorf("side %d is of sheet %d at %d dpi", len(order), side.Sheet, side.Resolution)
		}
		img := decoded(t, side)
		if got, want := img.At(3, 3), (color.Gray{uint8(len(order))}); got != want || img.Bounds() != image.Rect(0, 0, 20, 10) {
			t.Errorf("side %d: pixel %v, want %v; size %v", len(order), got, want, img.Bounds())
		}
	}
	if want := []string{"front", "back", "front", "back", "front", "back"}; !slices.Equal(order, want) {
		t.Errorf("sides %v, want %v", order, want)
	}
	if err := run.Close(); err != nil {
		t.Error(err)
	}
	for _, section := range s.(device.Diagnoser).Diagnose(t.Context()) {
		if section.Title == "SANE options" && !strings.Contains(section.Text, `source: kind 3`) {
			t.Errorf("diagnosis: %s", section.Text)
		}
	}
}

// Whatever a backend does at whatever call, it is a fault of that one device.
func TestMisbehaviour(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string // of the device, and what it does
		set  device.Settings
		want device.FaultKind
		says string
	}{
		{"odd:busy", allPages, device.HeldByOther, "DEVICE_BUSY"},
		{"odd:hang-open", allPages, device.Hardware, "said nothing for 2s"},
		{"odd:crash-open", allPages, device.Hardware, "SIGSEGV"},
		{"odd:exit-open", allPages, device.Hardware, "exit status 3: "},
		{"odd:hang-control", allPages, device.Hardware, "said nothing for 2s"},
		{"odd:crash-control", allPages, device.Hardware, "SIGSEGV"},
		{"odd:hang-start", allPages, device.Hardware, "said nothing for 2s"},
		{"odd:crash-start", allPages, device.Hardware, "SIGSEGV"},
		{"odd:exit-start", allPages, device.Hardware, "exit status 3: "},
		{"odd:hang-read", allPages, device.Hardware, "said nothing for 2s"},
		{"odd:crash-read", allPages, device.Hardware, "SIGSEGV"},
		{"odd:silent-read", allPages, device.Hardware, "no bytes for 2s"},
		{"odd:too-much-read", allPages, device.BadAnswer, "INVAL"},
		{"odd:long-read", allPages, device.BadAnswer, "more lines than announced"},
		{"odd:nonsense", allPages, device.Hardware, "makes no sense"},
		{"odd:no-sheets", allPages, device.NoPaper, "NO_DOCS"},
		{"odd:jam-third", allPages, device.Jam, "JAMMED"},
		{"odd:hang-cancel", onePage, "", "EOF"}, // the page is whole before that
		{"odd:crash-cancel", onePage, "", "EOF"},
	}
	r := newOddRig(t, "odd\n", func(c *Config) { c.CallSeconds, c.StartSeconds, c.SilenceSeconds = 2, 2, 2 })
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s, err := r.odd(t, tt.name)
			if err == nil {
				_, err = scanAll(t.Context(), t, s, tt.set)
			}
			if got := device.KindOf(err); got != tt.want || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("%v, want fault %q that says %q", err, tt.want, tt.says)
			}
		})
	}
}

// What goes wrong, wherever it strikes: it keeps its reason, the sheets before it
// are whole, and once it is cleared the remaining sheets come.
func TestFaults(t *testing.T) {
	t.Parallel()
	kinds := map[status]device.FaultKind{
		statusJammed: device.Jam, statusCoverOpen: device.Cover, statusIOError: device.Hardware, statusBusy: device.HeldByOther,
		statusCancelled: device.Stopped, statusNoMem: device.Hardware, statusInval: device.BadAnswer, statusAccessDenied: device.NoRights,
	}
	set := allPages
	set.Duplex = true
	r := newOddRig(t, "odd\n", nil)
	for st, want := range kinds {
		for _, where := range []string{"feed", "mid-page", "between", "status"} {
			t.Run(st.String()+" at "+where, func(t *testing.T) {
				t.Parallel()
				s, err := r.odd(t, fmt.Sprintf("odd:fault-%d-%s", st, where))
				if err != nil {
					t.Fatal(err)
				}
				images, err := scanAll(t.Context(), t, s, set)
				if device.KindOf(err) != want {
					t.Errorf("fault %v, want %s", err, want)
				}
				// The front of a sheet may have come before its back fails.
				if n := map[string]int{"between": 3, "status": 3}[where]; len(images) != max(n, 2) {
					t.Errorf("%d sides before the fault", len(images))
				}
				if images, err = scanAll(t.Context(), t, s, set); len(images) != 4 || !errors.Is(err, io.EOF) {
					t.Errorf("after it %d sides and %v, want the two sheets that are left", len(images), err)
				}
			})
		}
	}
}

// Two good sheets before a jam are not lost.
func TestJamAfterTwo(t *testing.T) {
	s, err := newOddRig(t, "odd\n", nil).odd(t, "odd:jam-third")
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // and again after it
		if images, err := scanAll(t.Context(), t, s, allPages); len(images) != 2 || device.KindOf(err) != device.Jam {
			t.Errorf("%d sides, %v, want 2 and a jam", len(images), err)
		}
	}
}

func TestSensors(t *testing.T) {
	r := newOddRig(t, "odd\n", nil)
	d, err := r.odd(t, "odd:sheets")
	if err != nil {
		t.Fatal(err)
	}
	s, ok := d.(device.Buttons)
	if !ok {
		t.Fatal("it tells no buttons")
	}
	steps := []struct {
		name  string // a switch that is moved
		on    bool
		want  device.ButtonState
		state device.State
	}{
		{"scan", true, device.ButtonState{Down: []string{"scan"}}, device.Ready},
		{"page-loaded", true, device.ButtonState{Down: []string{"scan"}, Loaded: true}, device.Ready},
		{"button-2", true, device.ButtonState{Down: []string{"scan", "button-2"}, Loaded: true}, device.Ready},
		{"scan", false, device.ButtonState{Down: []string{"button-2"}, Loaded: true}, device.Ready},
		{"button-2", false, device.ButtonState{Loaded: true}, device.Ready},
		{"cover-open", true, device.ButtonState{Loaded: true}, device.CoverOpen},
	}
	for _, step := range steps {
		file := filepath.Join(r.dir, step.name)
		if step.on {
			err = os.WriteFile(file, nil, 0o600)
		} else {
			err = os.Remove(file)
		}
		if err != nil {
			t.Fatal(err)
		}
		got, err := s.Buttons(t.Context())
		if err != nil || !reflect.DeepEqual(got, step.want) {
			t.Errorf("%s %t: %+v, %v, want %+v", step.name, step.on, got, err, step.want)
		}
		if st, err := d.Status(t.Context()); err != nil || st.State != step.state || st.Loaded != step.want.Loaded {
			t.Errorf("%s %t: status %+v, %v, want %q", step.name, step.on, st, err, step.state)
		}
	}
}

// A backend that hangs or crashes in the search hides no other.
func TestBadBackends(t *testing.T) {
	t.Parallel()
	r := newOddRig(t, "hang\nodd\ncrash\nnet\n", func(c *Config) { c.ListSeconds = 2 })
	found := r.devices(t)
	if len(found) != 1 || found[0].Info.Model != "Scanner" {
		t.Fatalf("found %+v", found)
	}
	if want := []string{"hang", "crash"}; !slices.Equal(r.bad, want) {
		t.Errorf("bad backends %v, want %v", r.bad, want)
	}
	r.Changed() // the next search has them apart
	if found := r.devices(t); len(found) != 1 {
		t.Errorf("found %+v", found)
	}
	if n := strings.Count(r.log.String(), "hangs or crashes"); n != 2 {
		t.Errorf("logged %d times, want 2: %s", n, r.log)
	}
}

func TestWrongStandard(t *testing.T) {
	r := newOddRig(t, "oldstandard\n", nil)
	if _, err := r.odd(t, "odd:sheets"); !errors.Is(err, errMissing) {
		t.Errorf("%v, want %v", err, errMissing)
	}
}
