//go:build linux

package swap

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"docscan/packaging/slot"
)

// checker is a docscand whose check fails for settings that say "bad", and with a
// known page for those that say "late".
const checker = `#!/bin/sh
for last; do :; done
[ "$last" = run ] && last=$SETTINGS
grep -q bad "$last" && { echo "FAIL settings $(cat "$last")"; exit 1; }
[ "$2" != --known-page ] || ! grep -q late "$SETTINGS" || { echo "FAIL known page"; exit 1; }
exit 0
`

// Settings that do not work are not taken, whenever that shows, and those before
// hold.
func TestConfigure(t *testing.T) {
	s := newShop(t)
	dir := t.TempDir()
	file, exe := filepath.Join(dir, "docscan.toml"), filepath.Join(dir, "docscand")
	t.Setenv("SETTINGS", file)
	const old = "# as it was\n"
	for name, text := range map[string]string{file: old, exe: checker} {
		if err := os.WriteFile(name, []byte(text), 0o750); err != nil {
			t.Fatal(err)
		}
	}
	by := slot.Origin{Who: "anna"}
	if err := s.Configure(t.Context(), []byte("x"), false, by); !errors.Is(err, ErrSettings) || !strings.Contains(err.Error(), "without a docscan.toml") {
		t.Errorf("started without a file: %v", err)
	}
	s.deps.Settings, s.deps.Exe = file, exe
	tests := []struct {
		name, settings string
		dryRun         bool
		want           string // at once
		later          string
	}{
		{"in order, dry run", "good", true, "", ""},
		{"bad, dry run", "bad = 1", true, "bad = 1", ""},
		{"bad", "bad = 1", false, "bad = 1", ""},
		{"bad later", "late = 1", false, "", "known page"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := s.Configure(t.Context(), []byte(tt.settings), tt.dryRun, by)
			if tt.want == "" && err != nil || tt.want != "" && (!errors.Is(err, ErrSettings) || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("%v, want %q", err, tt.want)
			}
			s.wg.Wait()
			if _, failure := s.Doing(); tt.later != "" && (!errors.Is(failure, ErrSettings) || !strings.Contains(failure.Error(), tt.later)) {
				t.Errorf("later %v, want %q", failure, tt.later)
			}
			if text, err := os.ReadFile(file); err != nil || string(text) != old {
				t.Errorf("the settings are now %q, %v", text, err)
			}
			if entries, err := os.ReadDir(dir); err != nil || len(entries) != 2 {
				t.Errorf("left behind: %v, %v", entries, err)
			}
		})
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if err := s.Configure(t.Context(), []byte("x"), false, by); !errors.Is(err, ErrSettings) {
		t.Errorf("without the file: %v", err)
	}
}

// After a power cut in the middle of a trial the settings hold that worked.
func TestRecoverSettings(t *testing.T) {
	file := filepath.Join(t.TempDir(), "docscan.toml")
	if found, err := RecoverSettings(file); found || err != nil {
		t.Errorf("nothing on trial: %t, %v", found, err)
	}
	for name, text := range map[string]string{file: "new", file + provenSuffix: "old"} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	found, err := RecoverSettings(file)
	if text, rerr := os.ReadFile(file); !found || err != nil || rerr != nil || string(text) != "old" {
		t.Errorf("%t, %v; the settings are %q", found, err, text)
	}
}
