// Package reach connects to boxes over SSH as OpenSSH would: with ssh-agent, key
// files and certificates, through jump hosts, as ~/.ssh/config says.
//
// Host keys are pinned: a box is spoken with only if known_hosts has its key or
// the authority that signed it. Nothing is ever asked of the person meanwhile,
// neither a password nor whether a key is right. Why a box cannot be reached is
// an [Error] whose [Kind] says what that means for work on many.
package reach

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

	skeema "github.com/skeema/knownhosts"

	"docscan/packaging/fleet/inventory"
	"docscan/packaging/fleet/receive"
)

// A Kind is what keeps a box from being reached.
type Kind string

// The kinds.
const (
	Off        Kind = "off"         // it does not answer, or the line broke: later
	KeyChanged Kind = "key-changed" // its host key is not the one that is known
	KeyUnknown Kind = "key-unknown" // no host key of it is known
	Denied     Kind = "denied"      // it does not let the keys here in
	NotBox     Kind = "not-a-box"   // the account does not lead to docscan
	Local      Kind = "local"       // something is wrong on this machine
)

// An Error says why a box is not reached, and what to do.
type Error struct {
	Kind Kind
	Err  error
}

func (e *Error) Error() string { return e.Err.Error() }
func (e *Error) Unwrap() error { return e.Err }

func fail(kind Kind, format string, args ...any) error {
	return &Error{kind, fmt.Errorf(format, args...)}
}

// KindOf gives the kind of an error; what has none is a line that broke.
func KindOf(err error) Kind {
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return Off
}

// Options say where things are on this machine. The zero value is what OpenSSH
// does.
type Options struct {
	Home       string   // of the person; empty: as the system says
	Config     string   // ssh_config; empty: ~/.ssh/config; "none": none
	KnownHosts []string // empty: what ssh_config says, else ~/.ssh/known_hosts
	Agent      string   // socket of ssh-agent; empty: none
	// Connect bounds the time until a box answers, Stall how long a connection may
	// stand still.
	Connect, Stall time.Duration
}

// Bounds that hold if Options name none.
const (
	defaultConnect = 20 * time.Second
	defaultStall   = 2 * time.Minute
)

// A Dialer connects to boxes. Its methods may be called concurrently.
type Dialer struct {
	o      Options
	config configs
	keys   keyring

	mu    sync.Mutex
	known map[string]*skeema.HostKeyDB // by the names of the files
	hops  map[string]*hop
}

// New reads what is on this machine.
func New(o Options) (*Dialer, error) {
	if o.Home == "" {
		var err error
		if o.Home, err = os.UserHomeDir(); err != nil {
			return nil, fmt.Errorf("find your home directory: %w", err)
		}
	}
	o.Connect, o.Stall = cmp.Or(o.Connect, defaultConnect), cmp.Or(o.Stall, defaultStall)
	d := &Dialer{o: o, known: make(map[string]*skeema.HostKeyDB), hops: make(map[string]*hop)}
	d.keys = keyring{home: o.Home, agent: o.Agent, files: make(map[string]fileKey)}
	var err error
	d.config, err = readConfigs(o)
	return d, err
}

// Close ends the connections to jump hosts.
func (d *Dialer) Close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, h := range d.hops {
		h.close()
	}
}

// A Conn is a connection to a box. Close ends it.
type Conn struct {
	*receive.Conn
	client *ssh.Client
	meter  *meter
	said   *tail
}

// Close hangs up.
func (c *Conn) Close() error {
	c.meter.end()
	return c.client.Close()
}

// Bytes is how many went over the line to the box and back, SSH included.
func (c *Conn) Bytes() (sent, received int64) {
	return c.meter.sent.Load(), c.meter.received.Load()
}

