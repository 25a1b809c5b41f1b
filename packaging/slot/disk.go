//go:build linux

package slot

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"

	"golang.org/x/sys/unix"

	"docscan/store/writeback"
)

// disk is the directory of the slots. Everything that changes it goes through
// here, in steps that a power cut can fall between. Names are relative, with
// slashes; none can lead out of it.
type disk struct {
	root *os.Root
	dir  string
	step func(step) error // told each step before it is taken, and may fail it; nil for nobody
}

// A step is one change of the disk.
type step struct {
	kind stepKind
	name string
	to   string      // of a rename: the new name; of a link: where it points
	data []byte      // of a write
	mode fs.FileMode // of a created file
}

type stepKind string

// The kinds of steps.
const (
	stepMkdir   stepKind = "mkdir"
	stepCreate  stepKind = "create"
	stepWrite   stepKind = "write"
	stepSync    stepKind = "sync"
	stepSyncDir stepKind = "syncdir"
	stepLink    stepKind = "link"
	stepRename  stepKind = "rename"
	stepRemove  stepKind = "remove" // with everything below
)

func openDisk(dir string) (*disk, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	return &disk{root: root, dir: dir}, nil
}

func (d *disk) take(s step) error {
	if d.step == nil {
		return nil
	}
	return d.step(s)
}

func (d *disk) mkdir(name string) error {
	if err := d.take(step{kind: stepMkdir, name: name}); err != nil {
		return err
	}
	return d.root.Mkdir(name, 0o755)
}

// mkdirAll makes a directory and those above it.
func (d *disk) mkdirAll(name string) error {
	if name == "." || d.exists(name) {
		return nil
	}
	if err := d.mkdirAll(path.Dir(name)); err != nil {
		return err
	}
	return d.mkdir(name)
}

// create writes a new file and syncs it. Its name is synced with its directory.
func (d *disk) create(name string, mode fs.FileMode, write func(io.Writer) error) (err error) {
	if err := d.take(step{kind: stepCreate, name: name, mode: mode}); err != nil {
		return err
	}
	f, err := d.root.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, mode)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if err := f.Chmod(mode); err != nil { // whatever the umask is
		return err
	}
	if err := write(stepWriter{d, name, writeback.New(f, 0)}); err != nil {
		return err
	}
	if err := d.take(step{kind: stepSync, name: name}); err != nil {
		return err
	}
	return f.Sync()
}

type stepWriter struct {
	disk *disk
	name string
	w    io.Writer
}

func (w stepWriter) Write(p []byte) (int, error) {
	if err := w.disk.take(step{kind: stepWrite, name: w.name, data: p}); err != nil {
		return 0, err
	}
	return w.w.Write(p)
}

// replace puts a small file in the place of another, at once.
func (d *disk) replace(name string, b []byte) error {
	tmp := name + newSuffix
	if err := d.remove(tmp); err != nil {
		return err
	}
	err := d.create(tmp, 0o644, func(w io.Writer) error {
		_, err := w.Write(b)
		return err
	})
	if err != nil {
		return err
	}
	if err := d.rename(tmp, name); err != nil {
		return err
	}
	return d.syncDir(".")
}

// point makes name a symbolic link to target, at once.
func (d *disk) point(name, target string) error {
	tmp := name + newSuffix
	if err := d.remove(tmp); err != nil {
		return err
	}
	if err := d.take(step{kind: stepLink, name: tmp, to: target}); err != nil {
		return err
	}
	if err := d.root.Symlink(target, tmp); err != nil {
		return err
	}
	if err := d.rename(tmp, name); err != nil {
		return err
	}
	return d.syncDir(".")
}

func (d *disk) rename(from, to string) error {
	if err := d.take(step{kind: stepRename, name: from, to: to}); err != nil {
		return err
	}
	return d.root.Rename(from, to)
}

// remove removes a file, link or tree, if it is there.
func (d *disk) remove(name string) error {
	if !d.exists(name) {
		return nil
	}
	if err := d.take(step{kind: stepRemove, name: name}); err != nil {
		return err
	}
	return d.root.RemoveAll(name)
}

func (d *disk) syncDir(name string) error {
	if err := d.take(step{kind: stepSyncDir, name: name}); err != nil {
		return err
	}
	f, err := d.root.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// syncTree syncs the directories of a tree, the deepest first. Its files were
// synced when they were written.
func (d *disk) syncTree(name string) error {
	var dirs []string
	err := fs.WalkDir(d.root.FS(), name, func(p string, e fs.DirEntry, err error) error {
		if err == nil && e.IsDir() {
			dirs = append(dirs, p)
		}
		return err
	})
	if err != nil {
		return err
	}
	for i := len(dirs) - 1; i >= 0; i-- {
		if err := d.syncDir(dirs[i]); err != nil {
			return err
		}
	}
	return nil
}

// exists reports whether the name is there, be it a link that leads nowhere.
func (d *disk) exists(name string) bool {
	_, err := d.root.Lstat(name)
	return err == nil
}

// read reads a file of at most limit bytes.
func (d *disk) read(name string, limit int64) ([]byte, error) {
	f, err := d.root.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(b)) > limit {
		err = fmt.Errorf("%s has more than %d bytes", name, limit)
	}
	return b, err
}

// free is the room that is left, in bytes.
func (d *disk) free() (int64, error) { return FreeBytes(d.dir) }

// FreeBytes is the room that the disk which has dir has left for us.
func FreeBytes(dir string) (int64, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return 0, fmt.Errorf("free space of %s: %w", dir, err)
	}
	return int64(st.Bavail) * int64(st.Bsize), nil
}

// lock keeps all others from changing the slots, in this process and others;
// the rollback script takes the same lock.
func (d *disk) lock() (unlock func(), err error) {
	f, err := os.OpenFile(filepath.Join(d.dir, lockName), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		err = ErrBusy
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return func() {
		// A process that is just being started has this file too until it becomes
		// another program, so closing alone might let go later.
		unix.Flock(int(f.Fd()), unix.LOCK_UN)
		f.Close()
	}, nil
}
