package main

import (
	"encoding/json"
	"fmt"
	"image/jpeg"
	"image/png"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"golang.org/x/sync/errgroup"

	"docscan/device/sim/sample"
)

// A page is an image with what is true of it.
type page struct {
	id        string
	set       string // generated, varied or corpus
	kind      string
	path      string
	want      string // its text
	scored    bool   // want is known
	fold      bool   // capitals and small letters count as the same
	blank     bool
	separator bool
	codes     []string // what its barcodes say
	upright   int      // clockwise turn that makes it upright
	known     bool
	skew      float64 // clockwise
	skewed    bool    // skew is known
	dpi       int
}

// generated draws pages of all kinds into dir: those with one fault at a time,
// or varied ones with several.
func generated(dir, set string, first, seeds int, wanted func(id string) bool) ([]page, error) {
	var pages []page
	var g errgroup.Group
	g.SetLimit(runtime.GOMAXPROCS(0))
	for seed := first; seed < first+seeds; seed++ {
		list := sample.Hard(uint64(seed))
		if set == "varied" {
			f, err := faces()
			if err != nil {
				return nil, err
			}
			list = sample.Varied(uint64(seed), f)
		}
		if set == "codes" {
			list = sample.Codes(uint64(seed))
		}
		for i, p := range list {
			id := fmt.Sprintf("%c%d-%02d-%s", set[0], seed, i+1, strings.ReplaceAll(p.Name, ",", ""))
			d := page{
				id: id, set: set, kind: p.Kind, path: filepath.Join(dir, id+".jpg"), want: p.Text, scored: p.Text != "" && !p.Separator,
				blank: p.Blank, upright: p.Upright, known: len(p.Text) > 30, skew: p.Skew, skewed: len(p.Text) > 100, dpi: p.DPI, separator: p.Separator,
			}
			for _, c := range p.Codes {
				d.codes = append(d.codes, c.Text)
			}
			if p.Mode == sample.Bilevel {
				d.path = filepath.Join(dir, id+".png")
			}
			if !wanted(id) {
				continue
			}
			pages = append(pages, d)
			g.Go(func() error { return draw(d.path, p) })
		}
	}
	return pages, g.Wait()
}

// draw draws a page into a file: a JPEG of the quality that scanners give, or a
// PNG of one bit a pixel.
func draw(path string, p sample.Page) error {
	if _, err := os.Stat(path); err == nil {
		return nil // kept from an earlier run
	}
	img, err := p.Draw(p.DPI)
	if err != nil {
		return fmt.Errorf("draw %s: %w", path, err)
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if p.Mode == sample.Bilevel {
		err = png.Encode(f, img)
	} else {
		err = jpeg.Encode(f, img, &jpeg.Options{Quality: 85})
	}
	if err != nil {
		return err
	}
	return f.Close()
}

// corpus reads the manifest of a folder of scanned pages.
func corpus(dir string) ([]page, error) {
	data, err := os.ReadFile(filepath.Join(dir, "manifest.json"))
	if err != nil {
		return nil, fmt.Errorf("read the corpus: %w", err)
	}
	var list []struct {
		ID        string  `json:"id"`
		File      string  `json:"file"`
		Text      string  `json:"gt"`
		Score     bool    `json:"score_text"`
		Fold      bool    `json:"fold_case"`
		Kind      string  `json:"kind"`
		DPI       int     `json:"dpi"`
		Blank     bool    `json:"blank"`
		Separator *string `json:"separator"`
		Barcodes  []struct {
			Text string `json:"text"`
		} `json:"barcodes"`
		Upright int      `json:"rotate_to_upright_cw"`
		Skew    *float64 `json:"skew_deg_cw"`
	}
	if err := json.Unmarshal(data, &list); err != nil {
		return nil, fmt.Errorf("read the corpus: %w", err)
	}
	var pages []page
	for _, e := range list {
		p := page{
			id: e.ID, set: "corpus", kind: e.Kind, path: filepath.Join(dir, e.File), scored: e.Score, fold: e.Fold,
			blank: e.Blank, separator: e.Separator != nil, upright: e.Upright, known: e.Score, dpi: e.DPI,
		}
		for _, c := range e.Barcodes {
			p.codes = append(p.codes, c.Text)
		}
		if e.Skew != nil && e.Score {
			p.skew, p.skewed = *e.Skew, true
		}
		if e.Score {
			text, err := os.ReadFile(filepath.Join(dir, e.Text))
			if err != nil {
				return nil, fmt.Errorf("read the corpus: %w", err)
			}
			p.want = string(text)
		}
		pages = append(pages, p)
	}
	return pages, nil
}
