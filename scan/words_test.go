package scan

import (
	"encoding/binary"
	"errors"
	"fmt"
	"testing"

	"docscan/scan/imaging"
	"docscan/scan/ocr"
)

// claim is what is said of a TIFF that claims a size.
func claim(t *testing.T, width, height uint32) string {
	t.Helper()
	le := binary.LittleEndian
	b := []byte("II*\x00\x08\x00\x00\x00\x02\x00\x00\x01\x04\x00\x01\x00\x00\x00")
	b = append(le.AppendUint32(b, width), 1, 1, 4, 0, 1, 0, 0, 0)
	_, err := imaging.ReadHeader(append(le.AppendUint32(b, height), 0, 0, 0, 0), 150_000_000)
	if !errors.Is(err, imaging.ErrSize) {
		t.Fatalf("%d x %d: %v", width, height, err)
	}
	return err.Error()
}

// What a note says of a page is for people, and not what a library said to another.
func TestInWords(t *testing.T) {
	worker := func(kind error, said string) error {
		return fmt.Errorf("the image could not be opened: %w", fmt.Errorf("prepare the page: %w: %s", kind, said))
	}
	tests := []struct {
		cause error
		want  string
	}{
		{worker(ocr.ErrImage, imaging.ErrDamaged.Error()+": decode the image: Error in pixReadFromTiffStream: sample format = 3 is not uint"), "the image is damaged, or of a kind that cannot be read"},
		{worker(ocr.ErrImage, imaging.ErrSize.Error()+": it claims 30000 x 30000 pixels, and the limit is 150 million pixels"), "the image is too large to be read: it claims 30000 x 30000 pixels, and the limit is 150 million pixels"},
		{worker(ocr.ErrImage, claim(t, 70_000, 1000)), "the image is too large to be read: it claims 70000 x 1000 pixels, and the limit is 65535 on a side"},
		{worker(ocr.ErrImage, claim(t, 100_000, 100_000)), "the image is too large to be read: it claims 100000 x 100000 pixels, and the limit is 150 million pixels"},
		{worker(ocr.ErrImage, claim(t, 0, 7)), "the image is damaged, or of a kind that cannot be read"},
		{worker(ocr.ErrImage, imaging.ErrFormat.Error()), "the file is not a JPEG, PNG or TIFF image"},
		{worker(ocr.ErrMemory, "read the page"), "the page needs more memory than a worker may have"},
		{worker(ocr.ErrTimeout, "the worker was stopped"), "the page took too long"},
		{worker(ocr.ErrCrashed, "signal: killed"), "the program that reads pages failed at it"},
		{fmt.Errorf("%w: %w", errUnread, errRawGone), "the image as it came is no longer kept"},
		{errors.New("the file is damaged and cannot be opened: Syntax Error"), "the file is damaged and cannot be opened: Syntax Error"},
	}
	for _, tt := range tests {
		if got := inWords(tt.cause); got != tt.want {
			t.Errorf("%v: %q, want %q", tt.cause, got, tt.want)
		}
	}
}
