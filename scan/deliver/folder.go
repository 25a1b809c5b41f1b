package deliver

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"docscan/store"
)

// marker is a file that tells that a folder is the one that was chosen: where a
// share is not mounted, an empty folder lies in its place, and filling that would
// fill the box's own disk.
const marker = ".docscan-destination"

type folder struct {
	dir string
	id  store.DestinationID
}

func newFolder(d store.Destination) (*folder, error) {
	if !filepath.IsAbs(d.Folder) {
		return nil, refuseChoice("a folder is named from the root, such as /srv/documents")
	}
	return &folder{filepath.Clean(d.Folder), d.ID}, nil
}

func (f *folder) check(_ context.Context, first bool) error {
	info, err := os.Stat(f.dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return refuse("the folder does not exist; make it, or mount the share that has it")
	case err != nil:
		return because("the folder cannot be used", plain(err))
	case !info.IsDir():
		return refuse("this is a file, not a folder")
	}
	path := filepath.Join(f.dir, marker)
	data, err := os.ReadFile(path)
	switch {
	case err == nil && first, errors.Is(err, fs.ErrNotExist) && first:
		if err := os.WriteFile(path, []byte(f.id+"\n"), 0o600); err != nil {
			return mayNotWrite(err)
		}
		return nil
	case errors.Is(err, fs.ErrNotExist):
		return refuse("the folder is not the one that was chosen; perhaps the share is not mounted")
	case err != nil:
		return because("the folder cannot be read", plain(err))
	case string(data) != string(f.id)+"\n":
		return refuse("the folder belongs to another destination now")
	}
	return nil
}

// mayNotWrite says why a folder cannot be chosen, with what to do: the service sees all of
// the box but its own directories as if it were never written to (ProtectSystem=strict),
// which looks like a share that is mounted read-only.
func mayNotWrite(err error) error {
	if errors.Is(err, syscall.EROFS) {
		return refuse("the folder can only be read: if it is a share, mount it for writing; if not, or if that does not help, open it to docscan's service with systemctl edit docscand on the box: [Service] and ReadWritePaths= with the folder")
	}
	return because("docscan may not write into the folder", plain(err))
}

// plain leaves out the path of an error: the person knows it, and it is long.
func plain(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	var l *os.LinkError
	if errors.As(err, &l) {
		return l.Err
	}
	return err
}

func (f *folder) put(ctx context.Context, name string, r io.ReadSeeker, file store.Blob, old store.Delivery) (as, tag string, err error) {
	tmp, err := os.CreateTemp(f.dir, ".docscan-*.part")
	if err != nil {
		return "", "", because("the folder cannot be written to", plain(err))
	}
	defer os.Remove(tmp.Name()) // what is not in its place
	defer tmp.Close()
	n, err := io.Copy(tmp, &stoppable{ctx, r})
	if err == nil && n != file.Size {
		err = fmt.Errorf("the document has %d of %d bytes", n, file.Size)
	}
	if err == nil {
		err = tmp.Chmod(0o644) // others are meant to read it
	}
	if err == nil {
		err = tmp.Sync()
	}
	if err == nil {
		err = tmp.Close()
	}
	if err != nil {
		return "", "", because("the file could not be written", plain(err))
	}
	ours := f.unchanged(old)
	if ours && old.Name == name {
		err = os.Rename(tmp.Name(), filepath.Join(f.dir, name))
		as = name
	} else {
		as, err = f.settle(tmp.Name(), name, file)
	}
	if err != nil {
		return "", "", because("the file could not be put into its place", plain(err))
	}
	if ours && old.Name != as {
		if err := os.Remove(filepath.Join(f.dir, old.Name)); err != nil {
			return "", "", because("the file of the document as it was could not be removed", plain(err))
		}
	}
	d, err := os.Open(f.dir)
	if err != nil {
		return "", "", plain(err)
	}
	defer d.Close()
	if err := d.Sync(); err != nil && !errors.Is(err, fs.ErrInvalid) && !errors.Is(err, errors.ErrUnsupported) {
		return "", "", because("the folder could not be made durable", plain(err))
	}
	return as, "", nil
}

// settle gives the file tmp a name like name that nothing has. A link fails where
// the name is taken; file systems without links get a file to hold the name. A
// file with the same content arrived before a crash that its receipt did not
// outlive.
func (f *folder) settle(tmp, name string, file store.Blob) (string, error) {
	for n := 1; n <= maxNames; n++ {
		as := numbered(name, n)
		path := filepath.Join(f.dir, as)
		err := os.Link(tmp, path)
		if err == nil {
			return as, nil
		}
		if info, serr := os.Lstat(path); serr == nil {
			if info.Mode().IsRegular() && info.Size() == file.Size && f.has(as, file.Sum) {
				return as, nil
			}
			continue
		}
		hold, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err != nil {
			return "", err
		}
		if err := hold.Close(); err != nil {
			return "", err
		}
		return as, os.Rename(tmp, path)
	}
	return "", fmt.Errorf("%d files have this name already", maxNames)
}

// unchanged reports whether the file that arrived before is as we left it.
func (f *folder) unchanged(old store.Delivery) bool {
	return old.Sum != "" && old.Name != "" && filepath.Base(old.Name) == old.Name && f.has(old.Name, old.Sum)
}

// has reports whether the file name has the content with this hash.
func (f *folder) has(name, sum string) bool {
	file, err := os.Open(filepath.Join(f.dir, name))
	if err != nil {
		return false
	}
	defer file.Close()
	h := sha256.New()
	if _, err := io.Copy(h, file); err != nil {
		return false
	}
	return hex.EncodeToString(h.Sum(nil)) == sum
}

// stoppable ends a copy with its context.
type stoppable struct {
	ctx context.Context
	r   io.Reader
}

func (s *stoppable) Read(p []byte) (int, error) {
	if err := s.ctx.Err(); err != nil {
		return 0, err
	}
	return s.r.Read(p)
}
