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

// count takes one more, and says whether it is to be recorded, and with it how many were
// not before.
func (c comings) count(id string, now time.Time) (record bool, missed int) {
	x := c[id]
	if d := now.Sub(x.since); d >= time.Hour || d < 0 { // the clock was put back
		missed = max(0, x.n-maxComings)
		x = coming{since: now}
	}
	x.n++
	c[id] = x
	return x.n <= maxComings, missed
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
	record, missed := e.loose.count(id, time.Now())
	if !record {
		return
	}
	entry := audit.Entry{
		Time: time.Now(), EventType: audit.Security, Actor: "docscan", Action: "device_disconnected", Target: id, Status: audit.Success,
		Details: d.Info.Make + " " + d.Info.Model + ", " + d.Info.Port,
	}
	if missed > 0 {
		entry.Details += fmt.Sprintf(", after %d changes too many to be recorded", missed)
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
