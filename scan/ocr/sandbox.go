package ocr

import (
	"flag"
	"os"
	"slices"
	"strconv"

	"github.com/landlock-lsm/go-landlock/landlock"
	"golang.org/x/sys/unix"

	"docscan/device/confine"
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

// giveUp takes from this process what it does not need. It is called before
// the process has seen a byte from outside. What the kernel cannot do is listed
// in Missing; the rest holds for all threads, present and future. What it gives is
// the first frame of a worker, before it takes a request.
func giveUp(f workerFlags) confine.Rights {
	var r confine.Rights
	// The worker leads a process group of its own, so this reaches all threads.
	r.Note("priority", confine.GiveWay(unix.PRIO_PGRP))
	r.Note("limits", confine.Limits{
		MemoryMB:   f.memoryMB,
		CPUSeconds: f.cpuSeconds,
		FileSize:   2 << 30, // an uncompressed image of the pixel limit and more
		OpenFiles:  64,
	}.Set())
	rules := []landlock.Rule{landlock.RWFiles(os.DevNull)} // gosseract opens it while Tesseract starts
	if len(f.data) > 0 {
		rules = append(rules, landlock.RODirs(f.data...))
	}
	r.Note("landlock", confine.Files(rules...))
	r.Note("seccomp", restrictCalls())
	return r
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

// restrictCalls forbids all other system calls.
func restrictCalls() error {
	return confine.Calls(
		func(name string) bool { return slices.Contains(allowed, name) },
		confine.Only("tgkill", 0, uint64(os.Getpid())), // Go's runtime signals its own threads
		confine.Only("prlimit64", 2, 0),                // asking, not setting
		confine.Only("ioctl", 1, unix.TCGETS),          // "is this a terminal?"
	)
}
