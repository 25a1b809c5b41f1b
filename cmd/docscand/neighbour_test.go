package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"docscan/cmd/docscand/box"
	"docscan/store"
)

// neighbour is the commit of the release before, or, while there is none, of the
// newest state that this one must live with on one store. It moves with each
// release.
const neighbour = "ea253762e78494bafab135b4997fbf946432c43c"

// builtNeighbour builds docscand of that commit, once.
func builtNeighbour(t *testing.T) string {
	t.Helper()
	exe, err := buildNeighbour()
	must(t, err)
	return exe
}

var buildNeighbour = sync.OnceValues(func() (string, error) {
	// What is compiled there is found again only if it lies in the same place the next time.
	before, err := filepath.Abs("../../.tools/before")
	if err != nil {
		return "", err
	}
	tree := filepath.Join(before, neighbour)
	if err := unpackNeighbour(before, tree); err != nil {
		return "", err
	}
	exe := filepath.Join(before, "docscand")
	build := exec.Command("go", "build", "-tags", "sqlite_fts5,libsqlite3", "-ldflags", "-s -w -X main.version=0.9.0", "-o", exe, "./cmd/docscand")
	build.Dir = tree
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the release before: %w\n%s", err, out)
	}
	return exe, nil
})

// unpackNeighbour makes tree, in the directory before, of that commit, if it is not there.
func unpackNeighbour(before, tree string) error {
	if _, err := os.Stat(tree); err == nil {
		return nil
	}
	if err := os.RemoveAll(before); err != nil { // an older one
		return err
	}
	half := filepath.Join(before, "half")
	if err := os.MkdirAll(half, 0o755); err != nil {
		return err
	}
	archive := exec.Command("git", "archive", "--format=tar", neighbour)
	archive.Dir = "../.." // of the whole tree, not of this directory
	source, err := archive.Output()
	if err != nil {
		return fmt.Errorf("commit %s is not in this clone; get its history (git fetch --unshallow): %w", neighbour, err)
	}
	unpack := exec.Command("tar", "-x", "-C", half)
	unpack.Stdin = bytes.NewReader(source)
	if out, err := unpack.CombinedOutput(); err != nil {
		return fmt.Errorf("unpack the release before: %w\n%s", err, out)
	}
	return os.Rename(half, tree)
}

// A roll back is no use if the version before cannot read what the newer one wrote,
// or loses it: both work on one store in turn, and nothing is lost.
func TestNeighboursShareAStore(t *testing.T) {
	t.Parallel()
	before := builtNeighbour(t)
	now := release(t, "1.0.0")
	ctx, stop := context.WithTimeout(t.Context(), swapPatience)
	defer stop()
	dir := t.TempDir()
	b := box.New(before, dir)
	must(t, os.Mkdir(b.Stack, 0o700))
	t.Cleanup(func() {
		if err := b.Stop(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Logf("docscand's log:\n%s", b.Log)
		}
	})
	type document struct {
		ID, Title string
		Revision  int
		Tags      []string
	}
	var want []document // in the order of their filing
	for round, exe := range []string{before, now, before, now} {
		must(t, b.Stop())
		b.Use(exe)
		load(t, b, 2)
		must(t, b.Start(ctx))
		batch, err := b.Press(ctx, "")
		must(t, err)
		end, err := b.WaitFor(ctx, batch.ID, box.Batch.Final)
		must(t, err)
		if end.State != "completed" || end.Pages != 2 || len(end.Documents) != 1 {
			t.Fatalf("round %d: the batch is %s with %d pages", round, end.State, end.Pages)
		}
		want = append(want, document{ID: end.Documents[0]})
		// Each changes what the other has written last, too.
		for i := max(0, len(want)-2); i < len(want); i++ {
			var d document
			must(t, b.Get(ctx, "/api/v1/documents/"+want[i].ID, &d))
			var answer struct{ Document document }
			must(t, b.Patch(ctx, "/api/v1/documents/"+d.ID, map[string]any{
				"title": "of round " + string(rune('0'+round)), "tags": append(d.Tags, "r"+string(rune('0'+round))), "revision": d.Revision,
			}, &answer))
			want[i] = answer.Document
		}
		var list struct{ Documents []document }
		must(t, b.Get(ctx, "/api/v1/documents", &list))
		if len(list.Documents) != len(want) {
			t.Fatalf("round %d: %d documents, want %d", round, len(list.Documents), len(want))
		}
		for _, w := range want {
			var d document
			must(t, b.Get(ctx, "/api/v1/documents/"+w.ID, &d))
			if d.Title != w.Title || d.Revision != w.Revision || !slices.Equal(d.Tags, w.Tags) {
				t.Errorf("round %d: %+v, want %+v", round, d, w)
			}
			if pages := pdfPages(t, ctx, b, w.ID); len(pages) != 2 {
				t.Errorf("round %d: document %s has %d pages in its PDF, want 2", round, w.ID, len(pages))
			}
		}
		var found struct{ Documents []document }
		must(t, b.Get(ctx, "/api/v1/documents?q=round", &found))
		if len(found.Documents) != len(want) {
			t.Errorf("round %d: the search finds %d of %d documents", round, len(found.Documents), len(want))
		}
		must(t, b.Stop())
		report, err := store.CheckDir(ctx, b.Dir)
		must(t, err)
		for _, p := range report.Problems {
			t.Errorf("round %d: %s %s: %s", round, p.Kind, p.Subject, p.What)
		}
	}
}

// The release before lets this one take over while it runs, and is let take over again:
// what the two say to each other meanwhile is understood by both.
func TestNeighboursTakeOver(t *testing.T) {
	before := builtNeighbour(t)
	b, ctx := newSwapBoxOf(t, before, 2, 0)
	bundles := map[string]string{
		"0.9.0": b.publishOf(t, ctx, before, "0.9.0", ""),
		"1.0.0": b.publish(t, ctx, "1.0.0", ""),
	}
	for _, to := range []string{"1.0.0", "0.9.0", "1.0.0"} {
		u, err := b.Install(ctx, bundles[to], true)
		must(t, err)
		if u.State != "committed" || u.Running != to {
			t.Fatalf("to %s: %+v", to, u)
		}
		batch, err := b.Press(ctx, "")
		must(t, err)
		end, err := b.WaitFor(ctx, batch.ID, box.Batch.Final)
		must(t, err)
		if end.State != "completed" || end.Pages != 2 {
			t.Errorf("with %s: the batch is %s with %d pages", to, end.State, end.Pages)
		}
	}
}
