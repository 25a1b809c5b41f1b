//go:build linux

// Measure updates a thousand boxes on this machine and proves that whatever goes
// wrong with some of them, all others are updated, each once, also if the laptop
// dies in the middle. Then it measures docscanctl fleet beside Ansible doing copy
// and restart on the same fifty SSH servers. "make fleet" runs it.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"docscan/cmd/docscanctl/farm"
	"docscan/cmd/docscand/box"
	"docscan/packaging/fleet/rollout"
)

func main() {
	var m measure
	flag.StringVar(&m.docscanctl, "docscanctl", "", "the program")
	flag.StringVar(&m.old, "old", "", "docscand as version "+farm.OldVersion)
	flag.StringVar(&m.new, "new", "", "docscand as version "+farm.NewVersion)
	flag.IntVar(&m.boxes, "boxes", 1000, "how many boxes")
	flag.IntVar(&m.docscands, "docscands", 20, "how many of them run a real docscand")
	flag.IntVar(&m.peers, "peers", 50, "on how many boxes Ansible is measured; 0: it is not")
	flag.StringVar(&m.reports, "reports", "", "keep the report of the rollout in this directory")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var err error
	if m.boxes > 0 && m.boxes < fewest {
		fmt.Fprintf(os.Stderr, "measure: at least %d boxes, so that some of them are in trouble, or none\n", fewest)
		os.Exit(2)
	}
	if m.boxes > 0 {
		err = m.thousand(ctx)
	}
	if err == nil && m.peers > 0 {
		err = m.beside(ctx)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "measure:", err)
		os.Exit(1)
	}
}

// fewest is how many boxes there must be: three in a hundred are in trouble.
const fewest = 100

type measure struct {
	docscanctl, old, new    string
	reports                 string
	boxes, docscands, peers int
}

// newFarm makes one whose files are of that size.
func (m *measure) newFarm(ctx context.Context, payload []byte, change func(*farm.Farm)) (*farm.Farm, *farm.Release, func(), error) {
	dir, err := os.MkdirTemp("", "farm-")
	if err != nil {
		return nil, nil, nil, err
	}
	if err := os.Chmod(dir, 0o755); err != nil { // the accounts of the farm go there
		return nil, nil, nil, err
	}
	f, err := farm.New(ctx, dir, m.docscanctl, slog.New(slog.DiscardHandler))
	if err != nil {
		return nil, nil, nil, err
	}
	if change != nil {
		change(f)
	}
	r, err := f.Publish(ctx, map[string]string{farm.OldVersion: m.old, farm.NewVersion: m.new}, payload)
	return f, r, func() {
		if err := f.Close(); err != nil {
			fmt.Fprintln(os.Stderr, "measure: close the farm:", err)
		}
		os.RemoveAll(dir)
	}, err
}

// faults are those of three in a hundred boxes.
var faults = []farm.Fault{farm.Silent, farm.Refusing, farm.Slow, farm.Dropping, farm.Full, farm.OtherArch, farm.WrongClock, farm.TooOld,
	farm.NewHostKey, farm.NoEntry, farm.NeverBack, farm.TakesBack, farm.Unwell}

// expected is how boxes with a fault end.
var expected = map[farm.Fault]rollout.State{
	farm.None: rollout.Updated, farm.Dropping: rollout.Updated, farm.WrongClock: rollout.Updated,
	farm.Silent: rollout.OffLine, farm.Refusing: rollout.OffLine, farm.Slow: rollout.OffLine,
	farm.Full: rollout.Failed, farm.OtherArch: rollout.Failed, farm.TooOld: rollout.Failed, farm.TakesBack: rollout.Failed, farm.Unwell: rollout.Failed,
	farm.NewHostKey: rollout.Kept, farm.NoEntry: rollout.Kept, farm.NeverBack: rollout.Lost,
}

