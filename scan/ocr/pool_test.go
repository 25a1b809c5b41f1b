package ocr

import (
	"bytes"
	"compress/flate"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"docscan/device/confine"
	"docscan/scan/refusal"
)

// The test binary is its own worker, which can do a few more things than the
// real one, and its own daemon, which can be killed.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case "worker":
			os.Exit(serve(os.Args[2:], testJobs()))
		case "daemon":
			os.Exit(testDaemon())
		}
	}
	os.Exit(m.Run())
}

// testJobs are the real jobs and what goes wrong in them.
func testJobs() map[string]job {
	all := jobs()
	all["panic"] = func(*worker, request, []*os.File) (answer, error) { panic("boom") }
	all["exit"] = func(*worker, request, []*os.File) (answer, error) {
		fmt.Fprintln(os.Stderr, "a library gave up")
		os.Exit(3)
		return answer{}, nil
	}
	all["hang"] = func(_ *worker, _ request, files []*os.File) (answer, error) {
		if len(files) > fileView {
			files[fileView].Write([]byte("hanging")) // the test waits for it
		}
		time.Sleep(time.Hour)
		return answer{}, nil
	}
	all["memory"] = func(*worker, request, []*os.File) (answer, error) {
		var eaten [][]byte
		for {
			eaten = append(eaten, bytes.Repeat([]byte{1}, 16<<20))
			if len(eaten) > 1<<16 {
				return answer{}, errors.New("there is no limit")
			}
		}
	}
	all["lie"] = func(*worker, request, []*os.File) (answer, error) {
		p := goodPrepared()
		p.Width = math.MaxInt
		return answer{Prepared: p}, nil
	}
	all["noise"] = func(*worker, request, []*os.File) (answer, error) {
		fmt.Println("a library prints") // to what was the pipe of answers
		return answer{Failure: &failure{failedOther, "still understood"}}, nil
	}
	all["garbage"] = func(*worker, request, []*os.File) (answer, error) {
		for fd := 3; fd < 20; fd++ { // one of them is the pipe of answers
			unix.Write(fd, []byte("\x00\x00\x00\x04{{{{"))
		}
		time.Sleep(time.Hour)
		return answer{}, nil
	}
	all["escape"] = func(*worker, request, []*os.File) (answer, error) {
		return answer{Failure: &failure{failedOther, strings.Join(escapes(), ", ")}}, nil
	}
	all["nice"] = func(*worker, request, []*os.File) (answer, error) {
		return answer{Failure: &failure{failedOther, strings.Join(priorities(), ",")}}, nil
	}
	return all
}

// escapes tries what a worker must not be able to do, and lists what it could.
func escapes() []string {
	var could []string
	try := func(what string, err error) {
		if err == nil {
			could = append(could, what)
		}
	}
	for name, family := range map[string]int{"internet": unix.AF_INET, "local sockets": unix.AF_UNIX, "netlink": unix.AF_NETLINK} {
		_, err := unix.Socket(family, unix.SOCK_DGRAM, 0)
		try(name, err)
	}
	_, err := syscall.ForkExec("/bin/true", nil, nil)
	try("programs", err)
	try("signals", unix.Kill(os.Getppid(), 0))
	try("tracing", unix.PtraceAttach(os.Getppid()))
	try("mounts", unix.Mount("none", "/mnt", "tmpfs", 0, ""))
	try("limits", unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 10, Max: 10}))
	_, err = unix.MemfdCreate("x", 0)
	try("anonymous files", err)
	for _, path := range []string{"/etc/passwd", "/proc/1/environ", "/"} {
		_, err := os.ReadDir(path)
		if err != nil {
			_, err = os.ReadFile(path)
		}
		try("reading "+path, err)
	}
	try("writing", os.WriteFile(filepath.Join(os.TempDir(), "escaped"), nil, 0o600))
	try("deleting", os.Remove(os.DevNull))
	slices.Sort(could)
	return could
}

