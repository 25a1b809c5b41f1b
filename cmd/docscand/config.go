package main

import (
	"bytes"
	"cmp"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"math"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"

	"docscan/device/escl"
	"docscan/device/gpio"
	"docscan/device/ippusb"
	"docscan/device/sane"
	"docscan/device/sim"
	"docscan/device/usb"
	"docscan/packaging/swap"
	"docscan/scan"
	"docscan/scan/ocr"
	"docscan/store"
	"docscan/store/audit"
	"docscan/web"
)

// config is docscan.toml: one table for each package that has something to set.
type config struct {
	Web    web.Config   `toml:"web"`
	Store  store.Config `toml:"store"`
	Audit  audit.Config `toml:"audit"`
	Scan   scan.Config  `toml:"scan"`
	OCR    ocr.Config   `toml:"ocr"`
	Device deviceConfig `toml:"device"`
	Panel  gpio.Config  `toml:"panel"`
	Update swap.Config  `toml:"update"`
	Log    logConfig    `toml:"log"`
}

// deviceConfig is the table [device]: one for each way to reach a scanner.
type deviceConfig struct {
	// Quirks is a folder with files of this box's own rules on single models.
	Quirks string `toml:"quirks"`

	USB    usb.Config    `toml:"usb"`
	IPPUSB ippusb.Config `toml:"ippusb"`
	ESCL   escl.Config   `toml:"escl"`
	SANE   sane.Config   `toml:"sane"`
	Sim    sim.Config    `toml:"sim"`
}

// defaultConfig is what holds where neither a flag nor the environment nor
// docscan.toml says otherwise.
func defaultConfig() config {
	return config{
		Web:   web.DefaultConfig(),
		Store: store.DefaultConfig(),
		Audit: audit.DefaultConfig(),
		Scan:  scan.DefaultConfig(),
		OCR:   ocr.DefaultConfig(),
		Device: deviceConfig{
			Quirks: "/etc/docscan/quirks.d",
			USB:    usb.DefaultConfig(),
			IPPUSB: ippusb.DefaultConfig(),
			ESCL:   escl.DefaultConfig(),
			SANE:   sane.DefaultConfig(),
			Sim:    sim.DefaultConfig(),
		},
		Panel:  gpio.DefaultConfig(),
		Update: swap.DefaultConfig(),
		Log:    logConfig{Level: "info", Format: "text"},
	}
}

// logConfig is the table [log].
type logConfig struct {
	Level  string `toml:"level"`  // debug, info, warn or error
	Format string `toml:"format"` // text or json
}

// Check reports the first value that makes no sense.
func (c *logConfig) Check() error {
	if _, ok := logLevels[c.Level]; !ok {
		return fmt.Errorf("level is %q; it must be debug, info, warn or error", c.Level)
	}
	if c.Format != "text" && c.Format != "json" {
		return fmt.Errorf("format is %q; it must be text or json", c.Format)
	}
	return nil
}

var logLevels = map[string]slog.Level{
	"debug": slog.LevelDebug,
	"info":  slog.LevelInfo,
	"warn":  slog.LevelWarn,
	"error": slog.LevelError,
}

// handler writes to w as a checked c says.
func (c *logConfig) handler(w io.Writer) slog.Handler {
	o := &slog.HandlerOptions{Level: logLevels[c.Level]}
	if c.Format == "json" {
		return slog.NewJSONHandler(w, o)
	}
	return slog.NewTextHandler(w, o)
}

// maxConfigBytes bounds docscan.toml. The one we ship has some 10 kB; the time
// to read a hostile one grows with the square of its size.
const maxConfigBytes = 64 << 10

// configPlaces is where docscan.toml is looked for when nobody names it.
var configPlaces = []string{"docscan.toml", "/etc/docscan/docscan.toml"}

// otherVariables begin with DOCSCAN_ and are no settings: the first names the
// file, the last one is of a hand-over, the others are those of docscanctl.
var otherVariables = []string{"DOCSCAN_CONFIG", "DOCSCAN_SOCKET", "DOCSCAN_SERVER", "DOCSCAN_TOKEN", "DOCSCAN_FINGERPRINT", swap.RopeEnv}

// configArgs are the flags of every command that reads the configuration.
type configArgs struct {
	file   string
	sets   []string // name=value
	data   string   // short for store.dir
	listen string   // short for web.listen
}

