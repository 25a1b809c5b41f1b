// Package box starts a real docscand with a simulated scanner in a directory of
// its own, and speaks to it as a script would: over HTTP. The tests of the
// whole path and the benchmark use it.
package box

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Admin and Password are those of the administrator that Start sets up.
const Admin, Password = "anna", "seven green tractors"

// Box is one docscand process, and what is needed to start it again.
type Box struct {
	Dir   string            // the data directory
	Stack string            // the folder the simulated feeder is loaded from
	Set   map[string]string // settings by their dotted names
	URL   string            // of the running daemon
	Token string            // bearer token of the first administrator
	Log   *SyncBuffer       // what the daemon wrote to standard error
	HTTP  *http.Client      // nil: http.DefaultClient
	Fresh bool              // nobody sets it up: Link is where to
	Link  string            // the set-up link of a box that is not set up
	World []string          // a command that runs the daemon as its last arguments; empty: nothing stands between
	Apart bool              // an interrupt of the terminal does not reach it

	exe    string
	config string
	cmd    *exec.Cmd
	out    *SyncBuffer
	done   chan struct{}
	system *system
	copies sync.WaitGroup // of what the daemon writes
}

// New returns a box that is not running. exe is the daemon's program file, dir
// an empty directory.
func New(exe, dir string) *Box {
	return &Box{
		Dir:   filepath.Join(dir, "var"),
		Stack: filepath.Join(dir, "stack"),
		Set:   make(map[string]string),
		Log:   &SyncBuffer{},
		exe:   exe,
		// An empty one, so that none of this machine is read.
		config: filepath.Join(dir, "docscan.toml"),
	}
}

func (b *Box) client() *http.Client {
	if b.HTTP != nil {
		return b.HTTP
	}
	return http.DefaultClient
}

// Args is the command line the daemon gets.
func (b *Box) Args(command string) []string {
	args := []string{
		command,
		"--config", b.config,
		"--data", b.Dir,
		"--set", "web.listen=127.0.0.1:0",
		"--set", "device.sim.enabled=true",
		"--set", "device.sim.stack=" + b.Stack,
		"--set", "device.usb.enabled=false",
		"--set", "device.sane.enabled=false",
	}
	for k, v := range b.Set {
		args = append(args, "--set", k+"="+v)
	}
	return args
}

var (
	address = regexp.MustCompile(`docscan is running: (https?://\S+)`)
	setup   = regexp.MustCompile(`/setup\?token=(\S+)`)
)

// Start starts the daemon and waits until it is healthy. At the first start of
// a box it sets up an administrator.
func (b *Box) Start(ctx context.Context) error {
	b.out = &SyncBuffer{}
	if err := os.WriteFile(b.config, nil, 0o600); err != nil {
		return err
	}
	line := slices.Concat(b.World, []string{b.exe}, b.Args("run"))
	b.cmd = exec.Command(line[0], line[1:]...)
	var files []*os.File
	for to, file := range map[*SyncBuffer]*io.Writer{b.out: &b.cmd.Stdout, b.Log: &b.cmd.Stderr} {
		// A file, so that whoever takes over has it even if the first has ended.
		r, w, err := os.Pipe()
		if err != nil {
			return err
		}
		*file, files = w, append(files, w)
		b.copies.Go(func() {
			defer r.Close()
			_, _ = io.Copy(to, r) // what is written last when all end is not missed by anybody
		})
	}
	if b.system == nil {
		var err error
		if b.system, err = newSystem(); err != nil {
			return err
		}
	}
	b.system.main.Store(0)
	b.cmd.Env = append(os.Environ(), "NOTIFY_SOCKET="+b.system.name)
	b.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: b.Apart}
	err := b.cmd.Start()
	for _, f := range files {
		f.Close()
	}
	if err != nil {
		return fmt.Errorf("start docscand: %w", err)
	}
	b.done = make(chan struct{})
	go func(cmd *exec.Cmd, done chan struct{}) {
		defer close(done)
		_ = cmd.Wait() // its status is in ProcessState
	}(b.cmd, b.done)
	err = Until(ctx, func() (bool, error) {
		select {
		case <-b.done:
			return false, fmt.Errorf("docscand ended: %v\n%s", b.cmd.ProcessState, b.Log)
		default:
		}
		m := address.FindStringSubmatch(b.out.String())
		if m == nil {
			return false, nil
		}
		b.URL = m[1]
		return b.Get(ctx, "/api/health", nil) == nil, nil
	})
	if err != nil {
		return fmt.Errorf("wait for docscand: %w", err)
	}
	if b.Token != "" {
		return nil
	}
	m := setup.FindStringSubmatch(b.out.String())
	if m == nil {
		return errors.New("docscand printed no set-up link")
	}
	if b.Fresh {
		b.Link = b.URL + m[0]
		return nil
	}
	token, err := url.QueryUnescape(m[1])
	if err != nil {
		return fmt.Errorf("set-up link: %w", err)
	}
	var answer struct {
		AccessToken string `json:"access_token"`
	}
	err = b.Post(ctx, "/api/v1/setup", map[string]string{
		"token": token, "username": Admin, "password": Password,
	}, &answer)
	if err != nil {
		return err
	}
	b.Token = answer.AccessToken
	return nil
}

