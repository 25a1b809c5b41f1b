package main

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"docscan/cmd/docscanctl/client"
	"docscan/store/audit"
)

func (a *app) auditCommand() *cobra.Command {
	var output string
	export := &cobra.Command{
		Use:   "export",
		Short: "write the whole audit log as JSON lines",
		Long: `Write the whole audit log as JSON lines, oldest first, to standard output or a
file. Each line has timestamp, level, event_type, actor, action, target,
ip_address, status, details and message, and its place in the chain: seq, prev
and hash. The last line is a checkpoint that the box has signed.

  docscanctl audit export | jq 'select(.action == "login" and .status == "failure")'`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.connect()
			if err != nil {
				return err
			}
			w := a.out
			if output != "" && output != "-" {
				f, err := os.OpenFile(output, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
				if err != nil {
					return err
				}
				defer f.Close()
				w = f
			}
			err = exportAudit(cmd.Context(), c, w)
			if err != nil && w != a.out {
				os.Remove(output)
			}
			return err
		},
	}
	export.Flags().StringVarP(&output, "output", "o", "", "write to `FILE`, which must not be there yet")

	key := &cobra.Command{
		Use:   "key",
		Short: "print the public key that signs the audit log",
		Long: `Print the public key that signs the audit log, as PEM. Keep it away from the
box: "docscanctl audit verify --key FILE" then believes no other.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var k auditKey
			printed, err := a.get(cmd.Context(), "/api/v1/audit/key", &k)
			if err != nil || printed {
				return err
			}
			fmt.Fprint(a.out, k.Key)
			fmt.Fprintf(a.err, "Its fingerprint is %s\n", clean(k.Fingerprint))
			return nil
		},
	}

	var keys []string
	var earlier string
	verify := &cobra.Command{
		Use:   "verify [FILE]",
		Short: "find out whether the audit log is whole and unchanged",
		Long: `Verify the audit log of the box, or without the box an export of it (FILE, or -
for standard input). Each entry must follow the one before, and what the box has
signed must be there: changed, removed and inserted entries are found.

Whoever has taken over the box could make a new log and sign it with a new key.
--key believes only the key that you have kept ("docscanctl audit key"); --earlier
takes an export of before, whose end must still be in the log.

The exit code is 1 when the log does not hold.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			v, err := verifier(keys, earlier)
			if err != nil {
				return err
			}
			from := a.in
			if len(args) == 0 {
				c, err := a.connect()
				if err != nil {
					return err
				}
				body, err := c.Open(cmd.Context(), "/api/v1/audit/export")
				if err != nil {
					return err
				}
				defer body.Close()
				from = body
			} else if args[0] != "-" {
				f, err := os.Open(args[0])
				if err != nil {
					return err
				}
				defer f.Close()
				from = f
			}
			sum, err := v.Export(cmd.Context(), from)
			if err != nil {
				return err
			}
			return a.showSummary(sum)
		},
	}
	verify.Flags().StringArrayVar(&keys, "key", nil, "believe only the public key in `FILE` (may be given more than once)")
	verify.Flags().StringVar(&earlier, "earlier", "", "`FILE` is an earlier export that this log must go on from")
	return group("audit", "export and verify the log of who did what", export, verify, key)
}

func exportAudit(ctx context.Context, c *client.Client, w io.Writer) error {
	body, err := c.Open(ctx, "/api/v1/audit/export")
	if err != nil {
		return err
	}
	defer body.Close()
	if _, err := io.Copy(w, body); err != nil {
		return fmt.Errorf("the export broke off: %w", err)
	}
	if f, ok := w.(*os.File); ok && w != io.Writer(os.Stdout) {
		return f.Sync()
	}
	return nil
}

type auditKey struct {
	Key         string `json:"key"`
	Fingerprint string `json:"fingerprint"`
}

// maxKeyFile bounds a file with a public key, in bytes.
const maxKeyFile = 4096

// verifier believes the keys in these files, and what was in an earlier export.
func verifier(keys []string, earlier string) (*audit.Verifier, error) {
	v := &audit.Verifier{}
	for _, name := range keys {
		f, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		data, err := io.ReadAll(io.LimitReader(f, maxKeyFile))
		f.Close()
		if err != nil {
			return nil, err
		}
		k, err := audit.DecodeKey(data)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		v.Trusted = append(v.Trusted, k)
	}
	if earlier == "" {
		return v, nil
	}
	f, err := os.Open(earlier)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	c, err := audit.LastCheckpoint(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", earlier, err)
	}
	if len(v.Trusted) == 0 {
		v.Trusted = []ed25519.PublicKey{c.Key}
	}
	v.Earlier = &c
	return v, nil
}

func (a *app) showSummary(s audit.Summary) error {
	if a.json {
		j, err := json.Marshal(s)
		if err != nil {
			return err
		}
		return a.printJSON(json.RawMessage(j))
	}
	if s.Entries == 0 {
		fmt.Fprintln(a.out, "The audit log is empty.")
		return nil
	}
	fmt.Fprintf(a.out, "The audit log is whole: %s, numbers %d to %d, %s to %s, %s.\n",
		count(s.Entries, "record"), s.First, s.Last, moment(s.From), moment(s.To), count(s.Checkpoints, "checkpoint"))
	if s.First > 1 {
		fmt.Fprintf(a.out, "Records before number %d were removed because they were old; the box has signed that.\n", s.First)
	}
	for _, k := range s.Keys {
		fmt.Fprintf(a.out, "Signed with the key %s\n", clean(k))
	}
	return nil
}
