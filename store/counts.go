package store

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"

	"go.etcd.io/bbolt"
)

// bucketCounts has when something that is limited was done, by what it was and
// who did it. It is made when it is first needed; a program that does not know
// it leaves it alone, and what stands in it means nothing after an hour.
// PruneCounts bounds it.
var bucketCounts = []byte("counts")

// PutCounts records for each key when it was counted. None removes a key.
func (s *Store) PutCounts(counts map[string][]time.Time) error {
	if len(counts) == 0 {
		return nil
	}
	err := s.update(func(tx *bbolt.Tx) error {
		b, err := tx.CreateBucketIfNotExists(bucketCounts)
		if err != nil {
			return err
		}
		for key, times := range counts {
			if len(times) == 0 {
				err = b.Delete([]byte(key))
			} else {
				err = put(tx, bucketCounts, []byte(key), times)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("record counts: %w", err)
	}
	return nil
}

// Counts gives what PutCounts recorded. A key whose last time is older than
// memory gives for it is removed.
func (s *Store) Counts(memory func(key string) time.Duration) (map[string][]time.Time, error) {
	all := make(map[string][]time.Time)
	err := s.update(func(tx *bbolt.Tx) error {
		clear(all)
		b := tx.Bucket(bucketCounts)
		if b == nil {
			return nil
		}
		return deleteThose(b, func(k, v []byte) bool {
			var times []time.Time
			if err := json.Unmarshal(v, &times); err != nil || len(times) == 0 || time.Since(times[len(times)-1]) >= memory(string(k)) {
				return true // what cannot be read counts nothing
			}
			all[string(k)] = times
			return false
		})
	})
	if err != nil {
		return nil, fmt.Errorf("read counts: %w", err)
	}
	return all, nil
}

// PruneCounts removes the keys that keep does not want.
func (s *Store) PruneCounts(keep func(key string) bool) error {
	err := s.update(func(tx *bbolt.Tx) error {
		b := tx.Bucket(bucketCounts)
		if b == nil {
			return nil
		}
		return deleteThose(b, func(k, _ []byte) bool { return !keep(string(k)) })
	})
	if err != nil {
		return fmt.Errorf("forget counts: %w", err)
	}
	return nil
}

// deleteThose removes what gone says. A bucket must not change while it is walked.
func deleteThose(b *bbolt.Bucket, gone func(k, v []byte) bool) error {
	var keys [][]byte
	err := b.ForEach(func(k, v []byte) error {
		if gone(k, v) {
			keys = append(keys, bytes.Clone(k))
		}
		return nil
	})
	for _, k := range keys {
		if err == nil {
			err = b.Delete(k)
		}
	}
	return err
}
