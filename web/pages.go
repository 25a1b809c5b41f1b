package web

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/klauspost/compress/gzip"
	"golang.org/x/text/language"
	"golang.org/x/text/language/display"

	"docscan/device"
	"docscan/scan"
	"docscan/store"
	"docscan/store/audit"
)

//go:embed templates/*.html
var templateFiles embed.FS

// templates are the pages by language and name; each is the layout with its own
// content. A page is made when it is first asked for: a start has no time for all
// of them, and a box no memory for those that nobody opens.
type templates struct {
	base map[string]*template.Template // parts, by language

	mu   sync.Mutex
	made map[[2]string]*template.Template
}

// parts are templates that stand in more than one page.
var parts = []string{"templates/layout.html", "templates/live.html", "templates/results.html", "templates/parts.html"}

func loadTemplates(tongues []*tongue, files assets, zone func() *time.Location) (*templates, error) {
	t := &templates{base: make(map[string]*template.Template), made: make(map[[2]string]*template.Template)}
	for _, l := range tongues {
		base, err := template.New("").Funcs(functions(l, files, zone)).ParseFS(templateFiles, parts...)
		if err != nil {
			return nil, err
		}
		t.base[l.Tag] = base
	}
	return t, nil
}

// page gives a page in a language.
func (t *templates) page(language, name string) (*template.Template, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	at := [2]string{language, name}
	if p, ok := t.made[at]; ok {
		return p, nil
	}
	p, err := t.base[language].Clone()
	if err != nil {
		return nil, err
	}
	if p, err = p.ParseFS(templateFiles, "templates/"+name+".html"); err != nil {
		return nil, err
	}
	t.made[at] = p
	return p, nil
}

// functions are what templates can call. A page holds no text of its own: t
// and n give all of it in the reader's language.
func functions(l *tongue, files assets, zone func() *time.Location) template.FuncMap {
	return template.FuncMap{
		"t":       l.T,
		"told":    l.Told,
		"n":       l.N,
		"asset":   files.address,
		"lang":    func() string { return l.Tag },
		"when":    func(t time.Time) string { return l.When(t.In(zone())) },
		"day":     func(t time.Time) string { return l.Day(t.In(zone())) },
		"clock":   func(t time.Time) string { return t.In(zone()).Format("15:04:05") },
		"size":    l.Size,
		"num":     l.Number,
		"decimal": l.point,
		"iso":     func(t time.Time) string { return t.UTC().Format(time.RFC3339) },
		"has":     func(list []string, s string) bool { return slices.Contains(list, s) },
		"join":    strings.Join,
		"dict":    dict,

		"fault":     func(kind string) faultText { return faultIn(l, kind) },
		"safe":      func(f *store.Fault) string { return safeIn(l, f) },
		"state":     func(s device.Status) string { return l.T(stateOf(s)) },
		"batch":     func(b store.Batch) string { return batchNow(l, b) },
		"named":     func(profile string) string { return profileIn(l, profile) },
		"mode":      func(mode string) string { return l.T(modeOf(mode)) },
		"language":  func(code string) string { return languageIn(l, code) },
		"languages": func(codes []string) string { return languagesIn(l, codes) },
		"problem":   func(p store.Problem) string { return l.T(problemOf(p.Kind)) },
		"took":      func(d time.Duration) string { return d.Round(time.Millisecond).String() },
		"aside":     func(a store.Aside) string { return l.T(asideBecause(a)) },
		"dated":     func(day string) string { return datedIn(l, day) },
		"gesture":   func(g device.Gesture) string { return l.T(gestureOf(g)) },
		"auditWord": func(s string) string { return l.T(auditWord(s)) },
		"action":    func(s string) string { return actionIn(l, s) },
		"place":     func(e audit.Line) string { return placeIn(l, e) },
		"details":   func(e audit.Line) string { return detailsIn(l, e) },
		"stepWord":  func(s string) string { return l.T(stepWord(s)) },
		"role":      func(r store.Role) string { return l.T(roleOf(r)) },
		"scope":     func(x scope) string { return l.T(scopeOf(x)) },
		"scopes":    func(list []string) string { return scopesIn(l, list) },
		"in":        func(list []store.GroupID, id store.GroupID) bool { return slices.Contains(list, id) },
		"wrap":      func(data any) view { return view{Data: data} },
	}
}

