package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"docscan/cmd/docscand/box"
	"docscan/device/sim/esci"
	"docscan/device/sim/fujitsu"
)

// Of the measures on the scanner's side.
const (
	presses  = 200
	idleTime = 30 * time.Second
)

// reactions presses the simulated button again and again, on a stack of one
// sheet, and gives the times from the press until the scanner was told to feed.
func reactions(ctx context.Context, b *box.Box) ([]time.Duration, error) {
	panel, err := panelOf(b)
	if err != nil {
		return nil, err
	}
	var all []time.Duration
	for range presses {
		if err := post(ctx, panel+"press", `{"gesture":"short"}`); err != nil {
			return nil, err
		}
		var state struct {
			Reaction int64 `json:"reaction_us"`
		}
		err := box.Until(ctx, func() (bool, error) {
			if err := get(ctx, panel+"state", &state); err != nil {
				return false, err
			}
			return state.Reaction > 0, nil
		})
		if err != nil {
			return nil, fmt.Errorf("wait for the scanner to be told: %w", err)
		}
		all = append(all, time.Duration(state.Reaction)*time.Microsecond)
		// The next press is for a scanner that is free.
		err = box.Until(ctx, func() (bool, error) {
			var list struct{ Batches []box.Batch }
			if err := b.Get(ctx, "/api/v1/batches?limit=1", &list); err != nil {
				return false, err
			}
			return len(list.Batches) == 1 && list.Batches[0].State != "scanning", nil
		})
		if err != nil {
			return nil, err
		}
	}
	slices.Sort(all)
	return all, nil
}

// percentile of sorted times.
func percentile(sorted []time.Duration, p float64) time.Duration {
	return sorted[min(len(sorted)-1, int(p*float64(len(sorted))))]
}

// panelOf finds the address of the simulator's panel in the log.
func panelOf(b *box.Box) (string, error) {
	for _, line := range b.Log.Lines("simulated scanner panel") {
		if _, url, ok := strings.Cut(line, "url="); ok {
			return strings.TrimSpace(url), nil
		}
	}
	return "", fmt.Errorf("the log does not tell the address of the simulator's panel")
}

func post(ctx context.Context, url, body string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	_, err = do(req)
	return err
}

func get(ctx context.Context, url string, out any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	data, err := do(req)
	if err != nil {
		return err
	}
	return json.Unmarshal(data, out)
}

func do(req *http.Request) ([]byte, error) {
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	var b bytes.Buffer
	if _, err := io.Copy(&b, io.LimitReader(resp.Body, 1<<20)); err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: %s", req.URL.Path, resp.Status)
	}
	return b.Bytes(), nil
}

// idleCPU is the share of one core that a daemon, by its process, with a scanner
// and nothing to do takes.
func idleCPU(ctx context.Context, pid int) (float64, error) {
	before, err := tree(pid)
	if err != nil {
		return 0, err
	}
	began := time.Now()
	select {
	case <-ctx.Done():
		return 0, ctx.Err()
	case <-time.After(idleTime):
	}
	after, err := tree(pid)
	if err != nil {
		return 0, err
	}
	return float64(after.cpu-before.cpu) / float64(time.Since(began)), nil
}

