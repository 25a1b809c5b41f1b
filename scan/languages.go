package scan

import (
	"context"
	"io"

	"docscan/scan/ocr"
	"docscan/store/audit"
)

// Languages lists the languages that pages can be read in.
func (e *Engine) Languages() ([]ocr.Language, error) { return e.pool.Languages() }

// DefaultLanguages are those of pages whose profile names none.
func (e *Engine) DefaultLanguages() []string { return e.pool.DefaultLanguages() }

// AddLanguage takes language data that a person hands in. The error wraps
// ocr.ErrData where they are no good.
func (e *Engine) AddLanguage(ctx context.Context, name string, r io.Reader, by By) error {
	if err := e.pool.AddLanguage(ctx, name, r); err != nil {
		return err
	}
	e.log.Info("language data taken", "language", name)
	return e.RecordLanguage("language_added", name, by)
}

// RemoveLanguage removes language data that a person has handed in.
func (e *Engine) RemoveLanguage(name string, by By) error {
	if err := e.pool.RemoveLanguage(name); err != nil {
		return err
	}
	e.log.Info("language data removed", "language", name)
	return e.RecordLanguage("language_removed", name, by)
}

// RecordLanguage records what somebody did about a language.
func (e *Engine) RecordLanguage(action, name string, by By) error {
	entry := by.entry(action, name)
	entry.EventType = audit.AdminAction
	return e.store.AddAudit(entry)
}
