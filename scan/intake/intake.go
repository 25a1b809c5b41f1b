// Package intake takes uploaded files apart into sides, as a feeder does with a
// stack of paper.
//
// A [File] is a PDF, a TIFF with one or more images, a JPEG or a PNG; what it is
// its content says, never its name. PDF and TIFF are read by Debian's
// poppler-utils and libtiff-tools. Both parse bytes of strangers in C, so each
// command runs for one page only, in a process without network that sees its
// input and one folder, with bounds on memory, time and output ([Main]). Only the
// directories of a TIFF are read here, and an image of it that is JPEG is copied
// here as it is.
//
// A PDF's page becomes a picture. Words that stand in the file already come with
// it, unless they are worthless. Nothing is stored here; that is package scan's
// business.
package intake

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"docscan/scan/imaging"
	"docscan/scan/refusal"
	"docscan/scan/text"
)

// Why a file is refused. The text of errors that wrap these is fit for people.
var (
	ErrEmpty     = errors.New("the file is empty")
	ErrKind      = errors.New("this kind of file is not known; PDF, TIFF, JPEG and PNG are")
	ErrEncrypted = errors.New("the PDF is protected by a password; save it without one and send it again")
	ErrDamaged   = errors.New("the file is damaged and cannot be opened")
	ErrPages     = errors.New("the file has too many pages")
	ErrSize      = errors.New("the image has no size, or one that no image has")
	ErrCutOff    = errors.New("it is cut off, and what came after these pages is missing")
	ErrTools     = errors.New("a program that reads such files is not installed")
)

// Kind is what a file is, as a media type.
type Kind string

// The kinds of files that are taken.
const (
	PDF  Kind = "application/pdf"
	TIFF Kind = "image/tiff"
	JPEG Kind = "image/jpeg"
	PNG  Kind = "image/png"
)

// Config bounds what one command may take.
type Config struct {
	Exe         string // this program, for Main
	MemoryMB    int    // memory of a command
	PageSeconds int    // time of a command
	MaxPages    int    // of one file
	MaxPixels   int64  // of one page
}

// mostClaimed is how many pixels an image may claim to have. One that is larger than
// [Config.MaxPixels] is kept as it came and not read; beyond this it is an attack: A0 at 600 dpi
// has 560 million.
const mostClaimed int64 = 1_000_000_000

// errClaims refuses a file of one image that claims more, or nothing.
var errClaims = refusal.New(ErrSize, "By its own word the image has no size, or more than %d million pixels, which no scanner and no camera makes. Save it anew, smaller if need be, and send it again.", mostClaimed/1e6)

// A File is an uploaded file whose pages can be asked for, one at a time. Its
// methods may be called from any goroutine.
type File struct {
	Kind  Kind
	Pages int
	// CutOff says that the file ends before its last page; what there is counts.
	CutOff bool
	big    bool // a BigTIFF, which workers do not read
	path   string
	cfg    Config
}

// A Side is one page of a file as an image.
type Side struct {
	Path       string // in the folder that was given, or the file itself
	Whole      bool   // it is the file itself
	Type       string // its media type: image/jpeg, image/png or image/tiff
	Resolution int    // dpi; 0: as the image says
	Text       *text.Page
	Sparse     bool // more may be seen than Text has: the page is to be read, too
}

// sniffed is how much of a file is looked at to tell its kind. Readers of PDF
// accept the header within the first 1024 bytes.
const sniffed = 1024

