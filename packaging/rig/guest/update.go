package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// What rig has put into the machine, and what is kept from one of its lives to the
// next.
const (
	kitDir        = "/rig"
	documentsFile = kitDir + "/documents" // what was filed: ID and SHA-256 of each PDF
)

// upkeep is what is done to a box that was installed by Debian's package.
type upkeep struct {
	began  time.Time
	daemon *daemon
}

// runUpdate does what the kernel's command line asks for, or in a container that of
// the first program, and says how it went. The machine may lose its power at any time.
func runUpdate() error {
	kernel, err := os.ReadFile("/proc/cmdline")
	if err != nil {
		return err
	}
	first, err := os.ReadFile("/proc/1/cmdline")
	if err != nil {
		return err
	}
	text := bytes.ReplaceAll(slices.Concat(kernel, []byte(" "), first), []byte{0}, []byte(" "))
	u := &upkeep{began: time.Now(), daemon: newDaemon()}
	tasks := map[string]func() error{
		"install": u.installPackage, "language": u.language, "fleet": u.fleet, "upgrade": u.upgrade, "swap": u.swap, "restore": u.restore, "break": u.breakVersion, "back": u.back, "cut": u.cut, "remove": u.remove,
	}
	for word := range strings.FieldsSeq(string(text)) {
		list, ok := strings.CutPrefix(word, "rigtask=")
		if !ok {
			continue
		}
		for name := range strings.SplitSeq(list, ",") {
			task := tasks[name]
			if task == nil {
				return fmt.Errorf("there is no task %q", name)
			}
			if err := task(); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
		}
		return nil
	}
	return errors.New("nobody says what to do")
}

func (u *upkeep) say(format string, args ...any) {
	fmt.Printf("rig: %5.1f s  %s\n", time.Since(u.began).Seconds(), fmt.Sprintf(format, args...))
}

// run runs a program and gives what it says.
func (u *upkeep) run(name string, args ...string) (string, error) {
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out)), nil
}

// state is how an update stands.
type updateState struct {
	Running, State, Doing, Reason, Failure string
}

// healthy waits until docscan answers and nothing of an update goes on.
func (u *upkeep) healthy(limit time.Duration) (s updateState, err error) {
	err = until("docscan is healthy", limit, func() (bool, error) {
		s = updateState{}
		_, err := u.daemon.get("/api/v1/update", &s)
		return s.Running != "" && s.Doing == "" && s.State != "trying", err
	})
	if err != nil {
		log, _ := u.run("journalctl", "-b", "-n", "60", "-u", "docscand", "-u", "docscand-rollback", "--no-pager", "-o", "cat")
		return s, fmt.Errorf("%w\n%s", err, log)
	}
	return s, nil
}

// filed gives the SHA-256 of the PDF of each document.
func (u *upkeep) filed() (map[string]string, error) {
	var answer struct {
		Documents []struct{ ID string }
	}
	if _, err := u.daemon.get("/api/v1/documents", &answer); err != nil {
		return nil, err
	}
	sums := make(map[string]string)
	for _, d := range answer.Documents {
		pdf, err := u.daemon.get("/api/v1/documents/"+d.ID+"/pdf", nil)
		if err != nil {
			return nil, err
		}
		sum := sha256.Sum256([]byte(pdf))
		sums[d.ID] = hex.EncodeToString(sum[:])
	}
	return sums, nil
}

// whole proves that the box runs a healthy version and still has all that was
// filed.
func (u *upkeep) whole() (updateState, error) {
	s, err := u.healthy(patience)
	if err != nil {
		return s, err
	}
	text, err := os.ReadFile(documentsFile)
	if err != nil {
		return s, err
	}
	var want map[string]string
	if err := json.Unmarshal(text, &want); err != nil {
		return s, err
	}
	got, err := u.filed()
	if err != nil {
		return s, err
	}
	for id, sum := range want {
		if got[id] != sum {
			return s, fmt.Errorf("document %s is %q, it was filed as %q", id, got[id], sum)
		}
	}
	if _, err := u.run("docscanctl", "check"); err != nil {
		return s, err
	}
	return s, nil
}

