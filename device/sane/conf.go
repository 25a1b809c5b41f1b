package sane

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// maxConf bounds a file of backend names. Debian's has 2 KB.
const maxConf = 64 << 10

// backends lists those that the system has switched on: in dll.conf, and in the
// files that packages put into dll.d. A system without either has none.
func backends(dir string) ([]string, error) {
	files := []string{filepath.Join(dir, "dll.conf")}
	entries, err := os.ReadDir(filepath.Join(dir, "dll.d"))
	if err != nil && !os.IsNotExist(err) {
		return nil, fmt.Errorf("look for SANE's backends: %w", err)
	}
	for _, e := range entries {
		// As SANE does, leave out what editors and dpkg leave behind.
		if name := e.Name(); !strings.HasPrefix(name, ".") && !strings.HasSuffix(name, "~") && !strings.Contains(name, ".dpkg-") {
			files = append(files, filepath.Join(dir, "dll.d", name))
		}
	}
	var all []string
	for _, file := range files {
		names, err := backendsIn(file)
		if err != nil && !os.IsNotExist(err) {
			return nil, fmt.Errorf("look for SANE's backends: %w", err)
		}
		for _, name := range names {
			if !slices.Contains(all, name) {
				all = append(all, name)
			}
		}
	}
	return all, nil
}

// backendsIn reads one such file: a name on each line, # before remarks.
func backendsIn(file string) ([]string, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return parseBackends(io.LimitReader(f, maxConf))
}

func parseBackends(r io.Reader) ([]string, error) {
	var names []string
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		name, _, _ := strings.Cut(lines.Text(), "#")
		if name = strings.TrimSpace(name); backendName.MatchString(name) {
			names = append(names, name)
		}
	}
	return names, lines.Err()
}

// writeConf makes dir a folder of settings in which only these backends are on.
// SANE takes the first dll.conf and the first dll.d that it finds, so both are
// here, and all other settings are still the system's.
func writeConf(dir string, names []string) error {
	if err := os.MkdirAll(filepath.Join(dir, "dll.d"), 0o700); err != nil {
		return fmt.Errorf("write settings for SANE: %w", err)
	}
	text := "# Made by docscan of the system's dll.conf and dll.d.\n" + strings.Join(names, "\n") + "\n"
	// A helper may be reading the one before, and another one be started.
	f, err := os.CreateTemp(dir, "new-*")
	if err != nil {
		return fmt.Errorf("write settings for SANE: %w", err)
	}
	_, err = f.WriteString(text)
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), filepath.Join(dir, "dll.conf"))
	}
	if err != nil {
		os.Remove(f.Name()) // what is left of it is of no use
		return fmt.Errorf("write settings for SANE: %w", err)
	}
	return nil
}
