package main

import (
	"bytes"
	"debug/elf"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// wanted are the modules of the machine: its disk, the virtual host controller
// for USB, the driver for printers that is quicker than docscan at a scanner,
// and the simulated GPIO chip.
var wanted = []string{"virtio_pci", "virtio_blk", "crc32c_generic", "ext4", "vhci-hcd", "usblp", "gpio-sim"}

// modules are the kernel's modules.
type modules struct {
	paths   map[string]string // of the file, by name
	builtin map[string]bool   // needs no file
}

// findModules looks at the kernel's modules below dir, as depmod would find them.
func findModules(dir string) (*modules, error) {
	m := &modules{paths: make(map[string]string), builtin: make(map[string]bool)}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if name, ok := moduleName(path); ok && err == nil && !d.IsDir() {
			m.paths[name] = path
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("look for kernel modules: %w", err)
	}
	list, err := os.ReadFile(filepath.Join(dir, "modules.builtin"))
	if err != nil {
		return nil, fmt.Errorf("look for kernel modules: %w", err)
	}
	for path := range strings.FieldsSeq(string(list)) {
		if name, ok := moduleName(path); ok {
			m.builtin[name] = true
		}
	}
	return m, nil
}

// moduleName gives the name of the module in a file; of its two spellings that
// with '-'. Debian 13 packs modules with xz.
func moduleName(path string) (string, bool) {
	name, ok := strings.CutSuffix(strings.TrimSuffix(filepath.Base(path), ".xz"), ".ko")
	return strings.ReplaceAll(name, "_", "-"), ok
}

// module is one module to load.
type module struct {
	name string
	data []byte
}

// resolve reads the modules named and all they need, in the order to load them.
func (m *modules) resolve(names []string) ([]module, error) {
	var list []module
	seen := make(map[string]bool)
	var add func(name string) error
	add = func(name string) error {
		name = strings.ReplaceAll(name, "_", "-")
		if seen[name] || m.builtin[name] {
			return nil
		}
		seen[name] = true
		path, ok := m.paths[name]
		if !ok {
			return fmt.Errorf("the kernel has no module %s", name)
		}
		data, err := readModule(path)
		if err != nil {
			return err
		}
		info, err := moduleInfo(data)
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		for _, d := range depends(info) {
			if err := add(d); err != nil {
				return fmt.Errorf("%s: %w", name, err)
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

// readModule reads a module and unpacks it.
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

// moduleInfo gives what a module says about itself: key=value pairs, each ended
// by a zero byte.
func moduleInfo(data []byte) ([]byte, error) {
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
	return info, nil
}

// depends gives the modules that must be loaded before the one with that info.
func depends(info []byte) []string {
	for field := range bytes.SplitSeq(info, []byte{0}) {
		if list, ok := strings.CutPrefix(string(field), "depends="); ok {
			return strings.FieldsFunc(list, func(r rune) bool { return r == ',' })
		}
	}
	return nil
}
