package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
)

// What a person sees of an update: of one that stays, and of one that is taken back.
func TestUpdateCommands(t *testing.T) {
	file := filepath.Join(t.TempDir(), "x.bundle")
	if err := os.WriteFile(file, []byte("bundle"), 0o600); err != nil {
		t.Fatal(err)
	}
	const (
		going     = `{"running":"1.0.0","state":"trying","doing":"Version 2.0.0 takes over."}`
		committed = `{"running":"2.0.0","state":"committed","current":{"slot":"b","version":"2.0.0","digest":"00112233445566778899"},"previous":{"slot":"a","version":"1.0.0","digest":"ff"}}`
		taken     = `{"running":"1.0.0","state":"rolled-back","reason":"it hangs","failure":"version 2.0.0: it hangs"}`
		steps     = `{"steps":[{"time":"2026-01-02T03:04:05Z","step":"roll-back","version":"2.0.0","digest":"aabbccddeeff0011","who":"anna","from":"10.0.0.9","reason":"it hangs"}]}`
	)
	tests := []struct {
		args   string
		status []string // one answer after the other
		code   int
		want   []string
	}{
		{"update install " + file, []string{going, committed}, exitOK, []string{"has arrived (6 bytes)", "Version 2.0.0 takes over.", "Running:  2.0.0\nInstalled last: it has proved itself", "Before:   1.0.0 in slot a"}},
		{"update install " + file, []string{going, taken}, exitFailure, []string{"Rolled back: it hangs", "version 1.0.0 goes on, and nothing is lost: version 2.0.0: it hangs"}},
		{"update install --detach " + file, nil, exitOK, nil},
		{"update package", []string{going, committed}, exitOK, []string{"Version 2.0.0 takes over.", "Running:  2.0.0"}},
		{"update package --detach --downgrade", nil, exitOK, nil},
		{"update install " + file + ".gone", nil, exitFailure, []string{"no such file"}},
		{"update rollback --reason dark", []string{`{"running":"1.0.0","state":"rolled-back","reason":"dark"}`}, exitOK, []string{"Rolled back: dark"}},
		{"update status", []string{committed}, exitOK, []string{"Starts:   2.0.0 in slot b, 0011223344556677"}},
		{"update status --json", []string{committed}, exitOK, []string{`"state"`}},
		{"update history", nil, exitOK, []string{"roll-back", "aabbccddeeff", "10.0.0.9", "it hangs"}},
	}
	for _, tt := range tests {
		t.Run(tt.args, func(t *testing.T) {
			var n atomic.Int32
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				p := r.Method + " " + r.URL.Path
				if at := strings.Index(p, "/uploads/"); at >= 0 {
					p = p[:at+len("/uploads/")] // whatever the digest is
				}
				switch p {
				case "GET /api/v1/update/uploads/":
					fmt.Fprint(w, `{"offset":0}`)
				case "PUT /api/v1/update/uploads/":
					fmt.Fprint(w, `{"offset":6}`)
				case "POST /api/v1/update/install", "POST /api/v1/update/package", "POST /api/v1/update/rollback":
					w.WriteHeader(http.StatusAccepted)
					fmt.Fprint(w, going)
				case "GET /api/v1/update/history":
					fmt.Fprint(w, steps)
				default:
					if r.URL.Path != "/api/v1/update" || len(tt.status) == 0 {
						t.Errorf("asked for %s", p)
						return
					}
					fmt.Fprint(w, tt.status[min(int(n.Add(1)), len(tt.status))-1])
				}
			}))
			defer s.Close()
			code, out, errs := ctl(t, map[string]string{"DOCSCAN_SERVER": s.URL, "DOCSCAN_TOKEN": "x"}, "", strings.Fields(tt.args)...)
			if code != tt.code {
				t.Errorf("code %d, want %d\n%s%s", code, tt.code, out, errs)
			}
			for _, want := range tt.want {
				if !strings.Contains(out+errs, want) {
					t.Errorf("%q is not said:\n%s%s", want, out, errs)
				}
			}
		})
	}
}
