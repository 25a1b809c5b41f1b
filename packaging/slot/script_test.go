//go:build linux

package slot

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

const systemdDir = "../systemd"

// script runs docscand-rollback as systemd does, and gives what it says.
func (b *box) script(mode string, env ...string) (string, error) {
	b.t.Helper()
	cmd := exec.CommandContext(b.t.Context(), filepath.Join(systemdDir, "docscand-rollback"), mode)
	cmd.Env = append(os.Environ(), "DOCSCAN_SLOTS="+b.cfg.Dir, "DOCSCAN_SLOTS_RUN="+b.cfg.RunDir, "DOCSCAN_SLOTS_PAUSE=0", "DOCSCAN_SLOTS_BREATH=0", "DOCSCAN_SLOTS_PATIENCE=0")
	cmd.Env = append(cmd.Env, env...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// scriptCrash lets the current version crash three times, as systemd tells it.
func (b *box) scriptCrash() error {
	for range crashLimit {
		if out, err := b.script("crashed", "SERVICE_RESULT=watchdog"); err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
	}
	if out, err := b.script("failed"); err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	return nil
}

// The script, which knows nothing of this package, decides in every situation as
// this package does, and this package understands what the script did.
func TestScriptDecidesAlike(t *testing.T) {
	press := newPress(t)
	for _, s := range situations {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			ours, its := newBox(t, press), newBox(t, press)
			for _, b := range []*box{ours, its} {
				if err := s.bring(b); err != nil {
					t.Fatal(err)
				}
			}
			if err := ours.crash(); err != nil && !errors.Is(err, ErrNoWay) {
				t.Fatal(err)
			}
			if err := its.scriptCrash(); err != nil {
				t.Fatal(err)
			}
			// The next version that starts reads what happened.
			if out, err := its.script("boot"); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			if err := errors.Join(ours.boot(), its.boot()); err != nil {
				t.Fatal(err)
			}
			a, errA := ours.Status()
			b, errB := its.Status()
			if err := errors.Join(errA, errB); err != nil {
				t.Fatal(err)
			}
			if a.State != b.State || a.Reason != b.Reason || ours.runs() != its.runs() {
				t.Errorf("the script: %s (%s), runs %q; we: %s (%s), runs %q", b.State, b.Reason, its.runs(), a.State, a.Reason, ours.runs())
			}
			if a.State == RolledBack {
				last := its.events[len(its.events)-1]
				if last.Step != StepRollBack || last.Reason != a.Reason {
					t.Errorf("the last event is %s (%s), want %s (%s)", last.Step, last.Reason, StepRollBack, a.Reason)
				}
			}
		})
	}
}

// What counts as three crashes within ten minutes, for the script and for us.
func TestScriptCountsCrashes(t *testing.T) {
	press := newPress(t)
	up, err := uptime()
	if err != nil {
		t.Fatal(err)
	}
	now := int64(up / time.Second)
	line := func(ago int64, slot string) string { return strconv.FormatInt(now-ago, 10) + " " + slot + "\n" }
	tests := []struct {
		name string
		text string
		back bool
	}{
		{"none", "", false},
		{"two", line(1, "b") + line(0, "b"), false},
		{"three", line(2, "b") + line(1, "b") + line(0, "b"), true},
		{"three of the version before", line(2, "a") + line(1, "a") + line(0, "a"), false},
		{"two and one of the version before", line(2, "b") + line(1, "a") + line(0, "b"), false},
		{"three, one of them in the future", line(2, "b") + line(1, "b") + line(-1000, "b"), false},
		{"lines that make no sense", "x b\n b\n99999999999999999999999 b\n-1 b\n\n" + line(0, "b"), false},
		{"three, the last without a line end", strings.TrimSpace(line(2, "b") + line(1, "b") + line(0, "b")), true},
	}
	if now > 700 {
		tests = append(tests, struct {
			name string
			text string
			back bool
		}{"three, one long ago", line(700, "b") + line(1, "b") + line(0, "b"), false})
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := newBox(t, press)
			if err := errors.Join(b.update("1.0.0"), b.update("1.1.0")); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(b.cfg.RunDir, crashesName), []byte(tt.text), 0o644); err != nil {
				t.Fatal(err)
			}
			if n := crashes(tt.text, now, "b"); (n >= crashLimit) != tt.back {
				t.Errorf("we count %d, want enough: %v", n, tt.back)
			}
			out, err := b.script("failed")
			if err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			if back := b.runs() == "1.0.0"; back != tt.back {
				t.Errorf("the script went back: %v, want %v; it said %q", back, tt.back, out)
			}
		})
	}
}

