package ocr

import (
	"flag"
	"fmt"
	"os"
	"strconv"
	"strings"

	seccomp "github.com/elastic/go-seccomp-bpf"
	"github.com/elastic/go-seccomp-bpf/arch"
	"github.com/landlock-lsm/go-landlock/landlock"
	"golang.org/x/sys/unix"
)

// workerFlags are the arguments of a worker: what its sandbox needs to know
// before the first request.
type workerFlags struct {
	data       []string // folders with Tesseract's data: the one it is given, and where links in it lead
	memoryMB   int
	cpuSeconds int
}

func (f workerFlags) args() []string {
	args := []string{"-memory-mb", strconv.Itoa(f.memoryMB), "-cpu-seconds", strconv.Itoa(f.cpuSeconds)}
	for _, dir := range f.data {
		args = append(args, "-tessdata", dir)
	}
	return args
}

func parseWorkerFlags(args []string) (workerFlags, error) {
	var f workerFlags
	set := flag.NewFlagSet("worker", flag.ContinueOnError)
	set.Func("tessdata", "folder with Tesseract's data", func(dir string) error {
		f.data = append(f.data, dir)
		return nil
	})
	set.IntVar(&f.memoryMB, "memory-mb", 1024, "memory the worker may use for its work")
	set.IntVar(&f.cpuSeconds, "cpu-seconds", 3600, "processor time in the worker's whole life")
	return f, set.Parse(args)
}

// niceness lets the daemon, and with it the feeder, go first.
const niceness = 10

// confine takes from this process what it does not need. It is called before
// the process has seen a byte from outside. What the kernel cannot do is listed
// in missing; the rest holds for all threads, present and future.
func confine(f workerFlags) greeting {
	var g greeting
	apply := func(name string, err error) {
		if err != nil {
			g.Missing = append(g.Missing, fmt.Sprintf("%s (%v)", name, err))
		} else {
			g.InForce = append(g.InForce, name)
		}
	}
	// The worker leads a process group of its own, so this reaches all threads.
	apply("priority", unix.Setpriority(unix.PRIO_PGRP, 0, niceness))
	apply("limits", limit(f))
	if len(f.data) == 0 {
		apply("landlock", restrictFiles())
	} else {
		apply("landlock", restrictFiles(landlock.RODirs(f.data...)))
	}
	apply("seccomp", restrictCalls())
	return g
}

// limit sets the resource limits. The memory limit counts what can be written
// (RLIMIT_DATA), not address space: Go reserves far more of that than it uses.
func limit(f workerFlags) error {
	have, err := dataSize()
	if err != nil {
		return err
	}
	for _, l := range []struct {
		resource int
		value    uint64
	}{
		{unix.RLIMIT_DATA, have + uint64(f.memoryMB)<<20},
		{unix.RLIMIT_CPU, uint64(f.cpuSeconds)},
		{unix.RLIMIT_FSIZE, 2 << 30}, // an uncompressed image of the pixel limit and more
		{unix.RLIMIT_NOFILE, 64},
		{unix.RLIMIT_CORE, 0},
	} {
		if err := unix.Setrlimit(l.resource, &unix.Rlimit{Cur: l.value, Max: l.value}); err != nil {
			return fmt.Errorf("limit %d: %w", l.resource, err)
		}
	}
	return nil
}

// dataSize gives the writable memory that the process holds already, which the
// runtime takes before any work.
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

// restrictFiles leaves only rules of the file system, no network, and no
// signals to other processes, as far as the kernel's Landlock goes.
func restrictFiles(rules ...landlock.Rule) error {
	// gosseract opens it while Tesseract starts.
	rules = append(rules, landlock.RWFiles(os.DevNull))
	if v, err := landlockVersion(); err != nil {
		return err
	} else if v < 1 {
		return fmt.Errorf("version %d", v)
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

// allowed are the system calls that the Go runtime, the C library and the two
// C++ libraries make once they are loaded. Not among them: anything that opens
// a socket, starts a program, signals or looks into another process, mounts,
// or changes names, owners or modes of files. Some names are those of one
// architecture only.
var allowed = []string{
	"read", "readv", "pread64", "write", "writev", "pwrite64", "lseek", "_llseek", "close", "dup", "dup2", "dup3", "fcntl", "fcntl64",
	"open", "openat", "access", "faccessat", "faccessat2", "readlink", "readlinkat", "getdents64", "getcwd",
	"stat", "stat64", "lstat", "lstat64", "fstat", "fstat64", "newfstatat", "fstatat64", "statx", "statfs", "fstatfs",
	"recvmsg", "recvfrom", "poll", "ppoll", "select", "_newselect", "pselect6",
	"epoll_create", "epoll_create1", "epoll_ctl", "epoll_wait", "epoll_pwait", "epoll_pwait2", "eventfd2", "pipe", "pipe2",
	"mmap", "mmap2", "munmap", "mremap", "mprotect", "madvise", "mincore", "brk", "membarrier",
	"clone", "clone3", "exit", "exit_group", "futex", "futex_time64", "futex_waitv", "set_robust_list", "get_robust_list", "rseq",
	"set_tid_address", "set_tls", "arch_prctl", "prctl", "gettid", "getpid", "getppid", "getuid", "geteuid", "getgid", "getegid",
	"sched_yield", "sched_getaffinity", "getcpu", "getpriority", "getrusage", "getrlimit", "ugetrlimit", "sysinfo", "uname", "getrandom",
	"rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "sigreturn", "sigaltstack", "rt_sigtimedwait", "restart_syscall",
	"nanosleep", "clock_nanosleep", "clock_nanosleep_time64", "clock_gettime", "clock_gettime64", "clock_getres", "gettimeofday", "time",
	"timer_create", "timer_settime", "timer_delete", "setitimer", "cacheflush",
}

// restrictCalls forbids all other system calls. They fail as for want of
// permission, and so do those of the machine's other architectures.
func restrictCalls() error {
	here, err := arch.GetInfo("")
	if err != nil {
		return err
	}
	var names []string
	for _, name := range allowed {
		if _, ok := here.SyscallNames[name]; ok {
			names = append(names, name)
		}
	}
	only := func(name string, argument uint32, value uint64) seccomp.NameWithConditions {
		return seccomp.NameWithConditions{
			Name:       name,
			Conditions: seccomp.ArgumentConditions{{Argument: argument, Operation: seccomp.Equal, Value: value}},
		}
	}
	return seccomp.LoadFilter(seccomp.Filter{
		NoNewPrivs: true,
		Flag:       seccomp.FilterFlagTSync,
		Policy: seccomp.Policy{
			DefaultAction: seccomp.ActionErrno,
			Syscalls: []seccomp.SyscallGroup{{
				Names: names,
				NamesWithCondtions: []seccomp.NameWithConditions{
					only("tgkill", 0, uint64(os.Getpid())), // Go's runtime signals its own threads
					only("prlimit64", 2, 0),                // asking, not setting
					only("ioctl", 1, unix.TCGETS),          // "is this a terminal?"
				},
				Action: seccomp.ActionAllow,
			}},
		},
	})
}
