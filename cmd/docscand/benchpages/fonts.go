package main

import (
	"fmt"
	"os"
	"path/filepath"

	"docscan/device/sim/sample"
)

// Debian's fonts-urw-base35 (in the place of Times, Helvetica, Courier,
// Palatino, Bookman, Century and Avant Garde) and fonts-dejavu-core.
var (
	textFaces = []string{
		"opentype/urw-base35/NimbusRoman-Regular.otf", "opentype/urw-base35/NimbusSans-Regular.otf",
		"opentype/urw-base35/P052-Roman.otf", "opentype/urw-base35/URWBookman-Light.otf",
		"opentype/urw-base35/C059-Roman.otf", "opentype/urw-base35/URWGothic-Book.otf",
		"opentype/urw-base35/NimbusRoman-Italic.otf", "opentype/urw-base35/NimbusSans-Bold.otf",
		"opentype/urw-base35/NimbusSansNarrow-Regular.otf",
		"truetype/dejavu/DejaVuSans.ttf", "truetype/dejavu/DejaVuSerif.ttf",
	}
	monoFaces = []string{"opentype/urw-base35/NimbusMonoPS-Regular.otf", "truetype/dejavu/DejaVuSansMono.ttf", "opentype/urw-base35/NimbusMonoPS-Bold.otf"}
)

// faces reads the typefaces of varied pages.
func faces() (sample.Faces, error) {
	read := func(names []string) ([][]byte, error) {
		var list [][]byte
		for _, name := range names {
			data, err := os.ReadFile(filepath.Join("/usr/share/fonts", name))
			if err != nil {
				return nil, fmt.Errorf("typefaces (Debian packages fonts-urw-base35 and fonts-dejavu-core): %w", err)
			}
			list = append(list, data)
		}
		return list, nil
	}
	text, err := read(textFaces)
	if err != nil {
		return sample.Faces{}, err
	}
	mono, err := read(monoFaces)
	if err != nil {
		return sample.Faces{}, err
	}
	return sample.ParseFaces(text, mono)
}
