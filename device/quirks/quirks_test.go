package quirks

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func load(t *testing.T, files map[string]string) (*List, error) {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return Load(dir)
}

func TestBuiltIn(t *testing.T) {
	l, err := load(t, nil)
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		vendor, product uint16
		name            string
		want            Quirks
	}{
		{0x03f0, 1, "HP LaserJet MFP M28w", Quirks{Connection: "keep-alive"}},
		{0x03f0, 1, "hp laserjet mfp M30a", Quirks{Connection: "keep-alive"}},
		{0x03f0, 1, "HP LaserJet MFP M32", Quirks{}},
		{0x0924, 0x42e8, "", Quirks{Name: "Xerox B205", Reset: HardReset}},
		{0x0924, 0x42e8, "Xerox B205", Quirks{Name: "Xerox B205", Reset: HardReset, WaitOnNotFound: true, KeepJob: true}},
		{0, 0, "Xerox(R) B205/B215 MFP", Quirks{WaitOnNotFound: true, KeepJob: true}},
		{0, 0, "Brother ADS-4900W", Quirks{Pause: true}},
		{0, 0, "Brother QL-810W", Quirks{Pause: true, Pipes: 1}},
		{0, 0, "", Quirks{}},
	}
	for _, tt := range tests {
		if got := l.Of(tt.vendor, tt.product, tt.name); got != tt.want {
			t.Errorf("Of(%04x, %04x, %q) = %+v, want %+v", tt.vendor, tt.product, tt.name, got, tt.want)
		}
	}
}

// For each setting the most specific rule wins, and the box's own rule over one
// that is as specific.
func TestTheMostSpecificWins(t *testing.T) {
	l, err := load(t, map[string]string{
		"a.toml": `
			[[quirk]]
			model = "*"
			pipes = 3
			request_delay_ms = 5
			[[quirk]]
			model = "Acme Scan*"
			pipes = 4
			[[quirk]]
			id = "04b8:ABCD"
			pipes = 5
			[[quirk]]
			model = "brother *"
			pause = false`,
		"b.toml": `
			[[quirk]]
			model = "ACME ????*"
			pipes = 6`,
		"not-a-rule.txt": "nonsense",
	})
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		vendor, product uint16
		name            string
		want            Quirks
	}{
		{1, 1, "anything", Quirks{Pipes: 3, RequestDelayMS: 5}},
		{1, 1, "Acme Scan 7", Quirks{Pipes: 4, RequestDelayMS: 5}},
		{1, 1, "Acme Copy 7", Quirks{Pipes: 6, RequestDelayMS: 5}},
		{0x04b8, 0xabcd, "Acme Scan 7", Quirks{Pipes: 5, RequestDelayMS: 5}},
		{1, 1, "Brother ADS-1", Quirks{Pipes: 3, RequestDelayMS: 5}},
	}
	for _, tt := range tests {
		if got := l.Of(tt.vendor, tt.product, tt.name); got != tt.want {
			t.Errorf("Of(%04x, %04x, %q) = %+v, want %+v", tt.vendor, tt.product, tt.name, got, tt.want)
		}
	}
}

// One driver has a machine, and a rule says which.
func TestFor(t *testing.T) {
	for _, tt := range []struct {
		q    Quirks
		want string
	}{
		{Quirks{}, "escl fujitsu esci sane"}, {Quirks{Driver: "fujitsu"}, "fujitsu"}, {Quirks{Driver: "sane"}, "sane"}, {Quirks{Ignore: true}, ""},
	} {
		var may []string
		for _, d := range []string{"escl", "fujitsu", "esci", "sane"} {
			if tt.q.For(d) {
				may = append(may, d)
			}
		}
		if got := strings.Join(may, " "); got != tt.want {
			t.Errorf("%+v is for %q, want %q", tt.q, got, tt.want)
		}
	}
}

func TestBadRules(t *testing.T) {
	tests := []struct{ text, want string }{
		{"[[quirk]]\nmodel = \"x\"\npipse = 1", `line 3: there is no quirk "quirk.pipse"`},
		{"[[quirk]]\nmodel = \"x\"\npipes = \"one\"", "line 3"},
		{"[[quirk]\n", "line 1"},
		{"[[quirk]]\npipes = 1", "either id or model"},
		{"[[quirk]]\nid = \"04b8:0001\"\nmodel = \"x\"", "either id or model"},
		{"[[quirk]]\nid = \"4b8:1\"", "like 04b8:0123"},
		{"[[quirk]]\nmodel = \"[\"", "syntax error in pattern"},
		{"[[quirk]]\nmodel = \"x\"\nreset = \"loud\"", `"soft" or "hard"`},
		{"[[quirk]]\nmodel = \"x\"\npipes = 9", "0 to 8"},
		{"[[quirk]]\nmodel = \"x\"\ndriver = \"twain\"", `it must be "escl"`},
		{"[[quirk]]\nmodel = \"x\"\nhost = \"a\\r\\nb\"", "control characters"},
	}
	for _, tt := range tests {
		_, err := load(t, map[string]string{"bad.toml": tt.text})
		if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), "bad.toml") {
			t.Errorf("%q gave %v, want an error in bad.toml with %q", tt.text, err, tt.want)
		}
	}
}

func TestText(t *testing.T) {
	q := Quirks{Pipes: 1, Reset: SoftReset, Pause: true}
	if got, want := q.Text(), "pipes = 1\nreset = 'soft'\npause = true"; got != want {
		t.Errorf("Text() = %q, want %q", got, want)
	}
}

// A box's own file of rules may hold anything.
func FuzzRules(f *testing.F) {
	f.Add([]byte("[[quirk]]\nmodel = \"a*\"\npipes = 1\n"))
	f.Add([]byte("[[quirk]]\nid = \"04b8:0001\"\nreset = \"hard\"\n"))
	f.Add(builtin)
	f.Fuzz(func(t *testing.T, b []byte) {
		l := &List{}
		if err := l.add("fuzz", b); err != nil {
			return
		}
		l.Of(0x04b8, 1, "a scanner")
	})
}
