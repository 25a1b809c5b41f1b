package sample

import (
	"bytes"
	"crypto/sha256"
	"image/color"
	"image/jpeg"
	"os"
	"path/filepath"
	"testing"
)

func TestWrite(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "stack")
	const dpi = 25
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

// Benchmarks and tests compare runs: the stack must always be the same. A folder
// that is there already, but empty, is filled too.
func TestWriteGivesTheSameFiles(t *testing.T) {
	var sums [2][]byte
	for i := range sums {
		dir := t.TempDir()
		if err := Write(dir, 25); err != nil {
			t.Fatal(err)
		}
		h := sha256.New()
		files, err := filepath.Glob(filepath.Join(dir, "*"))
		if err != nil || len(files) != 12 {
			t.Fatal(files, err)
		}
		for _, f := range files {
			data, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			h.Write(data)
		}
		sums[i] = h.Sum(nil)
		if left, err := filepath.Glob(filepath.Join(filepath.Dir(dir), ".sample-*")); err != nil || len(left) > 0 {
			t.Errorf("left behind: %q, %v", left, err)
		}
	}
	if !bytes.Equal(sums[0], sums[1]) {
		t.Error("two stacks differ")
	}
}

// What is said to be blank must be nearly white, and what is not must have ink.
func TestInk(t *testing.T) {
	for _, sheet := range Stack(true) {
		for _, side := range sheet.Sides {
			img, err := side.Draw(60)
			if err != nil {
				t.Fatal(err)
			}
			dark := 0
			b := img.Bounds().Inset(5) // the shadow at the paper's edge
			for y := b.Min.Y; y < b.Max.Y; y++ {
				for x := b.Min.X; x < b.Max.X; x++ {
					if g := color.GrayModel.Convert(img.At(x, y)).(color.Gray); g.Y < 160 {
						dark++
					}
				}
			}
			if blank := side.Text == ""; blank != (dark == 0) {
				t.Errorf("%s has %d dark pixels, its text is %q", side.Name, dark, side.Text)
			}
		}
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

// The hard pages say of themselves what is true, and a seed stands for one set
// of pages.
func TestHard(t *testing.T) {
	pages, again, other := Hard(1), Hard(1), Hard(2)
	for i, p := range pages {
		t.Run(p.Kind, func(t *testing.T) {
			const dpi = 25
			img, err := p.Draw(dpi)
			if err != nil {
				t.Fatal(err)
			}
			if width := p.Width + 2*p.Bed; p.Upright%180 == 0 && img.Bounds().Dx() != pixels(p.Width, dpi)+2*pixels(p.Bed, dpi) {
				t.Errorf("%d pixels wide, want %g mm", img.Bounds().Dx(), width)
			}
			if p.Blank && p.Text != "" {
				t.Errorf("blank, with %q", p.Text)
			}
			if p.Text != again[i].Text || p.Upright != again[i].Upright || p.Skew != again[i].Skew {
				t.Error("the same seed gives another page")
			}
			if len(p.Text) > 100 && p.Text == other[i].Text {
				t.Error("another seed gives the same text")
			}
		})
	}
}
