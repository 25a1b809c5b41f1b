package usbface

import (
	"encoding/binary"
	"fmt"
)

// Setup is the head of a control request.
type Setup struct {
	Type    uint8 // bmRequestType
	Request uint8
	Value   uint16
	Index   uint16
	Length  uint16 // of the data that follows in either direction, in bytes
}

// ParseSetup reads the eight bytes of a setup packet.
func ParseSetup(b []byte) (Setup, error) {
	if len(b) < 8 {
		return Setup{}, fmt.Errorf("setup packet of %d bytes, want 8", len(b))
	}
	return Setup{
		Type: b[0], Request: b[1],
		Value:  binary.LittleEndian.Uint16(b[2:]),
		Index:  binary.LittleEndian.Uint16(b[4:]),
		Length: binary.LittleEndian.Uint16(b[6:]),
	}, nil
}

// The requests that the device knows, as (type, request).
var (
	getStatusDevice    = [2]uint8{0x80, 0}
	getStatusInterface = [2]uint8{0x81, 0}
	getStatusEndpoint  = [2]uint8{0x82, 0}
	clearFeature       = [2]uint8{0x02, 1} // of an endpoint
	getDescriptor      = [2]uint8{0x80, 6}
	getConfiguration   = [2]uint8{0x80, 8}
	setConfiguration   = [2]uint8{0x00, 9}
	getInterface       = [2]uint8{0x81, 10}
	setInterface       = [2]uint8{0x01, 11}
	getDeviceID        = [2]uint8{0xa1, 0} // of the printer class
	getPortStatus      = [2]uint8{0xa1, 1} // of the printer class
	softReset          = [2]uint8{0x21, 2} // of the printer class
)

// Control answers one control request; the answer is cut to the length asked
// for. What the device does not know it refuses with [ErrStall].
func (d *Device) Control(s Setup) ([]byte, error) {
	select {
	case <-d.gone:
		return nil, ErrGone
	default:
	}
	b, ok := d.answer(s)
	if !ok {
		return nil, ErrStall
	}
	return b[:min(len(b), int(s.Length))], nil
}

func (d *Device) answer(s Setup) (b []byte, ok bool) {
	switch [2]uint8{s.Type, s.Request} {
	case getStatusDevice:
		return []byte{1, 0}, true // self-powered
	case getStatusInterface:
		return []byte{0, 0}, true
	case getStatusEndpoint:
		return d.endpointStatus(uint8(s.Index))
	case clearFeature:
		return nil, s.Value == 0 && d.ClearHalt(uint8(s.Index))
	case getDescriptor:
		return d.descriptor(byte(s.Value>>8), byte(s.Value))
	case getConfiguration:
		return []byte{1}, true
	case setConfiguration:
		d.Reset()
		return nil, s.Value == 1
	case getInterface:
		i := d.byNumber(int(s.Index))
		if i == nil {
			return nil, false
		}
		return []byte{byte(i.alt())}, true
	case setInterface:
		return nil, d.SetInterface(int(s.Index), int(s.Value))
	case getDeviceID:
		if !d.ifaces[0].printer() {
			return nil, false
		}
		id := fmt.Sprintf("MFG:%s;MDL:%s;CLS:PRINTER;", d.layout.Manufacturer, d.layout.Model)
		return append(binary.BigEndian.AppendUint16(nil, uint16(len(id)+2)), id...), true
	case getPortStatus:
		return []byte{0x18}, d.ifaces[0].printer() // selected, no error
	case softReset:
		i := d.byNumber(int(s.Index))
		if i == nil || !i.printer() {
			return nil, false
		}
		i.selectAlt(i.alt())
		return nil, true
	}
	return nil, false
}

func (d *Device) descriptor(kind, index byte) (b []byte, ok bool) {
	switch kind {
	case typeDevice:
		return d.DeviceDescriptor(), true
	case typeConfig:
		return d.ConfigDescriptor(), index == 0
	case typeString:
		if d.refuseString() {
			return nil, false
		}
		b = d.stringDescriptor(index)
		return b, b != nil
	case typeQualifier:
		return qualifierDescriptor(), true
	case typeBOS:
		return bosDescriptor(), true
	case typeIPP:
		return ippDescriptor(), true
	}
	return nil, false
}

// refuseString counts down Faults.Strings.
func (d *Device) refuseString() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.stringsLeft == 0 {
		return false
	}
	d.stringsLeft--
	return true
}

func (d *Device) endpointStatus(ep uint8) (b []byte, ok bool) {
	for n, i := range d.ifaces {
		switch in, out := d.layout.endpoints(n); ep {
		case in:
			if i.halted.Load() {
				return []byte{1, 0}, true
			}
			return []byte{0, 0}, true
		case out:
			return []byte{0, 0}, true
		}
	}
	return nil, false
}

// ClearHalt clears the halt of endpoint ep and says whether there is one of
// that address.
func (d *Device) ClearHalt(ep uint8) bool {
	for n, i := range d.ifaces {
		in, out := d.layout.endpoints(n)
		if ep == in {
			i.halted.Store(false)
		}
		if ep == in || ep == out {
			return true
		}
	}
	return false
}

// SetInterface selects an alternate setting and says whether it exists.
func (d *Device) SetInterface(number, alt int) bool {
	i := d.byNumber(number)
	if i == nil || alt < 0 || alt >= len(i.settings) {
		return false
	}
	i.selectAlt(alt)
	return true
}

// Class gives the class, subclass and protocol of the interface as it is
// switched now. It is all zero for one that does not exist.
func (d *Device) Class(number int) (c [3]byte) {
	if i := d.byNumber(number); i != nil {
		c = i.class()
	}
	return c
}

func (d *Device) byNumber(number int) *iface {
	for _, i := range d.ifaces {
		if i.number == number {
			return i
		}
	}
	return nil
}
