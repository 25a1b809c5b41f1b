package fujitsu

import (
	"encoding/binary"
	"fmt"
	"slices"
)

// Order is how a machine sends the colours of a pixel, as bytes 2A and 2B of the
// window say.
type Order [2]byte

// The orders.
var (
	ByPixel   = Order{1, 0} // RGBRGB...
	ByPixelBG = Order{1, 5} // BGRBGR...
	ByLine    = Order{0, 0} // R...RG...GB...B
)

// JPEG says how a machine compresses.
type JPEG string

// The kinds of hardware JPEG. The first two differ in how a sheet of two sides
// comes.
const (
	NoJPEG      JPEG = ""
	Separate    JPEG = "separate"    // one file a side
	Interleaved JPEG = "interleaved" // one file of both sides, whose restart intervals alternate
)

// Model is what machines differ in.
type Model struct {
	VendorID, ProductID uint16
	Vendor, Product     string
	Color, Gray, Binary bool
	Order               Order
	JPEG                JPEG
	JFIF                bool // its JPEG has the head with the resolution
	Duplex, Flatbed     bool
	MaxDPI              int
	Width, Length       int    // of the longest paper, in 1/1200 inch
	Buffer              int    // bytes that one side may be ahead of the other
	Steps               byte   // of brightness and contrast; 0: by table only
	Pages               []byte // mode pages it knows
	LampTrap            bool   // locks up when asked for mode page 3D
	NeedsPreread        bool   // above 300 dpi
	NeedsTable          bool   // of quantisation, even without JPEG
	NoReadyAfterFeed    bool   // must not be asked TEST UNIT READY then
	NoFeedWhenEmpty     bool   // feeding an empty feeder at the start is an error
	Halts               bool   // knows OBJECT POSITION halt
	EvenColor           bool   // colour lines have an even number of pixels
}

// fi7160 is an office scanner of 2013; the other models are told by what
// differs.
func fi7160() Model {
	return Model{
		VendorID: 0x04c5, ProductID: 0x132e, Vendor: "FUJITSU", Product: "fi-7160",
		Color: true, Gray: true, Binary: true, Order: ByPixel, JPEG: Separate,
		Duplex: true, MaxDPI: 600, Width: 2592 * 4, Length: 6600 * 4, Buffer: 64 << 20, Steps: 255,
		Pages: []byte{0x33, 0x34, 0x37, 0x38, 0x39, 0x3a, 0x3c}, LampTrap: true,
	}
}

// Models lists the names that Config.Model may have.
func Models() []string {
	return []string{"fi-7160", "iX500", "fi-5120C", "fi-4120C", "fi-8170", "fi-8040", "fi-7600"}
}

func modelNamed(name string) (Model, error) {
	m := fi7160()
	switch name {
	case "fi-7160":
	case "iX500": // a ScanSnap, which leaves much to its host
		m.ProductID, m.Product = 0x132b, "ScanSnap iX500"
		m.Gray, m.Binary = false, false
		m.JPEG, m.JFIF, m.Steps = Separate, true, 0
		m.Pages = []byte{0x2c, 0x33, 0x37, 0x38, 0x3a, 0x3c}
		m.NeedsPreread, m.NeedsTable, m.NoReadyAfterFeed, m.NoFeedWhenEmpty, m.EvenColor = true, true, true, true, true
	case "fi-5120C": // an older one, whose JPEG has both sides in it, with a flatbed
		m.ProductID, m.Product = 0x10e0, "fi-5120Cdj"
		m.JPEG, m.Flatbed, m.LampTrap, m.Buffer = Interleaved, true, false, 4<<20
		m.Pages = []byte{0x37, 0x38, 0x39, 0x3d}
	case "fi-4120C": // an old one without JPEG; its colours come by line
		m.ProductID, m.Product = 0x1041, "fi-4120Cdj"
		m.JPEG, m.Order, m.LampTrap, m.Buffer = NoJPEG, ByLine, false, 1<<20
		m.Pages = []byte{0x37, 0x38}
	case "fi-8170": // a newer one, which knows halt; that it sends blue first is made up
		m.ProductID, m.Product = 0x15ff, "fi-8170"
		m.Order, m.Halts, m.LampTrap = ByPixelBG, true, false
	case "fi-8040": // one that says Ricoh
		m.VendorID, m.ProductID, m.Vendor, m.Product = 0x05ca, 0x0307, "RICOH", "fi-8040"
		m.Halts, m.LampTrap = true, false
	case "fi-7600": // one for A3
		m.ProductID, m.Product = 0x1521, "fi-7600"
		m.Width, m.LampTrap = 3600*4, false
	default:
		return m, fmt.Errorf("simulated scanner: no model %q, only %q", name, Models())
	}
	return m, nil
}

// inquiry is what the machine says it is.
func (m *Model) inquiry() []byte {
	b := make([]byte, 96)
	b[0], b[2], b[3], b[4] = 6, 2, 2, 91
	for i := range b[8:36] {
		b[8+i] = ' '
	}
	copy(b[8:16], m.Vendor)
	copy(b[16:32], m.Product)
	copy(b[32:36], "0M00")
	if m.Duplex {
		b[0x2d] = 1
	}
	return b
}

// vital is the page of vital product data.
func (m *Model) vital() []byte {
	const basic = 300
	b := make([]byte, 0x80)
	b[0], b[1], b[4] = 6, 0xf0, 0x5f // a length that is known to be wrong
	put := func(at int, v uint16) { binary.BigEndian.PutUint16(b[at:], v) }
	put(0x05, basic)
	put(0x07, basic)
	b[0x09] = 0x11
	put(0x0a, uint16(m.MaxDPI))
	put(0x0c, uint16(m.MaxDPI))
	put(0x0e, 50)
	put(0x10, 50)
	binary.BigEndian.PutUint32(b[0x14:], uint32(m.Width*basic/1200))
	binary.BigEndian.PutUint32(b[0x18:], uint32(m.Length*basic/1200))
	bit := func(at int, n uint, set bool) {
		if set {
			b[at] |= 1 << n
		}
	}
	bit(0x1c, 1, m.Binary)
	bit(0x1c, 3, m.Gray)
	bit(0x1c, 7, m.Color)
	b[0x20] = 0x80
	bit(0x20, 6, m.Flatbed)
	bit(0x20, 4, m.Duplex)
	b[0x21] = 0x68
	binary.BigEndian.PutUint32(b[0x22:], uint32(m.Buffer))
	b[0x28], b[0x29] = 0xef, 0x8f
	b[0x2b] = 1 << 2
	b[0x31] = 1 << 1
	b[0x52], b[0x53], b[0x54] = m.Steps, 255, m.Steps
	b[0x57] = 0x11
	bit(0x5a, 3, m.JPEG != NoJPEG)
	b[0x5b] = 1 << 6
	if m.JPEG != NoJPEG && m.Gray {
		b[0x5b] = 3 << 6
	}
	b[0x62] = 2
	bit(0x7a, 7, m.Halts)
	bit(0x59, 0, m.Halts)
	if m.Halts {
		b[4] = 0x7b // newer ones tell the right length
	}
	return b
}

// knows says whether the machine has a mode page.
func (m *Model) knows(page byte) bool { return slices.Contains(m.Pages, page) }
