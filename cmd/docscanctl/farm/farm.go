//go:build linux

// Package farm puts many boxes on one machine, each at an address of its own
// below 127.0.0.0/8 and behind a real OpenSSH server of Debian, as a fleet finds
// them in branch offices: with accounts and keys as "docscanctl receive setup"
// makes them, and with every kind of trouble on some of them.
//
// The files of the system that accounts and sshd need are those of the farm, in
// a mount namespace; nothing of this machine is changed.
package farm

import (
	"bytes"
	"context"
	"crypto/ed25519"
	crand "crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/crypto/ssh"

	"docscan/cmd/docscand/box"
	"docscan/packaging/fleet/account"
)

// A Fault is what is wrong with a box.
type Fault string

// The faults, each of which a rollout has to live with.
const (
	None       Fault = ""
	Silent     Fault = "silent"       // it takes the connection and says nothing
	Refusing   Fault = "refusing"     // nobody listens
	Slow       Fault = "slow"         // 1 kB/s
	Dropping   Fault = "dropping"     // the first connections break in the middle
	Full       Fault = "full"         // no room on its disk
	OtherArch  Fault = "architecture" // another kind of machine
	WrongClock Fault = "clock"        // years behind
	TooOld     Fault = "too-old"      // older than what the update can come from
	NewHostKey Fault = "host-key"     // not the one that is pinned
	NoEntry    Fault = "no-entry"     // it does not know the key
	NeverBack  Fault = "never-back"   // installs and answers no more
	TakesBack  Fault = "takes-back"   // the version does not prove itself
	Unwell     Fault = "unwell"       // commits and is not well
)

// A Box is one address with its SSH server.
type Box struct {
	Name, Address string
	Dir           string
	Fault         Fault
	StandIn       *StandIn // nil: something else is at its socket

	farm    *Farm
	socket  string // of its docscand
	config  string // of sshd
	hostKey ssh.PublicKey
	l       net.Listener
	drops   int // connections that still break
	mu      sync.Mutex
}

// Farm is all of them.
type Farm struct {
	Dir     string
	Port    int
	Key     string // private key file that boxes know
	Program string // docscanctl
	Boxes   []*Box
	// Root lets the key in as root too, with a shell, for programs that need it.
	Root bool
	// Count makes lines count what goes over them.
	Count bool

	toBoxes, fromBoxes atomic.Int64 // bytes
	open               atomic.Int64 // connections
	docscands          []*box.Box
	root               string
	holder             *exec.Cmd // keeps the namespace
	log                *slog.Logger
	wg                 sync.WaitGroup
	ctx                context.Context
	stop               context.CancelFunc
}

// New prepares a farm below dir. docscanctl is the program that its boxes run.
func New(ctx context.Context, dir, docscanctl string, log *slog.Logger) (*Farm, error) {
	f := &Farm{Dir: dir, Program: docscanctl, Key: filepath.Join(dir, "id_ed25519"), root: filepath.Join(dir, "root"), log: log}
	f.ctx, f.stop = context.WithCancel(ctx)
	public, err := writeKey(f.Key, "operator@laptop")
	if err != nil {
		return nil, err
	}
	// The files of this machine, to which setup adds the accounts.
	for _, name := range []string{"etc/passwd", "etc/group", "etc/shadow", "etc/gshadow", "etc/login.defs"} {
		text, err := os.ReadFile("/" + name)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, err
		}
		if err := writeFile(filepath.Join(f.root, name), text, 0o644); err != nil {
			return nil, err
		}
	}
	if err := writeFile(filepath.Join(f.root, "etc/ssh/sshd_config"), []byte("Include /etc/ssh/sshd_config.d/*.conf\n"), 0o644); err != nil {
		return nil, err
	}
	// There is no journal on this machine that any of the boxes wrote.
	if err := os.MkdirAll(filepath.Join(f.root, "usr/bin"), 0o755); err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(f.root, "usr/bin/journalctl"), []byte(journal), 0o755); err != nil {
		return nil, err
	}
	if err := os.MkdirAll("/run/sshd", 0o755); err != nil { // as sshd's service does
		return nil, err
	}
	line := []byte(strings.TrimSpace(string(ssh.MarshalAuthorizedKey(public))) + " operator@laptop\n")
	system := account.Box{Root: f.root, Program: docscanctl}
	for _, g := range []account.Grant{{Keys: line}, {Keys: line, Allow: []string{"audit", "config", "logs", "run"}}} {
		if _, err := system.Let(ctx, g); err != nil {
			return nil, err
		}
	}
	if err := writeFile(filepath.Join(dir, "authorized_keys"), line, 0o644); err != nil {
		return nil, err
	}
	if f.Port, err = freePort(); err != nil {
		return nil, err
	}
	return f, f.hold()
}

