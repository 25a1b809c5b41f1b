package web

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"

	"docscan/device"
	"docscan/scan"
	"docscan/scan/ocr"
	"docscan/scan/refusal"
	"docscan/scan/sheets"
	"docscan/store"
	"docscan/store/search"
)

// A Problem is an error as RFC 9457 has it. It is an error itself: a handler
// returns one for what only it knows.
type Problem struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail"`
	Fault  string `json:"fault,omitempty"`  // kind of a machine's fault
	Advice string `json:"advice,omitempty"` // what to do about it
	Ticket string `json:"ticket,omitempty"` // with which to try the second step once more

	format string // what Detail was made of, so that it can be said in another language
	args   []any
}

// Error gives the detail.
func (p *Problem) Error() string { return p.Detail }

func problemf(status int, kind, title, format string, args ...any) *Problem {
	return &Problem{Type: "/problems/" + kind, Title: title, Status: status, Detail: fmt.Sprintf(format, args...), format: format, args: args}
}

// What handlers refuse, in words for people. Scripts of the service before this
// one know some of the texts.
var (
	errNotAuthenticated = problemf(401, "not-authenticated", "Log in first", "Not authenticated")
	errLoggedOut        = problemf(401, "not-authenticated", "Log in first", "You are no longer logged in, so nothing was done. Log in, and do it again.")
	errWrongPassword    = problemf(401, "wrong-password", "Log-in refused", "Incorrect username or password")
	errAdminOnly        = problemf(403, "admin-only", "Administrators only", "Admin access required")
	errSetupToken       = problemf(403, "setup-token", "Set-up code refused", "The set-up code is wrong, used or older than 24 hours. The screen of the box and its log show the present one; there is a new one each time docscan starts.")
	errSlow             = problemf(408, "slow", "Too slow", "The request did not arrive in time. Nothing was done.")
	errEnding           = problemf(503, "ending", "In a moment", "docscan is about to start anew or to change its version, so this was not done to its end. Try again in a few seconds.")
	errIndex            = problemf(503, "index", "In a moment", "The search index is damaged and is being made anew from the documents, which are all safe. Try again in a minute. Until it is complete, a search finds less than there is.")
	errNoPath           = problemf(404, "not-found", "Not found", "Not Found") // the service before said so
	errNotFound         = problemf(404, "not-found", "Not found", "There is nothing at this address.")
)

