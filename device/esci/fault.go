package esci

import (
	"strings"

	"docscan/device"
)

// kindOf says what a cause means for a person. Of PE, which is the proper end of
// a feeder too, the run knows better.
func kindOf(what string) device.FaultKind {
	switch what {
	case "OPN":
		return device.Cover
	case "PJ":
		return device.Jam
	case "PE":
		return device.NoPaper
	case "DFED":
		return device.DoubleFeed
	case "AUTH", "PERM":
		return device.HeldByOther // its panel keeps it for known users
	}
	// ERR, LTF (lamp), LOCK (transport lock), DTCL, BTLO (battery low) and what is
	// not known: the machine wants a person, and the detail says what it said.
	return device.Hardware
}

// faultOf makes one fault of all causes that a machine tells. Where there are
// several, an empty feeder is the least of them.
func faultOf(code string, causes []cause) *device.Fault {
	kind := device.FaultKind("")
	var words []string
	for _, c := range causes {
		words = append(words, c.String())
		if k := kindOf(c.what); kind == "" || kind == device.NoPaper {
			kind = k
		}
	}
	return &device.Fault{Kind: kind, Detail: strings.TrimSpace(code) + ": #err " + strings.Join(words, ", ")}
}
