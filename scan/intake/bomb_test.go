package intake

import (
	"bytes"
	"compress/zlib"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"
)

// pdfOf makes a PDF of objects, which are numbered from 1; the first is the catalogue.
func pdfOf(objects ...string) []byte {
	var b bytes.Buffer
	b.WriteString("%PDF-1.7\n")
	var at []int
	for i, o := range objects {
		at = append(at, b.Len())
		fmt.Fprintf(&b, "%d 0 obj\n%s\nendobj\n", i+1, o)
	}
	xref := b.Len()
	fmt.Fprintf(&b, "xref\n0 %d\n0000000000 65535 f \n", len(at)+1)
	for _, n := range at {
		fmt.Fprintf(&b, "%010d 00000 n \n", n)
	}
	fmt.Fprintf(&b, "trailer\n<</Size %d/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF\n", len(at)+1, xref)
	return b.Bytes()
}

// bomb is a stream of a few KB that becomes size bytes of text.
func bomb(t *testing.T, dict, text string, size int) string {
	t.Helper()
	var b bytes.Buffer
	z := zlib.NewWriter(&b)
	block := strings.Repeat(text, 1<<16/len(text)+1)
	for n := 0; n < size; n += len(block) {
		if _, err := io.WriteString(z, block); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("<<%s/Filter/FlateDecode/Length %d>>\nstream\n%s\nendstream", dict, b.Len(), b.String())
}

// PDFs that are made to exhaust whoever reads them end in the bounds of one
// page: with an image of it, or with a reason.
func TestBombs(t *testing.T) {
	const catalog, pages = "<</Type/Catalog/Pages 2 0 R>>", "<</Type/Pages/Kids[3 0 R]/Count 1>>"
	page := func(more string) string {
		return "<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]" + more + ">>"
	}
	tests := []struct {
		name string
		data []byte
	}{
		{"an image of 30,000 x 30,000", pdfOf(catalog, pages,
			page("/Contents 4 0 R/Resources<</XObject<</I 5 0 R>>>>"), "<</Length 30>>\nstream\nq 500 0 0 500 0 0 cm/I Do Q    \nendstream",
			bomb(t, "/Type/XObject/Subtype/Image/Width 30000/Height 30000/ColorSpace/DeviceRGB/BitsPerComponent 8", "\x00", 16<<20))},
		{"a page that is drawn for ever", pdfOf(catalog, pages, page("/Contents 4 0 R"), bomb(t, "", "0 0 m 595 842 l 7 3 l S\n", 64<<20))},
		{"a form that draws itself", pdfOf(catalog, pages, page("/Contents 4 0 R/Resources<</XObject<</F 4 0 R>>>>"),
			"<</Type/XObject/Subtype/Form/BBox[0 0 9 9]/Resources<</XObject<</F 4 0 R>>>>/Length 11>>\nstream\n/F Do /F Do\nendstream")},
		{"pages that are their own parents", pdfOf(catalog, "<</Type/Pages/Kids[2 0 R 2 0 R]/Count 2/Parent 2 0 R>>")},
		{"a million pages by its word", pdfOf(catalog, "<</Type/Pages/Kids[3 0 R]/Count 1000000>>", page(""))},
		{"a page of kilometres", pdfOf(catalog, pages, "<</Type/Page/Parent 2 0 R/MediaBox[0 0 90000000 90000000]>>")},
		{"a page of nothing", pdfOf(catalog, pages, "<</Type/Page/Parent 2 0 R/MediaBox[0 0 0 0]>>")},
		{"arrays in arrays", pdfOf(catalog, pages, page("/X "+strings.Repeat("[", 100_000)+strings.Repeat("]", 100_000)))},
	}
	cfg := config(t)
	cfg.PageSeconds, cfg.MemoryMB = 5, 512
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			start := time.Now()
			f, err := Open(t.Context(), cfg, write(t, "bomb.pdf", tt.data), t.TempDir())
			if err == nil {
				var side Side
				if side, err = f.Page(t.Context(), 1, t.TempDir()); err == nil && side.Path == "" {
					t.Error("neither a page nor a reason")
				}
			}
			if err != nil && !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrPages) {
				t.Errorf("%v is no reason for people", err)
			}
			t.Logf("%v after %v", err, time.Since(start).Round(time.Millisecond))
		})
	}
}

// What takes too long is not called damaged without more: it says what to do.
func TestTooLong(t *testing.T) {
	cfg := config(t)
	cfg.PageSeconds = 1
	f := &File{path: write(t, "a.pdf", []byte("%PDF-1.4")), cfg: cfg}
	_, err := f.tool(t.Context(), t.TempDir(), "coreutils", "sleep", "600")
	if want := "It took longer than 1 seconds and was given up. Print it anew as PDF and send that."; !errors.Is(err, ErrDamaged) || err.Error() != want {
		t.Errorf("%v, want %q", err, want)
	}
}
