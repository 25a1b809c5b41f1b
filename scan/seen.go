package scan

import (
	"fmt"
	"slices"
	"time"

	"docscan/device"
	"docscan/store/audit"
)

// seenKey is the setting with the IDs of all machines that were ever here.
const seenKey = "machines-seen"

// maxSeen bounds how many are remembered: a network may be full of them.
const maxSeen = 500

// maxComings is how often in an hour it is recorded that a machine comes or goes: one on a
// loose cable does so all day, and the log is kept for years.
const maxComings = 20

// comings count that, by the machine's ID.
type comings map[string]coming

type coming struct {
	since time.Time
	n     int // from then on
}

// count takes one more, and says whether it is to be recorded.
func (c comings) count(id string, now time.Time) (record bool) {
	x, ok := c[id]
	if !ok {
		x.since = now
	}
	x.n++
	c[id] = x
	return x.n <= maxComings
}

// over forgets the machines whose hour is over, and gives how often each of them came or
// went without a record of it.
func (c comings) over(now time.Time) map[string]int {
	missed := make(map[string]int)
	for id, x := range c {
		if d := now.Sub(x.since); d >= 0 && d < time.Hour { // below 0 the clock was put back
			continue
		}
		if x.n > maxComings {
			missed[id] = x.n - maxComings
		}
		delete(c, id)
	}
	return missed
}

// tellLoose records how often machines whose hour is over at a time came or went without
// a record of it.
func (e *Engine) tellLoose(now time.Time) {
	e.coming.Lock()
	defer e.coming.Unlock()
	e.tellOver(now)
}

// tellOver is tellLoose for who holds e.coming.
func (e *Engine) tellOver(now time.Time) {
	for id, n := range e.loose.over(now) {
		what := fmt.Sprintf("%d more changes", n)
		if d, err := e.reg.Device(id); err == nil {
			what = d.Info.Make + " " + d.Info.Model + ", " + d.Info.Port + ", " + what
		}
		entry := audit.Entry{
			Time: time.Now(), EventType: audit.Security, Actor: "docscan", Action: "device_loose", Target: id, Status: audit.Success, Details: what,
		}
		if err := e.store.AddAudit(entry); err != nil {
			e.log.Error("recording how often a scanner came and went failed", "device", id, "err", err)
		}
	}
}

// noticeComing records in the audit log that a machine has come or gone.
func (e *Engine) noticeComing(id string) {
	if e.reg == nil {
		return // not attached yet
	}
	d, err := e.reg.Device(id)
	if err != nil {
		return
	}
	here := d.Status.State != device.Gone
	e.coming.Lock()
	defer e.coming.Unlock()
	if here == e.here[id] {
		return
	}
	e.here[id] = here
	now := time.Now()
	e.tellOver(now)
	if !e.loose.count(id, now) {
		return
	}
	entry := audit.Entry{
		Time: now, EventType: audit.Security, Actor: "docscan", Action: "device_disconnected", Target: id, Status: audit.Success,
		Details: d.Info.Make + " " + d.Info.Model + ", " + d.Info.Port,
	}
	if here {
		entry.Action = "device_connected"
		var seen []string
		if _, err := e.store.Setting(seenKey, &seen); err != nil {
			e.log.Error("reading which scanners were seen failed", "err", err)
		}
		if !slices.Contains(seen, id) {
			entry.Action = "device_new"
			seen = append(seen, id)
			err := e.store.PutSetting(seenKey, seen[max(0, len(seen)-maxSeen):], entry)
			if err != nil {
				e.log.Error("recording a new scanner failed", "device", id, "err", err)
			}
			return
		}
	}
	if err := e.store.AddAudit(entry); err != nil {
		e.log.Error("recording that a scanner came or went failed", "device", id, "err", err)
	}
}
