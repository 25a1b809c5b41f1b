package web

import (
	"net/http"
	"net/url"
	"strings"
	"time"
)

// A notice tells on the next page what was done, with a way to take it back.
// It travels in a cookie from the form to the page that follows it.
type notice struct {
	Text string // in the reader's language
	Undo string // address of the form that takes it back; "": it cannot be
}

const (
	noticeCookie = "docscan_notice"
	noticeTime   = time.Minute // a browser keeps it, should the page never come
)

// done is what a notice can say. Only the name travels, so that a forged cookie
// cannot put words into our mouth.
var done = map[string]string{
	"saved": msg("Saved."), "changed": msg("Changed."), "split": msg("Split in two."), "trashed": msg("It is in the trash."),
	"undone": msg("Taken back."), "restored": msg("It is back."), "back": msg("They are back."), "deleted": msg("Deleted."), "ended": msg("Ended."),
	"taken": msg("The files are safe. Now they are read."),
}

// tell leaves a notice for the next page. undo is the address of the form that
// takes it back, or "".
func tell(c *call, name, undo string) {
	putCookie(c.w, c.r, noticeCookie, url.QueryEscape(name+" "+undo), noticeTime)
}

// takeNotice gives the notice that was left for this page, once.
func takeNotice(w http.ResponseWriter, r *http.Request, l *tongue) *notice {
	left := cookie(r, noticeCookie)
	if left == "" {
		return nil
	}
	putCookie(w, r, noticeCookie, "", 0)
	value, err := url.QueryUnescape(left)
	if err != nil {
		return nil
	}
	name, undo, _ := strings.Cut(value, " ")
	text, ok := done[name]
	if !ok {
		return nil
	}
	if !strings.HasPrefix(undo, "/changes/") {
		undo = ""
	}
	return &notice{Text: l.T(text), Undo: undo}
}
