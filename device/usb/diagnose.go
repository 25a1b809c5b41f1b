package usb

import (
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"docscan/device"
)

// keptTransfers is how many transfers are kept for a diagnosis.
const keptTransfers = 200

// transfer is one bulk transfer, without its data.
type transfer struct {
	at    time.Time
	took  time.Duration
	iface int
	what  string // reading or writing
	asked int    // bytes
	moved int    // bytes
	err   error
}

// journal keeps the last transfers.
type journal struct {
	mu     sync.Mutex
	last   [keptTransfers]transfer
	n      int // transfers so far
	bytes  int64
	failed int
}

func (j *journal) add(t transfer) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.last[j.n%keptTransfers] = t
	j.n++
	j.bytes += int64(t.moved)
	if t.err != nil {
		j.failed++
	}
}

// text lists the transfers, oldest first, below their sums.
func (j *journal) text() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	var b strings.Builder
	fmt.Fprintf(&b, "transfers so far %d, of which failed %d; bytes %d\n", j.n, j.failed, j.bytes)
	for i := max(0, j.n-keptTransfers); i < j.n; i++ {
		t := j.last[i%keptTransfers]
		fmt.Fprintf(&b, "%s interface %d %-9s asked %6d moved %6d in %8.3f ms", t.at.UTC().Format("15:04:05.000"), t.iface, t.what, t.asked, t.moved, float64(t.took)/float64(time.Millisecond))
		if t.err != nil {
			fmt.Fprintf(&b, ": %v", t.err)
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// sysfs is where the kernel shows the devices.
const sysfs = "/sys/bus/usb/devices"

// Diagnose says what the device is on the bus, and what was moved last.
func (d *Device) Diagnose() []device.Section {
	var b strings.Builder
	fmt.Fprintf(&b, "%04x:%04x at %s, bus %d, address %d\n", d.desc.Vendor, d.desc.Product, d.desc.Port, d.desc.Bus, d.desc.Address)
	for _, s := range d.desc.Settings {
		used := ""
		for _, p := range d.pipes {
			if p.setting == s {
				used = "  <- in use"
			}
		}
		fmt.Fprintf(&b, "configuration %d, interface %d, alternate %d: class %d/%d/%d, bulk in %d, out %d, packet %d%s\n",
			s.Config, s.Interface, s.Alternate, s.Class, s.SubClass, s.Protocol, s.In, s.Out, s.Packet, used)
	}
	name := strings.TrimPrefix(d.desc.Port, "usb:")
	for _, file := range []string{"speed", "version", "power/control", "power/runtime_status", "bMaxPower"} {
		if v, err := os.ReadFile(filepath.Join(sysfs, name, file)); err == nil {
			fmt.Fprintf(&b, "%s: %s\n", file, strings.TrimSpace(string(v)))
		}
	}
	// It is for everybody to read; only a box without /sys has none.
	if raw, err := os.ReadFile(filepath.Join(sysfs, name, "descriptors")); err == nil {
		b.WriteString("descriptors:\n" + hex.Dump(raw))
	}
	return []device.Section{{Title: "USB", Text: b.String()}, d.ladder.Section(), {Title: "Last USB transfers", Text: d.journal.text()}}
}
