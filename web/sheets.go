package web

import (
	"bytes"
	"net/http"
	"strconv"
	"strings"

	"docscan/scan"
	"docscan/scan/sheets"
)

// sheetRoutes are for what people print for their stacks.
func sheetRoutes() []route {
	return []route{
		{"GET", "/api/v1/sheets", members, (*Server).apiSheets, "Kinds of separator sheets and labels, sheets of labels, and the next archive number"},
		{"GET", "/api/v1/sheets/separators", members, (*Server).separatorsPDF, "Separator sheets as PDF (?kind=patch, qr, code128 or code39, ?text=, ?sheets=, ?paper=a4 or letter)"},
		{"POST", "/api/v1/sheets/labels", members, (*Server).apiLabels, "Labels with archive numbers as PDF: {layout, kind, digits?, from?, count?, skip?, right?, down?, grid?}; without from they go on behind the last ones"},
		{"GET", sheetsPage, members, (*Server).sheetsPage, ""},
		{"GET", "/sheets/separators", members, (*Server).separatorsForm, ""},
		{"POST", "/sheets/labels", members, (*Server).labelsForm, ""},
	}
}

const sheetsPage = "/sheets"

// A sheetKind is a kind of code in words.
type sheetKind struct{ Kind, Name string }

func kindsInWords(kinds []string) []sheetKind {
	names := map[string]string{
		sheets.Patch: msg("Patch sheet (PATCHT)"), sheets.QR: msg("QR code"), sheets.Code128: "Code 128",
		sheets.Code39: "Code 39", sheets.DataMatrix: "Data Matrix",
	}
	var list []sheetKind
	for _, k := range kinds {
		list = append(list, sheetKind{k, names[k]})
	}
	return list
}

// labelSheet is a sheet of labels as the page lists it.
type labelSheet struct {
	sheets.Layout
	Labels int
}

type sheetsData struct {
	Separators []sheetKind
	Codes      []sheetKind
	Papers     []string
	Layouts    []labelSheet
	Prefix     string
	Labels     sheets.Labels // as the form shows them
	Kind, Text string        // of the separators, as the form shows them
	Error      string
	OfLabels   bool // Error is of their form
}

type layoutView struct {
	Name   string  `json:"name"`
	Labels int     `json:"labels"` // on a sheet
	Width  float64 `json:"width"`  // of a label, millimetres
	Height float64 `json:"height"`
}

type sheetsView struct {
	Separators []string     `json:"separators"`
	Labels     []string     `json:"labels"`
	Layouts    []layoutView `json:"layouts"`
	Prefix     string       `json:"prefix"`
	Next       int          `json:"next"`
}

type labelsBody struct {
	Layout string  `json:"layout"`
	Kind   string  `json:"kind"`
	Digits int     `json:"digits,omitempty"` // none: defaultDigits
	From   int     `json:"from,omitempty"`   // none: behind the last ones
	Count  int     `json:"count,omitempty"`
	Skip   int     `json:"skip,omitempty"`
	Right  float64 `json:"right,omitempty"`
	Down   float64 `json:"down,omitempty"`
	Grid   bool    `json:"grid,omitempty"`
}

// defaultDigits are those of a label's number, as in ASN00123.
const defaultDigits = 5

func (s *Server) sheetsData() (sheetsData, error) {
	next, err := s.Engine.NextNumber()
	data := sheetsData{
		Separators: kindsInWords(sheets.SeparatorKinds()), Codes: kindsInWords(sheets.LabelKinds()), Prefix: s.Engine.ASNPrefix(),
		Papers: []string{"A4", "Letter"},
		Labels: sheets.Labels{Layout: sheets.Layouts()[0].Name, Kind: sheets.QR, Digits: defaultDigits, From: max(next, 1)},
	}
	for _, l := range sheets.Layouts() {
		data.Layouts = append(data.Layouts, labelSheet{l, l.Columns * l.Rows})
	}
	return data, err
}

func (s *Server) sheetsPage(c *call) error {
	data, err := s.sheetsData()
	if err != nil {
		return err
	}
	return s.show(c, "sheets", data)
}

func (s *Server) apiSheets(c *call) error {
	data, err := s.sheetsData()
	if err != nil {
		return err
	}
	out := sheetsView{
		Separators: sheets.SeparatorKinds(), Labels: sheets.LabelKinds(), Layouts: []layoutView{}, Prefix: data.Prefix, Next: data.Labels.From,
	}
	for _, l := range data.Layouts {
		out.Layouts = append(out.Layouts, layoutView{l.Name, l.Labels, l.Width, l.Height})
	}
	return writeJSON(c.w, http.StatusOK, out)
}

