package fujitsu

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"time"

	"docscan/device/sim/usbface"
)

// Bytes of the envelope, and the status it carries.
const (
	commandSize  = 31
	commandMark  = 0x43
	commandAt    = 19 // where the SCSI command begins
	statusSize   = 13
	statusMark   = 0x53
	statusAt     = 9 // where the SCSI status is
	statusGood   = 0
	statusCheck  = 2
	statusBusy   = 8
	lampTrapPage = 0x3d
)

// Operation codes.
const (
	opReady       = 0x00
	opSense       = 0x03
	opInquiry     = 0x12
	opModeSelect  = 0x15
	opModeSense   = 0x1a
	opScan        = 0x1b
	opReadDiag    = 0x1c
	opSendDiag    = 0x1d
	opSetWindow   = 0x24
	opRead        = 0x28
	opSend        = 0x2a
	opPosition    = 0x31
	opHardware    = 0xc2
	opControl     = 0xf1
	maxHostToSend = 64 << 10 // bytes of data that any command takes
)

// command is one that was heard.
type command struct {
	b   [12]byte
	out int // bytes of data that the host sends with it
	in  int // bytes of data that the host waits for
}

func be24(b []byte) int { return int(b[0])<<16 | int(b[1])<<8 | int(b[2]) }
func be16(b []byte) int { return int(b[0])<<8 | int(b[1]) }

// lengths sets how much data goes with the command and reports whether there is
// such a command.
func (c *command) lengths() bool {
	switch b := c.b[:]; b[0] {
	case opReady, opPosition, opControl:
	case opSense, opInquiry, opModeSense:
		c.in = int(b[4])
	case opModeSelect, opScan:
		c.out = int(b[4])
	case opReadDiag:
		c.in = be16(b[3:])
	case opSendDiag:
		c.out = be16(b[3:])
	case opSetWindow, opSend:
		c.out = be24(b[6:])
	case opRead:
		c.in = be24(b[6:])
	case opHardware:
		c.in = be16(b[7:])
	default:
		return false
	}
	return c.out <= maxHostToSend
}

// Out takes a command or the data of one.
func (s *Scanner) Out(ctx context.Context, b []byte) error {
	s.mu.Lock()
	if s.locked {
		s.mu.Unlock()
		<-ctx.Done() // nothing is taken any more
		return ctx.Err()
	}
	defer s.mu.Unlock()
	if s.out.Gone() {
		return usbface.ErrGone
	}
	if n := s.out.Drop(); n > 0 {
		s.violation("%d messages not read before %.4x", n, b)
	}
	if c := s.await; c != nil {
		s.await = nil
		if len(b) != c.out {
			s.violation("%d bytes of data with command %#x, which announced %d", len(b), c.b[0], c.out)
			s.finish(c, nil, s.check(badList))
			return nil
		}
		s.run(c, b)
		return nil
	}
	if len(b) != commandSize || b[0] != commandMark || slices.ContainsFunc(b[1:commandAt], func(x byte) bool { return x != 0 }) {
		s.violation("%d bytes that are no command: %.4x", len(b), b)
		return nil
	}
	c := &command{b: [12]byte(b[commandAt:])}
	switch {
	case !c.lengths():
		s.violation("unknown command %#x", c.b[0])
		s.finish(c, nil, s.check(badOpcode))
	case c.out > 0:
		s.await = c
	default:
		s.run(c, nil)
	}
	return nil
}

// check notes what REQUEST SENSE will say and gives the status that points to
// it. s.mu is held.
func (s *Scanner) check(k Sense) byte {
	s.sense, s.eom, s.ili, s.residual = k, false, false, 0
	return statusCheck
}

// run obeys a command. s.mu is held.
func (s *Scanner) run(c *command, data []byte) {
	if c.b[0] == opModeSense && c.b[2] == lampTrapPage && s.model.LampTrap {
		s.violation("asked for the mode page that locks the machine up")
		s.locked = true
		return
	}
	in, status := s.obey(c, data)
	s.finish(c, in, status)
}

// finish queues the answer to a command. s.mu is held.
func (s *Scanner) finish(c *command, in []byte, status byte) {
	frame := make([]byte, statusSize)
	frame[0], frame[statusAt] = statusMark, status
	if c.in > 0 {
		if s.cfg.Embedded && len(in) == 0 && status != statusGood && c.in > statusSize {
			s.out.Say(usbface.Message{Data: frame})
			return
		}
		m := usbface.Message{Data: in[:min(len(in), c.in)]}
		if c.b[0] == opRead && c.b[2] == 0 {
			m.Pause = s.cfg.Slow
		}
		s.out.Say(m)
	}
	s.out.Say(usbface.Message{Data: frame})
}

