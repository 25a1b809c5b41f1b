package sane

import (
	"slices"

	"github.com/landlock-lsm/go-landlock/landlock"
	"golang.org/x/sys/unix"

	"docscan/device/confine"
)

// giveUp takes from this process what no backend needs. It is called before
// libsane is loaded. What the kernel cannot do is listed in Missing; the rest
// holds for all threads and children, present and future.
func giveUp(f helperFlags) *confine.Rights {
	var r confine.Rights
	r.Note("limits", confine.Limits{
		MemoryMB:  f.memoryMB,
		FileSize:  64 << 20, // calibration data; pages go through the pipe
		OpenFiles: 256,
	}.Set())
	r.Note("landlock", restrictFiles(f))
	r.Note("seccomp", restrictCalls())
	return &r
}

// What a backend reads: itself and other libraries, its settings, what udev and
// the kernel know of devices, and firmware. Makers' own packages are at home in
// /opt and /etc/opt.
var readableDirs = []string{
	"/usr", "/lib", "/lib64", "/opt", "/etc/opt", "/etc/sane.d", "/etc/udev", "/etc/hp", "/etc/utsushi",
	"/sys", "/proc", "/run/udev", "/var/lib/hp",
}

// Single files that the C library reads.
var readableFiles = []string{
	"/etc/ld.so.cache", "/etc/ld.so.preload", "/etc/localtime", "/etc/passwd", "/etc/group", "/etc/nsswitch.conf",
}

// restrictFiles leaves of the file system what backends need: nothing of what
// was scanned before is among it.
func restrictFiles(f helperFlags) error {
	rules := []landlock.Rule{
		landlock.RODirs(readableDirs...).IgnoreIfMissing(),
		landlock.ROFiles(readableFiles...).IgnoreIfMissing(),
		landlock.RWDirs("/dev").WithIoctlDev(),
		landlock.RWDirs("/run/lock").IgnoreIfMissing(), // backends for parallel ports
		landlock.RODirs(f.readable...).IgnoreIfMissing(),
	}
	if f.dir != "" {
		rules = append(rules, landlock.RWDirs(f.dir))
	}
	return confine.Files(rules...)
}

// restrictCalls forbids what is harmful, to start programs, and every socket but
// those that udev and local services talk through: a helper has no network. Unlike
// the workers for pages, which run three known libraries, helpers run whatever
// backend somebody has installed, so that what they may do cannot be listed.
func restrictCalls() error {
	forbidden := append([]string{"execve", "execveat", "socket"}, confine.Harmful...)
	return confine.Calls(
		func(name string) bool { return !slices.Contains(forbidden, name) },
		confine.Only("socket", 0, unix.AF_UNIX), confine.Only("socket", 0, unix.AF_NETLINK),
	)
}
