package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"

	"docscan/scan/ocr"
)

// endurance works on many pages in a row with one worker, as long as the daemon
// lets it live, and prints how much memory it has had, over all and by step. The pages are
// A4 at 300 dpi, in colour unless others are asked for: letters in three languages, columns,
// a table, a photograph, and one of three lines that lies on its side and so takes the data
// for that, too.
func endurance(ctx context.Context, w io.Writer, o options, dir string) error {
	if o.only == "" {
		o.sets, o.only = "generated", "letter-English,letter-German,letter-French,two-columns,layout-invoice,beside-a-photo,blank-bleed,three-lines"
	}
	var pages []page
	for _, set := range sets {
		list, err := o.pages(set, dir)
		if err != nil {
			return err
		}
		pages = append(pages, list...)
	}
	pages = slices.DeleteFunc(pages, func(p page) bool { return p.dpi != 300 })
	if len(pages) == 0 {
		return errors.New("there is no such page at 300 dpi")
	}
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
	most := make(map[string]int64) // by step
	done := func(step string) error {
		most[step] = max(most[step], peakOfChildren("self"))
		return forgetPeaks()
	}
	for n := range o.endure {
		if _, f := one(ctx, pool, pages[n%len(pages)], o, out, done); f.err != nil {
			return f.err
		}
		if (n+1)%50 == 0 || n+1 == o.endure {
			fmt.Fprintf(w, "%4d pages in a row, %s: peak of the worker %d MiB (%s %d, %s %d, %s %d)\n", n+1, o.languages,
				max(most[preparing], most[recognizing], most[compacting])>>20,
				preparing, most[preparing]>>20, recognizing, most[recognizing]>>20, compacting, most[compacting]>>20)
		}
	}
	return nil
}
