// Package spill keeps the bytes of a side that must wait: those of a back while
// its front is read, and those of an image whose length nobody knows before its
// end. A few megabytes wait in memory, the rest in a file without a name.
package spill

import (
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"

	"docscan/device"
)

// chunkSize is the unit in which a queue keeps bytes in memory.
const chunkSize = 256 << 10

// Queue takes any number of bytes and holds no more than its limit of them in
// memory: what goes beyond waits in a file. It is not for several goroutines.
type Queue struct {
	dir   string // of the file
	limit int    // bytes in memory
	spare *[][]byte

	chunks [][]byte // the oldest bytes
	read   int      // of the first chunk
	held   int      // bytes in chunks, without those read

	file        *os.File // the newest bytes; nil: none so far
	from, until int64    // what of the file has not been read
}

// New makes a queue with at most limit bytes, rounded up to 256 KiB, in memory and
// the others in a file in dir. It takes memory from spare before it asks for
// more, and gives it back there; queues that share it belong to one goroutine.
func New(dir string, limit int, spare *[][]byte) *Queue {
	return &Queue{dir: dir, limit: limit, spare: spare}
}

// Len is the number of bytes that can be read.
func (q *Queue) Len() int64 { return int64(q.held) + q.until - q.from }

// Write queues b. A full disk is a Fault.
func (q *Queue) Write(b []byte) (int, error) {
	written := 0
	for len(b) > 0 {
		if q.from < q.until || q.held >= q.limit {
			n, err := q.writeFile(b)
			return written + n, err
		}
		last := len(q.chunks) - 1
		if last < 0 || len(q.chunks[last]) == cap(q.chunks[last]) {
			q.chunks = append(q.chunks, q.chunk())
			last++
		}
		c := q.chunks[last]
		n := copy(c[len(c):cap(c)], b)
		q.chunks[last] = c[:len(c)+n]
		q.held += n
		written += n
		b = b[n:]
	}
	return written, nil
}

// chunk takes an empty chunk.
func (q *Queue) chunk() []byte {
	if n := len(*q.spare); n > 0 {
		c := (*q.spare)[n-1]
		*q.spare = (*q.spare)[:n-1]
		return c[:0]
	}
	return make([]byte, 0, chunkSize)
}

// writeFile queues b in the file, which has no name: it goes with the process.
func (q *Queue) writeFile(b []byte) (int, error) {
	if q.file == nil {
		f, err := os.CreateTemp(q.dir, "side-*")
		if err != nil {
			return 0, noRoom("make a file for a side", err)
		}
		q.file = f
		if err := os.Remove(f.Name()); err != nil {
			return 0, fmt.Errorf("unlink the file for a side: %w", err)
		}
	}
	n, err := q.file.WriteAt(b, q.until)
	q.until += int64(n)
	if err != nil {
		return n, noRoom("keep a side", err)
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
func (q *Queue) Read(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	if q.held > 0 {
		c := q.chunks[0]
		n := copy(b, c[q.read:])
		q.read += n
		q.held -= n
		if q.read == len(c) {
			*q.spare = append(*q.spare, c)
			q.chunks = q.chunks[1:]
			q.read = 0
		}
		return n, nil
	}
	if q.from == q.until {
		return 0, io.EOF
	}
	n, err := q.file.ReadAt(b[:min(int64(len(b)), q.until-q.from)], q.from)
	q.from += int64(n)
	if err != nil && n == 0 {
		return 0, fmt.Errorf("read a side again: %w", err)
	}
	if q.from == q.until { // all of it has been read: use its room again
		q.from, q.until = 0, 0
		if err := q.file.Truncate(0); err != nil {
			return n, fmt.Errorf("empty the file for a side: %w", err)
		}
	}
	return n, nil
}

// Head gives the oldest bytes, at most 256 KiB of them, where they can be changed;
// nil if there are none in memory.
func (q *Queue) Head() []byte {
	if q.held == 0 {
		return nil
	}
	return q.chunks[0][q.read:]
}

// Close forgets all bytes. The queue can be used again.
func (q *Queue) Close() error {
	*q.spare = append(*q.spare, q.chunks...)
	q.chunks, q.read, q.held, q.from, q.until = nil, 0, 0, 0, 0
	if q.file == nil {
		return nil
	}
	err := q.file.Close()
	q.file = nil
	if err != nil {
		return fmt.Errorf("close the file for a side: %w", err)
	}
	return nil
}
