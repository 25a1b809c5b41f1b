package inventory

import (
	"bytes"
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"
)

// tomlFile is docscan's own kind of inventory.
type tomlFile struct {
	Defaults Settings             `toml:"defaults"`
	Groups   map[string]Settings  `toml:"groups"`
	Hosts    map[string]*tomlHost `toml:"hosts"`
}

type tomlHost struct {
	Settings
	Groups []string `toml:"groups"`
}

// toml reads docscan's own kind.
func (r *reader) toml(data []byte) {
	var f tomlFile
	d := toml.NewDecoder(bytes.NewReader(data)).DisallowUnknownFields()
	if err := d.Decode(&f); err != nil {
		r.tomlError(err)
		return
	}
	lines := tableLines(data)
	if f.Defaults.Address != "" {
		r.bad(lines["defaults.address"], "an address belongs to one host")
	}
	for _, name := range slices.Sorted(maps.Keys(f.Groups)) {
		g := f.Groups[name]
		if err := g.check(); err != nil {
			r.bad(lines["groups."+name], "group %s: %v", name, err)
		}
		if !isWord(name) {
			r.bad(lines["groups."+name], "group %q is not made of letters, digits and . _ -", name)
		}
		if g.Address != "" {
			r.bad(lines["groups."+name], "group %s: an address belongs to one host", name)
		}
	}
	names := slices.Collect(maps.Keys(f.Hosts))
	slices.SortFunc(names, func(a, b string) int {
		if d := lines["hosts."+a] - lines["hosts."+b]; d != 0 {
			return d
		}
		return strings.Compare(a, b)
	})
	for _, name := range names {
		t, line := f.Hosts[name], lines["hosts."+name]
		h := r.add(Host{Settings: t.Settings, Name: name, Groups: t.Groups, Line: line})
		if h == nil {
			continue
		}
		for _, group := range t.Groups {
			g, ok := f.Groups[group]
			if !ok {
				r.bad(line, "%s: there is no table [groups.%s]", name, group)
			}
			h.under(g)
		}
		h.under(f.Defaults)
		h.Tags = h.Settings.Tags
	}
}

// tomlError tells what the TOML library found, with lines.
func (r *reader) tomlError(err error) {
	var strict *toml.StrictMissingError
	var at *toml.DecodeError
	switch {
	case errors.As(err, &strict):
		for _, e := range strict.Errors {
			line, _ := e.Position()
			r.bad(line, "there is no key %s", strings.Join(e.Key(), "."))
		}
	case errors.As(err, &at):
		line, _ := at.Position()
		r.bad(line, "%s", strings.TrimPrefix(at.Error(), "toml: "))
	default:
		r.bad(1, "%s", strings.TrimPrefix(err.Error(), "toml: "))
	}
}

// tableLines gives the line in which each group and host begins: as a table of
// its own, or as a key of [groups] or [hosts].
func tableLines(data []byte) map[string]int {
	lines := make(map[string]int)
	var p unstable.Parser
	p.Reset(data)
	note := func(path []string, keys unstable.Iterator) []string {
		for keys.Next() {
			path = append(path, string(keys.Node().Data))
			if len(path) == 2 {
				name := strings.Join(path, ".")
				if _, seen := lines[name]; !seen {
					lines[name] = p.Shape(keys.Node().Raw).Start.Line
				}
			}
		}
		return path
	}
	var table []string
	for p.NextExpression() {
		switch e := p.Expression(); e.Kind {
		case unstable.Table, unstable.ArrayTable:
			table = note(nil, e.Key())
		case unstable.KeyValue:
			note(slices.Clone(table), e.Key())
		}
	}
	return lines
}
