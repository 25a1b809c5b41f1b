package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"docscan/packaging/bundle"
	"docscan/packaging/slot"
	"docscan/store"
)

// adopt puts the version that Debian's package has brought into the slot that is
// not in use, and lets it be what starts. It is for when no docscand runs: one
// that runs is asked to change over (docscanctl update package).
func adopt(ctx context.Context, args []string) error {
	var a configArgs
	var ifNone, downgrade bool
	flags := flag.NewFlagSet("adopt", flag.ContinueOnError)
	flags.BoolVar(&ifNone, "if-none", false, "")
	flags.BoolVar(&downgrade, "downgrade", false, "")
	if err := a.parse(flags, args); err != nil {
		return err
	}
	cfg, _, err := readSettings(a, os.Environ())
	if err != nil {
		return err
	}
	var events []slot.Event
	slots, err := slot.Open(cfg.Update.Slots(cfg.Store.Dir), func(e slot.Event) { events = append(events, e) })
	if err != nil {
		return err
	}
	defer slots.Close()
	if ifNone {
		switch st, err := slots.Status(); {
		case err != nil:
			return err
		case st.Current != nil:
			return nil
		}
	}
	err = adoptPackage(ctx, slots, cfg, downgrade)
	return errors.Join(err, recordOffline(cfg, events))
}

func adoptPackage(ctx context.Context, slots *slot.Slots, cfg config, downgrade bool) error {
	b, tree, err := bundle.OpenTree(cfg.Update.Package)
	if err != nil {
		return err
	}
	defer tree.Close()
	form, reader, err := store.ProbeSchema(cfg.Store.Dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	st, err := slots.AtBoot(ctx)
	if err != nil {
		return err
	}
	if st.Current != nil && st.Current.Digest == b.Manifest.Digest() {
		return nil
	}
	by := slot.Origin{Who: "package", From: atTheBox}
	request := slot.Request{Origin: by}
	request.Target = bundle.Target{DataSchema: form, DataReader: reader, AllowDowngrade: downgrade}
	if err := slots.Install(ctx, b, request); err != nil {
		return err
	}
	if _, err := slots.Try(ctx, by); err != nil {
		return err
	}
	if err := slots.Commit(by); err != nil {
		return err
	}
	fmt.Printf("docscan %s is what starts now.\n", b.Manifest.Version)
	return nil
}

// recordOffline puts steps into the audit log of a store that nobody has open. A
// box that was never started has none: the history of the slots has its steps.
func recordOffline(cfg config, events []slot.Event) (err error) {
	if _, err := os.Stat(filepath.Join(cfg.Store.Dir, "docscan.db")); len(events) == 0 || err != nil {
		return nil
	}
	s, err := store.Open(cfg.Store, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	for _, e := range events {
		err = errors.Join(err, s.AddAudit(updateEntry(e)))
	}
	return err
}
