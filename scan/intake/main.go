package intake

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"slices"

	seccomp "github.com/elastic/go-seccomp-bpf"
	"github.com/elastic/go-seccomp-bpf/arch"
	"github.com/landlock-lsm/go-landlock/landlock"
	"golang.org/x/sys/unix"
)

// Command is the argument by which the daemon's binary becomes a confined tool;
// see Main.
const Command = "confined"

// notInstalled is the exit status for a tool that is not there, as shells have it.
const notInstalled = 127

// Main shuts the cage around this process and then becomes the program that the
// arguments name: `docscand confined -read FILE -dir DIR -memory-mb N
// -cpu-seconds N PROGRAM ARGUMENT...`. It returns an exit status only if it
// fails.
func Main(args []string) int {
	set := flag.NewFlagSet(Command, flag.ContinueOnError)
	file := set.String("read", "", "the file it may read")
	dir := set.String("dir", "", "the folder it may write to")
	memoryMB := set.Int("memory-mb", 1024, "memory it may use")
	cpuSeconds := set.Int("cpu-seconds", 180, "processor time it may use")
	if err := set.Parse(args); err != nil || set.NArg() == 0 {
		return 2
	}
	program, err := exec.LookPath(set.Arg(0))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return notInstalled
	}
	err = errors.Join(
		restrictFiles(*file, *dir),
		restrictCalls(),
		limit(*memoryMB, *cpuSeconds), // last, because it holds for what Go itself takes, too
	)
	if err != nil {
		// A kernel without Landlock or seccomp: the limits and the daemon's own
		// confinement hold. The daemon's workers say so once.
		fmt.Fprintln(os.Stderr, "confinement is not complete:", err)
	}
	err = unix.Exec(program, set.Args(), []string{"LC_ALL=C.UTF-8", "PATH=/usr/bin:/bin", "HOME=" + *dir, "TMPDIR=" + *dir, "XDG_CACHE_HOME=" + *dir})
	fmt.Fprintln(os.Stderr, err)
	return 1
}

// niceness lets the daemon, and with it the feeder, go first.
const niceness = 10

// limit sets priority and resource limits, which outlive the change of program.
func limit(memoryMB, cpuSeconds int) error {
	if err := unix.Setpriority(unix.PRIO_PROCESS, 0, niceness); err != nil {
		return fmt.Errorf("priority: %w", err)
	}
	for _, l := range []struct {
		resource int
		value    uint64
	}{
		{unix.RLIMIT_CPU, uint64(cpuSeconds)},
		{unix.RLIMIT_FSIZE, 2 << 30}, // an uncompressed image of the pixel limit and more
		{unix.RLIMIT_NOFILE, 128},
		{unix.RLIMIT_CORE, 0},
		// What can be written, not address space. It is counted anew for the program
		// that this process becomes.
		{unix.RLIMIT_DATA, uint64(memoryMB) << 20},
	} {
		if err := unix.Setrlimit(l.resource, &unix.Rlimit{Cur: l.value, Max: l.value}); err != nil {
			return fmt.Errorf("limit %d: %w", l.resource, err)
		}
	}
	return nil
}

// restrictFiles leaves programs, libraries and fonts, the file to be read, and
// one folder.
func restrictFiles(file, dir string) error {
	version, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, 1) // LANDLOCK_CREATE_RULESET_VERSION
	if errno != 0 || version < 1 {
		return fmt.Errorf("landlock: %w", errno)
	}
	return landlock.V6.BestEffort().Restrict(
		landlock.RODirs("/usr", "/lib", "/lib64", "/bin", "/etc/fonts", "/etc/poppler", "/var/cache/fontconfig").IgnoreIfMissing(),
		landlock.ROFiles("/etc/ld.so.cache", "/etc/ld.so.preload", "/etc/localtime").IgnoreIfMissing(),
		landlock.ROFiles(file),
		landlock.RWFiles(os.DevNull),
		landlock.RWDirs(dir),
	)
}

// forbidden are system calls that no reader of files makes: those of the network,
// those that look into other processes, and those that change the system. Which
// ones Debian's tools need cannot be listed: they link dozens of libraries.
var forbidden = []string{
	"socket", "socketpair", "connect", "bind", "listen", "accept", "accept4", "sendto", "sendmsg", "sendmmsg",
	"ptrace", "process_vm_readv", "process_vm_writev", "kcmp", "pidfd_open", "pidfd_getfd", "pidfd_send_signal", "kill", "tkill",
	"mount", "umount2", "pivot_root", "chroot", "move_mount", "open_tree", "fsopen", "fsmount", "fsconfig", "fspick", "mount_setattr",
	"unshare", "setns", "bpf", "perf_event_open", "userfaultfd", "io_uring_setup", "keyctl", "add_key", "request_key",
	"init_module", "finit_module", "delete_module", "kexec_load", "kexec_file_load", "reboot", "swapon", "swapoff", "acct", "quotactl",
	"settimeofday", "clock_settime", "clock_adjtime", "adjtimex", "sethostname", "setdomainname", "syslog", "personality",
	"chown", "fchown", "lchown", "fchownat", "setuid", "setgid", "setreuid", "setregid", "setresuid", "setresgid", "setgroups",
	"name_to_handle_at", "open_by_handle_at", "fanotify_init", "fork", "vfork",
}

// restrictCalls forbids them; they fail as for want of permission.
func restrictCalls() error {
	here, err := arch.GetInfo("")
	if err != nil {
		return err
	}
	// All others are allowed one by one, so that those of the machine's other
	// architectures, which have other numbers, are forbidden too.
	var names []string
	for name := range here.SyscallNames {
		if !slices.Contains(forbidden, name) {
			names = append(names, name)
		}
	}
	return seccomp.LoadFilter(seccomp.Filter{
		NoNewPrivs: true,
		Flag:       seccomp.FilterFlagTSync,
		Policy: seccomp.Policy{
			DefaultAction: seccomp.ActionErrno,
			Syscalls:      []seccomp.SyscallGroup{{Names: names, Action: seccomp.ActionAllow}},
		},
	})
}
