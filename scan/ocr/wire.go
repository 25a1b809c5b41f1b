package ocr

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"time"
	"unicode"
	"unicode/utf8"

	"docscan/scan/imaging"
	"docscan/scan/text"
)

// A request goes to a worker as one packet of JSON on its standard input, a
// SOCK_SEQPACKET socket. Open files go with it, because a worker can open none:
// first the image to read, then the files to write, in the order of the
// constants below.
type request struct {
	Kind       string      `json:"kind"`
	MaxPixels  int64       `json:"max_pixels"`
	Resolution int         `json:"resolution,omitempty"` // of a PrepareJob
	DPI        int         `json:"dpi,omitempty"`        // of a RecognizeJob or CompactJob
	Languages  []string    `json:"languages,omitempty"`  // of a RecognizeJob
	Turned     bool        `json:"turned,omitempty"`     // of a RecognizeJob
	Blank      Blank       `json:"blank,omitempty"`      // of a RecognizeJob
	Leave      []Step      `json:"leave,omitempty"`      // of a RecognizeJob and a CompactJob
	Separators []Separator `json:"separators,omitempty"` // of a RecognizeJob
	CodesOnly  bool        `json:"codes_only,omitempty"` // of a RecognizeJob
	Size       Size        `json:"size,omitempty"`       // of a CompactJob
	Turn       float64     `json:"turn,omitempty"`       // of a CompactJob
	Shine      float64     `json:"shine,omitempty"`      // of a CompactJob
	Negative   bool        `json:"negative,omitempty"`   // of a CompactJob
	Holes      []Hole      `json:"holes,omitempty"`      // of a CompactJob
	Doubtful   [][4]int    `json:"doubtful,omitempty"`   // of a CompactJob: left, top, right and bottom
	Sheet      [][4]int    `json:"sheet,omitempty"`      // of a CompactJob, one or none
}

// The kinds of requests.
const (
	kindPrepare   = "prepare"
	kindRecognize = "recognize"
	kindCompact   = "compact"
)

// The files of a request, by their place.
const (
	fileImage = iota
	fileView
	fileThumb
	filePDF // only of a PrepareJob
	maxFiles
)

// maxRequest bounds a request in bytes.
const maxRequest = 16 << 10

// An answer comes back on the worker's standard output as a frame: the length
// in four bytes, big-endian, then that many bytes of JSON.
type answer struct {
	Failure    *failure    `json:"failure,omitempty"`
	Prepared   *prepared   `json:"prepared,omitempty"`
	Recognized *recognized `json:"recognized,omitempty"`
	// CPU is what the request took in the worker.
	CPU       time.Duration `json:"cpu"`
	Compacted *compacted    `json:"compacted,omitempty"`
}

// A failure is a job that came to nothing while the worker lives on.
type failure struct {
	Kind string `json:"kind"` // image, memory or other
	Text string `json:"text"`
}

// The kinds of failures.
const (
	failedImage  = "image"
	failedMemory = "memory"
	failedOther  = "other"
)

type prepared struct {
	Format  imaging.Format   `json:"format"`
	Width   int              `json:"width"`
	Height  int              `json:"height"`
	DPI     int              `json:"dpi"`
	Damaged bool             `json:"damaged"`
	AsIs    bool             `json:"as_is"` // the PDF takes the file itself
	Image   imaging.Embedded `json:"image"`
}

type recognized struct {
	Text     text.Page `json:"text"`
	Blank    bool      `json:"blank,omitempty"`
	Shine    float64   `json:"shine,omitempty"`
	Negative bool      `json:"negative,omitempty"`
	Holes    []Hole    `json:"holes,omitempty"`
}

// maxAnswer bounds an answer in bytes. The text of a page of small print is
// about 300 KB.
const maxAnswer = 16 << 20

// writeFrame writes v as one frame.
func writeFrame(w io.Writer, v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("write an answer: %w", err)
	}
	if len(body) > maxAnswer {
		return fmt.Errorf("write an answer: it has %d bytes, more than %d", len(body), maxAnswer)
	}
	frame := binary.BigEndian.AppendUint32(make([]byte, 0, 4+len(body)), uint32(len(body)))
	if _, err := w.Write(append(frame, body...)); err != nil {
		return fmt.Errorf("write an answer: %w", err)
	}
	return nil
}

// readFrame reads one frame into v. An error of r comes back as it is.
func readFrame(r io.Reader, v any) error {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return err
	}
	n := binary.BigEndian.Uint32(head[:])
	if n > maxAnswer {
		return fmt.Errorf("%w: a frame of %d bytes", errAnswer, n)
	}
	body := make([]byte, n)
	if _, err := io.ReadFull(r, body); err != nil {
		return err
	}
	if err := json.Unmarshal(body, v); err != nil {
		return fmt.Errorf("%w: %w", errAnswer, err)
	}
	return nil
}

// errAnswer marks an answer that no sound worker gives.
var errAnswer = errors.New("the answer makes no sense")

