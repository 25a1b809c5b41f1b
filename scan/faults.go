package scan

import (
	"fmt"
	"time"

	"docscan/device"
	"docscan/store"
)

// words is what a person is told of a fault. Advice assumes that pages before
// it are safe and that a press goes on in the same document.
type words struct{ what, advice string }

var faultWords = map[device.FaultKind]words{
	device.Jam:         {"A sheet is jammed in the scanner.", "Open the cover, take out the sheet, put it back on top of the stack and press the button."},
	device.DoubleFeed:  {"The scanner drew in more than one sheet at once.", "Take the sheets out, separate them, put them back on top of the stack and press the button."},
	device.Mispick:     {"The scanner could not take the next sheet.", "Straighten the stack, put it back and press the button."},
	device.Cover:       {"A cover of the scanner is open.", "Close the cover and press the button."},
	device.NoPaper:     {"There is no paper in the feeder.", "Put the sheets into the feeder and press the button."},
	device.PageLength:  {"A sheet is too short or too long for the feeder.", "Take the sheet out, scan it on the glass or leave it out, and press the button."},
	device.Stopped:     {"Scanning was stopped at the scanner.", "Press the button to go on, or finish the document with the pages that are there."},
	device.Unplugged:   {"The connection to the scanner was lost.", "Check the cable and the scanner's power. Put the last sheet back on top of the stack and press the button."},
	device.Busy:        {"The scanner is at work already.", "Wait until the running scan has ended."},
	device.HeldByOther: {"Another program or computer is using the scanner.", "End the other scan, then press the button."},
	device.NoRights:    {"docscan has not the right to use the scanner.", "Unplug the scanner and plug it in again. If that does not help, an admin finds with docscand check what is missing."},
	device.Warming:     {"The scanner did not get ready in time.", "Wait until the scanner has warmed up and press the button."},
	device.BadAnswer:   {"The scanner gave an answer that is no page.", "Switch the scanner off and on, put the last sheet back on top of the stack and press the button."},
	device.Hardware:    {"The scanner reports a defect.", "Switch the scanner off and on. If it happens again, it needs service."},
	device.DiskFull:    {"The disk is full; no more pages can be kept.", "Free some space or let an admin delete documents. Put back the sheets that are not safe and press the button."},
	device.Interrupted: {"docscan was stopped in the middle of this scan.", "Scan the sheets that are missing again."},
	device.TooLarge:    {"The image of a sheet is larger than the limit.", "Choose a lower resolution for this sheet, put it back and press the button."},
}

// unknownFault is told of an error without a kind of its own.
var unknownFault = words{"The scanner stopped for a reason it did not tell.", "Put the last sheet back on top of the stack and press the button. If it happens again, switch the scanner off and on."}

// tellFault puts the reason why a batch of pages safe pages stopped into words.
func tellFault(kind device.FaultKind, pages int) *store.Fault {
	w, ok := faultWords[kind]
	if !ok {
		w = unknownFault
	}
	if kind == "" {
		kind = device.Hardware
	}
	return &store.Fault{
		Kind:   string(kind),
		What:   w.what,
		Safe:   safeWords(pages),
		Pages:  pages,
		Advice: w.advice,
		Time:   time.Now(),
	}
}

// FaultText puts a fault of a machine into one sentence for a person, for use
// where no batch is concerned.
func FaultText(kind device.FaultKind) (what, advice string) {
	w, ok := faultWords[kind]
	if !ok {
		w = unknownFault
	}
	return w.what, w.advice
}

func safeWords(pages int) string {
	switch pages {
	case 0:
		return "No page was scanned."
	case 1:
		return "Page 1 is safe."
	}
	return fmt.Sprintf("Pages 1-%d are safe.", pages)
}
