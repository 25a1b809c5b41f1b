package bundle

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"
)

// filesName begins the names of the version's files.
const filesName = "files/"

// Tar files are made of blocks of 512 bytes and end with two of zeros (POSIX.1,
// ustar interchange format).
const (
	tarBlock   = 512
	tarEnd     = 2 * tarBlock
	sizeOffset = 124 // of the size in a header: eleven octal digits and a zero byte
)

// header is the one header that an entry of this name and size can have in a
// bundle: owner root, mode 0644, the time 0.
func header(name string, size int64) ([]byte, error) {
	var b bytes.Buffer
	err := tar.NewWriter(&b).WriteHeader(&tar.Header{
		Typeflag: tar.TypeReg, Name: name, Size: size, Mode: 0o644, ModTime: time.Unix(0, 0), Format: tar.FormatUSTAR,
	})
	if err != nil {
		return nil, err
	}
	if b.Len() != tarBlock {
		return nil, fmt.Errorf("the tar header of %q needs %d bytes", name, b.Len())
	}
	return b.Bytes(), nil
}

// padding is how many zeros follow the content of an entry.
func padding(size int64) int64 { return -size & (tarBlock - 1) }

// writeEntry writes header, content and padding of an entry.
func writeEntry(w io.Writer, name string, r io.Reader, size int64) error {
	h, err := header(name, size)
	if err != nil {
		return err
	}
	if _, err := w.Write(h); err != nil {
		return err
	}
	n, err := io.Copy(w, io.LimitReader(r, size+1))
	if err != nil {
		return err
	}
	if n != size {
		return fmt.Errorf("entry %s has not the %d bytes it should have", name, size)
	}
	_, err = w.Write(make([]byte, padding(size)))
	return err
}

// errOtherEntry says that the next entry has another name or another form.
var errOtherEntry = errors.New("another entry than expected")

// container reads the entries of a bundle, each of which must be the one it is
// asked for.
type container struct {
	f    io.ReaderAt
	size int64
	at   int64
}

// next reads the content of the next entry, which has the name and at most
// limit bytes. After errOtherEntry nothing has been taken.
func (c *container) next(name string, limit int64) ([]byte, error) {
	size, err := c.entrySize()
	if err != nil {
		return nil, err
	}
	if err := c.compare(name, size); err != nil {
		return nil, err
	}
	if size > limit {
		return nil, fmt.Errorf("%s has %d bytes, at most %d: %w", name, size, limit, ErrTooLarge)
	}
	at, err := c.skip(name, size)
	if err != nil {
		return nil, err
	}
	b := make([]byte, size)
	if err := c.read(b, at); err != nil {
		return nil, err
	}
	return b, nil
}

// holds reports whether the next entry has the name.
func (c *container) holds(name string) bool {
	size, err := c.entrySize()
	return err == nil && c.compare(name, size) == nil
}

// entrySize takes the size from the next header, which compare then proves.
func (c *container) entrySize() (int64, error) {
	b := make([]byte, tarBlock)
	if err := c.read(b, c.at); err != nil {
		return 0, err
	}
	size, err := strconv.ParseInt(string(b[sizeOffset:sizeOffset+11]), 8, 64)
	if err != nil || size < 0 {
		return 0, errOtherEntry
	}
	return size, nil
}

// compare proves that the next header is that of the name and size.
func (c *container) compare(name string, size int64) error {
	want, err := header(name, size)
	if err != nil {
		return err
	}
	got := make([]byte, tarBlock)
	if err := c.read(got, c.at); err != nil {
		return err
	}
	if !bytes.Equal(got, want) {
		return errOtherEntry
	}
	return nil
}

// skip passes over the next entry, which must have the name and size, and gives
// the position of its content.
func (c *container) skip(name string, size int64) (int64, error) {
	if name == "" { // a file that a delta takes from its base has no entry
		return c.at, nil
	}
	if err := c.compare(name, size); errors.Is(err, errOtherEntry) {
		return 0, fmt.Errorf("its header is not as the manifest says: %w", ErrTampered)
	} else if err != nil {
		return 0, err
	}
	at := c.at + tarBlock
	end := at + size + padding(size)
	if end > c.size {
		return 0, fmt.Errorf("%d bytes, needs %d: %w", c.size, end, ErrTruncated)
	}
	if err := c.zeros(at+size, padding(size)); err != nil {
		return 0, err
	}
	c.at = end
	return at, nil
}

// end proves that the end of the tar file and of the bundle come next.
func (c *container) end() error {
	if c.at+tarEnd < c.size {
		return fmt.Errorf("%d bytes after its end: %w", c.size-c.at-tarEnd, ErrTampered)
	}
	return c.zeros(c.at, tarEnd)
}

func (c *container) zeros(at, n int64) error {
	b := make([]byte, n)
	if err := c.read(b, at); err != nil {
		return err
	}
	if !bytes.Equal(b, make([]byte, n)) {
		return fmt.Errorf("bytes between the entries: %w", ErrTampered)
	}
	return nil
}

// read fills b from the position.
func (c *container) read(b []byte, at int64) error {
	if at+int64(len(b)) > c.size {
		return fmt.Errorf("%d bytes: %w", c.size, ErrTruncated)
	}
	if n, err := c.f.ReadAt(b, at); n < len(b) {
		if errors.Is(err, io.EOF) {
			return fmt.Errorf("%d bytes: %w", at+int64(n), ErrTruncated)
		}
		return err
	}
	return nil
}
