// Package rollout brings one version to many boxes, in waves.
//
// A rollout is a file: what is to be done, then a line for each thing that was
// found out or asked for. Whoever has the file can go on where it ended, on
// another day and another machine. What became of a box the box itself says, by
// the digest of the version it runs; the file only remembers that it was asked,
// so no box is asked twice.
//
// A wave begins when every box of those before it is either well with the new
// version for the time of watching, or known not to be. Boxes that cannot be
// reached are no failures: they are tried again with each later wave, and when
// the rollout is continued.
package rollout

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"docscan/packaging/bundle"
	"docscan/packaging/fleet/inventory"
)

// Options say how a rollout goes on.
type Options struct {
	Canary         int           `json:"canary"`           // boxes of the first wave
	Waves          []Share       `json:"waves"`            // up to where each further wave goes
	MaxFailures    Share         `json:"max_failures"`     // of the boxes up to the present wave; more halt the rollout
	Pause          time.Duration `json:"pause"`            // between two waves
	Watch          time.Duration `json:"watch"`            // how long a box must stay well
	Window         Window        `json:"window,omitzero"`  // when boxes may be touched
	RollbackOnHalt bool          `json:"rollback_on_halt"` // halting takes back what the rollout changed
	AtOnce         int           `json:"at_once"`          // connections at the same time
	RateKB         int           `json:"rate_kb"`          // to one box, in KiB a second; 0: no bound
	TotalRateKB    int           `json:"total_rate_kb"`    // to all boxes together
	Transfer       time.Duration `json:"transfer"`         // one transfer at most, then it goes on with the next wave
	Lost           time.Duration `json:"lost"`             // after so long without an answer a box that was asked to install is lost
	Patience       time.Duration `json:"patience"`         // how long boxes that are off are tried again after the last wave
	Retry          bool          `json:"retry,omitempty"`  // try boxes again that have failed
}

// Defaults are what docscanctl offers.
func Defaults() Options {
	return Options{
		Canary: 1, Waves: []Share{{Percent: 5}, {Percent: 25}, {Percent: 100}}, MaxFailures: Share{Percent: 2},
		Pause: 10 * time.Minute, Watch: 2 * time.Minute, AtOnce: 50, Transfer: time.Hour, Lost: 10 * time.Minute,
	}
}

// Check finds what makes no sense.
func (o *Options) Check() error {
	switch {
	case o.Canary < 0:
		return fmt.Errorf("canary: %d boxes", o.Canary)
	case o.AtOnce < 1 || o.AtOnce > 1000:
		return fmt.Errorf("at once: %d boxes; it must be 1 to 1000", o.AtOnce)
	case o.RateKB < 0 || o.TotalRateKB < 0:
		return errors.New("a rate is negative")
	case o.Pause < 0 || o.Watch < 0 || o.Patience < 0 || o.Transfer <= 0 || o.Lost <= 0:
		return errors.New("a time is negative, or the time of a transfer or until a box is lost is 0")
	case len(o.Waves) == 0:
		return errors.New("there is no wave")
	}
	for i, w := range o.Waves[1:] {
		if before := o.Waves[i]; w.Percent < before.Percent || w.Percent == 0 && before.Percent == 0 && w.Count < before.Count {
			return fmt.Errorf("wave %s is smaller than %s before it; each says up to where it goes", w, before)
		}
	}
	return nil
}

// A Share is a number of boxes, or a part of all.
type Share struct {
	Count   int     `json:"count,omitempty"`
	Percent float64 `json:"percent,omitempty"`
}

// ParseShare reads "3" or "2%".
func ParseShare(s string) (Share, error) {
	if number, ok := strings.CutSuffix(strings.TrimSpace(s), "%"); ok {
		p, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
		if err != nil || !(p >= 0 && p <= 100) {
			return Share{}, fmt.Errorf("%q is not 0%% to 100%%", s)
		}
		return Share{Percent: p}, nil
	}
	n, err := strconv.Atoi(strings.TrimSpace(s))
	if err != nil || n < 0 {
		return Share{}, fmt.Errorf("%q is neither a number of boxes nor a part such as 5%%", s)
	}
	return Share{Count: n}, nil
}

