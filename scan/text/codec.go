package text

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"sync"

	"github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/gzip"
)

// MediaType is that of a page written by Write.
const MediaType = "application/vnd.docscan.text+json+gzip"

// maxBytes bounds what Read unpacks. A dense broadsheet page of 20,000 words
// takes about 4 MB.
const maxBytes = 64 << 20

// Write writes p as gzipped JSON. What Findable gives stands before it, deflated, in
// an extra field of gzip's header (RFC 1952, 2.3.1.1), which readers that do not know
// it leave out: a search reads it alone, in a tenth of the time.
func Write(w io.Writer, p *Page) error {
	z := gzip.NewWriter(w)
	versioned := *p
	versioned.Version = 1
	var err error
	if z.Extra, err = findableField(p.Findable()); err == nil {
		err = json.NewEncoder(z).Encode(&versioned)
	}
	if err == nil {
		err = z.Close()
	}
	if err != nil {
		return fmt.Errorf("write page text: %w", err)
	}
	return nil
}

// fieldName is that of the extra field, and fieldHead how long it is with the length of
// what follows.
const (
	fieldName = "DT"
	fieldHead = len(fieldName) + 2
)

// findableField makes the extra field. It is empty if there is no room for it.
func findableField(s string) ([]byte, error) {
	var b bytes.Buffer
	b.WriteString(fieldName + "\x00\x00")
	z, err := flate.NewWriter(&b, flate.DefaultCompression)
	if err == nil {
		_, err = io.WriteString(z, s)
	}
	if err == nil {
		err = z.Close()
	}
	if err != nil || b.Len() > math.MaxUint16 {
		return nil, err
	}
	field := b.Bytes()
	binary.LittleEndian.PutUint16(field[len(fieldName):], uint16(len(field)-fieldHead))
	return field, nil
}

// Read reads what Write wrote. It refuses a newer version of the format and
// more than 64 MiB of JSON.
func Read(r io.Reader) (*Page, error) {
	var p Page
	if err := read(r, &p); err != nil {
		return nil, err
	}
	return &p, check(p.Version)
}

// gzipHead is how long gzip's header is with the length of its extra fields, and
// hasExtra the bit that says there are some.
const (
	gzipHead = 12
	flagByte = 3
	hasExtra = 4
)

// ReadFindable gives what Findable gives of the page that Read reads: a search asks it
// for each document that it shows, and for many of those it looks at.
func ReadFindable(r io.Reader) (string, error) {
	head := make([]byte, gzipHead, 4096)
	n, err := io.ReadFull(r, head)
	if err == nil && head[flagByte]&hasExtra != 0 {
		field := make([]byte, binary.LittleEndian.Uint16(head[gzipHead-2:]))
		if _, err := io.ReadFull(r, field); err != nil {
			return "", fmt.Errorf("read page text: %w", err)
		}
		if len(field) >= fieldHead && string(field[:len(fieldName)]) == fieldName {
			return inflate(field[fieldHead:])
		}
		head = append(head, field...)
		n = len(head)
	}
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return "", fmt.Errorf("read page text: %w", err)
	}
	var p Page
	if err := read(io.MultiReader(bytes.NewReader(head[:n]), r), &p); err != nil {
		return "", err
	}
	return p.Findable(), check(p.Version)
}

// inflaters are readers of deflated bytes that were used: a new one is much to make.
var inflaters = sync.Pool{New: func() any { return flate.NewReader(bytes.NewReader(nil)) }}

func inflate(b []byte) (string, error) {
	z := inflaters.Get().(io.ReadCloser)
	defer inflaters.Put(z)
	err := z.(flate.Resetter).Reset(bytes.NewReader(b), nil)
	var text []byte
	if err == nil {
		text, err = io.ReadAll(io.LimitReader(z, maxBytes))
	}
	if err != nil {
		return "", fmt.Errorf("read page text: %w", err)
	}
	return string(text), nil
}

func read(r io.Reader, v any) error {
	z, err := gzip.NewReader(r)
	if err == nil {
		err = json.NewDecoder(io.LimitReader(z, maxBytes)).Decode(v)
	}
	if err != nil {
		return fmt.Errorf("read page text: %w", err)
	}
	return nil
}

func check(version int) error {
	if version != 1 {
		return fmt.Errorf("read page text: version %d is not known", version)
	}
	return nil
}
