// Package sane drives scanners through libsane: all those that no other package
// here knows.
//
// Backends of SANE hang and crash, and they run whatever a maker's package has
// installed. So libsane is never loaded by the daemon. A [Finder] has it loaded
// by helper processes, the daemon's own binary started again with the argument
// [HelperCommand]: one that lists the devices from time to time, and one for each
// open device. A helper that does not answer in time is killed, and what it was
// about becomes a fault of that one device. All that a helper says is checked
// before it is believed.
//
// Nothing here links libsane. Without it the Finder finds nothing and says so
// once.
package sane

import (
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
)

// Config is the table [device.sane] of docscan.toml.
type Config struct {
	// Enabled says whether libsane is used at all.
	Enabled bool `toml:"enabled"`
	// Exclude names backends that are not loaded.
	Exclude []string `toml:"exclude"`
	// ConfigDir is where SANE keeps its settings.
	ConfigDir string `toml:"config_dir"`
	// ListSeconds bounds one search for devices by all backends.
	ListSeconds int `toml:"list_seconds"`
	// RelistSeconds is how often devices are searched for if nothing has changed
	// on USB; 0: never.
	RelistSeconds int `toml:"relist_seconds"`
	// CallSeconds bounds opening a device and setting an option.
	CallSeconds int `toml:"call_seconds"`
	// StartSeconds bounds the start of a page. Lamps warm up within it.
	StartSeconds int `toml:"start_seconds"`
	// SilenceSeconds is how long a page may bring nothing.
	SilenceSeconds int `toml:"silence_seconds"`
	// MemoryMB is what a helper may use.
	MemoryMB int `toml:"memory_mb"`
}

// DefaultConfig leaves out the backends whose scanners have drivers here, those
// for the network, and cameras.
func DefaultConfig() Config {
	return Config{
		Enabled:        true,
		Exclude:        []string{"escl", "airscan", "fujitsu", "epsonds", "net", "v4l"},
		ConfigDir:      "/etc/sane.d",
		ListSeconds:    40,
		RelistSeconds:  600,
		CallSeconds:    20,
		StartSeconds:   120,
		SilenceSeconds: 60,
		MemoryMB:       512,
	}
}

// backendName is how SANE calls a backend: it becomes part of a file name.
var backendName = regexp.MustCompile(`^[A-Za-z0-9_+-]{1,40}$`)

// Check says what is wrong with the settings.
func (c *Config) Check() error {
	var errs []error
	between := func(key string, v, low, high int) {
		if v < low || v > high {
			errs = append(errs, fmt.Errorf("%s is %d: it must be %d to %d", key, v, low, high))
		}
	}
	between("list_seconds", c.ListSeconds, 1, 600)
	between("relist_seconds", c.RelistSeconds, 0, 86400)
	between("call_seconds", c.CallSeconds, 1, 600)
	between("start_seconds", c.StartSeconds, 1, 3600)
	between("silence_seconds", c.SilenceSeconds, 1, 3600)
	between("memory_mb", c.MemoryMB, 64, 65536)
	for _, name := range c.Exclude {
		if !backendName.MatchString(name) {
			errs = append(errs, fmt.Errorf(`exclude names %q, which is not the name of a backend, such as "epson2"`, name))
		}
	}
	if !filepath.IsAbs(c.ConfigDir) {
		errs = append(errs, fmt.Errorf("config_dir is %q: it must be the full path of a folder, such as /etc/sane.d", c.ConfigDir))
	}
	return errors.Join(errs...)
}

// excludes says whether a backend is to be left out.
func (c *Config) excludes(backend string) bool { return slices.Contains(c.Exclude, backend) }

// libraryFile is the name under which Debian's package libsane1 installs it.
const libraryFile = "libsane.so.1"

// Installed says where libsane is, or that it is not here. It only looks for the
// file, as loading libsane is for helpers.
func Installed() (path string, ok bool) {
	for _, pattern := range []string{"/usr/lib/*/", "/usr/lib/", "/usr/local/lib/", "/usr/local/lib/*/"} {
		if found, err := filepath.Glob(pattern + libraryFile); err == nil && len(found) > 0 {
			return found[0], true
		}
	}
	return "", false
}
