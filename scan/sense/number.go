package sense

import (
	"regexp"
	"slices"
	"strings"
)

// ibanLengths is how long an account number is in each country, in characters (IBAN
// registry of SWIFT, ISO 13616).
var ibanLengths = map[string]int{
	"AD": 24, "AE": 23, "AL": 28, "AT": 20, "AZ": 28, "BA": 20, "BE": 16, "BG": 22, "BH": 22, "BR": 29, "BY": 28, "CH": 21, "CR": 22, "CY": 28,
	"CZ": 24, "DE": 22, "DK": 18, "DO": 28, "EE": 20, "EG": 29, "ES": 24, "FI": 18, "FO": 18, "FR": 27, "GB": 22, "GE": 22, "GI": 23, "GL": 18,
	"GR": 27, "GT": 28, "HR": 21, "HU": 28, "IE": 22, "IL": 23, "IQ": 23, "IS": 26, "IT": 27, "JO": 30, "KW": 30, "KZ": 20, "LB": 28, "LC": 32,
	"LI": 21, "LT": 20, "LU": 20, "LV": 21, "LY": 25, "MC": 27, "MD": 24, "ME": 22, "MK": 19, "MR": 27, "MT": 31, "MU": 30, "NL": 18, "NO": 15,
	"PK": 24, "PL": 28, "PS": 29, "PT": 25, "QA": 29, "RO": 24, "RS": 22, "SA": 24, "SC": 31, "SE": 24, "SI": 19, "SK": 24, "SM": 27, "ST": 25,
	"SV": 28, "TL": 23, "TN": 24, "TR": 26, "UA": 29, "VA": 22, "VG": 24, "XK": 20,
}

// maxNumbers bounds how many numbers of a kind are kept of one document.
const maxNumbers = 8

// accounts finds account numbers (IBAN) whose check digits are right. A number that
// the engine has misread in one place is therefore not found.
func (d *document) accounts() []string {
	var all []string
	for i := range d.lines {
		words := d.lines[i].words
		for j := range words {
			if n := ibanAt(words[j:]); n != "" && !slices.Contains(all, n) && len(all) < maxNumbers {
				all = append(all, n)
			}
		}
	}
	return all
}

// ibanAt gives the account number that begins with the first word, written in one
// piece or in groups.
func ibanAt(words []word) string {
	var b strings.Builder
	for _, w := range words {
		part := strings.Trim(w.text, ".,;:()·")
		if b.Len() == 0 {
			part = strings.TrimPrefix(part, "IBAN")
			if len(part) < 2 || ibanLengths[part[:2]] == 0 {
				return ""
			}
		}
		for _, r := range part {
			if (r < '0' || r > '9') && (r < 'A' || r > 'Z') {
				return ""
			}
		}
		b.WriteString(part)
		want := ibanLengths[b.String()[:2]]
		if b.Len() > want {
			return ""
		}
		if b.Len() == want {
			if mod97(b.String()[4:]+b.String()[:4]) == 1 {
				return b.String()
			}
			return ""
		}
	}
	return ""
}

// mod97 is that of ISO 7064, of digits and letters (A is 10).
func mod97(s string) int {
	n := 0
	for _, r := range s {
		if r >= 'A' {
			n = (n*100 + int(r-'A') + 10) % 97
		} else {
			n = (n*10 + int(r-'0')) % 97
		}
	}
	return n
}

// vatForms are the numbers by which the countries of the EU, and some beside it,
// know who pays value added tax (Commission, "VAT identification numbers",
// structure), with their check where one is published.
var vatForms = []struct {
	country string
	form    *regexp.Regexp
	check   func(string) bool
}{
	{"AT", regexp.MustCompile(`^ATU\d{8}$`), nil},
	{"BE", regexp.MustCompile(`^BE[01]\d{9}$`), checkBE},
	{"CHE", regexp.MustCompile(`^CHE\d{9}(MWST|TVA|IVA)?$`), checkCHE},
	{"CZ", regexp.MustCompile(`^CZ\d{8,10}$`), nil},
	{"DE", regexp.MustCompile(`^DE[1-9]\d{8}$`), checkDE},
	{"DK", regexp.MustCompile(`^DK\d{8}$`), nil},
	{"ES", regexp.MustCompile(`^ES[A-Z0-9]\d{7}[A-Z0-9]$`), nil},
	{"FI", regexp.MustCompile(`^FI\d{8}$`), nil},
	{"FR", regexp.MustCompile(`^FR[A-HJ-NP-Z0-9]{2}\d{9}$`), checkFR},
	{"GB", regexp.MustCompile(`^GB\d{9}$`), checkGB},
	{"HU", regexp.MustCompile(`^HU\d{8}$`), nil},
	{"IE", regexp.MustCompile(`^IE\d[A-Z0-9+*]\d{5}[A-Z]{1,2}$`), nil},
	{"IT", regexp.MustCompile(`^IT\d{11}$`), checkIT},
	{"LU", regexp.MustCompile(`^LU\d{8}$`), checkLU},
	{"NL", regexp.MustCompile(`^NL\d{9}B\d{2}$`), nil},
	{"PL", regexp.MustCompile(`^PL\d{10}$`), nil},
	{"PT", regexp.MustCompile(`^PT\d{9}$`), nil},
	{"SE", regexp.MustCompile(`^SE\d{12}$`), nil},
	{"SK", regexp.MustCompile(`^SK\d{10}$`), nil},
}

