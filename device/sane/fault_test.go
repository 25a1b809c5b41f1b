package sane

import (
	"context"
	"errors"
	"image/color"
	"io"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"docscan/device"
	"docscan/device/usb"
)

var (
	onePage  = device.Settings{Source: device.Platen, Mode: device.Gray, Resolution: 50}
	allPages = device.Settings{Source: device.Feeder, Mode: device.Gray, Resolution: 50}
)

// The test backend gives every status there is in the middle of a scan.
func TestStatuses(t *testing.T) {
	t.Parallel()
	tests := []struct {
		status string
		want   device.FaultKind
		says   string
	}{
		{"UNSUPPORTED", device.BadAnswer, "UNSUPPORTED"},
		{"CANCELLED", device.Stopped, "CANCELLED"},
		{"DEVICE_BUSY", device.HeldByOther, "DEVICE_BUSY"},
		{"INVAL", device.BadAnswer, "INVAL"},
		{"EOF", device.BadAnswer, "without"}, // an image of no bytes
		{"JAMMED", device.Jam, "JAMMED"},
		{"NO_DOCS", device.NoPaper, "NO_DOCS"},
		{"COVER_OPEN", device.Cover, "COVER_OPEN"},
		{"IO_ERROR", device.Hardware, "IO_ERROR"},
		{"NO_MEM", device.Hardware, "device.sane.memory_mb"},
		{"ACCESS_DENIED", device.NoRights, "udev rule"},
	}
	for _, tt := range tests {
		for _, set := range []device.Settings{onePage, allPages} {
			t.Run(tt.status+" from the "+string(set.Source), func(t *testing.T) {
				t.Parallel()
				s := newRig(t, "number_of_devices 1\nread-status-code \"SANE_STATUS_"+tt.status+"\"\n", nil).scanner(t, 0)
				_, err := scanAll(t.Context(), t, s, set)
				if got := device.KindOf(err); got != tt.want {
					t.Errorf("fault %q, want %q: %v", got, tt.want, err)
				}
				if !strings.Contains(err.Error(), tt.says) {
					t.Errorf("error %q does not say %q", err, tt.says)
				}
				if access := tt.status == "ACCESS_DENIED"; errors.Is(err, usb.ErrAccess) != access {
					t.Errorf("%v: want of rights: %t", err, access)
				}
				// The device is as good as before.
				if st, err := s.Status(t.Context()); err != nil || st.State != device.Ready {
					t.Errorf("status after it %v, %v", st, err)
				}
			})
		}
	}
}

// slow makes the test backend take many seconds for a page.
const slow = "number_of_devices 2\nread-delay true\nread-delay-duration 200000\nread-limit true\nread-limit-size 1\n"

