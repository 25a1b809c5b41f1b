package usbface

import (
	"context"
	"sync"
	"time"
)

// Outbox is what a [Function] has for its host to read. Its zero value is empty.
type Outbox struct {
	mu    sync.Mutex
	queue []Message
	news  chan struct{} // closed when there is something to read; nil until somebody waits
	mute  bool
	gone  bool
}

// Message is one transfer for the host: data, or an error in their place.
type Message struct {
	Data  []byte
	Pause time.Duration // before it can be read
	Err   error
}

// Say adds a message, unless the function is mute or gone.
func (o *Outbox) Say(m Message) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.mute && !o.gone {
		o.queue = append(o.queue, m)
		o.tell()
	}
}

// tell wakes those who wait for news. o.mu is held.
func (o *Outbox) tell() {
	if o.news != nil {
		close(o.news)
		o.news = nil
	}
}

// In waits for the next message and gives it. One that was not taken before ctx
// ended stays the next. When the function is gone, it fails with [ErrGone].
func (o *Outbox) In(ctx context.Context) ([]byte, error) {
	for {
		o.mu.Lock()
		if o.gone {
			o.mu.Unlock()
			return nil, ErrGone
		}
		if len(o.queue) > 0 {
			m := o.queue[0]
			o.queue = o.queue[1:]
			o.mu.Unlock()
			return o.give(ctx, m)
		}
		if o.news == nil {
			o.news = make(chan struct{})
		}
		news := o.news
		o.mu.Unlock()
		select {
		case <-news:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (o *Outbox) give(ctx context.Context, m Message) ([]byte, error) {
	if m.Pause > 0 {
		t := time.NewTimer(m.Pause)
		defer t.Stop()
		select {
		case <-t.C:
		case <-ctx.Done():
			o.mu.Lock()
			o.queue = append([]Message{m}, o.queue...)
			o.mu.Unlock()
			return nil, ctx.Err()
		}
	}
	return m.Data, m.Err
}

// Drop forgets what was not read, and gives how many messages that were.
func (o *Outbox) Drop() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	n := len(o.queue)
	o.queue = nil
	return n
}

// Waiting gives how many messages are to be read.
func (o *Outbox) Waiting() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.queue)
}

// Mute lets the function say nothing more until Reset; what it has said can be read.
func (o *Outbox) Mute() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.mute = true
}

// Reset forgets what was not read, and that the function is mute.
func (o *Outbox) Reset() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.queue, o.mute = nil, false
}

// Unplug makes every read fail from now on.
func (o *Outbox) Unplug() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.gone = true
	o.tell()
}

// Gone says whether the function was unplugged.
func (o *Outbox) Gone() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.gone
}