// thousand is the rollout to all boxes.
func (m *measure) thousand(ctx context.Context) error {
	began := time.Now()
	f, r, done, err := m.newFarm(ctx, random(2<<20), nil)
	if err != nil {
		return err
	}
	defer done()
	var docscands []*box.Box
	for i := range m.boxes {
		// Those with a real docscand are spread over the waves: here they share the
		// processors on which each of them proves its new version.
		if len(docscands) < m.docscands && i%max(m.boxes/m.docscands, 1) == 0 {
			_, d, err := f.AddDocscand(ctx, r)
			if err != nil {
				return err
			}
			docscands = append(docscands, d)
			continue
		}
		fault := farm.None
		if i%33 == 32 {
			fault = faults[i/33%len(faults)]
		}
		if err := add(f, r, fault); err != nil {
			return err
		}
	}
	inventory, _, err := f.WriteInventory()
	if err != nil {
		return err
	}
	fmt.Printf("%d boxes, %d of them with a real docscand, ready after %.0f s\n", len(f.Boxes), len(docscands), time.Since(began).Seconds())
	began = time.Now()
	file := filepath.Join(f.Dir, "rollout")
	first := m.fleet(ctx, inventory, "update", r.New, r.Delta, "--rollout", file, "--canary", "5", "--wave", "5%,25%,50%,75%,100%", "--max-failures", "5%",
		"--pause", "0", "--watch", "2s", "--lost-after", "20s", "--transfer-time", "40s", "--patience", "1s", "--at-once", "20", "--connect-timeout", "30s")
	if err := first.Start(); err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- first.Wait() }()
	err = box.Until(ctx, func() (bool, error) {
		select {
		case err := <-ended:
			return false, fmt.Errorf("the rollout ended early: %w", err)
		default:
		}
		p, err := rollout.Read(file)
		return err == nil && p.Counts()[rollout.Updated] >= m.boxes*4/10, nil
	})
	if err != nil {
		return err
	}
	other := m.fleet(ctx, inventory, "continue", file)
	other.Stdout, other.Stderr = nil, nil
	if err := other.Run(); other.ProcessState == nil || other.ProcessState.ExitCode() != 8 {
		return fmt.Errorf("a second operator meanwhile ended with %v, want 8: somebody else works with it", err)
	}
	if err := first.Process.Kill(); err != nil {
		return err
	}
	<-ended
	fmt.Printf("the laptop dies after %.0f s, with four in ten boxes updated, and goes on\n", time.Since(began).Seconds())
	second := m.fleet(ctx, inventory, "continue", file, "--connect-timeout", "30s")
	err = second.Run()
	if second.ProcessState == nil || second.ProcessState.ExitCode() != 6 {
		return fmt.Errorf("the rollout ended with %v, want 6: some boxes failed", err)
	}
	took := time.Since(began)
	p, err := rollout.Read(file)
	if err != nil {
		return err
	}
	if err := m.keep(file); err != nil {
		return err
	}
	rp := p.Report()
	if err := m.compare(f, rp); err != nil {
		return err
	}
	if err := m.again(ctx, inventory, file, docscands); err != nil {
		return err
	}
	fmt.Printf("%d boxes in %.0f s: %v; %s sent, %s received; every box is where it was meant to end, none was asked twice\n",
		len(f.Boxes), took.Seconds(), rp.Counts, rollout.FormatBytes(rp.Sent), rollout.FormatBytes(rp.Received))
	return nil
}

// again tries those once more that took the version back because on a machine that
// is much in use they did not prove themselves in time, as an operator would. In the
// end all docscands must run it.
func (m *measure) again(ctx context.Context, inventory, file string, docscands []*box.Box) error {
	old := func() (n int, err error) {
		for _, d := range docscands {
			var u box.Update
			if err := d.Get(ctx, "/api/v1/update", &u); err != nil {
				return 0, err
			}
			if u.Running != farm.NewVersion || u.State != "committed" {
				n++
			}
		}
		return n, nil
	}
	n, err := old()
	if err != nil || n == 0 {
		return err
	}
	fmt.Printf("%d docscands have taken it back, for this machine was too slow for their trial; they are tried again\n", n)
	cmd := m.quiet(ctx, inventory, "continue", file, "--retry")
	if err := cmd.Run(); cmd.ProcessState == nil || cmd.ProcessState.ExitCode() != 6 {
		return fmt.Errorf("the second try ended with %v, want 6: some boxes fail again", err)
	}
	if n, err = old(); err == nil && n > 0 {
		err = fmt.Errorf("%d docscands do not run %s after a second try", n, farm.NewVersion)
	}
	return err
}

