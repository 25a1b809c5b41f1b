package main

import (
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"testing"

	"docscan/scan/ocr"
	"docscan/store/search"
)

// fileBytes is how much of files this process has in memory.
func fileBytes(t *testing.T) (n int64) {
	t.Helper()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	_, kb, _ := strings.Cut(string(status), "RssFile:")
	if _, err := fmt.Sscan(kb, &n); err != nil {
		t.Fatal(err)
	}
	return n << 10
}

// Code and tables are mapped again when they are looked at, also by who does so at this
// moment.
func TestLetsGoOfFiles(t *testing.T) {
	before := fileBytes(t)
	ocr.LetGoOfFiles()
	if after := fileBytes(t); after > before-4<<20 {
		t.Errorf("%d bytes of files are in memory, %d before", after, before)
	}
	texts := func(string) (string, error) { return "", search.ErrNoText }
	index, err := search.Open(t.TempDir()+"/search.db", texts, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer index.Close()
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			for n := range 50 {
				id := fmt.Sprintf("%d-%d", i, n)
				if err := index.Put(t.Context(), search.Doc{ID: id, Title: "word" + id}); err != nil {
					t.Error(err)
					return
				}
				r, err := index.Search(t.Context(), search.Query{Text: "title:word" + id})
				if err != nil || len(r.Hits) == 0 {
					t.Errorf("%s: %v, %v", id, r.Hits, err)
					return
				}
				ocr.LetGoOfFiles()
			}
		})
	}
	wg.Wait()
}
