package sane

import (
	"math"
	"slices"
	"unicode/utf8"
)

// option is one option descriptor of a backend, with its value where it can be
// read and is a single one.
type option struct {
	Index  int32     `json:"index"`
	Name   string    `json:"name"`
	Title  string    `json:"title,omitempty"`
	Kind   valueKind `json:"kind"`
	Unit   unit      `json:"unit,omitempty"`
	Size   int32     `json:"size"` // bytes
	Caps   int32     `json:"caps"`
	Limits limits    `json:"limits"`
	Value  value     `json:"value"`
}

// limits say what an option may be set to. At most one is set; with none the
// backend says nothing.
type limits struct {
	Range   *[3]int32 `json:"range,omitempty"` // least, most, step (0: any)
	Words   []int32   `json:"words,omitempty"`
	Strings []string  `json:"strings,omitempty"`
}

// options are all those of a device, in its order.
type options []option

// usable leaves out what could mislead: descriptors with names that are none,
// limits without sense, or the index of another.
func usable(all []option) options {
	var good options
	seen := make(map[int32]bool)
	for _, o := range all {
		if o.Index < 1 || o.Index >= maxOptions || seen[o.Index] || !proper(o.Name) || !proper(o.Title) || !o.Limits.sound(o.Kind) {
			continue
		}
		if o.Kind < kindBool || o.Kind > kindButton || !proper(o.Value.Text) {
			continue
		}
		seen[o.Index] = true
		good = append(good, o)
	}
	return good
}

// proper reports whether s can be a name or a value.
func proper(s string) bool { return len(s) <= maxText && utf8.ValidString(s) }

// sound reports whether the limits make sense for a value of that kind.
func (l *limits) sound(k valueKind) bool {
	if l.Strings != nil && k != kindString || (l.Words != nil || l.Range != nil) && k == kindString {
		return false
	}
	if r := l.Range; r != nil && (r[0] > r[1] || r[2] < 0) {
		return false
	}
	return len(l.Words) <= maxValues && len(l.Strings) <= maxValues &&
		!slices.ContainsFunc(l.Strings, func(s string) bool { return !proper(s) })
}

// readable says whether the value can be asked for and is a single one.
func (o *option) readable() bool {
	return o.Kind.hasValue() && o.Caps&capSoftDetect != 0 && o.Caps&capInactive == 0 && (o.Kind == kindString || o.Size == 4)
}

// settable says whether we can give it a value now.
func (o *option) settable() bool {
	return o.Caps&capSoftSelect != 0 && o.Caps&capInactive == 0 && (o.Kind == kindString || o.Kind.hasValue() && o.Size == 4)
}

// numeric says whether the value is a number with a size.
func (o *option) numeric() bool { return o.Kind == kindInt || o.Kind == kindFixed }

// find gives the first option that can be set of those with one of the names,
// or nil. Names that come first are preferred.
func (o options) find(names ...string) *option {
	for _, name := range names {
		for i := range o {
			if o[i].Name == name && o[i].settable() {
				return &o[i]
			}
		}
	}
	return nil
}

// fixedOne is 1 as SANE_Fixed.
const fixedOne = 1 << 16

// number is what word w of the option means.
func (o *option) number(w int32) float64 {
	if o.Kind == kindFixed {
		return float64(w) / fixedOne
	}
	return float64(w)
}

// word is the value of the option that is nearest to v, of those it may have.
func (o *option) word(v float64) int32 {
	if o.Kind == kindFixed {
		v *= fixedOne
	}
	v = min(max(v, math.MinInt32), math.MaxInt32)
	w := int32(math.Round(v))
	if len(o.Limits.Words) > 0 {
		return slices.MinFunc(o.Limits.Words, func(x, y int32) int {
			switch dx, dy := distance(x, w), distance(y, w); {
			case dx < dy:
				return -1
			case dx > dy:
				return 1
			}
			return 0
		})
	}
	r := o.Limits.Range
	if r == nil {
		return w
	}
	w = min(max(w, r[0]), r[1])
	if step := int64(r[2]); step > 0 {
		steps := (int64(w) - int64(r[0]) + step/2) / step
		at := int64(r[0]) + steps*step
		if at > int64(r[1]) {
			at -= step
		}
		w = int32(at)
	}
	return w
}

func distance(x, y int32) int64 {
	d := int64(x) - int64(y)
	return max(d, -d)
}

// most is the largest number that the option can have; ok is false if it does
// not say.
func (o *option) most() (v float64, ok bool) {
	switch {
	case !o.numeric():
		return 0, false
	case len(o.Limits.Words) > 0:
		return o.number(slices.Max(o.Limits.Words)), true
	case o.Limits.Range != nil:
		return o.number(o.Limits.Range[1]), true
	}
	return 0, false
}

// least is the smallest number that the option can have; 0 if it does not say.
func (o *option) least() float64 {
	switch {
	case len(o.Limits.Words) > 0:
		return o.number(slices.Min(o.Limits.Words))
	case o.Limits.Range != nil:
		return o.number(o.Limits.Range[0])
	}
	return 0
}

// takes says whether the option can be exactly v.
func (o *option) takes(v float64) bool {
	return o.numeric() && math.Abs(o.number(o.word(v))-v) < 0.01
}
