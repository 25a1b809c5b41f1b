package scan

import (
	"sync"
	"time"

	"docscan/store"
)

// Names of events.
const (
	EventDevice   = "device"   // a machine came, went or changed its status
	EventBatch    = "batch"    // a batch changed its state or its fault
	EventPage     = "page"     // a page became safe, or its picture or text is there
	EventDocument = "document" // a document was filed, changed or deleted
	EventReset    = "reset"    // what happened since is no longer known: load everything anew
)

// An Event says that something changed. What it is now, the store knows.
type Event struct {
	ID       uint64           `json:"id"` // rises, also over restarts
	Time     time.Time        `json:"time"`
	Name     string           `json:"name"`
	Device   string           `json:"device,omitempty"`
	Batch    store.BatchID    `json:"batch,omitempty"`
	Page     int              `json:"page,omitempty"`
	Document store.DocumentID `json:"document,omitempty"`

	// Owner is whose document it was, where the store can no longer say.
	Owner store.UserID `json:"-"`
	// Deleted says that the document is no longer there.
	Deleted bool `json:"deleted,omitempty"`
}

// Bounds of the feed. A 200-sheet duplex batch makes some 1,300 events; a
// subscriber that falls further behind than its buffer is cut off and comes
// back with the last ID it has seen.
const (
	keptEvents     = 4096
	bufferedEvents = 256
)

// hub hands events to subscribers and keeps the last ones for replay.
type hub struct {
	mu     sync.Mutex
	last   uint64
	kept   []*Event // oldest first, at most keptEvents; nobody changes them
	subs   map[*Subscription]struct{}
	closed bool
}

// newHub starts the IDs at the time in microseconds, so that those of a new
// process are above all of the one before.
func newHub() *hub {
	return &hub{last: uint64(time.Now().UnixMicro()), subs: make(map[*Subscription]struct{})}
}

// publish stamps ev and hands it on. It never waits.
func (h *hub) publish(ev Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.last++
	ev.ID, ev.Time = h.last, time.Now()
	if len(h.kept) == keptEvents {
		h.kept = append(h.kept[:0:0], h.kept[keptEvents/4:]...)
	}
	h.kept = append(h.kept, &ev)
	for s := range h.subs {
		select {
		case s.c <- &ev:
		default:
			h.drop(s)
		}
	}
}

// drop ends s; h.mu is held.
func (h *hub) drop(s *Subscription) {
	if _, ok := h.subs[s]; ok {
		delete(h.subs, s)
		close(s.c)
	}
}

func (h *hub) close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closed = true
	for s := range h.subs {
		h.drop(s)
	}
}

// A Subscription receives events until it is closed, the engine stops, or its
// reader is too slow; then C is closed.
type Subscription struct {
	C <-chan *Event // the same ones for all; nobody changes them
	// Since is the ID of the last event that will not come: what the reader has seen,
	// or what was last before it came.
	Since uint64

	c   chan *Event
	hub *hub
}

// Close ends the subscription. It may be called more than once.
func (s *Subscription) Close() {
	s.hub.mu.Lock()
	defer s.hub.mu.Unlock()
	s.hub.drop(s)
}

// Subscribe gives all events after the one with ID after, those of the past
// first. With after 0 only new ones come. When some are no longer known, the
// first event is a reset.
func (e *Engine) Subscribe(after uint64) *Subscription {
	h := e.hub
	h.mu.Lock()
	defer h.mu.Unlock()
	var past []*Event
	if after != 0 && after != h.last {
		known := len(h.kept) > 0 && after >= h.kept[0].ID-1 && after < h.last
		if !known {
			past = append(past, &Event{ID: h.last, Time: time.Now(), Name: EventReset})
		} else {
			past = h.kept[after+1-h.kept[0].ID:]
		}
	}
	s := &Subscription{Since: h.last, c: make(chan *Event, len(past)+bufferedEvents), hub: h}
	if len(past) > 0 {
		s.Since = after
	}
	s.C = s.c
	for _, ev := range past {
		s.c <- ev
	}
	if h.closed {
		close(s.c)
		return s
	}
	h.subs[s] = struct{}{}
	return s
}