// priorities lists the different priorities of the threads of this process.
func priorities() []string {
	var found []string
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return []string{err.Error()}
	}
	for _, task := range tasks {
		tid, err := strconv.Atoi(task.Name())
		if err != nil {
			continue
		}
		n, err := unix.Getpriority(unix.PRIO_PROCESS, tid)
		if s := fmt.Sprint(20-n, err); !slices.Contains(found, s) { // the system call gives 20-nice
			found = append(found, s)
		}
	}
	return found
}

// testDaemon starts a worker, tells its number, and waits to be killed.
func testDaemon() int {
	cfg := DefaultConfig()
	exe, err := os.Executable()
	if err != nil {
		return 1
	}
	p, err := NewPool(cfg, exe, slog.New(slog.DiscardHandler))
	if err != nil {
		return 1
	}
	w, err := p.launchWorker(context.Background(), p.workerFlags(nil))
	if err != nil {
		fmt.Println(err)
		return 1
	}
	fmt.Println(w.cmd.Process.Pid)
	time.Sleep(time.Hour)
	return 0
}

// newTestPool gives a pool with one worker, which is the test binary with the jobs
// that go wrong.
func newTestPool(t *testing.T, change func(*Config)) *Pool {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return poolOf(t, exe, change)
}

// newPagePool gives a pool whose worker is docscand, if make has built it: a worker has
// one goroutine, in which the race detector finds nothing and takes its time.
func newPagePool(t *testing.T, change func(*Config)) *Pool {
	t.Helper()
	exe := os.Getenv("TEST_DOCSCAND")
	if exe == "" {
		return newTestPool(t, change)
	}
	return poolOf(t, exe, change)
}