// device prints the measures on the scanner's side.
func device(ctx context.Context, w io.Writer, exe, dir string) error {
	bus, err := filepath.Abs(".tools/mockbus")
	if err != nil {
		return err
	}
	b := box.New(exe, filepath.Join(dir, "panel"))
	if err := os.Mkdir(filepath.Join(dir, "panel"), 0o700); err != nil {
		return err
	}
	if err := fill(b.Stack, filepath.Join(dir, "panel"), 1); err != nil {
		return fmt.Errorf("draw the sheet: %w", err)
	}
	b.Set["device.sim.sheets_per_minute"] = "0"
	if err := b.Start(ctx); err != nil {
		return err
	}
	share, err := idleCPU(ctx, b.PID())
	if err != nil {
		return errors.Join(err, b.Stop())
	}
	all, err := reactions(ctx, b)
	if err := errors.Join(err, b.Stop()); err != nil {
		return err
	}
	fmt.Fprintf(w, "idle daemon with a scanner:  %.2f %% of a core\n", 100*share)
	tell := func(what string, all []time.Duration) {
		fmt.Fprintf(w, "press to feed, %s, %d presses:  median %.1f ms, 90 %% %.1f ms, 99 %% %.1f ms, most %.1f ms\n", what, len(all),
			ms(percentile(all, 0.5)), ms(percentile(all, 0.9)), ms(percentile(all, 0.99)), ms(all[len(all)-1]))
	}
	tell("panel and eSCL", all)
	for _, name := range []string{"idle", "usb"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o700); err != nil {
			return err
		}
	}
	fresh, rested, err := idleUSB(ctx, exe, bus, filepath.Join(dir, "idle"))
	if err != nil {
		return fmt.Errorf("idle on USB: %w", err)
	}
	fmt.Fprintf(w, "idle daemon, fi-7160 on USB with paper in it:  %.2f %% of a core at first, %.2f %% after a minute\n", 100*fresh, 100*rested)
	if all, err = reactionsUSB(ctx, exe, bus, filepath.Join(dir, "usb")); err != nil {
		return fmt.Errorf("presses of a scanner on USB: %w", err)
	}
	tell("a fi-7160's own button", all)
	if err := os.Mkdir(filepath.Join(dir, "a3"), 0o700); err != nil {
		return err
	}
	sides, peak, err := largest(ctx, exe, bus, filepath.Join(dir, "a3"))
	if err != nil {
		return fmt.Errorf("A3 at 600 dpi: %w", err)
	}
	fmt.Fprintf(w, "%d sides of A3, colour, 600 dpi, bare pixels on USB: peak memory of the daemon %.0f MiB\n\n", sides, mib(peak))
	return nil
}

// idleUSB is idleCPU with a simulated fi-7160 that holds paper: when that has just
// been put in, so that its buttons are asked for as often as they ever are, and
// when it has lain there for more than a minute. What the simulated bus costs the
// daemon, for each transfer, is in it.
func idleUSB(ctx context.Context, exe, bus, dir string) (fresh, rested float64, err error) {
	b := box.New(exe, dir)
	if err := fill(b.Stack, dir, 1); err != nil {
		return 0, 0, fmt.Errorf("draw the sheet: %w", err)
	}
	knobs, err := json.Marshal(fujitsu.Config{Model: "fi-7160", Stack: b.Stack, Resolution: dpi})
	if err != nil {
		return 0, 0, err
	}
	onBus(b, bus, "-fujitsu="+string(knobs))
	if err := b.Start(ctx); err != nil {
		return 0, 0, err
	}
	defer b.Stop()
	err = box.Until(ctx, func() (bool, error) { return len(b.Log.Lines("scanner is here")) > 0, nil })
	if err != nil {
		return 0, 0, err
	}
	later := time.After(65 * time.Second)
	pid, err := daemonOf(b.PID())
	if err != nil {
		return 0, 0, err
	}
	if fresh, err = idleCPU(ctx, pid); err != nil {
		return 0, 0, err
	}
	select {
	case <-ctx.Done():
		return 0, 0, ctx.Err()
	case <-later:
	}
	rested, err = idleCPU(ctx, pid)
	return fresh, rested, err
}

// reactionsUSB has a simulated fi-7160 press its own button again and again, and
// gives the times from the edge until the scanner was told to feed: polling,
// choosing the profile, opening the batch and setting the scanner up.
func reactionsUSB(ctx context.Context, exe, bus, dir string) ([]time.Duration, error) {
	b := box.New(exe, dir)
	if err := fill(b.Stack, dir, 1); err != nil {
		return nil, fmt.Errorf("draw the sheet: %w", err)
	}
	knobs, err := json.Marshal(fujitsu.Config{Model: "fi-7160", Stack: b.Stack, Resolution: dpi, Refill: true, PressEvery: 500 * time.Millisecond})
	if err != nil {
		return nil, err
	}
	onBus(b, bus, "-fujitsu="+string(knobs))
	if err := b.Start(ctx); err != nil {
		return nil, err
	}
	defer b.Stop()
	// The press is for the first profile. What comes after the feed is not measured.
	var list struct{ Profiles []map[string]any }
	if err := b.Get(ctx, "/api/v1/profiles", &list); err != nil {
		return nil, err
	}
	if len(list.Profiles) == 0 {
		return nil, errors.New("the box has no profile")
	}
	first := list.Profiles[0]
	first["resolution"], first["mode"] = 75, "gray"
	if err := b.Put(ctx, fmt.Sprintf("/api/v1/profiles/%v", first["id"]), first, nil); err != nil {
		return nil, err
	}
	fed := regexp.MustCompile(`msg="fed after a press" us=([0-9]+)`)
	var all []time.Duration
	err = box.Until(ctx, func() (bool, error) {
		all = all[:0]
		for _, m := range fed.FindAllStringSubmatch(b.Log.String(), -1) {
			us, err := strconv.Atoi(m[1])
			if err != nil {
				return false, err
			}
			all = append(all, time.Duration(us)*time.Microsecond)
		}
		return len(all) >= presses, nil
	})
	slices.Sort(all)
	return all, err
}

