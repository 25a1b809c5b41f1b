package scan

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"

	"docscan/scan/ocr"
	"docscan/store"
)

// Sides that are blank are set aside: they are kept, but stand in no document.
// A person can put each of them back into its place, and take others out.

// checkCleanUp says what of a profile's clean-up makes no sense.
func checkCleanUp(p store.Profile) error {
	if p.Blank != "" && !slices.Contains(ocr.Blanks(), ocr.Blank(p.Blank)) {
		return fmt.Errorf("blank sides are treated by one of %q, not %q", ocr.Blanks(), p.Blank)
	}
	for _, s := range p.Leave {
		if !slices.Contains(ocr.Steps(), ocr.Step(s)) {
			return fmt.Errorf("the steps of the clean-up are %q, not %q", ocr.Steps(), s)
		}
	}
	return nil
}

// recognizeJob asks for the text of p with the settings of a profile.
func recognizeJob(p store.Page, profile store.Profile, path, dir string) ocr.RecognizeJob {
	job := ocr.RecognizeJob{
		Path: path, DPI: p.DPI, Languages: profile.Languages, Turned: p.Turned, Blank: ocr.Blank(profile.Blank), Dir: dir,
	}
	if p.Restored {
		job.Blank = ocr.KeepBlank
	}
	for _, s := range profile.Leave {
		job.Leave = append(job.Leave, ocr.Step(s))
	}
	return job
}

// shown leaves out the pages that are set aside. A batch of nothing but such
// pages is shown whole: a document without pages would hide that something was
// scanned.
func shown(pages []store.Page) []store.Page {
	left := slices.DeleteFunc(slices.Clone(pages), func(p store.Page) bool { return p.Aside != "" })
	if len(left) == 0 {
		return pages
	}
	return left
}

// errRawGone is told of a side that is put back after the retention of the
// scanner's images.
var errRawGone = errors.New("the scanner's image is no longer kept")

// readRestored records that a person has put p back, with its text.
func (e *Engine) readRestored(ctx context.Context, p *store.Page) error {
	b, err := e.store.Batch(p.Batch)
	if err != nil {
		return err
	}
	var out ocr.Recognized
	err = errRawGone
	if !p.Raw.Zero() {
		path, perr := e.store.BlobPath(p.Raw)
		if perr != nil {
			return perr
		}
		dir, perr := e.store.ScratchDir("restore")
		if perr != nil {
			return perr
		}
		defer os.RemoveAll(dir)
		p.Restored = true
		out, err = e.pool.Recognize(ctx, recognizeJob(*p, b.Profile, path, dir))
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	words, count := p.Text, p.Words
	note := p.Note
	if err != nil { // the person wants the page; its text is what can be missing
		e.log.Warn("a restored page could not be read", "batch", p.Batch, "page", p.Seq, "err", err)
		note = fmt.Sprintf("its text could not be read: %v", err)
	} else {
		if words, err = e.keepText(&out.Text); err != nil {
			return err
		}
		count = 0
		for _, l := range out.Text.Lines {
			count += len(l.Words)
		}
	}
	view, thumb := p.View, p.Thumb
	if out.View != "" {
		if view, err = e.keepFile(out.View, "image/jpeg"); err != nil {
			return err
		}
		if thumb, err = e.keepFile(out.Thumb, "image/jpeg"); err != nil {
			return err
		}
	}
	read := err == nil
	_, err = e.store.UpdatePage(p.Batch, p.Seq, func(p *store.Page) error {
		p.Aside, p.Restored, p.Note = "", true, note
		if !read {
			return nil
		}
		p.Text, p.Words, p.Confidence, p.Rotate = words, count, out.Text.Confidence, out.Text.Rotate
		p.View, p.Thumb = view, thumb
		return nil
	})
	return err
}
