package web

import (
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"

	"golang.org/x/text/language"
	"golang.org/x/text/language/display"

	"docscan/scan/ocr"
	"docscan/scan/refusal"
)

// LanguageInstaller installs Debian's data of languages.
type LanguageInstaller interface {
	// Available lists what Debian has, by the engine's names.
	Available() []string
	// Install begins to install one. The error's text is fit for people.
	Install(name string) error
	// Progress tells how the last wish stands: installing, installed or failed, and
	// then why; name is "" if there was none.
	Progress() (name, state, reason string)
}

// languagePath is where data are handed in.
const languagePath = "/api/v1/languages/:name"

// languagesPage is where they are handed in from a browser.
const languagesPage = "/languages"

// maxLanguage bounds a request with language data, in bytes: what package ocr
// takes, and room for the form.
const maxLanguage = 129 << 20

func languageRoutes() []route {
	return []route{
		{"GET", "/api/v1/languages", members, (*Server).apiLanguages, "Languages that pages can be read in, those that Debian has, and how the last installation stands"},
		{"POST", "/api/v1/languages", admins, (*Server).apiInstallLanguage, "Install Debian's data of a language: {name}; what comes of it, GET tells"},
		{"PUT", languagePath, admins, (*Server).apiAddLanguage, "Hand in a .traineddata file of Tesseract as the body"},
		{"DELETE", languagePath, admins, (*Server).apiRemoveLanguage, "Remove data that were handed in"},
		{"GET", languagesPage, admins, (*Server).languagesPage, ""},
		{"POST", languagesPage, admins, (*Server).languagesForm, ""},
	}
}

type languageView struct {
	ocr.Language
	Title string `json:"title"` // in the reader's language
}

type languageWish struct {
	Name   string `json:"name"`
	State  string `json:"state"`
	Reason string `json:"reason,omitempty"`
}

type languagesView struct {
	Languages []languageView `json:"languages"`
	Available []languageView `json:"available"` // of Debian, and not here
	Wish      *languageWish  `json:"wish,omitempty"`
	Error     string         `json:"-"`
}

// scripts are what the engine's names have behind the language.
var scripts = map[string]string{"sim": "Hans", "tra": "Hant", "cyrl": "Cyrl", "latn": "Latn"}

// languageTitle says the engine's name of a language in that of the reader; the name
// itself where nobody knows it.
func (l *tongue) languageTitle(name string) string {
	base, rest, _ := strings.Cut(name, "_")
	base = strings.Replace(base, "chi", "zho", 1)
	tag, err := language.ParseBase(base)
	if err != nil {
		return name
	}
	parts := []any{tag}
	rest, vertical := strings.CutSuffix(rest, "vert")
	if s, err := language.ParseScript(scripts[strings.Trim(rest, "_")]); err == nil {
		parts, rest = append(parts, s), ""
	}
	full, err := language.Compose(parts...)
	if err != nil {
		return name
	}
	reader, err := language.Parse(l.Tag)
	if err != nil {
		return name
	}
	title := display.Languages(reader).Name(full)
	if title == "" {
		return name
	}
	if rest = strings.Trim(rest, "_"); rest != "" {
		title += " (" + rest + ")"
	}
	if vertical {
		title += " ↓"
	}
	return title
}

// languages gives all that is known of languages.
func (s *Server) languages(c *call) (languagesView, error) {
	here, err := s.Engine.Languages()
	if err != nil && !errors.Is(err, ocr.ErrLanguage) { // that says there are none
		return languagesView{}, err
	}
	v := languagesView{Languages: []languageView{}, Available: []languageView{}}
	for _, l := range here {
		v.Languages = append(v.Languages, languageView{l, c.tongue.languageTitle(l.Name)})
	}
	if s.LanguageInstaller == nil {
		return v, nil
	}
	for _, name := range s.LanguageInstaller.Available() {
		if !slices.ContainsFunc(here, func(l ocr.Language) bool { return l.Name == name }) {
			v.Available = append(v.Available, languageView{ocr.Language{Name: name}, c.tongue.languageTitle(name)})
		}
	}
	slices.SortStableFunc(v.Available, func(a, b languageView) int { return strings.Compare(a.Title, b.Title) })
	if name, state, reason := s.LanguageInstaller.Progress(); name != "" {
		v.Wish = &languageWish{name, state, reason}
	}
	return v, nil
}