// parse reads args into a and into what the caller has added to fs. What cannot
// be understood is a usageError.
func (a *configArgs) parse(fs *flag.FlagSet, args []string) error {
	fs.SetOutput(io.Discard) // whoever gets the error prints it
	fs.StringVar(&a.file, "config", "", "")
	fs.StringVar(&a.data, "data", "", "")
	fs.StringVar(&a.listen, "listen", "", "")
	fs.Func("set", "", func(s string) error {
		a.sets = append(a.sets, s)
		return nil
	})
	if err := fs.Parse(args); errors.Is(err, flag.ErrHelp) {
		return err
	} else if err != nil {
		return usageError(err.Error())
	}
	if fs.NArg() > 0 {
		return usageError(fmt.Sprintf("%s takes no argument %q", fs.Name(), fs.Arg(0)))
	}
	return nil
}

// loadConfig gives the settings that hold for a command with the flags args:
// flags before environment before docscan.toml before defaults. The error lists
// everything that is wrong, one fault a line, each with where it comes from.
func loadConfig(args []string) (config, error) {
	var a configArgs
	if err := a.parse(flag.NewFlagSet("run", flag.ContinueOnError), args); err != nil {
		return config{}, err
	}
	cfg, _, err := readSettings(a, os.Environ())
	return cfg, err
}

// settingsFile gives the docscan.toml that a command with the flags args reads,
// empty for none. What is in it does not matter yet.
func settingsFile(args []string) (string, error) {
	var a configArgs
	if err := a.parse(flag.NewFlagSet("run", flag.ContinueOnError), args); err != nil {
		return "", err
	}
	file, _, err := readConfig(a.file, os.Environ())
	return file, err
}

// readSettings does the work of loadConfig and also gives the file that was
// read, which is empty if there is none.
func readSettings(a configArgs, environ []string) (cfg config, file string, err error) {
	cfg = defaultConfig()
	s := settingsOf(&cfg)
	file, data, err := readConfig(a.file, environ)
	if err != nil {
		return cfg, file, err
	}
	errs := s.file(file, data)
	errs = append(errs, s.environment(environ)...)
	errs = append(errs, s.flags(a)...)
	errs = append(errs, s.check()...)
	if cfg.Store.Dir != "" { // workers and tools have other directories to be in
		dir, err := filepath.Abs(cfg.Store.Dir)
		if err != nil {
			errs = append(errs, fmt.Errorf("find store.dir: %w", err))
		}
		cfg.Store.Dir = dir
	}
	return cfg, file, errors.Join(errs...)
}

// readConfig finds and reads docscan.toml. Both results are empty when there is
// none and nobody asked for one.
func readConfig(name string, environ []string) (string, []byte, error) {
	if name == "" {
		for _, v := range environ {
			if file, ok := strings.CutPrefix(v, "DOCSCAN_CONFIG="); ok {
				name = file
			}
		}
	}
	places := configPlaces
	if name != "" {
		places = []string{name}
	}
	for _, p := range places {
		f, err := os.Open(p)
		if errors.Is(err, fs.ErrNotExist) && name == "" {
			continue
		}
		if err != nil {
			return p, nil, fmt.Errorf("read the settings: %w", err)
		}
		defer f.Close()
		data, err := io.ReadAll(io.LimitReader(f, maxConfigBytes+1))
		if err != nil {
			return p, nil, fmt.Errorf("read the settings: %w", err)
		}
		if len(data) > maxConfigBytes {
			return p, nil, fmt.Errorf("%s: larger than %d bytes; this is no settings file", p, maxConfigBytes)
		}
		return p, data, nil
	}
	return "", nil, nil
}

// A setting is one key of one table.
type setting struct {
	table string // such as "device.sim"
	key   string // such as "stack"
	value reflect.Value
	from  string // who set it; empty: the default
}

// name is how people and --set call it.
func (s *setting) name() string { return s.table + "." + s.key }

// variable is its name in the environment.
func (s *setting) variable() string {
	return "DOCSCAN_" + strings.ToUpper(strings.ReplaceAll(s.name(), ".", "_"))
}

