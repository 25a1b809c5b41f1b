package web

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"docscan/device"
	"docscan/scan"
)

// told are sentences that other packages have put together in English before it was
// known who reads them: notes that are kept with documents, why something waits,
// and what became of an update. What is more special stands first.
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
	msg("it took longer than %d seconds"), // as versions before said it
	msg("It took longer than %d seconds and was given up. Print it anew as PDF and send that"),
	msg("page %d has no size"),
	msg("page %d cannot be drawn: %s"),
	msg("%s has too much to say of it"),
	msg("the image from the scanner is incomplete"), // as versions before said it
	msg("the image is incomplete"),
	msg("the image is damaged, or of a kind that cannot be read"),
	msg("the image is too large to be read: it claims %d x %d pixels, and the limit is %d million pixels"),
	msg("the image is too large to be read: it claims %d x %d pixels, and the limit is %d on a side"),
	msg("the program that reads pages failed at it"),
	msg("the page took too long"),
	msg("the page needs more memory than a worker may have"),
	msg("the scanner's image is no longer kept"), // as versions before said it
	msg("the image as it came is no longer kept"),

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

	// What an update does, why it was refused, and why one was taken back.
	msg("The update file is checked."),
	msg("The version of Debian's package is checked."),
	msg("Version %s is written."),
	msg("The database is copied."),
	msg("Version %s checks this box."),
	msg("Version %s takes over."),
	msg("Version %s is on trial."),
	msg("docscan starts anew."),
	msg("docscan goes back to version %s."),
	msg("New settings are tried."),

	msg("this is not an update file of docscan; Debian's package is installed with apt"),
	msg("the update file has a format this version does not know; update to a version in between first"),
	msg("the update file is not signed; get the signed one, or sign it with docscanctl bundle sign"),
	msg("the update file is signed with a key that is not trusted here; if it is the right key, put its .pub file into the folder of trusted keys, /etc/docscan/update-keys"),
	msg("no key is trusted here yet"),
	msg("the update file is signed with a revoked key; get one that is signed with another key"),
	msg("the signature of the update file is wrong; get it again from where it was published"),
	msg("the signature of the update file is wrong; get it again from where it was published: %s"),
	msg("the update file was changed or damaged after it was signed; get it again"),
	msg("the update file is not whole; get it again"),
	msg("this is larger than an update file of docscan can be"),
	msg("the manifest of the update file makes no sense; whoever made the file must make it anew"),
	msg("the manifest of the update file makes no sense; whoever made the file must make it anew: %s"),
	msg("the update file names a file that may not be in it; do not trust where it came from"),
	msg("the update file is for another kind of machine; get the one for this machine"),
	msg("the update file holds an older version than the one installed; an administrator can allow that, with --downgrade"),
	msg("the version in the update file and the data here do not go together"),
	msg("the installed version is too old for this update file"),
	msg("the update file is a delta against another version than the one installed; use the full one"),

	msg("another step of an update is going on"),
	msg("there is not enough room on the disk for the new version; free some, such as by emptying the trash"),
	msg("this is not the time for that"),
	msg("the version was tried too often without proving itself; install another one"),
	msg("the version did not prove itself in time"),
	msg("there is no other version to go back to"),
	msg("the installed version is not as it was installed"),
	msg("the box or docscan stopped during the trial"),
	msg("it crashed %d times within 10m0s"),
	msg("its files are missing"),
	msg("no reason was given"),
	msg("somebody changed which version is current"),

	msg("another update is going on; wait for its end"),
	msg("the new version does not work on this box"),
	msg("the new version does not work on this box: %s"),
	msg("requests under way did not end, such as a large upload or a backup that is being downloaded; try again when it is done"),
	msg("the new version did not prove itself"),
	msg("the new version did not prove itself: %s"),
	msg("the settings do not work on this box; those before hold"),
	msg("the settings do not work on this box; those before hold: %s"),
	msg("there is not enough room on the disk for the update; free some, such as by emptying the trash"),
	msg("docscan was not installed here by Debian's package"),
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
				return "([0-9]{1,10})"
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
// that is not known stays in English, and so does what stands before one that is.
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
			if n, err := strconv.ParseInt(v, 10, 64); err == nil && f.numbers[i] {
				args = append(args, n)
			} else {
				args = append(args, l.Told(v))
			}
		}
		return fmt.Sprintf(l.T(f.message), args...)
	}
	if before, rest, ok := strings.Cut(s, ": "); ok {
		return before + ": " + l.Told(rest)
	}
	return s
}