// separatorsPDF answers with separator sheets in the language of the one who asks.
func (s *Server) separatorsPDF(c *call) error {
	q := c.r.URL.Query()
	wish := sheets.Separators{
		Kind: q.Get("kind"), Text: strings.TrimSpace(q.Get("text")), Sheets: 1, Letter: strings.EqualFold(q.Get("paper"), "letter"),
		Title:  c.tongue.T(msg("Separator sheet")),
		Advice: c.tongue.T(msg("Lay this sheet between two documents. It leaves the scan.")),
	}
	if wish.Kind == "" {
		wish.Kind = sheets.Patch
	}
	if n := q.Get("sheets"); n != "" {
		wish.Sheets, _ = strconv.Atoi(n) // what is no number is out of bounds
	}
	var b bytes.Buffer
	if err := scan.PrintSeparators(&b, wish); err != nil {
		return err
	}
	return givePDF(c, "separator.pdf", b.Bytes())
}

// separatorsForm answers with separator sheets, or with the form and what is wrong
// in it.
func (s *Server) separatorsForm(c *call) error {
	return s.sheetsAgain(c, s.separatorsPDF(c), func(data *sheetsData) {
		q := c.r.URL.Query()
		data.Kind, data.Text = q.Get("kind"), q.Get("text")
	})
}

// sheetsAgain shows the form again, as fill has it, where err says that something in it
// is wrong. It gives any other error back.
func (s *Server) sheetsAgain(c *call, err error, fill func(*sheetsData)) error {
	if err == nil {
		return nil
	}
	p := problem(err)
	if p.Status != http.StatusUnprocessableEntity {
		return err
	}
	data, err := s.sheetsData()
	if err != nil {
		return err
	}
	fill(&data)
	data.Error = c.say(p)
	return s.render(c.w, c.r, c.caller, p.Status, "sheets", data)
}

func givePDF(c *call, name string, data []byte) error {
	attach(c.w, name)
	c.w.Header().Set("Content-Type", pdfType)
	c.w.Header().Set("Content-Length", strconv.Itoa(len(data)))
	_, err := c.w.Write(data)
	return err
}

func (s *Server) apiLabels(c *call) error {
	var in labelsBody
	if err := readJSON(c.r, &in); err != nil {
		return err
	}
	if in.Digits == 0 {
		in.Digits = defaultDigits
	}
	return s.labels(c, sheets.Labels{
		Layout: in.Layout, Kind: in.Kind, Digits: in.Digits, From: in.From, Count: in.Count, Skip: in.Skip,
		Right: in.Right, Down: in.Down, Grid: in.Grid,
	})
}

func (s *Server) labels(c *call, l sheets.Labels) error {
	var b bytes.Buffer
	if err := s.Engine.PrintLabels(&b, l, c.by()); err != nil {
		return err
	}
	return givePDF(c, "labels.pdf", b.Bytes())
}

// labelsForm answers with labels, or with the form and what is wrong in it.
func (s *Server) labelsForm(c *call) error {
	if err := c.r.ParseForm(); err != nil {
		return problemf(400, "bad-form", "Malformed request", "The form could not be read.")
	}
	form := c.r.PostForm
	number := func(name string) int {
		text := strings.TrimSpace(form.Get(name))
		if text == "" {
			return 0
		}
		n, err := strconv.Atoi(text)
		if err != nil {
			return -1 // is out of bounds
		}
		return n
	}
	length := func(name string) float64 {
		text := strings.TrimSpace(form.Get(name))
		if text == "" {
			return 0
		}
		f, err := strconv.ParseFloat(strings.Replace(text, ",", ".", 1), 64)
		if err != nil {
			return -100 // is out of bounds
		}
		return f
	}
	l := sheets.Labels{
		Layout: form.Get("layout"), Kind: form.Get("kind"), Digits: number("digits"), From: number("from"), Count: number("count"),
		Skip: number("skip"), Right: length("right"), Down: length("down"), Grid: form.Get("grid") != "",
	}
	return s.sheetsAgain(c, s.labels(c, l), func(data *sheetsData) { data.Labels, data.OfLabels = l, true })
}
