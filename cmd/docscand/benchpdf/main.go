// Command benchpdf says how small pages become in a PDF, by kind, what that
// takes, and how much worse they are read from the PDF than from the scan: for
// generated pages always, and for a corpus or the images named.
//
//	benchpdf [-small] [-noread] [-only name] [-out dir] [-corpus dir] [image ...]
//
// With -out it leaves a PDF of each page there. Pages are rendered by poppler.
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"docscan/scan/imaging"
	"docscan/scan/imaging/mrc"
	"docscan/scan/ocr"
	"docscan/scan/pdf"
	"docscan/scan/text"
)

func main() {
	if len(os.Args) > 1 && os.Args[1] == "worker" {
		os.Exit(ocr.WorkerMain(os.Args[2:]))
	}
	var b bench
	out := flag.String("out", "", "folder for a PDF of each page")
	corpusDir := flag.String("corpus", "", "folder with manifest.json and pages")
	small := flag.Bool("small", false, "smallest, not balanced")
	only := flag.String("only", "", "expression for the names of the pages to take")
	noread := flag.Bool("noread", false, "do not read the pages")
	flag.Parse()
	b.options = mrc.Balanced()
	if *small {
		b.options = mrc.Smallest()
	}
	if err := b.run(*out, *corpusDir, *only, flag.Args(), !*noread); err != nil {
		fmt.Fprintln(os.Stderr, "benchpdf:", err)
		os.Exit(1)
	}
}

// A bench makes PDFs of pages.
type bench struct {
	options mrc.Options
	pool    *ocr.Pool // nil: nothing is read
	dir     string
}

// A result is what became of a page.
type result struct {
	name, kind  string
	plain, size int64 // bytes of the scan and of the PDF
	cpu         time.Duration
	raw, made   errorRate // of the text read from the scan and from the PDF
	note        string
}

func (b *bench) run(out, corpusDir, only string, named []string, read bool) error {
	dir, err := os.MkdirTemp("", "benchpdf")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if b.dir = out; out == "" {
		b.dir = dir
	}
	pages, err := gather(dir, corpusDir, named)
	if err != nil {
		return err
	}
	wanted, err := regexp.Compile(only)
	if err != nil {
		return fmt.Errorf("-only: %w", err)
	}
	pages = slices.DeleteFunc(pages, func(p page) bool { return !wanted.MatchString(p.name) })
	if read {
		exe, err := os.Executable()
		if err != nil {
			return err
		}
		cfg := ocr.DefaultConfig()
		cfg.Workers = 1
		if b.pool, err = ocr.NewPool(cfg, exe, slog.New(slog.DiscardHandler)); err != nil {
			return err
		}
		defer b.pool.Close()
	}
	var list []result
	for _, p := range pages {
		r, err := b.page(p)
		if err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
		list = append(list, r)
	}
	report(os.Stdout, list)
	return nil
}

// page makes a PDF of p and reads both.
func (b *bench) page(p page) (result, error) {
	data, err := os.ReadFile(p.path)
	if err != nil {
		return result{}, err
	}
	h, err := imaging.ReadHeader(data, 150e6)
	if err != nil {
		return result{}, err
	}
	dpi := h.DPI(p.dpi)
	r := result{name: p.name, kind: p.kind, plain: int64(len(data))}
	var words *text.Page
	var skew float64
	if b.pool != nil {
		if words, r.raw, err = b.read(p, p.path, dpi); err != nil {
			return r, err
		}
		if pdf.Askew(words.Skew) {
			skew = words.Skew
		}
	}
	before := processorTime()
	layers, err := b.separate(data, h, dpi, skew)
	if errors.Is(err, mrc.ErrResolution) {
		r.size, r.note = r.plain, err.Error()
		return r, nil
	}
	if err != nil {
		return r, err
	}
	r.cpu = processorTime() - before
	path := filepath.Join(b.dir, p.name+".pdf")
	if r.note, err = write(path, h, dpi, layers, words); err != nil {
		return r, err
	}
	info, err := os.Stat(path)
	if err != nil {
		return r, err
	}
	r.size = info.Size()
	if b.pool == nil || p.text == "" {
		return r, nil
	}
	image := filepath.Join(b.dir, p.name)
	if said, err := exec.Command("pdftoppm", "-r", strconv.Itoa(dpi), "-png", "-singlefile", path, image).CombinedOutput(); err != nil {
		return r, fmt.Errorf("pdftoppm: %w: %s", err, said)
	}
	defer os.Remove(image + ".png")
	_, r.made, err = b.read(p, image+".png", dpi)
	return r, err
}

