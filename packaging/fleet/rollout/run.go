package rollout

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"
	"golang.org/x/time/rate"

	"docscan/packaging/fleet/inventory"
	"docscan/packaging/fleet/receive"
)

// A Line is an open connection to a box.
type Line struct {
	*receive.Conn
	Bytes func() (sent, received int64)
	Close func() error
}

// Deps are what a rollout works with.
type Deps struct {
	// Dial connects to a box. Its errors are sorted by Keeps.
	Dial func(ctx context.Context, h inventory.Host) (Line, error)
	// Keeps tells an error of Dial after which a person must look from one that may
	// pass by itself.
	Keeps func(error) (kind string, kept bool)
	// Bundles are directories where update files are looked for that are not where
	// they were.
	Bundles []string
	// Tell is told each event as it is written; it must not block. May be nil.
	Tell func(Event)
	// Say is told what is waited for. May be nil.
	Say func(string)
}

// Why a rollout ends before its end.
var (
	// ErrHalted says that too many boxes have failed.
	ErrHalted = errors.New("the rollout has halted")
	// ErrBundle says that an update file is not there or not the one of the plan.
	ErrBundle = errors.New("the update file is not the one that the rollout began with")
)

// Bounds and steps of waiting.
const (
	tries       = 5                // of a transfer that makes no progress
	firstTries  = 2                // of reaching a box
	againFirst  = time.Second      // until a box is looked at again, doubling
	againMost   = 15 * time.Second // at most
	catchUp     = 5 * time.Minute  // between two tries of boxes that are off
	busyTime    = 15 * time.Minute // how long another update on a box is waited for
	maxInstalls = 2                // how often a box is asked, if the first question may not have arrived
	partSize    = 1 << 20          // bytes of a bundle in one request
	grain       = 16 << 10         // bytes between two looks at the rate
)

// runner is one run of a rollout.
type runner struct {
	*Rollout
	Deps
	slots *semaphore.Weighted
	total *rate.Limiter
	files map[string]*os.File // open bundles by their SHA-256

	mu   sync.Mutex
	hold bool // no box is asked to install any more
}

// Run goes on with the rollout until all is done that can be done, until it
// halts, or until ctx ends. Boxes that were asked to install go on by themselves
// meanwhile; the next Run finds out what came of it.
func (r *Rollout) Run(ctx context.Context, d Deps) error {
	r.mu.Lock()
	r.tell = d.Tell
	r.mu.Unlock()
	if d.Say == nil {
		d.Say = func(string) {}
	}
	x := &runner{Rollout: r, Deps: d, slots: semaphore.NewWeighted(int64(r.Options.AtOnce)), total: limiter(r.Options.TotalRateKB), files: make(map[string]*os.File)}
	defer x.close()
	if err := x.openBundles(); err != nil {
		return err
	}
	if r.Halt() != "" {
		if err := r.put(Event{Doing: Resumed}); err != nil {
			return err
		}
	}
	if r.Options.Retry {
		if err := x.forget(); err != nil {
			return err
		}
	}
	for wave := range r.Ends {
		if err := x.wave(ctx, wave); err != nil {
			return x.ended(ctx, err)
		}
	}
	if err := x.late(ctx); err != nil {
		return x.ended(ctx, err)
	}
	return r.put(Event{Doing: Finished})
}

// ended says how a run ended that did not come to its end.
func (x *runner) ended(ctx context.Context, err error) error {
	if errors.Is(err, ErrHalted) && x.Options.RollbackOnHalt && ctx.Err() == nil {
		x.Say("What was changed is taken back.")
		return errors.Join(err, x.takeBack(ctx, "the rollout of "+x.Version+" has halted"))
	}
	return err
}

func limiter(kb int) *rate.Limiter {
	if kb == 0 {
		return rate.NewLimiter(rate.Inf, grain)
	}
	return rate.NewLimiter(rate.Limit(kb)*1024, grain)
}

func (x *runner) close() {
	for _, f := range x.files {
		f.Close()
	}
}

