package store

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"go.etcd.io/bbolt"

	"docscan/store/audit"
)

// bucketChanges has what was done to documents, so that it can be taken back.
// It is made by the first change: a store without one is no other form, and a
// program that does not know it leaves it alone.
var bucketChanges = []byte("changes")

// A ChangeID names a change; like the others it sorts by time.
type ChangeID string

// A Change is one thing that a person did to documents.
type Change struct {
	ID     ChangeID  `json:"id"`
	Time   time.Time `json:"time"`
	Actor  string    `json:"actor"`  // log-in name
	Action string    `json:"action"` // edit, pages, split, merge, trash, restore, read or undo
	// Before are the documents as they were. One that the change made is not
	// among them. Their PDFs are not kept: they can be made from the pages.
	Before []Document `json:"before"`
	// After are the documents that it touched, as it left them.
	After  []Revision `json:"after"`
	Undone bool       `json:"undone,omitempty"`
}

// A Revision is one state of a document.
type Revision struct {
	ID       DocumentID `json:"id"`
	Revision int        `json:"revision"`
}

// ChangeDocuments puts docs in place of what is there, all or none, and records
// c with what was there before. Each has the revision that it was made from, 0
// for a new one; if the store has another by now, nothing is changed and the
// error is ErrConflict. remove are documents that end with the change, as it
// takes back what made them. It returns docs as they are now.
//
// A batch lists every document that has a page of it, so that its pages stay as
// long as one of them does.
func (s *Store) ChangeDocuments(c Change, docs []Document, remove []DocumentID, entries ...audit.Entry) ([]Document, error) {
	c.Before, c.After = nil, nil
	now := slices.Clone(docs)
	var before, after []Blob
	err := s.update(func(tx *bbolt.Tx) error {
		for i := range now {
			d := &now[i]
			if err := checkKey(string(d.ID)); err != nil {
				return err
			}
			var old Document
			switch err := get(tx, bucketDocuments, []byte(d.ID), &old); {
			case err == nil:
				before = append(before, old.PDF)
				c.Before = append(c.Before, old)
			case !errors.Is(err, ErrNotFound) || d.Revision != 0:
				return fmt.Errorf("document %s: %w", d.ID, err)
			}
			if old.Revision != d.Revision {
				return fmt.Errorf("document %s: %w", d.ID, ErrConflict)
			}
			d.Revision++
			d.Updated = c.Time
			if err := putDocument(tx, d); err != nil {
				return err
			}
			if err := listInBatches(tx, d); err != nil {
				return fmt.Errorf("document %s: %w", d.ID, err)
			}
			after = append(after, d.PDF)
			c.After = append(c.After, Revision{d.ID, d.Revision})
		}
		for _, id := range remove {
			gone, err := dropDocument(tx, id)
			if err != nil {
				return fmt.Errorf("document %s: %w", id, err)
			}
			before = append(before, gone...)
		}
		b, err := tx.CreateBucketIfNotExists(bucketChanges)
		if err != nil {
			return err
		}
		j, err := json.Marshal(c)
		if err != nil {
			return err
		}
		if err := b.Put([]byte(c.ID), j); err != nil {
			return err
		}
		return appendAudit(tx, entries)
	})
	if err != nil {
		return nil, fmt.Errorf("change documents: %w", err)
	}
	s.unnamed(before, after)
	return now, nil
}

// listInBatches makes each batch that d has pages of list it.
func listInBatches(tx *bbolt.Tx, d *Document) error {
	for _, id := range batchesOf(d) {
		var b Batch
		if err := get(tx, bucketBatches, []byte(id), &b); err != nil {
			return fmt.Errorf("batch %s: %w", id, err)
		}
		if slices.Contains(b.Documents, d.ID) {
			continue
		}
		b.Documents = append(b.Documents, d.ID)
		if err := putBatch(tx, &b); err != nil {
			return err
		}
	}
	return nil
}

// batchesOf gives the batches that d was made of, its own first.
func batchesOf(d *Document) []BatchID {
	list := []BatchID{d.Batch}
	for _, p := range d.Pages {
		if !slices.Contains(list, p.Batch) {
			list = append(list, p.Batch)
		}
	}
	return list
}

// dropDocument removes a document with the pages that no other has, and each
// batch that has no document left, with whatever pages it has. It returns the
// files that these named.
func dropDocument(tx *bbolt.Tx, id DocumentID) (gone []Blob, err error) {
	var d Document
	if err := get(tx, bucketDocuments, []byte(id), &d); err != nil {
		return nil, err
	}
	if err := deleteDocument(tx, &d); err != nil {
		return nil, err
	}
	gone = append(gone, d.PDF)
	for _, at := range batchesOf(&d) {
		blobs, err := leaveBatch(tx, at, &d)
		if err != nil {
			return nil, fmt.Errorf("batch %s: %w", at, err)
		}
		gone = append(gone, blobs...)
	}
	return gone, nil
}

