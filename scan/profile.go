package scan

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"docscan/device"
	"docscan/scan/ocr"
	"docscan/store"
	"docscan/store/audit"
)

// Bounds of a profile. Scanners take the nearest resolution that they have.
const (
	minResolution, maxResolution = 75, 1200 // dpi
	maxProfiles                  = 50
)

// A Paper is a size of paper.
type Paper struct {
	Name          string // as store.Profile has it
	Width, Length int    // in 1/300 inch
}

// Papers are the sizes that a profile may name: ISO 216, JIS B5, and those of
// North America.
func Papers() []Paper {
	return []Paper{
		{"a3", 3508, 4961}, {"a4", 2480, 3508}, {"a5", 1748, 2480}, {"a6", 1240, 1748}, {"b5", 2150, 3035},
		{"letter", 2550, 3300}, {"legal", 2550, 4200}, {"tabloid", 3300, 5100},
	}
}

// paperNamed finds a size; ok is false for one that Papers does not have.
func paperNamed(name string) (p Paper, ok bool) {
	list := Papers()
	i := slices.IndexFunc(list, func(p Paper) bool { return p.Name == name })
	if i < 0 {
		return Paper{}, name == ""
	}
	return list[i], true
}

var profileID = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,31}$`)

// PutProfile adds or replaces a profile. The error wraps ErrChoice where the
// profile makes no sense.
func (e *Engine) PutProfile(p store.Profile, by By) error {
	p.Name = strings.TrimSpace(p.Name)
	if err := e.checkProfile(p); err != nil {
		return err
	}
	entry := by.entry("profile_saved", string(p.ID))
	entry.EventType = audit.AdminAction
	return e.store.PutProfile(p, entry)
}

func (e *Engine) checkProfile(p store.Profile) error {
	switch {
	case !profileID.MatchString(string(p.ID)):
		return refuseChoice("An ID has 1 to 32 lower-case letters, digits and dashes.")
	case p.Name == "" || utf8.RuneCountInString(p.Name) > maxMachineName || !Readable(p.Name):
		return refuseChoice("A name has 1 to %d characters, all of which can be seen.", maxMachineName)
	case !slices.Contains([]string{"auto", string(device.Feeder), string(device.Platen)}, p.Source):
		return refuseChoice("The source is auto, feeder or platen, not %q.", p.Source)
	case !slices.Contains([]device.ColorMode{device.Color, device.Gray, device.LineArt}, device.ColorMode(p.Mode)):
		return refuseChoice("The mode is color, gray or lineart, not %q.", p.Mode)
	case p.Resolution < minResolution || p.Resolution > maxResolution:
		return refuseChoice("The resolution is %d; it must be %d to %d dpi.", p.Resolution, minResolution, maxResolution)
	case !slices.Contains([]device.DoubleFeedPolicy{"", device.StopAtDoubleFeed, device.FlagDoubleFeed, device.IgnoreDoubleFeed}, device.DoubleFeedPolicy(p.DoubleFeed)):
		return refuseChoice("A double feed is met by stop, flag or ignore, not %q.", p.DoubleFeed)
	}
	if !slices.Contains(append(ocr.Sizes(), ""), ocr.Size(p.PDF)) {
		return refuseChoice("The PDF is balanced, original or smallest, not %q.", p.PDF)
	}
	if _, ok := paperNamed(p.Paper); !ok {
		return refuseChoice("There is no paper %q; leave it empty, or take a3, a4, a5, a6, b5, letter, legal or tabloid.", p.Paper)
	}
	if err := checkCleanUp(p); err != nil {
		return err
	}
	if err := checkSeparation(p.Separation); err != nil {
		return err
	}
	if err := e.pool.CheckLanguages(p.Languages); err != nil {
		return fmt.Errorf("%w: %w", ErrChoice, err)
	}
	list, err := e.store.Profiles()
	if err != nil {
		return err
	}
	if len(list) >= maxProfiles && !slices.ContainsFunc(list, func(o store.Profile) bool { return o.ID == p.ID }) {
		return refuseChoice("There are %d profiles already.", maxProfiles)
	}
	return nil
}

// ErrLastProfile says that the only profile cannot be deleted: a press must mean
// something.
var ErrLastProfile = errors.New("this is the only profile; a press must mean something")

// DeleteProfile removes a profile. Presses that meant it mean the first one from
// then on.
func (e *Engine) DeleteProfile(id store.ProfileID, by By) error {
	list, err := e.store.Profiles()
	if err != nil {
		return err
	}
	if len(list) == 1 && list[0].ID == id {
		return ErrLastProfile
	}
	entry := by.entry("profile_deleted", string(id))
	entry.EventType = audit.AdminAction
	return e.store.DeleteProfile(id, entry)
}
