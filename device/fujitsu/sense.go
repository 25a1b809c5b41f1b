package fujitsu

import (
	"encoding/binary"
	"fmt"

	"docscan/device"
)

// senseSize is the length of REQUEST SENSE's answer.
const senseSize = 18

// attention is the sense key by which a machine says that something happened to
// it: a reset, or that it has slept.
const attention = 6

// sense is what a machine says of its last command.
type sense struct {
	key, code, qualifier byte
	end                  bool   // of the medium: the sheet ends here
	short                bool   // fewer bytes came than were asked for
	residual             uint32 // by so many
	offending            int    // place of the byte that the machine refuses, if key 5 and code 26
}

// parseSense reads the answer to REQUEST SENSE. Its residual may be anything.
func parseSense(b []byte) (sense, error) {
	if len(b) < 14 || b[0]&0x7f != 0x70 {
		return sense{}, fmt.Errorf("%w: sense data of %d bytes: %.18x", errStep, len(b), b)
	}
	s := sense{key: b[2] & 0xf, code: b[12], qualifier: b[13], end: b[2]&0x40 != 0, short: b[2]&0x20 != 0}
	if b[0]&0x80 != 0 {
		s.residual = binary.BigEndian.Uint32(b[3:])
	}
	if s.key == 5 && s.code == 0x26 && len(b) >= senseSize {
		s.offending = int(binary.BigEndian.Uint16(b[16:]))
	}
	return s, nil
}

// String gives the numbers as service manuals do, and what they mean.
func (s sense) String() string {
	text := fmt.Sprintf("%X/%02X/%02X", s.key, s.code, s.qualifier)
	if m := s.meaning(); m.text != "" {
		text += " " + m.text
	}
	if s.offending > 0 {
		text += fmt.Sprintf(" (byte %d)", s.offending)
	}
	return text
}

// senseError is a refusal.
type senseError struct{ sense }

func (e *senseError) Error() string { return "sense " + e.sense.String() }

// meaning is what a person is told of a sense, and what the log says.
type meaning struct {
	kind device.FaultKind
	text string
}

// passes says whether the machine just wants another try.
func (s sense) passes() bool {
	return s.key == 2 || s.is(noDataYet) || s.is(paused)
}

// Qualifiers of key 3, code 80, that the driver itself knows.
const (
	hopperEmpty = 0x03
	noDataYet   = 0x13
	paused      = 0x32
)

// is says whether s is the medium error with that qualifier.
func (s sense) is(qualifier byte) bool {
	return s.key == 3 && s.code == 0x80 && s.qualifier == qualifier
}

// kind is the fault that s is.
func (s sense) kind() device.FaultKind { return s.meaning().kind }

// meaning looks s up. What is not in the lists keeps its numbers, so that the
// log is enough to add it.
func (s sense) meaning() meaning {
	m, ok := meaning{}, false
	switch {
	case s.key == 3 && s.code == 0x80:
		m, ok = mediumErrors()[s.qualifier]
	case s.key == 4 && s.code == 0x80:
		m, ok = meaning{device.Hardware, hardwareErrors()[s.qualifier]}, true
	case s.key == 4 && s.code == 0x44:
		m, ok = meaning{device.Hardware, "EEPROM error"}, true
	case s.key == 5 && s.code == 0 && s.qualifier == 0:
		m, ok = meaning{device.PageLength, "paper edge too soon"}, true
	case s.key == 5:
		m, ok = meaning{device.BadAnswer, refusals()[[2]byte{s.code, s.qualifier}]}, true
	case s.key == 2:
		m, ok = meaning{device.Warming, "not ready"}, true
	case s.key == attention:
		m, ok = meaning{device.Warming, "reset or woken"}, true
	case s.key == 0xb && s.code == 0x80:
		m, ok = meaning{device.Hardware, map[byte]string{1: "image transfer error", 3: "JPEG overflow"}[s.qualifier]}, true
	case s.key == 0xb:
		m, ok = meaning{device.Hardware, "transfer error"}, true
	}
	if !ok {
		m = meaning{kind: device.Hardware}
	}
	return m
}

// mediumErrors are those of key 3, code 80: what happens to paper.
func mediumErrors() map[byte]meaning {
	return map[byte]meaning{
		0x01:        {device.Jam, "paper jam"},
		0x02:        {device.Cover, "cover open"},
		hopperEmpty: {device.NoPaper, "hopper empty"},
		0x04:        {device.Jam, "unusual paper"},
		0x07:        {device.DoubleFeed, "double feed"},
		0x08:        {device.Mispick, "feeder not set up"},
		0x09:        {device.Jam, "carrier sheet"},
		0x0c:        {device.Jam, "feeder blocked by a card"},
		0x10:        {device.Hardware, "no ink cartridge"},
		noDataYet:   {device.Hardware, "no data for too long"},
		0x14:        {device.Hardware, "endorser error"},
		0x20:        {device.Stopped, "stop button"},
		0x22:        {device.Stopped, "scan halted"},
		0x30:        {device.NoPaper, "not enough paper"},
		0x31:        {device.Stopped, "scanning disabled"},
		paused:      {device.Stopped, "scan paused"},
		0x33:        {device.Hardware, "Wi-Fi error"},
	}
}

// hardwareErrors are those of key 4, code 80.
func hardwareErrors() map[byte]string {
	return map[byte]string{
		0x01: "flatbed motor fuse", 0x02: "heater fuse", 0x03: "lamp fuse", 0x04: "feeder motor fuse",
		0x05: "mechanical error", 0x06: "optical error", 0x07: "fan error", 0x08: "image processor error",
		0x10: "endorser error", 0x11: "endorser fuse",
		0x80: "interface board timeout", 0x81: "interface board error 1", 0x82: "interface board error 2",
	}
}

// refusals are those of key 5: we asked for something wrong.
func refusals() map[[2]byte]string {
	return map[[2]byte]string{
		{0x1a, 0}: "length of a list", {0x20, 0}: "unknown command", {0x24, 0}: "field of a command",
		{0x25, 0}: "logical unit", {0x26, 0}: "field of a list", {0x2c, 0}: "command out of turn", {0x2c, 2}: "wrong windows",
	}
}
