//go:build linux

package slot

import "time"

// A Step is what an Event tells of.
type Step string

// The steps.
const (
	StepInstall  Step = "install"
	StepTry      Step = "try"
	StepCommit   Step = "commit"
	StepRollBack Step = "roll-back"
	StepMend     Step = "mend" // the state was read together from what is on the disk
)

// Origin is who asks for a step, and from where, as the audit log names them.
type Origin struct {
	Who  string `json:"who"`
	From string `json:"from,omitempty"` // an address, or "local"
}

// An Event is one step, for the audit log.
type Event struct {
	Time time.Time `json:"time"`
	Step Step      `json:"step"`
	Origin
	Slot    string `json:"slot,omitempty"`
	Version string `json:"version,omitempty"`
	Digest  string `json:"digest,omitempty"` // of the version
	Reason  string `json:"reason,omitempty"` // of a roll back
	Error   string `json:"error,omitempty"`  // why the step was refused or failed; empty when it was done
}
