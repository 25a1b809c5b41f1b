// Package writeback writes new files whose syncs others need not wait for.
//
// A file system carries what was written to the disk when somebody asks for a sync,
// and has everybody else's syncs wait meanwhile. A daemon that writes 30 MB and syncs
// them at the end so keeps its own database from every promise for as long as the disk
// needs for 30 MB: seconds on a memory card. Written piece by piece the others wait for
// two pieces at most.
package writeback

import "os"

// piece is after how many bytes the disk is set to work. A memory card of the slow
// kind (class 10: 10 MB/s) takes 0.1 s for it.
const piece = 1 << 20

// A Writer appends to a file, and never has more than two pieces wait for the disk.
// What it has written is not durable before the file is synced. One goroutine uses it.
type Writer struct {
	f             *os.File
	carried, next int64 // what begins there is on its way to the disk, or is not yet
	end           int64
}

// New returns a Writer to f, which goes on at offset, in bytes from its beginning.
func New(f *os.File, offset int64) *Writer {
	return &Writer{f: f, carried: offset, next: offset, end: offset}
}

// Write writes p at the end. An error is that of the file, or what became of earlier
// pieces: then the file is not to be used.
func (w *Writer) Write(p []byte) (n int, err error) {
	for len(p) > 0 && err == nil {
		m, werr := w.f.WriteAt(p[:min(len(p), piece)], w.end)
		n, p = n+m, p[m:]
		w.end += int64(m)
		if err = werr; err == nil && w.end-w.next >= piece {
			err = w.carry()
		}
	}
	return n, err
}

// carry sets the disk to work on what was written last, and waits for what went before.
func (w *Writer) carry() error {
	err := begin(w.f, w.next, w.end-w.next)
	if err == nil && w.next > w.carried {
		err = await(w.f, w.carried, w.next-w.carried)
	}
	w.carried, w.next = w.next, w.end
	return err
}
