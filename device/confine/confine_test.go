package confine

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/landlock-lsm/go-landlock/landlock"
	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) {
	if len(os.Args) == 4 && os.Args[1] == "confined" {
		tryAll(os.Args[2], os.Args[3])
		return
	}
	os.Exit(m.Run())
}

// tryAll confines this process and says what it can do then.
func tryAll(dir, secret string) {
	can := func(what string, err error) { fmt.Printf("%s: %t\n", what, err == nil) }
	can("limits", Limits{MemoryMB: 64, CPUSeconds: 60, FileSize: 1 << 10, OpenFiles: 32}.Set())
	if Landlock() == nil {
		can("files", Files(landlock.RWDirs(dir)))
	}
	can("calls", Calls(
		func(name string) bool { return name != "socket" && !slices.Contains(Harmful, name) },
		Only("socket", 0, unix.AF_UNIX),
	))
	can("own file", os.WriteFile(filepath.Join(dir, "own"), nil, 0o600))
	_, err := os.ReadFile(secret)
	can("secret", err)
	_, err = net.Dial("udp4", "127.0.0.1:9")
	can("network", err)
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	can("local socket", err)
	if err == nil {
		unix.Close(fd)
	}
	can("other name for the machine", unix.Sethostname([]byte("x")))
	var l unix.Rlimit
	err = unix.Getrlimit(unix.RLIMIT_NOFILE, &l)
	can("many files", func() error {
		if err != nil || l.Max > 32 {
			return err
		}
		return os.ErrPermission
	}())
	_, err = unix.Mmap(-1, 0, 256<<20, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	can("much memory", err)
}

// What a process has given up stays so.
func TestConfined(t *testing.T) {
	dir := t.TempDir()
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), os.Args[0], "confined", dir, secret).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	want := []string{
		"limits: true", "calls: true", "own file: true", "network: false", "local socket: true",
		"other name for the machine: false", "many files: false", "much memory: false",
	}
	if Landlock() == nil {
		want = append(want, "files: true", "secret: false")
	}
	lines := strings.Split(string(out), "\n")
	for _, w := range want {
		if !slices.Contains(lines, w) {
			t.Errorf("no %q in\n%s", w, out)
		}
	}
}

func TestTail(t *testing.T) {
	tests := []struct {
		name, said, note string
		memory           bool
	}{
		{"silence", "", "", false},
		{"last line", "one\ntwo\n\n", ": two", false},
		{"head of a crash", "warning\npanic: no\ngoroutine 1\n", ": panic: no", false},
		{"no memory", "fatal error: runtime: Out of memory\nstack\n", ": fatal error: runtime: Out of memory", true},
		{"C++", "terminate called after throwing an instance of 'std::bad_alloc'\n", ": terminate called after throwing an instance of 'std::bad_alloc'", true},
		{"control characters", "a\x1b[31mb\xff\n", ": a [31mb?", false},
		{"endless", strings.Repeat("x", 2*maxTail), ": " + strings.Repeat("x", maxPlain) + "...", false},
	}
	for _, tt := range tests {
		var tail Tail
		if n, err := tail.Write([]byte(tt.said)); n != len(tt.said) || err != nil {
			t.Errorf("%s: %d, %v", tt.name, n, err)
		}
		if got := tail.Note(); got != tt.note || tail.OutOfMemory() != tt.memory {
			t.Errorf("%s: %q, want of memory %t; want %q, %t", tt.name, got, tail.OutOfMemory(), tt.note, tt.memory)
		}
		if n := len(tail.Text()); n > maxTail {
			t.Errorf("%s: %d bytes are kept, want at most %d", tt.name, n, maxTail)
		}
		tail.Reset()
		if tail.Text() != "" {
			t.Errorf("%s: %q is left after a reset", tt.name, tail.Text())
		}
	}
}
