package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"docscan/scan/ocr"
)

// A finding is what docscan says of a page.
type finding struct {
	blank      bool
	rotate     int
	skew       float64
	confidence float64
	cpu        time.Duration
	peak       int64 // memory of the largest worker so far, bytes
	err        error
}

// docscan reads each page as the daemon does, in workers of its own.
func docscan(ctx context.Context, log *slog.Logger, pages []page, languages []string, dir string) (contender, map[string]finding, error) {
	exe, err := os.Executable()
	if err != nil {
		return contender{}, nil, err
	}
	start, before := time.Now(), children()
	found := make([]finding, len(pages))
	texts := make([]string, len(pages))
	bytes := make([]int64, len(pages))
	peaks := make([]int64, len(pages))
	work := make(chan int)
	g, ctx := errgroup.WithContext(ctx)
	for range workers {
		g.Go(func() error {
			cfg := ocr.DefaultConfig()
			cfg.Workers = 1 // so that a page's CPU time can be told
			pool, err := ocr.NewPool(cfg, exe, log)
			if err != nil {
				return err
			}
			defer pool.Close()
			for i := range work {
				out := filepath.Join(dir, pages[i].id)
				if err := os.MkdirAll(out, 0o700); err != nil {
					return err
				}
				texts[i], bytes[i], found[i] = one(ctx, pool, pages[i], languages, out)
				if peaks[i], err = peak(); err != nil {
					return err
				}
				found[i].peak = peaks[i]
			}
			return nil
		})
	}
	g.Go(func() error {
		defer close(work)
		for i := range pages {
			select {
			case work <- i:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		return nil
	})
	if err := g.Wait(); err != nil {
		return contender{}, nil, err
	}
	c := contender{name: "docscan", texts: make(map[string]string), cost: cost{
		wall: time.Since(start),
		cpu:  children() - before,
		peak: slices.Max(peaks),
	}}
	findings := make(map[string]finding)
	for i, p := range pages {
		findings[p.id], c.texts[p.id] = found[i], texts[i]
		c.cost.bytes += bytes[i]
		if err := os.WriteFile(filepath.Join(dir, p.id, "text.txt"), []byte(texts[i]), 0o600); err != nil {
			return contender{}, nil, err
		}
	}
	return c, findings, nil
}

// one works on one page. What fails stays without text, as in the daemon.
func one(ctx context.Context, pool *ocr.Pool, p page, languages []string, dir string) (string, int64, finding) {
	var f finding
	fail := func(err error) (string, int64, finding) {
		f.err = fmt.Errorf("%s: %w", p.id, err)
		return "", 0, f
	}
	prepared, err := pool.Prepare(ctx, ocr.PrepareJob{Path: p.path, Resolution: p.dpi, Dir: dir})
	if err != nil {
		return fail(err)
	}
	info, err := os.Stat(prepared.Image.Path)
	if err != nil {
		return fail(err)
	}
	read, err := pool.Recognize(ctx, ocr.RecognizeJob{Path: p.path, DPI: prepared.DPI, Languages: languages, Dir: dir})
	if err != nil {
		return fail(err)
	}
	f.blank, f.rotate, f.skew, f.confidence = read.Blank, read.Text.Rotate, read.Text.Skew, read.Text.Confidence
	f.cpu = prepared.CPU + read.CPU
	return read.Text.Plain(), info.Size(), f
}

// children gives the CPU time of processes of this one that have ended.
func children() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_CHILDREN, &u); err != nil {
		return 0 // it cannot fail with these arguments
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// peak gives the largest memory that a running worker has had, in bytes. What
// the kernel tells of processes that have ended counts this one's in, too.
func peak() (int64, error) {
	lists, err := filepath.Glob("/proc/self/task/*/children")
	if err != nil {
		return 0, err
	}
	var most int64
	for _, list := range lists {
		pids, err := os.ReadFile(list)
		if err != nil {
			continue // the thread has ended
		}
		for pid := range strings.FieldsSeq(string(pids)) {
			status, err := os.ReadFile("/proc/" + pid + "/status")
			if err != nil {
				continue // it has ended
			}
			_, rest, _ := strings.Cut(string(status), "VmHWM:")
			if f := strings.Fields(rest); len(f) > 0 {
				kib, err := strconv.ParseInt(f[0], 10, 64)
				if err != nil {
					return 0, err
				}
				most = max(most, kib<<10)
			}
		}
	}
	return most, nil
}
