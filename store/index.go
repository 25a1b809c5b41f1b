package store

import (
	"bytes"
	"errors"
	"fmt"

	"go.etcd.io/bbolt"
)

// Indexes hold keys only, with empty values. They are changed in the
// transaction that changes the record, and can be built anew from the records.
// bucketOpenBatches has the batches that are not final, so that finding
// unfinished work does not read all batches ever scanned. The others have
// ownerKeys, so that listing what one person has is a prefix scan.

// ownerKey sorts by owner, then by time.
func ownerKey(owner UserID, id string) []byte {
	return append(ownerPrefix(owner), id...)
}

func ownerPrefix(owner UserID) []byte { return append([]byte(owner), 0) }

// putBatch stores b and keeps the indexes true.
func putBatch(tx *bbolt.Tx, b *Batch) error {
	key := []byte(b.ID)
	if err := dropOwner[Batch](tx, bucketBatches, bucketOwnBatches, key, func(old *Batch) UserID { return old.Owner }); err != nil {
		return err
	}
	if err := indexBatch(tx, b); err != nil {
		return err
	}
	return put(tx, bucketBatches, key, b)
}

func indexBatch(tx *bbolt.Tx, b *Batch) error {
	open := tx.Bucket(bucketOpenBatches)
	var err error
	if b.State.Final() {
		err = open.Delete([]byte(b.ID))
	} else {
		err = open.Put([]byte(b.ID), []byte{})
	}
	if err != nil {
		return err
	}
	return tx.Bucket(bucketOwnBatches).Put(ownerKey(b.Owner, string(b.ID)), []byte{})
}

func deleteBatch(tx *bbolt.Tx, b *Batch) error {
	if err := leaveHandin(tx, b); err != nil {
		return err
	}
	if err := tx.Bucket(bucketOpenBatches).Delete([]byte(b.ID)); err != nil {
		return err
	}
	if err := tx.Bucket(bucketOwnBatches).Delete(ownerKey(b.Owner, string(b.ID))); err != nil {
		return err
	}
	return tx.Bucket(bucketBatches).Delete([]byte(b.ID))
}

// putDocument stores d and keeps the index true.
func putDocument(tx *bbolt.Tx, d *Document) error {
	key := []byte(d.ID)
	if err := dropOwner(tx, bucketDocuments, bucketOwnDocuments, key, func(old *Document) UserID { return old.Owner }); err != nil {
		return err
	}
	if err := dropShares(tx, d.ID); err != nil {
		return err
	}
	if err := putNumber(tx, d); err != nil {
		return err
	}
	if err := indexDocument(tx, d); err != nil {
		return err
	}
	return put(tx, bucketDocuments, key, d)
}

func indexDocument(tx *bbolt.Tx, d *Document) error {
	if err := addShares(tx, d); err != nil {
		return err
	}
	return tx.Bucket(bucketOwnDocuments).Put(ownerKey(d.Owner, string(d.ID)), []byte{})
}

func deleteDocument(tx *bbolt.Tx, d *Document) error {
	if err := dropShares(tx, d.ID); err != nil {
		return err
	}
	if err := tx.Bucket(bucketOwnDocuments).Delete(ownerKey(d.Owner, string(d.ID))); err != nil {
		return err
	}
	return tx.Bucket(bucketDocuments).Delete([]byte(d.ID))
}

// dropOwner takes the record that is about to be replaced out of its owner's
// list: the new one may have another owner.
func dropOwner[T any](tx *bbolt.Tx, records, index, key []byte, owner func(*T) UserID) error {
	if tx.Bucket(records).Get(key) == nil {
		return nil
	}
	var old T
	if err := get(tx, records, key, &old); err != nil {
		return err
	}
	return tx.Bucket(index).Delete(ownerKey(owner(&old), string(key)))
}

// owned lists at most limit (0: all) records of a reader's own, of nobody in
// particular and, where shared (nil: nothing is) lists them, of the reader's
// groups, newest first, those before key before ("" for the newest), without
// those that keep (nil: all) refuses.
func owned[T any](s *Store, records, index, shared []byte, r *Reader, before string, limit int, keep func(*T) bool) ([]T, error) {
	var found []T
	err := s.view(func(tx *bbolt.Tx) error {
		lists := []*descent{descend(tx.Bucket(index), ownerPrefix(""), before)}
		if r.User != "" {
			lists = append(lists, descend(tx.Bucket(index), ownerPrefix(r.User), before))
		}
		if b := tx.Bucket(shared); b != nil {
			for _, g := range r.Groups {
				lists = append(lists, descend(b, groupPrefix(g), before))
			}
		}
		for limit <= 0 || len(found) < limit {
			newest := lists[0]
			for _, l := range lists[1:] {
				if bytes.Compare(l.id, newest.id) > 0 {
					newest = l
				}
			}
			if newest.id == nil {
				return nil
			}
			id := bytes.Clone(newest.id)
			var t T
			switch err := get(tx, records, id, &t); {
			case errors.Is(err, ErrNotFound) && len(r.Groups) > 0:
				// A list of shares may be out of date; see bucketShares.
			case err != nil:
				return fmt.Errorf("%s/%s: %w", records, id, err)
			case keep == nil || keep(&t):
				found = append(found, t)
			}
			for _, l := range lists {
				if bytes.Equal(l.id, id) {
					l.next()
				}
			}
		}
		return nil
	})
	return found, err
}

// descent walks the keys of an index with one prefix from the last to the
// first.
type descent struct {
	c      *bbolt.Cursor
	prefix []byte
	id     []byte // what follows the prefix; nil at the end
}

func descend(b *bbolt.Bucket, prefix []byte, before string) *descent {
	d := &descent{c: b.Cursor(), prefix: prefix}
	end := append(bytes.Clone(prefix), before...)
	if before == "" {
		end = append(end, 0xff) // after every identifier
	}
	if k, _ := d.c.Seek(end); k == nil {
		d.take(d.c.Last())
	} else {
		d.next()
	}
	return d
}

func (d *descent) next() { d.take(d.c.Prev()) }

func (d *descent) take(k, _ []byte) {
	id, ok := bytes.CutPrefix(k, d.prefix)
	if !ok {
		id = nil
	}
	d.id = id
}
