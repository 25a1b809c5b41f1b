package esci

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// para is how the next scan is to be done.
type para struct {
	glass bool     // from the flatbed
	flags []string // of the feeder
	col   string   // one of the colours, such as "C024"
	fmt   string   // "RAW " or "JPG "
	jpg   int      // quality
	thr   int      // what is still black, for M001
	gmm   string
	rsm   int // dpi across
	rss   int // dpi down
	acq   [4]int
	pag   int // images; 0: until the feeder is empty
	bsz   int // bytes of one block of image data at most
}

// defaultPara is what holds before any PARA.
func defaultPara(m Model) para {
	dpi := m.Dpi[0]
	p := para{col: "M008", fmt: "RAW ", jpg: 90, thr: 128, gmm: "UG10", rsm: dpi, rss: dpi, bsz: 65536}
	if m.JPEG {
		p.fmt = "JPG "
	}
	p.acq = [4]int{0, 0, m.Width * dpi / 100 &^ 7, m.Length * dpi / 100}
	return p
}

// String is what RESA says.
func (p para) String() string {
	source := "#ADF" + strings.Join(p.flags, "")
	if p.glass {
		source = "#FB "
	}
	s := fmt.Sprintf("%s#COL%s#FMT%s#JPG%s#THR%s#GMM%s", source, p.col, p.fmt, number(p.jpg), number(p.thr), p.gmm)
	for _, table := range []string{"RED ", "GRN ", "BLU ", "MONO"} { // straight ones
		b := make([]byte, 256)
		for i := range b {
			b[i] = byte(i)
		}
		s += "#GMT" + table + text(string(b))
	}
	s += fmt.Sprintf("#CMXUNIT#RSM%s#RSS%s#PAG%s#BSZ%s#ACQ", number(p.rsm), number(p.rss), number(p.pag), number(p.bsz))
	for _, n := range p.acq {
		s += number(n)
	}
	return s
}

// setPara obeys PARA. s.mu is held.
func (s *Scanner) setPara(data []byte) {
	if f := s.due(s.fed+1, false, AtPara); f != nil {
		s.strike(f, "PARA")
		return
	}
	if s.notReady("PARA") {
		return
	}
	if len(data) > 1536 {
		s.violation("PARA of %d bytes, more than INFO says", len(data))
	}
	p := s.para
	all, err := parseSettings(data)
	for _, set := range all {
		if err == nil {
			err = p.set(s.model, set)
		}
	}
	if err == nil {
		err = p.check(s.model, s.cfg.NeedsDFL)
	}
	if err != nil {
		if !errors.Is(err, errDouble) { // of which no host can know before
			s.violation("PARA: %v", err)
		}
		s.sends("PARA", nil, "#parFAIL")
		return
	}
	s.para = p
	s.sends("PARA", nil, "#parOK  ")
}

// set takes one token.
func (p *para) set(m Model, t setting) error {
	one := func(values ...string) (string, error) {
		if len(t.words) != 1 || !slices.Contains(values, t.words[0]) {
			return "", fmt.Errorf("#%s%q is none of %q", t.code, t.words, values)
		}
		return t.words[0], nil
	}
	num := func(least, most int) (int, error) {
		if len(t.nums) != 1 || t.nums[0] < least || t.nums[0] > most {
			return 0, fmt.Errorf("#%s%v is not from %d to %d", t.code, t.nums, least, most)
		}
		return t.nums[0], nil
	}
	var err error
	switch t.code {
	case "ADF":
		p.glass, p.flags = false, t.words
		for _, f := range t.words {
			if !m.knowsFlag(f) {
				return fmt.Errorf("#ADF %q is unknown", f)
			}
		}
	case "FB ":
		if !m.Flatbed || len(t.words) > 0 {
			return fmt.Errorf("#FB %q", t.words)
		}
		p.glass, p.flags = true, nil
	case "COL":
		p.col, err = one(m.colors()...)
	case "FMT":
		var f string
		if f, err = one(filled(m.formats())...); err == nil {
			p.fmt = f
		}
	case "JPG":
		p.jpg, err = num(1, 100)
	case "THR":
		p.thr, err = num(0, 255)
	case "GMM":
		p.gmm, err = one("UG10", "UG18")
	case "CMX":
		if len(t.words) != 1 || t.words[0] == "UM08" && len(t.data) != 9 {
			err = fmt.Errorf("#CMX%q with %d bytes", t.words, len(t.data))
		}
	case "GMT":
		if _, err = one("RED ", "GRN ", "BLU ", "MONO"); err == nil && len(t.data) != 256 {
			err = fmt.Errorf("#GMT of %d bytes", len(t.data))
		}
	case "CRP":
		_, err = num(-20, 20)
	case "RSM":
		p.rsm, err = num(1, 9999)
	case "RSS":
		p.rss, err = num(1, 9999)
	case "PAG":
		p.pag, err = num(0, 999)
	case "BSZ":
		p.bsz, err = num(1, 1<<20)
	case "ACQ":
		if len(t.nums) != 4 {
			return fmt.Errorf("#ACQ%v is not four numbers", t.nums)
		}
		p.acq = [4]int(t.nums)
	default:
		err = fmt.Errorf("unknown token #%s", t.code)
	}
	return err
}

// filled fills words up to four characters.
func filled(words []string) []string {
	var out []string
	for _, w := range words {
		out = append(out, quad(w))
	}
	return out
}

// knowsFlag says whether a flag of the feeder is known.
func (m Model) knowsFlag(f string) bool {
	switch f {
	case "DPLX":
		return m.Duplex
	case "PEDT":
		return m.PaperEnd
	case "CRP ", "SKEW", "OVSN":
		return true
	}
	return slices.Contains(m.Double, f)
}

// looksForDouble says whether double feeds are noticed.
func (p *para) looksForDouble() bool {
	return slices.ContainsFunc(p.flags, func(f string) bool { return strings.HasPrefix(f, "DFL") })
}

// errDouble says that both sides are not taken without a double-feed setting.
var errDouble = errors.New("both sides without a double-feed setting")

// check looks at what must fit together.
func (p *para) check(m Model, needsDFL bool) error {
	width, length := m.Width, m.Length
	if p.glass {
		length = glassLength
	}
	a := p.acq
	switch {
	case !m.scans(p.rsm) || !m.scans(p.rss) || p.rsm != p.rss:
		return fmt.Errorf("%d by %d dpi", p.rsm, p.rss)
	case slices.Contains(p.flags, "DPLX") && needsDFL && !p.looksForDouble():
		return errDouble
	case p.col == "M001" && p.fmt == "JPG " && m.Raw:
		return fmt.Errorf("black and white as JPEG")
	case a[0] < 0 || a[1] < 0 || a[2] < 8 || a[3] < 1 || a[2]%8 != 0,
		a[0]+a[2] > (width*p.rsm+99)/100 || a[1]+a[3] > (length*p.rss+99)/100:
		return fmt.Errorf("area %v at %d dpi", a, p.rsm)
	}
	return nil
}
