package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"

	"docscan/device"
	"docscan/device/gpio"
	"docscan/device/uevent"
	"docscan/packaging/language"
	"docscan/packaging/slot"
	"docscan/packaging/swap"
	"docscan/scan"
	"docscan/scan/deliver"
	"docscan/scan/intake"
	"docscan/scan/ocr"
	"docscan/store"
	"docscan/store/audit"
	"docscan/store/search"
	"docscan/web"
)

// works is all of docscand that only one process at a time can have: the store
// and whatever needs it, and the machines.
type works struct {
	cfg    config
	log    *slog.Logger
	store  *store.Store
	index  *search.Index
	pool   *ocr.Pool
	hw     *hardware
	panel  *gpio.Panel // nil if there is none
	reg    *device.Registry
	engine *scan.Engine
	queue  *deliver.Queue
	site   *web.Server

	stop        context.CancelFunc // ends engine and simulator
	stopMachine context.CancelFunc // ends registry
	machines    chan struct{}      // closed when the registry has ended
	group       errgroup.Group
	done        chan error
}

var _ swap.Program = (*works)(nil)

// startWorks starts all, and tells step what it does. What the works before have left is in
// baton; nil is nothing.
func startWorks(ctx context.Context, cfg config, cert *web.Certificate, log *slog.Logger, recent *web.Recent, updates web.Updates, restart func(), step func(doing string), baton swap.Baton) (_ *works, err error) {
	w := &works{cfg: cfg, log: log, machines: make(chan struct{}), done: make(chan error, 1)}
	var left legacy
	if baton != nil {
		if err := json.Unmarshal(baton, &left); err != nil {
			return nil, fmt.Errorf("read what is handed over: %w", err)
		}
	}
	defer func() {
		if err != nil {
			w.close()
		}
	}()
	step("it opens the data")
	if w.store, err = store.Open(cfg.Store, log); err != nil {
		return nil, err
	}
	step("it opens the search index")
	if w.index, err = search.Open(filepath.Join(cfg.Store.Dir, "index", "search.db"), scan.Texts(w.store), log); err != nil {
		return nil, fmt.Errorf("open the search index: %w", err)
	}
	step("it starts the workers")
	exe, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this program's own file: %w", err)
	}
	if w.pool, err = ocr.NewPool(cfg.OCR.In(cfg.Store.Dir), exe, log); err != nil {
		return nil, fmt.Errorf("start the workers: %w", err)
	}
	w.engine = scan.New(cfg.Scan, w.pool.Size(), w.store, w.pool, w.index, log)
	w.engine.TakeUploads(intake.Config{
		Exe: exe, MemoryMB: cfg.OCR.WorkerMemoryMB, PageSeconds: cfg.OCR.PageTimeoutSeconds,
		MaxPages: cfg.Scan.UploadPages, MaxPixels: cfg.OCR.MaxPixels,
	})
	step("it opens what finds scanners")
	if w.hw, err = openHardware(cfg, exe, log); err != nil {
		return nil, err
	}
	panels := w.hw.panels
	if cfg.Panel.Enabled() {
		if w.panel, err = gpio.Open(cfg.Panel, log); err != nil {
			return nil, err
		}
		panels = append(panels, w.panel)
	}
	w.reg = device.NewRegistry(log, w.engine.DeviceChanged, w.hw.finders...)
	w.engine.Attach(w.reg, panels...)
	w.engine.Take(left.Baton)
	step("it prepares the pages")
	w.queue = deliver.New(w.store, w.engine.Subscribe, log)
	w.site, err = web.New(cfg.Web, web.Deps{
		Store: w.store, Engine: w.engine, Registry: w.reg, Index: w.index,
		Version: version, Versions: versions, Log: log, Recent: recent, Deliveries: w.queue, Leave: swap.Leave, Updates: updates, Certificate: cert,
		LanguageInstaller: languageInstaller{language.New()}, SSHAccess: newSSHAccess(), SetUp: clearConsole, Restart: restart,
	})
	if err != nil {
		return nil, fmt.Errorf("prepare the pages: %w", err)
	}
	w.site.TakeAttempts(left.Attempts)
	w.run(ctx)
	return w, nil
}

// legacy is what works leave to the next ones.
type legacy struct {
	scan.Baton
	Attempts web.Attempts `json:"attempts,omitempty"`
}

