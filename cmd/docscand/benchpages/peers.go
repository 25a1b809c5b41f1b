package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
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
	err := cmd.Run()
	if s := cmd.ProcessState; s != nil {
		c.cpu += s.UserTime() + s.SystemTime()
	}
	if err != nil {
		return fmt.Errorf("%s: %w\n%s", name, err, said.String())
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
		text, err := os.ReadFile(filepath.Join(dir, p.id+".txt"))
		if err != nil {
			return cost{}, nil, err
		}
		texts[p.id] = string(text)
	}
	return sum, texts, nil
}

// ocrmypdf reads all pages with Debian's OCRmyPDF in one run, two jobs at a
// time, with the steps that docscan does too.
func ocrmypdf(ctx context.Context, pages []page, languages []string, dir string) (cost, map[string]string, error) {
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
	if err := command(ctx, &c, "ocrmypdf", "--jobs", strconv.Itoa(workers), "--deskew", "--rotate-pages", "--output-type", "pdfa",
		"-l", strings.Join(languages, "+"), "--sidecar", side, "--quiet", in, out); err != nil {
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