// Sniff tells the kind of a file by its first bytes, of which up to 1024 are
// looked at. The error wraps ErrEmpty or ErrKind and names what it seems to be.
func Sniff(head []byte) (Kind, error) {
	head = head[:min(len(head), sniffed)]
	switch {
	case len(head) == 0:
		return "", ErrEmpty
	case bytes.HasPrefix(head, []byte("\xff\xd8\xff")):
		return JPEG, nil
	case bytes.HasPrefix(head, []byte("\x89PNG\r\n\x1a\n")):
		return PNG, nil
	case bytes.HasPrefix(head, []byte("II*\x00")), bytes.HasPrefix(head, []byte("MM\x00*")),
		bytes.HasPrefix(head, []byte("II+\x00")), bytes.HasPrefix(head, []byte("MM\x00+")):
		return TIFF, nil
	case bytes.Contains(head, []byte("%PDF-")):
		return PDF, nil
	}
	if what := strangers(head); what != "" {
		return "", refusal.New(ErrKind, "This is %s. Only PDF, TIFF, JPEG and PNG files are taken.", what)
	}
	return "", ErrKind
}

// strangers names kinds of files that people send by mistake, "" for others.
func strangers(head []byte) string {
	for _, k := range []struct {
		at    int
		magic string
		what  string
	}{
		{0, "GIF8", "a GIF image"},
		{0, "BM", "a BMP image"},
		{8, "WEBP", "a WebP image"},
		{4, "ftypheic", "a HEIC photograph; set the camera to \"most compatible\""},
		{4, "ftypmif1", "a HEIF photograph; set the camera to \"most compatible\""},
		{4, "ftypavif", "an AVIF image"},
		{0, "\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old Office document; save it as PDF"},
		{0, "PK\x03\x04", "a ZIP archive or an Office document; save it as PDF"},
		{0, "{\\rtf", "an RTF document; save it as PDF"},
		{0, "%!PS", "a PostScript file; save it as PDF"},
		{0, "\x7fELF", "a program"},
		{0, "MZ", "a program"},
	} {
		if len(head) >= k.at+len(k.magic) && string(head[k.at:k.at+len(k.magic)]) == k.magic {
			return k.what
		}
	}
	return ""
}

// Open looks at the file at path: what it is, how many pages it has and whether
// they can be read at all. dir is an empty folder for scratch. The error wraps
// one of those above.
func Open(ctx context.Context, cfg Config, path, dir string) (*File, error) {
	head, err := headOf(path)
	if err != nil {
		return nil, err
	}
	kind, err := Sniff(head)
	if err != nil {
		return nil, err
	}
	f := &File{Kind: kind, Pages: 1, big: kind == TIFF && bytes.IndexByte(head[:4], '+') >= 0, path: path, cfg: cfg}
	switch kind {
	case PDF:
		f.Pages, err = f.countPDF(ctx, dir)
	case TIFF:
		f.Pages, err = f.countTIFF(ctx, dir)
	default: // what else may be wrong with an image is told with its page
		if _, herr := headerOf(path, mostClaimed); errors.Is(herr, imaging.ErrSize) {
			err = errClaims
		}
	}
	if err != nil {
		return nil, err
	}
	if f.Pages > cfg.MaxPages {
		return nil, refusal.New(ErrPages, "The file has %d pages, and %d are the most. Split it.", f.Pages, cfg.MaxPages)
	}
	return f, nil
}

// headOf reads the beginning of a file, as much of it as tells what it is.
func headOf(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open the upload: %w", err)
	}
	defer file.Close()
	head := make([]byte, sniffed)
	n, err := io.ReadFull(file, head)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, fmt.Errorf("read the upload: %w", err)
	}
	return head[:n], nil
}

// Page gives page n, the first being 1, as an image in dir, an empty folder of
// the caller's. The error wraps ErrDamaged or ErrTools, or is ctx's, or a [device.Fault] of a full
// disk.
func (f *File) Page(ctx context.Context, n int, dir string) (Side, error) {
	if n < 1 || n > f.Pages {
		return Side{}, fmt.Errorf("page %d of %d: %w", n, f.Pages, ErrPages)
	}
	switch f.Kind {
	case PDF:
		return f.pagePDF(ctx, n, dir)
	case TIFF:
		return f.pageTIFF(ctx, n, dir)
	}
	return Side{Path: f.path, Whole: true, Type: string(f.Kind)}, nil
}
