package sample

import (
	"image/jpeg"
	"os"
	"path/filepath"
	"testing"
)

func TestWrite(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "stack")
	const dpi = 50
	if err := Write(dir, dpi); err != nil {
		t.Fatal(err)
	}
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, sheet := range Stack(true) {
		for _, side := range sheet.Sides {
			f, err := os.Open(filepath.Join(dir, files[n].Name()))
			if err != nil {
				t.Fatal(err)
			}
			got, err := jpeg.DecodeConfig(f)
			f.Close()
			want, werr := side.Draw(dpi)
			if err != nil || werr != nil {
				t.Fatal(err, werr)
			}
			if got.Width != want.Bounds().Dx() || got.Height != want.Bounds().Dy() {
				t.Errorf("%s is %d x %d, want %v", files[n].Name(), got.Width, got.Height, want.Bounds())
			}
			n++
		}
	}
	if n != len(files) {
		t.Errorf("%d files, want %d", len(files), n)
	}
}

// A person's own pages must stay as they are.
func TestWriteLeavesAFilledFolderAlone(t *testing.T) {
	dir := t.TempDir()
	mine := filepath.Join(dir, "mine.png")
	if err := os.WriteFile(mine, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Write(dir, 50); err != nil {
		t.Fatal(err)
	}
	if files, err := os.ReadDir(dir); err != nil || len(files) != 1 {
		t.Errorf("%d files, %v, want the one that was there", len(files), err)
	}
}

func TestStackWithoutDuplexHasFrontsOnly(t *testing.T) {
	for i, s := range Stack(false) {
		if len(s.Sides) != 1 || s.Sides[0].Text == "" {
			t.Errorf("sheet %d has %d sides", i+1, len(s.Sides))
		}
	}
}
