// Package inventory reads which boxes there are.
//
// An inventory is a TOML file of docscan's own kind, an INI inventory of
// Ansible, or a plain list with one host a line. All become a list of hosts in
// the order of the file. What is wrong is told with the line it stands in, all
// of it at once.
//
// How a host is reached is the business of package reach.
package inventory

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// Bounds of an inventory.
const (
	maxBytes = 16 << 20
	maxHosts = 100_000
	maxName  = 253 // bytes of a host name (RFC 1035, 2.3.4)
)

// A Host is one box and how it is reached. What is empty, ~/.ssh/config or a
// default says.
type Host struct {
	Settings
	Name   string   // as people call it; also the name of its files
	Groups []string // sorted
	Tags   []string // sorted
	Line   int      // where it stands in the inventory
}

// Settings are what can be set for a host, a group, or all.
type Settings struct {
	Address    string   `toml:"address"`     // host name or IP address; the name if empty
	Port       int      `toml:"port"`        // 1 to 65535; 0: what ~/.ssh/config or SSH says
	User       string   `toml:"user"`        // account for updates
	FleetUser  string   `toml:"fleet_user"`  // account for everything else
	Jump       string   `toml:"jump"`        // jump hosts as of ssh -J; "none" for none
	Key        string   `toml:"key"`         // private key file
	KnownHosts string   `toml:"known_hosts"` // file of pinned host keys
	RateKB     int      `toml:"rate_kb"`     // at most so many KiB a second; 0: no bound of its own
	Timezone   string   `toml:"timezone"`    // such as Europe/Berlin, for --window; that of this machine if empty
	Tags       []string `toml:"tags"`
}

// check finds what cannot be.
func (s *Settings) check() error {
	switch {
	case s.Address != "" && !isHost(s.Address):
		return fmt.Errorf("%q is no host name or address", s.Address)
	case s.Port < 0 || s.Port > 65535:
		return fmt.Errorf("port %d is not 1 to 65535", s.Port)
	case s.RateKB < 0:
		return fmt.Errorf("rate_kb %d is negative", s.RateKB)
	}
	for _, user := range []string{s.User, s.FleetUser} {
		if strings.ContainsFunc(user, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }) {
			return fmt.Errorf("%q is no user name", user)
		}
	}
	for _, t := range s.Tags {
		if !isWord(t) {
			return fmt.Errorf("tag %q is not made of letters, digits and . _ -", t)
		}
	}
	if _, err := time.LoadLocation(s.Timezone); err != nil {
		return fmt.Errorf("there is no timezone %q", s.Timezone)
	}
	return nil
}

// under fills what s does not say with what o does. Tags add up.
func (s *Settings) under(o Settings) {
	s.Address = cmp.Or(s.Address, o.Address)
	s.Port = cmp.Or(s.Port, o.Port)
	s.User = cmp.Or(s.User, o.User)
	s.FleetUser = cmp.Or(s.FleetUser, o.FleetUser)
	s.Jump = cmp.Or(s.Jump, o.Jump)
	s.Key = cmp.Or(s.Key, o.Key)
	s.KnownHosts = cmp.Or(s.KnownHosts, o.KnownHosts)
	s.RateKB = cmp.Or(s.RateKB, o.RateKB)
	s.Timezone = cmp.Or(s.Timezone, o.Timezone)
	s.Tags = append(s.Tags, o.Tags...)
}

// An Inventory is the boxes of one file, in its order.
type Inventory struct {
	File  string
	Hosts []Host
}