// settings is a struct of tables seen as a list of keys. It knows of each value
// who set it.
type settings struct {
	config reflect.Value // of the struct
	list   []*setting    // in order of declaration
	tables []table
	lists  []list
}

// A list is a slice of structs: a table that may stand several times, written
// [[name]]. Only the file can set it.
type list struct {
	name string
	elem reflect.Type
}

// A table is one struct within the configuration.
type table struct {
	name  string
	value reflect.Value
}

// settingsOf lists what can be set in *config, a struct of structs whose fields
// carry toml tags.
func settingsOf(config any) *settings {
	s := &settings{config: reflect.ValueOf(config).Elem()}
	s.walk("", s.config)
	return s
}

// walk lists v, the table of that name, and what is in it.
func (s *settings) walk(name string, v reflect.Value) {
	if name != "" {
		s.tables = append(s.tables, table{name, v})
	}
	s.keys(name, v)
}

func (s *settings) keys(name string, v reflect.Value) {
	for i := range v.NumField() {
		f, v := v.Type().Field(i), v.Field(i)
		tag, _, _ := strings.Cut(f.Tag.Get("toml"), ",")
		switch {
		case f.Anonymous && tag == "": // its keys are the outer table's own
			s.keys(name, v)
		case tag == "" || tag == "-":
		case v.Kind() == reflect.Struct:
			s.walk(join(name, tag), v)
		case v.Kind() == reflect.Slice && v.Type().Elem().Kind() == reflect.Struct:
			s.lists = append(s.lists, list{join(name, tag), v.Type().Elem()})
		default:
			s.list = append(s.list, &setting{table: name, key: tag, value: v})
		}
	}
}

// find gives the setting of that name, such as "web.listen", or nil.
func (s *settings) find(name string) *setting {
	i := slices.IndexFunc(s.list, func(k *setting) bool { return k.name() == name })
	if i < 0 {
		return nil
	}
	return s.list[i]
}

// table gives the table of that name and whether it exists.
func (s *settings) table(name string) (table, bool) {
	i := slices.IndexFunc(s.tables, func(t table) bool { return t.name == name })
	if i < 0 {
		return table{}, false
	}
	return s.tables[i], true
}

// file takes the values from data, the contents of the file of that name.
func (s *settings) file(name string, data []byte) []error {
	var tree map[string]any
	if err := toml.Unmarshal(data, &tree); err != nil {
		return []error{syntaxError(name, err)}
	}
	places := keyPlaces(name, data)
	errs := s.compare("", tree, places)
	if len(errs) > 0 {
		return errs
	}
	d := toml.NewDecoder(bytes.NewReader(data)).DisallowUnknownFields()
	if err := d.Decode(s.config.Addr().Interface()); err != nil {
		return []error{syntaxError(name, err)} // such as a number that is too large for its key
	}
	return nil
}

// syntaxError puts the place in front of an error of the toml package.
func syntaxError(name string, err error) error {
	var at *toml.DecodeError
	if errors.As(err, &at) {
		row, column := at.Position()
		return fmt.Errorf("%s:%d:%d: %s", name, row, column, strings.TrimPrefix(at.Error(), "toml: "))
	}
	return fmt.Errorf("%s: %w", name, err)
}

// A place is where in a file a key or a table stands.
type place struct {
	row, column int
	text        string // "docscan.toml:12:1"
}

// keyPlaces finds every key and every table in well-formed TOML by its full
// dotted name.
func keyPlaces(name string, data []byte) map[string]place {
	places := make(map[string]place)
	var p unstable.Parser
	p.Reset(data)
	// note records the path that keys make below prefix and gives it.
	note := func(prefix string, keys unstable.Iterator) string {
		for keys.Next() {
			k := keys.Node()
			prefix = join(prefix, string(k.Data))
			if _, seen := places[prefix]; !seen {
				at := p.Shape(k.Raw).Start
				places[prefix] = place{at.Line, at.Column, fmt.Sprintf("%s:%d:%d", name, at.Line, at.Column)}
			}
		}
		return prefix
	}
	var value func(prefix string, v *unstable.Node)
	value = func(prefix string, v *unstable.Node) {
		if v.Kind != unstable.InlineTable {
			return
		}
		for it := v.Children(); it.Next(); {
			kv := it.Node()
			value(note(prefix, kv.Key()), kv.Value())
		}
	}
	current := ""
	seen := make(map[string]int) // how often a table that may stand several times has stood
	for p.NextExpression() {
		switch e := p.Expression(); e.Kind {
		case unstable.Table:
			current = note("", e.Key())
		case unstable.ArrayTable:
			name := note("", e.Key())
			current = element(name, seen[name])
			seen[name]++
		case unstable.KeyValue:
			value(note(current, e.Key()), e.Value())
		}
	}
	return places
}

