package device

import (
	"context"
	"encoding/json"
	"fmt"
	"time"
)

// A Section is one part of a diagnosis, as text for people.
type Section struct {
	Title string
	Text  string
}

// Diagnoser is what a Scanner is too that can say more of itself than its
// status: descriptors, what it said of itself, the last transfers. Nothing of
// what was scanned may be in it.
type Diagnoser interface {
	Diagnose(ctx context.Context) []Section
}

// keptEvents is how many events of a machine the registry keeps for a diagnosis.
const keptEvents = 50

// note keeps what happened to a machine; r.mu is held.
func (e *entry) note(format string, args ...any) {
	if len(e.events) == keptEvents {
		e.events = e.events[1:]
	}
	e.events = append(e.events, time.Now().UTC().Format("2006-01-02 15:04:05.000 ")+fmt.Sprintf(format, args...))
}

// Diagnose says all that is known of a machine, also of one that is gone. A
// machine that is scanning is not asked anything.
func (r *Registry) Diagnose(ctx context.Context, id string) ([]Section, error) {
	r.mu.Lock()
	e, ok := r.devices[id]
	if !ok {
		r.mu.Unlock()
		return nil, fmt.Errorf("scanner %q: %w", id, ErrUnknown)
	}
	state, s, lent := e.state, e.scanner, e.lent
	events := append([]string{}, e.events...)
	r.mu.Unlock()

	text, err := json.MarshalIndent(state, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("diagnose %s: %w", id, err)
	}
	all := []Section{{"State", string(text)}}
	last := Section{Title: "Last events, oldest first"}
	for _, line := range events {
		last.Text += line + "\n"
	}
	all = append(all, last)
	if d, ok := s.(Diagnoser); ok && !lent {
		dctx, stop := context.WithTimeout(ctx, openTimeout)
		defer stop()
		all = append(all, d.Diagnose(dctx)...)
	}
	return all, nil
}
