package scan

import (
	"context"
	"io"
	"os"

	"docscan/scan/imaging/mrc"
	"docscan/scan/ocr"
	"docscan/scan/pdf"
	"docscan/scan/text"
	"docscan/store"
)

// compactPage takes a page apart into layers, if its profile wants that and it
// makes the page smaller. What fails leaves the page as it was scanned: nobody
// loses more than disk space.
func (e *Engine) compactPage(ctx context.Context, k pageKey, p store.Page, read *ocr.Recognized, profile store.Profile) (store.Layered, error) {
	size := ocr.Size(profile.PDF)
	if size == ocr.OriginalSize {
		return store.Layered{}, nil
	}
	path, err := e.store.BlobPath(p.Raw)
	if err != nil {
		return store.Layered{}, err
	}
	dir, err := e.store.ScratchDir("compact")
	if err != nil {
		return store.Layered{}, err
	}
	defer os.RemoveAll(dir)
	job := ocr.CompactJob{Path: path, DPI: p.DPI, Size: size, Shine: read.Shine, Negative: read.Negative, Holes: read.Holes, Sheet: read.Text.Sheet, Dir: dir}
	for _, s := range profile.Leave {
		job.Leave = append(job.Leave, ocr.Step(s))
	}
	if pdf.Askew(read.Text.Skew) {
		job.Turn = -read.Text.Skew
	}
	job.Doubtful = read.Text.Doubtful(ocr.SureWord, job.Turn)
	small, err := e.pool.Compact(ctx, job)
	if ctx.Err() != nil {
		return store.Layered{}, err
	}
	if err != nil {
		e.log.Warn("page stays as large as it was scanned", "batch", k.batch, "page", k.seq, "err", err)
		return store.Layered{}, nil
	}
	if !small.Smaller(p.Image.Blob.Size) {
		return store.Layered{}, nil
	}
	var out store.Layered
	var bytes int64
	for _, l := range small.Layers {
		bytes += l.Size
		out.Layers = append(out.Layers, store.Layer{
			Kind: string(l.Kind), X: l.X, Y: l.Y, Width: l.Width, Height: l.Height, Color: l.Color,
			Columns: l.Columns, Rows: l.Rows, Colors: l.Colors, Size: l.Size,
		})
	}
	if bytes > 0 { // a blank page is a colour and no more
		if out.Blob, err = e.keepFile(small.Path, "application/octet-stream"); err != nil {
			return store.Layered{}, err
		}
	}
	return out, nil
}

// addLayers adds a page in layers.
func (e *Engine) addLayers(out *pdf.Writer, p store.Page, t *text.Page) error {
	page := pdf.Page{
		Image:    pdf.Image{Width: p.Image.Width, Height: p.Image.Height, DPI: p.DPI},
		Straight: true,
		Rotate:   p.Rotate,
		Text:     t,
	}
	var data io.ReaderAt
	if !p.Layered.Blob.Zero() {
		f, err := e.store.OpenBlob(p.Layered.Blob)
		if err != nil {
			return err
		}
		defer f.Close()
		data = f
	}
	var at int64
	for _, l := range p.Layered.Layers {
		layer := pdf.Layer{X: l.X, Y: l.Y, Width: l.Width, Height: l.Height, Color: l.Color}
		if mrc.Kind(l.Kind) != mrc.Fill {
			layer.Stencil = mrc.Kind(l.Kind) == mrc.Stencil
			layer.Image = &pdf.Image{Width: l.Columns, Height: l.Rows, Colors: 1, Bits: 1, Filter: "JBIG2Decode", Size: l.Size, Data: io.NewSectionReader(data, at, l.Size)}
			if !layer.Stencil {
				layer.Image.Colors, layer.Image.Bits, layer.Image.Filter = l.Colors, 8, "DCTDecode"
			}
		}
		page.Layers = append(page.Layers, layer)
		at += l.Size
	}
	return out.AddPage(page)
}
