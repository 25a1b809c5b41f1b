package web

import (
	"net/http"
	"strings"
)

// What somebody has typed is not lost when it cannot be saved and there is no form any
// more to show it in: the page that says why has it, to be copied.

// typedFields are the fields of forms into which people write, and what the forms call
// them. No field with a secret is one of them.
var typedFields = []struct{ name, label string }{
	{"title", msg("Title")}, {"date", msg("Date that stands on it")}, {"correspondent", msg("Correspondent")}, {"type", msg("Type")},
	{"tags", msg("Tags, with commas between")}, {"asn", msg("Archive serial number")}, {"remark", msg("Note")},
	{"value", msg("Tags, type or correspondent")}, {"name", msg("Name")}, {"full_name", msg("Full name (may stay empty)")},
}

// A typedField is what stood in one of them.
type typedField struct {
	Label, Text string
	Long        bool // several lines
}

// typed gives what a person has written into the form that r brought.
func typed(r *http.Request, l *tongue) (list []typedField) {
	if r.Method != http.MethodPost {
		return nil
	}
	for _, f := range typedFields {
		if text := strings.TrimSpace(r.PostForm.Get(f.name)); text != "" {
			list = append(list, typedField{l.T(f.label), text, f.name == "remark"})
		}
	}
	return list
}
