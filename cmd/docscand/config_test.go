package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/pelletier/go-toml/v2"
)

// trial is a configuration with every kind of key there is.
type trial struct {
	Web   trialWeb   `toml:"web"`
	OCR   trialOCR   `toml:"ocr"`
	Store trialStore `toml:"store"`
	Dev   struct {
		Sim trialSim `toml:"sim"`
	} `toml:"device"`
	Button []trialButton `toml:"button"`
}

type trialWeb struct {
	Listen string  `toml:"listen"`
	Secure bool    `toml:"secure"`
	Hours  int     `toml:"session_hours"`
	Rate   float64 `toml:"rate"`
	State  int     `toml:"-"`
}

func (c *trialWeb) Check() error {
	var errs []error
	if c.Hours < 1 {
		errs = append(errs, fmt.Errorf("session_hours is %d; it must be 1 or more", c.Hours))
	}
	if c.Rate > 100 {
		errs = append(errs, fmt.Errorf("the rate %v is above 100", c.Rate))
	}
	return errors.Join(errs...)
}

type trialOCR struct {
	Languages []string `toml:"languages"`
	Sizes     []int    `toml:"sizes"`
}

type trialStore struct {
	trialDir
	Small int8 `toml:"small"`
}

type trialDir struct {
	Dir string `toml:"dir"`
}

type trialButton struct {
	Line string `toml:"line"`
	Low  bool   `toml:"low"`
}

type trialSim struct {
	Stack  string `toml:"stack"`
	Duplex bool   `toml:"duplex"`
}

func newTrial() *trial {
	return &trial{
		Web: trialWeb{Listen: "127.0.0.1:8000", Hours: 12, Rate: 1},
		OCR: trialOCR{Languages: []string{"eng", "osd"}},
	}
}

func lines(errs []error) string {
	var b strings.Builder
	for _, err := range errs {
		b.WriteString(err.Error() + "\n")
	}
	return b.String()
}