// compare holds the parsed table called prefix against what can be set, and
// notes for each known key where it was set.
func (s *settings) compare(prefix string, tree map[string]any, places map[string]place) []error {
	names := make([]string, 0, len(tree))
	for k := range tree {
		names = append(names, k)
	}
	slices.SortFunc(names, func(a, b string) int {
		pa, pb := places[join(prefix, a)], places[join(prefix, b)]
		return cmp.Or(cmp.Compare(pa.row, pb.row), cmp.Compare(pa.column, pb.column))
	})
	var errs []error
	for _, k := range names {
		full, v := join(prefix, k), tree[k]
		at := places[full].text
		sub, isTable := v.(map[string]any)
		_, known := s.table(full)
		key := s.find(full)
		several := slices.IndexFunc(s.lists, func(l list) bool { return l.name == full })
		switch {
		case several >= 0:
			errs = append(errs, compareList(s.lists[several], v, at, places)...)
		case known && isTable:
			errs = append(errs, s.compare(full, sub, places)...)
		case known:
			errs = append(errs, fmt.Errorf("%s: `%s` is a table; write its keys below a line [%s]", at, k, full))
		case key != nil:
			key.from = at
			if t := key.value.Type(); !fits(v, t) {
				is := describe(v)
				if is == "a list" && t.Kind() == reflect.Slice {
					is = "a list of other things"
				}
				errs = append(errs, fmt.Errorf("%s: `%s` in [%s] must be %s, not %s", at, k, header(prefix), kindOf(t), is))
			}
		case isTable:
			errs = append(errs, fmt.Errorf("%s: unknown table [%s]%s", at, full, s.meantTable(full)))
		case prefix == "":
			errs = append(errs, fmt.Errorf("%s: `%s` stands before any table%s", at, k, s.meantKey("", k)))
		default:
			errs = append(errs, fmt.Errorf("%s: unknown key `%s` in [%s]%s", at, k, header(prefix), s.meantKey(prefix, k)))
		}
	}
	return errs
}

// compareList holds each of the tables of l in v against what can be set there.
func compareList(l list, v any, at string, places map[string]place) []error {
	all, ok := v.([]any)
	var errs []error
	for i, e := range all {
		tree, isTable := e.(map[string]any)
		if ok = ok && isTable; !ok {
			break
		}
		one := &settings{config: reflect.New(l.elem).Elem()}
		name := element(l.name, i)
		one.keys(name, one.config)
		errs = append(errs, one.compare(name, tree, places)...)
	}
	if !ok {
		return []error{fmt.Errorf("%s: `%s` may stand several times; write its keys below a line [[%s]]", at, l.name, l.name)}
	}
	return errs
}

// element names the table number i, counted from 0, of a list.
func element(list string, i int) string { return fmt.Sprintf("%s[%d]", list, i) }

// header is what stands between the brackets above the keys of a table.
func header(name string) string {
	list, _, ok := strings.Cut(name, "[")
	if !ok {
		return name
	}
	return "[" + list + "]"
}

func join(prefix, key string) string {
	if prefix == "" {
		return key
	}
	return prefix + "." + key
}

// meantKey proposes a key for one that is not in table.
func (s *settings) meantKey(table, key string) string {
	var here []string
	for _, k := range s.list {
		if k.table == table {
			here = append(here, k.key)
		}
	}
	if n := nearest(key, here); n != "" {
		return fmt.Sprintf("; did you mean `%s`?", n)
	}
	for _, k := range s.list { // right word, wrong table
		if k.key == key {
			return fmt.Sprintf("; did you mean `%s` in [%s]?", key, k.table)
		}
	}
	if len(here) == 0 {
		return ""
	}
	return "; the keys there are " + strings.Join(here, ", ")
}

