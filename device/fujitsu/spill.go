package fujitsu

import (
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"

	"docscan/device"
)

// chunkSize is the unit in which a spill keeps bytes in memory.
const chunkSize = 256 << 10

// spill is a queue of bytes that takes any number of them and holds no more than
// its limit in memory: what goes beyond waits in a file. It is not for several
// goroutines.
type spill struct {
	dir   string // of the file
	limit int    // bytes in memory
	spare *[][]byte

	chunks [][]byte // the oldest bytes
	read   int      // of the first chunk
	held   int      // bytes in chunks, without those read

	file        *os.File // the newest bytes; nil: none so far
	from, until int64    // what of the file has not been read
}

// newSpill makes one that takes its chunks from spare and gives them back there.
func newSpill(dir string, limit int, spare *[][]byte) *spill {
	return &spill{dir: dir, limit: limit, spare: spare}
}

// Len is the number of bytes that can be read.
func (s *spill) Len() int64 { return int64(s.held) + s.until - s.from }

// Write queues b.
func (s *spill) Write(b []byte) (int, error) {
	written := 0
	for len(b) > 0 {
		if s.from < s.until || s.held >= s.limit {
			n, err := s.writeFile(b)
			return written + n, err
		}
		last := len(s.chunks) - 1
		if last < 0 || len(s.chunks[last]) == cap(s.chunks[last]) {
			s.chunks = append(s.chunks, s.chunk())
			last++
		}
		c := s.chunks[last]
		n := copy(c[len(c):cap(c)], b)
		s.chunks[last] = c[:len(c)+n]
		s.held += n
		written += n
		b = b[n:]
	}
	return written, nil
}

// chunk takes an empty chunk.
func (s *spill) chunk() []byte {
	if n := len(*s.spare); n > 0 {
		c := (*s.spare)[n-1]
		*s.spare = (*s.spare)[:n-1]
		return c[:0]
	}
	return make([]byte, 0, chunkSize)
}

// writeFile queues b in the file, which has no name: it goes with the process.
func (s *spill) writeFile(b []byte) (int, error) {
	if s.file == nil {
		f, err := os.CreateTemp(s.dir, "side-*")
		if err != nil {
			return 0, noRoom("make a file for the back of a sheet", err)
		}
		s.file = f
		if err := os.Remove(f.Name()); err != nil {
			return 0, fmt.Errorf("unlink the file for the back of a sheet: %w", err)
		}
	}
	n, err := s.file.WriteAt(b, s.until)
	s.until += int64(n)
	if err != nil {
		return n, noRoom("keep the back of a sheet", err)
	}
	return n, nil
}

// noRoom makes a full disk the fault that it is.
func noRoom(what string, err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return &device.Fault{Kind: device.DiskFull, Detail: what, Err: err}
	}
	return fmt.Errorf("%s: %w", what, err)
}

// Read gives the oldest bytes, or io.EOF while there are none.
func (s *spill) Read(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	if s.held > 0 {
		c := s.chunks[0]
		n := copy(b, c[s.read:])
		s.read += n
		s.held -= n
		if s.read == len(c) {
			*s.spare = append(*s.spare, c)
			s.chunks = s.chunks[1:]
			s.read = 0
		}
		return n, nil
	}
	if s.from == s.until {
		return 0, io.EOF
	}
	n, err := s.file.ReadAt(b[:min(int64(len(b)), s.until-s.from)], s.from)
	s.from += int64(n)
	if err != nil && n == 0 {
		return 0, fmt.Errorf("read the back of a sheet again: %w", err)
	}
	if s.from == s.until { // all of it has been read: use its room again
		s.from, s.until = 0, 0
		if err := s.file.Truncate(0); err != nil {
			return n, fmt.Errorf("empty the file for the back of a sheet: %w", err)
		}
	}
	return n, nil
}

// Close forgets all bytes.
func (s *spill) Close() error {
	*s.spare = append(*s.spare, s.chunks...)
	s.chunks, s.read, s.held, s.from, s.until = nil, 0, 0, 0, 0
	if s.file == nil {
		return nil
	}
	err := s.file.Close()
	s.file = nil
	if err != nil {
		return fmt.Errorf("close the file for the back of a sheet: %w", err)
	}
	return nil
}
