package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"go.etcd.io/bbolt"

	"docscan/store/audit"
)

// Where documents go beside this box, and what has arrived there. The buckets are
// made by the first destination: a program that does not know them leaves them
// alone.
var (
	bucketDestinations = []byte("destinations")
	bucketDeliveries   = []byte("deliveries")
)

// A DestinationID names a destination.
type DestinationID string

// A Destination is a place outside of docscan that gets every document.
type Destination struct {
	ID       DestinationID `json:"id"`
	Name     string        `json:"name"`
	Kind     string        `json:"kind"`               // folder or webdav
	Folder   string        `json:"folder,omitempty"`   // absolute path
	URL      string        `json:"url,omitempty"`      // of the WebDAV collection, without a user in it
	User     string        `json:"user,omitempty"`     // for WebDAV
	Password string        `json:"password,omitempty"` // for WebDAV; it must be sent, so it cannot be kept as a hash
	Older    bool          `json:"older,omitempty"`    // it also gets the documents from before Created
	Created  time.Time     `json:"created"`
}

// A Delivery is how one document stands with one destination. Each pair has one,
// from the first try on.
type Delivery struct {
	Destination DestinationID `json:"destination"`
	Document    DocumentID    `json:"document"`
	Sum         string        `json:"sum,omitempty"`  // of the PDF that has arrived; empty: none has
	Name        string        `json:"name,omitempty"` // of the file it is there
	Tag         string        `json:"tag,omitempty"`  // WebDAV's name for its content
	Done        time.Time     `json:"done,omitzero"`  // when it arrived
	Tries       int           `json:"tries,omitempty"`
	Next        time.Time     `json:"next,omitzero"`   // of the next try; zero: none is due
	Error       string        `json:"error,omitempty"` // why the last try failed
}

func deliveryKey(to DestinationID, of DocumentID) []byte {
	return []byte(string(to) + "/" + string(of))
}

// PutDestination adds or replaces a destination.
func (s *Store) PutDestination(d Destination, entries ...audit.Entry) error {
	err := s.update(func(tx *bbolt.Tx) error {
		if err := checkKey(string(d.ID)); err != nil {
			return err
		}
		for _, name := range [][]byte{bucketDestinations, bucketDeliveries} {
			if _, err := tx.CreateBucketIfNotExists(name); err != nil {
				return err
			}
		}
		if err := put(tx, bucketDestinations, []byte(d.ID), &d); err != nil {
			return err
		}
		return appendAudit(tx, entries)
	})
	if err != nil {
		return fmt.Errorf("put destination %s: %w", d.ID, err)
	}
	return nil
}

// Destinations lists them, the oldest first.
func (s *Store) Destinations() ([]Destination, error) {
	var all []Destination
	err := s.view(func(tx *bbolt.Tx) error {
		if tx.Bucket(bucketDestinations) == nil {
			return nil
		}
		return each(tx, bucketDestinations, func(_ []byte, d *Destination) error {
			all = append(all, *d)
			return nil
		})
	})
	return all, err
}

// DeleteDestination forgets a destination with what has arrived there, which
// stays there. One that is not there is ErrNotFound.
func (s *Store) DeleteDestination(id DestinationID, entries ...audit.Entry) error {
	err := s.update(func(tx *bbolt.Tx) error {
		b := tx.Bucket(bucketDestinations)
		if b == nil || b.Get([]byte(id)) == nil {
			return ErrNotFound
		}
		if err := b.Delete([]byte(id)); err != nil {
			return err
		}
		var gone [][]byte
		c := tx.Bucket(bucketDeliveries).Cursor()
		prefix := string(id) + "/"
		for k, _ := c.Seek([]byte(prefix)); k != nil && strings.HasPrefix(string(k), prefix); k, _ = c.Next() {
			gone = append(gone, append([]byte(nil), k...))
		}
		for _, k := range gone {
			if err := tx.Bucket(bucketDeliveries).Delete(k); err != nil {
				return err
			}
		}
		return appendAudit(tx, entries)
	})
	if err != nil {
		return fmt.Errorf("delete destination %.40s: %w", id, err)
	}
	return nil
}

// Delivery gives how a document stands with a destination, or ErrNotFound.
func (s *Store) Delivery(to DestinationID, of DocumentID) (Delivery, error) {
	var d Delivery
	err := s.view(func(tx *bbolt.Tx) error {
		if tx.Bucket(bucketDeliveries) == nil {
			return ErrNotFound
		}
		return get(tx, bucketDeliveries, deliveryKey(to, of), &d)
	})
	if err != nil {
		return Delivery{}, fmt.Errorf("delivery of %s to %s: %w", of, to, err)
	}
	return d, nil
}

// PutDelivery records how a document stands with a destination, unless that has
// been deleted meanwhile: then it is ErrNotFound.
func (s *Store) PutDelivery(d Delivery, entries ...audit.Entry) error {
	err := s.update(func(tx *bbolt.Tx) error {
		b := tx.Bucket(bucketDestinations)
		if b == nil || b.Get([]byte(d.Destination)) == nil {
			return ErrNotFound
		}
		if err := put(tx, bucketDeliveries, deliveryKey(d.Destination, d.Document), &d); err != nil {
			return err
		}
		return appendAudit(tx, entries)
	})
	if err != nil {
		return fmt.Errorf("delivery of %s to %s: %w", d.Document, d.Destination, err)
	}
	return nil
}

// EachDelivery calls f with what is known of a destination, by document. f must
// not change the store.
func (s *Store) EachDelivery(to DestinationID, f func(Delivery) error) error {
	return s.view(func(tx *bbolt.Tx) error {
		b := tx.Bucket(bucketDeliveries)
		if b == nil {
			return nil
		}
		c := b.Cursor()
		prefix := string(to) + "/"
		for k, v := c.Seek([]byte(prefix)); k != nil && strings.HasPrefix(string(k), prefix); k, v = c.Next() {
			var d Delivery
			if err := json.Unmarshal(v, &d); err != nil {
				return fmt.Errorf("broken record %s/%s: %w", bucketDeliveries, k, err)
			}
			if err := f(d); err != nil {
				return err
			}
		}
		return nil
	})
}

// DeliveriesOf lists how a document stands with each destination that has been
// tried.
func (s *Store) DeliveriesOf(id DocumentID) ([]Delivery, error) {
	all, err := s.Destinations()
	if err != nil {
		return nil, err
	}
	var list []Delivery
	for _, to := range all {
		d, err := s.Delivery(to.ID, id)
		if errors.Is(err, ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		list = append(list, d)
	}
	return list, nil
}
