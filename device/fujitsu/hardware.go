package fujitsu

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"docscan/device"
)

// hardwareSize is what every machine answers to GET HW STATUS; newer ones know
// more.
const hardwareSize = 12

// hardware is one look at sensors and buttons.
type hardware struct {
	empty      bool // the hopper
	cover      bool // the feeder's is open
	asleep     bool
	doubleFeed bool // of the last sheet
	scan, send bool // buttons held down
}

// parseHardware reads the answer to GET HW STATUS.
func parseHardware(b []byte) (hardware, error) {
	if len(b) < 7 {
		return hardware{}, fmt.Errorf("%w: hardware status of %d bytes", errStep, len(b))
	}
	bit := func(at int, n uint) bool { return b[at]>>n&1 != 0 }
	return hardware{
		empty: bit(3, 7), cover: bit(3, 5), asleep: bit(4, 7), doubleFeed: bit(6, 0),
		scan: bit(4, 0), send: bit(4, 2),
	}, nil
}

// down names the buttons that are held down.
func (h hardware) down() []string {
	var list []string
	if h.scan {
		list = append(list, "scan")
	}
	if h.send {
		list = append(list, "send")
	}
	return list
}

// look asks for the hardware status. Every look counts for the buttons, as some
// machines may forget a press when they have told it.
func (s *Scanner) look(ctx context.Context) (hardware, error) {
	b := make([]byte, hardwareSize, packetSize)
	n, _, err := s.c.do(ctx, &command{name: "GET HW STATUS", cdb: []byte{0xc2, 0, 0, 0, 0, 0, 0, 0, hardwareSize, 0}, in: b})
	if err != nil {
		return hardware{}, err
	}
	h, err := parseHardware(b[:n])
	if err != nil {
		return hardware{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	before := s.last.down()
	for _, name := range h.down() {
		if !slices.Contains(before, name) && !slices.Contains(s.pressed, name) {
			s.pressed = append(s.pressed, name)
		}
	}
	s.last = h
	return h, nil
}

// Status asks the machine how it is. While a run is open it is scanning.
func (s *Scanner) Status(ctx context.Context) (device.Status, error) {
	s.mu.Lock()
	running, last := s.running, s.last
	s.mu.Unlock()
	if running {
		return device.Status{State: device.Scanning, Loaded: !last.empty}, nil
	}
	if !s.v.hardwareStatus {
		return s.readiness(ctx)
	}
	h, err := s.look(ctx)
	if err != nil {
		return device.Status{}, fault(ctx, err)
	}
	st := device.Status{State: device.Ready, Loaded: !h.empty}
	switch {
	case h.cover:
		st.State, st.Fault = device.CoverOpen, device.Cover
	case h.asleep:
		st.State = device.Asleep
	case h.empty && s.v.feeder:
		st.State = device.Empty
	}
	return st, nil
}

// readiness is the status of a machine without sensors that can be asked.
func (s *Scanner) readiness(ctx context.Context) (device.Status, error) {
	_, _, err := s.c.do(ctx, testReady())
	var refused *senseError
	switch {
	case err == nil:
		return device.Status{State: device.Ready}, nil
	case errors.Is(err, errBusy):
		return device.Status{State: device.WarmingUp}, nil
	case errors.As(err, &refused):
		switch kind := refused.kind(); kind {
		case device.Warming:
			return device.Status{State: device.WarmingUp}, nil
		case device.NoPaper:
			return device.Status{State: device.Empty}, nil
		case device.Cover:
			return device.Status{State: device.CoverOpen, Fault: kind}, nil
		default:
			return device.Status{State: device.Faulty, Fault: kind}, nil
		}
	}
	return device.Status{}, fault(ctx, err)
}

// Buttons looks at the buttons "scan" and "send". One that went down and up since
// the last look is given as down once, so that no press is lost between looks.
func (s *Scanner) Buttons(ctx context.Context) (device.ButtonState, error) {
	s.mu.Lock()
	running := s.running
	s.mu.Unlock()
	if !running && s.v.hardwareStatus {
		if _, err := s.look(ctx); err != nil {
			return device.ButtonState{}, fault(ctx, err)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	st := device.ButtonState{Loaded: !s.last.empty}
	if !running {
		st.Down = s.last.down()
		for _, name := range s.pressed {
			if !slices.Contains(st.Down, name) {
				st.Down = append(st.Down, name)
			}
		}
		s.pressed = nil
	}
	return st, nil
}
