package sim

import (
	"fmt"
	"slices"
	"time"
)

// Kind is what goes wrong.
type Kind string

// What can go wrong. All but Slow last until Clear.
const (
	Jam         Kind = "jam"
	DoubleFeed  Kind = "double-feed"
	Mispick     Kind = "mispick"
	CoverOpen   Kind = "cover-open"
	PageTooLong Kind = "page-length"
	TrayFailed  Kind = "hardware"
	Unplugged   Kind = "unplugged" // the connection breaks; the scanner is away for some seconds or until Clear
	NotXML      Kind = "not-xml"   // its answers are no XML
	NotImage    Kind = "not-image" // its pages are an error text with status 200
	NotReady    Kind = "busy"      // it answers 503 to all that feeds
	Slow        Kind = "slow"      // each page comes in small pieces
)

// adfStates are the feeder's states in the faults that have one.
var adfStates = map[Kind]string{
	Jam: "ScannerAdfJam", DoubleFeed: "ScannerAdfMultipickDetected", Mispick: "ScannerAdfMispick",
	CoverOpen: "ScannerAdfHatchOpen", PageTooLong: "ScannerAdfDuplexPageTooLong", TrayFailed: "ScannerAdfInputTrayFailed",
}

// Kinds lists all kinds in the order of a panel.
var Kinds = []Kind{Jam, DoubleFeed, Mispick, CoverOpen, PageTooLong, TrayFailed, Unplugged, NotXML, NotImage, NotReady, Slow}

// Place is where in a sheet a fault strikes.
type Place string

// The places.
const (
	AtFeed   Place = "feed"     // before the front is delivered
	MidPage  Place = "mid-page" // in the middle of the front
	Between  Place = "between"  // after the front, before the back
	AtStatus Place = "status"   // at once, so that the status tells before anything is fed
)

// A Fault is something that will go wrong.
type Fault struct {
	Kind        Kind  `json:"kind"`
	AfterSheets int   `json:"after_sheets"` // whole sheets of the next job before it strikes
	Where       Place `json:"where"`        // empty: AtFeed
}

// Arm makes f strike in the running or the next job. A cover that opens, and
// answers that are no XML, strike at once when no sheet is to come before.
func (s *Scanner) Arm(f Fault) error {
	if !slices.Contains(Kinds, f.Kind) {
		return fmt.Errorf("there is no fault %q", f.Kind)
	}
	if f.Where == "" {
		f.Where = AtFeed
	}
	if !slices.Contains([]Place{AtFeed, MidPage, Between, AtStatus}, f.Where) || f.AfterSheets < 0 {
		return fmt.Errorf("a fault cannot strike at %q after %d sheets", f.Where, f.AfterSheets)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.armed = &f
	if f.Where == AtStatus || f.AfterSheets == 0 && (s.job == nil || s.job.over) && (f.Kind == CoverOpen || f.Kind == NotXML || f.Kind == Unplugged || f.Kind == NotReady) {
		s.strike()
	}
	return nil
}

// Clear is the person who takes out the sheet, closes the cover and puts the
// sheet back on top of the stack.
func (s *Scanner) Clear() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.armed, s.struck = nil, nil
	s.log.Info("simulated scanner cleared", "sheets", len(s.hopper))
}

// Empty takes all paper out of the feeder and keeps the folder from filling it
// until Refill.
func (s *Scanner) Empty() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hopper, s.kept = nil, true
}

// Refill puts the whole folder into the feeder.
func (s *Scanner) Refill() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hopper, s.kept, s.ran = nil, false, false
}

// strike makes the armed fault the one the machine stands in; s.mu is held.
func (s *Scanner) strike() {
	s.struck, s.armed = s.armed, nil
	if s.struck.Kind == Unplugged {
		s.away = time.Now().Add(replugAfter)
	}
	s.log.Info("simulated fault strikes", "kind", s.struck.Kind)
}

// due reports whether the armed fault strikes at this place of the job's
// current sheet; s.mu is held.
func (s *Scanner) due(j *job, at Place) bool {
	return s.armed != nil && s.armed.Where == at && j.fed >= s.armed.AfterSheets
}

// standing is the kind of the fault the machine stands in, or ""; s.mu is held.
func (s *Scanner) standing() Kind {
	if s.unplugged() || s.struck != nil {
		return s.struck.Kind
	}
	return ""
}
