package scan

import (
	"strings"

	"docscan/store"
)

// Some feeders turn a sheet over and feed it again for its back, which then comes
// upside down; nothing in a protocol says so. What the text of a page says is
// believed for that page; what the backs of a model have in common is remembered
// for those pages whose text does not tell: a signature, a drawing.

// backs counts how the backs of one model came in.
type backs struct {
	Turned  int `json:"turned"`
	Upright int `json:"upright"`
}

const (
	backsKey = "backs/" // begins the keys of these counts among the settings
	// backsEnough is from how many backs on the counts say something, and
	// backsMost where they are halved, so that a firmware that does better is
	// believed after a while.
	backsEnough, backsMost = 5, 200
	// backWords is how many words a page must have to tell how it lies.
	backWords = 20
)

// turned reports whether nearly all backs came upside down. Some of any stack are
// printed that way.
func (b backs) turned() bool {
	return b.Turned >= backsEnough && b.Turned >= 9*b.Upright
}

// add counts a back.
func (b *backs) add(turned bool) {
	if turned {
		b.Turned++
	} else {
		b.Upright++
	}
	if b.Turned+b.Upright > backsMost {
		b.Turned, b.Upright = b.Turned/2, b.Upright/2
	}
}

// modelOf is under what the backs of a machine are counted, or "" if it is not
// known any more.
func (e *Engine) modelOf(device string) string {
	if e.reg == nil {
		return ""
	}
	d, err := e.reg.Device(device)
	if err != nil || d.Info.Model == "" {
		return ""
	}
	return strings.ToLower(d.Info.Make + " " + d.Info.Model)
}

// backsTurned reports whether the backs of this machine's model come upside down.
func (e *Engine) backsTurned(device string) bool {
	model := e.modelOf(device)
	if model == "" {
		return false
	}
	var b backs
	if _, err := e.store.Setting(backsKey+model, &b); err != nil {
		e.log.Warn("reading how backs come in failed", "device", device, "err", err)
	}
	return b.turned()
}

// learnBack counts how a back came in, if its text tells.
func (e *Engine) learnBack(device string, p store.Page, rotate, words int) {
	if !p.Back || words < backWords || rotate != 0 && rotate != 180 {
		return
	}
	model := e.modelOf(device)
	if model == "" {
		return
	}
	e.learning.Lock()
	defer e.learning.Unlock()
	var b backs
	_, err := e.store.Setting(backsKey+model, &b)
	if err == nil {
		b.add(rotate == 180)
		err = e.store.PutSetting(backsKey+model, b)
	}
	if err != nil {
		e.log.Warn("remembering how backs come in failed", "device", device, "err", err)
	}
}
