package sense

import (
	"math"
	"strings"
	"testing"
	"time"

	"docscan/scan/text"
	"docscan/store"
)

// page sets s as a page of A4 at 300 dpi: a line a line, an empty line between
// paragraphs, a line that begins with # in letters twice as large.
func page(s string, languages ...string) *text.Page {
	if len(languages) == 0 {
		languages = []string{"eng"}
	}
	p := &text.Page{Version: 1, Width: 2480, Height: 3508, DPI: 300, Languages: languages, Confidence: 92}
	paragraph := 1
	for i, l := range strings.Split(strings.Trim(s, "\n"), "\n") {
		l = strings.TrimSpace(l)
		if l == "" {
			paragraph++
			continue
		}
		height := 40.0
		if rest, ok := strings.CutPrefix(l, "#"); ok {
			l, height = rest, 80
		}
		out := text.Line{Paragraph: paragraph}
		x := 200.0
		for _, w := range strings.Fields(l) {
			width := float64(len(w)) * height / 2
			out.Words = append(out.Words, text.Word{Text: w, X: x, Y: 200 + float64(i)*60, Width: width, Height: height, Confidence: 92})
			x += width + height/2
		}
		p.Lines = append(p.Lines, out)
	}
	return p
}

var today = time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)

func find(s string, languages ...string) *store.Found {
	f := Find([]*text.Page{page(s, languages...)}, today)
	if f == nil {
		f = &store.Found{}
	}
	if f.Date == nil {
		f.Date = &store.FoundDate{}
	}
	if f.Total == nil {
		f.Total = &store.FoundAmount{}
	}
	return f
}

func TestRules(t *testing.T) {
	r, err := parseRules(rulesFile)
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range [][]phrase{r.dated, r.otherDates, r.ofSentences, r.behindNumber, r.totals[0], r.totals[1], r.totals[2], r.notTotal, r.subject, r.salutation, r.addressee, r.number} {
		for _, p := range l {
			for _, w := range p {
				if got := newWord(w, 0).bare; got != w {
					t.Errorf("the rule %q can never be found: as a word of a page %q is %q", strings.Join(p, " "), w, got)
				}
			}
		}
	}
	if len(r.kinds) < 10 || len(r.months) < 60 || len(r.forms) == 0 || len(r.organisations) == 0 {
		t.Errorf("%d kinds, %d months, %d forms, %d organisations", len(r.kinds), len(r.months), len(r.forms), len(r.organisations))
	}
	for _, broken := range []string{"[[language]]\nmonths = ['a']", "unknown = 1", "[[language"} {
		if _, err := parseRules([]byte(broken)); err == nil {
			t.Errorf("rules %q are taken", broken)
		}
	}
}

