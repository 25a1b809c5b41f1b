package esci

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// A token is a word that says what it is about, and its values. On the wire all
// words have four characters: "#", three letters, then groups of four.
type token struct {
	name   string // without "#": three characters, the last of which may be a space
	values []value
}

// value is a word, a number or a string of bytes.
type value struct {
	word   string // four characters, as on the wire; empty for the others
	n      int
	number bool
	bytes  []byte
}

// tokens reads what a reply says. The protocol wants what one does not know to be
// passed over, so nothing here is an error; what is cut off at the end is left
// out.
func tokens(b []byte) []token {
	var all []token
	for len(b) >= 4 {
		if b[0] != '#' {
			b = b[4:] // a value without a token
			continue
		}
		name := string(b[1:4])
		if name == "---" {
			break
		}
		b = b[4:]
		t := token{name: name}
		for len(b) >= 4 && b[0] != '#' {
			v, size := readValue(b)
			if size > len(b) {
				return all
			}
			t.values = append(t.values, v)
			b = b[size:]
		}
		all = append(all, t)
	}
	return all
}

// readValue reads one value and says how many bytes it has, which may be more
// than there are. b has four bytes at least.
func readValue(b []byte) (value, int) {
	parse := func(size, base int) (value, int) {
		if len(b) < size {
			return value{}, size
		}
		n, err := strconv.ParseInt(string(b[1:size]), base, 32)
		if err != nil {
			return value{word: string(b[:4])}, 4
		}
		return value{n: int(n), number: true}, size
	}
	switch b[0] {
	case 'd':
		return parse(4, 10)
	case 'i':
		return parse(8, 10)
	case 'x':
		return parse(8, 16)
	case 'h': // a string, filled up to whole groups
		n, err := strconv.ParseUint(string(b[1:4]), 16, 16)
		if err != nil {
			break
		}
		size := 4 + (int(n)+3)&^3
		if size > len(b) {
			return value{}, size
		}
		return value{bytes: b[4 : 4+int(n)]}, size
	}
	return value{word: string(b[:4])}, 4
}

// word gives the word at index i, without the spaces that fill it up, or "".
func (t token) word(i int) string {
	if i >= len(t.values) {
		return ""
	}
	return strings.TrimRight(t.values[i].word, " ")
}

// words gives all words, without the spaces that fill them up.
func (t token) words() []string {
	var list []string
	for i, v := range t.values {
		if v.word != "" {
			list = append(list, t.word(i))
		}
	}
	return list
}

// numbers gives all numbers.
func (t token) numbers() []int {
	var list []int
	for _, v := range t.values {
		if v.number {
			list = append(list, v.n)
		}
	}
	return list
}

// text gives the first string, without what fills it up.
func (t token) text() string {
	for _, v := range t.values {
		if v.bytes != nil {
			return strings.ToValidUTF8(strings.Trim(string(v.bytes), " \x00"), "?")
		}
	}
	return ""
}

// number writes a number in the form that every machine takes for a resolution.
func number(n int) string {
	if n <= 999 {
		return fmt.Sprintf("d%03d", n)
	}
	return integer(n)
}

// integer writes a number of seven digits.
func integer(n int) string { return fmt.Sprintf("i%07d", n) }

// Sizes of the blocks of the wire, in bytes.
const (
	requestSize = 12
	replySize   = 64
)

// request makes the 12 bytes that ask for something, with n bytes to follow.
func request(code string, n int) []byte { return fmt.Appendf(nil, "%sx%07X", code, n) }

// reply is what the 64 bytes of an answer say.
type reply struct {
	code   string // of the request, or UNKN or INVD for one that is refused
	size   int    // bytes of data that follow
	faults []cause
	wait   string  // BUSY, WUP or RSVD: not ready
	begin  *extent // a page begins with the data
	end    *extent // a page ends with the data
	left   int     // images still to come; -1: not said
	back   bool    // the data are of the back
	cancel bool    // somebody pressed the machine's stop button
	failed bool    // the parameters are not taken
}

// cause is where something is wrong, and what, in the words of the wire.
type cause struct{ part, what string }

// extent is the size of a page, in pixels.
type extent struct {
	width   int
	padding int // bytes after each line; of a page that begins
	lines   int
}

// The largest page that a machine is believed, in pixels.
const (
	maxWidth   = 1 << 16
	maxLines   = 1 << 20
	maxPadding = 1 << 12
)

// errStep says that what came is not what the protocol has there.
var errStep = errors.New("out of step")

// parseReply reads an answer.
func parseReply(b []byte) (reply, error) {
	r := reply{left: -1}
	if len(b) != replySize || b[4] != 'x' {
		return r, fmt.Errorf("%w: %d bytes that are no reply: %.16q", errStep, len(b), b)
	}
	size, err := strconv.ParseUint(string(b[5:requestSize]), 16, 32)
	if err != nil {
		return r, fmt.Errorf("%w: %.16q", errStep, b)
	}
	r.code, r.size = string(b[:4]), int(size)
	for _, t := range tokens(b[requestSize:]) {
		switch t.name {
		case "err":
			for i := 0; i+1 < len(t.values); i += 2 {
				r.faults = append(r.faults, cause{t.word(i), t.word(i + 1)})
			}
		case "nrd":
			if w := t.word(0); w != "NONE" {
				r.wait = w
			}
		case "pst", "pen":
			e, err := parseExtent(t)
			if err != nil {
				return r, err
			}
			if t.name == "pst" {
				r.begin = e
			} else {
				r.end = e
			}
		case "lft":
			if n := t.numbers(); len(n) > 0 {
				r.left = n[0]
			}
		case "typ":
			r.back = t.word(0) == "IMGB"
		case "atn":
			r.cancel = t.word(0) == "CAN"
		case "par":
			r.failed = t.word(0) != "OK"
		}
	}
	return r, nil
}

// parseExtent reads the size of a page that begins or ends.
func parseExtent(t token) (*extent, error) {
	n := t.numbers()
	e := &extent{}
	switch {
	case t.name == "pst" && len(n) == 3:
		e.width, e.padding, e.lines = n[0], n[1], n[2]
	case t.name == "pen" && len(n) == 2:
		e.width, e.lines = n[0], n[1]
	default:
		return nil, fmt.Errorf("%w: #%s with the numbers %v", errStep, t.name, n)
	}
	if e.width < 0 || e.width > maxWidth || e.lines < 0 || e.lines > maxLines || e.padding < 0 || e.padding > maxPadding {
		return nil, fmt.Errorf("%w: #%s of %d by %d pixels, %d bytes more a line", errStep, t.name, e.width, e.lines, e.padding)
	}
	return e, nil
}
