package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"docscan/cmd/docscanctl/farm"
	"docscan/cmd/docscand/box"
	"docscan/packaging/fleet/rollout"
)

// programs builds docscanctl, and docscand in two versions, once.
var programs = sync.OnceValues(func() (map[string]string, error) {
	dir, err := os.MkdirTemp("", "docscan-fleet-")
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(dir, 0o755); err != nil { // the accounts of the farm start it
		return nil, err
	}
	list := map[string]string{"docscanctl": filepath.Join(dir, "docscanctl")}
	cmd := exec.Command("go", "build", "-o", list["docscanctl"], ".")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build docscanctl: %w\n%s", err, out)
	}
	for _, version := range []string{farm.OldVersion, farm.NewVersion} {
		list[version] = filepath.Join(dir, "docscand-"+version)
		cmd := exec.Command("go", "build", "-tags", "sqlite_fts5,libsqlite3", "-ldflags", "-s -w -X main.version="+version, "-o", list[version], "../docscand")
		if out, err := cmd.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("build docscand: %w\n%s", err, out)
		}
	}
	return list, nil
})

// laptop is where the operator sits.
type laptop struct {
	*testing.T
	farm      *farm.Farm
	release   *farm.Release
	program   string
	inventory string
	dir       string
	docscands []*box.Box
}

// newLaptop gives one with a farm: real docscands first, then stand-ins with those
// faults.
func newLaptop(t *testing.T, docscands int, faults ...farm.Fault) *laptop {
	t.Helper()
	list, err := programs()
	must(t, err)
	dir, err := os.MkdirTemp("", "farm-") // short, as names of sockets have to be, and open to the accounts
	must(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	must(t, os.Chmod(dir, 0o755))
	var log bytes.Buffer
	f, err := farm.New(t.Context(), dir, list["docscanctl"], slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})))
	must(t, err)
	t.Cleanup(func() {
		must(t, f.Close())
		if t.Failed() {
			t.Logf("the farm's log:\n%s", log.String())
		}
	})
	l := &laptop{T: t, farm: f, program: list["docscanctl"], dir: filepath.Join(dir, "laptop")}
	must(t, os.Mkdir(l.dir, 0o755))
	l.release, err = f.Publish(t.Context(), list, 256<<10)
	must(t, err)
	for range docscands {
		_, d, err := f.AddDocscand(t.Context(), l.release)
		must(t, err)
		l.docscands = append(l.docscands, d)
	}
	for _, fault := range faults {
		s := &farm.StandIn{Version: farm.OldVersion, Keys: l.release.Keys, Prove: 300 * time.Millisecond}
		template := l.release.Template
		if fault == farm.TooOld {
			s.Version, template = "0.0.0", ""
		}
		_, err := f.Add(fault, s, template)
		must(t, err)
	}
	l.inventory, _, err = f.WriteInventory()
	must(t, err)
	return l
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// command prepares docscanctl fleet.
func (l *laptop) command(args ...string) (cmd *exec.Cmd, out *bytes.Buffer) {
	out = &bytes.Buffer{}
	cmd = exec.CommandContext(l.Context(), l.program, append([]string{"fleet", "--ssh-config", "none", "--connect-timeout", "3s"}, args...)...)
	cmd.Dir = l.dir
	cmd.Env = append(os.Environ(), "DOCSCAN_FLEET="+l.inventory, "SSH_AUTH_SOCK=")
	cmd.Stdout, cmd.Stderr = out, out
	return cmd, out
}

// fleet runs docscanctl fleet and gives what it says; its exit code must be code.
func (l *laptop) fleet(code int, args ...string) string {
	l.Helper()
	cmd, out := l.command(args...)
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		l.Fatal(err)
	}
	if got := cmd.ProcessState.ExitCode(); got != code {
		l.Fatalf("docscanctl fleet %s ended with %d, want %d:\n%s", strings.Join(args, " "), got, code, out)
	}
	return out.String()
}

// report reads what a rollout has written.
func (l *laptop) report(name string) rollout.Report {
	l.Helper()
	data, err := os.ReadFile(filepath.Join(l.dir, name+".json"))
	must(l, err)
	var r rollout.Report
	must(l, json.Unmarshal(data, &r))
	return r
}

