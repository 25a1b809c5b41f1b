//go:build unix

package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

func isDiskFull(err error) bool {
	return errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT)
}

// FreeBytes is the room the data directory's file system has left for us.
func (s *Store) FreeBytes() (uint64, error) {
	free, _, err := s.DiskBytes()
	return free, err
}

// DiskBytes is the room on the disk that holds the store: what is left for us
// and all there is, in bytes.
func (s *Store) DiskBytes() (free, total uint64, err error) {
	var st unix.Statfs_t
	if err := unix.Statfs(s.dir, &st); err != nil {
		return 0, 0, fmt.Errorf("free space of %s: %w", s.dir, err)
	}
	return uint64(st.Bavail) * uint64(st.Bsize), uint64(st.Blocks) * uint64(st.Bsize), nil
}

// giveTo makes the owner of dir the owner of everything below tree: root, who
// restores, is not the user the daemon runs as.
func giveTo(dir, tree string) error {
	var st unix.Stat_t
	if err := unix.Stat(dir, &st); err != nil {
		return err
	}
	if os.Geteuid() != 0 || st.Uid == 0 {
		return nil
	}
	return filepath.WalkDir(tree, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(path, int(st.Uid), int(st.Gid))
	})
}