func TestScriptCrashed(t *testing.T) {
	press := newPress(t)
	for result, want := range map[string]int{
		"success": 0, "exec-condition": 0, "exit-code": 1, "signal": 1, "core-dump": 1, "watchdog": 1, "timeout": 1, "oom-kill": 1,
	} {
		b := newBox(t, press)
		if err := b.update("1.0.0"); err != nil {
			t.Fatal(err)
		}
		if out, err := b.script("crashed", "SERVICE_RESULT="+result); err != nil {
			t.Fatalf("%s: %v: %s", result, err, out)
		}
		text, err := os.ReadFile(filepath.Join(b.cfg.RunDir, crashesName))
		if err != nil && want > 0 {
			t.Fatal(err)
		}
		if got := bytes.Count(text, []byte(" a\n")); got != want {
			t.Errorf("%s: %d crashes, want %d", result, got, want)
		}
	}
}

func TestScriptAtBoot(t *testing.T) {
	press := newPress(t)
	tests := []struct {
		name  string
		spoil func(slots string) error
		runs  string
		state State
	}{
		{"nothing wrong", func(string) error { return nil }, "1.1.0", Committed},
		{"program is gone", func(d string) error { return os.Remove(filepath.Join(d, "b/bin/docscand")) }, "1.0.0", RolledBack},
		{"slot is gone", func(d string) error { return os.RemoveAll(filepath.Join(d, "b")) }, "1.0.0", RolledBack},
		{"program cannot be executed", func(d string) error { return os.Chmod(filepath.Join(d, "b/bin/docscand"), 0o644) }, "1.0.0", RolledBack},
		{"nowhere to go back to", func(d string) error {
			return errors.Join(os.Remove(filepath.Join(d, "b/bin/docscand")), os.RemoveAll(filepath.Join(d, "a")))
		}, "", Committed},
		{"links lead elsewhere", func(d string) error {
			return errors.Join(os.Remove(filepath.Join(d, "previous")), os.Symlink("../../etc", filepath.Join(d, "previous")), os.Remove(filepath.Join(d, "b/bin/docscand")))
		}, "", Committed},
		{"roll back begun", func(d string) error { return os.WriteFile(filepath.Join(d, "rollback"), []byte("a reason"), 0o644) }, "1.0.0", RolledBack},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := newBox(t, press)
			if err := errors.Join(b.update("1.0.0"), b.update("1.1.0"), tt.spoil(b.cfg.Dir)); err != nil {
				t.Fatal(err)
			}
			if out, err := b.script("boot"); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			if b.runs() != tt.runs {
				t.Errorf("runs %q, want %q", b.runs(), tt.runs)
			}
			if err := b.boot(); err != nil || b.state() != tt.state {
				t.Errorf("boot: %v, %s, want %s", err, b.state(), tt.state)
			}
		})
	}
	t.Run("never updated", func(t *testing.T) {
		b := newBox(t, press)
		if err := os.RemoveAll(b.cfg.Dir); err != nil {
			t.Fatal(err)
		}
		if out, err := b.script("boot"); err != nil || out != "" {
			t.Errorf("%v: %q, want nothing", err, out)
		}
	})
	t.Run("wrong usage", func(t *testing.T) {
		if out, err := newBox(t, press).script("sideways"); err == nil || !strings.Contains(out, "usage:") {
			t.Errorf("%v: %q, want an error and the usage", err, out)
		}
	})
}

// Somebody who holds the lock and hangs does not keep the script from its work.
func TestScriptWithLock(t *testing.T) {
	b := newBox(t, newPress(t))
	if err := errors.Join(b.update("1.0.0"), b.update("1.1.0")); err != nil {
		t.Fatal(err)
	}
	unlock, err := b.disk.lock()
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	if err := b.scriptCrash(); err != nil {
		t.Fatal(err)
	}
	if b.runs() != "1.0.0" {
		t.Errorf("runs %q, want 1.0.0", b.runs())
	}
}

// cutter is a program that does what another does, until its turns are used up:
// then it kills the script, as a power cut would end it there.
const cutter = `#!/bin/sh
n=$(cat "$TURNS")
[ "$n" -gt 0 ] || { kill -9 "$PPID"; exit 1; }
echo $((n - 1)) >"$TURNS"
PATH=/usr/bin:/bin exec %s "$@"
`

