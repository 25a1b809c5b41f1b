package main

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"docscan/store"
)

func (a *app) checkCommand() *cobra.Command {
	var offline bool
	var data string
	c := &cobra.Command{
		Use:   "check",
		Short: "check everything docscan keeps: records, files and the audit log",
		Long: `Check everything docscan keeps: each record, each file against its hash, and
the chain of the audit log. Nothing is changed. This reads all documents and may
take minutes. With --offline it works on the data of a docscand that is stopped.

The exit code is 1 when a problem was found.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if data != "" && !offline {
				return usagef("--data is for --offline; a running docscand knows its own data")
			}
			var raw json.RawMessage
			if offline {
				dir, err := a.dataDir(data)
				if err != nil {
					return err
				}
				report, err := store.CheckDir(cmd.Context(), dir)
				if errors.Is(err, store.ErrLocked) {
					return fmt.Errorf("%w. Leave --offline out to check a docscand that is running", err)
				}
				if err != nil {
					return err
				}
				if raw, err = json.Marshal(report); err != nil {
					return fmt.Errorf("print the report: %w", err)
				}
			} else {
				c, err := a.connect()
				if err != nil {
					return err
				}
				if raw, err = c.PostLong(cmd.Context(), "/api/v1/system/check", nil); err != nil {
					return err
				}
			}
			return a.showReport(raw)
		},
	}
	c.Flags().BoolVar(&offline, "offline", false, "check a data directory itself, without docscand")
	c.Flags().StringVar(&data, "data", "", "with --offline: the data `DIR`ectory (default $DOCSCAN_STORE_DIR, /var/lib/docscan or ./var)")
	return c
}

// showReport prints the report of a check. Problems make it an error.
func (a *app) showReport(raw json.RawMessage) error {
	var r store.Report
	if err := decode(raw, &r); err != nil {
		return err
	}
	if a.json {
		if err := a.printJSON(raw); err != nil {
			return err
		}
	} else {
		for _, p := range r.Problems {
			fmt.Fprintf(a.out, "%s %s: %s\n  -> %s\n", clean(p.Kind), clean(p.Subject), clean(p.What), clean(p.Advice))
		}
	}
	if n := len(r.Problems); n > 0 {
		return fmt.Errorf("%s found", count(n, "problem"))
	}
	if !a.json {
		n := r.Counts
		fmt.Fprintf(a.out, "Everything is in order: %s, %s, %s (%s), %s in the audit log.\n", count(n["documents"], "document"),
			count(n["pages"], "page"), count(n["blobs"], "file"), bytesText(int64(n["bytes"])), count(n["audit"], "record"))
	}
	return nil
}
