package intake

import (
	"bytes"
	"context"
	"fmt"
	"path/filepath"
	"regexp"
	"strconv"

	"docscan/scan/refusal"
)

// maxPrinted bounds what tools may print in one go, in bytes. A TIFF of 1,000
// pages makes tiffinfo print some 700 kB.
const maxPrinted = 16 << 20

// countTIFF counts the images of a TIFF.
func (f *File) countTIFF(ctx context.Context, dir string) (int, error) {
	said, err := f.tool(ctx, dir, "libtiff-tools", "tiffinfo", f.path)
	f.CutOff = !f.ended()
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
	if m := tiffSize.FindSubmatch(said); n == 1 && m != nil && impossible(m[1], m[2]) {
		return 0, errClaims
	}
	return n, nil // what else is wrong with an image is told with its page
}

// tiffSize is how tiffinfo tells the width and the height of an image.
var tiffSize = regexp.MustCompile(`Image Width: (\d+) Image Length: (\d+)`)

// impossible reports whether no image can have this width and height.
func impossible(width, height []byte) bool {
	w, err := strconv.ParseInt(string(width), 10, 32)
	h, err2 := strconv.ParseInt(string(height), 10, 32)
	return err != nil || err2 != nil || w*h > mostClaimed
}

// ended reports whether the images of a TIFF, each of which says where the next one is,
// end with one that is the last: tiffinfo passes over those that are not in the file.
func (f *File) ended() bool {
	const most = 100_000 // images: else it is a circle
	t, err := f.openTIFF()
	if err != nil {
		return false
	}
	defer t.file.Close()
	at := t.first
	for range most {
		if at == 0 {
			return true
		}
		if _, at, err = t.next(at); err != nil {
			return false
		}
	}
	return false
}

// pageTIFF copies one image of a TIFF, of which nothing is lost, into a TIFF of the common form.
func (f *File) pageTIFF(ctx context.Context, n int, dir string) (Side, error) {
	if f.Pages == 1 && !f.big {
		return Side{Path: f.path, Whole: true, Type: string(TIFF)}, nil
	}
	out := filepath.Join(dir, "page.tif")
	if ok, err := f.alone(ctx, n, out); ok || err != nil {
		return Side{Path: out, Type: string(TIFF)}, err
	}
	_, err := f.tool(ctx, dir, "libtiff-tools", "tiffcp", fmt.Sprintf("%s,%d", f.path, n-1), out)
	if err != nil {
		return Side{}, err
	}
	return Side{Path: out, Type: string(TIFF)}, nil
}