func TestFile(t *testing.T) {
	tests := []struct {
		name, text, want string
	}{
		{"empty", "", ""},
		{"every kind", "[web]\nlisten = \"[::]:80\"\nsecure = true\nrate = 2\n[ocr]\nlanguages = [\"deu\"]\nsizes = []\n[device.sim]\nduplex = true\n", ""},
		{"several tables", "[[button]]\nline = \"a\"\n[[button]]\nline = \"b\"\nlow = true\n", ""},
		{"unknown key in one of several", "[[button]]\nline = \"a\"\n[[button]]\nlien = \"b\"\n", "docscan.toml:4:1: unknown key `lien` in [[button]]; did you mean `line`?\n"},
		{"wrong kind in one of several", "[[button]]\nlow = 1\n", "docscan.toml:2:1: `low` in [[button]] must be true or false, not a whole number\n"},
		{"one where several may be", "[button]\nline = \"a\"\n", "docscan.toml:1:2: `button` may stand several times; write its keys below a line [[button]]\n"},
		{"no table where several may be", "button = [1]\n", "docscan.toml:1:1: `button` may stand several times; write its keys below a line [[button]]\n"},
		{"dotted", "web.listen = \"x\"\ndevice = { sim.stack = \"y\" }\n", ""},
		{"unknown key", "# first\n[web]\nlissten = \"x\"\n", "docscan.toml:3:1: unknown key `lissten` in [web]; did you mean `listen`?\n"},
		{"swapped letters", "[device]\n  sim.satck = \"x\"\n", "docscan.toml:2:7: unknown key `satck` in [device.sim]; did you mean `stack`?\n"},
		{"unlike anything", "[ocr]\nxyzzy = 1\n", "docscan.toml:2:1: unknown key `xyzzy` in [ocr]; the keys there are languages, sizes\n"},
		{"other table", "[ocr]\nlisten = \"x\"\n", "docscan.toml:2:1: unknown key `listen` in [ocr]; did you mean `listen` in [web]?\n"},
		{"no table", "listen = \"x\"\n", "docscan.toml:1:1: `listen` stands before any table; did you mean `listen` in [web]?\n"},
		{"unknown table", "[wbe]\nlisten = \"x\"\n", "docscan.toml:1:2: unknown table [wbe]; did you mean [web]?\n"},
		{"inner table alone", "[sim]\nstack = \"x\"\n", "docscan.toml:1:2: unknown table [sim]; did you mean [device.sim]?\n"},
		{"table as key", "web = 3\n", "docscan.toml:1:1: `web` is a table; write its keys below a line [web]\n"},
		{"key as table", "[web.listen]\nx = 1\n", "docscan.toml:1:6: `listen` in [web] must be text in quotes, not a table\n"},
		{"number for text", "[web]\nlisten = 8000\n", "docscan.toml:2:1: `listen` in [web] must be text in quotes, not a whole number\n"},
		{"text for number", "[web]\nsession_hours = \"12\"\n", "docscan.toml:2:1: `session_hours` in [web] must be a whole number, not text\n"},
		{"fraction for number", "[web]\nsession_hours = 1.5\n", "docscan.toml:2:1: `session_hours` in [web] must be a whole number, not a number with a fraction\n"},
		{"text for switch", "[web]\nsecure = \"yes\"\n", "docscan.toml:2:1: `secure` in [web] must be true or false, not text\n"},
		{"text for list", "[ocr]\nlanguages = \"eng\"\n", "docscan.toml:2:1: `languages` in [ocr] must be a list of texts such as [\"a\", \"b\"], not text\n"},
		{"wrong list", "[ocr]\nlanguages = [1, 2]\n", "docscan.toml:2:1: `languages` in [ocr] must be a list of texts such as [\"a\", \"b\"], not a list of other things\n"},
		{"date", "[web]\nlisten = 2026-01-01\n", "docscan.toml:2:1: `listen` in [web] must be text in quotes, not a date or time\n"},
		{"several, in order", "[web]\nsecure = 1\nlissten = \"x\"\n[ocr]\nszes = [1]\n",
			"docscan.toml:2:1: `secure` in [web] must be true or false, not a whole number\n" +
				"docscan.toml:3:1: unknown key `lissten` in [web]; did you mean `listen`?\n" +
				"docscan.toml:5:1: unknown key `szes` in [ocr]; did you mean `sizes`?\n"},
		{"twice", "[web]\nsecure = true\nsecure = true\n", "docscan.toml:3:1: key secure is already defined\n"},
		{"no TOML", "[web\n", "docscan.toml:1:5: expected ']' to close table name\n"},
		{"too large", "[store]\nsmall = 1000\n", "docscan.toml:2:9: integer value 1000 cannot be stored in int8\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := lines(settingsOf(newTrial()).file("docscan.toml", []byte(tt.text)))
			if got != tt.want {
				t.Errorf("got:\n%swant:\n%s", got, tt.want)
			}
		})
	}
}

