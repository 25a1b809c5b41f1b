// Package confine takes from a helper process, for good, what its work does not
// need: docscan decodes images, reads text and drives foreign scanner drivers in
// such processes. It also keeps what a process said before it died.
package confine

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	seccomp "github.com/elastic/go-seccomp-bpf"
	"github.com/elastic/go-seccomp-bpf/arch"
	"github.com/landlock-lsm/go-landlock/landlock"
	"golang.org/x/sys/unix"
)

// Rights says what a process has given up. It is told to the daemon as JSON.
type Rights struct {
	InForce []string `json:"in_force"`
	Missing []string `json:"missing"` // what this kernel does not give, and why
}

// Note records whether the bound of that name is in force.
func (r *Rights) Note(name string, err error) {
	if err != nil {
		r.Missing = append(r.Missing, fmt.Sprintf("%s (%v)", name, err))
	} else {
		r.InForce = append(r.InForce, name)
	}
}

// Niceness is what all that nobody waits for gives way with: requests, and with them the
// feeder, go first.
const Niceness = 10

// GiveWay sees to it that a process (unix.PRIO_PROCESS: the thread that asks, and what it
// starts) or its whole group (unix.PRIO_PGRP) has Niceness at least. One that has more
// keeps it: only root could take it back.
func GiveWay(which int) error {
	n, err := Nice(which)
	if err == nil && n < Niceness {
		err = unix.Setpriority(which, 0, Niceness)
	}
	if err != nil {
		return fmt.Errorf("lower the priority: %w", err)
	}
	return nil
}

// Nice tells how nice a process or its group is, from -20 to 19.
func Nice(which int) (int, error) {
	n, err := unix.Getpriority(which, 0)
	return 20 - n, err // the kernel counts down from 20
}

// Limits are the resource limits of a process.
type Limits struct {
	// MemoryMB is what it may take beside what it holds now, in MiB. What can be
	// written counts (RLIMIT_DATA), not address space: Go reserves far more of that
	// than it uses.
	MemoryMB int
	// Exec says that the process is about to become another program, for which
	// memory is counted anew.
	Exec       bool
	CPUSeconds int    // in its whole life; 0 is without bound
	FileSize   uint64 // of a file it writes, in bytes
	OpenFiles  uint64
}

// Set puts l in force. A process that dies leaves no core file.
func (l Limits) Set() error {
	var have uint64
	if !l.Exec {
		var err error
		if have, err = dataSize(); err != nil {
			return err
		}
	}
	limits := map[int]uint64{
		unix.RLIMIT_DATA:   have + uint64(l.MemoryMB)<<20,
		unix.RLIMIT_FSIZE:  l.FileSize,
		unix.RLIMIT_NOFILE: l.OpenFiles,
		unix.RLIMIT_CORE:   0,
	}
	if l.CPUSeconds > 0 {
		limits[unix.RLIMIT_CPU] = uint64(l.CPUSeconds)
	}
	for resource, value := range limits {
		if err := unix.Setrlimit(resource, &unix.Rlimit{Cur: value, Max: value}); err != nil {
			return fmt.Errorf("limit %d: %w", resource, err)
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

// Files leaves only rules of the file system, no network, and no signals to other
// processes, as far as the kernel's Landlock goes. Without Landlock it fails.
func Files(rules ...landlock.Rule) error {
	if err := Landlock(); err != nil { // a best effort would then succeed and do nothing
		return err
	}
	return landlock.V6.BestEffort().Restrict(rules...)
}

// Landlock says why this kernel has none; nil if it has.
func Landlock() error {
	const createRulesetVersion = 1 // LANDLOCK_CREATE_RULESET_VERSION
	v, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, createRulesetVersion)
	switch {
	case errno != 0:
		return errno
	case v < 1:
		return fmt.Errorf("version %d", v)
	}
	return nil
}

// Harmful are system calls that no driver and no reader of files makes: those that
// look into other processes or change the system. It is for programs of which
// what they need cannot be listed.
var Harmful = []string{
	"ptrace", "process_vm_readv", "process_vm_writev", "kcmp", "pidfd_getfd",
	"mount", "umount2", "pivot_root", "chroot", "move_mount", "open_tree", "fsopen", "fsmount", "fsconfig", "fspick", "mount_setattr",
	"unshare", "setns", "bpf", "perf_event_open", "userfaultfd", "io_uring_setup", "keyctl", "add_key", "request_key",
	"init_module", "finit_module", "delete_module", "kexec_load", "kexec_file_load", "reboot", "swapon", "swapoff", "acct", "quotactl",
	"settimeofday", "clock_settime", "clock_adjtime", "adjtimex", "sethostname", "setdomainname", "syslog", "personality",
	"chown", "fchown", "lchown", "fchownat", "setuid", "setgid", "setreuid", "setregid", "setresuid", "setresgid", "setgroups",
	"name_to_handle_at", "open_by_handle_at", "fanotify_init",
}

// Calls forbids all system calls but those that allowed names, and those that only
// allows with one argument. Names of other architectures count for nothing; nor
// may calls be made by the numbers of the machine's other architectures.
// Forbidden calls fail as for want of permission. Programs started by set-user-ID
// gain nothing any more.
func Calls(allowed func(name string) bool, only ...seccomp.NameWithConditions) error {
	here, err := arch.GetInfo("")
	if err != nil {
		return err
	}
	var names []string
	for name := range here.SyscallNames {
		if allowed(name) {
			names = append(names, name)
		}
	}
	return seccomp.LoadFilter(seccomp.Filter{
		NoNewPrivs: true,
		Flag:       seccomp.FilterFlagTSync, // all threads
		Policy: seccomp.Policy{
			DefaultAction: seccomp.ActionErrno,
			Syscalls:      []seccomp.SyscallGroup{{Names: names, NamesWithCondtions: only, Action: seccomp.ActionAllow}},
		},
	})
}

// Only is the system call of that name, where its argument (the first is 0) has
// that value.
func Only(name string, argument uint32, value uint64) seccomp.NameWithConditions {
	return seccomp.NameWithConditions{
		Name:       name,
		Conditions: seccomp.ArgumentConditions{{Argument: argument, Operation: seccomp.Equal, Value: value}},
	}
}