// Dial connects to a box as that user and greets it. The connection ends with
// ctx.
func (d *Dialer) Dial(ctx context.Context, h inventory.Host, user string) (*Conn, error) {
	client, m, err := d.client(ctx, h, user)
	if err != nil {
		return nil, err
	}
	c := &Conn{client: client, meter: m, said: &tail{}}
	if c.Conn, err = d.greet(c); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

// remoteCommand is what a login asks for. A key that is bound to a command gets
// that; for root it opens what there is.
var remoteCommand = "docscanctl receive --allow " + receive.Allowances.String()

// greet begins to speak with what sshd starts.
func (d *Dialer) greet(c *Conn) (*receive.Conn, error) {
	s, err := c.client.NewSession()
	if err != nil {
		return nil, fail(Denied, "the box opens no session: %w", err)
	}
	in, err := s.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := s.StdoutPipe()
	if err != nil {
		return nil, err
	}
	s.Stderr = c.said
	if err := s.Start(remoteCommand); err != nil {
		return nil, fail(NotBox, "start docscanctl receive: %w", err)
	}
	conn, err := receive.NewConn(out, in)
	if errors.Is(err, receive.ErrNotBox) && c.meter.broken() == nil {
		if said := c.said.String(); said != "" {
			return nil, fail(NotBox, "%w: it says %.200q", err, said)
		}
		return nil, fail(NotBox, "%w", err)
	}
	if errors.Is(err, receive.ErrFormat) {
		return nil, fail(NotBox, "%w", err)
	}
	if err != nil {
		return nil, fail(Off, "%w", err)
	}
	return conn, nil
}

// client connects to the SSH server of a box.
func (d *Dialer) client(ctx context.Context, h inventory.Host, user string) (*ssh.Client, *meter, error) {
	t, err := d.target(h.Name, h.Settings)
	if err != nil {
		return nil, nil, err
	}
	t.user = user
	return d.connect(ctx, t, 0)
}

// target is a host with all that is known of how it is reached.
type target struct {
	host, port string
	alias      string // under which its host key is known
	user       string
	jump       string
	keyFiles   []string
	certFiles  []string
	only       bool // no other keys of the agent
	known      []string
}

func (t target) address() string { return net.JoinHostPort(t.host, t.port) }

// target finds out how the host of that name is reached: the inventory goes
// before ssh_config.
func (d *Dialer) target(name string, s inventory.Settings) (target, error) {
	c := d.config.of(name)
	if c.err != nil {
		return target{}, &Error{Local, c.err}
	}
	t := target{
		host: cmp.Or(s.Address, strings.ReplaceAll(c.get("HostName"), "%h", name), name),
		port: c.get("Port"), alias: c.get("HostKeyAlias"), user: c.get("User"),
		jump: cmp.Or(s.Jump, c.get("ProxyJump")), keyFiles: c.all("IdentityFile"), certFiles: c.all("CertificateFile"),
		only: strings.EqualFold(c.get("IdentitiesOnly"), "yes"),
	}
	if s.Port != 0 {
		t.port = strconv.Itoa(s.Port)
	}
	t.port = cmp.Or(t.port, "22")
	t.alias = cmp.Or(t.alias, t.host)
	if s.Key != "" {
		t.keyFiles, t.only = []string{s.Key}, true
	}
	switch {
	case s.KnownHosts != "":
		t.known = []string{s.KnownHosts}
	case len(d.o.KnownHosts) > 0:
		t.known = d.o.KnownHosts
	default:
		if t.known = strings.Fields(c.get("UserKnownHostsFile")); len(t.known) == 0 {
			t.known = []string{"~/.ssh/known_hosts", "~/.ssh/known_hosts2"}
		}
		t.known = append(t.known, "/etc/ssh/ssh_known_hosts")
	}
	if command := c.get("ProxyCommand"); command != "" && !strings.EqualFold(command, "none") && t.jump == "" {
		return t, fail(Local, "ssh_config has a ProxyCommand for %s, which is not supported; use ProxyJump, or jump in the inventory", name)
	}
	if strings.EqualFold(t.jump, "none") {
		t.jump = ""
	}
	return t, nil
}

// maxHops bounds how many jump hosts lie in a row.
const maxHops = 8

// connect connects to a host, through its jump hosts.
func (d *Dialer) connect(ctx context.Context, t target, depth int) (*ssh.Client, *meter, error) {
	if depth > maxHops {
		return nil, nil, fail(Local, "jump hosts lead to each other")
	}
	known, err := d.knownHosts(t.known)
	if err != nil {
		return nil, nil, fail(Local, "read the known host keys: %w", err)
	}
	signers, done, err := d.keys.signers(t)
	if err != nil {
		return nil, nil, err
	}
	defer done()
	ctx, stop := context.WithTimeoutCause(ctx, d.o.Connect, fmt.Errorf("no answer within %v", d.o.Connect))
	defer stop()
	raw, err := d.raw(ctx, t, depth)
	if err != nil {
		return nil, nil, err
	}
	m := newMeter(raw, d.o.Stall)
	var hostKey error
	alias := net.JoinHostPort(t.alias, t.port)
	config := &ssh.ClientConfig{
		User: t.user,
		Auth: []ssh.AuthMethod{ssh.PublicKeysCallback(signers)},
		HostKeyCallback: func(_ string, remote net.Addr, key ssh.PublicKey) error {
			hostKey = checkHostKey(known, alias, remote, key)
			return hostKey
		},
		ClientVersion: "SSH-2.0-docscanctl",
	}
	if known != nil {
		config.HostKeyAlgorithms = known.HostKeyAlgorithms(alias)
	}
	hangUp := context.AfterFunc(ctx, func() { m.Close() })
	conn, channels, requests, err := ssh.NewClientConn(m, alias, config)
	if !hangUp() && err == nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		m.end()
		m.Close()
		return nil, nil, handshakeError(ctx, t, err, hostKey, len(config.HostKeyAlgorithms) > 0)
	}
	client := ssh.NewClient(conn, channels, requests)
	m.watch(client)
	return client, m, nil
}

