package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/crypto/ssh"

	"docscan/packaging/fleet/inventory"
	"docscan/packaging/fleet/reach"
	"docscan/packaging/fleet/receive"
)

func (f *fleet) configCommand() *cobra.Command {
	var dryRun bool
	push := &cobra.Command{
		Use:   "push FILE",
		Short: "give the boxes a docscan.toml, which each checks before it takes it",
		Long: `Give the boxes a docscan.toml. Each box checks it first, starts a process that works
with it while people go on working, and keeps the settings before if that does not
prove itself. The keys need the allowance "config".`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			toml, err := readSettings(args[0])
			if err != nil {
				return err
			}
			return f.work(cmd.Context(), func(ctx context.Context, c *reach.Conn, out io.Writer) error {
				if err := c.PushConfig(bytes.NewReader(toml), int64(len(toml)), dryRun, nil); err != nil {
					return err
				}
				if dryRun {
					fmt.Fprintln(out, "in order")
					return nil
				}
				if err := settleBox(ctx, c); err != nil {
					return err
				}
				fmt.Fprintln(out, "taken")
				return nil
			})
		},
	}
	push.Flags().BoolVar(&dryRun, "dry-run", false, "only check it on the boxes")
	return group("config", "settings of the boxes", push)
}

func readSettings(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	toml, err := io.ReadAll(io.LimitReader(f, receive.MaxConfig+1))
	if err == nil && len(toml) > receive.MaxConfig {
		err = fmt.Errorf("%s is no docscan.toml: it is larger than %d bytes", name, receive.MaxConfig)
	}
	if err == nil && len(toml) == 0 {
		err = fmt.Errorf("%s is empty", name)
	}
	return toml, err
}

// settleTime bounds how long a box may take to start anew, its proof included.
const settleTime = 15 * time.Minute

// settleBox waits until nothing goes on on a box, and fails if what was asked for
// came to nothing.
func settleBox(ctx context.Context, c *reach.Conn) error {
	ctx, stop := context.WithTimeoutCause(ctx, settleTime, fmt.Errorf("it is not done after %v", settleTime))
	defer stop()
	for {
		s, err := c.Status()
		var r *receive.Refusal
		switch {
		case errors.As(err, &r) && r.Kind == receive.KindDown: // it changes over
		case err != nil:
			return err
		case s.Doing == "" && s.Failure != "":
			return &receive.Refusal{Kind: receive.KindRefused, Text: s.Failure}
		case s.Doing == "":
			return nil
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(500 * time.Millisecond):
		}
	}
}

// workResult is what came of work on a box, for programs.
type workResult struct {
	Name   string          `json:"name"`
	Kind   string          `json:"kind,omitempty"`
	Error  string          `json:"error,omitempty"`
	Output string          `json:"output,omitempty"`
	Body   json.RawMessage `json:"body,omitempty"`
}

// maxOutput bounds what is kept of one box's answer.
const maxOutput = 64 << 20

// work does something on every box and prints what it writes, each line with the
// name of the box before it.
func (f *fleet) work(ctx context.Context, do func(ctx context.Context, c *reach.Conn, out io.Writer) error) error {
	hosts, err := f.hosts()
	if err != nil {
		return err
	}
	outputs := make([]bytes.Buffer, len(hosts))
	var results []workResult
	failed := 0
	err = f.each(ctx, hosts, fleetUser, func(ctx context.Context, i int, c *reach.Conn) error {
		return do(ctx, c, &bounded{&outputs[i], maxOutput})
	}, func(i int, err error) {
		r := workResult{Name: hosts[i].Name, Output: outputs[i].String()}
		if err != nil {
			failed++
			r.Kind, r.Error = kindWord(err), err.Error()
		}
		if json.Valid(outputs[i].Bytes()) {
			r.Body, r.Output = json.RawMessage(outputs[i].Bytes()), ""
		}
		if f.json {
			results = append(results, r)
		} else {
			f.printWork(hosts[i], &r)
		}
		outputs[i] = bytes.Buffer{}
	})
	if f.json {
		err = errors.Join(err, f.printJSON(results))
	}
	if err != nil {
		return err
	}
	return some(failed, len(hosts))
}

func (f *fleet) printWork(h inventory.Host, r *workResult) {
	text := r.Output
	if r.Body != nil {
		text = string(r.Body)
	}
	for line := range strings.Lines(text) {
		fmt.Fprintf(f.out, "%s: %s\n", clean(h.Name), clean(strings.TrimRight(line, "\r\n")))
	}
	if r.Error != "" {
		fmt.Fprintf(f.out, "%s: FAILED (%s): %s\n", clean(h.Name), clean(r.Kind), clean(r.Error))
	}
}

// bounded takes no more than so many bytes.
type bounded struct {
	w    io.Writer
	left int64
}

func (b *bounded) Write(p []byte) (int, error) {
	if b.left -= int64(len(p)); b.left < 0 {
		return 0, errors.New("the box says more than is taken")
	}
	return b.w.Write(p)
}