// A worker or a tool that is in another directory finds what it is given.
func TestStoreDirIsFound(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	if err := os.WriteFile("docscan.toml", []byte("[store]\ndir = \"data\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		environ []string
		want    string
	}{{nil, "data"}, {[]string{"DOCSCAN_STORE_DIR=../x/other"}, "../x/other"}} {
		cfg, _, err := readSettings(configArgs{}, tt.environ)
		if want := filepath.Join(dir, tt.want); err != nil || cfg.Store.Dir != want {
			t.Errorf("%q: store.dir is %s, %v, want %s", tt.environ, cfg.Store.Dir, err, want)
		}
	}
}

func TestFileReplacesLists(t *testing.T) {
	cfg := newTrial()
	if errs := settingsOf(cfg).file("f", []byte("[ocr]\nlanguages = [\"deu\"]\n[store]\ndir = \"x\"\n")); errs != nil {
		t.Fatal(errs)
	}
	if got := cfg.OCR.Languages; !reflect.DeepEqual(got, []string{"deu"}) {
		t.Errorf("languages = %q, want the one of the file", got)
	}
	if cfg.Store.Dir != "x" {
		t.Errorf("store.dir = %q; an embedded struct's keys are its table's own", cfg.Store.Dir)
	}
}

func TestEnvironment(t *testing.T) {
	tests := []struct {
		name    string
		environ []string
		want    string // the error
		key     string
		value   any
	}{
		{"text", []string{"DOCSCAN_WEB_LISTEN=:80"}, "", "web.listen", ":80"},
		{"inner table", []string{"DOCSCAN_DEVICE_SIM_STACK=a=b"}, "", "device.sim.stack", "a=b"},
		{"key with underscore", []string{"DOCSCAN_WEB_SESSION_HOURS=3"}, "", "web.session_hours", 3},
		{"switch", []string{"DOCSCAN_WEB_SECURE=true"}, "", "web.secure", true},
		{"list", []string{"DOCSCAN_OCR_LANGUAGES=eng, deu"}, "", "ocr.languages", []string{"eng", "deu"}},
		{"list of one", []string{"DOCSCAN_OCR_LANGUAGES=eng"}, "", "ocr.languages", []string{"eng"}},
		{"empty list", []string{"DOCSCAN_OCR_LANGUAGES="}, "", "ocr.languages", []string{}},
		{"numbers", []string{"DOCSCAN_OCR_SIZES=1,2"}, "", "ocr.sizes", []int{1, 2}},
		{"not ours", []string{"PATH=/bin", "DOCSCAN_TOKEN=x"}, "", "web.secure", false},
		{"predecessor", []string{"BACKEND_PORT=9000"}, "", "web.listen", "127.0.0.1:9000"},
		{"predecessor loses", []string{"DOCSCAN_WEB_LISTEN=:80", "BACKEND_PORT=9000"}, "", "web.listen", ":80"},
		{"predecessor's nonsense", []string{"BACKEND_PORT=x"}, "BACKEND_PORT: \"x\" is no port; it must be 1 to 65535\n", "web.listen", "127.0.0.1:8000"},
		{"unknown", []string{"DOCSCAN_WEB_LISSTEN=x"}, "DOCSCAN_WEB_LISSTEN: no setting has this name; did you mean DOCSCAN_WEB_LISTEN?\n", "web.listen", "127.0.0.1:8000"},
		{"no number", []string{"DOCSCAN_WEB_SESSION_HOURS=x"}, "DOCSCAN_WEB_SESSION_HOURS: \"x\" is not a whole number\n", "web.session_hours", 12},
		{"too large", []string{"DOCSCAN_STORE_SMALL=1000"}, "DOCSCAN_STORE_SMALL: the number 1000 is too large\n", "store.small", int8(0)},
		{"no switch", []string{"DOCSCAN_WEB_SECURE=yes"}, "DOCSCAN_WEB_SECURE: \"yes\" is not true or false\n", "web.secure", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := settingsOf(newTrial())
			if got := lines(s.environment(tt.environ)); got != tt.want {
				t.Errorf("errors %q, want %q", got, tt.want)
			}
			if got := s.find(tt.key).value.Interface(); !reflect.DeepEqual(got, tt.value) {
				t.Errorf("%s = %#v, want %#v", tt.key, got, tt.value)
			}
		})
	}
}

func TestFlags(t *testing.T) {
	tests := []struct {
		name string
		args []string
		want string // the error
		key  string
		text string // its value
	}{
		{"set", []string{"--set", "web.listen=:80"}, "", "web.listen", ":80"},
		{"the last one holds", []string{"--set=web.session_hours=1", "--set", "web.session_hours=2"}, "", "web.session_hours", "2"},
		{"data", []string{"--data", "/x"}, "", "store.dir", "/x"},
		{"listen", []string{"--listen", ":1"}, "", "web.listen", ":1"},
		{"unknown", []string{"--set", "web.lisen=:80"}, "--set web.lisen: no setting is called `web.lisen`; did you mean web.listen?\n", "web.listen", "127.0.0.1:8000"},
		{"no value", []string{"--set", "web.listen"}, "--set web.listen: write NAME=VALUE, such as --set log.level=debug\n", "web.listen", "127.0.0.1:8000"},
		{"wrong value", []string{"--set", "web.session_hours=soon"}, "--set web.session_hours: \"soon\" is not a whole number\n", "web.session_hours", "12"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var a configArgs
			if err := a.parse(flag.NewFlagSet("run", flag.ContinueOnError), tt.args); err != nil {
				t.Fatal(err)
			}
			s := settingsOf(newTrial())
			if got := lines(s.flags(a)); got != tt.want {
				t.Errorf("errors %q, want %q", got, tt.want)
			}
			if got := fmt.Sprint(s.find(tt.key).value); got != tt.text {
				t.Errorf("%s = %q, want %q", tt.key, got, tt.text)
			}
		})
	}
}

