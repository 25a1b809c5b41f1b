package ocr

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"image"
	"image/color"
	"image/gif"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// each runs all steps of a page through the real workers and gives what each of
// them says. No bytes may end a worker: it has to say what is wrong.
func each(t *testing.T, p *Pool, data []byte, asked int) (prepared Prepared, errs [3]error) {
	t.Helper()
	dir := t.TempDir()
	path := filepath.Join(dir, "side")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	prepared, errs[0] = p.Prepare(t.Context(), PrepareJob{Path: path, Resolution: asked, Dir: dir})
	dpi := prepared.DPI
	if errs[0] != nil {
		dpi = 300
	}
	_, errs[1] = p.Recognize(t.Context(), RecognizeJob{Path: path, DPI: dpi, Dir: dir})
	_, errs[2] = p.Compact(t.Context(), CompactJob{Path: path, DPI: dpi, Dir: dir})
	for step, err := range errs {
		if err != nil && !errors.Is(err, ErrImage) && !errors.Is(err, ErrMemory) {
			t.Errorf("step %d: %v", step, err)
		}
	}
	return prepared, errs
}

// Every form of image, cut off and with wrong bytes at many places.
func TestDamagedImages(t *testing.T) {
	files, err := filepath.Glob("../imaging/testdata/*.*")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	p := newPagePool(t, func(c *Config) { c.WorkerPages = 100_000 })
	for _, file := range files {
		whole, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		t.Run(filepath.Base(file), func(t *testing.T) {
			r := rand.New(rand.NewPCG(1, uint64(len(whole))))
			for _, part := range []int{5} {
				each(t, p, whole[:len(whole)*part/10], 300)
			}
			for range 2 {
				bad := slices.Clone(whole)
				for range 1 + r.IntN(8) {
					bad[r.IntN(len(bad))] ^= byte(1 + r.IntN(255))
				}
				each(t, p, bad, 300)
			}
		})
	}
	checkWorks(t, p)
}

// pngFile makes a PNG of one bit a pixel that is white all over.
func pngFile(t *testing.T, width, height int) []byte {
	t.Helper()
	return zeroPNG(t, width, height, 1, 3)
}

// withDPI gives a PNG a pHYs chunk.
func withDPI(file []byte, dpi uint32) []byte {
	body := []byte("pHYs")
	perMetre := uint32(float64(dpi) / 0.0254)
	body = binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(body, perMetre), perMetre)
	body = append(body, 1)
	chunk := binary.BigEndian.AppendUint32(nil, 9)
	chunk = binary.BigEndian.AppendUint32(append(chunk, body...), crc32.ChecksumIEEE(body))
	const header = 8 + 25 // the signature and IHDR
	return slices.Concat(file[:header], chunk, file[header:])
}

// animated makes a PNG of two frames: acTL makes it one, and readers that know
// nothing of that show the first.
func animated(file []byte) []byte {
	body := append([]byte("acTL"), 0, 0, 0, 2, 0, 0, 0, 0)
	chunk := binary.BigEndian.AppendUint32(nil, 8)
	chunk = binary.BigEndian.AppendUint32(append(chunk, body...), crc32.ChecksumIEEE(body))
	return slices.Concat(file[:33], chunk, file[33:])
}

// What is no damage, but odd.
func TestOddImages(t *testing.T) {
	read := func(name string) []byte {
		data, err := os.ReadFile(card(t, name))
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	huge := pngFile(t, 16, 16)
	binary.BigEndian.PutUint32(huge[16:], 30_000)
	binary.BigEndian.PutUint32(huge[20:], 30_000)
	binary.BigEndian.PutUint32(huge[29:], crc32.ChecksumIEEE(huge[12:29]))
	var moving bytes.Buffer
	frame := image.NewPaletted(image.Rect(0, 0, 20, 20), bw)
	if err := gif.EncodeAll(&moving, &gif.GIF{Image: []*image.Paletted{frame, frame}, Delay: []int{1, 1}}); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name string
		data []byte
		bad  bool // it cannot be opened
		// heavy says that it can be shown, but need not be read: that would take
		// more memory than a worker may have.
		heavy bool
		dpi   int // that it is taken for, if 200 was asked
	}{
		{"1 x 1", pngFile(t, 1, 1), false, false, 200},
		{"1 x 3000", pngFile(t, 1, 3000), false, false, 200},
		{"3000 x 1", pngFile(t, 3000, 1), false, false, 200},
		{"30,000 x 30,000", huge, true, false, 0},
		{"60 million pixels of one bit", pngFile(t, 10_000, 6_000), false, true, 200},
		{"CMYK", read("cmyk.jpg"), false, false, 300},
		{"16 bits", read("color16.png"), false, false, 200},
		{"16 bits TIFF", read("color16.tif"), false, false, 300},
		{"no resolution", pngFile(t, 300, 400), false, false, 200},
		{"1 dpi", withDPI(pngFile(t, 300, 400), 1), false, false, 200},
		{"60,000 dpi", withDPI(pngFile(t, 300, 400), 60_000), false, false, 200},
		{"an honest 150 dpi", withDPI(pngFile(t, 300, 400), 150), false, false, 150},
		{"animated PNG", animated(read("color.png")), false, false, 200},
		{"animated GIF", moving.Bytes(), true, false, 0},
		{"several pages of TIFF", read("pages.tif"), false, false, 300},
	}
	p := newPagePool(t, nil)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			prepared, errs := each(t, p, tt.data, 200)
			for step, err := range errs {
				if (err != nil) != tt.bad && !(step > 0 && tt.heavy) {
					t.Errorf("step %d: %v", step, err)
				}
			}
			if !tt.bad && prepared.DPI != tt.dpi {
				t.Errorf("taken for %d dpi, want %d", prepared.DPI, tt.dpi)
			}
		})
	}
	checkWorks(t, p)
}

// Pages that have much for the engine to chew on end in time: read, or with a
// word of why not, and the next page goes on.
func TestPagesThatTakeLong(t *testing.T) {
	const seconds = 3 // less than the settings allow
	r := rand.New(rand.NewPCG(3, 3))
	fill := func(each func(x, y int) uint8) *sheet {
		s := newSheet(t, "", 255, 0)
		for y := range sheetHeight {
			for x := range sheetWidth {
				s.img.Pix[y*s.img.Stride+x] = each(x, y)
			}
		}
		return s
	}
	tests := map[string]*sheet{
		"noise": fill(func(int, int) uint8 { return uint8(r.IntN(256)) }),
		"halftone": fill(func(x, y int) uint8 {
			if (x%6-3)*(x%6-3)+(y%6-3)*(y%6-3) < 5 {
				return 20
			}
			return 240
		}),
	}
	p := newPagePool(t, nil)
	p.cfg.PageTimeoutSeconds = seconds
	for name, s := range tests {
		t.Run(name, func(t *testing.T) {
			out, err := p.Recognize(t.Context(), RecognizeJob{Path: s.save(t), DPI: sheetDPI, Dir: t.TempDir()})
			if err != nil && !errors.Is(err, ErrTimeout) {
				t.Error(err)
			}
			t.Log(fmt.Sprint(err), out.CPU)
			checkWorks(t, p)
		})
	}
}

// bw are the colours of an image of one bit a pixel.
var bw = color.Palette{color.White, color.Black}
