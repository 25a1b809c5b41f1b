package main

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"docscan/packaging/bundle"
	"docscan/packaging/slot"
	"docscan/store"
	"docscan/store/audit"
)

// packageVersion makes dir what Debian's package of a version brings.
func packageVersion(t *testing.T, dir, version string, newest uint64) {
	t.Helper()
	must(t, os.RemoveAll(dir))
	must(t, os.MkdirAll(filepath.Join(dir, "bin"), 0o755))
	must(t, os.WriteFile(filepath.Join(dir, "bin/docscand"), []byte("#!/bin/sh\necho "+version+"\n"), 0o755))
	var out bytes.Buffer
	must(t, bundle.Create(t.Context(), &out, bundle.Manifest{
		Version: version, Architecture: runtime.GOARCH, Schema: bundle.Schema{Oldest: 1, Newest: newest, Reader: 1},
	}, dir))
	r := tar.NewReader(&out)
	h, err := r.Next()
	must(t, err)
	if h.Name != bundle.ManifestName {
		t.Fatalf("the bundle begins with %s", h.Name)
	}
	manifest, err := io.ReadAll(r)
	must(t, err)
	must(t, os.WriteFile(filepath.Join(dir, bundle.ManifestName), manifest, 0o644))
}

func TestAdopt(t *testing.T) {
	dir := t.TempDir()
	release, data := filepath.Join(dir, "release"), filepath.Join(dir, "data")
	args := func(more ...string) []string {
		return append([]string{"--config", os.DevNull, "--data", data, "--set", "update.package=" + release, "--set", "update.run_dir=" + filepath.Join(dir, "run")}, more...)
	}
	status := func() slot.Status {
		cfg, err := loadConfig(args())
		must(t, err)
		s, err := slot.Open(cfg.Update.Slots(cfg.Store.Dir), func(slot.Event) {})
		must(t, err)
		defer s.Close()
		st, err := s.Status()
		must(t, err)
		return st
	}
	is := func(what, current, previous string) {
		t.Helper()
		st := status()
		got := [2]string{}
		for i, v := range []*slot.Version{st.Current, st.Previous} {
			if v != nil {
				got[i] = v.Manifest.Version
			}
		}
		if got != [2]string{current, previous} {
			t.Errorf("%s: starts %q, before it %q; want %q and %q", what, got[0], got[1], current, previous)
		}
	}
	must(t, os.Mkdir(data, 0o700))
	if err := adopt(t.Context(), args("--if-none")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("without a package: %v", err)
	}
	packageVersion(t, release, "1.0.0", store.SchemaVersion)
	must(t, adopt(t.Context(), args("--if-none")))
	is("a new box", "1.0.0", "")

	s, err := store.Open(store.Config{Dir: data}, slog.New(slog.DiscardHandler))
	must(t, err)
	must(t, s.Close())
	packageVersion(t, release, "1.1.0", store.SchemaVersion)
	must(t, adopt(t.Context(), args("--if-none")))
	is("a start after an upgrade", "1.0.0", "")
	must(t, adopt(t.Context(), args()))
	is("an upgrade", "1.1.0", "1.0.0")
	must(t, adopt(t.Context(), args()))
	is("the same package again", "1.1.0", "1.0.0")

	packageVersion(t, release, "1.0.5", store.SchemaVersion)
	if err := adopt(t.Context(), args()); !errors.Is(err, bundle.ErrDowngrade) {
		t.Errorf("an older package: %v, want %v", err, bundle.ErrDowngrade)
	}
	is("an older package", "1.1.0", "1.0.0")
	must(t, adopt(t.Context(), args("--downgrade")))
	is("a downgrade", "1.0.5", "1.1.0")

	packageVersion(t, release, "1.2.0", store.SchemaVersion)
	must(t, os.WriteFile(filepath.Join(release, "bin/docscand"), []byte("damaged"), 0o755))
	if err := adopt(t.Context(), args()); !errors.Is(err, bundle.ErrTampered) {
		t.Errorf("a damaged package: %v, want %v", err, bundle.ErrTampered)
	}
	is("a damaged package", "1.0.5", "1.1.0")

	// Every step that changed something is in the audit log, and so are refusals.
	s, err = store.Open(store.Config{Dir: data}, slog.New(slog.DiscardHandler))
	must(t, err)
	defer s.Close()
	var said []string
	lines, _, err := s.Audit(audit.Query{Limit: 100})
	must(t, err)
	for _, e := range lines {
		if step, ok := strings.CutPrefix(e.Action, "update_"); ok {
			said = append(said, step+" "+e.Target+" "+e.Actor+" "+string(e.Status))
		}
	}
	text := strings.Join(said, "\n")
	for _, want := range []string{"install 1.1.0 package ", "commit 1.1.0 package ", "commit 1.0.5 package ", "install 1.2.0 package "} {
		if !strings.Contains(text, want) {
			t.Errorf("the audit log has no %q:\n%s", want, text)
		}
	}
}
