package esci

import (
	"fmt"
	"slices"

	"docscan/device/sim/paper"
	"docscan/device/sim/usbface"
)

// scan is what is under way in the data state.
type scan struct {
	para   para
	images int          // begun
	empty  int          // answers with nothing since the last block
	sheet  *paper.Sheet // that is in the path
	blocks []block      // of it, still to be given
}

// block is one answer to a request for image data.
type block struct {
	back  bool
	begin string // token of the beginning of a page, or ""
	data  []byte
	end   string // token of the end of a page, or ""
	last  bool   // no image is left after it
	fault *Fault // strikes instead
}

// start obeys TRDT. A machine that cannot start says so here, or only when it is
// asked for the image. s.mu is held.
func (s *Scanner) start() {
	if s.notReady("TRDT") {
		return
	}
	s.refused = nil
	f := s.due(s.fed+1, false, AtStart)
	switch {
	case f != nil:
	case s.cover:
		f = &Fault{Cause: CoverOpened}
	case len(s.hopper) == 0 && !s.para.glass:
		f = &Fault{Cause: PaperEnd}
	default:
		s.scan = &scan{para: s.para}
		s.sends("TRDT", nil)
		return
	}
	if f.Cause != "" && s.cfg.TellLate {
		s.refused = f
		s.sends("TRDT", nil)
	} else if s.strike(f, "TRDT") {
		s.refused = f
	}
}

// image obeys IMG. s.mu is held.
func (s *Scanner) image() {
	sc := s.scan
	if sc.empty < s.cfg.NoData {
		sc.empty++
		s.sends("IMG ", nil)
		return
	}
	sc.empty = 0
	if len(sc.blocks) == 0 && !s.feed() {
		return
	}
	b := sc.blocks[0]
	sc.blocks = sc.blocks[1:]
	if f := b.fault; f != nil {
		if f.Deed == Cancel { // goes on until the host obeys
			b.fault = nil
			sc.blocks = append([]block{b}, sc.blocks...)
			s.strike(f, "IMG ")
			return
		}
		s.putBack()
		if s.strike(f, "IMG ") {
			s.scan = nil
		}
		return
	}
	var tokens []string
	if b.begin != "" {
		tokens = append(tokens, b.begin)
	}
	if b.end != "" {
		tokens = append(tokens, b.end)
	}
	if b.last && !s.cfg.NoLeft {
		tokens = append(tokens, "#lftd000")
	}
	tokens = append(tokens, "#typ"+map[bool]string{false: "IMGA", true: "IMGB"}[b.back])
	s.sends("IMG ", b.data, tokens...)
	if len(sc.blocks) == 0 {
		sc.sheet = nil
		if b.last && !s.cfg.NoLeft {
			s.scan = nil // all have been acquired
		}
	}
}

// feed takes the next sheet in, or says why not. s.mu is held.
func (s *Scanner) feed() bool {
	sc := s.scan
	if sc.para.glass {
		if sc.images > 0 {
			s.scan = nil
			s.violation("IMG after the last image")
			s.out.Say(usbface.Message{Data: reply("INVD", 0)})
			return false
		}
		sc.images++
		sc.sheet = &paper.Sheet{Faces: [2]paper.Face{s.glass}}
		return s.expose()
	}
	if len(s.hopper) == 0 || s.cover {
		cause := PaperEnd
		if s.cover {
			cause = CoverOpened
		}
		s.strike(&Fault{Cause: cause}, "IMG ")
		s.scan = nil
		return false
	}
	if f := s.due(s.fed+1, false, AtFeed); f != nil && (f.Cause != DoubleFeed || sc.para.looksForDouble()) {
		if s.strike(f, "IMG ") {
			s.scan = nil
		}
		return false
	}
	sh := s.hopper[0]
	s.hopper = s.hopper[1:]
	s.fed++
	sh.Number = s.fed
	sc.sheet = &sh
	sc.images += len(sc.sides())
	return s.expose()
}

// putBack is the person who puts a sheet that did not come out whole back on the
// stack. s.mu is held.
func (s *Scanner) putBack() {
	sc := s.scan
	if sc == nil || sc.sheet == nil {
		return
	}
	if !sc.para.glass {
		s.hopper = append([]paper.Sheet{*sc.sheet}, s.hopper...)
		s.fed--
	}
	sc.sheet, sc.blocks = nil, nil
}

// sides gives the sides of a sheet that are scanned.
func (sc *scan) sides() []bool {
	if slices.Contains(sc.para.flags, "DPLX") {
		return []bool{false, true}
	}
	return []bool{false}
}

// expose makes the blocks of the sheet that is in the path. s.mu is held.
func (s *Scanner) expose() bool {
	sc := s.scan
	var sides [2][]block
	for _, back := range sc.sides() {
		list, err := s.side(back)
		if err != nil {
			s.violation("page cannot be made: %v", err)
			s.strike(&Fault{Cause: Defect}, "IMG ")
			s.scan = nil
			return false
		}
		if back {
			sides[1] = list
		} else {
			sides[0] = list
		}
	}
	sc.blocks = merge(sides, s.cfg.Order)
	done := len(s.hopper) == 0 || sc.para.glass || sc.para.pag > 0 && sc.images >= sc.para.pag
	sc.blocks[len(sc.blocks)-1].last = done
	return true
}

// merge brings the blocks of both sides into their order on the wire.
func merge(sides [2][]block, o Order) []block {
	f, b := sides[0], sides[1]
	switch o {
	case FrontWhole:
		return append(f, b...)
	case BackWhole:
		return append(b, f...)
	case BackFirst:
		f, b = b, f
	}
	var all []block
	for len(f)+len(b) > 0 {
		if len(f) > 0 {
			all, f = append(all, f[0]), f[1:]
		}
		if len(b) > 0 {
			all, b = append(all, b[0]), b[1:]
		}
	}
	return all
}

// side makes the blocks of one side.
func (s *Scanner) side(back bool) ([]block, error) {
	sc := s.scan
	p, err := s.newPage(sc.sheet, back, &sc.para)
	if err != nil {
		return nil, err
	}
	data, padding, err := p.data(s.cfg.Padding)
	if err != nil {
		return nil, err
	}
	begin := "#pst" + integer(p.width) + integer(padding) + integer(p.announced)
	end := "#pen" + integer(p.width) + integer(p.lines)
	size := sc.para.bsz
	if s.cfg.Block > 0 {
		size = min(size, s.cfg.Block)
	}
	var list []block
	for len(data) > 0 {
		n := min(size, len(data))
		list = append(list, block{back: back, data: data[:n]})
		data = data[n:]
	}
	list[0].begin = begin
	if s.cfg.EndAlone || len(list) == 1 { // never together with the beginning
		list = append(list, block{back: back})
	}
	list[len(list)-1].end = end
	if f := s.due(sc.sheet.Number, back, MidPage); f != nil {
		list[len(list)/2].fault = f
	}
	if f := s.due(sc.sheet.Number, back, AtEnd); f != nil {
		list[len(list)-1].fault = f
	}
	return list, nil
}

// String names a fault for a test.
func (f Fault) String() string {
	what := string(f.Cause)
	if f.Deed != "" {
		what = string(f.Deed)
	}
	side := "front"
	if f.Back {
		side = "back"
	}
	return fmt.Sprintf("%s at %s of sheet %d, %s", what, f.Where, f.Sheet, side)
}