// journal is the journalctl of the boxes: it says as whom it reads what, then lines
// as a log has them.
const journal = `#!/bin/sh
echo "$(id -un): $*"
printf '2026-01-01T00:00:00+0100 box docscand[7]: level=INFO msg="batch closed"\n'
printf 'caf\303\251 \377 \033[31mred\n'
`

// Let lets more keys into all boxes.
func (f *Farm) Let(ctx context.Context, g account.Grant) error {
	_, err := account.Box{Root: f.root, Program: f.Program}.Let(ctx, g)
	return err
}

// Certify gives the box a host certificate of an authority.
func (b *Box) Certify(authority string) error {
	key := filepath.Join(b.Dir, "host_key")
	if out, err := exec.Command("ssh-keygen", "-q", "-s", authority, "-I", b.Name, "-h", "-n", b.Address, key+".pub").CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	text, err := os.ReadFile(b.config)
	if err != nil {
		return err
	}
	return writeFile(b.config, append([]byte("HostCertificate "+key+"-cert.pub\n"), text...), 0o644)
}

// hold makes the mount namespace in which the accounts are there.
func (f *Farm) hold() error {
	var script strings.Builder
	script.WriteString("set -e\n")
	for _, name := range []string{"etc/passwd", "etc/group", "etc/shadow", "etc/ssh", "usr/bin/journalctl"} {
		fmt.Fprintf(&script, "mount --bind '%s' '/%s'\n", filepath.Join(f.root, name), name)
	}
	script.WriteString("echo ready\nexec cat >/dev/null\n")
	f.holder = exec.Command("unshare", "--mount", "sh", "-c", script.String())
	in, err := f.holder.StdinPipe() // its end ends the namespace
	if err != nil {
		return err
	}
	out, err := f.holder.StdoutPipe()
	if err != nil {
		return err
	}
	var said bytes.Buffer
	f.holder.Stderr = &said
	if err := f.holder.Start(); err != nil {
		return fmt.Errorf("make a namespace: %w", err)
	}
	_ = in // held open by the process
	b := make([]byte, 6)
	if _, err := io.ReadFull(out, b); err != nil {
		err = errors.Join(err, f.holder.Wait()) // until then it may still say something
		return fmt.Errorf("make a namespace: %w: %s", err, said.String())
	}
	return nil
}

// Inside gives the command line with which a program runs where the accounts of
// the farm are.
func (f *Farm) Inside() []string {
	return []string{"nsenter", "--target", fmt.Sprint(f.holder.Process.Pid), "--mount", "--wd=" + f.Dir, "--"}
}

// Close ends all.
func (f *Farm) Close() error {
	f.stop()
	for _, b := range f.Boxes {
		if b.l != nil {
			b.l.Close()
		}
		if b.StandIn != nil {
			b.StandIn.close()
		}
	}
	f.wg.Wait()
	var err error
	for _, d := range f.docscands {
		err = errors.Join(err, d.Stop())
	}
	if err != nil {
		return err
	}
	if err := f.holder.Process.Kill(); err != nil {
		return err
	}
	_ = f.holder.Wait() // killed
	return nil
}

// Add puts a box into the farm, with a stand-in for its docscand unless that is
// nil. A stand-in that has a template begins with the slots that are in it.
func (f *Farm) Add(fault Fault, s *StandIn, template string) (*Box, error) {
	return f.add(fault, s, template, "docscand.sock")
}

// add is Add with the name of the local socket in the box's directory.
func (f *Farm) add(fault Fault, s *StandIn, template, socket string) (*Box, error) {
	n := len(f.Boxes)
	b := &Box{
		Name: fmt.Sprintf("box-%04d", n+1), Address: fmt.Sprintf("127.9.%d.%d", n/250, n%250+1), Fault: fault, farm: f, StandIn: s,
		drops: 3,
	}
	b.Dir = filepath.Join(f.Dir, "boxes", b.Name)
	b.socket = filepath.Join(b.Dir, socket)
	if err := os.MkdirAll(b.Dir, 0o755); err != nil {
		return nil, err
	}
	if err := b.configure(); err != nil {
		return nil, err
	}
	if s != nil {
		if template != "" {
			if out, err := exec.Command("cp", "-a", template, filepath.Join(b.Dir, "slots")).CombinedOutput(); err != nil {
				return nil, fmt.Errorf("%w: %s", err, out)
			}
		}
		s.Fault = fault
		if err := newStandIn(b.Dir, s); err != nil {
			return nil, err
		}
	}
	if fault != Refusing {
		var err error
		if b.l, err = net.Listen("tcp", fmt.Sprintf("%s:%d", b.Address, f.Port)); err != nil {
			return nil, err
		}
		f.wg.Go(b.serve)
	}
	f.Boxes = append(f.Boxes, b)
	return b, nil
}

