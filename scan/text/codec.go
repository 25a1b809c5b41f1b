package text

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"

	"github.com/klauspost/compress/gzip"
)

// MediaType is that of a page written by Write.
const MediaType = "application/vnd.docscan.text+json+gzip"

// maxBytes bounds what Read unpacks. A dense broadsheet page of 20,000 words
// takes about 4 MB.
const maxBytes = 64 << 20

// Write writes p as gzipped JSON. What Findable gives stands before it as it is, in an
// extra field of gzip's header (RFC 1952, 2.3.1.1), which readers that do not know it
// leave out: a search reads it alone, in a small part of the time.
func Write(w io.Writer, p *Page) error {
	z := gzip.NewWriter(w)
	z.Extra = findableField(p.Findable())
	versioned := *p
	versioned.Version = 1
	err := json.NewEncoder(z).Encode(&versioned)
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
func findableField(s string) []byte {
	if fieldHead+len(s) > math.MaxUint16 {
		return nil
	}
	return append(binary.LittleEndian.AppendUint16([]byte(fieldName), uint16(len(s))), s...)
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
	begin := make([]byte, 4096) // has the field of most pages
	n, err := io.ReadAtLeast(r, begin, gzipHead)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return "", fmt.Errorf("read page text: %w", err)
	}
	begin = begin[:n]
	if err == nil && begin[flagByte]&hasExtra != 0 {
		end := gzipHead + int(binary.LittleEndian.Uint16(begin[gzipHead-2:]))
		if end > n {
			begin = slices.Grow(begin, end-n)[:end]
			if _, err := io.ReadFull(r, begin[n:]); err != nil {
				return "", fmt.Errorf("read page text: %w", err)
			}
		}
		field := begin[gzipHead:end]
		if len(field) >= fieldHead && string(field[:len(fieldName)]) == fieldName {
			return string(field[fieldHead:]), nil
		}
	}
	p, err := Read(io.MultiReader(bytes.NewReader(begin), r))
	if err != nil {
		return "", err
	}
	return p.Findable(), nil
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
