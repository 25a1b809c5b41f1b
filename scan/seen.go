package scan

import (
	"slices"
	"time"

	"docscan/device"
	"docscan/store/audit"
)

// seenKey is the setting with the IDs of all machines that were ever here.
const seenKey = "machines-seen"

// maxSeen bounds how many are remembered: a network may be full of them.
const maxSeen = 500

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
	entry := audit.Entry{
		Time: time.Now(), EventType: audit.Security, Actor: "docscan", Action: "device_disconnected", Target: id, Status: audit.Success,
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
