package rollout

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/time/rate"

	"docscan/packaging/fleet/inventory"
	"docscan/packaging/fleet/receive"
)

// Kinds of failures, beside those of package receive.
const (
	KindArchitecture = "architecture" // no update file is for this kind of machine
	KindRolledBack   = "rolled-back"  // the box took the version back
	KindUnwell       = "unwell"       // it runs the version and is not well
	KindLost         = "lost"         // it answers no more
	KindSlow         = "slow"
	KindOff          = "off"
)

// one works with a box until it stands somewhere. An error is one of this
// machine or of ctx; what happens to the box goes into the file.
func (x *runner) one(ctx context.Context, h inventory.Host) error {
	switch x.box(h.Name).State {
	case Returning:
		return x.back(ctx, h, "")
	case Installing, Committed:
		return x.follow(ctx, h)
	}
	var began time.Time // of the first visit: the time until there is a slot is not the box's
	reached, stuck := 0, 0
	whole := false
	var last int64
	for {
		if err := x.wait(ctx, h); err != nil {
			return err
		}
		step, err := x.bring(ctx, h, whole, &began)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		switch {
		case err == nil && step.asked:
			if err := sleep(ctx, againFirst); err != nil {
				return err
			}
			return x.follow(ctx, h)
		case err == nil:
			return nil
		}
		var r *receive.Refusal
		kind, kept := x.Keeps(err)
		pause := min(againFirst<<min(stuck+reached, 4), againMost)
		switch {
		case errors.Is(err, errLocal):
			return err
		case errors.As(err, &r) && r.Kind == receive.KindBase && !whole:
			whole = true // somebody changed its version meanwhile
			continue
		case errors.As(err, &r) && r.Kind == receive.KindBusy:
			if time.Since(began) > busyTime {
				return x.state(h, OffLine, Event{Kind: r.Kind, Text: r.Text})
			}
			pause = againMost
		case errors.As(err, &r) && r.Kind == receive.KindDown:
			if reached++; reached >= firstTries {
				return x.state(h, OffLine, Event{Kind: r.Kind, Text: "docscand does not answer on it: " + r.Text})
			}
		case errors.As(err, &r):
			return x.state(h, Failed, Event{Kind: r.Kind, Text: r.Text})
		case errors.Is(err, errSlow):
			return x.state(h, OffLine, Event{Kind: KindSlow, Text: err.Error()})
		case kept:
			return x.state(h, Kept, Event{Kind: kind, Text: err.Error()})
		default:
			most := tries
			if step.offset > last {
				stuck, last = 0, step.offset
			}
			if !step.met {
				most = firstTries
			}
			if stuck++; stuck >= most {
				return x.state(h, OffLine, Event{Kind: KindOff, Text: err.Error()})
			}
		}
		if err := sleep(ctx, pause); err != nil {
			return err
		}
	}
}

// state puts where a box stands into the file.
func (x *runner) state(h inventory.Host, s State, e Event) error {
	e.Box, e.State = h.Name, s
	return x.put(e)
}

// wait waits until the window of a box is open.
func (x *runner) wait(ctx context.Context, h inventory.Host) error {
	for {
		now := time.Now()
		if h.Timezone != "" {
			zone, err := time.LoadLocation(h.Timezone)
			if err != nil {
				return fmt.Errorf("%s: %w", h.Name, err)
			}
			now = now.In(zone)
		}
		d := x.Options.Window.wait(now)
		if d == 0 {
			return nil
		}
		x.Say(fmt.Sprintf("%s waits for %s.", h.Name, now.Add(d).Format("15:04 MST")))
		// A clock that is set meanwhile is noticed.
		if err := sleep(ctx, min(d, time.Minute)); err != nil {
			return err
		}
	}
}

// errSlow says that a transfer took too long.
var errSlow = errors.New("the line is too slow")

