package web

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"docscan/scan/intake"
	"docscan/store"
)

// jpegStart is how a JPEG begins; what is behind it, nobody reads here.
const jpegStart = "\xff\xd8\xff\xe0 is how a JPEG begins"

// One document type stands for all files; several go with the files in turn, wherever in
// the form they stand.
func TestTypesOfUploads(t *testing.T) {
	s := newSite(t, nil)
	s.Engine.TakeUploads(intake.Config{MaxPages: 10, MaxPixels: 1 << 20})
	ben := s.user("ben", store.RoleMember)
	files := []string{"files@a.jpg=" + jpegStart, "files@b.txt=no image", "files@c.jpg=" + jpegStart}
	for _, tt := range []struct {
		name  string
		parts []string
		want  []string
	}{
		{"none", files, []string{"", "", ""}},
		{"one", append([]string{"document_types=invoice"}, files...), []string{"invoice", "invoice", "invoice"}},
		{"one behind the files", append(slices.Clone(files), "document_types=Receipt"), []string{"receipt", "receipt", "receipt"}},
		{"several", append([]string{"document_types=invoice", "document_types=receipt"}, files...), []string{"invoice", "receipt", "other"}},
		{"several in one field", append([]string{"document_types=invoice, receipt,passport"}, files...), []string{"invoice", "receipt", "passport"}},
		{"a list", append([]string{`document_types=["id_card","invoice","other"]`}, files...), []string{"id_card", "invoice", "other"}},
	} {
		body, kind := form(t, tt.parts...)
		a := s.ask("POST", "/api/upload", ben, body, "Content-Type", kind)
		var got batchBefore
		if err := json.Unmarshal([]byte(a.body), &got); err != nil || a.StatusCode != 200 || got.Total != 3 || len(got.Files) != 3 {
			t.Fatalf("%s: %s %s", tt.name, a.Status, a.body)
		}
		for i, f := range got.Files {
			if refused := f.Status == "failed"; f.Type != tt.want[i] || refused != (i == 1) || refused != (f.Error != "") {
				t.Errorf("%s: file %d is %+v, want the type %q", tt.name, i+1, f, tt.want[i])
			}
			if f.ID == "" {
				continue
			}
			if b, err := s.Store.Batch(f.ID); err != nil || b.Upload.Type != tt.want[i] {
				t.Errorf("%s: file %d is kept as %+v, %v, want %q", tt.name, i+1, b.Upload, err, tt.want[i])
			}
		}
	}
}

// A document type that is none refuses an upload that begins with it. Behind files it is told
// with each that should have had it, and all files are taken.
func TestUnknownTypesOfUploads(t *testing.T) {
	s := newSite(t, nil)
	s.Engine.TakeUploads(intake.Config{MaxPages: 10, MaxPixels: 1 << 20})
	ben := s.user("ben", store.RoleMember)
	const letter, told = "document_types=letter", "is no document type here."
	a, c := "files@a.jpg="+jpegStart, "files@c.jpg="+jpegStart
	for _, tt := range []struct {
		parts []string
		want  []string // "": told
	}{
		{[]string{a, c, letter}, []string{"", ""}},
		{[]string{a, letter, c}, []string{"", ""}},
		{[]string{a, c, "document_types=invoice,letter"}, []string{"invoice", ""}},
		{[]string{a, "document_types=letter", c, "document_types=invoice"}, []string{"", "invoice"}},
	} {
		body, kind := form(t, tt.parts...)
		a := s.ask("POST", "/api/upload", ben, body, "Content-Type", kind)
		var got batchBefore
		if err := json.Unmarshal([]byte(a.body), &got); err != nil || a.StatusCode != 200 || got.Total != len(tt.want) || got.Status != "processing" {
			t.Fatalf("%s: %s %s", tt.parts, a.Status, a.body)
		}
		for i, f := range got.Files {
			if f.ID == "" || f.Type != tt.want[i] || strings.Contains(f.Error, told) != (tt.want[i] == "") {
				t.Errorf("%s: file %d is %+v, want the type %q", tt.parts, i+1, f, tt.want[i])
			}
		}
	}
	body, kind := form(t, letter, a, c)
	if a := s.ask("POST", "/api/upload", ben, body, "Content-Type", kind); a.StatusCode != 422 || !strings.Contains(a.body, told) {
		t.Errorf("before the files: %s %s", a.Status, a.body)
	}
}

// Of more files than may come at once those before are looked at.
func TestTooManyFiles(t *testing.T) {
	s := newSite(t, nil)
	s.Engine.TakeUploads(intake.Config{MaxPages: 10, MaxPixels: 1 << 20})
	ben := s.user("ben", store.RoleMember)
	parts := []string{"files@first.jpg=" + jpegStart}
	for i := range maxFiles {
		parts = append(parts, fmt.Sprintf("files@%d.txt=no image", i))
	}
	body, kind := form(t, parts...)
	a := s.ask("POST", "/api/upload", ben, body, "Content-Type", kind)
	var got batchBefore
	if err := json.Unmarshal([]byte(a.body), &got); err != nil || a.StatusCode != 200 || len(got.Files) != maxFiles+1 {
		t.Fatalf("%s %s", a.Status, a.body)
	}
	if last := got.Files[maxFiles]; got.Files[0].ID == "" || last.ID != "" || !strings.Contains(last.Error, "More than 50 files") {
		t.Errorf("the first is %+v, the last %+v", got.Files[0], last)
	}
}

// Who watches events is told to administrators, and to others of themselves, also at the
// path of the service before.
func TestConnections(t *testing.T) {
	s := newSite(t, nil)
	anna, ben, carl := s.user("anna", store.RoleAdmin), s.user("ben", store.RoleMember), s.user("carl", store.RoleMember)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	req, err := http.NewRequestWithContext(ctx, "GET", s.url+eventsBefore, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+ben)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if !bufio.NewScanner(resp.Body).Scan() { // the stream is open
		t.Fatal(resp.Status)
	}
	for token, want := range map[string]int{anna: 1, ben: 1, carl: 0} {
		var got connectionsView
		s.json("GET", "/api/connections", token, "", 200, &got)
		if got.Total != want || len(got.Connections) != want || want > 0 && (got.Connections[0].User != "ben" || got.Connections[0].Address != "127.0.0.1") {
			t.Errorf("%+v, want %d", got, want)
		}
	}
}
