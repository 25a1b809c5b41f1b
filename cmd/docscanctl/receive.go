package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"docscan/cmd/docscanctl/client"
	"docscan/packaging/fleet/receive"
)

// receiveCommand is what sshd starts on a box for a fleet.
func (a *app) receiveCommand() *cobra.Command {
	var allow, name string
	c := &cobra.Command{
		Use:   "receive",
		Short: "take updates from a fleet, as the command that sshd starts",
		Long: `Speak with "docscanctl fleet" on standard input and output. sshd starts this on a
box, for keys that may do nothing else; "docscanctl receive setup" arranges that.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			allowed, err := receive.ParseAllow(allow)
			if err != nil {
				return usagef("--allow: %w", err)
			}
			c, err := a.connect()
			if err != nil {
				c = nil // the fleet hears of it with the first request
			}
			return receive.Serve(cmd.Context(), a.in, a.out, newDaemon(c, err, name, a.getenv("SSH_CONNECTION")), receive.Options{
				Version: version, Allow: allowed, Idle: receive.DefaultIdle, Journal: journal,
			})
		},
	}
	c.Flags().StringVar(&allow, "allow", "", "what the key may do besides updates: "+receive.Allowances.String())
	c.Flags().StringVar(&name, "name", "", "whose key it is, for the audit log")
	c.AddCommand(a.receiveBoxCommands()...)
	return c
}

// boxDaemon is docscand for package receive.
type boxDaemon struct {
	c    *client.Client
	down error // why there is no client
}

// newDaemon says to docscand for whom it is asked.
func newDaemon(c *client.Client, down error, name, connection string) boxDaemon {
	if c != nil {
		c.Say("Docscan-By", name)
		from, _, _ := strings.Cut(connection, " ") // sshd(8): address, port, own address, own port
		c.Say("Docscan-From", from)
	}
	return boxDaemon{c, down}
}

func (d boxDaemon) Get(ctx context.Context, path string) (json.RawMessage, error) {
	if d.c == nil {
		return nil, d.refusal(d.down)
	}
	raw, err := d.c.Get(ctx, path)
	return raw, d.refusal(err)
}

func (d boxDaemon) Post(ctx context.Context, path string, in any) (json.RawMessage, error) {
	if d.c == nil {
		return nil, d.refusal(d.down)
	}
	raw, err := d.c.PostLong(ctx, path, in)
	return raw, d.refusal(err)
}

func (d boxDaemon) Put(ctx context.Context, path string, body io.Reader, size int64) (json.RawMessage, error) {
	if d.c == nil {
		return nil, d.refusal(d.down)
	}
	raw, err := d.c.Put(ctx, path, body, size)
	return raw, d.refusal(err)
}

func (d boxDaemon) Open(ctx context.Context, path string) (io.ReadCloser, error) {
	if d.c == nil {
		return nil, d.refusal(d.down)
	}
	r, err := d.c.Open(ctx, path)
	return r, d.refusal(err)
}

// refusal gives an error the kind by which a fleet can tell it.
func (d boxDaemon) refusal(err error) error {
	if err == nil {
		return nil
	}
	r := &receive.Refusal{Kind: receive.KindFailed, Text: err.Error()}
	var p *client.Problem
	if errors.As(err, &p) {
		kinds := map[string]string{
			"update-busy": receive.KindBusy, "update-no-room": receive.KindNoRoom, "update-base": receive.KindBase,
			"not-trusted": receive.KindNotAllowed, "not-for-fleet": receive.KindNotAllowed,
		}
		r.Kind = kinds[strings.TrimPrefix(p.Type, "/problems/")]
		if r.Kind == "" {
			r.Kind = receive.KindRefused
		}
	}
	if errors.Is(err, client.ErrUnreachable) || d.c == nil {
		r.Kind = receive.KindDown
	}
	return r
}

// journalProgram reads the log of a service. It is named in full: the command
// runs for whoever comes over SSH.
const journalProgram = "/usr/bin/journalctl"

// journal writes the last lines of docscand's log.
func journal(ctx context.Context, w io.Writer, lines, since int) error {
	args := []string{"--unit=docscand.service", "--no-pager", "--quiet", "--output=short-iso", "--lines=" + strconv.Itoa(max(lines, 1))}
	if since > 0 {
		args = append(args, "--since=-"+strconv.Itoa(since)+"s")
	}
	return runJournal(ctx, w, args)
}

func runJournal(ctx context.Context, w io.Writer, args []string) error {
	cmd := exec.CommandContext(ctx, journalProgram, args...)
	cmd.Env = []string{"PATH=/usr/bin:/bin", "LC_ALL=C.UTF-8"}
	cmd.Stdout = w
	var said strings.Builder
	cmd.Stderr = &said
	cmd.WaitDelay = time.Second
	err := cmd.Run()
	if errors.Is(err, os.ErrNotExist) {
		return &receive.Refusal{Kind: receive.KindFailed, Text: "this box keeps no journal"}
	}
	if err != nil {
		return fmt.Errorf("read the journal: %w: %.300s", err, strings.TrimSpace(said.String()))
	}
	return nil
}
