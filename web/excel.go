package web

import (
	"io"
	"net/http"
	"os"
	"strconv"
	"time"

	"github.com/xuri/excelize/v2"

	"docscan/store"
)

// excelType is the media type of an Office Open XML workbook (ECMA-376).
const excelType = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"

// maxCell is how many characters Excel allows in a cell.
const maxCell = 32767

// exportExcel sends what is known of documents as a workbook: one sheet with a row for
// each document, one with a row for each line of text.
func (s *Server) exportExcel(c *call, docs []store.Document) error {
	return s.sendFile(c, docs[0].Title+".xlsx", excelType, func(w io.Writer) error {
		f := excelize.NewFile()
		defer f.Close()
		if err := f.SetSheetName("Sheet1", "Documents"); err != nil {
			return err
		}
		if _, err := f.NewSheet("Text"); err != nil {
			return err
		}
		documents, err := f.NewStreamWriter("Documents")
		if err != nil {
			return err
		}
		lines, err := f.NewStreamWriter("Text")
		if err != nil {
			return err
		}
		heads := []struct {
			w     *excelize.StreamWriter
			names []any
		}{
			{documents, []any{"Document", "Title", "Type", "Date", "Correspondent", "Tags", "Pages", "Scanned", "Note"}},
			{lines, []any{"Document", "Page", "Line", "Text", "Confidence"}},
		}
		for _, h := range heads {
			if err := h.w.SetRow("A1", h.names); err != nil {
				return err
			}
		}
		row := 1
		for i, d := range docs {
			tags := ""
			for _, t := range d.Tags {
				tags += t + " "
			}
			at, err := excelize.CoordinatesToCellName(1, i+2)
			if err != nil {
				return err
			}
			err = documents.SetRow(at, []any{string(d.ID), cell(d.Title), cell(d.Type), d.Date, cell(d.Correspondent), cell(tags), len(d.Pages), d.Created.UTC().Format(time.DateTime), cell(d.Remark)})
			if err != nil {
				return err
			}
			if row, err = s.excelLines(lines, d, row); err != nil {
				return err
			}
		}
		for _, h := range heads {
			if err := h.w.Flush(); err != nil {
				return err
			}
		}
		return f.Write(w)
	})
}

// excelLines writes the lines of d below row, and gives the last row.
func (s *Server) excelLines(w *excelize.StreamWriter, d store.Document, row int) (int, error) {
	for n, at := range d.Pages {
		p, err := s.Store.Page(at.Batch, at.Seq)
		if err != nil {
			return row, err
		}
		t, err := s.Engine.PageText(p)
		if err != nil {
			return row, err
		}
		if t == nil {
			continue
		}
		for i, l := range t.Lines {
			text, sum := "", 0.0
			for _, word := range l.Words {
				if text != "" {
					text += " "
				}
				text += word.Text
				sum += word.Confidence
			}
			if row++; row > excelize.TotalRows {
				return row, problemf(413, "too-many-lines", "Too large for Excel", "There are more lines than a sheet of Excel can have. Export fewer documents at once.")
			}
			at, err := excelize.CoordinatesToCellName(1, row)
			if err != nil {
				return row, err
			}
			if err := w.SetRow(at, []any{string(d.ID), n + 1, i + 1, cell(text), sum / float64(max(len(l.Words), 1))}); err != nil {
				return row, err
			}
		}
	}
	return row, nil
}

func cell(s string) string {
	if r := []rune(s); len(r) > maxCell {
		return string(r[:maxCell])
	}
	return s
}

// sendFile makes a file before the first byte is sent: one that fails midway must not
// look like a download, and a slow reader must not hold up what waits for its end.
func (s *Server) sendFile(c *call, name, kind string, write func(io.Writer) error) error {
	dir, err := s.Store.ScratchDir("export")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	f, err := os.CreateTemp(dir, "")
	if err != nil {
		return err
	}
	defer f.Close()
	if err := write(f); err != nil {
		return err
	}
	s.leave(c)
	attach(c.w, name)
	c.w.Header().Set("Content-Type", kind)
	return s.sendMade(c, f)
}

// sendMade sends a file that was made for this request, from its beginning. There are no
// parts of it: a second request would make another, and parts of two make nothing.
func (s *Server) sendMade(c *call, f *os.File) error {
	size, err := f.Seek(0, io.SeekEnd)
	if err == nil {
		_, err = f.Seek(0, io.SeekStart)
	}
	if err != nil {
		return err
	}
	h := c.w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("Accept-Ranges", "none")
	h.Set("Content-Length", strconv.FormatInt(size, 10))
	if c.r.Method == http.MethodHead {
		return nil
	}
	if _, err := io.Copy(c.w, f); err != nil {
		s.Log.Debug("sending a file broke off", "path", c.r.URL.Path, "err", err)
		panic(http.ErrAbortHandler) // it must not look whole
	}
	return nil
}