func (s *Server) apiLanguages(c *call) error {
	v, err := s.languages(c)
	if err != nil {
		return err
	}
	return writeJSON(c.w, http.StatusOK, v)
}

// installLanguage begins an installation, which is an action of an administrator.
func (s *Server) installLanguage(c *call, name string) error {
	if s.LanguageInstaller == nil {
		return problemf(404, "no-installer", "Not here", "Languages cannot be installed from here. Install the Debian package %s.", ocr.DebianPackage(clip(name)))
	}
	if err := s.LanguageInstaller.Install(name); err != nil {
		return problemf(422, "language", "The language cannot be installed", "%s", err)
	}
	return s.Engine.RecordLanguage("language_install", name, c.by())
}

func (s *Server) apiInstallLanguage(c *call) error {
	var in struct {
		Name string `json:"name"`
	}
	if err := readJSON(c.r, &in); err != nil {
		return err
	}
	if err := s.installLanguage(c, in.Name); err != nil {
		return err
	}
	c.w.WriteHeader(http.StatusAccepted)
	return nil
}

// addLanguage takes data that somebody hands in.
func (s *Server) addLanguage(c *call, name string, r io.Reader) error {
	return s.Engine.AddLanguage(c.r.Context(), name, r, c.by())
}

func (s *Server) apiAddLanguage(c *call) error {
	body := &patient{ReadCloser: c.r.Body, control: http.NewResponseController(c.w)}
	if err := s.addLanguage(c, c.ps.ByName("name"), body); err != nil {
		return err
	}
	c.w.WriteHeader(http.StatusNoContent)
	return nil
}

func (s *Server) removeLanguage(c *call, name string) error {
	err := s.Engine.RemoveLanguage(name, c.by())
	var why *refusal.Error
	if errors.As(err, &why) {
		p := refusedWish(why)
		p.Title, p.Status = msg("Nothing to remove"), http.StatusNotFound
		return p
	}
	return err
}

func (s *Server) apiRemoveLanguage(c *call) error {
	if err := s.removeLanguage(c, c.ps.ByName("name")); err != nil {
		return err
	}
	c.w.WriteHeader(http.StatusNoContent)
	return nil
}

func (s *Server) showLanguages(c *call, status int, message string) error {
	v, err := s.languages(c)
	if err != nil {
		return err
	}
	v.Error = message
	return s.render(c.w, c.r, c.caller, status, "languages", v)
}

func (s *Server) languagesPage(c *call) error { return s.showLanguages(c, http.StatusOK, "") }

// languagesForm does what one of the forms of the page wishes: to install name, to
// remove name, or to take a file, whose name is that of the language.
func (s *Server) languagesForm(c *call) error {
	c.r.Body = &patient{ReadCloser: c.r.Body, control: http.NewResponseController(c.w)}
	said := "saved"
	parts, err := c.r.MultipartReader()
	if err == nil {
		part, perr := parts.NextPart()
		if perr != nil {
			return badForm(perr)
		}
		err = s.addLanguage(c, strings.TrimSuffix(part.FileName(), ".traineddata"), part)
	} else if err = c.r.ParseForm(); err != nil {
		return badForm(err)
	} else if name := c.r.PostForm.Get("name"); c.r.PostForm.Get("action") == "remove" {
		said, err = "deleted", s.removeLanguage(c, name)
	} else {
		said, err = "", s.installLanguage(c, name) // which the page tells of until it is done
	}
	if err != nil {
		if p := problem(err); p.Status == http.StatusUnprocessableEntity || p.Status == http.StatusNotFound {
			return s.showLanguages(c, p.Status, c.say(p))
		}
		return err
	}
	if said != "" {
		tell(c, said, "")
	}
	return redirect(c, languagesPage)
}
