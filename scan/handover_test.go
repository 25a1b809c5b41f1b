package scan

import (
	"context"
	"encoding/json"
	"slices"
	"testing"

	"docscan/device"
	"docscan/store"
)

// bare is a scanner whose feeder is empty, which it says at its start or with the first
// side.
type bare struct {
	machine
	late bool
}

func (s *bare) Info() device.Info                             { return device.Info{ID: "desk"} }
func (s *bare) Close() error                                  { return nil }
func (s *bare) Status(context.Context) (device.Status, error) { return device.Status{}, nil }
func (s *bare) Cancel(context.Context) error                  { return nil }

func (s *bare) Start(context.Context, device.Settings) (device.Run, error) {
	if s.late {
		return s, nil
	}
	return nil, device.Faultf(device.NoPaper, "at the start")
}

func (s *bare) Next(context.Context) (*device.Side, error) {
	return nil, device.Faultf(device.NoPaper, "with the first side")
}

// A hand-over may come when the last sheet has just been taken: then the batch has all its
// paper, and is not stopped for want of it.
func TestNothingIsLeftToFeedOn(t *testing.T) {
	e := testEngine(t)
	for _, late := range []bool{false, true} {
		for _, goOn := range []bool{false, true} {
			want := device.NoPaper // who presses at an empty feeder is told
			if goOn {
				want = ""
			}
			err := e.feedSides(t.Context(), &feed{}, store.Batch{}, &bare{late: late}, device.Settings{}, place{goOn: goOn})
			if got := device.KindOf(err); got != want || goOn && err != nil {
				t.Errorf("said late: %t, after a hand-over: %t: %v, want %q", late, goOn, err, want)
			}
		}
	}
}

// Whoever watched the engine before sees each event of it and of the next once.
func TestEventsGoOn(t *testing.T) {
	first := &Engine{hub: newHub(), paper: map[string]bool{"a": true}, left: []store.BatchID{"b"}}
	for range 3 {
		first.hub.publish(Event{Name: EventDocument, Owner: "anna", Deleted: true})
	}
	seen := first.hub.kept[0].ID
	wire, err := json.Marshal(first.Baton())
	if err != nil {
		t.Fatal(err)
	}
	var baton Baton
	if err := json.Unmarshal(wire, &baton); err != nil {
		t.Fatal(err)
	}
	next := &Engine{hub: newHub()}
	next.Take(baton)
	next.hub.publish(Event{Name: EventDevice})
	sub := next.Subscribe(seen)
	defer sub.Close()
	for i, want := range []string{EventDocument, EventDocument, EventDevice} {
		ev := <-sub.C
		if ev.Name != want || ev.ID != seen+uint64(i)+1 {
			t.Errorf("event %d is %s %d, want %s %d", i, ev.Name, ev.ID, want, seen+uint64(i)+1)
		}
		if want == EventDocument && ev.Owner != "anna" {
			t.Errorf("event %d belongs to %q, want anna", i, ev.Owner)
		}
	}
	if !next.paper["a"] || !slices.Equal(next.taken, []store.BatchID{"b"}) {
		t.Errorf("taken over: paper %v, batches %v", next.paper, next.taken)
	}
}

func TestHubTakes(t *testing.T) {
	event := func(id uint64) BatonEvent { return BatonEvent{Event: Event{ID: id}} }
	tests := []struct {
		name   string
		last   uint64
		events []BatonEvent
		kept   int
	}{
		{"whole", 9, []BatonEvent{event(7), event(8), event(9)}, 3},
		{"none", 9, nil, 0},
		{"gap", 9, []BatonEvent{event(7), event(9)}, 0},
		{"end missing", 9, []BatonEvent{event(7), event(8)}, 0},
		{"unknown", 0, []BatonEvent{event(7)}, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := newHub()
			began := h.last
			h.take(tt.last, tt.events)
			want := tt.last
			if tt.last == 0 {
				want = began
			}
			if len(h.kept) != tt.kept || h.last != want {
				t.Errorf("kept %d, last %d; want %d, %d", len(h.kept), h.last, tt.kept, want)
			}
		})
	}
}
