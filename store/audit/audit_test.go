package audit

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"
)

// An export comes from anywhere. Whatever it is, it is not whole unless somebody has
// signed it.
func FuzzExport(f *testing.F) {
	e := Entry{Time: time.Date(2026, 3, 9, 8, 0, 0, 0, time.UTC), Level: "INFO", EventType: Authentication, Actor: "anna", Action: "login", Status: Success}
	r := record{Seq: 1, Entry: e}
	var err error
	if r.Hash, err = r.sum(); err != nil {
		f.Fatal(err)
	}
	var b bytes.Buffer
	if err := writeLine(&b, r.line()); err != nil {
		f.Fatal(err)
	}
	f.Add(b.String())
	f.Add(`{"checkpoint": {"seq": 1, "hash": "", "key": "AAAA", "signature": "AAAA"}}` + "\n")
	f.Add("{\n")
	f.Add(strings.Repeat("\n", 100))
	f.Fuzz(func(t *testing.T, text string) {
		sum, err := new(Verifier).Export(t.Context(), strings.NewReader(text))
		if err == nil && sum.Entries > 0 && sum.Checkpoints == 0 {
			t.Errorf("%q is taken for a whole log: %+v", text, sum)
		}
		if err != nil && !errors.Is(err, ErrBroken) {
			t.Errorf("%q: %v, want ErrBroken", text, err)
		}
	})
}
