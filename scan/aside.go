package scan

import (
	"context"
	"errors"
	"slices"

	"docscan/scan/ocr"
	"docscan/store"
)

// Sides that are blank are set aside: they are kept, but stand in no document.
// A person can put each of them back into its place, and take others out.

// checkCleanUp says what of a profile's clean-up makes no sense.
func checkCleanUp(p store.Profile) error {
	if p.Blank != "" && !slices.Contains(ocr.Blanks(), ocr.Blank(p.Blank)) {
		return refuseChoice("Blank sides are treated by one of %q, not %q.", ocr.Blanks(), p.Blank)
	}
	for _, s := range p.Leave {
		if !slices.Contains(ocr.Steps(), ocr.Step(s)) {
			return refuseChoice("The steps of the clean-up are %q, not %q.", ocr.Steps(), s)
		}
	}
	return nil
}

// recognizeJob asks for the text of p with the settings of a profile.
func recognizeJob(p store.Page, profile store.Profile, path, dir string) ocr.RecognizeJob {
	job := ocr.RecognizeJob{
		Path: path, DPI: p.DPI, Languages: profile.Languages, Turned: p.Turned, Blank: ocr.Blank(profile.Blank), Dir: dir,
	}
	switch {
	case p.Restored:
		job.Blank = ocr.KeepBlank
	case (profile.Separation.Blank || len(separators(profile.Separation)) > 0) && job.Blank == ocr.KeepBlank:
		job.Blank = ocr.NormalBlank // a blank sheet parts documents, or a separator has a blank back
	}
	if !p.Restored {
		job.Separators = separators(profile.Separation)
	}
	for _, s := range profile.Leave {
		job.Leave = append(job.Leave, ocr.Step(s))
	}
	return job
}

// errRawGone is told of a side that is put back after the retention of the raw images.
var errRawGone = errors.New("the image as it came is no longer kept")

// readRestored records that a person has put p back, with its text. Where it cannot
// be read it is put back all the same: the person wants the page.
func (e *Engine) readRestored(ctx context.Context, p *store.Page) error {
	b, err := e.store.Batch(p.Batch)
	if err != nil {
		return err
	}
	p.Restored = true
	read, err := e.readPage(ctx, *p, b, e.recogniseOnce(ctx))
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		e.log.Warn("a restored page could not be read", "batch", p.Batch, "page", p.Seq, "err", err)
	}
	_, uerr := e.store.UpdatePage(p.Batch, p.Seq, func(p *store.Page) error {
		p.Aside, p.Restored = "", true
		if err != nil {
			p.Note = inWords(err)
		} else {
			read.record(p)
		}
		return nil
	})
	return uerr
}
