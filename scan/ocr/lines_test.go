package ocr

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"testing"

	"docscan/device"
	"docscan/device/raster"
)

// A scanner without a JPEG encoder sends bare lines: a sheet of A5 at 600 dpi in colour has
// 52 MB, and would take 140 decoded. Line by line it is done in a worker that may not have
// as much.
func TestBareLinesTakeLittleMemory(t *testing.T) {
	const dpi, width, height = 600, 3496, 4960
	line := bytes.Repeat([]byte{250, 240, 230}, width)
	bars := bytes.Clone(line) // words of a kind
	for x := 300; x < width-300; x++ {
		if x/40%3 > 0 {
			copy(bars[3*x:], []byte{200, 30, 40})
		}
	}
	var pixels []io.Reader
	for y := range height {
		l := line
		if y > 400 && y < height-400 && y/30%6 == 0 {
			l = bars
		}
		pixels = append(pixels, bytes.NewReader(l))
	}
	file, err := raster.TIFF(raster.Format{Width: width, Lines: height, Mode: device.Color, Resolution: dpi}, io.MultiReader(pixels...))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	path := filepath.Join(dir, "side.tif")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(f, file); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	p := newPagePool(t, func(c *Config) { c.WorkerMemoryMB = 128 })
	prepared, err := p.Prepare(t.Context(), PrepareJob{Path: path, Resolution: dpi, Dir: dir})
	if err != nil || prepared.Width != width || prepared.Height != height || prepared.DPI != dpi || prepared.Image.Colors != 3 || prepared.Image.Width != width {
		t.Fatalf("%+v, %v", prepared, err)
	}
	read, err := p.Recognize(t.Context(), RecognizeJob{Path: path, DPI: dpi, Dir: dir})
	if err != nil || read.Blank || read.Text.Width != width || read.Text.Height != height {
		t.Errorf("%d x %d pixels, blank %v: %v", read.Text.Width, read.Text.Height, read.Blank, err)
	}
	small, err := p.Compact(t.Context(), CompactJob{Path: path, DPI: dpi, Dir: dir})
	if err != nil || len(small.Layers) == 0 {
		t.Errorf("%d layers, %v", len(small.Layers), err)
	}
}
