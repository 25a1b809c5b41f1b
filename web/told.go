package web

import (
	"fmt"
	"regexp"
	"strconv"

	"docscan/device"
	"docscan/scan"
)

// told are sentences that other packages have put together in English before it was
// known who reads them: notes that are kept with documents, and why something
// waits. What is more special stands first.
var told = []string{
	msg("Page %d: the scanner noticed two sheets at once here; one may be missing."),
	msg("Page %d cannot be shown: %s."),
	msg("Page %d is kept as an image only: %s."),
	msg("Page %d: its label says archive number %d, too."),
	msg("Page %d: its label says archive number %d, which another document bears already."),
	msg("Page %d: %s."),
	msg("%s could not be read to its end: %s. The file as it was sent is kept."),
	msg("it is cut off, and what came after these pages is missing"),
	msg("the file is damaged and cannot be opened: %s"),
	msg("the image from the scanner is incomplete"),

	msg("the folder cannot be used: %s"),
	msg("docscan may not write into the folder: %s"),
	msg("the folder cannot be read: %s"),
	msg("the folder cannot be written to: %s"),
	msg("the file could not be written: %s"),
	msg("the file could not be put into its place: %s"),
	msg("the file of the document as it was could not be removed: %s"),
	msg("the folder could not be made durable: %s"),
	msg("the server does not answer: %s"),
	msg("the server's answer breaks off: %s"),
	msg("the server answers with status %d"),
	msg("%d files have this name already"),
}

// A toldForm finds the values in one of these sentences.
type toldForm struct {
	message string
	match   *regexp.Regexp
	numbers []bool // whether a value is a number
}

func toldForms() (list []toldForm) {
	for _, m := range told {
		f := toldForm{message: m}
		pattern := verb.ReplaceAllStringFunc(regexp.QuoteMeta(m), func(v string) string {
			f.numbers = append(f.numbers, v == "%d")
			if v == "%d" {
				return "([0-9]{1,9})"
			}
			return "(.+)"
		})
		f.match = regexp.MustCompile("(?s)^" + pattern + "$")
		list = append(list, f)
	}
	return list
}

var verb = regexp.MustCompile(`%[ds]`)

// Told puts a sentence of another package into this language, with its values. One
// that is not known stays in English.
func (l *tongue) Told(s string) string {
	if l.text == nil || l.text[s] != "" {
		return l.T(s)
	}
	if what, advice := scan.FaultText(device.Interrupted); s == what+" "+advice {
		return l.T(what) + " " + l.T(advice)
	}
	for _, f := range l.told {
		found := f.match.FindStringSubmatch(s)
		if found == nil {
			continue
		}
		var args []any
		for i, v := range found[1:] {
			if n, err := strconv.Atoi(v); err == nil && f.numbers[i] {
				args = append(args, n)
			} else {
				args = append(args, l.Told(v))
			}
		}
		return fmt.Sprintf(l.T(f.message), args...)
	}
	return s
}
