package main

import (
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"docscan/packaging/fleet/account"
	"docscan/packaging/fleet/receive"
	"docscan/packaging/wish"
)

// defaultProgram is where the package puts docscanctl.
const defaultProgram = "/usr/bin/docscanctl"

// maxKeys bounds a file of public keys, in bytes.
const maxKeys = 1 << 20

// receiveBoxCommands are those that are for the box alone.
func (a *app) receiveBoxCommands() []*cobra.Command {
	return []*cobra.Command{a.receiveSetupCommand(), a.receiveGrantCommand()}
}

// receiveSetupCommand lets a fleet into this box.
func (a *app) receiveSetupCommand() *cobra.Command {
	var key, ca, allow, root, program, remove string
	var off bool
	c := &cobra.Command{
		Use:   "setup",
		Short: "let a fleet into this box over SSH, or keep it out",
		Long: `Let keys, or the certificates of an authority, into this box for updates over SSH.
They can do nothing else: no shell, no forwarding. With --allow they come in over a
second account and may also do what is listed. Without flags it shows who may come in.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			allowed, err := receive.ParseAllow(allow)
			if err != nil {
				return usagef("--allow: %w", err)
			}
			box := account.Box{Root: root, Program: program, Socket: a.socket}
			if off {
				if err := box.Off(cmd.Context()); err != nil {
					return err
				}
				fmt.Fprintln(a.out, "Nobody comes in over SSH to update docscan any more.")
				return nil
			}
			if remove != "" {
				return box.Remove(cmd.Context(), remove)
			}
			if key == "" && ca == "" {
				return a.showWays(box)
			}
			g := account.Grant{Allow: allowed}
			if g.Keys, err = a.publicKeys(key); err != nil {
				return err
			}
			if g.CA, err = a.publicKeys(ca); err != nil {
				return err
			}
			done, err := box.Let(cmd.Context(), g)
			for _, line := range done {
				fmt.Fprintln(a.out, line)
			}
			return err
		},
	}
	f := c.Flags()
	f.StringVar(&key, "key", "", "public keys to let in, from `FILE` (- is standard input)")
	f.StringVar(&ca, "ca", "", "public key of a certificate authority to let in, from `FILE`")
	f.StringVar(&allow, "allow", "", "what they may do besides updates: "+receive.Allowances.String())
	f.StringVar(&remove, "remove", "", "keep out again the key or authority with this `FINGERPRINT`")
	f.BoolVar(&off, "off", false, "let nobody in any more")
	f.StringVar(&root, "root", "/", "prepare the system below `DIR`, such as an image")
	f.StringVar(&program, "program", defaultProgram, "where docscanctl is on the box")
	return c
}

func (a *app) showWays(box account.Box) error {
	ways, err := box.Ways()
	if err != nil {
		return err
	}
	if len(ways) == 0 {
		fmt.Fprintln(a.out, "Nobody may come in over SSH to update docscan. Let a key in with --key FILE.")
	}
	for _, w := range ways {
		fmt.Fprintln(a.out, clean(w.String()))
	}
	return nil
}

// receiveGrantCommand is what systemd starts as root when docscand has left a wish;
// see docscan-fleet.service.
func (a *app) receiveGrantCommand() *cobra.Command {
	return &cobra.Command{
		Use:    "grant WISH RESULT",
		Short:  "let a fleet into this box as docscand wishes, for updates only",
		Hidden: true,
		Args:   cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			box := account.Box{Root: "/", Program: defaultProgram}
			return box.Grant(cmd.Context(), wish.Files{Wish: args[0], Result: args[1]})
		},
	}
}

// publicKeys reads a file of public keys; without a name there are none.
func (a *app) publicKeys(name string) ([]byte, error) {
	if name == "" {
		return nil, nil
	}
	r := a.in
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		r = f
	}
	text, err := io.ReadAll(io.LimitReader(r, maxKeys+1))
	if err == nil && len(text) > maxKeys {
		err = fmt.Errorf("%s is no file of public keys: it is larger than %d bytes", name, maxKeys)
	}
	return text, err
}
