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

	"golang.org/x/sync/errgroup"

	"docscan/device"
	"docscan/device/esci"
	"docscan/device/escl"
	"docscan/device/fujitsu"
	"docscan/device/gpio"
	"docscan/device/ippusb"
	"docscan/device/quirks"
	"docscan/device/sane"
	"docscan/device/sim"
	"docscan/device/uevent"
	"docscan/device/usb"
	"docscan/scan"
	"docscan/scan/ocr"
	"docscan/store"
	"docscan/store/search"
	"docscan/web"
)

// drainTimeout is how long a stopping daemon lets requests end.
const drainTimeout = 5 * time.Second

// run is the daemon: it comes back when ctx ends, or with the reason why it
// cannot start or go on.
func run(ctx context.Context, args []string) error {
	started := time.Now()
	cfg, err := loadConfig(args)
	if err != nil {
		return err
	}
	log := cfg.Log.logger(os.Stderr)

	// The listener comes first: a taken port must stop the start before
	// anything is touched.
	listener, err := listen(cfg.Web.Listen)
	if err != nil {
		return err
	}
	defer listener.Close()
	st, err := store.Open(cfg.Store, log)
	if err != nil {
		return err
	}
	defer closeLogged(log, "store", st.Close)
	local, err := listenLocal(filepath.Join(cfg.Store.Dir, "docscand.sock"))
	if err != nil {
		return err
	}
	defer local.Close()
	index, err := search.Open(filepath.Join(cfg.Store.Dir, "index", "search.db"), log)
	if err != nil {
		return fmt.Errorf("open the search index: %w", err)
	}
	defer closeLogged(log, "index", index.Close)
	exe, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program's own file: %w", err)
	}
	pool, err := ocr.NewPool(cfg.OCR, exe, log)
	if err != nil {
		return fmt.Errorf("start the workers: %w", err)
	}
	defer pool.Close()

	engine := scan.New(cfg.Scan, pool.Size(), st, pool, index, log)
	hw, err := openHardware(cfg, exe, log)
	if err != nil {
		return err
	}
	defer hw.close(log)
	panels := hw.panels
	if cfg.Panel.Enabled() {
		p, err := gpio.Open(cfg.Panel, log)
		if err != nil {
			return err
		}
		defer p.Close()
		panels = append(panels, p)
	}
	reg := device.NewRegistry(log, engine.DeviceChanged, hw.finders...)
	engine.Attach(reg, panels...)

	site, err := web.New(cfg.Web, web.Deps{
		Store: st, Engine: engine, Registry: reg, Index: index,
		Version: version, Versions: versions, Log: log,
	})
	if err != nil {
		return fmt.Errorf("prepare the pages: %w", err)
	}

	g, gctx := errgroup.WithContext(ctx)
	if hw.sim != nil {
		g.Go(func() error { return hw.sim.Serve(gctx) })
	}
	// The engine lets sides on their way in end, so the machines must outlive it.
	rctx, stopRegistry := context.WithCancel(context.WithoutCancel(ctx))
	defer stopRegistry()
	g.Go(func() error { return reg.Run(rctx) })
	g.Go(func() error {
		uevent.Watch(rctx, log, func(uevent.News) {
			reg.Look()
			time.AfterFunc(udevTime, func() {
				hw.changed()
				reg.Look()
			})
		})
		return nil
	})
	g.Go(func() error {
		defer stopRegistry()
		return engine.Run(gctx)
	})
	serve(g, gctx, listener, site.Server(site.Handler()))
	serve(g, gctx, local, site.Server(site.LocalHandler()))
	link, err := site.SetupLink("http://" + reachable(listener.Addr()))
	if err != nil {
		return fmt.Errorf("prepare the set-up link: %w", err)
	}
	log.Info("docscand is ready", "version", version, "listen", listener.Addr().String(),
		"ms", time.Since(started).Milliseconds())
	greet(reachable(listener.Addr()), link)
	g.Go(func() error { return notify(gctx, log, func() error { return alive(gctx, st) }) })
	err = g.Wait()
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		err = nil
	}
	log.Info("docscand has stopped")
	return err
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
	openESCL := func(ctx context.Context, rt http.RoundTripper, info device.Info, q quirks.Quirks) (device.Scanner, error) {
		return escl.Open(ctx, escl.Options{BaseURL: "http://localhost/eSCL/", HTTP: rt, Info: info, Quirks: q, Log: log})
	}
	hw = &hardware{}
	hw.finders = append(hw.finders, escl.NewFinder(cfg.Device.ESCL, known, log))
	drives := func(bus, address int) bool { return false }
	if cfg.Device.USB.Enabled {
		hw.usb = usb.NewFinder(cfg.Device.USB, log,
			ippusb.NewDriver(cfg.Device.IPPUSB, known, openESCL, log),
			fujitsu.NewDriver(filepath.Join(cfg.Store.Dir, "spool"), known, log),
			esci.NewDriver(filepath.Join(cfg.Store.Dir, "spool"), known, log))
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

// serve serves h on l until ctx ends, then lets requests end.
func serve(g *errgroup.Group, ctx context.Context, l net.Listener, s *http.Server) {
	g.Go(func() error {
		if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("serve %s: %w", l.Addr(), err)
		}
		return nil
	})
	g.Go(func() error {
		<-ctx.Done()
		dctx, stop := context.WithTimeout(context.WithoutCancel(ctx), drainTimeout)
		defer stop()
		if err := s.Shutdown(dctx); err != nil {
			return s.Close() // a slow download does not hold up the stop
		}
		return nil
	})
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
// to the log, because the set-up link is a secret.
func greet(address, link string) {
	fmt.Printf("\ndocscan is running: http://%s\n", address)
	if link != "" {
		fmt.Printf("Set up the first administrator with this one-time link:\n%s\n", link)
	}
	fmt.Println()
}

// alive is what the watchdog asks: the store must answer.
func alive(ctx context.Context, st *store.Store) error {
	done := make(chan error, 1)
	go func() {
		_, err := st.OpenBatches()
		done <- err
	}()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return nil
	}
}

func closeLogged(log *slog.Logger, what string, closer func() error) {
	if err := closer(); err != nil {
		log.Error("closing failed", "part", what, "err", err)
	}
}
