package bundle

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"aead.dev/minisign"
	"golang.org/x/term"
)

// Exit codes of [Command].
const (
	exitOK = iota
	exitFailure
	exitUsage
)

const usage = `Make, sign and look at update files.

  bundle create  --version V --arch A --schema OLDEST-NEWEST [--reader N] [--from V]
                 [--trust KEY.pub]... [--revoke KEY.pub]... --out FILE DIR
  bundle delta   --out FILE FROM TO
  bundle sign    --key KEY --out FILE BUNDLE       the password is read from the terminal or standard input
  bundle sign    --signature FILE --out FILE BUNDLE    with what minisign made of manifest.json
  bundle verify  --keys DIR... BUNDLE
  bundle inspect BUNDLE                            without proving anything
`

// errUsage says that the command line was not understood.
var errUsage = errors.New("wrong usage")

// Command is "docscanctl bundle": it does what args ask for and gives the exit
// code, 0 for done, 1 for failed or refused, 2 for wrong usage.
func Command(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	c := command{ctx, stdin, stdout, stderr}
	err := c.run(args)
	switch {
	case err == nil:
		return exitOK
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprint(stdout, usage)
		return exitOK
	case errors.Is(err, errUsage):
		fmt.Fprintf(stderr, "docscanctl bundle: %v\n\n%s", err, usage)
		return exitUsage
	}
	fmt.Fprintf(stderr, "docscanctl bundle: %v\n", err)
	return exitFailure
}

type command struct {
	ctx      context.Context // of this one call
	in       io.Reader
	out, err io.Writer
}

func (c command) run(args []string) error {
	if len(args) == 0 {
		return errUsage
	}
	run := map[string]func([]string) error{
		"create": c.create, "delta": c.delta, "sign": c.sign, "verify": c.verify, "inspect": c.inspect,
		"help": func([]string) error { return flag.ErrHelp }, "-h": func([]string) error { return flag.ErrHelp }, "--help": func([]string) error { return flag.ErrHelp },
	}[args[0]]
	if run == nil {
		return fmt.Errorf("%w: no command %q", errUsage, args[0])
	}
	return run(args[1:])
}

// parse wants exactly n arguments after the flags.
func parse(f *flag.FlagSet, args []string, n int) error {
	f.SetOutput(io.Discard)
	f.Usage = func() {}
	if err := f.Parse(args); errors.Is(err, flag.ErrHelp) {
		return err
	} else if err != nil {
		return fmt.Errorf("%w: %v", errUsage, err)
	}
	if f.NArg() != n {
		return fmt.Errorf("%w: %s wants %d argument(s), got %d", errUsage, f.Name(), n, f.NArg())
	}
	return nil
}

// list is a flag that can be given more than once.
type list []string

func (l *list) String() string     { return strings.Join(*l, " ") }
func (l *list) Set(s string) error { *l = append(*l, s); return nil }

func (c command) create(args []string) error {
	var m Manifest
	var trust, revoke list
	f := flag.NewFlagSet("create", flag.ContinueOnError)
	f.StringVar(&m.Version, "version", "", "")
	f.StringVar(&m.Architecture, "arch", "", "")
	f.StringVar(&m.From, "from", "", "")
	f.Uint64Var(&m.Schema.Reader, "reader", 0, "")
	schema := f.String("schema", "", "")
	out := f.String("out", "", "")
	f.Var(&trust, "trust", "")
	f.Var(&revoke, "revoke", "")
	if err := parse(f, args, 1); err != nil {
		return err
	}
	if _, err := fmt.Sscanf(*schema, "%d-%d", &m.Schema.Oldest, &m.Schema.Newest); err != nil {
		return fmt.Errorf("%w: --schema %q is not of the form 1-2", errUsage, *schema)
	}
	if m.Schema.Reader == 0 {
		m.Schema.Reader = m.Schema.Newest // refusing an update is better than losing the way back
	}
	var err error
	if m.Created, err = created(os.Getenv("SOURCE_DATE_EPOCH")); err != nil {
		return err
	}
	if m.Trust, err = keyTexts(trust); err != nil {
		return err
	}
	if m.Revoke, err = keyTexts(revoke); err != nil {
		return err
	}
	return toFile(*out, func(w io.Writer) error { return Create(c.ctx, w, m, f.Arg(0)) })
}

// created is now, or what reproducible builds say it is:
// https://reproducible-builds.org/specs/source-date-epoch/
func created(epoch string) (time.Time, error) {
	if epoch == "" {
		return time.Now().UTC().Truncate(time.Second), nil
	}
	n, err := strconv.ParseInt(epoch, 10, 64)
	if err != nil {
		return time.Time{}, fmt.Errorf("SOURCE_DATE_EPOCH %q is not a number of seconds", epoch)
	}
	return time.Unix(n, 0).UTC(), nil
}

func keyTexts(names []string) ([]string, error) {
	var texts []string
	for _, name := range names {
		b, err := readSmall(name, maxKeyFile)
		if err != nil {
			return nil, err
		}
		key, err := parseKey(b)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		texts = append(texts, key.String())
	}
	return texts, nil
}

