package web

import (
	"cmp"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"slices"
	"time"

	"docscan/device"
	"docscan/store"
)

// What a fleet may do at the local socket, as "docscanctl receive": accounts of
// the system, told by the kernel, whose rights are these routes and those of
// updates. Nothing here tells what was scanned.

func fleetRoutes() []route {
	return []route{
		{"GET", "/api/v1/update/facts", updaters, (*Server).apiFacts, "How this box is, for a fleet: version, health, disk, scanners; nothing of what was scanned"},
		{"GET", "/api/v1/fleet/devices", fleets, (*Server).apiDevices, "Scanners"},
		{"POST", "/api/v1/fleet/check", fleets, (*Server).apiCheck, "Check all that is stored"},
		{"POST", "/api/v1/fleet/restart", fleets, (*Server).apiRestart, "Start docscan anew while people work"},
		{"PUT", configPath, fleets, (*Server).apiConfigure, "Check the docscan.toml that is the body and, without ?dry_run=1, work with it"},
	}
}

const configPath = "/api/v1/fleet/config"

// checkAccounts finds accounts that must not have the rights of a fleet.
func checkAccounts(c *Config) error {
	for key, name := range map[string]string{"update_account": c.UpdateAccount, "fleet_account": c.FleetAccount} {
		if name == "root" {
			return fmt.Errorf("%s is root, who may do everything; it must be an account of its own, or \"\"", key)
		}
	}
	if c.UpdateAccount != "" && c.UpdateAccount == c.FleetAccount {
		return fmt.Errorf("fleet_account is %q, which update_account is; they have different rights", c.FleetAccount)
	}
	return nil
}

// Headers with which "docscanctl receive" says for whom it speaks. Only the
// accounts of a fleet can send them, and they change no right.
const (
	fleetFromHeader = "Docscan-From" // network address
	fleetByHeader   = "Docscan-By"   // name of the key
)

// fleetCaller gives the caller that an account of a fleet is; nil if p is none.
func (s *Server) fleetCaller(r *http.Request, p peer) *caller {
	account := p.account()
	if account == "" || account != s.cfg.UpdateAccount && account != s.cfg.FleetAccount {
		return nil
	}
	c := &caller{user: store.User{Name: account}, account: account, more: account == s.cfg.FleetAccount, origin: "fleet"}
	if by := clip(r.Header.Get(fleetByHeader)); by != "" {
		c.user.Name = account + " (" + by + ")"
	}
	if a, err := netip.ParseAddr(r.Header.Get(fleetFromHeader)); err == nil {
		c.address = a.String()
	}
	return c
}

// facts is what a fleet learns of a box.
type facts struct {
	Version       string      `json:"version"`
	UptimeSeconds int64       `json:"uptime_seconds"`
	Healthy       bool        `json:"healthy"`
	Trouble       []string    `json:"trouble"`
	DiskFree      uint64      `json:"disk_free_bytes"`
	DiskTotal     uint64      `json:"disk_total_bytes"`
	OpenBatches   int         `json:"open_batches"`
	PagesWaiting  int         `json:"pages_waiting"`
	LastDocument  time.Time   `json:"last_document,omitzero"`
	Devices       []factsUnit `json:"devices"`
}

type factsUnit struct {
	Name  string       `json:"name"`
	State device.State `json:"state"`
}

// lowDisk is the part of the disk below which a fleet hears of it, in percent.
const lowDisk = 5

func (s *Server) apiFacts(c *call) error {
	f := facts{Version: s.Version, UptimeSeconds: int64(time.Since(s.started).Seconds()), Healthy: true, Trouble: []string{}, Devices: []factsUnit{}}
	ill := func(format string, args ...any) {
		f.Trouble = append(f.Trouble, fmt.Sprintf(format, args...))
	}
	open, err := s.Store.OpenBatches()
	if err != nil {
		f.Healthy = false
		ill("the store does not answer: %v", err)
	}
	for _, b := range open {
		f.OpenBatches++
		f.PagesWaiting += b.Pages - b.Done
	}
	if err := s.Index.Ping(c.r.Context()); err != nil {
		f.Healthy = false
		ill("the index does not answer: %v", err)
	}
	if f.DiskFree, f.DiskTotal, err = s.Store.DiskBytes(); err != nil {
		ill("the room on the disk cannot be told: %v", err)
	} else if f.DiskFree < f.DiskTotal/100*lowDisk {
		ill("the disk is almost full")
	}
	if s.Certificate != nil && s.Certificate.StoodIn() {
		ill("the certificate of web.certificate cannot be used")
	}
	docs, err := s.Store.Documents(store.DocumentQuery{Limit: 1})
	if err == nil && len(docs) > 0 {
		f.LastDocument = docs[0].Created
	}
	for _, d := range s.Registry.Devices() {
		f.Devices = append(f.Devices, factsUnit{cmp.Or(d.Name, d.Info.Name()), d.Status.State})
		if slices.Contains([]device.State{device.Faulty, device.Gone}, d.Status.State) {
			ill("%s is %s", cmp.Or(d.Name, d.Info.Name()), d.Status.State)
		}
	}
	return writeJSON(c.w, http.StatusOK, f)
}

func (s *Server) apiRestart(c *call) error {
	u, err := s.updates()
	if err != nil {
		return err
	}
	if err := u.Restart(c.r.Context(), c.by()); err != nil {
		return refused(err)
	}
	return s.accepted(c, u)
}

func (s *Server) apiConfigure(c *call) error {
	u, err := s.updates()
	if err != nil {
		return err
	}
	settings, err := io.ReadAll(c.r.Body)
	if err != nil {
		return err
	}
	if len(settings) == 0 {
		return problemf(422, "no-settings", "No settings", "The body must be a docscan.toml.")
	}
	if err := u.Configure(c.r.Context(), settings, c.r.URL.Query().Get("dry_run") == "1", c.by()); err != nil {
		return refused(err)
	}
	return s.accepted(c, u)
}
