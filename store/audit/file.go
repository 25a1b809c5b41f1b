package audit

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
)

// Config is the table [audit] of docscan.toml.
type Config struct {
	// KeepDays is how long entries are kept; 0: for ever.
	KeepDays int `toml:"keep_days"`
	// File is where the log is written as JSON lines too; "": nowhere.
	File string `toml:"file"`
	// FileMB is how large that file becomes before a new one is begun, in MiB.
	FileMB int `toml:"file_mb"`
	// FileCount is how many of the files before it are kept.
	FileCount int `toml:"file_count"`
}

// DefaultConfig is what holds where docscan.toml is silent.
func DefaultConfig() Config { return Config{KeepDays: 1095, FileMB: 10, FileCount: 10} }

// Check reports the first value that makes no sense.
func (c *Config) Check() error {
	switch {
	case c.KeepDays < 0 || c.KeepDays > 36500:
		return fmt.Errorf("keep_days is %d; it must be 0 to 36500", c.KeepDays)
	case c.FileMB < 1 || c.FileMB > 1<<20:
		return fmt.Errorf("file_mb is %d; it must be 1 to 1048576", c.FileMB)
	case c.FileCount < 1 || c.FileCount > 1000:
		return fmt.Errorf("file_count is %d; it must be 1 to 1000", c.FileCount)
	}
	return nil
}

// File is the log as a file that is rotated by size: audit.log, then audit.log.1,
// which is older, and so on. It is opened for each write, so that another program may
// rotate or remove it too; what is in it can be written anew from the store.
type File struct {
	path  string
	bytes int64
	count int
	at    Position // of the last line; known once it was looked for
	known bool
}

// OpenFile gives the file that cfg names, which need not be there.
func OpenFile(cfg Config) *File {
	return &File{path: cfg.File, bytes: int64(cfg.FileMB) << 20, count: cfg.FileCount}
}

// Position is how far the file, or else the one before it, has come. A line that a
// power cut has left in half is cut off first.
func (f *File) Position() (Position, error) {
	if f.known {
		return f.at, nil
	}
	for _, path := range []string{f.path, f.path + ".1"} {
		at, err := position(path)
		if err != nil {
			return Position{}, err
		}
		if at != (Position{}) {
			f.at = at
			break
		}
	}
	f.known = true
	return f.at, nil
}

func position(path string) (at Position, err error) {
	w, err := os.OpenFile(path, os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return at, nil
	}
	if err != nil {
		return at, err
	}
	defer w.Close()
	info, err := w.Stat()
	if err != nil {
		return at, err
	}
	// Enough for any line and the whole of the one before it.
	start := max(0, info.Size()-2*maxLine)
	tail, err := io.ReadAll(io.NewSectionReader(w, start, info.Size()-start))
	if err != nil {
		return at, err
	}
	if end := bytes.LastIndexByte(tail, '\n') + 1; end < len(tail) {
		tail = tail[:end]
		if err := w.Truncate(start + int64(end)); err != nil {
			return at, err
		}
	}
	for line := range bytes.Lines(tail) {
		var l Line
		if json.Unmarshal(line, &l) != nil {
			continue // the first one may be a half
		}
		if l.Checkpoint == nil {
			at.Entry, at.Hash = l.Seq, l.Hash
			continue
		}
		at.Checkpoint = l.Checkpoint.Seq
		if at.Checkpoint > at.Entry { // what came before was too old
			at.Entry, at.Hash = at.Checkpoint, l.Checkpoint.Hash
		}
	}
	return at, nil
}

// Append writes lines that come to position at.
func (f *File) Append(lines []byte, at Position) error {
	if info, err := os.Stat(f.path); err == nil && info.Size() > 0 && info.Size()+int64(len(lines)) > f.bytes {
		if err := f.rotate(); err != nil {
			return err
		}
	}
	w, err := os.OpenFile(f.path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o640)
	if err != nil {
		return err
	}
	_, err = w.Write(lines)
	if err = errors.Join(err, w.Sync(), w.Close()); err != nil {
		f.known = false // it may have a part of them
		return err
	}
	f.at = at
	return nil
}

// Renew puts what is there aside and begins a new file.
func (f *File) Renew() error {
	f.at = Position{}
	return f.rotate()
}

func (f *File) rotate() error {
	name := func(n int) string { return f.path + "." + strconv.Itoa(n) }
	for n := f.count; n > 0; n-- {
		from := f.path
		if n > 1 {
			from = name(n - 1)
		}
		if err := os.Rename(from, name(n)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	d, err := os.Open(filepath.Dir(f.path))
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
