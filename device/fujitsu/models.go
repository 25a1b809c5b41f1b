package fujitsu

import "strings"

// model is what a machine does not tell of itself, or tells wrong. The zero
// value is a machine that tells all.
type model struct {
	name string // part of the product name, as INQUIRY has it

	noMono          bool      // grey and line art are made of colour, here
	noSerial        bool      // its answer to the question for its serial number is rubbish
	preread         bool      // must be told of the resolution before SET WINDOW
	table           bool      // must be sent a quantisation table, even without JPEG
	noReady         bool      // must not be asked TEST UNIT READY after a feed
	evenColor       bool      // colour lines have an even number of pixels
	centre          bool      // it knows no paper size: the window is put in the middle here
	narrow          bool      // takes a look-up table of 256 entries only
	flatWidth       int       // of the flatbed in 1/1200 inch; 0: as it says
	flatLength      int       //
	longer          []longest // paper that it takes at lower resolutions
	smallReads      bool      // takes reads of 64 KB at most
	blocks          bool      // lines are of 32 pixels in line art and of 4 in grey and colour
	frontsThenBacks bool      // sends the whole front before the back
}

// longest is a length of paper in 1/1200 inch that a machine takes up to a
// resolution.
type longest struct{ dpi, length int }

// models lists the machines that differ, the more special names first. The
// facts are those that SANE's driver has gathered.
//
// No machine is ever asked for mode page 3D (lamp timer): iX500, iX100, fi-7160,
// fi-7180, fi-7260 and fi-7280 lock up. Pages 33 and 37 (pre-pick, background),
// which S1500 and fi-6110 claim and do not have, are not used either.
func models() []model {
	long6 := []longest{{200, 151512}}
	long7 := []longest{{200, 266268}, {300, 260268}, {400, 194268}}
	long76 := []longest{{200, 264000}, {300, 258000}, {400, 192000}}
	return []model{
		{name: "iX500", noMono: true, preread: true, table: true, noReady: true, evenColor: true, narrow: true},
		{name: "iX100", preread: true, table: true, noReady: true, evenColor: true, narrow: true},
		{name: "fi-4340", noSerial: true, smallReads: true},
		{name: "fi-4750", noSerial: true, smallReads: true},
		{name: "fi-4860", noSerial: true, smallReads: true, blocks: true},
		{name: "fi-4990", smallReads: true, blocks: true, frontsThenBacks: true},
		{name: "fi-4220", smallReads: true, flatLength: 14032},
		{name: "fi-5220C", smallReads: true, flatWidth: 10764, flatLength: 14032},
		{name: "fi-5110EOX", smallReads: true, centre: true},
		{name: "fi-5530", smallReads: true, narrow: true},
		{name: "fi-5650", smallReads: true, narrow: true},
		{name: "fi-5750", smallReads: true, narrow: true},
		{name: "fi-4", smallReads: true},
		{name: "fi-5", smallReads: true},
		{name: "S500", smallReads: true},
		{name: "fi-6110", longer: long6},
		{name: "fi-6130", longer: long6},
		{name: "fi-6140", longer: long6},
		{name: "fi-6230", longer: long6, flatWidth: 10764, flatLength: 14032},
		{name: "fi-6240", longer: long6, flatWidth: 10764, flatLength: 14032},
		{name: "fi-7160", longer: long7},
		{name: "fi-7180", longer: long7},
		{name: "fi-7260", longer: long7, flatWidth: 10764, flatLength: 14032},
		{name: "fi-7280", longer: long7, flatWidth: 10764, flatLength: 14032},
		{name: "fi-7460", longer: long7},
		{name: "fi-7480", longer: long7},
		{name: "fi-7030", longer: long76},
		{name: "fi-7600", longer: long76},
		{name: "fi-7700", longer: long76},
	}
}

// modelOf finds the model of a product name. Some firmware writes a capital F.
func modelOf(product string) model {
	for _, m := range models() {
		if strings.Contains(strings.ToLower(product), strings.ToLower(m.name)) {
			return m
		}
	}
	return model{}
}

// length is the longest paper at a resolution; usual is what the machine says.
func (m *model) length(dpi, usual int) int {
	for _, l := range m.longer {
		if dpi <= l.dpi {
			return max(l.length, usual)
		}
	}
	return usual
}

// multiple is what the number of pixels of a line must be a multiple of.
func (m *model) multiple(c composition) int {
	switch {
	case c == wireLineArt && m.blocks:
		return 32
	case c == wireLineArt:
		return 8
	case m.blocks:
		return 4
	case c == wireColor && m.evenColor:
		return 2
	}
	return 1
}

// transfer is how much one read asks for at most, in bytes.
func (m *model) transfer() int {
	if m.smallReads {
		return 64 << 10
	}
	return 256 << 10
}