// The script is cut off before each of its steps; the next start finishes.
func TestScriptCutOff(t *testing.T) {
	press := newPress(t)
	bin := t.TempDir()
	for _, name := range []string{"sync", "mv", "ln", "rm"} {
		if err := os.WriteFile(filepath.Join(bin, name), fmt.Appendf(nil, cutter, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for n := 0; ; n++ {
		b := newBox(t, press)
		if err := errors.Join(b.update("1.0.0"), b.update("1.1.0")); err != nil {
			t.Fatal(err)
		}
		for range crashLimit {
			if out, err := b.script("crashed", "SERVICE_RESULT=signal"); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
		}
		turns := filepath.Join(t.TempDir(), "turns")
		if err := os.WriteFile(turns, []byte(strconv.Itoa(n)), 0o644); err != nil {
			t.Fatal(err)
		}
		_, cut := b.script("failed", "PATH="+bin+":/usr/bin:/bin", "TURNS="+turns)
		for _, withScript := range []bool{false, true} {
			after := b.restart(b.platter(), lucks(0)[1])
			if withScript {
				if out, err := after.script("boot"); err != nil {
					t.Errorf("cut before step %d: boot: %v: %s", n, err, out)
				}
			}
			if err := after.boot(); err != nil {
				t.Errorf("cut before step %d: %v", n, err)
			}
			state, runs := after.state(), after.runs()
			if (state != Committed || runs != "1.1.0" || cut == nil) && (state != RolledBack || runs != "1.0.0") {
				t.Errorf("cut before step %d, boot with the script %v: %s, runs %q", n, withScript, state, runs)
			}
			after.mustBeWhole("")
		}
		if cut == nil {
			if n < 8 {
				t.Errorf("the script took %d steps, want at least 8", n)
			}
			return
		}
	}
}

// A disk on which something cannot be written does not take the way back: without a
// reason it is gone all the same, and if it cannot be gone it stays.
func TestScriptOnABadDisk(t *testing.T) {
	press := newPress(t)
	tests := []struct {
		fails, runs, previous string
		then                  State // at the next start, where the disk is well again
	}{
		{"mv", "1.1.0", "a", Committed},
		{"ln", "1.1.0", "a", RolledBack}, // the reason was written: it was begun
		{"sync", "1.0.0", "", RolledBack},
		{"", "1.0.0", "", RolledBack},
	}
	for _, tt := range tests {
		t.Run(tt.fails, func(t *testing.T) {
			b := newBox(t, press)
			if err := errors.Join(b.update("1.0.0"), b.update("1.1.0")); err != nil {
				t.Fatal(err)
			}
			bin := t.TempDir()
			if tt.fails != "" {
				if err := os.WriteFile(filepath.Join(bin, tt.fails), []byte("#!/bin/sh\necho no space left >&2\nexit 1\n"), 0o755); err != nil {
					t.Fatal(err)
				}
			}
			for range crashLimit {
				if out, err := b.script("crashed", "SERVICE_RESULT=signal"); err != nil {
					t.Fatalf("%v: %s", err, out)
				}
			}
			out, err := b.script("failed", "PATH="+bin+":/usr/bin:/bin")
			if err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			if b.runs() != tt.runs || b.pointer(previousName) != tt.previous {
				t.Errorf("runs %q, before it %q; want %q and %q; it said %s", b.runs(), b.pointer(previousName), tt.runs, tt.previous, out)
			}
			if err := b.boot(); err != nil || b.state() != tt.then {
				t.Errorf("afterwards %s, %v; want %s", b.state(), err, tt.then)
			}
		})
	}
}

// Whoever restores a backup right after an update starts docscan anew each time, and so
// may whoever tries settings. However often that is, the version stays: only what ends by
// itself and badly counts.
func TestStartsAreNoCrashes(t *testing.T) {
	b := newBox(t, newPress(t))
	if err := errors.Join(b.update("1.0.0"), b.update("1.1.0")); err != nil {
		t.Fatal(err)
	}
	for range 2 * crashLimit {
		if out, err := b.script("crashed", "SERVICE_RESULT=success"); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		// systemd gives up after a few starts, whatever they were for.
		if out, err := b.script("failed"); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		if out, err := b.script("boot"); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	if err := b.boot(); err != nil || b.runs() != "1.1.0" || b.state() != Committed || b.pointer(previousName) != "a" {
		t.Errorf("%v; runs %q, %s, before it %q", err, b.runs(), b.state(), b.pointer(previousName))
	}
}

// Who starts docscan again and again, as one who tries settings does, need not wait as
// for a version that crashes and has none to go back to.
func TestScriptPauses(t *testing.T) {
	press := newPress(t)
	bin := t.TempDir()
	slept := filepath.Join(bin, "slept")
	if err := os.WriteFile(filepath.Join(bin, "sleep"), fmt.Appendf(nil, "#!/bin/sh\necho \"$1\" >%s\n", slept), 0o755); err != nil {
		t.Fatal(err)
	}
	for crashes, want := range map[int]string{0: "2", crashLimit - 1: "2", crashLimit: "60"} {
		b := newBox(t, press)
		if err := b.update("1.0.0"); err != nil {
			t.Fatal(err)
		}
		for range crashes {
			if out, err := b.script("crashed", "SERVICE_RESULT=signal"); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
		}
		if out, err := b.script("failed", "PATH="+bin+":/usr/bin:/bin", "DOCSCAN_SLOTS_PAUSE=", "DOCSCAN_SLOTS_BREATH="); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		if got, err := os.ReadFile(slept); err != nil || strings.TrimSpace(string(got)) != want {
			t.Errorf("after %d crashes it pauses %q seconds (%v), want %s", crashes, got, err, want)
		}
	}
}

// setting is the last value of a key in units, empty if there is none.
func setting(t *testing.T, key string) string {
	t.Helper()
	value := ""
	for _, name := range []string{"docscand.service", "docscand.service.d/rollback.conf"} {
		text, err := os.ReadFile(filepath.Join(systemdDir, name))
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			if v, ok := strings.CutPrefix(line, key+"="); ok {
				value = strings.TrimSpace(v)
			}
		}
	}
	return value
}

// seconds is a span of time in a unit.
func seconds(t *testing.T, key string) time.Duration {
	t.Helper()
	text := strings.TrimSuffix(setting(t, key), "in") // Go's minutes are m
	if strings.Trim(text, "0123456789") == "" {
		text += "s"
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		t.Fatalf("%s: %v", key, err)
	}
	return d
}

// A version that hangs must come to its third crash within the time that systemd and
// the script count over. However long each takes is a matter of the units.
func TestHangsAreCounted(t *testing.T) {
	const slack = 10 * time.Second // other programs of the unit, and a start until it hangs
	hang := seconds(t, "TimeoutStartSec")
	if setting(t, "TimeoutStartFailureMode") != "kill" {
		hang += seconds(t, "TimeoutStopSec")
	}
	for name, each := range map[string]time.Duration{
		"at its start": hang,
		"later":        seconds(t, "WatchdogSec") + seconds(t, "TimeoutStopSec"),
	} {
		each += seconds(t, "RestartSec") + slack
		if limit := seconds(t, "StartLimitIntervalSec"); crashLimit*each >= limit {
			t.Errorf("one that hangs %s crashes %d times in %v, and systemd forgets starts after %v", name, crashLimit, crashLimit*each, limit)
		}
		if apart := (crashLimit - 1) * each; apart > crashTime {
			t.Errorf("one that hangs %s crashes for the third time %v after the first, and only %v count", name, apart, crashTime)
		}
	}
	if got := setting(t, "StartLimitBurst"); got != strconv.Itoa(crashLimit) {
		t.Errorf("systemd gives up after %s starts, want %d", got, crashLimit)
	}
}

// systemd rates how open the units are, from 0 to 10. All stay below 2.
func TestUnitsAreShut(t *testing.T) {
	root := t.TempDir()
	units := filepath.Join(root, "etc/systemd/system")
	if err := os.MkdirAll(filepath.Dir(units), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(units, os.DirFS(systemdDir)); err != nil {
		t.Fatal(err)
	}
	services, err := filepath.Glob(filepath.Join(units, "*.service"))
	if err != nil || len(services) < 5 {
		t.Fatalf("there are %q, %v", services, err)
	}
	for _, name := range services {
		name = filepath.Base(name)
		const threshold = "20" // tenths
		out, err := exec.CommandContext(t.Context(), "systemd-analyze", "security", "--no-pager", "--offline=true", "--root="+root, "--threshold="+threshold, name).CombinedOutput()
		lines := strings.Split(strings.TrimSpace(string(out)), "\n")
		t.Log(lines[len(lines)-1])
		if err != nil {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
	}
}

// systemd understands the units.
func TestUnits(t *testing.T) {
	dir := t.TempDir()
	script, err := filepath.Abs(filepath.Join(systemdDir, "docscand-rollback"))
	if err != nil {
		t.Fatal(err)
	}
	// systemd-analyze wants programs and users that exist.
	fit := strings.NewReplacer("/usr/lib/docscan/docscand-rollback", script, "User=docscan", "User=root", "Group=docscan", "Group=root")
	put := func(name, text string) {
		t.Helper()
		name = filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(fit.Replace(text)), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"docscand-rollback.service", "docscand.service.d/rollback.conf"} {
		text, err := os.ReadFile(filepath.Join(systemdDir, name))
		if err != nil {
			t.Fatal(err)
		}
		put(name, string(text))
	}
	put("docscand.service", "[Unit]\nDescription=docscan\n[Service]\nExecStart=/bin/true\n")
	cmd := exec.CommandContext(t.Context(), "systemd-analyze", "verify", "--man=no", filepath.Join(dir, "docscand-rollback.service"), filepath.Join(dir, "docscand.service"))
	cmd.Env = append(os.Environ(), "SYSTEMD_UNIT_PATH="+dir+":")
	out, err := cmd.CombinedOutput()
	if err != nil || strings.Contains(string(out), dir) {
		t.Errorf("systemd-analyze verify: %v\n%s", err, out)
	}
}
