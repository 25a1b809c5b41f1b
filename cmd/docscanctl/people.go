package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"docscan/cmd/docscanctl/client"
)

func (a *app) userCommand() *cobra.Command {
	var admin, panel bool
	add := &cobra.Command{
		Use:   "add NAME",
		Short: "add a user; the password is the first line of standard input",
		Long: `Add a user. On a terminal the password is asked for twice and not shown;
otherwise it is the first line of standard input.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.connect() // before anybody types a password in vain
			if err != nil {
				return err
			}
			password, err := a.readPassword(cmd.Context())
			if err != nil {
				return err
			}
			role := "member"
			switch {
			case admin:
				role = "admin"
			case panel:
				role = "panel"
			}
			raw, err := c.Post(cmd.Context(), "/api/v1/users", map[string]string{"username": args[0], "password": password, "role": role})
			if err != nil {
				return err
			}
			var u user
			printed, err := a.show(raw, &u)
			if err != nil || printed {
				return err
			}
			fmt.Fprintf(a.out, "User %s was added (%s).\n", clean(u.Name), clean(u.Role))
			return nil
		},
	}
	add.Flags().BoolVar(&admin, "admin", false, "let the user administer docscan")
	add.Flags().BoolVar(&panel, "panel", false, "only let the user scan, for a screen at the box")
	add.MarkFlagsMutuallyExclusive("admin", "panel")
	list := &cobra.Command{
		Use:   "list",
		Short: "list the users",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var answer struct {
				Users []user `json:"users"`
			}
			printed, err := a.get(cmd.Context(), "/api/v1/users", &answer)
			if err != nil || printed {
				return err
			}
			if len(answer.Users) == 0 {
				fmt.Fprintln(a.out, "There is no user yet.")
				return nil
			}
			var t table
			t.add("NAME", "ROLE", "SINCE", "STATE")
			for _, u := range answer.Users {
				state := "active"
				switch {
				case u.Pending:
					state = "waits to be let in"
				case u.Disabled:
					state = "disabled"
				}
				t.add(u.Name, u.Role, moment(u.Created), state)
			}
			return t.print(a.out)
		},
	}
	return group("user", "manage who may use docscan", add, list, a.resetCommand(), a.statusOf("disable", true), a.statusOf("enable", false), a.deleteCommand())
}

// personNamed connects and gives the user of that log-in name.
func (a *app) personNamed(ctx context.Context, name string) (*client.Client, user, error) {
	c, err := a.connect()
	if err != nil {
		return nil, user{}, err
	}
	u, err := userNamed(ctx, c, name)
	return c, u, err
}

// userNamed gives the user of that log-in name.
func userNamed(ctx context.Context, c *client.Client, name string) (user, error) {
	raw, err := c.Get(ctx, "/api/v1/users")
	if err != nil {
		return user{}, err
	}
	var answer struct {
		Users []user `json:"users"`
	}
	if err := decode(raw, &answer); err != nil {
		return user{}, err
	}
	for _, u := range answer.Users {
		if strings.EqualFold(u.Name, name) {
			return u, nil
		}
	}
	return user{}, failure{exitNotFound, fmt.Errorf("there is no user %q; \"docscanctl user list\" shows who there is", name)}
}

// resetCommand lets somebody in again who is locked out.
func (a *app) resetCommand() *cobra.Command {
	var factors bool
	reset := &cobra.Command{
		Use:   "reset NAME",
		Short: "give a user a temporary password; it is shown this once",
		Long: `Give a user a temporary password, which holds 72 hours and must be changed at
the next log-in. It is printed alone on standard output. All log-ins and keys of
the user end. A user who is disabled stays so.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, u, err := a.personNamed(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			raw, err := c.Post(cmd.Context(), "/api/v1/users/"+url.PathEscape(u.ID)+"/reset", map[string]bool{"second_factors": factors})
			if err != nil {
				return err
			}
			var answer struct {
				Password string `json:"temp_password"`
			}
			printed, err := a.show(raw, &answer)
			if err != nil || printed {
				return err
			}
			fmt.Fprintln(a.out, clean(answer.Password))
			fmt.Fprintf(a.err, "This is the temporary password of %s. It cannot be shown again.\n", clean(u.Name))
			if u.Disabled {
				fmt.Fprintf(a.err, "The user is disabled; \"docscanctl user enable %s\" lets the user in.\n", clean(u.Name))
			}
			return nil
		},
	}
	reset.Flags().BoolVar(&factors, "second-factors", false, "also take one-time codes and passkeys away")
	return reset
}

// statusOf lets somebody in or shuts somebody out.
func (a *app) statusOf(word string, disabled bool) *cobra.Command {
	short := "let a user in"
	if disabled {
		short = "shut a user out; log-ins and keys end at once, documents stay"
	}
	return &cobra.Command{
		Use:   word + " NAME",
		Short: short,
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, u, err := a.personNamed(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			raw, err := c.Patch(cmd.Context(), "/api/v1/users/"+url.PathEscape(u.ID), map[string]bool{"disabled": disabled}, "*")
			if err != nil {
				return err
			}
			printed, err := a.show(raw, &u)
			if err != nil || printed {
				return err
			}
			fmt.Fprintf(a.out, "User %s was %sd.\n", clean(u.Name), word)
			return nil
		},
	}
}

