package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"docscan/store/audit"
)

var quiet = slog.New(slog.DiscardHandler)

// openTest opens a store in a new directory.
func openTest(t testing.TB) *Store {
	t.Helper()
	return openIn(t, t.TempDir())
}

func openIn(t testing.TB, dir string) *Store {
	t.Helper()
	s, err := Open(Config{Dir: dir}, quiet)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// blob stores text as a blob.
func blob(t testing.TB, s *Store, text string) Blob {
	t.Helper()
	w, err := s.NewBlob()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Abort()
	if _, err := io.WriteString(w, text); err != nil {
		t.Fatal(err)
	}
	b, err := w.Commit("text/plain")
	if err != nil {
		t.Fatal(err)
	}
	return b
}

var entry = audit.Entry{EventType: audit.DataAccess, Actor: "anna", Action: "test", Status: audit.Success}

// fileBatch brings a batch of n pages all the way to a document.
func fileBatch(t testing.TB, s *Store, owner UserID, n int) Document {
	t.Helper()
	b := Batch{ID: BatchID(NewID()), State: BatchScanning, Owner: owner, Created: time.Now(), Documents: []DocumentID{DocumentID(NewID())}}
	if err := s.AddBatch(b, entry); err != nil {
		t.Fatal(err)
	}
	d := Document{ID: b.Documents[0], Batch: b.ID, Owner: owner, Title: "Letter", Created: b.Created}
	for seq := 1; seq <= n; seq++ {
		raw := blob(t, s, fmt.Sprintf("raw %s %d", b.ID, seq))
		if _, err := s.AddPage(Page{Batch: b.ID, Seq: seq, Sheet: seq, State: PageSafe, Raw: raw}); err != nil {
			t.Fatal(err)
		}
		text := blob(t, s, fmt.Sprintf("text %s %d", b.ID, seq))
		_, err := s.UpdatePage(b.ID, seq, func(p *Page) error {
			p.State, p.Text = PageDone, text
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		d.Pages = append(d.Pages, DocumentPage{Batch: b.ID, Seq: seq})
	}
	d.PDF = blob(t, s, "pdf "+string(b.ID))
	if err := s.FileDocument(d, entry); err != nil {
		t.Fatal(err)
	}
	d, err := s.Document(d.ID)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// clean fails the test unless a check of s finds nothing.
func clean(t testing.TB, s *Store) Report {
	t.Helper()
	r, err := s.Check(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range r.Problems {
		t.Errorf("check: %+v", p)
	}
	return r
}

// What goes through all records ends when it is told to: whoever stops a process, or hands
// over to another one while requests wait, waits for it.
func TestLongWalksEnd(t *testing.T) {
	s := openTest(t)
	const documents = documentsAtOnce + 1
	fileBatch(t, s, "", 1)
	err := s.update(func(tx *bbolt.Tx) error {
		for range documents - 1 {
			if err := putDocument(tx, &Document{ID: DocumentID(NewID())}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	count := func(Document) error { n++; return nil }
	if err := s.EachDocument(t.Context(), count); err != nil || n != documents {
		t.Errorf("%d documents, %v, want %d", n, err, documents)
	}
	ctx, stop := context.WithCancel(t.Context())
	n = 0
	err = s.EachDocument(ctx, func(d Document) error {
		stop()
		return count(d)
	})
	if !errors.Is(err, context.Canceled) || n != 1 {
		t.Errorf("told to end with the first: %v after %d", err, n)
	}
	err = s.db.View(func(tx *bbolt.Tx) error {
		named, err := namedBlobs(tx, ctx.Err)
		n = len(named)
		return err
	})
	if !errors.Is(err, context.Canceled) || n > 10 { // those of one page
		t.Errorf("looking for what is named: %v after %d files", err, n)
	}
	if _, err := s.Sweep(ctx, Grace); !errors.Is(err, context.Canceled) {
		t.Errorf("sweeping: %v", err)
	}
}

func TestPathOfABatch(t *testing.T) {
	s := openTest(t)
	d := fileBatch(t, s, "anna", 3)
	b, err := s.Batch(d.Batch)
	if err != nil || b.State != BatchCompleted || b.Pages != 3 || b.Done != 3 || b.Sheets != 3 {
		t.Errorf("%+v, %v", b, err)
	}
	if open, err := s.OpenBatches(); err != nil || len(open) != 0 {
		t.Errorf("open batches %v, %v, want none", open, err)
	}
	if d.Revision != 1 {
		t.Errorf("revision %d, want 1", d.Revision)
	}
	if err := s.FileDocument(d); err != nil {
		t.Errorf("filing again: %v", err)
	}
	if again, err := s.Document(d.ID); err != nil || again.Revision != 2 {
		t.Errorf("%+v, %v, want revision 2", again, err)
	}
	if r := clean(t, s); r.Counts["pages"] != 3 || r.Counts["blobs"] != 7 || r.Counts["audit"] != 2 {
		t.Errorf("%v", r.Counts)
	}
	if err := s.DeleteDocument(Revision{ID: d.ID}, entry); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Page(d.Batch, 1); !errors.Is(err, ErrNotFound) {
		t.Errorf("a page of a deleted document: %v, want ErrNotFound", err)
	}
	if _, err := s.Batch(d.Batch); !errors.Is(err, ErrNotFound) {
		t.Errorf("its batch: %v, want ErrNotFound", err)
	}
	clean(t, s) // the files wait to be swept
	if n, err := s.Sweep(t.Context(), 0); n != 7 || err != nil {
		t.Errorf("swept %d, %v, want 7", n, err)
	}
	clean(t, s)
}

// Batches whose pages lie side by side in the database are kept apart.
func TestAnyPage(t *testing.T) {
	s := openTest(t)
	for _, id := range []BatchID{"a", "b", "c"} {
		if err := s.AddBatch(Batch{ID: id, State: BatchScanning}); err != nil {
			t.Fatal(err)
		}
		if any, err := s.AnyPage(id, PageSafe); any || err != nil {
			t.Errorf("batch %s without pages: %t, %v", id, any, err)
		}
	}
	for _, at := range []struct {
		batch BatchID
		seq   int
	}{{"a", 1}, {"b", 1}, {"b", 2}, {"b", 300}, {"c", 1}} {
		if _, err := s.AddPage(Page{Batch: at.batch, Seq: at.seq, State: PageSafe, Raw: blob(t, s, fmt.Sprint(at))}); err != nil {
			t.Fatal(err)
		}
	}
	for _, seq := range []int{300, 1, 2} {
		if any, err := s.AnyPage("b", PageSafe); !any || err != nil {
			t.Errorf("before page %d is done: %t, %v", seq, any, err)
		}
		if _, err := s.UpdatePage("b", seq, func(p *Page) error { p.State = PageDone; return nil }); err != nil {
			t.Fatal(err)
		}
	}
	for id, want := range map[BatchID]bool{"a": true, "b": false, "c": true} {
		if any, err := s.AnyPage(id, PageSafe); any != want || err != nil {
			t.Errorf("batch %s: %t, %v", id, any, err)
		}
	}
}

// Of a batch that gave two documents, deleting one leaves the other whole.
func TestDeleteOneOfTwoDocuments(t *testing.T) {
	s := openTest(t)
	b := Batch{ID: "b", State: BatchScanning, Documents: []DocumentID{"d1", "d2"}}
	if err := s.AddBatch(b); err != nil {
		t.Fatal(err)
	}
	for seq := 1; seq <= 2; seq++ {
		p := Page{Batch: "b", Seq: seq, Sheet: seq, State: PageDone, Raw: blob(t, s, fmt.Sprint(seq))}
		p.State = PageSafe
		if _, err := s.AddPage(p); err != nil {
			t.Fatal(err)
		}
		if _, err := s.UpdatePage("b", seq, func(p *Page) error { p.State = PageKept; return nil }); err != nil {
			t.Fatal(err)
		}
	}
	for seq, id := range []DocumentID{"d1", "d2"} {
		d := Document{ID: id, Batch: "b", Pages: []DocumentPage{{Batch: "b", Seq: seq + 1}}, PDF: blob(t, s, string(id))}
		if err := s.FileDocument(d); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.DeleteDocument(Revision{ID: "d1"}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Page("b", 1); !errors.Is(err, ErrNotFound) {
		t.Errorf("page 1: %v, want ErrNotFound", err)
	}
	if _, err := s.Page("b", 2); err != nil {
		t.Errorf("page 2: %v", err)
	}
	clean(t, s)
}

func TestRefusals(t *testing.T) {
	s := openTest(t)
	d := fileBatch(t, s, "", 1)
	changed := errors.New("changed my mind")
	tests := []struct {
		name string
		do   func() error
		want error
	}{
		{"batch twice", func() error { return s.AddBatch(Batch{ID: d.Batch}) }, ErrExists},
		{"batch without identifier", func() error { return s.AddBatch(Batch{}) }, ErrBadID},
		{"batch with a strange identifier", func() error { return s.AddBatch(Batch{ID: "a/b"}) }, ErrBadID},
		{"page twice", func() error { _, err := s.AddPage(Page{Batch: d.Batch, Seq: 1}); return err }, ErrExists},
		{"page of no batch", func() error { _, err := s.AddPage(Page{Batch: "x", Seq: 1}); return err }, ErrNotFound},
		{"no such page", func() error { _, err := s.Page(d.Batch, 9); return err }, ErrNotFound},
		{"no such batch", func() error { _, err := s.Batch("x"); return err }, ErrNotFound},
		{"document in another state", func() error { return s.DeleteDocument(Revision{ID: d.ID, Revision: 99}) }, ErrConflict},
		{"no such document", func() error { return s.DeleteDocument(Revision{ID: "x"}) }, ErrNotFound},
		{"document of no batch", func() error { return s.FileDocument(Document{ID: "x", Batch: "x"}) }, ErrNotFound},
		{"change refused", func() error {
			_, err := s.UpdateBatch(d.Batch, func(b *Batch) error { b.State = BatchFailed; return changed })
			return err
		}, changed},
		{"no such blob", func() error { _, err := s.OpenBlob(Blob{Sum: strings.Repeat("a", 64)}); return err }, ErrNotFound},
		{"blob with a path for a name", func() error { _, err := s.OpenBlob(Blob{Sum: "../docscan.db"}); return err }, ErrNotFound},
		{"second daemon", func() error { _, err := Open(Config{Dir: s.Dir()}, quiet); return err }, ErrLocked},
		{"check beside a daemon", func() error { _, err := CheckDir(t.Context(), s.Dir()); return err }, ErrLocked},
		{"restore beside a daemon", func() error { return RestoreBackup(strings.NewReader(""), s.Dir()) }, ErrLocked},
		{"malformed identifier", func() error { return CheckID("0190") }, ErrBadID},
		{"the only profile", func() error {
			for _, id := range []ProfileID{"photo", "single-sided"} {
				if err := s.DeleteProfile(id); err != nil {
					return err
				}
			}
			if err := s.DeleteProfile("standard"); err == nil {
				return errors.New("the last profile could be deleted")
			}
			return s.DeleteProfile("unknown")
		}, ErrNotFound},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if err := tt.do(); !errors.Is(err, tt.want) {
				t.Errorf("%v, want %v", err, tt.want)
			}
		})
	}
	if b, err := s.Batch(d.Batch); err != nil || b.State != BatchCompleted || b.Pages != 1 {
		t.Errorf("a refusal changed the batch: %+v, %v", b, err)
	}
	clean(t, s)
}

// The history of a document is read from the changes that name it, and from no other.
func TestChangesOf(t *testing.T) {
	s := openTest(t)
	mine, other := fileBatch(t, s, "", 1), fileBatch(t, s, "", 1)
	change := func(docs ...Document) ChangeID {
		t.Helper()
		c := Change{ID: ChangeID(NewID()), Time: time.Now(), Actor: "anna", Action: "edit"}
		if _, err := s.ChangeDocuments(c, docs, nil); err != nil {
			t.Fatal(err)
		}
		return c.ID
	}
	now := func(id DocumentID) Document {
		t.Helper()
		d, err := s.Document(id)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	first := change(now(mine.ID), now(other.ID))
	change(now(other.ID))
	last := change(now(mine.ID))
	if err := s.update(func(tx *bbolt.Tx) error {
		return tx.Bucket(bucketChanges).Put([]byte(NewID()), []byte("no change of it"))
	}); err != nil {
		t.Fatal(err)
	}
	for limit, want := range map[int][]ChangeID{9: {last, first}, 1: {last}} {
		list, err := s.ChangesOf(mine.ID, limit)
		var got []ChangeID
		for _, c := range list {
			got = append(got, c.ID)
		}
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("at most %d: %v, %v, want %v", limit, got, err, want)
		}
	}
}

// Listings by owner have that owner's and nobody's, newest first, in pieces too.
func TestListings(t *testing.T) {
	s := openTest(t)
	owners := []UserID{"anna", "ben", "", "anna", "", "ben", "anna", "an"}
	var ids []DocumentID
	for _, o := range owners {
		ids = append(ids, fileBatch(t, s, o, 1).ID)
	}
	anna, nobody, stranger := Reader{User: "anna"}, Reader{}, Reader{User: "zoe"}
	tests := []struct {
		owner *Reader
		want  []int // of ids
	}{
		{nil, []int{7, 6, 5, 4, 3, 2, 1, 0}},
		{&anna, []int{6, 4, 3, 2, 0}},
		{&nobody, []int{4, 2}},
		{&stranger, []int{4, 2}},
	}
	for _, tt := range tests {
		for _, limit := range []int{0, 1, 2, 100} {
			var got []int
			var before DocumentID
			for {
				page, err := s.Documents(DocumentQuery{Owner: tt.owner, Limit: limit, Before: before})
				if err != nil {
					t.Fatal(err)
				}
				for _, d := range page {
					got = append(got, slices.Index(ids, d.ID))
					before = d.ID
				}
				if len(page) == 0 || limit == 0 {
					break
				}
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("owner %v, %d at a time: %v, want %v", tt.owner, limit, got, tt.want)
			}
		}
	}
	if got, err := s.Batches(BatchQuery{Owner: &anna, Limit: 2}); err != nil || len(got) != 2 || got[0].Owner != "anna" || got[1].Owner != "" {
		t.Errorf("%v, %v", got, err)
	}
	// A document that changes hands changes lists.
	if _, err := s.UpdateDocument(ids[1], func(d *Document) error { d.Owner = "anna"; return nil }); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Documents(DocumentQuery{Owner: &anna}); err != nil || len(got) != 6 {
		t.Errorf("%d documents, %v, want 6", len(got), err)
	}
	if err := s.DeleteDocument(Revision{ID: ids[6]}); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Documents(DocumentQuery{Owner: &anna, Before: ids[6]}); err != nil || len(got) != 5 {
		t.Errorf("after a deleted one: %d documents, %v, want 5", len(got), err)
	}
	clean(t, s)
}

func TestPeople(t *testing.T) {
	s := openTest(t)
	u := User{ID: UserID(NewID()), Name: "Anna", Role: RoleAdmin}
	if err := s.AddFirstUser(u, entry); err != nil {
		t.Fatal(err)
	}
	if err := s.AddFirstUser(User{ID: "x", Name: "Eve"}); !errors.Is(err, ErrExists) {
		t.Errorf("a second first user: %v, want ErrExists", err)
	}
	if err := s.AddUser(User{ID: "x", Name: "aNNA"}); !errors.Is(err, ErrExists) {
		t.Errorf("the same name: %v, want ErrExists", err)
	}
	if got, err := s.UserByName("ANNA"); err != nil || got.ID != u.ID {
		t.Errorf("%+v, %v", got, err)
	}
	now := time.Now()
	for i, hash := range []string{"h1", "h2", "h3"} {
		x := Session{ID: SessionID("id of " + hash), Hash: hash, User: u.ID, Created: now.Add(time.Duration(i)), Seen: now, Expires: now.Add(time.Hour)}
		if err := s.AddSession(nil, x); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.TouchSession("h3", now.Add(-2*time.Hour)); err != nil {
		t.Fatal(err)
	}
	if err := s.EndExpiredSessions(now, time.Hour); err != nil {
		t.Fatal(err)
	}
	if err := s.EndSessionOf("somebody else", "id of h2", entry); !errors.Is(err, ErrNotFound) {
		t.Errorf("another's log-in: %v, want ErrNotFound", err)
	}
	for _, tt := range []struct {
		keeps Keeps
		want  error
		hash  string
	}{
		{Keeps{Session: "ended", Renewed: "h9"}, ErrNotFound, "h1"}, // nothing is changed, nothing ended
		{Keeps{Session: "h1", Renewed: "h1 renewed"}, nil, "h1 renewed"},
		{Keeps{Session: "h1 renewed"}, nil, "h1 renewed"},
	} {
		_, err := s.CutUser(u.ID, tt.keeps, func(u *User) error { return nil })
		if !errors.Is(err, tt.want) {
			t.Errorf("%+v: %v, want %v", tt.keeps, err, tt.want)
		}
		if x, err := s.SessionByHash(tt.hash); err != nil || x.ID != "id of h1" {
			t.Errorf("after %+v: %+v, %v", tt.keeps, x, err)
		}
	}
	if got, err := s.Sessions(u.ID); err != nil || len(got) != 1 {
		t.Errorf("sessions %v, %v, want one", got, err)
	}
	if err := s.AddSession(nil, Session{ID: "id of h2", Hash: "h2", User: u.ID, Created: now, Seen: now, Expires: now.Add(time.Hour)}); err != nil {
		t.Fatal(err)
	}
	if err := s.EndSessionOf(u.ID, "id of h2", entry); err != nil {
		t.Fatal(err)
	}
	if err := s.EndSessionOf(u.ID, "id of h2", entry); !errors.Is(err, ErrNotFound) {
		t.Errorf("ended twice: %v, want ErrNotFound", err)
	}
	if got, err := s.Sessions(u.ID); err != nil || len(got) != 1 || got[0].Hash != "h1 renewed" {
		t.Errorf("sessions %v, %v, want that of h1", got, err)
	}
	if err := s.EndSession("h1 renewed"); err != nil {
		t.Fatal(err)
	}
	if err := s.EndSession("h1 renewed"); err != nil {
		t.Errorf("ending it twice: %v", err)
	}
	if _, err := s.SessionByHash("h1 renewed"); !errors.Is(err, ErrNotFound) {
		t.Errorf("%v, want ErrNotFound", err)
	}
	token := Token{ID: TokenID(NewID()), Hash: "t1", User: u.ID, Name: "cron"}
	if err := s.AddToken(nil, token); err != nil {
		t.Fatal(err)
	}
	if err := s.DeleteToken("somebody else", token.ID); !errors.Is(err, ErrNotFound) {
		t.Errorf("another's token: %v, want ErrNotFound", err)
	}
	if got, err := s.TokenByHash("t1"); err != nil || got.Name != "cron" {
		t.Errorf("%+v, %v", got, err)
	}
	clean(t, s)
	if err := s.DeleteToken(u.ID, token.ID); err != nil {
		t.Fatal(err)
	}
	var got string
	if err := s.PutSetting("name", "box"); err != nil {
		t.Fatal(err)
	}
	if ok, err := s.Setting("name", &got); !ok || err != nil || got != "box" {
		t.Errorf("%q, %v, %v", got, ok, err)
	}
	if err := s.PutSetting("name", nil); err != nil {
		t.Fatal(err)
	}
	if ok, err := s.Setting("name", &got); ok || err != nil {
		t.Errorf("a removed setting: %v, %v", ok, err)
	}
}

// Entry and deed are one: a deed that fails leaves no entry.
func TestAuditIsPartOfTheDeed(t *testing.T) {
	s := openTest(t)
	if err := s.AddBatch(Batch{ID: "b"}, entry); err != nil {
		t.Fatal(err)
	}
	if err := s.AddBatch(Batch{ID: "b"}, entry); !errors.Is(err, ErrExists) {
		t.Fatal(err)
	}
	if err := s.AddAudit(entry); err != nil {
		t.Fatal(err)
	}
	if sum, err := s.VerifyAudit(); sum.Entries != 2 || err != nil {
		t.Errorf("%d entries, %v, want 2", sum.Entries, err)
	}
}

func TestFileModes(t *testing.T) {
	s := openTest(t)
	fileBatch(t, s, "", 1)
	err := filepath.WalkDir(s.Dir(), func(path string, d os.DirEntry, err error) error {
		if err != nil || path == s.Dir() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %v; others must not get at it", path, info.Mode())
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// A backup that has its copy of the database ends well when another process has
// taken over the store, as at a change of version.
func TestBackupOutlivesItsStore(t *testing.T) {
	dir := t.TempDir()
	before := openIn(t, dir)
	fileBatch(t, before, "anna", 3)
	var b bytes.Buffer
	err := before.Backup(t.Context(), &b, func() {
		if err := before.Close(); err != nil {
			t.Error(err)
		}
		after := openIn(t, dir) // clears the spool
		if _, err := after.Sweep(t.Context(), 0); err != nil {
			t.Error(err)
		}
		fileBatch(t, after, "bert", 1)
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := VerifyBackup(&b); err != nil {
		t.Error(err)
	}
}

// What a feeder, workers, a sweep, checks and backups do at once.
func TestAtOnce(t *testing.T) {
	s := openTest(t)
	var work sync.WaitGroup
	for range 4 {
		work.Go(func() {
			for i := range 5 {
				d := fileBatch(t, s, "anna", 2)
				if i%2 == 1 {
					if err := s.DeleteDocument(Revision{ID: d.ID}); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	done := make(chan struct{})
	var others sync.WaitGroup
	for _, f := range []func() error{
		func() error { _, err := s.Sweep(t.Context(), time.Minute); return err },
		func() error { _, err := s.Check(t.Context()); return err },
		func() error {
			var b bytes.Buffer
			if err := s.Backup(t.Context(), &b, nil); err != nil {
				return err
			}
			return VerifyBackup(&b)
		},
		func() error { _, err := s.Documents(DocumentQuery{}); return err },
	} {
		others.Go(func() {
			for {
				if err := f(); err != nil {
					t.Error(err)
				}
				select {
				case <-done:
					return
				default:
				}
			}
		})
	}
	work.Wait()
	close(done)
	others.Wait()
	if r := clean(t, s); r.Counts["documents"] != 12 {
		t.Errorf("%v, want 12 documents", r.Counts)
	}
}
