package text

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"math"
	"reflect"
	"strconv"
	"testing"
)

func page() *Page {
	return &Page{Version: 1, Width: 100, Height: 200, DPI: 300, Lines: []Line{
		{Paragraph: 1, Words: []Word{{Text: "Dear"}, {Text: "Anna,"}}},
		{Paragraph: 2, Words: []Word{{Text: "thank"}, {Text: "you"}}},
		{Paragraph: 2, Words: []Word{{Text: "again"}}},
	}}
}

func TestPlain(t *testing.T) {
	if got, want := page().Plain(), "Dear Anna,\n\nthank you\nagain"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestDoubtful(t *testing.T) {
	p := &Page{Width: 1000, Height: 1000, Lines: []Line{{Words: []Word{
		{Text: "sure", X: 100, Y: 200, Width: 80, Height: 40, Descent: 10, Confidence: 96},
		{Text: "doubtful", X: 300, Y: 200, Width: 80, Height: 40, Descent: 10, Confidence: 60},
	}}, {Words: []Word{{Text: "down", X: 300, Y: 200, Width: 80, Height: 40, Descent: 10, Angle: 90, Confidence: 0}}}}}
	for turn, want := range map[float64][]Box{
		0:   {{300, 170, 80, 40}, {290, 200, 40, 80}},
		90:  {{790, 300, 40, 80}, {720, 290, 80, 40}},
		180: {{620, 790, 80, 40}, {670, 720, 40, 80}},
	} {
		got := p.Doubtful(90, turn)
		if len(got) != len(want) {
			t.Fatalf("turned by %g: %v, want %v", turn, got, want)
		}
		for i := range want {
			for k, off := range [4]float64{got[i].X - want[i].X, got[i].Y - want[i].Y, got[i].Width - want[i].Width, got[i].Height - want[i].Height} {
				if math.Abs(off) > 1e-6 {
					t.Errorf("turned by %g: %v, want %v (%d)", turn, got[i], want[i], k)
				}
			}
		}
	}
}

func TestReadWhatWasWritten(t *testing.T) {
	var b bytes.Buffer
	if err := Write(&b, page()); err != nil {
		t.Fatal(err)
	}
	got, err := Read(&b)
	if err != nil || !reflect.DeepEqual(got, page()) {
		t.Errorf("%+v, %v", got, err)
	}
}

// older is a page as it was written before the extra field.
func older(t testing.TB, p *Page) []byte {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if err := errors.Join(json.NewEncoder(z).Encode(p), z.Close()); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestReadFindable(t *testing.T) {
	short := page()
	short.Codes = []Code{{Kind: "qr", Text: "A 17"}, {Kind: Patch, Text: "T"}}
	long := page() // its text does not fit into a field
	for i := range 60_000 {
		long.Lines[0].Words = append(long.Lines[0].Words, Word{Text: strconv.FormatUint(uint64(i)*0x9e3779b97f4a7c15, 36)})
	}
	for name, p := range map[string]*Page{"short": short, "long": long, "empty": {Version: 1}} {
		var b bytes.Buffer
		if err := Write(&b, p); err != nil {
			t.Fatal(err)
		}
		for what, data := range map[string][]byte{"written now": b.Bytes(), "written by an older version": older(t, p)} {
			if got, err := ReadFindable(bytes.NewReader(data)); err != nil || got != p.Findable() {
				t.Errorf("%s, %s: %.80q, %v, want %.80q", name, what, got, err, p.Findable())
			}
			if got, err := Read(bytes.NewReader(data)); err != nil || !reflect.DeepEqual(got, p) {
				t.Errorf("%s, %s: %v, and the page is not the one that was written", name, what, err)
			}
		}
	}
}

func FuzzRead(f *testing.F) {
	var b bytes.Buffer
	if err := Write(&b, page()); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes())
	f.Add(older(f, page()))
	f.Add([]byte("no gzip"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if p, err := Read(bytes.NewReader(data)); err == nil {
			p.Plain() // what is read can be used
			var again bytes.Buffer
			if err := Write(&again, p); err != nil {
				t.Fatal(err)
			}
			if s, err := ReadFindable(&again); err != nil || s != p.Findable() {
				t.Errorf("for the search it is %q, %v", s, err)
			}
		}
		if s, err := ReadFindable(bytes.NewReader(data)); err != nil && s != "" {
			t.Errorf("%q in spite of %v", s, err)
		}
	})
}
