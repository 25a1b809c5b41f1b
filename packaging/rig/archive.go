package main

import (
	"archive/tar"
	"bufio"
	"fmt"
	"io"
	"io/fs"
	"strings"
)

// archive writes a cpio archive as the kernel reads it: "newc", see
// Documentation/driver-api/early-userspace/buffer-format.rst. The kernel puts
// several of them, one after the other, into one tree.
type archive struct {
	w     *bufio.Writer
	inode int // of the last file
}

func newArchive(w io.Writer) *archive { return &archive{w: bufio.NewWriterSize(w, 1<<20)} }

// entry is one file of an archive.
type entry struct {
	name     string // without a slash at its beginning
	mode     uint32 // kind and rights as in struct stat
	uid, gid int
	device   int // major<<8|minor of a device node
}

// add adds a file with what is in it. The bufio.Writer keeps write errors for
// close.
func (a *archive) add(e entry, data []byte) {
	a.inode++ // each file has its own: hard links become copies
	a.write(fmt.Appendf(nil, "070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%s\x00",
		a.inode, e.mode, e.uid, e.gid, 1, 0, len(data), 0, 0, e.device>>8, e.device&0xff, len(e.name)+1, 0, e.name))
	a.write(data)
}

// write writes b and fills up to four bytes.
func (a *archive) write(b []byte) {
	_, _ = a.w.Write(b)
	_, _ = a.w.Write(make([]byte, -len(b)&3))
}

// addOurs adds a file or directory of root's.
func (a *archive) addOurs(name string, mode uint32, data []byte) {
	a.add(entry{name: name, mode: mode}, data)
}

// close ends the archive and says what went wrong in writing it.
func (a *archive) close() error {
	a.add(entry{name: "TRAILER!!!"}, nil)
	return a.w.Flush()
}

// Kinds of files, as in struct stat.
const (
	isFile  = 0o100000
	isDir   = 0o040000
	isLink  = 0o120000
	isChar  = 0o020000
	isBlock = 0o060000
)

// addTar adds what is in a tar archive. Hard links are written anew from what
// they point to, which comes before them.
func (a *archive) addTar(r io.Reader) error {
	linked := make(map[string][]byte) // by name: what a hard link may point to
	t := tar.NewReader(r)
	for {
		h, err := t.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read the root file system: %w", err)
		}
		name := strings.Trim(strings.TrimPrefix(h.Name, "./"), "/")
		if name == "" || name == "." {
			continue
		}
		e := entry{name: name, mode: uint32(h.Mode & 0o7777), uid: h.Uid, gid: h.Gid, device: int(h.Devmajor<<8 | h.Devminor)}
		var data []byte
		switch h.Typeflag {
		case tar.TypeReg:
			e.mode |= isFile
			if data, err = io.ReadAll(t); err != nil {
				return fmt.Errorf("read the root file system: %w", err)
			}
			linked[name] = data
		case tar.TypeLink:
			e.mode |= isFile
			var ok bool
			if data, ok = linked[strings.TrimPrefix(h.Linkname, "./")]; !ok {
				return fmt.Errorf("read the root file system: %s links to %s, which is not there", name, h.Linkname)
			}
		case tar.TypeSymlink:
			e.mode |= isLink
			data = []byte(h.Linkname)
		case tar.TypeDir:
			e.mode |= isDir
		case tar.TypeChar:
			e.mode |= isChar
		case tar.TypeBlock:
			e.mode |= isBlock
		default:
			return fmt.Errorf("read the root file system: %s is of kind %q", name, h.Typeflag)
		}
		a.add(e, data)
	}
}

// addFiles adds the tree below dir.
func (a *archive) addFiles(tree fs.FS, dir string) error {
	return fs.WalkDir(tree, dir, func(path string, d fs.DirEntry, err error) error {
		name := strings.TrimPrefix(strings.TrimPrefix(path, dir), "/")
		if err != nil || name == "" {
			return err
		}
		if d.IsDir() {
			a.addOurs(name, isDir|0o755, nil)
			return nil
		}
		data, err := fs.ReadFile(tree, path)
		if err != nil {
			return err
		}
		a.addOurs(name, isFile|0o644, data)
		return nil
	})
}
