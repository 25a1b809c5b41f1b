package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"docscan/device"
	"docscan/device/esci"
	"docscan/device/escl"
	"docscan/device/fujitsu"
	"docscan/device/ippusb"
	"docscan/device/quirks"
	"docscan/device/sane"
	"docscan/device/sim"
	"docscan/device/usb"
	"docscan/packaging/slot"
	"docscan/packaging/swap"
	"docscan/scan/ocr"
	"docscan/store"
	"docscan/web"
)

// run is the daemon: it comes back when ctx ends, or with the reason why it
// cannot start or go on, or when another process has taken over.
func run(ctx context.Context, args []string) error {
	started := time.Now()
	takes := swap.Taken()
	file, err := settingsFile(args)
	if err != nil {
		return err
	}
	recovered := false
	if file != "" && !takes {
		if recovered, err = swap.RecoverSettings(file); err != nil {
			return err
		}
	}
	cfg, err := loadConfig(args)
	if err != nil {
		return err
	}
	recent := web.NewRecent(cfg.Log.handler(os.Stderr))
	log := slog.New(recent)
	if recovered {
		log.Warn("docscand ended while new settings were on trial; those before hold again", "file", file)
	}
	d := &process{cfg: cfg, log: log, recent: recent, settings: file, handedOver: make(chan struct{})}
	if os.Getenv("INVOCATION_ID") != "" { // of systemd, whose unit says Restart=always
		ctx, d.restart = context.WithCancel(ctx)
		defer d.restart()
	}
	servers := swap.Servers{Server: d.server, Public: d.public, Local: web.LocalRequest, AsLocal: web.AsLocal, AsRemote: web.AsRemote, Lasting: web.Lasting}
	if !takes { // a process that takes over says what is wrong to the one before
		if err := d.openCertificate(web.OpenAnyway); err != nil {
			return err
		}
	}
	if takes {
		if d.frame, err = swap.TakeFrame(servers, d.start, log); err != nil {
			return err
		}
		if err := d.openCertificate(web.OpenCertificate); err != nil {
			return d.frame.Refuse(err)
		}
		d.step("it makes out the installed versions")
	}
	d.slots, err = slot.Open(cfg.Update.Slots(cfg.Store.Dir), d.record)
	switch {
	case err != nil && takes:
		return d.frame.Refuse(err)
	case err != nil:
		return err
	}
	defer closeLogged(log, "slots", d.slots.Close)
	if takes {
		if err := d.newUpdater(args); err != nil {
			return d.frame.Refuse(err)
		}
		defer d.updater.Close()
		_, err := d.frame.Take(ctx, func() {
			log.Info("docscand is the one now", "version", version, "listen", d.frame.Addr())
			d.adoptKeys()
			ocr.LetGoOfFiles()
			d.notify(ctx)
		})
		return d.stopped(err)
	}

	// The listener comes first: a taken port must stop the start before
	// anything is touched.
	listener, err := listen(cfg.Web.Listen)
	if err != nil {
		return err
	}
	defer listener.Close()
	public, err := swap.NewListener(listener)
	if err != nil {
		return err
	}
	if err := d.bootSlots(ctx); err != nil {
		log.Error("the installed versions cannot be made out; docscan goes on with this one", "err", err)
	}
	restored, err := store.FinishRestore(cfg.Store.Dir, nowAndThen(time.Second, func() { d.step("a backup takes the place of the data") }))
	switch {
	case err != nil && !errors.Is(err, store.ErrLocked): // which the store says, too
		log.Error("the backup was not restored; docscan goes on with the data it had", "err", err)
	case restored:
		log.Info("a backup was restored; what was there before is kept aside", "dir", cfg.Store.Dir)
	}
	first, err := startWorks(ctx, cfg, d.cert, log, recent, d, d.restart, d.step, nil)
	if err != nil {
		return err
	}
	path := filepath.Join(cfg.Store.Dir, "docscand.sock")
	l, err := listenLocal(path)
	var local *swap.Listener
	if err == nil {
		defer l.Close()
		local, err = swap.NewListener(l)
	}
	if err == nil {
		d.frame, err = swap.NewFrame(public, local, servers, d.start, log)
	}
	if err != nil {
		_, serr := first.Stop()
		return errors.Join(err, serr)
	}
	if err := d.newUpdater(args); err != nil {
		_, serr := first.Stop()
		return errors.Join(err, serr)
	}
	defer d.updater.Close()
	at := d.scheme() + "://" + reachable(listener.Addr())
	code, err := first.site.SetupCode()
	if err != nil {
		_, serr := first.Stop()
		return errors.Join(fmt.Errorf("prepare the set-up: %w", err), serr)
	}
	offering, enough := context.WithCancel(ctx)
	defer enough()
	handedOver, err := d.frame.Run(ctx, first, func() {
		d.recordBoot()
		d.adoptKeys()
		log.Info("docscand is ready", "version", version, "listen", listener.Addr().String(),
			"ms", time.Since(started).Milliseconds())
		greet(at, d.fingerprint(), code)
		d.wg.Go(func() { d.offerSetup(offering, first.site, at, code) })
		ocr.LetGoOfFiles()
		d.notify(ctx)
	})
	enough()
	if !handedOver {
		_ = os.Remove(path) // nobody serves it any more
	}
	return d.stopped(err)
}

