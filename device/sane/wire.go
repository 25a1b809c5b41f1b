package sane

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"

	"docscan/device/confine"
)

// A frame is what goes over the pipes to a helper and back: the length of the
// head and that of the body in four bytes each, big-endian, then the head, which
// is JSON, and the body, which is bytes of an image.
const (
	maxHead = 1 << 20 // the options of the largest backend take 60 KB
	maxBody = 256 << 10
)

// What a helper is asked to do.
const (
	opList    = "list"    // all devices
	opOpen    = "open"    // Name; gives Options
	opSet     = "set"     // Option, Value; gives Options if others changed too
	opGet     = "get"     // Indices, after pressing Option if it is not 0; gives Values
	opStart   = "start"   // the next frame; gives Parameters
	opRead    = "read"    // gives a body; statusEOF after the last bytes of a frame
	opCancel  = "cancel"  // end the scan, or forget the rest of the batch
	opOptions = "options" // gives Options
)

// request is the head of a frame to a helper.
type request struct {
	Op      string  `json:"op"`
	Name    string  `json:"name,omitempty"`
	Option  int32   `json:"option,omitempty"`
	Value   value   `json:"value"`
	Indices []int32 `json:"indices,omitempty"`
}

// answer is the head of a frame from a helper.
type answer struct {
	Missing    string          `json:"missing,omitempty"` // why there is no libsane
	Status     status          `json:"status,omitempty"`
	Devices    []listed        `json:"devices,omitempty"`
	Options    []option        `json:"options,omitempty"`
	Values     []value         `json:"values,omitempty"`
	Parameters *parameters     `json:"parameters,omitempty"`
	Rights     *confine.Rights `json:"rights,omitempty"` // only in the first frame of a helper
}

// listed is a device as the backends list it.
type listed struct {
	Name   string `json:"name"` // backend, colon, and what the backend calls it
	Vendor string `json:"vendor"`
	Model  string `json:"model"`
	Kind   string `json:"kind"` // such as "flatbed scanner"
}

// value is that of one option: a word, or text if the option is a string.
type value struct {
	Word int32  `json:"word,omitempty"`
	Text string `json:"text,omitempty"`
}

// parameters is SANE_Parameters: what the frame that was started looks like.
type parameters struct {
	Format frameFormat `json:"format"`
	Last   bool        `json:"last"`
	Bytes  int32       `json:"bytes"`  // of one line
	Pixels int32       `json:"pixels"` // of one line
	Lines  int32       `json:"lines"`  // -1: nobody knows before the end
	Depth  int32       `json:"depth"`  // bits of a sample: 1, 8 or 16
}

// Bounds on what a helper may say. No backend comes near them.
const (
	maxDevices    = 200
	maxOptions    = 1000
	maxValues     = 2000 // that an option can be set to
	maxText       = 1000 // bytes
	maxValueBytes = 64 << 10
)

// errFrame marks a frame that no sound process sends.
var errFrame = errors.New("the answer makes no sense")

// writeFrame writes one frame.
func writeFrame(w io.Writer, head any, body []byte) error {
	h, err := json.Marshal(head)
	if err != nil {
		return fmt.Errorf("write a frame: %w", err)
	}
	if len(h) > maxHead || len(body) > maxBody {
		return fmt.Errorf("write a frame: it has a head of %d bytes and a body of %d", len(h), len(body))
	}
	b := make([]byte, 0, 8+len(h)+len(body))
	b = binary.BigEndian.AppendUint32(b, uint32(len(h)))
	b = binary.BigEndian.AppendUint32(b, uint32(len(body)))
	b = append(append(b, h...), body...)
	if _, err := w.Write(b); err != nil {
		return fmt.Errorf("write a frame: %w", err)
	}
	return nil
}

// readFrame reads one frame: its head into head, its body into the front of
// buf, which must have room for the largest. An error of r comes back as it is.
func readFrame(r io.Reader, head any, buf []byte) (body []byte, err error) {
	var sizes [8]byte
	if _, err := io.ReadFull(r, sizes[:]); err != nil {
		return nil, err
	}
	h, b := binary.BigEndian.Uint32(sizes[:]), binary.BigEndian.Uint32(sizes[4:])
	if h > maxHead || b > maxBody || int(b) > len(buf) {
		return nil, fmt.Errorf("%w: a frame with a head of %d bytes and a body of %d", errFrame, h, b)
	}
	text := make([]byte, h)
	if _, err := io.ReadFull(r, text); err != nil {
		return nil, notProper(err)
	}
	body = buf[:b]
	if _, err := io.ReadFull(r, body); err != nil {
		return nil, notProper(err)
	}
	if err := json.Unmarshal(text, head); err != nil {
		return nil, fmt.Errorf("%w: %w", errFrame, err)
	}
	return body, nil
}

// notProper makes an end within a frame differ from one between two.
func notProper(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// check says what cannot be in an answer. Options that make no sense are no
// reason to refuse the others: see usable.
func (a *answer) check() error {
	switch {
	case len(a.Devices) > maxDevices || len(a.Options) > maxOptions || len(a.Values) > maxOptions:
		return fmt.Errorf("%w: %d devices, %d options, %d values", errFrame, len(a.Devices), len(a.Options), len(a.Values))
	case a.Parameters != nil:
		return a.Parameters.check()
	}
	for _, d := range a.Devices {
		for _, s := range []string{d.Name, d.Vendor, d.Model, d.Kind} {
			if len(s) > maxText || !utf8.ValidString(s) {
				return fmt.Errorf("%w: a device called %.50q", errFrame, s)
			}
		}
	}
	return nil
}

// check says what no scanner can mean.
func (p *parameters) check() error {
	samples := int64(1)
	if p.Format == frameRGB {
		samples = 3
	}
	switch {
	case p.Format < frameGray || p.Format > frameBlue:
		return fmt.Errorf("%w: frame format %d", errFrame, p.Format)
	case p.Depth != 1 && p.Depth != 8 && p.Depth != 16:
		return fmt.Errorf("%w: samples of %d bits", errFrame, p.Depth)
	case p.Pixels < 1 || p.Pixels > 1<<16 || p.Lines < -1 || p.Lines == 0 || p.Lines > 1<<20:
		return fmt.Errorf("%w: image of %d by %d pixels", errFrame, p.Pixels, p.Lines)
	case int64(p.Bytes) < samples*((int64(p.Pixels)*int64(p.Depth)+7)/8) || p.Bytes > 1<<20:
		return fmt.Errorf("%w: lines of %d bytes for %d pixels of %d bits", errFrame, p.Bytes, p.Pixels, p.Depth)
	}
	return nil
}