// dict makes one value of several, for a template within a template.
func dict(pairs ...any) (map[string]any, error) {
	m := make(map[string]any)
	for i := 0; i+1 < len(pairs); i += 2 {
		key, ok := pairs[i].(string)
		if !ok {
			return nil, fmt.Errorf("dict: %v is no name", pairs[i])
		}
		m[key] = pairs[i+1]
	}
	return m, nil
}

// stateOf is the state of a machine in words.
func stateOf(s device.Status) string {
	switch s.State {
	case device.Ready:
		if s.Loaded {
			return msg("Ready, paper loaded")
		}
		return msg("Ready")
	case device.Empty:
		return msg("Ready, feeder empty")
	case device.Scanning:
		return msg("Scanning")
	case device.WarmingUp:
		return msg("Warming up")
	case device.Asleep:
		return msg("Asleep")
	case device.CoverOpen:
		return msg("Cover open")
	case device.InUse:
		return msg("In use by another program")
	case device.Gone:
		return msg("Not connected")
	}
	return msg("Needs attention")
}

// A faultText says what happened to a machine and what to do.
type faultText struct{ What, Advice string }

// faultIn puts a kind of fault into words; none has none.
func faultIn(l *tongue, kind string) faultText {
	if kind == "" {
		return faultText{}
	}
	what, advice := scan.FaultText(device.FaultKind(kind))
	return faultText{l.T(what), l.T(advice)}
}

// safeIn says which pages of a batch are safe that a fault has stopped.
func safeIn(l *tongue, f *store.Fault) string {
	switch {
	case f.Pages > 1:
		return l.T("Pages 1-%d are safe.", f.Pages)
	case f.Pages == 1:
		return l.T("Page 1 is safe.")
	case strings.HasPrefix(f.Safe, "Page"): // of an older version, which did not give the number
		return f.Safe
	}
	return l.T("No page was scanned.")
}

// gestureOf is a gesture in words.
func gestureOf(g device.Gesture) string {
	switch g {
	case device.Double:
		return msg("Pressed twice")
	case device.Long:
		return msg("Held down for a second")
	}
	return msg("Pressed")
}

// roleOf is a role in words.
func roleOf(r store.Role) string {
	switch r {
	case store.RoleAdmin:
		return msg("Administrator")
	case store.RolePanel:
		return msg("Panel")
	}
	return msg("Member")
}

// scopeOf is a scope in words.
func scopeOf(x scope) string {
	switch x {
	case scopeRead:
		return msg("see and download documents")
	case scopeScan:
		return msg("scan")
	case scopeUpload:
		return msg("bring files")
	case scopeWrite:
		return msg("change and delete documents")
	}
	return msg("everything I may do")
}

// firstProfiles are those that a new box has.
var firstProfiles = []string{msg("Both sides, colour"), msg("Front sides only, colour"), msg("Photo from the glass")}

// profileIn is the name of a profile: those that a new box has are called in the
// reader's language until somebody gives them a name.
func profileIn(l *tongue, name string) string {
	if slices.Contains(firstProfiles, name) {
		return l.T(name)
	}
	return name
}

func scopesIn(l *tongue, list []string) string {
	var words []string
	for _, x := range list {
		words = append(words, l.T(scopeOf(scope(x))))
	}
	return strings.Join(words, ", ")
}

// modeOf is how a page is scanned, in words.
func modeOf(mode string) string {
	switch device.ColorMode(mode) {
	case device.Gray:
		return msg("grey")
	case device.LineArt:
		return msg("black and white")
	}
	return msg("colour")
}

// languages that Tesseract's models have other names for than BCP 47.
var modelLanguages = map[string]string{"chi_sim": "zh-Hans", "chi_tra": "zh-Hant", "deu_latf": "de-Latf", "srp_latn": "sr-Latn", "uzb_cyrl": "uz-Cyrl", "aze_cyrl": "az-Cyrl"}

// languageIn is the name of a language of texts, by Tesseract's code for it.
func languageIn(l *tongue, code string) string {
	name := code
	if n, ok := modelLanguages[code]; ok {
		name = n
	}
	tag, err := language.Parse(name)
	if err != nil {
		return code
	}
	in := language.English
	if l.Tag == "de" {
		in = language.German
	}
	if s := display.Tags(in).Name(tag); s != "" {
		return s
	}
	return code
}

func languagesIn(l *tongue, codes []string) string {
	var list []string
	for _, c := range codes {
		list = append(list, languageIn(l, c))
	}
	return strings.Join(list, ", ")
}