func TestLanguage(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{"English", "Thank you for your letter of last week.\nWe have the pleasure to send the papers to you with this post.", "eng"},
		{"German", "Vielen Dank für Ihr Schreiben.\nWir senden Ihnen die Unterlagen mit der nächsten Post und bitten um Geduld.", "deu"},
		{"French", "Nous vous remercions de votre courrier.\nVous trouverez les documents dans le paquet que nous envoyons pour vous.", "fra"},
		{"Italian", "La ringraziamo della lettera che sono arrivata nel mese di maggio per il contratto della casa.", "ita"},
		{"Spanish", "El contrato de los pisos por el que su familia y los vecinos pagan es para un año.", "spa"},
		{"Dutch", "Het contract van uw huis is voor een jaar en wij zijn met de gemeente in gesprek.", "nld"},
		{"names and numbers", "Orbis GmbH\n12345\nIBAN DE89 3704", ""},
		{"two at once", "The house of the town and der Hund und die Katze", ""},
		{"nothing", "", ""},
	}
	for _, tt := range tests {
		if got := Language(page(tt.text)); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestMonth(t *testing.T) {
	tests := []struct {
		name string
		want int
	}{
		{"march", 3}, {"marz", 3}, {"mars", 3}, {"maart", 3}, {"mar", 3}, {"feb.", 2}, {"janvier", 1}, {"aout", 8}, {"okt", 10}, {"dez", 12}, {"dic", 12},
		{"januarv", 1}, {"septernber", 0}, {"decernbre", 0}, {"octobre", 10}, {"jui", 0}, {"juil", 7}, {"ma", 0}, {"haus", 0}, {"", 0}, {"janner", 1},
	}
	for _, tt := range tests {
		if got := shipped().month(tt.name); got != tt.want {
			t.Errorf("%q: month %d, want %d", tt.name, got, tt.want)
		}
	}
}

func TestDate(t *testing.T) {
	tests := []struct {
		name, text, language string
		day, other, words    string
	}{
		{"a letter", "Orbis Ltd\nLeeds LS9 7AD\n\n2 July 2025\n\nDear Ms Pereira,", "eng", "2025-07-02", "", "2 July 2025"},
		{"with the place", "Orbis GmbH\n\nBerlin, den 3. März 2026\n\nSehr geehrte Frau Brandt,", "deu", "2026-03-03", "", "3. März 2026"},
		{"a label", "Rechnung\nRechnungsdatum: 11.02.2026\nFällig am 25.02.2026", "deu", "2026-02-11", "", "11.02.2026"},
		{"the due date comes first", "Due date 23 June 2026\nInvoice date 11 February 2026", "eng", "2026-02-11", "", "11 February 2026"},
		{"only a due date", "Please pay\nDue date 23 June 2026", "eng", "", "", ""},
		{"a birthday", "Name Delacroix\nDate of birth 7.12.1957", "eng", "", "", ""},
		{"American", "Invoice\nDate: 03/04/2026\nSpringfield, IL 62704", "eng", "2026-03-04", "", "03/04/2026"},
		{"American by another date", "Date: 03/04/2026\nShipped 03/28/2026", "eng", "2026-03-04", "", "03/04/2026"},
		{"British by another date", "Date: 03/04/2026\nShipped 28/03/2026", "eng", "2026-04-03", "", "03/04/2026"},
		{"American by how months are named", "Date: 03/04/2026\nShipped March 9, 2026", "eng", "2026-03-04", "", "03/04/2026"},
		{"nobody knows", "Date: 03/04/2026", "eng", "2026-04-03", "2026-03-04", "03/04/2026"},
		{"the day first in French", "Date : 03/04/2026", "fra", "2026-04-03", "", "03/04/2026"},
		{"day and month cannot be mistaken", "Date: 28/03/2026", "eng", "2026-03-28", "", "28/03/2026"},
		{"ISO", "Date 2026-03-09", "eng", "2026-03-09", "", "2026-03-09"},
		{"French", "Paris, le 1er octobre 2025", "fra", "2025-10-01", "", "1er octobre 2025"},
		{"Spanish", "Fecha: 9 de marzo de 2026", "spa", "2026-03-09", "", "9 de marzo de 2026"},
		{"spaces within", "Datum: 11. 02. 2026", "deu", "2026-02-11", "", "11. 02. 2026"},
		{"it sticks to its label", "DATE:02-MAR-2026", "eng", "2026-03-02", "", "02-MAR-2026"},
		{"short year with a label", "Datum 9.3.26", "deu", "2026-03-09", "", "9.3.26"},
		{"short year without", "version 9.3.26 of it", "eng", "", "", ""},
		{"a till receipt", "ORBIS\n27/07/2025 20:51 TILL 4", "eng", "2025-07-27", "", "27/07/2025"},
		{"a line of a table", "Pos Date of issue\n1 4 March 2026", "eng", "2026-03-04", "", "4 March 2026"},
		{"the end of a sentence", "Fait le 4 mars 2026.", "fra", "2026-03-04", "", "4 mars 2026"},
		{"in running text", "We thank you for your order of 2 March 2026 and expect to ship the goods\nwithin nineteen working days, as the committee has decided to meet again on\n6 July 2026 in the small conference room on the third floor.", "eng", "", "", ""},
		{"not out of a number", "Date 12.03.2026-17\nDate 112.03.2026\nDate 2026-03-091\nDate 1.12.03.2026", "eng", "", "", ""},
		{"not out of a phone number", "Tel. 03-40-2102\nDate 0171/22/33/2026", "eng", "", "", ""},
		{"no such day", "Date 31.02.2026\nDate 30/02/2026\nDate 0.0.2026\nDate 32 March 2026", "eng", "", "", ""},
		{"a number like a date", "Invoice number: 2026-03-04\nCustomer number: 12.05.2024", "eng", "", "", ""},
		{"a number like a date, in German", "Rechnungsnummer: 2026-03-04\nKunden-Nr. 12.05.2024\nVertragsnummer 01.02.2026", "deu", "", "", ""},
		{"a reference like a date", "Our reference: 12/05/2024\nLeeds, 1 June 2026", "eng", "2026-06-01", "", "1 June 2026"},
		{"behind the number", "Facture n° 88 du 03/04/2026\nÉchéance 03/05/2026", "fra", "2026-04-03", "", "03/04/2026"},
		{"behind the number, in German", "Rechnung Nr. 4711 vom 03.04.2026", "deu", "2026-04-03", "", "03.04.2026"},
		{"an invoice by its date", "Invoice 13/04/2026", "eng", "2026-04-13", "", "13/04/2026"},
		{"what it answers", "Ihr Schreiben vom 01.02.2026\nKöln, 05.03.2026", "deu", "2026-03-05", "", "05.03.2026"},
		{"what it answers, in English", "Your letter of 1 February 2026\nLeeds, 5 March 2026", "eng", "2026-03-05", "", "5 March 2026"},
		{"a period in French", "Période du 01/03/2026 au 31/03/2026", "fra", "", "", ""},
		{"French, read as English", "Date de facture : 03/04/2026\nTotal à payer 12,00", "eng", "2026-04-03", "", "03/04/2026"},
		{"a till receipt with a short year", "BROTLADEN\n03.04.26 10:22", "deu", "2026-04-03", "", "03.04.26"},
		{"the far future", "5 March 2061", "eng", "", "", ""},
		{"none", "Nothing of the kind", "eng", "", "", ""},
	}
	for _, tt := range tests {
		got := find(tt.text, tt.language).Date
		if got.Day != tt.day || got.Other != tt.other || got.Words != tt.words {
			t.Errorf("%s: %+v, want %s %s %q", tt.name, got, tt.day, tt.other, tt.words)
		}
	}
}

// A clock that was never set must not keep a date from being found.
func TestDateWithoutClock(t *testing.T) {
	f := Find([]*text.Page{page("Date: 9 March 2026")}, time.Unix(0, 0))
	if f == nil || f.Date == nil || f.Date.Day != "2026-03-09" {
		t.Errorf("%+v", f)
	}
}

func TestTotal(t *testing.T) {
	tests := []struct {
		name, text      string
		value, currency string
	}{
		{"an invoice", "Subtotal 17,416.20\nVAT 20 % 3,483.24\nTotal GBP 20,899.44", "20899.44", "GBP"},
		{"German", "Zwischensumme 1.000,00 €\nMwSt 19 % 190,00 €\nGesamtbetrag 1.190,00 €", "1190.00", "EUR"},
		{"French, with spaces", "Total HT 7 137,03 €\nTotal TTC 8 564,43 €", "8564.43", "EUR"},
		{"Swiss", "Total CHF 1'234.50", "1234.50", "CHF"},
		{"a receipt", "MILK 0.60\nTOTAL 432.38\nCASH 440.00\nCHANGE 7.62", "432.38", ""},
		{"the sign in front", "Amount due: $99.95", "99.95", "USD"},
		{"the currency elsewhere", "Position Preis (EUR)\nSumme 12,50", "12.50", "EUR"},
		{"below its word", "Amount due\n£ 12.00", "12.00", "GBP"},
		{"surer words go first", "Total 100.00\nAmount due 80.00", "80.00", ""},
		{"the largest of equals", "Total 80.00\nTotal 100.00", "100.00", ""},
		{"a claim is no total", "Amount claimed £7,349.02", "", ""},
		{"within a sentence", "The insurer has paid the total of 12.00 as agreed", "", ""},
		{"a number with one sign for two things", "Total 1.234.56", "", ""},
		{"nothing is nothing", "Total 0.00", "", ""},
		{"what is due goes before what all comes to", "Grand total EUR 1,190.00\nDeposit received EUR -500.00\nAmount due EUR 690.00", "690.00", "EUR"},
		{"the same in French", "Total TTC 1 234,56 €\nAcompte versé 200,00 €\nNet à payer 1 034,56 €", "1034.56", "EUR"},
		{"the same in German", "Gesamtbetrag brutto 1.284,30 EUR\nabzüglich Abschläge -1.200,00 EUR\nZu zahlen 84,30 EUR", "84.30", "EUR"},
		{"whole units", "Total EUR 1,250", "1250.00", "EUR"},
		{"whole units, as the French write them", "Total TTC 1 250 €", "1250.00", "EUR"},
		{"strokes for nothing", "Gesamtbetrag 50,-- EUR", "50.00", "EUR"},
		{"a number of things", "Total 12", "", ""},
		{"a price by the unit", "Total EUR 0.125", "", ""},
		{"none of a thing, and the sum", "Total 0 125,00 €", "125.00", "EUR"},
		{"a credit", "Total -£120.00", "-120.00", "GBP"},
		{"a credit with a true minus", "Total −120,00 €", "-120.00", "EUR"},
		{"reverse charge", "Nettobetrag 2.500,00 EUR\nUmsatzsteuer 0 % (Reverse Charge) 0,00 EUR\nRechnungsbetrag 2.500,00 EUR", "2500.00", "EUR"},
	}
	for _, tt := range tests {
		if got := find(tt.text).Total; got.Value != tt.value || got.Currency != tt.currency {
			t.Errorf("%s: %+v, want %s %s", tt.name, got, tt.value, tt.currency)
		}
	}
}

// What is said and its figure are lines of their own, as programs that print set them in columns.
func TestRows(t *testing.T) {
	p := &text.Page{Version: 1, Width: 2480, Height: 3508, DPI: 300}
	say := func(paragraph int, s string, x, y float64) {
		l := text.Line{Paragraph: paragraph}
		for _, w := range strings.Fields(s) {
			l.Words = append(l.Words, text.Word{Text: w, X: x, Y: y, Width: 20 * float64(len(w)), Height: 40, Confidence: 100})
			x += 20*float64(len(w)) + 20
		}
		p.Lines = append(p.Lines, l)
	}
	left := []string{"Lakeside Joinery Ltd", "Due date", "Invoice date", "Oak door", "VAT 20 %", "Total", "Deposit", "Amount due"}
	right := []string{"", "3 May 2026", "3 April 2026", "£1,028.80", "£205.76", "£1,234.56", "-£200.00", "£1,034.56"}
	for i, s := range left {
		say(1, s, 200, 400+float64(i)*80)
	}
	for i, s := range right {
		if s != "" {
			say(2, s, 1800, 404+float64(i)*80)
		}
	}
	f := Find([]*text.Page{p}, today)
	if f == nil || f.Date == nil || f.Total == nil || f.Date.Day != "2026-04-03" || f.Total.Value != "1034.56" || f.Total.Currency != "GBP" {
		t.Errorf("%+v, date %+v, total %+v", f, f.Date, f.Total)
	}
	// The same, scanned askew by a degree.
	for i := range p.Lines {
		for j := range p.Lines[i].Words {
			w := &p.Lines[i].Words[j]
			w.Y += w.X * 0.01746
		}
	}
	p.Skew = 1
	if f = Find([]*text.Page{p}, today); f.Date == nil || f.Total == nil || f.Date.Day != "2026-04-03" || f.Total.Value != "1034.56" {
		t.Errorf("askew: date %+v, total %+v", f.Date, f.Total)
	}
	// The same, sideways in its image: how far a line sinks was reckoned by the sides of that.
	for i := range p.Lines {
		for j := range p.Lines[i].Words {
			w := &p.Lines[i].Words[j]
			w.X, w.Y, w.Angle = w.Y, float64(p.Width)-w.X, 271
		}
	}
	p.Width, p.Height, p.Rotate = p.Height, p.Width, 90
	if f = Find([]*text.Page{p}, today); f.Date == nil || f.Total == nil || f.Date.Day != "2026-04-03" || f.Total.Value != "1034.56" {
		t.Errorf("sideways: date %+v, total %+v", f.Date, f.Total)
	}
}

// Published examples of each country, and the same with a digit changed.
func TestAccounts(t *testing.T) {
	for _, good := range []string{"DE89 3704 0044 0532 0130 00", "GB82 WEST 1234 5698 7654 32", "FR14 2004 1010 0505 0001 3M02 606", "CH9300762011623852957", "NL91 ABNA 0417 1643 00"} {
		got := find("IBAN: " + good + " · BIC X").Accounts
		if len(got) != 1 || got[0] != strings.ReplaceAll(good, " ", "") {
			t.Errorf("%s: %q", good, got)
		}
		last := len(good) - 1
		bad := good[:last] + string('0'+(good[last]-'0'+1)%10)
		if got := find("IBAN: " + bad).Accounts; len(got) != 0 {
			t.Errorf("%s, whose check digits are wrong: %q", bad, got)
		}
	}
	if got := find("IBAN DE89 3704 0044 and more").Accounts; len(got) != 0 {
		t.Errorf("half a number: %q", got)
	}
}

func TestTaxNumbers(t *testing.T) {
	tests := []struct{ text, want string }{
		{"USt-IdNr. DE136695976", "DE136695976"}, // the example of the check's description
		{"USt-IdNr.: DE 136 695 976", "DE136695976"},
		{"USt-IdNr. DE136695977", ""},
		{"TVA FR 40 303265045", "FR40303265045"},
		{"TVA FR 41 303265045", ""},
		{"BTW BE 0776.091.951", "BE0776091951"},
		{"P.IVA IT00743110157", "IT00743110157"},
		{"P.IVA IT00743110158", ""},
		{"CHE-123.456.788 MWST", "CHE123456788"},
		{"VAT No GB 980 7806 84", "GB980780684"},
		{"VAT Reg No 980780684", "GB980780684"},
		{"Order 980780684", ""},
		{"Part ATU12345678", ""}, // no check is known, and nothing says what it is
		{"UID: ATU12345678", "ATU12345678"},
		{"VAT LU26375245", "LU26375245"},
	}
	for _, tt := range tests {
		got := strings.Join(find(tt.text).TaxNumbers, ",")
		if got != tt.want {
			t.Errorf("%q: %q, want %q", tt.text, got, tt.want)
		}
	}
}

func TestDomains(t *testing.T) {
	got := find("Mail: info@Stadtwerke-Musterstadt.de, www.example.co.uk/help\nanna@gmail.com and 12.50@ no.thing").Domains
	if strings.Join(got, " ") != "stadtwerke-musterstadt.de example.co.uk" {
		t.Errorf("%q", got)
	}
}

const invoice = `
#INVOICE

Canal Press Ltd
9b Orchard Close
Leeds LS9 7AD

Invoice number NN-98380
Invoice date 11 February 2026
Customer Ashcroft`

const letter = `
Canal Press Ltd · 9b Orchard Close · Leeds LS9 7AD

Herrn
Johannes Brandt
Mühlweg 14
10115 Berlin

Berlin, 3. März 2026

Kündigung Ihres Stellplatzes zum Jahresende

Sehr geehrter Herr Brandt,

wir bitten um Verständnis, dass geöffnete Ware aus hygienischen Gründen nicht
zurückgenommen werden kann. Bitte überweisen Sie den Betrag auf das Konto.`

func TestTitle(t *testing.T) {
	tests := []struct{ name, text, title, kind, sender string }{
		{"an invoice", invoice, "Invoice NN-98380, Canal Press Ltd", "invoice", "Canal Press Ltd"},
		{"a letter that says what it is about", letter, "Kündigung Ihres Stellplatzes zum Jahresende", "letter", "Canal Press Ltd"},
		{"a subject with its label", "Betreff: Ihre Anfrage zum Mietvertrag\n\nSehr geehrte Frau Brandt,", "Ihre Anfrage zum Mietvertrag", "letter", ""},
		{"a reference is no subject", "Orbis Freight\nLeeds LS9 7AD\n\nBrandt\n14 Mill Lane\nLeeds LS9 7AD\n\nOur reference: LL-63644\n\nDear Ms Brandt,", "Orbis Freight", "letter", "Orbis Freight"},
		{"a headline", "#Mitteilungsblatt der Gemeinde\n\nDie Hausverwaltung weist darauf hin, dass Fahrräder nicht im Treppenhaus\nabgestellt werden dürfen. Der Zählerstand wurde abgelesen.", "Mitteilungsblatt der Gemeinde", "", ""},
		{"a receipt", "ORBIS FREIGHT\n9b Orchard Close\nLeeds LS9 7AD\n\nTOTAL 432.38\n\nTHANK YOU FOR YOUR VISIT", "Orbis Freight", "receipt", "Orbis Freight"},
		{"running text", "Kindly note that our office will be closed for two weeks in October\nand that the reserved slot will be released. Please return the signed copy\nof the agreement no later than the end of the month.", "", "", ""},
		{"noise", "| ~ .\n— '\n12 34", "", "", ""},
	}
	for _, tt := range tests {
		got := find(tt.text, "eng", "deu")
		if got.Title != tt.title || got.Kind != tt.kind || got.Correspondent != tt.sender {
			t.Errorf("%s: title %q, kind %q, from %q; want %q, %q, %q", tt.name, got.Title, got.Kind, got.Correspondent, tt.title, tt.kind, tt.sender)
		}
	}
}

// Nobody has read the page, or nothing stands on it.
func TestNothing(t *testing.T) {
	for _, pages := range [][]*text.Page{nil, {nil, nil}, {{Width: 10, Height: 10}}} {
		if f := Find(pages, today); f != nil {
			t.Errorf("%+v", f)
		}
	}
}

// A page that lies upside down in its image has its letterhead at the top.
func TestTurnedPage(t *testing.T) {
	p := page(invoice)
	p.Rotate = 180
	for _, l := range p.Lines {
		for i := range l.Words {
			w := &l.Words[i]
			w.X, w.Y, w.Angle = float64(p.Width)-w.X, float64(p.Height)-w.Y, 180
		}
	}
	if f := Find([]*text.Page{p}, today); f.Correspondent != "Canal Press Ltd" || f.Date == nil {
		t.Errorf("%+v", f)
	}
}

// A line has its end where its last word has, however the page lies in its image.
func TestTurnedLines(t *testing.T) {
	for rotate, place := range map[int]func(x, y float64) (float64, float64){
		90:  func(x, y float64) (float64, float64) { return y, 2480 - x },
		180: func(x, y float64) (float64, float64) { return 2480 - x, 3508 - y },
		270: func(x, y float64) (float64, float64) { return 3508 - y, x },
	} {
		p := page("Total amount")
		want := linesOf(p, 1)[0]
		if p.Rotate = rotate; rotate != 180 {
			p.Width, p.Height = p.Height, p.Width
		}
		for i := range p.Lines[0].Words {
			w := &p.Lines[0].Words[i]
			w.X, w.Y = place(w.X, w.Y)
			w.Angle = float64(360 - rotate)
		}
		got := linesOf(p, 1)[0]
		for _, d := range []float64{got.left - want.left, got.right - want.right, got.top - want.top, got.height - want.height} {
			if math.Abs(d) > 1e-9 {
				t.Errorf("turned by %d: from %.3f to %.3f at %.3f, %.3f high; want %.3f to %.3f at %.3f, %.3f high",
					rotate, got.left, got.right, got.top, got.height, want.left, want.right, want.top, want.height)
				break
			}
		}
	}
}

func TestSame(t *testing.T) {
	body := " we bill you for the following goods and services as agreed upon in the framework contract between both parties thank you for your business kindly transfer the amount without deduction"
	bill := func(number, date, amount string) Gist {
		return GistOf([]*text.Page{page("Canal Press Ltd\nInvoice " + number + "\nDate " + date + "\nAmount due " + amount + "\n" + body)})
	}
	march := bill("4711-03", "9 March 2026", "1,250.40")
	again := bill("4711-03", "9 March 2026", "1,250.40")
	misread := GistOf([]*text.Page{page("Canal Press Ltd\nlnvoice 4711-03\nDate 9 March 2026\nAmount due 1,250.40\n" + strings.Replace(body, "framework", "frarnework", 1))})
	april := bill("4818-04", "8 April 2026", "1,250.40")
	other := GistOf([]*text.Page{page("the committee will meet again at half past nine in the small conference room on the third floor where nobody had noticed that meter")})
	tests := []struct {
		name string
		a, b Gist
		want bool
	}{
		{"scanned twice", march, again, true},
		{"scanned twice, once worse", march, misread, true},
		{"the next month's bill", march, april, false},
		{"another text", march, other, false},
		{"nothing", Gist{}, Gist{}, false},
	}
	for _, tt := range tests {
		if got := tt.a.Same(tt.b); got != tt.want {
			t.Errorf("%s: %v", tt.name, got)
		}
		if tt.want && common(tt.a.Marks(), tt.b.Marks()) == 0 {
			t.Errorf("%s: no mark in common, so they would never be compared", tt.name)
		}
	}
	if common(march.Marks(), other.Marks()) != 0 {
		t.Error("texts with nothing in common have a mark in common")
	}
	if (Gist{}).Marks() != nil {
		t.Error("nothing has marks")
	}
}

func common(a, b []uint64) (n int) {
	for _, x := range a {
		for _, y := range b {
			if x == y {
				n++
			}
		}
	}
	return n
}

// The text is what an engine makes of any picture.
func FuzzFind(f *testing.F) {
	f.Add(invoice)
	f.Add(letter)
	f.Add("IBAN DE89\nTotal:(1'2.3\n:\n(\nDate:\u00a03/4/2026\n,,\nDear")
	f.Fuzz(func(t *testing.T, s string) {
		p := page(s)
		got := Find([]*text.Page{p}, today)
		if got == nil {
			return
		}
		if got.Date != nil {
			if _, err := time.Parse(time.DateOnly, got.Date.Day); err != nil || got.Date.Words == "" {
				t.Errorf("date %+v", got.Date)
			}
		}
		if n := len([]rune(got.Title)); n > maxTitle+1 || strings.ContainsAny(got.Title, "\n\r") {
			t.Errorf("title %q", got.Title)
		}
		GistOf([]*text.Page{p}).Marks()
	})
}
