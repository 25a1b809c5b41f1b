package main

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestUploadFiles(t *testing.T) {
	dir := t.TempDir()
	letter, photo := filepath.Join(dir, "a letter.pdf"), filepath.Join(dir, "photo.jpg")
	for file, data := range map[string]string{letter: "%PDF-1.7 and more", photo: ""} {
		if err := os.WriteFile(file, []byte(data), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	const batch = `{"id":"b1","state":"scanning","pages":0,"upload":{"name":"a letter.pdf","pages":2}}`
	d := startDaemon(t, nil)
	d.handle("POST /api/v1/uploads", func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength == 0 {
			w.Header().Set("Content-Type", "application/problem+json")
			w.WriteHeader(http.StatusUnprocessableEntity)
			io.WriteString(w, `{"detail":"The file is empty."}`)
			return
		}
		w.WriteHeader(http.StatusCreated)
		io.WriteString(w, `{"uploads":[{"name":"a letter.pdf","batch":`+batch+`}]}`)
	})
	code, out, errs := d.ctl(t, "", "upload", "--profile", "standard", photo, letter)
	if code != exitFailure || out != letter+" is safe (2 pages). Batch b1\n" ||
		errs != photo+": The file is empty.\ndocscanctl: 1 of 2 files were not taken; the others are safe\n" {
		t.Errorf("code %d\n%s%s", code, out, errs)
	}
	want := "POST /api/v1/uploads?name=photo.jpg&profile=standard\nPOST /api/v1/uploads?name=a+letter.pdf&profile=standard %PDF-1.7 and more"
	if got := d.calls(); got != want {
		t.Errorf("the daemon was asked\n%s\nwant\n%s", got, want)
	}
	if code, _, errs := d.ctl(t, "", "upload", dir); code != exitFailure || !strings.Contains(errs, "is not a file") {
		t.Errorf("a directory: code %d, %s", code, errs)
	}
	states := []string{
		`{"id":"b1","state":"scanning","pages":[{"seq":1,"sheet":1,"state":"safe"}],"upload":{"name":"a letter.pdf","pages":2}}`,
		`{"id":"b1","state":"completed","pages":[{"seq":1,"sheet":1,"state":"done"},{"seq":2,"sheet":2,"state":"done"}],"upload":{"name":"a letter.pdf","pages":2},"documents":["d1"]}`,
	}
	play(d, states)
	d.handle("GET /api/v1/documents/d1", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, oneDocument) })
	code, out, errs = d.ctl(t, "", "upload", "--wait", letter)
	if code != exitOK || !strings.Contains(out, "Page 1 of 2 is there.\nPage 2 of 2 is there.\nFiled ") {
		t.Errorf("code %d\n%s%s", code, out, errs)
	}
}
