package main

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"docscan/scan/ocr"
)

// readKnownPage draws the known page in dir, reads it, and gives its words. It is
// an error if more than one of them is missing.
func readKnownPage(ctx context.Context, pool *ocr.Pool, dir string) (string, error) {
	name := filepath.Join(dir, "known.png")
	if err := ocr.DrawKnownPage(name); err != nil {
		return "", err
	}
	got, err := pool.Recognize(ctx, ocr.RecognizeJob{Path: name, DPI: ocr.KnownDPI, Dir: dir})
	if err != nil {
		return "", fmt.Errorf("read a known page: %w", err)
	}
	words := strings.Fields(got.Text.Plain())
	want := strings.Fields(strings.Join(ocr.KnownText(), " "))
	missed := slices.DeleteFunc(slices.Clone(want), func(w string) bool { return slices.Contains(words, w) })
	if len(missed) > 1 {
		return "", fmt.Errorf("read a known page: of %q these words are missing: %q", strings.Join(want, " "), missed)
	}
	return strings.Join(words, " "), nil
}
