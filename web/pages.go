package web

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"docscan/device"
	"docscan/scan"
	"docscan/store"
)

//go:embed templates/*.html
var templateFiles embed.FS

//go:embed static
var staticFiles embed.FS

// templates are the pages by name; each is the layout with its own content.
type templates struct {
	byName map[string]*template.Template
}

// parts are templates that stand in more than one page.
var parts = []string{"templates/layout.html", "templates/live.html", "templates/results.html"}

func loadTemplates() (*templates, error) {
	base, err := template.New("").Funcs(template.FuncMap{
		"when":     func(t time.Time) string { return t.Local().Format("2 Jan 2006, 15:04") },
		"size":     sizeText,
		"add":      func(a, b int) int { return a + b },
		"upTo":     upTo,
		"faultOf":  faultOf,
		"stateOf":  stateOf,
		"batchNow": batchNow,
		"gesture":  gestureOf,
		"wrap":     func(data any) view { return view{Data: data} },
	}).ParseFS(templateFiles, parts...)
	if err != nil {
		return nil, err
	}
	files, err := fs.Glob(templateFiles, "templates/*.html")
	if err != nil {
		return nil, err
	}
	t := &templates{byName: make(map[string]*template.Template)}
	for _, f := range files {
		page, err := template.Must(base.Clone()).ParseFS(templateFiles, f)
		if err != nil {
			return nil, err
		}
		t.byName[strings.TrimSuffix(path.Base(f), ".html")] = page
	}
	return t, nil
}

func upTo(n int) []int {
	list := make([]int, n)
	for i := range list {
		list[i] = i + 1
	}
	return list
}

func sizeText(n int64) string {
	switch {
	case n >= 1<<30:
		return fmt.Sprintf("%.1f GB", float64(n)/(1<<30))
	case n >= 1<<20:
		return fmt.Sprintf("%.1f MB", float64(n)/(1<<20))
	}
	return fmt.Sprintf("%d kB", (n+1023)/1024)
}

// stateOf is the state of a machine in words.
func stateOf(s device.Status) string {
	switch s.State {
	case device.Ready:
		if s.Loaded {
			return "Ready, paper loaded"
		}
		return "Ready"
	case device.Empty:
		return "Ready, feeder empty"
	case device.Scanning:
		return "Scanning"
	case device.WarmingUp:
		return "Warming up"
	case device.Asleep:
		return "Asleep"
	case device.CoverOpen:
		return "Cover open"
	case device.InUse:
		return "In use by another program"
	case device.Gone:
		return "Not connected"
	}
	return "Needs attention"
}

// faultOf is what to do about a machine that wants a person.
func faultOf(s device.Status) string {
	if s.Fault == "" {
		return ""
	}
	what, advice := scan.FaultText(s.Fault)
	return what + " " + advice
}

// gestureOf is a gesture in words.
func gestureOf(g device.Gesture) string {
	switch g {
	case device.Double:
		return "Pressed twice"
	case device.Long:
		return "Held down for a second"
	}
	return "Pressed"
}

// batchNow says where a batch stands.
func batchNow(b store.Batch) string {
	switch b.State {
	case store.BatchScanning:
		return "Scanning"
	case store.BatchStopped:
		return "Stopped: the scanner needs you"
	case store.BatchProcessing:
		return fmt.Sprintf("All paper is in and safe. Reading text: %d of %d pages", b.Done, b.Pages)
	case store.BatchCompleted:
		return "Done"
	case store.BatchCanceled:
		return "Canceled"
	}
	return "Nothing was scanned"
}

// view is what a page gets.
type view struct {
	Title string
	User  *store.User
	Admin bool
	Path  string
	Data  any
	// Reload asks a browser without script to look again, in seconds.
	Reload int
}

