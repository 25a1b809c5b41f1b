package rollout

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/gofrs/flock"

	"docscan/packaging/fleet/receive"
)

// A State is where a box stands in a rollout.
type State string

// The states. A box moves down the list, except that one that was off goes on
// where it was.
const (
	Waiting    State = "waiting"    // not its turn yet
	OffLine    State = "off"        // not reached, or its line is too slow; it will be tried again
	Kept       State = "kept-out"   // its host key, its door or this machine keeps us out; a person must look
	Installing State = "installing" // it was asked to install; what came of it is not known yet
	Committed  State = "committed"  // it runs the version and has committed it
	Updated    State = "updated"    // and stayed well for the time of watching
	Failed     State = "failed"     // it refused the version or took itself back
	Lost       State = "lost"       // it was asked to install and answers no more
	Returning  State = "returning"  // it was asked to go back
	Returned   State = "returned"   // it went back
)

// settled are states in which nothing more is to be found out.
func (s State) settled() bool {
	return s == Updated || s == Failed || s == Lost || s == Returned
}

// Over reports whether a wave waits for nothing more from a box in this state.
func (s State) Over() bool { return s.settled() || s == OffLine || s == Kept }

// failure reports whether it counts towards halting.
func (s State) failure() bool { return s == Failed || s == Lost }

// An Event is a line of the file: of a box, of a wave, or of the rollout.
type Event struct {
	Time     time.Time `json:"t"`
	Box      string    `json:"box,omitempty"`
	State    State     `json:"state,omitempty"`
	Kind     string    `json:"kind,omitempty"` // what programs can tell failures by
	Text     string    `json:"text,omitempty"`
	From     string    `json:"from,omitempty"`     // version before
	Sent     int64     `json:"sent,omitempty"`     // bytes over the line to the box since the last event
	Received int64     `json:"received,omitempty"` // and back
	Payload  int64     `json:"payload,omitempty"`  // bytes of the update file in Sent
	Delta    bool      `json:"delta,omitempty"`
	Already  bool      `json:"already,omitempty"` // it had the version before anybody came
	Before   *mark     `json:"before,omitempty"`  // of Installing
	Asked    bool      `json:"asked,omitempty"`   // the box has answered that it begins to install
	Drift    float64   `json:"drift_seconds,omitempty"`

	Wave   int    `json:"wave,omitempty"`   // from 1
	Counts Counts `json:"counts,omitempty"` // of WavePassed: the boxes of the wave
	Doing  string `json:"doing,omitempty"`
	Opened string `json:"opened,omitempty"` // who works with the file from here on
}

// What an event of a wave or of the rollout tells.
const (
	WaveBegun  = "begun"
	WavePassed = "passed"
	Halted     = "halted" // Text says why
	Resumed    = "resumed"
	Finished   = "finished"
)

// A mark is how a box was before it was asked to install: if it is still so
// afterwards, the question may not have arrived.
type mark struct {
	State   string `json:"state"`
	Failure string `json:"failure,omitempty"`
	Reason  string `json:"reason,omitempty"`
	Next    string `json:"next,omitempty"`
}

func markOf(s receive.Status) mark {
	m := mark{State: s.State, Failure: s.Failure, Reason: s.Reason}
	if s.Next != nil {
		m.Next = s.Next.Digest
	}
	return m
}

// A Box is what is known of one.
type Box struct {
	Name     string
	Wave     int // from 0
	State    State
	Kind     string
	Text     string
	From     string
	Changed  bool // this rollout asked it to install
	Already  bool
	Delta    bool
	Sent     int64
	Received int64
	Payload  int64
	Drift    time.Duration
	Since    time.Time // of State
	before   *mark
	asked    int // how often it was asked to install
}

// A Rollout is an open file.
type Rollout struct {
	Plan
	name string
	file *os.File
	lock *flock.Flock

	mu     sync.Mutex
	boxes  []*Box
	byName map[string]*Box
	passed int    // waves that are over
	begun  int    // waves that have begun
	halted string // why; empty: it is not
	done   bool
	opened string
	tell   func(Event)
	broken error // of writing the file: nothing more is begun
}

// ErrTaken says that somebody else works with the rollout.
var ErrTaken = errors.New("somebody else is working with this rollout")

