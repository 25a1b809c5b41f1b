package ocr

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"time"

	"docscan/device/confine"
)

// A Pool gives pages to worker processes, one page to one process at a time.
// Its methods may be called from any goroutine.
type Pool struct {
	cfg Config
	exe string
	log *slog.Logger

	prepare   chan *task // first choice of every runner
	recognize chan *task
	launch    chan func() // to the launcher's thread
	closed    chan struct{}
	runners   sync.WaitGroup
	launcher  sync.WaitGroup
	close     sync.Once
	greet     sync.Once // the sandbox is logged once
}

// A task is a job on its way through the pool.
type task struct {
	ctx    context.Context
	req    request
	image  string   // path of the image to read
	out    []string // paths of the files to write, in the order of the file constants
	answer answer
	err    error
	done   chan struct{} // closed when answer and err are set
}

// NewPool makes a pool of workers that are started on demand as `exe worker`.
func NewPool(cfg Config, exe string, log *slog.Logger) (*Pool, error) {
	if err := cfg.Check(); err != nil {
		return nil, fmt.Errorf("ocr settings: %w", err)
	}
	if _, err := cfg.dataDirs(); err != nil {
		// Pages can still be scanned; each job that wants text says what is missing.
		log.Warn("no text will be read", "err", err)
	}
	p := &Pool{
		cfg:       cfg,
		exe:       exe,
		log:       log,
		prepare:   make(chan *task),
		recognize: make(chan *task),
		launch:    make(chan func()),
		closed:    make(chan struct{}),
	}
	p.launcher.Go(p.runLauncher)
	for range cfg.workers() {
		p.runners.Go(p.run)
	}
	return p, nil
}

// Size is how many workers there are at most.
func (p *Pool) Size() int { return p.cfg.workers() }

// Close stops all workers, also in the middle of a page, and waits for their
// end. Jobs that are under way return [ErrClosed].
func (p *Pool) Close() {
	p.close.Do(func() {
		close(p.closed)
		p.runners.Wait()
		close(p.launch)
		p.launcher.Wait()
	})
}

// Prepare makes the pictures of one side: for the PDF and for a screen. It goes
// before waiting calls of Recognize. When ctx ends, so does the work.
func (p *Pool) Prepare(ctx context.Context, job PrepareJob) (Prepared, error) {
	t := &task{
		ctx:   ctx,
		req:   request{Kind: kindPrepare, MaxPixels: p.cfg.MaxPixels, Resolution: job.Resolution},
		image: job.Path,
		out:   []string{filepath.Join(job.Dir, "view.jpg"), filepath.Join(job.Dir, "thumb.jpg"), filepath.Join(job.Dir, "image")},
	}
	if err := p.do(p.prepare, t); err != nil {
		return Prepared{}, fmt.Errorf("prepare the page: %w", err)
	}
	a := t.answer.Prepared
	out := Prepared{
		Format:  string(a.Format),
		Width:   a.Width,
		Height:  a.Height,
		DPI:     a.DPI,
		Damaged: a.Damaged,
		Image: PDFImage{
			Path:      t.path(filePDF),
			Filter:    a.Image.Filter,
			Width:     a.Image.Width,
			Height:    a.Image.Height,
			Colors:    a.Image.Colors,
			Bits:      a.Image.Bits,
			Predictor: a.Image.Predictor,
			BlackIs1:  a.Image.BlackIs1,
		},
		View:  t.path(fileView),
		Thumb: t.path(fileThumb),
		CPU:   t.answer.CPU,
	}
	if a.AsIs {
		os.Remove(out.Image.Path) // empty
		out.Image.Path = job.Path
	}
	return out, nil
}

// Recognize reads the text of one side. When ctx ends, so does the work.
func (p *Pool) Recognize(ctx context.Context, job RecognizeJob) (Recognized, error) {
	languages := job.Languages
	if len(languages) == 0 {
		languages = p.cfg.Languages
	}
	if err := p.CheckLanguages(languages); err != nil {
		return Recognized{}, fmt.Errorf("read the page: %w", err)
	}
	t := &task{
		ctx:   ctx,
		req:   request{Kind: kindRecognize, MaxPixels: p.cfg.MaxPixels, DPI: job.DPI, Languages: languages, Turned: job.Turned, Blank: job.Blank, Leave: job.Leave, Separators: job.Separators, CodesOnly: job.CodesOnly},
		image: job.Path,
		out:   []string{filepath.Join(job.Dir, "upright.jpg"), filepath.Join(job.Dir, "upright-thumb.jpg")},
	}
	if err := p.do(p.recognize, t); err != nil {
		return Recognized{}, fmt.Errorf("read the page: %w", err)
	}
	out := Recognized{Text: t.answer.Recognized.Text, Blank: t.answer.Recognized.Blank, Shine: t.answer.Recognized.Shine, Negative: t.answer.Recognized.Negative, Holes: t.answer.Recognized.Holes, CPU: t.answer.CPU}
	out.Text.Version = 1
	out.Text.Languages = slices.DeleteFunc(out.Text.Languages, func(l string) bool { return !slices.Contains(languages, l) })
	if len(out.Text.Languages) == 0 {
		out.Text.Languages = languages
	}
	if asItLies(&out.Text, out.Holes) {
		t.removeFiles()
		return out, nil
	}
	out.View, out.Thumb = t.path(fileView), t.path(fileThumb)
	return out, nil
}

// path gives the path of one of the files to write.
func (t *task) path(file int) string { return t.out[file-fileView] }

func (t *task) removeFiles() {
	for _, path := range t.out {
		os.Remove(path) // one that is not there is fine
	}
}

