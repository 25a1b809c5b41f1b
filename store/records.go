package store

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.etcd.io/bbolt"

	"docscan/store/audit"
)

// each decodes every record of a bucket.
func each[T any](tx *bbolt.Tx, bucket []byte, f func(key []byte, v *T) error) error {
	return tx.Bucket(bucket).ForEach(func(k, v []byte) error {
		var t T
		if err := json.Unmarshal(v, &t); err != nil {
			return fmt.Errorf("broken record %s/%s: %w", bucket, k, err)
		}
		return f(k, &t)
	})
}

// AddBatch records a new batch. A batch of that identifier is ErrExists.
func (s *Store) AddBatch(b Batch, entries ...audit.Entry) error {
	err := s.update(func(tx *bbolt.Tx) error {
		if err := checkKey(string(b.ID)); err != nil {
			return err
		}
		if tx.Bucket(bucketBatches).Get([]byte(b.ID)) != nil {
			return ErrExists
		}
		if err := putBatch(tx, &b); err != nil {
			return err
		}
		return appendAudit(tx, entries)
	})
	if err != nil {
		return fmt.Errorf("add batch %s: %w", b.ID, err)
	}
	return nil
}

// Batch gives a batch, or ErrNotFound.
func (s *Store) Batch(id BatchID) (Batch, error) {
	return read[Batch](s, bucketBatches, "batch", string(id))
}

// UpdateBatch changes a batch in one transaction with its audit entries. An
// error of change leaves all as it was.
func (s *Store) UpdateBatch(id BatchID, change func(*Batch) error, entries ...audit.Entry) (Batch, error) {
	var b Batch
	err := s.update(func(tx *bbolt.Tx) error {
		if err := get(tx, bucketBatches, []byte(id), &b); err != nil {
			return err
		}
		if err := change(&b); err != nil {
			return err
		}
		b.Updated = time.Now()
		if err := putBatch(tx, &b); err != nil {
			return err
		}
		return appendAudit(tx, entries)
	})
	if err != nil {
		return Batch{}, fmt.Errorf("batch %s: %w", id, err)
	}
	return b, nil
}

// A BatchQuery says which batches are wanted.
type BatchQuery struct {
	Owner  *Reader // what this one sees; nil: all
	Own    bool    // of what Owner sees only what is Owner's
	Limit  int     // at most so many; 0: all
	Before BatchID // older than this one; empty: from the newest
}

// Batches lists batches, newest first.
func (s *Store) Batches(q BatchQuery) ([]Batch, error) {
	if q.Owner != nil {
		keep := func(b *Batch) bool { return b.Owner == q.Owner.User || b.Owner == "" && !q.Own }
		if !s.indexed.Load() {
			return newest(s, bucketBatches, string(q.Before), q.Limit, keep)
		}
		return owned(s, bucketBatches, bucketOwnBatches, nil, q.Owner, string(q.Before), q.Limit, keep)
	}
	return newest[Batch](s, bucketBatches, string(q.Before), q.Limit, nil)
}

// OpenBatches lists the batches that are not final, oldest first.
func (s *Store) OpenBatches() ([]Batch, error) {
	if !s.indexed.Load() {
		return s.openWithoutIndex()
	}
	var open []Batch
	err := s.view(func(tx *bbolt.Tx) error {
		return tx.Bucket(bucketOpenBatches).ForEach(func(k, _ []byte) error {
			var b Batch
			if err := get(tx, bucketBatches, k, &b); err != nil {
				return fmt.Errorf("batch %s: %w", k, err)
			}
			open = append(open, b)
			return nil
		})
	})
	return open, err
}

// pageKey sorts pages by batch, then in feed order.
func pageKey(batch BatchID, seq int) []byte {
	return binary.BigEndian.AppendUint32(append([]byte(batch), '/'), uint32(seq))
}

