package spill

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"testing"
)

// A queue gives what it was given, in order, and leaves no file.
func TestQueue(t *testing.T) {
	dir := t.TempDir()
	var spare [][]byte
	q := New(dir, 2*chunkSize, &spare)
	rnd := rand.New(rand.NewPCG(1, 2))
	var next, seen byte
	written, read := 0, 0
	buf := make([]byte, chunkSize)
	for range 400 {
		b := buf[:rnd.IntN(len(buf))]
		if rnd.IntN(5) < 3 {
			for i := range b {
				next += 7
				b[i] = next
			}
			if n, err := q.Write(b); n != len(b) || err != nil {
				t.Fatalf("Write = %d, %v", n, err)
			}
			written += len(b)
		} else {
			n, err := q.Read(b)
			if err != nil && (!errors.Is(err, io.EOF) || q.Len() > 0) {
				t.Fatal(err)
			}
			for _, got := range b[:n] {
				if seen += 7; got != seen {
					t.Fatalf("byte %d is wrong", read)
				}
			}
			read += n
		}
		if got := q.Len(); got != int64(written-read) {
			t.Fatalf("Len = %d, want %d", got, written-read)
		}
		if q.held > q.limit+chunkSize {
			t.Fatalf("%d bytes in memory", q.held)
		}
	}
	if q.file == nil {
		t.Error("the file was not needed: the test is too small")
	}
	if err := q.Close(); err != nil {
		t.Error(err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("files left: %v, %v", left, err)
	}
}

// What has been queued can be looked at, and changed, before it is read. Memory
// that was given back is used again.
func TestHead(t *testing.T) {
	var spare [][]byte
	q := New(t.TempDir(), chunkSize, &spare)
	for range 2 {
		if q.Head() != nil {
			t.Errorf("Head of an empty queue = %q", q.Head())
		}
		if _, err := q.Write([]byte("abc")); err != nil {
			t.Fatal(err)
		}
		if _, err := q.Read(make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
		copy(q.Head(), "x")
		if got, err := io.ReadAll(q); err != nil || string(got) != "xc" {
			t.Errorf("read %q, %v, want xc", got, err)
		}
		if err := q.Close(); err != nil {
			t.Error(err)
		}
	}
	if len(spare) != 1 {
		t.Errorf("%d chunks spare, want the one that was used twice", len(spare))
	}
}

func TestNoFolder(t *testing.T) {
	q := New("/nowhere", 1, new([][]byte))
	if _, err := q.Write(bytes.Repeat([]byte{1}, chunkSize+1)); err == nil {
		t.Error("a file was made in no folder")
	}
}
