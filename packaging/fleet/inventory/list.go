package inventory

import (
	"bytes"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// A plain list has one host a line, as [USER@]HOST[:PORT]; what follows # is for
// people.
func (r *reader) plain(data []byte) {
	for n, line := range lines(data) {
		line, _, _ = strings.Cut(line, "#")
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		if len(words) > 1 {
			r.bad(n, "one host a line, not %q; settings need a TOML inventory", strings.Join(words, " "))
			continue
		}
		h := Host{Line: n}
		place := words[0]
		if at := strings.LastIndexByte(place, '@'); at >= 0 {
			h.User, place = place[:at], place[at+1:]
			if h.User == "" {
				r.bad(n, "there is no user before the @")
				continue
			}
		}
		name, port, err := splitPort(place)
		if err != nil {
			r.bad(n, "%v", err)
			continue
		}
		h.Name, h.Port = name, port
		r.add(h)
	}
}

// lines gives the lines of a file by their number.
func lines(data []byte) func(func(int, string) bool) {
	return func(yield func(int, string) bool) {
		n := 0
		for line := range bytes.Lines(bytes.TrimPrefix(data, []byte("\ufeff"))) {
			n++
			if !yield(n, strings.TrimSpace(string(line))) {
				return
			}
		}
	}
}

// splitPort takes HOST, HOST:PORT, an IPv6 address, and [ADDRESS]:PORT apart.
func splitPort(s string) (host string, port int, err error) {
	if _, err := netip.ParseAddr(s); err == nil {
		return s, 0, nil
	}
	host, text, there := s, "", false
	if inside, ok := strings.CutPrefix(s, "["); ok {
		host, text, ok = strings.Cut(inside, "]")
		if !ok || text != "" && text[0] != ':' {
			return "", 0, fmt.Errorf("%q is neither HOST:PORT nor [ADDRESS]:PORT", s)
		}
		text, there = strings.CutPrefix(text, ":")
	} else if at := strings.LastIndexByte(s, ':'); at >= 0 {
		host, text, there = s[:at], s[at+1:], true
	}
	if !there {
		return host, 0, nil
	}
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil || n == 0 {
		return "", 0, fmt.Errorf("%q has no port from 1 to 65535", s)
	}
	return host, int(n), nil
}

// looksINI reports whether a file is an inventory of Ansible: it has a line that
// begins a section, or a host with variables.
func looksINI(data []byte) bool {
	for _, line := range lines(data) {
		if strings.HasPrefix(line, "[") && strings.HasSuffix(line, "]") {
			return true
		}
		words := strings.Fields(line)
		if len(words) > 1 && line[0] != '#' && line[0] != ';' && strings.Contains(words[1], "=") {
			return true
		}
	}
	return false
}

// ini reads an inventory of Ansible: sections of hosts, :children and :vars.
// Of the variables those count that say how a host is reached, and docscan's
// own (docscan_user, docscan_fleet_user, docscan_tags, docscan_rate_kb,
// docscan_timezone). ansible_user does not: it is the account of Ansible, not
// the one for updates.
func (r *reader) ini(data []byte) {
	in := iniReader{reader: r, hosts: make(map[string]*Host), vars: make(map[string]*Settings), children: make(map[string][]string), members: make(map[string][]string), lines: make(map[string]int)}
	section, kind := "ungrouped", ""
	for n, line := range lines(data) {
		if line == "" || line[0] == '#' || line[0] == ';' {
			continue
		}
		if line[0] == '[' {
			inside, ok := strings.CutSuffix(line[1:], "]")
			section, kind, _ = strings.Cut(inside, ":")
			if !ok || !isWord(section) || kind != "" && kind != "children" && kind != "vars" {
				r.bad(n, "%q is no section: write [group], [group:children] or [group:vars]", line)
				section, kind = "ungrouped", "broken"
			}
			if _, seen := in.lines[section]; !seen {
				in.lines[section] = n
			}
			continue
		}
		switch kind {
		case "":
			in.host(n, section, line)
		case "vars":
			in.variable(n, section, line)
		case "children":
			in.child(n, section, line)
		}
	}
	in.inherit()
}

// iniReader is what an INI file has said so far.
type iniReader struct {
	*reader
	hosts    map[string]*Host
	vars     map[string]*Settings // of groups
	children map[string][]string
	members  map[string][]string
	lines    map[string]int // of groups
}

// host reads one line of a group: a name or a range of names, and variables.
func (in *iniReader) host(n int, group, line string) {
	words, err := splitWords(line)
	if err != nil {
		in.bad(n, "%v", err)
		return
	}
	names, err := expand(words[0])
	if err != nil {
		in.bad(n, "%v", err)
		return
	}
	for _, word := range names {
		name, port, err := splitPort(word)
		if err != nil {
			in.bad(n, "%v", err)
			return
		}
		h := in.hosts[name]
		if h == nil {
			if h = in.add(Host{Name: name, Line: n}); h == nil {
				return
			}
			in.hosts[name] = h
		}
		if port != 0 {
			h.Port = port
		}
		in.members[group] = append(in.members[group], name)
		for _, v := range words[1:] {
			key, value, ok := strings.Cut(v, "=")
			if !ok {
				in.bad(n, "%q is no variable: write NAME=VALUE", v)
				return
			}
			if err := h.set(key, value); err != nil {
				in.bad(n, "%v", err)
				return
			}
		}
	}
}

// variable reads one line of [group:vars].
func (in *iniReader) variable(n int, group, line string) {
	key, value, ok := strings.Cut(line, "=")
	if !ok {
		in.bad(n, "%q is no variable: write NAME=VALUE", line)
		return
	}
	s := in.vars[group]
	if s == nil {
		s = &Settings{}
		in.vars[group] = s
	}
	if err := s.set(strings.TrimSpace(key), strings.Trim(strings.TrimSpace(value), `"'`)); err != nil {
		in.bad(n, "%v", err)
	}
}

// child reads one line of [group:children].
func (in *iniReader) child(n int, group, line string) {
	line, _, _ = strings.Cut(line, "#")
	name := strings.TrimSpace(line)
	if !isWord(name) {
		in.bad(n, "%q is no group", name)
		return
	}
	in.children[group] = append(in.children[group], name)
	if _, seen := in.lines[name]; !seen {
		in.lines[name] = n
	}
}

// maxDepth bounds how deep groups hold groups.
const maxDepth = 32

// inherit gives the hosts what their groups say, the nearest group first.
func (in *iniReader) inherit() {
	parents := make(map[string][]string)
	for parent, list := range in.children {
		for _, child := range list {
			parents[child] = append(parents[child], parent)
		}
	}
	for _, list := range parents {
		slices.Sort(list)
	}
	groups := make(map[string][]string) // of a host, directly
	for group, names := range in.members {
		for _, name := range names {
			groups[name] = append(groups[name], group)
		}
	}
	for _, h := range in.reader.hosts {
		level := groups[h.Name]
		slices.Sort(level)
		seen := make(map[string]bool)
		for depth := 0; len(level) > 0; depth++ {
			if depth == maxDepth {
				in.bad(in.lines[level[0]], "groups hold each other more than %d deep", maxDepth)
				return
			}
			var above []string
			for _, g := range level {
				if seen[g] {
					continue
				}
				seen[g] = true
				if s := in.vars[g]; s != nil {
					h.under(*s)
				}
				if g != "ungrouped" {
					h.Groups = append(h.Groups, g)
				}
				above = append(above, parents[g]...)
			}
			level = above
		}
		if s := in.vars["all"]; s != nil && !seen["all"] {
			h.under(*s)
		}
		h.Tags = h.Settings.Tags
	}
}

// set takes a variable of an INI inventory.
func (s *Settings) set(key, value string) (err error) {
	number := func(to *int) {
		if *to, err = strconv.Atoi(value); err != nil {
			err = fmt.Errorf("%s is %q, which is no number", key, value)
		}
	}
	switch key {
	case "ansible_host", "ansible_ssh_host":
		s.Address = value
	case "ansible_port", "ansible_ssh_port":
		number(&s.Port)
	case "ansible_ssh_private_key_file", "ansible_private_key_file":
		s.Key = value
	case "ansible_ssh_common_args", "ansible_ssh_extra_args":
		s.Jump = jumpOf(value)
	case "docscan_user":
		s.User = value
	case "docscan_fleet_user":
		s.FleetUser = value
	case "docscan_known_hosts":
		s.KnownHosts = value
	case "docscan_jump":
		s.Jump = value
	case "docscan_rate_kb":
		number(&s.RateKB)
	case "docscan_timezone":
		s.Timezone = value
	case "docscan_tags":
		s.Tags = append(s.Tags, strings.Split(value, ",")...)
	default:
		if strings.HasPrefix(key, "docscan_") {
			return fmt.Errorf("there is no variable %s", key)
		}
	}
	return err
}

// jumpOf finds jump hosts in arguments of ssh.
func jumpOf(args string) string {
	words := strings.Fields(strings.NewReplacer(`"`, " ", `'`, " ").Replace(args))
	for i, w := range words {
		low := strings.ToLower(w)
		switch {
		case w == "-J" && i+1 < len(words):
			return words[i+1]
		case strings.HasPrefix(w, "-J"):
			return w[2:]
		}
		if at := strings.Index(low, "proxyjump="); at >= 0 {
			return w[at+len("proxyjump="):]
		}
	}
	return ""
}

// splitWords parts a line at spaces that are not within quotes, up to a comment.
func splitWords(line string) ([]string, error) {
	var words []string
	var word strings.Builder
	inside, quote := false, rune(0)
	for _, c := range line {
		switch {
		case quote != 0 && c == quote:
			quote = 0
		case quote != 0:
			word.WriteRune(c)
		case c == '"' || c == '\'':
			quote, inside = c, true
		case c == ' ' || c == '\t':
			if inside {
				words = append(words, word.String())
			}
			word.Reset()
			inside = false
		case c == '#' && !inside:
			return words, nil
		default:
			word.WriteRune(c)
			inside = true
		}
	}
	if quote != 0 {
		return nil, fmt.Errorf("a quotation mark is not closed")
	}
	if inside {
		words = append(words, word.String())
	}
	return words, nil
}

// maxRange bounds what one pattern can stand for.
const maxRange = 65536

// expand gives the names that a pattern such as box[01:50] or box[a:f] stands
// for.
func expand(pattern string) ([]string, error) {
	open := strings.IndexByte(pattern, '[')
	if open < 0 || strings.HasPrefix(pattern, "[") { // the second is an IPv6 address
		return []string{pattern}, nil
	}
	inside, after, ok := strings.Cut(pattern[open+1:], "]")
	parts := strings.Split(inside, ":")
	if !ok || len(parts) < 2 || len(parts) > 3 {
		return nil, fmt.Errorf("%q: a range is [FROM:TO] or [FROM:TO:STEP]", pattern)
	}
	step := 1
	if len(parts) == 3 {
		var err error
		if step, err = strconv.Atoi(parts[2]); err != nil || step < 1 {
			return nil, fmt.Errorf("%q: the step must be a number from 1", pattern)
		}
	}
	elements, err := span(parts[0], parts[1], step)
	if err != nil {
		return nil, fmt.Errorf("%q: %w", pattern, err)
	}
	rest, err := expand(after)
	if err != nil {
		return nil, err
	}
	if len(elements)*len(rest) > maxRange {
		return nil, fmt.Errorf("%q stands for more than %d hosts", pattern, maxRange)
	}
	var names []string
	for _, e := range elements {
		for _, tail := range rest {
			names = append(names, pattern[:open]+e+tail)
		}
	}
	return names, nil
}

// span gives what lies between two numbers or letters, both included. Numbers
// have as many digits as the first.
func span(from, to string, step int) ([]string, error) {
	if len(from) == 1 && len(to) == 1 && (from[0] < '0' || from[0] > '9') {
		var list []string
		for c := int(from[0]); c <= int(to[0]); c += step {
			list = append(list, string(rune(c)))
		}
		if len(list) == 0 {
			return nil, fmt.Errorf("%s comes after %s", from, to)
		}
		return list, nil
	}
	a, aerr := strconv.ParseUint(from, 10, 31)
	b, berr := strconv.ParseUint(to, 10, 31)
	if aerr != nil || berr != nil {
		return nil, fmt.Errorf("%s and %s are neither two numbers nor two letters", from, to)
	}
	if a > b {
		return nil, fmt.Errorf("%s comes after %s", from, to)
	}
	if (b-a)/uint64(step) >= maxRange {
		return nil, fmt.Errorf("more than %d hosts", maxRange)
	}
	var list []string
	for n := a; n <= b; n += uint64(step) {
		list = append(list, fmt.Sprintf("%0*d", len(from), n))
	}
	return list, nil
}
