package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	osuser "os/user"
	"runtime"
	"strings"
	"sync"
	"time"
	_ "time/tzdata" // timezones of boxes, also where the system has none

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"
	"golang.org/x/term"

	"docscan/packaging/fleet/inventory"
	"docscan/packaging/fleet/reach"
	"docscan/packaging/fleet/receive"
	"docscan/packaging/fleet/rollout"
)

// More exit codes, of fleets.
const (
	exitSome    = 6 // some boxes failed or were not reached; the others are done
	exitHalted  = 7 // too many boxes failed
	exitTaken   = 8 // somebody else works with the rollout
	exitStopped = 9 // interrupted; "fleet continue" goes on
)

const fleetLong = `Work with many boxes over SSH, from one inventory: a TOML file, an INI inventory
of Ansible, or a plain list of hosts. ssh-agent, key files, jump hosts and
~/.ssh/config are honoured; host keys must be pinned; nothing is asked meanwhile.

Exit codes besides those of docscanctl: 6 some boxes failed or were not reached,
the others are done; 7 a rollout has halted; 8 somebody else works with the
rollout; 9 a rollout was interrupted, and "fleet continue" goes on.`

// fleet is one call of a command for many boxes.
type fleet struct {
	*app
	inventory  string
	limit      []string
	sshConfig  string
	knownHosts []string
	connect    time.Duration
	atOnce     int
}

func (a *app) fleetCommand() *cobra.Command {
	f := &fleet{app: a}
	c := group("fleet", "work with many boxes over SSH",
		f.statusCommand(), f.updateCommand(), f.continueCommand(), f.showCommand(), f.rollbackCommand(),
		f.configCommand(), f.runCommand(), f.logsCommand(), f.auditFleetCommand(), f.pinCommand(), f.hostsCommand())
	c.Long = fleetLong
	p := c.PersistentFlags()
	p.StringVarP(&f.inventory, "inventory", "i", "", "which boxes there are, from `FILE` (default $DOCSCAN_FLEET, else fleet.toml)")
	p.StringSliceVar(&f.limit, "limit", nil, "only these: names, patterns, groups, tags; !NAME takes away")
	p.StringVar(&f.sshConfig, "ssh-config", "", "use this `FILE` instead of ~/.ssh/config; none for none")
	p.StringSliceVar(&f.knownHosts, "known-hosts", nil, "pinned host keys, from `FILE`")
	p.DurationVar(&f.connect, "connect-timeout", 20*time.Second, "how long a box may take to answer")
	p.IntVar(&f.atOnce, "at-once", 50, "how many connections at the same time")
	return c
}

// hosts reads the inventory and gives the boxes that are meant.
func (f *fleet) hosts() ([]inventory.Host, error) {
	name := f.inventory
	if name == "" {
		name = f.getenv("DOCSCAN_FLEET")
	}
	if name == "" {
		name = "fleet.toml"
		if _, err := os.Stat(name); err != nil {
			return nil, usagef("which boxes? Name the inventory with -i FILE or $DOCSCAN_FLEET, or put it here as fleet.toml")
		}
	}
	inv, err := inventory.Load(name)
	if err != nil {
		return nil, failure{exitUsage, err}
	}
	hosts, err := inv.Select(f.limit)
	if err != nil {
		return nil, failure{exitUsage, err}
	}
	return hosts, nil
}

// dialer gives what connects to boxes.
func (f *fleet) dialer() (*reach.Dialer, error) {
	if f.atOnce < 1 || f.atOnce > 1000 {
		return nil, usagef("--at-once is %d; it must be 1 to 1000", f.atOnce)
	}
	return reach.New(reach.Options{Config: f.sshConfig, KnownHosts: f.knownHosts, Agent: f.getenv("SSH_AUTH_SOCK"), Connect: f.connect})
}

// who names the person and the machine, for others who find a rollout taken.
func who() string {
	name := "somebody"
	if u, err := osuser.Current(); err == nil {
		name = u.Username
	}
	host, err := os.Hostname()
	if err != nil {
		host = runtime.GOOS
	}
	return fmt.Sprintf("%s@%s, process %d, since %s", name, host, os.Getpid(), time.Now().Format("2006-01-02 15:04"))
}

