// Bench measures the whole path, from the press to the document, on a stack of
// 20 pages, and Debian's ocrmypdf on the same pages in the same run. Times are
// only worth something as ratios between the two; machines differ.
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"docscan/cmd/docscand/box"
	"docscan/device/sim/sample"
)

const (
	pages = 20
	dpi   = 300
	// patience bounds the whole run.
	patience = 30 * time.Minute
	// sampleEvery is how often memory is looked at; peaks shorter than this
	// may be missed, as the kernel keeps a peak only per process.
	sampleEvery = 100 * time.Millisecond
)

func main() {
	ctx, stop := context.WithTimeout(context.Background(), patience)
	defer stop()
	only := flag.String("only", "", "measure only the `part`: scanner, drivers, found or path")
	flag.Parse()
	if err := bench(ctx, os.Stdout, *only); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func bench(ctx context.Context, w io.Writer, only string) error {
	dir, err := os.MkdirTemp("", "docscan-bench")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	exe, err := filepath.Abs("bin/docscand")
	if err != nil {
		return err
	}
	for _, part := range []struct {
		name    string
		measure func(ctx context.Context, w io.Writer, exe, dir string) error
	}{{"scanner", device}, {"drivers", drivers}, {"found", found}, {"path", path}} {
		if only != "" && only != part.name {
			continue
		}
		room := filepath.Join(dir, part.name)
		if err := os.Mkdir(room, 0o700); err != nil {
			return err
		}
		if err := part.measure(ctx, w, exe, room); err != nil {
			return fmt.Errorf("%s: %w", part.name, err)
		}
	}
	return nil
}

// path prints what the whole path takes, beside OCRmyPDF.
func path(ctx context.Context, w io.Writer, exe, dir string) error {
	b := box.New(exe, dir)
	if err := fill(b.Stack, dir, pages); err != nil {
		return fmt.Errorf("draw the stack: %w", err)
	}
	b.Set["device.sim.sheets_per_minute"] = "0" // as fast as it can
	b.Set["ocr.languages"] = "eng,deu"

	start := time.Now()
	if err := b.Start(ctx); err != nil {
		return err
	}
	defer b.Stop()
	fmt.Fprintf(w, "start to healthy and set up: %d ms\n", time.Since(start).Milliseconds())
	idle, err := tree(b.PID())
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "idle daemon, resident:       %d MiB\n\n", idle.resident>>20)

	ours, err := scan(ctx, b)
	if err != nil {
		return err
	}
	// The peer gets the same page images as a PDF without text.
	plain := filepath.Join(dir, "plain.pdf")
	if err := imagesOnly(ctx, b.Stack, plain); err != nil {
		return err
	}
	theirs, err := ocrmypdf(ctx, plain, filepath.Join(dir, "peer.pdf"))
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "%d pages at %d dpi               docscan    ocrmypdf    ratio\n", pages, dpi)
	row := func(name, format string, a, b float64) {
		fmt.Fprintf(w, "%-28s %11s %11s %8.2f\n", name, fmt.Sprintf(format, a), fmt.Sprintf(format, b), a/b)
	}
	row("pages a minute", "%.1f", pages/ours.wall.Minutes(), pages/theirs.wall.Minutes())
	row("CPU seconds a page", "%.2f", ours.cpu.Seconds()/pages, theirs.cpu.Seconds()/pages)
	row("peak memory, all, MiB", "%.0f", mib(ours.peak), mib(theirs.peak))
	row("bytes a page", "%.0f", float64(ours.bytes)/pages, float64(theirs.bytes)/pages)
	fmt.Fprintf(w, "peak memory of the daemon alone: %.0f MiB\n", mib(ours.main))
	return nil
}

// profile is the one that all scans use, and settings are its own.
const profile = "bench"

// Blank sides stay, so that the peer gets as many pages.
func settings() map[string]any {
	return map[string]any{"name": "Benchmark", "source": "auto", "duplex": true, "mode": "color", "resolution": dpi, "blank": "keep"}
}

