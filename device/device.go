// Package device turns paper into images.
//
// A [Scanner] is one attached machine, held open from the moment it is found
// until it goes. A [Run] is one pass through its paper source and hands over
// one [Side] after the other. What stops a run is a [Fault], which keeps its
// reason from the wire to the screen. The [Registry] knows which machines are
// here and lends each of them to one user at a time.
//
// Each wire protocol has one driver package below this one. Nothing here knows
// of batches, users or files; that is the business of package scan.
package device

import (
	"context"
	"errors"
	"fmt"
	"io"
)

// Source says where a run takes its paper from.
type Source string

// The paper sources of a document scanner.
const (
	Feeder Source = "feeder" // automatic document feeder: one run takes all sheets
	Platen Source = "platen" // flatbed glass: one run gives one side
)

// ColorMode says what one pixel holds.
type ColorMode string

// The colour modes every driver can be asked for.
const (
	Color   ColorMode = "color"   // 24-bit RGB
	Gray    ColorMode = "gray"    // 8-bit grey
	LineArt ColorMode = "lineart" // 1-bit black and white
)

// Info says what a machine is. A machine is known by make, model, serial and
// port path, never by its momentary bus address.
type Info struct {
	ID     string `json:"id"`     // stable, URL-safe: the same machine has the same ID after a replug
	Make   string `json:"make"`   // as the machine says it, such as "FUJITSU"
	Model  string `json:"model"`  // as the machine says it, such as "fi-7160"
	Serial string `json:"serial"` // empty if the machine has none
	Port   string `json:"port"`   // where it is: a USB port path such as "usb:1-2.3", or the URL of a network scanner
	Driver string `json:"driver"` // the package that drives it, such as "escl"
}

// Name is what a person calls the machine until somebody gives it a name.
func (i Info) Name() string {
	if i.Make == "" {
		return i.Model
	}
	return i.Make + " " + i.Model
}

// Caps says what a machine can do.
type Caps struct {
	Sources     []Source    `json:"sources"`
	Duplex      bool        `json:"duplex"`      // the feeder can take both sides of a sheet
	Modes       []ColorMode `json:"modes"`       // in the machine's own order
	Resolutions []int       `json:"resolutions"` // dpi, rising
	MaxWidth    int         `json:"max_width"`   // of the widest source, in 1/300 inch
	MaxLength   int         `json:"max_length"`  // of the longest source, in 1/300 inch
}

// Settings says what one run shall do. A driver takes the nearest thing its
// machine can do, except for Source and Duplex, which it refuses with
// [ErrUnsupported] when the machine lacks them.
type Settings struct {
	Source     Source
	Duplex     bool      // feeder only: front and back of each sheet
	Mode       ColorMode // zero: Color
	Resolution int       // dpi; zero: 300
	Width      int       // of the scanned area in 1/300 inch; zero: all the source has
	Length     int       // of the scanned area in 1/300 inch; zero: all the source has

	DoubleFeed DoubleFeedPolicy // zero: StopAtDoubleFeed
}

// DoubleFeedPolicy says what happens when the machine notices that it took two
// sheets at once. A machine that notices nothing goes on.
type DoubleFeedPolicy string

// What can be done about a double feed.
const (
	StopAtDoubleFeed DoubleFeedPolicy = "stop"   // feeding stops with a Fault
	FlagDoubleFeed   DoubleFeedPolicy = "flag"   // the sides are kept, with Side.DoubleFeed set
	IgnoreDoubleFeed DoubleFeedPolicy = "ignore" // it is not looked for: receipts are glued on the sheets
)

// State is what a machine is doing, as shown to a person.
type State string

// The states of a machine.
const (
	Ready     State = "ready"    // idle, paper loaded or a platen waiting
	Empty     State = "empty"    // idle, and the feeder says that it holds no paper
	Scanning  State = "scanning" // one of our runs is feeding
	WarmingUp State = "warming-up"
	Asleep    State = "asleep"
	CoverOpen State = "cover-open"
	Faulty    State = "fault"  // it wants a person; Status.Fault says why
	InUse     State = "in-use" // another program or client holds it
	Gone      State = "gone"   // unplugged or off the network
)

// Status is one look at a machine.
type Status struct {
	State  State
	Loaded bool      // the feeder says that it holds paper
	Fault  FaultKind // set when State is Faulty or CoverOpen
}

// A Scanner drives one attached machine. Methods may be called from any
// goroutine; while a Run is open, Start fails with a Fault of kind Busy.
type Scanner interface {
	Info() Info
	Caps() Caps

	// Status asks the machine how it is. It must not disturb an open run.
	Status(ctx context.Context) (Status, error)

	// Start begins one run. An error is a *Fault when a person can clear it.
	Start(ctx context.Context, s Settings) (Run, error)

	// Close gives the machine back. An open run must be closed before.
	Close() error
}

// A Run is one pass through a paper source. Its methods are called by one
// goroutine, except Cancel, which any may call.
type Run interface {
	// Next gives the next side in feed order: front 1, back 1, front 2 and so
	// on. It returns io.EOF at the proper end of the feeder and a *Fault when
	// feeding stopped for another reason. The body of the side before must have
	// been read to its end or closed.
	Next(ctx context.Context) (*Side, error)

	// Cancel asks the machine to stop feeding. Sides already taken may still
	// come from Next, which then ends with io.EOF or a Fault of kind Stopped.
	Cancel(ctx context.Context) error

	// Close ends the run and frees the machine for the next one.
	Close() error
}