func TestWrongFlagIsUsage(t *testing.T) {
	for _, args := range [][]string{{"--sett", "x"}, {"--config"}, {"more"}} {
		var wrong usageError
		if _, err := loadConfig(args); !errors.As(err, &wrong) {
			t.Errorf("loadConfig(%q): %v, want a usage error", args, err)
		}
	}
	if _, err := loadConfig([]string{"--help"}); !errors.Is(err, flag.ErrHelp) {
		t.Errorf("loadConfig(--help): %v, want flag.ErrHelp", err)
	}
}

// Flags go before environment, environment before the file, the file before
// the defaults; and what Check refuses says which of them it came from.
func TestPrecedence(t *testing.T) {
	text := []byte("[web]\nsession_hours = 0\n")
	tests := []struct {
		name    string
		file    []byte
		environ []string
		set     []string
		want    string
	}{
		{"default", nil, nil, nil, ""},
		{"file", text, nil, nil, "docscan.toml:2:1: [web] session_hours is 0; it must be 1 or more\n"},
		{"environment", text, []string{"DOCSCAN_WEB_SESSION_HOURS=-1"}, nil, "DOCSCAN_WEB_SESSION_HOURS: [web] session_hours is -1; it must be 1 or more\n"},
		{"flag", text, []string{"DOCSCAN_WEB_SESSION_HOURS=-1"}, []string{"web.session_hours=-2"}, "--set web.session_hours: [web] session_hours is -2; it must be 1 or more\n"},
		{"flag heals", text, nil, []string{"web.session_hours=2"}, ""},
		{"two", text, nil, []string{"web.rate=101"}, "docscan.toml:2:1: [web] session_hours is 0; it must be 1 or more\n" +
			"--set web.rate: [web] the rate 101 is above 100\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := settingsOf(newTrial())
			errs := s.file("docscan.toml", tt.file)
			errs = append(errs, s.environment(tt.environ)...)
			errs = append(errs, s.flags(configArgs{sets: tt.set})...)
			errs = append(errs, s.check()...)
			if got := lines(errs); got != tt.want {
				t.Errorf("got:\n%swant:\n%s", got, tt.want)
			}
		})
	}
}

