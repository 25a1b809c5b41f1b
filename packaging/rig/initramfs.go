package main

import (
	"archive/tar"
	"bufio"
	"bytes"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// wanted are the modules of the machine: its disk, the virtual host controller
// for USB, the driver for printers that is quicker than docscan at a scanner,
// and the simulated GPIO chip.
var wanted = []string{"virtio_pci", "virtio_blk", "ext4", "crc32c_generic", "vhci-hcd", "usblp", "gpio-sim"}

// modules finds kernel modules below a folder.
type modules struct {
	paths map[string]string // by name, with '-' for '_'
}

// findModules looks at every module file below the folders; the first of a name
// counts.
func findModules(dirs ...string) (*modules, error) {
	m := &modules{paths: make(map[string]string)}
	for _, dir := range dirs {
		err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			name, _, ok := strings.Cut(d.Name(), ".ko")
			if ok && !d.IsDir() && m.paths[moduleName(name)] == "" && strings.HasSuffix(strings.TrimSuffix(d.Name(), ".xz"), ".ko") {
				m.paths[moduleName(name)] = path
			}
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("look for kernel modules: %w", err)
		}
	}
	return m, nil
}

// moduleName makes the two spellings of a module's name one.
func moduleName(s string) string { return strings.ReplaceAll(s, "_", "-") }

// module is one module to load.
type module struct {
	name string
	data []byte
}

// resolve reads the modules named and all they need, in the order to load them.
// A name that has no file is built into the kernel, unless it is missing.
func (m *modules) resolve(names []string) ([]module, error) {
	var list []module
	seen := make(map[string]bool)
	var add func(name string) error
	add = func(name string) error {
		name = moduleName(name)
		path := m.paths[name]
		if seen[name] || path == "" {
			return nil
		}
		seen[name] = true
		data, err := readModule(path)
		if err != nil {
			return err
		}
		depends, err := needs(data)
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		for _, d := range depends {
			if err := add(d); err != nil {
				return err
			}
		}
		list = append(list, module{name, data})
		return nil
	}
	for _, n := range names {
		if err := add(n); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// readModule reads a module, which Debian 13 packs with xz.
func readModule(path string) ([]byte, error) {
	if !strings.HasSuffix(path, ".xz") {
		return os.ReadFile(path)
	}
	data, err := exec.Command("xz", "-dc", path).Output()
	if err != nil {
		return nil, fmt.Errorf("unpack %s: %w", path, err)
	}
	return data, nil
}

// needs gives what a module says it needs.
func needs(data []byte) ([]string, error) {
	f, err := elf.NewFile(bytes.NewReader(data))
	if err != nil {
		return nil, fmt.Errorf("read the module: %w", err)
	}
	s := f.Section(".modinfo")
	if s == nil {
		return nil, errors.New("the module says nothing about itself")
	}
	info, err := s.Data()
	if err != nil {
		return nil, fmt.Errorf("read the module: %w", err)
	}
	var list []string
	for field := range bytes.SplitSeq(info, []byte{0}) {
		key, value, _ := strings.Cut(string(field), "=")
		switch key {
		case "depends", "softdep":
			value = strings.TrimPrefix(value, "pre: ")
			list = append(list, strings.FieldsFunc(value, func(r rune) bool { return r == ',' || r == ' ' })...)
		}
	}
	return slices.Compact(list), nil
}

// archive writes a cpio archive as the kernel reads it: "newc", see
// Documentation/driver-api/early-userspace/buffer-format.rst. The kernel puts
// several of them, one after the other, into one tree.
type archive struct {
	w     *bufio.Writer
	inode int
	n     int64 // bytes written
}

func newArchive(w io.Writer) *archive { return &archive{w: bufio.NewWriterSize(w, 1<<20)} }

// entry is one file of an archive.
type entry struct {
	name     string // without a slash at its beginning
	mode     uint32 // kind and rights as in struct stat
	uid, gid int
	device   int // major<<8|minor of a device node
}

// add adds a file whose size bytes come from r. Write errors are kept by the
// bufio.Writer and come with close.
func (a *archive) add(e entry, size int64, r io.Reader) error {
	a.inode++ // each file has its own: hard links become copies
	a.printf("070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%s\x00",
		a.inode, e.mode, e.uid, e.gid, 1, 0, size, 0, 0, e.device>>8, e.device&0xff, len(e.name)+1, 0, e.name)
	a.pad()
	if size > 0 {
		n, err := io.CopyN(a.w, r, size)
		a.n += n
		if err != nil {
			return fmt.Errorf("add %s to the archive: %w", e.name, err)
		}
	}
	a.pad()
	return nil
}

// addBytes adds a file or, without data, a directory.
func (a *archive) addBytes(name string, mode uint32, data []byte) error {
	return a.add(entry{name: name, mode: mode}, int64(len(data)), bytes.NewReader(data))
}

// close ends the archive.
func (a *archive) close() error {
	if err := a.add(entry{name: "TRAILER!!!"}, 0, nil); err != nil {
		return err
	}
	return a.w.Flush()
}

func (a *archive) printf(format string, args ...any) {
	n, _ := fmt.Fprintf(a.w, format, args...)
	a.n += int64(n)
}

func (a *archive) pad() {
	for a.n%4 != 0 {
		a.w.WriteByte(0)
		a.n++
	}
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
	linked := make(map[string][]byte) // files small enough to be linked to
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
		if name == "" {
			continue
		}
		e := entry{name: name, mode: uint32(h.Mode & 0o7777), uid: h.Uid, gid: h.Gid, device: int(h.Devmajor<<8 | h.Devminor)}
		switch h.Typeflag {
		case tar.TypeReg:
			e.mode |= isFile
			data, err := io.ReadAll(t)
			if err != nil {
				return fmt.Errorf("read the root file system: %w", err)
			}
			linked[name] = data
			err = a.add(e, h.Size, bytes.NewReader(data))
			if err != nil {
				return err
			}
			continue
		case tar.TypeLink:
			target := strings.TrimPrefix(h.Linkname, "./")
			data, ok := linked[target]
			if !ok {
				return fmt.Errorf("%s links to %s, which is not there", name, target)
			}
			e.mode |= isFile
			err = a.add(e, int64(len(data)), bytes.NewReader(data))
		case tar.TypeSymlink:
			e.mode |= isLink
			err = a.add(e, int64(len(h.Linkname)), strings.NewReader(h.Linkname))
		case tar.TypeDir:
			e.mode |= isDir
			err = a.add(e, 0, nil)
		case tar.TypeChar:
			e.mode |= isChar
			err = a.add(e, 0, nil)
		case tar.TypeBlock:
			e.mode |= isBlock
			err = a.add(e, 0, nil)
		}
		if err != nil {
			return err
		}
	}
}
