package gpio

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/pelletier/go-toml/v2"
)

// readDocs gives the page that people wire their panel by.
func readDocs(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile("../../docs/panel.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// The settings of the page are accepted as they stand there.
func TestDocsSettings(t *testing.T) {
	_, after, _ := strings.Cut(readDocs(t), "```toml\n")
	text, _, ok := strings.Cut(after, "```")
	if !ok {
		t.Fatal("docs/panel.md has no settings")
	}
	all := struct {
		Panel Config `toml:"panel"`
	}{DefaultConfig()}
	if err := toml.NewDecoder(strings.NewReader(text)).DisallowUnknownFields().Decode(&all); err != nil {
		t.Fatal(err)
	}
	if err := all.Panel.Check(); err != nil {
		t.Error(err)
	}
	if got := len(all.Panel.uses()); got != 5 {
		t.Errorf("the page wires %d lines, want 5", got)
	}
}

// The table of the page is what the LEDs do.
func TestDocsLights(t *testing.T) {
	docs := readDocs(t)
	colors := []string{"green", "yellow", "red", "white"}
	for _, s := range new(LED).settings() {
		state := strings.ReplaceAll(s.key, "_", " ")
		i := strings.Index(docs, "\n| "+state+" |")
		if i < 0 {
			t.Errorf("the page does not explain %q", state)
			continue
		}
		row, _, _ := strings.Cut(docs[i+1:], "\n")
		var got, want []string
		for cell := range strings.SplitSeq(strings.Trim(row, "|"), "|") {
			got = append(got, strings.TrimSpace(cell))
		}
		got = got[2:]
		for _, c := range colors {
			l := LED{Color: c}
			want = append(want, string(l.pattern(s.light)))
		}
		if !slices.Equal(got, want) {
			t.Errorf("the page says %v for %s, the LEDs do %v", got, state, want)
		}
	}
}
