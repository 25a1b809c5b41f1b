// Command benchpdf says how small pages become in a PDF, by kind, and what that
// takes: for the pages of a corpus, or for those named on the command line.
//
//	benchpdf [-size balanced] [-out dir] [image ...]
//
// With -out it leaves a PDF of each page there.
package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"docscan/scan/imaging"
	"docscan/scan/imaging/mrc"
	"docscan/scan/pdf"
)

func main() {
	out := flag.String("out", "", "folder for a PDF of each page")
	flag.Parse()
	for _, path := range flag.Args() {
		if err := page(path, *out); err != nil {
			fmt.Fprintf(os.Stderr, "%s: %v\n", path, err)
		}
	}
}

func processorTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func page(path, out string) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	h, err := imaging.ReadHeader(data, 150e6)
	if err != nil {
		return err
	}
	before := processorTime()
	dpi := h.DPI(0)
	p, err := imaging.DecodePlanes(data, h, mrc.Reduction(dpi))
	if err != nil {
		return err
	}
	defer p.Close()
	decoded := processorTime()
	layers, err := mrc.Separate(p, h.Width, h.Height, dpi, mrc.Balanced())
	if err != nil {
		return err
	}
	after := processorTime()
	var list []pdf.Layer
	var said []string
	total := 0
	for _, l := range layers {
		total += len(l.Data)
		layer := pdf.Layer{X: l.X, Y: l.Y, Width: l.Width, Height: l.Height, Color: l.Color, Stencil: l.Kind == mrc.Stencil}
		switch l.Kind {
		case mrc.Fill:
			said = append(said, fmt.Sprintf("fill %x", l.Color))
		case mrc.Picture:
			layer.Image = &pdf.Image{Width: l.Columns, Height: l.Rows, Colors: l.Colors, Bits: 8, Filter: "DCTDecode", Size: int64(len(l.Data)), Data: bytes.NewReader(l.Data)}
			said = append(said, fmt.Sprintf("jpeg %dx%dx%d %d", l.Columns, l.Rows, l.Colors, len(l.Data)))
		case mrc.Stencil:
			layer.Image = &pdf.Image{Width: l.Columns, Height: l.Rows, Colors: 1, Bits: 1, Filter: "JBIG2Decode", Size: int64(len(l.Data)), Data: bytes.NewReader(l.Data)}
			said = append(said, fmt.Sprintf("ink %x %d", l.Color, len(l.Data)))
		default:
			return errors.New("what layer is this?")
		}
		list = append(list, layer)
	}
	name := strings.TrimSuffix(filepath.Base(path), filepath.Ext(path))
	fmt.Printf("%-26s %8d -> %7d  decode %3d ms, rest %3d ms  %s\n", name, len(data), total, (decoded - before).Milliseconds(), (after - decoded).Milliseconds(), strings.Join(said, ", "))
	if out == "" {
		return nil
	}
	f, err := os.Create(filepath.Join(out, name+".pdf"))
	if err != nil {
		return err
	}
	defer f.Close()
	w := pdf.NewWriter(f, pdf.Meta{Title: name})
	if err := w.AddPage(pdf.Page{Image: pdf.Image{Width: h.Width, Height: h.Height, DPI: dpi}, Layers: list}); err != nil {
		return err
	}
	return errors.Join(w.Close(), f.Close())
}
