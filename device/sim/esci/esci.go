// Package esci is a simulated document scanner of Seiko Epson's that speaks
// ESC/I-2: requests and replies of ASCII tokens in messages over a bulk pair, a
// feeder that is loaded from a folder of page images, a button and the faults of
// real machines.
//
// A [Scanner] is a [usbface.Function]. It is a strict one: what a real machine
// refuses, or only might, it refuses, and it keeps a list of what its host did
// wrong. That it is such a scanner, SANE's epsonds driver says.
package esci

import (
	"context"
	"encoding/json"
	"fmt"
	"image"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"docscan/device/sim/paper"
	"docscan/device/sim/usbface"
)

// Config says what the scanner is, what paper it holds and how it misbehaves.
// The zero value with a model and paper behaves.
type Config struct {
	Model      string        // one of Models
	Stack      string        // folder whose PNG, JPEG and TIFF files are the paper, by name
	Pages      []image.Image `json:"-"` // the paper, if there is no folder
	Duplex     bool          // the pages alternate front, back
	Resolution int           // of the pages, in dpi; 0: 300
	Serial     string        // empty: "SIM0000001"
	Nameless   bool          // its descriptors have no serial number

	Order     Order         // in which the blocks of the two sides come
	Busy      int           // answer so many requests of each kind that starts something with "busy"
	Warming   int           // and so many with "warming up"
	Reserved  int           // and so many with "reserved by another host"
	NoData    int           // answer so many requests for image data with nothing before each block
	Block     int           // bytes of a block of image data at most; 0: as many as were asked for
	Short     int           // cut data into transfers of so many bytes; 0: one transfer a block
	Padding   int           // bytes after each uncompressed line
	EndAlone  bool          // the end of a page comes in a reply of its own, without data
	TellLate  bool          // why it cannot start is told with the image only
	NoLeft    bool          // do not tell that no image is left
	Slow      time.Duration // pause before each transfer of data
	NeedsDFL  bool          // refuse both sides without a double-feed setting
	CoverOpen bool          // at the start
	Held      bool          // refuse every session, as while the panel is in use
	Left      bool          // in the middle of a scan by a host that went away
	Faults    []Fault
	Presses   []Press
	Log       *slog.Logger `json:"-"` // hears what the host does wrong; nil: nobody does
}

// Order is that of the blocks of a sheet's two sides.
type Order string

// The orders.
const (
	Alternate  Order = ""           // a block of the front, a block of the back
	BackFirst  Order = "back first" // a block of the back, a block of the front
	FrontWhole Order = "front whole"
	BackWhole  Order = "back whole" // all of the back, then all of the front
)

// Cause is what a scanner says of a fault.
type Cause string

// What can go wrong, in the four characters of the wire.
const (
	CoverOpened Cause = "OPN "
	Jam         Cause = "PJ  "
	PaperEnd    Cause = "PE  "
	Defect      Cause = "ERR "
	Lamp        Cause = "LTF "
	Locked      Cause = "LOCK"
	DoubleFeed  Cause = "DFED"
	Separation  Cause = "DTCL"
	NotAllowed  Cause = "PERM"
	BatteryLow  Cause = "BTLO"
)

// Place is where a fault strikes.
type Place string

// The places.
const (
	AtPara  Place = "para"  // the parameters
	AtStart Place = "start" // the transition to the data state
	AtFeed  Place = "feed"  // the sheet is not taken in
	MidPage Place = "page"  // about halfway down the side
	AtEnd   Place = "end"   // in place of the end of the side
)

// Deed is what happens in place of an answer with a cause.
type Deed string

// The deeds.
const (
	Cancel  Deed = "cancel"  // somebody presses the machine's stop button
	Mute    Deed = "mute"    // no answer until the interface is reset
	Stall   Deed = "stall"   // the IN endpoint halts
	Unplug  Deed = "unplug"  // the machine vanishes
	Garbage Deed = "garbage" // bytes that are no answer
	Refuse  Deed = "refuse"  // INVD: not now
)

// A Fault strikes once, and leaves the sheet on top of the stack as the person
// who clears it does.
type Fault struct {
	Sheet int   // 1 is the first sheet since the start; AtPara and AtStart: the one on top
	Back  bool  // strike at the back
	Where Place // empty: AtFeed
	Cause Cause
	Part  string // "ADF", "FB" or "TPU"; empty: "ADF"
	Deed  Deed   // instead of Cause
	Stays bool   // until Clear is called
}

// A Press holds the button down for some looks at the status.
type Press struct {
	After, For int // looks before it, and with it
	Value      int // what #PB says; 0: 1
}

