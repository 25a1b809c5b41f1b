package esci

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"docscan/device"
	"docscan/device/raster"
)

// plan is one run in the words of the wire.
type plan struct {
	platen bool
	duplex bool
	mode   device.ColorMode
	jpeg   bool
	turned bool     // backs come upside down
	flags  []string // of the feeder
	dpi    int
	area   [4]int // left, top, width, height in pixels
}

// legal is the longest usual paper, in 1/100 inch. A machine that does not find
// the end of the paper is not asked for more unless the caller does: the rest of
// the image would be background.
const legal = 1400

// quality is that of JPEG, in percent.
const quality = 90

// plan puts what is wanted into the words of the wire.
func (s *Scanner) plan(set device.Settings) (*plan, error) {
	p := &plan{platen: set.Source == device.Platen, duplex: set.Duplex}
	src := s.facts.feeder
	if p.platen {
		src = s.facts.glass
	}
	switch {
	case src == nil || set.Source != device.Feeder && set.Source != device.Platen:
		return nil, fmt.Errorf("source %q: %w", set.Source, device.ErrUnsupported)
	case p.duplex && (p.platen || !s.caps.Duplex):
		return nil, fmt.Errorf("both sides from the %s: %w", set.Source, device.ErrUnsupported)
	}
	p.mode = nearestMode(s.caps.Modes, set.Mode)
	p.jpeg = p.mode != device.LineArt && slices.Contains(s.can.formats, "JPG")
	p.dpi = nearest(s.can.resolutions(src.dpi), set.Resolution)
	if p.dpi == 0 {
		return nil, fmt.Errorf("no resolution for the %s: %w", set.Source, device.ErrUnsupported)
	}
	if !p.platen {
		p.turned = src.twice || s.o.BacksTurned
		p.flags = s.flags(set)
	}

	width, length := src.width*p.dpi/100, src.length*p.dpi/100
	found := s.facts.truncates || slices.Contains(p.flags, "PEDT")
	if p.area[2] = width; set.Width > 0 {
		p.area[2] = min(width, set.Width*p.dpi/300)
	}
	p.area[2] = max(p.area[2]&^7, 8) // the wire wants whole bytes of black and white
	switch {
	case set.Length > 0:
		p.area[3] = max(1, min(length, set.Length*p.dpi/300))
	case found || p.platen:
		p.area[3] = length
	default:
		p.area[3] = min(length, legal*p.dpi/100)
	}
	if src.centre {
		p.area[0] = (width - p.area[2]) / 2
	}
	if !p.jpeg {
		f := raster.Format{Width: p.area[2], Lines: p.area[3], Mode: p.mode, Resolution: p.dpi}
		if _, err := raster.TIFF(f, strings.NewReader("")); err != nil {
			return nil, fmt.Errorf("%w: %w", err, device.ErrUnsupported)
		}
	}
	return p, nil
}

// flags chooses what the feeder is asked for. At a double feed it stops or does
// not notice: it cannot go on and tell.
func (s *Scanner) flags(set device.Settings) []string {
	var list []string
	if set.Duplex {
		list = append(list, "DPLX")
	}
	if s.can.has("PEDT") {
		list = append(list, "PEDT") // the image ends with the paper
	}
	if f := s.can.double(); f != "" && set.DoubleFeed != device.IgnoreDoubleFeed {
		list = append(list, f)
	}
	return list
}

// nearestMode takes the nearest thing to the mode wanted that there is.
func nearestMode(have []device.ColorMode, want device.ColorMode) device.ColorMode {
	order := []device.ColorMode{device.Color, device.Gray, device.LineArt}
	switch want {
	case device.Gray:
		order = []device.ColorMode{device.Gray, device.Color, device.LineArt}
	case device.LineArt:
		order = []device.ColorMode{device.LineArt, device.Gray, device.Color}
	}
	for _, m := range order {
		if slices.Contains(have, m) {
			return m
		}
	}
	return device.Color
}