// sed changes what an old or strange box says of itself on its way out.
var sed = map[Fault]string{
	OtherArch:  `s/"architecture":"[a-z0-9]*"/"architecture":"mips64le"/`,
	WrongClock: `s/"time":"20[0-9][0-9]-/"time":"2001-/`,
}

// configure writes what sshd of the box reads.
func (b *Box) configure() error {
	key := filepath.Join(b.Dir, "host_key")
	var err error
	if b.hostKey, err = writeKey(key, b.Name); err != nil {
		return err
	}
	var text strings.Builder
	fmt.Fprintf(&text, "HostKey %s\nUsePAM no\nLogLevel VERBOSE\nPidFile none\nUseDNS no\nSetEnv DOCSCAN_SOCKET=%s\nSubsystem sftp internal-sftp\n", key, b.socket)
	if program, ok := sed[b.Fault]; ok {
		fmt.Fprintf(&text, "ForceCommand %s receive | sed -u '%s'\n", b.farm.Program, program)
	}
	if b.farm.Root {
		fmt.Fprintf(&text, "PermitRootLogin prohibit-password\nStrictModes no\nAuthorizedKeysFile %s\n", filepath.Join(b.farm.Dir, "authorized_keys"))
	}
	if b.Fault != NoEntry {
		text.WriteString("Include /etc/ssh/sshd_config.d/*.conf\n")
	}
	b.config = filepath.Join(b.Dir, "sshd_config")
	return writeFile(b.config, []byte(text.String()), 0o644)
}

// KnownHosts are the lines by which a laptop knows the box.
func (b *Box) KnownHosts() (string, error) {
	key := b.hostKey
	if b.Fault == NewHostKey {
		public, _, err := ed25519.GenerateKey(crand.Reader)
		if err != nil {
			return "", err
		}
		if key, err = ssh.NewPublicKey(public); err != nil {
			return "", err
		}
	}
	return fmt.Sprintf("[%s]:%d %s", b.Address, b.farm.Port, ssh.MarshalAuthorizedKey(key)), nil
}

// serve takes connections and starts a server for each, as inetd does.
func (b *Box) serve() {
	for {
		c, err := b.l.Accept()
		if err != nil {
			return
		}
		b.farm.wg.Go(func() {
			defer c.Close()
			b.farm.open.Add(1)
			defer b.farm.open.Add(-1)
			if err := b.connection(c.(*net.TCPConn)); err != nil && b.farm.ctx.Err() == nil {
				b.farm.log.Debug("connection", "box", b.Name, "err", err)
			}
		})
	}
}

func (b *Box) connection(c *net.TCPConn) error {
	switch b.Fault {
	case Silent:
		stop := context.AfterFunc(b.farm.ctx, func() { c.Close() })
		defer stop()
		_, err := io.Copy(io.Discard, c)
		return err
	case Slow:
		return b.through(c, 1000, 0)
	case Dropping:
		b.mu.Lock()
		b.drops--
		drop := b.drops >= 0
		b.mu.Unlock()
		if drop {
			return b.through(c, 0, dropAfter)
		}
	}
	if b.farm.Count {
		return b.through(c, 0, 0)
	}
	f, err := c.File()
	if err != nil {
		return err
	}
	defer f.Close()
	c.Close() // the file has it
	return b.sshd(f)
}

// dropAfter is after how many bytes to a box its line breaks.
const dropAfter = 10 << 10

// sshd serves one connection.
func (b *Box) sshd(f *os.File) error {
	args := append(b.farm.Inside(), "/usr/sbin/sshd", "-i", "-e", "-f", b.config)
	cmd := exec.CommandContext(b.farm.ctx, args[0], args[1:]...)
	cmd.Stdin, cmd.Stdout = f, f
	// A session of its own, so that all of it can be ended.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	var said bytes.Buffer
	cmd.Stderr = &said
	cmd.WaitDelay = time.Second
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("sshd: %w: %s", err, bytes.TrimSpace(said.Bytes()))
	}
	return nil
}

