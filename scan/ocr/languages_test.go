package ocr

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// englishData are the data of Debian's package, which every test machine has.
func englishData(t *testing.T) []byte {
	t.Helper()
	dir, err := tessdata()
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(filepath.Join(dir, "eng.traineddata"))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func names(t *testing.T, p *Pool) (own, all []string) {
	t.Helper()
	list, err := p.Languages()
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range list {
		all = append(all, l.Name)
		if l.Own {
			own = append(own, l.Name)
		}
	}
	return own, all
}

// readKnown reads the known page and gives how many of its words were found.
func readKnown(t *testing.T, p *Pool, languages ...string) (found int) {
	t.Helper()
	dir := t.TempDir()
	page := filepath.Join(dir, "page.png")
	if err := DrawKnownPage(page); err != nil {
		t.Fatal(err)
	}
	r, err := p.Recognize(t.Context(), RecognizeJob{Path: page, DPI: KnownDPI, Languages: languages, Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	words := strings.Fields(r.Text.Plain())
	for _, w := range strings.Fields(strings.Join(KnownText(), " ")) {
		if slices.Contains(words, w) {
			found++
		}
	}
	return found
}

func TestOwnLanguage(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "tessdata")
	p := newPagePool(t, func(c *Config) { c.DataDir = dir })
	if readKnown(t, p, "eng") < 8 { // this worker is to be replaced by the next page
		t.Fatal("the known page is not read with Debian's data")
	}
	if err := p.AddLanguage(t.Context(), "eng_house", bytes.NewReader(englishData(t))); err != nil {
		t.Fatal(err)
	}
	own, all := names(t, p)
	if !slices.Equal(own, []string{"eng_house"}) || !slices.Contains(all, "eng") || slices.Contains(all, "osd") {
		t.Errorf("own languages %q of all %q", own, all)
	}
	if n := readKnown(t, p, "eng_house", "eng"); n < 8 {
		t.Errorf("%d words are read with data of both kinds", n)
	}
	// The same name goes before Debian's.
	if err := p.AddLanguage(t.Context(), "eng", bytes.NewReader(englishData(t))); err != nil {
		t.Fatal(err)
	}
	if own, _ := names(t, p); !slices.Equal(own, []string{"eng", "eng_house"}) {
		t.Errorf("own languages %q", own)
	}
	for _, l := range []string{"eng", "eng_house"} {
		if err := p.RemoveLanguage(l); err != nil {
			t.Error(err)
		}
	}
	if own, all := names(t, p); len(own) != 0 || !slices.Contains(all, "eng") {
		t.Errorf("after removal: own %q of all %q", own, all)
	}
	if readKnown(t, p, "eng") < 8 {
		t.Error("the known page is no longer read with Debian's data")
	}
	if err := p.RemoveLanguage("eng"); !errors.Is(err, ErrData) {
		t.Errorf("Debian's data are removed: %v", err)
	}
}

func TestBadLanguages(t *testing.T) {
	english := englishData(t)
	liar := bytes.Clone(english)
	at := binary.LittleEndian.Uint64(liar[4+8*entryLSTM:])
	for i := range 4096 { // the network itself
		liar[int(at)+i] ^= 0x55
	}
	nothing := make([]byte, 4+8*maxEntries)
	binary.LittleEndian.PutUint32(nothing, maxEntries)
	for i := range maxEntries {
		binary.LittleEndian.PutUint64(nothing[4+8*i:], ^uint64(0))
	}
	dir := filepath.Join(t.TempDir(), "tessdata")
	p := newPagePool(t, func(c *Config) { c.DataDir = dir })
	tests := []struct {
		what, name string
		data       []byte
	}{
		{"empty", "xyz", nil},
		{"a picture", "xyz", []byte("\x89PNG\r\n\x1a\n0000000000000000")},
		{"cut short", "xyz", english[:len(english)/2]},
		{"only its beginning", "xyz", english[:100]},
		{"nothing to read with", "xyz", nothing},
		{"another network inside", "xyz", liar},
		{"a path", "../xyz", english},
		{"no name", "", english},
		{"a name that is taken for orientation", "osd", english},
	}
	for _, tt := range tests {
		if err := p.AddLanguage(t.Context(), tt.name, bytes.NewReader(tt.data)); !errors.Is(err, ErrData) {
			t.Errorf("%s: %v", tt.what, err)
		}
	}
	left, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %q, %v", left, err)
	}
	hidden, err := filepath.Glob(filepath.Join(dir, ".*"))
	if err != nil || len(hidden) > 0 {
		t.Errorf("left behind: %q, %v", hidden, err)
	}
}

func FuzzCheckData(f *testing.F) {
	f.Add([]byte{24, 0, 0, 0})
	f.Add([]byte{1, 0, 0, 0, 12, 0, 0, 0, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		if err := checkData(bytes.NewReader(b), int64(len(b))); err != nil && !errors.Is(err, ErrData) {
			t.Errorf("%v", err)
		}
	})
}