// installPackage installs the package on a Debian that has never seen docscan, and
// files documents.
func (u *upkeep) installPackage() error {
	// Two settings are the rig's: a shorter proof, and its keys.
	if _, err := u.run("dpkg", "--install", kitDir+"/docscan.deb"); err != nil {
		return err
	}
	config, err := os.ReadFile("/etc/docscan/docscan.toml")
	if err != nil {
		return err
	}
	config = bytes.Replace(config, []byte("\nprove_seconds = 200\n"), []byte("\nprove_seconds = 3\n"), 1)
	config = bytes.Replace(config, []byte("\npatience_seconds = 5\n"), []byte("\npatience_seconds = 20\n"), 1)
	config = bytes.Replace(config, []byte("\nworkers = 0\n"), []byte("\nworkers = 1\n"), 1)
	if err := os.WriteFile("/etc/docscan/docscan.toml", config, 0o644); err != nil {
		return err
	}
	s, err := u.healthy(patience)
	if err != nil {
		return err
	}
	u.say("the package is installed, version %s runs in state %s", s.Running, s.State)
	security, err := u.run("systemd-analyze", "security", "--threshold=20", "--no-pager", "docscand.service")
	if err != nil {
		return err
	}
	lines := strings.Split(security, "\n")
	u.say("%s", strings.TrimSpace(strings.TrimPrefix(lines[len(lines)-1], "→")))
	if _, err := u.run("systemctl", "restart", "docscand"); err != nil {
		return err
	}
	if _, err := u.healthy(patience); err != nil {
		return err
	}
	if _, err := u.run("docscanctl", "upload", "--wait", kitDir+"/page.jpg"); err != nil {
		return err
	}
	sums, err := u.filed()
	if err != nil {
		return err
	}
	if len(sums) == 0 {
		return errors.New("nothing was filed")
	}
	text, err := json.Marshal(sums)
	if err != nil {
		return err
	}
	if err := os.WriteFile(documentsFile, text, 0o644); err != nil {
		return err
	}
	u.say("a page was read and filed")
	return exec.Command("sync").Run()
}

// other gives the one of the two good updates in the kit whose version does not run.
func (u *upkeep) other(running string) (string, error) {
	all, err := filepath.Glob(kitDir + "/good-*.bundle")
	if err != nil {
		return "", err
	}
	i := slices.IndexFunc(all, func(name string) bool { return !strings.Contains(name, running) })
	if i < 0 {
		return "", fmt.Errorf("no update in %s leads away from version %s", kitDir, running)
	}
	return all[i], nil
}

// swap changes to another version by an update while docscan works, under systemd.
func (u *upkeep) swap() error {
	before, err := u.whole()
	if err != nil {
		return err
	}
	file, err := u.other(before.Running)
	if err != nil {
		return err
	}
	if err := u.change(before, func() error { return u.install(file) }); err != nil {
		return err
	}
	return u.keep()
}

// keep installs the package again, whose version is older than the one that came by an
// update since: that one stays.
func (u *upkeep) keep() error {
	before, err := u.whole()
	if err != nil {
		return err
	}
	if _, err := u.run("dpkg", "--install", kitDir+"/docscan.deb"); err != nil {
		return err
	}
	after, err := u.healthy(patience)
	if err != nil {
		return err
	}
	if after.Running != before.Running || after.State != before.State || !strings.Contains(after.Failure, "older version") {
		return fmt.Errorf("after the package was installed again it is %+v, want version %s to stay", after, before.Running)
	}
	u.say("the package, which is older, was installed again, and version %s stays", after.Running)
	return nil
}

