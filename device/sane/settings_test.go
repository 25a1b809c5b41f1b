package sane

import (
	"maps"
	"slices"
	"testing"

	"docscan/device"
)

// Descriptors in short, for options of the kinds that backends have.
func choice(name string, values ...string) option {
	return option{Name: name, Kind: kindString, Size: 40, Caps: capSoftSelect | capSoftDetect, Limits: limits{Strings: values}}
}

func number(name string, kind valueKind, u unit, most int32) option {
	return option{Name: name, Kind: kind, Unit: u, Size: 4, Caps: capSoftSelect | capSoftDetect, Limits: limits{Range: &[3]int32{0, most, 0}}}
}

func words(name string, values ...int32) option {
	return option{Name: name, Kind: kindInt, Size: 4, Caps: capSoftSelect | capSoftDetect, Limits: limits{Words: values}, Value: value{Word: values[0]}}
}

func toggle(name string) option {
	return option{Name: name, Kind: kindBool, Size: 4, Caps: capSoftSelect | capSoftDetect}
}

// Options as families of backends have them, and what becomes of settings.
func TestSettings(t *testing.T) {
	both := device.Settings{Source: device.Feeder, Duplex: true, Mode: device.Gray, Resolution: 300, Width: 2550, Length: 3300}
	front, art, bed := both, both, both
	front.Duplex = false
	art.Mode, art.DoubleFeed = device.LineArt, device.IgnoreDoubleFeed
	bed.Source, bed.Duplex, bed.Width, bed.Length = device.Platen, false, 0, 0
	mode := choice("mode", "Lineart", "Gray", "Color")
	flatbeds := []option{
		choice("source", "Flatbed", "Automatic Document Feeder"), choice("adf-mode", "Simplex", "Duplex"), mode,
		words("resolution", 75, 300, 600), number("br-x", kindFixed, unitMM, 216<<16), number("br-y", kindFixed, unitMM, 297<<16),
	}
	sheetfed := []option{
		choice("source", "ADF Front", "ADF Back", "ADF Duplex"), mode, words("resolution", 300), toggle("df-thickness"), toggle("df-length"),
		number("page-width", kindFixed, unitMM, 224<<16), number("page-height", kindFixed, unitMM, 900<<16),
		number("tl-x", kindFixed, unitMM, 224<<16), number("br-x", kindFixed, unitMM, 224<<16), number("br-y", kindFixed, unitMM, 900<<16),
	}
	panasonic := []option{
		choice("source", "adf", "fb"), toggle("duplex"), choice("feeder-mode", "single", "continuous"), choice("mode", "bw", "gray", "color"),
		toggle("double-feed"), words("resolution", 300),
	}
	pixels := []option{
		choice("source", "Flatbed", "ADF"), choice("mode", "Gray", "Color"), words("depth", 1, 8, 16), words("resolution", 300, 600),
		number("br-x", kindInt, unitPixel, 2500), number("br-y", kindInt, unitPixel, 3500), toggle("batch-scan"), toggle("preview"),
	}
	plain := []option{choice("mode", "True Gray", "24bit Color"), {
		Name: "resolution", Kind: kindInt, Size: 4, Caps: capSoftSelect, Limits: limits{Range: &[3]int32{50, 1200, 50}},
	}}
	tests := []struct {
		name    string
		options []option
		set     device.Settings
		want    map[string]any
	}{
		{"both sides by a mode of the feeder", flatbeds, both, map[string]any{
			"source": "Automatic Document Feeder", "adf-mode": "Duplex", "mode": "Gray", "resolution": 300, "br-x": 216, "br-y": 279,
		}},
		{"one side by a mode of the feeder", flatbeds, front, map[string]any{
			"source": "Automatic Document Feeder", "adf-mode": "Simplex", "mode": "Gray", "resolution": 300, "br-x": 216, "br-y": 279,
		}},
		{"all of the platen", flatbeds, bed, map[string]any{
			"source": "Flatbed", "adf-mode": "Simplex", "mode": "Gray", "resolution": 300, "br-x": 216, "br-y": 297,
		}},
		{"both sides by the source", sheetfed, both, map[string]any{
			"source": "ADF Duplex", "mode": "Gray", "resolution": 300, "df-thickness": 1,
			"page-width": 216, "page-height": 279, "tl-x": 0, "br-x": 216, "br-y": 279,
		}},
		{"double feeds ignored", sheetfed, art, map[string]any{
			"source": "ADF Duplex", "mode": "Lineart", "resolution": 300, "df-thickness": 0,
			"page-width": 216, "page-height": 279, "tl-x": 0, "br-x": 216, "br-y": 279,
		}},
		{"both sides by a switch", panasonic, both, map[string]any{
			"source": "adf", "duplex": 1, "feeder-mode": "continuous", "mode": "gray", "double-feed": 1, "resolution": 300,
		}},
		{"platen of the same", panasonic, bed, map[string]any{
			"source": "fb", "duplex": 0, "mode": "gray", "double-feed": 1, "resolution": 300,
		}},
		{"line art by the depth, lengths in pixels", pixels, art, map[string]any{
			"source": "ADF", "mode": "Gray", "depth": 1, "resolution": 300, "br-x": 2500, "br-y": 3300, "batch-scan": 1, "preview": 0,
		}},
		{"nothing but the needful", plain, art, map[string]any{"mode": "True Gray", "resolution": 300}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for i := range tt.options {
				tt.options[i].Index = int32(i + 1)
			}
			got := make(map[string]any)
			for _, choose := range steps {
				for _, a := range choose(usable(tt.options), &tt.set) {
					if a.option.Kind == kindString {
						got[a.option.Name] = a.value.Text
					} else {
						got[a.option.Name] = int(a.option.number(a.value.Word) + 0.5)
					}
				}
			}
			if !maps.Equal(got, tt.want) {
				t.Errorf("set %v, want %v", got, tt.want)
			}
		})
	}
}

