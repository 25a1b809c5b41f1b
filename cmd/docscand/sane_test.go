package main

import (
	"os"
	"path/filepath"
	"testing"

	"docscan/cmd/docscand/box"
)

// A scanner that only libsane knows is found and used like any other: SANE's own
// test backend, through the shipped binary and its helper.
func TestScannerOfSANE(t *testing.T) {
	b, ctx := newBox(t)
	conf := t.TempDir()
	must(t, os.WriteFile(filepath.Join(conf, "dll.conf"), []byte("test\n"), 0o600))
	must(t, os.WriteFile(filepath.Join(conf, "test.conf"), []byte("number_of_devices 1\nmode \"Gray\"\nresolution 75\nsource \"Automatic Document Feeder\"\n"), 0o600))
	b.Set["device.sim.enabled"] = "false"
	b.Set["device.sane.enabled"] = "true"
	b.Set["device.sane.config_dir"] = conf
	must(t, b.Start(ctx))
	var batch box.Batch
	must(t, box.Until(ctx, func() (bool, error) {
		var err error
		batch, err = b.Press(ctx, "")
		return err == nil, nil // the search for scanners may be under way
	}))
	batch, err := b.WaitFor(ctx, batch.ID, box.Batch.Final)
	must(t, err)
	// The feeder of the test backend holds ten sheets.
	if batch.State != "completed" || batch.Pages != 10 || len(batch.Documents) != 1 {
		t.Fatalf("the batch ended as %s with %d pages and %d documents, fault %+v", batch.State, batch.Pages, len(batch.Documents), batch.Fault)
	}
	var devices struct {
		Devices []struct {
			Info struct{ ID, Driver, Model string }
		}
	}
	must(t, b.Get(ctx, "/api/v1/devices", &devices))
	if len(devices.Devices) != 1 || devices.Devices[0].Info.Driver != "sane" {
		t.Errorf("the scanners are %+v, want one of SANE", devices.Devices)
	}
}
