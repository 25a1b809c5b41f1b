package web

import (
	"docscan/device"
	"docscan/scan"
	"docscan/store"
)

// The kiosk is for who stands at the scanner: one big button for each profile,
// what goes on, and in case of a fault the one thing to do. It shows nothing of
// accounts and no picture of what is scanned, and works on browsers from 2013 on:
// its style and script are its own.
func kioskRoutes() []route {
	return []route{
		{"GET", "/kiosk", panels, (*Server).kioskPage, ""},
		{"GET", "/kiosk/now", panels, (*Server).kioskNow, ""},
		{"POST", "/kiosk/scan", panels, (*Server).kioskScan, ""},
		{"POST", "/kiosk/batches/:id/:action", panels, (*Server).kioskAct, ""},
	}
}

type kioskData struct {
	Live     live
	Profiles []store.Profile
	Here     bool                // a scanner is connected
	Ready    bool                // a press would start a scan
	With     *device.DeviceState // on this scanner, while another is at work; nil: on the one that is ready
	Problem  *Problem            // why the last press did not
}

func (s *Server) kiosk(c *call, p *Problem) (kioskData, error) {
	data := kioskData{Problem: p}
	var err error
	if data.Live, err = s.live(c); err != nil {
		return data, err
	}
	busy := make(map[string]bool)
	for _, b := range data.Live.Batches {
		if b.Device != "" && (b.State == store.BatchScanning || b.State == store.BatchStopped) {
			busy[b.Device] = true
		}
	}
	for i, d := range data.Live.Devices {
		if d.Status.State == device.Gone {
			continue
		}
		data.Here = true
		if busy[d.Info.ID] {
			continue
		}
		data.Ready = true
		if len(busy) > 0 && (data.With == nil || d.Status.Loaded && !data.With.Status.Loaded) {
			data.With = &data.Live.Devices[i]
		}
	}
	data.Profiles, err = s.Store.Profiles()
	return data, err
}

func (s *Server) kioskPage(c *call) error {
	data, err := s.kiosk(c, nil)
	if err != nil {
		return err
	}
	return s.show(c, "kiosk:kiosk", data)
}

func (s *Server) kioskNow(c *call) error {
	data, err := s.kiosk(c, nil)
	if err != nil {
		return err
	}
	return s.show(c, "kiosk:kiosk-now", data)
}

// kioskDone goes back to the kiosk, or says on it why something did not work.
func (s *Server) kioskDone(c *call, err error) error {
	if err == nil {
		return redirect(c, "/kiosk")
	}
	p := problem(err)
	if p.Status >= 500 && p.Status != 503 && p.Status != 507 {
		s.Log.Error("request failed", "method", c.r.Method, "path", c.r.URL.Path, "err", err)
	}
	data, err := s.kiosk(c, c.tongue.Problem(p))
	if err != nil {
		return err
	}
	return s.render(c.w, c.r, c.caller, p.Status, "kiosk:kiosk", data)
}

func (s *Server) kioskScan(c *call) error {
	_, err := s.press(c, scan.Request{
		Device: c.r.PostFormValue("device"), Profile: store.ProfileID(c.r.PostFormValue("profile")), Anew: c.r.PostFormValue("anew") != "",
	})
	return s.kioskDone(c, err)
}

func (s *Server) kioskAct(c *call) error {
	_, err := s.act(c, c.ps.ByName("action"))
	return s.kioskDone(c, err)
}
