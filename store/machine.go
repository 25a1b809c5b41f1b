package store

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	"go.etcd.io/bbolt"

	"docscan/store/audit"
)

// A Machine is what people have chosen for one scanner, or for the buttons of
// the box itself.
type Machine struct {
	ID      string         `json:"id"`      // device.Info.ID; "": buttons that belong to no scanner
	Name    string         `json:"name"`    // shown instead of make and model; empty: those
	Presses []MachinePress `json:"presses"` // what presses mean; others mean the first profile
	// AutoStart begins a scan when paper is put into the feeder.
	AutoStart        bool      `json:"auto_start"`
	AutoStartSeconds int       `json:"auto_start_seconds"` // time to straighten the stack before the motor starts
	AutoStartProfile ProfileID `json:"auto_start_profile"` // empty: the first profile
}

// A MachinePress says which profile a press means.
type MachinePress struct {
	Button  string    `json:"button"`  // as the machine names it; empty: any
	Gesture string    `json:"gesture"` // a device.Gesture
	Profile ProfileID `json:"profile"`
}

// machineKey begins the keys of machines among the settings: a release that does
// not know them leaves them alone.
const machineKey = "machine/"

// Machine gives what was chosen for a scanner: the zero value with its ID where
// nothing was.
func (s *Store) Machine(id string) (Machine, error) {
	m := Machine{ID: id}
	err := s.view(func(tx *bbolt.Tx) error { return get(tx, bucketSettings, []byte(machineKey+id), &m) })
	if err != nil && !errors.Is(err, ErrNotFound) {
		return Machine{}, fmt.Errorf("choices for scanner %s: %w", id, err)
	}
	return m, nil
}

// Machines lists all scanners for which something was chosen, by ID.
func (s *Store) Machines() ([]Machine, error) {
	var all []Machine
	err := s.view(func(tx *bbolt.Tx) error {
		c := tx.Bucket(bucketSettings).Cursor()
		for k, v := c.Seek([]byte(machineKey)); bytes.HasPrefix(k, []byte(machineKey)); k, v = c.Next() {
			var m Machine
			if err := json.Unmarshal(v, &m); err != nil {
				return fmt.Errorf("%s: %w", k, err)
			}
			all = append(all, m)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("choices for scanners: %w", err)
	}
	return all, nil
}

// PutMachine records what is chosen for a scanner.
func (s *Store) PutMachine(m Machine, entries ...audit.Entry) error {
	err := s.update(func(tx *bbolt.Tx) error {
		if err := put(tx, bucketSettings, []byte(machineKey+m.ID), &m); err != nil {
			return err
		}
		return appendAudit(tx, entries)
	})
	if err != nil {
		return fmt.Errorf("choices for scanner %s: %w", m.ID, err)
	}
	return nil
}