// keep copies the report of a rollout to where a person finds it.
func (m *measure) keep(file string) error {
	if m.reports == "" {
		return nil
	}
	for _, suffix := range []string{".html", ".json"} {
		text, err := os.ReadFile(file + suffix)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(m.reports, "report"+suffix), text, 0o644); err != nil {
			return err
		}
	}
	return nil
}

func add(f *farm.Farm, r *farm.Release, fault farm.Fault) error {
	s := &farm.StandIn{Version: farm.OldVersion, Keys: r.Keys, Prove: time.Second}
	template := r.Template
	if fault == farm.TooOld {
		s.Version, template = "0.0.0", ""
	}
	_, err := f.Add(fault, s, template)
	return err
}

// compare holds the report against what is the case.
func (m *measure) compare(f *farm.Farm, p *rollout.Report) error {
	var errs []error
	for i, b := range f.Boxes {
		got := p.Boxes[i]
		late := b.Fault == farm.Slow && got.State == rollout.Updated // its transfer went on
		// What a real docscand says is true: if this machine was too slow for its trial,
		// it has taken the version back.
		back := b.StandIn == nil && got.State == rollout.Failed && got.Kind == rollout.KindRolledBack
		if got.Name != b.Name || got.State != expected[b.Fault] && !late && !back {
			errs = append(errs, fmt.Errorf("%s (%q) is %s (%s): %s; want %s", b.Name, b.Fault, got.State, got.Kind, got.Text, expected[b.Fault]))
		}
		if b.StandIn == nil {
			continue
		}
		version, err := b.StandIn.Running()
		if err != nil || (version == farm.NewVersion) != (got.State == rollout.Updated || b.Fault == farm.Unwell) {
			errs = append(errs, fmt.Errorf("%s (%q) runs %s (%v), the report says %s", b.Name, b.Fault, version, err, got.State))
		}
		if n := b.StandIn.Installs(); n > 1 {
			errs = append(errs, fmt.Errorf("%s (%q) was asked to install %d times", b.Name, b.Fault, n))
		}
	}
	return errors.Join(errs...)
}

// fleet prepares docscanctl fleet.
func (m *measure) fleet(ctx context.Context, inventory string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, m.docscanctl, append([]string{"fleet", "--ssh-config", "none", "-i", inventory}, args...)...)
	cmd.Env = append(os.Environ(), "SSH_AUTH_SOCK=")
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	return cmd
}

// random gives so many bytes.
func random(n int) []byte {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{2}).Read(b) // never fails
	return b
}

// beside measures both on the same SSH servers.
func (m *measure) beside(ctx context.Context) error {
	program, err := os.ReadFile(m.new)
	if err != nil {
		return err
	}
	f, r, done, err := m.newFarm(ctx, program, func(f *farm.Farm) { f.Root, f.Count = true, true })
	if err != nil {
		return err
	}
	defer done()
	for range m.peers {
		if err := add(f, r, farm.None); err != nil {
			return err
		}
	}
	inventory, known, err := f.WriteInventory()
	if err != nil {
		return err
	}
	delta, err := os.Stat(r.Delta)
	if err != nil {
		return err
	}
	fmt.Printf("\n%d boxes, a program of %d MiB, one block in fifty of it new (a delta of %s)\n", m.peers, len(program)>>20, rollout.FormatBytes(delta.Size()))
	a := ansible{f: f, known: known, program: filepath.Join(f.Dir, "payload")}
	if err := a.prepare(); err != nil {
		return err
	}
	defer a.stop()
	theirs, err := timed(f, a.command(ctx, "good"))
	if err != nil {
		return err
	}
	file := filepath.Join(f.Dir, "with-delta")
	ours, err := timed(f, m.quiet(ctx, inventory, "update", r.New, r.Delta, "--rollout", file, "--canary", "1", "--wave", "100%", "--pause", "0", "--watch", "0"))
	if err != nil {
		return err
	}
	if p, err := rollout.Read(file); err != nil || p.Counts()[rollout.Updated] != m.peers {
		return fmt.Errorf("not all boxes are updated: %v, %v", p.Counts(), err)
	}
	fmt.Printf("%-34s %9s %14s %14s %14s\n", "", "wall, s", "laptop CPU, s", "boxes CPU, s", "sent, MiB")
	for _, row := range []struct {
		name string
		r    run
	}{{"Ansible, copy and restart", theirs}, {"docscanctl fleet, canary and delta", ours}} {
		fmt.Printf("%-34s %9.1f %14.1f %14.1f %14.1f\n", row.name, row.r.wall.Seconds(), row.r.laptop.Seconds(), row.r.boxes.Seconds(), float64(row.r.sent)/(1<<20))
	}
	fmt.Printf("docscanctl fleet / Ansible: wall %.2f, laptop CPU %.2f, boxes CPU %.2f, sent %.3f\n",
		ours.wall.Seconds()/theirs.wall.Seconds(), ours.laptop.Seconds()/theirs.laptop.Seconds(), ours.boxes.Seconds()/theirs.boxes.Seconds(), float64(ours.sent)/float64(theirs.sent))
	return m.broken(ctx, f, r, &a, inventory)
}

