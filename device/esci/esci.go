// Package esci drives document scanners of Seiko Epson's (DS, ES, FF, RR) over
// USB: requests and answers of ASCII tokens, which Epson calls ESC/I-2.
//
// A [Scanner] is one machine at the far end of a [Pipe]. It is told of in info.go
// by its own words; there is no list of models. A machine is held by a session
// only while a run is open and while it is asked something: between, its own
// panel works and other hosts can have it. A run is one transition to the
// machine's data state, in which it feeds on its own for as long as it has room;
// blocks of the two sides of a sheet come by turns, so each side is collected, in
// memory or in a file, and handed over when its true size is known. Machines with
// a JPEG encoder send JPEG; the others send lines, which become a TIFF file.
package esci

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"docscan/device"
)

// Options are what a Scanner is made of.
type Options struct {
	Pipe  Pipe
	Close func() error                // gives the pipe back; may be nil
	Reset func(context.Context) error // of the port, when nothing else helps; may be nil
	Info  device.Info
	Temp  string // folder for sides too large for memory; empty: the system's
	Log   *slog.Logger

	Ladder   *device.Ladder          // counts what is done to bring the machine back; may be nil
	Diagnose func() []device.Section // of what is below the protocol; may be nil

	BacksTurned bool // back sides come upside down, though the machine does not say so
}

// Scanner is one machine.
type Scanner struct {
	o     Options
	facts info
	said  [2][]byte // the answers to INFO and CAPA, for a diagnosis
	can   capabilities
	info  device.Info
	caps  device.Caps
	log   *slog.Logger

	wire    sync.Mutex // held while somebody speaks with the machine
	c       *conn
	running bool // guarded by wire

	mu   sync.Mutex
	last look
	busy bool // a run is open
}

var (
	_ device.Scanner   = (*Scanner)(nil)
	_ device.Buttons   = (*Scanner)(nil)
	_ device.Diagnoser = (*Scanner)(nil)
)

// Open asks the machine at the far end of the pipe what it is. After an error
// the pipe is the caller's.
func Open(ctx context.Context, o Options) (*Scanner, error) {
	s := &Scanner{o: o, c: &conn{pipe: o.Pipe, reset: o.Reset, log: o.Log}, info: o.Info, log: o.Log}
	err := s.ask(ctx, s.identify)
	if err != nil {
		return nil, fault(ctx, err)
	}
	s.caps = s.capabilities()
	return s, nil
}

// ask has a session for questions. s.wire is held, or s is not known to anybody
// yet.
func (s *Scanner) ask(ctx context.Context, questions func(context.Context) error) error {
	if err := s.c.begin(ctx, inquiry); err != nil {
		return err
	}
	return errors.Join(questions(ctx), s.finish())
}

// finish ends the session, also when the caller's time is over: a machine with a
// session of ours is lost to everybody else.
func (s *Scanner) finish() error {
	ctx, stop := context.WithTimeout(context.Background(), 2*stageTime)
	defer stop()
	return s.c.finish(ctx)
}

// identify asks all that is asked once.
func (s *Scanner) identify(ctx context.Context) error {
	_, b, err := s.c.patiently(ctx, "INFO", nil, stageTime, nil)
	if err != nil {
		return err
	}
	s.said[0] = slices.Clone(b)
	if s.facts, err = parseInfo(b); err != nil {
		return err
	}
	if _, b, err = s.c.patiently(ctx, "CAPA", nil, stageTime, nil); err != nil {
		return err
	}
	s.said[1] = slices.Clone(b)
	if s.can, err = parseCapabilities(b); err != nil {
		return err
	}
	if s.info.Make == "" {
		s.info.Make = "EPSON"
	}
	if s.facts.product != "" {
		s.info.Model = s.facts.product
	}
	if s.info.Serial == "" {
		s.info.Serial = s.facts.serial
	}
	s.log.Debug("scanner says what it is", "model", s.info.Model, "firmware", s.facts.version)
	return nil
}

// Diagnose gives what the machine says of itself, and its status. While a run is
// open it is not asked.
func (s *Scanner) Diagnose(ctx context.Context) []device.Section {
	st, err := s.Status(ctx)
	s.mu.Lock()
	last := s.last
	s.mu.Unlock()
	list := []device.Section{{
		Title: "What the scanner says of itself",
		Text:  fmt.Sprintf("INFO: %q\nCAPA: %q\nstatus: %+v %v\nlast look: %+v\n", s.said[0], s.said[1], st, err, last),
	}}
	if s.o.Diagnose != nil {
		list = append(list, s.o.Diagnose()...)
	}
	return list
}

// modes gives the modes that a machine can be asked for.
func (c capabilities) modes() []device.ColorMode {
	var list []device.ColorMode
	for _, m := range []device.ColorMode{device.Color, device.Gray, device.LineArt} {
		if slices.Contains(c.colors, colorWord(m)) {
			list = append(list, m)
		}
	}
	return list
}

// colorWord is what the wire calls a mode.
func colorWord(m device.ColorMode) string {
	switch m {
	case device.Gray:
		return "M008"
	case device.LineArt:
		return "M001"
	}
	return "C024"
}

// capabilities puts what the machine can do into the words of package device.
func (s *Scanner) capabilities() device.Caps {
	c := device.Caps{Modes: s.can.modes()}
	most := 0
	for _, src := range []struct {
		name device.Source
		is   *source
	}{{device.Feeder, s.facts.feeder}, {device.Platen, s.facts.glass}} {
		if src.is == nil {
			continue
		}
		c.Sources = append(c.Sources, src.name)
		c.MaxWidth = max(c.MaxWidth, src.is.width*3)
		c.MaxLength = max(c.MaxLength, src.is.length*3)
		most = max(most, src.is.dpi)
	}
	c.Duplex = s.facts.feeder != nil && s.can.has("DPLX")
	c.Resolutions = s.can.resolutions(most)
	return c
}

