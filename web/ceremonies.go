package web

import (
	"sync"
	"time"
)

// ceremonies are what is kept of things that take two requests, such as a log-in
// that waits for a code, by the hash of the secret that the browser holds
// meanwhile. They are kept in memory only: whoever is in the middle of one when
// docscan is started again begins once more.
type ceremonies struct {
	mu  sync.Mutex
	all map[string]ceremony
}

// A ceremony is one of them.
type ceremony struct {
	ends time.Time
	data any
}

// Bounds of ceremonies.
const (
	ceremonyTime  = 5 * time.Minute
	maxCeremonies = 1000
)

// begin keeps data for the second request and returns the secret of it.
func (c *ceremonies) begin(data any) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.all == nil {
		c.all = make(map[string]ceremony)
	}
	now := time.Now()
	for key, x := range c.all { // those that have ended; or else, under attack, any
		if now.After(x.ends) || len(c.all) >= maxCeremonies {
			delete(c.all, key)
		}
	}
	secret := newSecret()
	c.all[hashSecret(secret)] = ceremony{now.Add(ceremonyTime), data}
	return secret
}

// end gives what was kept, once.
func (c *ceremonies) end(secret string) (data any, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	key := hashSecret(secret)
	x, ok := c.all[key]
	delete(c.all, key)
	if !ok || time.Now().After(x.ends) {
		return nil, false
	}
	return x.data, true
}

// A bell tells all who listen that something has changed.
type bell struct {
	mu sync.Mutex
	ch chan struct{}
}

// listen gives a channel that is closed when the bell rings next.
func (b *bell) listen() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ch == nil {
		b.ch = make(chan struct{})
	}
	return b.ch
}

func (b *bell) ring() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ch != nil {
		close(b.ch)
		b.ch = nil
	}
}