// meantTable proposes a table for one that does not exist.
func (s *settings) meantTable(name string) string {
	names := make([]string, len(s.tables))
	for i, t := range s.tables {
		names[i] = t.name
		// [sim] for [device.sim]
		if strings.HasSuffix(t.name, "."+name) {
			return fmt.Sprintf("; did you mean [%s]?", t.name)
		}
	}
	if n := nearest(name, names); n != "" {
		return fmt.Sprintf("; did you mean [%s]?", n)
	}
	return "; the tables are " + strings.Join(names, ", ")
}

// environment takes the values of DOCSCAN_* variables, and of BACKEND_PORT,
// with which the predecessor of docscan was told its port.
func (s *settings) environment(environ []string) []error {
	names := slices.Clone(otherVariables)
	byName := make(map[string]*setting)
	for _, k := range s.list {
		names = append(names, k.variable())
		byName[k.variable()] = k
	}
	var errs []error
	for _, v := range environ {
		name, text, _ := strings.Cut(v, "=")
		if name == "BACKEND_PORT" {
			if err := s.port(text); err != nil {
				errs = append(errs, fmt.Errorf("BACKEND_PORT: %w", err))
			}
		}
	}
	for _, v := range environ {
		name, text, _ := strings.Cut(v, "=")
		if !strings.HasPrefix(name, "DOCSCAN_") || slices.Contains(otherVariables, name) {
			continue
		}
		k := byName[name]
		if k == nil {
			meant := ""
			if n := nearest(name, names); n != "" {
				meant = "; did you mean " + n + "?"
			}
			errs = append(errs, fmt.Errorf("%s: no setting has this name%s", name, meant))
			continue
		}
		if err := setText(k.value, text); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", name, err))
			continue
		}
		k.from = name
	}
	return errs
}

// port changes the port of web.listen.
func (s *settings) port(text string) error {
	k := s.find("web.listen")
	if k == nil {
		return nil
	}
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil || n == 0 {
		return fmt.Errorf("%q is no port; it must be 1 to 65535", text)
	}
	host, _, err := net.SplitHostPort(k.value.String())
	if err != nil {
		return fmt.Errorf("the port cannot be changed in web.listen: %w", err)
	}
	k.value.SetString(net.JoinHostPort(host, text))
	k.from = "BACKEND_PORT"
	return nil
}

// flags takes the values given on the command line.
func (s *settings) flags(a configArgs) []error {
	var errs []error
	set := func(from, name, text string) {
		k := s.find(name)
		if k == nil {
			var names []string
			for _, k := range s.list {
				names = append(names, k.name())
			}
			meant := ""
			if n := nearest(name, names); n != "" {
				meant = "; did you mean " + n + "?"
			}
			errs = append(errs, fmt.Errorf("%s: no setting is called `%s`%s", from, name, meant))
			return
		}
		if err := setText(k.value, text); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", from, err))
			return
		}
		k.from = from
	}
	for _, v := range a.sets {
		name, text, ok := strings.Cut(v, "=")
		if !ok {
			errs = append(errs, fmt.Errorf("--set %s: write NAME=VALUE, such as --set log.level=debug", v))
			continue
		}
		set("--set "+name, name, text)
	}
	if a.data != "" {
		set("--data", "store.dir", a.data)
	}
	if a.listen != "" {
		set("--listen", "web.listen", a.listen)
	}
	return errs
}

// check asks every table that has a Check method whether its values make sense.
// Such a method begins its error with the key concerned; that is how the place
// the value came from is found.
func (s *settings) check() []error {
	var errs []error
	for _, t := range s.tables {
		c, ok := t.value.Addr().Interface().(interface{ Check() error })
		if !ok {
			continue
		}
		err := c.Check()
		if err == nil {
			continue
		}
		all := []error{err}
		if several, ok := err.(interface{ Unwrap() []error }); ok {
			all = several.Unwrap()
		}
		for _, err := range all {
			if from := s.blame(t.name, err.Error()); from != "" {
				errs = append(errs, fmt.Errorf("%s: [%s] %w", from, t.name, err))
			} else {
				errs = append(errs, fmt.Errorf("[%s] %w", t.name, err))
			}
		}
	}
	return errs
}

