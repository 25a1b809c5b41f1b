package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/text/unicode/norm"

	"docscan/device/sim/sample"
)

// A page is an image and what stands on it.
type page struct {
	name, kind, path string
	text             string
	fold             bool // capitals and small letters count as the same
	dpi              int
	languages        []string
}

// sampleDPI is that of generated pages.
const sampleDPI = 300

// gather draws the generated pages into dir and lists all.
func gather(dir, corpusDir string, named []string) ([]page, error) {
	var pages []page
	for _, path := range named {
		name := strings.TrimSuffix(filepath.Base(path), filepath.Ext(path))
		pages = append(pages, page{name: name, path: path})
	}
	if corpusDir != "" {
		list, err := corpus(corpusDir)
		if err != nil {
			return nil, err
		}
		pages = append(pages, list...)
	}
	if len(named) > 0 {
		return pages, nil
	}
	drawn := filepath.Join(dir, "generated")
	if err := sample.Write(drawn, sampleDPI); err != nil {
		return nil, err
	}
	files, err := filepath.Glob(filepath.Join(drawn, "*.jpg"))
	if err != nil {
		return nil, err
	}
	var sides []sample.Side
	for _, sheet := range sample.Stack(true) {
		sides = append(sides, sheet.Sides...)
	}
	if len(sides) != len(files) {
		return nil, fmt.Errorf("%d files for %d generated pages", len(files), len(sides))
	}
	for i, s := range sides {
		if s.Text != "" {
			pages = append(pages, page{name: strings.TrimSuffix(filepath.Base(files[i]), ".jpg"), kind: "generated", path: files[i], text: s.Text, dpi: sampleDPI, languages: []string{"eng", "deu"}})
		}
	}
	return pages, nil
}

// corpus reads the manifest of a folder of scanned pages.
func corpus(dir string) ([]page, error) {
	data, err := os.ReadFile(filepath.Join(dir, "manifest.json"))
	if err != nil {
		return nil, fmt.Errorf("read the corpus: %w", err)
	}
	var list []struct {
		ID       string `json:"id"`
		File     string `json:"file"`
		Text     string `json:"gt"`
		Score    bool   `json:"score_text"`
		Fold     bool   `json:"fold_case"`
		Kind     string `json:"kind"`
		Language string `json:"lang"`
		DPI      int    `json:"dpi"`
	}
	if err := json.Unmarshal(data, &list); err != nil {
		return nil, fmt.Errorf("read the corpus: %w", err)
	}
	languages := map[string]string{"de": "deu", "fr": "fra"}
	var pages []page
	for _, e := range list {
		p := page{name: e.ID, kind: e.Kind, path: filepath.Join(dir, e.File), fold: e.Fold, dpi: e.DPI, languages: []string{"eng"}}
		if l := languages[e.Language]; l != "" {
			p.languages = []string{l}
		}
		if e.Score {
			text, err := os.ReadFile(filepath.Join(dir, e.Text))
			if err != nil {
				return nil, fmt.Errorf("read the corpus: %w", err)
			}
			p.text = string(text)
		}
		pages = append(pages, p)
	}
	return pages, nil
}

// An errorRate is how many characters have to be changed to make the text that
// was read the one that stands there.
type errorRate struct{ edits, chars int }

func (e *errorRate) add(o errorRate) {
	e.edits += o.edits
	e.chars += o.chars
}

func (e errorRate) String() string {
	if e.chars == 0 {
		return "-"
	}
	return fmt.Sprintf("%.2f %%", 100*float64(e.edits)/float64(e.chars))
}

// alike folds what looks the same in print.
var alike = strings.NewReplacer("’", "'", "‘", "'", "‚", "'", "“", `"`, "”", `"`, "„", `"`, "«", `"`, "»", `"`,
	"–", "-", "—", "-", "‐", "-", "‑", "-", "−", "-", "ﬁ", "fi", "ﬂ", "fl", "…", "...", "\u00ad", "")

func normal(s string, fold bool) []rune {
	s = strings.Join(strings.Fields(alike.Replace(norm.NFC.String(s))), " ")
	if fold {
		s = strings.ToLower(s)
	}
	return []rune(s)
}

// compare counts insertions, deletions and replacements (Levenshtein).
func compare(got, want string, fold bool) errorRate {
	a, b := normal(got, fold), normal(want, fold)
	before, now := make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range before {
		before[j] = j
	}
	for i, r := range a {
		now[0] = i + 1
		for j, q := range b {
			c := before[j]
			if r != q {
				c++
			}
			now[j+1] = min(c, before[j+1]+1, now[j]+1)
		}
		before, now = now, before
	}
	return errorRate{before[len(b)], len(b)}
}
