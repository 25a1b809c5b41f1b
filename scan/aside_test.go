package scan

import (
	"errors"
	"image"
	"image/png"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/image/font"
	"golang.org/x/image/font/gofont/goregular"
	"golang.org/x/image/font/opentype"
	"golang.org/x/image/math/fixed"

	"docscan/scan/ocr"
	"docscan/scan/text"
	"docscan/store"
	"docscan/store/search"
)

// The test binary is the worker, too.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "worker" {
		os.Exit(ocr.WorkerMain(os.Args[2:]))
	}
	os.Exit(m.Run())
}

// testEngine is an engine with a store and workers, but without machines.
func testEngine(t *testing.T) *Engine {
	t.Helper()
	log := slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))
	dir := t.TempDir()
	cfg := store.DefaultConfig()
	cfg.Dir = dir
	st, err := store.Open(cfg, log)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { st.Close() })
	// A worker has one goroutine: the race detector finds nothing there.
	exe := os.Getenv("TEST_DOCSCAND")
	if exe == "" {
		if exe, err = os.Executable(); err != nil {
			t.Fatal(err)
		}
	}
	ocrCfg := ocr.DefaultConfig()
	ocrCfg.Workers = 1
	pool, err := ocr.NewPool(ocrCfg, exe, log)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	index, err := search.Open(filepath.Join(dir, "index"), Texts(st), log)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { index.Close() })
	return New(DefaultConfig(), 1, st, pool, index, log)
}

// drawSide draws lines of text on an A5 sheet of 150 dpi.
func drawSide(t *testing.T, w io.Writer, text string) {
	t.Helper()
	const dpi = 150
	f, err := opentype.Parse(goregular.TTF)
	if err != nil {
		t.Fatal(err)
	}
	face, err := opentype.NewFace(f, &opentype.FaceOptions{Size: 14, DPI: dpi})
	if err != nil {
		t.Fatal(err)
	}
	defer face.Close()
	m := image.NewGray(image.Rect(0, 0, 874, 1240))
	for i := range m.Pix {
		m.Pix[i] = 248
	}
	d := font.Drawer{Dst: m, Src: image.Black, Face: face}
	for i, line := range strings.Split(text, "\n") {
		if code, ok := strings.CutPrefix(line, "code128:"); ok {
			drawBars(t, m, code, 100, 200+45*i)
			continue
		}
		d.Dot = fixed.P(100, 200+45*i)
		d.DrawString(line)
	}
	if err := (&png.Encoder{CompressionLevel: png.NoCompression}).Encode(w, m); err != nil {
		t.Fatal(err)
	}
}

// scanned is a batch of these sides that has been fed and worked off.
func scanned(t *testing.T, e *Engine, profile store.Profile, sides ...string) store.Batch {
	t.Helper()
	b := store.Batch{ID: "018f0000-0000-7000-8000-000000000001", State: store.BatchProcessing, Profile: profile, Created: time.Now(),
		Documents: []store.DocumentID{"018f0000-0000-7000-8000-000000000002"}}
	if err := e.store.AddBatch(b); err != nil {
		t.Fatal(err)
	}
	for i, text := range sides {
		raw, err := e.keep("image/png", func(w io.Writer) error { drawSide(t, w, text); return nil })
		if err != nil {
			t.Fatal(err)
		}
		if _, err := e.store.AddPage(store.Page{Batch: b.ID, Seq: i + 1, Sheet: i/2 + 1, Back: i%2 == 1, State: store.PageSafe, Raw: raw, Resolution: 150}); err != nil {
			t.Fatal(err)
		}
	}
	for i := range sides {
		k := pageKey{b.ID, i + 1}
		if err := e.preparePage(t.Context(), k); err != nil {
			t.Fatal(err)
		}
		if err := e.recognisePage(t.Context(), k); err != nil {
			t.Fatal(err)
		}
	}
	b, err := e.store.Batch(b.ID)
	if err != nil {
		t.Fatal(err)
	}
	if b.State != store.BatchCompleted {
		t.Fatalf("the batch is %s, want it completed", b.State)
	}
	return b
}

// places gives the places in the stack of the pages of the only document.
func places(t *testing.T, e *Engine, b store.Batch) []int {
	t.Helper()
	d, err := e.store.Document(b.Documents[0])
	if err != nil {
		t.Fatal(err)
	}
	var seqs []int
	for _, p := range d.Pages {
		seqs = append(seqs, p.Seq)
	}
	return seqs
}

