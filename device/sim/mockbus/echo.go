package main

import (
	"context"
	"slices"
	"sync"
)

// echo is a function that gives every message back, for tests of the bus and of
// what carries messages over it.
type echo struct {
	mu   sync.Mutex
	said [][]byte
	news chan struct{} // closed and replaced when said grows
}

func newEcho() *echo { return &echo{news: make(chan struct{})} }

// Out keeps b for In.
func (e *echo) Out(_ context.Context, b []byte) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.said = append(e.said, slices.Clone(b))
	close(e.news)
	e.news = make(chan struct{})
	return nil
}

// In gives the oldest message that was not given yet.
func (e *echo) In(ctx context.Context) ([]byte, error) {
	for {
		e.mu.Lock()
		news := e.news
		if len(e.said) > 0 {
			b := e.said[0]
			e.said = e.said[1:]
			e.mu.Unlock()
			return b, nil
		}
		e.mu.Unlock()
		select {
		case <-news:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// Reset forgets what was not given yet.
func (e *echo) Reset() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.said = nil
}
