package imaging

import (
	"bytes"
	"encoding/binary"
	"fmt"
)

// JPEG markers (ITU-T T.81 table B.1).
const (
	markerSOF0  = 0xc0 // baseline
	markerSOF1  = 0xc1 // extended sequential
	markerSOF2  = 0xc2 // progressive
	markerDHT   = 0xc4
	markerJPG   = 0xc8
	markerDAC   = 0xcc
	markerRST0  = 0xd0
	markerEOI   = 0xd9
	markerSOS   = 0xda
	markerAPP0  = 0xe0
	markerAPP1  = 0xe1
	markerAPP14 = 0xee
)

// readJPEG walks the segments up to the frame header.
func readJPEG(data []byte) (Header, error) {
	h := Header{Format: JPEG}
	var jfif, adobe bool
	var transform byte
	for rest := data[2:]; ; {
		marker, body, next, ok := jpegSegment(rest)
		if !ok {
			return h, fmt.Errorf("%w: the JPEG ends before its frame header", ErrDamaged)
		}
		rest = next
		switch {
		case marker == markerAPP0 && len(body) >= 12 && bytes.HasPrefix(body, []byte("JFIF\x00")):
			jfif = true
			h.XRes, h.YRes = jfifResolution(body)
		case marker == markerAPP1 && bytes.HasPrefix(body, []byte("Exif\x00\x00")):
			if exif, err := readIFD(body[6:]); err == nil {
				h.Turn, h.Mirrored = exif.turn()
				if h.XRes == 0 {
					h.XRes, h.YRes = exif.resolution()
				}
			}
		case marker == markerAPP14 && len(body) >= 12 && bytes.HasPrefix(body, []byte("Adobe")):
			adobe, transform = true, body[11]
		case marker >= markerSOF0 && marker < markerRST0 && marker != markerDHT && marker != markerJPG && marker != markerDAC:
			if len(body) < 6 || len(body) < 6+3*int(body[5]) {
				return h, fmt.Errorf("%w: the JPEG's frame header is too short", ErrDamaged)
			}
			h.Bits = int(body[0])
			h.Height = int(binary.BigEndian.Uint16(body[1:]))
			h.Width = int(binary.BigEndian.Uint16(body[3:]))
			h.Samples = int(body[5])
			// Without JFIF or Adobe segment, libjpeg takes components called R, G
			// and B to be just that, other decoders take them for YCbCr.
			rgb := h.Samples == 3 && body[6] == 'R' && body[9] == 'G' && body[12] == 'B'
			h.Plain = !h.Mirrored && marker <= markerSOF2 && h.Bits == 8 &&
				(h.Samples == 1 || h.Samples == 3 && (jfif || adobe || !rgb) && (!adobe || transform <= 1))
			return h, nil
		case marker == markerSOS || marker == markerEOI:
			return h, fmt.Errorf("%w: the JPEG has no frame header", ErrDamaged)
		}
	}
}

// jpegSegment splits off the next segment of data. Markers without a body
// between segments, and fill bytes before them, are passed over.
func jpegSegment(data []byte) (marker byte, body, rest []byte, ok bool) {
	for len(data) >= 2 {
		if data[0] != 0xff {
			return 0, nil, nil, false
		}
		marker = data[1]
		switch {
		case marker == 0xff: // fill byte
			data = data[1:]
			continue
		case marker == 0x01 || marker >= markerRST0 && marker < markerEOI: // TEM, RSTn, SOI
			data = data[2:]
			continue
		case marker == markerEOI:
			return marker, nil, nil, true
		}
		if len(data) < 4 {
			return 0, nil, nil, false
		}
		n := int(binary.BigEndian.Uint16(data[2:]))
		if n < 2 || 2+n > len(data) {
			return 0, nil, nil, false
		}
		return marker, data[4 : 2+n], data[2+n:], true
	}
	return 0, nil, nil, false
}

// jfifResolution reads the density of an APP0 segment in dots per inch. Units
// of 0 mean that it is only an aspect ratio.
func jfifResolution(body []byte) (x, y float64) {
	x = float64(binary.BigEndian.Uint16(body[8:]))
	y = float64(binary.BigEndian.Uint16(body[10:]))
	switch body[7] {
	case 1:
		return x, y
	case 2:
		return x * 2.54, y * 2.54
	}
	return 0, 0
}
