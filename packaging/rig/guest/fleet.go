package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"
)

// fleetKey is the key of the fleet that the box is opened for.
const fleetKey = kitDir + "/fleet"

// reloadTime is how long sshd may take to read its settings.
const reloadTime = time.Minute

// fleet opens the box for updates over SSH as a person does on docscan's page, where
// root grants what docscan wishes, and closes it again.
func (u *upkeep) fleet() error {
	before, err := u.whole()
	if err != nil {
		return err
	}
	if _, err := u.run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "laptop", "-f", fleetKey); err != nil {
		return err
	}
	public, err := os.ReadFile(fleetKey + ".pub")
	if err != nil {
		return err
	}
	if err := u.daemon.post("/api/v1/system/ssh", map[string]any{"keys": string(public)}); err != nil {
		return err
	}
	var out string
	err = until("the key opens the box", reloadTime, func() (bool, error) {
		out, err = visit(`{"verb":"status"}`) // refused while sshd begins anew
		return err == nil, err
	})
	if err != nil {
		return err
	}
	if !strings.Contains(out, `"running":"`+before.Running+`"`) {
		return fmt.Errorf("the box says of itself %q, want version %s", out, before.Running)
	}
	if out, err = visit(`{"verb":"run","what":"check"}`); err != nil || !strings.Contains(out, `"kind":"not-allowed"`) {
		return fmt.Errorf("asked for more than updates the box says %q, %w", out, err)
	}
	if err := u.daemon.post("/api/v1/system/ssh", map[string]any{"close": true}); err != nil {
		return err
	}
	if out, err = visit(`{"verb":"status"}`); err == nil {
		return fmt.Errorf("the box was closed and says %q", out)
	}
	u.say("opened for a fleet's key, for updates only, and closed again")
	return nil
}

// visit says a line to the box over SSH, as a laptop does, and gives what it says.
func visit(line string) (string, error) {
	ssh := exec.Command("ssh", "-F", "none", "-i", fleetKey, "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=no",
		"-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR", "docscan-update@127.0.0.1")
	ssh.Stdin = strings.NewReader(line + "\n")
	out, err := ssh.Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		err = fmt.Errorf("%w: %s", err, exit.Stderr)
	}
	return string(out), err
}
