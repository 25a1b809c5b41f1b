package web

import (
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"docscan/scan"
	"docscan/store"
)

// Something can be done to all documents of a list, also to those on its other pages. That
// is asked first, with how many these are, and then done to just these, maxChosen at a time,
// each of which steps is a change of its own.
const (
	maxAll       = 5000        // documents that "all" can be
	allTime      = time.Minute // in which they are found
	listedAtOnce = 100         // that are read together
	titlesOfAll  = 10          // that are shown before it is done
)

// manyActions are what a list can do to several documents.
var manyActions = []string{"tag", "untag", "type", "from", "trash", "merge", "zip", "pdf"}

// inSteps reports whether an action is done to each document by itself, and not to make one
// thing of all.
func inSteps(do string) bool { return do != "merge" && do != "zip" && do != "pdf" }

// everything is all documents of a list, on all its pages.
type everything struct {
	documents []store.Revision // to which the caller may do it, in the order of the list
	others    int              // of these, such as belong to somebody else
	shared    int              // beside them, such as may only be read
	more      bool             // there are more than these, or may be: it took too long to see
}

// everything gives all documents of the list of what q finds, as far as the caller may change
// them, or with read, read them.
func (s *Server) everything(c *call, q string, read bool) (x everything, err error) {
	until := time.Now().Add(s.allTime)
	known := make(map[store.DocumentID]bool)
	take := func(d store.Document) error {
		switch {
		case known[d.ID]: // the list has moved
			return nil
		case time.Now().After(until):
			return errEnough
		case !read && !c.sees(d.Owner):
			x.shared++
		case len(x.documents) == maxAll:
			return errEnough
		default:
			x.documents = append(x.documents, store.Revision{ID: d.ID, Revision: d.Revision})
			if d.Owner != "" && d.Owner != c.user.ID {
				x.others++
			}
		}
		known[d.ID] = true
		return nil
	}
	for cursor := ""; ; {
		next, more, err := s.listed(c, q, cursor, take)
		switch {
		case errors.Is(err, errEnough):
			x.more = true
			return x, nil
		case err != nil:
			return x, err
		case next == "" || next == cursor || time.Now().After(until):
			x.more = more
			return x, nil
		}
		cursor = next
	}
}

// errEnough ends a list that is long enough, or takes too long.
var errEnough = errors.New("enough was listed")

// listed gives f documents of a list as find does, but without what was found in them and
// without those that are still being made, until f returns an error. They come one by one:
// thousands of them with all their pages would take much memory. more says that there are,
// or may be, others.
func (s *Server) listed(c *call, q, cursor string, f func(store.Document) error) (next string, more bool, err error) {
	if strings.TrimSpace(q) == "" {
		docs, err := s.Store.Documents(store.DocumentQuery{Owner: c.owner(), Limit: listedAtOnce, Before: store.DocumentID(cursor)})
		if err != nil {
			return "", false, err
		}
		for _, d := range docs {
			if err := s.recordList(c, d.Owner); err != nil {
				return "", false, err
			}
			if err := f(d); err != nil {
				return "", false, err
			}
		}
		if len(docs) == listedAtOnce {
			next = string(docs[listedAtOnce-1].ID)
		}
		return next, next != "", nil
	}
	query := c.asks(q)
	query.Limit, query.Bare, query.Zone = maxAll+1, true, s.Store.Zone() // in one go, but for phrases
	if cursor != "" {
		if query.Offset, err = strconv.Atoi(cursor); err != nil {
			return "", false, err
		}
	}
	result, err := s.Index.Search(c.r.Context(), query)
	if err != nil {
		return "", false, err
	}
	for _, h := range result.Hits {
		d, err := s.Store.Document(store.DocumentID(h.ID))
		if errors.Is(err, store.ErrNotFound) {
			continue
		}
		if err != nil {
			return "", false, err
		}
		if !c.reads(d) || !d.Trashed.IsZero() {
			continue
		}
		if err := s.recordFound(c, d); err != nil {
			return "", false, err
		}
		if err := f(d); err != nil {
			return "", false, err
		}
	}
	if result.Next > 0 {
		next = strconv.Itoa(result.Next)
	}
	return next, next != "" || result.More, nil
}

// recordFound puts into the audit log that an administrator found a document of somebody
// else by what stands in it.
func (s *Server) recordFound(c *call, d store.Document) error {
	if !c.admin() || d.Owner == "" || d.Owner == c.user.ID {
		return nil
	}
	return s.recordView(c, "document_search", string(d.Owner), d.Owner)
}

