package ocr

import (
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"os"

	"golang.org/x/image/font"
	"golang.org/x/image/font/gofont/goregular"
	"golang.org/x/image/font/opentype"
	"golang.org/x/image/math/fixed"
)

// KnownText is on the known page, a line each. Every model of Latin script reads it.
func KnownText() []string {
	return []string{"docscan reads this page", "and keeps what it says", "1234567890"}
}

// KnownDPI is the resolution of the known page.
const KnownDPI = 300

// DrawKnownPage writes the known page to a PNG file.
func DrawKnownPage(name string) error {
	f, err := opentype.Parse(goregular.TTF)
	if err != nil {
		return fmt.Errorf("draw the known page: %w", err)
	}
	face, err := opentype.NewFace(f, &opentype.FaceOptions{Size: 14, DPI: KnownDPI})
	if err != nil {
		return fmt.Errorf("draw the known page: %w", err)
	}
	defer face.Close()
	img := image.NewGray(image.Rect(0, 0, 1000, 600))
	draw.Draw(img, img.Bounds(), image.NewUniform(color.White), image.Point{}, draw.Src)
	d := font.Drawer{Dst: img, Src: image.NewUniform(color.Black), Face: face}
	for i, line := range KnownText() {
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
