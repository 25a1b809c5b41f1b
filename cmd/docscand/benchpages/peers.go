package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"
)

// cost is what a run took.
type cost struct {
	wall, cpu time.Duration
	peak      int64 // bytes, of the largest process; 0: not measured
	bytes     int64 // of what came out; 0 where nothing did
}

// command runs a peer's command and adds what it took.
func command(ctx context.Context, c *cost, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(os.Environ(), "OMP_THREAD_LIMIT=1")
	var said strings.Builder
	cmd.Stderr = &said
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	look := time.NewTicker(100 * time.Millisecond)
	defer look.Stop()
	var err error
	for running := true; running; {
		select {
		case err = <-ended:
			running = false
		case <-look.C:
			c.peak = max(c.peak, peakOf(strconv.Itoa(cmd.Process.Pid)))
		}
	}
	c.cpu += cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	if err != nil {
		return fmt.Errorf("%s: %w\n%s", name, err, said.String())
	}
	return nil
}

// peakOf gives the largest memory that a process or one of its descendants has
// had, in bytes; 0 if they have ended. What the kernel tells of processes that
// have ended counts that of their parents in.
func peakOf(pid string) int64 {
	var most int64
	status, err := os.ReadFile("/proc/" + pid + "/status")
	if err != nil {
		return 0
	}
	if _, rest, ok := strings.Cut(string(status), "VmHWM:"); ok {
		if f := strings.Fields(rest); len(f) > 0 {
			kib, err := strconv.ParseInt(f[0], 10, 64)
			if err == nil {
				most = kib << 10
			}
		}
	}
	return max(most, peakOfChildren(pid))
}

// peakOfChildren gives the largest memory that a descendant of a process has had.
func peakOfChildren(pid string) int64 {
	var most int64
	for _, child := range children(pid) {
		most = max(most, peakOf(child))
	}
	return most
}

// children gives the children of a process.
func children(pid string) []string {
	lists, err := filepath.Glob("/proc/" + pid + "/task/*/children")
	if err != nil {
		return nil // only a bad pattern is an error
	}
	var all []string
	for _, list := range lists {
		pids, err := os.ReadFile(list)
		if err != nil {
			continue // the thread has ended
		}
		all = append(all, strings.Fields(string(pids))...)
	}
	return all
}

// forgetPeaks lets peakOfChildren count anew for the children of this process.
func forgetPeaks() error {
	for _, pid := range children("self") {
		if err := os.WriteFile("/proc/"+pid+"/clear_refs", []byte("5"), 0); err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ESRCH) {
			return fmt.Errorf("forget the memory that a worker has had: %w", err)
		}
	}
	return nil
}

// bare reads each page with Debian's tesseract, two at a time with one thread
// each: what the engine takes if nothing is done for it.
func bare(ctx context.Context, pages []page, languages []string, dir string) (cost, map[string]string, error) {
	start := time.Now()
	costs := make([]cost, len(pages))
	var g errgroup.Group
	g.SetLimit(workers)
	for i, p := range pages {
		g.Go(func() error {
			return command(ctx, &costs[i], "tesseract", p.path, filepath.Join(dir, p.id), "--dpi", strconv.Itoa(p.dpi), "-l", strings.Join(languages, "+"))
		})
	}
	if err := g.Wait(); err != nil {
		return cost{}, nil, err
	}
	sum := cost{wall: time.Since(start)}
	texts := make(map[string]string)
	for i, p := range pages {
		sum.cpu += costs[i].cpu
		sum.peak = max(sum.peak, costs[i].peak)
		text, err := os.ReadFile(filepath.Join(dir, p.id+".txt"))
		if err != nil {
			return cost{}, nil, err
		}
		texts[p.id] = string(text)
	}
	return sum, texts, nil
}

// ocrmypdf reads all pages with Debian's OCRmyPDF in one run, two jobs at a
// time, with the steps that docscan does too: turning and straightening, and
// cleaning if clean is set.
func ocrmypdf(ctx context.Context, pages []page, languages []string, dir, output string, clean bool) (cost, map[string]string, error) {
	var parts []string
	for _, p := range pages {
		part := filepath.Join(dir, p.id+".pdf")
		if err := command(ctx, new(cost), "img2pdf", "--imgsize", strconv.Itoa(p.dpi)+"dpi", "-o", part, p.path); err != nil {
			return cost{}, nil, err
		}
		parts = append(parts, part)
	}
	in, out, side := filepath.Join(dir, "in.pdf"), filepath.Join(dir, "out.pdf"), filepath.Join(dir, "out.txt")
	if err := command(ctx, new(cost), "qpdf", append(append([]string{"--empty", "--pages"}, parts...), "--", in)...); err != nil {
		return cost{}, nil, err
	}
	var c cost
	start := time.Now()
	args := []string{"--jobs", strconv.Itoa(workers), "--deskew", "--rotate-pages", "--output-type", output}
	if clean {
		args = append(args, "--clean")
	}
	args = append(args, "-l", strings.Join(languages, "+"), "--sidecar", side, "--quiet", in, out)
	if err := command(ctx, &c, "ocrmypdf", args...); err != nil {
		return cost{}, nil, err
	}
	c.wall = time.Since(start)
	info, err := os.Stat(out)
	if err != nil {
		return cost{}, nil, err
	}
	c.bytes = info.Size()
	read, err := os.ReadFile(side)
	if err != nil {
		return cost{}, nil, err
	}
	texts := make(map[string]string)
	for i, t := range strings.Split(string(read), "\f") {
		if i < len(pages) {
			texts[pages[i].id] = t
		}
	}
	return c, texts, nil
}