// Info says what the machine is, by its own words.
func (s *Scanner) Info() device.Info { return s.info }

// Caps says what the machine can do.
func (s *Scanner) Caps() device.Caps { return s.caps }

// Close ends the session, if there is one, and gives the machine back.
func (s *Scanner) Close() error {
	s.wire.Lock()
	err := s.finish()
	s.wire.Unlock()
	if device.KindOf(err) == device.Unplugged {
		err = nil // it has ended by itself
	}
	if s.o.Close != nil {
		err = errors.Join(err, s.o.Close())
	}
	return err
}

// look is one look at the status.
type look struct {
	faults []cause
	event  int    // of the button: 0 is none
	wait   string // why it cannot tell: BUSY, WUP, RSVD
}

// parseStatus reads the answer to STAT.
func parseStatus(b []byte) look {
	var l look
	for _, t := range tokens(b) {
		switch t.name {
		case "ERR":
			for i := 0; i+1 < len(t.values); i += 2 {
				l.faults = append(l.faults, cause{t.word(i), t.word(i + 1)})
			}
		case "PB ":
			if n := t.numbers(); len(n) > 0 {
				l.event = n[0] & 3 // the bits above are paper size and sides
			}
		}
	}
	return l
}

// empty says whether the feeder holds no paper.
func (l look) empty() bool {
	return slices.Contains(l.faults, cause{"ADF", "PE"})
}

// status asks for the status within a session. s.wire is held.
func (s *Scanner) status(ctx context.Context) (look, error) {
	r, b, err := s.c.exchange(ctx, "STAT", nil, nil, stageTime)
	if err != nil {
		return look{}, err
	}
	l := parseStatus(b)
	l.wait = r.wait
	l.faults = append(l.faults, r.faults...)
	s.mu.Lock()
	s.last = l
	s.mu.Unlock()
	return l, nil
}

// see looks at a machine that is not running, and otherwise says what was seen
// last.
func (s *Scanner) see(ctx context.Context) (l look, running bool, err error) {
	s.mu.Lock()
	l, running = s.last, s.busy
	s.mu.Unlock()
	if running {
		return l, true, nil // without waiting for what the run says to the machine
	}
	s.wire.Lock()
	defer s.wire.Unlock()
	if s.running {
		return l, true, nil
	}
	err = s.ask(ctx, func(ctx context.Context) error {
		var err error
		l, err = s.status(ctx)
		return err
	})
	return l, false, err
}

// Status asks the machine how it is. While a run is open it is scanning.
func (s *Scanner) Status(ctx context.Context) (device.Status, error) {
	l, running, err := s.see(ctx)
	st := device.Status{State: device.Ready, Loaded: s.facts.feeder != nil && !l.empty()}
	switch {
	case errors.Is(err, errRefused), l.wait == "RSVD":
		return device.Status{State: device.InUse}, nil
	case err != nil:
		return device.Status{}, fault(ctx, err)
	case running:
		st.State = device.Scanning
		return st, nil
	case l.wait != "":
		st.State = device.WarmingUp
		return st, nil
	}
	if l.empty() && s.facts.glass == nil {
		st.State = device.Empty
	}
	for _, c := range l.faults {
		switch kind := kindOf(c.what); kind {
		case device.NoPaper:
		case device.Cover:
			st.State, st.Fault = device.CoverOpen, kind
		default:
			st.State, st.Fault = device.Faulty, kind
		}
	}
	return st, nil
}

// Buttons looks at the button "scan".
func (s *Scanner) Buttons(ctx context.Context) (device.ButtonState, error) {
	l, running, err := s.see(ctx)
	if err != nil {
		return device.ButtonState{}, fault(ctx, err)
	}
	st := device.ButtonState{Loaded: s.facts.feeder != nil && !l.empty()}
	if l.event != 0 && !running {
		st.Down = []string{"scan"}
	}
	return st, nil
}

// claim makes the machine a run's.
func (s *Scanner) claim() error {
	s.wire.Lock()
	defer s.wire.Unlock()
	if s.running {
		return device.Faultf(device.Busy, "a run is under way")
	}
	s.running = true
	s.mu.Lock()
	s.busy = true
	s.mu.Unlock()
	return nil
}

// ended lets the next run begin.
func (s *Scanner) ended() {
	s.wire.Lock()
	defer s.wire.Unlock()
	s.running = false
	s.mu.Lock()
	s.busy = false
	s.mu.Unlock()
}

// settle is how long a machine may take for what comes at the end of a run.
const settle = 5 * time.Second

// retire gives the machine back after a run: it stops feeding, the session ends,
// and its last status is fetched, without which some show an error on their
// panel. That a machine which is gone or mute cannot be told is no error: it is
// freed before it is used again.
func (s *Scanner) retire(scanning bool) {
	s.wire.Lock()
	defer s.wire.Unlock()
	if s.c.session == none {
		return
	}
	ctx, stop := context.WithTimeout(context.Background(), settle)
	defer stop()
	if scanning && !s.c.broken {
		s.o.Ladder.Climb(device.CancelCommand, nil)
		if _, _, err := s.c.exchange(ctx, "CAN ", nil, nil, unlockTime); err != nil && !errors.As(err, new(*refusal)) {
			s.log.Warn("scanner was not told to stop", "err", err)
		}
	}
	err := s.c.finish(ctx)
	if err == nil && s.facts.feeder != nil {
		err = s.ask(ctx, func(ctx context.Context) error {
			_, err := s.status(ctx)
			return err
		})
	}
	if err != nil {
		s.log.Warn("scanner was not given back", "err", fmt.Errorf("after the run: %w", err))
	}
}