func (f *fleet) runCommand() *cobra.Command {
	var names, lines []string
	for _, r := range receive.Runs {
		names = append(names, r.Name)
		lines = append(lines, fmt.Sprintf("  %-9s %s", r.Name, r.What))
	}
	return &cobra.Command{
		Use:       "run " + strings.Join(names, "|"),
		Short:     "do one of a few safe things on the boxes",
		Long:      "Do one of these on the boxes. The keys need the allowance \"run\".\n\n" + strings.Join(lines, "\n"),
		Args:      cobra.MatchAll(cobra.ExactArgs(1), cobra.OnlyValidArgs),
		ValidArgs: names,
		RunE: func(cmd *cobra.Command, args []string) error {
			return f.work(cmd.Context(), func(ctx context.Context, c *reach.Conn, out io.Writer) error {
				var raw json.RawMessage
				if err := c.Ask(receive.Request{Verb: receive.VerbRun, What: args[0]}, &raw); err != nil {
					return err
				}
				if args[0] == receive.RunRestart {
					if err := settleBox(ctx, c); err != nil {
						return err
					}
					_, err := fmt.Fprintln(out, "started anew")
					return err
				}
				_, err := out.Write(raw)
				return err
			})
		},
	}
}

func (f *fleet) logsCommand() *cobra.Command {
	var lines int
	var since time.Duration
	c := &cobra.Command{
		Use:   "logs",
		Short: "show the last lines of docscan's log on the boxes",
		Long:  "Show the last lines of docscan's log on the boxes. The keys need the allowance \"logs\".",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if lines < 1 || since < 0 {
				return usagef("--lines must be at least 1, and --since a time such as 2h")
			}
			return f.work(cmd.Context(), func(_ context.Context, c *reach.Conn, out io.Writer) error {
				return c.Stream(receive.Request{Verb: receive.VerbLogs, Lines: lines, Since: int(since.Seconds())}, out)
			})
		},
	}
	c.Flags().IntVarP(&lines, "lines", "n", 20, "how many lines of each box")
	c.Flags().DurationVar(&since, "since", 0, "only of so long, such as 2h")
	return c
}

func (f *fleet) pinCommand() *cobra.Command {
	var yes bool
	c := &cobra.Command{
		Use:   "pin",
		Short: "ask boxes for their host keys and pin them",
		Long: `Ask boxes for their host keys, show the fingerprints, and after you have compared
them with those of the boxes (ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub), pin
them in known_hosts. A key that is pinned already is never changed by this. Host
certificates make it needless: one line @cert-authority in known_hosts.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return f.pin(cmd.Context(), yes) },
	}
	c.Flags().BoolVar(&yes, "yes", false, "the fingerprints are right, as you know by other ways")
	return c
}

func (f *fleet) pin(ctx context.Context, yes bool) error {
	hosts, err := f.hosts()
	if err != nil {
		return err
	}
	d, err := f.dialer()
	if err != nil {
		return err
	}
	defer d.Close()
	type found struct {
		key         ssh.PublicKey
		alias, file string
	}
	seen := make([]struct {
		found
		state reach.KeyState
	}, len(hosts))
	var fresh []found
	failed := 0
	err = f.inOrder(ctx, len(hosts), func(ctx context.Context, i int) (err error) {
		s := &seen[i]
		s.key, s.alias, s.file, s.state, err = d.HostKey(ctx, hosts[i])
		return err
	}, func(i int, err error) {
		name, s := clean(hosts[i].Name), seen[i]
		switch {
		case err != nil:
			failed++
			fmt.Fprintf(f.out, "%s: FAILED: %s\n", name, clean(err.Error()))
		case s.state == reach.KeyPinned:
			fmt.Fprintf(f.out, "%s: pinned already\n", name)
		case s.state == reach.KeyOther:
			failed++
			fmt.Fprintf(f.out, "%s: WARNING: it shows %s, which is not the key that is pinned\n", name, ssh.FingerprintSHA256(s.key))
		default:
			fmt.Fprintf(f.out, "%s: %s %s\n", name, s.key.Type(), ssh.FingerprintSHA256(s.key))
			fresh = append(fresh, s.found)
		}
	})
	if err != nil {
		return err
	}
	if len(fresh) > 0 && !yes {
		fmt.Fprintf(f.err, "Are these the fingerprints of your boxes? Pin %s? [y/N] ", count(len(fresh), "key"))
		var answer string
		if _, err := fmt.Fscanln(f.in, &answer); err != nil || !strings.HasPrefix(strings.ToLower(answer), "y") {
			return errors.New("nothing was pinned")
		}
	}
	for _, k := range fresh {
		if err := reach.Pin(k.file, k.alias, k.key); err != nil {
			return fmt.Errorf("pin the key of %s: %w", k.alias, err)
		}
	}
	return some(failed, len(hosts))
}
