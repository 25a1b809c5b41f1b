// Package quirks knows in what single models differ from what their protocol
// says. It is a list in TOML that a person can read and add to; the drivers ask
// it and keep no list of their own.
//
// A rule matches by USB id or by a pattern of make and model. Several rules may
// match one machine: for each setting the most specific rule that has it wins,
// an id before a pattern, and the longer pattern before the shorter. Of equals,
// one from the folder of the box's own rules wins over a built-in one.
package quirks

import (
	"bytes"
	"cmp"
	_ "embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"

	"docscan/device"
)

// Quirks are the ways in which one model differs. The zero value is a machine
// that does as its protocol says.
type Quirks struct {
	// Of the machine on USB.
	Ignore          bool   `toml:"ignore"`            // it only looks like a scanner
	IgnoreClass     bool   `toml:"ignore_class"`      // its class descriptor does not tell whether it scans
	Driver          string `toml:"driver"`            // which one is to drive it, where several could: escl, fujitsu, esci or sane; empty: escl before the maker's own protocol before sane
	Name            string `toml:"name"`              // make and model, where its strings do not say
	Pipes           int    `toml:"pipes"`             // how many interfaces to use; 0: two
	Reset           Reset  `toml:"reset"`             // before the first request
	OpenDelayMS     int    `toml:"open_delay_ms"`     // pause before the first request, in milliseconds
	WriteDelayMS    int    `toml:"write_delay_ms"`    // pause after each transfer to it, in milliseconds
	ZeroLengthWrite bool   `toml:"zero_length_write"` // it wants an empty packet after a transfer that fills its last packet
	PartialStart    bool   `toml:"partial_start"`     // while it boots its answers break off: a silence ends them

	// Of its HTTP.
	Connection     string `toml:"connection"`       // value of the Connection header; empty: none is sent
	Host           string `toml:"host"`             // value of the Host header on the network; empty: as the address says
	HostPort       bool   `toml:"host_port"`        // it wants the port in the Host header, the usual one too
	RequestDelayMS int    `toml:"request_delay_ms"` // pause between requests, in milliseconds
	StartSeconds   int    `toml:"start_seconds"`    // patience with the first answer, in seconds; 0: the usual

	// Of its eSCL.
	CheckFeeder    bool `toml:"check_feeder"`   // it calls an empty feeder a jam: ask before the job
	KeepJob        bool `toml:"keep_job"`       // a job that has come to its end must not be deleted
	WaitOnNotFound bool `toml:"wait_on_404"`    // 404 to NextDocument may mean "not yet"
	Pause          bool `toml:"pause"`          // rest between sides, or the feeder stops early
	BacksTurned    bool `toml:"backs_turned"`   // back sides come upside down
	AskHeight      bool `toml:"ask_height"`     // its JPEG are shorter than their heads say: ask after each for its true size
	MaxResolution  int  `toml:"max_resolution"` // dpi; 0: as it says
}

// For says whether the driver of that name may have the machine.
func (q Quirks) For(driver string) bool {
	return !q.Ignore && (q.Driver == "" || q.Driver == driver)
}

// Reset says how to wake a machine that does not answer.
type Reset string

// The kinds of reset.
const (
	NoReset   Reset = ""
	SoftReset Reset = "soft" // of the interface, by the printer class
	HardReset Reset = "hard" // of the port
)

// rule is one entry of a file.
type rule struct {
	ID    string `toml:"id"`    // vendor:product in hexadecimal
	Model string `toml:"model"` // pattern as of path.Match, for "make model", case ignored
	Why   string `toml:"why"`   // for people
	Quirks
}

// file is a file of rules.
type file struct {
	Quirk []rule `toml:"quirk"`
}

//go:embed quirks.toml
var builtin []byte

// match is a rule ready to be used.
type match struct {
	id       string
	pattern  string
	weight   int // of a pattern: how much of it is no wildcard
	settings map[string]any
}

// List is what is known of all models. The zero value knows nothing. It does not
// change, so any goroutine may ask.
type List struct {
	matches []match // the least specific first
}

// maxFile bounds one file of rules, in bytes.
const maxFile = 1 << 20