// check says what cannot be in p.
func (p *prepared) check(maxPixels int64) error {
	e := p.Image
	switch {
	case p.Format != imaging.JPEG && p.Format != imaging.PNG && p.Format != imaging.TIFF:
		return fmt.Errorf("%w: format %q", errAnswer, p.Format)
	case p.Width < 1 || p.Height < 1 || p.Width > maxPixelSide || p.Height > maxPixelSide ||
		int64(p.Width)*int64(p.Height) > maxPixels:
		return fmt.Errorf("%w: an image of %d x %d pixels", errAnswer, p.Width, p.Height)
	case p.DPI < imaging.MinDPI || p.DPI > imaging.MaxDPI:
		return fmt.Errorf("%w: %d dpi", errAnswer, p.DPI)
	case e.Width != p.Width || e.Height != p.Height || e.Colors != 1 && e.Colors != 3:
		return fmt.Errorf("%w: image %+v", errAnswer, e)
	case p.AsIs && e.Filter != "DCTDecode":
		return fmt.Errorf("%w: a file with filter %s used as it is", errAnswer, e.Filter)
	}
	switch {
	case e.Filter == "DCTDecode" && e.Bits == 8 && e.Predictor == 0:
	case e.Filter == "FlateDecode" && e.Bits == 8 && e.Predictor == 15:
	case e.Filter == "CCITTFaxDecode" && e.Bits == 1 && e.Colors == 1 && e.Predictor == 0:
	default:
		return fmt.Errorf("%w: image %+v", errAnswer, e)
	}
	return nil
}

// Bounds on what a page can hold.
const (
	maxPixelSide = 65535
	maxWords     = 100_000
	maxWordBytes = 1024
	maxHoles     = 100
)

// check says what cannot be in the text of a page.
func (r *recognized) check(maxPixels int64) error {
	p := &r.Text
	switch {
	case p.Width < 1 || p.Height < 1 || p.Width > maxPixelSide || p.Height > maxPixelSide ||
		int64(p.Width)*int64(p.Height) > maxPixels:
		return fmt.Errorf("%w: an image of %d x %d pixels", errAnswer, p.Width, p.Height)
	case p.DPI < imaging.MinDPI || p.DPI > imaging.MaxDPI:
		return fmt.Errorf("%w: %d dpi", errAnswer, p.DPI)
	case p.Rotate != 0 && p.Rotate != 90 && p.Rotate != 180 && p.Rotate != 270:
		return fmt.Errorf("%w: a turn by %d degrees", errAnswer, p.Rotate)
	case p.Sheet != nil && (!within(p.Sheet.X, 0, float64(p.Width)) || !within(p.Sheet.Y, 0, float64(p.Height)) ||
		!within(p.Sheet.Width, 1, float64(p.Width)-p.Sheet.X+1) || !within(p.Sheet.Height, 1, float64(p.Height)-p.Sheet.Y+1)):
		return fmt.Errorf("%w: a sheet at %+v", errAnswer, *p.Sheet)
	case len(r.Holes) > maxHoles || slices.ContainsFunc(r.Holes, func(h Hole) bool {
		return !within(h.X, 0, maxPixelSide) || !within(h.Y, 0, maxPixelSide) || !within(h.R, 0, maxPixelSide)
	}):
		return fmt.Errorf("%w: holes at %v", errAnswer, r.Holes)
	case !within(r.Shine, 0, 1):
		return fmt.Errorf("%w: a shine of %g", errAnswer, r.Shine)
	case !within(p.Skew, -45, 45) || !within(p.Confidence, 0, 100):
		return fmt.Errorf("%w: skew %g, confidence %g", errAnswer, p.Skew, p.Confidence)
	}
	// The text may reach over the edge where the sheet was fed askew.
	side := float64(2 * max(p.Width, p.Height))
	if err := checkCodes(p.Codes, side); err != nil {
		return err
	}
	words := 0
	for _, l := range p.Lines {
		if words += len(l.Words); words > maxWords || len(l.Words) == 0 || l.Paragraph < 0 || l.Paragraph > maxWords {
			return fmt.Errorf("%w: line of %d words in paragraph %d", errAnswer, len(l.Words), l.Paragraph)
		}
		for _, w := range l.Words {
			if !proper(w.Text) {
				return fmt.Errorf("%w: word %q", errAnswer, w.Text)
			}
			if !within(w.X, -side, side) || !within(w.Y, -side, side) || !within(w.Width, 0, side) || !within(w.Height, 0, side) ||
				!within(w.Descent, 0, w.Height) || !within(w.Angle, -180, 180) || !within(w.Confidence, 0, 100) {
				return fmt.Errorf("%w: word at %+v", errAnswer, w)
			}
		}
	}
	return nil
}

// within reports whether low <= v <= high. NaN is nowhere.
func within(v, low, high float64) bool {
	return !math.IsNaN(v) && v >= low && v <= high
}

// proper reports whether s can be a word: short, valid, and without control
// characters or white space.
func proper(s string) bool {
	if s == "" || len(s) > maxWordBytes || !utf8.ValidString(s) {
		return false
	}
	for _, r := range s {
		if unicode.IsControl(r) || unicode.IsSpace(r) || r == utf8.RuneError {
			return false
		}
	}
	return true
}