// A Side is one side of a sheet on its way in. Body streams the image as it
// comes from the machine; a read error in it is a *Fault when the reason is
// known, and the side is then worth nothing.
type Side struct {
	Sheet      int    // 1 for the first sheet of the run
	Back       bool   // of a duplex run
	Type       string // media type by the image's own first bytes: image/jpeg, image/png or image/tiff
	Resolution int    // dpi asked for, or what the machine says it used
	DoubleFeed bool   // the machine thinks that this sheet is more than one
	Turned     bool   // the model is known to give this side upside down
	Body       io.ReadCloser
}

// FaultKind names why feeding stopped.
type FaultKind string

// The faults a person is told apart.
const (
	Jam         FaultKind = "jam"
	DoubleFeed  FaultKind = "double-feed"
	Mispick     FaultKind = "mispick"        // the feeder could not take the next sheet
	Cover       FaultKind = "cover-open"     // a cover or hatch is open
	NoPaper     FaultKind = "feeder-empty"   // nothing was in the feeder at the start
	PageLength  FaultKind = "page-length"    // sheet too short or too long for the feeder
	Stopped     FaultKind = "stopped"        // by a person at the machine or on a screen
	Unplugged   FaultKind = "unplugged"      // the machine went away
	Busy        FaultKind = "busy"           // a run of ours is under way
	HeldByOther FaultKind = "in-use"         // another program or client holds it
	NoRights    FaultKind = "no-rights"      // the daemon's user may not open it
	Warming     FaultKind = "warming-up"     // it did not get ready in time
	BadAnswer   FaultKind = "bad-answer"     // it said something that is not the protocol or not an image
	Hardware    FaultKind = "hardware"       // the machine reports a defect
	DiskFull    FaultKind = "disk-full"      // no room to keep another page
	Interrupted FaultKind = "interrupted"    // docscan itself was stopped in the middle
	TooLarge    FaultKind = "side-too-large" // an image above the limit of bytes for one side
)

// A Fault is why feeding stopped, with what was seen on the wire.
type Fault struct {
	Kind   FaultKind
	Detail string // what the machine said, for the log: numbers and names from the wire
	Err    error  // the cause, if there is one
}

// Error gives kind, detail and cause.
func (f *Fault) Error() string {
	s := string(f.Kind)
	if f.Detail != "" {
		s += ": " + f.Detail
	}
	if f.Err != nil {
		s += ": " + f.Err.Error()
	}
	return s
}

// Unwrap gives the cause. A connection that broke with io.EOF must not be taken
// for the proper end of the feeder.
func (f *Fault) Unwrap() error {
	if errors.Is(f.Err, io.EOF) {
		return nil
	}
	return f.Err
}

// Faultf makes a Fault whose detail is formatted as by fmt.Sprintf.
func Faultf(kind FaultKind, format string, args ...any) *Fault {
	return &Fault{Kind: kind, Detail: fmt.Sprintf(format, args...)}
}

// KindOf gives the kind of the Fault in err's chain, or "" if there is none.
func KindOf(err error) FaultKind {
	var f *Fault
	if errors.As(err, &f) {
		return f.Kind
	}
	return ""
}

// ErrUnsupported is in the chain of an error that says a machine cannot do
// what was asked of it.
var ErrUnsupported = errors.New("the scanner cannot do this")

// A Finder finds the machines of one kind: on the USB bus, at configured
// network addresses, or simulated ones.
type Finder interface {
	// Find lists the machines that are here now. It must be cheap, as it is
	// called every few seconds, and must not disturb a machine in use.
	Find(ctx context.Context) ([]Found, error)
}

// Found is one machine that a Finder sees. Info is as much as can be told
// without opening it; its ID must already be the final one.
type Found struct {
	Info Info
	Open func(ctx context.Context) (Scanner, error)
}

// Gesture says how a button was pressed.
type Gesture string

// The gestures of a button.
const (
	Short  Gesture = "short"
	Long   Gesture = "long"
	Double Gesture = "double"
)

// A Press is somebody's wish to scan, made at a panel.
type Press struct {
	Device  string // Info.ID of the machine meant; empty: the only one, or the default
	Button  string // the panel's name for it, such as "scan"
	Gesture Gesture
}

// Buttons is what a Scanner is too whose machine has buttons of its own that can
// be asked for.
type Buttons interface {
	// Buttons asks which buttons are down. It must be cheap, as it is asked
	// several times a second while no run is open.
	Buttons(ctx context.Context) (ButtonState, error)
}

// ButtonState is one look at the buttons of a machine.
type ButtonState struct {
	Down   []string // names of those that are down, such as "scan" or "email"
	Loaded bool     // the feeder says that it holds paper
}

// Light is what a panel shows.
type Light string

// What a panel can show, in rising order of urgency.
const (
	LightIdle      Light = "idle"
	LightDelivered Light = "delivered" // the last document is where it belongs
	LightWorking   Light = "working"   // pages are safe, documents are being made
	LightSafe      Light = "safe"      // all pages fed are safe; the paper may be taken away
	LightScanning  Light = "scanning"
	LightNeedsYou  Light = "needs-you" // a person must clear something at the machine
	LightFault     Light = "fault"
)

// A Panel is a set of buttons and lights.
type Panel interface {
	// Watch calls press for every press until ctx ends.
	Watch(ctx context.Context, press func(Press)) error
	// Show sets the light.
	Show(l Light) error
}