// taxLabels stand before such a number; without one a number whose country has no
// check is not believed.
var taxLabels = phrasesOf([]string{
	"vat", "vat no", "vat number", "vat reg no", "vat id", "vat registration number", "ust-idnr", "ust-id", "ust-id-nr", "ustid", "ust idnr", "uid", "uid-nr",
	"umsatzsteuer-id", "umsatzsteuer-identifikationsnummer", "tva", "n tva", "no tva", "tva intracommunautaire", "numero tva", "p.iva", "partita iva",
	"nif", "cif", "btw", "btw-nummer", "btw nr", "mwst-nr",
})

// taxNumbers finds numbers for value added tax.
func (d *document) taxNumbers() []string {
	var all []string
	for i := range d.lines {
		l := &d.lines[i]
		for j := range l.words {
			labelled := l.before(j, taxLabels, 1)
			for n := 1; n <= 4 && j+n <= len(l.words); n++ {
				v := vatNumber(l.raw(j, j+n), labelled)
				if v == "" {
					continue
				}
				if !slices.Contains(all, v) && len(all) < maxNumbers {
					all = append(all, v)
				}
				break // with the words behind it, it is the same
			}
		}
	}
	return all
}

func vatNumber(s string, labelled bool) string {
	s = strings.Map(func(r rune) rune {
		switch r {
		case ' ', '.', '-', ',', ':', ';', '(', ')':
			return -1
		}
		return r
	}, s)
	// British ones are printed without the country.
	if labelled && len(s) == 9 && checkGB("GB"+s) {
		return "GB" + s
	}
	for _, f := range vatForms {
		if strings.HasPrefix(s, f.country) && f.form.MatchString(s) {
			if f.check != nil && f.check(s) || f.check == nil && labelled {
				return s
			}
			return ""
		}
	}
	return ""
}

// digitsOf gives the digits of s as numbers.
func digitsOf(s string) []int {
	var all []int
	for _, r := range s {
		if r >= '0' && r <= '9' {
			all = append(all, int(r-'0'))
		}
	}
	return all
}

func toNumber(digits []int) (n int) {
	for _, d := range digits {
		n = n*10 + d
	}
	return n
}

// checkDE is ISO 7064, MOD 11,10.
func checkDE(s string) bool {
	d := digitsOf(s)
	p := 10
	for _, x := range d[:8] {
		m := (x + p) % 10
		if m == 0 {
			m = 10
		}
		p = 2 * m % 11
	}
	return (11-p)%10 == d[8]
}

func checkBE(s string) bool {
	d := digitsOf(s)
	return 97-toNumber(d[:8])%97 == toNumber(d[8:])
}

// checkCHE is modulus 11 with the weights of the Swiss UID.
func checkCHE(s string) bool {
	d, sum := digitsOf(s), 0
	for i, w := range []int{5, 4, 3, 2, 7, 6, 5, 4} {
		sum += d[i] * w
	}
	return (11-sum%11)%11 == d[8]
}

// checkFR compares the key with the SIREN number; a key with letters is taken as
// it is.
func checkFR(s string) bool {
	key := digitsOf(s[2:4])
	if len(key) < 2 {
		return true
	}
	return (12+3*(toNumber(digitsOf(s[4:]))%97))%97 == toNumber(key)
}

// checkGB is modulus 97, in the form before 2010 or since.
func checkGB(s string) bool {
	d := digitsOf(s)
	if len(d) != 9 {
		return false
	}
	sum := toNumber(d[7:])
	for i, w := range []int{8, 7, 6, 5, 4, 3, 2} {
		sum += d[i] * w
	}
	return sum%97 == 0 || (sum+55)%97 == 0
}

// checkIT is Luhn's.
func checkIT(s string) bool {
	sum := 0
	for i, x := range digitsOf(s) {
		if i%2 == 1 {
			if x *= 2; x > 9 {
				x -= 9
			}
		}
		sum += x
	}
	return sum%10 == 0
}

func checkLU(s string) bool {
	d := digitsOf(s)
	return toNumber(d[:6])%89 == toNumber(d[6:])
}

var domainForm = regexp.MustCompile(`^(?:https?://)?(?:[a-z0-9._%+-]+@|www\.)([a-z0-9-]+(?:\.[a-z0-9-]+)*\.[a-z]{2,12})(?:/.*)?$`)

// freeMail are domains where anybody may have an address: they say nothing of who
// sent a letter.
var freeMail = set([]string{"gmail.com", "googlemail.com", "gmx.de", "gmx.net", "gmx.at", "gmx.ch", "web.de", "outlook.com", "hotmail.com", "live.com",
	"yahoo.com", "yahoo.de", "yahoo.fr", "yahoo.co.uk", "icloud.com", "me.com", "aol.com", "t-online.de", "freenet.de", "orange.fr", "free.fr",
	"laposte.net", "libero.it", "btinternet.com", "proton.me", "protonmail.com", "posteo.de"})

// domains finds the Internet domains of addresses, without those of free mail.
func (d *document) domains() []string {
	var all []string
	for i := range d.lines {
		for _, w := range d.lines[i].words {
			m := domainForm.FindStringSubmatch(w.bare)
			if m == nil || freeMail[m[1]] || slices.Contains(all, m[1]) || len(all) >= maxNumbers {
				continue
			}
			all = append(all, m[1])
		}
	}
	return all
}
