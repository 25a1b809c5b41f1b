package text

import (
	"bytes"
	"reflect"
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

func TestReadFindable(t *testing.T) {
	p := page()
	p.Codes = []Code{{Kind: "qr", Text: "A 17"}, {Kind: Patch, Text: "T"}}
	var b bytes.Buffer
	if err := Write(&b, p); err != nil {
		t.Fatal(err)
	}
	if got, err := ReadFindable(&b); err != nil || got != p.Findable() {
		t.Errorf("%q, %v, want %q", got, err, p.Findable())
	}
}

func FuzzRead(f *testing.F) {
	var b bytes.Buffer
	if err := Write(&b, page()); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes())
	f.Add([]byte("no gzip"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if p, err := Read(bytes.NewReader(data)); err == nil {
			p.Plain() // what is read can be used
			if s, err := ReadFindable(bytes.NewReader(data)); err != nil || s != p.Findable() {
				t.Errorf("for the search it is %q, %v", s, err)
			}
		}
	})
}