// errLocal is in the chain of an error of this machine, after which no box can
// be worked with.
var errLocal = errors.New("what is found out cannot be kept")

// ErrThere says that the file of a new rollout is there already.
var ErrThere = errors.New("there is a rollout in this file already")

// lockSuffix ends the name of the file that is locked. It is one of its own, as
// a locked file cannot be read everywhere.
const lockSuffix = ".lock"

// Create makes the file of a new rollout.
func Create(name string, p *Plan, who string) (*Rollout, error) {
	r := &Rollout{name: name, Plan: *p}
	if err := r.take(); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if errors.Is(err, os.ErrExist) {
		err = fmt.Errorf("%s: %w", name, ErrThere)
	}
	if err == nil {
		r.file = f
		err = r.line(p)
	}
	if err != nil {
		return nil, errors.Join(err, r.Close())
	}
	r.fill()
	return r, r.put(Event{Opened: who})
}

// Open goes on with a rollout.
func Open(name, who string) (*Rollout, error) {
	if _, err := os.Stat(name); err != nil { // before a lock is made for nothing
		return nil, fmt.Errorf("open the rollout: %w", err)
	}
	r := &Rollout{name: name}
	if err := r.take(); err != nil {
		if errors.Is(err, ErrTaken) {
			if other, rerr := Read(name); rerr == nil && other.opened != "" {
				err = fmt.Errorf("%w: %s", err, other.opened)
			}
		}
		return nil, err
	}
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	if err == nil {
		r.file = f
		var end int64
		if end, err = r.replay(f); err == nil {
			// A line that a crash cut short is no news.
			err = errors.Join(f.Truncate(end), seek(f, end))
		}
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open the rollout %s: %w", name, err), r.Close())
	}
	return r, r.put(Event{Opened: who})
}

func seek(f *os.File, at int64) error {
	_, err := f.Seek(at, io.SeekStart)
	return err
}

// Read looks at a rollout, also while somebody works with it.
func Read(name string) (*Rollout, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("read the rollout: %w", err)
	}
	defer f.Close()
	r := &Rollout{name: name}
	if _, err := r.replay(f); err != nil {
		return nil, fmt.Errorf("read the rollout %s: %w", name, err)
	}
	return r, nil
}

// take locks the rollout.
func (r *Rollout) take() error {
	r.lock = flock.New(r.name + lockSuffix)
	ok, err := r.lock.TryLock()
	if err != nil {
		return fmt.Errorf("lock the rollout: %w", err)
	}
	if !ok {
		return fmt.Errorf("%s: %w", r.name, ErrTaken)
	}
	return nil
}

// Close lets go of the file.
func (r *Rollout) Close() error {
	var err error
	if r.file != nil {
		err = r.file.Close()
	}
	// The lock goes away with its file; who waits for it makes another.
	return errors.Join(err, os.Remove(r.name+lockSuffix), r.lock.Unlock())
}

// File is its name.
func (r *Rollout) File() string { return r.name }

// Bounds of a file. A line of a plan has some 200 bytes a box.
const maxLine = 64 << 20

// replay reads all lines and gives where the last whole one ends.
func (r *Rollout) replay(f io.Reader) (end int64, err error) {
	lines := bufio.NewReaderSize(f, 64<<10)
	for n := 1; ; n++ {
		line, err := readLine(lines)
		if errors.Is(err, io.EOF) {
			if n == 1 {
				return 0, errors.New("it is empty")
			}
			return end, nil
		}
		if err != nil {
			return 0, fmt.Errorf("line %d: %w", n, err)
		}
		if n == 1 {
			if err := json.Unmarshal(line, &r.Plan); err != nil {
				return 0, fmt.Errorf("it is no rollout: %w", err)
			}
			if err := r.Plan.check(); err != nil {
				return 0, err
			}
			r.fill()
		} else {
			var e Event
			if err := json.Unmarshal(line, &e); err != nil {
				return 0, fmt.Errorf("line %d: %w", n, err)
			}
			r.apply(e)
		}
		end += int64(len(line))
	}
}

// readLine reads a whole line; what is behind the last line end is io.EOF.
func readLine(r *bufio.Reader) ([]byte, error) {
	var line []byte
	for {
		part, err := r.ReadSlice('\n')
		if len(line)+len(part) > maxLine {
			return nil, errors.New("it is too long")
		}
		line = append(line, part...)
		if err == nil {
			return line, nil
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return nil, err
		}
	}
}