func (b *bench) separate(data []byte, h imaging.Header, dpi int, skew float64) ([]mrc.Layer, error) {
	p, err := imaging.DecodePlanes(data, h, mrc.Reduction(dpi))
	if err != nil {
		return nil, err
	}
	defer p.Close()
	o := b.options
	o.Turn = -skew
	return mrc.Separate(p, h.Width, h.Height, dpi, o)
}

// read reads an image and says how wrongly.
func (b *bench) read(p page, path string, dpi int) (*text.Page, errorRate, error) {
	dir, err := os.MkdirTemp(b.dir, "read")
	if err != nil {
		return nil, errorRate{}, err
	}
	defer os.RemoveAll(dir)
	got, err := b.pool.Recognize(context.Background(), ocr.RecognizeJob{Path: path, DPI: dpi, Languages: p.languages, Dir: dir})
	if err != nil || p.text == "" {
		return &got.Text, errorRate{}, err
	}
	return &got.Text, compare(got.Text.Plain(), p.text, p.fold), nil
}

// write makes a PDF of layers and says what is in it.
func write(path string, h imaging.Header, dpi int, layers []mrc.Layer, words *text.Page) (note string, err error) {
	var list []pdf.Layer
	var said []string
	for _, l := range layers {
		layer := pdf.Layer{X: l.X, Y: l.Y, Width: l.Width, Height: l.Height, Color: l.Color, Stencil: l.Kind == mrc.Stencil}
		image := pdf.Image{Width: l.Columns, Height: l.Rows, Colors: 1, Bits: 1, Filter: "JBIG2Decode", Size: int64(len(l.Data)), Data: bytes.NewReader(l.Data)}
		switch l.Kind {
		case mrc.Fill:
			said = append(said, fmt.Sprintf("%x", l.Color))
		case mrc.Picture:
			image.Filter, image.Bits, image.Colors = "DCTDecode", 8, l.Colors
			layer.Image = &image
			said = append(said, fmt.Sprintf("%dx%dx%d:%d", l.Columns, l.Rows, l.Colors, len(l.Data)))
		case mrc.Stencil:
			layer.Image = &image
			said = append(said, fmt.Sprintf("%x:%d", l.Color, len(l.Data)))
		}
		list = append(list, layer)
	}
	f, err := os.Create(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	w := pdf.NewWriter(f, pdf.Meta{})
	if err := w.AddPage(pdf.Page{Image: pdf.Image{Width: h.Width, Height: h.Height, DPI: dpi}, Layers: list, Straight: true, Text: words}); err != nil {
		return "", err
	}
	return strings.Join(said, " "), errors.Join(w.Close(), f.Close())
}

func processorTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0 // it cannot fail with these arguments
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// report prints a line for each page and the medians.
func report(w io.Writer, list []result) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "page\tkind\tscan\tPDF\tms\tCER scan\tCER PDF\tlayers")
	var raw, made errorRate
	var sizes, times []int64
	for _, r := range list {
		fmt.Fprintf(t, "%s\t%s\t%d\t%d\t%d\t%s\t%s\t%s\n", r.name, r.kind, r.plain, r.size, r.cpu.Milliseconds(), r.raw, r.made, r.note)
		raw.add(r.raw)
		made.add(r.made)
		if r.made.chars > 0 {
			sizes, times = append(sizes, r.size), append(times, r.cpu.Milliseconds())
		}
	}
	fmt.Fprintf(t, "pages with text\tmedian\t\t%d\t%d\t%s\t%s\t\n", median(sizes), median(times), raw, made)
	t.Flush()
}

func median(list []int64) int64 {
	if len(list) == 0 {
		return 0
	}
	slices.Sort(list)
	return list[len(list)/2]
}