// Load gives the built-in rules and those of the files *.toml in the folder dir,
// which need not exist; "" is no folder. All errors of all files come at once,
// with the name of the file.
func Load(dir string) (*List, error) {
	l := &List{}
	errs := []error{l.add("built-in quirks", builtin)}
	if dir != "" {
		names, err := filepath.Glob(filepath.Join(dir, "*.toml"))
		errs = append(errs, err)
		slices.Sort(names)
		for _, name := range names {
			info, err := os.Stat(name)
			if errors.Is(err, fs.ErrNotExist) {
				continue // a link to nowhere, or it has just been taken away
			}
			if err == nil && info.Size() > maxFile {
				err = fmt.Errorf("%s: larger than %d bytes", name, maxFile)
			}
			var b []byte
			if err == nil {
				b, err = os.ReadFile(name)
			}
			if err == nil {
				err = l.add(name, b)
			}
			errs = append(errs, err)
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	slices.SortStableFunc(l.matches, func(a, b match) int {
		switch {
		case (a.id == "") != (b.id == ""):
			if a.id == "" {
				return -1
			}
			return 1
		}
		return a.weight - b.weight
	})
	return l, nil
}

// add reads one file.
func (l *List) add(name string, b []byte) error {
	var f file
	d := toml.NewDecoder(bytes.NewReader(b)).DisallowUnknownFields()
	if err := d.Decode(&f); err != nil {
		var unknown *toml.StrictMissingError
		var at *toml.DecodeError
		switch {
		case errors.As(err, &unknown) && len(unknown.Errors) > 0:
			row, _ := unknown.Errors[0].Position()
			return fmt.Errorf("%s, line %d: there is no quirk %q", name, row, strings.Join(unknown.Errors[0].Key(), "."))
		case errors.As(err, &at):
			row, _ := at.Position()
			return fmt.Errorf("%s, line %d: %w", name, row, err)
		}
		return fmt.Errorf("%s: %w", name, err)
	}
	// Which settings a rule has, and not only which are not zero: a rule may
	// take back what a less specific one says.
	var raw struct {
		Quirk []map[string]any `toml:"quirk"`
	}
	if err := toml.Unmarshal(b, &raw); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	for i, r := range f.Quirk {
		m := match{id: strings.ToLower(r.ID), pattern: fold(r.Model), settings: raw.Quirk[i]}
		if err := r.check(m.pattern); err != nil {
			return fmt.Errorf("%s, quirk %d (%s%s): %w", name, i+1, r.ID, r.Model, err)
		}
		for _, key := range []string{"id", "model", "why"} {
			delete(m.settings, key)
		}
		m.weight = len(wildcard.ReplaceAllString(m.pattern, ""))
		l.matches = append(l.matches, m)
	}
	return nil
}

// usbID is how a rule names a machine by its USB id; wildcard is what does not
// make a pattern more specific.
var (
	usbID    = regexp.MustCompile(`^[0-9a-f]{4}:[0-9a-f]{4}$`)
	wildcard = regexp.MustCompile(`\*|\?|\[[^\]]*\]`)
)

// check says what is wrong with a rule.
func (r *rule) check(pattern string) error {
	_, err := path.Match(pattern, "")
	switch {
	case (r.ID == "") == (r.Model == ""):
		return errors.New("it needs either id or model")
	case r.ID != "" && !usbID.MatchString(strings.ToLower(r.ID)):
		return fmt.Errorf("id is %q; it must be like 04b8:0123", r.ID)
	case err != nil:
		return fmt.Errorf("model is %q: %w", r.Model, err)
	case r.Reset != NoReset && r.Reset != SoftReset && r.Reset != HardReset:
		return fmt.Errorf(`reset is %q; it must be "soft" or "hard"`, r.Reset)
	case r.Driver != "" && !slices.Contains([]string{"escl", "fujitsu", "esci", "sane"}, r.Driver):
		return fmt.Errorf(`driver is %q; it must be "escl", "fujitsu", "esci" or "sane"`, r.Driver)
	case strings.ContainsFunc(r.Connection+r.Host, func(c rune) bool { return c < '!' || c > '~' }):
		return errors.New("connection and host may have no spaces and no control characters")
	}
	for _, v := range []struct {
		key       string
		value, to int
	}{
		{"pipes", r.Pipes, 8}, {"open_delay_ms", r.OpenDelayMS, 60_000}, {"write_delay_ms", r.WriteDelayMS, 1000},
		{"request_delay_ms", r.RequestDelayMS, 10_000}, {"start_seconds", r.StartSeconds, 600}, {"max_resolution", r.MaxResolution, 9600},
	} {
		if v.value < 0 || v.value > v.to {
			return fmt.Errorf("%s is %d; it must be 0 to %d", v.key, v.value, v.to)
		}
	}
	return nil
}

// fold makes a name or a pattern ready to be compared. A slash is an ordinary
// character in a model's name, but not for path.Match.
func fold(s string) string {
	return strings.ReplaceAll(strings.ToLower(strings.TrimSpace(s)), "/", "|")
}

// Of gives the quirks of a machine by its make and model, and by its USB id; an
// id of 0:0 is that of a machine on the network.
func (l *List) Of(vendor, product uint16, name string) Quirks {
	id, name := fmt.Sprintf("%04x:%04x", vendor, product), fold(name)
	all := make(map[string]any)
	for _, m := range l.matches {
		ok := m.id == id
		if m.id == "" {
			ok, _ = path.Match(m.pattern, name) // Load has seen that the pattern is well formed
		}
		if !ok {
			continue
		}
		for k, v := range m.settings {
			all[k] = v
		}
	}
	var q Quirks
	if len(all) == 0 {
		return q
	}
	b, err := toml.Marshal(all)
	if err == nil {
		err = toml.Unmarshal(b, &q)
	}
	if err != nil {
		panic(fmt.Sprintf("quirks that were read cannot be written: %v", err))
	}
	return q
}

// Section gives the quirks for a diagnosis.
func (q Quirks) Section() device.Section {
	return device.Section{Title: "Quirks in force", Text: cmp.Or(q.Text(), "none") + "\n"}
}

// Text gives the quirks that are not zero in the form of docscan's quirk files,
// for diagnoses.
func (q Quirks) Text() string {
	b, err := toml.Marshal(q)
	if err != nil {
		return err.Error()
	}
	var out []string
	for line := range strings.Lines(string(b)) {
		if v := strings.TrimSpace(line); !strings.HasSuffix(v, "= 0") && !strings.HasSuffix(v, "= false") && !strings.HasSuffix(v, "= ''") {
			out = append(out, v)
		}
	}
	return strings.Join(out, "\n")
}
