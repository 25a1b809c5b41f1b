//go:build linux

package farm

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"

	"docscan/cmd/docscand/box"
	"docscan/packaging/bundle"
	"docscan/packaging/slot"
)

// The versions of a farm: what boxes have, and what they are to get.
const (
	OldVersion = "1.0.0"
	NewVersion = "2.0.0"
)

// A Release is signed update files of the farm.
type Release struct {
	*box.Publisher
	Old, New string // bundles
	Delta    string // from Old to New
	Template string // slots with Old installed
}

// Publish makes the update files. programs are docscand of each version; what is
// installed only starts them, and beside it lies a payload of which one block in
// fifty differs between the versions.
func (f *Farm) Publish(ctx context.Context, programs map[string]string, payload []byte) (*Release, error) {
	p, err := box.NewPublisher(filepath.Join(f.Dir, "keys"))
	if err != nil {
		return nil, err
	}
	r := &Release{
		Publisher: p, Old: filepath.Join(f.Dir, OldVersion+".bundle"), New: filepath.Join(f.Dir, NewVersion+".bundle"),
		Delta: filepath.Join(f.Dir, NewVersion+".delta"), Template: filepath.Join(f.Dir, "template"),
	}
	random := rand.NewChaCha8([32]byte{1}) // its Read never fails
	for version, name := range map[string]string{OldVersion: r.Old, NewVersion: r.New} {
		content := bytes.Clone(payload)
		if version == NewVersion { // one block in fifty is another
			const block = 4096
			for at := 0; at+block <= len(content); at += 50 * block {
				random.Read(content[at : at+block])
			}
		}
		file := filepath.Join(f.Dir, "payload")
		if err := os.WriteFile(file, content, 0o600); err != nil {
			return nil, err
		}
		program := programs[version]
		if program == "" {
			program = "/bin/false" // nothing starts it
		}
		if err := p.Publish(ctx, name, version, file, "#!/bin/sh\nexec "+program+" \"$@\"\n"); err != nil {
			return nil, err
		}
	}
	if err := p.Delta(ctx, r.Delta, r.Old, r.New); err != nil {
		return nil, err
	}
	return r, r.install(ctx)
}

// install makes slots in which the old version is installed.
func (r *Release) install(ctx context.Context) error {
	cfg := slot.DefaultConfig()
	cfg.Dir, cfg.RunDir = r.Template, filepath.Join(filepath.Dir(r.Template), "run")
	s, err := slot.Open(cfg, nil)
	if err != nil {
		return err
	}
	defer s.Close()
	file, err := os.Open(r.Old)
	if err != nil {
		return err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	keys, err := bundle.LoadKeys(r.Keys)
	if err != nil {
		return err
	}
	b, err := bundle.Open(file, info.Size(), keys)
	if err != nil {
		return err
	}
	by := slot.Origin{Who: "farm"}
	if err := s.Install(ctx, b, slot.Request{Origin: by}); err != nil {
		return err
	}
	if _, err := s.Try(ctx, by); err != nil {
		return err
	}
	return s.Commit(by)
}

// AddDocscand puts a box into the farm that runs a real docscand of the old
// version.
func (f *Farm) AddDocscand(ctx context.Context, r *Release) (*Box, *box.Box, error) {
	b, err := f.add(None, nil, "", "var/docscand.sock")
	if err != nil {
		return nil, nil, err
	}
	d := box.New(filepath.Join(b.Dir, "var", "slots", "current", "bin", "docscand"), b.Dir)
	for _, dir := range []string{d.Dir, d.Stack} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return nil, nil, err
		}
	}
	if out, err := exec.Command("cp", "-a", r.Template, filepath.Join(d.Dir, "slots")).CombinedOutput(); err != nil {
		return nil, nil, fmt.Errorf("%w: %s", err, out)
	}
	d.World = f.Inside()
	d.Set["update.keys"] = r.Keys
	d.Set["update.run_dir"] = filepath.Join(b.Dir, "run")
	d.Set["update.prove_seconds"] = "1"
	d.Set["update.patience_seconds"] = "60" // all boxes share the processors of one machine
	d.Set["ocr.workers"] = "1"
	f.docscands = append(f.docscands, d)
	return b, d, d.Start(ctx)
}