// asideBecause says why a side stands in no document.
func asideBecause(a store.Aside) string {
	switch a {
	case store.AsideBlank:
		return msg("blank")
	case store.AsideSeparator:
		return msg("separator")
	case store.AsidePerson:
		return msg("taken out")
	}
	return string(a)
}

// problemOf says what kind of problem a check has found.
func problemOf(kind string) string {
	switch kind {
	case store.ProblemMissingBlob:
		return msg("A file is missing")
	case store.ProblemDamagedBlob:
		return msg("A file is damaged")
	case store.ProblemOrphanBlob:
		return msg("A file that no record names")
	case store.ProblemStrangeFile:
		return msg("A file that is not docscan's")
	case store.ProblemBrokenRecord:
		return msg("A record is damaged")
	case store.ProblemBrokenReference:
		return msg("A record is missing")
	case store.ProblemWrongCounter:
		return msg("Pages are counted wrongly")
	case store.ProblemIndex:
		return msg("A list does not agree with its records")
	case store.ProblemAudit:
		return msg("The audit log was changed")
	case store.ProblemDatabase:
		return msg("The database is damaged")
	}
	return msg("There is more")
}

// datedIn gives a date as it is kept, 2006-01-02, in a person's way.
func datedIn(l *tongue, day string) string {
	t, err := time.Parse(time.DateOnly, day)
	if err != nil {
		return day
	}
	return l.Day(t)
}

// batchNow says where a batch stands.
func batchNow(l *tongue, b store.Batch) string {
	switch b.State {
	case store.BatchScanning:
		return l.T("Scanning")
	case store.BatchStopped:
		return l.T("Stopped: the scanner needs you")
	case store.BatchProcessing:
		return l.T("All paper is in and safe. Reading text: %d of %d pages", b.Done, b.Pages)
	case store.BatchCompleted:
		return l.T("Done")
	case store.BatchCanceled:
		return l.T("Canceled")
	}
	return l.T("Nothing was scanned")
}

// view is what a page gets.
type view struct {
	Title   string // in the reader's language
	User    *store.User
	Admin   bool
	Path    string
	Search  string // what stands in the search field
	Data    any
	Reload  int    // asks a browser without script to look again, in seconds
	Section string // of the navigation this page belongs to
	Notice  *notice
	SetUp   bool         // setting up was left for this page and is to be gone on with
	Keys    bool         // single letters are shortcuts
	Back    string       // page from which a wish came that was refused, "" if none
	BackTo  string       // what a way there is called
	Typed   []typedField // what was refused with it

	Fingerprint string // of the certificate that docscan made itself; "": another, or none
}

