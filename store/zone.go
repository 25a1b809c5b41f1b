package store

import (
	"errors"
	"fmt"
	"time"

	"docscan/store/audit"
)

// zoneKey is the setting with the name of the box's time zone.
const zoneKey = "zone"

// ErrZone says that there is no time zone of that name.
var ErrZone = errors.New("unknown time zone")

// Zone is the time zone that dates are told and meant in: the one that was
// chosen, or the system's.
func (s *Store) Zone() *time.Location {
	if z := s.zone.Load(); z != nil {
		return z
	}
	z := time.Local
	var name string
	if ok, err := s.Setting(zoneKey, &name); err != nil {
		s.log.Warn("the time zone cannot be read; the system's is used", "err", err)
	} else if ok && name != "" {
		if z, err = time.LoadLocation(name); err != nil {
			s.log.Warn("the time zone is not known here; the system's is used", "err", err)
			z = time.Local
		}
	}
	s.zone.Store(z)
	return z
}

// SetZone chooses a time zone by its IANA name, such as Europe/Berlin; "" is the
// system's. The error wraps ErrZone if there is none of that name.
func (s *Store) SetZone(name string, entries ...audit.Entry) error {
	if _, err := time.LoadLocation(name); err != nil || name == "Local" {
		return fmt.Errorf("%w %.60q", ErrZone, name)
	}
	if err := s.PutSetting(zoneKey, name, entries...); err != nil {
		return err
	}
	s.zone.Store(nil)
	return nil
}
