package web

import "docscan/store"

// results is a list of documents with what was asked for.
type results struct {
	Query     string
	Documents []found
	Total     int
	Next      string
}

func (s *Server) documentsPage(c *call) error {
	v := c.r.URL.Query()
	list, total, next, err := s.find(c, v.Get("q"), defaultLimit, v.Get("cursor"))
	if err != nil {
		return err
	}
	return s.show(c, "documents", results{Query: v.Get("q"), Documents: list, Total: total, Next: next})
}

type documentData struct {
	Document store.Document
	Pages    []documentPageData
}

type documentPageData struct {
	store.Page
	Number int
	Plain  string
}

func (s *Server) documentPage(c *call) error {
	d, err := s.document(c)
	if err != nil {
		return err
	}
	if err := s.recordView(c, "document_view", string(d.ID), d.Owner); err != nil {
		return err
	}
	data := documentData{Document: d}
	for i, at := range d.Pages {
		p, err := s.Store.Page(at.Batch, at.Seq)
		if err != nil {
			return err
		}
		t, err := s.Engine.PageText(p)
		if err != nil {
			return err
		}
		page := documentPageData{Page: p, Number: i + 1}
		if t != nil {
			page.Plain = t.Plain()
		}
		data.Pages = append(data.Pages, page)
	}
	return s.show(c, "document", data)
}

func (s *Server) deletePage(c *call) error {
	d, err := s.document(c)
	if err != nil {
		return err
	}
	return s.show(c, "delete", d)
}

func (s *Server) deleteForm(c *call) error {
	d, err := s.document(c)
	if err != nil {
		return err
	}
	if err := s.Engine.DeleteDocument(c.r.Context(), d.ID, c.by()); err != nil {
		return err
	}
	return redirect(c, "/documents")
}