// dial connects to a box within a slot. done hangs up and counts the bytes.
func (x *runner) dial(ctx context.Context, h inventory.Host) (line Line, done func(*Event), err error) {
	if err := x.slots.Acquire(ctx, 1); err != nil {
		return Line{}, nil, err
	}
	line, err = x.Dial(ctx, h)
	if err != nil {
		x.slots.Release(1)
		return Line{}, nil, err
	}
	stop := context.AfterFunc(ctx, func() { line.Close() })
	return line, func(e *Event) {
		stop()
		line.Close() // what it says does not matter any more
		x.slots.Release(1)
		e.Sent, e.Received = line.Bytes()
	}, nil
}

// step is how far one visit came.
type step struct {
	met    bool  // the box was spoken with
	asked  bool  // it was asked to install, or has the version
	offset int64 // of the transfer
}

// bring makes one visit: it looks, sends what is missing, and asks to install.
func (x *runner) bring(ctx context.Context, h inventory.Host, whole bool, began *time.Time) (s step, err error) {
	line, done, err := x.dial(ctx, h)
	if err != nil {
		return s, err
	}
	s.met = true
	if began.IsZero() {
		*began = time.Now()
	}
	count := Event{Box: h.Name} // of a visit that led to nothing else
	closed := false
	end := func(e *Event) {
		if !closed {
			closed = true
			done(e)
		}
	}
	defer func() {
		if !closed {
			end(&count)
			if perr := x.put(count); perr != nil && err == nil {
				err = perr
			}
		}
	}()
	facts, drift, err := line.Facts()
	if err != nil {
		return s, err
	}
	status, err := line.Status()
	if err != nil {
		return s, err
	}
	want := x.digestFor(facts.Architecture)
	switch {
	case want == "":
		_, err := x.bundleFor(facts.Architecture, "", true)
		return s, &receive.Refusal{Kind: KindArchitecture, Text: err.Error()}
	case has(status, want):
		e := Event{From: status.Running, Already: true, Drift: drift.Seconds()}
		end(&e)
		return s, x.state(h, Updated, e)
	case busy(status) && status.Next != nil && status.Next.Digest == want:
		// Somebody has asked for the same: it is followed to its end.
		e := Event{From: status.Running, Drift: drift.Seconds(), Text: "somebody else has asked for it"}
		end(&e)
		s.asked = true
		return s, x.state(h, Installing, e)
	case busy(status):
		return s, &receive.Refusal{Kind: receive.KindBusy, Text: "another update is going on: " + status.Doing}
	}
	from := ""
	if status.Current != nil {
		from = status.Current.Digest
	}
	b, err := x.bundleFor(facts.Architecture, from, whole)
	if err != nil {
		return s, &receive.Refusal{Kind: receive.KindBase, Text: err.Error()}
	}
	payload, err := x.send(ctx, line, h, b, *began, &s)
	count.Payload += payload
	if err != nil {
		return s, err
	}
	// The last look before something changes.
	if err := x.wait(ctx, h); err != nil {
		return s, err
	}
	if x.held() {
		return s, nil
	}
	before := markOf(status)
	if err := x.state(h, Installing, Event{From: status.Running, Before: &before, Delta: b.Base != "", Drift: drift.Seconds()}); err != nil {
		return s, err
	}
	if err := line.Install(b.SHA256, b.Size); err != nil {
		var r *receive.Refusal
		if errors.As(err, &r) { // it was not begun
			return s, errors.Join(r, x.state(h, Waiting, Event{}))
		}
		// The question may have arrived.
		s.asked = true
		return s, nil
	}
	s.asked, count.Asked = true, true
	return s, nil
}

// has reports whether a box runs the version, committed.
func has(s receive.Status, digest string) bool {
	return !busy(s) && s.Current != nil && s.Current.Digest == digest
}

// busy reports whether an update goes on.
func busy(s receive.Status) bool { return s.Doing != "" || s.State == "trying" }