// Load reads the inventory file name. What kind it is, its name (.toml) and its
// content tell.
func Load(name string) (*Inventory, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("read the inventory: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxBytes+1))
	if err != nil {
		return nil, fmt.Errorf("read the inventory: %w", err)
	}
	if len(data) > maxBytes {
		return nil, fmt.Errorf("%s: larger than %d bytes; this is no inventory", name, maxBytes)
	}
	return Parse(name, data)
}

// Parse reads data, the content of the file of that name. Relative names of
// files in it begin at its directory.
func Parse(name string, data []byte) (*Inventory, error) {
	r := &reader{file: name}
	switch {
	case strings.EqualFold(filepath.Ext(name), ".toml"):
		r.toml(data)
	case looksINI(data):
		r.ini(data)
	default:
		r.plain(data)
	}
	hosts := r.finish()
	if err := errors.Join(r.errs...); err != nil {
		return nil, err
	}
	if len(hosts) == 0 {
		return nil, fmt.Errorf("%s: there is no host in it", name)
	}
	return &Inventory{File: name, Hosts: hosts}, nil
}

// reader collects hosts and what is wrong.
type reader struct {
	file  string
	hosts []*Host
	errs  []error
}

// maxErrors is how many faults are told at once.
const maxErrors = 20

func (r *reader) bad(line int, format string, args ...any) {
	if len(r.errs) < maxErrors {
		r.errs = append(r.errs, fmt.Errorf("%s:%d: %s", r.file, line, fmt.Sprintf(format, args...)))
	}
}

// add takes a host in.
func (r *reader) add(h Host) *Host {
	if len(r.hosts) == maxHosts {
		r.bad(h.Line, "more than %d hosts", maxHosts)
		return nil
	}
	if !isHost(h.Name) {
		r.bad(h.Line, "%q is no name for a host", h.Name)
		return nil
	}
	r.hosts = append(r.hosts, &h)
	return &h
}

// finish checks the hosts one by one and against each other: a box that is there
// twice would be updated twice at once.
func (r *reader) finish() []Host {
	names, places := make(map[string]int), make(map[string]*Host)
	hosts := make([]Host, 0, len(r.hosts))
	for _, h := range r.hosts {
		if err := h.check(); err != nil {
			r.bad(h.Line, "%s: %v", h.Name, err)
			continue
		}
		// Names are those of files too, also where case does not count.
		name := strings.ToLower(h.Name)
		if line, twice := names[name]; twice {
			r.bad(h.Line, "%s is there twice, first in line %d", h.Name, line)
			continue
		}
		names[name] = h.Line
		place := fmt.Sprintf("%s:%d via %s", strings.ToLower(cmp.Or(h.Address, h.Name)), cmp.Or(h.Port, 22), h.Jump)
		if other := places[place]; other != nil {
			r.bad(h.Line, "%s is the same box as %s in line %d: both are at %s", h.Name, other.Name, other.Line, net.JoinHostPort(cmp.Or(h.Address, h.Name), strconv.Itoa(cmp.Or(h.Port, 22))))
			continue
		}
		places[place] = h
		for _, file := range []*string{&h.Key, &h.KnownHosts} {
			if *file != "" && !filepath.IsAbs(*file) && !strings.HasPrefix(*file, "~") {
				*file = filepath.Join(filepath.Dir(r.file), *file)
			}
		}
		for _, list := range []*[]string{&h.Groups, &h.Tags} {
			slices.Sort(*list)
			*list = slices.Compact(*list)
		}
		// One list of tags: that of the host.
		h.Settings.Tags = h.Tags
		hosts = append(hosts, *h)
	}
	return hosts
}

// isHost takes host names, IP addresses, and names for people that are as plain.
func isHost(s string) bool {
	return s != "" && len(s) <= maxName && s[0] != '-' && s[0] != '.' && !strings.ContainsFunc(s, func(r rune) bool {
		return !plain(r) && r != ':'
	})
}

// isWord reports whether s can be the name of a group or tag.
func isWord(s string) bool {
	return s != "" && len(s) <= maxName && !strings.ContainsFunc(s, func(r rune) bool { return !plain(r) })
}

func plain(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("._-", r)
}

// Select gives the hosts that limit names, in the order of the inventory. Each
// element is a host, a group or a tag, or a pattern of hosts with * and ?;
// "group:", "tag:" and "host:" say which is meant, and "!" before it takes hosts
// away. Without a limit it is all.
func (inv *Inventory) Select(limit []string) ([]Host, error) {
	chosen := make([]bool, len(inv.Hosts))
	only := slices.ContainsFunc(limit, func(l string) bool { return !strings.HasPrefix(l, "!") })
	if !only {
		for i := range chosen {
			chosen[i] = true
		}
	}
	for _, l := range limit {
		word, away := strings.CutPrefix(l, "!")
		found := false
		for i, h := range inv.Hosts {
			if ok, err := h.fits(word); err != nil {
				return nil, err
			} else if ok {
				chosen[i], found = !away, true
			}
		}
		if !found {
			return nil, fmt.Errorf("%s has no host, group or tag %q", inv.File, word)
		}
	}
	var hosts []Host
	for i, h := range inv.Hosts {
		if chosen[i] {
			hosts = append(hosts, h)
		}
	}
	if len(hosts) == 0 {
		return nil, fmt.Errorf("no host of %s is left by --limit %s", inv.File, strings.Join(limit, ","))
	}
	return hosts, nil
}

// fits reports whether h is meant by word.
func (h *Host) fits(word string) (bool, error) {
	kind, name, special := strings.Cut(word, ":")
	switch {
	case special && kind == "group":
		return slices.Contains(h.Groups, name), nil
	case special && kind == "tag":
		return slices.Contains(h.Tags, name), nil
	case special && kind == "host":
		word = name
	case slices.Contains(h.Groups, word), slices.Contains(h.Tags, word):
		return true, nil
	}
	ok, err := path.Match(strings.ToLower(word), strings.ToLower(h.Name))
	if err != nil {
		return false, fmt.Errorf("--limit %q: %w", word, err)
	}
	return ok, nil
}
