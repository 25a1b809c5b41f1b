package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestCheck(t *testing.T) {
	for code, want := range map[string]string{
		"var N int64 = 1 << 40":                   "",
		"var N = 1 << 30":                         "",
		"var N int = 1 << 40":                     "overflows",
		"import \"math\"; var N = math.MaxUint32": "overflows",
	} {
		dir := t.TempDir()
		for name, text := range map[string]string{"go.mod": "module narrowed\n\ngo 1.25\n", "a.go": "package narrowed\n\n" + code + "\n"} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		t.Chdir(dir)
		faults, err := check([]string{"./..."})
		if err != nil {
			t.Fatal(err)
		}
		if want == "" && len(faults) > 0 || want != "" && (len(faults) != 1 || !strings.Contains(faults[0].Error(), want)) {
			t.Errorf("%s: %v, want %q", code, faults, want)
		}
	}
	if _, err := check([]string{"./nowhere"}); err == nil {
		t.Error("a package that is not there is no error")
	}
}
