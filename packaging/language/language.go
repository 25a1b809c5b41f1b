// Package language has Debian's packages of Tesseract's language data installed.
//
// That needs root, which docscand is not on an installed box. There it leaves a
// wish in its runtime folder, which systemd waits for (docscan-languages.path). One unit
// loads the package, as docscan's own user; another one, of root's, judges and installs
// it and answers in a folder of root's. Where docscand is root, as on a machine where
// docscan is tried out, it runs the same script itself.
package language

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"time"

	"docscan/packaging/wish"
)

//go:embed install.sh
var script []byte

//go:embed debian.txt
var debian string

// Available lists the languages that Debian has data for, by Tesseract's names.
func Available() []string { return strings.Fields(debian) }

// ErrInstall is in the chain of an error whose text is fit for people.
var ErrInstall = errors.New("the language cannot be installed")

// State is how far an installation has come.
type State string

// The states.
const (
	Doing  State = "installing"
	Done   State = "installed"
	Failed State = "failed"
)

// Progress is the last installation that somebody wished for.
type Progress struct {
	Language string `json:"language"`
	State    State  `json:"state"`
	Reason   string `json:"reason,omitempty"` // why it failed
}

// Installer installs languages, one at a time. The zero value is one for a docscand
// that is no root and has no units of systemd to help it.
type Installer struct {
	Root   bool   // this process may install packages
	Wish   string // the file that docscan-languages.path waits for; "": there is no such unit
	Result string // where the answer comes

	mu   sync.Mutex
	last *Progress
	busy sync.WaitGroup
}

// Paths of the units in packaging/systemd.
const (
	unitFile   = "/lib/systemd/system/docscan-languages.path"
	wishFile   = "/run/docscan/language-wish"
	resultFile = "/run/docscan-languages/result"
)

// New gives the installer of this machine.
func New() *Installer {
	if os.Geteuid() == 0 {
		return &Installer{Root: true}
	}
	if _, err := os.Stat(unitFile); err == nil {
		return &Installer{Wish: wishFile, Result: resultFile}
	}
	return &Installer{}
}

// name is how Tesseract calls a language.
var name = regexp.MustCompile(`^[A-Za-z]+(_[A-Za-z]+)*$`)

// patience is how long an installation may take: the largest data have 20 MB, and
// lines are thin.
const patience = 15 * time.Minute

// Install begins to install the data of a language. What comes of it, Progress
// tells. The error wraps ErrInstall.
func (i *Installer) Install(language string) error {
	if len(language) > 31 || !name.MatchString(language) {
		return fmt.Errorf("%w: %q is not the name of a language, such as deu", ErrInstall, language)
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	switch {
	case i.last != nil && i.last.State == Doing:
		return fmt.Errorf("%w: %s is being installed; try again when that has ended", ErrInstall, i.last.Language)
	case !i.Root && i.Wish == "":
		return fmt.Errorf("%w by docscan itself here. Install the Debian package as root: apt install tesseract-ocr-%s", ErrInstall, strings.ToLower(strings.ReplaceAll(language, "_", "-")))
	}
	do := i.run
	if !i.Root {
		do = i.ask
	}
	i.last = &Progress{Language: language, State: Doing}
	i.busy.Go(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		p := Progress{Language: language, State: Done}
		if err := do(ctx, language); err != nil {
			p.State, p.Reason = Failed, err.Error()
		}
		i.mu.Lock()
		defer i.mu.Unlock()
		i.last = &p
	})
	return nil
}

// Progress gives how the last installation stands; nil if there was none.
func (i *Installer) Progress() *Progress {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.last == nil {
		return nil
	}
	p := *i.last
	return &p
}

// Wait waits until no installation is under way.
func (i *Installer) Wait() { i.busy.Wait() }

// run runs the script. What it says goes to a file: this process may end before, as with
// a change of version, and at the end of a pipe apt would break off.
func (i *Installer) run(ctx context.Context, language string) error {
	said, err := os.CreateTemp("", "docscan-language-")
	if err != nil {
		return err
	}
	defer os.Remove(said.Name())
	defer said.Close()
	cmd := exec.CommandContext(ctx, "/bin/sh", "-s", "--", language)
	cmd.Stdin = bytes.NewReader(script)
	cmd.Stdout, cmd.Stderr = said, said
	if err := cmd.Run(); err != nil {
		out, rerr := os.ReadFile(said.Name())
		return errors.New(reason(out, errors.Join(err, rerr)))
	}
	return nil
}

// reason gives the line of apt's that says most.
func reason(out []byte, err error) string {
	last := ""
	for line := range strings.Lines(string(out)) {
		line = strings.TrimSpace(line)
		if rest, ok := strings.CutPrefix(line, "E: "); ok {
			last = rest
		}
	}
	if last == "" {
		last = err.Error()
	}
	if len(last) > 300 {
		last = strings.ToValidUTF8(last[:300], "") + "..."
	}
	return last
}

// ask leaves a wish and waits for the answer.
func (i *Installer) ask(ctx context.Context, language string) error {
	_, err := wish.Files{Wish: i.Wish, Result: i.Result}.Ask(ctx, language)
	var no wish.Refusal
	switch {
	case errors.As(err, &no):
		return errors.New(strings.TrimSpace("apt: " + no.Error()))
	case errors.Is(err, wish.ErrNoAnswer):
		return errors.New("there was no answer; look at: journalctl -u docscan-language-fetch -u docscan-languages")
	}
	return err
}
