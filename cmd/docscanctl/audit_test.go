//go:build linux && sqlite_fts5

package main

import (
	"os"
	"strings"
	"testing"

	"docscan/store/audit"
)

// The log of a running box is exported and verified, with and without the box; what is
// done to an export shows.
func TestAudit(t *testing.T) {
	socket, _, st, _ := site(t)
	t.Chdir(t.TempDir())
	for range 3 {
		err := st.AddAudit(audit.Entry{EventType: audit.Authentication, Actor: "anna", Action: "login", Address: "192.0.2.7", Status: audit.Failure})
		if err != nil {
			t.Fatal(err)
		}
	}
	run := func(want int, has string, args ...string) string {
		t.Helper()
		code, out, errs := ctl(t, map[string]string{"DOCSCAN_SOCKET": socket}, "", args...)
		if code != want || !strings.Contains(out+errs, has) {
			t.Errorf("%s: code %d, want %d and %q\n%s%s", args, code, want, has, out, errs)
		}
		return out
	}
	keep := func(name, data string) {
		t.Helper()
		if err := os.WriteFile(name, []byte(data), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	run(exitOK, "", "audit", "export", "-o", "first.jsonl")
	run(exitFailure, "exists", "audit", "export", "-o", "first.jsonl")
	run(exitOK, "The audit log is whole: 4 records, numbers 1 to 4", "audit", "verify", "first.jsonl")
	run(exitOK, "The audit log is whole: 5 records", "audit", "verify", "--earlier", "first.jsonl")
	keep("box.pub", run(exitOK, audit.Fingerprint(st.AuditKey()), "audit", "key"))
	run(exitOK, audit.Fingerprint(st.AuditKey()), "audit", "verify", "first.jsonl", "--key", "box.pub")
	run(exitOK, `"entries": 4`, "audit", "verify", "first.jsonl", "--json")

	whole := run(exitOK, "", "audit", "export")
	keep("changed.jsonl", strings.Replace(whole, "192.0.2.7", "192.0.2.8", 1))
	run(exitFailure, "entry 1: the audit log has been changed", "audit", "verify", "changed.jsonl")
	lines := strings.SplitAfter(whole, "\n")
	keep("removed.jsonl", strings.Join(append(lines[:1:1], lines[2:]...), ""))
	run(exitFailure, "entries before it are missing", "audit", "verify", "removed.jsonl")
	keep("cut.jsonl", strings.Join(lines[:2], ""))
	run(exitFailure, "has been cut off", "audit", "verify", "cut.jsonl")
	run(exitFailure, "the earlier export has", "audit", "verify", "first.jsonl", "--earlier", func() string { keep("later.jsonl", whole); return "later.jsonl" }())
	run(exitFailure, "not a public key", "audit", "verify", "--key", "first.jsonl")
	run(exitUsage, "", "audit")
}
