package main

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"docscan/cmd/docscand/box"
	"docscan/device/sim/bustest"
	"docscan/device/sim/esci"
	"docscan/device/sim/fujitsu"
)

// onUSB is a box whose only scanner is a simulated one on USB, which a flag of
// mockbus plugs in and a configuration describes.
func onUSB(t *testing.T, b *box.Box, flag string, cfg any) {
	t.Helper()
	knobs, err := json.Marshal(cfg)
	must(t, err)
	b.World = []string{bustest.Build(t), flag + "=" + string(knobs), "--"}
	b.Set["device.sim.enabled"] = "false"
	b.Set["device.usb.enabled"] = "true"
}

// The button of a scanner on USB, and nothing else, makes a document: through
// the shipped binary, the real libusb and the scanner's own protocol.
func TestButtonOfTheScanner(t *testing.T) {
	tests := map[string]func(stack string) any{
		"fujitsu": func(stack string) any {
			return fujitsu.Config{Model: "fi-7160", Stack: stack, Resolution: 100, Duplex: true, Presses: []fujitsu.Press{{After: 8, For: 3}}}
		},
		"esci": func(stack string) any {
			return esci.Config{Model: "DS-530", Stack: stack, Resolution: 100, Duplex: true, Presses: []esci.Press{{After: 8, For: 3}}}
		},
	}
	for driver, config := range tests {
		t.Run(driver, func(t *testing.T) {
			b, ctx := newBox(t)
			load(t, b, 4)
			onUSB(t, b, "-"+driver, config(b.Stack))
			pressOfTheScanner(ctx, t, b, driver)
		})
	}
}

// pressOfTheScanner waits for the document that the scanner's button makes.
func pressOfTheScanner(ctx context.Context, t *testing.T, b *box.Box, driver string) {
	t.Helper()
	must(t, b.Start(ctx))
	var list struct{ Batches []box.Batch }
	must(t, box.Until(ctx, func() (bool, error) {
		err := b.Get(ctx, "/api/v1/batches", &list)
		return len(list.Batches) > 0, err
	}))
	batch, err := b.WaitFor(ctx, list.Batches[0].ID, box.Batch.Final)
	must(t, err)
	if batch.State != "completed" || batch.Pages != 4 {
		t.Fatalf("the batch ended as %s with %d pages, fault %+v", batch.State, batch.Pages, batch.Fault)
	}
	wantPages(t, ctx, b, batch.Documents[0], 4)
	var devices struct {
		Devices []struct {
			Info struct{ ID, Driver, Model string }
		}
	}
	must(t, b.Get(ctx, "/api/v1/devices", &devices))
	if len(devices.Devices) != 1 || devices.Devices[0].Info.Driver != driver {
		t.Fatalf("the scanners are %+v, want the one on USB", devices.Devices)
	}
	checkDiagnosis(ctx, t, b, devices.Devices[0].Info.ID, devices.Devices[0].Info.Model)
	// Nobody pressed twice, and the stack of the simulated scanner is at its end.
	must(t, b.Get(ctx, "/api/v1/batches", &list))
	if len(list.Batches) != 1 {
		t.Errorf("%d batches, want the one", len(list.Batches))
	}
}

// checkDiagnosis looks for all that a diagnosis of a scanner on USB must have, and
// for nothing of its pages.
func checkDiagnosis(ctx context.Context, t *testing.T, b *box.Box, id, model string) {
	t.Helper()
	var raw []byte
	must(t, b.Get(ctx, "/api/v1/devices/"+id+"/diagnosis", &raw))
	text := string(raw)
	for _, want := range []string{
		"== Versions ==", "libusb", "== State ==", "\"resolutions\"", "== Last events", "== What the scanner says of itself ==", model,
		"== Quirks in force ==", "== USB ==", "configuration 1, interface 0", "== Recovery ==", "port reset 0", "== Last USB transfers ==",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the diagnosis of %s does not say %q", id, want)
		}
	}
	if n := strings.Count(text, " interface 0 "); n < 100 || n > 200 {
		t.Errorf("the diagnosis of %s has %d transfers, want the last 200", id, n)
	}
	if len(text) > 100<<10 || strings.Contains(text, pageText(1)) {
		t.Errorf("the diagnosis of %s has %d bytes; is there an image in it?", id, len(text))
	}
}

