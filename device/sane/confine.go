package sane

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	seccomp "github.com/elastic/go-seccomp-bpf"
	"github.com/elastic/go-seccomp-bpf/arch"
	"github.com/landlock-lsm/go-landlock/landlock"
	"golang.org/x/sys/unix"
)

// confine takes from this process what no backend needs. It is called before
// libsane is loaded. What the kernel cannot do is listed in Missing; the rest
// holds for all threads and children, present and future.
func confine(f helperFlags) *rights {
	var r rights
	apply := func(name string, err error) {
		if err != nil {
			r.Missing = append(r.Missing, fmt.Sprintf("%s (%v)", name, err))
		} else {
			r.InForce = append(r.InForce, name)
		}
	}
	apply("limits", limit(f.memoryMB))
	apply("landlock", restrictFiles(f))
	apply("seccomp", restrictCalls())
	return &r
}

// limit sets the resource limits. The memory limit counts what can be written
// (RLIMIT_DATA), not address space: Go reserves far more of that than it uses.
func limit(memoryMB int) error {
	have, err := dataSize()
	if err != nil {
		return err
	}
	for _, l := range []struct {
		resource int
		value    uint64
	}{
		{unix.RLIMIT_DATA, have + uint64(memoryMB)<<20},
		{unix.RLIMIT_FSIZE, 64 << 20}, // calibration data; pages go through the pipe
		{unix.RLIMIT_NOFILE, 256},
		{unix.RLIMIT_CORE, 0},
	} {
		if err := unix.Setrlimit(l.resource, &unix.Rlimit{Cur: l.value, Max: l.value}); err != nil {
			return fmt.Errorf("limit %d: %w", l.resource, err)
		}
	}
	return nil
}

// dataSize gives the writable memory that the process holds already.
func dataSize() (uint64, error) {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, "VmData:"); ok {
			kb, err := strconv.ParseUint(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
			return kb << 10, err
		}
	}
	return 0, fmt.Errorf("the kernel does not say how much memory is in use")
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
	if v, err := landlockVersion(); err != nil {
		return err
	} else if v < 1 {
		return fmt.Errorf("version %d", v)
	}
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
	return landlock.V6.BestEffort().Restrict(rules...)
}

// landlockVersion asks the kernel, because a best effort on a kernel without
// Landlock succeeds and does nothing.
func landlockVersion() (int, error) {
	const createRulesetVersion = 1
	v, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, createRulesetVersion)
	if errno != 0 {
		return 0, errno
	}
	return int(v), nil
}

// forbidden are system calls that no backend makes: those that start programs,
// look into other processes, or change the system. Unlike the workers for pages,
// which run three known libraries, helpers run whatever backend somebody has
// installed, so that what they may do cannot be listed.
var forbidden = []string{
	"execve", "execveat", "ptrace", "process_vm_readv", "process_vm_writev", "kcmp", "pidfd_getfd",
	"mount", "umount2", "pivot_root", "chroot", "move_mount", "open_tree", "fsopen", "fsmount", "fsconfig", "fspick", "mount_setattr",
	"unshare", "setns", "bpf", "perf_event_open", "userfaultfd", "io_uring_setup", "keyctl", "add_key", "request_key",
	"init_module", "finit_module", "delete_module", "kexec_load", "kexec_file_load", "reboot", "swapon", "swapoff", "acct", "quotactl",
	"settimeofday", "clock_settime", "clock_adjtime", "adjtimex", "sethostname", "setdomainname", "syslog", "personality",
	"chown", "fchown", "lchown", "fchownat", "setuid", "setgid", "setreuid", "setregid", "setresuid", "setresgid", "setgroups",
	"name_to_handle_at", "open_by_handle_at", "fanotify_init",
}

// restrictCalls forbids them, and every socket but those that udev and local
// services talk through: a helper has no network. Forbidden calls fail as for
// want of permission. Programs started by set-user-ID gain nothing any more.
func restrictCalls() error {
	here, err := arch.GetInfo("")
	if err != nil {
		return err
	}
	// All others are allowed one by one, so that those of the machine's other
	// architectures, which have other numbers, are forbidden too.
	var names []string
	for name := range here.SyscallNames {
		if name != "socket" && !slices.Contains(forbidden, name) {
			names = append(names, name)
		}
	}
	socket := func(family uint64) seccomp.NameWithConditions {
		return seccomp.NameWithConditions{
			Name:       "socket",
			Conditions: seccomp.ArgumentConditions{{Argument: 0, Operation: seccomp.Equal, Value: family}},
		}
	}
	return seccomp.LoadFilter(seccomp.Filter{
		NoNewPrivs: true,
		Flag:       seccomp.FilterFlagTSync,
		Policy: seccomp.Policy{
			DefaultAction: seccomp.ActionErrno,
			Syscalls: []seccomp.SyscallGroup{{
				Names:              names,
				NamesWithCondtions: []seccomp.NameWithConditions{socket(unix.AF_UNIX), socket(unix.AF_NETLINK)},
				Action:             seccomp.ActionAllow,
			}},
		},
	})
}
