package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"slices"
	"sync"
	"syscall"

	"docscan/packaging/bundle"
	"docscan/packaging/slot"
	"docscan/packaging/swap"
	"docscan/store"
	"docscan/web"
)

// process is what a process of docscan is all its life, whether it has the works
// or another process has.
type process struct {
	cfg     config
	log     *slog.Logger
	recent  *web.Recent // the last lines of log
	slots   *slot.Slots
	frame   *swap.Frame
	updater *swap.Updater
	cert    *web.Certificate // nil: no TLS
	atBoot  []slot.Event     // steps that wait for the audit log
	booting bool

	restart    func()        // ends this process, which systemd then starts again; nil: it does not
	settings   string        // the docscan.toml that was read; empty for none
	handedOver chan struct{} // closed when another process is the main one
	wg         sync.WaitGroup
}

// start starts the works with what others have left.
func (d *process) start(ctx context.Context, b swap.Baton) (swap.Program, error) {
	w, err := startWorks(ctx, d.cfg, d.cert, d.log, d.recent, d, d.restart, d.step, b)
	if err != nil {
		return nil, err // not a nil *works in an interface
	}
	return w, nil
}

// step tells whoever waits for the start what is done now: the process that this one is
// to take over from, or systemd.
func (d *process) step(doing string) {
	if d.frame != nil {
		d.frame.Step(doing)
		return
	}
	notifyStep(d.log, doing)
}

// openCertificate gets what connections are encrypted with, if they are.
func (d *process) openCertificate(open func(web.Config, string, *slog.Logger) (*web.Certificate, error)) error {
	socket := ""
	if d.frame != nil {
		socket = d.frame.Addr()
	}
	if !d.cfg.Web.Secure(socket) {
		return nil
	}
	var err error
	if d.cert, err = open(d.cfg.Web, d.cfg.Store.Dir, d.log); err != nil {
		return err
	}
	d.log.Info("connections are encrypted", "sha256", d.cert.Fingerprint())
	return nil
}

// public makes of the public socket what is served.
func (d *process) public(l net.Listener) net.Listener { return web.Listener(l, d.cfg.Web, d.cert) }

func (d *process) scheme() string {
	if d.cert != nil {
		return "https"
	}
	return "http"
}

// fingerprint is that of a certificate for which nobody else vouches.
func (d *process) fingerprint() string {
	if d.cert == nil || d.cert.Given() {
		return ""
	}
	return d.cert.Fingerprint()
}

// server makes what serves h.
func (d *process) server(h http.Handler) *http.Server {
	s := web.NewHTTPServer(h, d.log)
	s.RegisterOnShutdown(func() {
		if w, ok := d.frame.Program().(*works); ok {
			w.site.End()
		}
	})
	return s
}

// newUpdater makes what installs versions, with the frame.
func (d *process) newUpdater(args []string) error {
	exe, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program's own file: %w", err)
	}
	d.updater = swap.NewUpdater(d.cfg.Update, swap.Deps{
		Frame: d.frame, Slots: d.slots, Dir: d.cfg.Store.Dir, Version: version, Schema: store.SchemaVersion,
		Args: append([]string{"run"}, args...), Exe: exe, Settings: d.settings, Data: d.data, Free: func() (int64, error) { return slot.FreeBytes(d.cfg.Store.Dir) }, Main: d.giveMain, Log: d.log,
	})
	return nil
}

// data gives the store, if this process has it.
func (d *process) data() swap.Data {
	if w, ok := d.frame.Program().(*works); ok {
		return w.store
	}
	return nil
}

// alive is what the watchdog asks. While another process is on trial it is put to
// the proof, and this one is well as long as it does that.
func (d *process) alive() error {
	if p := d.frame.Program(); p != nil {
		return p.Alive()
	}
	return nil
}

// adoptKeys takes over the keys that the current version brings.
func (d *process) adoptKeys() {
	if err := d.updater.Adopt(); err != nil {
		d.log.Error("the keys of the current version are not taken over", "err", err)
	}
}

// notify tells systemd of this process until ctx ends or another is the main one.
func (d *process) notify(ctx context.Context) {
	d.wg.Go(func() {
		if err := notify(ctx, d.handedOver, d.log, d.alive); err != nil {
			d.log.Error("speaking to systemd failed", "err", err)
		}
	})
}

// giveMain tells systemd which process is the main one now.
func (d *process) giveMain(pid int) {
	notifyMain(d.log, pid)
	close(d.handedOver)
}

// stopped waits for what still runs.
func (d *process) stopped(err error) error {
	d.wg.Wait()
	d.log.Info("docscand has stopped", "version", version)
	return err
}

// bootSlots makes out what a power cut or crash has left, and gives the steps
// that were done for the audit log.
func (d *process) bootSlots(ctx context.Context) error {
	d.booting = true
	defer func() { d.booting = false }()
	_, err := d.slots.AtBoot(ctx)
	return err
}

// record puts a step into the audit log, wherever the store is.
func (d *process) record(e slot.Event) {
	if d.booting {
		d.atBoot = append(d.atBoot, e)
		return
	}
	if err := d.frame.Record(e); err != nil {
		d.log.Error("a step of an update is not in the audit log; its history has it", "step", e.Step, "version", e.Version, "who", e.Who, "err", err)
	}
}

// recordBoot records what was done before the store was open.
func (d *process) recordBoot() {
	for _, e := range d.atBoot {
		d.record(e)
	}
	d.atBoot = nil
}

// fitForPeople are refusals whose text a person can act on.
func fitForPeople(err error) error {
	if err == nil {
		return nil
	}
	return &web.UpdateError{Kind: updateKind(err), Err: err}
}

// updateKind is what programs can tell a refusal by.
func updateKind(err error) string {
	switch {
	case errors.Is(err, swap.ErrBusy), errors.Is(err, slot.ErrBusy), errors.Is(err, swap.ErrQuiet):
		return web.UpdateBusy
	case errors.Is(err, swap.ErrNoRoom), errors.Is(err, slot.ErrNoRoom), errors.Is(err, syscall.ENOSPC):
		return web.UpdateNoRoom
	case errors.Is(err, bundle.ErrBase):
		return web.UpdateBase
	}
	return web.UpdateRefused
}

func updateVersion(v *slot.Version) *web.UpdateVersion {
	if v == nil {
		return nil
	}
	return &web.UpdateVersion{Slot: v.Slot, Version: v.Manifest.Version, Digest: v.Digest}
}

// updateSteps is what people see of the history.
func updateSteps(events []slot.Event) []web.UpdateStep {
	steps := make([]web.UpdateStep, 0, len(events))
	for e := range slices.Values(events) {
		steps = append(steps, web.UpdateStep{
			Time: e.Time, Step: string(e.Step), Who: e.Who, From: e.From, Slot: e.Slot,
			Version: e.Version, Digest: e.Digest, Reason: e.Reason, Error: e.Error,
		})
	}
	return steps
}