// AddPage records a page and counts it in its batch, in one transaction: after
// it the page is safe. A page of that number is ErrExists.
func (s *Store) AddPage(p Page) (Batch, error) {
	var b Batch
	err := s.update(func(tx *bbolt.Tx) error {
		key := pageKey(p.Batch, p.Seq)
		if tx.Bucket(bucketPages).Get(key) != nil {
			return ErrExists
		}
		if err := get(tx, bucketBatches, []byte(p.Batch), &b); err != nil {
			return fmt.Errorf("its batch: %w", err)
		}
		b.Pages++
		b.Sheets = max(b.Sheets, p.Sheet)
		b.Updated = time.Now()
		if err := putBatch(tx, &b); err != nil {
			return err
		}
		return put(tx, bucketPages, key, &p)
	})
	if err != nil {
		return Batch{}, fmt.Errorf("add page %d of batch %s: %w", p.Seq, p.Batch, err)
	}
	return b, nil
}

// Page gives a page, or ErrNotFound.
func (s *Store) Page(batch BatchID, seq int) (Page, error) {
	var p Page
	err := s.view(func(tx *bbolt.Tx) error { return get(tx, bucketPages, pageKey(batch, seq), &p) })
	if err != nil {
		return Page{}, fmt.Errorf("page %d of batch %s: %w", seq, batch, err)
	}
	return p, nil
}

// UpdatePage changes a page. When its processing ends, its batch counts that in
// the same transaction.
func (s *Store) UpdatePage(batch BatchID, seq int, change func(*Page) error) (Page, error) {
	var p Page
	var before []Blob
	err := s.update(func(tx *bbolt.Tx) error {
		key := pageKey(batch, seq)
		if err := get(tx, bucketPages, key, &p); err != nil {
			return err
		}
		before = p.blobs()
		state := p.State
		if err := change(&p); err != nil {
			return err
		}
		if state == PageSafe && p.State != PageSafe {
			var b Batch
			if err := get(tx, bucketBatches, []byte(batch), &b); err != nil {
				return fmt.Errorf("its batch: %w", err)
			}
			b.Done++
			if err := putBatch(tx, &b); err != nil {
				return err
			}
		}
		return put(tx, bucketPages, key, &p)
	})
	if err != nil {
		return Page{}, fmt.Errorf("page %d of batch %s: %w", seq, batch, err)
	}
	s.unnamed(before, p.blobs())
	return p, nil
}

// Pages lists the pages of a batch in feed order.
func (s *Store) Pages(batch BatchID) ([]Page, error) {
	var pages []Page
	err := s.view(func(tx *bbolt.Tx) (err error) {
		pages, err = pagesOf(tx, batch)
		return err
	})
	return pages, err
}

func pagesOf(tx *bbolt.Tx, batch BatchID) ([]Page, error) {
	var pages []Page
	prefix := append([]byte(batch), '/')
	c := tx.Bucket(bucketPages).Cursor()
	for k, v := c.Seek(prefix); k != nil && strings.HasPrefix(string(k), string(prefix)); k, v = c.Next() {
		var p Page
		if err := json.Unmarshal(v, &p); err != nil {
			return nil, fmt.Errorf("broken record %s/%x: %w", bucketPages, k, err)
		}
		pages = append(pages, p)
	}
	return pages, nil
}

// AnyPage reports whether a page of a batch has a state. It looks from the last page on:
// that one is worked on last, so that hardly ever more than one is looked at while there
// is work left.
func (s *Store) AnyPage(batch BatchID, state PageState) (found bool, err error) {
	err = s.view(func(tx *bbolt.Tx) error {
		c := tx.Bucket(bucketPages).Cursor()
		var k, v []byte
		if after, _ := c.Seek(append([]byte(batch), '/'+1)); after == nil {
			k, v = c.Last()
		} else {
			k, v = c.Prev()
		}
		for prefix := string(batch) + "/"; !found && strings.HasPrefix(string(k), prefix); k, v = c.Prev() {
			var p struct {
				State PageState `json:"state"`
			}
			if err := json.Unmarshal(v, &p); err != nil {
				return fmt.Errorf("broken record %s/%x: %w", bucketPages, k, err)
			}
			found = p.State == state
		}
		return nil
	})
	return found, err
}

// FileDocument files the only document of a batch; see FileDocuments.
func (s *Store) FileDocument(d Document, entries ...audit.Entry) error {
	return s.FileDocuments(d.Batch, []Document{d}, entries...)
}

