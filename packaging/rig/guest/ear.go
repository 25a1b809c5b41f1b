package main

import (
	"context"
	"fmt"
	"log/slog"
	"sync"

	"docscan/device/uevent"
)

// ear hears what the kernel says of USB, by the same package as docscand.
type ear struct {
	mu    sync.Mutex
	heard []uevent.Event
}

// listen listens until ctx ends.
func (e *ear) listen(ctx context.Context, log *slog.Logger) {
	uevent.Watch(ctx, log, func(n uevent.News) {
		e.mu.Lock()
		defer e.mu.Unlock()
		e.heard = append(e.heard, n.Events...)
	})
}

// has waits until the kernel has said that of the device at port, with its
// place on the bus.
func (e *ear) has(action uevent.Action, port string) error {
	what := fmt.Sprintf("the kernel says %s of %s", action, port)
	return until(what, glance, func() (bool, error) {
		e.mu.Lock()
		defer e.mu.Unlock()
		for _, h := range e.heard {
			if h.Action == action && h.Port() == port && h.Bus == 1 && h.Address > 1 {
				return true, nil
			}
		}
		return false, fmt.Errorf("it said %+v", e.heard)
	})
}
