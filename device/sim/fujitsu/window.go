package fujitsu

import (
	"encoding/binary"
	"slices"

	"docscan/device/sim/paper"
	"docscan/device/sim/usbface"
)

// Ids of the windows, and what of the source a window describes.
const (
	frontID = 0x00
	backID  = 0x80
)

// Compositions of an image.
const (
	binaryImage = 0
	grayImage   = 2
	colorImage  = 5
)

// Sizes of SET WINDOW's data.
const (
	windowHead = 8
	windowSize = 64
)

// compressed is the code of JPEG.
const compressed = 0x81

// window is what the host wants of one side. Lengths are in 1/1200 inch.
type window struct {
	dpi                 int
	x, y, width, length int
	composition         byte
	reverse             bool
	jpeg                bool
	paperWidth          int // 0 on the flatbed
}

// pixels gives the pixels of a line and the number of lines.
func (w *window) pixels() (width, lines int) {
	return (w.width*w.dpi + 600) / 1200, (w.length*w.dpi + 600) / 1200
}

// lineBytes is the length of a line.
func (w *window) lineBytes() int {
	n, _ := w.pixels()
	switch w.composition {
	case binaryImage:
		return n / 8
	case grayImage:
		return n
	}
	return 3 * n
}

// setWindow takes the windows of a batch.
func (s *Scanner) setWindow(data []byte) byte {
	if s.dirty {
		s.violation("SET WINDOW with an old scan inside")
		return s.check(badSequence)
	}
	if n := len(data); n != windowHead+windowSize && n != windowHead+2*windowSize || be16(data[6:]) != windowSize {
		s.violation("SET WINDOW with %d bytes of data", n)
		return s.check(badList)
	}
	var windows [2]*window
	for i := 0; windowHead+i*windowSize < len(data); i++ {
		w, ok := s.parseWindow(data[windowHead+i*windowSize:][:windowSize], i)
		id := data[windowHead+i*windowSize]
		switch {
		case !ok:
			return s.check(badField)
		case i == 1 && (id != backID || windows[0] == nil):
			return s.check(badWindow)
		case id == frontID:
			windows[0] = w
		case id == backID && s.model.Duplex:
			windows[1] = w
			if i == 1 {
				w.paperWidth = windows[0].paperWidth
			}
		default:
			return s.check(badWindow)
		}
	}
	if s.model.NeedsPreread && !s.preread && windows[0] != nil && windows[0].dpi > 300 {
		return s.check(badField)
	}
	s.forget()
	s.windows, s.batch = windows, false
	return statusGood
}

// parseWindow reads one block, the first or the second.
func (s *Scanner) parseWindow(b []byte, block int) (*window, bool) {
	long := func(at int) int { return int(binary.BigEndian.Uint32(b[at:])) }
	w := &window{
		dpi: be16(b[2:]), x: long(0x06), y: long(0x0a), width: long(0x0e), length: long(0x12),
		composition: b[0x19], reverse: b[0x1d]&0x80 != 0, jpeg: b[0x20] == compressed,
	}
	m := &s.model
	paper := max(m.Length, longest(m, w.dpi))
	switch b[0x35] >> 6 {
	case 3:
		w.paperWidth = long(0x36)
		if w.paperWidth == 0 || w.paperWidth > m.Width || long(0x3a) == 0 || long(0x3a) > paper {
			return nil, false
		}
	case 0:
		if block == 0 && !m.Flatbed {
			return nil, false
		}
	default:
		return nil, false
	}
	width, lines := w.pixels()
	across := m.Width
	if w.paperWidth > 0 {
		across = w.paperWidth
	}
	fits := be16(b[4:]) == w.dpi && w.dpi >= 50 && w.dpi <= m.MaxDPI && width > 0 && lines > 0 &&
		w.x+w.width <= across+12 && w.y+w.length <= paper+12 // the host rounds to pixels of 100 dpi and more
	var can bool
	switch w.composition {
	case binaryImage:
		can = m.Binary && b[0x1a] == 1 && b[0x28] == 0 && width%8 == 0 && !w.jpeg
	case grayImage:
		can = m.Gray && b[0x1a] == 8 && b[0x28] == 0
	case colorImage:
		can = m.Color && b[0x1a] == 8 && b[0x28] == 0xc1 && Order(b[0x2a:0x2c]) == m.Order && !(m.EvenColor && width%2 != 0)
	}
	if w.jpeg && m.JPEG == NoJPEG || !w.jpeg && b[0x20] != 0 || w.jpeg && m.JPEG == Interleaved && width%16 != 0 {
		can = false
	}
	return w, fits && can
}