// PID is that of the daemon's main process.
func (b *Box) PID() int {
	if pid := b.system.main.Load(); pid != 0 {
		return int(pid)
	}
	return b.cmd.Process.Pid
}

// Ended reports whether the daemon that Start started has ended.
func (b *Box) Ended() bool {
	select {
	case <-b.done:
		return true
	default:
		return false
	}
}

// End gives how the daemon that Start started has ended, once it has.
func (b *Box) End() *os.ProcessState { return b.cmd.ProcessState }

// Kill ends the daemon with SIGKILL, as a power cut would.
func (b *Box) Kill() error {
	if err := b.cmd.Process.Kill(); err != nil {
		return err
	}
	<-b.done
	return nil
}

// Stop asks the daemon to end, waits for it, and reports a bad end.
func (b *Box) Stop() error {
	if b.system == nil {
		return nil
	}
	defer func() {
		b.system.close()
		b.system = nil
	}()
	if b.cmd.Process == nil {
		return nil
	}
	killed := false
	select {
	case <-b.done: // before anybody asked it to
		killed = !b.cmd.ProcessState.Success()
	default:
	}
	if err := b.system.stopMain(b.cmd.Process.Pid); err != nil {
		return err
	}
	if err := b.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	<-b.done
	b.copies.Wait()
	if !killed && !b.cmd.ProcessState.Success() {
		return fmt.Errorf("docscand ended with %v\n%s", b.cmd.ProcessState, b.Log)
	}
	return nil
}

// Restart stops the daemon and starts it with the settings as they are now.
func (b *Box) Restart(ctx context.Context) error {
	if err := b.Stop(); err != nil {
		return err
	}
	return b.Start(ctx)
}

// Batch is what the API says of a batch.
type Batch struct {
	ID        string   `json:"id"`
	State     string   `json:"state"`
	Device    string   `json:"device"`
	Pages     int      `json:"-"`
	Count     int      `json:"page_count"`
	Documents []string `json:"documents"`
	Fault     *struct {
		Kind, What, Safe, Advice string
	} `json:"fault"`
}

// Final reports whether the batch has ended.
func (b Batch) Final() bool {
	return b.State == "completed" || b.State == "canceled" || b.State == "failed"
}

// Problem is an answer of the API that is not a success.
type Problem struct {
	Status int    `json:"status"`
	Type   string `json:"type"`
	Title  string `json:"title"`
	Detail string `json:"detail"`
}

// Error gives status and detail.
func (p *Problem) Error() string { return fmt.Sprintf("%d %s: %s", p.Status, p.Title, p.Detail) }

// Get asks for path and decodes the JSON answer into out, unless that is nil.
func (b *Box) Get(ctx context.Context, path string, out any) error {
	return b.call(ctx, http.MethodGet, path, nil, out)
}

// Post sends in as JSON and decodes the answer into out, unless that is nil.
func (b *Box) Post(ctx context.Context, path string, in, out any) error {
	return b.call(ctx, http.MethodPost, path, in, out)
}

// Put sends in and reads the answer into out.
func (b *Box) Put(ctx context.Context, path string, in, out any) error {
	return b.call(ctx, http.MethodPut, path, in, out)
}

// Patch sends in and reads the answer into out.
func (b *Box) Patch(ctx context.Context, path string, in, out any) error {
	return b.call(ctx, http.MethodPatch, path, in, out)
}

