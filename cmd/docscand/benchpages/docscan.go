package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"docscan/scan"
	"docscan/scan/imaging/mrc"
	"docscan/scan/ocr"
	"docscan/scan/pdf"
	"docscan/scan/text"
)

// A finding is what docscan says and makes of a page.
type finding struct {
	separator  bool
	codes      []string
	blank      bool
	rotate     int
	skew       float64
	confidence float64
	cpu        time.Duration
	peak       int64 // memory of the largest worker so far, bytes
	scan, pdf  int64 // bytes of the image that was scanned and of the page as a PDF
	plain      int64 // bytes of the PDF with the image as it was scanned
	layers     string
	again      string // text read from the rendered PDF
	err        error
}

// docscan works on each page as the daemon does, in workers of its own, and
// makes a PDF of it.
func docscan(ctx context.Context, log *slog.Logger, pages []page, o options, dir string) (contender, map[string]finding, error) {
	exe, err := os.Executable()
	if err != nil {
		return contender{}, nil, err
	}
	start, before := time.Now(), processorTime(syscall.RUSAGE_CHILDREN)+processorTime(syscall.RUSAGE_SELF)
	found := make([]finding, len(pages))
	texts := make([]string, len(pages))
	err = share(ctx, pages, func(ctx context.Context) (func(int) error, func(), error) {
		cfg := config()
		pool, err := ocr.NewPool(cfg, exe, log)
		if err != nil {
			return nil, nil, err
		}
		return func(i int) error {
			out := filepath.Join(dir, pages[i].id)
			if err := os.MkdirAll(out, 0o700); err != nil {
				return err
			}
			texts[i], found[i] = one(ctx, pool, pages[i], o, out, func(string) error { return nil })
			found[i].peak = peakOfChildren("self")
			return nil
		}, pool.Close, nil
	})
	if err != nil {
		return contender{}, nil, err
	}
	c := contender{name: "docscan", texts: make(map[string]string), cost: cost{
		wall: time.Since(start),
		cpu:  processorTime(syscall.RUSAGE_CHILDREN) + processorTime(syscall.RUSAGE_SELF) - before,
	}}
	if o.reread {
		if err := reread(ctx, log, exe, pages, found, o, dir); err != nil {
			return contender{}, nil, err
		}
	}
	findings := make(map[string]finding)
	for i, p := range pages {
		findings[p.id], c.texts[p.id] = found[i], texts[i]
		c.cost.bytes += found[i].pdf
		c.cost.peak = max(c.cost.peak, found[i].peak)
		if err := os.WriteFile(filepath.Join(dir, p.id, "text.txt"), []byte(texts[i]), 0o600); err != nil {
			return contender{}, nil, err
		}
	}
	return c, findings, nil
}

// config is that of a pool with one worker, so that a page's CPU time can be told.
// No page is given up where the machine is busy with other work.
func config() ocr.Config {
	cfg := ocr.DefaultConfig()
	cfg.Workers, cfg.PageTimeoutSeconds = 1, 3600
	return cfg
}

