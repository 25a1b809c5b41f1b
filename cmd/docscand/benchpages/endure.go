package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"

	"docscan/scan/ocr"
)

// endurance works on many pages in a row with one worker, as long as the daemon
// lets it live, and prints how much memory it has had. The pages are A4 in colour
// at 300 dpi: letters in three languages, columns, a table, a photograph, and one of
// three lines that lies on its side and so takes the data for that, too.
func endurance(ctx context.Context, w io.Writer, o options, dir string) error {
	o.only = "letter-English,letter-German,letter-French,two-columns,layout-invoice,beside-a-photo,blank-bleed,three-lines"
	pages, err := o.pages("generated", dir)
	if err != nil {
		return err
	}
	pages = slices.DeleteFunc(pages, func(p page) bool { return p.dpi != 300 })
	exe, err := os.Executable()
	if err != nil {
		return err
	}
	pool, err := ocr.NewPool(config(), exe, slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})))
	if err != nil {
		return err
	}
	defer pool.Close()
	out := filepath.Join(dir, "endure")
	if err := os.MkdirAll(out, 0o700); err != nil {
		return err
	}
	var most int64
	for n := range o.endure {
		if _, f := one(ctx, pool, pages[n%len(pages)], o, out); f.err != nil {
			return f.err
		}
		most = max(most, peakOfChildren("self"))
		if (n+1)%50 == 0 || n+1 == o.endure {
			fmt.Fprintf(w, "%4d pages in a row, %s: peak of the worker %d MiB\n", n+1, o.languages, most>>20)
		}
	}
	return nil
}
