package imaging

import (
	"fmt"
	"io"
)

// Embedded says in which form the data of an image stand in a PDF.
type Embedded struct {
	Filter        string // DCTDecode, FlateDecode or CCITTFaxDecode (K -1)
	Width, Height int
	Colors        int // components: 1 or 3
	Bits          int // per component
	Predictor     int // of FlateDecode: 15
	// BlackIs1 is that of CCITTFaxDecode. It is false: Leptonica codes black as
	// black, and the default of the filter turns that into 0, which is black in
	// DeviceGray.
	BlackIs1 bool
}

// PassThrough says how the file with header h stands in a PDF as it is, without
// being decoded. ok is false if it cannot.
func (h Header) PassThrough() (e Embedded, ok bool) {
	if h.Format != JPEG || !h.Plain {
		return Embedded{}, false
	}
	return Embedded{Filter: "DCTDecode", Width: h.Width, Height: h.Height, Colors: h.Samples, Bits: 8}, true
}

// jpegQuality is for JPEGs that have to be coded again: high enough that the
// second loss is not seen.
const jpegQuality = 92

// Embed writes the data of an image to w in the form in which a PDF takes them.
// p is the decoded image, at its full size; one that has lines needs none. What was JPEG stays JPEG, one bit a
// pixel becomes CCITT group 4, anything else is deflated: nothing is lost but
// alpha, which is laid on white, and the lower half of 16-bit samples.
func Embed(w io.Writer, data []byte, h Header, p *Pix) (Embedded, error) {
	if h.Lines {
		return h.embedLines(w, data)
	}
	e := Embedded{Width: p.Width(), Height: p.Height(), Colors: 1, Bits: 8}
	if p.Depth() == 32 {
		e.Colors = 3
	}
	var parts [][]byte
	switch {
	case h.Format == JPEG:
		e.Filter = "DCTDecode"
		file, err := p.EncodeJPEG(jpegQuality)
		if err != nil {
			return Embedded{}, err
		}
		parts = [][]byte{file}
	case p.Depth() == 1:
		e.Filter, e.Bits = "CCITTFaxDecode", 1
		file, err := p.encodeG4()
		if err != nil {
			return Embedded{}, err
		}
		d, err := readIFD(file)
		if err != nil {
			return Embedded{}, err
		}
		strip, err := d.strip()
		if err != nil {
			return Embedded{}, err
		}
		parts = [][]byte{strip}
	default:
		e.Filter, e.Predictor = "FlateDecode", 15
		file, err := p.encodePNG()
		if err != nil {
			return Embedded{}, err
		}
		if parts, err = PNGData(file); err != nil {
			return Embedded{}, err
		}
	}
	return e, writeParts(w, parts)
}

// embedLines is [Embed] for an image that has lines. The data of a PNG are taken as they are.
func (h Header) embedLines(w io.Writer, data []byte) (e Embedded, err error) {
	e = Embedded{Width: h.Width, Height: h.Height, Colors: h.Samples, Bits: 8, Filter: "FlateDecode", Predictor: 15}
	if h.Format == PNG {
		parts, err := PNGData(data)
		if err != nil {
			return Embedded{}, err
		}
		return e, writeParts(w, parts)
	}
	if e.Colors, err = h.deflate(w, data); err != nil {
		return Embedded{}, fmt.Errorf("write the image for the PDF: %w", err)
	}
	return e, nil
}

func writeParts(w io.Writer, parts [][]byte) error {
	for _, part := range parts {
		if _, err := w.Write(part); err != nil {
			return fmt.Errorf("write the image for the PDF: %w", err)
		}
	}
	return nil
}