// broken tells what each does with a version that does not work.
func (m *measure) broken(ctx context.Context, f *farm.Farm, r *farm.Release, a *ansible, inventory string) error {
	if err := a.command(ctx, "broken").Run(); err != nil {
		fmt.Printf("broken version, Ansible: the playbook ended with %v\n", err)
	}
	fmt.Printf("broken version, Ansible: docscan runs on %d of %d boxes\n", a.running(), m.peers)
	next := filepath.Join(f.Dir, "3.0.0.bundle")
	if err := r.Publish(ctx, next, "3.0.0", "/bin/true", "#!/bin/sh\nexit 1\n"); err != nil {
		return err
	}
	for _, b := range f.Boxes {
		b.StandIn.Fault = farm.TakesBack
	}
	file := filepath.Join(f.Dir, "broken")
	cmd := m.quiet(ctx, inventory, "update", next, "--rollout", file, "--canary", "1", "--wave", "100%", "--pause", "0", "--watch", "0")
	if err := cmd.Run(); cmd.ProcessState == nil || cmd.ProcessState.ExitCode() != 7 {
		return fmt.Errorf("the broken rollout ended with %v, want 7: halted", err)
	}
	well, touched := 0, 0
	for _, b := range f.Boxes {
		if v, err := b.StandIn.Running(); err == nil && v == farm.NewVersion {
			well++
		}
		if b.StandIn.Installs() > 1 {
			touched++
		}
	}
	fmt.Printf("broken version, docscanctl fleet: halted after %d box, docscan runs on %d of %d\n", touched, well, m.peers)
	if touched != 1 || well != m.peers {
		return errors.New("a broken version went further than its canary")
	}
	return nil
}

func (m *measure) quiet(ctx context.Context, inventory string, args ...string) *exec.Cmd {
	cmd := m.fleet(ctx, inventory, args...)
	cmd.Stdout, cmd.Stderr = nil, nil
	return cmd
}

// run is what one run cost.
type run struct {
	wall, laptop, boxes time.Duration
	sent                int64
}

// timed runs a command, and takes what the boxes used meanwhile for its doing.
func timed(f *farm.Farm, cmd *exec.Cmd) (run, error) {
	var said bytes.Buffer
	if cmd.Stdout == nil {
		cmd.Stdout, cmd.Stderr = &said, &said
	}
	before := used()
	sent, _ := f.Bytes()
	began := time.Now()
	err := cmd.Run()
	r := run{wall: time.Since(began)}
	if err != nil {
		return r, fmt.Errorf("%s: %w\n%s", cmd.Path, err, said.String())
	}
	// What servers of boxes used is known once they have ended.
	ctx, stop := context.WithTimeout(context.Background(), time.Minute)
	defer stop()
	if err := box.Until(ctx, func() (bool, error) { return f.Open() == 0, nil }); err != nil {
		return r, fmt.Errorf("wait for the end of all connections: %w", err)
	}
	r.laptop = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	r.boxes = used() - before - r.laptop
	now, _ := f.Bytes()
	r.sent = now - sent
	return r, nil
}