func poolOf(t *testing.T, exe string, change func(*Config)) *Pool {
	t.Helper()
	cfg := DefaultConfig()
	cfg.Workers = 1
	if change != nil {
		change(&cfg)
	}
	p, err := NewPool(cfg, exe, slog.New(slog.NewTextHandler(t.Output(), nil)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

// testTask asks for one of the test jobs, with a file that exists.
func testTask(t *testing.T, ctx context.Context, kind string) *task {
	t.Helper()
	return &task{ctx: ctx, req: request{Kind: kind, MaxPixels: testPixels}, image: os.DevNull}
}

// What goes wrong in a worker costs that job alone.
func TestPoolSurvives(t *testing.T) {
	tests := []struct {
		kind string
		want error
		text string
	}{
		{"panic", ErrCrashed, "panic: boom"},
		{"exit", ErrCrashed, "exit status 3: a library gave up"},
		{"memory", ErrMemory, ""},
		{"lie", ErrCrashed, "makes no sense"},
		{"garbage", ErrCrashed, "makes no sense"},
		{"noise", ErrCrashed, "still understood"},
		{"unheard of", ErrCrashed, "no job"},
	}
	p := newTestPool(t, func(c *Config) { c.WorkerMemoryMB = 256 })
	for _, tt := range tests {
		t.Run(tt.kind, func(t *testing.T) {
			err := p.do(p.prepare, testTask(t, t.Context(), tt.kind))
			if !errors.Is(err, tt.want) || !strings.Contains(err.Error(), tt.text) {
				t.Errorf("error %v, want %v with %q", err, tt.want, tt.text)
			}
			checkWorks(t, p)
		})
	}
}

// checkWorks prepares a small image.
func checkWorks(t *testing.T, p *Pool) {
	t.Helper()
	if _, err := p.Prepare(t.Context(), PrepareJob{Path: card(t, "color.png"), Dir: t.TempDir()}); err != nil {
		t.Errorf("the next page failed: %v", err)
	}
}

// card gives the path of an image of package imaging's tests.
func card(t *testing.T, name string) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join("../imaging/testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func TestPoolTimeout(t *testing.T) {
	p := newTestPool(t, nil)
	p.cfg.PageTimeoutSeconds = 1 // less than the settings allow
	err := p.do(p.recognize, testTask(t, t.Context(), "hang"))
	if !errors.Is(err, ErrTimeout) {
		t.Errorf("error %v, want %v", err, ErrTimeout)
	}
	checkWorks(t, p)
}

// hang starts a task that hangs and returns when it does. The result of the
// task comes on the channel.
func hang(t *testing.T, ctx context.Context, p *Pool) <-chan error {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	task := testTask(t, ctx, "hang")
	task.out = []string{fmt.Sprintf("/proc/self/fd/%d", w.Fd())}
	done := make(chan error, 1)
	go func() { done <- p.do(p.recognize, task) }()
	if _, err := io.ReadFull(r, make([]byte, len("hanging"))); err != nil {
		t.Fatal(err)
	}
	return done
}

func TestPoolCancel(t *testing.T) {
	p := newTestPool(t, nil)
	ctx, cancel := context.WithCancel(t.Context())
	done := hang(t, ctx, p)
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want %v", err, context.Canceled)
	}
	checkWorks(t, p)
}

func TestPoolClose(t *testing.T) {
	p := newTestPool(t, nil)
	done := hang(t, t.Context(), p)
	p.Close()
	if err := <-done; !errors.Is(err, ErrClosed) {
		t.Errorf("the page under way gives %v, want %v", err, ErrClosed)
	}
	if _, err := p.Prepare(t.Context(), PrepareJob{Path: card(t, "gray.png"), Dir: t.TempDir()}); !errors.Is(err, ErrClosed) {
		t.Errorf("a page after Close gives %v, want %v", err, ErrClosed)
	}
}

// The pictures of a page are wanted while it is fed, its text can wait.
func TestPrepareGoesFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &Pool{prepare: make(chan *task), recognize: make(chan *task), closed: make(chan struct{})}
		text, pictures := new(task), new(task)
		go func() { p.recognize <- text }()
		synctest.Wait()
		go func() { p.prepare <- pictures }()
		synctest.Wait()
		if got, _ := p.next(nil); got != pictures {
			t.Error("the first task was not that of the pictures")
		}
		if got, _ := p.next(nil); got != text {
			t.Error("the second task was not that of the text")
		}
		if got, open := p.next(time.After(time.Minute)); got != nil || !open {
			t.Errorf("an idle pool gives %v, %v", got, open)
		}
		close(p.closed)
		if _, open := p.next(nil); open {
			t.Error("a closed pool is open")
		}
	})
}

func TestWorkerIsReplaced(t *testing.T) {
	p := newTestPool(t, func(c *Config) { c.WorkerPages = 2 })
	next := func(w *process) *process {
		t.Helper()
		dir := t.TempDir()
		task := &task{
			ctx: t.Context(), image: card(t, "gray.png"), req: request{Kind: kindPrepare, MaxPixels: testPixels},
			out: []string{filepath.Join(dir, "view"), filepath.Join(dir, "thumb"), filepath.Join(dir, "image")},
		}
		w = p.work(w, task)
		if task.err != nil {
			t.Fatal(task.err)
		}
		return w
	}
	first := next(nil)
	if first == nil {
		t.Fatal("the worker was replaced after one page of two")
	}
	if next(first) != nil {
		t.Error("the worker stayed after its last page")
	}
	if !first.dead {
		t.Error("the replaced worker still runs")
	}
	p.cfg.RecycleMemoryMB = 0
	if next(nil) != nil {
		t.Error("the worker stayed with more memory than it may keep")
	}
}

