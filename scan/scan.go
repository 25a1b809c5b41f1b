// Package scan turns a press into documents.
//
// The [Engine] opens a batch for every press. Feeding has the right of way:
// each side is streamed into a blob, synced and recorded before the next one is
// asked for, and nothing else is waited for. Behind it every page is prepared
// (a picture for the PDF and for the screen) and recognised (its text) by
// worker processes, and when all pages of a batch are done they become one
// document. All of that can be repeated from what the store holds, so a crash
// at any moment costs work, never a page.
//
// What a page's pictures and text are is the business of the packages below:
// ocr, imaging, text and pdf.
package scan

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"docscan/device"
	"docscan/scan/intake"
	"docscan/scan/ocr"
	"docscan/store"
	"docscan/store/audit"
	"docscan/store/search"
)

// Config is the table [scan] of docscan.toml.
type Config struct {
	// ResumeMinutes is how long a batch that a fault has stopped waits for
	// somebody to go on. Then it is finished with the pages that are there.
	ResumeMinutes int `toml:"resume_minutes"`
	// PageTries is how often a page is given to a worker before it is kept as
	// an image only.
	PageTries int `toml:"page_tries"`
	// KeepRawDays is how long the images as they came from the scanner are kept
	// beside the finished document. 0 keeps them for ever.
	KeepRawDays int `toml:"keep_raw_days"`
	// TrashDays is how long a document stays in the trash, and how long a change
	// can be taken back. 0 keeps both for ever.
	TrashDays int `toml:"trash_days"`
	// ASNPrefix is what barcodes of labels with an archive number begin with. Empty:
	// there are no such labels.
	ASNPrefix string `toml:"asn_prefix"`
	// MinFreeMB is how much room the disk must have before another side is
	// asked for, in MiB.
	MinFreeMB int `toml:"min_free_mb"`
	// UploadPages is how many pages an uploaded file may have.
	UploadPages int `toml:"upload_pages"`
}

// DefaultConfig is what holds where docscan.toml is silent. 256 MiB is room
// for the database and for the PDF of a batch of some 200 sheets.
func DefaultConfig() Config {
	return Config{ResumeMinutes: 15, PageTries: 2, KeepRawDays: 30, TrashDays: 30, MinFreeMB: 256, UploadPages: 1000, ASNPrefix: "ASN"}
}

// Check reports the first value that makes no sense.
func (c *Config) Check() error {
	switch {
	case c.ResumeMinutes < 1 || c.ResumeMinutes > 7*24*60:
		return fmt.Errorf("resume_minutes is %d; it must be 1 to 10080", c.ResumeMinutes)
	case c.PageTries < 1 || c.PageTries > 10:
		return fmt.Errorf("page_tries is %d; it must be 1 to 10", c.PageTries)
	case c.KeepRawDays < 0 || c.KeepRawDays > 36500:
		return fmt.Errorf("keep_raw_days is %d; it must be 0 to 36500", c.KeepRawDays)
	case c.TrashDays < 0 || c.TrashDays > 36500:
		return fmt.Errorf("trash_days is %d; it must be 0 to 36500", c.TrashDays)
	case c.MinFreeMB < 16 || c.MinFreeMB > 1<<20:
		return fmt.Errorf("min_free_mb is %d; it must be 16 to 1048576", c.MinFreeMB)
	case c.UploadPages < 1 || c.UploadPages > 10000:
		return fmt.Errorf("upload_pages is %d; it must be 1 to 10000", c.UploadPages)
	case !asnPrefix.MatchString(c.ASNPrefix):
		return fmt.Errorf("asn_prefix is %q; it must be at most 16 letters, digits, dashes, dots, slashes and colons that end with no digit", c.ASNPrefix)
	}
	return nil
}

// Conditions a caller can act on. Their texts are fit for people.
var (
	ErrNoDevice   = errors.New("no scanner is connected")
	ErrDeviceBusy = errors.New("the scanner is at work already")
	ErrState      = errors.New("the batch is no longer in a state that allows this")
	ErrUnfit      = errors.New("the scanner cannot do what the profile asks")
)

// By says who did something, for the audit log.
type By struct {
	Actor   string // log-in name, "local" or "panel"
	Address string // network address; empty for the panel and the local socket
}

func (b By) entry(action, target string) audit.Entry {
	return audit.Entry{
		Time:      time.Now(),
		EventType: audit.DataAccess,
		Actor:     b.Actor,
		Address:   b.Address,
		Action:    action,
		Target:    target,
		Status:    audit.Success,
	}
}

// A Request is somebody's wish to scan.
type Request struct {
	Device  string          // device.Info.ID; empty: the only machine, or the first that is ready
	Profile store.ProfileID // empty: the first profile
	Anew    bool            // a batch that a fault has stopped is finished instead of gone on with
	Owner   store.UserID    // whose document it becomes; empty: everybody's
	Origin  string          // web, api, cli or panel
	By      By
}

