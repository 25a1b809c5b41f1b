package sane

import (
	"fmt"
)

// Numbers of the SANE standard, version 1 (sane.h), by the names that this
// package gives them.

// status is SANE_Status: what a call came to.
type status int32

const (
	statusGood status = iota
	statusUnsupported
	statusCancelled
	statusBusy
	statusInval
	statusEOF
	statusJammed
	statusNoDocs
	statusCoverOpen
	statusIOError
	statusNoMem
	statusAccessDenied
)

// String names s as the standard does, for the log.
func (s status) String() string {
	names := [...]string{
		"GOOD", "UNSUPPORTED", "CANCELLED", "DEVICE_BUSY", "INVAL", "EOF", "JAMMED", "NO_DOCS", "COVER_OPEN",
		"IO_ERROR", "NO_MEM", "ACCESS_DENIED",
	}
	if s >= 0 && int(s) < len(names) {
		return "SANE status " + names[s]
	}
	return fmt.Sprintf("SANE status %d", int32(s))
}

// valueKind is SANE_Value_Type.
type valueKind int32

const (
	kindBool valueKind = iota
	kindInt
	kindFixed // 16 bits before the point and 16 after it
	kindString
	kindButton
	kindGroup
)

func (k valueKind) hasValue() bool { return k >= kindBool && k <= kindString }

// unit is SANE_Unit.
type unit int32

const (
	unitNone  unit = 0
	unitPixel unit = 1
	unitMM    unit = 3
)

// Capabilities of an option (SANE_CAP_*).
const (
	capSoftSelect = 1 << iota // we can set it
	capHardSelect             // a person can, at the machine
	capSoftDetect             // we can read it
	capEmulated
	capAutomatic
	capInactive // it means nothing while other options are as they are
)

// Actions of sane_control_option.
const (
	actionGet = 0
	actionSet = 1
)

// Bits in the info of an option that was set.
const (
	infoInexact       = 1 << iota // it got another value
	infoReloadOptions             // other options have changed too
)

// Constraint types.
const (
	constraintRange   = 1
	constraintWords   = 2
	constraintStrings = 3
)

// frameFormat is SANE_Frame.
type frameFormat int32

const (
	frameGray frameFormat = iota
	frameRGB
	frameRed
	frameGreen
	frameBlue
)