func TestWorkerIsConfined(t *testing.T) {
	p := newTestPool(t, nil)
	err := p.do(p.prepare, testTask(t, t.Context(), "escape"))
	_, could, _ := strings.Cut(err.Error(), ErrCrashed.Error()+": ")
	want := ""
	if confine.Landlock() != nil {
		t.Log("this kernel has no Landlock, so files can be read:", could)
		want = "reading /, reading /etc/passwd, writing"
		could = strings.Replace(could, "reading /proc/1/environ, ", "", 1)
	}
	if could != want {
		t.Errorf("a worker could do: %s", could)
	}
}

func TestWorkerIsNice(t *testing.T) {
	p := newTestPool(t, nil)
	mine, nerr := confine.Nice(unix.PRIO_PROCESS)
	if nerr != nil {
		t.Fatal(nerr)
	}
	err := p.do(p.prepare, testTask(t, t.Context(), "nice"))
	if want := fmt.Sprintf(": %d <nil>", max(mine, confine.Niceness)); !strings.HasSuffix(err.Error(), want) {
		t.Errorf("threads have niceness %v, want %q for all", err, want)
	}
}

// kill -9 of the daemon leaves no worker behind.
func TestWorkerDiesWithDaemon(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	daemon, err := os.StartProcess(exe, []string{exe, "daemon"}, &os.ProcAttr{Env: os.Environ(), Files: []*os.File{nil, w, os.Stderr}})
	w.Close()
	if err != nil {
		t.Fatal(err)
	}
	var said [64]byte
	n, err := r.Read(said[:])
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(said[:n])))
	if err != nil {
		t.Fatalf("the daemon said %q", said[:n])
	}
	worker, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(worker)
	daemon.Kill()
	daemon.Wait()
	ready := []unix.PollFd{{Fd: int32(worker), Events: unix.POLLIN}} // when it has ended
	for {
		n, err := unix.Poll(ready, 10_000)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if n != 1 {
			t.Errorf("the worker still runs: %v", err)
		}
		return
	}
}

func TestMissingImage(t *testing.T) {
	p := newTestPool(t, nil)
	_, err := p.Prepare(t.Context(), PrepareJob{Path: "/nowhere/side.jpg", Dir: t.TempDir()})
	if !errors.Is(err, os.ErrNotExist) {
		t.Errorf("error %v, want %v", err, os.ErrNotExist)
	}
}

func TestMissingWorker(t *testing.T) {
	p := newTestPool(t, nil)
	p.exe = "/nowhere/docscand"
	_, err := p.Prepare(t.Context(), PrepareJob{Path: card(t, "gray.png"), Dir: t.TempDir()})
	if !errors.Is(err, ErrCrashed) {
		t.Errorf("error %v, want %v", err, ErrCrashed)
	}
}

// zeroPNG makes a sound PNG whose bytes are all 0, of a depth and kind as IHDR has
// them. It is small whatever its size, and made without packing all of it.
func zeroPNG(t *testing.T, width, height int, depth, kind byte) []byte {
	t.Helper()
	samples := 1
	if kind == 2 { // red, green and blue
		samples = 3
	}
	const piece = 1 << 16
	n := height * (1 + (width*samples*int(depth)+7)/8)
	var one, last bytes.Buffer
	z, err := flate.NewWriter(&one, flate.BestSpeed)
	if err != nil {
		t.Fatal(err)
	}
	_, err1 := z.Write(make([]byte, piece))
	err2 := z.Flush() // so that it can be repeated
	z.Reset(&last)
	_, err3 := z.Write(make([]byte, n%piece))
	if err := errors.Join(err1, err2, err3, z.Close()); err != nil {
		t.Fatal(err)
	}
	// The checksum of zeros counts them (RFC 1950, Adler-32).
	sum := binary.BigEndian.AppendUint32(nil, uint32(n%65521)<<16|1)
	pixels := slices.Concat([]byte("\x78\x01"), bytes.Repeat(one.Bytes(), n/piece), last.Bytes(), sum)

	b := []byte("\x89PNG\r\n\x1a\n")
	chunk := func(name string, body []byte) {
		b = binary.BigEndian.AppendUint32(b, uint32(len(body)))
		start := len(b)
		b = append(append(b, name...), body...)
		b = binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b[start:]))
	}
	head := binary.BigEndian.AppendUint32(nil, uint32(width))
	head = binary.BigEndian.AppendUint32(head, uint32(height))
	chunk("IHDR", append(head, depth, kind, 0, 0, 0))
	if kind == 3 {
		chunk("PLTE", []byte{255, 255, 255, 0, 0, 0})
	}
	chunk("IDAT", pixels)
	chunk("IEND", nil)
	return b
}

