package main

import (
	"bytes"
	"context"
	"crypto/rand"
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
	"docscan/packaging/fleet/account"
	"docscan/packaging/fleet/rollout"
)

// programs builds docscanctl, and docscand in two versions, once.
var programs = sync.OnceValues(func() (map[string]string, error) {
	err := os.Chmod(built, 0o755) // the accounts of the farm start docscanctl
	if err != nil {
		return nil, err
	}
	list := map[string]string{"docscanctl": filepath.Join(built, "docscanctl")}
	cmd := exec.Command("go", "build", "-o", list["docscanctl"], ".")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build docscanctl: %w\n%s", err, out)
	}
	for _, version := range []string{farm.OldVersion, farm.NewVersion} {
		if list[version], err = box.Program(context.Background(), built, version); err != nil {
			return nil, err
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
	// connect is how long a box may take to answer. A machine that is much in use
	// needs long for it, and only where a box is silent is that waited for.
	connect string
}

// newLaptop gives one with a farm: real docscands first, then stand-ins with those
// faults.
func newLaptop(t *testing.T, docscands int, faults ...farm.Fault) *laptop {
	t.Helper()
	return newLaptopWith(t, func(*farm.Farm) {}, docscands, faults...)
}

func newLaptopWith(t *testing.T, change func(*farm.Farm), docscands int, faults ...farm.Fault) *laptop {
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
	change(f)
	l := &laptop{T: t, farm: f, program: list["docscanctl"], dir: filepath.Join(dir, "laptop"), connect: "2m"}
	must(t, os.Mkdir(l.dir, 0o755))
	payload := make([]byte, 256<<10)
	rand.Read(payload) // never fails
	l.release, err = f.Publish(t.Context(), list, payload)
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

// file is the name of a file on the laptop.
func (l *laptop) file(name string) string { return filepath.Join(l.dir, name) }

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// command prepares docscanctl fleet.
func (l *laptop) command(args ...string) (cmd *exec.Cmd, out *bytes.Buffer) {
	out = &bytes.Buffer{}
	cmd = exec.CommandContext(l.Context(), l.program, append([]string{"fleet", "--ssh-config", "none", "--connect-timeout", l.connect}, args...)...)
	cmd.Dir = l.dir
	cmd.Env = append(os.Environ(), "DOCSCAN_FLEET="+l.inventory, "SSH_AUTH_SOCK=")
	cmd.Stdout, cmd.Stderr = out, out
	return cmd, out
}

// fleet does what docscanctl fleet does, in this process and so under the eyes of
// the race detector, and gives what it says; its exit code must be code.
func (l *laptop) fleet(code int, args ...string) string {
	l.Helper()
	var out box.SyncBuffer
	env := map[string]string{"DOCSCAN_FLEET": l.inventory}
	args = append([]string{"fleet", "--ssh-config", "none", "--connect-timeout", l.connect}, args...)
	got := run(l.Context(), args, terminal{strings.NewReader(""), &out, &out}, func(name string) string { return env[name] })
	if got != code {
		l.Fatalf("docscanctl %s ended with %d, want %d:\n%s", strings.Join(args, " "), got, code, out.String())
	}
	return out.String()
}

// run runs a command, whose exit code must be code.
func (l *laptop) run(cmd *exec.Cmd, out *bytes.Buffer, code int) {
	l.Helper()
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		l.Fatal(err)
	}
	if got := cmd.ProcessState.ExitCode(); got != code {
		l.Fatalf("%s ended with %d, want %d:\n%s", strings.Join(cmd.Args, " "), got, code, out)
	}
}

// report reads what a rollout has written.
func (l *laptop) report(name string) rollout.Report {
	l.Helper()
	data, err := os.ReadFile(l.file(name + ".json"))
	must(l, err)
	var r rollout.Report
	must(l, json.Unmarshal(data, &r))
	return r
}

// Whatever goes wrong with some boxes, the others are updated, each once, also if
// the laptop dies in the middle; and what happened is in the report.
func TestRolloutWithEveryFault(t *testing.T) {
	t.Parallel() // it mostly waits
	// Those for which there is long to wait come last, in the second wave, and so are
	// waited for once.
	faults := []farm.Fault{farm.None, farm.Dropping, farm.Full, farm.OtherArch, farm.WrongClock, farm.TooOld, farm.Refusing, farm.None, farm.None,
		farm.NewHostKey, farm.NoEntry, farm.TakesBack, farm.Unwell, farm.NeverBack, farm.Silent, farm.Slow}
	l := newLaptop(t, 2, faults...)
	l.connect = "20s"
	file := l.file("r")
	status := l.fleet(exitSome, "status", "--limit", "box-0001,host-key,no-entry")
	for _, want := range []string{"box-0001", "1.0.0", "well", "Simulated Scanner", "key-changed", "denied"} {
		if !strings.Contains(status, want) {
			t.Errorf("the status lacks %q:\n%s", want, status)
		}
	}
	args := []string{"update", l.release.New, l.release.Delta, "--keys", l.release.Keys, "--rollout", file, "--canary", "2", "--wave", "60%,100%",
		"--max-failures", "50%", "--pause", "0", "--watch", "1s", "--lost-after", "15s", "--transfer-time", "12s"}
	cmd, out := l.command(args...)
	must(t, cmd.Start())
	must(t, box.Until(t.Context(), func() (bool, error) {
		r, err := rollout.Read(file)
		return err == nil && r.Counts()[rollout.Updated] >= 3, nil
	}))
	// Another operator is told.
	if said := l.fleet(exitTaken, "continue", file); !strings.Contains(said, "somebody else") || !strings.Contains(said, fmt.Sprint(cmd.Process.Pid)) {
		t.Errorf("the other operator hears %q", said)
	}
	must(t, cmd.Process.Kill())
	_ = cmd.Wait() // it was killed
	before := out.String()
	said := l.fleet(exitSome, "continue", file)
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
		if b.Fault == farm.Slow && got.State == rollout.Updated {
			continue // its transfer went on when the laptop was back
		}
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
	l.fleet(exitSome, "rollback", file, "--reason", "scans are too dark")
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
	t.Parallel()
	faults := []farm.Fault{farm.None, farm.TakesBack, farm.Unwell, farm.None, farm.None, farm.None}
	l := newLaptop(t, 0, faults...)
	said := l.fleet(exitHalted, "update", l.release.New, "--rollout", l.file("r"), "--canary", "3", "--wave", "100%", "--max-failures", "1",
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

// ssh runs OpenSSH's own client with the operator's key, and gives what the box
// writes and what is said of it.
func (l *laptop) ssh(b *farm.Box, user string, args ...string) (out, said string) {
	return l.sshWith("", b, user, args...)
}

// sshWith is ssh with something to say to what the box starts.
func (l *laptop) sshWith(input string, b *farm.Box, user string, args ...string) (out, said string) {
	line := append([]string{"-F", "none", "-i", l.farm.Key, "-p", fmt.Sprint(l.farm.Port), "-o", "BatchMode=yes", "-o", "IdentitiesOnly=yes",
		"-o", "UserKnownHostsFile=" + filepath.Join(l.farm.Dir, "known_hosts"), "-l", user}, args...)
	ctx, stop := context.WithTimeout(l.Context(), time.Minute)
	defer stop()
	cmd := exec.CommandContext(ctx, "ssh", line...)
	var stdout, stderr strings.Builder
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(input), &stdout, &stderr
	_ = cmd.Run() // how it ends is in what it says
	return stdout.String(), stderr.String()
}

// The key for updates opens docscanctl receive and nothing else, and all that can
// be done with that is to offer files that docscand refuses.
func TestStolenUpdateKey(t *testing.T) {
	t.Parallel()
	l := newLaptop(t, 1)
	b, d := l.farm.Boxes[0], l.docscands[0]
	const hello = `{"protocol":"docscan-receive","format":1,"version":"unknown","allow":[]}` + "\n"
	for name, args := range map[string][]string{
		"a shell":              {b.Address},
		"a command":            {b.Address, "id"},
		"a command with flags": {b.Address, "docscanctl receive --allow config; cat /etc/shadow"},
		"sftp":                 {"-s", b.Address, "sftp"},
		"its environment":      {"-o", "SetEnv=LD_PRELOAD=/tmp/x.so DOCSCAN_SOCKET=/tmp/x", b.Address},
		"flags of its command": {b.Address, "--", "--allow", "audit,config,logs,run"},
		"scp as it was":        {b.Address, "scp -t /etc/ssh/docscan"},
		"rsync":                {b.Address, "rsync --server -logDtpr . /"},
	} {
		if got, said := l.ssh(b, "docscan-update", args...); got != hello {
			t.Errorf("%s: %q (%q), want only %q", name, got, said, hello)
		}
	}
	if got, said := l.ssh(b, "docscan-update", "-tt", b.Address); got != "" && got != hello || !strings.Contains(said, "PTY allocation request failed") {
		t.Errorf("a terminal: %q (%q)", got, said)
	}
	for name, args := range map[string][]string{
		"to forward": {"-W", "127.0.0.1:" + strings.TrimPrefix(d.URL, "http://127.0.0.1:"), b.Address},
		"to listen":  {"-o", "ExitOnForwardFailure=yes", "-N", "-R", "127.0.0.1:0:127.0.0.1:1", b.Address},
	} {
		if got, said := l.ssh(b, "docscan-update", args...); got != "" || !strings.Contains(said, "prohibited") && !strings.Contains(said, "forwarding failed") && !strings.Contains(said, "refused") {
			t.Errorf("%s: %q (%q), want it refused", name, got, said)
		}
	}
	// sshd's own word for what the key opens: without "restrict" the list names what
	// may be forwarded, terminals and rc files.
	if _, said := l.ssh(b, "docscan-update", "-v", "-A", "-X", b.Address); !strings.Contains(said, "docscan-update.keys:1: key options: command\r\n") {
		t.Errorf("sshd says of the key %q", said)
	}
	for name, args := range map[string][]string{
		"a socket":           {"-W", filepath.Join(d.Dir, "docscand.sock"), b.Address},
		"a socket of its":    {"-o", "ExitOnForwardFailure=yes", "-R", filepath.Join(l.dir, "sock") + ":127.0.0.1:1", b.Address},
		"a tunnel":           {"-o", "ExitOnForwardFailure=yes", "-w", "any", b.Address},
		"another one's name": {"-l", "docscan", b.Address, "id"},
	} {
		if got, _ := l.ssh(b, "docscan-update", args...); got != "" && got != hello {
			t.Errorf("%s: %q", name, got)
		}
	}
	if _, err := os.Lstat(filepath.Join(l.dir, "sock")); err == nil {
		t.Error("the box has made a socket")
	}
	// What it says to docscanctl receive itself: nothing but updates, and no path that
	// leads elsewhere.
	for _, q := range []string{
		`{"verb":"config","length":6}` + "\n[web]", `{"verb":"audit"}`, `{"verb":"logs","lines":9}`, `{"verb":"run","what":"check"}`, `{"verb":"run","what":"restart"}`,
		`{"verb":"shell"}`, `{"verb":"offer","digest":"../../users","size":5}`, `{"verb":"offer","digest":"` + strings.Repeat("a", 62) + `/.","size":5}`,
		`{"verb":"data","digest":"/etc/shadow","size":5,"length":6}` + "\nhello", `{"verb":"install","digest":"` + strings.Repeat("0", 64) + `","size":5,"downgrade":true}`,
		`{"verb":"install","digest":"../../../etc/passwd","size":5}`, `{"verb":"install","digest":"` + strings.Repeat("0", 64) + `","size":5}`,
	} {
		got, _ := l.sshWith(q+"\n", b, "docscan-update", b.Address)
		lines := strings.Split(strings.TrimSpace(strings.TrimPrefix(got, hello)), "\n")
		if !strings.HasPrefix(got, hello) || len(lines) != 1 || !strings.HasPrefix(lines[0], `{"error":{"kind":"`) {
			t.Errorf("%s: %q, want it refused", q, got)
		}
	}
	if got, said := l.ssh(b, "root", b.Address, "id"); got != "" || !strings.Contains(said, "Permission denied") {
		t.Errorf("as root: %q (%q)", got, said)
	}
	// The account itself gets no further at the local socket than its verbs.
	for path, want := range map[string]string{"/api/v1/update": "200", "/api/v1/users": "403", "/api/v1/documents": "403", "/api/v1/audit/export": "403", "/api/health": "403",
		"/api/v1/update/../users": "403", "/api/v1/update/uploads/..%2f..%2fusers?size=1": "4", "/api/v1/system/backup": "403", "/api/v1/system/ssh": "403", "/": "403"} {
		args := append(l.farm.Inside(), "setpriv", "--reuid=docscan-update", "--regid=docscan-update", "--clear-groups",
			"curl", "-s", "-L", "-o", "/dev/null", "-w", "%{http_code}", "--path-as-is", "--unix-socket", filepath.Join(d.Dir, "docscand.sock"), "http://box"+path)
		if got, err := exec.Command(args[0], args[1:]...).Output(); err != nil || !strings.HasPrefix(string(got), want) {
			t.Errorf("%s as docscan-update: %s (%v), want %s", path, got, err, want)
		}
	}
	// Files that the box does not trust, however they are offered.
	other, err := box.NewPublisher(filepath.Join(l.dir, "other-keys"))
	must(t, err)
	evil := filepath.Join(l.dir, "evil.bundle")
	must(t, other.Publish(t.Context(), evil, "3.0.0", l.farm.Key, "#!/bin/sh\ntouch /tmp/owned\n"))
	good, err := os.ReadFile(l.release.New)
	must(t, err)
	tampered := filepath.Join(l.dir, "tampered.bundle")
	changed := bytes.Clone(good)
	changed[len(changed)-2000] ^= 1
	must(t, os.WriteFile(tampered, changed, 0o600))
	for name, want := range map[string]string{evil: "not trusted here", tampered: "changed or damaged"} {
		file := filepath.Base(name) + ".rollout"
		l.fleet(exitHalted, "update", name, "--rollout", l.file(file), "--max-failures", "0", "--pause", "0", "--watch", "0")
		if r := l.report(file); r.Boxes[0].State != rollout.Failed || !strings.Contains(r.Boxes[0].Text, want) {
			t.Errorf("%s: %+v, want it refused: %s", name, r.Boxes[0], want)
		}
	}
	var u box.Update
	must(t, d.Get(t.Context(), "/api/v1/update", &u))
	if u.Running != farm.OldVersion {
		t.Errorf("docscand: %+v", u)
	}
}

// What a fleet does besides updates: with the account for it, and only that.
func TestFleetWork(t *testing.T) {
	t.Parallel()
	l := newLaptop(t, 2)
	d := l.docscands[0]
	if said := l.fleet(0, "run", "check"); strings.Count(said, `"problems"`) != 2 {
		t.Errorf("check: %s", said)
	}
	if said := l.fleet(0, "run", "devices", "--limit", "box-0001"); !strings.Contains(said, "Simulated Scanner") {
		t.Errorf("devices: %s", said)
	}
	before := d.PID()
	if said := l.fleet(0, "run", "restart", "--limit", "box-0001"); !strings.Contains(said, "started anew") || d.PID() == before {
		t.Errorf("restart: %s; process %d before, %d now", said, before, d.PID())
	}
	// Settings: what does not work is not taken, what works is.
	good, bad := filepath.Join(l.dir, "good.toml"), filepath.Join(l.dir, "bad.toml")
	must(t, os.WriteFile(good, []byte("[log]\nlevel = \"debug\"\n"), 0o600))
	must(t, os.WriteFile(bad, []byte("[ocr]\nlanguages = [\"tlh\"]\n"), 0o600))
	config := filepath.Join(filepath.Dir(d.Dir), "docscan.toml")
	for file, want := range map[string]string{bad: "tlh", good: "in order"} {
		code := 0
		if file == bad {
			code = exitSome
		}
		if said := l.fleet(code, "config", "push", "--dry-run", file); strings.Count(said, want) < 2 {
			t.Errorf("dry run of %s: %s", file, said)
		}
	}
	if said := l.fleet(exitSome, "config", "push", bad); !strings.Contains(said, "those before hold") {
		t.Errorf("bad settings: %s", said)
	}
	before = d.PID()
	if said := l.fleet(0, "config", "push", good); strings.Count(said, "taken") != 2 || d.PID() == before {
		t.Errorf("good settings: %s", said)
	}
	if text, err := os.ReadFile(config); err != nil || !strings.Contains(string(text), "debug") {
		t.Errorf("docscan.toml: %q, %v", text, err)
	}
	if _, err := os.Stat(config + ".proven"); err == nil {
		t.Error("the settings are still on trial")
	}
	// The audit logs, verified from one time to the next.
	logs := filepath.Join(l.dir, "audit")
	for range 2 {
		if said := l.fleet(0, "audit", "collect", logs); strings.Count(said, ": whole, ") != 2 {
			t.Errorf("audit: %s", said)
		}
	}
	text, err := os.ReadFile(filepath.Join(logs, "box-0001.jsonl"))
	must(t, err)
	for _, want := range []string{"update_settings", "update_restart", "docscan-fleet (operator@laptop)", "127.0.0.1"} {
		if !strings.Contains(string(text), want) {
			t.Errorf("the audit log lacks %q", want)
		}
	}
	// A box whose log is another one from its beginning is found out.
	must(t, os.Rename(filepath.Join(logs, "box-0002.jsonl"), filepath.Join(logs, "box-0001.jsonl")))
	if said := l.fleet(exitSome, "audit", "collect", logs, "--limit", "box-0001"); !strings.Contains(said, "WARNING") {
		t.Errorf("another log: %s", said)
	}
	// The journal, by the account for it, and without what a terminal would obey.
	said := l.fleet(0, "logs", "-n", "7", "--since", "2h")
	for _, b := range l.farm.Boxes {
		want := b.Name + ": docscan-fleet: --unit=docscand.service --no-pager --quiet --output=short-iso --lines=7 --since=-7200s\n" +
			b.Name + `: 2026-01-01T00:00:00+0100 box docscand[7]: level=INFO msg="batch closed"` + "\n" + b.Name + ": café \ufffd [31mred\n"
		if !strings.Contains(said, want) {
			t.Errorf("logs:\n%s\nwant\n%s", said, want)
		}
	}
	if said := l.fleet(exitUsage, "logs", "-n", "0"); !strings.Contains(said, "--lines") {
		t.Errorf("no lines: %s", said)
	}
	if said := l.fleet(0, "run", "history", "--json"); !json.Valid([]byte(said)) {
		t.Errorf("history: %s", said)
	}
	// The other key may do none of it.
	l.write("as-update.toml", strings.ReplaceAll(readFile(t, l.inventory), "[defaults]", "[defaults]\nfleet_user = \"docscan-update\""))
	for _, args := range [][]string{{"run", "check"}, {"run", "restart"}, {"logs"}, {"config", "push", good}, {"audit", "collect", logs}} {
		args = append(args, "--limit", "box-0001", "-i", l.file("as-update.toml"))
		if said := l.fleet(exitSome, args...); !strings.Contains(said, "not-allowed") {
			t.Errorf("%q with the account for updates: %s", args, said)
		}
	}
}

func readFile(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	must(t, err)
	return string(text)
}

// tool runs a program of OpenSSH.
func (l *laptop) tool(name string, args ...string) {
	l.Helper()
	cmd := exec.Command(name, args...)
	cmd.Dir = l.dir
	if out, err := cmd.CombinedOutput(); err != nil {
		l.Fatalf("%s %s: %v: %s", name, strings.Join(args, " "), err, out)
	}
}

// write writes a file of the laptop.
func (l *laptop) write(name, text string) {
	l.Helper()
	must(l, os.WriteFile(filepath.Join(l.dir, name), []byte(text), 0o600))
}

// Certificates of people and boxes, ssh-agent, jump hosts and pinning, as a person
// has them for OpenSSH.
func TestWaysIn(t *testing.T) {
	l := newLaptopWith(t, func(f *farm.Farm) { f.Root = true }, 0, farm.None, farm.None)
	t.Chdir(l.dir) // names in files and options are short
	first, second := l.farm.Boxes[0], l.farm.Boxes[1]
	list := func(name, defaults string, b *farm.Box, more string) {
		l.write(name, fmt.Sprintf("[defaults]\nport = %d\n%s\n[hosts.%s]\naddress = %q\n%s\n", l.farm.Port, defaults, b.Name, b.Address, more))
	}
	// Authorities for both sides: nothing is pinned, no key is on the box.
	l.tool("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", "ca")
	l.tool("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", "id")
	must(t, l.farm.Let(t.Context(), account.Grant{CA: []byte(readFile(t, filepath.Join(l.dir, "ca.pub")))}))
	must(t, first.Certify(filepath.Join(l.dir, "ca")))
	l.write("known_ca", fmt.Sprintf("@cert-authority [127.9.0.*]:%d %s", l.farm.Port, readFile(t, filepath.Join(l.dir, "ca.pub"))))
	list("ca.toml", "key = \"id\"\nknown_hosts = \"known_ca\"", first, "")
	l.tool("ssh-keygen", "-q", "-s", "ca", "-I", "anna", "-n", "docscan-update", "-V", "-1h:+1h", "id.pub")
	l.fleet(0, "status", "-i", "ca.toml")
	l.tool("ssh-keygen", "-q", "-s", "ca", "-I", "anna", "-n", "docscan-update", "-V", "-3h:-1h", "id.pub")
	if said := l.fleet(exitSome, "status", "-i", "ca.toml"); !strings.Contains(said, "denied") || !strings.Contains(said, "still valid") {
		t.Errorf("with a certificate of yesterday: %s", said)
	}
	list("other.toml", "key = \"id\"\nknown_hosts = \"known_ca\"", second, "") // it has no certificate
	if said := l.fleet(exitSome, "status", "-i", "other.toml"); !strings.Contains(said, "key-changed") && !strings.Contains(said, "key-unknown") {
		t.Errorf("a box without a certificate: %s", said)
	}
	// A key with a passphrase is used if ssh-agent has it, and never asked for.
	l.tool("ssh-keygen", "-q", "-t", "ed25519", "-N", "open sesame", "-C", "locked", "-f", "locked")
	must(t, l.farm.Let(t.Context(), account.Grant{Keys: []byte(readFile(t, filepath.Join(l.dir, "locked.pub")))}))
	known := filepath.Join(l.farm.Dir, "known_hosts")
	list("locked.toml", fmt.Sprintf("key = \"locked\"\nknown_hosts = %q", known), second, "")
	if said := l.fleet(exitSome, "status", "-i", "locked.toml"); !strings.Contains(said, "ssh-add") {
		t.Errorf("with a locked key: %s", said)
	}
	socket := filepath.Join(l.dir, "agent")
	agent := exec.Command("ssh-agent", "-D", "-a", socket)
	must(t, agent.Start())
	defer func() {
		must(t, agent.Process.Kill())
		_ = agent.Wait() // it was killed
	}()
	must(t, box.Until(t.Context(), func() (bool, error) { _, err := os.Stat(socket); return err == nil, nil }))
	must(t, os.WriteFile(filepath.Join(l.dir, "ask"), []byte("#!/bin/sh\necho open sesame\n"), 0o700))
	add := exec.Command("ssh-add", filepath.Join(l.dir, "locked"))
	add.Env = append(os.Environ(), "SSH_AUTH_SOCK="+socket, "SSH_ASKPASS="+filepath.Join(l.dir, "ask"), "SSH_ASKPASS_REQUIRE=force")
	if out, err := add.CombinedOutput(); err != nil {
		t.Fatalf("ssh-add: %v: %s", err, out)
	}
	cmd, out := l.command("status", "-i", "locked.toml")
	cmd.Env = append(cmd.Env, "SSH_AUTH_SOCK="+socket)
	l.run(cmd, out, 0)
	// Through a jump host, as ssh_config says it.
	l.write("ssh_config", fmt.Sprintf("Host gate\n\tHostName %s\n\tPort %d\n\tUser root\n\tIdentityFile %s\n\tUserKnownHostsFile %s\nHost box-0002\n\tProxyJump gate\n", first.Address, l.farm.Port, l.farm.Key, known))
	list("jump.toml", fmt.Sprintf("key = %q\nknown_hosts = %q", l.farm.Key, known), second, "")
	if said := l.fleet(0, "--ssh-config", "ssh_config", "status", "-i", "jump.toml"); !strings.Contains(said, "well") {
		t.Errorf("through a jump host: %s", said)
	}
	list("nojump.toml", fmt.Sprintf("key = %q\nknown_hosts = %q", l.farm.Key, known), second, "jump = \"docscan-update@127.9.0.1:1\"")
	if said := l.fleet(exitSome, "status", "-i", "nojump.toml"); !strings.Contains(said, "jump host") {
		t.Errorf("through a jump host that is not there: %s", said)
	}
	// Pinning.
	list("new.toml", fmt.Sprintf("key = %q\nknown_hosts = \"new_known\"", l.farm.Key), second, "")
	if said := l.fleet(exitSome, "status", "-i", "new.toml"); !strings.Contains(said, "fleet pin") {
		t.Errorf("an unknown box: %s", said)
	}
	if said := l.fleet(1, "pin", "-i", "new.toml"); !strings.Contains(said, "nothing was pinned") {
		t.Errorf("pinning without a yes: %s", said)
	}
	for _, want := range []string{"SHA256:", "pinned already"} {
		if said := l.fleet(0, "pin", "--yes", "-i", "new.toml"); !strings.Contains(said, want) {
			t.Errorf("pinning: %s, want %q", said, want)
		}
	}
	l.fleet(0, "status", "-i", "new.toml")
}
