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
)

func (a *app) userCommand() *cobra.Command {
	var admin bool
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
			if admin {
				role = "admin"
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
				if u.Disabled {
					state = "disabled"
				}
				t.add(u.Name, u.Role, moment(u.Created), state)
			}
			return t.print(a.out)
		},
	}
	return group("user", "manage who may use docscan", add, list)
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
	create := &cobra.Command{
		Use:   "create NAME",
		Short: "make a token for a program; it is shown this once",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var t token
			printed, err := a.post(cmd.Context(), "/api/v1/tokens", map[string]string{"name": args[0]}, &t)
			if err != nil || printed {
				return err
			}
			// Alone on standard output, so that it can go straight into a file.
			fmt.Fprintln(a.out, clean(t.Token))
			fmt.Fprintln(a.err, "Keep this token like a password; it cannot be shown again.")
			return nil
		},
	}
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
			t.add("TOKEN", "NAME", "MADE", "EXPIRES")
			for _, k := range answer.Tokens {
				expires := "never"
				if !k.Expires.IsZero() {
					expires = moment(k.Expires)
				}
				t.add(k.ID, k.Name, moment(k.Created), expires)
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