func (s *Server) render(w http.ResponseWriter, r *http.Request, who *caller, status int, name string, data any) error {
	l := s.speak(r, who)
	v := view{Path: r.URL.Path, Data: data, Title: l.T(titles[name]), Fingerprint: s.fingerprint()}
	if who != nil {
		v.User, v.Admin = &who.user, who.admin()
		p, err := s.preferences(who.user.ID)
		v.Keys = err == nil && !p.NoKeys
	}
	switch d := data.(type) {
	case *Problem:
		p := l.Problem(d)
		v.Data, v.Title, v.Typed = p, p.Title, typed(r, l)
		if p.Status != http.StatusNotFound {
			v.Back, v.BackTo = wayBack(r)
		}
	case home:
		if len(d.Live.Batches) > 0 {
			v.Reload = 3
		}
	case welcomeData:
		if d.Step == "scanner" && len(d.Live.Batches) > 0 {
			v.Reload = 3
		}
	case updateView:
		if d.Status.Doing != "" {
			v.Reload = 3
		}
	case documentData:
		v.Title = d.Document.Title
	}
	entry := "layout"
	if page, part, ok := strings.Cut(name, ":"); ok {
		entry, name = part, page
	} else {
		v.Section = section(r.URL.Path)
		v.Notice = takeNotice(w, r, l)
		if v.Admin && slices.Contains(onTheWay, v.Section) && name != "restoring" {
			unfinished, err := s.settingUp()
			if err != nil {
				return err
			}
			v.SetUp = unfinished
		}
	}
	var b bytes.Buffer
	p, err := s.pages.page(l.Tag, name)
	if err == nil {
		err = p.ExecuteTemplate(&b, entry, v)
	}
	if err != nil {
		return fmt.Errorf("page %s: %w", name, err)
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Language", l.Tag)
	h.Set("Cache-Control", "no-store")
	return send(w, r, status, b.Bytes())
}

// formsOf are the pages whose forms go to other addresses than theirs, by the first part
// of those.
var formsOf = map[string]string{
	"documents": "/documents", "searches": "/documents", "changes": "/documents", "trash": "/trash", "account": "/account", "people": "/people", "groups": "/people",
	"devices": "/devices", "profiles": "/profiles", "destinations": "/destinations", "languages": "/languages", "system": "/system", "audit": "/audit", "kiosk": "/kiosk",
	"sheets": "/sheets", "welcome": "/welcome",
}

// onTheWay are parts of the navigation to which setting up leads, and which lead back.
var onTheWay = []string{"destinations", "languages", "system"}

// formPage is the page with the form that goes to path; "" is none, or the home page.
func formPage(path string) string {
	parts := strings.Split(strings.TrimPrefix(path, "/"), "/")
	switch {
	case len(parts) > 1 && slices.Contains([]string{"documents", "people", "welcome"}, parts[0]):
		return "/" + parts[0] + "/" + parts[1]
	case len(parts) > 1 && parts[0] == "system" && (parts[1] == "update" || parts[1] == "ssh"):
		return "/system/" + parts[1]
	}
	return formsOf[parts[0]]
}

// wayBack is the page from which a form has come, and what a way there is called.
func wayBack(r *http.Request) (to, name string) {
	if r.Method != http.MethodPost {
		return "", ""
	}
	to, name = formPage(r.URL.Path), msg("Back to that page")
	if strings.HasPrefix(to, "/documents/") {
		name = msg("Show it as it is now")
	}
	if q := r.PostForm.Get("q"); q != "" && to == "/documents" {
		to += "?q=" + url.QueryEscape(q)
	}
	return to, name
}

// section is the part of the navigation that a page belongs to.
func section(path string) string {
	first, _, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	return first
}

// smallest is what is worth packing, in bytes: less fits one packet anyway.
const smallest = 1200

// send answers with data, packed for who can take it. No page holds both a
// secret and what a stranger wrote into the request, so that the length tells
// nothing of the secret.
func send(w http.ResponseWriter, r *http.Request, status int, data []byte) error {
	w.Header().Add("Vary", "Accept-Encoding")
	if len(data) < smallest || !strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
		w.WriteHeader(status)
		_, err := w.Write(data)
		return err
	}
	w.Header().Set("Content-Encoding", "gzip")
	w.WriteHeader(status)
	z := packers.Get().(*gzip.Writer)
	defer packers.Put(z)
	z.Reset(w)
	if _, err := z.Write(data); err != nil {
		return err
	}
	return z.Close()
}

// packers are those that were used: a new one takes more memory than all else of an answer.
var packers = sync.Pool{New: func() any { return gzip.NewWriter(nil) }}

// titles are those of pages that have the same one always.
var titles = map[string]string{
	"setup": msg("Set up docscan"), "login": msg("Log in"), "home": msg("Scan"), "documents": msg("Documents"),
	"account": msg("Account"), "people": msg("People"), "devices": msg("Scanners"), "profiles": msg("Profiles"),
	"delete": msg("Delete document"), "many": msg("Several documents"), "audit": msg("Audit log"), "api": msg("API"), "security": msg("Security"), "update": msg("Versions"),
	"code": msg("Log in"), "password": msg("Choose a password"), "register": msg("Ask for an account"), "person": msg("Person"),
	"trash": msg("Trash"), "kiosk": msg("Scan"), "system": msg("System"), "welcome": msg("Welcome to docscan"), "keys": msg("Keys"), "destinations": msg("Destinations"),
	"sheets": msg("Separator sheets and labels"), "ssh": msg("Updates over SSH"), "uploaded": msg("Files"), "restoring": msg("docscan starts anew"), "languages": msg("Languages"),
}

// show renders a page for the caller, or as page:part a part of it.
func (s *Server) show(c *call, name string, data any) error {
	return s.render(c.w, c.r, c.caller, http.StatusOK, name, data)
}

func redirect(c *call, to string) error {
	http.Redirect(c.w, c.r, to, http.StatusSeeOther)
	return nil
}

// entrance is where somebody without a log-in is sent.
func (s *Server) entrance(*http.Request) string {
	if users, err := s.Store.Users(); err == nil && len(users) == 0 {
		return "/setup"
	}
	return "/login"
}
