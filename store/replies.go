package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"go.etcd.io/bbolt"
)

// bucketReplies has answers to requests that a client may repeat. It is made by the
// first one: a program that does not know it leaves it alone.
var bucketReplies = []byte("replies")

// A Reply is what a request was answered with, for a client that repeats it because the
// answer got lost.
type Reply struct {
	Request string      `json:"request"` // method and path
	Sum     string      `json:"sum"`     // of the request's body, for comparison
	Time    time.Time   `json:"time"`
	Status  int         `json:"status"`
	Header  [][2]string `json:"header"`
	Body    []byte      `json:"body,omitempty"` // nil: it held a secret
}

// AddReply keeps a reply under a key of the caller's choice, and forgets those from
// before limit; zero forgets none, and looks at none.
func (s *Store) AddReply(key string, r Reply, limit time.Time) error {
	err := s.update(func(tx *bbolt.Tx) error {
		b, err := tx.CreateBucketIfNotExists(bucketReplies)
		if err != nil {
			return err
		}
		if !limit.IsZero() {
			err := deleteThose(b, func(_, v []byte) bool {
				var x Reply
				return json.Unmarshal(v, &x) != nil || x.Time.Before(limit)
			})
			if err != nil {
				return err
			}
		}
		j, err := json.Marshal(&r)
		if err != nil {
			return err
		}
		return b.Put([]byte(key), j)
	})
	if err != nil {
		return fmt.Errorf("keep a reply: %w", err)
	}
	return nil
}

// Reply gives the reply of that key, and whether there is one.
func (s *Store) Reply(key string) (r Reply, ok bool, err error) {
	err = s.view(func(tx *bbolt.Tx) error {
		if tx.Bucket(bucketReplies) == nil {
			return ErrNotFound
		}
		return get(tx, bucketReplies, []byte(key), &r)
	})
	if errors.Is(err, ErrNotFound) {
		return r, false, nil
	}
	return r, err == nil, err
}
