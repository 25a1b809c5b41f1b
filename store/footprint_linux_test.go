package store

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"go.etcd.io/bbolt"
)

// mappedBytes is how much of a store's database this process has in memory.
func mappedBytes(t testing.TB, s *Store) (n int64) {
	t.Helper()
	maps, err := os.ReadFile("/proc/self/smaps")
	if err != nil {
		t.Fatal(err)
	}
	found, of := false, false
	for line := range strings.Lines(string(maps)) {
		f := strings.Fields(line)
		if !strings.HasSuffix(f[0], ":") {
			of = f[len(f)-1] == filepath.Join(s.dir, databaseName)
			found = found || of
		} else if of && f[0] == "Rss:" {
			kb, err := strconv.ParseInt(f[1], 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			n += kb << 10
		}
	}
	if !found {
		t.Fatal("the database is not mapped")
	}
	return n
}

// big files documents of which the database has megabytes.
func big(t testing.TB, s *Store) (ids []DocumentID) {
	t.Helper()
	b := Batch{ID: BatchID(NewID()), State: BatchScanning}
	if err := s.AddBatch(b); err != nil {
		t.Fatal(err)
	}
	var docs []Document
	for i := range 250 {
		d := Document{ID: DocumentID(NewID()), Batch: b.ID, Title: titleOf(i)}
		docs, ids = append(docs, d), append(ids, d.ID)
	}
	if err := s.FileDocuments(b.ID, docs); err != nil {
		t.Fatal(err)
	}
	return ids
}

// titleOf is 80 KB long.
func titleOf(i int) string { return strings.Repeat(fmt.Sprintf("%08d", i), 10_000) }

func TestLetsGoOfWhatWasRead(t *testing.T) {
	s := openTest(t)
	ids := big(t, s)
	if size, err := s.DatabaseBytes(); err != nil || size < 4*mostMapped {
		t.Fatalf("the database has %d bytes, %v", size, err)
	}
	for range 2 {
		for i, id := range ids {
			d, err := s.Document(id)
			if err != nil || d.Title != titleOf(i) {
				t.Fatalf("document %d: %.20q, %v", i, d.Title, err)
			}
			// The kernel counts some pages for each core, or thread, before it adds them up.
			if n := mappedBytes(t, s); n > mostMapped*3 {
				t.Fatalf("after %d documents %d bytes of the database are in memory", i+1, n)
			}
		}
	}
}

// A looking context looks at something each time it is asked whether it is over.
type looking struct {
	context.Context
	look func()
}

func (l looking) Err() error {
	l.look()
	return l.Context.Err()
}

func TestLetsGoWhileItSweeps(t *testing.T) {
	s := openTest(t)
	big(t, s)
	size, err := s.DatabaseBytes()
	if err != nil {
		t.Fatal(err)
	}
	var most int64
	ctx := looking{t.Context(), func() { most = max(most, mappedBytes(t, s)) }}
	if _, err := s.Sweep(ctx, Grace); err != nil {
		t.Fatal(err)
	}
	if most == 0 || most > size/2 {
		t.Errorf("of %d bytes of the database %d were in memory", size, most)
	}
}

// Readers go on reading right while others let go of the database and it is mapped anew again
// and again, as it grows.
func TestLetsGoWhileOthersReadAndWrite(t *testing.T) {
	db, err := bbolt.Open(filepath.Join(t.TempDir(), databaseName), 0o600, &bbolt.Options{NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var f footprint
	if err := f.open(); err != nil {
		t.Fatal(err)
	}
	defer f.close()
	bucket := []byte("bucket")
	key := func(i int) []byte { return binary.BigEndian.AppendUint32(nil, uint32(i)) }
	value := func(i int) []byte { return bytes.Repeat(key(i), 2000) }
	var written atomic.Int64
	write := func(i int) error {
		return db.Update(func(tx *bbolt.Tx) error {
			b, err := tx.CreateBucketIfNotExists(bucket)
			if err != nil {
				return err
			}
			return b.Put(key(i), value(i))
		})
	}
	if err := write(0); err != nil {
		t.Fatal(err)
	}
	const last = 500
	var wg sync.WaitGroup
	for reader := range 4 {
		wg.Go(func() {
			for n := reader; written.Load() < last; n += 7 {
				i := n % int(written.Load()+1)
				err := db.View(func(tx *bbolt.Tx) error {
					got := tx.Bucket(bucket).Get(key(i))
					f.least.Store(-mostMapped) // whatever was read is much
					if err := f.letGo(tx); err != nil {
						return err
					}
					if !bytes.Equal(got, value(i)) {
						return fmt.Errorf("value %d is %.20x", i, got)
					}
					return nil
				})
				if err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for i := 1; i <= last && !t.Failed(); i++ {
		if err := write(i); err != nil {
			t.Error(err)
			break
		}
		written.Store(int64(i))
	}
	written.Store(last)
	wg.Wait()
}

func BenchmarkLookAtFootprint(b *testing.B) {
	var f footprint
	if err := f.open(); err != nil {
		b.Fatal(err)
	}
	defer f.close()
	for b.Loop() {
		if _, err := f.files(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkReadOne(b *testing.B) {
	s := openTest(b)
	d := Document{ID: DocumentID(NewID()), Title: "one", Batch: BatchID(NewID())}
	if err := s.AddBatch(Batch{ID: d.Batch, State: BatchScanning}); err != nil {
		b.Fatal(err)
	}
	if err := s.FileDocument(d); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := s.Document(d.ID); err != nil {
			b.Fatal(err)
		}
	}
}