func TestReadConfig(t *testing.T) {
	t.Chdir(t.TempDir())
	if name, data, err := readConfig("", nil); name != "" || data != nil || err != nil {
		t.Errorf("nothing there: %q, %q, %v", name, data, err)
	}
	if _, _, err := readConfig("", []string{"DOCSCAN_CONFIG=missing.toml"}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a file that was asked for is missing: %v", err)
	}
	if err := os.WriteFile("docscan.toml", []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if name, data, err := readConfig("", nil); name != "docscan.toml" || string(data) != "x" || err != nil {
		t.Errorf("in this directory: %q, %q, %v", name, data, err)
	}
	if err := os.WriteFile("large.toml", bytes.Repeat([]byte("#"), maxConfigBytes+1), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := readConfig("large.toml", nil); err == nil {
		t.Error("a huge file was read")
	}
}

func TestNearest(t *testing.T) {
	names := []string{"listen", "session_hours", "stack", "eng"}
	tests := []struct{ word, want string }{
		{"lissten", "listen"},
		{"LISTEN", "listen"},
		{"satck", "stack"},
		{"session_hour", "session_hours"},
		{"sessionhours", "session_hours"},
		{"en", "eng"},
		{"deu", ""},
		{"", ""},
		{"something else", ""},
	}
	for _, tt := range tests {
		if got := nearest(tt.word, names); got != tt.want {
			t.Errorf("nearest(%q) = %q, want %q", tt.word, got, tt.want)
		}
	}
}

// Every key must be of a kind that file, environment and flags can set, and no
// two may have the same name in the environment.
func TestConfigKinds(t *testing.T) {
	cfg := defaultConfig()
	seen := make(map[string]string)
	for _, k := range settingsOf(&cfg).list {
		kindOf(k.value.Type()) // panics at a kind it does not know
		if other := seen[k.variable()]; other != "" {
			t.Errorf("%s and %s are both %s", other, k.name(), k.variable())
		}
		seen[k.variable()] = k.name()
	}
}

func TestDefaultsAreGood(t *testing.T) {
	cfg := defaultConfig()
	if errs := settingsOf(&cfg).check(); errs != nil {
		t.Error(lines(errs))
	}
}

// docscan.toml names every key with its default and nothing else, so that it
// can be read as the list of all settings.
func TestShippedFile(t *testing.T) {
	data, err := os.ReadFile(filepath.Join("..", "..", "docscan.toml"))
	if err != nil {
		t.Fatal(err)
	}
	cfg := defaultConfig()
	s := settingsOf(&cfg)
	if errs := s.file("docscan.toml", data); errs != nil {
		t.Fatal(lines(errs))
	}
	fresh := defaultConfig()
	for _, k := range settingsOf(&fresh).list {
		set := s.find(k.name())
		if set.from == "" {
			t.Errorf("docscan.toml does not name %s", k.name())
		}
		if got, want := fmt.Sprint(set.value), fmt.Sprint(k.value); got != want && set.from != "" {
			t.Errorf("%s: %s is %s, the default %s", set.from, k.name(), got, want)
		}
	}
	// Each key has a comment above it.
	above := ""
	for i, line := range strings.Split(string(data), "\n") {
		if key, _, ok := strings.Cut(line, " = "); ok && !strings.HasPrefix(line, "#") && !strings.HasPrefix(above, "#") {
			t.Errorf("docscan.toml:%d: %s is not explained", i+1, key)
		}
		above = line
	}
}

func TestLogConfig(t *testing.T) {
	tests := []struct {
		cfg  logConfig
		want string
	}{
		{logConfig{"info", "text"}, ""},
		{logConfig{"debug", "json"}, ""},
		{logConfig{"loud", "text"}, `level is "loud"; it must be debug, info, warn or error`},
		{logConfig{"info", "xml"}, `format is "xml"; it must be text or json`},
	}
	for _, tt := range tests {
		got := ""
		if err := tt.cfg.Check(); err != nil {
			got = err.Error()
		}
		if got != tt.want {
			t.Errorf("Check(%v) = %q, want %q", tt.cfg, got, tt.want)
		}
	}
	var b bytes.Buffer
	log := slog.New((&logConfig{"warn", "json"}).handler(&b))
	log.Info("quiet")
	log.Warn("heard")
	if got := b.String(); strings.Contains(got, "quiet") || !strings.Contains(got, `"msg":"heard"`) {
		t.Errorf("logged %q", got)
	}
}

// Any bytes may stand in a file somebody points us to. What is taken must be
// what the toml package alone takes.
func FuzzFile(f *testing.F) {
	f.Add([]byte("[web]\nlisten = \"x\"\n"))
	f.Add([]byte("web = {listen = \"x\", secure = true}\ndevice.sim.stack = 'y'\n"))
	f.Add([]byte("[[web]]\n[ocr]\nlanguages = [\"a\", [1]]\n\"\" = 1\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > maxConfigBytes {
			return // readConfig refuses it
		}
		cfg, plain := newTrial(), newTrial()
		if settingsOf(cfg).file("f", data) != nil {
			return
		}
		d := toml.NewDecoder(bytes.NewReader(data)).DisallowUnknownFields()
		if err := d.Decode(plain); err != nil {
			t.Fatalf("taken, but the toml package says: %v", err)
		}
		if !reflect.DeepEqual(cfg, plain) {
			t.Errorf("got %+v, want %+v", cfg, plain)
		}
	})
}