// blame tells who set the first key of table that text speaks of, or nothing
// when that key has its default or no key is spoken of.
func (s *settings) blame(table, text string) string {
	words := strings.FieldsFunc(text, func(r rune) bool {
		return r != '_' && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
	})
	for _, w := range words {
		if k := s.find(table + "." + w); k != nil {
			return k.from
		}
	}
	return ""
}

// kindOf says in plain words what a value of type t looks like.
func kindOf(t reflect.Type) string {
	switch t.Kind() {
	case reflect.String:
		return "text in quotes"
	case reflect.Bool:
		return "true or false"
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return "a whole number"
	case reflect.Float32, reflect.Float64:
		return "a number"
	case reflect.Slice:
		switch t.Elem().Kind() {
		case reflect.String:
			return `a list of texts such as ["a", "b"]`
		case reflect.Int:
			return "a list of whole numbers such as [1, 2]"
		}
	}
	panic(fmt.Sprintf("docscan.toml cannot hold a %v", t)) // a new kind of key; TestConfigKinds finds it first
}

// fits reports whether v, as the toml package parses it, can be a value of t.
func fits(v any, t reflect.Type) bool {
	switch v := v.(type) {
	case string:
		return t.Kind() == reflect.String
	case bool:
		return t.Kind() == reflect.Bool
	case int64:
		return kindOf(t) == "a whole number" || kindOf(t) == "a number"
	case float64:
		return kindOf(t) == "a number" && !math.IsNaN(v)
	case []any:
		return t.Kind() == reflect.Slice && !slices.ContainsFunc(v, func(e any) bool { return !fits(e, t.Elem()) })
	}
	return false
}

// describe says in plain words what v, as the toml package parses it, is.
func describe(v any) string {
	switch v := v.(type) {
	case string:
		return "text"
	case bool:
		return strconv.FormatBool(v)
	case int64:
		return "a whole number"
	case float64:
		return "a number with a fraction"
	case []any:
		return "a list"
	case map[string]any:
		return "a table"
	case time.Time, toml.LocalDate, toml.LocalDateTime, toml.LocalTime:
		return "a date or time"
	}
	return "this"
}

// setText sets v from text, as environment and flags give it. The elements of a
// list are parted by commas.
func setText(v reflect.Value, text string) error {
	switch v.Kind() {
	case reflect.String:
		v.SetString(text)
		return nil
	case reflect.Bool:
		if text == "true" || text == "false" {
			v.SetBool(text == "true")
			return nil
		}
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		n, err := strconv.ParseInt(text, 10, v.Type().Bits())
		if err == nil {
			v.SetInt(n)
			return nil
		}
		if errors.Is(err, strconv.ErrRange) {
			return fmt.Errorf("the number %s is too large", text)
		}
	case reflect.Float32, reflect.Float64:
		if f, err := strconv.ParseFloat(text, v.Type().Bits()); err == nil && !math.IsNaN(f) {
			v.SetFloat(f)
			return nil
		}
	case reflect.Slice:
		list := reflect.MakeSlice(v.Type(), 0, 0)
		for e := range strings.SplitSeq(text, ",") {
			if e = strings.TrimSpace(e); e == "" && text == "" {
				break // an empty text is an empty list
			}
			elem := reflect.New(v.Type().Elem()).Elem()
			if err := setText(elem, e); err != nil {
				return err
			}
			list = reflect.Append(list, elem)
		}
		v.Set(list)
		return nil
	}
	return fmt.Errorf("%q is not %s", text, kindOf(v.Type()))
}

// nearest gives the name that is most like word, or nothing when none is near
// enough to have been meant: a third of the letters may differ.
func nearest(word string, names []string) string {
	best, least := "", max(1, len(word)/3)+1
	for _, n := range names {
		if d := distance(strings.ToLower(word), strings.ToLower(n)); d < least {
			best, least = n, d
		}
	}
	return best
}

// distance is how many letters must be added, dropped, changed or swapped with
// their neighbour to make b of a.
func distance(a, b string) int {
	// Three rows of the table of distances between beginnings of a and b.
	var before, last []int
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		before, last, row = last, row, make([]int, len(b)+1)
		row[0] = i
		for j := 1; j <= len(b); j++ {
			change := last[j-1]
			if a[i-1] != b[j-1] {
				change++
			}
			row[j] = min(last[j]+1, row[j-1]+1, change)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
	}
	return row[len(b)]
}
