package client

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// An Event says that something changed; what it is now must be asked for.
type Event struct {
	ID       string `json:"-"`
	Name     string `json:"-"` // device, batch, page, document or reset
	Device   string `json:"device"`
	Batch    string `json:"batch"`
	Page     int    `json:"page"`
	Document string `json:"document"`
}

// Patience with a stream of events.
const (
	// maxEventLine is the longest line of the stream in bytes.
	maxEventLine = 64 << 10
	// patience is how long a daemon may be away, for instance to restart,
	// before Watch gives up.
	patience = time.Minute
)

// backoff is the pause before the n-th new try.
func backoff(n int) time.Duration { return min(100*time.Millisecond<<min(n, 6), 5*time.Second) }

// Watch calls f for every event from now on, until f returns false, ctx ends or
// the daemon stays away too long. After a lost connection it goes on where it
// was; f gets an event called reset when some may have been missed. ready is
// called once, when no event from then on can be missed.
func (c *Client) Watch(ctx context.Context, ready func(), f func(Event) bool) error {
	last := ""
	started := false
	var lost time.Time // when the connection was lost
	for tries := 0; ; tries++ {
		header := http.Header{"Accept": {"text/event-stream"}}
		if last != "" {
			header.Set("Last-Event-ID", last)
		}
		resp, err := c.do(ctx, http.MethodGet, "/api/v1/events", header, nil)
		if err == nil {
			if !started {
				started = true
				ready()
			} else if last == "" && !f(Event{Name: "reset"}) { // nothing to go on from
				resp.Body.Close()
				return nil
			}
			tries, lost = 0, time.Time{}
			more := true
			err = readEvents(resp.Body, func(e Event) bool {
				if e.ID != "" {
					last = e.ID
				}
				more = f(e)
				return more
			})
			resp.Body.Close()
			if !more {
				return nil
			}
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		var refused *Problem
		if errors.As(err, &refused) && refused.Status < 500 {
			return err
		}
		if lost.IsZero() {
			lost = time.Now()
		}
		if time.Since(lost) > patience {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(backoff(tries)):
		}
	}
}

// readEvents parses a stream of server-sent events until it ends or f returns
// false. Fields and data it does not know are passed over. The end of the
// stream is an error, as the daemon never ends it of its own.
func readEvents(r io.Reader, f func(Event) bool) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 4096), maxEventLine)
	var name, id string
	var data []string
	size := 0
	for lines.Scan() {
		line := lines.Text()
		if line == "" { // the end of an event
			e := Event{ID: id, Name: name}
			// Data of another shape still says that something changed.
			_ = json.Unmarshal([]byte(strings.Join(data, "\n")), &e)
			if name != "" && !f(e) {
				return nil
			}
			name, data, size = "", nil, 0
			continue
		}
		field, value, _ := strings.Cut(line, ":")
		value = strings.TrimPrefix(value, " ")
		switch field {
		case "event":
			name = value
		case "id":
			id = value
		case "data":
			if size += len(value); size > maxEventLine {
				return fmt.Errorf("%w: an event has no end", ErrUnreachable)
			}
			data = append(data, value)
		}
	}
	err := lines.Err()
	if err == nil {
		err = io.ErrUnexpectedEOF
	}
	return fmt.Errorf("%w: the stream of events broke off: %w", ErrUnreachable, err)
}
