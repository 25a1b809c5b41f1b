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
	{"value", msg("Tags, type or correspondent")}, {"name", msg("Name")}, {"username", msg("Name")}, {"full_name", msg("Full name (may stay empty)")},
	{"email", msg("E-mail address (may stay empty)")}, {"folder", msg("Folder, from the root")}, {"url", msg("Address of the folder")}, {"user", msg("Name there")},
	{"zone", msg("Time zone, such as Europe/Berlin; empty: the system's")}, {"reason", msg("Why")}, {"key", msg("Public key")},
	{"part_code", msg("after a sheet with a barcode of this text")},
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
		text := strings.TrimSpace(r.PostForm.Get(f.name))
		if text != "" && !strings.Contains(text, "PRIVATE KEY") { // which somebody may take for the public one
			list = append(list, typedField{l.T(f.label), text, f.name == "remark" || f.name == "key"})
		}
	}
	return list
}
