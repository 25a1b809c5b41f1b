package sim

import (
	"context"
	"encoding/json"
	"html/template"
	"mime"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	"docscan/device"
)

// Panel is the simulated button and light.
type Panel struct {
	presses chan device.Gesture

	mu      sync.Mutex
	light   device.Light
	pressed time.Time // when the button went down last
}

var _ device.Panel = (*Panel)(nil)

func newPanel() *Panel {
	return &Panel{presses: make(chan device.Gesture), light: device.LightIdle}
}

// Watch calls press for every press until ctx ends.
func (p *Panel) Watch(ctx context.Context, press func(device.Press)) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case g := <-p.presses:
			press(device.Press{Button: "scan", Gesture: g})
		}
	}
}

// Press presses the button; it returns once somebody watches, or with ctx.
func (p *Panel) Press(ctx context.Context, g device.Gesture) error {
	p.mu.Lock()
	p.pressed = time.Now()
	p.mu.Unlock()
	select {
	case p.presses <- g:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Show sets the light.
func (p *Panel) Show(l device.Light) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.light = l
	return nil
}

// Light is what it shows.
func (p *Panel) Light() device.Light {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.light
}

// State is what the panel page shows.
type State struct {
	Light  device.Light `json:"light"`
	Sheets int          `json:"sheets"` // in the feeder
	Struck Kind         `json:"fault"`  // the machine stands in it
	Armed  *Fault       `json:"armed"`  // will strike
	// Reaction is from the last press until a job was asked for, in
	// microseconds; 0: none was since.
	Reaction int64 `json:"reaction_us"`
}

// State says how the machine stands.
func (s *Scanner) State() State {
	light := s.panel.Light()
	s.panel.mu.Lock()
	pressed := s.panel.pressed
	s.panel.mu.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	reaction := max(0, s.asked.Sub(pressed).Microseconds())
	st := State{Light: light, Reaction: reaction, Sheets: len(s.hopper), Struck: s.standing(), Armed: s.armed}
	if len(s.hopper) == 0 && !s.kept {
		// What a press would load.
		if files, err := pages(s.cfg.Stack); err == nil {
			st.Sheets = len(files)
			if s.cfg.Duplex {
				st.Sheets = (len(files) + 1) / 2
			}
		}
	}
	return st
}

var panelPage = template.Must(template.New("panel").Parse(`<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="refresh" content="3"><title>Simulated scanner</title>
<style>:root{color-scheme:light dark}body{font:16px/1.5 system-ui,sans-serif;max-width:38rem;margin:2rem auto;padding:0 1rem}
button{font:inherit;min-height:44px;padding:.4rem 1rem;margin:.2rem}.big{font-size:1.3rem;min-height:64px}dt{font-weight:600}input{font:inherit;width:5rem;min-height:40px}</style></head><body>
<h1>Simulated scanner</h1>
<dl><dt>Light</dt><dd>{{.State.Light}}</dd><dt>Sheets in the feeder</dt><dd>{{.State.Sheets}}</dd>
<dt>Fault</dt><dd>{{with .State.Struck}}{{.}}{{else}}none{{end}}{{with .State.Armed}} ({{.Kind}} will strike after {{.AfterSheets}} sheets){{end}}</dd></dl>
<form method="post" action="/sim/press"><button class="big" name="gesture" value="short">Scan button</button>
<button name="gesture" value="double">Press twice</button><button name="gesture" value="long">Press long</button></form>
<h2>What a person does</h2>
<form method="post" action="/sim/clear"><button>Clear the fault, put the sheet back</button></form>
<form method="post" action="/sim/empty"><button>Take all paper out</button></form>
<form method="post" action="/sim/refill"><button>Fill the feeder</button></form>
<h2>What goes wrong</h2>
<form method="post" action="/sim/fault"><label>after <input name="after_sheets" type="number" min="0" value="0"> sheets</label>
<label>where <select name="where"><option>feed<option>mid-page<option>between</select></label><br>
{{range .Kinds}}<button name="kind" value="{{.}}">{{.}}</button>{{end}}</form>
</body></html>
`))

// control is the panel page and what stands behind it. It is for people who try
// docscan and for tests; a web page from elsewhere cannot reach it.
func (s *Scanner) control() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /sim/{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		if err := panelPage.Execute(w, struct {
			State State
			Kinds []Kind
		}{s.State(), Kinds}); err != nil {
			s.log.Debug("showing the panel failed", "err", err)
		}
	})
	mux.HandleFunc("GET /sim/state", func(w http.ResponseWriter, _ *http.Request) { s.answerState(w) })
	mux.HandleFunc("POST /sim/press", s.post(func(r *http.Request, _ Fault, g device.Gesture) error {
		return s.panel.Press(r.Context(), g)
	}))
	mux.HandleFunc("POST /sim/fault", s.post(func(_ *http.Request, f Fault, _ device.Gesture) error { return s.Arm(f) }))
	mux.HandleFunc("POST /sim/clear", s.post(func(*http.Request, Fault, device.Gesture) error { s.Clear(); return nil }))
	mux.HandleFunc("POST /sim/empty", s.post(func(*http.Request, Fault, device.Gesture) error { s.Empty(); return nil }))
	mux.HandleFunc("POST /sim/refill", s.post(func(*http.Request, Fault, device.Gesture) error { s.Refill(); return nil }))
	guard := http.NewCrossOriginProtection().Handler(mux)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// A name that resolves to loopback for an attacker is not ours.
		host, _, err := net.SplitHostPort(r.Host)
		if ip := net.ParseIP(host); err != nil || host != "localhost" && (ip == nil || !ip.IsLoopback()) {
			http.Error(w, "the simulator answers only to its loopback address", http.StatusForbidden)
			return
		}
		guard.ServeHTTP(w, r)
	})
}

// post reads what a form or a JSON object asks for, does it, and shows the
// state: to a form by its page, to a script as JSON.
func (s *Scanner) post(do func(*http.Request, Fault, device.Gesture) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, maxSettings)
		var ask struct {
			Fault
			Gesture device.Gesture `json:"gesture"`
		}
		kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
		form := kind == "application/x-www-form-urlencoded"
		if form {
			if err := r.ParseForm(); err != nil {
				http.Error(w, err.Error(), http.StatusBadRequest)
				return
			}
			ask.Kind, ask.Where = Kind(r.PostForm.Get("kind")), Place(r.PostForm.Get("where"))
			ask.Gesture = device.Gesture(r.PostForm.Get("gesture"))
			ask.AfterSheets, _ = strconv.Atoi(r.PostForm.Get("after_sheets")) // empty is 0
		} else if r.ContentLength != 0 {
			if err := json.NewDecoder(r.Body).Decode(&ask); err != nil {
				http.Error(w, err.Error(), http.StatusBadRequest)
				return
			}
		}
		if ask.Gesture == "" {
			ask.Gesture = device.Short
		}
		if err := do(r, ask.Fault, ask.Gesture); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		if form {
			http.Redirect(w, r, "/sim/", http.StatusSeeOther)
			return
		}
		s.answerState(w)
	}
}

func (s *Scanner) answerState(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(s.State()); err != nil {
		s.log.Debug("answering failed", "err", err)
	}
}
