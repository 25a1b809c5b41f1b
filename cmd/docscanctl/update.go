package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"docscan/cmd/docscanctl/client"
)

// update is what the API says of how an update stands.
type update struct {
	Running  string         `json:"running"`
	State    string         `json:"state"`
	Doing    string         `json:"doing"`
	Current  *updateVersion `json:"current"`
	Previous *updateVersion `json:"previous"`
	Next     *updateVersion `json:"next"`
	Reason   string         `json:"reason"`
	Failure  string         `json:"failure"`
	Deadline time.Time      `json:"deadline"`
}

type updateVersion struct {
	Slot    string `json:"slot"`
	Version string `json:"version"`
	Digest  string `json:"digest"`
}

type updateStep struct {
	Time    time.Time `json:"time"`
	Step    string    `json:"step"`
	Who     string    `json:"who"`
	From    string    `json:"from"`
	Version string    `json:"version"`
	Digest  string    `json:"digest"`
	Reason  string    `json:"reason"`
	Error   string    `json:"error"`
}

func (a *app) updateCommand() *cobra.Command {
	var downgrade, detach bool
	install := &cobra.Command{
		Use:   "install FILE",
		Short: "install an update file and change over to it while docscan works",
		Long: `Install an update file. docscan checks its signature, writes it beside the
version that runs, lets it check the box, and changes over while people work. If
the new version does not prove itself, the one before goes on by itself.

Its key must be trusted here: a .pub file in /etc/docscan/update-keys. What is
refused, and what to do then, is told in /usr/share/doc/docscan/updates.md. An
upload that breaks off goes on where it ended when the command is given again.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.connect()
			if err != nil {
				return err
			}
			digest, size, err := c.Upload(cmd.Context(), args[0], nil)
			if err != nil {
				return err
			}
			if !a.json {
				fmt.Fprintf(a.err, "%s has arrived (%d bytes).\n", clean(args[0]), size)
			}
			_, err = c.Post(cmd.Context(), "/api/v1/update/install", map[string]any{"digest": digest, "size": size, "downgrade": downgrade})
			if err != nil || detach {
				return err
			}
			return a.settle(cmd.Context(), c, "committed")
		},
	}
	packaged := &cobra.Command{
		Use:   "package",
		Short: "change over to the version that Debian's package has brought",
		Long: `Change over to the version that Debian's package has brought, as install does
with an update file. The package does this itself when it is upgraded.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.connect()
			if err != nil {
				return err
			}
			if _, err = c.Post(cmd.Context(), "/api/v1/update/package", map[string]any{"downgrade": downgrade}); err != nil || detach {
				return err
			}
			return a.settle(cmd.Context(), c, "committed")
		},
	}
	for _, c := range []*cobra.Command{install, packaged} {
		c.Flags().BoolVar(&downgrade, "downgrade", false, "allow a version older than the one that runs")
		c.Flags().BoolVar(&detach, "detach", false, "do not wait for what comes of it")
	}
	var reason string
	back := &cobra.Command{
		Use:   "rollback",
		Short: "go back to the version before while docscan works",
		Long: `Go back to the version before while docscan works. It reads what the newer one has
written, and loses nothing of it. There is one version to go back to, until the
next update is installed.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.connect()
			if err != nil {
				return err
			}
			if _, err := c.Post(cmd.Context(), "/api/v1/update/rollback", map[string]string{"reason": reason}); err != nil {
				return err
			}
			return a.settle(cmd.Context(), c, "rolled-back")
		},
	}
	back.Flags().StringVar(&reason, "reason", "", "why, for the history and the audit log")
	status := &cobra.Command{
		Use:   "status",
		Short: "show the installed versions and how an update stands",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var u update
			printed, err := a.get(cmd.Context(), "/api/v1/update", &u)
			if err != nil || printed {
				return err
			}
			return a.printUpdate(&u)
		},
	}
	history := &cobra.Command{
		Use:   "history",
		Short: "show the last steps of updates: who, from where, which version, and why",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return a.updateHistory(cmd.Context()) },
	}
	return group("update", "install versions and go back", install, packaged, status, back, history)
}

// settlePatience is how long docscan may not be reached while it changes over.
const settlePatience = 30 * time.Second

// settle waits for the end of an update, tells what goes on, and fails unless the
// state is then want.
func (a *app) settle(ctx context.Context, c *client.Client, want string) error {
	said, reached := "", time.Now()
	for {
		raw, err := c.Get(ctx, "/api/v1/update")
		switch {
		case err == nil:
			reached = time.Now()
		case errors.Is(err, client.ErrUnreachable) && time.Since(reached) < settlePatience && ctx.Err() == nil:
		default:
			return err
		}
		if err == nil {
			var u update
			if err := decode(raw, &u); err != nil {
				return err
			}
			if u.Doing == "" && u.State != "trying" {
				return a.settled(raw, &u, want)
			}
			if u.Doing != said && !a.json {
				said = u.Doing
				fmt.Fprintln(a.err, clean(said))
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(500 * time.Millisecond):
		}
	}
}

func (a *app) settled(raw []byte, u *update, want string) error {
	var again update
	printed, err := a.show(raw, &again)
	if err == nil && !printed {
		shown := *u
		shown.Failure = "" // the error tells it
		err = a.printUpdate(&shown)
	}
	if err == nil && (u.State != want || u.Failure != "") {
		why := u.Failure
		if why == "" {
			why = u.Reason
		}
		err = fmt.Errorf("version %s goes on, and nothing is lost: %s", clean(u.Running), clean(why))
	}
	return err
}

// stateWords say how the last update stands; docs/updates.md has the states.
var stateWords = map[string]string{
	"idle":        "none yet",
	"staged":      "it is installed and was not tried; install it again",
	"trying":      "it is on trial",
	"committed":   "it has proved itself and starts with the box",
	"rolled-back": "it was taken back",
}

func (a *app) printUpdate(u *update) error {
	fmt.Fprintf(a.out, "Running:  %s\n", clean(u.Running))
	if state := stateWords[u.State]; state != "" {
		fmt.Fprintf(a.out, "Installed last: %s\n", state)
	}
	for _, v := range []struct {
		what string
		v    *updateVersion
	}{{"Starts", u.Current}, {"Before", u.Previous}, {"Other", u.Next}} {
		if v.v != nil {
			fmt.Fprintf(a.out, "%-9s %s in slot %s, %.16s\n", v.what+":", clean(v.v.Version), clean(v.v.Slot), clean(v.v.Digest))
		}
	}
	for _, v := range []struct{ what, text string }{{"Now", u.Doing}, {"Rolled back", u.Reason}, {"Failed", u.Failure}} {
		if v.text != "" {
			fmt.Fprintf(a.out, "%s: %s\n", v.what, clean(v.text))
		}
	}
	return nil
}

func (a *app) updateHistory(ctx context.Context) error {
	var answer struct {
		Steps []updateStep `json:"steps"`
	}
	printed, err := a.get(ctx, "/api/v1/update/history", &answer)
	if err != nil || printed {
		return err
	}
	if len(answer.Steps) == 0 {
		fmt.Fprintln(a.out, "No update was installed yet.")
		return nil
	}
	var t table
	t.add("TIME", "STEP", "VERSION", "DIGEST", "WHO", "FROM", "WHY")
	for _, s := range answer.Steps {
		why := s.Reason
		if s.Error != "" {
			why = s.Error
		}
		t.add(moment(s.Time), s.Step, s.Version, fmt.Sprintf("%.12s", s.Digest), s.Who, s.From, why)
	}
	return t.print(a.out)
}
