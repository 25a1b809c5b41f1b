package main

import (
	"bufio"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// versions lists what this program is made of and runs on, for a diagnosis: one
// thing a line.
func versions() string {
	var b strings.Builder
	fmt.Fprintf(&b, "docscand %s\n%s %s/%s\n", version, runtime.Version(), runtime.GOOS, runtime.GOARCH)
	var u unix.Utsname
	if err := unix.Uname(&u); err == nil {
		fmt.Fprintf(&b, "kernel %s\n", unix.ByteSliceToString(u.Release[:]))
	}
	if text, err := os.ReadFile("/etc/os-release"); err == nil {
		for line := range strings.Lines(string(text)) {
			if v, ok := strings.CutPrefix(line, "PRETTY_NAME="); ok {
				fmt.Fprintf(&b, "%s\n", strings.Trim(strings.TrimSpace(v), `"`))
			}
		}
	}
	for _, name := range sharedLibraries() {
		fmt.Fprintln(&b, name)
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, d := range info.Deps {
			fmt.Fprintf(&b, "%s %s\n", d.Path, d.Version)
		}
	}
	return b.String()
}

// sharedLibraries names the shared libraries in this process by their files,
// which have the version in their name.
func sharedLibraries() []string {
	f, err := os.Open("/proc/self/maps")
	if err != nil {
		return []string{err.Error()}
	}
	defer f.Close()
	names := make(map[string]bool)
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		if at := strings.IndexByte(lines.Text(), '/'); at >= 0 && strings.Contains(lines.Text(), ".so") {
			names[filepath.Base(lines.Text()[at:])] = true
		}
	}
	return slices.Sorted(maps.Keys(names))
}
