// Package fujitsu drives the fi and ScanSnap series of Fujitsu, PFU and Ricoh
// over USB: SCSI commands in an envelope of the maker's.
//
// A [Scanner] is one machine at the far end of a [Pipe]. What the machine tells
// of itself is in identify.go, what it does not tell in models.go. A run feeds a
// sheet when it is asked for one and not before, so that no paper is inside that
// nobody has stored. Machines with a JPEG encoder send JPEG, which passes with
// its head repaired; the others send lines, which become a TIFF file on their
// way. Of a sheet with two sides both come at once: the back waits in memory, or
// in a file when it is large.
//
// Not for S300, S1100 and S1300(i), which speak another protocol.
package fujitsu

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"

	"docscan/device"
)

// defaultMemory is how much of one side waits in memory, in bytes: A4 in colour
// at 300 dpi has 26 MB.
const defaultMemory = 32 << 20

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

	MaxSide int64 // bytes that the machine may send of one side; 0: 512 MiB
}

// defaultMaxSide is enough for the longest paper of the fi series: 5.6 m have
// 460 MB in colour at 200 dpi.
const defaultMaxSide = 512 << 20

// Scanner is one machine.
type Scanner struct {
	o     Options
	c     *conn
	v     vital
	m     model
	info  device.Info
	caps  device.Caps
	room  int           // how much of one side waits in memory, in bytes
	pages map[byte]bool // mode pages that it has
	said  []said        // of itself, for a diagnosis
	log   *slog.Logger

	mu      sync.Mutex
	order   *order // of its colours; nil: not known yet
	running bool
	noSize  bool // it does not tell the size of an image
	last    hardware
	pressed []string // buttons that went down and that nobody was told of
}

var (
	_ device.Scanner   = (*Scanner)(nil)
	_ device.Buttons   = (*Scanner)(nil)
	_ device.Diagnoser = (*Scanner)(nil)
)

// Open asks the machine at the far end of the pipe what it is. After an error
// the pipe is the caller's.
func Open(ctx context.Context, o Options) (*Scanner, error) {
	if o.MaxSide == 0 {
		o.MaxSide = defaultMaxSide
	}
	s := &Scanner{
		o: o, c: &conn{pipe: o.Pipe, reset: o.Reset, log: o.Log}, info: o.Info, log: o.Log,
		room: defaultMemory, pages: make(map[byte]bool), last: hardware{empty: true},
	}
	if err := s.identify(ctx); err != nil {
		return nil, fault(ctx, err)
	}
	s.caps = s.capabilities()
	return s, nil
}

// said is one answer of a machine about itself.
type said struct {
	what string
	data []byte
}

// Diagnose gives what the machine says of itself, its sensors, and what is known
// of its model. While a run is open it is not asked.
func (s *Scanner) Diagnose(ctx context.Context) []device.Section {
	var b strings.Builder
	for _, a := range s.said {
		fmt.Fprintf(&b, "%s:\n%s", a.what, hex.Dump(a.data))
	}
	st, err := s.Status(ctx)
	s.mu.Lock()
	last, order := s.last, s.order
	s.mu.Unlock()
	fmt.Fprintf(&b, "status: %+v %v\nsensors: %+v\n", st, err, last)
	if order != nil {
		fmt.Fprintf(&b, "order of colours: %d %d\n", order[0], order[1])
	}
	list := []device.Section{
		{Title: "What the scanner says of itself", Text: b.String()},
		{Title: "What is known of its model", Text: fmt.Sprintf("%+v\n", s.m)},
	}
	if s.o.Diagnose != nil {
		list = append(list, s.o.Diagnose()...)
	}
	return list
}

// probes is how often a machine is asked for a sign of life. Old ones fail the
// first command after they were opened.
const probes = 3

