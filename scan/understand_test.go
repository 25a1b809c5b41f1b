package scan

import (
	"testing"

	"docscan/store"
)

const bill = `Stadtwerke Musterstadt GmbH
Hauptstr. 1
10115 Berlin

Rechnung
Rechnungsnummer: 4711
Rechnungsdatum: 09.03.2026
Gesamtbetrag 1.190,00 €
IBAN DE89 3704 0044 0532 0130 00

wir danken Ihnen herzlich für das Vertrauen und bitten um Überweisung ohne Abzug unter Angabe der genannten Kundennummer auf das unten stehende Konto unseres Hauses`

const nextBill = `Stadtwerke Musterstadt GmbH
Hauptstr. 1
10115 Berlin

Rechnung
Rechnungsnummer: 4822
Rechnungsdatum: 10.04.2026
Gesamtbetrag 1.250,00 €
IBAN DE89 3704 0044 0532 0130 00

wir danken Ihnen herzlich für das Vertrauen und bitten um Überweisung ohne Abzug unter Angabe der genannten Kundennummer auf das unten stehende Konto unseres Hauses`

func TestUnderstand(t *testing.T) {
	k := newDesk(t)
	d := k.document("Scan", bill)
	f := d.Found
	if f == nil || f.Date == nil || f.Total == nil {
		t.Fatalf("found %+v", f)
	}
	if d.Date != "2026-03-09" || f.Date.Words != "09.03.2026" || f.Date.Page != 1 {
		t.Errorf("date %q from %+v", d.Date, f.Date)
	}
	if f.Total.Value != "1190.00" || f.Total.Currency != "EUR" || f.Kind != "invoice" || len(f.Accounts) != 1 {
		t.Errorf("total %+v, kind %q, accounts %q", f.Total, f.Kind, f.Accounts)
	}
	if f.Title != "Rechnung 4711, Stadtwerke Musterstadt GmbH" || f.Same != "" {
		t.Errorf("title %q, same as %q", f.Title, f.Same)
	}

	// The same paper again is told, the next bill of the same sender is not.
	if again := k.document("Scan", bill); again.Found.Same != d.ID {
		t.Errorf("scanned again: same as %q, want %q", again.Found.Same, d.ID)
	}
	if next := k.document("Scan", nextBill); next.Found.Same != "" {
		t.Errorf("the next bill is taken for %q", next.Found.Same)
	}

	// What a person calls the sender is remembered.
	m := MarksOf(d)
	m.Correspondent = "Our power"
	_, _, err := k.Mark(t.Context(), edit(d), m)
	k.must(err)
	if next := k.document("Scan", nextBill); next.Found.Correspondent != "Our power" {
		t.Errorf("correspondent %q", next.Found.Correspondent)
	}
}

// What one person has is not told to another.
func TestUnderstandKeepsSecrets(t *testing.T) {
	k := newDesk(t)
	d := k.document("Scan", bill)
	m := MarksOf(d)
	m.Correspondent = "Our power"
	d, _, err := k.Mark(t.Context(), edit(d), m)
	k.must(err)
	other := store.Document{ID: store.DocumentID(store.NewID()), Owner: "ben", Created: d.Created}
	content, err := k.contentOf(d)
	k.must(err)
	k.understand(&other, content)
	if other.Found.Same != "" || other.Found.Correspondent != "Stadtwerke Musterstadt GmbH" {
		t.Errorf("Ben is told of Anna's: %+v", other.Found)
	}
}

// A date that a person has set stays when pages change; one that was found follows.
func TestDateFollowsPages(t *testing.T) {
	k := newDesk(t)
	d := k.document("Scan", bill, nextBill)
	x := edit(d)
	d, _, err := k.Arrange(t.Context(), x, d.Pages[1:])
	k.must(err)
	if d.Date != "2026-04-10" {
		t.Errorf("date %q, want that of the page that is left", d.Date)
	}
	m := MarksOf(d)
	m.Date = "2020-01-01"
	d, _, err = k.Mark(t.Context(), edit(d), m)
	k.must(err)
	turned := []store.DocumentPage{d.Pages[0]}
	turned[0].Turn = 90
	d, _, err = k.Arrange(t.Context(), edit(d), turned)
	k.must(err)
	if d.Date != "2020-01-01" {
		t.Errorf("date %q, want the one that a person has set", d.Date)
	}
}

func TestFoundTitle(t *testing.T) {
	for name, want := range map[string]bool{
		"scan0001.pdf": true, "IMG_20260309_120000.jpg": true, "Dokument (3).pdf": true, "2026-03-09.pdf": true, "doc.tiff": true,
		"Mietvertrag.pdf": false, "scan of the lease.pdf": false, "Rechnung 4711.pdf": false,
	} {
		b := store.Batch{Upload: &store.Upload{Name: name}}
		got := foundTitle(b, store.Document{Found: &store.Found{Title: "Found"}})
		if (got != "") != want {
			t.Errorf("%s: %q", name, got)
		}
	}
	if got := foundTitle(store.Batch{}, store.Document{}); got != "" {
		t.Errorf("nothing was found, and it is %q", got)
	}
}
