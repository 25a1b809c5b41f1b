package text

import (
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
)

// MediaType is that of a page written by Write.
const MediaType = "application/vnd.docscan.text+json+gzip"

// maxBytes bounds what Read unpacks. A dense broadsheet page of 20,000 words
// takes about 4 MB.
const maxBytes = 64 << 20

// Write writes p as gzipped JSON.
func Write(w io.Writer, p *Page) error {
	z := gzip.NewWriter(w)
	versioned := *p
	versioned.Version = 1
	if err := json.NewEncoder(z).Encode(&versioned); err != nil {
		return fmt.Errorf("write page text: %w", err)
	}
	if err := z.Close(); err != nil {
		return fmt.Errorf("write page text: %w", err)
	}
	return nil
}

// Read reads what Write wrote. It refuses a newer version of the format and
// more than 64 MiB of JSON.
func Read(r io.Reader) (*Page, error) {
	z, err := gzip.NewReader(r)
	if err != nil {
		return nil, fmt.Errorf("read page text: %w", err)
	}
	var p Page
	if err := json.NewDecoder(io.LimitReader(z, maxBytes)).Decode(&p); err != nil {
		return nil, fmt.Errorf("read page text: %w", err)
	}
	if p.Version != 1 {
		return nil, fmt.Errorf("read page text: version %d is not known", p.Version)
	}
	return &p, nil
}