// String gives what ParseShare reads.
func (s Share) String() string {
	if s.Percent > 0 {
		return strconv.FormatFloat(s.Percent, 'g', -1, 64) + "%"
	}
	return strconv.Itoa(s.Count)
}

// of is how many of n boxes it is, rounded down.
func (s Share) of(n int) int {
	// Without the rounding 0.29 of 100 would be 28.
	return s.Count + int(math.Floor(s.Percent*float64(n)/100+1e-9))
}

// upTo is how many of n boxes a wave reaches: at least one more than none.
func (s Share) upTo(n int) int {
	return min(n, max(s.Count+int(math.Ceil(s.Percent*float64(n)/100-1e-9)), 1))
}

// A Window is the time of the day in which boxes may be touched. The zero
// Window is always open.
type Window struct {
	From int `json:"from"` // minutes since midnight
	To   int `json:"to"`   // the end; before From it is on the next day
}

// ParseWindow reads "20:00-05:00".
func ParseWindow(s string) (Window, error) {
	if s == "" {
		return Window{}, nil
	}
	from, to, ok := strings.Cut(s, "-")
	a, aerr := time.Parse("15:04", strings.TrimSpace(from))
	b, berr := time.Parse("15:04", strings.TrimSpace(to))
	if !ok || aerr != nil || berr != nil || a.Equal(b) {
		return Window{}, fmt.Errorf("%q is no window of time such as 20:00-05:00", s)
	}
	return Window{a.Hour()*60 + a.Minute(), b.Hour()*60 + b.Minute()}, nil
}

// wait is how long it is until the window is open at that place; 0: it is.
func (w Window) wait(now time.Time) time.Duration {
	if w == (Window{}) {
		return 0
	}
	minute := now.Hour()*60 + now.Minute()
	open := minute >= w.From && minute < w.To
	if w.From > w.To {
		open = minute >= w.From || minute < w.To
	}
	if open {
		return 0
	}
	y, m, d := now.Date()
	next := time.Date(y, m, d, w.From/60, w.From%60, 0, 0, now.Location())
	if !next.After(now) {
		next = time.Date(y, m, d+1, w.From/60, w.From%60, 0, 0, now.Location())
	}
	return next.Sub(now)
}

// A Bundle is an update file as a rollout knows it.
type Bundle struct {
	File         string `json:"file"`   // where it was when the rollout was made
	SHA256       string `json:"sha256"` // of the file
	Size         int64  `json:"size"`
	Version      string `json:"version"`
	Architecture string `json:"architecture"`
	Digest       string `json:"digest"`         // of the version
	Base         string `json:"base,omitempty"` // of a delta: the digest it begins from
}

// ReadBundle looks at an update file. With keys its signature is proven, and all
// of it verified; without, that is left to the boxes.
func ReadBundle(name string, keys *bundle.Keys) (Bundle, error) {
	f, err := os.Open(name)
	if err != nil {
		return Bundle{}, err
	}
	defer f.Close()
	h := sha256.New()
	size, err := io.Copy(h, f)
	if err != nil {
		return Bundle{}, fmt.Errorf("read %s: %w", name, err)
	}
	b, err := bundle.Look(f, size, keys)
	if err != nil {
		return Bundle{}, fmt.Errorf("%s: %w", name, err)
	}
	if abs, err := filepath.Abs(name); err == nil {
		name = abs
	}
	m := b.Manifest
	return Bundle{
		File: name, SHA256: hex.EncodeToString(h.Sum(nil)), Size: size,
		Version: m.Version, Architecture: m.Architecture, Digest: m.Digest(), Base: m.Base,
	}, nil
}

// A Plan is the first line of a rollout's file.
type Plan struct {
	Format  int              `json:"rollout"` // 1
	Created time.Time        `json:"created"`
	By      string           `json:"by"`
	Version string           `json:"version"`
	Bundles []Bundle         `json:"bundles"`
	Options Options          `json:"options"`
	Boxes   []inventory.Host `json:"boxes"`
	Ends    []int            `json:"ends"` // where each wave ends in Boxes
}

// Format is that of the file.
const Format = 1