// fill makes a Box of each host of the plan.
func (r *Rollout) fill() {
	r.boxes, r.byName = make([]*Box, 0, len(r.Plan.Boxes)), make(map[string]*Box)
	for i, h := range r.Plan.Boxes {
		b := &Box{Name: h.Name, Wave: r.wave(i), State: Waiting}
		r.boxes = append(r.boxes, b)
		r.byName[h.Name] = b
	}
}

// apply takes an event over.
func (r *Rollout) apply(e Event) {
	switch {
	case e.Opened != "":
		r.opened, r.done = e.Opened, false
	case e.Box != "":
		b := r.byName[e.Box]
		if b == nil {
			return
		}
		b.Sent += e.Sent
		b.Received += e.Received
		b.Payload += e.Payload
		if e.Asked {
			b.before = nil
		}
		if e.State == "" {
			return
		}
		b.State, b.Kind, b.Text, b.Since = e.State, e.Kind, e.Text, e.Time
		b.Delta = b.Delta || e.Delta
		b.Already = b.Already || e.Already
		if e.Drift != 0 {
			b.Drift = time.Duration(e.Drift * float64(time.Second))
		}
		if e.From != "" && b.From == "" {
			b.From = e.From
		}
		if e.State == Installing {
			b.Changed, b.before = true, e.Before
			b.asked++
		}
	case e.Doing == WaveBegun:
		r.begun = max(r.begun, e.Wave)
	case e.Doing == WavePassed:
		r.passed = max(r.passed, e.Wave)
	case e.Doing == Halted:
		r.halted = e.Text
	case e.Doing == Resumed:
		r.halted = ""
	case e.Doing == Finished:
		r.done = true
	}
}

// put writes an event, synced, before it counts.
func (r *Rollout) put(e Event) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	e.Time = time.Now().UTC()
	if r.broken == nil {
		if err := r.line(e); err != nil {
			r.broken = fmt.Errorf("%w: %w", errLocal, err)
		}
	}
	if r.broken != nil {
		return r.broken
	}
	r.apply(e)
	if r.tell != nil {
		r.tell(e)
	}
	return nil
}

func (r *Rollout) line(v any) error {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return fmt.Errorf("write the rollout: %w", err)
	}
	_, err := r.file.Write(b.Bytes())
	if err := errors.Join(err, r.file.Sync()); err != nil {
		return fmt.Errorf("write the rollout: %w", err)
	}
	return nil
}

// Boxes gives what is known of each, in the order of the plan.
func (r *Rollout) Boxes() []Box {
	r.mu.Lock()
	defer r.mu.Unlock()
	list := make([]Box, len(r.boxes))
	for i, b := range r.boxes {
		list[i] = *b
	}
	return list
}

// box gives what is known of one.
func (r *Rollout) box(name string) Box {
	r.mu.Lock()
	defer r.mu.Unlock()
	return *r.byName[name]
}

// Halt says why the rollout has halted; empty if it has not.
func (r *Rollout) Halt() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.halted
}

// Opened says who works or has worked with it last.
func (r *Rollout) Opened() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.opened
}

// Counts is how many boxes are in each state.
type Counts map[State]int

// Counts counts all boxes.
func (r *Rollout) Counts() Counts { return r.count(func(*Box) bool { return true }) }

// WaveCounts counts the boxes of one wave, from 0.
func (r *Rollout) WaveCounts(wave int) Counts {
	return r.count(func(b *Box) bool { return b.Wave == wave })
}

// Wave is the wave that the rollout is at, from 0.
func (r *Rollout) Wave() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return max(min(r.passed, len(r.Ends)-1), 0)
}

// Late is how many boxes of the waves before that one are tried again with it.
func (r *Rollout) Late(wave int) (n int) {
	for s, boxes := range r.count(func(b *Box) bool { return b.Wave < wave }) {
		if !s.settled() {
			n += boxes
		}
	}
	return n
}

func (r *Rollout) count(which func(*Box) bool) Counts {
	r.mu.Lock()
	defer r.mu.Unlock()
	c := make(Counts)
	for _, b := range r.boxes {
		if which(b) {
			c[b.State]++
		}
	}
	return c
}
