package web

import (
	"bytes"
	"errors"
	"io/fs"
	"mime/multipart"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"docscan/store"
)

type fakeInstaller struct {
	asked  []string
	refuse error
}

// Available has a language that no machine has data for.
func (f *fakeInstaller) Available() []string { return []string{"chi_sim", "deu", "eng", "tlh"} }

func (f *fakeInstaller) Install(name string) error {
	f.asked = append(f.asked, name)
	return f.refuse
}

func (f *fakeInstaller) Progress() (name, state, reason string) {
	return "tlh", "failed", "no route to <host>"
}

func TestLanguageTitle(t *testing.T) {
	german := &tongue{Tag: "de"}
	tests := []struct {
		l    *tongue
		name string
		want string
	}{
		{english, "deu", "German"}, {german, "deu", "Deutsch"}, {english, "chi_sim", "Simplified Chinese"}, {english, "srp_latn", "Serbo-Croatian"},
		{english, "jpn_vert", "Japanese ↓"}, {english, "spa_old", "Spanish (old)"}, {english, "house", "house"}, {english, "x", "x"},
	}
	for _, tt := range tests {
		if got := tt.l.languageTitle(tt.name); got != tt.want {
			t.Errorf("%s in %s: %q, want %q", tt.name, tt.l.Tag, got, tt.want)
		}
	}
}

func TestLanguagesAPI(t *testing.T) {
	s := newSite(t, nil)
	admin, member := s.user("anna", store.RoleAdmin), s.user("ben", store.RoleMember)
	if a := s.ask("POST", "/api/v1/languages", admin, `{"name":"deu"}`); a.StatusCode != 404 || !strings.Contains(a.body, "tesseract-ocr-deu") {
		t.Errorf("where nothing can be installed: %s %s", a.Status, a.body)
	}
	f := &fakeInstaller{}
	s.LanguageInstaller = f
	tests := []struct {
		method, path, token, body string
		status                    int
		want                      string
	}{
		{"GET", "/api/v1/languages", member, "", 200, `{"name":"eng","own":false,"size":`},
		{"GET", "/api/v1/languages", member, "", 200, `"title":"Klingon"`},
		{"GET", "/api/v1/languages", member, "", 200, `"state":"failed"`},
		{"POST", "/api/v1/languages", member, `{"name":"tlh"}`, 403, ""},
		{"POST", "/api/v1/languages", admin, `{"name":"tlh"}`, 202, ""},
		{"PUT", "/api/v1/languages/xyz", member, "data", 403, ""},
		{"PUT", "/api/v1/languages/xyz", admin, "data", 422, "This is no .traineddata file"},
		{"PUT", "/api/v1/languages/a.b", admin, "data", 422, "is not the name of a language"},
		{"DELETE", "/api/v1/languages/eng", admin, "", 404, "was not handed in"},
	}
	for _, tt := range tests {
		a := s.ask(tt.method, tt.path, tt.token, tt.body)
		if a.StatusCode != tt.status || !strings.Contains(a.body, tt.want) {
			t.Errorf("%s %s: %s %s, want %d with %q", tt.method, tt.path, a.Status, a.body, tt.status, tt.want)
		}
	}
	if len(f.asked) != 1 || f.asked[0] != "tlh" {
		t.Errorf("installed: %q", f.asked)
	}
	f.refuse = errors.New("the language cannot be installed: another one is")
	if a := s.ask("POST", "/api/v1/languages", admin, `{"name":"tlh"}`); a.StatusCode != 422 || !strings.Contains(a.body, "another one is") {
		t.Errorf("refused: %s %s", a.Status, a.body)
	}
}

// What is deleted for good takes a second press: the form for it is folded, or on a page that
// asks. A kept search is written again in a moment.
func TestDeletedInTwoSteps(t *testing.T) {
	files, err := fs.Glob(templateFiles, "templates/*.html")
	if err != nil {
		t.Fatal(err)
	}
	tags := regexp.MustCompile(`<details|</details>|<form[^>]* action="/[^"]*/delete"|<button[^>]* value="remove"`)
	found := 0
	for _, file := range files {
		data, err := templateFiles.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		folds := 0
		for _, tag := range tags.FindAllString(string(data), -1) {
			switch {
			case tag == "<details":
				folds++
			case tag == "</details>":
				folds--
			case strings.Contains(tag, "/searches/"), strings.HasSuffix(file, "/delete.html"):
			case folds == 0:
				t.Errorf("%s: %s is done at one press", file, tag)
			default:
				found++
			}
		}
	}
	if found < 7 {
		t.Errorf("only %d forms that delete were found", found)
	}
}

func TestLanguagesPage(t *testing.T) {
	s := newSite(t, nil)
	f := &fakeInstaller{}
	s.LanguageInstaller = f
	admin := s.user("anna", store.RoleAdmin)
	page := s.ask("GET", "/languages", admin, "")
	for _, want := range []string{"Klingon (tlh)", "tlh could not be installed: no route to &lt;host&gt;", `enctype="multipart/form-data"`} {
		if page.StatusCode != 200 || !strings.Contains(page.body, want) {
			t.Errorf("the page is without %q: %s", want, page.Status)
		}
	}
	form := func(v url.Values) answer {
		return s.ask("POST", "/languages", admin, v.Encode(), "Content-Type", "application/x-www-form-urlencoded")
	}
	if a := form(url.Values{"name": {"tlh"}, "action": {"install"}}); a.StatusCode != 303 || len(f.asked) != 1 {
		t.Errorf("install: %s, asked %q", a.Status, f.asked)
	}
	if a := form(url.Values{"name": {"eng"}, "action": {"remove"}}); a.StatusCode != 404 || !strings.Contains(a.body, "was not handed in") {
		t.Errorf("remove Debian's: %s", a.Status)
	}
	var body bytes.Buffer
	w := multipart.NewWriter(&body)
	part, err := w.CreateFormFile("file", "xyz.traineddata")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := part.Write([]byte("no data")); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	a := s.ask("POST", "/languages", admin, body.String(), "Content-Type", w.FormDataContentType())
	if a.StatusCode != 422 || !strings.Contains(a.body, "This is no .traineddata file") {
		t.Errorf("a file that is none: %s", a.Status)
	}
}
