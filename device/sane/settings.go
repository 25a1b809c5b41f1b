package sane

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"docscan/device"
)

// An assignment gives one option a value.
type assignment struct {
	option option
	value  value
}

// A step chooses values for some options of those that a device has now. What
// the device has may change with every value, so the next step looks anew.
type step func(options, *device.Settings) []assignment

// steps are what a run sets, in the order in which options decide which others
// there are: the source decides on the modes, both on the resolutions, all three
// on the size of the paper.
var steps = [...]step{
	setSource, setSides, setFeeding, setMode, setDepth, setResolution, setPaper, setCorner, setArea, setDoubleFeed,
}

// Names that backends give the option for the paper source, besides the
// standard's.
var sourceNames = [...]string{"source", "doc-source", "scan-source"}

// sourceOf tells what a backend means by a value of its source option. It is ""
// for what is no source of documents: film, cards, or the back alone.
func sourceOf(name string) (source device.Source, duplex bool) {
	is := func(words ...string) bool {
		return slices.ContainsFunc(words, func(w string) bool { return strings.Contains(strings.ToLower(name), w) })
	}
	switch {
	case is("transparen", "tpu", "tma", "film", "slide", "negative", "positive", "card"):
		return "", false
	case is("duplex", "both", "2-sided", "two-sided", "double"):
		return device.Feeder, true
	case is("back", "rear"):
		return "", false
	case is("adf", "feeder", "sheet", "document"):
		return device.Feeder, false
	case is("flatbed", "platen", "glass", "table", "normal"), strings.EqualFold(name, "fb"):
		return device.Platen, false
	}
	return "", false
}

// sourceValue finds the value of the source option that is meant, or "".
func sourceValue(o *option, source device.Source, duplex bool) string {
	for _, s := range o.Limits.Strings {
		if have, both := sourceOf(s); have == source && both == duplex {
			return s
		}
	}
	return ""
}

// setSource chooses the paper source. A feeder that takes both sides may be a
// source of its own or the same one in another mode.
func setSource(o options, s *device.Settings) []assignment {
	opt := o.find(sourceNames[:]...)
	if opt == nil {
		return nil
	}
	v := sourceValue(opt, s.Source, s.Duplex)
	if v == "" {
		v = sourceValue(opt, s.Source, !s.Duplex)
	}
	if v == "" {
		return nil
	}
	return []assignment{{*opt, value{Text: v}}}
}

// Names of the option that says whether a feeder takes both sides.
var sidesNames = [...]string{"adf-mode", "duplex"}

// sidesValue finds the value of such an option for one side or both.
func sidesValue(o *option, duplex bool) (value, bool) {
	switch o.Kind {
	case kindBool:
		if duplex {
			return value{Word: 1}, true
		}
		return value{}, true
	case kindString:
		for _, s := range o.Limits.Strings {
			l := strings.ToLower(s)
			both := strings.Contains(l, "duplex") || strings.Contains(l, "both")
			if both == duplex && !strings.Contains(l, "back") {
				return value{Text: s}, true
			}
		}
	}
	return value{}, false
}

func setSides(o options, s *device.Settings) []assignment {
	opt := o.find(sidesNames[:]...)
	if opt == nil {
		return nil
	}
	v, ok := sidesValue(opt, s.Duplex)
	if !ok {
		return nil
	}
	return []assignment{{*opt, v}}
}

// setFeeding has the feeder take all sheets, and no preview made.
func setFeeding(o options, s *device.Settings) []assignment {
	var list []assignment
	if opt := o.find("preview"); opt != nil && opt.Kind == kindBool {
		list = append(list, assignment{*opt, value{}})
	}
	if opt := o.find("batch-scan"); opt != nil && opt.Kind == kindBool { // HP's
		on := value{}
		if s.Source == device.Feeder {
			on.Word = 1
		}
		list = append(list, assignment{*opt, on})
	}
	if opt := o.find("feeder-mode"); opt != nil && s.Source == device.Feeder { // Panasonic's
		for _, v := range opt.Limits.Strings {
			if l := strings.ToLower(v); strings.Contains(l, "contin") || strings.Contains(l, "all") {
				return append(list, assignment{*opt, value{Text: v}})
			}
		}
	}
	return list
}

// modeOf tells what a backend means by a value of its mode option. Dithered
// ones are second choice and say so. It is "" for what is none of ours.
func modeOf(name string) (mode device.ColorMode, dithered bool) {
	is := func(words ...string) bool {
		return slices.ContainsFunc(words, func(w string) bool { return strings.Contains(strings.ToLower(name), w) })
	}
	switch {
	case is("infrared"):
		return "", false
	case is("color", "colour", "rgb"):
		return device.Color, is("halftone", "dither", "lineart", "48")
	case is("halftone", "diffusion", "dither"):
		return device.LineArt, true
	case is("gray", "grey"):
		return device.Gray, false
	case is("lineart", "line art", "binary", "black", "b/w", "bw", "mono", "threshold"):
		return device.LineArt, false
	}
	return "", false
}

