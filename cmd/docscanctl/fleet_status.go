package main

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"docscan/packaging/fleet/reach"
	"docscan/packaging/fleet/receive"
)

// boxStatus is one box as fleet status shows it.
type boxStatus struct {
	Name    string           `json:"name"`
	Reached bool             `json:"reached"`
	Healthy bool             `json:"healthy"`
	Kind    string           `json:"kind,omitempty"`
	Error   string           `json:"error,omitempty"`
	Drift   float64          `json:"clock_drift_seconds"`
	Facts   *receive.Facts   `json:"facts,omitempty"`
	Update  *receive.Status  `json:"update,omitempty"`
	Version *receive.Version `json:"-"`
}

// largeDrift is from where on the clock of a box is worth a word.
const largeDrift = 30 * time.Second

func (f *fleet) statusCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "status",
		Short: "show version, health, scanners, disk and clock of every box",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			hosts, err := f.hosts()
			if err != nil {
				return err
			}
			boxes := make([]boxStatus, len(hosts))
			bad := 0
			err = f.each(cmd.Context(), hosts, updateUser, func(_ context.Context, i int, c *reach.Conn) error {
				return boxes[i].ask(c)
			}, func(i int, err error) {
				b := &boxes[i]
				b.Name = hosts[i].Name
				if err != nil {
					b.Kind, b.Error = kindWord(err), err.Error()
				}
				if !b.Healthy {
					bad++
				}
			})
			if err != nil {
				return err
			}
			if f.json {
				err = f.printJSON(boxes)
			} else {
				err = f.printBoxes(boxes)
			}
			if err != nil {
				return err
			}
			if bad > 0 {
				return failure{exitSome, fmt.Errorf("%d of %s not reached or not well", bad, count(len(boxes), "box"))}
			}
			return nil
		},
	}
}

// ask fills in what the box says.
func (b *boxStatus) ask(c *reach.Conn) error {
	facts, drift, err := c.Facts()
	if err != nil {
		return err
	}
	b.Reached, b.Facts, b.Drift = true, &facts, drift.Seconds()
	if facts.Docscan == nil {
		return &receive.Refusal{Kind: receive.KindDown, Text: "docscand does not answer: " + facts.Error}
	}
	b.Healthy = facts.Docscan.Healthy
	status, err := c.Status()
	if err != nil {
		// A docscand without slots works all the same.
		return nil
	}
	b.Update, b.Version = &status, status.Current
	return nil
}

func (f *fleet) printBoxes(boxes []boxStatus) error {
	var t table
	t.add("BOX", "VERSION", "SLOT", "STATE", "HEALTH", "SCANNERS", "FREE", "LAST DOCUMENT", "CLOCK")
	for _, b := range boxes {
		if b.Facts == nil || b.Facts.Docscan == nil {
			t.add(b.Name, "", "", b.Kind, "not reached", "", "", "", "")
			t.note("  " + clean(b.Error))
			continue
		}
		d := b.Facts.Docscan
		slot, state := "", ""
		if b.Version != nil {
			slot = b.Version.Slot
		}
		if b.Update != nil {
			state = cmp.Or(b.Update.Doing, b.Update.State)
		}
		health := "well"
		if !d.Healthy {
			health = "NOT WELL"
		}
		var scanners []string
		for _, s := range d.Devices {
			scanners = append(scanners, s.Name+" "+s.State)
		}
		free := ""
		if d.DiskTotal > 0 {
			free = fmt.Sprintf("%d%%", d.DiskFree*100/d.DiskTotal)
		}
		clock := ""
		if drift := time.Duration(b.Drift * float64(time.Second)); drift.Abs() >= largeDrift {
			clock = fmt.Sprintf("%+.0f s", drift.Seconds())
		}
		t.add(b.Name, d.Version, slot, state, health, strings.Join(scanners, ", "), free, moment(d.LastDocument), clock)
		for _, text := range d.Trouble {
			t.note("  " + clean(text))
		}
	}
	return t.print(f.out)
}