// send sends what a box lacks of a bundle, and counts what it sent.
func (x *runner) send(ctx context.Context, line Line, h inventory.Host, b Bundle, began time.Time, s *step) (payload int64, err error) {
	if s.offset, err = line.Offer(b.SHA256, b.Size); err != nil {
		return 0, err
	}
	own := limiter(lower(x.Options.RateKB, h.RateKB))
	ctx, stop := context.WithDeadlineCause(ctx, began.Add(x.Options.Transfer), errSlow)
	defer stop()
	hangUp := context.AfterFunc(ctx, func() { line.Close() })
	defer hangUp()
	for s.offset < b.Size {
		n := min(partSize, b.Size-s.offset)
		body := &paced{ctx, io.NewSectionReader(x.file(b), s.offset, n), own, x.total, &payload}
		next, err := line.Data(b.SHA256, b.Size, s.offset, body, n)
		if errors.Is(context.Cause(ctx), errSlow) {
			return payload, fmt.Errorf("%w: %d of %d KiB in %v", errSlow, s.offset>>10, b.Size>>10, x.Options.Transfer)
		}
		if err != nil {
			return payload, err
		}
		if next <= s.offset {
			return payload, fmt.Errorf("the box has %d bytes after it was sent those up to %d", next, s.offset+n)
		}
		s.offset = next
	}
	return payload, nil
}

func (x *runner) file(b Bundle) *os.File { return x.files[b.SHA256] }

// lower is the lower of two bounds of which 0 is none.
func lower(a, b int) int {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}

// paced reads no faster than its limiters let it.
type paced struct {
	ctx        context.Context
	r          io.Reader
	own, total *rate.Limiter
	sent       *int64
}

func (p *paced) Read(b []byte) (int, error) {
	b = b[:min(len(b), grain)]
	n, err := p.r.Read(b)
	for _, l := range []*rate.Limiter{p.own, p.total} {
		if werr := l.WaitN(p.ctx, n); werr != nil {
			return 0, errors.Join(werr, context.Cause(p.ctx))
		}
	}
	*p.sent += int64(n)
	return n, err
}

// look asks a box how it is, in a visit of its own, and counts the bytes.
func (x *runner) look(ctx context.Context, h inventory.Host, e *Event) (receive.Status, receive.Facts, error) {
	line, done, err := x.dial(ctx, h)
	if err != nil {
		return receive.Status{}, receive.Facts{}, err
	}
	defer func() {
		var bytes Event
		done(&bytes)
		e.Sent += bytes.Sent
		e.Received += bytes.Received
	}()
	facts, _, err := line.Facts()
	if err != nil {
		return receive.Status{}, facts, err
	}
	status, err := line.Status()
	return status, facts, err
}

// follow looks at a box that was asked to install until it is known what came of
// it, and then for the time of watching.
func (x *runner) follow(ctx context.Context, h inventory.Host) error {
	var e Event          // collects bytes
	var silent time.Time // since when it does not answer: the time between two looks, and until there is a slot, is not the box's
	again := againFirst
	for {
		b := x.box(h.Name)
		status, facts, err := x.look(ctx, h, &e)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		done := false
		switch {
		case err != nil && silent.IsZero():
			silent = time.Now()
		case err != nil && time.Since(silent) >= x.Options.Lost:
			e.Kind, e.Text = KindLost, fmt.Sprintf("it was asked to install and has not answered for %v: %v", x.Options.Lost, err)
			return x.state(h, Lost, e)
		case err != nil:
		default:
			silent = time.Time{}
			done, err = x.found(ctx, h, b, status, facts, &e)
		}
		if done {
			return err
		}
		wait := again
		if b = x.box(h.Name); b.State == Committed {
			wait = min(wait, max(time.Until(b.Since.Add(x.Options.Watch)), 10*time.Millisecond))
		}
		if err := sleep(ctx, wait); err != nil {
			return err
		}
		again = min(2*again, againMost)
	}
}