// through serves one connection over a line with so many bytes a second in each
// direction, 0 for no bound, that breaks after so many to the box, 0 for never.
func (b *Box) through(c net.Conn, bytesASecond int, drop int64) error {
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	far := os.NewFile(uintptr(fds[0]), "sshd")
	defer far.Close()
	near := os.NewFile(uintptr(fds[1]), "line")
	pair, err := net.FileConn(near)
	near.Close()
	if err != nil {
		return err
	}
	defer pair.Close()
	end := func() { c.Close(); pair.Close() }
	stop := context.AfterFunc(b.farm.ctx, end)
	defer stop()
	b.farm.wg.Go(func() {
		defer end()
		from := io.Reader(c)
		if drop > 0 {
			from = io.LimitReader(c, drop)
		}
		_, _ = io.Copy(line{pair, bytesASecond, &b.farm.toBoxes}, from) // its end is the line's
	})
	b.farm.wg.Go(func() {
		defer end()
		_, _ = io.Copy(line{c, bytesASecond, &b.farm.fromBoxes}, pair) // the same
	})
	return b.sshd(far)
}

// line is a thin one.
type line struct {
	w     io.Writer
	speed int
	count *atomic.Int64
}

func (l line) Write(p []byte) (n int, err error) {
	l.count.Add(int64(len(p)))
	if l.speed == 0 {
		return l.w.Write(p)
	}
	const step = 50 * time.Millisecond
	for len(p) > 0 {
		part := p[:min(len(p), max(l.speed/20, 1))]
		k, err := l.w.Write(part)
		if n += k; err != nil {
			return n, err
		}
		time.Sleep(step)
		p = p[len(part):]
	}
	return n, nil
}

// Bytes is how many went over lines that count, to the boxes and back.
func (f *Farm) Bytes() (to, from int64) { return f.toBoxes.Load(), f.fromBoxes.Load() }

// Open is how many connections to boxes there are.
func (f *Farm) Open() int64 { return f.open.Load() }

// WriteInventory writes the inventory of the boxes and their host keys, and
// gives the names of both files.
func (f *Farm) WriteInventory() (inventory, known string, err error) {
	inventory, known = filepath.Join(f.Dir, "fleet.toml"), filepath.Join(f.Dir, "known_hosts")
	var list, keys strings.Builder
	fmt.Fprintf(&list, "[defaults]\nport = %d\nkey = %q\nknown_hosts = %q\n", f.Port, f.Key, known)
	for _, b := range f.Boxes {
		fmt.Fprintf(&list, "\n[hosts.%s]\naddress = %q\n", b.Name, b.Address)
		if b.Fault != None {
			fmt.Fprintf(&list, "tags = [%q]\n", b.Fault)
		}
		k, err := b.KnownHosts()
		if err != nil {
			return "", "", err
		}
		keys.WriteString(k)
	}
	return inventory, known, errors.Join(writeFile(inventory, []byte(list.String()), 0o600), writeFile(known, []byte(keys.String()), 0o600))
}

// writeKey makes a key pair.
func writeKey(name, comment string) (ssh.PublicKey, error) {
	public, private, err := ed25519.GenerateKey(crand.Reader)
	if err != nil {
		return nil, err
	}
	block, err := ssh.MarshalPrivateKey(private, comment)
	if err != nil {
		return nil, err
	}
	if err := writeFile(name, pem.EncodeToMemory(block), 0o600); err != nil {
		return nil, err
	}
	key, err := ssh.NewPublicKey(public)
	if err != nil {
		return nil, err
	}
	return key, writeFile(name+".pub", ssh.MarshalAuthorizedKey(key), 0o644)
}

func writeFile(name string, content []byte, mode os.FileMode) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	return os.WriteFile(name, content, mode)
}

// freePort gives a port that is free at all addresses of the farm. It is below those
// that the system gives away (ip(7), ip_local_port_range), so that nobody gets it by
// chance before the boxes listen there.
func freePort() (port int, err error) {
	const first, last, tries = 10000, 32000, 50
	for range tries {
		port = first + rand.IntN(last-first)
		var l net.Listener
		if l, err = net.Listen("tcp", fmt.Sprintf("0.0.0.0:%d", port)); err == nil {
			return port, l.Close()
		}
	}
	return 0, err
}