// Use has the next Start start another program.
func (b *Box) Use(exe string) { b.exe = exe }

func (b *Box) call(ctx context.Context, method, path string, in, out any) error {
	var body io.Reader
	if in != nil {
		j, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(j)
	}
	req, err := http.NewRequestWithContext(ctx, method, b.URL+path, body)
	if err != nil {
		return err
	}
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if method == http.MethodPut {
		req.Header.Set("If-Match", "*") // whatever is there
	}
	if b.Token != "" {
		req.Header.Set("Authorization", "Bearer "+b.Token)
	}
	resp, err := b.client().Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode/100 != 2 {
		p := &Problem{Status: resp.StatusCode, Detail: string(data)}
		_ = json.Unmarshal(data, p) // an answer that is no problem document stays as Detail
		return p
	}
	switch out := out.(type) {
	case nil:
		return nil
	case *[]byte:
		*out = data
		return nil
	}
	return json.Unmarshal(data, out)
}

// Press asks for a scan with the profile ("" for the first one), after waiting
// for the scanner to be there.
func (b *Box) Press(ctx context.Context, profile string) (Batch, error) {
	var batch Batch
	err := Until(ctx, func() (bool, error) {
		err := b.Post(ctx, "/api/v1/scans", map[string]string{"profile": profile}, &batch)
		var p *Problem
		if errors.As(err, &p) && (strings.HasSuffix(p.Type, "/no-scanner") || p.Status == http.StatusServiceUnavailable) {
			return false, nil
		}
		return err == nil, err
	})
	return batch, err
}

// Batch asks for a batch.
func (b *Box) Batch(ctx context.Context, id string) (Batch, error) {
	var raw struct {
		Batch
		PagesList json.RawMessage `json:"pages"`
	}
	if err := b.Get(ctx, "/api/v1/batches/"+id, &raw); err != nil {
		return Batch{}, err
	}
	// A batch in a list carries the number of its pages, alone the pages.
	batch := raw.Batch
	var list []json.RawMessage
	if json.Unmarshal(raw.PagesList, &list) == nil {
		batch.Pages = len(list)
	} else if err := json.Unmarshal(raw.PagesList, &batch.Pages); err != nil {
		return Batch{}, fmt.Errorf("batch %s: pages: %w", id, err)
	}
	return batch, nil
}

// WaitFor polls a batch until want says yes.
func (b *Box) WaitFor(ctx context.Context, id string, want func(Batch) bool) (Batch, error) {
	var batch Batch
	err := Until(ctx, func() (ok bool, err error) {
		batch, err = b.Batch(ctx, id)
		return err == nil && want(batch), err
	})
	if err != nil {
		return batch, fmt.Errorf("batch %s (%s, %d pages): %w", id, batch.State, batch.Pages, err)
	}
	return batch, nil
}

// PDF downloads the document to file.
func (b *Box) PDF(ctx context.Context, document, file string) error {
	var data []byte
	if err := b.Get(ctx, "/api/v1/documents/"+document+"/pdf", &data); err != nil {
		return err
	}
	return os.WriteFile(file, data, 0o600)
}

// Until calls f some times a second until it says yes or fails, or ctx ends. What takes
// longer than a second is mostly pages being read, which gives way to who asks for it:
// then it calls f less often.
func Until(ctx context.Context, f func() (bool, error)) error {
	const often, seldom = 20 * time.Millisecond, 100 * time.Millisecond
	t := time.NewTicker(often)
	defer t.Stop()
	for start := time.Now(); ; {
		ok, err := f()
		if ok || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-t.C:
		}
		if time.Since(start) > time.Second {
			t.Reset(seldom)
		}
	}
}

// SyncBuffer is a buffer that may be written and read at the same time.
type SyncBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

// Write appends p.
func (s *SyncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.buf.Write(p)
}

// String gives all that was written.
func (s *SyncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.buf.String()
}

// Lines gives the lines that contain part.
func (s *SyncBuffer) Lines(part string) []string {
	var lines []string
	sc := bufio.NewScanner(strings.NewReader(s.String()))
	for sc.Scan() {
		if strings.Contains(sc.Text(), part) {
			lines = append(lines, sc.Text())
		}
	}
	return lines
}
