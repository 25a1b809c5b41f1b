package web

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/text/language"

	"docscan/store"
	"docscan/store/audit"
)

// systemRoutes are what an administrator does with the box as a whole.
func systemRoutes() []route {
	return []route{
		{"GET", "/api/v1/system/log", admins, (*Server).apiLog, "The last lines of the log, newest first"},
		{"GET", "/api/v1/system/settings", admins, (*Server).apiSettings, "What was chosen for the box: {language, zone}"},
		{"PUT", "/api/v1/system/settings", admins, (*Server).apiPutSettings, "Choose {language, zone}: of the pages, where neither account nor browser say, and the IANA time zone; empty: English, the system's"},
		{"GET", "/system", admins, (*Server).systemPage, ""},
		{"POST", "/system/settings", admins, (*Server).settingsForm, ""},
		{"POST", "/system/check", admins, (*Server).checkForm, ""},
	}
}

// sound says whether what everything rests on answers.
type sound struct{ Store, Index bool }

func (s *Server) sound(ctx context.Context) sound {
	ctx, stop := context.WithTimeout(ctx, healthTimeout)
	defer stop()
	var is sound
	if _, err := s.Store.OpenBatches(); err != nil {
		s.Log.Error("the store does not answer", "err", err)
	} else {
		is.Store = true
	}
	if err := s.Index.Ping(ctx); err != nil {
		s.Log.Error("the index does not answer", "err", err)
	} else {
		is.Index = true
	}
	return is
}

type systemData struct {
	Sound       sound
	Version     string
	Versions    string
	Since       time.Time
	Free, Total int64 // bytes of the disk
	Used        int   // percent
	Waiting     int   // pages whose text is to be read
	Scanners    int
	Dir         string
	CanUpdate   bool
	Log         []LogLine
	Status      int // of the answer; 0: OK
	Error       string
	Report      *store.Report // of a check, where one was made
	Took        time.Duration
	BoxForm     boxForm

	CanRestore   bool
	Staged       *store.Staged // the backup that lies ready
	StagedAs     string        // names it
	RestoreError string
}

// boxForm is the form of what holds for the box as a whole.
type boxForm struct {
	Tongues  []*tongue
	Language string // tag
	Zone     string
	Was      string // names the state that is kept
	Zones    []string
	Now      time.Time
	Propose  bool // the browser may say where it is
}

func (s *Server) boxForm() (boxForm, error) {
	b, err := s.boxSettings()
	if err != nil {
		return boxForm{}, err
	}
	zone := s.Store.Zone().String()
	if zone == "Local" {
		zone = ""
	}
	was := tagOf(settingsView{b.Language, zone})
	return boxForm{Tongues: s.tongues, Language: b.Language, Zone: zone, Was: was, Zones: zones(), Now: time.Now()}, nil
}

// zoneList is where Debian's tzdata has the names of the time zones.
const zoneList = "/usr/share/zoneinfo/tzdata.zi"

// zones are the time zones that can be chosen from; without the list a name can
// still be typed.
func zones() []string {
	data, err := os.ReadFile(zoneList)
	if err != nil {
		return nil
	}
	var list []string
	for line := range strings.Lines(string(data)) {
		if f := strings.Fields(line); len(f) > 2 && f[0] == "Z" && strings.Contains(f[1], "/") {
			list = append(list, f[1])
		} else if len(f) == 3 && f[0] == "L" && strings.Contains(f[2], "/") && !strings.HasPrefix(f[2], "Etc/") && !strings.HasPrefix(f[2], "US/") {
			list = append(list, f[2])
		}
	}
	slices.Sort(list)
	return slices.Compact(list)
}

func (s *Server) system(c *call, data systemData) error {
	data.Sound = s.sound(c.r.Context())
	free, total, err := s.Store.DiskBytes()
	if err != nil {
		return err
	}
	data.Free, data.Total = int64(free), int64(total)
	if total > 0 {
		data.Used = int((total - free) * 100 / total)
	}
	open, err := s.Store.OpenBatches()
	if err != nil {
		return err
	}
	for _, b := range open {
		data.Waiting += b.Pages - b.Done
	}
	typed := data.BoxForm
	if data.BoxForm, err = s.boxForm(); err != nil {
		return err
	}
	if data.Error != "" {
		data.BoxForm.Language, data.BoxForm.Zone = typed.Language, typed.Zone
	}
	data.CanRestore = s.Restart != nil
	switch x, err := s.Store.Staged(); {
	case err == nil:
		data.Staged, data.StagedAs = &x, tagOf(x)
	case !errors.Is(err, store.ErrNotFound):
		return err
	}
	data.Version, data.Since, data.Dir = s.Version, s.started, s.Store.Dir()
	if s.Versions != nil {
		data.Versions = s.Versions()
	}
	data.Scanners, data.CanUpdate, data.Log = len(s.Registry.Devices()), s.Updates != nil, s.Recent.Lines()
	return s.render(c.w, c.r, c.caller, cmp.Or(data.Status, http.StatusOK), "system", data)
}

