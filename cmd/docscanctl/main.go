// Docscanctl is the command line of docscan, for people and for fleets. It asks
// docscand over its local socket or, from elsewhere, over the network; only
// restore and check --offline touch the data themselves.
package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"docscan/cmd/docscanctl/client"
)

// version is set by the build from the newest tag.
var version = "unknown"

// The exit codes.
const (
	exitOK = iota
	exitFailure
	exitUsage
	exitUnreachable
	exitRefused
	exitNotFound
)

const long = `docscanctl works with docscan, which turns paper into searchable documents.

On the box it talks to docscand over a local socket: $DOCSCAN_SOCKET, else
/run/docscan/docscand.sock, else /var/lib/docscan/docscand.sock, else
./var/docscand.sock. Root and docscand's own user may do everything there. From elsewhere use --server URL (or
$DOCSCAN_SERVER) with a token from --token-file FILE or $DOCSCAN_TOKEN; make
one with "docscanctl token create" or on the account page. If docscand made its
certificate itself, --fingerprint SHA256 (or $DOCSCAN_FINGERPRINT) says which
one it is; docscand prints it at its start.

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 docscand cannot be reached,
4 refused (log-in or rights), 5 not found.`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends what does not heed the first
	code := run(ctx, os.Args[1:], terminal{os.Stdin, os.Stdout, os.Stderr}, os.Getenv)
	stop()
	os.Exit(code)
}

// terminal is where a command reads and writes.
type terminal struct {
	in       io.Reader // the *os.File of a person, or a pipe
	out, err io.Writer
}

// app is one call of docscanctl.
type app struct {
	terminal
	getenv      func(string) string
	server      string
	tokenFile   string
	socket      string
	fingerprint string
	json        bool
	begun       bool // the command line was understood
	remote      bool // docscand is not asked over its local socket
	code        int  // exit code of a command that says itself what went wrong
}

// run does what args ask for and gives the exit code.
func run(ctx context.Context, args []string, t terminal, getenv func(string) string) int {
	a := &app{terminal: t, getenv: getenv}
	root := a.root()
	root.SetArgs(args)
	root.SetIn(t.in)
	root.SetOut(t.out)
	root.SetErr(t.err)
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		return a.code
	}
	fmt.Fprintf(t.err, "docscanctl: %s", paragraph(a.describe(err)))
	if !a.begun {
		fmt.Fprintf(t.err, "Try: %s --help\n", cmd.CommandPath())
		return exitUsage
	}
	return exitCode(err)
}

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:           "docscanctl",
		Short:         "work with docscan from the command line",
		Long:          long,
		SilenceErrors: true,
		SilenceUsage:  true,
		PersistentPreRun: func(*cobra.Command, []string) {
			a.begun = true
		},
	}
	f := root.PersistentFlags()
	f.StringVar(&a.server, "server", "", "talk to docscand at this `URL` instead of the local socket")
	f.StringVar(&a.tokenFile, "token-file", "", "read the token for --server from `FILE`")
	f.StringVar(&a.fingerprint, "fingerprint", "", "take only the certificate with this `SHA256`, for a docscand that made its own")
	f.StringVar(&a.socket, "socket", "", "talk to docscand over this local `SOCKET`")
	f.BoolVar(&a.json, "json", false, "print the API's JSON instead of text")
	root.AddCommand(
		a.statusCommand(), a.devicesCommand(), a.deviceCommand(), a.profilesCommand(), a.scanCommand(), a.uploadCommand(), a.batchesCommand(),
		a.documentsCommand(), a.userCommand(), a.tokenCommand(), a.languageCommand(), a.backupCommand(),
		a.restoreCommand(), a.checkCommand(), a.auditCommand(), a.bundleCommand(), a.updateCommand(), a.receiveCommand(), a.fleetCommand(), a.versionCommand(),
	)
	return root
}

func (a *app) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "print the version of docscanctl",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if a.json {
				return a.printJSON(map[string]string{"version": version, "go": runtime.Version(), "os": runtime.GOOS, "arch": runtime.GOARCH})
			}
			fmt.Fprintf(a.out, "docscanctl %s (%s, %s/%s)\n", version, runtime.Version(), runtime.GOOS, runtime.GOARCH)
			return nil
		},
	}
}

// group is a command that only holds others: without one of them it shows what
// there is and that something was missing.
func group(use, short string, commands ...*cobra.Command) *cobra.Command {
	c := &cobra.Command{
		Use:   use,
		Short: short,
		Args: func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				return fmt.Errorf("%s wants one of its commands", c.CommandPath())
			}
			return fmt.Errorf("%s has no command %q", c.CommandPath(), args[0])
		},
		RunE: func(*cobra.Command, []string) error { return nil }, // Args never lets it come here
	}
	c.AddCommand(commands...)
	return c
}

// failure is an error whose exit code is not that of its cause.
type failure struct {
	code int
	error
}

func (f failure) Unwrap() error { return f.error }

// usagef makes an error that whoever typed the command can mend.
func usagef(format string, args ...any) error {
	return failure{exitUsage, fmt.Errorf(format, args...)}
}

// exitCode gives the code that stands for err.
func exitCode(err error) int {
	var f failure
	var p *client.Problem
	switch {
	case errors.As(err, &f):
		return f.code
	case errors.As(err, &p):
		switch p.Status {
		case http.StatusUnauthorized, http.StatusForbidden:
			return exitRefused
		case http.StatusNotFound:
			return exitNotFound
		}
	case errors.Is(err, client.ErrUnreachable):
		return exitUnreachable
	}
	return exitFailure
}

