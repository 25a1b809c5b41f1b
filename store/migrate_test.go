package store

import (
	"errors"
	"fmt"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"go.etcd.io/bbolt"
)

// edit opens the database of a data directory that is not in use.
func edit(t testing.TB, dir string, f func(tx *bbolt.Tx) error) {
	t.Helper()
	db, err := bbolt.Open(filepath.Join(dir, databaseName), 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := db.Update(f); err != nil {
		t.Fatal(err)
	}
}

// firstForm makes a data directory as a program of schema 1 leaves it: no
// indexes. It has n batches, every third of them open, with a document for each
// that is completed.
func firstForm(t testing.TB, n int) (dir string, batches []Batch, documents []Document) {
	t.Helper()
	dir = t.TempDir()
	if err := makeDirs(dir); err != nil {
		t.Fatal(err)
	}
	edit(t, dir, func(tx *bbolt.Tx) error {
		for _, name := range recordBuckets {
			if _, err := tx.CreateBucket(name); err != nil {
				return err
			}
		}
		for i := range n {
			b := Batch{ID: BatchID(NewID()), State: BatchStopped, Owner: UserID([]string{"anna", ""}[i%2])}
			if i%3 != 0 {
				b.State, b.Documents = BatchCompleted, []DocumentID{DocumentID(NewID())}
				d := Document{ID: b.Documents[0], Batch: b.ID, Owner: b.Owner, Title: fmt.Sprint(i), PDF: Blob{Sum: strings.Repeat("a", 64)}}
				documents = append(documents, d)
				if err := put(tx, bucketDocuments, []byte(d.ID), &d); err != nil {
					return err
				}
			}
			batches = append(batches, b)
			if err := put(tx, bucketBatches, []byte(b.ID), &b); err != nil {
				return err
			}
		}
		if err := setNumber(tx, keySchema, 1); err != nil {
			return err
		}
		if err := setNumber(tx, keyReader, 1); err != nil {
			return err
		}
		return setNumber(tx, keyWriter, 1)
	})
	return dir, batches, documents
}

// firstFormView reads batches and documents as a program of schema 1 does, which
// refuses data that are not for it.
func firstFormView(t testing.TB, s *Store) (batches []Batch, documents []Document) {
	t.Helper()
	err := s.db.View(func(tx *bbolt.Tx) error {
		if r := number(tx, keyReader); r > 1 {
			return fmt.Errorf("the data are for programs of schema %d", r)
		}
		if err := each(tx, bucketBatches, func(_ []byte, b *Batch) error { batches = append(batches, *b); return nil }); err != nil {
			return err
		}
		return each(tx, bucketDocuments, func(_ []byte, d *Document) error { documents = append(documents, *d); return nil })
	})
	if err != nil {
		t.Fatal(err)
	}
	return batches, documents
}

func TestMigrateFirstForm(t *testing.T) {
	const n = 2*migrationStep + 10
	dir, batches, documents := firstForm(t, n)
	s := openIn(t, dir)
	gotB, gotD := firstFormView(t, s)
	if !reflect.DeepEqual(gotB, batches) || !reflect.DeepEqual(gotD, documents) {
		t.Error("a program of schema 1 no longer sees what it wrote")
	}
	open, err := s.OpenBatches()
	if want := (n + 2) / 3; err != nil || len(open) != want {
		t.Errorf("%d open batches, %v, want %d", len(open), err, want)
	}
	nobody := UserID("")
	got, err := s.Documents(DocumentQuery{Owner: &Reader{User: nobody}})
	want := 0
	for _, d := range documents {
		if d.Owner == "" {
			want++
		}
	}
	if err != nil || len(got) != want || !slices.IsSortedFunc(got, func(a, b Document) int { return strings.Compare(string(b.ID), string(a.ID)) }) {
		t.Errorf("%d documents of nobody, %v, want %d, newest first", len(got), err, want)
	}
}

// A power cut after any step leaves what the next Open completes.
func TestMigrationIsCutOff(t *testing.T) {
	const n = 2*migrationStep + 10
	dir, _, _ := firstForm(t, n)
	for steps := 0; ; steps++ {
		done := false
		s := &Store{dir: dir, log: quiet}
		db, err := bbolt.Open(filepath.Join(dir, databaseName), 0o600, nil)
		if err != nil {
			t.Fatal(err)
		}
		s.db = db
		err = s.update(func(tx *bbolt.Tx) (err error) {
			done, err = s.migrateStep(tx)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		firstFormView(t, s)
		db.Close()
		if done {
			if steps < 3 {
				t.Errorf("done after %d steps: they are not bounded", steps+1)
			}
			break
		}
	}
	s := openIn(t, dir)
	if open, err := s.OpenBatches(); err != nil || len(open) != (n+2)/3 {
		t.Errorf("%d open batches, %v", len(open), err)
	}
}

// After a roll back the older program writes without the indexes; rolled forward
// again, nothing that it wrote is missed.
func TestIndexesAfterAnOlderProgramWrote(t *testing.T) {
	dir, batches, documents := firstForm(t, 12)
	openIn(t, dir).Close()
	edit(t, dir, func(tx *bbolt.Tx) error {
		closed := batches[0]
		closed.State = BatchFailed
		if err := put(tx, bucketBatches, []byte(closed.ID), &closed); err != nil {
			return err
		}
		added := Batch{ID: BatchID(NewID()), State: BatchProcessing, Owner: "anna"}
		if err := put(tx, bucketBatches, []byte(added.ID), &added); err != nil {
			return err
		}
		if err := tx.Bucket(bucketDocuments).Delete([]byte(documents[0].ID)); err != nil {
			return err
		}
		return setNumber(tx, keyWriter, 1)
	})
	s := openIn(t, dir)
	if open, err := s.OpenBatches(); err != nil || len(open) != 4 {
		t.Errorf("%d open batches, %v, want 4 - 1 + 1", len(open), err)
	}
	anna := UserID("anna")
	if got, err := s.Documents(DocumentQuery{Owner: &Reader{User: anna}}); err != nil || len(got) != len(documents)-1 {
		t.Errorf("%d documents, %v, want %d", len(got), err, len(documents)-1)
	}
}

func TestNewerSchema(t *testing.T) {
	tests := []struct {
		name           string
		schema, reader uint64
		want           error
	}{
		{"next one, which we can read", schemaVersion + 1, schemaVersion, nil},
		{"next one, which we cannot read", schemaVersion + 1, schemaVersion + 1, ErrNewerSchema},
		{"far ahead", 99, 98, ErrNewerSchema},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			openIn(t, dir).Close()
			edit(t, dir, func(tx *bbolt.Tx) error {
				if err := setNumber(tx, keySchema, tt.schema); err != nil {
					return err
				}
				return setNumber(tx, keyReader, tt.reader)
			})
			s, err := Open(Config{Dir: dir}, quiet)
			if !errors.Is(err, tt.want) {
				t.Fatalf("%v, want %v", err, tt.want)
			}
			if err != nil {
				for _, word := range []string{fmt.Sprint(tt.schema), fmt.Sprint(schemaVersion), "Install"} {
					if !strings.Contains(err.Error(), word) {
						t.Errorf("%q does not say %q", err, word)
					}
				}
				return
			}
			defer s.Close()
			err = s.db.View(func(tx *bbolt.Tx) error {
				if v := number(tx, keySchema); v != tt.schema {
					t.Errorf("schema %d, want %d left as it was", v, tt.schema)
				}
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
}