// run starts what works by itself.
func (w *works) run(ctx context.Context) {
	// Whoever stops it says how: a hand-over is no end of the daemon.
	ctx, w.stop = context.WithCancel(context.WithoutCancel(ctx))
	start := func(ctx context.Context, do func(context.Context) error) {
		w.group.Go(func() error {
			err := do(ctx)
			if ctx.Err() == nil {
				select {
				case w.done <- err:
				default: // another part has ended before
				}
			}
			return err
		})
	}
	start(ctx, func(ctx context.Context) error { return w.store.KeepAudit(ctx, w.cfg.Audit) })
	start(ctx, w.queue.Run)
	w.group.Go(func() error { // it ends before the works do
		if err := w.store.Migrate(ctx); err != nil {
			w.log.Error("the data are not all of the form of this version yet; the next start goes on", "err", err)
		}
		return nil
	})
	// The engine lets sides on their way in end, so the machines must outlive it.
	mctx, stop := context.WithCancel(context.WithoutCancel(ctx))
	w.stopMachine = stop
	if w.hw.sim != nil {
		start(mctx, w.hw.sim.Serve)
	}
	w.group.Go(func() error {
		defer close(w.machines)
		return w.reg.Run(mctx)
	})
	w.group.Go(func() error {
		uevent.Watch(mctx, w.log, func(uevent.News) {
			w.reg.Look()
			time.AfterFunc(udevTime, func() {
				w.hw.changed()
				w.reg.Look()
			})
		})
		return nil
	})
	start(ctx, func(ctx context.Context) error {
		defer w.stopMachine()
		return w.engine.Run(ctx)
	})
}

// Handlers answer requests.
func (w *works) Handlers() (public, local http.Handler) {
	return w.site.Handler(), w.site.LocalHandler()
}

// Done gives why the works have ended by themselves.
func (w *works) Done() <-chan error { return w.done }

// Yield stops at a sheet boundary and lets the machines go.
func (w *works) Yield(ctx context.Context) {
	w.engine.Yield(ctx)
	w.stopMachine()
	<-w.machines
}

// Stop ends the works and gives what the next ones need.
func (w *works) Stop() (swap.Baton, error) {
	w.stop()
	err := w.group.Wait()
	if errors.Is(err, context.Canceled) {
		err = nil
	}
	left, merr := json.Marshal(legacy{w.engine.Baton(), w.site.Attempts()})
	return left, errors.Join(err, merr, w.site.KeepLimits(), w.close())
}

// close closes what is open, last first.
func (w *works) close() error {
	var errs []error
	if w.panel != nil {
		w.panel.Close()
	}
	if w.hw != nil {
		w.hw.close(w.log)
	}
	if w.pool != nil {
		w.pool.Close()
	}
	if w.index != nil {
		errs = append(errs, w.index.Close())
	}
	if w.store != nil {
		errs = append(errs, w.store.Close())
	}
	return errors.Join(errs...)
}

// Alive reports whether the store answers.
func (w *works) Alive() error {
	_, err := w.store.OpenBatches()
	return err
}

// Record puts a step of an update into the audit log.
func (w *works) Record(e slot.Event) error { return w.store.AddAudit(updateEntry(e)) }

// updateEntry is what the audit log keeps of a step.
func updateEntry(e slot.Event) audit.Entry {
	a := audit.Entry{
		Time: e.Time, EventType: audit.AdminAction, Actor: e.Who, Action: "update_" + string(e.Step),
		Target: e.Version, Status: audit.Success, Details: e.Digest,
	}
	if e.From != atTheBox && e.Origin != slot.Boot() {
		a.Address = e.From
	}
	if e.Reason != "" {
		a.Details += " " + e.Reason
	}
	if e.Error != "" {
		a.Status, a.Details = audit.Failure, a.Details+" "+e.Error
	}
	return a
}

// proofKeyTime is how long the log-in for a proof holds at most.
const proofKeyTime = time.Hour

// Key makes a log-in for putting the next process to the proof.
func (w *works) Key() (string, error) { return w.site.ProofKey(proofKeyTime) }

// proofSetting is written to prove that the store takes it.
const proofSetting = "update-proof"

// Prove reads a known page, writes to the store and looks for the machines.
func (w *works) Prove(ctx context.Context) (swap.Proof, error) {
	p := swap.Proof{Version: version}
	for _, d := range w.reg.Devices() {
		if d.Status.State != device.Gone {
			p.Devices = append(p.Devices, d.Info.ID)
		}
	}
	dir, err := w.store.ScratchDir("proof")
	if err != nil {
		return p, err
	}
	defer os.RemoveAll(dir)
	if p.Text, err = readKnownPage(ctx, w.pool, dir); err != nil {
		return p, err
	}
	if err := w.store.PutSetting(proofSetting, time.Now()); err != nil {
		return p, fmt.Errorf("write to the store: %w", err)
	}
	return p, nil
}