// onBus puts the box under a bus of its own whose only scanner a flag describes.
func onBus(b *box.Box, bus, flag string) {
	b.World = []string{bus, flag, "--"}
	b.Set["device.sim.enabled"] = "false"
	b.Set["device.usb.enabled"] = "true"
	b.Set["device.usb.settle_ms"] = "1"
}

// largest scans both sides of A3 sheets in colour at 600 dpi, uncompressed over
// USB, and gives the peak of the daemon's own memory.
func largest(ctx context.Context, exe, bus, dir string) (sides int, peak int64, err error) {
	const sheets, a3Width, a3Length = 2, 7016, 9921
	b := box.New(exe, dir)
	if err := os.MkdirAll(b.Stack, 0o700); err != nil {
		return 0, 0, err
	}
	if err := drawLarge(filepath.Join(b.Stack, "0.jpg"), a3Width, a3Length); err != nil {
		return 0, 0, err
	}
	for i := 1; i < 2*sheets; i++ {
		if err := os.Link(filepath.Join(b.Stack, "0.jpg"), filepath.Join(b.Stack, fmt.Sprintf("%d.jpg", i))); err != nil {
			return 0, 0, err
		}
	}
	knobs, err := json.Marshal(esci.Config{Model: "raw only", Stack: b.Stack, Resolution: 600, Duplex: true})
	if err != nil {
		return 0, 0, err
	}
	onBus(b, bus, "-esci="+string(knobs))
	b.Set["ocr.workers"] = "1"
	if err := b.Start(ctx); err != nil {
		return 0, 0, err
	}
	defer b.Stop()
	profile := map[string]any{"name": "A3", "source": "feeder", "duplex": true, "mode": "color", "resolution": 600, "paper": "a3"}
	if err := b.Put(ctx, "/api/v1/profiles/a3", profile, nil); err != nil {
		return 0, 0, err
	}
	batch, err := b.Press(ctx, "a3")
	if err != nil {
		return 0, 0, err
	}
	batch, err = b.WaitFor(ctx, batch.ID, func(b box.Batch) bool { return b.State != "scanning" })
	if err != nil {
		return 0, 0, err
	}
	if batch.Pages != 2*sheets || batch.Fault != nil {
		return batch.Pages, 0, fmt.Errorf("the batch is %s with %d pages and the fault %+v", batch.State, batch.Pages, batch.Fault)
	}
	pid, err := daemonOf(b.PID())
	if err != nil {
		return batch.Pages, 0, err
	}
	peak, err = peakOf(pid)
	return batch.Pages, peak, err
}

// daemonOf finds the daemon below the process of the bus, which is not always its
// child; its workers run the same program, but further below.
func daemonOf(bus int) (int, error) {
	_, children, err := processes()
	if err != nil {
		return 0, err
	}
	for todo := []int{bus}; len(todo) > 0; todo = append(todo[1:], children[todo[0]]...) {
		exe, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", todo[0]))
		if err == nil && filepath.Base(exe) == "docscand" {
			return todo[0], nil
		}
	}
	return 0, fmt.Errorf("no docscand below process %d", bus)
}

// peakOf is the most memory that a process ever had, as the kernel counts it.
func peakOf(pid int) (int64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kb, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
			return kb << 10, err
		}
	}
	return 0, fmt.Errorf("process %d does not tell its peak", pid)
}

// drawLarge draws a colour page with something everywhere.
func drawLarge(file string, width, length int) error {
	m := image.NewRGBA(image.Rect(0, 0, width, length))
	for y := range length {
		for x := range width {
			m.SetRGBA(x, y, color.RGBA{R: uint8(x >> 4), G: uint8(y >> 4), B: uint8((x ^ y) >> 3), A: 255})
		}
	}
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	return errors.Join(jpeg.Encode(f, m, nil), f.Close())
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