func (c command) delta(args []string) error {
	f := flag.NewFlagSet("delta", flag.ContinueOnError)
	out := f.String("out", "", "")
	if err := parse(f, args, 2); err != nil {
		return err
	}
	// Only the builder's own files come here, and the delta must be signed anew.
	return withFile(f.Arg(0), nil, func(_ *os.File, _ int64, from *Bundle) error {
		return withFile(f.Arg(1), nil, func(_ *os.File, _ int64, to *Bundle) error {
			return toFile(*out, func(w io.Writer) error { return Delta(c.ctx, w, from, to) })
		})
	})
}

func (c command) sign(args []string) error {
	f := flag.NewFlagSet("sign", flag.ContinueOnError)
	keyFile, sigFile := f.String("key", "", ""), f.String("signature", "", "")
	out := f.String("out", "", "")
	if err := parse(f, args, 1); err != nil {
		return err
	}
	if (*keyFile == "") == (*sigFile == "") {
		return fmt.Errorf("%w: sign wants either --key or --signature", errUsage)
	}
	if *sigFile != "" {
		sig, err := readSmall(*sigFile, MaxSignature)
		if err != nil {
			return err
		}
		return withFile(f.Arg(0), nil, func(file *os.File, size int64, _ *Bundle) error {
			return toFile(*out, func(w io.Writer) error { return Attach(w, file, size, sig) })
		})
	}
	key, err := c.privateKey(*keyFile)
	if err != nil {
		return err
	}
	return withFile(f.Arg(0), nil, func(file *os.File, size int64, _ *Bundle) error {
		return toFile(*out, func(w io.Writer) error { return Sign(w, file, size, key) })
	})
}

// privateKey reads a private key of minisign, with its password if it has one.
func (c command) privateKey(name string) (minisign.PrivateKey, error) {
	var key minisign.PrivateKey
	b, err := readSmall(name, maxKeyFile)
	if err != nil {
		return key, err
	}
	if !minisign.IsEncrypted(b) {
		if err := key.UnmarshalText(b); err != nil {
			return key, fmt.Errorf("%s is no private key of minisign: %w", name, err)
		}
		return key, nil
	}
	password, err := c.password()
	if err != nil {
		return key, fmt.Errorf("read the password of %s: %w", name, err)
	}
	if key, err = minisign.DecryptKey(password, b); err != nil {
		return key, fmt.Errorf("%s: wrong password, or no private key of minisign: %w", name, err)
	}
	return key, nil
}

func (c command) password() (string, error) {
	if f, ok := c.in.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		fmt.Fprint(c.err, "Password of the key: ")
		b, err := term.ReadPassword(int(f.Fd()))
		fmt.Fprintln(c.err)
		return string(b), err
	}
	line, err := bufio.NewReader(io.LimitReader(c.in, 1024)).ReadString('\n')
	if errors.Is(err, io.EOF) && line != "" {
		err = nil
	}
	return strings.TrimRight(line, "\r\n"), err
}

func (c command) verify(args []string) error {
	var dirs list
	f := flag.NewFlagSet("verify", flag.ContinueOnError)
	f.Var(&dirs, "keys", "")
	if err := parse(f, args, 1); err != nil {
		return err
	}
	if len(dirs) == 0 {
		return fmt.Errorf("%w: verify wants --keys", errUsage)
	}
	keys, err := LoadKeys(dirs...)
	if err != nil {
		return err
	}
	return withFile(f.Arg(0), keys, func(_ *os.File, _ int64, b *Bundle) error {
		if err := b.Verify(c.ctx); err != nil {
			return err
		}
		_, err := fmt.Fprintf(c.out, "docscan %s for %s, signed with key %s, is whole.\nDigest %s\n",
			b.Manifest.Version, b.Manifest.Architecture, b.Signer, b.Manifest.Digest())
		return err
	})
}

func (c command) inspect(args []string) error {
	f := flag.NewFlagSet("inspect", flag.ContinueOnError)
	if err := parse(f, args, 1); err != nil {
		return err
	}
	return withFile(f.Arg(0), nil, func(_ *os.File, _ int64, b *Bundle) error {
		e := json.NewEncoder(c.out)
		e.SetIndent("", "\t")
		return e.Encode(struct {
			Signed   bool     `json:"signed"` // it has a signature, right or wrong
			Digest   string   `json:"digest"`
			Size     int64    `json:"size"`
			Manifest Manifest `json:"manifest"`
		}{b.sig != nil, b.Manifest.Digest(), b.Manifest.Size(), b.Manifest})
	})
}

// withFile opens a bundle for use; without keys it need not be signed.
func withFile(name string, keys *Keys, use func(*os.File, int64, *Bundle) error) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	b, err := open(f, info.Size(), keys)
	if err == nil {
		err = use(f, info.Size(), b)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// toFile writes the file of --out.
func toFile(name string, write func(io.Writer) error) error {
	if name == "" {
		return fmt.Errorf("%w: --out is missing", errUsage)
	}
	return writeSynced(name, write)
}