// used is what this process and those it started have used of the processor.
func used() time.Duration {
	var total time.Duration
	for _, who := range []int{syscall.RUSAGE_SELF, syscall.RUSAGE_CHILDREN} {
		var u syscall.Rusage
		if syscall.Getrusage(who, &u) == nil {
			total += time.Duration(u.Utime.Nano() + u.Stime.Nano())
		}
	}
	return total
}

// ansible is Debian's Ansible doing what people do with it: copy the program,
// restart the service.
type ansible struct {
	f       *farm.Farm
	known   string
	program string // of the size of docscand
	dir     string
}

// A service of a box, such as it is without systemd: started by hand, with its
// number in a file.
const restart = `#!/bin/sh
[ ! -f "$1/pid" ] || kill "$(cat "$1/pid")" 2>/dev/null
"$1/service" >/dev/null 2>&1 </dev/null &
echo $! > "$1/pid"
`

func (a *ansible) prepare() error {
	a.dir = filepath.Join(a.f.Dir, "ansible")
	var hosts strings.Builder
	hosts.WriteString("[boxes]\n")
	for _, b := range a.f.Boxes {
		at := filepath.Join(b.Dir, "ansible")
		if err := os.MkdirAll(at, 0o755); err != nil {
			return err
		}
		fmt.Fprintf(&hosts, "%s ansible_host=%s at=%s\n", b.Name, b.Address, at)
	}
	fmt.Fprintf(&hosts, "[boxes:vars]\nansible_port=%d\nansible_user=root\nansible_ssh_private_key_file=%s\nansible_python_interpreter=/usr/bin/python3\n"+
		"ansible_ssh_common_args='-F none -o UserKnownHostsFile=%s -o IdentitiesOnly=yes'\n", a.f.Port, a.f.Key, a.known)
	files := map[string]string{
		"hosts":   hosts.String(),
		"restart": restart,
		"good":    "#!/bin/sh\nexec sleep 600\n",
		"broken":  "#!/bin/sh\nexit 1\n",
		"play.yml": `- hosts: boxes
  gather_facts: no
  tasks:
  - copy: {src: "{{ program }}", dest: "{{ at }}/docscand", mode: "0755"}
  - copy: {src: "{{ service }}", dest: "{{ at }}/service", mode: "0755"}
  - command: "{{ playbook_dir }}/restart {{ at }}"
`,
	}
	if err := os.MkdirAll(a.dir, 0o755); err != nil {
		return err
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(a.dir, name), []byte(text), 0o755); err != nil {
			return err
		}
	}
	return nil
}

func (a *ansible) command(ctx context.Context, service string) *exec.Cmd {
	program := a.program
	if service == "broken" {
		program = filepath.Join(a.dir, "broken") // its size does not matter here
	}
	vars, _ := json.Marshal(map[string]string{"program": program, "service": filepath.Join(a.dir, service)})
	cmd := exec.CommandContext(ctx, "ansible-playbook", "-i", filepath.Join(a.dir, "hosts"), "-e", string(vars), filepath.Join(a.dir, "play.yml"))
	cmd.Env = append(os.Environ(), "HOME="+a.dir, "ANSIBLE_FORKS=50", "ANSIBLE_PIPELINING=True", "ANSIBLE_SSH_ARGS=-C -o ControlMaster=auto -o ControlPersist=10s", "ANSIBLE_LOCALHOST_WARNING=False", "LC_ALL=C.UTF-8", "SSH_AUTH_SOCK=")
	return cmd
}

// pids gives the services of the boxes.
func (a *ansible) pids() (list []int) {
	for _, b := range a.f.Boxes {
		text, err := os.ReadFile(filepath.Join(b.Dir, "ansible", "pid"))
		if err != nil {
			continue
		}
		var pid int
		if _, err := fmt.Sscan(string(text), &pid); err == nil {
			list = append(list, pid)
		}
	}
	return list
}

// stop ends the services.
func (a *ansible) stop() {
	for _, pid := range a.pids() {
		_ = syscall.Kill(pid, syscall.SIGTERM) // it may have ended
	}
}

// running counts the boxes whose service lives.
func (a *ansible) running() (n int) {
	time.Sleep(time.Second)
	for _, pid := range a.pids() {
		if syscall.Kill(pid, 0) == nil {
			n++
		}
	}
	return n
}