// longest is the longest paper that some machines take at lower resolutions, in
// 1/1200 inch.
func longest(m *Model, dpi int) int {
	if m.Product != "fi-7160" {
		return 0
	}
	switch {
	case dpi <= 200:
		return 266268
	case dpi <= 300:
		return 260268
	case dpi <= 400:
		return 194268
	}
	return 0
}

// position takes OBJECT POSITION.
func (s *Scanner) position(action byte) byte {
	switch action {
	case 0:
		s.forget()
		return statusGood
	case 1:
		return s.feed()
	case 4:
		if s.model.Halts {
			s.forget()
			return statusGood
		}
	}
	return s.check(badField)
}

// feed takes the next sheet in.
func (s *Scanner) feed() byte {
	switch {
	case s.dirty, s.platen, s.windows == [2]*window{}:
		s.violation("feed out of turn")
		return s.check(badSequence)
	case s.cover:
		return s.check(CoverOpened)
	case s.unread():
		s.violation("feed with %d bytes of a side not read", s.left())
		return s.check(badSequence)
	}
	if len(s.hopper) == 0 {
		if s.model.NoFeedWhenEmpty && !s.batch {
			s.violation("feed of an empty feeder at the start")
		}
		if s.cfg.Refill {
			sheets, err := paper.Stack(s.cfg.Pages, s.cfg.Stack, s.cfg.Duplex)
			if err != nil {
				s.violation("refill: %v", err) // the folder has gone
			}
			s.hopper = sheets
		}
		s.forget()
		return s.check(HopperEmpty)
	}
	s.told()
	s.forget() // the sheet before is out
	s.thick = false
	number := s.fed + 1
	if f := s.due(number, false, AtFeed); f != nil && !s.passes(f) {
		return s.strike(f)
	}
	sh := s.hopper[0]
	sh.Number = number
	s.hopper = s.hopper[1:]
	s.fed++
	s.path, s.batch = &sh, true
	return statusGood
}

// passes says whether a fault is one that the host wants to be let pass: a
// double feed. It is noticed or not, as mode page 38 says.
func (s *Scanner) passes(f *Fault) bool {
	if f.Sense != DoubleFeed || f.Deed != "" {
		return false
	}
	set := s.mode(0x38, 2)
	on, goOn := set&0x80 != 0, set&0x40 != 0
	s.thick = s.thick || on && goOn
	return !on || goOn
}

// strike makes a fault happen: the sheet goes back, and what was scanned of it
// stays inside until a cancel.
func (s *Scanner) strike(f *Fault) byte {
	if s.path != nil && !s.platen {
		s.hopper = slices.Insert(s.hopper, 0, *s.path)
		s.fed--
		s.dirty = true
	}
	s.path, s.scans, s.jpegs = nil, [2]*scan{}, nil
	switch f.Deed {
	case Mute:
		s.out.Mute()
	case Stall:
		s.out.Say(usbface.Message{Err: errStall})
		s.out.Mute()
	case Unplug:
		s.out.Unplug()
	case Garbage:
		s.out.Say(usbface.Message{Data: []byte("this is no status")})
		s.out.Mute()
	default:
		if f.Sense == CoverOpened {
			s.cover = f.Stays
		}
		return s.check(f.Sense)
	}
	return statusGood
}