// An image within the pixel limit can still be more than a worker may hold, if it cannot be
// read line by line, as one of 16 bits a sample.
func TestImageOverMemory(t *testing.T) {
	p := newPagePool(t, func(c *Config) { c.WorkerMemoryMB = 128 })
	path := filepath.Join(t.TempDir(), "black.png")
	if err := os.WriteFile(path, zeroPNG(t, 10_000, 6_000, 16, 2), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := p.Prepare(t.Context(), PrepareJob{Path: path, Dir: t.TempDir()})
	if !errors.Is(err, ErrMemory) {
		t.Errorf("error %v, want %v", err, ErrMemory)
	}
	checkWorks(t, p)
}

// As many workers as cores and memory allow.
func TestWorkersFor(t *testing.T) {
	const mib = 1 << 20
	tests := []struct {
		name   string
		cores  int
		memory int64
		want   int
	}{
		{"512 MB", 4, 460 * mib, 1},
		{"Pi with 1 GB", 4, 905 * mib, 2},
		{"Pi with 2 GB", 4, 1850 * mib, 4},
		{"one core", 1, 8000 * mib, 1},
		{"large box", 16, 32000 * mib, 16},
		{"the kernel does not tell", 4, 0, 4},
	}
	for _, tt := range tests {
		if got := workersFor(tt.cores, tt.memory); got != tt.want {
			t.Errorf("%s: %d workers, want %d", tt.name, got, tt.want)
		}
	}
	if have := memory(); have < 64*mib {
		t.Errorf("this computer has %d bytes of memory", have)
	}
}

func TestConfigCheck(t *testing.T) {
	tests := []struct {
		name   string
		change func(c *Config)
		want   string // in the error; empty: none
	}{
		{"default", func(*Config) {}, ""},
		{"negative workers", func(c *Config) { c.Workers = -1 }, "workers"},
		{"no time", func(c *Config) { c.PageTimeoutSeconds = 0 }, "page_timeout_seconds"},
		{"no languages", func(c *Config) { c.Languages = nil }, "languages"},
		{"a path for a language", func(c *Config) { c.Languages = []string{"../eng"} }, "languages"},
		{"many languages", func(c *Config) { c.Languages = strings.Split("eng deu fra ita spa por", " ") }, "at most"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := DefaultConfig()
			tt.change(&c)
			err := c.Check()
			if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("Check = %v, want %q in it", err, tt.want)
			}
		})
	}
}

func TestCheckLanguages(t *testing.T) {
	if err := new(Config).CheckLanguages([]string{"eng"}); err != nil {
		t.Error(err)
	}
	var why *refusal.Error
	if err := new(Config).CheckLanguages(make([]string, maxLanguages+1)); !errors.As(err, &why) || !errors.Is(err, ErrLanguage) {
		t.Errorf("too many: %v, want a refusal for people", err)
	}
	for _, tt := range []struct{ language, want string }{
		{"xxx", "tesseract-ocr-xxx"},
		{"chi_zzz", "tesseract-ocr-chi-zzz"},
		{"../eng", "not the name"},
	} {
		err := new(Config).CheckLanguages([]string{"eng", tt.language})
		if !errors.Is(err, ErrLanguage) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("CheckLanguages(%s) = %v, want %v with %q", tt.language, err, ErrLanguage, tt.want)
		}
	}
}
