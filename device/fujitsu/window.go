package fujitsu

import (
	"encoding/binary"

	"docscan/device"
)

// composition is what the pixels hold on the wire, as byte 19 of a window says.
type composition byte

const (
	wireLineArt composition = 0
	wireGray    composition = 2
	wireColor   composition = 5
)

// order is how the colours of a pixel follow one another on the wire, as bytes
// 2A and 2B of a window say. Only a trial tells which one a machine has.
type order [2]byte

// orders are those that are tried, the usual one first.
func orders() []order { return []order{byPixel, byPixelBlueFirst, byLine} }

var (
	byPixel          = order{1, 0}
	byPixelBlueFirst = order{1, 5}
	byLine           = order{0, 0}
)

// Sides, and the ids of their windows.
const (
	front = 0
	back  = 1
)

var windowID = [2]byte{front: 0x00, back: 0x80}

// unit is what windows are measured in: 1/1200 inch.
const unit = 1200

// plan is what a run does, in the words of the wire.
type plan struct {
	platen   bool
	duplex   bool
	wanted   device.ColorMode // what the caller gets
	wire     composition      // what the machine sends
	order    order
	jpeg     bool
	dpi      int
	width    int  // pixels
	lines    int  // of the longest paper
	found    bool // the machine finds the end of the paper
	left     int  // of the window, in units, on machines that know no paper size
	doubles  device.DoubleFeedPolicy
	collects bool // a sheet is taken in whole before its sides are handed over
}

// lineBytes is the length of one line on the wire.
func (p *plan) lineBytes() int {
	switch p.wire {
	case wireLineArt:
		return p.width / 8
	case wireGray:
		return p.width
	}
	return 3 * p.width
}

// Lengths of SET WINDOW's data.
const (
	windowHead = 8
	windowSize = 64
)

// setWindow makes the command that tells the machine what to scan. lut says that
// a tone curve was or will be sent.
func setWindow(p *plan, lut bool) *command {
	out := make([]byte, windowHead+windowSize, windowHead+2*windowSize)
	binary.BigEndian.PutUint16(out[6:], windowSize)
	w := out[windowHead:]
	put16 := func(at, v int) { binary.BigEndian.PutUint16(w[at:], uint16(v)) }
	put32 := func(at, v int) { binary.BigEndian.PutUint32(w[at:], uint32(v)) }
	width, length := p.width*unit/p.dpi, p.lines*unit/p.dpi
	w[0x00] = windowID[front]
	put16(0x02, p.dpi)
	put16(0x04, p.dpi)
	put32(0x06, p.left)
	put32(0x0e, width)
	put32(0x12, length)
	w[0x19], w[0x1a] = byte(p.wire), 8
	if p.wire == wireLineArt {
		w[0x1a] = 1
	}
	if p.jpeg {
		w[0x20] = 0x81
	}
	if p.wire == wireColor {
		w[0x28] = 0xc1
		copy(w[0x2a:], p.order[:])
	}
	if lut {
		w[0x29] = 0x80
	}
	if !p.platen {
		w[0x35] = 3 << 6 // the size of the paper follows
		put32(0x36, width)
		put32(0x3a, length)
	}
	if p.duplex {
		out = append(out, w...)
		w = out[windowHead+windowSize:]
		w[0x00], w[0x35] = windowID[back], 0
		put32(0x36, 0)
		put32(0x3a, 0)
	}
	n := len(out)
	return &command{name: "SET WINDOW", cdb: []byte{0x24, 0, 0, 0, 0, 0, byte(n >> 16), byte(n >> 8), byte(n), 0}, out: out}
}

// Mode pages.
const (
	pageDoubleFeed = 0x38
	pageBuffering  = 0x3a
	pageAutoSize   = 0x3c
)

// modeSense asks whether the machine has a mode page.
func modeSense(page byte) *command {
	const size = 20
	return &command{name: "MODE SENSE", cdb: []byte{0x1a, 0, page, 0, size, 0}, in: make([]byte, size, packetSize)}
}

// modeSelect sets a mode page, whose bytes from the third on are given.
func modeSelect(page byte, set ...byte) *command {
	out := make([]byte, 12)
	out[4], out[5] = page, 6
	copy(out[6:], set)
	return &command{name: "MODE SELECT", cdb: []byte{0x15, 0x10, 0, 0, byte(len(out)), 0}, out: out}
}

// autoSize has the machine find the length of the paper, or not.
func autoSize(p *plan) *command {
	var length byte
	if p.found {
		length = 1 << 7
	}
	return modeSelect(pageAutoSize, 0, length)
}

// doubleFeed sets what the machine does when it takes two sheets at once. It
// detects them by ultrasound.
func doubleFeed(policy device.DoubleFeedPolicy, v *vital) *command {
	const enable, goOn, ultrasound = 1 << 7, 1 << 6, 1 << 4
	const on = 3
	var action, protection byte
	switch policy {
	case device.FlagDoubleFeed:
		action = enable | goOn | ultrasound
	case device.IgnoreDoubleFeed:
	default:
		action = enable | ultrasound
	}
	if v.protects {
		protection |= on << 6
	}
	if v.staples {
		protection |= on << 4
	}
	return modeSelect(pageDoubleFeed, action, protection)
}

