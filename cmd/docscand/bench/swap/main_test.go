package main

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"docscan/cmd/docscand/box"
)

// The short form of the soak: nobody at work notices that the version changes. Who
// interrupts it gets the figures of what was done, and is told that it is not all. To
// pack whole programs takes the race detector most of a minute; the stacks are small
// for the same reason as people take their time, see soak.
func TestNobodyNotices(t *testing.T) {
	ctx, stop := context.WithTimeout(t.Context(), 8*time.Minute)
	defer stop()
	var out strings.Builder
	err := soak(ctx, &out, 4, 1, false, func(f *field) error {
		if err := f.measure(ctx, nil, 2, 0); err != nil {
			return err
		}
		enough, before, seen := make(chan struct{}), len(f.Log.Lines(takenOver)), make(chan error, 1)
		go func() { // ends with ctx
			err := box.Until(ctx, func() (bool, error) { return len(f.Log.Lines(takenOver)) > before, nil })
			close(enough) // in the middle of a swap
			seen <- err
		}()
		err := f.measure(ctx, enough, 2, 1)
		switch {
		case err == nil:
			return errors.New("it went on after it was interrupted")
		case err.Error() != errBrokenOff.Error()+" after 1 of 2 swaps": // or somebody has noticed that one
			return err
		}
		return <-seen
	})
	t.Logf("\n%s", &out)
	if err != nil {
		t.Fatal(err)
	}
	for want, n := range map[string]int{"\n2 swaps ": 1, "\n1 swaps ": 1, "lost 0, doubled 0": 2, "stops and starts": 0} {
		if got := strings.Count(out.String(), want); got != n {
			t.Errorf("it prints %q %d times, want %d", want, got, n)
		}
	}
}

// takenOver is what the log says in the middle of a swap.
const takenOver = "has taken over on trial"