// each does something with every box, many at the same time, in one connection
// each. In the order of the inventory then tells what came of it; it is called as
// early as can be, and never twice at the same time.
func (f *fleet) each(ctx context.Context, hosts []inventory.Host, user func(inventory.Host) string, do func(context.Context, int, *reach.Conn) error, then func(int, error)) error {
	d, err := f.dialer()
	if err != nil {
		return err
	}
	defer d.Close()
	return f.inOrder(ctx, len(hosts), func(ctx context.Context, i int) error {
		return visit(ctx, d, hosts[i], user(hosts[i]), func(c *reach.Conn) error { return do(ctx, i, c) })
	}, then)
}

// inOrder does n things, many at the same time, and then tells of each in their
// order, as early as can be.
func (f *fleet) inOrder(ctx context.Context, n int, do func(ctx context.Context, i int) error, then func(i int, err error)) error {
	var mu sync.Mutex
	errs, done, next := make([]error, n), make([]bool, n), 0
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(f.atOnce)
	for i := range n {
		g.Go(func() error {
			err := do(ctx, i)
			mu.Lock()
			defer mu.Unlock()
			errs[i], done[i] = err, true
			for next < n && done[next] {
				then(next, errs[next])
				next++
			}
			return ctx.Err()
		})
	}
	return g.Wait()
}

// visit does something in one connection.
func visit(ctx context.Context, d *reach.Dialer, h inventory.Host, user string, do func(*reach.Conn) error) error {
	c, err := d.Dial(ctx, h, user)
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { c.Close() })
	defer stop()
	err = do(c)
	if ctx.Err() != nil {
		err = ctx.Err()
	}
	c.Close() // what it says does not matter any more
	return err
}

// updateUser is the account for updates, fleetUser that for everything else.
func updateUser(h inventory.Host) string {
	if h.User != "" {
		return h.User
	}
	return receive.UpdateAccount
}

func fleetUser(h inventory.Host) string {
	if h.FleetUser != "" {
		return h.FleetUser
	}
	return receive.FleetAccount
}

// some gives the error for boxes with which something went wrong; nil if there
// are none.
func some(failed, all int) error {
	if failed == 0 {
		return nil
	}
	return failure{exitSome, fmt.Errorf("%d of %s failed or were not reached", failed, count(all, "box"))}
}

// kindWord says in a word what kept a box from being worked with.
func kindWord(err error) string {
	var r *receive.Refusal
	if errors.As(err, &r) {
		return r.Kind
	}
	return string(reach.KindOf(err))
}

func (f *fleet) hostsCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "hosts",
		Short: "show the boxes of the inventory, and what is wrong with it",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			hosts, err := f.hosts()
			if err != nil {
				return err
			}
			if f.json {
				return f.printJSON(hosts)
			}
			var t table
			t.add("NAME", "ADDRESS", "PORT", "JUMP", "GROUPS", "TAGS")
			for _, h := range hosts {
				port := ""
				if h.Port != 0 {
					port = fmt.Sprint(h.Port)
				}
				t.add(h.Name, h.Address, port, h.Jump, strings.Join(h.Groups, " "), strings.Join(h.Tags, " "))
			}
			return t.print(f.out)
		},
	}
}

// terminalWidth tells how many columns the terminal has now, whose window may
// change; nil if the person sees none.
func (f *fleet) terminalWidth() func() int {
	file, ok := f.err.(*os.File)
	if !ok || !term.IsTerminal(int(file.Fd())) {
		return nil
	}
	return func() int {
		const usual = 80
		if w, _, err := term.GetSize(int(file.Fd())); err == nil && w > 0 {
			return w
		}
		return usual
	}
}

// deps is what a rollout works with.
func (f *fleet) deps(d *reach.Dialer, bundles []string, p *progress) rollout.Deps {
	return rollout.Deps{
		Dial: func(ctx context.Context, h inventory.Host) (rollout.Line, error) {
			c, err := d.Dial(ctx, h, updateUser(h))
			if err != nil {
				return rollout.Line{}, err
			}
			return rollout.Line{Conn: c.Conn, Bytes: c.Bytes, Close: c.Close}, nil
		},
		Keeps: func(err error) (string, bool) {
			k := reach.KindOf(err)
			return string(k), k != reach.Off
		},
		Bundles: bundles, Tell: p.tell, Say: p.say,
	}
}