// raw opens the connection below SSH.
func (d *Dialer) raw(ctx context.Context, t target, depth int) (net.Conn, error) {
	if t.jump == "" {
		c, err := (&net.Dialer{}).DialContext(ctx, "tcp", t.address())
		if err != nil {
			if ctx.Err() != nil {
				err = context.Cause(ctx)
			}
			return nil, fail(Off, "%w", err)
		}
		if tcp, ok := c.(*net.TCPConn); ok {
			// What lies in the buffer of the system counts as sent. On a thin line
			// little may, or standing still could not be told from being slow.
			_ = tcp.SetWriteBuffer(sendBuffer) // it is a wish
		}
		return c, nil
	}
	jumps := strings.Split(t.jump, ",")
	last := strings.TrimSpace(jumps[len(jumps)-1])
	h, err := d.hop(ctx, last, strings.Join(jumps[:len(jumps)-1], ","), depth)
	if err != nil {
		return nil, fmt.Errorf("jump host %s: %w", last, err)
	}
	c, err := h.DialContext(ctx, "tcp", t.address())
	if err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return nil, fail(Off, "from jump host %s: %w", last, err)
	}
	return c, nil
}

const sendBuffer = 64 << 10 // bytes

// hop is a jump host, which all that lies behind it share.
type hop struct {
	mu     sync.Mutex
	client *ssh.Client
}

func (h *hop) close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.client != nil {
		h.client.Close()
		h.client = nil
	}
}