// problem puts an error into the words of a problem. What it does not know is a
// 500 without detail, which the caller logs.
func problem(err error) *Problem {
	var p *Problem
	var f *device.Fault
	var tooLarge *http.MaxBytesError
	var why *refusal.Error
	switch {
	case errors.As(err, &p):
		return p
	case errors.As(err, &why):
		return refusedWish(why)
	case errors.Is(err, store.ErrLastAdmin):
		return errLastAdmin
	case errors.Is(err, store.ErrOwns):
		return errOwns
	case errors.Is(err, store.ErrConflict):
		return problemf(412, "changed", "Changed in the meantime", "Somebody else has changed this since you opened it. Nothing of theirs is overwritten, and yours is not saved yet.")
	case errors.Is(err, scan.ErrImagesGone):
		return problemf(409, "images-gone", "No longer possible", "The images of these pages are no longer kept, so the PDF cannot be made anew. What is said of the document can still be changed.")
	case errors.Is(err, scan.ErrNoDevice):
		return problemf(503, "no-scanner", "No scanner", "No scanner is connected. Check that it is switched on and its cable is plugged in.")
	case errors.Is(err, scan.ErrDeviceBusy):
		return problemf(409, "busy", "Scanner busy", "The scanner is at work already. Wait until the running scan has ended, or cancel it.")
	case errors.Is(err, scan.ErrState):
		return problemf(409, "state", "Not possible now", "The batch has moved on: this is no longer possible.")
	case errors.Is(err, device.ErrUnsupported):
		return problemf(422, "unfit", "The scanner cannot do this", "%s. Choose another profile or scanner.", capital(err.Error()))
	case errors.Is(err, scan.ErrChoice):
		return problemf(422, "bad-choice", "Not possible", "%s.", capital(err.Error()))
	case errors.Is(err, scan.ErrLastProfile):
		return problemf(409, "last-profile", "Not possible", "This is the only profile; a press must mean something.")
	case errors.Is(err, device.ErrUnknown):
		return problemf(404, "unknown-scanner", "Unknown scanner", "There is no such scanner.")
	case errors.As(err, &f):
		what, advice := scan.FaultText(f.Kind)
		p := problemf(409, string(f.Kind), "The scanner needs you", "%s %s", what, advice)
		p.Fault, p.Advice = string(f.Kind), advice
		return p
	case errors.Is(err, store.ErrNotFound), errors.Is(err, store.ErrBadID):
		return errNotFound
	case errors.Is(err, store.ErrExists):
		return problemf(409, "exists", "Exists already", "Something of that name exists already.")
	case errors.Is(err, store.ErrClosed), errors.Is(err, search.ErrClosed):
		return errEnding
	case errors.Is(err, search.ErrDamaged):
		return errIndex
	case errors.Is(err, store.ErrDiskFull):
		return problemf(507, "disk-full", "The disk is full", "The disk is full. What is stored is safe. Free some space and try again.")
	case errors.As(err, &tooLarge):
		if mb := tooLarge.Limit >> 20; mb > 0 && mb<<20 == tooLarge.Limit {
			return problemf(413, "too-large", "Request too large", "The request is larger than %d MB.", mb)
		}
		return problemf(413, "too-large", "Request too large", "The request is larger than %d bytes.", tooLarge.Limit)
	}
	return problemf(500, "internal", http.StatusText(500), "Something went wrong here. What is stored is safe; the log of docscan says more.")
}

// refusedWish is the problem of a wish that is refused with a sentence.
func refusedWish(why *refusal.Error) *Problem {
	p := &Problem{Type: "/problems/edit", Title: msg("Not possible"), Status: http.StatusUnprocessableEntity, Detail: why.Error(), format: why.Message, args: why.Args}
	switch {
	case errors.Is(why, scan.ErrChoice), errors.Is(why, sheets.ErrChoice), errors.Is(why, ocr.ErrLanguage):
		p.Type = "/problems/bad-choice"
	case errors.Is(why, scan.ErrUnfit):
		p.Type, p.Title = "/problems/unfit", msg("The scanner cannot do this")
	case errors.Is(why, ocr.ErrData):
		p.Type, p.Title = "/problems/language", msg("The language data cannot be used")
	}
	return p
}

// writeProblem answers with a problem document.
func writeProblem(w http.ResponseWriter, p *Problem) error {
	if p.Status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", "Bearer")
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(p.Status)
	return json.NewEncoder(w).Encode(p)
}

func writeJSON(w http.ResponseWriter, status int, v any) error {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	return json.NewEncoder(w).Encode(v)
}

// readJSON reads the body of a request, which is one value; its size the router
// bounds.
func readJSON(r *http.Request, v any) error {
	if r.ContentLength == 0 && r.Method != http.MethodPut {
		return nil // an empty body asks for nothing in particular; but to replace something by nothing is a mistake
	}
	d := json.NewDecoder(r.Body)
	err := d.Decode(v)
	if err == nil {
		if _, more := d.Token(); !errors.Is(more, io.EOF) {
			err = cmp.Or(more, errors.New("something follows it"))
		}
	}
	if err != nil {
		var tooLarge *http.MaxBytesError
		if errors.As(err, &tooLarge) {
			return err
		}
		if r.ContentLength < 0 { // it may be too large beside, which goes first
			if _, more := io.Copy(io.Discard, r.Body); errors.As(more, &tooLarge) {
				return more
			}
		}
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return errSlow
		}
		return problemf(400, "bad-json", "Malformed request", "The body is not the JSON that is wanted here: %v", err)
	}
	return nil
}

func capital(s string) string {
	if s == "" || s[0] < 'a' || s[0] > 'z' {
		return s
	}
	return string(s[0]-'a'+'A') + s[1:]
}