// leaveBatch takes d out of a batch.
func leaveBatch(tx *bbolt.Tx, id BatchID, d *Document) (gone []Blob, err error) {
	var b Batch
	if err := get(tx, bucketBatches, []byte(id), &b); err != nil {
		return nil, err
	}
	b.Documents = slices.DeleteFunc(b.Documents, func(x DocumentID) bool { return x == d.ID })
	var held []DocumentPage // by documents that stay
	for _, other := range b.Documents {
		var o Document
		if err := get(tx, bucketDocuments, []byte(other), &o); err != nil && !errors.Is(err, ErrNotFound) {
			return nil, err // one that is not filed yet has no pages to hold
		}
		held = append(held, o.Pages...)
	}
	pages, err := pagesOf(tx, id)
	if err != nil {
		return nil, err
	}
	for _, p := range pages {
		at := DocumentPage{Batch: p.Batch, Seq: p.Seq}
		ours := slices.ContainsFunc(d.Pages, at.Is)
		if len(b.Documents) > 0 && (!ours || slices.ContainsFunc(held, at.Is)) {
			continue
		}
		gone = append(gone, p.blobs()...)
		if err := tx.Bucket(bucketPages).Delete(pageKey(p.Batch, p.Seq)); err != nil {
			return nil, err
		}
		b.Pages--
		if p.State != PageSafe {
			b.Done--
		}
	}
	if len(b.Documents) > 0 {
		return gone, putBatch(tx, &b)
	}
	return append(gone, b.blobs()...), deleteBatch(tx, &b)
}

// Change gives a change, or ErrNotFound.
func (s *Store) Change(id ChangeID) (Change, error) {
	var c Change
	err := s.view(func(tx *bbolt.Tx) error {
		if tx.Bucket(bucketChanges) == nil {
			return ErrNotFound
		}
		return get(tx, bucketChanges, []byte(id), &c)
	})
	if err != nil {
		return Change{}, fmt.Errorf("change %.40q: %w", id, err)
	}
	return c, nil
}

// ChangesOf lists what was done to a document, newest first, at most limit.
func (s *Store) ChangesOf(id DocumentID, limit int) ([]Change, error) {
	name, err := json.Marshal(id)
	if err != nil {
		return nil, err
	}
	var found []Change
	err = s.view(func(tx *bbolt.Tx) error {
		b := tx.Bucket(bucketChanges)
		if b == nil {
			return nil
		}
		c := b.Cursor()
		// Identifiers sort by time: nothing was done to it before it was made.
		for k, v := c.Last(); k != nil && len(found) < limit && string(k) > string(id); k, v = c.Prev() {
			if !bytes.Contains(v, name) { // one of hundreds of other documents takes long to read
				continue
			}
			var one Change
			if err := json.Unmarshal(v, &one); err != nil {
				return fmt.Errorf("broken record %s/%s: %w", bucketChanges, k, err)
			}
			if slices.ContainsFunc(one.After, func(r Revision) bool { return r.ID == id }) {
				found = append(found, one)
			}
		}
		return nil
	})
	return found, err
}

// MarkUndone marks a change as taken back.
func (s *Store) MarkUndone(id ChangeID) error {
	err := s.update(func(tx *bbolt.Tx) error {
		if tx.Bucket(bucketChanges) == nil {
			return ErrNotFound
		}
		var c Change
		if err := get(tx, bucketChanges, []byte(id), &c); err != nil {
			return err
		}
		c.Undone = true
		return put(tx, bucketChanges, []byte(id), &c)
	})
	if err != nil {
		return fmt.Errorf("change %s: %w", id, err)
	}
	return nil
}

// ForgetChanges removes the changes before limit and returns how many.
func (s *Store) ForgetChanges(limit time.Time) (n int, err error) {
	err = s.update(func(tx *bbolt.Tx) error {
		b := tx.Bucket(bucketChanges)
		if b == nil {
			return nil
		}
		c := b.Cursor()
		for k, v := c.First(); k != nil; k, v = c.Next() {
			var one Change
			if err := json.Unmarshal(v, &one); err == nil && !one.Time.Before(limit) {
				return nil // the others are newer
			}
			if err := c.Delete(); err != nil {
				return err
			}
			n++
		}
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("forget changes: %w", err)
	}
	return n, nil
}