func (a *app) deleteCommand() *cobra.Command {
	var heir string
	remove := &cobra.Command{
		Use:   "delete NAME",
		Short: "delete a user",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, u, err := a.personNamed(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			path := "/api/v1/users/" + url.PathEscape(u.ID)
			if heir != "" {
				to, err := userNamed(cmd.Context(), c, heir)
				if err != nil {
					return err
				}
				path += "?heir=" + url.QueryEscape(to.ID)
			}
			if err := c.Delete(cmd.Context(), path); err != nil {
				return err
			}
			if !a.json {
				fmt.Fprintf(a.out, "User %s was deleted.\n", clean(u.Name))
			}
			return nil
		},
	}
	remove.Flags().StringVar(&heir, "heir", "", "give the documents to this `USER`")
	return remove
}

// maxPassword bounds a line of input in bytes; the daemon has its own rules.
const maxPassword = 4096

// readPassword asks for a password on a terminal, or reads a line.
func (a *app) readPassword(ctx context.Context) (string, error) {
	if f, ok := a.in.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		first, err := a.ask(ctx, f, "Password: ")
		if err != nil {
			return "", err
		}
		second, err := a.ask(ctx, f, "Once more: ")
		if err != nil {
			return "", err
		}
		if first != second {
			return "", errors.New("the two passwords differ; nothing was changed")
		}
		return first, nil
	}
	line, err := bufio.NewReader(io.LimitReader(a.in, maxPassword)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", fmt.Errorf("read the password: %w", err)
	}
	line = strings.TrimRight(line, "\r\n")
	if line == "" {
		return "", usagef("there is no password on standard input")
	}
	return line, nil
}

// ask reads a line from the terminal f without showing it. When ctx ends, the
// terminal shows again what is typed; the read itself cannot be ended, but the
// process is about to.
func (a *app) ask(ctx context.Context, f *os.File, prompt string) (string, error) {
	before, err := term.GetState(int(f.Fd()))
	if err != nil {
		return "", fmt.Errorf("read the password: %w", err)
	}
	fmt.Fprint(a.err, prompt)
	defer fmt.Fprintln(a.err)
	type answer struct {
		text []byte
		err  error
	}
	typed := make(chan answer, 1)
	go func() {
		b, err := term.ReadPassword(int(f.Fd()))
		typed <- answer{b, err}
	}()
	select {
	case <-ctx.Done():
		if err := term.Restore(int(f.Fd()), before); err != nil {
			return "", fmt.Errorf("restore the terminal: %w", err)
		}
		return "", context.Cause(ctx)
	case t := <-typed:
		if t.err != nil {
			return "", fmt.Errorf("read the password: %w", t.err)
		}
		return string(t.text), nil
	}
}

func (a *app) tokenCommand() *cobra.Command {
	var scopes []string
	var days int
	create := &cobra.Command{
		Use:   "create NAME",
		Short: "make a token for a program; it is shown this once",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var t token
			printed, err := a.post(cmd.Context(), "/api/v1/tokens", map[string]any{"name": args[0], "scopes": scopes, "expires_days": days}, &t)
			if err != nil || printed {
				return err
			}
			// Alone on standard output, so that it can go straight into a file.
			fmt.Fprintln(a.out, clean(t.Token))
			fmt.Fprintln(a.err, "Keep this token like a password; it cannot be shown again.")
			return nil
		},
	}
	create.Flags().StringSliceVar(&scopes, "scope", nil, "what it is good for: read, scan, upload, write or all (default all)")
	create.Flags().IntVar(&days, "days", 365, "how many days it holds, 1 to 3650")
	list := &cobra.Command{
		Use:   "list",
		Short: "list your tokens",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var answer struct {
				Tokens []token `json:"tokens"`
			}
			printed, err := a.get(cmd.Context(), "/api/v1/tokens", &answer)
			if err != nil || printed {
				return err
			}
			if len(answer.Tokens) == 0 {
				fmt.Fprintln(a.out, "There is no token.")
				return nil
			}
			var t table
			t.add("TOKEN", "NAME", "GOOD FOR", "MADE", "EXPIRES")
			for _, k := range answer.Tokens {
				expires := "never"
				if !k.Expires.IsZero() {
					expires = moment(k.Expires)
				}
				t.add(k.ID, k.Name, strings.Join(k.Scopes, " "), moment(k.Created), expires)
			}
			return t.print(a.out)
		},
	}
	remove := &cobra.Command{
		Use:   "delete ID",
		Short: "delete a token; whoever uses it is refused at once",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.connect()
			if err != nil {
				return err
			}
			if err := c.Delete(cmd.Context(), "/api/v1/tokens/"+url.PathEscape(args[0])); err != nil {
				return err
			}
			if !a.json {
				fmt.Fprintln(a.out, "The token was deleted.")
			}
			return nil
		},
	}
	return group("token", "manage the keys of programs", create, list, remove)
}