// noBuffering has the machine take a sheet only when it is told to: it must not
// have paper inside that nobody has stored.
func noBuffering() *command {
	const off, clear = 2 << 6, 3 << 6
	return modeSelect(pageBuffering, off, clear)
}

// diagnostic asks a question or gives an order in words.
func diagnostic(out []byte) *command {
	return &command{name: "SEND DIAGNOSTIC", cdb: []byte{0x1d, 0, 0, byte(len(out) >> 8), byte(len(out)), 0}, out: out}
}

// preread tells some machines of the window before SET WINDOW does.
func preread(p *plan) *command {
	out := make([]byte, 32)
	copy(out, "SET PRE READMODE")
	binary.BigEndian.PutUint16(out[16:], uint16(p.dpi))
	binary.BigEndian.PutUint16(out[18:], uint16(p.dpi))
	binary.BigEndian.PutUint32(out[20:], uint32(p.width*unit/p.dpi))
	binary.BigEndian.PutUint32(out[24:], uint32(p.lines*unit/p.dpi))
	out[28] = byte(p.wire)
	return diagnostic(out)
}

// send gives the machine a table.
func send(kind byte, out []byte) *command {
	n := len(out)
	return &command{name: "SEND", cdb: []byte{0x2a, 0, kind, 0, 0, 0, byte(n >> 16), byte(n >> 8), byte(n), 0}, out: out}
}

// lookUp sends the tone curve that changes nothing, to machines that have none
// of their own. n is the number of levels that the machine sees.
func lookUp(n int) *command {
	out := make([]byte, 10, 10+n)
	out[2] = 10
	binary.BigEndian.PutUint16(out[4:], uint16(n))
	binary.BigEndian.PutUint16(out[6:], 256)
	for i := range n {
		out = append(out, byte(i*256/n))
	}
	return send(0x83, out)
}

// quantisation sends the tables of JPEG: those of ITU-T T.81, annex K, times 0.3,
// in zigzag order.
func quantisation() *command {
	luma := [64]byte{
		16, 11, 12, 14, 12, 10, 16, 14, 13, 14, 18, 17, 16, 19, 24, 40,
		26, 24, 22, 22, 24, 49, 35, 37, 29, 40, 58, 51, 61, 60, 57, 51,
		56, 55, 64, 72, 92, 78, 64, 68, 87, 69, 55, 56, 80, 109, 81, 87,
		95, 98, 103, 104, 103, 62, 77, 113, 121, 112, 100, 120, 92, 101, 103, 99,
	}
	chroma := [64]byte{17, 18, 18, 24, 21, 24, 47, 26, 26, 47, 99, 66, 56, 66}
	for i := 14; i < 64; i++ {
		chroma[i] = 99
	}
	out := make([]byte, 10, 10+128)
	out[2] = 10
	out[5], out[7] = 64, 64
	for _, table := range [][64]byte{luma, chroma} {
		for _, q := range table {
			out = append(out, byte(int(q)*3/10))
		}
	}
	return send(0x88, out)
}

// Functions of SCANNER CONTROL.
const (
	useFeeder = 0x00
	usePlaten = 0x01
	cancel    = 0x04
	lampOn    = 0x05
)

func scannerControl(name string, function byte) *command {
	return &command{name: name, cdb: []byte{0xf1, function & 0xf, function >> 4, 0, 0, 0, 0, 0, 0, 0}}
}

// ready asks whether a READ of that size of that side would find something.
func ready(side, size int) *command {
	return &command{name: "readiness check", cdb: []byte{0xf1, 1 << 4, windowID[side], 0, 0, 0, byte(size >> 16), byte(size >> 8), byte(size), 0}}
}

// Actions of OBJECT POSITION.
const (
	feed = 1
	halt = 4
)

func position(name string, action byte) *command {
	return &command{name: name, cdb: []byte{0x31, action, 0, 0, 0, 0, 0, 0, 0, 0}}
}

// scan starts the scan of the sheet that was fed.
func scan(duplex bool) *command {
	ids := windowID[:1]
	if duplex {
		ids = windowID[:]
	}
	return &command{name: "SCAN", cdb: []byte{0x1b, 0, 0, 0, byte(len(ids)), 0}, out: ids}
}

// Kinds of what READ gives.
const (
	imageData = 0x00
	pixelSize = 0x80
)

func read(name string, kind byte, side int, in []byte) *command {
	n := len(in)
	return &command{name: name, cdb: []byte{0x28, 0, kind, 0, 0, windowID[side], byte(n >> 16), byte(n >> 8), byte(n), 0}, in: in}
}

// testReady does nothing but show that the machine answers.
func testReady() *command {
	return &command{name: "TEST UNIT READY", cdb: make([]byte, 6), time: probeTime}
}
