package store

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"sync/atomic"

	"go.etcd.io/bbolt"
	"golang.org/x/sys/unix"
)

// mostMapped is how much more of files this process may have in memory, in bytes, than when
// it last let go of the database: what a list of documents that lie far apart needs, as the
// system maps 64 KiB around each.
const mostMapped = 4 << 20

// A footprint lets go of the pages of the database that were read. They are the system's,
// which keeps them and gives them back in a microsecond. But as long as they are mapped they
// count as this process's, in the end the whole database, and when memory is short the system
// takes others first.
type footprint struct {
	statm *os.File     // says what this process has in memory; nil: nothing does
	least atomic.Int64 // of files, in bytes, since it last let go
}

func (f *footprint) open() (err error) {
	f.statm, err = os.Open("/proc/self/statm")
	return err
}

func (f *footprint) close() {
	if f.statm != nil {
		f.statm.Close()
	}
}

// letGo lets go of what was read, if that is much. Whoever else reads at this moment reads on:
// a page is there again when it is looked at.
func (f *footprint) letGo(tx *bbolt.Tx) error {
	if f.statm == nil {
		return nil
	}
	now, err := f.files()
	if err != nil {
		return err
	}
	least := f.least.Load()
	if now <= least+mostMapped {
		if now < least { // the system has taken some of it
			f.least.Store(now)
		}
		return nil
	}
	// The database stays where it is mapped while the transaction lasts, and is mapped up to
	// its size at least. It is mapped to be read and shared, so that nothing is lost.
	if _, _, errno := unix.Syscall(unix.SYS_MADVISE, tx.DB().Info().Data, uintptr(tx.Size()), unix.MADV_DONTNEED); errno != 0 {
		return fmt.Errorf("let go of the database: %w", errno)
	}
	if now, err = f.files(); err != nil {
		return err
	}
	f.least.Store(now)
	return nil
}

// files is how much of files this process has in memory, in bytes.
func (f *footprint) files() (int64, error) {
	var b [128]byte
	n, err := f.statm.ReadAt(b[:], 0) // it is shorter, so that there is always io.EOF
	fields := bytes.Fields(b[:n])
	if len(fields) < 3 {
		return 0, fmt.Errorf("read what is in memory: %q, %w", b[:n], err)
	}
	pages, err := strconv.ParseInt(string(fields[2]), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("read what is in memory: %w", err)
	}
	return pages * int64(os.Getpagesize()), nil
}
