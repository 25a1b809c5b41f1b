package esci

import (
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"

	"docscan/device"
)

// Sizes of what keeps a side, in bytes.
const (
	memory    = 8 << 20   // of one side in memory; the rest waits in a file
	chunkSize = 256 << 10 // the unit of memory
	maxSide   = 1 << 30   // of one side at all
)

// kept holds the bytes of one side: first written, then read once. Its beginning
// is in memory, and what does not fit there in a file. It is not for several
// goroutines.
type kept struct {
	dir    string
	limit  int // bytes in memory
	chunks [][]byte
	file   *os.File // nil: all is in memory
	size   int64
	at     int64 // what has been read
}

// inMemory is how many of the bytes are in memory.
func (k *kept) inMemory() int64 { return min(k.size, int64(k.limit)) }

// Write adds b.
func (k *kept) Write(b []byte) (int, error) {
	if k.size+int64(len(b)) > maxSide {
		return 0, device.Faultf(device.TooLarge, "a side of more than %d bytes", maxSide)
	}
	written := 0
	for written < len(b) {
		if k.size >= int64(k.limit) {
			n, err := k.writeFile(b[written:])
			k.size += int64(n)
			return written + n, err
		}
		last := len(k.chunks) - 1
		if last < 0 || len(k.chunks[last]) == cap(k.chunks[last]) {
			k.chunks = append(k.chunks, make([]byte, 0, min(chunkSize, k.limit-int(k.size))))
			last++
		}
		c := k.chunks[last]
		n := copy(c[len(c):cap(c)], b[written:])
		k.chunks[last] = c[:len(c)+n]
		k.size += int64(n)
		written += n
	}
	return written, nil
}

// writeFile adds b to the file, which has no name: it goes with the process.
func (k *kept) writeFile(b []byte) (int, error) {
	if k.file == nil {
		f, err := os.CreateTemp(k.dir, "side-*")
		if err != nil {
			return 0, noRoom("make a file for a side", err)
		}
		k.file = f
		if err := os.Remove(f.Name()); err != nil {
			return 0, fmt.Errorf("unlink the file for a side: %w", err)
		}
	}
	n, err := k.file.Write(b)
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

// head gives the bytes at the beginning, one chunk of them at most, where they can
// be changed.
func (k *kept) head() []byte {
	if len(k.chunks) == 0 {
		return nil
	}
	return k.chunks[0]
}

// Read gives the next bytes, and gives their memory back.
func (k *kept) Read(b []byte) (int, error) {
	switch {
	case len(b) == 0:
		return 0, nil
	case k.at >= k.size:
		return 0, io.EOF
	case k.at < k.inMemory():
		n := copy(b, k.chunks[0])
		if k.chunks[0] = k.chunks[0][n:]; len(k.chunks[0]) == 0 {
			k.chunks[0] = nil
			k.chunks = k.chunks[1:]
		}
		k.at += int64(n)
		return n, nil
	}
	n, err := k.file.ReadAt(b[:min(int64(len(b)), k.size-k.at)], k.at-int64(k.limit))
	k.at += int64(n)
	if err != nil && n == 0 {
		return 0, fmt.Errorf("read a side again: %w", err)
	}
	return n, nil
}

// Close forgets all bytes.
func (k *kept) Close() error {
	k.chunks, k.size, k.at = nil, 0, 0
	if k.file == nil {
		return nil
	}
	err := k.file.Close()
	k.file = nil
	if err != nil {
		return fmt.Errorf("close the file for a side: %w", err)
	}
	return nil
}