// FileDocuments records the documents of a batch, and moves it to completed, in
// one transaction. Filing the same document again replaces its content and keeps
// its history: after a crash between the two it is repeated.
func (s *Store) FileDocuments(batch BatchID, docs []Document, entries ...audit.Entry) error {
	var before, after []Blob
	err := s.update(func(tx *bbolt.Tx) error {
		var b Batch
		if err := get(tx, bucketBatches, []byte(batch), &b); err != nil {
			return fmt.Errorf("its batch: %w", err)
		}
		for _, d := range docs {
			if err := checkKey(string(d.ID)); err != nil {
				return err
			}
			var old Document
			switch err := get(tx, bucketDocuments, []byte(d.ID), &old); {
			case err == nil:
				d.Revision, d.Groups = old.Revision, old.Groups
				before = append(before, old.PDF)
			case !errors.Is(err, ErrNotFound):
				return err
			}
			d.Revision++
			if d.Type == "" && b.Upload != nil {
				d.Type = b.Upload.Type
			}
			if err := putDocument(tx, &d); err != nil {
				return err
			}
			after = append(after, d.PDF)
			if !slices.Contains(b.Documents, d.ID) {
				b.Documents = append(b.Documents, d.ID)
			}
		}
		b.State, b.Updated = BatchCompleted, time.Now()
		if err := putBatch(tx, &b); err != nil {
			return err
		}
		return appendAudit(tx, entries)
	})
	if err != nil {
		return fmt.Errorf("file documents of batch %s: %w", batch, err)
	}
	s.unnamed(before, after)
	return nil
}

// Document gives a document, or ErrNotFound.
func (s *Store) Document(id DocumentID) (Document, error) {
	return read[Document](s, bucketDocuments, "document", string(id))
}

// UpdateDocument changes a document and counts its revision up.
func (s *Store) UpdateDocument(id DocumentID, change func(*Document) error, entries ...audit.Entry) (Document, error) {
	var d Document
	var before Blob
	err := s.update(func(tx *bbolt.Tx) error {
		if err := get(tx, bucketDocuments, []byte(id), &d); err != nil {
			return err
		}
		before = d.PDF
		if err := change(&d); err != nil {
			return err
		}
		d.Revision++
		d.Updated = time.Now()
		if err := putDocument(tx, &d); err != nil {
			return err
		}
		return appendAudit(tx, entries)
	})
	if err != nil {
		return Document{}, fmt.Errorf("document %s: %w", id, err)
	}
	s.unnamed([]Blob{before}, []Blob{d.PDF})
	return d, nil
}

// DeleteDocument removes a document with the pages that no other document has;
// a batch all of whose documents are gone goes too, with whatever pages it has
// left. The files go with a later sweep. A document that has another revision by now, as
// when somebody has taken it out of the trash, stays: ErrConflict. Revision 0 is any.
func (s *Store) DeleteDocument(r Revision, entries ...audit.Entry) error {
	var gone []Blob
	err := s.update(func(tx *bbolt.Tx) error {
		var d Document
		err := get(tx, bucketDocuments, []byte(r.ID), &d)
		if err != nil {
			return err
		}
		if r.Revision != 0 && r.Revision != d.Revision {
			return ErrConflict
		}
		if gone, err = dropDocument(tx, r.ID); err != nil {
			return err
		}
		return appendAudit(tx, entries)
	})
	if err != nil {
		return fmt.Errorf("delete document %s: %w", r.ID, err)
	}
	s.unnamed(gone, nil)
	return nil
}

// A DocumentQuery says which documents are wanted.
type DocumentQuery struct {
	Owner  *Reader    // what this one sees; nil: all
	Limit  int        // at most so many; 0: all
	Before DocumentID // older than this one; empty: from the newest
	Trash  bool       // those in the trash, instead of those that are not
}

// Documents lists documents, newest first.
func (s *Store) Documents(q DocumentQuery) ([]Document, error) {
	keep := func(d *Document) bool { return d.Trashed.IsZero() != q.Trash }
	if q.Owner != nil {
		sees := func(d *Document) bool { return keep(d) && q.Owner.Reads(d) }
		if !s.indexed.Load() {
			return newest(s, bucketDocuments, string(q.Before), q.Limit, sees)
		}
		return owned(s, bucketDocuments, bucketOwnDocuments, bucketShares, q.Owner, string(q.Before), q.Limit, sees)
	}
	return newest(s, bucketDocuments, string(q.Before), q.Limit, keep)
}

