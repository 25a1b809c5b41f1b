package store

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"

	"go.etcd.io/bbolt"

	"docscan/store/audit"
)

// Both are made by the first group and the first share: a store without them is
// no other form, and a program that does not know them leaves them alone.
//
// bucketShares lists documents by the groups they are shared with, as the
// indexes do. A program of before does not keep it, so it may name documents
// that are gone or no longer shared: whoever reads it looks at the document.
var (
	bucketGroups = []byte("groups")
	bucketShares = []byte("documents-by-group")
)

func groupPrefix(g GroupID) []byte { return append([]byte(g), 0) }

func shareKey(g GroupID, id DocumentID) []byte { return append(groupPrefix(g), id...) }

// addShares lists d in its groups.
func addShares(tx *bbolt.Tx, d *Document) error {
	if len(d.Groups) == 0 {
		return nil
	}
	b, err := tx.CreateBucketIfNotExists(bucketShares)
	for _, g := range d.Groups {
		if err == nil {
			err = b.Put(shareKey(g, d.ID), []byte{})
		}
	}
	return err
}

// dropShares takes a document that is about to change out of its groups' lists.
func dropShares(tx *bbolt.Tx, id DocumentID) error {
	b := tx.Bucket(bucketShares)
	if b == nil {
		return nil
	}
	var old Document
	if err := get(tx, bucketDocuments, []byte(id), &old); errors.Is(err, ErrNotFound) {
		return nil
	} else if err != nil {
		return err
	}
	for _, g := range old.Groups {
		if err := b.Delete(shareKey(g, id)); err != nil {
			return err
		}
	}
	return nil
}

// groups reads all groups.
func groups(tx *bbolt.Tx) (map[GroupID]Group, error) {
	all := make(map[GroupID]Group)
	if tx.Bucket(bucketGroups) == nil {
		return all, nil
	}
	err := each(tx, bucketGroups, func(_ []byte, g *Group) error {
		all[g.ID] = *g
		return nil
	})
	return all, err
}

// Groups lists all groups by name.
func (s *Store) Groups() ([]Group, error) {
	var list []Group
	err := s.view(func(tx *bbolt.Tx) error {
		all, err := groups(tx)
		for _, g := range all {
			list = append(list, g)
		}
		return err
	})
	slices.SortFunc(list, func(a, b Group) int { return strings.Compare(FoldName(a.Name), FoldName(b.Name)) })
	return list, err
}

// PutGroup adds a group, or gives one another name. A name in use is ErrExists.
func (s *Store) PutGroup(g Group, entries ...audit.Entry) error {
	err := s.update(func(tx *bbolt.Tx) error {
		all, err := groups(tx)
		if err != nil {
			return err
		}
		for _, other := range all {
			if other.ID != g.ID && FoldName(other.Name) == FoldName(g.Name) {
				return ErrExists
			}
		}
		if _, err := tx.CreateBucketIfNotExists(bucketGroups); err != nil {
			return err
		}
		if err := put(tx, bucketGroups, []byte(g.ID), &g); err != nil {
			return err
		}
		return appendAudit(tx, entries)
	})
	if err != nil {
		return fmt.Errorf("group %.40q: %w", g.Name, err)
	}
	return nil
}

// DeleteGroup removes a group. It returns the documents that were shared with it
// and are so no longer.
func (s *Store) DeleteGroup(id GroupID, entries ...audit.Entry) ([]Document, error) {
	var changed []Document
	err := s.update(func(tx *bbolt.Tx) error {
		b := tx.Bucket(bucketGroups)
		if b == nil || b.Get([]byte(id)) == nil {
			return ErrNotFound
		}
		if err := b.Delete([]byte(id)); err != nil {
			return err
		}
		var people []User
		err := each(tx, bucketUsers, func(_ []byte, u *User) error {
			if slices.Contains(u.Groups, id) {
				people = append(people, *u)
			}
			return nil
		})
		if err != nil {
			return err
		}
		for _, u := range people {
			u.Groups = without(u.Groups, id)
			if err := put(tx, bucketUsers, []byte(u.ID), &u); err != nil {
				return err
			}
		}
		shared, err := sharedWith(tx, id)
		if err != nil {
			return err
		}
		for _, d := range shared {
			d.Groups = without(d.Groups, id)
			d.Revision++
			if err := putDocument(tx, &d); err != nil {
				return err
			}
			changed = append(changed, d)
		}
		return appendAudit(tx, entries)
	})
	if err != nil {
		return nil, fmt.Errorf("delete group %.40q: %w", id, err)
	}
	return changed, nil
}

func without(list []GroupID, id GroupID) []GroupID {
	return slices.DeleteFunc(slices.Clone(list), func(g GroupID) bool { return g == id })
}

// sharedWith lists the documents that are shared with a group.
func sharedWith(tx *bbolt.Tx, id GroupID) ([]Document, error) {
	b := tx.Bucket(bucketShares)
	if b == nil {
		return nil, nil
	}
	var list []Document
	prefix := groupPrefix(id)
	c := b.Cursor()
	for k, _ := c.Seek(prefix); bytes.HasPrefix(k, prefix); k, _ = c.Next() {
		var d Document
		err := get(tx, bucketDocuments, k[len(prefix):], &d)
		if err != nil && !errors.Is(err, ErrNotFound) {
			return nil, err
		}
		if slices.Contains(d.Groups, id) {
			list = append(list, d)
		}
	}
	return list, nil
}

// ShareDocument shares a document with exactly these groups. A group that is not
// there is ErrNotFound.
func (s *Store) ShareDocument(id DocumentID, with []GroupID, entries ...audit.Entry) (Document, error) {
	var d Document
	err := s.update(func(tx *bbolt.Tx) error {
		if err := get(tx, bucketDocuments, []byte(id), &d); err != nil {
			return err
		}
		all, err := groups(tx)
		if err != nil {
			return err
		}
		d.Groups = nil
		for _, g := range with {
			if _, ok := all[g]; !ok {
				return fmt.Errorf("group %.40q: %w", g, ErrNotFound)
			}
			if !slices.Contains(d.Groups, g) {
				d.Groups = append(d.Groups, g)
			}
		}
		d.Revision++
		if err := putDocument(tx, &d); err != nil {
			return err
		}
		return appendAudit(tx, entries)
	})
	if err != nil {
		return Document{}, fmt.Errorf("share document %s: %w", id, err)
	}
	return d, nil
}
