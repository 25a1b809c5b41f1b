package device

import (
	"fmt"
	"log/slog"
	"strings"
	"sync"
)

// A Rung is one step in bringing a machine back that does not do as it should.
type Rung string

// The rungs, from the gentlest. A driver begins with the lowest that fits.
const (
	Drain         Rung = "drain"           // an answer that nobody wants is read to its end
	CancelCommand Rung = "cancel command"  // the machine is told to forget its scan
	ClearHalt     Rung = "clear halt"      // of the endpoints; the interface is claimed anew
	SoftReset     Rung = "soft reset"      // of the interface, by the printer class
	PortReset     Rung = "port reset"      // of the whole machine
	TellPerson    Rung = "tell the person" // nothing helped
)

var rungs = []Rung{Drain, CancelCommand, ClearHalt, SoftReset, PortReset, TellPerson}

// A Ladder counts and logs what was done to bring one machine back. A nil one
// does nothing. Its methods may be called from any goroutine.
type Ladder struct {
	log *slog.Logger

	mu    sync.Mutex
	count map[Rung]int
}

// NewLadder makes a Ladder. log should name the device.
func NewLadder(log *slog.Logger) *Ladder {
	return &Ladder{log: log, count: make(map[Rung]int)}
}

// Climb notes one step. why may be nil. The lowest two are everyday: a person who
// cancels a scan takes them.
func (l *Ladder) Climb(r Rung, why error) {
	if l == nil {
		return
	}
	l.mu.Lock()
	l.count[r]++
	n := l.count[r]
	l.mu.Unlock()
	switch r {
	case Drain, CancelCommand:
		l.log.Debug("scanner is brought back", "step", r, "count", n, "err", why)
	case ClearHalt, SoftReset:
		l.log.Info("scanner is brought back", "step", r, "count", n, "err", why)
	default:
		l.log.Warn("scanner is brought back", "step", r, "count", n, "err", why)
	}
}

// Count is how often a step was taken.
func (l *Ladder) Count(r Rung) int {
	if l == nil {
		return 0
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.count[r]
}

// Section gives the counts for a diagnosis.
func (l *Ladder) Section() Section {
	var list []string
	for _, r := range rungs {
		list = append(list, fmt.Sprintf("%s %d", r, l.Count(r)))
	}
	return Section{Title: "Recovery", Text: strings.Join(list, "; ") + "\n"}
}