const howToStart = "Start it with \"systemctl start docscand\" (in its source: \"make run\")"

// describe says what err is and what to do about it.
func (a *app) describe(err error) string {
	var p *client.Problem
	switch {
	case errors.As(err, &p) && p.Status == http.StatusUnauthorized && a.remote:
		return err.Error() + ". The token is missing, wrong or expired: give one with --token-file or $DOCSCAN_TOKEN"
	case errors.As(err, &p) && p.Status == http.StatusUnauthorized:
		return err.Error() + ". Run this as root or as docscand's own user, or use --server with a token"
	case errors.As(err, &p) && p.Type == "/problems/not-found":
		return "there is no such thing here; is the ID right? What belongs to others is not shown"
	case errors.Is(err, context.Canceled):
		return "interrupted"
	case !errors.Is(err, client.ErrUnreachable):
		return err.Error()
	case errors.Is(err, fs.ErrPermission):
		return err.Error() + ". Run this as root or as docscand's own user, or use --server with a token"
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return err.Error() + ". Is it running? " + howToStart
	}
	return err.Error()
}

// sockets is where docscand's local socket is looked for.
var sockets = []string{"/run/docscan/docscand.sock", "/var/lib/docscan/docscand.sock", "var/docscand.sock"}

// connect gives a client of the daemon that flags and environment name.
func (a *app) connect() (*client.Client, error) {
	server := a.server
	if server == "" && a.socket == "" {
		server = a.getenv("DOCSCAN_SERVER")
	}
	if server != "" {
		if a.socket != "" {
			return nil, usagef("--server and --socket exclude each other")
		}
		a.remote = true
		return a.connectRemote(server)
	}
	if a.tokenFile != "" {
		return nil, usagef("--token-file needs --server; the local socket knows you without a token")
	}
	if path := cmp.Or(a.socket, a.getenv("DOCSCAN_SOCKET")); path != "" {
		return client.Local(path), nil
	}
	for _, path := range sockets {
		if _, err := os.Lstat(path); err == nil {
			return client.Local(path), nil
		}
	}
	return nil, failure{exitUnreachable, fmt.Errorf("docscand is not running here: there is no socket at %s. %s, or name one elsewhere with --server",
		strings.Join(sockets, " or "), howToStart)}
}

// maxToken bounds the file of a token, in bytes.
const maxToken = 4096

// connectRemote gives a client of the daemon at that URL.
func (a *app) connectRemote(server string) (*client.Client, error) {
	token := a.getenv("DOCSCAN_TOKEN")
	if a.tokenFile != "" {
		f, err := os.Open(a.tokenFile)
		if err != nil {
			return nil, fmt.Errorf("read the token: %w", err)
		}
		defer f.Close()
		data, err := io.ReadAll(io.LimitReader(f, maxToken+1))
		if err != nil {
			return nil, fmt.Errorf("read the token: %w", err)
		}
		token = string(data)
		if token = strings.TrimSpace(token); token == "" || len(data) > maxToken || strings.ContainsAny(token, " \t\r\n") {
			return nil, usagef("%s does not hold a token: it must be one line without spaces", a.tokenFile)
		}
	}
	c, err := client.Remote(server, token, cmp.Or(a.fingerprint, a.getenv("DOCSCAN_FINGERPRINT")))
	if err != nil {
		return nil, failure{exitUsage, err}
	}
	if u, err := url.Parse(server); err == nil && u.Scheme == "http" && token != "" && !loopback(u.Hostname()) {
		fmt.Fprintln(a.err, "docscanctl: warning: the token and the documents go through the network unencrypted; use https")
	}
	return c, nil
}

// loopback reports whether host is surely this machine.
func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// get asks for path and decodes the answer into out; with --json it prints the
// answer as well and reports that.
func (a *app) get(ctx context.Context, path string, out any) (printed bool, err error) {
	c, err := a.connect()
	if err != nil {
		return false, err
	}
	raw, err := c.Get(ctx, path)
	if err != nil {
		return false, err
	}
	return a.show(raw, out)
}

// post is get with a POST of in.
func (a *app) post(ctx context.Context, path string, in, out any) (printed bool, err error) {
	c, err := a.connect()
	if err != nil {
		return false, err
	}
	raw, err := c.Post(ctx, path, in)
	if err != nil {
		return false, err
	}
	return a.show(raw, out)
}

// show prints raw if --json asks for it, or else decodes it into out.
func (a *app) show(raw json.RawMessage, out any) (printed bool, err error) {
	if a.json {
		return true, a.printJSON(raw)
	}
	return false, decode(raw, out)
}

// decode reads an answer of the daemon.
func decode(raw json.RawMessage, out any) error {
	if err := json.Unmarshal(raw, out); err != nil {
		return fmt.Errorf("the answer is not what docscanctl %s understands; is docscand of another version? %w", version, err)
	}
	return nil
}

// printJSON prints v, indented. A list that is already JSON keeps its order.
func (a *app) printJSON(v any) error {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fmt.Errorf("print: %w", err)
	}
	_, err = fmt.Fprintf(a.out, "%s\n", b)
	return err
}