// modeValue finds the value of the mode option that is meant, or "".
func modeValue(o *option, mode device.ColorMode) string {
	second := ""
	for _, s := range o.Limits.Strings {
		switch have, dithered := modeOf(s); {
		case have != mode:
		case !dithered:
			return s
		case second == "":
			second = s
		}
	}
	return second
}

// fallbacks are the modes that can stand for one that a device lacks.
func fallbacks(mode device.ColorMode) []device.ColorMode {
	switch mode {
	case device.LineArt:
		return []device.ColorMode{device.LineArt, device.Gray, device.Color}
	case device.Gray:
		return []device.ColorMode{device.Gray, device.Color, device.LineArt}
	}
	return []device.ColorMode{device.Color, device.Gray, device.LineArt}
}

func setMode(o options, s *device.Settings) []assignment {
	opt := o.find("mode")
	if opt == nil {
		return nil
	}
	for _, mode := range fallbacks(s.Mode) {
		if v := modeValue(opt, mode); v != "" {
			return []assignment{{*opt, value{Text: v}}}
		}
	}
	return nil
}

// setDepth chooses the bits of a sample. A device whose modes know no line art
// may have grey of one bit.
func setDepth(o options, s *device.Settings) []assignment {
	opt := o.find("depth", "bit-depth")
	if opt == nil {
		return nil
	}
	bits := 8
	if s.Mode == device.LineArt {
		if m := o.find("mode"); m != nil && modeValue(m, device.LineArt) != "" {
			return nil
		}
		bits = 1
	}
	switch {
	case opt.takes(float64(bits)):
		return []assignment{{*opt, value{Word: opt.word(float64(bits))}}}
	case opt.numeric() && bits == 1 && opt.takes(8):
		return []assignment{{*opt, value{Word: opt.word(8)}}}
	case opt.Kind == kindString:
		for _, v := range opt.Limits.Strings {
			if n, err := strconv.Atoi(strings.TrimRight(v, " -bitsBIT")); err == nil && n == bits {
				return []assignment{{*opt, value{Text: v}}}
			}
		}
	}
	return nil
}

func setResolution(o options, s *device.Settings) []assignment {
	var list []assignment
	names := []string{"resolution"}
	if o.find("resolution") == nil {
		names = []string{"x-resolution", "y-resolution"}
	}
	for _, name := range names {
		if opt := o.find(name); opt != nil && opt.numeric() {
			list = append(list, assignment{*opt, value{Word: opt.word(float64(s.Resolution))}})
		}
	}
	return list
}

// resolution is what the device is set to, in dpi, or 0 if it does not say.
func (o options) resolution() float64 {
	opt := o.find("resolution", "x-resolution")
	if opt == nil || !opt.numeric() || !opt.readable() {
		return 0
	}
	return opt.number(opt.Value.Word)
}

// perInch is how many units of the option are one inch; 0 if that makes no
// sense.
func (o options) perInch(opt *option) float64 {
	switch opt.Unit {
	case unitMM:
		return 25.4
	case unitPixel:
		return o.resolution()
	}
	return 0
}

// length gives the value of an option for n, in 1/300 inch; 0 asks for the most
// there is.
func (o options) length(opt *option, n int) (value, bool) {
	per := o.perInch(opt)
	if per <= 0 || !opt.numeric() {
		return value{}, false
	}
	v, ok := opt.most()
	if n > 0 {
		v, ok = float64(n)*per/300, true
	}
	return value{Word: opt.word(v)}, ok
}

// setPaper says how large the paper is. Feeders that centre the paper need it to
// know where its left edge is.
func setPaper(o options, s *device.Settings) []assignment {
	return o.lengths([]string{"page-width", "pagewidth"}, s.Width, []string{"page-height", "pageheight"}, s.Length)
}

// setCorner moves the area to the upper left corner, so that the lower right
// one can be anywhere.
func setCorner(o options, s *device.Settings) []assignment {
	var list []assignment
	for _, name := range []string{"tl-x", "tl-y"} {
		if opt := o.find(name); opt != nil && opt.numeric() {
			list = append(list, assignment{*opt, value{Word: opt.word(max(opt.least(), 0))}})
		}
	}
	return list
}

func setArea(o options, s *device.Settings) []assignment {
	return o.lengths([]string{"br-x"}, s.Width, []string{"br-y"}, s.Length)
}