func TestCancelInMidPage(t *testing.T) {
	t.Parallel()
	s := newRig(t, slow, nil).scanner(t, 0)
	run, err := s.Start(t.Context(), onePage)
	if err != nil {
		t.Fatal(err)
	}
	side, err := run.Next(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(side.Body, make([]byte, 300)); err != nil { // into the pixels
		t.Fatal(err)
	}
	if err := run.Cancel(t.Context()); err != nil {
		t.Fatal(err)
	}
	begun := time.Now()
	if _, err := io.Copy(io.Discard, side.Body); device.KindOf(err) != device.Stopped {
		t.Errorf("the page ended with %v, want %q", err, device.Stopped)
	}
	if took := time.Since(begun); took > 5*time.Second {
		t.Errorf("it took %v", took)
	}
	if _, err := run.Next(t.Context()); device.KindOf(err) != device.Stopped {
		t.Errorf("the run ended with %v, want %q", err, device.Stopped)
	}
	if err := run.Close(); err != nil {
		t.Error(err)
	}
	if s.started != 1 {
		t.Errorf("%d helpers, want the one", s.started)
	}
}

// The sheet that is inside when somebody stops a feeder is the last, and whole.
func TestCancelFeeder(t *testing.T) {
	s := newRig(t, "number_of_devices 1\ntest-picture \"Solid white\"\n", nil).scanner(t, 0)
	run, err := s.Start(t.Context(), allPages)
	if err != nil {
		t.Fatal(err)
	}
	defer run.Close()
	for range 3 {
		side, err := run.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if side.Sheet == 3 {
			if err := run.Cancel(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		img := decoded(t, side)
		if r, _, _, _ := img.At(img.Bounds().Dx()-1, img.Bounds().Dy()-1).RGBA(); r != 0xffff {
			t.Errorf("sheet %d has no last line", side.Sheet)
		}
	}
	if _, err := run.Next(t.Context()); device.KindOf(err) != device.Stopped {
		t.Errorf("the run ended with %v, want %q", err, device.Stopped)
	}
}

// What was not read of a side does not turn up in the next one.
func TestUnreadSides(t *testing.T) {
	s := newRig(t, "number_of_devices 1\n", nil).scanner(t, 0)
	run, err := s.Start(t.Context(), allPages)
	if err != nil {
		t.Fatal(err)
	}
	defer run.Close()
	sheets := 0
	for {
		side, err := run.Next(t.Context())
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		sheets++
		if side.Sheet != sheets {
			t.Errorf("sheet %d, want %d", side.Sheet, sheets)
		}
		if side.Sheet%2 == 0 {
			side.Body.Close()
		}
	}
	if sheets != 10 {
		t.Errorf("%d sheets, want 10", sheets)
	}
}

// A backend that sends nothing any more is killed; the other device scans on and
// never notices, and the next run has a new helper.
func TestHangingBackend(t *testing.T) {
	t.Parallel()
	r := newRig(t, "number_of_devices 2\n", func(c *Config) { c.SilenceSeconds, c.StartSeconds = 3, 3 })
	hangs, other := r.scanner(t, 0), r.scanner(t, 1)

	good, err := other.Start(t.Context(), allPages)
	if err != nil {
		t.Fatal(err)
	}
	defer good.Close()
	side, err := good.Next(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	decoded(t, side)

	run, err := hangs.Start(t.Context(), allPages)
	if err != nil {
		t.Fatal(err)
	}
	side, err = run.Next(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	// Stopping the process is how a hang looks from here. All of the page may have
	// come already, so the hang is met by the next request.
	if err := syscall.Kill(hangs.p.cmd.Process.Pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	if _, err = io.Copy(io.Discard, side.Body); err == nil {
		_, err = run.Next(t.Context())
	}
	if device.KindOf(err) != device.Hardware || !strings.Contains(err.Error(), "said nothing for 3s") {
		t.Errorf("the page ended with %v", err)
	}
	if err := run.Close(); err != nil {
		t.Error(err)
	}

	sheets := 1
	for ; ; sheets++ {
		side, err := good.Next(t.Context())
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatalf("the other device after %d sheets: %v", sheets, err)
		}
		decoded(t, side)
	}
	if sheets != 10 {
		t.Errorf("the other device scanned %d sheets, want 10", sheets)
	}
	if images, err := scanAll(t.Context(), t, hangs, onePage); err != io.EOF || len(images) != 1 {
		t.Errorf("run after the hang: %d sides, %v", len(images), err)
	}
	if hangs.started != 2 || other.started != 1 {
		t.Errorf("%d and %d helpers, want 2 and 1", hangs.started, other.started)
	}
}

func TestKilledInMidPage(t *testing.T) {
	t.Parallel()
	s := newRig(t, slow, nil).scanner(t, 0)
	run, err := s.Start(t.Context(), onePage)
	if err != nil {
		t.Fatal(err)
	}
	side, err := run.Next(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(s.p.cmd.Process.Pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	_, err = io.Copy(io.Discard, side.Body)
	if device.KindOf(err) != device.Hardware || !strings.Contains(err.Error(), "signal: killed") {
		t.Errorf("the page ended with %v", err)
	}
	if err := run.Close(); err != nil {
		t.Error(err)
	}
	if st, err := s.Status(t.Context()); err != nil || st.State != device.Ready {
		t.Errorf("status after it %v, %v", st, err)
	}
	if s.started != 2 {
		t.Errorf("%d helpers, want 2", s.started)
	}
}

// Nothing of a helper is left when its scanner is closed, also of one that does
// not answer.
func TestClose(t *testing.T) {
	t.Parallel()
	r := newRig(t, "number_of_devices 1\n", nil)
	found := r.devices(t)
	for _, stopped := range []bool{false, true} {
		d, err := found[0].Open(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		p := d.(*Scanner).p
		if stopped {
			if err := syscall.Kill(p.cmd.Process.Pid, syscall.SIGSTOP); err != nil {
				t.Fatal(err)
			}
		}
		if err := d.Close(); err != nil {
			t.Error(err)
		}
		if err := syscall.Kill(p.cmd.Process.Pid, 0); !errors.Is(err, syscall.ESRCH) {
			t.Errorf("the helper is still there (stopped: %t): %v", stopped, err)
		}
		if left, err := os.ReadDir(r.dir); err != nil || len(left) != 1 { // conf
			t.Errorf("files left: %v, %v", left, err)
		}
	}
}

// Without libsane there is a clear message, once, and nothing else.
func TestNoLibrary(t *testing.T) {
	conf := settings(t, map[string]string{"dll.conf": "test\n"})
	r := newRigWith(t, "libsane-of-nobody.so.1", conf, nil)
	for range 3 {
		r.Changed()
		if found := r.devices(t); len(found) != 0 {
			t.Errorf("found %v", found)
		}
	}
	said := r.log.String()
	if n := strings.Count(said, "install the Debian package libsane1"); n != 1 || !strings.Contains(said, "libsane-of-nobody.so.1") {
		t.Errorf("said %d times what to do: %s", n, said)
	}
}

func TestRefused(t *testing.T) {
	s := newRig(t, "number_of_devices 1\n", nil).scanner(t, 0)
	for _, set := range []device.Settings{
		{Source: "tray"},
		{Source: device.Platen, Duplex: true},
		{Source: device.Feeder, Duplex: true}, // the test backend has no duplex
	} {
		if _, err := s.Start(t.Context(), set); !errors.Is(err, device.ErrUnsupported) {
			t.Errorf("%+v: %v, want %v", set, err, device.ErrUnsupported)
		}
	}
	run, err := s.Start(t.Context(), onePage)
	if err != nil {
		t.Fatal(err)
	}
	defer run.Close()
	if _, err := s.Start(t.Context(), onePage); device.KindOf(err) != device.Busy {
		t.Errorf("a second run: %v, want %q", err, device.Busy)
	}
	if st, err := s.Status(t.Context()); err != nil || st.State != device.Scanning {
		t.Errorf("status while a run is open %v, %v", st, err)
	}
}

// An end of ctx is the end of the run, and the device can be used again.
func TestContextEnds(t *testing.T) {
	s := newRig(t, "number_of_devices 1\n", nil).scanner(t, 0)
	run, err := s.Start(t.Context(), allPages)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if _, err := run.Next(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("the run ended with %v", err)
	}
	if err := run.Close(); err != nil {
		t.Error(err)
	}
	if images, err := scanAll(t.Context(), t, s, onePage); err != io.EOF || len(images) != 1 {
		t.Errorf("run after it: %d sides, %v", len(images), err)
	}
}

// One bit of each colour: in colour 1 is light, in line art it is black.
func TestOneBitColour(t *testing.T) {
	for _, tt := range []struct {
		picture string
		want    color.Color
	}{{"Solid white", color.White}, {"Solid black", color.Black}} {
		s := newRig(t, "number_of_devices 1\ntest-picture \""+tt.picture+"\"\n", nil).scanner(t, 0)
		run, err := s.startWith(t.Context(), device.Settings{Source: device.Platen, Resolution: 50}, append(steps[:len(steps):len(steps)],
			func(o options, _ *device.Settings) []assignment {
				return []assignment{{*o.find("depth"), value{Word: 1}}}
			}))
		if err != nil {
			t.Fatal(err)
		}
		side, err := run.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		img := decoded(t, side)
		if got := color.GrayModel.Convert(img.At(20, 20)); got != color.GrayModel.Convert(tt.want) {
			t.Errorf("%s: %v", tt.picture, got)
		}
		if err := run.Close(); err != nil {
			t.Error(err)
		}
	}
}
