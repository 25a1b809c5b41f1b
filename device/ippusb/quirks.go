package ippusb

import (
	"path"
	"strings"
)

// Quirks are the ways in which one model differs.
type Quirks struct {
	Connection string // value of the Connection header; empty: none is sent
	Pipes      int    // how many interfaces to use; 0: two
	Ignore     bool   // it only looks like a scanner with HTTP
}

// pipes is how many interfaces to use of a machine without a quirk: one for
// the scan and one for status and cancel meanwhile.
const pipes = 2

// known lists the models with quirks, as ipp-usb's users found them. The
// pattern is matched by path.Match against make and model as USB gives them,
// in lower case.
var known = []struct {
	model  string
	quirks Quirks
}{
	{"hp laserjet mfp m2[89]*", Quirks{Connection: "keep-alive"}}, // hangs without
	{"hp laserjet mfp m3[01]*", Quirks{Connection: "keep-alive"}}, // hangs without
	{"hp officejet pro 8730*", Quirks{Connection: "close"}},       //
	{"hp scanjet pro 4500 fn1*", Quirks{Pipes: 1}},                // eSCL hangs with two
	{"brother ql-810w*", Quirks{Pipes: 1}},                        // hangs after minutes
	{"hp laser mfp 13*", Quirks{Ignore: true}},                    // answers 404 to everything
	{"hp laser 10*", Quirks{Ignore: true}},                        // answers 404 to everything
}

// quirksOf gives the quirks of a model.
func quirksOf(name string) Quirks {
	name = strings.ToLower(name)
	for _, k := range known {
		if ok, _ := path.Match(k.model, name); ok { // the patterns are well formed: a test sees to it
			return k.quirks
		}
	}
	return Quirks{}
}
