package web

import (
	"errors"
	"net/http"
	"slices"

	"docscan/scan"
	"docscan/scan/ocr"
	"docscan/store"
)

// What the text of a document says by itself is shown beside what people say, and
// can be taken over.

// kinds are what package scan/sense calls kinds of documents, as messages.
var kinds = map[string]string{
	"invoice": msg("invoice"), "credit note": msg("credit note"), "receipt": msg("receipt"), "reminder": msg("reminder"), "quotation": msg("quotation"),
	"order": msg("order"), "delivery note": msg("delivery note"), "contract": msg("contract"), "statement": msg("statement"), "payslip": msg("payslip"),
	"certificate": msg("certificate"), "report": msg("report"), "form": msg("form"), "notice": msg("notice"), "letter": msg("letter"),
}

// foundData is what is told of what was found.
type foundData struct {
	*store.Found
	Kind      string          // in the reader's language
	Same      *store.Document // an earlier one that is the same paper, if the reader may see it
	Waits     bool            // the document is going to be read again
	Languages []string        // installed
}

func (s *Server) found(c *call, d store.Document) (f foundData, err error) {
	if f.Found = d.Found; f.Found == nil {
		f.Found = new(store.Found)
	}
	if kind, ok := kinds[f.Found.Kind]; ok {
		f.Kind = c.tongue.T(kind)
	}
	if f.Found.Same != "" {
		same, err := s.Store.Document(f.Found.Same)
		switch {
		case err == nil && c.reads(same) && same.Trashed.IsZero():
			f.Same = &same
		case err != nil && !errors.Is(err, store.ErrNotFound):
			return f, err
		}
	}
	if f.Waits, err = s.Engine.WaitsToBeRead(d.ID); err != nil {
		return f, err
	}
	installed, err := s.Engine.Languages()
	if err != nil {
		s.Log.Warn("listing the languages failed", "err", err)
		err = nil
	}
	for _, l := range installed {
		f.Languages = append(f.Languages, l.Name)
	}
	return f, nil
}

// leftOut gives the steps of the clean-up that are not among those that are ticked.
func leftOut(ticked []string) []string {
	leave := []string{}
	for _, step := range ocr.Steps() {
		if !slices.Contains(ticked, string(step)) {
			leave = append(leave, string(step))
		}
	}
	return leave
}

// readSteps gives the steps of the clean-up as the form to read d again shows them: those of the
// profile it was scanned with, but for what was refused.
func (s *Server) readSteps(d store.Document, refused []string) (list []readStep, err error) {
	leave := refused
	if leave == nil {
		b, err := s.Store.Batch(d.Batch)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return nil, err
		}
		leave = b.Profile.Leave
	}
	for _, st := range cleanUp() {
		list = append(list, readStep{st, !slices.Contains(leave, string(st.Step))})
	}
	return list, nil
}

// takeFound puts what was found into m: the button that was pressed says what.
func (c *call) takeFound(what string, d store.Document, m *scan.Marks) {
	f := d.Found
	switch {
	case f == nil:
	case what == "title" && f.Title != "":
		m.Title = f.Title
	case what == "correspondent" && f.Correspondent != "":
		m.Correspondent = f.Correspondent
	case what == "type" && f.Kind != "":
		m.Type = c.tongue.T(kinds[f.Kind])
	case what == "date" && f.Date != nil:
		m.Date = f.Date.Day
	case what == "other" && f.Date != nil && f.Date.Other != "":
		m.Date = f.Date.Other
	}
}

// readForm has a document read again.
func (s *Server) readForm(c *call) error {
	x, err := s.seen(c)
	if err != nil {
		return err
	}
	wish := scan.Reading{Languages: c.r.PostForm["languages"]}
	if c.r.PostForm.Get("clean_up") != "" {
		wish.Leave = leftOut(c.r.PostForm["steps"])
	}
	if err := s.Engine.ReadAgain(x, wish); err != nil {
		if p := problem(err); p.Status == http.StatusUnprocessableEntity {
			d, derr := s.document(c)
			if derr != nil {
				return derr
			}
			return s.showDocument(c, p.Status, documentData{Document: d, Marks: scan.MarksOf(d), ReadError: c.say(p), ReadIn: wish.Languages, ReadLeave: wish.Leave})
		}
		return err
	}
	return redirect(c, "/documents/"+string(x.Document))
}
