// Package fujitsu is a simulated scanner of the fi or ScanSnap series: SCSI
// commands in messages over a bulk pair, a feeder that is loaded from a folder
// of page images, buttons, sensors and the faults of real machines.
//
// A [Scanner] is a [usbface.Function]. It is a strict one: what a real machine
// refuses, or only might, it refuses, and it keeps a list of what its host did
// wrong. That it is such a scanner, SANE's fujitsu driver says.
package fujitsu

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
	Refill     bool          // the paper is put in again when the feeder was found empty
	Serial     uint32        // 0: 1234
	Nameless   bool          // its descriptors have no serial number

	Busy          int           // answer so many readiness checks of each side with busy
	NoData        int           // answer so many reads of each side with "temporarily no data"
	Short         int           // bytes that one read gives at most; 0: as many as asked for
	Padded        bool          // fill short data up to what was asked for; only the residual tells
	WrongResidual bool          // report residuals that are more than was asked for
	EndOnce       bool          // only the first side of a sheet to end reports the end of the medium
	Embedded      bool          // send the status in place of the data when there are none
	Slow          time.Duration // pause before each transfer of data
	NoPixelSize   bool          // do not tell the size of an image
	CoverOpen     bool          // at the start
	Faults        []Fault
	Presses       []Press
	PressEvery    time.Duration // hold the scan button down so long after the host has seen paper until that is fed, and log what that took; 0: never
	Log           *slog.Logger  `json:"-"` // hears what the host does wrong; nil: nobody does
}

// Sense is what a scanner says of a fault: key, code and qualifier.
type Sense [3]byte

// Some of what can go wrong.
var (
	Jam         = Sense{3, 0x80, 1}
	CoverOpened = Sense{3, 0x80, 2}
	HopperEmpty = Sense{3, 0x80, 3}
	DoubleFeed  = Sense{3, 0x80, 7}
	noData      = Sense{3, 0x80, 0x13}
	badList     = Sense{5, 0x1a, 0}
	badOpcode   = Sense{5, 0x20, 0}
	badCommand  = Sense{5, 0x24, 0}
	badField    = Sense{5, 0x26, 0}
	badSequence = Sense{5, 0x2c, 0}
	badWindow   = Sense{5, 0x2c, 2}
	notReady    = Sense{2, 0, 0}
	wokenUp     = Sense{6, 0x80, 1}
)

// Place is where in a sheet a fault strikes.
type Place string

// The places.
const (
	AtFeed   Place = "feed"   // the sheet is not taken in
	AtScan   Place = "scan"   // the SCAN command
	AtRIC    Place = "ric"    // the readiness check of the side
	MidRead  Place = "read"   // about halfway down the side
	AtStatus Place = "status" // the data of a read come whole and its status tells
)

// Deed is what happens in place of an answer with sense data.
type Deed string

// The deeds.
const (
	Mute    Deed = "mute"    // no answer until the interface is reset
	Stall   Deed = "stall"   // the IN endpoint halts
	Unplug  Deed = "unplug"  // the machine vanishes
	Garbage Deed = "garbage" // bytes that are no answer
)

// A Fault strikes once, and leaves the sheet on top of the stack as the person
// who clears it does.
type Fault struct {
	Sheet int   // 1 is the first sheet since the start
	Back  bool  // strike at the back
	Where Place // empty: AtFeed
	Sense Sense
	Deed  Deed // instead of Sense
	Stays bool // until Clear is called
}

// A Press holds a button down for some looks at the hardware status.
type Press struct {
	After, For int  // looks before it, and with it
	Send       bool // the second button
}

// Scanner is the simulated machine. Its methods may be called from any
// goroutine.
type Scanner struct {
	cfg   Config
	model Model

	out usbface.Outbox // what the host has to read

	mu     sync.Mutex
	await  *command // waits for its data
	locked bool     // takes nothing any more
	wrong  []string // what the host did that it must not

	hopper []paper.Sheet
	fed    int // sheets since the start
	cover  bool
	asleep bool
	faults []Fault
	looks  int       // at the hardware status
	press  time.Time // when the button of PressEvery goes down; zero: not before paper is seen
	thick  bool      // a double feed was noticed and let pass

	sense    Sense
	eom, ili bool
	residual uint32

	windows [2]*window
	modes   map[byte][]byte // pages by code
	diag    string          // the question that READ DIAGNOSTIC will answer
	preread bool            // told of the resolution before SET WINDOW
	table   bool            // has the quantisation table
	platen  bool            // is the source
	batch   bool            // a sheet was taken since the last SET WINDOW
	path    *paper.Sheet    // the sheet that was taken in
	scans   [2]*scan        // of the sides of it that are being scanned
	jpegs   *scan           // the one stream of both sides, on models that have it
	dirty   bool            // a scan broke off; only a cancel forgets it
	busy    [2]int          // of each side, still to be answered so
	empty   [2]int          // reads of each side still to be answered with no data
}

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
	if cfg.Serial == 0 {
		cfg.Serial = 1234
	}
	s := &Scanner{cfg: cfg, model: model, cover: cfg.CoverOpen, faults: slices.Clone(cfg.Faults), modes: make(map[byte][]byte)}
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
	serial := fmt.Sprintf("%08d", s.cfg.Serial)
	if s.cfg.Nameless {
		serial = ""
	}
	return usbface.VendorLayout(s.model.VendorID, s.model.ProductID, strings.TrimSpace(s.model.Vendor), s.model.Product, serial)
}

// Load puts the paper into the feeder.
func (s *Scanner) Load() error {
	sheets, err := paper.Stack(s.cfg.Pages, s.cfg.Stack, s.cfg.Duplex)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hopper = sheets
	return nil
}

// told ends the press of PressEvery: the host feeds. s.mu is held.
func (s *Scanner) told() {
	if took := time.Since(s.press); !s.press.IsZero() && took >= 0 && s.cfg.Log != nil {
		s.cfg.Log.Info("fed after a press", "us", took.Microseconds())
	}
	s.press = time.Time{}
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

// Sleep puts the machine to sleep. Its hardware status still tells, and the first
// command that is to do something wakes it and is refused.
func (s *Scanner) Sleep() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asleep = true
}

// Sheets says how much paper is in the feeder and how many sheets it took.
func (s *Scanner) Sheets() (left, fed int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.hopper), s.fed
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
		if f.Sheet != number || where != at || at != AtFeed && at != AtScan && f.Back != back {
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

// Reset forgets what is under way on the wire. A scan goes on.
func (s *Scanner) Reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.out.Reset()
	s.await = nil
}
