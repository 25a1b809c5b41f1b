package sane

import (
	"bytes"
	"encoding/json"
	"io"
	"slices"
	"strings"
	"testing"

	"docscan/device"
)

// framed makes a frame of text and body.
func framed(head string, body []byte) []byte {
	var b bytes.Buffer
	if err := writeFrame(&b, json.RawMessage(head), body); err != nil {
		panic(err) // of a seed
	}
	return b.Bytes()
}

// Frames come from a process that runs a backend, so any bytes may.
func FuzzReadFrame(f *testing.F) {
	f.Add(framed(`{"status":5}`, []byte("pixels")))
	f.Add(framed(`{"parameters":{"format":1,"last":true,"bytes":30,"pixels":10,"lines":-1,"depth":8}}`, nil))
	f.Add(framed(`{"devices":[{"name":"test:0","vendor":"Noname","model":"frontend-tester","kind":"virtual device"}]}`, nil))
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0})
	f.Add([]byte{0, 0, 0, 2, 0xff, 0, 0, 0, '{', '}'})
	f.Fuzz(func(t *testing.T, b []byte) {
		var a answer
		body, err := readFrame(bytes.NewReader(b), &a, make([]byte, maxBody))
		if err != nil || a.check() != nil {
			return
		}
		if len(body) > maxBody || len(a.Devices) > maxDevices {
			t.Errorf("body of %d bytes, %d devices", len(body), len(a.Devices))
		}
		if p := a.Parameters; p != nil && (p.Pixels < 1 || p.lineBytes() < 1) {
			t.Errorf("parameters %+v", *p)
		}
		for _, e := range (&Finder{found: a.Devices, drives: func(int, int) bool { return false }}).entries(nil) {
			if e.info.ID == "" {
				t.Errorf("a device without an ID: %+v", e)
			}
		}
	})
}

const testOptions = `[
{"index":2,"name":"source","kind":3,"size":30,"caps":5,"limits":{"strings":["Flatbed","ADF Duplex"]},"value":{"text":"Flatbed"}},
{"index":3,"name":"mode","kind":3,"size":30,"caps":5,"limits":{"strings":["Gray","Color"]},"value":{"text":"Gray"}},
{"index":4,"name":"depth","kind":1,"size":4,"caps":5,"limits":{"words":[1,8,16]},"value":{"word":8}},
{"index":5,"name":"resolution","kind":2,"unit":4,"size":4,"caps":5,"limits":{"range":[65536,78643200,65536]},"value":{"word":19660800}},
{"index":6,"name":"br-x","kind":2,"unit":3,"size":4,"caps":5,"limits":{"range":[0,13107200,65536]},"value":{"word":5242880}},
{"index":7,"name":"br-y","kind":1,"unit":1,"size":4,"caps":5,"limits":{"range":[-2147483648,2147483647,7]},"value":{"word":1}},
{"index":8,"name":"page-loaded","kind":0,"size":4,"caps":6},
{"index":9,"name":"scan","kind":0,"size":4,"caps":6},
{"index":10,"name":"adf-mode","kind":3,"size":9,"caps":5,"limits":{"strings":["Simplex","Duplex"]}},
{"index":11,"name":"tl-x","kind":1,"unit":1,"size":4,"caps":5,"limits":{"words":[-2147483648,2147483647]}}
]`

// Option lists come from backends. Whatever is in them, what we set is what they
// allow.
func FuzzOptions(f *testing.F) {
	f.Add([]byte(testOptions), 300, 600, 0, "color", true)
	f.Add([]byte(testOptions), 0, 1<<30, -5, "lineart", false)
	f.Add([]byte(`[{"index":1,"name":"resolution","kind":1,"size":4,"caps":5,"limits":{"range":[2147483647,-2147483648,0]}}]`), 1, 1, 1, "gray", false)
	f.Fuzz(func(t *testing.T, b []byte, dpi, width, length int, mode string, duplex bool) {
		var all []option
		if json.Unmarshal(b, &all) != nil || len(all) > maxOptions {
			return
		}
		o := usable(all)
		caps := capsOf(o, "sheetfed scanner")
		if len(caps.Sources) == 0 || len(caps.Modes) == 0 || !slices.IsSorted(caps.Resolutions) || caps.MaxWidth < 0 || caps.MaxLength < 0 {
			t.Errorf("caps %+v", caps)
		}
		s := sensorsOf(o)
		if _, ok := s.read(make([]value, len(s.indices))); !ok {
			t.Error("sensors do not read their own values")
		}
		for _, source := range caps.Sources {
			set := device.Settings{Source: source, Duplex: duplex, Mode: device.ColorMode(mode), Resolution: dpi, Width: width, Length: length}
			for _, choose := range steps {
				for _, a := range choose(o, &set) {
					checkAssignment(t, a)
				}
			}
		}
	})
}

