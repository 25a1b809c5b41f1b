package main

import (
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/jpeg"
	"os"
	"path/filepath"

	"golang.org/x/image/font"
	"golang.org/x/image/font/gofont/goregular"
	"golang.org/x/image/font/opentype"
	"golang.org/x/image/math/fixed"
)

// words are what stands on the sheets, the first one on the first.
var words = []string{"alpha", "bravo", "charlie", "delta"}

// paperDPI is low, so that reading a page takes an emulated processor seconds.
const paperDPI = 150

// layPaper puts sheets of A5 with a few words into the feeder's folder.
func layPaper(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("lay paper: %w", err)
	}
	f, err := opentype.Parse(goregular.TTF)
	if err != nil {
		return fmt.Errorf("lay paper: %w", err)
	}
	face, err := opentype.NewFace(f, &opentype.FaceOptions{Size: 18, DPI: paperDPI})
	if err != nil {
		return fmt.Errorf("lay paper: %w", err)
	}
	defer face.Close()
	for i, word := range words {
		img := image.NewGray(image.Rect(0, 0, 874, 1240))
		draw.Draw(img, img.Bounds(), image.White, image.Point{}, draw.Src)
		// A few grey lines make the file large enough to break off in its middle.
		for y := 700; y < 1200; y += 5 {
			for x := 80; x < 794; x++ {
				img.SetGray(x, y, color.Gray{Y: uint8(200 + (x*y)%50)})
			}
		}
		d := font.Drawer{Dst: img, Src: image.Black, Face: face, Dot: fixed.P(100, 200)}
		d.DrawString("This sheet says " + word + ".")
		d.Dot = fixed.P(100, 300)
		d.DrawString("It is one of a stack.")
		if err := writeJPEG(filepath.Join(dir, fmt.Sprintf("%d.jpg", i+1)), img); err != nil {
			return fmt.Errorf("lay paper: %w", err)
		}
	}
	return nil
}

func writeJPEG(path string, img image.Image) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := jpeg.Encode(f, img, &jpeg.Options{Quality: 90}); err != nil {
		return err
	}
	return f.Close()
}
