package ocr

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"math"
	"strings"
	"testing"

	"docscan/scan/imaging"
	"docscan/scan/text"
)

const testPixels = 10_000_000

// goodPrepared and goodRecognized are answers that pass; tests spoil them.
func goodPrepared() *prepared {
	return &prepared{
		Format: imaging.JPEG, Width: 1000, Height: 2000, DPI: 300, AsIs: true,
		Image: imaging.Embedded{Filter: "DCTDecode", Width: 1000, Height: 2000, Colors: 3, Bits: 8},
	}
}

func goodRecognized() *recognized {
	return &recognized{Text: text.Page{
		Width: 1000, Height: 2000, DPI: 300, Rotate: 90, Skew: -1.5, Confidence: 93,
		Lines: []text.Line{{Paragraph: 1, Words: []text.Word{{
			Text: "word", X: 10, Y: 20, Width: 50, Height: 12, Descent: 3, Angle: -88.5, Confidence: 93,
		}}}},
	}}
}

func TestPreparedCheck(t *testing.T) {
	tests := []struct {
		name  string
		spoil func(p *prepared)
		ok    bool
	}{
		{"good", func(*prepared) {}, true},
		{"format", func(p *prepared) { p.Format = "gif" }, false},
		{"no width", func(p *prepared) { p.Width = 0 }, false},
		{"too large", func(p *prepared) {
			p.Width, p.Height = 20_000, 20_000
			p.Image.Width, p.Image.Height = 20_000, 20_000
		}, false},
		{"resolution", func(p *prepared) { p.DPI = 0 }, false},
		{"another size in the PDF", func(p *prepared) { p.Image.Width = 999 }, false},
		{"two colours", func(p *prepared) { p.Image.Colors = 2 }, false},
		{"filter", func(p *prepared) { p.Image.Filter = "JBIG2Decode" }, false},
		{"file as it is, deflated", func(p *prepared) { p.Image.Filter, p.Image.Predictor = "FlateDecode", 15 }, false},
		{"fax in colour", func(p *prepared) { p.AsIs, p.Image.Filter, p.Image.Bits = false, "CCITTFaxDecode", 1 }, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := goodPrepared()
			tt.spoil(p)
			if err := p.check(testPixels); (err == nil) != tt.ok {
				t.Errorf("check says %v", err)
			}
		})
	}
}

func TestRecognizedCheck(t *testing.T) {
	word := func(r *recognized) *text.Word { return &r.Text.Lines[0].Words[0] }
	tests := []struct {
		name  string
		spoil func(r *recognized)
		ok    bool
	}{
		{"good", func(*recognized) {}, true},
		{"blank", func(r *recognized) { r.Text.Lines = nil }, true},
		{"a little over the edge", func(r *recognized) { word(r).X = -20 }, true},
		{"far over the edge", func(r *recognized) { word(r).X = 1e5 }, false},
		{"size", func(r *recognized) { r.Text.Width = -1 }, false},
		{"a turn by 45", func(r *recognized) { r.Text.Rotate = 45 }, false},
		{"skew", func(r *recognized) { r.Text.Skew = math.Inf(1) }, false},
		{"confidence", func(r *recognized) { r.Text.Confidence = 101 }, false},
		{"not a number", func(r *recognized) { word(r).Y = math.NaN() }, false},
		{"negative width", func(r *recognized) { word(r).Width = -1 }, false},
		{"descent beyond the height", func(r *recognized) { word(r).Descent = 13 }, false},
		{"angle", func(r *recognized) { word(r).Angle = 720 }, false},
		{"empty word", func(r *recognized) { word(r).Text = "" }, false},
		{"broken UTF-8", func(r *recognized) { word(r).Text = "a\xff" }, false},
		{"control character", func(r *recognized) { word(r).Text = "a\x1b[31m" }, false},
		{"endless word", func(r *recognized) { word(r).Text = strings.Repeat("a", 2000) }, false},
		{"empty line", func(r *recognized) { r.Text.Lines[0].Words = nil }, false},
		{"negative paragraph", func(r *recognized) { r.Text.Lines[0].Paragraph = -1 }, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := goodRecognized()
			tt.spoil(r)
			if err := r.check(testPixels); (err == nil) != tt.ok {
				t.Errorf("check says %v", err)
			}
		})
	}
}

func TestFrame(t *testing.T) {
	var b bytes.Buffer
	if err := writeFrame(&b, answer{Recognized: goodRecognized()}); err != nil {
		t.Fatal(err)
	}
	whole := bytes.Clone(b.Bytes())
	var got answer
	if err := readFrame(&b, &got); err != nil {
		t.Fatal(err)
	}
	if w := got.Recognized.Text.Lines[0].Words[0].Text; w != "word" {
		t.Errorf("word %q came back", w)
	}
	if err := readFrame(bytes.NewReader(whole[:len(whole)-1]), &got); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("a frame cut off gives %v, want %v", err, io.ErrUnexpectedEOF)
	}
	if err := readFrame(bytes.NewReader([]byte{0xff, 0xff, 0xff, 0xff}), &got); !errors.Is(err, errAnswer) {
		t.Errorf("a frame of 4 GB gives %v, want %v", err, errAnswer)
	}
}

// A worker may have been taken over by the image it decoded.
func FuzzAnswer(f *testing.F) {
	for _, a := range []answer{{Prepared: goodPrepared()}, {Recognized: goodRecognized()}, {Failure: &failure{failedImage, "x"}}} {
		body, err := json.Marshal(a)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(body)
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		frame := append(binary.BigEndian.AppendUint32(nil, uint32(len(body))), body...)
		var a answer
		if err := readFrame(bytes.NewReader(frame), &a); err != nil {
			return
		}
		if err := a.check(request{Kind: kindPrepare, MaxPixels: testPixels}); err == nil && a.Prepared == nil {
			t.Error("an answer without pictures passed")
		}
		err := a.check(request{Kind: kindRecognize, MaxPixels: testPixels})
		if err != nil {
			return
		}
		for _, l := range a.Recognized.Text.Lines {
			for _, w := range l.Words {
				if !proper(w.Text) {
					t.Errorf("word %q passed", w.Text)
				}
			}
		}
	})
}

func TestSmaller(t *testing.T) {
	layer := func(bytes ...int64) (c Compacted) {
		for _, n := range bytes {
			c.Layers = append(c.Layers, Layer{Size: n})
		}
		return c
	}
	tests := []struct {
		name  string
		c     Compacted
		image int64
		want  bool
	}{
		{"no layers", layer(), 1000, false},
		{"a colour and no more", layer(0), 100, true},
		{"a letter", layer(0, 16000, 90), 1_000_000, true},
		{"as large", layer(1000), 1000, false},
		{"many layers, each with a place to be told", layer(0, 90, 90, 90, 90, 90), 1000, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.c.Smaller(tt.image); got != tt.want {
				t.Errorf("%t, want %t", got, tt.want)
			}
		})
	}
}
