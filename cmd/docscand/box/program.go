package box

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Program builds docscand as a version, as it is shipped: without the race detector, whose
// memory would not fit the workers' limits. It lies in dir, or in the folder that
// TEST_PROGRAMS names, which packages share that are tested at the same time.
func Program(ctx context.Context, dir, version string) (exe string, err error) {
	if shared := os.Getenv("TEST_PROGRAMS"); shared != "" {
		dir = shared
	}
	exe = filepath.Join(dir, "docscand-"+version)
	lock, err := os.OpenFile(exe+".lock", os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return "", fmt.Errorf("build docscand: %w", err)
	}
	defer lock.Close() // lets go of it
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX); err != nil {
		return "", fmt.Errorf("wait for who builds docscand: %w", err)
	}
	// A program that is there and of this source is not linked again.
	out, err := exec.CommandContext(ctx, "go", "build", "-tags", "sqlite_fts5,libsqlite3",
		"-ldflags", "-s -w -X main.version="+version, "-o", exe, "docscan/cmd/docscand").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build docscand: %w\n%s", err, out)
	}
	return exe, nil
}
