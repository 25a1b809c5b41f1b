package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"docscan/cmd/docscand/box"
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

// idleCPU is the share of one core that a daemon with a scanner and nothing to do
// takes.
func idleCPU(ctx context.Context, b *box.Box) (float64, error) {
	before, err := tree(b.PID())
	if err != nil {
		return 0, err
	}
	began := time.Now()
	select {
	case <-ctx.Done():
		return 0, ctx.Err()
	case <-time.After(idleTime):
	}
	after, err := tree(b.PID())
	if err != nil {
		return 0, err
	}
	return float64(after.cpu-before.cpu) / float64(time.Since(began)), nil
}

// device prints the measures on the scanner's side.
func device(ctx context.Context, w io.Writer, exe, dir string) error {
	b := box.New(exe, dir)
	if err := fill(b.Stack, dir, 1); err != nil {
		return fmt.Errorf("draw the sheet: %w", err)
	}
	b.Set["device.sim.sheets_per_minute"] = "0"
	if err := b.Start(ctx); err != nil {
		return err
	}
	defer b.Stop()
	share, err := idleCPU(ctx, b)
	if err != nil {
		return err
	}
	all, err := reactions(ctx, b)
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "idle daemon with a scanner:  %.2f %% of a core\n", 100*share)
	fmt.Fprintf(w, "press to feed, %d presses:  median %.1f ms, 90 %% %.1f ms, 99 %% %.1f ms, most %.1f ms\n\n", presses,
		ms(percentile(all, 0.5)), ms(percentile(all, 0.9)), ms(percentile(all, 0.99)), ms(all[len(all)-1]))
	return nil
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
