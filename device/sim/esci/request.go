package esci

import (
	"context"
	"fmt"
	"strings"

	"docscan/device/sim/usbface"
)

// Bytes that begin a session and answer to that.
const (
	fs  = 0x1c
	ack = 0x06
	nak = 0x15
)

// maxData is how much data a request may announce: INFO says 1536, real hosts
// send gamma tables in one piece.
const maxData = 4096

// Out takes a request or the data of one.
func (s *Scanner) Out(_ context.Context, b []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.out.Gone() {
		return usbface.ErrGone
	}
	if !s.cfg.Left {
		if n := s.out.Drop(); n > 0 {
			s.violation("%d messages not read before %.12q", n, b)
		}
	}
	if s.await != "" {
		s.takeData(b)
		return nil
	}
	if len(b) == 2 && b[0] == fs {
		s.begin(b[1])
		return nil
	}
	if s.session == none {
		s.violation("%.12q outside of a session", b)
		s.out.Say(usbface.Message{Data: []byte{nak}})
		return nil
	}
	code, n, ok := parseRequest(b)
	switch {
	case !ok:
		s.violation("%d bytes that are no request: %.12q", len(b), b)
		s.out.Say(usbface.Message{Data: reply("UNKN", 0)})
	case n > maxData:
		s.violation("%s with %d bytes of data", code, n)
		s.out.Say(usbface.Message{Data: reply("INVD", 0)})
	case n > 0:
		s.await, s.need, s.got = code, n, nil
	default:
		s.obey(code, nil)
	}
	return nil
}

// takeData collects the data of a request. s.mu is held.
func (s *Scanner) takeData(b []byte) {
	s.got = append(s.got, b...)
	if len(s.got) < s.need {
		return
	}
	code, data := s.await, s.got
	s.await, s.got = "", nil
	if len(data) > s.need {
		s.violation("%d bytes of data with %s, which announced %d", len(data), code, s.need)
		data = data[:s.need]
	}
	s.obey(code, data)
}

// begin starts a session. s.mu is held.
func (s *Scanner) begin(kind byte) {
	switch {
	case s.cfg.Held, kind == byte(inquiry) && s.model.NoInquiry:
		s.out.Say(usbface.Message{Data: []byte{nak}})
		return
	case kind != byte(inquiry) && kind != byte(control):
		s.violation("session of unknown kind %q", kind)
		s.out.Say(usbface.Message{Data: []byte{nak}})
		return
	case s.cfg.Left && s.session != none: // to a machine in the data state it is no request
		s.out.Say(usbface.Message{Data: reply("UNKN", 0)})
		return
	case s.session != none:
		s.violation("a session within a session")
	}
	s.cfg.Left = false
	s.putBack()
	s.session, s.scan, s.refused = session(kind), nil, nil
	s.para = defaultPara(s.model)
	s.out.Say(usbface.Message{Data: []byte{ack}})
}

// sends queues a reply and its data, which may come in several transfers. s.mu
// is held.
func (s *Scanner) sends(code string, data []byte, tokens ...string) {
	s.out.Say(usbface.Message{Data: reply(code, len(data), tokens...)})
	for len(data) > 0 {
		n := len(data)
		if s.cfg.Short > 0 {
			n = min(n, s.cfg.Short)
		}
		m := usbface.Message{Data: data[:n]}
		if code == "IMG " {
			m.Pause = s.cfg.Slow
		}
		s.out.Say(m)
		data = data[n:]
	}
}

// notReady answers with a token that says why it is too soon, for as long as the
// knobs say. s.mu is held.
func (s *Scanner) notReady(code string) bool {
	n := s.waits[code]
	s.waits[code]++
	var why string
	switch c := s.cfg; {
	case n < c.Reserved:
		why = "RSVD"
	case n < c.Reserved+c.Busy:
		why = "BUSY"
	case n < c.Reserved+c.Busy+c.Warming:
		why = "WUP "
	default:
		return false
	}
	s.sends(code, nil, "#nrd"+why)
	return true
}

// allowed says whether a request has its place in the present state. s.mu is
// held.
func (s *Scanner) allowed(code string) bool {
	switch code {
	case "FIN ":
		return true
	case "CAN ", "IMG ":
		return s.scan != nil || s.refused != nil
	case "INFO", "CAPA", "CAPB", "RESA", "RESB", "STAT": // also after a start that failed
		return s.scan == nil
	case "PARA", "PARB", "MECH", "TRDT":
		return s.scan == nil && s.session == control
	}
	return false
}

