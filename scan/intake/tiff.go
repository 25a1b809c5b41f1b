package intake

import (
	"bytes"
	"context"
	"fmt"
	"path/filepath"

	"docscan/scan/refusal"
)

// maxPrinted bounds what tools may print in one go, in bytes. A TIFF of 1,000
// pages makes tiffinfo print some 700 kB.
const maxPrinted = 16 << 20

// countTIFF counts the images of a TIFF.
func (f *File) countTIFF(ctx context.Context, dir string) (int, error) {
	said, err := f.tool(ctx, dir, "libtiff-tools", "tiffinfo", f.path)
	n := bytes.Count(said, []byte("\n=== TIFF directory "))
	if bytes.HasPrefix(said, []byte("=== TIFF directory ")) {
		n++
	}
	if n == 0 {
		if err == nil {
			err = refusal.New(ErrDamaged, "The file is damaged: there is no image in it.")
		}
		return 0, err
	}
	return n, nil // a fault after the first image shows when that page is asked for
}

// pageTIFF copies one image of a TIFF, whose data stay as they are.
func (f *File) pageTIFF(ctx context.Context, n int, dir string) (Side, error) {
	if f.Pages == 1 {
		return Side{Path: f.path, Type: string(TIFF)}, nil
	}
	out := filepath.Join(dir, "page.tif")
	_, err := f.tool(ctx, dir, "libtiff-tools", "tiffcp", fmt.Sprintf("%s,%d", f.path, n-1), out)
	if err != nil {
		return Side{}, err
	}
	return Side{Path: out, Type: string(TIFF)}, nil
}
