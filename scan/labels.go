package scan

import (
	"errors"
	"fmt"
	"io"
	"time"

	"docscan/scan/sheets"
)

// labelSetting is where the number after the last label that was printed stands.
const labelSetting = "next_label"

// NextNumber gives the archive number that the next label gets: the one after all
// that were printed and all that documents bear.
func (e *Engine) NextNumber() (int, error) {
	var printed int
	if _, err := e.store.Setting(labelSetting, &printed); err != nil {
		return 0, err
	}
	used, err := e.store.LastNumber()
	return max(printed, used+1), err
}

// ASNPrefix is what labels with an archive number begin with; empty: there are
// none.
func (e *Engine) ASNPrefix() string { return e.cfg.ASNPrefix }

// PrintLabels writes labels to w, from the next number if l names none, and
// remembers where the next ones begin. The error wraps ErrChoice where they make
// no sense.
func (e *Engine) PrintLabels(w io.Writer, l sheets.Labels, by By) error {
	if l.Prefix = e.cfg.ASNPrefix; l.Prefix == "" {
		return refuseChoice("asn_prefix in docscan.toml is empty, so that labels would not be known.")
	}
	e.numbering.Lock()
	defer e.numbering.Unlock()
	next, err := e.NextNumber()
	if err != nil {
		return err
	}
	if l.From == 0 {
		l.From = next
	}
	after, err := l.Next()
	if err == nil {
		err = l.Write(w, time.Now())
	}
	if errors.Is(err, sheets.ErrChoice) {
		return fmt.Errorf("%w: %w", ErrChoice, err)
	}
	if err != nil {
		return fmt.Errorf("make labels: %w", err)
	}
	entry := by.entry("labels_printed", fmt.Sprintf("%s to %s", l.Number(l.From), l.Number(after-1)))
	return e.store.PutSetting(labelSetting, max(next, after), entry)
}

// PrintSeparators writes separator sheets to w. The error wraps ErrChoice where
// they make no sense.
func PrintSeparators(w io.Writer, s sheets.Separators) error {
	err := s.Write(w, time.Now())
	if errors.Is(err, sheets.ErrChoice) {
		return fmt.Errorf("%w: %w", ErrChoice, err)
	}
	return err
}
