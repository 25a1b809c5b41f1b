package intake

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"slices"

	"github.com/landlock-lsm/go-landlock/landlock"
	"golang.org/x/sys/unix"

	"docscan/device/confine"
)

// Command is the argument by which the daemon's binary becomes a confined tool;
// see Main.
const Command = "confined"

// mostWritten bounds a file that is written, in bytes: an uncompressed image of the pixel limit and
// more.
const mostWritten = 2 << 30

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

// limit sets priority and resource limits, which outlive the change of program.
func limit(memoryMB, cpuSeconds int) error {
	if err := confine.GiveWay(unix.PRIO_PROCESS); err != nil {
		return err
	}
	return confine.Limits{
		MemoryMB:   memoryMB,
		Exec:       true,
		CPUSeconds: cpuSeconds,
		FileSize:   mostWritten,
		OpenFiles:  128,
	}.Set()
}

// restrictFiles leaves programs, libraries and fonts, the file to be read, and
// one folder.
func restrictFiles(file, dir string) error {
	return confine.Files(
		landlock.RODirs("/usr", "/lib", "/lib64", "/bin", "/etc/fonts", "/etc/poppler", "/var/cache/fontconfig").IgnoreIfMissing(),
		landlock.ROFiles("/etc/ld.so.cache", "/etc/ld.so.preload", "/etc/localtime").IgnoreIfMissing(),
		landlock.ROFiles(file),
		landlock.RWFiles(os.DevNull),
		landlock.RWDirs(dir),
	)
}

// restrictCalls forbids what is harmful, the network, signals to others and new
// processes. Which calls Debian's tools need cannot be listed: they link dozens of
// libraries.
func restrictCalls() error {
	forbidden := append([]string{
		"socket", "socketpair", "connect", "bind", "listen", "accept", "accept4", "sendto", "sendmsg", "sendmmsg",
		"pidfd_open", "pidfd_send_signal", "kill", "tkill", "fork", "vfork",
	}, confine.Harmful...)
	return confine.Calls(func(name string) bool { return !slices.Contains(forbidden, name) })
}
