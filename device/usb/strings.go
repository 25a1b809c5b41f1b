package usb

import (
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf16"

	"github.com/google/gousb"

	"docscan/device"
)

// Strings is how a device calls itself.
type Strings struct {
	Manufacturer, Model string
	Serial              string // empty: it has none
	Class               []byte // class descriptor of type 0x21, if it gives one
}

// stringTries is how often a string is asked for: some machines refuse the
// first time (Pantum).
const stringTries = 3

// controlTimeout is how long a device may take to answer a control request.
const controlTimeout = 2 * time.Second

// Control requests and descriptor types of the USB 2.0 specification.
const (
	requestGetDescriptor = 6
	descriptorDevice     = 1
	descriptorString     = 3
	descriptorClass      = 0x21
)

// Strings opens the device that d describes and asks for its strings. That
// disturbs no other program that holds the device, but it is not cheap:
// callers remember the answer. A device that insists on saying nothing gets a
// reset of its port and is asked once more. The end of ctx ends it between two
// requests.
func (b *Bus) Strings(ctx context.Context, d Desc) (Strings, error) {
	dev, err := b.open(d)
	if err != nil {
		return Strings{}, err
	}
	defer dev.Close() // nothing is claimed, so it cannot fail
	dev.ControlTimeout = controlTimeout
	s, err := ask(ctx, dev, d)
	if err == nil || device.KindOf(err) != "" || ctx.Err() != nil {
		return s, err
	}
	device.NewLadder(b.log.With("port", d.Port)).Climb(device.PortReset, err)
	if err := dev.Reset(); err != nil {
		return Strings{}, explain(d, "reset", err)
	}
	return ask(ctx, dev, d)
}

// ask asks an open device for its strings.
func ask(ctx context.Context, dev *gousb.Device, d Desc) (Strings, error) {
	head, err := descriptor(ctx, dev, descriptorDevice, 0, 0)
	if err != nil || len(head) < 17 {
		return Strings{}, explain(d, "read the device descriptor of", orShort(err, len(head)))
	}
	var language uint16
	var s Strings
	for _, f := range []struct {
		index byte
		into  *string
	}{{head[14], &s.Manufacturer}, {head[15], &s.Model}, {head[16], &s.Serial}} {
		if f.index == 0 {
			continue // the device has no such string
		}
		if language == 0 {
			if language, err = firstLanguage(ctx, dev); err != nil {
				return Strings{}, explain(d, "read the languages of", err)
			}
		}
		if *f.into, err = stringOf(ctx, dev, f.index, language); err != nil {
			return Strings{}, explain(d, "read a string of", err)
		}
	}
	// Devices without the class descriptor refuse.
	if class, err := descriptor(ctx, dev, descriptorClass, 0, 0); err == nil {
		s.Class = class
	}
	return s, nil
}

// descriptor asks for a descriptor.
func descriptor(ctx context.Context, dev *gousb.Device, kind, index byte, language uint16) ([]byte, error) {
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	b := make([]byte, 255) // no descriptor that we ask for can be longer
	n, err := dev.Control(gousb.ControlIn, requestGetDescriptor, uint16(kind)<<8|uint16(index), language, b)
	if err != nil {
		return nil, err
	}
	return b[:n], nil
}

func firstLanguage(ctx context.Context, dev *gousb.Device) (uint16, error) {
	var last error
	for range stringTries {
		b, err := descriptor(ctx, dev, descriptorString, 0, 0)
		if err == nil && len(b) >= 4 {
			return binary.LittleEndian.Uint16(b[2:]), nil
		}
		last = orShort(err, len(b))
	}
	return 0, last
}

func stringOf(ctx context.Context, dev *gousb.Device, index byte, language uint16) (string, error) {
	var last error
	for range stringTries {
		b, err := descriptor(ctx, dev, descriptorString, index, language)
		if err == nil {
			var s string
			if s, err = parseString(b); err == nil && s != "" {
				return s, nil
			}
		}
		last = err
	}
	return "", last // nil if the device insists on an empty string
}

// orShort gives err, or the error that says that n bytes are too few.
func orShort(err error, n int) error {
	if err != nil {
		return err
	}
	return fmt.Errorf("descriptor of only %d bytes", n)
}

// parseString reads a string descriptor. Control characters and the spaces
// that some devices pad with are dropped.
func parseString(b []byte) (string, error) {
	if len(b) < 2 || b[1] != descriptorString {
		return "", fmt.Errorf("not a string descriptor: % x", b[:min(len(b), 2)])
	}
	n := min(int(b[0]), len(b)) // some devices claim more than they send
	var units []uint16
	for i := 2; i+1 < n; i += 2 {
		units = append(units, binary.LittleEndian.Uint16(b[i:]))
	}
	clean := strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, string(utf16.Decode(units)))
	return strings.TrimSpace(clean), nil
}

// ID makes a device's name of what stays the same when it is plugged in again:
// what it calls itself and, for one without serial number, the port.
func ID(s Strings, d Desc) string {
	last := s.Serial
	if last == "" {
		last = d.Port
	}
	name := s.Manufacturer + " " + s.Model
	if strings.TrimSpace(name) == "" {
		name = fmt.Sprintf("%04x %04x", d.Vendor, d.Product)
	}
	return Slug(name + " " + last)
}

// Slug keeps the letters and digits of s in lower case, with a hyphen for all
// that is between them.
func Slug(s string) string {
	fields := strings.FieldsFunc(strings.ToLower(s), func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < '0' || r > '9')
	})
	return strings.Join(fields, "-")
}

func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K {
	return slices.Sorted(maps.Keys(m))
}
