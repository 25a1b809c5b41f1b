package store

import (
	"errors"
	"fmt"

	"golang.org/x/sys/windows"
)

func isDiskFull(err error) bool {
	return errors.Is(err, windows.ERROR_DISK_FULL) || errors.Is(err, windows.ERROR_HANDLE_DISK_FULL)
}

// FreeBytes is the room the data directory's volume has left for us.
func (s *Store) FreeBytes() (uint64, error) {
	name, err := windows.UTF16PtrFromString(s.dir)
	if err != nil {
		return 0, fmt.Errorf("free space of %s: %w", s.dir, err)
	}
	var free uint64
	if err := windows.GetDiskFreeSpaceEx(name, &free, nil, nil); err != nil {
		return 0, fmt.Errorf("free space of %s: %w", s.dir, err)
	}
	return free, nil
}

// giveTo does nothing here: files inherit the rights of their directory.
func giveTo(dir, tree string) error { return nil }