// nearest takes the resolution nearest to that wanted, the finer of two.
func nearest(have []int, want int) int {
	if want == 0 {
		want = 300
	}
	best := 0
	for _, dpi := range have { // rising
		if best == 0 || max(dpi-want, want-dpi) <= max(best-want, want-best) {
			best = dpi
		}
	}
	return best
}

// parameters are the data of PARA.
func (s *Scanner) parameters(p *plan) []byte {
	var b strings.Builder
	if p.platen {
		b.WriteString("#FB ")
	} else {
		b.WriteString("#ADF" + strings.Join(p.flags, ""))
	}
	b.WriteString("#COL" + colorWord(p.mode))
	switch {
	case p.jpeg:
		b.WriteString("#FMTJPG ")
		if s.can.quality.has(quality) {
			b.WriteString("#JPG" + number(quality))
		}
	case slices.Contains(s.can.formats, "RAW"):
		b.WriteString("#FMTRAW ")
	}
	if p.mode == device.LineArt {
		if s.can.dither {
			b.WriteString("#THR" + number(128))
		}
	} else if slices.Contains(s.can.gammas, "UG18") {
		b.WriteString("#GMMUG18") // what they call the usual one; without it images are dark
	}
	b.WriteString("#RSM" + number(p.dpi) + "#RSS" + number(p.dpi))
	b.WriteString("#PAG" + number(0)) // until the feeder is empty
	b.WriteString("#BSZ" + integer(maxBlock) + "#ACQ")
	for _, n := range p.area {
		b.WriteString(integer(n))
	}
	return []byte(b.String())
}

// Start tells the machine what to scan and has it feed.
func (s *Scanner) Start(ctx context.Context, set device.Settings) (device.Run, error) {
	p, err := s.plan(set)
	if err != nil {
		return nil, err
	}
	if err := s.claim(); err != nil {
		return nil, err
	}
	if err := s.prepare(ctx, p); err != nil {
		err = fault(ctx, err)
		if device.KindOf(err) != device.Unplugged {
			s.retire(false)
		}
		s.ended()
		return nil, err
	}
	return &run{s: s, p: p, feeding: true, stop: make(chan struct{}), buffer: make([]byte, maxBlock)}, nil
}

// prepare sends what a run begins with.
func (s *Scanner) prepare(ctx context.Context, p *plan) error {
	s.wire.Lock()
	defer s.wire.Unlock()
	if err := s.c.begin(ctx, control); err != nil {
		return err
	}
	l, err := s.status(ctx)
	if err != nil {
		return err
	}
	if err := check("STAT", l.faults, p.platen); err != nil {
		return err
	}
	err = s.set(ctx, p)
	if double := s.can.double(); errors.Is(err, errParameters) && p.duplex && double != "" && !slices.Contains(p.flags, double) {
		s.log.Info("scanner takes both sides only if it looks for double feeds")
		p.flags = append(p.flags, double)
		err = s.set(ctx, p)
	}
	if err != nil {
		return err
	}
	r, _, err := s.c.patiently(ctx, "TRDT", nil, feedTime, nil)
	if err != nil {
		return err
	}
	return check("TRDT", r.faults, p.platen)
}

// errParameters says that a machine does not take the parameters.
var errParameters = errors.New("#parFAIL")

// set sends the parameters. s.wire is held.
func (s *Scanner) set(ctx context.Context, p *plan) error {
	data := s.parameters(p)
	r, _, err := s.c.patiently(ctx, "PARA", data, stageTime, nil)
	switch {
	case err != nil:
		return err
	case len(r.faults) > 0:
		return faultOf("PARA", r.faults)
	case r.failed:
		return fmt.Errorf("PARA: %w for %s", errParameters, data)
	}
	return nil
}

// check makes the faults that matter for a source one.
func check(code string, faults []cause, platen bool) error {
	faults = slices.DeleteFunc(slices.Clone(faults), func(c cause) bool {
		return platen && c.part == "ADF" || !platen && c.part == "FB"
	})
	if len(faults) == 0 {
		return nil
	}
	return faultOf(code, faults)
}