// Whatever goes wrong with some boxes, the others are updated, each once, also if
// the laptop dies in the middle; and what happened is in the report.
func TestRolloutWithEveryFault(t *testing.T) {
	faults := []farm.Fault{farm.None, farm.Silent, farm.Refusing, farm.Slow, farm.Dropping, farm.Full, farm.OtherArch, farm.WrongClock, farm.TooOld,
		farm.NewHostKey, farm.NoEntry, farm.NeverBack, farm.TakesBack, farm.Unwell, farm.None, farm.None}
	l := newLaptop(t, 2, faults...)
	status := l.fleet(exitSome, "status", "--limit", "box-0001,host-key,no-entry")
	for _, want := range []string{"box-0001", "1.0.0", "well", "Simulated Scanner", "key-changed", "denied"} {
		if !strings.Contains(status, want) {
			t.Errorf("the status lacks %q:\n%s", want, status)
		}
	}
	args := []string{"update", l.release.New, l.release.Delta, "--keys", l.release.Keys, "--rollout", "r", "--canary", "2", "--wave", "60%,100%",
		"--max-failures", "50%", "--pause", "0", "--watch", "1s", "--lost-after", "4s", "--transfer-time", "6s"}
	cmd, out := l.command(args...)
	must(t, cmd.Start())
	must(t, box.Until(t.Context(), func() (bool, error) {
		r, err := rollout.Read(filepath.Join(l.dir, "r"))
		return err == nil && r.Counts(-1)[rollout.Updated] >= 3, nil
	}))
	// Another operator is told.
	if said := l.fleet(exitTaken, "continue", "r"); !strings.Contains(said, "somebody else") || !strings.Contains(said, fmt.Sprint(cmd.Process.Pid)) {
		t.Errorf("the other operator hears %q", said)
	}
	must(t, cmd.Process.Kill())
	_ = cmd.Wait() // it was killed
	before := out.String()
	said := l.fleet(exitSome, "continue", "r")
	r := l.report("r")
	want := map[farm.Fault]struct {
		state rollout.State
		kind  string
	}{
		farm.None: {rollout.Updated, ""}, farm.Dropping: {rollout.Updated, ""}, farm.WrongClock: {rollout.Updated, ""},
		farm.Silent: {rollout.OffLine, "off"}, farm.Refusing: {rollout.OffLine, "off"}, farm.Slow: {rollout.OffLine, "slow"},
		farm.Full: {rollout.Failed, "no-room"}, farm.OtherArch: {rollout.Failed, "architecture"}, farm.TooOld: {rollout.Failed, "refused"},
		farm.NewHostKey: {rollout.Kept, "key-changed"}, farm.NoEntry: {rollout.Kept, "denied"},
		farm.NeverBack: {rollout.Lost, "lost"}, farm.TakesBack: {rollout.Failed, "rolled-back"}, farm.Unwell: {rollout.Failed, "unwell"},
	}
	for i, b := range l.farm.Boxes {
		got := r.Boxes[i]
		if w := want[b.Fault]; got.Name != b.Name || got.State != w.state || got.Kind != w.kind {
			t.Errorf("%s (%q) is %s (%s): %s; want %s (%s)", b.Name, b.Fault, got.State, got.Kind, got.Text, w.state, w.kind)
		}
		if b.StandIn == nil {
			continue
		}
		if n := b.StandIn.Installs(); n > 1 {
			t.Errorf("%s (%q) was asked to install %d times", b.Name, b.Fault, n)
		}
		if version, err := b.StandIn.Running(); err != nil || (version == farm.NewVersion) != (got.State == rollout.Updated || b.Fault == farm.Unwell) {
			t.Errorf("%s (%q) runs %s (%v), the report says %s", b.Name, b.Fault, version, err, got.State)
		}
		if got.State == rollout.Updated && (!got.Delta || b.Fault == farm.None && got.Sent > 100<<10) {
			t.Errorf("%s: delta %t, %d bytes sent", b.Name, got.Delta, got.Sent)
		}
		if b.Fault == farm.WrongClock && got.Drift > -1e8 {
			t.Errorf("the clock of %s is %f s off, want decades", b.Name, got.Drift)
		}
	}
	for _, d := range l.docscands {
		var u box.Update
		must(t, d.Get(t.Context(), "/api/v1/update", &u))
		if u.Running != farm.NewVersion || u.State != "committed" {
			t.Errorf("docscand: %+v, want the new version", u)
		}
	}
	for _, want := range []string{"WARNING", "host key"} {
		if !strings.Contains(before+said, want) {
			t.Errorf("the operator does not hear %q:\n%s\n%s", want, before, said)
		}
	}
	if t.Failed() {
		t.Logf("before the laptop died:\n%s\nafterwards:\n%s", before, said)
	}
	// What was changed is taken back on request, by the boxes' own word.
	l.fleet(exitSome, "rollback", "r", "--reason", "scans are too dark")
	for _, d := range l.docscands {
		var u box.Update
		must(t, d.Get(t.Context(), "/api/v1/update", &u))
		if u.Running != farm.OldVersion {
			t.Errorf("after going back docscand: %+v, want the old version", u)
		}
	}
	if r := l.report("r"); r.Counts[rollout.Returned] < 7 {
		t.Errorf("%d boxes went back: %v", r.Counts[rollout.Returned], r.Counts)
	}
}

// A version that fails on too many boxes goes no further, and what was changed is
// taken back.
func TestRolloutHalts(t *testing.T) {
	faults := []farm.Fault{farm.None, farm.TakesBack, farm.Unwell, farm.None, farm.None, farm.None}
	l := newLaptop(t, 0, faults...)
	said := l.fleet(exitHalted, "update", l.release.New, "--rollout", "r", "--canary", "3", "--wave", "100%", "--max-failures", "1",
		"--pause", "0", "--watch", "500ms", "--rollback-on-halt")
	r := l.report("r")
	if r.Halted == "" || r.Counts[rollout.Waiting] != 3 || r.Counts[rollout.Returned] != 1 {
		t.Errorf("halted %q, %v; want 3 untouched and 1 back\n%s", r.Halted, r.Counts, said)
	}
	for _, b := range l.farm.Boxes {
		version, err := b.StandIn.Running()
		must(t, err)
		if installs := b.StandIn.Installs(); b.Fault != farm.Unwell && version != farm.OldVersion || b.Name > "box-0003" && installs != 0 {
			t.Errorf("%s runs %s after %d installs", b.Name, version, installs)
		}
	}
}
