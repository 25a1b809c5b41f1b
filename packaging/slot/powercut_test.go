//go:build linux

package slot

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// platter is what a disk has after steps, with and without a power cut. A file's
// content is there for good when the file was synced, a name when its directory
// was. What was not may be there or not, each change for itself, and an unsynced
// file may have any part of its content.
type platter struct{ root *inode }

type inode struct {
	isDir  bool
	link   string
	mode   fs.FileMode
	data   []byte
	synced []byte

	names   map[string]*inode // as programs see them
	durable map[string]*inode // as of the last sync
	pending []change          // since then
}

// change is one change of a directory's names, done altogether or not at all.
type change struct {
	gone  string // empty for none
	name  string // empty for none
	inode *inode
}

func newDir() *inode {
	return &inode{isDir: true, names: map[string]*inode{}, durable: map[string]*inode{}}
}

func (d *inode) do(c change) {
	c.apply(d.names)
	d.pending = append(d.pending, c)
}

func (c change) apply(names map[string]*inode) {
	delete(names, c.gone)
	if c.name != "" {
		names[c.name] = c.inode
	}
}

// load reads a directory as it is, all of it synced.
func load(dir string) (*inode, error) {
	d := newDir()
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		name := filepath.Join(dir, e.Name())
		n := &inode{}
		switch {
		case e.IsDir():
			n, err = load(name)
		case e.Type() == fs.ModeSymlink:
			n.link, err = os.Readlink(name)
		default:
			var info fs.FileInfo
			if info, err = e.Info(); err == nil {
				n.mode = info.Mode()
				n.data, err = os.ReadFile(name)
				n.synced = n.data
			}
		}
		if err != nil {
			return nil, err
		}
		d.names[e.Name()], d.durable[e.Name()] = n, n
	}
	return d, nil
}

func (p *platter) at(name string) *inode {
	n := p.root
	if name == "." {
		return n
	}
	for {
		first, rest := name, ""
		if i := bytes.IndexByte([]byte(name), '/'); i >= 0 {
			first, rest = name[:i], name[i+1:]
		}
		n = n.names[first]
		if rest == "" {
			return n
		}
		name = rest
	}
}

// take does a step.
func (p *platter) take(s step) {
	dir, base := p.at(path.Dir(s.name)), path.Base(s.name)
	switch s.kind {
	case stepMkdir:
		dir.do(change{name: base, inode: newDir()})
	case stepCreate:
		dir.do(change{name: base, inode: &inode{mode: s.mode}})
	case stepLink:
		dir.do(change{name: base, inode: &inode{link: s.to}})
	case stepRename: // within the directory
		dir.do(change{gone: base, name: path.Base(s.to), inode: dir.names[base]})
	case stepRemove:
		dir.do(change{gone: base})
	case stepWrite:
		n := p.at(s.name)
		n.data = append(n.data[:len(n.data):len(n.data)], s.data...)
	case stepSync:
		n := p.at(s.name)
		n.synced = n.data
	case stepSyncDir:
		n := p.at(s.name)
		n.durable, n.pending = maps.Clone(n.names), nil
	}
}

// luck says what becomes of changes that were not synced.
type luck struct {
	name string
	keep func() bool
	part func(n int) int // how much of n bytes
}

func lucks(seeds int) []luck {
	all := []luck{
		{"all lost", func() bool { return false }, func(int) int { return 0 }},
		{"all kept", func() bool { return true }, func(n int) int { return n }},
	}
	for i := range seeds {
		r := rand.New(rand.NewPCG(uint64(i), 7))
		all = append(all, luck{fmt.Sprintf("chance %d", i), func() bool { return r.IntN(2) == 0 }, func(n int) int { return r.IntN(n + 1) }})
	}
	return all
}