// Scanner is the simulated machine. Its methods may be called from any
// goroutine.
type Scanner struct {
	cfg   Config
	model Model

	out usbface.Outbox // what the host has to read

	mu    sync.Mutex
	wrong []string // what the host did that it must not

	hopper []paper.Sheet
	glass  paper.Face
	fed    int // sheets since the start
	cover  bool
	faults []Fault
	looks  int // at the status

	session session
	await   string // request whose data have not come whole
	need    int    // bytes of them
	got     []byte
	waits   map[string]int // requests by kind that were answered with "not ready"
	para    para
	scan    *scan  // nil: not in the data state
	refused *Fault // why it did not get there
}

// session is what the host has begun.
type session byte

// The sessions, by the letter that begins them.
const (
	none    session = 0
	inquiry session = 'Y'
	control session = 'X'
)

var _ usbface.Function = (*Scanner)(nil)

// New makes a scanner with its paper in the feeder.
func New(cfg Config) (*Scanner, error) {
	model, err := modelNamed(cfg.Model)
	if err != nil {
		return nil, err
	}
	if cfg.Resolution == 0 {
		cfg.Resolution = 300
	}
	if cfg.Serial == "" {
		cfg.Serial = "SIM0000001"
	}
	s := &Scanner{
		cfg: cfg, model: model, cover: cfg.CoverOpen,
		faults: slices.Clone(cfg.Faults), waits: make(map[string]int), para: defaultPara(model),
	}
	if cfg.Left {
		s.session, s.scan = control, &scan{para: s.para}
		s.out.Say(usbface.Message{Data: reply("IMG ", 0)})
	}
	return s, s.Load()
}

// ParseConfig reads the knobs as JSON.
func ParseConfig(text string) (Config, error) {
	var cfg Config
	d := json.NewDecoder(strings.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&cfg); err != nil {
		return cfg, fmt.Errorf("simulated scanner: %w", err)
	}
	return cfg, nil
}

// Layout is what its USB descriptors say.
func (s *Scanner) Layout() usbface.Layout {
	serial := s.cfg.Serial
	if s.cfg.Nameless {
		serial = ""
	}
	return usbface.VendorLayout(VendorID, s.model.ProductID, "EPSON", "EPSON "+s.model.Product, serial)
}

// Load puts the paper into the feeder, and a copy of the first page on the glass
// if there is one.
func (s *Scanner) Load() error {
	sheets, err := paper.Stack(s.cfg.Pages, s.cfg.Stack, s.cfg.Duplex)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hopper = sheets
	if len(sheets) > 0 {
		s.glass = sheets[0].Faces[0]
	}
	return nil
}

// Clear is the person who clears a fault that stays.
func (s *Scanner) Clear() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = slices.DeleteFunc(s.faults, func(f Fault) bool { return f.Stays })
}

// SetCover opens or closes the cover.
func (s *Scanner) SetCover(open bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cover = open
}

// Hold lets somebody else have the machine, or gives it back.
func (s *Scanner) Hold(held bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cfg.Held = held
}

// Reserve lets another host have the machine for so many requests of each kind
// from now on, and Warm has its lamp be cold for so many.
func (s *Scanner) Reserve(n int) { s.unready(n, 0) }

// Warm is described with Reserve.
func (s *Scanner) Warm(n int) { s.unready(0, n) }

func (s *Scanner) unready(reserved, warming int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.waits)
	s.cfg.Reserved, s.cfg.Warming = reserved, warming
}

// Sheets says how much paper is in the feeder and how many sheets it took.
func (s *Scanner) Sheets() (left, fed int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.hopper), s.fed
}

// InSession says whether a host has a session and has not ended it.
func (s *Scanner) InSession() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.session != none && !s.out.Gone()
}

// Violations lists what the host did that it must not.
func (s *Scanner) Violations() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.wrong)
}

// violation notes what the host did wrong. s.mu is held.
func (s *Scanner) violation(format string, args ...any) {
	said := fmt.Sprintf(format, args...)
	s.wrong = append(s.wrong, said)
	if s.cfg.Log != nil {
		s.cfg.Log.Warn("the host did wrong", "what", said)
	}
}

// due finds the fault that strikes at this place of the sheet with that number
// and takes it off the list, unless it stays. s.mu is held.
func (s *Scanner) due(number int, back bool, at Place) *Fault {
	for i, f := range s.faults {
		where := f.Where
		if where == "" {
			where = AtFeed
		}
		if f.Sheet != number || where != at || (at == MidPage || at == AtEnd) && f.Back != back {
			continue
		}
		if !f.Stays {
			s.faults = slices.Delete(s.faults, i, i+1)
		}
		return &f
	}
	return nil
}

// In gives the next message for the host.
func (s *Scanner) In(ctx context.Context) ([]byte, error) { return s.out.In(ctx) }

// Reset forgets what is under way on the wire. The session goes on, as does a
// scan: only FIN ends them.
func (s *Scanner) Reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.out.Reset()
	s.await, s.got = "", nil
}
