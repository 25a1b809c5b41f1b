// Init is the first program of the rig's machine. It loads the kernel modules
// that stand in its initramfs, in the order of the file /rig/modules, mounts the
// disk for docscan's data, and becomes systemd. There is no other root: all but
// the data is in memory. With rigroot=1 on the kernel's command line the disk is
// the root instead, and the initramfs holds the modules only.
package main

import (
	"fmt"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

func main() {
	if err := start(); err != nil {
		fmt.Fprintln(os.Stderr, "rig: init:", err)
		// The end of the first program would be a kernel panic without a word.
		unix.Sync()
		_ = unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF)
	}
}

// The disk, and where its file system goes.
const (
	disk = "/dev/vda"
	data = "/var/lib/docscan"
)

func start() error {
	if err := unix.Mount("devtmpfs", "/dev", "devtmpfs", 0, ""); err != nil {
		return fmt.Errorf("mount /dev: %w", err)
	}
	list, err := os.ReadFile("/rig/modules")
	if err != nil {
		return fmt.Errorf("read the list of modules: %w", err)
	}
	for name := range strings.FieldsSeq(string(list)) {
		if err := load("/rig/" + name); err != nil {
			return err
		}
	}
	if err := waitFor(disk, 30*time.Second); err != nil {
		return err
	}
	if _, whole := os.LookupEnv("rigroot"); whole {
		if err := enter(disk); err != nil {
			return err
		}
	} else if err := unix.Mount(disk, data, "ext4", 0, ""); err != nil {
		return fmt.Errorf("mount the disk: %w", err)
	}
	const systemd = "/usr/lib/systemd/systemd"
	return fmt.Errorf("start %s: %w", systemd, unix.Exec(systemd, []string{systemd}, []string{"PATH=/usr/sbin:/usr/bin"}))
}

// enter makes the disk's file system the root.
func enter(disk string) error {
	const root = "/newroot"
	if err := os.Mkdir(root, 0o755); err != nil {
		return err
	}
	if err := unix.Mount(disk, root, "ext4", 0, ""); err != nil {
		return fmt.Errorf("mount the root: %w", err)
	}
	if err := unix.Mount("/dev", root+"/dev", "", unix.MS_MOVE, ""); err != nil {
		return fmt.Errorf("move /dev: %w", err)
	}
	if err := unix.Chdir(root); err != nil {
		return err
	}
	if err := unix.Mount(".", "/", "", unix.MS_MOVE, ""); err != nil {
		return fmt.Errorf("move the root: %w", err)
	}
	if err := unix.Chroot("."); err != nil {
		return err
	}
	return unix.Chdir("/")
}

// load loads one module, which the builder has unpacked.
func load(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("load a module: %w", err)
	}
	defer f.Close()
	if err := unix.FinitModule(int(f.Fd()), "", 0); err != nil && err != unix.EEXIST {
		return fmt.Errorf("load %s: %w", path, err)
	}
	return nil
}

// waitFor waits for a device, which its driver finds beside us.
func waitFor(path string, patience time.Duration) error {
	for end := time.Now().Add(patience); ; {
		if _, err := os.Stat(path); err == nil {
			return nil
		}
		if time.Now().After(end) {
			return fmt.Errorf("%s did not come within %v", path, patience)
		}
		time.Sleep(20 * time.Millisecond)
	}
}
