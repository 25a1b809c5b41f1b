package web

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"path"
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
