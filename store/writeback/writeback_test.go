package writeback

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func create(t testing.TB) *os.File {
	f, err := os.Create(filepath.Join(t.TempDir(), "file"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// What is written comes to stand where it belongs, in whatever portions it comes.
func TestWriter(t *testing.T) {
	noise := rand.NewChaCha8([32]byte{1})
	r := rand.New(noise)
	for _, offset := range []int64{0, 1, 3*piece + 17} {
		f := create(t)
		want := make([]byte, offset, offset+9*piece)
		if _, err := f.WriteAt(want, 0); err != nil {
			t.Fatal(err)
		}
		w := New(f, offset)
		for _, most := range []int{1, 5000, piece, 3 * piece} {
			for range 3 {
				p := make([]byte, r.IntN(most+1))
				noise.Read(p)
				n, err := w.Write(p)
				if n != len(p) || err != nil {
					t.Fatalf("%d of %d bytes, %v", n, len(p), err)
				}
				want = append(want, p...)
				if waiting := w.end - w.next; waiting >= piece {
					t.Fatalf("%d bytes wait for nobody", waiting)
				}
			}
		}
		got, err := os.ReadFile(f.Name())
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("from %d: %d bytes, want %d, the same: %t, %v", offset, len(got), len(want), bytes.Equal(got, want), err)
		}
	}
}

func TestWriterFails(t *testing.T) {
	f := create(t)
	w := New(f, 0)
	if _, err := w.Write(make([]byte, piece)); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if n, err := w.Write([]byte("more")); n != 0 || err == nil {
		t.Errorf("to a file that is closed: %d bytes, %v", n, err)
	}
}

// BenchmarkOthers gives the longest time that a small write of somebody else's takes
// to be safe while 30 MB are written and synced: at once, and by a Writer.
func BenchmarkOthers(b *testing.B) {
	for _, way := range []string{"at once", "piece by piece"} {
		b.Run(way, func(b *testing.B) {
			var longest time.Duration
			for range b.N {
				longest = max(longest, others(b, way == "piece by piece"))
			}
			b.ReportMetric(float64(longest.Microseconds())/1000, "ms/longest")
		})
	}
}

// others writes and syncs 30 MB and gives the longest time a small write took meanwhile.
func others(b *testing.B, pieces bool) (longest time.Duration) {
	f, small := create(b), create(b)
	stop, ended := make(chan struct{}), make(chan error, 1)
	go func() {
		for {
			select {
			case <-stop:
				ended <- nil
				return
			default:
			}
			start := time.Now()
			_, err := small.Write(make([]byte, 4096))
			if err == nil {
				err = small.Sync()
			}
			if err != nil {
				ended <- err
				return
			}
			longest = max(longest, time.Since(start))
		}
	}()
	w := New(f, 0)
	write := f.Write
	if pieces {
		write = w.Write
	}
	buf := make([]byte, 64<<10)
	for range 480 {
		if _, err := write(buf); err != nil {
			b.Fatal(err)
		}
	}
	if err := f.Sync(); err != nil {
		b.Fatal(err)
	}
	close(stop)
	if err := <-ended; err != nil {
		b.Fatal(err)
	}
	return longest
}