// lengths sets two options, across and along, to lengths in 1/300 inch.
func (o options) lengths(across []string, width int, along []string, length int) []assignment {
	var list []assignment
	for _, side := range []struct {
		names []string
		n     int
	}{{across, width}, {along, length}} {
		opt := o.find(side.names...)
		if opt == nil {
			continue
		}
		if v, ok := o.length(opt, side.n); ok {
			list = append(list, assignment{*opt, v})
		}
	}
	return list
}

// setDoubleFeed switches the detection of two sheets at once on if feeding shall
// stop then. SANE cannot tell of it in any other way, so for every other wish it
// is off. Detection by length stays as it is: sheets of mixed lengths fool it.
func setDoubleFeed(o options, s *device.Settings) []assignment {
	on := value{}
	if s.DoubleFeed == device.StopAtDoubleFeed || s.DoubleFeed == "" {
		on.Word = 1
	}
	var list []assignment
	for _, name := range []string{"df-thickness", "double-feed", "dfeed", "dfstop"} { // Canon's, Panasonic's
		if opt := o.find(name); opt != nil && opt.Kind == kindBool {
			list = append(list, assignment{*opt, on})
		}
	}
	return list
}

// capsOf says what a device can do by its options and by what kind it says it
// is.
func capsOf(o options, kind string) device.Caps {
	c := device.Caps{Sources: []device.Source{}, Modes: []device.ColorMode{}, Resolutions: []int{}}
	if opt := o.find(sourceNames[:]...); opt != nil {
		for _, s := range opt.Limits.Strings {
			source, duplex := sourceOf(s)
			if source != "" && !slices.Contains(c.Sources, source) {
				c.Sources = append(c.Sources, source)
			}
			c.Duplex = c.Duplex || duplex
		}
	}
	if len(c.Sources) == 0 {
		// The device has one source only and need not name it.
		source := device.Platen
		if strings.Contains(strings.ToLower(kind), "sheet") || o.sensor(sensorLoaded) != nil {
			source = device.Feeder
		}
		c.Sources = append(c.Sources, source)
	}
	if opt := o.find(sidesNames[:]...); opt != nil && slices.Contains(c.Sources, device.Feeder) {
		_, ok := sidesValue(opt, true)
		c.Duplex = c.Duplex || ok
	}
	if opt := o.find("mode"); opt != nil {
		for _, s := range opt.Limits.Strings {
			if mode, _ := modeOf(s); mode != "" && !slices.Contains(c.Modes, mode) {
				c.Modes = append(c.Modes, mode)
			}
		}
	}
	if depth := o.find("depth", "bit-depth"); depth != nil && depth.takes(1) && slices.Contains(c.Modes, device.Gray) &&
		!slices.Contains(c.Modes, device.LineArt) {
		c.Modes = append(c.Modes, device.LineArt)
	}
	if len(c.Modes) == 0 {
		c.Modes = append(c.Modes, device.Color)
	}
	if opt := o.find("resolution", "x-resolution"); opt != nil && opt.numeric() {
		c.Resolutions = append(c.Resolutions, resolutionsOf(opt)...)
	}
	c.MaxWidth, c.MaxLength = o.largest("br-x", "page-width", "pagewidth"), o.largest("br-y", "page-height", "pageheight")
	return c
}

// resolutionsOf lists what a person may choose from, rising. Of a range it is
// what people use.
func resolutionsOf(o *option) []int {
	var list []int
	for _, w := range o.Limits.Words {
		if dpi := int(o.number(w)); dpi > 0 {
			list = append(list, dpi)
		}
	}
	if o.Limits.Range != nil {
		for _, dpi := range []int{75, 100, 150, 200, 240, 300, 400, 600, 1200} {
			if o.takes(float64(dpi)) {
				list = append(list, dpi)
			}
		}
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// largest is the most that one of the options can have, in 1/300 inch; 0 if
// none says.
func (o options) largest(names ...string) int {
	most := 0.0
	for _, name := range names {
		opt := o.find(name)
		if opt == nil {
			continue
		}
		if v, ok := opt.most(); ok && o.perInch(opt) > 0 {
			most = max(most, v*300/o.perInch(opt))
		}
	}
	return int(min(most, 1<<20))
}

// checkSource refuses a source that the device lacks.
func checkSource(c device.Caps, s device.Settings) error {
	switch {
	case !slices.Contains(c.Sources, s.Source):
		return fmt.Errorf("scan from the %s: %w", s.Source, device.ErrUnsupported)
	case s.Duplex && (s.Source != device.Feeder || !c.Duplex):
		return fmt.Errorf("scan both sides: %w", device.ErrUnsupported)
	}
	return nil
}
