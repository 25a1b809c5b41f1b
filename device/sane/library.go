package sane

import (
	"fmt"
	"runtime"
	"unsafe"

	"github.com/ebitengine/purego"
)

// The types below are those of the SANE standard, version 1, in the layout that
// C gives them. SANE_Word is a C int of 32 bits on every Linux. Pointers are kept
// as pointers: what they point to is not Go's memory and is not moved.

type cDevice struct {
	name, vendor, model, kind *byte
}

type cOption struct {
	name, title, _         *byte // the third is a description
	kind, unit, size, caps int32
	constraintKind         int32
	constraint             unsafe.Pointer // to a range, words or strings
}

type cRange struct{ min, max, quant int32 }

type cParameters struct {
	format, last                       int32
	bytesPerLine, pixelsPerLine, lines int32
	depth                              int32
}

// handle is an open device. Backends put numbers in it as well as pointers.
type handle uintptr

// library is libsane. All calls must be made by one thread, which is what the
// backends expect.
type library struct {
	init          func(version *int32, auth uintptr) int32
	exit          func()
	getDevices    func(list ***cDevice, local int32) int32
	open          func(name *byte, h *handle) int32
	close         func(h handle)
	option        func(h handle, index int32) *cOption
	control       func(h handle, index, action int32, value unsafe.Pointer, info *int32) int32
	getParameters func(h handle, p *cParameters) int32
	start         func(h handle) int32
	read          func(h handle, data *byte, size int32, n *int32) int32
	cancel        func(h handle)
}

// load opens the library of that file name and finds its functions.
func load(file string) (*library, error) {
	lib, err := purego.Dlopen(file, purego.RTLD_NOW|purego.RTLD_GLOBAL)
	if err != nil {
		return nil, fmt.Errorf("load %s: %w", file, err)
	}
	l := new(library)
	for _, f := range []struct {
		name string
		into any
	}{
		{"sane_init", &l.init},
		{"sane_exit", &l.exit},
		{"sane_get_devices", &l.getDevices},
		{"sane_open", &l.open},
		{"sane_close", &l.close},
		{"sane_get_option_descriptor", &l.option},
		{"sane_control_option", &l.control},
		{"sane_get_parameters", &l.getParameters},
		{"sane_start", &l.start},
		{"sane_read", &l.read},
		{"sane_cancel", &l.cancel},
	} {
		symbol, err := purego.Dlsym(lib, f.name)
		if err != nil {
			return nil, fmt.Errorf("load %s: %w", file, err)
		}
		purego.RegisterFunc(f.into, symbol)
	}
	return l, nil
}

// devices lists what the backends find. Network scanners are not asked for.
func (l *library) devices() ([]listed, status) {
	var list **cDevice
	if st := status(l.getDevices(&list, 1)); st != statusGood {
		return nil, st
	}
	var found []listed
	for d := range pointers(list, maxDevices) {
		found = append(found, listed{
			Name: text(d.name), Vendor: text(d.vendor), Model: text(d.model), Kind: text(d.kind),
		})
	}
	return found, statusGood
}

// options reads all option descriptors of h, and their values where they are
// few: the first value of each option that can be read.
func (l *library) options(h handle) ([]option, status) {
	var count int32
	if st := status(l.control(h, 0, actionGet, unsafe.Pointer(&count), nil)); st != statusGood {
		return nil, st
	}
	var all []option
	for i := int32(1); i < min(count, maxOptions); i++ {
		d := l.option(h, i)
		if d == nil {
			continue
		}
		o := option{
			Index: i, Name: text(d.name), Title: text(d.title),
			Kind: valueKind(d.kind), Unit: unit(d.unit), Size: d.size, Caps: d.caps,
		}
		if d.constraint != nil {
			o.Limits = constraintOf(d)
		}
		if o.readable() {
			if v, st := l.get(h, d, i); st == statusGood {
				o.Value = v
			}
		}
		all = append(all, o)
	}
	return all, statusGood
}

// constraintOf copies what an option may be set to.
func constraintOf(d *cOption) limits {
	var c limits
	switch d.constraintKind {
	case constraintRange:
		r := (*cRange)(d.constraint)
		c.Range = &[3]int32{r.min, r.max, r.quant}
	case constraintWords:
		words := (*int32)(d.constraint) // the first one says how many follow
		n := max(0, min(*words, maxValues))
		c.Words = append(c.Words, unsafe.Slice(words, n+1)[1:]...)
	case constraintStrings:
		for s := range pointers((**byte)(d.constraint), maxValues) {
			c.Strings = append(c.Strings, text(s))
		}
	}
	return c
}

// get reads the value of the option that d describes. Of an array it gives the
// first word only.
func (l *library) get(h handle, d *cOption, index int32) (value, status) {
	kind := valueKind(d.kind)
	if !kind.hasValue() || d.size < 1 || d.size > maxValueBytes || kind != kindString && d.size%4 != 0 {
		return value{}, statusInval
	}
	buf := make([]int32, d.size/4+1)
	st := status(l.control(h, index, actionGet, unsafe.Pointer(&buf[0]), nil))
	if st != statusGood {
		return value{}, st
	}
	if kind == kindString {
		b := unsafe.Slice((*byte)(unsafe.Pointer(&buf[0])), d.size)
		return value{Text: cut(b)}, statusGood
	}
	return value{Word: buf[0]}, statusGood
}

// set writes the value of the option, or presses it if it is a button. info
// says what else has changed by that.
func (l *library) set(h handle, d *cOption, index int32, v value) (info int32, st status) {
	kind := valueKind(d.kind)
	var p unsafe.Pointer
	var buf []int32
	switch {
	case kind == kindButton:
	case !kind.hasValue() || d.size < 1 || d.size > maxValueBytes:
		return 0, statusInval
	default:
		// A string gets all the room that the backend says it has.
		buf = make([]int32, max(int(d.size), len(v.Text)+1)/4+1)
		p = unsafe.Pointer(&buf[0])
		if kind == kindString {
			copy(unsafe.Slice((*byte)(p), len(buf)*4-1), v.Text)
			break
		}
		for i := range buf {
			buf[i] = v.Word
		}
	}
	st = status(l.control(h, index, actionSet, p, &info))
	runtime.KeepAlive(buf)
	return info, st
}

// pointers goes through a list of pointers that ends with nil, up to limit of
// them.
func pointers[T any](list **T, limit int) func(yield func(*T) bool) {
	return func(yield func(*T) bool) {
		if list == nil {
			return
		}
		for _, p := range unsafe.Slice(list, limit) {
			if p == nil || !yield(p) {
				return
			}
		}
	}
}

// text copies a C string of bounded length.
func text(p *byte) string {
	if p == nil {
		return ""
	}
	n := 0
	for n < maxText && *(*byte)(unsafe.Add(unsafe.Pointer(p), n)) != 0 {
		n++
	}
	return string(unsafe.Slice(p, n))
}

// cut gives the bytes before the first that is zero.
func cut(b []byte) string {
	for i, c := range b {
		if c == 0 {
			return string(b[:i])
		}
	}
	return string(b)
}
