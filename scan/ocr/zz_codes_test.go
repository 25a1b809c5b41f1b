package ocr

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"docscan/scan/text"
)

func TestZZCodes(t *testing.T) {
	runtime.LockOSThread()
	only := os.Getenv("ONLY")
	found, all, invented, pages, sepMiss, sepFalse := 0, 0, 0, 0, 0, 0
	for _, dir := range strings.Fields(os.Getenv("CODE_DIRS")) {
		data, err := os.ReadFile(filepath.Join(dir, "manifest.json"))
		if err != nil {
			t.Fatal(err)
		}
		var list []struct {
			ID, File  string
			DPI       int
			Separator *string
			Barcodes  []struct{ Type, Text string }
		}
		if err := json.Unmarshal(data, &list); err != nil {
			t.Fatal(err)
		}
		for _, e := range list {
			if only != "" && !strings.Contains(e.ID, only) {
				continue
			}
			f, err := os.Open(filepath.Join(dir, e.File))
			if err != nil {
				t.Fatal(err)
			}
			src, err := openSource(f, 100e6)
			if err != nil {
				t.Fatal(err)
			}
			start := time.Now()
			p, err := (&worker{}).openPage(src, request{DPI: e.DPI})
			src.close()
			f.Close()
			if err != nil {
				t.Fatal(e.ID, err)
			}
			took := time.Since(start)
			pages++
			var got, want []string
			for _, c := range p.codes {
				got = append(got, c.Text)
			}
			note := ""
			if p.blank {
				note += " BLANK"
			}
			for _, b := range e.Barcodes {
				want = append(want, b.Text)
				all++
				if slices.Contains(got, b.Text) {
					found++
				} else {
					note += " MISSED " + b.Type + " " + b.Text
				}
			}
			for _, g := range got {
				if !slices.Contains(want, g) {
					invented++
					note += " INVENTED " + g
				}
			}
			sep := Separates(p.codes, []Separator{{Text: "PATCHT"}, {Kind: text.Patch, Text: "T"}})
			if sep && e.Separator == nil {
				sepFalse++
				note += " SEPFALSE"
			}
			if !sep && e.Separator != nil {
				sepMiss++
				note += " SEPMISS"
			}
			if note != "" || os.Getenv("ALL") != "" {
				fmt.Printf("%-50s %v %v %s\n", e.ID, took.Round(time.Millisecond), p.codes, note)
			}
			p.close()
		}
	}
	fmt.Printf("pages %d: found %d of %d, invented %d, separators missed %d false %d\n", pages, found, all, invented, sepMiss, sepFalse)
}
