package esci

import (
	"errors"
	"fmt"
	"slices"
)

// info is what INFO says of a machine.
type info struct {
	product   string
	version   string
	serial    string
	feeder    *source
	glass     *source
	button    bool // STAT tells of one
	truncates bool // an image ends with the paper, asked or not
}

// source is one of the places where paper can be.
type source struct {
	width, length int  // of what can be scanned, in 1/100 inch
	centre        bool // narrow paper lies in the middle, not at the left
	dpi           int  // the most across; 0: not said
	twice         bool // a sheet goes through twice for both sides, so its back is upside down
}

// maxArea is the longest source that a machine is believed, in 1/100 inch.
const maxArea = 100_000

// parseInfo reads the answer to INFO.
func parseInfo(b []byte) (info, error) {
	var i info
	for _, t := range tokens(b) {
		switch t.name {
		case "PRD":
			i.product = t.text()
		case "VER":
			i.version = t.text()
		case "S/N":
			i.serial = t.text()
		case "PB ":
			i.button = true
		case "DLS":
			i.truncates = true
		case "ADF":
			if i.feeder == nil {
				i.feeder = &source{}
			}
			i.feeder.learn(t)
		case "FB ":
			if i.glass == nil {
				i.glass = &source{}
			}
			i.glass.learn(t)
		}
	}
	for _, s := range []**source{&i.feeder, &i.glass} {
		if *s != nil && !(*s).believable() {
			*s = nil
		}
	}
	if i.feeder == nil && i.glass == nil {
		return i, errors.New("INFO: neither a feeder nor a glass with an area")
	}
	return i, nil
}

// learn takes what one token says of a source.
func (s *source) learn(t token) {
	switch n := t.numbers(); {
	case t.word(0) == "AREA" && len(n) == 2:
		s.width, s.length = n[0], n[1]
	case t.word(0) == "RESO" && len(n) == 1:
		s.dpi = n[0]
	case t.word(0) == "DPLX":
		s.twice = t.word(1) == "2SCN"
	case t.word(0) == "ALGN":
		s.centre = t.word(1) == "CNTR"
	}
}

// believable says whether the numbers can be of a scanner.
func (s *source) believable() bool {
	return s.width >= 50 && s.width <= maxArea && s.length >= 50 && s.length <= maxArea
}

// capabilities are what CAPA says a machine can be asked for.
type capabilities struct {
	flags   []string // of the feeder, such as DPLX and DFL1
	colors  []string
	formats []string
	gammas  []string
	quality choice // of JPEG
	dither  bool   // it has a threshold for black and white
	across  choice // dpi
	down    choice // dpi
}

// choice is a list of numbers, or a range of them.
type choice struct {
	list     []int
	min, max int
}

// parseCapabilities reads the answer to CAPA.
func parseCapabilities(b []byte) (capabilities, error) {
	var c capabilities
	for _, t := range tokens(b) {
		words := t.words()
		if len(words) > 0 && (words[0] == "LIST" || words[0] == "RANG") {
			words = words[1:]
		}
		switch t.name {
		case "ADF":
			c.flags = append(c.flags, words...)
		case "COL":
			c.colors = words
		case "FMT":
			c.formats = words
		case "GMM":
			c.gammas = words
		case "THR":
			c.dither = true
		case "JPG":
			c.quality = newChoice(t)
		case "RSM":
			c.across = newChoice(t)
		case "RSS":
			c.down = newChoice(t)
		}
	}
	switch {
	case len(c.modes()) == 0:
		return c, fmt.Errorf("CAPA: none of the colours %q is known here", c.colors)
	case len(c.resolutions(0)) == 0:
		return c, errors.New("CAPA: no resolution")
	}
	return c, nil
}

// newChoice reads what a setting can be.
func newChoice(t token) choice {
	n := t.numbers()
	if t.word(0) == "RANG" && len(n) == 2 {
		return choice{min: n[0], max: n[1]}
	}
	return choice{list: n}
}

// has says whether a number can be chosen. A machine that says nothing of it is
// not asked for it.
func (c choice) has(n int) bool {
	return slices.Contains(c.list, n) || c.max > 0 && n >= c.min && n <= c.max
}

// resolutions gives those that are the same across and down, rising, in dpi; most
// is what the optics have, or 0. Of a range it gives the usual ones.
func (c capabilities) resolutions(most int) []int {
	usual := []int{50, 75, 100, 150, 200, 240, 300, 400, 600, 1200}
	var list []int
	for _, dpi := range append(append(usual, c.across.list...), c.down.list...) {
		down := c.down.has(dpi) || len(c.down.list) == 0 && c.down.max == 0
		if c.across.has(dpi) && down && dpi > 0 && dpi <= 9999 && (most <= 0 || dpi <= most) {
			list = append(list, dpi)
		}
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// has says whether the feeder knows a flag.
func (c capabilities) has(flag string) bool { return slices.Contains(c.flags, flag) }

// double is the flag by which the feeder looks for double feeds, or "". The
// gentler of two is meant for everyday paper.
func (c capabilities) double() string {
	for _, f := range []string{"DFL1", "DFL2"} {
		if c.has(f) {
			return f
		}
	}
	return ""
}

// String gives the words of the wire, for the log.
func (c cause) String() string { return c.part + " " + c.what }
