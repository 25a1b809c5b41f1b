package sane

import (
	"slices"
	"strings"
)

// Sensors are options that a person sets at the machine and that we can read.

// Names of the sensor that says that the feeder holds paper, and of the one
// that says that a cover is open.
var (
	sensorLoaded = []string{"page-loaded", "adf-loaded", "doc-in-adf"}
	sensorCover  = []string{"cover-open", "adf-open"}
)

// buttonNames are those of buttons, as the standard and Debian's backends have
// them.
var buttonNames = []string{
	"scan", "start", "stop", "email", "copy", "fax", "pdf", "file", "send", "print", "web", "ocr", "extra",
	"pdf1", "pdf2", "pdf3", "pdf4",
}

// isSensor says whether o tells what the machine senses.
func (o *option) isSensor() bool {
	return o.readable() && o.Kind != kindString && o.Caps&(capHardSelect|capSoftSelect) != capSoftSelect
}

// isButton says whether o is a button of the machine.
func (o *option) isButton() bool {
	return o.isSensor() && (slices.Contains(buttonNames, o.Name) || strings.HasPrefix(o.Name, "button-") && o.Name != "button-update")
}

// sensor gives the first sensor with one of the names, or nil.
func (o options) sensor(names []string) *option {
	for _, name := range names {
		for i := range o {
			if o[i].Name == name && o[i].isSensor() {
				return &o[i]
			}
		}
	}
	return nil
}

// sensors are those of a device that are polled. Indices of options stay the
// same while a device is open.
type sensors struct {
	update        int32    // an option to be pressed before the buttons are read (PIXMA); 0: none
	names         []string // of the buttons
	indices       []int32  // of the buttons, then of the paper and cover sensors that there are
	loaded, cover bool     // there is such a sensor
}

func sensorsOf(o options) sensors {
	var s sensors
	for i := range o {
		if o[i].isButton() {
			s.names = append(s.names, o[i].Name)
			s.indices = append(s.indices, o[i].Index)
		}
		if o[i].Name == "button-update" && o[i].Kind == kindButton && o[i].Caps&capInactive == 0 {
			s.update = o[i].Index
		}
	}
	if len(s.names) == 0 {
		s.update = 0
	}
	if opt := o.sensor(sensorLoaded); opt != nil {
		s.indices, s.loaded = append(s.indices, opt.Index), true
	}
	if opt := o.sensor(sensorCover); opt != nil {
		s.indices, s.cover = append(s.indices, opt.Index), true
	}
	return s
}

// look is what the sensors say.
type look struct {
	down   []string
	loaded bool
	open   bool
}

// read says what values, in the order of the indices, mean.
func (s *sensors) read(values []value) (look, bool) {
	var l look
	if len(values) != len(s.indices) {
		return l, false
	}
	for i, name := range s.names {
		if values[i].Word != 0 {
			l.down = append(l.down, name)
		}
	}
	rest := values[len(s.names):]
	if s.loaded {
		l.loaded = rest[0].Word != 0
		rest = rest[1:]
	}
	if s.cover {
		l.open = rest[0].Word != 0
	}
	return l, true
}
