package sane

import (
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"

	"docscan/device"
)

// maxCollected bounds what is kept of one frame. A sheet of A3 at 600 dpi in
// colour has 209 MB.
const maxCollected = 1 << 30

// file keeps an image, or a plane of one, until it is known as a whole. It has
// no name: it goes with the process.
type file struct {
	f    *os.File
	size int64
}

func newFile(dir string) (*file, error) {
	f, err := os.CreateTemp(dir, "side-*")
	if err != nil {
		return nil, noRoom("make a file for a page", err)
	}
	if err := os.Remove(f.Name()); err != nil {
		f.Close()
		return nil, fmt.Errorf("unlink the file for a page: %w", err)
	}
	return &file{f: f}, nil
}

// take keeps all that comes from r. An error of r comes back as it is.
func (f *file) take(r io.Reader) error {
	n, err := io.Copy(writerOnly{f.f}, io.LimitReader(r, maxCollected+1))
	f.size = n
	var full *os.PathError
	switch {
	case errors.As(err, &full):
		return noRoom("keep a page", err)
	case err != nil:
		return err
	case n > maxCollected:
		return device.Faultf(device.TooLarge, "a page of more than %d bytes", maxCollected)
	}
	return nil
}

// writerOnly hides that a file can read from others by itself.
type writerOnly struct{ io.Writer }

// reader gives what was kept, from its beginning.
func (f *file) reader() (io.Reader, error) {
	if _, err := f.f.Seek(0, io.SeekStart); err != nil {
		return nil, fmt.Errorf("read a page again: %w", err)
	}
	return io.LimitReader(f.f, f.size), nil
}

func (f *file) close() { f.f.Close() } // nothing of it is needed any more

// noRoom makes a full disk the fault that it is.
func noRoom(what string, err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return &device.Fault{Kind: device.DiskFull, Detail: what, Err: err}
	}
	return fmt.Errorf("%s: %w", what, err)
}