// errUncounted refuses what needs all documents of a list, where finding them takes too long.
var errUncounted = problemf(422, "uncounted", "Not possible", "It takes too long to find all documents that fit. Nothing was done. Search for fewer, such as those of one month with created:2026-03.")

// allFor is everything for an action, or why that cannot be done.
func (s *Server) allFor(c *call, q, do string) (everything, error) {
	if !slices.Contains(manyActions, do) {
		return everything{}, errNoAction
	}
	x, err := s.everything(c, q, do == "zip" || do == "pdf")
	if err != nil {
		return x, err
	}
	most := maxChosen
	if do == "merge" {
		most = scan.MaxMerged
	}
	switch n := len(x.documents); {
	case !inSteps(do) && n > most:
		return x, problemf(422, "too-many", "Not possible", "There are more than %d documents, and more cannot be put together or taken away at once. Search for fewer.", most)
	case x.more && (n == 0 || !inSteps(do)):
		return x, errUncounted
	case n == 0 && x.shared > 0:
		return x, problemf(403, "only-shared", "Not yours", "All of these documents are shared with you to read. Only the person they belong to can change them.")
	case n == 0:
		return x, problemf(422, "nothing-chosen", "Nothing is chosen", "No document fits, so there is nothing to do.")
	case n == 1 && do == "merge":
		return x, problemf(422, "too-few", "Not possible", "Only one document fits, and it takes two or more to make one of them.")
	}
	return x, nil
}

// ids are those of x.
func (x *everything) ids() []string {
	list := make([]string, len(x.documents))
	for i, r := range x.documents {
		list[i] = string(r.ID)
	}
	return list
}

// manyData asks whether something is to be done to many documents.
type manyData struct {
	Do, Value, Query string
	Tags             []string // in Value
	IDs              []string // of those that are left
	Titles           []string // of the first of these
	Hidden           int      // how many there are beside Titles
	Step             int      // how many are done next
	Done, Of         int      // how many are done, of how many
	Undo             string   // address that takes the last step back, with the same form
	Undone           bool     // that was done
	Others           int      // that belong to somebody else
	Shared           int      // beside them, such as may only be read
	More             bool     // there are more than these
}

// goesOn is the question about rest, after a step. Of all that were asked about, of which
// there were least at least, the page before tells the rest.
func (c *call) goesOn(do string, rest []string, least int, undo string) manyData {
	number := func(name string) int {
		n, err := strconv.Atoi(c.r.PostFormValue(name))
		if err != nil || n < 0 {
			return 0 // it is only shown
		}
		return n
	}
	of := number("of")
	if of < least || of > maxAll {
		of = least
	}
	return manyData{Do: do, Value: c.r.PostFormValue("value"), Query: c.r.PostFormValue("q"), IDs: rest, Done: of - len(rest), Of: of, Undo: undo,
		Others: number("others"), Shared: number("shared"), More: c.r.PostFormValue("more") != ""}
}

// askMany shows that question.
func (s *Server) askMany(c *call, data manyData) error {
	data.Tags, data.Step = splitTags(data.Value), min(len(data.IDs), maxChosen)
	for _, id := range data.IDs[:min(len(data.IDs), titlesOfAll)] {
		d, err := s.Store.Document(store.DocumentID(id))
		switch {
		case errors.Is(err, store.ErrNotFound), errors.Is(err, store.ErrBadID), err == nil && !c.sees(d.Owner): // it is told when it is done
		case err != nil:
			return err
		default:
			if err := s.recordList(c, d.Owner); err != nil {
				return err
			}
			data.Titles = append(data.Titles, d.Title)
		}
	}
	data.Hidden = len(data.IDs) - len(data.Titles)
	return s.show(c, "many", data)
}

// nameAll puts into a wish of a program the documents that its query finds, if they are as
// many as it says.
func (s *Server) nameAll(c *call, in *manyChange) error {
	switch {
	case len(in.Documents) > 0:
		return problemf(422, "two-choices", "Not possible", "Name documents or give a query, not both.")
	case strings.TrimSpace(*in.Query) == "":
		return problemf(422, "no-query", "Not possible", "The query is empty. Say what the documents have in common.")
	}
	x, err := s.everything(c, *in.Query, false)
	n := len(x.documents)
	switch {
	case err != nil:
		return err
	case n <= maxChosen && x.more:
		return errUncounted
	case n > maxChosen:
		return problemf(422, "too-many", "Not possible", "The query finds more than %d documents. Ask for less, or list them and name up to %d at a time.", maxChosen, maxChosen)
	case n != in.Count:
		return problemf(412, "other-count", "Not as many as you say", "The query finds %d documents that you may change, and count says %d. Nothing was done.", n, in.Count)
	}
	in.Documents = x.documents
	return nil
}
