//go:build unix

package main

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// asNobody names the socket to the process that TestNoRights starts.
const asNobody = "DOCSCANCTL_TEST_SOCKET"

// Somebody who may not use the socket is told what to do. Root may use every one, so
// the command runs in a process without its rights.
func TestNoRights(t *testing.T) {
	if socket := os.Getenv(asNobody); socket != "" {
		code, _, errs := ctl(t, map[string]string{"DOCSCAN_SOCKET": socket}, "", "status")
		if code != exitUnreachable || !strings.Contains(errs, "Run this as root") {
			t.Errorf("code %d: %s", code, errs)
		}
		return
	}
	d := startDaemon(t, nil)
	if err := os.Chmod(d.socket, 0); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Dir(d.socket), 0o755); err != nil {
		t.Fatal(err)
	}
	// The program is copied to where everybody may run it.
	dir, err := os.MkdirTemp("", "ctl")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	program := filepath.Join(dir, "test")
	if err := errors.Join(os.Chmod(dir, 0o755), copyProgram(program)); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), program, "-test.run=^TestNoRights$", "-test.v")
	cmd.Dir, cmd.Env = dir, []string{asNobody + "=" + d.socket}
	if os.Geteuid() == 0 {
		const nobody = 65534
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	}
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: TestNoRights") {
		t.Errorf("%v\n%s", err, out)
	}
}

func copyProgram(to string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	in, err := os.Open(self)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE, 0o755)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}
