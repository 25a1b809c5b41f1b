package audit

import (
	"encoding/json"
	"slices"
	"time"

	"go.etcd.io/bbolt"
)

// Trouble is what a security page shows of the log since a moment.
type Trouble struct {
	Since    time.Time `json:"since"`
	Whole    bool      `json:"whole"`    // false: there are more entries than are looked at; Since is later than asked for
	LogIns   int       `json:"log_ins"`  // that succeeded
	Failures int       `json:"failures"` // of authentication
	Blocked  int       `json:"blocked"`

	Addresses []Count  `json:"addresses"` // with failures, the most first
	Accounts  []Count  `json:"accounts"`
	Limits    []Count  `json:"limits"`  // addresses that asked too often
	Refused   []Line   `json:"refused"` // what else was not allowed, the newest first
	Devices   []NewOne `json:"devices"` // that came for the first time, the newest first
}

// A Count is how often something happened to one address or account.
type Count struct {
	Name  string    `json:"name"`
	Count int       `json:"count"`
	Last  time.Time `json:"last"`
}

// A NewOne is a scanner that was never here before, or an address that an account was
// never used from.
type NewOne struct {
	Time    time.Time `json:"time"`
	Account string    `json:"account,omitempty"`
	Name    string    `json:"name"`
}

// Bounds of what a security page shows.
const (
	maxCounts  = 20
	maxRefused = 20
)

// Look gives what happened since a moment, out of at most the last 20,000 entries.
// Addresses are new when no older entry that is looked at has them with the account.
func Look(entries *bbolt.Bucket, since time.Time) (Trouble, error) {
	t := Trouble{Since: since, Whole: true, Addresses: []Count{}, Accounts: []Count{}, Limits: []Count{}, Refused: []Line{}, Devices: []NewOne{}}
	addresses, accounts, limits := make(counts), make(counts), make(counts)
	type use struct{ account, address string }
	first := make(map[use]time.Time) // the entry before which there is no other
	c := entries.Cursor()
	looked := 0
	for k, v := c.Last(); k != nil; k, v = c.Prev() {
		var r record
		if err := json.Unmarshal(v, &r); err != nil {
			return t, broken(number(k), "it is not readable")
		}
		if looked++; looked > maxLooked {
			if r.Time.After(since) {
				t.Since, t.Whole = r.Time, false
			}
			break
		}
		e := &r.Entry
		login := e.EventType == Authentication && e.Action == "login"
		if login && e.Status == Success {
			first[use{e.Actor, e.Address}] = e.Time
		}
		if e.Time.Before(since) {
			continue
		}
		switch {
		case login && e.Status == Success:
			t.LogIns++
		case e.Action == "rate_limit_exceeded":
			t.Blocked++
			limits.add(e.Address, e.Time)
		case e.EventType == Authentication && e.Status == Failure:
			t.Failures++
			addresses.add(e.Address, e.Time)
			accounts.add(e.Actor, e.Time)
		case e.Action == "device_new":
			t.Devices = append(t.Devices, NewOne{Time: e.Time, Name: e.Target})
		case e.EventType == Security && e.Status != Success && len(t.Refused) < maxRefused:
			t.Refused = append(t.Refused, r.line())
		}
	}
	for u, at := range first {
		if !at.Before(t.Since) {
			t.Devices = append(t.Devices, NewOne{Time: at, Account: u.account, Name: u.address})
		}
	}
	slices.SortFunc(t.Devices, func(a, b NewOne) int { return b.Time.Compare(a.Time) })
	t.Devices = t.Devices[:min(len(t.Devices), maxCounts)]
	t.Addresses, t.Accounts, t.Limits = addresses.most(), accounts.most(), limits.most()
	return t, nil
}

type counts map[string]*Count

// add counts; entries come the newest first.
func (c counts) add(name string, at time.Time) {
	if c[name] == nil {
		c[name] = &Count{Name: name, Last: at}
	}
	c[name].Count++
}

func (c counts) most() []Count {
	list := make([]Count, 0, len(c))
	for _, x := range c {
		list = append(list, *x)
	}
	slices.SortFunc(list, func(a, b Count) int {
		if a.Count != b.Count {
			return b.Count - a.Count
		}
		return b.Last.Compare(a.Last)
	})
	return list[:min(len(list), maxCounts)]
}
