package esci

import (
	"fmt"
	"strconv"
	"strings"
)

// Sizes of the blocks that the protocol is made of, in bytes.
const (
	requestSize = 12
	replySize   = 64
)

// header makes the 12 bytes that requests and replies begin with.
func header(code string, n int) string { return fmt.Sprintf("%sx%07X", code, n) }

// parseRequest reads a request: its code and how much data follow. Real machines
// take hex digits of both cases.
func parseRequest(b []byte) (code string, n int, ok bool) {
	if len(b) != requestSize || b[4] != 'x' {
		return "", 0, false
	}
	v, err := strconv.ParseUint(string(b[5:]), 16, 32)
	return string(b[:4]), int(v), err == nil
}

// reply makes the 64 bytes of a reply: tokens that do not fit are left out, as
// the machines do with what matters least.
func reply(code string, n int, tokens ...string) []byte {
	b := make([]byte, 0, replySize)
	b = append(b, header(code, n)...)
	for _, t := range tokens {
		if len(b)+len(t) <= replySize {
			b = append(b, t...)
		}
	}
	for len(b)+4 <= replySize {
		b = append(b, "#---"...)
	}
	return b[:replySize]
}

// number writes a number of up to seven digits.
func number(n int) string {
	if n >= 0 && n <= 999 {
		return fmt.Sprintf("d%03d", n)
	}
	return fmt.Sprintf("i%07d", n)
}

// integer writes a number in its long form, as image replies have it.
func integer(n int) string { return fmt.Sprintf("i%07d", n) }

// text writes a string with its length, padded to whole groups of four.
func text(s string) string {
	s = fmt.Sprintf("h%03X%s", len(s), s)
	return s + strings.Repeat("\x00", -len(s)&3)
}

// list writes the values that a setting can have.
func list[T any](token string, write func(T) string, values []T) string {
	if len(values) == 0 {
		return ""
	}
	s := token + "LIST"
	for _, v := range values {
		s += write(v)
	}
	return s
}

// quad fills a word up to the four characters that it has on the wire.
func quad(s string) string { return fmt.Sprintf("%-4s", s) }

// setting is one token of a request: its code and its values, which are numbers
// or words of four characters.
type setting struct {
	code  string // three characters
	words []string
	nums  []int
	data  []byte // a string of bytes
}

// parseSettings reads the tokens of PARA, MECH and the like. Anything but whole
// tokens is refused.
func parseSettings(b []byte) ([]setting, error) {
	var all []setting
	for len(b) > 0 {
		if len(b) < 4 || b[0] != '#' {
			return nil, fmt.Errorf("no token at %.8q", b)
		}
		s := setting{code: string(b[1:4])}
		b = b[4:]
		for len(b) > 0 && b[0] != '#' {
			if len(b) < 4 {
				return nil, fmt.Errorf("token %s ends in the middle", s.code)
			}
			n, err := s.value(b)
			if err != nil {
				return nil, fmt.Errorf("token %s: %w", s.code, err)
			}
			b = b[n:]
		}
		all = append(all, s)
	}
	return all, nil
}

// value reads one value and says how many bytes it has.
func (s *setting) value(b []byte) (int, error) {
	size, base := 4, 10
	switch b[0] {
	case 'i':
		size = 8
	case 'x':
		size, base = 8, 16
	case 'd':
	case 'h':
		n, err := strconv.ParseUint(string(b[1:4]), 16, 16)
		if err != nil {
			return 0, fmt.Errorf("length of a string: %w", err)
		}
		full := 4 + (int(n)+3)&^3
		if len(b) < full {
			return 0, fmt.Errorf("a string of %d bytes ends in the middle", n)
		}
		s.data = b[4 : 4+int(n)]
		return full, nil
	default:
		s.words = append(s.words, string(b[:4]))
		return 4, nil
	}
	if len(b) < size {
		return 0, fmt.Errorf("a number ends in the middle")
	}
	n, err := strconv.ParseInt(string(b[1:size]), base, 32)
	if err != nil {
		return 0, err
	}
	s.nums = append(s.nums, int(n))
	return size, nil
}
