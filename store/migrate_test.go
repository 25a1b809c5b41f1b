package store

import (
	"errors"
	"fmt"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

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
	mustMigrate(t, s)
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
	mustBeIndexed(t, s)
}

func mustMigrate(t testing.TB, s *Store) {
	t.Helper()
	if err := s.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// mustBeIndexed proves that each index has what the records ask for.
func mustBeIndexed(t testing.TB, s *Store) {
	t.Helper()
	if !s.indexed.Load() {
		t.Error("the migration is not done")
	}
	report, err := s.Check(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range report.Problems {
		if p.Kind == ProblemIndex {
			t.Errorf("%s: %s", p.Subject, p.What)
		}
	}
}

// A store of the older form can be used as soon as it is open, however many records it
// has, and while it is migrated: requests wait for that. Whatever is changed meanwhile, or
// by an older program to which somebody goes back in the middle, is right in the end.
func TestWorkGoesOnDuringAMigration(t *testing.T) {
	const n = 3 * migrationStep
	dir, batches, documents := firstForm(t, n)
	s := openIn(t, dir)
	indexed := 0
	err := s.db.View(func(tx *bbolt.Tx) error {
		indexed = tx.Bucket(bucketOwnBatches).Stats().KeyN
		return nil
	})
	if err != nil || indexed > migrationStep {
		t.Errorf("to open it, %d of %d batches were gone through (%v), want at most %d", indexed, n, err, migrationStep)
	}
	openBatches, owners := map[BatchID]bool{}, map[DocumentID]UserID{}
	for _, b := range batches {
		if !b.State.Final() {
			openBatches[b.ID] = true
		}
	}
	for _, d := range documents {
		owners[d.ID] = d.Owner
	}
	look := func(when string, s *Store) {
		t.Helper()
		open, err := s.OpenBatches()
		if err != nil || len(open) != len(openBatches) || slices.ContainsFunc(open, func(b Batch) bool { return !openBatches[b.ID] }) {
			t.Errorf("%s: %d open batches, %v, want %d", when, len(open), err, len(openBatches))
		}
		for _, who := range []UserID{"anna", "ben", "dora"} {
			want := 0
			for _, owner := range owners {
				if owner == who || owner == "" {
					want++
				}
			}
			got, err := s.Documents(DocumentQuery{Owner: &Reader{User: who}})
			if err != nil || len(got) != want || !slices.IsSortedFunc(got, func(a, b Document) int { return strings.Compare(string(b.ID), string(a.ID)) }) {
				t.Errorf("%s: %d documents of %s, %v, want %d, newest first", when, len(got), who, err, want)
			}
		}
		if _, n, err := s.Tally(); err != nil || n != len(owners) {
			t.Errorf("%s: %d documents, %v, want %d", when, n, err, len(owners))
		}
		all, err := s.Batches(BatchQuery{Owner: &Reader{User: "anna"}, Limit: n})
		if err != nil || len(all) != n {
			t.Errorf("%s: anna sees %d batches, %v, want %d", when, len(all), err, n)
		}
	}
	// The first is behind where the migration is, the last before it.
	change := func(s *Store, i int) {
		t.Helper()
		d := documents[i]
		owner := UserID("ben")
		if _, err := s.UpdateDocument(d.ID, func(d *Document) error { d.Owner = owner; return nil }); err != nil {
			t.Fatal(err)
		}
		owners[d.ID] = owner
		b := batches[i/2*3] // every third is open
		if _, err := s.UpdateBatch(b.ID, func(b *Batch) error { b.State = BatchFailed; return nil }); err != nil {
			t.Fatal(err)
		}
		delete(openBatches, b.ID)
	}
	look("opened", s)
	added := Batch{ID: BatchID(NewID()), State: BatchScanning, Owner: "anna"}
	if err := s.AddBatch(added); err != nil {
		t.Fatal(err)
	}
	openBatches[added.ID] = true
	look("one more", s)
	change(s, 0)
	change(s, len(documents)-1)
	look("changed", s)
	if err := errors.Join(s.takeStep(), s.takeStep()); err != nil {
		t.Fatal(err)
	}
	change(s, 1)
	change(s, len(documents)-2)
	look("after two steps more", s)
	for _, name := range []UserID{"cara", "dora"} {
		if err := s.AddUser(User{ID: name, Name: string(name), Role: RoleMember}); err != nil {
			t.Fatal(err)
		}
	}
	for _, i := range []int{4, len(documents) - 3} {
		if _, err := s.UpdateDocument(documents[i].ID, func(d *Document) error { d.Owner = "cara"; return nil }); err != nil {
			t.Fatal(err)
		}
		owners[documents[i].ID] = "dora"
	}
	if _, err := s.DeleteUser("cara", ""); !errors.Is(err, ErrOwns) {
		t.Errorf("deleted without an heir: %v", err)
	}
	if changed, err := s.DeleteUser("cara", "dora"); err != nil || len(changed) != 2 {
		t.Errorf("%d documents go to the heir, %v, want 2", len(changed), err)
	}
	look("of who is gone", s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}

	// A program of the older form goes on, which knows nothing of indexes.
	edit(t, dir, func(tx *bbolt.Tx) error {
		d := documents[2]
		d.Owner = "ben"
		owners[d.ID] = d.Owner
		b := batches[3]
		b.State = BatchFailed
		delete(openBatches, b.ID)
		return errors.Join(put(tx, bucketDocuments, []byte(d.ID), &d), put(tx, bucketBatches, []byte(b.ID), &b), setNumber(tx, keyWriter, 1))
	})
	s = openIn(t, dir)
	look("after an older program", s)
	change(s, 3)
	mustMigrate(t, s)
	look("migrated", s)
	mustBeIndexed(t, s)

	// What is done is not done again.
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = openIn(t, dir)
	mustBeIndexed(t, s)
}

// Whoever goes back from a newer form need not wait: a newer program keeps what this one
// reads. The newer one can tell afterwards that this one has written.
func TestBackFromANewerForm(t *testing.T) {
	dir, _, _ := firstForm(t, 12)
	s := openIn(t, dir)
	mustMigrate(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	kept := []byte("kept by a newer one")
	edit(t, dir, func(tx *bbolt.Tx) error {
		return errors.Join(setNumber(tx, keySchema, schemaVersion+1), setNumber(tx, keyReader, schemaVersion), setNumber(tx, keyWriter, schemaVersion+1),
			tx.Bucket(bucketMeta).Put(keyResume, []byte("where its migration has come to")), tx.Bucket(bucketOwnBatches).Put(kept, nil))
	})
	s = openIn(t, dir)
	if !s.indexed.Load() {
		t.Error("the indexes are built anew")
	}
	err := s.db.View(func(tx *bbolt.Tx) error {
		if v, _ := tx.Bucket(bucketOwnBatches).Cursor().Seek(kept); string(v) != string(kept) {
			t.Errorf("in the place of %q is %q", kept, v)
		}
		if w, r := number(tx, keyWriter), number(tx, keyReader); w != schemaVersion || r != schemaVersion {
			t.Errorf("written last by form %d, for readers from %d on; want %d and %d as it was", w, r, schemaVersion, schemaVersion)
		}
		if v := tx.Bucket(bucketMeta).Get(keyResume); v != nil {
			t.Errorf("a migration goes on from %q", v)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// After a roll back the older program writes without the indexes; rolled forward
// again, nothing that it wrote is missed.
func TestIndexesAfterAnOlderProgramWrote(t *testing.T) {
	dir, batches, documents := firstForm(t, 12)
	s := openIn(t, dir)
	mustMigrate(t, s)
	s.Close()
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
	s = openIn(t, dir)
	mustMigrate(t, s)
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

// How long requests wait for a new version on a hundred thousand documents of an older
// form, and for single ones while they are migrated.
func BenchmarkOlderForm(b *testing.B) {
	const batches = 150_000 // two thirds of which have a document
	for b.Loop() {
		b.StopTimer()
		dir, _, documents := firstForm(b, batches)
		b.StartTimer()
		start := time.Now()
		s := openIn(b, dir)
		opened := time.Since(start)
		if _, err := s.unfinished(); err != nil {
			b.Fatal(err)
		}
		looked := time.Since(start) - opened
		done := make(chan error, 1)
		go func() { done <- s.Migrate(b.Context()) }()
		var wrote, read time.Duration
		anna := &Reader{User: "anna"}
		for !s.indexed.Load() && len(done) == 0 {
			at := time.Now()
			if err := s.PutSetting("bench", at); err != nil {
				b.Fatal(err)
			}
			wrote = max(wrote, time.Since(at))
			at = time.Now()
			if list, err := s.Documents(DocumentQuery{Owner: anna, Limit: 50}); err != nil || len(list) != 50 {
				b.Fatalf("%d documents, %v", len(list), err)
			}
			read = max(read, time.Since(at))
		}
		if err := <-done; err != nil {
			b.Fatal(err)
		}
		whole := time.Since(start)
		b.StopTimer()
		b.ReportMetric(float64(len(documents)), "documents")
		for name, d := range map[string]time.Duration{"ms-to-open": opened, "ms-for-unfinished": looked, "ms-longest-write": wrote, "ms-longest-list": read, "ms-in-all": whole} {
			b.ReportMetric(float64(d.Milliseconds()), name)
		}
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
}