// hop connects to a jump host, once for all.
func (d *Dialer) hop(ctx context.Context, place, before string, depth int) (*ssh.Client, error) {
	key := before + "," + place
	d.mu.Lock()
	h := d.hops[key]
	if h == nil {
		h = &hop{}
		d.hops[key] = h
	}
	d.mu.Unlock()
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.client != nil {
		return h.client, nil
	}
	who, where, ok := strings.Cut(place, "@")
	if !ok {
		who, where = "", place
	}
	host, port, err := net.SplitHostPort(where)
	if err != nil {
		host, port = where, ""
	}
	n, err := strconv.Atoi(cmp.Or(port, "0"))
	if err != nil || host == "" {
		return nil, fail(Local, "%q is no jump host: write USER@HOST:PORT", place)
	}
	t, err := d.target(host, inventory.Settings{Port: n, Jump: before})
	if err != nil {
		return nil, err
	}
	if t.user = cmp.Or(who, t.user); t.user == "" {
		u, err := user.Current()
		if err != nil {
			return nil, fail(Local, "find your user name: %w", err)
		}
		t.user = filepath.Base(strings.ReplaceAll(u.Username, `\`, "/"))
	}
	// It outlives whoever needs it first.
	h.client, _, err = d.connect(context.WithoutCancel(ctx), t, depth+1)
	if err == nil {
		go func(c *ssh.Client) { // ends with the connection
			_ = c.Wait()
			h.mu.Lock()
			defer h.mu.Unlock()
			if h.client == c {
				h.client = nil
			}
		}(h.client)
	}
	return h.client, err
}

// knownHosts reads those of the files that are there; nil if none is.
func (d *Dialer) knownHosts(files []string) (*skeema.HostKeyDB, error) {
	key := strings.Join(files, "\n")
	d.mu.Lock()
	defer d.mu.Unlock()
	if db, ok := d.known[key]; ok {
		return db, nil
	}
	var there []string
	for _, f := range files {
		f = d.o.expand(f)
		if _, err := os.Stat(f); err == nil {
			there = append(there, f)
		}
	}
	var db *skeema.HostKeyDB
	if len(there) > 0 {
		var err error
		if db, err = skeema.NewDB(there...); err != nil {
			return nil, err
		}
	}
	d.known[key] = db
	return db, nil
}

// expand makes ~ the home directory.
func (o Options) expand(name string) string {
	if rest, ok := strings.CutPrefix(name, "~"); ok && (rest == "" || rest[0] == '/' || rest[0] == filepath.Separator) {
		return filepath.Join(o.Home, rest)
	}
	return name
}

// errUnknownKey says that nothing is known of a box.
var errUnknownKey = errors.New("no host key is known")

func checkHostKey(known *skeema.HostKeyDB, alias string, remote net.Addr, key ssh.PublicKey) error {
	if known == nil {
		return errUnknownKey
	}
	err := known.HostKeyCallback()(alias, remote, key)
	if err != nil && skeema.IsHostUnknown(err) {
		return errUnknownKey
	}
	return err
}

// handshakeError says what a handshake that failed means.
func handshakeError(ctx context.Context, t target, err, hostKey error, known bool) error {
	var algorithms *ssh.AlgorithmNegotiationError
	var key *knownhosts.KeyError
	switch {
	case errors.Is(hostKey, errUnknownKey):
		return fail(KeyUnknown, "no host key is known for %s: pin it with \"docscanctl fleet pin\", or use host certificates", t.alias)
	case errors.As(hostKey, &key):
		where, file := "", ""
		if len(key.Want) > 0 {
			file = " -f " + key.Want[0].Filename
			where = fmt.Sprintf(" in %s, line %d", key.Want[0].Filename, key.Want[0].Line)
		}
		return fail(KeyChanged, "the host key of %s is not the one that is pinned%s. Either the box was set up anew, or somebody sits in between. Find out before anything else; if it is right, remove the old key: ssh-keygen -R '%s'%s", t.alias, where, knownhosts.Normalize(net.JoinHostPort(t.alias, t.port)), file)
	case hostKey != nil:
		return fail(KeyChanged, "the host key of %s is not accepted: %w", t.alias, hostKey)
	case errors.As(err, &algorithms) && known:
		return fail(KeyChanged, "%s has no host key of the kind that is pinned: %w. Either the box was set up anew, or somebody sits in between", t.alias, err)
	case ctx.Err() != nil:
		return fail(Off, "%w", context.Cause(ctx))
	case strings.Contains(err.Error(), "unable to authenticate"):
		return fail(Denied, "%s does not let %s in with the keys here. Is the key set up on the box? With certificates: is it still valid, and the clock of the box right?", t.alias, t.user)
	}
	return fail(Off, "%w", err)
}

// meter counts what goes over a connection, and ends it when it stands still.
type meter struct {
	net.Conn
	stall          time.Duration
	sent, received atomic.Int64
	timer          *time.Timer
	stop           chan struct{}
	once           sync.Once
	err            atomic.Pointer[error]
}

func newMeter(c net.Conn, stall time.Duration) *meter {
	m := &meter{Conn: c, stall: stall, stop: make(chan struct{})}
	m.timer = time.AfterFunc(stall, func() {
		err := fmt.Errorf("the line stood still for %v", stall)
		m.err.Store(&err)
		m.Conn.Close()
	})
	return m
}

func (m *meter) Read(p []byte) (int, error) {
	n, err := m.Conn.Read(p)
	if n > 0 {
		m.received.Add(int64(n))
		m.timer.Reset(m.stall)
	}
	return n, m.note(err)
}

func (m *meter) Write(p []byte) (int, error) {
	n, err := m.Conn.Write(p)
	if n > 0 {
		m.sent.Add(int64(n))
		m.timer.Reset(m.stall)
	}
	return n, m.note(err)
}

// note keeps why the connection broke.
func (m *meter) note(err error) error {
	if e := m.err.Load(); e != nil && err != nil {
		return *e
	}
	if err != nil && !errors.Is(err, io.EOF) {
		m.err.CompareAndSwap(nil, &err)
	}
	return err
}

// broken gives why the connection broke, nil if it did not.
func (m *meter) broken() error {
	if e := m.err.Load(); e != nil {
		return *e
	}
	return nil
}

func (m *meter) end() {
	m.once.Do(func() { close(m.stop) })
	m.timer.Stop()
}

// watch asks the other end from time to time whether it is there, so that a long
// piece of work there is no standstill.
func (m *meter) watch(c *ssh.Client) {
	go func() { // ends with m.end or the connection
		t := time.NewTicker(m.stall / 4)
		defer t.Stop()
		for {
			select {
			case <-m.stop:
				return
			case <-t.C:
				if _, _, err := c.SendRequest("keepalive@openssh.com", true, nil); err != nil {
					return
				}
			}
		}
	}()
}

// tail keeps the beginning of what a box says on standard error.
type tail struct {
	mu  sync.Mutex
	buf []byte
}

const maxTail = 2 << 10 // bytes

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf = append(t.buf, p[:min(len(p), maxTail-len(t.buf))]...)
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.TrimSpace(strings.ToValidUTF8(string(t.buf), "?"))
}

// errSeen ends a handshake that was only to show a host key.
var errSeen = errors.New("the host key was seen")

// HostKey asks a box for its host key, which proves nothing: a person has to
// compare it. alias is under which name it is to be pinned, and file in which
// file. If a key is known already, ok says whether it is the same one.
func (d *Dialer) HostKey(ctx context.Context, h inventory.Host) (key ssh.PublicKey, alias, file string, state KeyState, err error) {
	t, err := d.target(h.Name, h.Settings)
	if err != nil {
		return nil, "", "", 0, err
	}
	known, err := d.knownHosts(t.known)
	if err != nil {
		return nil, "", "", 0, fail(Local, "read the known host keys: %w", err)
	}
	ctx, stop := context.WithTimeoutCause(ctx, d.o.Connect, fmt.Errorf("no answer within %v", d.o.Connect))
	defer stop()
	raw, err := d.raw(ctx, t, 0)
	if err != nil {
		return nil, "", "", 0, err
	}
	defer raw.Close()
	hangUp := context.AfterFunc(ctx, func() { raw.Close() })
	defer hangUp()
	alias = net.JoinHostPort(t.alias, t.port)
	_, _, _, err = ssh.NewClientConn(raw, alias, &ssh.ClientConfig{
		User:          h.Name,
		ClientVersion: "SSH-2.0-docscanctl",
		HostKeyCallback: func(_ string, remote net.Addr, k ssh.PublicKey) error {
			key = k
			switch err := checkHostKey(known, alias, remote, k); {
			case err == nil:
				state = KeyPinned
			case errors.Is(err, errUnknownKey):
				state = KeyNew
			default:
				state = KeyOther
			}
			return errSeen
		},
	})
	if key == nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return nil, "", "", 0, fail(Off, "%w", err)
	}
	return key, alias, d.o.expand(t.known[0]), state, nil
}

// A KeyState is how a host key that a box shows stands to those that are known.
type KeyState int

// The states of a key.
const (
	KeyNew    KeyState = iota // none is known for the box
	KeyPinned                 // it is the one that is known
	KeyOther                  // another one is known
)

// Pin writes a host key into a file of known hosts.
func Pin(file, alias string, key ssh.PublicKey) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(file, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(f, skeema.Line([]string{alias}, key))
	return errors.Join(err, f.Close())
}
