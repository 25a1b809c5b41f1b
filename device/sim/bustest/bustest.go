// Package bustest lets a test run on a simulated USB bus. It is for tests only.
package bustest

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// inside is set for the test binary that runs on the bus.
const inside = "DOCSCAN_TEST_ON_MOCKBUS"

// limit is how long a test on the bus may take.
const limit = 2 * time.Minute

// Run runs body on a bus with one device, which the flags of mockbus describe:
// it starts this test binary again, under mockbus, for the calling test alone.
// There, libusb is the real one and sees nothing but that bus.
func Run(t *testing.T, flags []string, body func(t *testing.T)) {
	t.Helper()
	RunWith(t, nil, flags, body)
}

// RunWith is Run with a device that answers with h, or with mockbus's own test
// server if h is nil. h runs in the process of the caller, not on the bus.
func RunWith(t *testing.T, h http.Handler, flags []string, body func(t *testing.T)) {
	t.Helper()
	if os.Getenv(inside) == t.Name() {
		body(t)
		return
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	args := append([]string{}, flags...)
	if h != nil {
		server := httptest.NewServer(h)
		defer server.Close()
		args = append(args, "-forward="+server.URL)
	}
	args = append(args, "--", exe, "-test.run=^"+strings.ReplaceAll(t.Name(), "/", "$/^")+"$", "-test.count=1", "-test.v")
	Command(t, []string{inside + "=" + t.Name()}, args...)
}

// Command runs mockbus with the given arguments and fails the test if it
// fails. It gives what was printed.
func Command(t *testing.T, env []string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, Build(t), args...)
	cmd.Env = append(os.Environ(), env...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("mockbus %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	if strings.Contains(string(out), "no tests to run") {
		t.Fatalf("the test did not find itself on the bus:\n%s", out)
	}
	t.Logf("%s", out)
	return string(out)
}

// folder names the folder in which Main keeps mockbus.
const folder = "TEST_MOCKBUS_DIR"

// Main is for the TestMain of a package with many tests on the bus: it lets
// them share one mockbus.
func Main(m *testing.M) int {
	dir, err := os.MkdirTemp("", "mockbus")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	os.Setenv(folder, dir) // fails only for a bad name
	return m.Run()
}

// built names a mockbus that was compiled before the tests.
const built = "TEST_MOCKBUS"

// Build compiles mockbus, unless that was done before, and gives its path.
func Build(t *testing.T) string {
	t.Helper()
	if path := os.Getenv(built); path != "" {
		return path
	}
	dir := os.Getenv(folder)
	if dir == "" {
		dir = t.TempDir()
	}
	path := filepath.Join(dir, "mockbus")
	if _, err := os.Stat(path); err == nil {
		return path
	}
	out, err := exec.CommandContext(t.Context(), "go", "build", "-o", path, "docscan/device/sim/mockbus").CombinedOutput()
	if err != nil {
		t.Fatalf("build the simulated USB bus: %v\n%s\nIt needs the Debian packages libumockdev-dev, umockdev, pkg-config and gcc.", err, out)
	}
	return path
}

// Unplug takes the device off the bus on which the caller runs.
func Unplug() error { return tell(syscall.SIGUSR1) }

// Plug attaches it again, under the next address.
func Plug() error { return tell(syscall.SIGUSR2) }

func tell(s syscall.Signal) error {
	if err := syscall.Kill(os.Getppid(), s); err != nil {
		return fmt.Errorf("tell mockbus: %w", err)
	}
	return nil
}
