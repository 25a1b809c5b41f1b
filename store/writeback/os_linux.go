package writeback

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// begin sets the disk to work on n bytes of f and does not wait for it.
func begin(f *os.File, offset, n int64) error {
	return sync(f, offset, n, unix.SYNC_FILE_RANGE_WRITE)
}

// await waits until n bytes of f are carried to the disk.
func await(f *os.File, offset, n int64) error {
	return sync(f, offset, n, unix.SYNC_FILE_RANGE_WAIT_BEFORE|unix.SYNC_FILE_RANGE_WRITE|unix.SYNC_FILE_RANGE_WAIT_AFTER)
}

func sync(f *os.File, offset, n int64, flags int) error {
	err := unix.SyncFileRange(int(f.Fd()), offset, n, flags)
	for _, lost := range []error{unix.EIO, unix.ENOSPC, unix.EDQUOT} {
		if errors.Is(err, lost) {
			return err
		}
	}
	// It cannot be asked: by this file system, or by a process that is confined, as systemd
	// knows the call under another name than 32-bit ARM has for it. The sync at the end
	// does it.
	return nil
}
