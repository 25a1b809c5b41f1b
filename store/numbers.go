package store

import (
	"bytes"
	"encoding/binary"
	"encoding/json"

	"go.etcd.io/bbolt"
)

// bucketNumbers has a key for each document with an archive number: the number,
// then the document. It is made by the first of them: a store without one is no
// other form. A program that does not know it leaves keys behind, so that what
// they say is looked up in the document.
var bucketNumbers = []byte("documents-by-number")

func numberKey(asn int, id DocumentID) []byte {
	return append(binary.BigEndian.AppendUint64(nil, uint64(asn)), id...)
}

// putNumber records the archive number of d, in place of that which it had.
func putNumber(tx *bbolt.Tx, d *Document) error {
	b := tx.Bucket(bucketNumbers)
	if b != nil {
		var old Document
		if v := tx.Bucket(bucketDocuments).Get([]byte(d.ID)); v != nil {
			if err := json.Unmarshal(v, &old); err != nil {
				return err
			}
		}
		if old.ASN != 0 && old.ASN != d.ASN {
			if err := b.Delete(numberKey(old.ASN, d.ID)); err != nil {
				return err
			}
		}
	}
	if d.ASN == 0 {
		return nil
	}
	b, err := tx.CreateBucketIfNotExists(bucketNumbers)
	if err != nil {
		return err
	}
	return b.Put(numberKey(d.ASN, d.ID), []byte{})
}

// Numbered gives the documents that bear an archive number, also those in the
// trash: more than one only if another program has written them.
func (s *Store) Numbered(asn int) ([]Document, error) {
	var list []Document
	err := s.view(func(tx *bbolt.Tx) error {
		b := tx.Bucket(bucketNumbers)
		if b == nil {
			return nil
		}
		prefix := numberKey(asn, "")
		c := b.Cursor()
		for k, _ := c.Seek(prefix); bytes.HasPrefix(k, prefix); k, _ = c.Next() {
			v := tx.Bucket(bucketDocuments).Get(k[len(prefix):])
			if v == nil {
				continue
			}
			var d Document
			if err := json.Unmarshal(v, &d); err != nil {
				return err
			}
			if d.ASN == asn {
				list = append(list, d)
			}
		}
		return nil
	})
	return list, err
}

// LastNumber gives the highest archive number in use; 0 if there is none.
func (s *Store) LastNumber() (asn int, err error) {
	err = s.view(func(tx *bbolt.Tx) error {
		b := tx.Bucket(bucketNumbers)
		if b == nil {
			return nil
		}
		c := b.Cursor()
		for k, _ := c.Last(); len(k) > 8; k, _ = c.Prev() {
			n := int(binary.BigEndian.Uint64(k))
			var d Document
			v := tx.Bucket(bucketDocuments).Get(k[8:])
			if v == nil {
				continue
			}
			if err := json.Unmarshal(v, &d); err != nil {
				return err
			}
			if d.ASN == n {
				asn = n
				return nil
			}
		}
		return nil
	})
	return asn, err
}
