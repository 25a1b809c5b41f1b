package ocr

import (
	"bytes"
	"image/png"
	"reflect"
	"runtime"
	"testing"

	"docscan/scan/imaging"
)

// What the engine has read is taken as its own hOCR tells it: words, places, baselines, paragraphs
// and languages, of paragraphs, of lines that are askew or run up the page, and of nothing.
func TestWordsAreThoseOfHOCR(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cfg := DefaultConfig()
	dirs, err := cfg.dataDirs()
	if err != nil {
		t.Fatal(err)
	}
	e := engine{tessdata: dirs[0]}
	defer e.close()
	german := "Über die Höhe der Gebühren entscheidet\nder Gemeinderat im Frühjahr.\n\n" + letter
	for name, s := range map[string]*sheet{
		"a letter":         newSheet(t, letter, 255, 0),
		"two languages":    newSheet(t, german, 255, 0),
		"askew":            newSheet(t, letter, 255, 0).turned(1),
		"on its side":      newSheet(t, letter, 255, 0).turned(90),
		"an empty sheet":   newSheet(t, "", 255, 0),
		"with < & > and '": newSheet(t, "a < b & c > d isn't \"e\"\n"+letter, 255, 0),
	} {
		t.Run(name, func(t *testing.T) {
			var b bytes.Buffer
			if err := png.Encode(&b, s.img); err != nil {
				t.Fatal(err)
			}
			h, err := imaging.ReadHeader(b.Bytes(), maxPixelSide*maxPixelSide)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := e.read(pixOf(t, b.Bytes(), h), sheetDPI, anyLayout, []string{"eng", "deu"}); err != nil { // the engine has started
				t.Fatal(err)
			}
			got, err := e.linesOn(pixOf(t, b.Bytes(), h))
			if err != nil {
				t.Fatal(err)
			}
			api := apiOf(e.client)
			if api == nil {
				t.Fatal("gosseract does not have its engine where it was")
			}
			want, err := parseHOCR(hocrOf(api))
			if err != nil {
				t.Fatal(err)
			}
			if len(want) < 8 && name != "an empty sheet" {
				t.Fatalf("%d lines were read", len(want))
			}
			if len(got) != len(want) {
				t.Fatalf("%d lines, want %d", len(got), len(want))
			}
			for i := range got {
				if !reflect.DeepEqual(got[i], want[i]) {
					t.Errorf("line %d is\n%+v, want\n%+v", i, got[i], want[i])
				}
			}
		})
	}
}
