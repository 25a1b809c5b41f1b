package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// What the screen of the box shows is what a person needs, with the box's own address, and
// nobody else on the box can read it.
func TestConsole(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "docscan")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("RUNTIME_DIRECTORY", "/run/docscan-slots:"+dir)
	code := "abcd-efgh-jkmn-pqrs"
	for listen, want := range map[string]string{
		":8000": `https://\4:8000/setup`, "0.0.0.0:443": `https://\4:443/setup`, "[::]:8000": `https://\4:8000/setup`, "10.0.0.7:8000": "https://box:8000/setup",
	} {
		text := string(consoleText("https://box:8000", listen, "AB:CD", code))
		if !strings.Contains(text, want) || !strings.Contains(text, code) || !strings.Contains(text, "AB:CD") {
			t.Errorf("%s: %s", listen, text)
		}
	}
	path := filepath.Join(dir, consoleFile)
	if err := os.WriteFile(path, consoleText("http://box:8000", ":8000", "", code), 0o600); err != nil {
		t.Fatal(err)
	}
	// Debian's own program makes of it what a person sees.
	out, err := exec.Command("script", "-qec", "agetty --show-issue --issue-file "+path, "/dev/null").CombinedOutput()
	if err != nil || !strings.Contains(string(out), code) || strings.Contains(string(out), `\4`) || !strings.Contains(string(out), ":8000/setup") {
		t.Errorf("agetty shows %q, %v", out, err)
	}
	clearConsole()
	if _, err := os.Stat(path); !os.IsNotExist(err) {
		t.Errorf("the code stays on the screen: %v", err)
	}
	t.Setenv("RUNTIME_DIRECTORY", "")
	clearConsole()
}
