package main

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"docscan/packaging/fleet/inventory"
	"docscan/packaging/fleet/reach"
	"docscan/packaging/fleet/receive"
	"docscan/store/audit"
)

// maxAuditLog bounds the audit log of one box, in bytes: some millions of entries.
const maxAuditLog = 4 << 30

// rejectedSuffix ends the name of a log that does not hold, beside the one before.
const rejectedSuffix = ".rejected"

func (f *fleet) auditFleetCommand() *cobra.Command {
	collect := &cobra.Command{
		Use:   "collect DIR",
		Short: "get the audit log of every box, verified",
		Long: `Get the audit log of every box into DIR, one file each, and verify it: its chain,
its checkpoints, and that it goes on from the log that was collected before, signed
with the same key. A log that does not hold is kept as BOX.jsonl.rejected beside the
one before. The keys need the allowance "audit".`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return f.collect(cmd.Context(), args[0]) },
	}
	return group("audit", "the logs of who did what", collect)
}

// collected is what came of one box's log, for programs.
type collected struct {
	Name    string         `json:"name"`
	File    string         `json:"file,omitempty"`
	Kind    string         `json:"kind,omitempty"` // "broken": the log does not hold
	Error   string         `json:"error,omitempty"`
	Summary *audit.Summary `json:"summary,omitempty"`
}

func (f *fleet) collect(ctx context.Context, dir string) error {
	hosts, err := f.hosts()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	results := make([]collected, len(hosts))
	failed := 0
	err = f.each(ctx, hosts, fleetUser, func(ctx context.Context, i int, c *reach.Conn) error {
		return results[i].get(ctx, c, dir, hosts[i])
	}, func(i int, err error) {
		r := &results[i]
		r.Name = hosts[i].Name
		if err != nil {
			failed++
			if r.Error = err.Error(); errors.Is(err, audit.ErrBroken) {
				r.Kind = "broken"
			} else {
				r.Kind = kindWord(err)
			}
		}
		if f.json {
			return
		}
		switch {
		case r.Kind == "broken":
			fmt.Fprintf(f.out, "%s: WARNING: %s. It is kept as %s\n", clean(r.Name), clean(r.Error), clean(r.File))
		case err != nil:
			fmt.Fprintf(f.out, "%s: FAILED (%s): %s\n", clean(r.Name), clean(r.Kind), clean(r.Error))
		default:
			fmt.Fprintf(f.out, "%s: whole, %s, up to number %d of %s\n", clean(r.Name), count(r.Summary.Entries, "entry"), r.Summary.Last, moment(r.Summary.To))
		}
	})
	if f.json {
		err = errors.Join(err, f.printJSON(results))
	}
	if err != nil {
		return err
	}
	return some(failed, len(hosts))
}

// get gets the log of one box and puts it in the place of the one before, if it
// holds.
func (r *collected) get(ctx context.Context, c *reach.Conn, dir string, h inventory.Host) (err error) {
	name := filepath.Join(dir, h.Name+".jsonl")
	v, err := after(name)
	if err != nil {
		return err
	}
	tmp, err := os.CreateTemp(dir, ".new-*")
	if err != nil {
		return err
	}
	defer func() {
		tmp.Close()
		_ = os.Remove(tmp.Name()) // it has been renamed if all went well
	}()
	if err := c.Stream(receive.Request{Verb: receive.VerbAudit}, &bounded{tmp, maxAuditLog}); err != nil {
		return err
	}
	if _, err := tmp.Seek(0, io.SeekStart); err != nil {
		return err
	}
	s, verr := v.Export(ctx, tmp)
	r.Summary, r.File = &s, name
	if verr != nil {
		if !errors.Is(verr, audit.ErrBroken) {
			return verr
		}
		r.File = name + rejectedSuffix
	}
	if err := errors.Join(tmp.Sync(), tmp.Close()); err != nil {
		return errors.Join(verr, err)
	}
	return errors.Join(verr, os.Rename(tmp.Name(), r.File))
}

// after gives what verifies that a log goes on from the one in a file, if that is
// there.
func after(name string) (*audit.Verifier, error) {
	f, err := os.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return &audit.Verifier{}, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	last, err := audit.LastCheckpoint(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return &audit.Verifier{Earlier: &last, Trusted: []ed25519.PublicKey{last.Key}}, nil
}
