package web

import (
	"embed"
	"encoding/json"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
)

//go:embed messages/*.json
var messageFiles embed.FS

// A tongue is a language the pages speak. English is the language of the
// templates and of the program, so the English text is the name of a message;
// a catalogue gives the same in another language. Of a message that depends on
// a number, one|many stands in the catalogue. A text without an entry is shown
// in English: better than nothing, and a test keeps it from happening.
type tongue struct {
	Tag  string // BCP 47
	Name string // of the language, in itself
	text map[string]string
	told []toldForm // sentences of other packages
}

// english needs no catalogue.
var english = &tongue{Tag: "en", Name: "English"}

// loadTongues gives English first, then the languages that have a catalogue.
func loadTongues() ([]*tongue, error) {
	all := []*tongue{english}
	files, err := fs.Glob(messageFiles, "messages/*.json")
	forms := toldForms()
	if err != nil {
		return nil, err
	}
	for _, f := range files {
		data, err := messageFiles.ReadFile(f)
		if err != nil {
			return nil, err
		}
		l := &tongue{Tag: strings.TrimSuffix(path.Base(f), ".json"), told: forms}
		if err := json.Unmarshal(data, &l.text); err != nil {
			return nil, fmt.Errorf("catalogue %s: %w", f, err)
		}
		l.Name = l.text["English"]
		all = append(all, l)
	}
	return all, nil
}

// msg marks a text that is put into a person's language later, where it is
// shown. It gives back the text.
func msg(s string) string { return s }

// T gives a message with its values filled in, as fmt does.
func (l *tongue) T(message string, args ...any) string {
	if s, ok := l.text[message]; ok {
		message = s
	}
	if len(args) == 0 {
		return message
	}
	return fmt.Sprintf(message, args...)
}

// N gives the message for the number n: one if it is 1, many otherwise. n is the
// first value in it.
func (l *tongue) N(n int, one, many string, args ...any) string {
	if s, ok := l.text[one+"|"+many]; ok {
		one, many, _ = strings.Cut(s, "|")
	}
	if n != 1 {
		one = many
	}
	return fmt.Sprintf(one, append([]any{n}, args...)...)
}

// months as they stand in a date.
var months = map[string][12]string{
	"en": {"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"},
	"de": {"Jan.", "Feb.", "März", "Apr.", "Mai", "Juni", "Juli", "Aug.", "Sep.", "Okt.", "Nov.", "Dez."},
}

// Day gives a date; t is in the zone of the box.
func (l *tongue) Day(t time.Time) string {
	dot := ""
	if l.Tag == "de" {
		dot = "."
	}
	return fmt.Sprintf("%d%s %s %d", t.Day(), dot, months[l.Tag][t.Month()-1], t.Year())
}

// When gives a date with the time of day.
func (l *tongue) When(t time.Time) string { return l.Day(t) + ", " + t.Format("15:04") }

// Size gives a number of bytes.
func (l *tongue) Size(n int64) string {
	switch {
	case n >= 1<<30:
		return l.decimal(float64(n)/(1<<30)) + " GB"
	case n >= 1<<20:
		return l.decimal(float64(n)/(1<<20)) + " MB"
	}
	return strconv.FormatInt((n+1023)/1024, 10) + " kB"
}

func (l *tongue) decimal(f float64) string { return l.point(strconv.FormatFloat(f, 'f', 1, 64)) }

// Number gives a number with no more digits than it has.
func (l *tongue) Number(f float64) string { return l.point(strconv.FormatFloat(f, 'f', -1, 64)) }

// point gives a number the sign that this language has before its fraction.
func (l *tongue) point(s string) string {
	if l.Tag == "de" {
		s = strings.ReplaceAll(s, ".", ",")
	}
	return s
}

// Problem puts a problem into this language. Values that are messages
// themselves are put into it too.
func (l *tongue) Problem(p *Problem) *Problem {
	q := *p
	q.Title = l.T(p.Title)
	if p.format == "" {
		q.Detail = l.T(p.Detail)
		return &q
	}
	args := slices.Clone(p.args)
	for i, a := range args {
		if s, ok := a.(string); ok {
			args[i] = l.Told(s)
		}
	}
	q.Detail = fmt.Sprintf(l.T(p.format), args...)
	return &q
}

// maxWishes bounds how many languages of a browser are looked at.
const maxWishes = 16

// wished picks the language that a browser asks for in Accept-Language (RFC
// 9110, 12.5.4), or fallback if it asks for none of all.
func wished(all []*tongue, accept string, fallback *tongue) *tongue {
	best, weight := fallback, 0.0
	for _, part := range strings.SplitN(accept, ",", maxWishes) {
		tag, params, _ := strings.Cut(part, ";")
		q := 1.0
		if v, ok := strings.CutPrefix(strings.TrimSpace(params), "q="); ok {
			var err error
			if q, err = strconv.ParseFloat(v, 64); err != nil {
				continue
			}
		}
		tag, _, _ = strings.Cut(strings.ToLower(strings.TrimSpace(tag)), "-")
		for _, l := range all {
			if l.Tag == tag && q > weight {
				best, weight = l, q
			}
		}
	}
	return best
}

// speak gives the language for the one who asks: the one chosen on the account
// page, then the browser's, then the one chosen for the box.
func (s *Server) speak(r *http.Request, who *caller) *tongue {
	fallback := english
	if b, err := s.boxSettings(); err == nil {
		fallback = s.tongue(b.Language, english)
	}
	if who != nil && who.user.ID != "" {
		if p, err := s.preferences(who.user.ID); err == nil && p.Language != "" {
			return s.tongue(p.Language, fallback)
		}
	}
	return wished(s.tongues, r.Header.Get("Accept-Language"), fallback)
}

// tongue gives the language of that tag, or fallback.
func (s *Server) tongue(tag string, fallback *tongue) *tongue {
	for _, l := range s.tongues {
		if l.Tag == tag {
			return l
		}
	}
	return fallback
}