func TestBlankSidesAreSetAside(t *testing.T) {
	const words = "A page with enough words\nto be read and kept"
	tests := []struct {
		name    string
		profile store.Profile
		sides   []string
		want    []int
		aside   int
	}{
		{"backs", store.Profile{}, []string{words, "", words, ""}, []int{1, 3}, 2},
		{"a profile that keeps them", store.Profile{Blank: "keep"}, []string{words, ""}, []int{1, 2}, 0},
		{"nothing else", store.Profile{}, []string{"", ""}, []int{1, 2}, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			e := testEngine(t)
			b := scanned(t, e, tt.profile, tt.sides...)
			if got := places(t, e, b); !slices.Equal(got, tt.want) {
				t.Errorf("the document has pages %v, want %v", got, tt.want)
			}
			d, err := e.store.Document(b.Documents[0])
			if err != nil {
				t.Fatal(err)
			}
			aside, err := e.Aside(d)
			if err != nil || len(aside) != tt.aside {
				t.Errorf("%d pages aside, %v; want %d", len(aside), err, tt.aside)
			}
		})
	}
}

// A side that was set aside comes back with what stands on it, also when the
// scanner's image is no longer there.
func TestPutBack(t *testing.T) {
	e := testEngine(t)
	b := scanned(t, e, store.Profile{}, "The first page of three", "", "The third page of three", "")
	arrange := func(seqs ...int) error {
		d, err := e.store.Document(b.Documents[0])
		if err != nil {
			t.Fatal(err)
		}
		var pages []store.DocumentPage
		for _, n := range seqs {
			pages = append(pages, store.DocumentPage{Batch: b.ID, Seq: n})
		}
		_, _, err = e.Arrange(t.Context(), Edit{Document: d.ID, Revision: d.Revision, By: By{Actor: "somebody"}}, pages)
		return err
	}
	if err := e.dropRawPage(store.DocumentPage{Batch: b.ID, Seq: 4}); err != nil {
		t.Fatal(err)
	}
	for _, seqs := range [][]int{{1, 2, 3}, {1, 2, 3, 4}, {2, 3, 4}, {1, 2, 3, 4}} {
		if err := arrange(seqs...); err != nil {
			t.Fatal(err)
		}
		if got := places(t, e, b); !slices.Equal(got, seqs) {
			t.Errorf("the document has pages %v, want %v", got, seqs)
		}
	}
	for seq, note := range map[int]string{2: "", 4: "no longer kept"} {
		p, err := e.store.Page(b.ID, seq)
		if err != nil || p.Aside != "" || !p.Restored || !strings.Contains(p.Note, note) || note == "" && p.Note != "" {
			t.Errorf("page %d: %+v, %v", seq, p, err)
		}
	}
}

func TestCheckCleanUp(t *testing.T) {
	for _, tt := range []struct {
		profile store.Profile
		ok      bool
	}{
		{store.Profile{}, true},
		{store.Profile{Blank: "careful", Leave: []string{"crop", "upright"}}, true},
		{store.Profile{Blank: "sometimes"}, false},
		{store.Profile{Leave: []string{"ironing"}}, false},
	} {
		if err := checkCleanUp(tt.profile); (err == nil) != tt.ok {
			t.Errorf("%+v: %v", tt.profile, err)
		}
	}
}

// A page whose words came with an uploaded file keeps them, and is as small as others.
func TestPageWithTextIsSmall(t *testing.T) {
	e := testEngine(t)
	b := store.Batch{ID: store.BatchID(store.NewID()), State: store.BatchScanning, Created: time.Now(), Documents: []store.DocumentID{store.DocumentID(store.NewID())}}
	if err := e.store.AddBatch(b); err != nil {
		t.Fatal(err)
	}
	raw, err := e.keep("image/png", func(w io.Writer) error { drawSide(t, w, "what is drawn"); return nil })
	if err != nil {
		t.Fatal(err)
	}
	words, err := e.keepText(&text.Page{Version: 1, Lines: []text.Line{{Words: []text.Word{{Text: "known"}}}}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := e.store.AddPage(store.Page{Batch: b.ID, Seq: 1, Sheet: 1, State: store.PageSafe, Raw: raw, Text: words, Resolution: 150}); err != nil {
		t.Fatal(err)
	}
	k := pageKey{b.ID, 1}
	if err := errors.Join(e.preparePage(t.Context(), k), e.recognisePage(t.Context(), k)); err != nil {
		t.Fatal(err)
	}
	p, err := e.store.Page(b.ID, 1)
	if err != nil || p.State != store.PageDone || len(p.Layered.Layers) == 0 {
		t.Errorf("the page is %s with %d layers, %v", p.State, len(p.Layered.Layers), err)
	}
	if got, err := e.PageText(p); err != nil || got.Plain() != "known" {
		t.Errorf("its text is %q, %v", got.Plain(), err)
	}
}