// identify asks all that is asked once.
func (s *Scanner) identify(ctx context.Context) error {
	for try := 1; ; try++ {
		_, _, err := s.c.do(ctx, testReady())
		var refused *senseError
		if err == nil || errors.As(err, &refused) || errors.Is(err, errBusy) {
			break
		}
		if try == probes || ctx.Err() != nil || device.KindOf(err) != "" {
			return err
		}
		s.log.Debug("scanner does not answer yet", "err", err)
	}
	b := make([]byte, inquirySize, packetSize)
	n, _, err := s.c.do(ctx, &command{name: "INQUIRY", cdb: []byte{0x12, 0, 0, 0, inquirySize, 0}, in: b})
	if err != nil {
		return err
	}
	s.said = append(s.said, said{"INQUIRY", b[:n]})
	q, err := parseInquiry(b[:n])
	if err != nil {
		return err
	}
	s.info.Make, s.info.Model = q.vendor, q.product
	s.m = modelOf(q.product)
	b = make([]byte, vitalSize, packetSize)
	n, _, err = s.c.do(ctx, &command{name: "INQUIRY of the vital page", cdb: []byte{0x12, 1, vitalPage, 0, vitalSize, 0}, in: b})
	if err != nil {
		return err
	}
	s.said = append(s.said, said{"vital page", b[:n]})
	if s.v, err = parseVital(b[:n]); err != nil {
		return err
	}
	for _, page := range []byte{pageDoubleFeed, pageBuffering, pageAutoSize} {
		cmd := modeSense(page)
		n, _, err := s.c.do(ctx, cmd)
		var refused *senseError
		switch {
		case err == nil:
			s.pages[page] = true
			s.said = append(s.said, said{fmt.Sprintf("mode page %02X", page), cmd.in[:n]})
		case !errors.As(err, &refused):
			return err
		}
	}
	// With its cover open it may refuse any window. Start tries again.
	if err := s.findOrder(ctx); err != nil {
		var refused *senseError
		if !errors.As(err, &refused) {
			return err
		}
		s.log.Debug("order of colours not found yet", "err", err)
	}
	return s.askSerial(ctx)
}

// askSerial asks for the serial number, for a machine whose descriptors have
// none.
func (s *Scanner) askSerial(ctx context.Context) error {
	if s.info.Serial != "" || s.m.noSerial || !s.v.diagnostics {
		return nil
	}
	_, _, err := s.c.do(ctx, diagnostic([]byte("GET DEVICE ID   ")))
	b := make([]byte, 10, packetSize)
	n := 0
	if err == nil {
		n, _, err = s.c.do(ctx, &command{name: "READ DIAGNOSTIC", cdb: []byte{0x1c, 0, 0, 0, byte(len(b)), 0}, in: b})
	}
	var refused *senseError
	switch {
	case errors.As(err, &refused):
		return nil // it can do without
	case err == nil && n >= 4:
		s.info.Serial = fmt.Sprint(binary.BigEndian.Uint32(b))
	}
	return err
}

// findOrder finds out by trial how the machine sends colours: the first window
// that it accepts tells.
func (s *Scanner) findOrder(ctx context.Context) error {
	if !s.v.color {
		return nil
	}
	p := plan{wanted: device.Color, wire: wireColor, dpi: s.v.nearest(300)}
	p.width = min(s.v.width, 85*unit/10) * p.dpi / unit / 16 * 16
	p.lines = min(s.v.length, 11*unit) * p.dpi / unit
	var err error
	for _, o := range orders() {
		p.order = o
		if _, _, err = s.c.do(ctx, setWindow(&p, false)); err == nil {
			s.mu.Lock()
			s.order = &o
			s.mu.Unlock()
			return nil
		}
		var refused *senseError
		if !errors.As(err, &refused) || refused.key != 5 {
			return err
		}
	}
	return fmt.Errorf("no order of colours is accepted: %w", err)
}

// capabilities puts what the machine can do into the words of package device.
func (s *Scanner) capabilities() device.Caps {
	c := device.Caps{Duplex: s.v.duplex && s.v.feeder, Resolutions: s.v.resolutions()}
	if s.v.feeder {
		c.Sources = append(c.Sources, device.Feeder)
	}
	if s.v.flatbed {
		c.Sources = append(c.Sources, device.Platen)
	}
	if s.v.color {
		c.Modes = append(c.Modes, device.Color)
	}
	if s.v.color || s.v.gray {
		c.Modes = append(c.Modes, device.Gray)
	}
	if s.v.color || s.v.binary {
		c.Modes = append(c.Modes, device.LineArt)
	}
	c.MaxWidth = s.v.width * 300 / unit
	c.MaxLength = s.m.length(slices.Min(c.Resolutions), s.v.length) * 300 / unit
	return c
}

// Info says what the machine is, by its own words.
func (s *Scanner) Info() device.Info { return s.info }

// Caps says what the machine can do.
func (s *Scanner) Caps() device.Caps { return s.caps }

// Close gives the machine back.
func (s *Scanner) Close() error {
	if s.o.Close == nil {
		return nil
	}
	return s.o.Close()
}
