package device

import "time"

// Stall measures for how long a machine has had nothing to say. The zero value is
// one that has just said something.
type Stall struct{ since time.Time }

// Beyond notes that there was nothing once more and says whether that has been so
// for longer than limit.
func (s *Stall) Beyond(limit time.Duration) bool {
	if s.since.IsZero() {
		s.since = time.Now()
	}
	return time.Since(s.since) > limit
}

// Over notes that something has come.
func (s *Stall) Over() { s.since = time.Time{} }
