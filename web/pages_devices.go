package web

import (
	"net/http"
	"slices"
	"strconv"

	"docscan/device"
	"docscan/store"
)

// deviceData is a scanner on the page of that name.
type deviceData struct {
	device.DeviceState
	Choices store.Machine
	Gesture []gestureData
	Was     string // names the state that is kept
}

// gestureData is what one gesture means.
type gestureData struct {
	Gesture device.Gesture
	Profile store.ProfileID
}

type devicesData struct {
	Devices  []deviceData
	Profiles []store.Profile
	Error    string
	Typed    *store.Machine // what was refused, to be corrected
}

func (s *Server) devices(c *call, status int, data devicesData) error {
	var err error
	if data.Profiles, err = s.Store.Profiles(); err != nil {
		return err
	}
	for _, d := range s.Registry.Devices() {
		m, err := s.Store.Machine(d.Info.ID)
		if err != nil {
			return err
		}
		x := deviceData{DeviceState: d, Was: tagOf(m)}
		if data.Typed != nil && data.Typed.ID == d.Info.ID {
			m = *data.Typed
		}
		x.Choices = m
		for _, g := range []device.Gesture{device.Short, device.Double, device.Long} {
			at := slices.IndexFunc(m.Presses, func(p store.MachinePress) bool { return p.Button == "" && p.Gesture == string(g) })
			y := gestureData{Gesture: g}
			if at >= 0 {
				y.Profile = m.Presses[at].Profile
			}
			x.Gesture = append(x.Gesture, y)
		}
		data.Devices = append(data.Devices, x)
	}
	return s.render(c.w, c.r, c.caller, status, "devices", data)
}

func (s *Server) devicesPage(c *call) error { return s.devices(c, http.StatusOK, devicesData{}) }

// deviceForm takes what was chosen on the page. What the page does not show, the
// presses of single buttons, stays.
func (s *Server) deviceForm(c *call) error {
	s.editing.Lock()
	defer s.editing.Unlock()
	m, err := s.Store.Machine(c.ps.ByName("id"))
	if err != nil {
		return err
	}
	stale := c.formFrom(m)
	m.Name = c.r.PostFormValue("name")
	m.AutoStart = c.r.PostFormValue("auto_start") != ""
	m.AutoStartProfile = store.ProfileID(c.r.PostFormValue("auto_start_profile"))
	m.Presses = slices.DeleteFunc(m.Presses, func(p store.MachinePress) bool { return p.Button == "" })
	for _, g := range []device.Gesture{device.Short, device.Double, device.Long} {
		if p := c.r.PostFormValue("press_" + string(g)); p != "" {
			m.Presses = append(m.Presses, store.MachinePress{Gesture: string(g), Profile: store.ProfileID(p)})
		}
	}
	if v := c.r.PostFormValue("auto_start_seconds"); v != "" {
		if m.AutoStartSeconds, err = strconv.Atoi(v); err != nil {
			return s.devices(c, http.StatusUnprocessableEntity, devicesData{Error: c.tongue.T("The grace time must be a number of seconds."), Typed: &m})
		}
	}
	if err = stale; err == nil {
		err = s.choose(c, m)
	}
	if err != nil {
		if p := problem(err); p.Status == http.StatusUnprocessableEntity || p.Status == http.StatusPreconditionFailed {
			return s.devices(c, p.Status, devicesData{Error: c.say(p), Typed: &m})
		}
		return err
	}
	tell(c, "saved", "")
	return redirect(c, "/devices")
}