// EachDocument gives f every document, also those in the trash, the newest first, until ctx
// ends: there may be very many, and whoever stops a process waits for this. What is filed
// meanwhile may be missed.
func (s *Store) EachDocument(ctx context.Context, f func(Document) error) error {
	var before string
	for {
		docs, err := newest[Document](s, bucketDocuments, before, documentsAtOnce, nil)
		if err != nil || len(docs) == 0 {
			return err
		}
		for _, d := range docs {
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := f(d); err != nil {
				return err
			}
		}
		before = string(docs[len(docs)-1].ID)
	}
}

// documentsAtOnce is how many EachDocument reads together.
const documentsAtOnce = 100

// Profiles lists the profiles: the first is the default one, the others follow
// by name.
func (s *Store) Profiles() ([]Profile, error) {
	all, err := list[Profile](s, bucketProfiles, nil)
	slices.SortFunc(all, func(a, b Profile) int {
		if (a.ID == firstProfile) != (b.ID == firstProfile) {
			if a.ID == firstProfile {
				return -1
			}
			return 1
		}
		return strings.Compare(strings.ToLower(a.Name), strings.ToLower(b.Name))
	})
	return all, err
}

// Profile gives a profile, or ErrNotFound.
func (s *Store) Profile(id ProfileID) (Profile, error) {
	return read[Profile](s, bucketProfiles, "profile", string(id))
}

// PutProfile adds or replaces a profile.
func (s *Store) PutProfile(p Profile, entries ...audit.Entry) error {
	err := s.update(func(tx *bbolt.Tx) error {
		if err := put(tx, bucketProfiles, []byte(p.ID), &p); err != nil {
			return err
		}
		return appendAudit(tx, entries)
	})
	if err != nil {
		return fmt.Errorf("put profile %s: %w", p.ID, err)
	}
	return nil
}

// DeleteProfile removes a profile. The last one stays: a press must mean
// something.
func (s *Store) DeleteProfile(id ProfileID, entries ...audit.Entry) error {
	err := s.update(func(tx *bbolt.Tx) error {
		b := tx.Bucket(bucketProfiles)
		if b.Get([]byte(id)) == nil {
			return ErrNotFound
		}
		if first, _ := b.Cursor().First(); first != nil {
			if last, _ := b.Cursor().Last(); string(first) == string(last) {
				return errors.New("it is the only one")
			}
		}
		if err := b.Delete([]byte(id)); err != nil {
			return err
		}
		return appendAudit(tx, entries)
	})
	if err != nil {
		return fmt.Errorf("delete profile %s: %w", id, err)
	}
	return nil
}

// firstProfile is what a short press means until somebody changes that.
const firstProfile ProfileID = "standard"

// seedProfiles gives a new store something a press can mean.
func (s *Store) seedProfiles() error {
	have, err := s.Profiles()
	if err != nil || len(have) > 0 {
		return err
	}
	return s.update(func(tx *bbolt.Tx) error {
		for _, p := range []Profile{
			{ID: firstProfile, Name: "Both sides, colour", Source: "auto", Duplex: true, Mode: "color", Resolution: 300},
			{ID: "single-sided", Name: "Front sides only, colour", Source: "auto", Mode: "color", Resolution: 300},
			{ID: "photo", Name: "Photo from the glass", Source: "platen", Mode: "color", Resolution: 600},
		} {
			if err := put(tx, bucketProfiles, []byte(p.ID), &p); err != nil {
				return err
			}
		}
		return nil
	})
}

// Setting reads the setting key into v and reports whether there is one.
func (s *Store) Setting(key string, v any) (bool, error) {
	err := s.view(func(tx *bbolt.Tx) error { return get(tx, bucketSettings, []byte(key), v) })
	if errors.Is(err, ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("setting %s: %w", key, err)
	}
	return true, nil
}

// PutSetting stores v as the setting key; nil removes it.
func (s *Store) PutSetting(key string, v any, entries ...audit.Entry) error {
	err := s.update(func(tx *bbolt.Tx) error {
		if v == nil {
			if err := tx.Bucket(bucketSettings).Delete([]byte(key)); err != nil {
				return err
			}
		} else if err := put(tx, bucketSettings, []byte(key), v); err != nil {
			return err
		}
		return appendAudit(tx, entries)
	})
	if err != nil {
		return fmt.Errorf("setting %s: %w", key, err)
	}
	return nil
}
