package web

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"docscan/scan"
	"docscan/store"
)

// heartbeat keeps an event stream from being taken for dead by what lies
// between; retry is how soon a browser comes back.
const (
	heartbeat = 20 * time.Second
	retry     = 2 * time.Second
)

// events streams what changes, as server-sent events. Last-Event-ID asks for
// what was missed.
func (s *Server) events(c *call) error {
	var after uint64
	if v := c.r.Header.Get("Last-Event-ID"); v != "" {
		n, err := strconv.ParseUint(v, 10, 64)
		if err != nil {
			return problemf(400, "bad-event-id", "Bad event ID", "Last-Event-ID must be a number that an event had.")
		}
		after = n
	}
	rc := http.NewResponseController(c.w)
	// The time limit of ordinary answers does not hold for a stream.
	if err := errors.Join(rc.SetWriteDeadline(time.Time{}), rc.SetReadDeadline(time.Time{})); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	s.leave(c)
	leave, ok := s.streams.add(connectionOf(c), s.cfg.ConnectionsPerAddress)
	if !ok {
		if s.views.allow(reading{c.user.Name, c.address, "event streams"}).ok { // not each time a browser tries again
			s.recordRefusal(c.r, c.caller, "rate_limit_exceeded")
		}
		c.w.Header().Set("Retry-After", "60")
		return problemf(429, "too-many-streams", "Too many event streams", "You have %d event streams open. Close some first.", s.cfg.ConnectionsPerAddress)
	}
	defer leave()
	sub := s.Engine.Subscribe(after)
	defer sub.Close()
	h := c.w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no")
	// With an ID at once, and now and then one of what was not for this reader, the
	// browser knows from where to go on even if nothing has come to it.
	if _, err := fmt.Fprintf(c.w, "retry: %d\nid: %d\n\n", retry.Milliseconds(), sub.Since); err != nil {
		return nil // the reader has gone
	}
	again := s.recheck.listen()
	if !s.stillIn(c) { // what happened before it listened
		return nil
	}
	beat := time.NewTicker(s.beat)
	defer beat.Stop()
	last := sub.Since
	for {
		if err := rc.Flush(); err != nil {
			return nil
		}
		var err error
		select {
		case <-c.r.Context().Done():
			return nil
		case <-s.closed:
			return nil
		case <-again:
			again = s.recheck.listen()
			if !s.stillIn(c) {
				return nil // the reader comes back and is asked to log in
			}
		case <-beat.C:
			if !s.stillIn(c) { // its time may be over
				return nil
			}
			_, err = fmt.Fprintf(c.w, ": still here\nid: %d\n\n", last)
		case ev, ok := <-sub.C:
			if !ok {
				return nil // too slow, or the engine stops: the reader comes back
			}
			if !s.stillIn(c) {
				return nil
			}
			last = ev.ID
			if s.concerns(c.caller, *ev) {
				err = writeEvent(c.w, *ev)
			}
		}
		if err != nil {
			return nil
		}
	}
}

// stillIn reports whether the log-in or token that opened a stream still holds.
func (s *Server) stillIn(c *call) bool {
	if c.session == "" && c.token == "" { // the local socket
		return true
	}
	now := &caller{}
	// To watch is not to use: a page left open does not keep a log-in alive.
	_, err := s.lookUp(now, c.session+c.token, c.token != "")
	if err != nil || now.user.Role != c.user.Role || now.user.MustChange != c.user.MustChange {
		return false
	}
	c.user.Groups = now.user.Groups // what is shared counts from now on
	return true
}

func writeEvent(w http.ResponseWriter, ev scan.Event) error {
	data, err := json.Marshal(ev)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "id: %d\nevent: %s\ndata: %s\n\n", ev.ID, ev.Name, data)
	return err
}

// concerns reports whether the caller may know of ev.
func (s *Server) concerns(c *caller, ev scan.Event) bool {
	if c.admin() {
		return true
	}
	switch {
	case ev.Deleted:
		return c.sees(ev.Owner) && !c.panel()
	case ev.Batch != "":
		b, err := s.Store.Batch(ev.Batch)
		return err == nil && c.watches(b)
	case ev.Document != "":
		d, err := s.Store.Document(ev.Document)
		return err == nil && c.reads(d)
	}
	return true
}

// connectionView is one open stream of events.
type connectionView struct {
	User    string    `json:"user"`
	Since   time.Time `json:"since"`
	Address string    `json:"ip_address"`
	Agent   string    `json:"agent"`

	owner store.UserID
}

func connectionOf(c *call) connectionView {
	return connectionView{User: c.user.Name, Since: time.Now().UTC(), Address: c.address, Agent: clip(c.r.UserAgent()), owner: c.user.ID}
}

// streams are the open streams of events.
type streams struct {
	mu   sync.Mutex
	last int
	open map[int]connectionView
}

// add enters a stream, unless its user has as many as one may; remove takes it out.
// Those of the box itself are not bounded.
func (x *streams) add(v connectionView, most int) (remove func(), ok bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	own := 0
	for _, o := range x.open {
		if o.owner == v.owner {
			own++
		}
	}
	if own >= most && v.owner != "" {
		return nil, false
	}
	if x.open == nil {
		x.open = make(map[int]connectionView)
	}
	x.last++
	n := x.last
	x.open[n] = v
	return func() {
		x.mu.Lock()
		defer x.mu.Unlock()
		delete(x.open, n)
	}, true
}

// list gives the streams, the oldest first.
func (x *streams) list() []connectionView {
	x.mu.Lock()
	defer x.mu.Unlock()
	list := []connectionView{}
	for _, v := range x.open {
		list = append(list, v)
	}
	slices.SortFunc(list, func(a, b connectionView) int { return a.Since.Compare(b.Since) })
	return list
}

type connectionsView struct {
	Total       int              `json:"total_connections"`
	Connections []connectionView `json:"connections"`
}

func (s *Server) connections(c *call) error {
	list := s.streams.list()
	if !c.admin() {
		list = slices.DeleteFunc(list, func(v connectionView) bool { return v.owner != c.user.ID })
	}
	return writeJSON(c.w, http.StatusOK, connectionsView{len(list), list})
}