// burn writes what is left of a directory after a power cut into dir.
func (d *inode) burn(dir string, l luck) error {
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	names := maps.Clone(d.durable)
	for _, c := range d.pending {
		if l.keep() {
			c.apply(names)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		n, to := names[name], filepath.Join(dir, name)
		var err error
		switch {
		case n.isDir:
			err = n.burn(to, l)
		case n.link != "":
			err = os.Symlink(n.link, to)
		default:
			data := n.synced
			if len(n.data) > len(n.synced) {
				data = n.data[:len(n.synced)+l.part(len(n.data)-len(n.synced))]
			}
			if err = os.WriteFile(to, data, 0o644); err == nil {
				err = os.Chmod(to, n.mode)
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// record does something and gives the steps that the disk took for it.
func (b *box) record(do func(*box) error) []step {
	b.t.Helper()
	var log []step
	b.disk.step = func(s step) error {
		s.data = bytes.Clone(s.data)
		log = append(log, s)
		return nil
	}
	if err := do(b); err != nil {
		b.t.Fatal(err)
	}
	b.disk.step = nil
	return log
}

// restart gives the box as it starts with what is left of p after a power cut.
func (b *box) restart(p *platter, l luck) *box {
	b.t.Helper()
	after := &box{t: b.t, press: b.press}
	cfg := b.cfg
	dir := b.memory()
	cfg.Dir, cfg.RunDir = filepath.Join(dir, "slots"), dir
	if err := p.root.burn(cfg.Dir, l); err != nil {
		b.t.Fatal(err)
	}
	after.open(cfg)
	return after
}

// discard removes a box before the end of its test: there are thousands.
func (b *box) discard() {
	b.t.Helper()
	if err := errors.Join(b.Close(), os.RemoveAll(b.cfg.RunDir)); err != nil {
		b.t.Error(err)
	}
}

// memory makes a temporary directory in memory: it is this test that plays the
// disk, and syncing thousands of files on a real one takes a minute.
func (b *box) memory() string {
	b.t.Helper()
	parent := "/dev/shm"
	if info, err := os.Stat(parent); err != nil || !info.IsDir() {
		return b.t.TempDir()
	}
	dir, err := os.MkdirTemp(parent, "docscan-slot-")
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func (b *box) platter() *platter {
	b.t.Helper()
	root, err := load(b.cfg.Dir)
	if err != nil {
		b.t.Fatal(err)
	}
	return &platter{root}
}

// mustBeWhole proves that the box starts into one whole version or, before the
// first commit, into none; that it cannot go back to a version that was never
// committed, and that a staged version can be tried.
func (b *box) mustBeWhole(unproved string) {
	b.t.Helper()
	st, err := b.Status()
	if err != nil {
		b.t.Error(err)
		return
	}
	for _, v := range []*Version{st.Current, st.Previous} {
		if v == nil {
			continue
		}
		if err := b.whole(b.t.Context(), *v); err != nil {
			b.t.Error(err)
		}
	}
	if st.Previous != nil && st.Previous.Manifest.Version == unproved {
		b.t.Errorf("the box could go back to %s, which was never committed", unproved)
	}
	if st.State == Staged {
		if err := b.try(); err != nil {
			b.t.Error(err)
		}
		if err := b.rollBack(); err != nil {
			b.t.Error(err)
		}
	}
	if st.State == RolledBack && st.Reason != "health gate" && !strings.HasPrefix(st.Reason, "it crashed 3 times") && st.Reason != "the box or docscan stopped during the trial" {
		b.t.Errorf("the reason of the roll back is %q", st.Reason)
	}
	if b.pointer(currentName) != "" && st.Current == nil {
		b.t.Error("current leads to no version")
	}
	if l, err := b.layout(); err != nil || l.lost {
		b.t.Errorf("the state cannot be read: lost %v, error %v", l.lost, err)
	}
}

// Scenarios in which power is cut.
var scenarios = []struct {
	name  string
	bring func(*box) error // without a power cut
	steps []func(*box) error
	// After each of the steps, and before the first: what is started and the
	// state after it. In the middle of a step it is the one or the other.
	runs    []string
	states  []State
	between State // a third one that can be in the middle; empty for none
	// The version that is not proved before the last step is done.
	unproved string
}{
	{
		"first version", func(*box) error { return nil },
		[]func(*box) error{func(b *box) error { return b.install("1.0.0") }, (*box).try, func(b *box) error { return b.Commit(admin) }},
		[]string{"", "", "", "1.0.0"}, []State{Idle, Staged, RolledBack, Committed}, "", "1.0.0",
	}, {
		"update", func(b *box) error { return errors.Join(b.update("1.0.0"), b.update("1.1.0")) },
		[]func(*box) error{func(b *box) error { return b.install("1.2.0") }, (*box).try, func(b *box) error { return b.Commit(admin) }},
		[]string{"1.1.0", "1.1.0", "1.1.0", "1.2.0"}, []State{Committed, Staged, RolledBack, Committed}, "", "1.2.0",
	}, {
		"another one staged", func(b *box) error { return errors.Join(b.update("1.0.0"), b.install("1.1.0")) },
		[]func(*box) error{func(b *box) error { return b.install("1.2.0") }},
		[]string{"1.0.0", "1.0.0"}, []State{Staged, Staged}, Committed, "1.2.0",
	}, {
		"end of the trial", func(b *box) error { return errors.Join(b.update("1.0.0"), b.install("1.1.0"), b.try()) },
		[]func(*box) error{(*box).rollBack, (*box).try, (*box).boot, (*box).try, func(b *box) error { return b.Commit(admin) }},
		[]string{"1.0.0", "1.0.0", "1.0.0", "1.0.0", "1.0.0", "1.1.0"}, []State{RolledBack, RolledBack, RolledBack, RolledBack, RolledBack, Committed}, "", "1.1.0",
	}, {
		"back to the version before", func(b *box) error { return errors.Join(b.update("1.0.0"), b.update("1.1.0")) },
		[]func(*box) error{(*box).rollBack},
		[]string{"1.1.0", "1.0.0"}, []State{Committed, RolledBack}, "", "",
	}, {
		"crashes", func(b *box) error { return errors.Join(b.update("1.0.0"), b.update("1.1.0")) },
		[]func(*box) error{(*box).crash},
		[]string{"1.1.0", "1.0.0"}, []State{Committed, RolledBack}, "", "",
	},
}

// Power is cut after every step that the disk takes. Whatever of the unsynced
// changes is lost, the box starts into one whole version, the right one, with a
// state that can be read, and can be updated again.
func TestPowerCuts(t *testing.T) {
	press := newPress(t)
	for _, sc := range scenarios {
		t.Run(sc.name, func(t *testing.T) {
			t.Parallel()
			b := newBox(t, press)
			if err := sc.bring(b); err != nil {
				t.Fatal(err)
			}
			p := b.platter()
			check := func(what string, l luck, from, to int) {
				t.Helper()
				after := b.restart(p, l)
				defer after.discard()
				if err := after.boot(); err != nil {
					t.Errorf("%s, %s: boot: %v", what, l.name, err)
					return
				}
				state, runs := after.state(), after.runs()
				between := from != to && state == sc.between && runs == sc.runs[from]
				if !between && (state != sc.states[from] || runs != sc.runs[from]) && (state != sc.states[to] || runs != sc.runs[to]) {
					t.Errorf("%s, %s: %s, runs %q; want %s, %q or %s, %q", what, l.name, state, runs, sc.states[from], sc.runs[from], sc.states[to], sc.runs[to])
				}
				after.mustBeWhole(sc.unproved)
				if l.name == "all lost" {
					if err := after.update("9.0.0"); err != nil || after.runs() != "9.0.0" {
						t.Errorf("%s, %s: update after it: %v, runs %q", what, l.name, err, after.runs())
					}
				}
			}
			cuts := 0
			for i, do := range sc.steps {
				log := b.record(do)
				for n, s := range log {
					p.take(s)
					for _, l := range lucks(2) {
						check(fmt.Sprintf("step %d, after %d of %d (%s %s)", i+1, n+1, len(log), s.kind, s.name), l, i, i+1)
						cuts++
					}
				}
				for _, l := range lucks(2) {
					check(fmt.Sprintf("after step %d", i+1), l, i+1, i+1)
				}
			}
			t.Logf("%d power cuts", cuts)
		})
	}
}

// Power is cut again while the box makes out what the first power cut left.
func TestPowerCutAtBoot(t *testing.T) {
	press := newPress(t)
	for _, sc := range scenarios[1:5] { // at boot crashes are like any way back
		t.Run(sc.name, func(t *testing.T) {
			t.Parallel()
			b := newBox(t, press)
			if err := sc.bring(b); err != nil {
				t.Fatal(err)
			}
			p := b.platter()
			cuts, cutAt := 0, map[string]bool{}
			for _, do := range sc.steps {
				for _, s := range b.record(do) {
					p.take(s)
					first := b.restart(p, luck{"all kept", func() bool { return true }, func(n int) int { return n }})
					again := first.platter()
					runs := first.runs()
					log := first.record((*box).boot)
					// Boots that differ only in how much of a slot was written, which
					// they throw away, are cut once.
					key := fmt.Sprint(first.state(), runs, first.runs())
					for _, s := range log {
						key += fmt.Sprint(" ", s.kind, s.name, s.to, s.mode)
					}
					if cutAt[key] {
						first.discard()
						continue
					}
					cutAt[key] = true
					for n, s := range log {
						again.take(s)
						for _, l := range lucks(1) {
							cuts++
							after := first.restart(again, l)
							if err := after.boot(); err != nil {
								t.Errorf("boot after %d of %d (%s %s), %s: %v", n+1, len(log), s.kind, s.name, l.name, err)
							}
							if got := after.runs(); got != runs && got != first.runs() {
								t.Errorf("boot after %d of %d (%s %s), %s: runs %q, want %q or %q", n+1, len(log), s.kind, s.name, l.name, got, runs, first.runs())
							}
							if after.state() != first.state() {
								t.Errorf("boot after %d of %d (%s %s), %s: %s, want %s", n+1, len(log), s.kind, s.name, l.name, after.state(), first.state())
							}
							after.mustBeWhole(sc.unproved)
							after.discard()
						}
					}
					first.discard()
				}
			}
			t.Logf("%d power cuts at %d boots", cuts, len(cutAt))
		})
	}
}

// A disk that fails at any step leaves what was there, and the step can be done
// again.
func TestFailingDisk(t *testing.T) {
	press := newPress(t)
	errDisk := errors.New("no space left on device")
	for n := 0; ; n++ {
		b := newBox(t, press)
		if err := errors.Join(b.update("1.0.0"), b.update("1.1.0")); err != nil {
			t.Fatal(err)
		}
		left := n
		b.disk.step = func(step) error {
			if left--; left < 0 {
				return errDisk
			}
			return nil
		}
		err := b.install("1.2.0")
		b.disk.step = nil
		if err == nil {
			t.Logf("%d steps", n)
			break
		}
		if !errors.Is(err, errDisk) {
			t.Fatalf("step %d fails: %v, want %v", n, err, errDisk)
		}
		if b.runs() != "1.1.0" {
			t.Errorf("step %d fails: runs %q, want 1.1.0", n, b.runs())
		}
		b.mustBeWhole("1.2.0")
		if err := b.update("1.2.0"); err != nil || b.runs() != "1.2.0" {
			t.Errorf("step %d fails, then again: %v, runs %q", n, err, b.runs())
		}
		b.discard()
	}
}
