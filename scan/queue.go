package scan

import (
	"sync"

	"docscan/store"
)

// pageKey names a page.
type pageKey struct {
	batch store.BatchID
	seq   int
}

// A queue holds pages that wait for a worker, first come first served. It may
// grow to all pages of all open batches: a key is some 60 bytes. A page is in
// it at most once, from add until done.
type queue struct {
	mu     sync.Mutex
	filled sync.Cond
	wait   []pageKey
	have   map[pageKey]bool
	closed bool
}

func newQueue() *queue {
	q := &queue{have: make(map[pageKey]bool)}
	q.filled.L = &q.mu
	return q
}

// add puts k at the end, unless it is waiting or being worked on.
func (q *queue) add(k pageKey) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed || q.have[k] {
		return
	}
	q.have[k] = true
	q.wait = append(q.wait, k)
	q.filled.Signal()
}

// next waits for a page; ok is false once the queue is closed.
func (q *queue) next() (k pageKey, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.wait) == 0 && !q.closed {
		q.filled.Wait()
	}
	if q.closed {
		return pageKey{}, false
	}
	k, q.wait = q.wait[0], q.wait[1:]
	return k, true
}

// done lets k be added again.
func (q *queue) done(k pageKey) {
	q.mu.Lock()
	defer q.mu.Unlock()
	delete(q.have, k)
}

func (q *queue) has(k pageKey) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.have[k]
}

// close wakes all who wait. Pages still in the queue are found again in the
// store by the next start.
func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.filled.Broadcast()
}
