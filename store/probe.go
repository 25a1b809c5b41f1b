package store

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"
)

// probeTimeout is how long Probe waits for a database that another process
// holds. A daemon holds it all its life, so there is no point in waiting.
const probeTimeout = 50 * time.Millisecond

// Probe reports whether Open would take the data directory dir, and changes
// nothing. The error wraps fs.ErrNotExist when there are no data yet, ErrLocked
// when a daemon is using them, and ErrNewerSchema.
func Probe(dir string) (err error) {
	name := filepath.Join(dir, databaseName)
	if _, err := os.Stat(name); err != nil {
		return fmt.Errorf("look at the store in %s: %w", dir, err)
	}
	db, err := bbolt.Open(name, 0, &bbolt.Options{ReadOnly: true, Timeout: probeTimeout})
	if errors.Is(err, berrors.ErrTimeout) {
		return fmt.Errorf("look at the store in %s: %w", dir, ErrLocked)
	}
	if err != nil {
		return fmt.Errorf("look at the store in %s: %w", dir, err)
	}
	defer db.Close()
	if err := db.View(checkSchema); err != nil {
		return fmt.Errorf("look at the store in %s: %w", dir, err)
	}
	return nil
}
