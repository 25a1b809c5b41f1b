package scantest

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"

	"docscan/device"
	"docscan/device/sim/usbface"
)

// Busy checks that a second run must wait and that the first one is not disturbed
// by looks. The scanner holds paper.
func Busy(t *testing.T, s device.Scanner, set device.Settings) {
	t.Helper()
	r, err := s.Start(t.Context(), set)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Start(t.Context(), set); device.KindOf(err) != device.Busy {
		t.Errorf("a second Start: %v, want busy", err)
	}
	if st, err := s.Status(t.Context()); err != nil || st.State != device.Scanning || !st.Loaded {
		t.Errorf("Status = %+v, %v, want scanning", st, err)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	if st, err := s.Status(t.Context()); err != nil || st.State != device.Ready {
		t.Errorf("Status afterwards = %+v, %v, want ready", st, err)
	}
}

// Cancel checks that a cancel lets the sheet that is inside come and takes no
// other, and that the others come afterwards. The scanner holds three sheets with
// two sides; sheets says how many it still holds and how many it has fed.
func Cancel(t *testing.T, s device.Scanner, set device.Settings, sheets func() (left, fed int)) {
	t.Helper()
	r, err := s.Start(t.Context(), set)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Next(t.Context()); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := r.Cancel(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	side, err := r.Next(t.Context()) // the front was not read at all
	if err != nil || side.Sheet != 1 || !side.Back {
		t.Fatalf("after the cancel: %+v, %v, want the back", side, err)
	}
	for range 2 {
		if _, err := r.Next(t.Context()); device.KindOf(err) != device.Stopped {
			t.Errorf("next sheet: %v, want stopped", err)
		}
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	if left, fed := sheets(); left != 2 || fed != 1 {
		t.Errorf("%d sheets left, %d fed, want 2 and 1", left, fed)
	}
	got, err := All(t, s, set)
	if err != io.EOF || Places(got) != "1f 1b 2f 2b" {
		t.Errorf("the rest is %s, %v", Places(got), err)
	}
}

// Unplugged checks, in a bubble of fake time, that a scanner which goes away in a
// run says so, after the sides at those places, and is not told for long that it
// must stop.
func Unplugged(t *testing.T, s device.Scanner, set device.Settings, places string) {
	t.Helper()
	began := time.Now()
	got, err := All(t, s, set)
	if device.KindOf(err) != device.Unplugged || Places(got) != places {
		t.Errorf("%s and %v, want %q and unplugged", Places(got), err, places)
	}
	if d := time.Since(began); d > time.Second {
		t.Errorf("it took %v", d)
	}
	if _, err := s.Status(t.Context()); device.KindOf(err) != device.Unplugged {
		t.Errorf("Status: %v, want unplugged", err)
	}
}

// CancelWhileWaiting checks, in a bubble of fake time, that a cancel is heard while
// a scanner is waited for that never gets ready.
func CancelWhileWaiting(t *testing.T, s device.Scanner, set device.Settings) {
	t.Helper()
	r, err := s.Start(t.Context(), set)
	if err != nil {
		t.Fatal(err)
	}
	stop := time.AfterFunc(3*time.Second, func() { r.Cancel(context.Background()) })
	defer stop.Stop()
	began := time.Now()
	if _, err := r.Next(t.Context()); device.KindOf(err) != device.Stopped {
		t.Errorf("Next: %v, want stopped", err)
	}
	if d := time.Since(began); d < 2*time.Second || d > 4*time.Second {
		t.Errorf("stopped after %v, want 3 s", d)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
}

// PatienceEnds checks, in a bubble of fake time, that a run on a scanner that never
// gets ready ends with that fault after that time.
func PatienceEnds(t *testing.T, s device.Scanner, set device.Settings, want device.FaultKind, after time.Duration) {
	t.Helper()
	began := time.Now()
	_, err := All(t, s, set)
	if d := time.Since(began); device.KindOf(err) != want || d < after || d > after+10*time.Second {
		t.Errorf("%v after %v, want %s after %v", err, d, want, after)
	}
}

// ContextEnds checks that the caller's patience counts too, and leaves a scanner
// that works. It holds two sheets, is mute once, and hears again when it is
// restarted.
func ContextEnds(t *testing.T, s device.Scanner, set device.Settings) {
	t.Helper()
	r, err := s.Start(t.Context(), set)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithTimeout(t.Context(), time.Second)
	defer stop()
	if _, err := r.Next(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Next: %v, want the deadline", err)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	got, err := All(t, s, set)
	if err != io.EOF || Places(got) != "1f 2f" {
		t.Errorf("afterwards %s, %v", Places(got), err)
	}
}

// Refuses checks that Start itself finds something wrong: a fault of that kind,
// or else an error that is err.
func Refuses(t *testing.T, s device.Scanner, set device.Settings, kind device.FaultKind, want error) {
	t.Helper()
	_, err := s.Start(t.Context(), set)
	if device.KindOf(err) != kind || want != nil && !errors.Is(err, want) || err == nil {
		t.Errorf("Start: %v, want %q, %v", err, kind, want)
	}
}

// Ladder checks, in a bubble of fake time, that a scanner which no restart of its
// interface brings back gets a reset of its port, that each step is counted, and
// that the diagnosis tells and names the model. open makes the driver of the
// scanner dev, which holds paper, with that pipe, its reset and that ladder.
func Ladder(t *testing.T, dev *usbface.Device, model string, set device.Settings,
	open func(pipe *Deaf, ladder *device.Ladder) (device.Scanner, error)) {
	t.Helper()
	pipe := &Deaf{Wire: Wire{dev}}
	ladder := device.NewLadder(slog.New(slog.DiscardHandler))
	drv, err := open(pipe, ladder)
	if err != nil {
		t.Fatal(err)
	}
	defer drv.Close()
	run, err := drv.Start(t.Context(), set)
	if err != nil {
		t.Fatal(err)
	}
	pipe.IsDeaf = true
	if _, err := run.Next(t.Context()); device.KindOf(err) != device.BadAnswer {
		t.Errorf("Next: %v, want bad-answer", err)
	}
	if err := run.Close(); err != nil {
		t.Error(err)
	}
	// What the registry does every two seconds brings it back.
	tries := 0
	for err = errors.New("not asked"); err != nil && tries < 5; tries++ {
		_, err = drv.Status(t.Context())
	}
	if err != nil || pipe.Resets != 1 || pipe.Restarts == 0 {
		t.Errorf("after %d looks %v, %d restarts and %d resets, want one reset after a restart", tries, err, pipe.Restarts, pipe.Resets)
	}
	if n := ladder.Count(device.TellPerson); n != 1 {
		t.Errorf("the person was told %d times, want once", n)
	}
	got, err := All(t, drv, set)
	if err != io.EOF || len(got) == 0 {
		t.Errorf("after it %d sides and %v", len(got), err)
	}
	text := ""
	for _, s := range drv.(device.Diagnoser).Diagnose(t.Context()) {
		text += s.Title + "\n" + s.Text
	}
	for _, want := range []string{"What the scanner says of itself", "Recovery", "tell the person 1", model} {
		if !strings.Contains(text, want) {
			t.Errorf("the diagnosis does not say %q:\n%s", want, text)
		}
	}
}
