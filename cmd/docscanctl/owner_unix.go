//go:build unix

package main

import (
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

// handOver gives what root has put into dir to the owner of dir, docscand's
// user, who could not open it otherwise. Nothing outside dir is touched, also
// if that user changes links meanwhile.
func handOver(dir string) error {
	if os.Geteuid() != 0 {
		return nil
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return fmt.Errorf("give %s to its owner: %w", dir, err)
	}
	defer root.Close()
	info, err := root.Stat(".")
	if err != nil {
		return fmt.Errorf("give %s to its owner: %w", dir, err)
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	if !ok || owner.Uid == 0 {
		return nil
	}
	err = fs.WalkDir(root.FS(), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() && !d.Type().IsRegular() {
			return err
		}
		return root.Lchown(name, int(owner.Uid), int(owner.Gid))
	})
	if err != nil {
		return fmt.Errorf("give %s to its owner: %w", dir, err)
	}
	return nil
}
