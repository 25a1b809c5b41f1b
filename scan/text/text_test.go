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
		}
	})
}
