package web

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/secure/precis"

	"docscan/scan"
	"docscan/store"
)

// maxName bounds names, in characters.
const maxName = 64

// reserved are names by which docscan itself acts, as the audit log has them.
var reserved = []string{localActor, "docscan", "panel", "system", "root"}

func isReserved(name string) bool { return slices.Contains(reserved, store.FoldName(name)) }

var errBadName = problemf(422, "bad-name", "Name not usable", "A name has 1 to %d letters, digits and the characters . - _ @, all letters of one script.", maxName)

// newName gives a log-in name the form in which it is kept (RFC 8265,
// UsernameCasePreserved), or says what is wrong with it.
func newName(name string) (string, error) {
	if !utf8.ValidString(name) || utf8.RuneCountInString(name) > maxName {
		return "", errBadName
	}
	kept, err := precis.UsernameCasePreserved.String(name)
	if err != nil {
		return "", errBadName
	}
	bad := strings.ContainsFunc(kept, func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsMark(r) && !unicode.IsDigit(r) && !strings.ContainsRune(".-_@", r)
	})
	if kept == "" || bad || utf8.RuneCountInString(kept) > maxName || len(scriptsOf(kept)) > 1 || marksAtOnce(kept) > 2 {
		return "", errBadName
	}
	if isReserved(kept) {
		return "", problemf(422, "bad-name", "Name not usable", "This name is used by docscan itself. Choose another.")
	}
	return kept, nil
}

// alike are scripts whose letters are taken for each other's: a name has those of
// one only, so that a Cyrillic a cannot hide in a Latin name. A whole name in
// another script is possible; the pages say which it is.
var alike = []string{"Latin", "Cyrillic", "Greek", "Armenian", "Cherokee", "Coptic", "Lisu"}

// scriptsOf names the scripts of alike that have letters in s.
func scriptsOf(s string) (list []string) {
	for _, name := range alike {
		if strings.ContainsFunc(s, func(r rune) bool { return unicode.Is(unicode.Scripts[name], r) }) {
			list = append(list, name)
		}
	}
	return list
}

// script is that of a name where it is none that everybody reads, "" otherwise.
func script(name string) string {
	if list := scriptsOf(name); len(list) > 0 && list[0] != "Latin" {
		return list[0]
	}
	return ""
}

// marksAtOnce counts the most marks that stand on one letter.
func marksAtOnce(s string) (most int) {
	n := 0
	for _, r := range s {
		if unicode.IsMark(r) {
			n++
		} else {
			n = 0
		}
		most = max(most, n)
	}
	return most
}

var errBadLabel = problemf(422, "bad-name", "Name not usable", "A name of 1 to %d characters is needed, all of which can be seen, such as what it is for.", maxName)

// label tidies what people call a thing of theirs, such as a token or a group.
func label(s string) (string, error) {
	s = strings.Join(strings.FieldsFunc(strings.ToValidUTF8(s, "\uFFFD"), unicode.IsSpace), " ")
	if s == "" || !scan.Readable(s) || utf8.RuneCountInString(s) > maxName {
		return "", errBadLabel
	}
	return s, nil
}

// clip bounds what a stranger can put into the audit log. What nobody would see, or
// what turns the text around, stands there by its number.
func clip(s string) string {
	r := []rune(strings.ToValidUTF8(s, "?"))
	var b strings.Builder
	for _, c := range r[:min(len(r), maxName)] {
		if unicode.IsPrint(c) {
			b.WriteRune(c)
		} else {
			fmt.Fprintf(&b, "\\u%04x", c)
		}
	}
	return b.String()
}