// obey does what a command says. s.mu is held.
func (s *Scanner) obey(c *command, data []byte) (in []byte, status byte) {
	if s.asleep && c.b[0] != opHardware && c.b[0] != opSense && c.b[0] != opInquiry {
		s.asleep = false
		return nil, s.check(wokenUp)
	}
	switch c.b[0] {
	case opReady:
		if s.path != nil && s.model.NoReadyAfterFeed && s.scans[0] == nil && s.scans[1] == nil {
			s.violation("TEST UNIT READY after a feed")
			return nil, s.check(notReady)
		}
		return nil, statusGood
	case opSense:
		return s.senseData(), statusGood
	case opInquiry:
		switch {
		case c.b[1]&1 == 0:
			return s.model.inquiry(), statusGood
		case c.b[2] == 0xf0:
			return s.model.vital(), statusGood
		}
		return nil, s.check(badCommand)
	case opModeSense:
		page := c.b[2]
		if !s.model.knows(page) {
			return nil, s.check(badCommand)
		}
		b := make([]byte, 20)
		b[4], b[5] = page, 6
		return b, statusGood
	case opModeSelect:
		return nil, s.modeSelect(c, data)
	case opSendDiag:
		return nil, s.sendDiag(data)
	case opReadDiag:
		if s.diag != "GET DEVICE ID   " {
			return nil, s.check(badSequence)
		}
		b := binary.BigEndian.AppendUint32(nil, s.cfg.Serial)
		return append(b, make([]byte, 6)...), statusGood
	case opSetWindow:
		return nil, s.setWindow(data)
	case opSend:
		return nil, s.send(c, data)
	case opPosition:
		return nil, s.position(c.b[1] & 7)
	case opScan:
		return nil, s.startScan(data)
	case opControl:
		return nil, s.control(c)
	case opRead:
		switch c.b[2] {
		case 0x00:
			return s.readImage(c)
		case 0x80:
			return s.readSize(c)
		}
		return nil, s.check(badCommand)
	case opHardware:
		return s.hardware(), statusGood
	}
	panic(fmt.Sprintf("command %#x has a length and no meaning", c.b[0]))
}

// senseData is the answer to REQUEST SENSE, which also forgets it.
func (s *Scanner) senseData() []byte {
	b := make([]byte, 18)
	b[0], b[7] = 0x70, 10
	if s.ili {
		b[0] |= 0x80
		b[2] |= 1 << 5
		binary.BigEndian.PutUint32(b[3:], s.residual)
	}
	if s.eom {
		b[2] |= 1 << 6
	}
	b[2] |= s.sense[0]
	b[12], b[13] = s.sense[1], s.sense[2]
	s.check(Sense{})
	return b
}

// modeSelect takes a mode page.
func (s *Scanner) modeSelect(c *command, data []byte) byte {
	if c.b[1] != 0x10 || len(data) < 6 || len(data) != 6+int(data[5]) {
		return s.check(badList)
	}
	page := data[4]
	want := 12
	if page == 0x39 {
		want = 14
	}
	switch {
	case !s.model.knows(page):
		return s.check(badField)
	case len(data) != want:
		return s.check(badList)
	}
	s.modes[page] = slices.Clone(data[4:])
	return statusGood
}

// mode gives byte n of a mode page, as the host set it.
func (s *Scanner) mode(page byte, n int) byte {
	if b := s.modes[page]; n < len(b) {
		return b[n]
	}
	return 0
}

// sendDiag hears a question or an order.
func (s *Scanner) sendDiag(data []byte) byte {
	if len(data) < 16 {
		return s.check(badList)
	}
	s.diag = string(data[:16])
	switch {
	case s.diag == "GET DEVICE ID   " && len(data) == 16:
	case s.diag == "SET PRE READMODE" && len(data) == 32 && s.model.NeedsPreread:
		s.preread = true
	default:
		return s.check(badField)
	}
	return statusGood
}

// send takes a table.
func (s *Scanner) send(c *command, data []byte) byte {
	switch {
	case len(data) < 10:
		return s.check(badList)
	case c.b[2] == 0x88: // quantisation
		if len(data) != 10+128 || be16(data[4:]) != 64 || be16(data[6:]) != 64 {
			return s.check(badList)
		}
		s.table = true
	case c.b[2] == 0x83: // look-up; it is not applied
		if len(data) != 10+be16(data[4:]) {
			return s.check(badList)
		}
	default:
		return s.check(badCommand)
	}
	return statusGood
}

// control takes SCANNER CONTROL.
func (s *Scanner) control(c *command) byte {
	if c.b[1]&0x10 != 0 {
		return s.ready(c)
	}
	switch function := int(c.b[1]&0xf) | int(c.b[2])<<4; function {
	case 0x00, 0x01:
		if !s.model.Flatbed {
			return s.check(badField) // there is nothing to choose from
		}
		s.platen = function == 0x01
	case 0x04: // cancel
		s.forget()
	case 0x05: // lamp on
	default:
		return s.check(badField)
	}
	return statusGood
}

// forget drops the sheet that is in the path and what is left of its scan.
func (s *Scanner) forget() {
	s.path, s.scans, s.jpegs, s.dirty = nil, [2]*scan{}, nil, false
}

// hardware is the answer to GET HW STATUS.
func (s *Scanner) hardware() []byte {
	b := make([]byte, 12)
	if len(s.hopper) == 0 {
		b[3] |= 1 << 7
	}
	if s.cover {
		b[3] |= 1 << 5
	}
	if s.asleep {
		b[4] |= 1 << 7
	}
	for _, p := range s.cfg.Presses {
		if s.looks < p.After || s.looks >= p.After+p.For {
			continue
		}
		if p.Send {
			b[4] |= 1 << 2
		} else {
			b[4] |= 1 << 0
		}
	}
	if s.cfg.PressEvery > 0 && len(s.hopper) > 0 && s.press.IsZero() {
		s.press = time.Now().Add(s.cfg.PressEvery)
	}
	if !s.press.IsZero() && time.Now().After(s.press) {
		b[4] |= 1 << 0
	}
	if s.thick {
		b[6] |= 1 << 0
	}
	s.looks++
	return b
}
