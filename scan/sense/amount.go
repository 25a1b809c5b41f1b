package sense

import (
	"regexp"
	"strings"

	"golang.org/x/text/currency"

	"docscan/store"
)

// An amount of money as it stands in a line.
type amountAt struct {
	from, to int    // words
	value    string // with a point before the parts of a hundred: 1234.50
	cents    int64
	currency string // ISO 4217; "": it is not said
	whole    bool   // there are no parts of a hundred
}

// An amount has two digits behind the last separator, and groups of three before it. One of
// whole units has none, or strokes instead (50,--): that is an amount where a currency is
// beside it.
var (
	amountForm = regexp.MustCompile(`^(-?)(\d{1,3}(?:[.,'’ ]\d{3})+|\d+)([.,])(\d{2})$`)
	wholeForm  = regexp.MustCompile(`^(-?)(\d{1,3}(?:[.,'’ ]\d{3})+|\d{1,7})(?:[.,] ?[-–—]{1,2})?$`)
)

// Signs and short forms of currencies beside their codes (ISO 4217).
var currencySigns = map[string]string{
	"€": "EUR", "eur": "EUR", "euro": "EUR", "euros": "EUR", "$": "USD", "us$": "USD", "£": "GBP", "fr": "CHF", "sfr": "CHF", "rm": "MYR",
	"zł": "PLN", "kč": "CZK", "¥": "JPY", "₹": "INR", "a$": "AUD", "c$": "CAD", "ca$": "CAD", "nz$": "NZD", "s$": "SGD", "hk$": "HKD",
}

// currencyOf gives the code that s means, or "".
func currencyOf(s string) string {
	bare := strings.Trim(s, ".,:;()[]*")
	if c := currencySigns[strings.ToLower(bare)]; c != "" {
		return c
	}
	if len(bare) != 3 || strings.ToUpper(bare) != bare {
		return ""
	}
	u, err := currency.ParseISO(bare)
	if err != nil || bare == "XXX" || bare == "ALL" || bare == "TOP" || bare == "TRY" { // words, more often
		return ""
	}
	return u.String()
}

// amounts finds sums of money in a line.
func (l *line) amounts() []amountAt {
	var all []amountAt
	for i := 0; i < len(l.words); i++ {
		a, ok := l.amountIn(i, i+1)
		// Thousands may be set apart by spaces: 8 564,43.
		for n := 3; n >= 2 && i+n <= len(l.words); n-- {
			if wide, fits := l.amountIn(i, i+n); fits {
				a, ok = wide, true
				break
			}
		}
		if !ok {
			continue
		}
		if a.currency == "" && a.from > 0 {
			a.currency = currencyOf(l.words[a.from-1].text)
		}
		if a.currency == "" && a.to < len(l.words) {
			a.currency = currencyOf(l.words[a.to].text)
		}
		if a.whole && (a.currency == "" || a.to < len(l.words) && strings.HasPrefix(l.words[a.to].text, "%")) {
			continue
		}
		all = append(all, a)
		i = a.to - 1
	}
	return all
}

func (l *line) amountIn(from, to int) (amountAt, bool) {
	a := amountAt{from: from, to: to}
	s := l.raw(from, to)
	s = strings.Trim(s, "()[]*:;=")
	s = strings.TrimSuffix(s, ".")
	minus := ""
	for _, sign := range []string{"-", "−", "–"} { // before the sign of the currency: -£20.00
		if rest, ok := strings.CutPrefix(s, sign); ok {
			minus, s = "-", strings.TrimSpace(rest)
			break
		}
	}
	for _, sign := range []string{"US$", "HK$", "NZ$", "CA$", "A$", "C$", "S$", "EUR", "GBP", "USD", "CHF", "RM", "€", "£", "$", "¥", "₹"} {
		if rest, ok := strings.CutPrefix(s, sign); ok {
			a.currency, s = currencyOf(sign), strings.TrimSpace(rest)
			break
		}
		if rest, ok := strings.CutSuffix(s, sign); ok {
			a.currency, s = currencyOf(sign), strings.TrimSpace(rest)
			break
		}
	}
	m := amountForm.FindStringSubmatch(s)
	if m == nil {
		if m = wholeForm.FindStringSubmatch(s); m == nil || strings.Contains(m[2], ".") && strings.Contains(m[2], ",") {
			return a, false
		}
		a.whole, m = true, append(m, "", "00")
	}
	if m[2][0] == '0' && strings.ContainsAny(m[2], ".,'’") {
		return a, false // parts of a thousand, as of a price by the unit: no thousands
	}
	if len(m[2]) > 15 {
		return a, false
	}
	if m[3] != "" && strings.ContainsAny(m[2], ".,") && strings.Contains(m[2], m[3]) {
		return a, false // one separator cannot be both
	}
	var digits strings.Builder
	for _, r := range m[2] + m[4] {
		if r >= '0' && r <= '9' {
			digits.WriteRune(r)
			a.cents = a.cents*10 + int64(r-'0')
		}
	}
	whole := strings.TrimLeft(digits.String()[:digits.Len()-2], "0")
	if whole == "" {
		whole = "0"
	}
	if m[1] != "" {
		minus = "-"
	}
	a.value = minus + whole + "." + m[4]
	return a, true
}