// udevTime is how long after the kernel's news udev has surely given a new
// device's file to the group that may open it.
const udevTime = 500 * time.Millisecond

// hardware is what finds machines, and the panels.
type hardware struct {
	finders []device.Finder
	panels  []device.Panel
	sim     *sim.Scanner // nil: switched off
	usb     *usb.Finder  // nil: switched off
	sane    *sane.Finder // nil: switched off
}

func openHardware(cfg config, exe string, log *slog.Logger) (hw *hardware, err error) {
	known, err := quirks.Load(cfg.Device.Quirks)
	if err != nil {
		return nil, err
	}
	spool := filepath.Join(cfg.Store.Dir, "spool")
	openESCL := func(ctx context.Context, rt http.RoundTripper, info device.Info, q quirks.Quirks) (device.Scanner, error) {
		return escl.Open(ctx, escl.Options{BaseURL: "http://localhost/eSCL/", HTTP: rt, Info: info, Temp: spool, Quirks: q, Log: log})
	}
	hw = &hardware{}
	hw.finders = append(hw.finders, escl.NewFinder(cfg.Device.ESCL, spool, known, log))
	drives := func(bus, address int) bool { return false }
	if cfg.Device.USB.Enabled {
		hw.usb = usb.NewFinder(cfg.Device.USB, log,
			ippusb.NewDriver(cfg.Device.IPPUSB, known, openESCL, log),
			fujitsu.NewDriver(spool, known, log),
			esci.NewDriver(spool, known, log))
		hw.finders = append(hw.finders, hw.usb)
		drives = hw.usb.Drives
	}
	if cfg.Device.Sim.Enabled {
		if hw.sim, err = sim.New(cfg.Device.Sim, log); err != nil {
			hw.close(log)
			return nil, fmt.Errorf("start the simulated scanner: %w", err)
		}
		hw.finders = append(hw.finders, hw.sim)
		hw.panels = append(hw.panels, hw.sim.Panel())
	}
	// The last one, so that it knows what the others drive.
	if cfg.Device.SANE.Enabled {
		if hw.sane, err = sane.NewFinder(cfg.Device.SANE, exe, filepath.Join(cfg.Store.Dir, "sane"), drives, log); err != nil {
			hw.close(log)
			return nil, err
		}
		hw.finders = append(hw.finders, hw.sane)
	}
	return hw, nil
}

// changed passes on that machines have come or gone on USB, to whom searching
// costs so much that it is not done every few seconds.
func (hw *hardware) changed() {
	if hw.sane != nil {
		hw.sane.Changed()
	}
}

// close gives back what finding machines took. All machines must have been closed.
func (hw *hardware) close(log *slog.Logger) {
	if hw.sane != nil {
		closeLogged(log, "libsane", hw.sane.Close)
	}
	if hw.usb != nil {
		closeLogged(log, "usb", hw.usb.Close)
	}
}

// listen opens the address people use.
func listen(address string) (net.Listener, error) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w. Another program, perhaps another docscand, may have taken the port: stop it, or set web.listen to another address", address, err)
	}
	return l, nil
}

// listenLocal opens the socket for work on the box itself. A socket file left
// by a crash is replaced; the store's lock has shown that nobody serves it.
func listenLocal(path string) (net.Listener, error) {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("replace the local socket: %w", err)
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("open the local socket: %w", err)
	}
	// Who is at the other end is checked by peer credentials.
	if err := os.Chmod(path, 0o666); err != nil {
		l.Close()
		return nil, fmt.Errorf("open the local socket: %w", err)
	}
	return l, nil
}

// reachable turns a listener's address into one a browser on this machine
// understands.
func reachable(a net.Addr) string {
	host, port, err := net.SplitHostPort(a.String())
	if err != nil {
		return a.String()
	}
	if ip := net.ParseIP(host); ip == nil || ip.IsUnspecified() {
		host = "localhost"
	}
	return net.JoinHostPort(host, port)
}

// greet prints what a person needs first. It goes to standard output and never
// to the log, because the set-up code is a secret.
func greet(address, fingerprint, code string) {
	fmt.Printf("\ndocscan is running: %s\n", address)
	if fingerprint != "" {
		fmt.Printf("The browser will warn of its certificate. It is the right one if its SHA-256 fingerprint is\n%s\n", fingerprint)
	}
	if code != "" {
		fmt.Printf("Set up the first administrator with this one-time link:\n%s\nor open %s/setup and type the code %s\n", web.SetupLink(address, code), address, code)
	}
	fmt.Println()
}

func closeLogged(log *slog.Logger, what string, closer func() error) {
	if err := closer(); err != nil {
		log.Error("closing failed", "part", what, "err", err)
	}
}
