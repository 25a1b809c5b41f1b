package scan

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/google/uuid"

	"docscan/scan/ocr"
	"docscan/scan/text"
	"docscan/store"
)

// A stack can hold several documents. What parts them is found when a page is
// read: a code of a separator, an archive number, or that nothing is on it. When
// all pages of the batch are done, the rules of the profile make documents of
// them. That can be repeated: nothing depends on when it is done.

// PatchText is what the barcode of a patch sheet says, whatever its kind. The
// bars of a patch code part documents as T and as 2.
const PatchText = "PATCHT"

// Back sides of separators.
const (
	BackPage  = "page" // also when empty
	BackSheet = "sheet"
)

const (
	maxCode   = 100  // characters of a separator's text
	maxSheets = 1000 // of one document, in a stack that is cut by number
)

// checkSeparation says what of a profile's separation makes no sense.
func checkSeparation(s store.Separation) error {
	switch {
	case utf8.RuneCountInString(s.Code) > maxCode || strings.ContainsFunc(s.Code, unicode.IsControl):
		return refuseChoice("The text of a separator has at most %d characters.", maxCode)
	case s.Sheets < 0 || s.Sheets > maxSheets:
		return refuseChoice("A document has 1 to %d sheets, or 0 for however many there are.", maxSheets)
	case s.Back != "" && s.Back != BackPage && s.Back != BackSheet:
		return refuseChoice("The back of a separator is a page or goes with its sheet, not %q.", s.Back)
	}
	return nil
}

// separators lists the codes that part documents under a profile.
func separators(s store.Separation) []ocr.Separator {
	var list []ocr.Separator
	if s.Patch {
		list = append(list, ocr.Separator{Text: PatchText}, ocr.Separator{Kind: text.Patch, Text: "T"}, ocr.Separator{Kind: text.Patch, Text: "2"})
	}
	if s.Code != "" {
		list = append(list, ocr.Separator{Text: s.Code})
	}
	return list
}

// A divider lays the pages of a batch in feed order into documents.
type divider struct {
	rules store.Separation
	parts [][]store.Page // each has pages that are shown
	// aside are pages that go aside because of what stands beside them.
	aside  []store.Page
	open   bool // the last part takes more
	sheets int  // in it
}

// divide gives the documents of pages, which are those that stand in one or are
// set aside, and the pages that are separators only because of their sheet.
func divide(rules store.Separation, pages []store.Page) (parts [][]store.Page, aside []store.Page) {
	d := divider{rules: rules}
	for i := 0; i < len(pages); {
		n := i + 1
		for n < len(pages) && pages[n].Sheet == pages[i].Sheet {
			n++
		}
		d.sheet(pages[i:n])
		i = n
	}
	return d.parts, d.aside
}

// sheet adds the sides of one sheet.
func (d *divider) sheet(sides []store.Page) {
	parting := func(p store.Page) bool { return p.Aside == store.AsideSeparator }
	blank := !slices.ContainsFunc(sides, func(p store.Page) bool { return !p.Blank || p.Restored })
	switch {
	case d.rules.Blank && blank, d.rules.Back == BackSheet && slices.ContainsFunc(sides, parting):
		for _, p := range sides {
			if p.Aside == "" || p.Aside == store.AsideBlank && blank {
				d.aside = append(d.aside, p)
			}
		}
		d.open = false
		return
	}
	if slices.ContainsFunc(sides, parting) {
		sides = slices.Clone(sides)
		for i, p := range sides {
			if p.Blank && !p.Restored && p.Aside == "" { // the bare back of a separator
				d.aside = append(d.aside, p)
				sides[i].Aside = store.AsideBlank
			}
		}
	}
	shown := slices.ContainsFunc(sides, func(p store.Page) bool { return p.Aside == "" })
	if shown && d.rules.Sheets > 0 && d.open && d.sheets >= d.rules.Sheets {
		d.open = false
	}
	counted := false // this sheet, in the part that is open
	for _, p := range sides {
		switch {
		case parting(p):
			d.open, counted = false, false
			continue
		case p.Aside != "":
			continue
		case d.rules.Label && p.ASN != 0:
			d.open = false
		}
		if !d.open {
			d.parts = append(d.parts, nil)
			d.open, d.sheets, counted = true, 0, false
		}
		last := len(d.parts) - 1
		d.parts[last] = append(d.parts[last], p)
		if !counted {
			d.sheets++
			counted = true
		}
	}
}