// checkAssignment says what must not be set.
func checkAssignment(t *testing.T, a assignment) {
	t.Helper()
	o, v := a.option, a.value
	if !o.settable() {
		t.Errorf("%s is not to be set: %+v", o.Name, o)
	}
	if o.Kind == kindString {
		if v.Word != 0 || !slices.Contains(o.Limits.Strings, v.Text) {
			t.Errorf("%s: value %+v, limits %q", o.Name, v, o.Limits.Strings)
		}
		return
	}
	if v.Text != "" {
		t.Errorf("%s: value %+v of a number", o.Name, v)
	}
	if !o.numeric() {
		return
	}
	if w := o.Limits.Words; len(w) > 0 && !slices.Contains(w, v.Word) {
		t.Errorf("%s: value %d is not one of %d", o.Name, v.Word, w)
	}
	if r := o.Limits.Range; r != nil && len(o.Limits.Words) == 0 && (v.Word < r[0] || v.Word > r[1]) {
		t.Errorf("%s: value %d is not within %d", o.Name, v.Word, r)
	}
}

// Lines come in any number and length.
func FuzzLines(f *testing.F) {
	f.Add([]byte("0123456789ab"), int32(frameRGB), int32(8), int32(2), int32(6))
	f.Add([]byte{0xaa, 0x55, 0xff}, int32(frameRGB), int32(1), int32(8), int32(3))
	f.Add([]byte{0x12, 0x34}, int32(frameGray), int32(16), int32(1), int32(2))
	f.Add([]byte{0x80, 0x00, 0x01}, int32(frameBlue), int32(1), int32(9), int32(3))
	f.Fuzz(func(t *testing.T, data []byte, format, depth, pixels, size int32) {
		p := parameters{Format: frameFormat(format), Depth: depth, Pixels: pixels, Bytes: size, Lines: -1}
		if p.check() != nil {
			return
		}
		out, err := io.ReadAll(newLineReader(p, bytes.NewReader(data)))
		if err != nil {
			t.Fatal(err)
		}
		if want := len(data) / int(p.Bytes) * p.lineBytes(); len(out) != want {
			t.Errorf("%d bytes of lines, want %d", len(out), want)
		}
	})
}

// The files of backends are written by people and packages.
func FuzzBackends(f *testing.F) {
	f.Add("net\n#x\nepson2 # flatbeds\n")
	f.Add(strings.Repeat("a", 100_000))
	f.Add("../../etc/passwd\n")
	f.Fuzz(func(t *testing.T, text string) {
		names, err := parseBackends(strings.NewReader(text))
		if err != nil {
			return
		}
		for _, n := range names {
			if strings.ContainsAny(n, "/.\n ") {
				t.Errorf("backend %q", n)
			}
		}
	})
}

// Names of devices are what backends make up.
func FuzzDeviceOf(f *testing.F) {
	f.Add("epson2:libusb:001:004")
	f.Add("brother4:bus1;dev4")
	f.Add("pixma:04A91736_21D59A")
	devices := []usbDevice{{bus: 1, address: 4}, {bus: 2, address: 7}}
	devices[1].said.Serial = "21D59A"
	f.Fuzz(func(t *testing.T, name string) {
		at := deviceOf(name, devices)
		if e := (listed{Name: name}); at != nil && infoOf(e, at).Port != at.desc.Port {
			t.Errorf("%q: %+v", name, at)
		}
	})
}

// One option of any kind beside sound ones, as bytes of JSON seldom make one.
func FuzzOption(f *testing.F) {
	f.Add("br-x", "", int32(kindFixed), int32(unitMM), int32(5), int32(0), int32(14090240), int32(0), 300, 2550)
	f.Add("depth", "8 bit\n16 bit", int32(kindString), int32(unitNone), int32(5), int32(0), int32(0), int32(0), 300, 0)
	f.Add("resolution", "", int32(kindInt), int32(unitPixel), int32(1), int32(-2147483648), int32(2147483647), int32(2147483647), -1, -1)
	f.Add("source", "ADF\nFlatbed\nDuplex", int32(kindString), int32(unitNone), int32(5), int32(0), int32(0), int32(0), 1, 1)
	f.Add("source", "ADF\nDuplex", int32(kindFixed), int32(unitNone), int32(5), int32(0), int32(0), int32(0), 1, 1)
	f.Fuzz(func(t *testing.T, name, list string, kind, units, caps, least, most, step int32, dpi, length int) {
		var all []option
		if err := json.Unmarshal([]byte(testOptions), &all); err != nil {
			t.Fatal(err)
		}
		o := option{Index: 1, Name: name, Kind: valueKind(kind), Unit: unit(units), Size: 4, Caps: caps, Value: value{Word: least}}
		switch {
		case list != "":
			o.Limits.Strings = strings.Split(list, "\n")
		case step < 0:
			o.Limits.Words = []int32{least, most, step}
		default:
			o.Limits.Range = &[3]int32{least, most, step}
		}
		good := usable(append([]option{o}, all...))
		c := capsOf(good, "")
		for _, source := range c.Sources {
			for _, mode := range c.Modes {
				set := device.Settings{Source: source, Duplex: c.Duplex, Mode: mode, Resolution: dpi, Width: length, Length: length}
				for _, choose := range steps {
					for _, a := range choose(good, &set) {
						checkAssignment(t, a)
					}
				}
			}
		}
	})
}