// total finds what is to be paid: the amount behind, or below, the surest word for
// it. Of several it is the largest.
func (d *document) total() *store.FoundAmount {
	var best *amountAt
	var at *line
	most := 0
	for i := range d.lines {
		l := &d.lines[i]
		sure := d.totalLine(l)
		if sure == 0 {
			continue
		}
		found, on := l.amounts(), l
		if len(found) == 0 && i+1 < len(d.lines) && d.lines[i+1].page == l.page && len(l.words) <= 4 {
			if next := d.lines[i+1].amounts(); len(next) == 1 {
				found, on = next, &d.lines[i+1]
			}
		}
		if len(found) == 0 {
			continue
		}
		if sure == maybeTotal && on == l && !d.follows(l, found[0].from) {
			continue
		}
		a := found[len(found)-1]
		if sure > most || sure == most && a.cents > best.cents {
			best, at, most = &a, on, sure
		}
	}
	if best == nil || best.cents == 0 {
		return nil
	}
	f := &store.FoundAmount{Value: best.value, Currency: best.currency, Page: at.page, Words: at.raw(best.from, best.to)}
	if f.Currency == "" {
		f.Currency = d.currency(at)
	}
	return f
}

// maybeTotal is how sure the last list of words for a total is.
const maybeTotal = 1

// totalLine tells how sure a line says what is to be paid: 3 to 1, or 0 if it does
// not, or says a part of it.
func (d *document) totalLine(l *line) int {
	for i, words := range d.rules.totals[:len(d.rules.totals)-1] {
		if _, _, ok := l.find(words); ok {
			return len(d.rules.totals) - i
		}
	}
	start, _, ok := l.find(d.rules.totals[len(d.rules.totals)-1])
	if !ok || start > 2 { // within a sentence
		return 0
	}
	if _, _, part := l.find(d.rules.notTotal); part {
		return 0
	}
	return maybeTotal
}

// follows reports whether word i stands right behind a word for a total, or with
// no more than a currency between.
func (d *document) follows(l *line, i int) bool {
	for i > 0 && (l.words[i-1].bare == "" || currencyOf(l.words[i-1].text) != "") {
		i--
	}
	return l.before(i, d.rules.totals[len(d.rules.totals)-1], 0)
}

// currency gives the one that the line, or else most amounts, are in.
func (d *document) currency(at *line) string {
	for _, w := range at.words {
		if c := currencyOf(w.text); c != "" {
			return c
		}
	}
	count := make(map[string]int)
	best := ""
	for i := range d.lines {
		for _, a := range d.lines[i].amounts() {
			if a.currency == "" {
				continue
			}
			count[a.currency]++
			if best == "" || count[a.currency] > count[best] {
				best = a.currency
			}
		}
	}
	if best != "" {
		return best
	}
	for i := range d.lines { // a heading such as "Amount (EUR)"
		for _, w := range d.lines[i].words {
			if c := currencyOf(w.text); c != "" && strings.ContainsAny(w.text, "()€£$") {
				return c
			}
		}
	}
	return ""
}