// A fault of a scanner on USB, wherever in a sheet it strikes, stops the batch with
// its reason, spares the pages before it, and at the next press the batch goes on
// in the same document.
func TestFaultOfTheScanner(t *testing.T) {
	fi := func(f fujitsu.Fault) func(string) any {
		return func(stack string) any {
			return fujitsu.Config{Model: "fi-7160", Stack: stack, Resolution: 100, Duplex: true, Faults: []fujitsu.Fault{f}}
		}
	}
	ds := func(f esci.Fault) func(string) any {
		return func(stack string) any {
			return esci.Config{Model: "DS-530", Stack: stack, Resolution: 100, Duplex: true, Order: esci.FrontWhole, Faults: []esci.Fault{f}}
		}
	}
	tests := []struct {
		name, flag string
		config     func(stack string) any
		kind       string
		pages      int // safe when it strikes
	}{
		{"fi, double feed", "-fujitsu", fi(fujitsu.Fault{Sheet: 2, Where: fujitsu.AtFeed, Sense: fujitsu.DoubleFeed}), "double-feed", 2},
		{"fi, jam in mid-page", "-fujitsu", fi(fujitsu.Fault{Sheet: 2, Where: fujitsu.MidRead, Sense: fujitsu.Jam}), "jam", 2},
		{"fi, cover between the sides", "-fujitsu", fi(fujitsu.Fault{Sheet: 2, Back: true, Where: fujitsu.AtRIC, Sense: fujitsu.CoverOpened}), "cover-open", 3},
		{"Epson, jam at the feed", "-esci", ds(esci.Fault{Sheet: 2, Where: esci.AtFeed, Cause: esci.Jam}), "jam", 2},
		{"Epson, cover between the sides", "-esci", ds(esci.Fault{Sheet: 2, Back: true, Where: esci.MidPage, Cause: esci.CoverOpened}), "cover-open", 3},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b, ctx := newBox(t)
			load(t, b, 4)
			onUSB(t, b, tt.flag, tt.config(b.Stack))
			must(t, b.Start(ctx))
			batch := stoppedBy(ctx, t, b, tt.kind, tt.pages)
			var again box.Batch
			must(t, box.Until(ctx, func() (bool, error) {
				var err error
				again, err = b.Press(ctx, "")
				return err == nil, nil // the scanner may be on its way back
			}))
			if again.ID != batch.ID {
				t.Fatalf("the press opened batch %s, want to go on in %s", again.ID, batch.ID)
			}
			batch, err := b.WaitFor(ctx, batch.ID, box.Batch.Final)
			must(t, err)
			wantPages(t, ctx, b, batch.Documents[0], 4)
		})
	}
}

// stoppedBy presses until the scanner is there, and waits for the fault.
func stoppedBy(ctx context.Context, t *testing.T, b *box.Box, kind string, pages int) box.Batch {
	t.Helper()
	var batch box.Batch
	must(t, box.Until(ctx, func() (bool, error) {
		var err error
		batch, err = b.Press(ctx, "")
		return err == nil, nil // the scanner may not be found yet
	}))
	batch, err := b.WaitFor(ctx, batch.ID, func(b box.Batch) bool { return b.State != "scanning" })
	must(t, err)
	if batch.State != "stopped" || batch.Fault == nil || batch.Fault.Kind != kind || batch.Pages != pages {
		t.Fatalf("%s with %d pages and %+v, want %s after %d", batch.State, batch.Pages, batch.Fault, kind, pages)
	}
	return batch
}

// What a profile says of double feeds reaches the scanner: it goes on, and the
// pages of the sheet are marked, or nobody hears of it.
func TestDoubleFeedOfTheProfile(t *testing.T) {
	tests := map[string]bool{"flag": true, "ignore": false}
	for policy, marked := range tests {
		t.Run(policy, func(t *testing.T) {
			b, ctx := newBox(t)
			load(t, b, 4)
			onUSB(t, b, "-fujitsu", fujitsu.Config{Model: "fi-7160", Stack: b.Stack, Resolution: 100, Duplex: true, Faults: []fujitsu.Fault{{Sheet: 2, Where: fujitsu.AtFeed, Sense: fujitsu.DoubleFeed}}})
			must(t, b.Start(ctx))
			must(t, b.Put(ctx, "/api/v1/profiles/office", map[string]any{
				"name": "Office", "source": "feeder", "duplex": true, "mode": "color", "resolution": 100, "double_feed": policy, "paper": "a4",
			}, nil))
			batch, err := b.Press(ctx, "office")
			must(t, err)
			batch, err = b.WaitFor(ctx, batch.ID, box.Batch.Final)
			must(t, err)
			if batch.State != "completed" || batch.Fault != nil || batch.Pages != 4 {
				t.Fatalf("%s with %d pages and %+v, want all 4 pages", batch.State, batch.Pages, batch.Fault)
			}
			var full struct {
				Pages []struct {
					DoubleFeed bool `json:"double_feed"`
				}
			}
			must(t, b.Get(ctx, "/api/v1/batches/"+batch.ID, &full))
			for i, p := range full.Pages {
				if want := marked && i >= 2; p.DoubleFeed != want {
					t.Errorf("page %d: marked as a double feed: %v, want %v", i+1, p.DoubleFeed, want)
				}
			}
			if len(full.Pages) != 4 {
				t.Errorf("%d pages", len(full.Pages))
			}
		})
	}
}
