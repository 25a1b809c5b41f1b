package fujitsu

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
)

// Lengths of what INQUIRY gives. The vital page is as long as the newest
// machines have it; older ones give less.
const (
	inquirySize = 96
	vitalSize   = 0xcc
	vitalPage   = 0xf0
)

// inquiry is who a machine says it is.
type inquiry struct {
	vendor, product, firmware string
}

// parseInquiry reads the standard answer.
func parseInquiry(b []byte) (inquiry, error) {
	if len(b) < 36 {
		return inquiry{}, fmt.Errorf("%w: inquiry of %d bytes", errStep, len(b))
	}
	if kind := b[0] & 0x1f; kind != 6 {
		return inquiry{}, fmt.Errorf("inquiry: device of type %d, which is no scanner", kind)
	}
	return inquiry{vendor: text(b[8:16]), product: text(b[16:32]), firmware: text(b[32:36])}, nil
}

// text is what is readable of a padded field.
func text(b []byte) string {
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return -1
		}
		return r
	}, string(b)))
}

// vital is what the vital page says that we use. Lengths are in 1/1200 inch.
type vital struct {
	minDPI, maxDPI      int
	anyDPI              bool  // any resolution between them
	dpi                 []int // rising; empty if anyDPI
	width, length       int   // of the largest window
	binary, gray, color bool
	feeder, flatbed     bool
	duplex              bool
	thickness           bool // it detects double feeds
	protects            bool // it stops when paper jams by the noise of it
	scannerControl      bool
	hardwareStatus      bool
	diagnostics         bool
	lookUp              bool // its tone curve must be sent
	wide                bool // it wants 1024 entries in the look-up table
	jpeg, grayJPEG      bool
	staples             bool // it detects staples
	halts               bool // it can stop feeding and keep what it has taken
}

// standardDPI are the resolutions that bytes 12 and 13 have a bit for.
func standardDPI() []int {
	return []int{60, 75, 100, 120, 150, 160, 180, 200, 240, 300, 320, 400, 480, 600, 800, 1200}
}

// parseVital reads the vital page. What an older machine does not give, it does
// not have.
func parseVital(b []byte) (vital, error) {
	const least = 0x5f + 4
	if len(b) < 5 {
		return vital{}, fmt.Errorf("%w: vital page of %d bytes", errStep, len(b))
	}
	// Byte 4 says how much follows. Many say 5f and give four more, and bit 0
	// of byte 59 says that all up to 6f is good.
	end := int(b[4]) + 5
	if b[4] == 0x5f {
		end = 0x5f + 4 + 5
	}
	if len(b) > 0x59 && b[0x59]&1 != 0 {
		end = max(end, 0x70)
	}
	if end < least || len(b) < least {
		return vital{}, fmt.Errorf("vital page of %d bytes, which says %d: too little to know the machine by", len(b), b[4])
	}
	p := make([]byte, vitalSize)
	copy(p, b[:min(end, len(b))])
	bit := func(at int, n uint) bool { return p[at]>>n&1 != 0 }
	v := vital{
		maxDPI: int(binary.BigEndian.Uint16(p[0x0a:])), minDPI: int(binary.BigEndian.Uint16(p[0x0e:])),
		anyDPI: bit(0x09, 0) && bit(0x09, 4),
		binary: bit(0x1c, 1), gray: bit(0x1c, 3), color: bit(0x1c, 7),
		feeder: bit(0x20, 7), flatbed: bit(0x20, 6), duplex: bit(0x20, 4),
		thickness: bit(0x21, 5), protects: bit(0x21, 4), wide: p[0x21]&0xf > 8,
		scannerControl: bit(0x31, 1), hardwareStatus: bit(0x2b, 2), diagnostics: bit(0x28, 1) && bit(0x28, 2),
		lookUp: p[0x57]>>4 == 0 && p[0x57]&0xf != 0,
		jpeg:   bit(0x5a, 3), grayJPEG: bit(0x5a, 3) && p[0x5b]>>6 == 3,
		staples: bit(0x70, 4), halts: bit(0x7a, 7),
	}
	basicX, basicY := int(binary.BigEndian.Uint16(p[0x05:])), int(binary.BigEndian.Uint16(p[0x07:]))
	width, length := int64(binary.BigEndian.Uint32(p[0x14:])), int64(binary.BigEndian.Uint32(p[0x18:]))
	v.maxDPI = min(v.maxDPI, int(binary.BigEndian.Uint16(p[0x0c:])))
	v.minDPI = max(v.minDPI, int(binary.BigEndian.Uint16(p[0x10:])), 1)
	const longest = 1 << 20 // 22 m
	switch {
	case basicX == 0 || basicY == 0 || width == 0 || length == 0 || width > longest || length > longest:
		return vital{}, fmt.Errorf("vital page: a window of %d by %d at %d by %d dpi makes no sense", width, length, basicX, basicY)
	case v.maxDPI < v.minDPI || v.maxDPI > 4800:
		return vital{}, fmt.Errorf("vital page: %d to %d dpi makes no sense", v.minDPI, v.maxDPI)
	case !v.binary && !v.gray && !v.color || !v.feeder && !v.flatbed:
		return vital{}, fmt.Errorf("vital page: it knows no mode or has no source of paper")
	}
	v.width, v.length = int(width)*1200/basicX, int(length)*1200/basicY
	if v.width > longest || v.length > longest {
		return vital{}, fmt.Errorf("vital page: a window of %d by %d units makes no sense", v.width, v.length)
	}
	if !v.anyDPI {
		for i, dpi := range standardDPI() {
			if bit(0x12+i/8, uint(7-i%8)) && dpi >= v.minDPI && dpi <= v.maxDPI {
				v.dpi = append(v.dpi, dpi)
			}
		}
		if len(v.dpi) == 0 {
			return vital{}, fmt.Errorf("vital page: it knows no resolution")
		}
	}
	return v, nil
}

// resolutions are those that are offered.
func (v *vital) resolutions() []int {
	if !v.anyDPI {
		return slices.Clone(v.dpi)
	}
	var list []int
	for _, dpi := range []int{75, 100, 150, 200, 240, 300, 400, 600, 1200} {
		if dpi >= v.minDPI && dpi <= v.maxDPI {
			list = append(list, dpi)
		}
	}
	if len(list) == 0 {
		list = []int{v.maxDPI}
	}
	return list
}

// nearest gives the resolution that comes next to the one wanted.
func (v *vital) nearest(dpi int) int {
	if v.anyDPI {
		return min(max(dpi, v.minDPI), v.maxDPI)
	}
	best := v.dpi[0]
	for _, d := range v.dpi {
		if max(d-dpi, dpi-d) < max(best-dpi, dpi-best) {
			best = d
		}
	}
	return best
}