// documentID gives the ID of the n-th document of a batch, from 0. It is always
// the same, so that filing can be repeated, and they sort in feed order.
func documentID(b store.Batch, n int) (store.DocumentID, error) {
	id, err := uuid.Parse(string(b.Documents[0]))
	if err != nil {
		return "", fmt.Errorf("document of batch %s: %w", b.ID, err)
	}
	for i := len(id) - 1; n > 0 && i > 8; i-- { // the bytes behind time and version
		n += int(id[i])
		id[i] = byte(n)
		n >>= 8
	}
	return store.DocumentID(id.String()), nil
}

// asnPrefix is what labels may begin with. With a digit at its end nobody could
// tell where the number begins.
var asnPrefix = regexp.MustCompile(`^([A-Za-z0-9./:-]{0,15}[A-Za-z./:-])?$`)

// labelNumber is what follows the prefix of an archive number.
var labelNumber = regexp.MustCompile(`^[ :#_-]?(\d{1,9})$`)

// archiveNumber gives the number on a label, or 0 if s is none. The prefix is
// known whatever its case; an empty one knows no labels.
func archiveNumber(prefix, s string) int {
	if prefix == "" || len(s) < len(prefix) || !strings.EqualFold(s[:len(prefix)], prefix) {
		return 0
	}
	m := labelNumber.FindStringSubmatch(s[len(prefix):])
	if m == nil {
		return 0
	}
	n, err := strconv.Atoi(m[1])
	if err != nil {
		return 0 // nine digits fit
	}
	return n
}

// labelsOf gives the archive numbers among codes.
func (e *Engine) labelsOf(codes []text.Code) []int {
	var list []int
	for _, c := range codes {
		if n := archiveNumber(e.cfg.ASNPrefix, c.Text); n != 0 && !slices.Contains(list, n) {
			list = append(list, n)
		}
	}
	return list
}

// labelOf gives the first archive number among codes, or 0.
func (e *Engine) labelOf(codes []text.Code) int {
	return append(e.labelsOf(codes), 0)[0]
}

// number gives d the archive number that its pages, with this content, bear, unless another
// document has it, or one of before, which are not filed yet. Of a page the first label counts;
// others are told. Whoever calls it holds e.numbering until d is filed.
func (e *Engine) number(d *store.Document, pages []store.Page, content []*text.Page, before []store.Document) error {
	for i, p := range pages {
		if p.ASN == 0 {
			continue
		}
		if err := e.label(d, i+1, p.ASN, before); err != nil {
			return err
		}
		if content[i] == nil {
			continue
		}
		for _, n := range e.labelsOf(content[i].Codes) {
			if n != p.ASN && n != d.ASN {
				tellLabel(d, i+1, n)
			}
		}
	}
	return nil
}

// label gives d the archive number n of a label on one of its pages, or notes why it does not.
func (e *Engine) label(d *store.Document, page, n int, before []store.Document) error {
	switch {
	case n == d.ASN:
		return nil
	case d.ASN != 0:
		tellLabel(d, page, n)
		return nil
	}
	others, err := e.store.Numbered(n)
	if err != nil {
		return err
	}
	if slices.ContainsFunc(append(others, before...), func(o store.Document) bool { return o.ID != d.ID && o.ASN == n }) {
		d.Notes = append(d.Notes, fmt.Sprintf("Page %d: its label says archive number %d, which another document bears already.", page, n))
		return nil
	}
	d.ASN = n
	return nil
}

// tellLabel notes a label that does not count.
func tellLabel(d *store.Document, page, n int) {
	d.Notes = append(d.Notes, fmt.Sprintf("Page %d: its label says archive number %d, too.", page, n))
}
