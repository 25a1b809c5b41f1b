package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"go.etcd.io/bbolt"

	"docscan/store/audit"
)

// bucketHandins has what single requests have handed in. It is made by the first one:
// a program that does not know it leaves it alone.
var bucketHandins = []byte("handins")

// A Handin is what one request has brought: several files, of each of which one batch
// was made. Clients of the service before this one call it a batch.
type Handin struct {
	ID      HandinID     `json:"id"`
	Owner   UserID       `json:"owner"`
	Created time.Time    `json:"created"`
	Files   []HandinFile `json:"files"`
}

// A HandinFile is one of its files.
type HandinFile struct {
	Name    string  `json:"name"`
	Type    string  `json:"type,omitempty"`
	Batch   BatchID `json:"batch,omitempty"`   // empty: it was refused
	Problem string  `json:"problem,omitempty"` // why
}

// First is the first batch of h: a listing of batches shows h in its place, and goes on
// after it.
func (h *Handin) First() BatchID {
	for _, f := range h.Files {
		if f.Batch != "" {
			return f.Batch
		}
	}
	return ""
}

// batches is how many there are of h.
func (h *Handin) batches() (n int) {
	for _, f := range h.Files {
		if f.Batch != "" {
			n++
		}
	}
	return n
}

// AddHandin records what a request has brought.
func (s *Store) AddHandin(h Handin, entries ...audit.Entry) error {
	err := s.update(func(tx *bbolt.Tx) error {
		b, err := tx.CreateBucketIfNotExists(bucketHandins)
		if err != nil {
			return err
		}
		j, err := json.Marshal(&h)
		if err != nil {
			return err
		}
		if err := b.Put([]byte(h.ID), j); err != nil {
			return err
		}
		return appendAudit(tx, entries)
	})
	if err != nil {
		return fmt.Errorf("add hand-in %s: %w", h.ID, err)
	}
	return nil
}

// Handin gives what a request has brought, or ErrNotFound.
func (s *Store) Handin(id HandinID) (h Handin, err error) {
	err = s.view(func(tx *bbolt.Tx) error {
		h, err = handin(tx, id)
		return err
	})
	if err != nil {
		return Handin{}, fmt.Errorf("hand-in %.40q: %w", id, err)
	}
	return h, nil
}

func handin(tx *bbolt.Tx, id HandinID) (h Handin, err error) {
	if tx.Bucket(bucketHandins) == nil {
		return h, ErrNotFound
	}
	return h, get(tx, bucketHandins, []byte(id), &h)
}

// Handins lists what requests have brought and, as one file each, all other batches,
// newest first.
func (s *Store) Handins(q BatchQuery) ([]Handin, error) {
	var list []Handin
	for before := q.Before; len(list) < q.Limit; {
		batches, err := s.Batches(BatchQuery{Owner: q.Owner, Own: q.Own, Limit: q.Limit, Before: before})
		if err != nil {
			return nil, err
		}
		for _, b := range batches {
			before = b.ID
			h, err := s.handinOf(&b)
			if err != nil {
				return nil, err
			}
			if h.First() == b.ID && len(list) < q.Limit {
				list = append(list, h)
			}
		}
		if len(batches) < q.Limit {
			break
		}
	}
	return list, nil
}

// handinOf gives the hand-in that b came with, or one of b alone.
func (s *Store) handinOf(b *Batch) (Handin, error) {
	if b.Upload != nil && b.Upload.Handin != "" {
		h, err := s.Handin(b.Upload.Handin)
		if !errors.Is(err, ErrNotFound) {
			return h, err
		}
	}
	return HandinOf(b), nil
}

// HandinOf shows a batch that came alone as a hand-in.
func HandinOf(b *Batch) Handin {
	f := HandinFile{Batch: b.ID}
	if b.Upload != nil {
		f.Name, f.Type = b.Upload.Name, b.Upload.Type
	}
	return Handin{ID: HandinID(b.ID), Owner: b.Owner, Created: b.Created, Files: []HandinFile{f}}
}

// bequeathHandin gives the hand-in that b came with to the owner of b.
func bequeathHandin(tx *bbolt.Tx, b *Batch) error {
	if b.Upload == nil || b.Upload.Handin == "" {
		return nil
	}
	h, err := handin(tx, b.Upload.Handin)
	if errors.Is(err, ErrNotFound) || err == nil && h.Owner == b.Owner {
		return nil
	}
	if err != nil {
		return err
	}
	h.Owner = b.Owner
	return put(tx, bucketHandins, []byte(h.ID), &h)
}

// leaveHandin takes a batch that is deleted out of its hand-in, which goes with its
// last one.
func leaveHandin(tx *bbolt.Tx, b *Batch) error {
	if b.Upload == nil || b.Upload.Handin == "" {
		return nil
	}
	h, err := handin(tx, b.Upload.Handin)
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	h.Files = slices.DeleteFunc(h.Files, func(f HandinFile) bool { return f.Batch == b.ID })
	if h.First() == "" {
		return tx.Bucket(bucketHandins).Delete([]byte(h.ID))
	}
	return put(tx, bucketHandins, []byte(h.ID), &h)
}
