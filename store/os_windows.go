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
	free, _, err := s.DiskBytes()
	return free, err
}

// DiskBytes is the room on the disk that holds the store: what is left for us
// and all there is, in bytes.
func (s *Store) DiskBytes() (free, total uint64, err error) {
	name, err := windows.UTF16PtrFromString(s.dir)
	if err != nil {
		return 0, 0, fmt.Errorf("free space of %s: %w", s.dir, err)
	}
	if err := windows.GetDiskFreeSpaceEx(name, &free, &total, nil); err != nil {
		return 0, 0, fmt.Errorf("free space of %s: %w", s.dir, err)
	}
	return free, total, nil
}

// giveTo does nothing here: files inherit the rights of their directory.
func giveTo(dir, tree string) error { return nil }
