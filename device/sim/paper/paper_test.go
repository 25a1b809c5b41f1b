package paper

import (
	"errors"
	"image"
	"image/color"
	"image/png"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

// folder holds two images of 20 by 10 pixels and something else.
func folder(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	img := image.NewGray(image.Rect(0, 0, 20, 10))
	for _, name := range []string{"2.png", "1.PNG"} {
		f, err := os.Create(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if err := png.Encode(f, img); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "notes.txt"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestStack(t *testing.T) {
	dir := folder(t)
	front := image.NewGray(image.Rect(0, 0, 3, 3))
	simplex, err := Stack([]image.Image{front}, dir, false)
	if err != nil {
		t.Fatal(err)
	}
	one, two := Face{File: filepath.Join(dir, "1.PNG")}, Face{File: filepath.Join(dir, "2.png")}
	want := []Sheet{{Faces: [2]Face{{Image: front}}}, {Faces: [2]Face{one}}, {Faces: [2]Face{two}}}
	if len(simplex) != 3 || simplex[0] != want[0] || simplex[1] != want[1] || simplex[2] != want[2] {
		t.Errorf("simplex: %+v, want %+v", simplex, want)
	}
	duplex, err := Stack([]image.Image{front}, dir, true)
	if err != nil || len(duplex) != 2 || duplex[0].Faces != [2]Face{{Image: front}, one} || duplex[1].Faces != [2]Face{two} {
		t.Errorf("duplex: %+v (%v)", duplex, err)
	}
	if _, err := Stack(nil, filepath.Join(dir, "no"), false); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a folder that is not there: %v", err)
	}
}

func TestSee(t *testing.T) {
	s := Sheet{Faces: [2]Face{{File: filepath.Join(folder(t), "1.PNG")}}}
	front, err := s.See(0, 100, 100)
	if err != nil || front.Bounds().Dx() != 20 || color.GrayModel.Convert(front.At(5, 5)) != (color.Gray{Y: 0}) {
		t.Errorf("front: %v, %v", front, err)
	}
	back, err := s.See(1, 100, 200)
	if err != nil || back.Bounds() != image.Rect(0, 0, 40, 20) || color.GrayModel.Convert(back.At(39, 19)) != (color.Gray{Y: 255}) {
		t.Errorf("back at twice the resolution: %v, %v", back, err)
	}
	if img, err := new(Sheet).See(0, 100, 200); img != nil || err != nil {
		t.Errorf("blank on both sides: %v, %v", img, err)
	}
	s.Faces[1].File = filepath.Join(t.TempDir(), "gone.png")
	if _, err := s.See(1, 100, 100); !os.IsNotExist(err) {
		t.Errorf("a file that is gone: %v", err)
	}
}