func (s *Server) systemPage(c *call) error { return s.system(c, systemData{}) }

func (s *Server) checkForm(c *call) error {
	begun := time.Now()
	report, err := s.Store.Check(c.r.Context())
	if err != nil {
		return err
	}
	if err := s.Store.AddAudit(c.entry(audit.AdminAction, "check", "")); err != nil {
		return err
	}
	return s.system(c, systemData{Report: &report, Took: time.Since(begun)})
}

func (s *Server) apiLog(c *call) error {
	lines := s.Recent.Lines()
	if lines == nil {
		lines = []LogLine{}
	}
	return writeJSON(c.w, http.StatusOK, map[string]any{"lines": lines})
}

// settingsView is what is chosen for the box as programs see it.
type settingsView struct {
	Language string `json:"language"`
	Zone     string `json:"zone"`
}

func (s *Server) apiSettings(c *call) error {
	f, err := s.boxForm()
	if err != nil {
		return err
	}
	return c.tagged(settingsView{f.Language, f.Zone})
}

func (s *Server) apiPutSettings(c *call) error {
	var in settingsView
	if err := readJSON(c.r, &in); err != nil {
		return err
	}
	if err := s.chooseForBox(c, in, c.apiFrom); err != nil {
		return err
	}
	return s.apiSettings(c)
}

// chooseForBox sets language and time zone of the box.
func (s *Server) chooseForBox(c *call, in settingsView, from from) error {
	if in.Language != "" && s.tongue(in.Language, nil) == nil {
		return errBadLanguage
	}
	s.editing.Lock()
	defer s.editing.Unlock()
	now, err := s.boxForm()
	if err == nil {
		err = from(settingsView{now.Language, now.Zone})
	}
	if err != nil {
		return err
	}
	err = s.Store.SetZone(strings.TrimSpace(in.Zone), c.entry(audit.AdminAction, "settings_changed", "zone"))
	if errors.Is(err, store.ErrZone) {
		return problemf(422, "bad-zone", "Not possible", "There is no such time zone. It is like Europe/Berlin.")
	}
	if err != nil {
		return err
	}
	return s.changeBox(func(b *boxSettings) { b.Language = in.Language }, c.entry(audit.AdminAction, "settings_changed", "language"))
}

func (s *Server) settingsForm(c *call) error {
	in := settingsView{c.r.PostFormValue("language"), c.r.PostFormValue("zone")}
	if err := s.chooseForBox(c, in, c.formFrom); err != nil {
		return s.refusedWith(c, err, func(status int, text string) error {
			return s.system(c, systemData{Status: status, Error: text, BoxForm: boxForm{Language: in.Language, Zone: in.Zone}})
		})
	}
	tell(c, "saved", "")
	return redirect(c, "/system")
}

// The pages that show the first administrator round. Each can be left out, and
// they can be gone on with later.

// welcomeSteps are the steps after the first, the administrator's account.
var welcomeSteps = []string{"zone", "scanner", "documents"}

func welcomeRoutes() []route {
	return []route{
		{"GET", "/welcome", admins, (*Server).welcomePage, ""},
		{"GET", "/welcome/:step", admins, (*Server).welcomeStep, ""},
		{"POST", "/welcome/:step", admins, (*Server).welcomeForm, ""},
	}
}

type welcomeData struct {
	Step      string
	Number    int // of Steps
	Steps     int
	Error     string
	BoxForm   boxForm
	Languages []languageChoice

	Destinations []destinationView
	Live         live
	Dir          string
	Keep         int  // days in the trash
	SSH          bool // a fleet can be let in
}

// A languageChoice is a language that pages can be read in.
type languageChoice struct {
	Code   string // as the engine names it
	Chosen bool
	Main   bool // most is written in it
}

// settingUp reports whether steps of it are still to be taken.
func (s *Server) settingUp() (bool, error) {
	b, err := s.boxSettings()
	return b.Step < len(welcomeSteps), err
}