func (s *Server) render(w http.ResponseWriter, r *http.Request, who *caller, status int, name string, data any) error {
	v := view{Path: r.URL.Path, Data: data, Title: titles[name]}
	if who != nil {
		v.User, v.Admin = &who.user, who.admin()
	}
	switch d := data.(type) {
	case *Problem:
		v.Title = d.Title
	case home:
		if len(d.Live.Batches) > 0 {
			v.Reload = 3
		}
	case documentData:
		v.Title = d.Document.Title
	}
	entry := "layout"
	if strings.HasPrefix(name, "part:") {
		entry = strings.TrimPrefix(name, "part:")
		name = "home"
	}
	var b bytes.Buffer
	if err := s.pages.byName[name].ExecuteTemplate(&b, entry, v); err != nil {
		return fmt.Errorf("page %s: %w", name, err)
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, err := w.Write(b.Bytes())
	return err
}

var titles = map[string]string{
	"setup": "Set up docscan", "login": "Log in", "home": "Scan", "documents": "Documents",
	"account": "Account", "people": "People", "devices": "Scanners", "profiles": "Profiles", "delete": "Delete document",
	"update": "Versions",
}

// show renders a page for the caller.
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

func (s *Server) static(c *call) error {
	name := "static" + path.Clean("/"+c.ps.ByName("file"))
	data, err := staticFiles.ReadFile(name)
	if err != nil {
		return errNotFound
	}
	c.w.Header().Set("ETag", `"`+hashSecret(string(data))[:16]+`"`)
	c.w.Header().Set("Cache-Control", "no-cache")
	http.ServeContent(c.w, c.r, name, time.Time{}, bytes.NewReader(data))
	return nil
}

// setupCookie carries the set-up token from the link to the form, so that it
// does not stay in the address bar.
const setupCookie = "docscan_setup"

// setupFormTime is how long the form may stay open; the link opens it again.
const setupFormTime = 30 * time.Minute

func (s *Server) setupPage(c *call) error {
	if token := c.r.URL.Query().Get("token"); token != "" {
		http.SetCookie(c.w, &http.Cookie{Name: setupCookie, Value: clip(token), Path: "/setup", HttpOnly: true, SameSite: http.SameSiteLaxMode, Secure: c.r.TLS != nil, MaxAge: int(setupFormTime.Seconds())})
		return redirect(c, "/setup")
	}
	token := ""
	if cookie, err := c.r.Cookie(setupCookie); err == nil {
		token = cookie.Value
	}
	if err := s.checkSetup(token); err != nil {
		if s.entrance(c.r) == "/login" {
			return redirect(c, "/login")
		}
		if token == "" {
			return problemf(403, "setup-token", "docscan is not set up yet", "Open the one-time set-up link that docscan printed when it started.")
		}
		return err
	}
	return s.show(c, "setup", formData{})
}

// formData is what a form shows again after it was refused.
type formData struct {
	Name  string
	Error string
}

// refused shows a form again with what was wrong, if that is the person's to
// mend.
func (s *Server) refused(c *call, page, name string, err error) error {
	p := problem(err)
	if p.Status < 400 || p.Status >= 500 || p.Status == http.StatusNotFound {
		return err
	}
	return s.render(c.w, c.r, c.caller, p.Status, page, formData{Name: name, Error: p.Detail})
}

func (s *Server) setupForm(c *call) error {
	token := ""
	if cookie, err := c.r.Cookie(setupCookie); err == nil {
		token = cookie.Value
	}
	name, password := strings.TrimSpace(c.r.PostFormValue("username")), c.r.PostFormValue("password")
	if password != c.r.PostFormValue("again") {
		return s.refused(c, "setup", name, problemf(422, "again", "Not the same", "The two passwords are not the same."))
	}
	_, secret, err := s.setUp(c.r, token, name, password)
	if err != nil {
		return s.refused(c, "setup", name, err)
	}
	http.SetCookie(c.w, &http.Cookie{Name: setupCookie, Path: "/setup", MaxAge: -1})
	s.setCookie(c.w, c.r, secret)
	return redirect(c, "/")
}

func (s *Server) loginPage(c *call) error {
	if s.entrance(c.r) == "/setup" {
		return redirect(c, "/setup")
	}
	if c.caller != nil {
		return redirect(c, "/")
	}
	return s.show(c, "login", formData{})
}

func (s *Server) loginForm(c *call) error {
	name := strings.TrimSpace(c.r.PostFormValue("username"))
	_, secret, err := s.logIn(c.r, name, c.r.PostFormValue("password"))
	if err != nil {
		return s.refused(c, "login", clip(name), err)
	}
	s.setCookie(c.w, c.r, secret)
	return redirect(c, "/")
}

func (s *Server) logoutForm(c *call) error {
	if err := s.logOut(c); err != nil {
		return err
	}
	s.setCookie(c.w, c.r, "")
	return redirect(c, "/login")
}

// home is the page with the button.
type home struct {
	Live     live
	Profiles []store.Profile
}

// live is the part of the home page that changes by itself.
type live struct {
	Devices []device.DeviceState
	Batches []liveBatch
	Recent  []store.Document
}

type liveBatch struct {
	store.Batch
	Pages []store.Page
}

// Numbers of what the home page shows.
const (
	recentDocuments = 6
	recentEnded     = 3 * time.Minute // how long a failed batch stays on the page
)

func (s *Server) live(c *call) (live, error) {
	l := live{Devices: s.Registry.Devices()}
	list, err := s.Store.OpenBatches()
	if err != nil {
		return l, err
	}
	list = slices.DeleteFunc(list, func(b store.Batch) bool { return !c.sees(b.Owner) })
	newest, err := s.Store.Batches(store.BatchQuery{Owner: c.owner(), Limit: 1})
	if err != nil {
		return l, err
	}
	for _, b := range newest {
		failed := b.State == store.BatchFailed || b.State == store.BatchCanceled
		known := slices.ContainsFunc(list, func(o store.Batch) bool { return o.ID == b.ID })
		if failed && !known && time.Since(b.Updated) < recentEnded {
			list = append(list, b)
		}
	}
	slices.Reverse(list) // newest first
	for _, b := range list {
		pages, err := s.Store.Pages(b.ID)
		if err != nil {
			return l, err
		}
		l.Batches = append(l.Batches, liveBatch{b, pages})
	}
	l.Recent, err = s.Store.Documents(store.DocumentQuery{Owner: c.owner(), Limit: recentDocuments})
	return l, err
}

func (s *Server) homePage(c *call) error {
	l, err := s.live(c)
	if err != nil {
		return err
	}
	profiles, err := s.Store.Profiles()
	if err != nil {
		return err
	}
	return s.show(c, "home", home{Live: l, Profiles: profiles})
}

func (s *Server) livePart(c *call) error {
	l, err := s.live(c)
	if err != nil {
		return err
	}
	return s.show(c, "part:live", l)
}

func (s *Server) scanForm(c *call) error {
	r := scan.Request{Device: c.r.PostFormValue("device"), Profile: store.ProfileID(c.r.PostFormValue("profile")), Anew: c.r.PostFormValue("anew") != ""}
	if _, err := s.press(c, r); err != nil {
		return err
	}
	return redirect(c, "/")
}

func (s *Server) batchForm(c *call) error {
	if _, err := s.act(c, c.ps.ByName("action")); err != nil {
		return err
	}
	return redirect(c, "/")
}

// results is a list of documents with what was asked for.
type results struct {
	Query     string
	Documents []found
	Total     int
	Next      string
}

func (s *Server) documentsPage(c *call) error {
	v := c.r.URL.Query()
	list, total, next, err := s.find(c, v.Get("q"), defaultLimit, v.Get("cursor"))
	if err != nil {
		return err
	}
	return s.show(c, "documents", results{Query: v.Get("q"), Documents: list, Total: total, Next: next})
}

type documentData struct {
	Document store.Document
	Pages    []documentPageData
}

type documentPageData struct {
	store.Page
	Number int
	Plain  string
}

func (s *Server) documentPage(c *call) error {
	d, err := s.document(c)
	if err != nil {
		return err
	}
	data := documentData{Document: d}
	for i, at := range d.Pages {
		p, err := s.Store.Page(at.Batch, at.Seq)
		if err != nil {
			return err
		}
		t, err := s.Engine.PageText(p)
		if err != nil {
			return err
		}
		page := documentPageData{Page: p, Number: i + 1}
		if t != nil {
			page.Plain = t.Plain()
		}
		data.Pages = append(data.Pages, page)
	}
	return s.show(c, "document", data)
}

func (s *Server) deletePage(c *call) error {
	d, err := s.document(c)
	if err != nil {
		return err
	}
	return s.show(c, "delete", d)
}

func (s *Server) deleteForm(c *call) error {
	d, err := s.document(c)
	if err != nil {
		return err
	}
	if err := s.Engine.DeleteDocument(c.r.Context(), d.ID, c.by()); err != nil {
		return err
	}
	return redirect(c, "/documents")
}

type accountData struct {
	Tokens   []store.Token
	Sessions []store.Session
	Session  string // hash of the one in use
	Secret   string // of a token just made
	Done     string
	Error    string
}

func (s *Server) account(c *call, status int, data accountData) error {
	var err error
	if data.Tokens, err = s.Store.Tokens(c.user.ID); err != nil {
		return err
	}
	if data.Sessions, err = s.Store.Sessions(c.user.ID); err != nil {
		return err
	}
	data.Session = c.session
	return s.render(c.w, c.r, c.caller, status, "account", data)
}

func (s *Server) accountPage(c *call) error { return s.account(c, http.StatusOK, accountData{}) }

func (s *Server) passwordForm(c *call) error {
	err := error(problemf(422, "again", "Not the same", "The two passwords are not the same."))
	if c.r.PostFormValue("password") == c.r.PostFormValue("again") {
		err = s.changePassword(c.caller, c.r.PostFormValue("old"), c.r.PostFormValue("password"))
	}
	if err != nil {
		if p := problem(err); p.Status < 500 {
			return s.account(c, p.Status, accountData{Error: p.Detail})
		}
		return err
	}
	return s.account(c, http.StatusOK, accountData{Done: "The password is changed. All your other log-ins have ended."})
}

func (s *Server) tokenForm(c *call) error {
	_, secret, err := s.addToken(c.caller, c.r.PostFormValue("name"))
	if err != nil {
		if p := problem(err); p.Status < 500 {
			return s.account(c, p.Status, accountData{Error: p.Detail})
		}
		return err
	}
	return s.account(c, http.StatusCreated, accountData{Secret: secret})
}

func (s *Server) endSessionForm(c *call) error {
	if err := s.endSession(c); err != nil {
		return err
	}
	return redirect(c, "/account")
}

func (s *Server) deleteTokenForm(c *call) error {
	if err := s.deleteToken(c); err != nil {
		return err
	}
	return redirect(c, "/account")
}

type peopleData struct {
	Users []store.User
	formData
}

func (s *Server) people(c *call, status int, data peopleData) error {
	var err error
	if data.Users, err = s.Store.Users(); err != nil {
		return err
	}
	return s.render(c.w, c.r, c.caller, status, "people", data)
}

// deviceData is a scanner on the page of that name.
type deviceData struct {
	device.DeviceState
	Choices store.Machine
	Gesture []gestureData
}

// gestureData is what one gesture means.
type gestureData struct {
	Gesture device.Gesture
	Profile store.ProfileID
}

type devicesData struct {
	Devices  []deviceData
	Profiles []store.Profile
	Error    string
}

func (s *Server) devices(c *call, status int, data devicesData) error {
	var err error
	if data.Profiles, err = s.Store.Profiles(); err != nil {
		return err
	}
	for _, d := range s.Registry.Devices() {
		m, err := s.Store.Machine(d.Info.ID)
		if err != nil {
			return err
		}
		x := deviceData{DeviceState: d, Choices: m}
		for _, g := range []device.Gesture{device.Short, device.Double, device.Long} {
			at := slices.IndexFunc(m.Presses, func(p store.MachinePress) bool { return p.Button == "" && p.Gesture == string(g) })
			y := gestureData{Gesture: g}
			if at >= 0 {
				y.Profile = m.Presses[at].Profile
			}
			x.Gesture = append(x.Gesture, y)
		}
		data.Devices = append(data.Devices, x)
	}
	return s.render(c.w, c.r, c.caller, status, "devices", data)
}

func (s *Server) devicesPage(c *call) error { return s.devices(c, http.StatusOK, devicesData{}) }

// deviceForm takes what was chosen on the page. What the page does not show, the
// presses of single buttons, stays.
func (s *Server) deviceForm(c *call) error {
	m, err := s.Store.Machine(c.ps.ByName("id"))
	if err != nil {
		return err
	}
	m.Name = c.r.PostFormValue("name")
	m.AutoStart = c.r.PostFormValue("auto_start") != ""
	m.AutoStartProfile = store.ProfileID(c.r.PostFormValue("auto_start_profile"))
	m.Presses = slices.DeleteFunc(m.Presses, func(p store.MachinePress) bool { return p.Button == "" })
	for _, g := range []device.Gesture{device.Short, device.Double, device.Long} {
		if p := c.r.PostFormValue("press_" + string(g)); p != "" {
			m.Presses = append(m.Presses, store.MachinePress{Gesture: string(g), Profile: store.ProfileID(p)})
		}
	}
	if v := c.r.PostFormValue("auto_start_seconds"); v != "" {
		if m.AutoStartSeconds, err = strconv.Atoi(v); err != nil {
			return s.devices(c, http.StatusUnprocessableEntity, devicesData{Error: "The grace time must be a number of seconds."})
		}
	}
	if err := s.choose(c, m); err != nil {
		if p := problem(err); p.Status == http.StatusUnprocessableEntity {
			return s.devices(c, p.Status, devicesData{Error: p.Detail})
		}
		return err
	}
	return redirect(c, "/devices")
}

func (s *Server) peoplePage(c *call) error { return s.people(c, http.StatusOK, peopleData{}) }

func (s *Server) peopleForm(c *call) error {
	name := strings.TrimSpace(c.r.PostFormValue("username"))
	if _, err := s.addUser(c.caller, name, c.r.PostFormValue("password"), store.Role(c.r.PostFormValue("role"))); err != nil {
		if p := problem(err); p.Status < 500 {
			return s.people(c, p.Status, peopleData{formData: formData{Name: clip(name), Error: p.Detail}})
		}
		return err
	}
	return redirect(c, "/people")
}
