package confine

import (
	"strings"
	"sync"
	"unicode"
)

// Tail keeps the last of what is written to it, which is what a process says on
// its standard output and error: processes say there why they die, and libraries
// say all sorts of things. Its zero value is ready.
type Tail struct {
	mu   sync.Mutex
	last []byte
}

// maxTail is enough for the message at the head of a Go crash and the stack of
// one goroutine after it.
const maxTail = 16 << 10

// Write never fails.
func (t *Tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.last = append(t.last, b...)
	if extra := len(t.last) - maxTail; extra > 0 {
		t.last = append(t.last[:0], t.last[extra:]...)
	}
	return len(b), nil
}

// Reset forgets what was said before.
func (t *Tail) Reset() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.last = t.last[:0]
}

// Text gives what is kept, as it came.
func (t *Tail) Text() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.last)
}

// Note gives the line that says most, as an end to an error message (": line"):
// the head of a crash report, else the last line; nothing if nothing was said.
func (t *Tail) Note() string {
	var last string
	for line := range strings.Lines(t.Text()) {
		if line = Plain(line); line == "" {
			continue
		}
		last = ": " + line
		for _, head := range []string{"fatal error", "panic", "runtime:", "terminate called", "SIG"} {
			if strings.HasPrefix(line, head) {
				return last
			}
		}
	}
	return last
}

// OutOfMemory reports whether the process said that it died for want of memory:
// in the words of Go, C++, the C library or Go's race detector.
func (t *Tail) OutOfMemory() bool {
	s := strings.ToLower(t.Text())
	for _, words := range []string{"out of memory", "bad_alloc", "cannot allocate memory", "failed to allocate"} {
		if strings.Contains(s, words) {
			return true
		}
	}
	return false
}

// maxPlain bounds what one message may take of a log line, in bytes.
const maxPlain = 300

// Plain makes what a process said fit for a log: one line of bounded length
// without control characters.
func Plain(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
	s = strings.TrimSpace(s)
	if len(s) > maxPlain {
		s = strings.ToValidUTF8(s[:maxPlain], "") + "..."
	}
	return s
}
