package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"docscan/cmd/docscand/box"
	"docscan/device/sim"
)

// release builds docscand once as the version.
var releases sync.Map // version -> func() (string, error)

func release(t *testing.T, version string) string {
	t.Helper()
	build, _ := releases.LoadOrStore(version, sync.OnceValues(func() (string, error) {
		dir, err := os.MkdirTemp("", "docscand")
		if err != nil {
			return "", err
		}
		exe := filepath.Join(dir, "docscand")
		out, err := exec.Command("go", "build", "-tags", "sqlite_fts5,libsqlite3", "-ldflags", "-X main.version="+version, "-o", exe, ".").CombinedOutput()
		if err != nil {
			return "", fmt.Errorf("build docscand: %w\n%s", err, out)
		}
		return exe, nil
	}))
	exe, err := build.(func() (string, error))()
	must(t, err)
	return exe
}

// swapBox is a box with a scanner of its own that no process of docscan is part
// of, and with a publisher it trusts.
type swapBox struct {
	*box.Box
	publisher *box.Publisher
	dir       string
}

// newSwapBox gives one that runs version 1.0.0.
func newSwapBox(t *testing.T, sheets, perMinute int) (*swapBox, context.Context) {
	t.Helper()
	dir := t.TempDir()
	b := box.New(release(t, "1.0.0"), dir)
	must(t, os.Mkdir(b.Stack, 0o700))
	load(t, b, min(sheets, len(numbers)))
	for i := len(numbers); i < sheets; i++ {
		must(t, os.WriteFile(filepath.Join(b.Stack, fmt.Sprintf("%03d.jpg", i+1)), drawPage(t, fmt.Sprintf("Sheet number %d", i+1)), 0o600))
	}
	ctx, stop := context.WithTimeout(t.Context(), patience)
	scanner, err := sim.New(sim.Config{Enabled: true, Stack: b.Stack, Resolution: 100, SheetsPerMinute: perMinute,
		Listen: "127.0.0.1:0", Make: "docscan", Model: "Far Scanner", Serial: "FAR-1"}, quietLog)
	must(t, err)
	served := make(chan error, 1)
	go func() { served <- scanner.Serve(ctx) }()
	publisher, err := box.NewPublisher(filepath.Join(dir, "keys"))
	must(t, err)
	b.Set["device.sim.enabled"] = "false"
	b.Set["device.escl.urls"] = scanner.URL() + "/eSCL"
	b.Set["update.keys"] = publisher.Keys
	b.Set["update.run_dir"] = filepath.Join(dir, "run")
	b.Set["update.prove_seconds"] = "1"
	b.Set["web.logins_per_minute"] = "10000"
	t.Cleanup(func() {
		err := b.Stop()
		stop()
		if err != nil {
			t.Error(err)
		}
		if err := <-served; err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Logf("docscand's log:\n%s", b.Log)
		}
	})
	must(t, b.Start(ctx))
	return &swapBox{b, publisher, dir}, ctx
}

// publish makes a bundle of a version; see box.Publisher.
func (b *swapBox) publish(t *testing.T, ctx context.Context, version, script string) string {
	t.Helper()
	name := filepath.Join(b.dir, version+".bundle")
	must(t, b.publisher.Publish(ctx, name, version, release(t, version), script))
	return name
}

// A batch goes on in the same document while the version changes twice.
func TestSwapInTheMiddleOfABatch(t *testing.T) {
	const sheets = 20
	b, ctx := newSwapBox(t, sheets, 240)
	next := b.publish(t, ctx, "2.0.0", "")
	batch, err := b.Press(ctx, "")
	must(t, err)
	u, err := b.Install(ctx, next, false)
	must(t, err)
	if u.State != "committed" || u.Running != "2.0.0" {
		t.Fatalf("after the swap: %+v", u)
	}
	end, err := b.WaitFor(ctx, batch.ID, box.Batch.Final)
	must(t, err)
	if end.State != "completed" || end.Pages != sheets || len(end.Documents) != 1 {
		t.Fatalf("the batch is %s with %d pages, fault %+v; want %d", end.State, end.Pages, end.Fault, sheets)
	}
	if len(b.Log.Lines("batch goes on here")) == 0 {
		t.Error("the batch had ended before the swap: the test proves nothing")
	}
	for i, text := range pdfPages(t, ctx, b.Box, end.Documents[0]) {
		if strings.TrimSpace(text) != pageText(i+1) {
			t.Errorf("page %d says %q, want %q", i+1, strings.TrimSpace(text), pageText(i+1))
		}
	}
	must(t, b.Post(ctx, "/api/v1/update/rollback", map[string]string{"reason": "a test"}, nil))
	u, err = b.Settled(ctx)
	must(t, err)
	if u.State != "rolled-back" || u.Running != "1.0.0" || u.Reason != "a test" {
		t.Fatalf("after going back: %+v", u)
	}
}

var quietLog = slog.New(slog.DiscardHandler)
