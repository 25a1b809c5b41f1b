package imaging

import (
	"encoding/binary"
	"fmt"
)

const pngSignature = "\x89PNG\r\n\x1a\n"

// Colour types of a PNG (ISO/IEC 15948 table 11.1).
const (
	pngGray      = 0
	pngColor     = 2
	pngPalette   = 3
	pngGrayAlpha = 4
	pngAlpha     = 6
)

// readPNG reads the chunks before the image data.
func readPNG(data []byte) (Header, error) {
	h := Header{Format: PNG}
	err := pngChunks(data, func(name string, body []byte) bool {
		switch name {
		case "IHDR":
			if len(body) != 13 {
				return false
			}
			h.Width = int(binary.BigEndian.Uint32(body))
			h.Height = int(binary.BigEndian.Uint32(body[4:]))
			h.Bits = int(body[8])
			switch body[9] {
			case pngGray, pngPalette:
				h.Samples = 1
			case pngGrayAlpha:
				h.Samples = 2
			case pngColor:
				h.Samples = 3
			case pngAlpha:
				h.Samples = 4
			}
			h.Plain = h.Bits == 8 && (body[9] == pngGray || body[9] == pngColor) && body[12] == 0
		case "pHYs":
			if len(body) == 9 && body[8] == 1 { // per metre
				h.XRes = float64(binary.BigEndian.Uint32(body)) * 0.0254
				h.YRes = float64(binary.BigEndian.Uint32(body[4:])) * 0.0254
			}
		case "tRNS":
			h.Plain = false
		case "IDAT":
			return false
		}
		return true
	})
	if err != nil {
		return h, err
	}
	h.Lines = h.Plain
	if h.Samples == 0 {
		return h, fmt.Errorf("%w: the PNG has no proper header", ErrDamaged)
	}
	return h, nil
}

// pngChunks calls do with every chunk until it returns false. A file that ends
// within a chunk is damaged, unless do wants no more than the beginning of the
// image data. Checksums are the decoder's business.
func pngChunks(data []byte, do func(name string, body []byte) bool) error {
	for data = data[len(pngSignature):]; len(data) > 0; {
		if len(data) < 12 {
			return fmt.Errorf("%w: the PNG is cut off", ErrDamaged)
		}
		n := uint64(binary.BigEndian.Uint32(data))
		name := string(data[4:8])
		if n+12 > uint64(len(data)) {
			if name == "IDAT" && !do(name, data[8:]) {
				return nil
			}
			return fmt.Errorf("%w: the PNG is cut off", ErrDamaged)
		}
		if !do(name, data[8:8+n]) || name == "IEND" {
			return nil
		}
		data = data[12+n:]
	}
	return fmt.Errorf("%w: the PNG has no end", ErrDamaged)
}

// PNGData gives the pieces of the compressed pixels of a whole PNG. Put
// together they are one zlib stream, as FlateDecode with predictor 15 takes it.
func PNGData(data []byte) ([][]byte, error) {
	var parts [][]byte
	err := pngChunks(data, func(name string, body []byte) bool {
		if name == "IDAT" {
			parts = append(parts, body)
		}
		return true
	})
	return parts, err
}