// welcomePage leads to the step that comes next.
func (s *Server) welcomePage(c *call) error {
	b, err := s.boxSettings()
	if err != nil {
		return err
	}
	if b.Step < 0 || b.Step >= len(welcomeSteps) {
		return redirect(c, "/")
	}
	return redirect(c, "/welcome/"+welcomeSteps[b.Step])
}

func (s *Server) welcomeStep(c *call) error {
	return s.welcoming(c, c.ps.ByName("step"), http.StatusOK, "")
}

func (s *Server) welcoming(c *call, step string, status int, message string) error {
	at := slices.Index(welcomeSteps, step)
	if at < 0 {
		return errNotFound
	}
	data := welcomeData{Step: step, Number: at + 2, Steps: len(welcomeSteps) + 1, Error: message, Dir: s.Store.Dir(), Keep: s.Engine.TrashDays(), SSH: s.SSHAccess != nil}
	var err error
	if data.BoxForm, err = s.boxForm(); err != nil {
		return err
	}
	if data.BoxForm.Language == "" {
		data.BoxForm.Language = c.tongue.Tag // what the administrator reads is likely what the others do
	}
	data.BoxForm.Propose = message == ""
	if step == "zone" && message != "" {
		data.BoxForm.Language, data.BoxForm.Zone = c.r.PostFormValue("language"), c.r.PostFormValue("zone")
	}
	if data.Live, err = s.live(c); err != nil {
		return err
	}
	if data.Destinations, err = s.destinationViews(); err != nil {
		return err
	}
	installed, err := s.Engine.Languages()
	if err != nil {
		s.Log.Warn("listing the languages failed", "err", err)
	}
	profiles, err := s.Store.Profiles()
	if err != nil {
		return err
	}
	chosen := s.chosenLanguages(profiles, data.BoxForm.Language)
	if step == "zone" && message != "" {
		chosen = mainFirst(c.r.PostForm["languages"], c.r.PostFormValue("main"))
	}
	main := len(chosen) // place of it among them
	for _, l := range installed {
		at := slices.Index(chosen, l.Name)
		data.Languages = append(data.Languages, languageChoice{Code: l.Name, Chosen: at >= 0})
		if at >= 0 {
			main = min(main, at)
		}
	}
	for i := range data.Languages {
		l := &data.Languages[i]
		l.Main = slices.Index(chosen, l.Code) == main
	}
	return s.render(c.w, c.r, c.caller, status, "welcome", data)
}

// chosenLanguages are those in which profiles read, the main one first. While nobody has
// chosen any, papers are likely also in the language of the pages, and mostly in that.
func (s *Server) chosenLanguages(profiles []store.Profile, tag string) []string {
	var all []string
	chosen := false
	for _, p := range profiles {
		chosen = chosen || len(p.Languages) > 0
		if len(p.Languages) == 0 {
			all = append(all, s.Engine.DefaultLanguages()...)
		}
		all = append(all, p.Languages...)
	}
	if base, err := language.ParseBase(tag); err == nil && !chosen {
		all = slices.Insert(all, 0, base.ISO3())
	}
	return all
}

// welcomeForm takes a step, or leaves it out.
func (s *Server) welcomeForm(c *call) error {
	step := c.ps.ByName("step")
	at := slices.Index(welcomeSteps, step)
	if at < 0 {
		return errNotFound
	}
	if step == "zone" && c.r.PostFormValue("skip") == "" {
		err := s.chooseForBox(c, settingsView{c.r.PostFormValue("language"), c.r.PostFormValue("zone")}, c.formFrom)
		if err == nil {
			err = s.readIn(c, mainFirst(c.r.PostForm["languages"], c.r.PostFormValue("main")))
		}
		if err != nil {
			return s.refusedWith(c, err, func(status int, text string) error { return s.welcoming(c, step, status, text) })
		}
	}
	if err := s.changeBox(func(b *boxSettings) { b.Step = max(b.Step, at+1) }); err != nil {
		return err
	}
	return redirect(c, "/welcome")
}

// readIn makes all profiles read these languages.
func (s *Server) readIn(c *call, languages []string) error {
	if len(languages) == 0 {
		return nil // those of docscan.toml
	}
	profiles, err := s.Store.Profiles()
	if err != nil {
		return err
	}
	for _, p := range profiles {
		p.Languages = languages
		if err := s.Engine.PutProfile(p, c.by()); err != nil {
			return err
		}
	}
	return nil
}
