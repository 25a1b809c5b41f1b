package main

import (
	"context"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/image/font"
	"golang.org/x/image/font/gofont/goregular"
	"golang.org/x/image/font/opentype"
	"golang.org/x/image/math/fixed"

	"docscan/scan/ocr"
)

// knownText is on the known page. Every language's model reads it.
var knownText = []string{"docscan reads this page", "and keeps what it says", "1234567890"}

// knownDPI is the resolution of the known page.
const knownDPI = 300

// drawKnownPage writes the known page to a PNG file.
func drawKnownPage(name string) error {
	f, err := opentype.Parse(goregular.TTF)
	if err != nil {
		return fmt.Errorf("draw the known page: %w", err)
	}
	face, err := opentype.NewFace(f, &opentype.FaceOptions{Size: 14, DPI: knownDPI})
	if err != nil {
		return fmt.Errorf("draw the known page: %w", err)
	}
	defer face.Close()
	img := image.NewGray(image.Rect(0, 0, 1000, 600))
	draw.Draw(img, img.Bounds(), image.NewUniform(color.White), image.Point{}, draw.Src)
	d := font.Drawer{Dst: img, Src: image.NewUniform(color.Black), Face: face}
	for i, line := range knownText {
		d.Dot = fixed.P(100, 150+120*i)
		d.DrawString(line)
	}
	out, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("draw the known page: %w", err)
	}
	err = png.Encode(out, img)
	if cerr := out.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return fmt.Errorf("draw the known page: %w", err)
	}
	return nil
}

// readKnownPage draws the known page in dir, reads it, and gives its words. It is
// an error if more than one of them is missing.
func readKnownPage(ctx context.Context, pool *ocr.Pool, dir string) (string, error) {
	name := filepath.Join(dir, "known.png")
	if err := drawKnownPage(name); err != nil {
		return "", err
	}
	got, err := pool.Recognize(ctx, ocr.RecognizeJob{Path: name, DPI: knownDPI, Dir: dir})
	if err != nil {
		return "", fmt.Errorf("read a known page: %w", err)
	}
	words := strings.Fields(got.Text.Plain())
	want := strings.Fields(strings.Join(knownText, " "))
	missed := slices.DeleteFunc(slices.Clone(want), func(w string) bool { return slices.Contains(words, w) })
	if len(missed) > 1 {
		return "", fmt.Errorf("read a known page: of %q these words are missing: %q", strings.Join(want, " "), missed)
	}
	return strings.Join(words, " "), nil
}