func TestCapsWithoutSource(t *testing.T) {
	loaded := option{Index: 1, Name: "page-loaded", Kind: kindBool, Size: 4, Caps: capHardSelect | capSoftDetect}
	for _, tt := range []struct {
		kind    string
		options []option
		want    device.Source
	}{
		{"flatbed scanner", nil, device.Platen},
		{"sheetfed scanner", nil, device.Feeder},
		{"scanner", []option{loaded}, device.Feeder},
		{"handheld scanner", nil, device.Platen},
	} {
		if got := capsOf(usable(tt.options), tt.kind).Sources; !slices.Equal(got, []device.Source{tt.want}) {
			t.Errorf("%s: %v, want %q", tt.kind, got, tt.want)
		}
	}
}

// The nearest value that an option may have.
func TestWord(t *testing.T) {
	ranged := func(least, most, step int32) option {
		return option{Kind: kindInt, Limits: limits{Range: &[3]int32{least, most, step}}}
	}
	tests := []struct {
		name string
		o    option
		v    float64
		want int32
	}{
		{"any", option{Kind: kindInt}, 7.6, 8},
		{"fixed", option{Kind: kindFixed}, 1.5, 3 << 15},
		{"below", ranged(50, 600, 0), 20, 50},
		{"above", ranged(50, 600, 0), 1e30, 600},
		{"step down", ranged(50, 600, 100), 190, 150},
		{"step up", ranged(50, 600, 100), 210, 250},
		{"no step beyond the end", ranged(50, 600, 100), 600, 550},
		{"widest range", ranged(-1<<31, 1<<31-1, 1<<31-1), 1e30, 1<<31 - 2},
		{"list", option{Kind: kindInt, Limits: limits{Words: []int32{600, 75, 300}}}, 240, 300},
		{"widest list", option{Kind: kindInt, Limits: limits{Words: []int32{-1 << 31, 1<<31 - 1}}}, 10, 1<<31 - 1},
	}
	for _, tt := range tests {
		if got := tt.o.word(tt.v); got != tt.want {
			t.Errorf("%s: %d, want %d", tt.name, got, tt.want)
		}
	}
}

// What a look at the buttons costs, both processes together.
func BenchmarkButtons(b *testing.B) {
	d, err := newOddRig(b, "odd\n", nil).odd(b, "odd:sheets")
	if err != nil {
		b.Fatal(err)
	}
	s := d.(device.Buttons)
	for b.Loop() {
		if _, err := s.Buttons(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}