// found prints how long it takes from the press until the search finds the words
// of a sheet that is scanned alone. The simulated scanner needs next to no time.
func found(ctx context.Context, w io.Writer, exe, dir string) error {
	const scans, sides = 10, 2
	b := box.New(exe, dir)
	if err := fill(b.Stack, dir, sides); err != nil {
		return fmt.Errorf("draw the sheet: %w", err)
	}
	b.Set["device.sim.sheets_per_minute"] = "0" // as fast as it can
	b.Set["ocr.languages"] = "eng,deu"
	if err := b.Start(ctx); err != nil {
		return err
	}
	defer b.Stop()
	if err := b.Put(ctx, "/api/v1/profiles/"+profile, settings(), nil); err != nil {
		return err
	}
	words := strings.Fields(sample.Stack(true)[0].Sides[0].Text)
	word := slices.MaxFunc(words, func(a, b string) int { return len(strings.Trim(a, ".,:;")) - len(strings.Trim(b, ".,:;")) })
	var took []time.Duration
	for range scans {
		start := time.Now()
		batch, err := b.Press(ctx, profile)
		if err != nil {
			return err
		}
		for there := false; !there; time.Sleep(10 * time.Millisecond) {
			var list struct{ Documents []struct{ Batch string } }
			if err := b.Get(ctx, "/api/v1/documents?q="+url.QueryEscape(word), &list); err != nil {
				return err
			}
			for _, d := range list.Documents {
				there = there || d.Batch == batch.ID
			}
		}
		took = append(took, time.Since(start))
		if _, err := b.WaitFor(ctx, batch.ID, box.Batch.Final); err != nil {
			return err
		}
	}
	slices.Sort(took)
	fmt.Fprintf(w, "from the press until the search finds the page, %d scans of one sheet of two sides: median %d ms, most %d ms\n\n",
		scans, took[scans/2].Milliseconds(), took[scans-1].Milliseconds())
	return nil
}

func mib(n int64) float64 { return float64(n) / (1 << 20) }

// fill puts n page images into stack: the sample stack again and again.
func fill(stack, dir string, n int) error {
	drawn := filepath.Join(dir, "drawn")
	if err := sample.Write(drawn, dpi); err != nil {
		return err
	}
	names, err := os.ReadDir(drawn)
	if err != nil {
		return err
	}
	if err := os.Mkdir(stack, 0o700); err != nil {
		return err
	}
	for i := range n {
		from := names[i%len(names)].Name()
		if err := os.Link(filepath.Join(drawn, from), filepath.Join(stack, fmt.Sprintf("%03d%s", i, filepath.Ext(from)))); err != nil {
			return err
		}
	}
	return nil
}

// measure is what one run took.
type measure struct {
	wall  time.Duration
	cpu   time.Duration
	peak  int64 // bytes resident, all processes together
	main  int64 // bytes resident, the first process
	bytes int64 // of the PDF
}

// scan runs one batch.
func scan(ctx context.Context, b *box.Box) (measure, error) {
	before, err := tree(b.PID())
	if err != nil {
		return measure{}, err
	}
	if err := b.Put(ctx, "/api/v1/profiles/"+profile, settings(), nil); err != nil {
		return measure{}, err
	}
	watch := watchTree(b.PID())
	start := time.Now()
	batch, err := b.Press(ctx, profile)
	if err != nil {
		return measure{}, err
	}
	batch, err = b.WaitFor(ctx, batch.ID, box.Batch.Final)
	m := measure{wall: time.Since(start)}
	m.peak, m.main = watch()
	if err != nil {
		return m, err
	}
	if batch.State != "completed" || batch.Pages != pages {
		return m, fmt.Errorf("the batch ended as %s with %d pages", batch.State, batch.Pages)
	}
	after, err := tree(b.PID())
	if err != nil {
		return m, err
	}
	m.cpu = after.cpu - before.cpu
	file := filepath.Join(b.Dir, "bench.pdf")
	if err := b.PDF(ctx, batch.Documents[0], file); err != nil {
		return m, err
	}
	info, err := os.Stat(file)
	if err != nil {
		return m, err
	}
	m.bytes = info.Size()
	return m, nil
}

