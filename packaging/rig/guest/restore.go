package main

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
)

// restores is how often a backup is restored right after an update: with the starts
// before, more often than systemd starts a unit in a quarter of an hour. None is a crash.
const restores = 3

// restore restores a backup again and again after an update, which must stay.
func (u *upkeep) restore() error {
	before, err := u.whole()
	if err != nil {
		return err
	}
	const file = kitDir + "/box.backup"
	if _, err := u.run("docscanctl", "backup", file); err != nil {
		return err
	}
	defer os.Remove(file)
	backup, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	for range restores {
		pid, err := u.run("systemctl", "show", "-p", "MainPID", "--value", "docscand")
		if err != nil {
			return err
		}
		if err := u.daemon.send("/api/v1/system/restore", "application/octet-stream", bytes.NewReader(backup)); err != nil {
			return err
		}
		if err := u.daemon.send("/api/v1/system/restore/start", "application/json", bytes.NewReader([]byte("{}"))); err != nil {
			return err
		}
		err = until("docscan starts anew", patience, func() (bool, error) {
			now, err := u.run("systemctl", "show", "-p", "MainPID", "--value", "docscand")
			return now != pid && now != "0", err
		})
		if err != nil {
			return err
		}
		after, err := u.whole()
		if err != nil {
			return err
		}
		if after.Running != before.Running || after.State != before.State {
			return fmt.Errorf("after a restore version %s runs in state %s, want %s, %s", after.Running, after.State, before.Running, before.State)
		}
	}
	u.say("a backup was restored %d times after the update, and version %s stayed", restores, before.Running)
	return nil
}

// send posts to what is there, whatever it is.
func (d *daemon) send(path, kind string, body io.Reader) error {
	req, err := http.NewRequest(http.MethodPost, "http://localhost"+path, body)
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", kind)
	req.Header.Set("If-Match", "*")
	resp, err := d.http.Do(req)
	_, err = read(path, resp, err, nil)
	return err
}