// upgrade changes to a later version by the package manager, and back.
func (u *upkeep) upgrade() error {
	for _, file := range []string{"upgrade.deb", "docscan.deb"} {
		before, err := u.whole()
		if err != nil {
			return err
		}
		err = u.change(before, func() error {
			if _, err := u.run("dpkg", "--install", filepath.Join(kitDir, file)); err != nil {
				return err
			}
			var s updateState
			err := until("the version of "+file+" has taken over", patience, func() (bool, error) {
				s = updateState{}
				_, err := u.daemon.get("/api/v1/update", &s)
				return s.Running != before.Running && s.Doing == "" && s.State != "trying", err
			})
			if err != nil {
				err = fmt.Errorf("%w; it is %+v", err, s)
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	u.say("upgraded and downgraded by the package manager")
	return nil
}

// change does what changes the version, and proves that nothing was stopped for it.
func (u *upkeep) change(before updateState, do func() error) error {
	pid, err := u.run("systemctl", "show", "-p", "MainPID", "--value", "docscand")
	if err != nil {
		return err
	}
	if err := do(); err != nil {
		return err
	}
	after, err := u.whole()
	if err != nil {
		return err
	}
	now, err := u.run("systemctl", "show", "-p", "MainPID,NRestarts,ActiveState", "docscand")
	if err != nil {
		return err
	}
	if after.Running == before.Running || strings.Contains(now, "MainPID="+pid+"\n") || !strings.Contains(now, "NRestarts=0") || !strings.Contains(now, "ActiveState=active") {
		return fmt.Errorf("after the change version %s runs; systemd says %s", after.Running, now)
	}
	u.say("version %s has taken over from %s; for systemd the unit was never stopped", after.Running, before.Running)
	return nil
}

// install installs an update, and tells rig when.
func (u *upkeep) install(file string) error {
	u.say("installing %s", filepath.Base(file))
	if _, err := u.run("docscanctl", "update", "install", "--downgrade", file); err != nil {
		return err
	}
	u.say("installed %s", filepath.Base(file))
	return nil
}

// breakVersion installs a version that proves itself and cannot start again.
func (u *upkeep) breakVersion() error {
	before, err := u.whole()
	if err != nil {
		return err
	}
	if err := os.WriteFile(kitDir+"/before", []byte(before.Running), 0o644); err != nil {
		return err
	}
	if _, err := u.run("docscanctl", "update", "install", "--downgrade", kitDir+"/broken.bundle"); err != nil {
		return err
	}
	u.say("a version that cannot start again has proved itself")
	return exec.Command("sync").Run()
}

// back waits until the version before is there again, after a start of the box.
func (u *upkeep) back() error {
	before, err := os.ReadFile(kitDir + "/before")
	if err != nil {
		return err
	}
	s, err := u.whole()
	if err != nil {
		return err
	}
	if s.Running != string(before) || s.State != "rolled-back" {
		return fmt.Errorf("version %s runs in state %s, want %s, rolled back", s.Running, s.State, before)
	}
	u.say("version %s is back by itself: %s", s.Running, s.Reason)
	return nil
}

// cut begins an installation during which rig may cut the power.
func (u *upkeep) cut() error {
	s, err := u.whole()
	if err != nil {
		return err
	}
	u.say("healthy, version %s in state %s", s.Running, s.State)
	file, err := u.other(s.Running)
	if err != nil {
		return err
	}
	return u.install(file)
}

// remove takes the package away: first the programs, then the data.
func (u *upkeep) remove() error {
	if _, err := u.whole(); err != nil {
		return err
	}
	if _, err := u.run("dpkg", "--remove", "docscan"); err != nil {
		return err
	}
	if _, err := os.Stat("/var/lib/docscan/docscan.db"); err != nil {
		return fmt.Errorf("after the removal: %w", err)
	}
	if state, err := u.run("systemctl", "show", "-p", "LoadState,ActiveState", "docscand"); err != nil || strings.Contains(state, "ActiveState=active") {
		return fmt.Errorf("after the removal the unit is %s, %v", state, err)
	}
	if _, err := u.run("dpkg", "--purge", "docscan"); err != nil {
		return err
	}
	for _, name := range []string{"/var/lib/docscan", "/etc/docscan", "/usr/lib/docscan"} {
		if _, err := os.Stat(name); !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("after the purge %s is still there: %v", name, err)
		}
	}
	u.say("removed with its data kept, then purged")
	return nil
}