// imagesOnly makes a PDF of the images in a folder.
func imagesOnly(ctx context.Context, folder, out string) error {
	images, err := filepath.Glob(filepath.Join(folder, "*"))
	if err != nil {
		return err
	}
	args := append([]string{"--imgsize", strconv.Itoa(dpi) + "dpi", "-o", out}, images...)
	if o, err := exec.CommandContext(ctx, "img2pdf", args...).CombinedOutput(); err != nil {
		return fmt.Errorf("img2pdf: %w\n%s", err, o)
	}
	return nil
}

// ocrmypdf runs the peer with the steps docscan does too.
func ocrmypdf(ctx context.Context, in, out string) (measure, error) {
	cmd := exec.CommandContext(ctx, "ocrmypdf", "--jobs", "2", "--deskew", "--rotate-pages", "-l", "eng+deu", "--quiet", in, out)
	var said bytes.Buffer
	cmd.Stderr = &said
	start := time.Now()
	if err := cmd.Start(); err != nil {
		return measure{}, fmt.Errorf("ocrmypdf: %w", err)
	}
	watch := watchTree(cmd.Process.Pid)
	err := cmd.Wait()
	m := measure{wall: time.Since(start)}
	m.peak, m.main = watch()
	if err != nil {
		return m, fmt.Errorf("ocrmypdf: %w\n%s", err, said.String())
	}
	m.cpu = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	info, err := os.Stat(out)
	if err != nil {
		return m, err
	}
	m.bytes = info.Size()
	return m, nil
}

// usage is what a process and all below it use now.
type usage struct {
	cpu      time.Duration // of living processes and of those they have waited for
	resident int64         // shared pages counted for each process
	main     int64
}

// watchTree looks at the memory of pid and all below it until the function it
// returns is called, which gives the peaks.
func watchTree(pid int) func() (all, main int64) {
	stop := make(chan struct{})
	var all, first int64
	var wg sync.WaitGroup
	wg.Go(func() {
		t := time.NewTicker(sampleEvery)
		defer t.Stop()
		for {
			if u, err := tree(pid); err == nil {
				all, first = max(all, u.resident), max(first, u.main)
			}
			select {
			case <-stop:
				return
			case <-t.C:
			}
		}
	})
	return func() (int64, int64) {
		close(stop)
		wg.Wait()
		return all, first
	}
}

// tick is the unit of CPU time in /proc (USER_HZ), 1/100 s on all of Linux's
// architectures that docscan runs on.
const tick = 10 * time.Millisecond

// processes reads what the kernel tells of all processes: the fields of
// /proc/PID/stat after the command's name, and the children of each.
func processes() (stats map[int][]string, children map[int][]int, err error) {
	stats, children = make(map[int][]string), make(map[int][]int)
	dirs, err := os.ReadDir("/proc")
	if err != nil {
		return nil, nil, err
	}
	for _, d := range dirs {
		n, err := strconv.Atoi(d.Name())
		if err != nil {
			continue
		}
		data, err := os.ReadFile(filepath.Join("/proc", d.Name(), "stat"))
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
			continue // it has just ended
		}
		if err != nil {
			return nil, nil, err
		}
		// The command's name may hold anything: proc(5).
		f := strings.Fields(string(data[bytes.LastIndexByte(data, ')')+1:]))
		parent, err := strconv.Atoi(f[1])
		if err != nil {
			return nil, nil, err
		}
		stats[n] = f
		children[parent] = append(children[parent], n)
	}
	return stats, children, nil
}

// tree adds up pid and its descendants.
func tree(pid int) (usage, error) {
	stats, children, err := processes()
	if err != nil {
		return usage{}, err
	}
	if stats[pid] == nil {
		return usage{}, fmt.Errorf("process %d is gone", pid)
	}
	var u usage
	todo := []int{pid}
	for len(todo) > 0 {
		p := todo[0]
		todo = append(todo[1:], children[p]...)
		f := stats[p]
		for _, i := range []int{11, 12, 13, 14} { // utime, stime, cutime, cstime
			n, err := strconv.ParseInt(f[i], 10, 64)
			if err != nil {
				return usage{}, err
			}
			u.cpu += time.Duration(n) * tick
		}
		rss, err := strconv.ParseInt(f[21], 10, 64)
		if err != nil {
			return usage{}, err
		}
		u.resident += rss * int64(os.Getpagesize())
		if p == pid {
			u.main = rss * int64(os.Getpagesize())
		}
	}
	return u, nil
}
