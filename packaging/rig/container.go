package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// runContainer runs what is on the disk in a container, with systemd as its first
// program, until that switches itself off or ctx ends, as if the power was cut. It
// has this machine's kernel and speed; without KVM QEMU takes ten times as long.
func runContainer(ctx context.Context, disk, root, more string, c *console) (err error) {
	if err := os.MkdirAll(root, 0o755); err != nil {
		return err
	}
	if err := command(context.WithoutCancel(ctx), "mount", "-o", "loop", disk, root); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, unmount(root, disk)) }()
	cmd := exec.CommandContext(ctx, "systemd-nspawn", "--quiet", "--register=no", "--keep-unit", "--private-network",
		"--console=read-only", "--directory="+root, "--boot", more)
	cmd.Env = append(os.Environ(), "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1")
	cmd.Stdout, cmd.Stderr = c, c
	var cut error
	cmd.Cancel = func() error {
		cut = cutPower(root)
		return killAll(cmd.Process.Pid)
	}
	err = cmd.Run()
	switch {
	case cut != nil:
		return cut
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case err != nil:
		return fmt.Errorf("run the container: %w", err)
	}
	return nil
}

// killAll kills systemd-nspawn and first the first program in the container, with which
// all others in there go.
func killAll(nspawn int) error {
	children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", nspawn, nspawn))
	if err != nil {
		return fmt.Errorf("end the container: %w", err)
	}
	for _, word := range append(strings.Fields(string(children)), strconv.Itoa(nspawn)) {
		pid, err := strconv.Atoi(word)
		if err != nil {
			return fmt.Errorf("end the container: %w", err)
		}
		if err := unix.Kill(pid, unix.SIGKILL); err != nil && err != unix.ESRCH {
			return fmt.Errorf("end the container: %w", err)
		}
	}
	return nil
}

// Of the kernel's fs/ext4/ext4.h: EXT4_IOC_SHUTDOWN, and the way of shutting down
// that writes nothing more, not even the journal.
const (
	ext4Shutdown   = 0x8004587d
	noJournalFlush = 2
)

// cutPower takes the disk away from the file system at this instant: what is not on
// it never will be.
func cutPower(root string) error {
	f, err := os.Open(root)
	if err != nil {
		return fmt.Errorf("cut the power: %w", err)
	}
	defer f.Close()
	if err := unix.IoctlSetPointerInt(int(f.Fd()), ext4Shutdown, noJournalFlush); err != nil {
		return fmt.Errorf("cut the power: %w", err)
	}
	return nil
}

// unmount waits for the last of those who use the file system, and until the kernel has
// let go of the disk: otherwise the next mount would get what was shut down.
func unmount(root, disk string) error {
	for end := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		err := unix.Unmount(root, 0)
		if err == unix.EINVAL { // it is done
			var text []byte
			if text, err = exec.Command("losetup", "--associated", disk).Output(); err == nil && len(text) == 0 {
				return nil
			}
		}
		if time.Now().After(end) {
			return fmt.Errorf("%s is still in use: %w", disk, err)
		}
	}
}
