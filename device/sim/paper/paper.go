// Package paper is what lies in the feeders of simulated scanners: sheets with two
// faces, from a folder of page images or from images in memory.
package paper

import (
	"fmt"
	"image"
	"image/color"
	_ "image/jpeg" // a stack may hold such files
	_ "image/png"  // and such
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/image/draw"
	_ "golang.org/x/image/tiff" // and such
)

// Sheet is one piece of paper.
type Sheet struct {
	Number int // since the scanner's start; 0 is not fed yet
	Faces  [2]Face
}

// Face is one side of a sheet: a file, an image, or blank.
type Face struct {
	File  string
	Image image.Image
}

// Files lists the PNG, JPEG and TIFF files of a folder by name.
func Files(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("load the feeder: %w", err)
	}
	var files []string
	for _, e := range entries {
		switch strings.ToLower(filepath.Ext(e.Name())) {
		case ".png", ".jpg", ".jpeg", ".tif", ".tiff":
			files = append(files, filepath.Join(dir, e.Name()))
		}
	}
	return files, nil
}

// Stack makes sheets of the pages, then of the files of the folder dir, if it is not
// empty. With duplex they alternate front, back; else all backs are blank.
func Stack(pages []image.Image, dir string, duplex bool) ([]Sheet, error) {
	var faces []Face
	for _, p := range pages {
		faces = append(faces, Face{Image: p})
	}
	if dir != "" {
		files, err := Files(dir)
		if err != nil {
			return nil, err
		}
		for _, f := range files {
			faces = append(faces, Face{File: f})
		}
	}
	var sheets []Sheet
	for len(faces) > 0 {
		var s Sheet
		s.Faces[0], faces = faces[0], faces[1:]
		if duplex && len(faces) > 0 {
			s.Faces[1], faces = faces[0], faces[1:]
		}
		sheets = append(sheets, s)
	}
	return sheets, nil
}

// Load gives the image of a face, or nil for a blank one.
func (f Face) Load() (image.Image, error) {
	if f.File == "" {
		return f.Image, nil
	}
	r, err := os.Open(f.File)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	img, _, err := image.Decode(r)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.File, err)
	}
	return img, nil
}

// See gives the image of a face (0 is the front) at a resolution, where the paper is
// drawn at another. A blank face is white and as large as the other one; nil if both
// are blank.
func (s *Sheet) See(face, drawn, dpi int) (image.Image, error) {
	img, err := s.Faces[face].Load()
	if err != nil {
		return nil, err
	}
	if img == nil {
		other, err := s.Faces[1-face].Load()
		if other == nil || err != nil {
			return nil, err
		}
		img = Blank(other.Bounds())
	}
	return Scale(img, drawn, dpi), nil
}

// Scale gives an image drawn at one resolution at another.
func Scale(img image.Image, from, to int) image.Image {
	if from == to {
		return img
	}
	b := img.Bounds()
	scaled := image.NewRGBA(image.Rect(0, 0, b.Dx()*to/from, b.Dy()*to/from))
	draw.ApproxBiLinear.Scale(scaled, scaled.Bounds(), img, b, draw.Src, nil)
	return scaled
}

// Blank is white paper of that size.
type Blank image.Rectangle

// ColorModel is that of grey.
func (Blank) ColorModel() color.Model { return color.GrayModel }

// Bounds is the paper's size.
func (b Blank) Bounds() image.Rectangle { return image.Rectangle(b) }

// At is white.
func (Blank) At(int, int) color.Color { return color.Gray{Y: 255} }
