package text

import (
	"encoding/json"
	"fmt"
	"io"

	"github.com/klauspost/compress/gzip"
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
	var p Page
	if err := read(r, &p); err != nil {
		return nil, err
	}
	return &p, check(p.Version)
}

// ReadFindable gives what Findable gives of the page that Read reads. It does not look
// at where the words stand, which takes half the time: a search asks it for each
// document that it shows.
func ReadFindable(r io.Reader) (string, error) {
	var words struct {
		Version int
		Lines   []struct {
			Paragraph int
			Words     []struct{ Text string }
		}
		Codes []struct{ Kind, Text string }
	}
	if err := read(r, &words); err != nil {
		return "", err
	}
	var p Page
	for _, l := range words.Lines {
		line := Line{Paragraph: l.Paragraph}
		for _, w := range l.Words {
			line.Words = append(line.Words, Word{Text: w.Text})
		}
		p.Lines = append(p.Lines, line)
	}
	for _, c := range words.Codes {
		p.Codes = append(p.Codes, Code{Kind: c.Kind, Text: c.Text})
	}
	return p.Findable(), check(words.Version)
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