// openBundles opens the update files, wherever they are now.
func (x *runner) openBundles() error {
	for _, b := range x.Plan.Bundles {
		base := filepath.Base(strings.ReplaceAll(b.File, `\`, "/"))
		places := []string{b.File, filepath.Join(filepath.Dir(x.name), base)}
		for _, dir := range x.Deps.Bundles {
			places = append(places, filepath.Join(dir, base))
		}
		var missing error
		for _, name := range places {
			got, err := ReadBundle(name, nil)
			if err == nil && got.SHA256 != b.SHA256 {
				err = fmt.Errorf("%s: %w", name, ErrBundle)
			}
			if err != nil {
				missing = errors.Join(missing, err)
				continue
			}
			f, err := os.Open(name)
			if err != nil {
				return err
			}
			x.files[b.SHA256], missing = f, nil
			break
		}
		if missing != nil {
			return fmt.Errorf("%w: put it beside %s, or name its directory with --bundles: %w", ErrBundle, x.name, missing)
		}
	}
	return nil
}

// forget lets boxes that have failed begin anew.
func (x *runner) forget() error {
	for _, b := range x.Boxes() {
		if b.State.failure() || b.State == Returned {
			if err := x.put(Event{Box: b.Name, State: Waiting, Text: "it is tried again"}); err != nil {
				return err
			}
		}
	}
	return nil
}

// wave brings the version to the boxes up to the end of a wave that still lack
// it.
func (x *runner) wave(ctx context.Context, wave int) error {
	x.Rollout.mu.Lock()
	over, begun := wave < x.passed, wave < x.begun
	x.Rollout.mu.Unlock()
	if over {
		return nil
	}
	if !begun {
		if err := x.put(Event{Doing: WaveBegun, Wave: wave + 1}); err != nil {
			return err
		}
	}
	if err := x.visit(ctx, x.open(wave), wave); err != nil {
		return err
	}
	if err := x.judge(wave, true); err != nil {
		return err
	}
	if err := x.put(Event{Doing: WavePassed, Wave: wave + 1, Counts: x.WaveCounts(wave)}); err != nil {
		return err
	}
	if wave == len(x.Ends)-1 || x.Options.Pause == 0 {
		return nil
	}
	x.Say(fmt.Sprintf("%s is over; the next begins in %v.", x.waveName(wave), x.Options.Pause))
	return sleep(ctx, x.Options.Pause)
}

// WaveName is how people call a wave, from 0.
func (p *Plan) WaveName(i int) string { return p.waveName(i) }

// open gives the boxes up to a wave about which something is to be found out.
func (x *runner) open(wave int) []int {
	var list []int
	for i, b := range x.Boxes() {
		if b.Wave <= wave && !b.State.settled() {
			list = append(list, i)
		}
	}
	return list
}

// visit works with boxes until each stands somewhere. Which of them at the same
// time, the slots say.
func (x *runner) visit(ctx context.Context, boxes []int, wave int) error {
	g, ctx := errgroup.WithContext(ctx)
	for _, i := range boxes {
		g.Go(func() error {
			if err := x.one(ctx, x.Plan.Boxes[i]); err != nil {
				return err
			}
			// Others of the wave that have not begun yet must not, if this was one
			// failure too many.
			if x.judge(wave, false) != nil {
				x.mu.Lock()
				x.hold = true
				x.mu.Unlock()
			}
			return nil
		})
	}
	return g.Wait()
}

// held reports whether no box may be asked to install any more.
func (x *runner) held() bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.hold
}

// judge halts if too many boxes up to that wave have failed, or, at its end, if
// none of it has shown that the version works.
func (x *runner) judge(wave int, end bool) error {
	n := x.Ends[wave]
	failed, well, kept, off := 0, 0, 0, 0
	var why []string
	for _, b := range x.Boxes()[:n] {
		switch {
		case b.State.failure():
			failed++
			if len(why) < 3 {
				why = append(why, b.Name+": "+b.Text)
			}
		case b.Wave != wave:
		case b.State == Updated:
			well++
		case b.State == Kept:
			kept++
		default:
			off++
		}
	}
	most := x.Options.MaxFailures.of(n)
	text := ""
	switch {
	case failed > most:
		text = fmt.Sprintf("%d of %d boxes have failed, at most %d may (%s): %s", failed, n, most, x.Options.MaxFailures, strings.Join(why, "; "))
	case end && well == 0 && failed == 0:
		text = fmt.Sprintf("no box of %s has shown that the version works: %d off, %d keep us out", x.waveName(wave), off, kept)
	default:
		return nil
	}
	if !end {
		return ErrHalted
	}
	if err := x.put(Event{Doing: Halted, Wave: wave + 1, Text: text}); err != nil {
		return err
	}
	return fmt.Errorf("%w: %s", ErrHalted, text)
}

// late tries boxes again that were off.
func (x *runner) late(ctx context.Context) error {
	last := len(x.Ends) - 1
	until := time.Now().Add(x.Options.Patience)
	for {
		if err := x.judge(last, false); err != nil {
			return x.judge(last, true)
		}
		wait := min(catchUp, time.Until(until))
		if wait <= 0 || !slices.ContainsFunc(x.Boxes(), func(b Box) bool { return b.State == OffLine || b.State == Waiting }) {
			return nil
		}
		x.Say(fmt.Sprintf("Boxes that are off are tried again in %v.", wait.Round(time.Second)))
		if err := sleep(ctx, wait); err != nil {
			return err
		}
		if err := x.visit(ctx, x.open(last), last); err != nil {
			return err
		}
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// TakeBack goes back to the version before on every box that this rollout has
// changed.
func (r *Rollout) TakeBack(ctx context.Context, d Deps, reason string) error {
	r.mu.Lock()
	r.tell = d.Tell
	r.mu.Unlock()
	x := &runner{Rollout: r, Deps: d, slots: semaphore.NewWeighted(int64(r.Options.AtOnce))}
	return x.takeBack(ctx, reason)
}

func (x *runner) takeBack(ctx context.Context, reason string) error {
	g, ctx := errgroup.WithContext(ctx)
	for i, b := range x.Boxes() {
		if !b.Changed || b.State == Returned || b.State == Failed {
			continue
		}
		g.Go(func() error { return x.back(ctx, x.Plan.Boxes[i], reason) })
	}
	return g.Wait()
}
