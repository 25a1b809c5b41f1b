package main

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"testing"

	"docscan/cmd/docscand/box"
)

// A backup is restored from elsewhere: docscan ends by itself, and its next start has what
// was in the backup, and nothing that came since.
func TestRestoreFromElsewhere(t *testing.T) {
	b, ctx := newBox(t)
	b.World = []string{"env", "INVOCATION_ID=of-systemd"}
	must(t, b.Start(ctx))
	var backup []byte
	must(t, b.Get(ctx, "/api/v1/system/backup", &backup))
	must(t, b.Post(ctx, "/api/v1/users", map[string]string{"username": "since", "password": "eight red tractors"}, nil))
	send := func(path, kind string, body []byte) (status int, text string) {
		t.Helper()
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, b.URL+path, bytes.NewReader(body))
		must(t, err)
		req.Header.Set("Authorization", "Bearer "+b.Token)
		req.Header.Set("Content-Type", kind)
		req.Header.Set("If-Match", "*")
		resp, err := http.DefaultClient.Do(req)
		must(t, err)
		defer resp.Body.Close()
		data, err := io.ReadAll(resp.Body)
		must(t, err)
		return resp.StatusCode, string(data)
	}
	if status, text := send("/api/v1/system/restore", "application/octet-stream", backup); status != 201 {
		t.Fatalf("%d %s", status, text)
	}
	if status, text := send("/api/v1/system/restore/start", "application/json", []byte(`{"password":"`+box.Password+`"}`)); status != 202 {
		t.Fatalf("%d %s", status, text)
	}
	must(t, box.Until(ctx, func() (bool, error) { return b.Ended(), nil }))
	if end := b.End(); !end.Success() { // three of those, and the version before is back
		t.Errorf("it ended with %v, which counts as a crash", end)
	}
	must(t, b.Start(ctx))
	var p *box.Problem
	if err := b.Get(ctx, "/api/v1/users", nil); !errors.As(err, &p) || p.Status != 401 {
		t.Errorf("with the log-in of before: %v, want 401", err)
	}
	var in struct {
		Token string `json:"access_token"`
	}
	must(t, b.Post(ctx, "/api/v1/login", map[string]string{"username": box.Admin, "password": box.Password}, &in))
	b.Token = in.Token
	var list struct {
		Users []struct {
			Name string `json:"name"`
		} `json:"users"`
	}
	must(t, b.Get(ctx, "/api/v1/users", &list))
	if len(list.Users) != 1 || list.Users[0].Name != box.Admin {
		t.Errorf("there are %v, want the administrator of the backup alone", list.Users)
	}
	var report struct{ Problems []any }
	must(t, b.Post(ctx, "/api/v1/system/check", nil, &report))
	if len(report.Problems) > 0 {
		t.Errorf("the check finds %v", report.Problems)
	}
}
