package fujitsu

import (
	"encoding/binary"
	"fmt"
	"io"

	"docscan/device/sim/paper"
	"docscan/device/sim/usbface"
)

// errStall halts the IN endpoint.
var errStall = usbface.ErrStall

// scan is one stream of image data that the host reads.
type scan struct {
	data  io.Reader
	line  int // bytes that a read must be a multiple of; 1 for JPEG
	total int // bytes
	sent  int
	told  bool   // the end has been reported
	width int    // pixels of a line, as announced
	lines int    // as announced
	paper [2]int // pixels and lines of the true paper
	ready bool   // the host has asked for it
}

// unread says whether a side that is being scanned has not been read to its
// end.
func (s *Scanner) unread() bool { return s.left() > 0 }

// left counts the bytes that have not been read.
func (s *Scanner) left() (n int) {
	for _, r := range []*scan{s.scans[0], s.scans[1], s.jpegs} {
		if r != nil {
			n += r.total - r.sent
		}
	}
	return n
}

// startScan takes SCAN.
func (s *Scanner) startScan(data []byte) byte {
	if s.platen && s.path == nil && !s.dirty {
		s.path = new(paper.Sheet) // what lies on the glass: the first page of the stack, which stays there
		if len(s.hopper) > 0 {
			s.path.Faces = s.hopper[0].Faces
		}
	}
	if s.dirty || s.path == nil || s.scans != [2]*scan{} || s.jpegs != nil {
		s.violation("SCAN out of turn")
		return s.check(badSequence)
	}
	if s.model.NeedsTable && !s.table {
		return s.check(badSequence)
	}
	var want [2]bool
	for _, id := range data {
		if id != frontID && id != backID {
			return s.check(badWindow)
		}
		want[id>>7] = true
	}
	for i, w := range s.windows {
		if want[i] != (w != nil) {
			return s.check(badWindow)
		}
	}
	if f := s.due(s.path.Number, false, AtScan); f != nil {
		return s.strike(f)
	}
	scans, joint, err := s.newScans()
	if err != nil {
		s.violation("read the stack: %v", err) // no fault of the host, but the test must fail
		return s.check(Sense{4, 0x80, 6})
	}
	s.scans, s.jpegs = scans, joint
	for i := range scans {
		s.busy[i], s.empty[i] = s.cfg.Busy, s.cfg.NoData
	}
	return statusGood
}

// reader finds the stream that a window id stands for.
func (s *Scanner) reader(id byte) (r *scan, side int, sense Sense) {
	switch {
	case id != frontID && id != backID:
		return nil, 0, badWindow
	case s.dirty || s.scans == [2]*scan{} && s.jpegs == nil:
		s.violation("image asked for before SCAN")
		return nil, 0, badSequence
	case s.jpegs != nil && id == frontID:
		return s.jpegs, 0, Sense{}
	case s.scans[id>>7] == nil:
		return nil, 0, badWindow
	}
	return s.scans[id>>7], int(id >> 7), Sense{}
}

// ready answers the readiness check.
func (s *Scanner) ready(c *command) byte {
	r, side, sense := s.reader(c.b[2])
	if r == nil {
		return s.check(sense)
	}
	if s.busy[side] > 0 {
		s.busy[side]--
		return statusBusy
	}
	if f := s.due(s.path.Number, side == 1, AtRIC); f != nil && !s.passes(f) {
		return s.strike(f)
	}
	r.ready = true
	return statusGood
}

// readSize tells the size of an image.
func (s *Scanner) readSize(c *command) ([]byte, byte) {
	if s.cfg.NoPixelSize {
		return nil, s.check(badCommand)
	}
	id := c.b[5]
	if s.jpegs != nil {
		id = frontID
	}
	r, _, sense := s.reader(id)
	if r == nil {
		return nil, s.check(sense)
	}
	b := binary.BigEndian.AppendUint32(nil, uint32(r.width))
	b = binary.BigEndian.AppendUint32(b, uint32(r.lines))
	if r.sent == r.total {
		b = binary.BigEndian.AppendUint32(b, uint32(r.paper[0]))
		b = binary.BigEndian.AppendUint32(b, uint32(r.paper[1]))
	}
	return append(b, make([]byte, 32-len(b))...), statusGood
}

// readImage gives the next bytes of a side.
func (s *Scanner) readImage(c *command) (in []byte, status byte) {
	r, side, sense := s.reader(c.b[5])
	switch {
	case r == nil:
		return nil, s.check(sense)
	case !r.ready:
		s.violation("READ of window %#x before the readiness check", c.b[5])
		return nil, s.check(badSequence)
	case s.cover:
		return nil, s.strike(&Fault{Sense: CoverOpened, Stays: true})
	}
	left := r.total - r.sent
	if c.in%r.line != 0 || c.in%2 != 0 && c.in < left {
		s.violation("READ of %d bytes from lines of %d", c.in, r.line)
		return nil, s.check(badCommand)
	}
	if s.empty[side] > 0 {
		s.empty[side]--
		return nil, s.check(noData)
	}
	if other := s.scans[1-side]; other != nil && r.line > 1 && other.sent < other.total && r.sent-other.sent+c.in > s.model.Buffer {
		return nil, s.check(noData) // there is no room to scan on until the other side is read
	}
	n := min(c.in, left)
	if s.cfg.Short > 0 {
		n = min(n, max(r.line, s.cfg.Short/r.line*r.line))
	}
	if r.sent+n > r.total/2 {
		if f := s.due(s.path.Number, side == 1, MidRead); f != nil {
			return nil, s.strike(f)
		}
	}
	in = make([]byte, n)
	if _, err := io.ReadFull(r.data, in); err != nil {
		panic(fmt.Sprintf("image ends before its %d bytes: %v", r.total, err))
	}
	r.sent += n
	if f := s.due(s.path.Number, side == 1, AtStatus); f != nil {
		return in, s.strike(f)
	}
	if n == c.in {
		return in, statusGood
	}
	end := r.sent == r.total
	if end && s.cfg.EndOnce && !r.told {
		r.told = true
		if other := s.scans[1-side]; other != nil && other.told {
			end = false
		}
	}
	status = s.check(Sense{})
	s.ili, s.eom, s.residual = true, end, uint32(c.in-n)
	if s.cfg.WrongResidual {
		s.residual = uint32(c.in + 1)
	}
	if s.cfg.Padded {
		in = append(in, make([]byte, c.in-n)...)
	}
	return in, status
}