// NewPlan lays the hosts out in waves.
func NewPlan(bundles []Bundle, hosts []inventory.Host, o Options, by string, now time.Time) (*Plan, error) {
	if err := o.Check(); err != nil {
		return nil, err
	}
	if len(bundles) == 0 || len(hosts) == 0 {
		return nil, errors.New("a rollout needs an update file and a box")
	}
	p := &Plan{Format: Format, Created: now.UTC(), By: by, Version: bundles[0].Version, Bundles: bundles, Options: o, Boxes: hosts}
	digests := make(map[string]string)
	full := make(map[string]bool)
	for _, b := range bundles {
		if b.Version != p.Version {
			return nil, fmt.Errorf("%s holds version %s, %s version %s; one rollout brings one version", bundles[0].File, p.Version, b.File, b.Version)
		}
		if d := digests[b.Architecture]; d != "" && d != b.Digest {
			return nil, fmt.Errorf("%s leads to another %s for %s than the other files", b.File, b.Version, b.Architecture)
		}
		digests[b.Architecture] = b.Digest
		full[b.Architecture] = full[b.Architecture] || b.Base == ""
	}
	for arch, ok := range full {
		if !ok {
			return nil, fmt.Errorf("for %s there are only deltas; a box with another version needs the full file", arch)
		}
	}
	p.Ends = ends(len(hosts), o)
	return p, nil
}

// ends gives where each wave ends.
func ends(n int, o Options) []int {
	var list []int
	last := 0
	add := func(end int) {
		if end > last {
			list, last = append(list, end), end
		}
	}
	add(min(o.Canary, n))
	for _, w := range o.Waves {
		add(w.upTo(n))
	}
	add(n) // nobody is left out
	return list
}

// wave gives the wave that a box is in.
func (p *Plan) wave(box int) int {
	for i, end := range p.Ends {
		if box < end {
			return i
		}
	}
	return len(p.Ends) - 1
}

// waveName is how people call a wave.
func (p *Plan) waveName(i int) string {
	if i == 0 && p.Options.Canary > 0 {
		return "canary"
	}
	n := i + 1
	if p.Options.Canary > 0 {
		n--
	}
	return "wave " + strconv.Itoa(n)
}

// check finds what a file may not say.
func (p *Plan) check() error {
	if p.Format != Format {
		return fmt.Errorf("it has format %d, this docscanctl knows %d", p.Format, Format)
	}
	if err := p.Options.Check(); err != nil {
		return err
	}
	if len(p.Boxes) == 0 || len(p.Bundles) == 0 || len(p.Ends) == 0 || p.Ends[len(p.Ends)-1] != len(p.Boxes) {
		return errors.New("its plan makes no sense")
	}
	for i, end := range p.Ends {
		if end < 1 || i > 0 && end <= p.Ends[i-1] {
			return errors.New("its waves make no sense")
		}
	}
	seen := make(map[string]bool)
	for _, b := range p.Boxes {
		if b.Name == "" || seen[b.Name] {
			return fmt.Errorf("the box %q is there twice", b.Name)
		}
		seen[b.Name] = true
	}
	return nil
}

// bundleFor chooses the file for a box: the smallest that leads there from what
// it has. whole leaves deltas out.
func (p *Plan) bundleFor(arch, digest string, whole bool) (Bundle, error) {
	var best *Bundle
	known := false
	for i, b := range p.Bundles {
		if b.Architecture != arch {
			continue
		}
		known = true
		if b.Base != "" && (whole || b.Base != digest) {
			continue
		}
		if best == nil || b.Size < best.Size {
			best = &p.Bundles[i]
		}
	}
	switch {
	case !known:
		return Bundle{}, fmt.Errorf("it is a box of kind %s, and no update file is for that", cmp.Or(arch, "unknown"))
	case best == nil:
		return Bundle{}, errors.New("no update file leads there from the version it has")
	}
	return *best, nil
}

// digestFor is what a box of that kind is to have; empty if no file is for it.
func (p *Plan) digestFor(arch string) string {
	for _, b := range p.Bundles {
		if b.Architecture == arch {
			return b.Digest
		}
	}
	return ""
}
