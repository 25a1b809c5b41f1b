package fujitsu

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"docscan/device"
	"docscan/device/raster"
)

// legal is the longest usual paper, in 1/1200 inch. A machine that cannot find
// the end of the paper is not asked for more unless the caller does: the rest of
// the image would be background.
const legal = 14 * unit

// plan puts what is wanted into the words of the wire.
func (s *Scanner) plan(set device.Settings) (*plan, error) {
	p := &plan{platen: set.Source == device.Platen, duplex: set.Duplex, wanted: set.Mode, doubles: set.DoubleFeed}
	switch {
	case p.platen && !s.v.flatbed, !p.platen && !s.v.feeder:
		return nil, fmt.Errorf("source %q: %w", set.Source, device.ErrUnsupported)
	case p.duplex && (p.platen || !s.caps.Duplex):
		return nil, fmt.Errorf("both sides from the %s: %w", set.Source, device.ErrUnsupported)
	}
	s.chooseMode(p)
	p.dpi = 300
	if set.Resolution > 0 {
		p.dpi = set.Resolution
	}
	p.dpi = s.v.nearest(p.dpi)

	width, length := s.v.width, s.m.length(p.dpi, s.v.length)
	if p.platen {
		if s.m.flatWidth > 0 {
			width = s.m.flatWidth
		}
		if s.m.flatLength > 0 {
			length = s.m.flatLength
		}
	}
	p.found = set.Length == 0 && !p.platen && s.pages[pageAutoSize]
	most := width
	switch {
	case set.Length > 0:
		length = min(length, set.Length*unit/300)
	case p.found:
		length = min(length, s.v.length)
	case !p.platen:
		length = min(length, legal)
	}
	if set.Width > 0 {
		width = min(width, set.Width*unit/300)
	}
	multiple := s.m.multiple(p.wire)
	if p.jpeg {
		multiple = 16 // whole blocks: the two sides of one file are parted there
	}
	p.width = max(width*p.dpi/unit/multiple, 1) * multiple
	p.lines = max(length*p.dpi/unit, 1)
	if s.m.centre && !p.platen {
		p.left = (most - p.width*unit/p.dpi) / 2
	}
	p.collects = p.found && !p.jpeg || p.doubles == device.FlagDoubleFeed
	if !p.jpeg && !p.found {
		if _, err := raster.TIFF(p.format(p.lines), strings.NewReader("")); err != nil {
			return nil, fmt.Errorf("%w: %w", err, device.ErrUnsupported)
		}
	}
	return p, nil
}

// chooseMode takes the nearest thing to the mode wanted.
func (s *Scanner) chooseMode(p *plan) {
	mono := !s.m.noMono
	if p.wanted == "" {
		p.wanted = device.Color
	}
	if p.wanted == device.Color && !s.v.color {
		p.wanted = device.Gray
	}
	if p.wanted == device.Gray && !s.v.gray && !s.v.color {
		p.wanted = device.LineArt
	}
	if p.wanted == device.LineArt && !s.v.binary && !s.v.color {
		p.wanted = device.Gray
	}
	switch {
	case p.wanted == device.Gray && s.v.gray && (mono || !s.v.color):
		p.wire, p.jpeg = wireGray, s.v.grayJPEG
	case p.wanted == device.LineArt && s.v.binary && (mono || !s.v.color):
		p.wire = wireLineArt
	default: // and made grey, or black and white, here
		p.wire, p.jpeg = wireColor, s.v.jpeg && p.wanted == device.Color
	}
}

// format is what package raster is told of a side of so many lines.
func (p *plan) format(lines int) raster.Format {
	return raster.Format{Width: p.width, Lines: lines, Mode: p.wanted, Resolution: p.dpi}
}

// Start tells the machine what to scan. It does not feed yet.
func (s *Scanner) Start(ctx context.Context, set device.Settings) (device.Run, error) {
	p, err := s.plan(set)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	if s.running {
		s.mu.Unlock()
		return nil, device.Faultf(device.Busy, "a run is under way")
	}
	s.running = true
	s.mu.Unlock()
	if err := s.prepare(ctx, p); err != nil {
		s.ended()
		return nil, fault(ctx, err)
	}
	return &run{s: s, p: p, stop: make(chan struct{})}, nil
}

// ended lets the next run begin.
func (s *Scanner) ended() {
	s.mu.Lock()
	s.running = false
	s.mu.Unlock()
}

// prepare sends what a batch begins with.
func (s *Scanner) prepare(ctx context.Context, p *plan) error {
	if !p.platen && s.v.hardwareStatus { // iX500 and iX100 report a defect when they are to feed and hold no paper
		h, err := s.look(ctx)
		switch {
		case err != nil:
			return err
		case h.cover:
			return device.Faultf(device.Cover, "hardware status: cover open")
		case h.empty:
			return device.Faultf(device.NoPaper, "hardware status: hopper empty")
		}
	}
	if s.v.color && p.wire == wireColor {
		s.mu.Lock()
		known := s.order
		s.mu.Unlock()
		if known == nil {
			if err := s.findOrder(ctx); err != nil {
				return err
			}
			s.mu.Lock()
			known = s.order
			s.mu.Unlock()
		}
		p.order = *known
	}
	if s.v.scannerControl && s.v.flatbed { // where there is nothing to choose, some complain
		function := byte(useFeeder)
		if p.platen {
			function = usePlaten
		}
		if err := s.try(ctx, scannerControl("choice of the source", function)); err != nil {
			return err
		}
	}
	if s.m.preread {
		if err := s.try(ctx, preread(p)); err != nil {
			return err
		}
	}
	for _, set := range []*command{autoSize(p), doubleFeed(p.doubles, &s.v), noBuffering()} {
		if page := set.out[4]; !s.pages[page] {
			continue
		}
		if err := s.try(ctx, set); err != nil {
			return err
		}
	}
	if _, _, err := s.c.patiently(ctx, setWindow(p, s.v.lookUp), nil); err != nil {
		return err
	}
	if s.v.lookUp {
		levels := 256
		if s.v.wide && !s.m.narrow {
			levels = 1024
		}
		if err := s.try(ctx, lookUp(levels)); err != nil {
			return err
		}
	}
	if s.m.table {
		if err := s.try(ctx, quantisation()); err != nil {
			return err
		}
	}
	if s.v.scannerControl { // a cold lamp takes up to a minute
		return s.try(ctx, scannerControl("lamp", lampOn))
	}
	return nil
}

// try sends a command that a machine may refuse: the scan does without.
func (s *Scanner) try(ctx context.Context, cmd *command) error {
	_, _, err := s.c.patiently(ctx, cmd, nil)
	var refused *senseError
	if errors.As(err, &refused) && refused.key == 5 {
		s.log.Debug("scanner refuses a setting", "err", err)
		return nil
	}
	return err
}
