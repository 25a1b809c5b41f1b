package usbip

import (
	"encoding/binary"
	"errors"
	"fmt"

	"docscan/device/sim/usbface"
)

// Commands of the protocol; see Documentation/usb/usbip_protocol.rst of the
// kernel. Everything is big-endian.
const (
	cmdSubmit = 1
	cmdUnlink = 2
	retSubmit = 3
	retUnlink = 4
)

// headerLen is the length of every header, in bytes.
const headerLen = 48

// dirIn in a header says that data goes to the host.
const dirIn = 1

// shortNotOK is the flag of a transfer that must be filled (URB_SHORT_NOT_OK).
const shortNotOK = 1

// maxTransfer bounds one transfer. usbfs has 16 MiB for all of a box.
const maxTransfer = 16 << 20

// The kernel's numbers for how a transfer ended (negative in the answer).
const (
	ePipe      = -32
	eProto     = -71
	eOverflow  = -75
	eConnReset = -104
	eRemoteIO  = -121
)

// command is one request of the host.
type command struct {
	code   uint32
	seq    uint32
	ep     uint8 // address, with 0x80 for IN; a control transfer has 0 for both
	in     bool
	flags  uint32        // submit
	length int           // submit: of the data in either direction
	setup  usbface.Setup // submit at endpoint 0
	victim uint32        // unlink: the seq of the transfer to end
}

// parse reads a header. After that of an OUT transfer follow length bytes.
func parse(b []byte) (command, error) {
	if len(b) < headerLen {
		return command{}, fmt.Errorf("header of %d bytes, want %d", len(b), headerLen)
	}
	u32 := func(off int) uint32 { return binary.BigEndian.Uint32(b[off:]) }
	c := command{code: u32(0), seq: u32(4), in: u32(12) == dirIn}
	ep := u32(16)
	switch {
	case c.code != cmdSubmit && c.code != cmdUnlink:
		return command{}, fmt.Errorf("command %#x is none of the host's", c.code)
	case u32(12) > dirIn || ep > 15:
		return command{}, fmt.Errorf("direction %d, endpoint %d: there is none such", u32(12), ep)
	case c.code == cmdUnlink:
		c.victim = u32(20)
		return c, nil
	}
	if c.ep = uint8(ep); c.in && ep != 0 {
		c.ep |= 0x80
	}
	c.flags = u32(20)
	if n := u32(24); n > maxTransfer {
		return command{}, fmt.Errorf("transfer of %d bytes, want %d at most", n, maxTransfer)
	} else {
		c.length = int(n)
	}
	if n := int32(u32(32)); n > 0 {
		return command{}, errors.New("isochronous transfers are not known here")
	}
	var err error
	c.setup, err = usbface.ParseSetup(b[40:])
	return c, err
}

// submitted makes the header that answers a submit. The data of an IN transfer
// follows it.
func submitted(seq uint32, status, actual int) []byte {
	b := make([]byte, headerLen)
	binary.BigEndian.PutUint32(b[0:], retSubmit)
	binary.BigEndian.PutUint32(b[4:], seq)
	binary.BigEndian.PutUint32(b[20:], uint32(int32(status)))
	binary.BigEndian.PutUint32(b[24:], uint32(int32(actual)))
	return b
}

// unlinked makes the answer to an unlink.
func unlinked(seq uint32, status int) []byte {
	b := make([]byte, headerLen)
	binary.BigEndian.PutUint32(b[0:], retUnlink)
	binary.BigEndian.PutUint32(b[4:], seq)
	binary.BigEndian.PutUint32(b[20:], uint32(int32(status)))
	return b
}
