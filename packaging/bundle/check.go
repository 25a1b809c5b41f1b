package bundle

import "fmt"

// A Target is what a bundle is to be installed on.
type Target struct {
	Architecture   string // as GOARCH names it
	Version        string // the installed one; empty if there is none, then the fields about it do not matter
	Digest         string // of the installed version; empty if it came by other ways than a bundle
	Schema         uint64 // the newest form of data the installed version knows
	DataSchema     uint64 // the form the data have; 0 if there are none
	DataReader     uint64 // the oldest form whose programs can read the data
	AllowDowngrade bool   // an administrator asks for an older version
}

// Fits reports why a version may not be installed on t, nil if it may.
func (m Manifest) Fits(t Target) error {
	if m.Architecture != t.Architecture {
		return fmt.Errorf("it is for %s, this is %s: %w", m.Architecture, t.Architecture, ErrArchitecture)
	}
	if err := m.fitsData(t); err != nil {
		return err
	}
	if t.Version == "" {
		if m.Base != "" {
			return fmt.Errorf("none is installed: %w", ErrBase)
		}
		return nil
	}
	if compareVersions(m.Version, t.Version) < 0 && !t.AllowDowngrade {
		return fmt.Errorf("%s, installed is %s: %w", m.Version, t.Version, ErrDowngrade)
	}
	if m.From != "" && compareVersions(t.Version, m.From) < 0 {
		return fmt.Errorf("it needs at least %s, installed is %s; update to a version in between first: %w", m.From, t.Version, ErrTooOld)
	}
	if m.Base != "" && m.Base != t.Digest {
		return ErrBase
	}
	return nil
}

// fitsData looks both ways: the new version must read what is there, and the
// installed one what the new one will write, or there would be no way back.
func (m Manifest) fitsData(t Target) error {
	if t.DataSchema != 0 {
		s := m.Schema
		if t.DataSchema < s.Oldest {
			return fmt.Errorf("the data have form %d, it takes over %d or newer; update to a version in between first: %w", t.DataSchema, s.Oldest, ErrSchema)
		}
		if t.DataSchema > s.Newest && t.DataReader > s.Newest {
			return fmt.Errorf("the data have form %d, which programs of form %d or newer can read; it has form %d, so a newer version must stay: %w", t.DataSchema, t.DataReader, s.Newest, ErrSchema)
		}
	}
	if t.Version != "" && t.Schema != 0 && t.Schema < m.Schema.Reader {
		return fmt.Errorf("the installed version has form %d and could not read what it writes, which needs form %d, so there would be no way back; update to a version in between first: %w", t.Schema, m.Schema.Reader, ErrSchema)
	}
	return nil
}