// do hands t to a runner and waits until it is done.
func (p *Pool) do(queue chan<- *task, t *task) error {
	t.done = make(chan struct{})
	select {
	case queue <- t:
	case <-t.ctx.Done():
		return t.ctx.Err()
	case <-p.closed:
		return ErrClosed
	}
	<-t.done // soon, if ctx ends
	if t.err != nil {
		t.removeFiles()
	}
	return t.err
}

// run works off tasks with one worker after the other until the pool is closed.
func (p *Pool) run() {
	var w *process // nil: none is running
	defer func() { w.kill() }()
	idle := time.NewTimer(0)
	defer idle.Stop()
	for {
		idle.Reset(time.Duration(p.cfg.IdleSeconds) * time.Second)
		t, open := p.next(idle.C)
		switch {
		case !open:
			return
		case t == nil:
			w.kill()
			w = nil
		default:
			w = p.work(w, t)
			close(t.done)
		}
	}
}

// next waits for a task. It gives nil when idle fires first, and open is false
// when the pool is closed.
func (p *Pool) next(idle <-chan time.Time) (t *task, open bool) {
	select {
	case t = <-p.prepare:
		return t, true
	default:
	}
	select {
	case t = <-p.prepare:
		return t, true
	case t = <-p.recognize:
		return t, true
	case <-idle:
		return nil, true
	case <-p.closed:
		return nil, false
	}
}

// work does t in w, or in a new worker if w is nil. It returns the worker for
// the next task, nil if that needs a new one.
func (p *Pool) work(w *process, t *task) *process {
	ctx, cancel := context.WithCancelCause(t.ctx)
	defer cancel(nil)
	stop := make(chan struct{})
	defer close(stop)
	go func() {
		select {
		case <-p.closed:
			cancel(ErrClosed)
		case <-stop:
		}
	}()
	// The first language that a person hands in, and the end of the last one, change
	// where the data are, and a worker sees no other place than that of its start.
	data, err := p.cfg.dataDirs()
	if err != nil {
		p.log.Debug("a worker has no language data", "err", err)
	}
	if w != nil && !slices.Equal(w.data, data) {
		w.kill()
		w = nil
	}
	if w == nil {
		if w, t.err = p.launchWorker(ctx, p.workerFlags(data)); t.err != nil {
			return nil
		}
	}
	t.answer, t.err = w.do(ctx, time.Duration(p.cfg.PageTimeoutSeconds)*time.Second, t)
	if t.err == nil {
		t.err = t.answer.check(t.req)
	}
	if t.err == nil && w.steps < p.cfg.WorkerPages && w.resident() < int64(p.cfg.RecycleMemoryMB)<<20 {
		return w
	}
	w.kill() // also after a failure: nobody knows what state the libraries are in
	return nil
}

// check turns a failure into an error and refuses an answer that does not fit
// the request.
func (a *answer) check(r request) error {
	switch {
	case a.Failure != nil:
		said := confine.Plain(a.Failure.Text)
		switch a.Failure.Kind {
		case failedImage:
			return fmt.Errorf("%w: %s", ErrImage, said)
		case failedMemory:
			return fmt.Errorf("%w: %s", ErrMemory, said)
		}
		return fmt.Errorf("%w: %s", ErrCrashed, said)
	case r.Kind == kindPrepare && a.Prepared != nil:
		if err := a.Prepared.check(r.MaxPixels); err != nil {
			return fmt.Errorf("%w: %w", ErrCrashed, err)
		}
	case r.Kind == kindRecognize && a.Recognized != nil:
		if err := a.Recognized.check(r.MaxPixels); err != nil {
			return fmt.Errorf("%w: %w", ErrCrashed, err)
		}
	case r.Kind == kindCompact && a.Compacted != nil:
		if err := a.Compacted.check(); err != nil {
			return fmt.Errorf("%w: %w", ErrCrashed, err)
		}
	default:
		return fmt.Errorf("%w: %w: nothing in it", ErrCrashed, errAnswer)
	}
	return nil
}

// runLauncher starts the workers. The kernel kills a worker when the thread
// that started it ends (PR_SET_PDEATHSIG means the thread, not the process), so
// all are started by this one thread, which lives as long as the pool.
func (p *Pool) runLauncher() {
	runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
	for f := range p.launch {
		f()
	}
}

// launchWorker starts a worker and waits for its greeting.
func (p *Pool) launchWorker(ctx context.Context, flags workerFlags) (*process, error) {
	var w *process
	var err error
	started := make(chan struct{})
	p.launch <- func() {
		defer close(started)
		w, err = startProcess(p.exe, flags)
	}
	<-started
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCrashed, err)
	}
	var g confine.Rights
	if err := w.read(ctx, startTimeout, &g); err != nil {
		return nil, fmt.Errorf("start a worker: %w", err)
	}
	p.greet.Do(func() {
		p.log.Info("workers are confined", "by", g.InForce)
		if len(g.Missing) > 0 {
			p.log.Warn("workers are confined less than they could be on another kernel", "missing", g.Missing)
		}
	})
	return w, nil
}

// startTimeout is for the start of a process and its sandbox, on a slow card.
const startTimeout = 30 * time.Second

// workerFlags gives the settings that a worker needs for its sandbox; data are
// those of dataDirs.
func (p *Pool) workerFlags(data []string) workerFlags {
	return workerFlags{
		data:     data,
		memoryMB: p.cfg.WorkerMemoryMB,
		// A bound on a worker's whole life. One page is bounded by the pool's own
		// clock, which does not rely on the worker.
		cpuSeconds: p.cfg.WorkerPages * p.cfg.PageTimeoutSeconds,
	}
}