// known says whether there is such a request.
func known(code string) bool {
	return strings.Contains("FIN CAN IMG INFOCAPACAPBRESARESBSTATPARAPARBMECHTRDT", code) && len(code) == 4
}

// obey does what a request says. s.mu is held.
func (s *Scanner) obey(code string, data []byte) {
	switch {
	case !known(code):
		s.violation("unknown request %q", code)
		s.out.Say(usbface.Message{Data: reply("UNKN", 0)})
		return
	case !s.allowed(code):
		s.violation("request %q in the wrong state", code)
		s.out.Say(usbface.Message{Data: reply("INVD", 0)})
		return
	case len(data) > 0 && code != "PARA" && code != "PARB" && code != "MECH" && code != "RESA" && code != "RESB":
		s.violation("%d bytes of data with %s", len(data), code)
		s.out.Say(usbface.Message{Data: reply("INVD", 0)})
		return
	}
	switch code {
	case "FIN ":
		s.putBack()
		s.session, s.scan, s.refused = none, nil, nil
		s.sends(code, nil)
	case "INFO":
		if !s.notReady(code) {
			s.sends(code, []byte(s.model.info(s.cfg.Serial)))
		}
	case "CAPA":
		s.sends(code, []byte(s.model.capabilities()))
	case "RESA":
		s.sends(code, []byte(s.para.String()), "#parOK  ")
	case "CAPB", "RESB":
		s.sends(code, nil)
	case "STAT":
		s.sends(code, []byte(s.status()))
	case "PARA":
		s.setPara(data)
	case "PARB":
		s.sends(code, nil, "#parFAIL") // CAPB is empty: both sides are alike
	case "MECH":
		s.mech(data)
	case "TRDT":
		s.start()
	case "IMG ":
		if s.scan == nil {
			s.strike(s.refused, code)
			return
		}
		s.image()
	case "CAN ":
		s.putBack()
		s.scan, s.refused = nil, nil
		s.sends(code, nil)
	}
}

// status is what STAT says. s.mu is held.
func (s *Scanner) status() string {
	var b strings.Builder
	switch {
	case s.cover:
		b.WriteString("#ERRADF " + string(CoverOpened))
	case len(s.hopper) == 0:
		b.WriteString("#ERRADF " + string(PaperEnd))
	}
	if s.model.Button {
		value := 0
		for _, p := range s.cfg.Presses {
			if s.looks >= p.After && s.looks < p.After+p.For {
				value = max(p.Value, 1)
			}
		}
		s.looks++
		if b.Len() > 0 || value != 0 {
			b.WriteString("#PB " + number(value))
		}
	}
	return b.String()
}

// mech moves paper. s.mu is held.
func (s *Scanner) mech(data []byte) {
	all, err := parseSettings(data)
	if err != nil || len(all) != 1 || all[0].code != "ADF" || len(all[0].words) != 1 || all[0].words[0] != "EJCT" {
		s.violation("MECH %q: %v", data, err)
		s.sends("MECH", nil, "#parFAIL")
		return
	}
	s.sends("MECH", nil, "#parOK  ")
}

// strike does what a fault says, in the place of a reply to a request with that
// code, and reports whether it ends the scan. s.mu is held.
func (s *Scanner) strike(f *Fault, code string) (ends bool) {
	switch f.Deed {
	case Cancel:
		s.sends(code, nil, "#atnCAN ")
		return false // the host is to say CAN
	case Mute:
		s.out.Mute()
	case Unplug:
		s.out.Unplug()
	case Stall:
		s.out.Say(usbface.Message{Err: usbface.ErrStall})
	case Garbage:
		s.out.Say(usbface.Message{Data: []byte(strings.Repeat("?!", replySize/2))})
	case Refuse:
		s.out.Say(usbface.Message{Data: reply("INVD", 0)})
	default:
		part := f.Part
		if part == "" {
			part = "ADF"
		}
		if f.Cause == CoverOpened && f.Stays {
			s.cover = true
		}
		s.sends(code, nil, fmt.Sprintf("#err%-4s%-4s", part, f.Cause))
		return true
	}
	return false
}