// found says what an answer means for a box that was asked to install, and
// whether that is the end.
func (x *runner) found(ctx context.Context, h inventory.Host, b Box, s receive.Status, f receive.Facts, e *Event) (done bool, err error) {
	want := x.digestFor(f.Architecture)
	move := func(to State) error {
		err := x.state(h, to, *e)
		*e = Event{}
		return err
	}
	switch {
	case busy(s):
		return false, nil
	case has(s, want) && b.State == Installing:
		if err := move(Committed); err != nil || x.Options.Watch > 0 {
			return err != nil, err
		}
		return true, move(Updated)
	case has(s, want) && f.Docscan != nil && f.Docscan.Healthy:
		if time.Since(b.Since) < x.Options.Watch {
			return false, nil
		}
		return true, move(Updated)
	case has(s, want):
		if time.Since(b.Since) < x.Options.Watch {
			return false, nil // it may become well yet
		}
		e.Kind, e.Text = KindUnwell, "it runs the version and is not well: "+trouble(f)
		return true, move(Failed)
	case b.State == Committed:
		e.Kind, e.Text = KindRolledBack, "it had committed the version and has taken it back: "+reason(s)
		return true, move(Failed)
	case b.before != nil && *b.before == markOf(s) && b.asked < maxInstalls:
		// It is as if it had not been asked, so maybe it was not.
		if err := move(Waiting); err != nil {
			return true, err
		}
		return true, x.one(ctx, h)
	}
	e.Kind, e.Text = KindRolledBack, reason(s)
	if s.FailureKind != "" && s.State != "rolled-back" {
		e.Kind = s.FailureKind
	}
	return true, move(Failed)
}

// reason says why a box does not have the version.
func reason(s receive.Status) string {
	switch {
	case s.Failure != "":
		return s.Failure
	case s.Reason != "":
		return s.Reason
	}
	return "it does not say why"
}

// trouble says what a box says of its health.
func trouble(f receive.Facts) string {
	switch {
	case f.Error != "":
		return f.Error
	case f.Docscan != nil && len(f.Docscan.Trouble) > 0:
		return f.Docscan.Trouble[0]
	}
	return "it does not say why"
}

// back goes back to the version before on a box, if it has that of the rollout.
func (x *runner) back(ctx context.Context, h inventory.Host, why string) error {
	var silent time.Time
	again := againFirst
	for {
		var e Event
		done, err := x.backStep(ctx, h, why, &e)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if done {
			return err
		}
		var r *receive.Refusal
		switch {
		case errors.As(err, &r) && r.Kind != receive.KindBusy && r.Kind != receive.KindDown:
			e.Kind, e.Text = r.Kind, "it does not go back: "+r.Text
			return x.state(h, Failed, e)
		case err == nil:
			silent = time.Time{}
		case silent.IsZero():
			silent = time.Now()
		case time.Since(silent) >= x.Options.Lost:
			e.Kind, e.Text = KindLost, fmt.Sprintf("it was to go back and has not answered for %v: %v", x.Options.Lost, err)
			return x.state(h, Lost, e)
		}
		if err := sleep(ctx, again); err != nil {
			return err
		}
		again = min(2*again, againMost)
	}
}

// backStep makes one visit for going back.
func (x *runner) backStep(ctx context.Context, h inventory.Host, why string, e *Event) (end bool, err error) {
	line, done, err := x.dial(ctx, h)
	if err != nil {
		return false, err
	}
	defer func() { done(&Event{}) }()
	facts, _, err := line.Facts()
	if err != nil {
		return false, err
	}
	status, err := line.Status()
	switch b := x.box(h.Name); {
	case err != nil || busy(status):
		return false, err
	case !has(status, x.digestFor(facts.Architecture)):
		e.Text = "it runs " + status.Running
		return true, x.state(h, Returned, *e)
	case b.State == Returning && status.Failure != "":
		e.Kind, e.Text = receive.KindFailed, "it did not go back: "+status.Failure
		return true, x.state(h, Failed, *e)
	case b.State == Returning && why == "": // asked in an earlier run
		why = "the rollout of " + x.Version + " is taken back"
	}
	if err := x.state(h, Returning, Event{}); err != nil {
		return true, err
	}
	return false, line.RollBack(why)
}