// Engine runs batches. It is made by New and works while Run runs.
type Engine struct {
	cfg    Config
	store  *store.Store
	reg    *device.Registry
	pool   *ocr.Pool
	index  *search.Index
	panels []device.Panel
	log    *slog.Logger
	hub    *hub

	prepare   *queue // pages to prepare
	recognise *queue // pages to recognise
	workers   int
	intake    intake.Config
	oneUpload chan struct{} // holds one while a page of a file is made

	rereading sync.Mutex    // held while the documents to read again are changed
	reread    chan struct{} // holds one when there is a new one

	numbering sync.Mutex // held while an archive number is given away
	learning  sync.Mutex // held while what backs have in common is counted

	metering sync.Mutex // held while meter is changed or read
	meter    Meter

	coming sync.Mutex      // held while it is recorded that a machine comes or goes
	here   map[string]bool // whether it is here, by ID
	loose  comings         // how often each has come and gone lately

	mu       sync.Mutex
	stopping bool
	yielding bool                    // a hand-over is on its way
	left     []store.BatchID         // batches for the next process to feed
	taken    []store.BatchID         // batches that the process before has left
	broken   bool                    // and it did not end well
	feeds    map[store.BatchID]*feed // batches that a goroutine is feeding
	working  map[store.BatchID]bool  // batches that a goroutine is assembling; true: and has to look at again
	uploads  map[store.BatchID]*uploading
	light    device.Light
	// lightTimer looks at the light again; delivered is when the last document
	// was finished.
	lightTimer *time.Timer
	delivered  time.Time
	safe       time.Time              // when its pages were all safe
	paper      map[string]bool        // what the feeders held when last looked at
	starts     map[string]*time.Timer // scans about to begin because paper was put in
	feeding    sync.WaitGroup
	timed      sync.WaitGroup  // what timers have begun
	ctx        context.Context // of Run; feeds live in it
}

// New returns an engine; workers is how many pages are processed at once. The
// registry's news must be passed to DeviceChanged.
func New(cfg Config, workers int, st *store.Store, pool *ocr.Pool, index *search.Index, log *slog.Logger) *Engine {
	return &Engine{
		cfg:       cfg,
		store:     st,
		pool:      pool,
		index:     index,
		log:       log,
		hub:       newHub(),
		prepare:   newQueue(),
		recognise: newQueue(),
		workers:   workers,
		feeds:     make(map[store.BatchID]*feed),
		working:   make(map[store.BatchID]bool),
		uploads:   make(map[store.BatchID]*uploading),
		oneUpload: make(chan struct{}, 1),
		reread:    make(chan struct{}, 1),
		paper:     make(map[string]bool),
		starts:    make(map[string]*time.Timer),
		here:      make(map[string]bool),
		loose:     make(comings),
	}
}

// Attach gives the engine its machines and panels, before Run.
func (e *Engine) Attach(reg *device.Registry, panels ...device.Panel) {
	e.reg = reg
	e.panels = panels
	reg.OnPress(e.Pressed)
}

// DeviceChanged tells those who watch that a machine came, went or changed.
func (e *Engine) DeviceChanged(id string) {
	e.hub.publish(Event{Name: EventDevice, Device: id})
	e.noticeComing(id)
	e.noticePaper(id)
}

// tick is how often unfinished work is looked for: what failed for want of
// room or by a passing fault is taken up again within this time.
const tick = 10 * time.Second

// Run takes up what an earlier process left, then works until ctx ends. A side
// on its way in is then finished if it comes within shutdownGrace; nothing that
// Run started outlives it.
func (e *Engine) Run(ctx context.Context) error {
	e.mu.Lock()
	taken := e.taken
	e.mu.Unlock()
	if err := e.closeInterrupted(taken); err != nil {
		return fmt.Errorf("take up unfinished batches: %w", err)
	}
	machines, err := e.store.Machines()
	if err != nil {
		return err
	}
	for _, m := range machines {
		e.reg.Choose(m.ID, choiceOf(m))
	}
	g, gctx := errgroup.WithContext(ctx)
	e.mu.Lock()
	e.ctx = gctx
	e.mu.Unlock()
	if err := e.feedOn(taken); err != nil {
		e.stopFeeding()
		return fmt.Errorf("go on with batches: %w", err)
	}
	for range e.workers {
		g.Go(func() error { e.prepareLoop(gctx); return nil })
		g.Go(func() error { e.recogniseLoop(gctx); return nil })
	}
	for _, p := range e.panels {
		g.Go(func() error { return p.Watch(gctx, e.Pressed) })
	}
	g.Go(func() error { e.keepIndex(gctx); return nil })
	g.Go(func() error { e.rereadLoop(gctx); return nil })
	g.Go(func() error {
		t := time.NewTicker(tick)
		defer t.Stop()
		for {
			e.takeUp(gctx)
			e.tellLoose(time.Now())
			select {
			case <-gctx.Done():
				return nil
			case <-t.C:
			}
		}
	})
	g.Go(func() error { e.retain(gctx); return nil })
	<-gctx.Done()
	e.stopFeeding()
	e.prepare.close()
	e.recognise.close()
	err = g.Wait()
	e.mu.Lock()
	if e.lightTimer != nil {
		e.lightTimer.Stop()
	}
	for _, t := range e.starts {
		t.Stop()
	}
	e.mu.Unlock()
	e.timed.Wait()
	e.tellLoose(time.Now().Add(time.Hour)) // nobody counts on
	e.hub.close()
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return nil // asked to stop
	}
	return err
}