// share lets workers work on the pages, each with what begin gives it.
func share(ctx context.Context, pages []page, begin func(context.Context) (work func(int) error, end func(), err error)) error {
	queue := make(chan int)
	g, ctx := errgroup.WithContext(ctx)
	for range workers {
		g.Go(func() error {
			work, end, err := begin(ctx)
			if err != nil {
				return err
			}
			defer end()
			for i := range queue {
				if err := work(i); err != nil {
					return err
				}
			}
			return nil
		})
	}
	g.Go(func() error {
		defer close(queue)
		for i := range pages {
			select {
			case queue <- i:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		return nil
	})
	return g.Wait()
}

// separators are those of patch sheets.
func separators() []ocr.Separator {
	return []ocr.Separator{{Text: scan.PatchText}, {Kind: text.Patch, Text: "T"}}
}

// The steps of a page.
const (
	preparing   = "prepare"
	recognizing = "read"
	compacting  = "layers"
)

// one works on one page, and calls done after each step of it. What fails stays without
// text, as in the daemon.
func one(ctx context.Context, pool *ocr.Pool, p page, o options, dir string, done func(step string) error) (string, finding) {
	var f finding
	fail := func(err error) (string, finding) {
		f.err = fmt.Errorf("%s: %w", p.id, err)
		return "", f
	}
	info, err := os.Stat(p.path)
	if err != nil {
		return fail(err)
	}
	f.scan = info.Size()
	prepared, err := pool.Prepare(ctx, ocr.PrepareJob{Path: p.path, Resolution: p.dpi, Dir: dir})
	if err == nil {
		err = done(preparing)
	}
	if err != nil {
		return fail(err)
	}
	read, err := pool.Recognize(ctx, ocr.RecognizeJob{Path: p.path, DPI: prepared.DPI, Languages: o.languageList(), Separators: separators(), Dir: dir})
	if err == nil {
		err = done(recognizing)
	}
	if err != nil {
		return fail(err)
	}
	f.separator = ocr.Separates(read.Text.Codes, separators())
	for _, c := range read.Text.Codes {
		if c.Kind != text.Patch || len(p.codes) == 1 && p.codes[0] == c.Text {
			f.codes = append(f.codes, c.Text)
		}
	}
	f.blank, f.rotate, f.skew, f.confidence = read.Blank, read.Text.Rotate, read.Text.Skew, read.Text.Confidence
	job := ocr.CompactJob{Path: p.path, DPI: prepared.DPI, Size: ocr.Size(o.size), Shine: read.Shine, Negative: read.Negative, Holes: read.Holes, Sheet: read.Text.Sheet, Dir: dir}
	if pdf.Askew(read.Text.Skew) {
		job.Turn = -read.Text.Skew
	}
	job.Doubtful = read.Text.Doubtful(ocr.SureWord, job.Turn)
	var small ocr.Compacted
	if job.Size != ocr.OriginalSize {
		if small, err = pool.Compact(ctx, job); err == nil {
			err = done(compacting)
		}
		if err != nil {
			return fail(err)
		}
	}
	f.cpu = prepared.CPU + read.CPU + small.CPU
	f.layers = describe(small.Layers)
	whole, err := writePDF(filepath.Join(dir, "whole.pdf"), prepared, ocr.Compacted{}, &read.Text)
	if err != nil {
		return fail(err)
	}
	f.plain, f.pdf = whole, whole
	image, err := os.Stat(prepared.Image.Path)
	if err != nil {
		return fail(err)
	}
	if small.Smaller(image.Size()) { // as the daemon decides
		if f.pdf, err = writePDF(filepath.Join(dir, "page.pdf"), prepared, small, &read.Text); err != nil {
			return fail(err)
		}
	} else if err := os.Rename(filepath.Join(dir, "whole.pdf"), filepath.Join(dir, "page.pdf")); err != nil {
		return fail(err)
	}
	return read.Text.Plain(), f
}

// describe says what layers a page has: colours and bytes.
func describe(layers []ocr.Layer) string {
	var said []string
	for _, l := range layers {
		switch l.Kind {
		case mrc.Fill:
			said = append(said, fmt.Sprintf("%x", l.Color))
		case mrc.Picture:
			said = append(said, fmt.Sprintf("%dx%dx%d:%d", l.Columns, l.Rows, l.Colors, l.Size))
		case mrc.Stencil:
			said = append(said, fmt.Sprintf("%x:%d", l.Color, l.Size))
		}
	}
	return strings.Join(said, " ")
}

// writePDF writes a PDF of one page, in layers if it has any.
func writePDF(path string, p ocr.Prepared, small ocr.Compacted, t *text.Page) (size int64, err error) {
	f, err := os.Create(path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	out := pdf.NewWriter(f, pdf.Meta{})
	page := pdf.Page{Image: pdf.Image{Width: p.Image.Width, Height: p.Image.Height, DPI: p.DPI}, Rotate: t.Rotate, Text: t}
	from := p.Image.Path
	if len(small.Layers) > 0 {
		from = small.Path
		page.Straight = true
	}
	data, err := os.Open(from)
	if err != nil {
		return 0, err
	}
	defer data.Close()
	if len(small.Layers) == 0 {
		info, err := data.Stat()
		if err != nil {
			return 0, err
		}
		page.Image = pdf.Image{
			Width: p.Image.Width, Height: p.Image.Height, DPI: p.DPI, Colors: p.Image.Colors, Bits: p.Image.Bits,
			Filter: p.Image.Filter, Predictor: p.Image.Predictor, BlackIs1: p.Image.BlackIs1, Size: info.Size(), Data: data,
		}
	}
	var at int64
	for _, l := range small.Layers {
		layer := pdf.Layer{X: l.X, Y: l.Y, Width: l.Width, Height: l.Height, Color: l.Color, Stencil: l.Kind == mrc.Stencil}
		image := pdf.Image{Width: l.Columns, Height: l.Rows, Colors: 1, Bits: 1, Filter: "JBIG2Decode", Size: l.Size, Data: io.NewSectionReader(data, at, l.Size)}
		switch l.Kind {
		case mrc.Picture:
			image.Filter, image.Bits, image.Colors = "DCTDecode", 8, l.Colors
			layer.Image = &image
		case mrc.Stencil:
			layer.Image = &image
		}
		page.Layers = append(page.Layers, layer)
		at += l.Size
	}
	if err := out.AddPage(page); err != nil {
		return 0, err
	}
	if err := out.Close(); err != nil {
		return 0, err
	}
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), f.Close()
}

// reread reads each page with text once more, from its PDF as poppler draws it.
func reread(ctx context.Context, log *slog.Logger, exe string, pages []page, found []finding, o options, dir string) error {
	return share(ctx, pages, func(ctx context.Context) (func(int) error, func(), error) {
		cfg := config()
		pool, err := ocr.NewPool(cfg, exe, log)
		if err != nil {
			return nil, nil, err
		}
		return func(i int) error {
			p := pages[i]
			if !p.scored || found[i].err != nil {
				return nil
			}
			folder := filepath.Join(dir, p.id)
			image := filepath.Join(folder, "drawn")
			dpi := min(p.dpi, 300)
			if said, err := exec.CommandContext(ctx, "pdftoppm", "-r", strconv.Itoa(dpi), "-png", "-singlefile", filepath.Join(folder, "page.pdf"), image).CombinedOutput(); err != nil {
				return fmt.Errorf("pdftoppm: %w: %s", err, said)
			}
			read, err := pool.Recognize(ctx, ocr.RecognizeJob{Path: image + ".png", DPI: dpi, Languages: o.languageList(), Blank: ocr.KeepBlank, Dir: folder})
			if err != nil {
				return fmt.Errorf("%s: read what was drawn: %w", p.id, err)
			}
			found[i].again = read.Text.Plain()
			return os.WriteFile(filepath.Join(folder, "again.txt"), []byte(found[i].again), 0o600)
		}, pool.Close, nil
	})
}

// processorTime is what this process, or those it has waited for, have taken.
func processorTime(who int) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(who, &u); err != nil {
		return 0 // it cannot fail with these arguments
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
