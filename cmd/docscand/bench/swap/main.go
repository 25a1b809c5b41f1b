// Swap swaps docscan from version A to B and back, again and again, while a
// process of its own (load) works with it and batches are fed, and counts what
// fails, what is lost, and how long the longest wait is. The same load is then put on a
// plain restart and on nginx that changes to another port.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"docscan/cmd/docscand/box"
	"docscan/device/sim"
	"docscan/device/sim/sample"
)

func main() {
	swaps := flag.Int("swaps", 200, "how many swaps")
	sheets := flag.Int("sheets", 50, "sheets of a batch")
	prove := flag.Int("prove", 1, "seconds of proof of each swap")
	compare := flag.Int("compare", 10, "how many restarts and changes of nginx to compare with; 0: none")
	flag.Parse()
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	enough := make(chan struct{})
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() { // ends with the program
		<-signals
		fmt.Fprintln(os.Stderr, "swap: what is going on comes to its end, and the figures are printed; interrupt it again to have neither")
		close(enough)
		<-signals
		stop()
	}()
	err := soak(ctx, os.Stdout, *sheets, *prove, true, func(f *field) error { return f.measure(ctx, enough, *swaps, *compare) })
	if err != nil {
		fmt.Fprintln(os.Stderr, "swap:", err)
		os.Exit(1)
	}
}

// errBrokenOff says that somebody wanted no more.
var errBrokenOff = errors.New("it was broken off")

// soak lets do measure with stacks of so many sheets and seconds of proof, and print to out.
// The bundles hold the whole program, or else a line that becomes it, and then those who
// work with docscan take their time: reading, for which each batch waits, gives way to them.
func soak(ctx context.Context, out io.Writer, sheets, prove int, whole bool, do func(*field) error) error {
	dir, err := os.MkdirTemp("", "docscan-soak-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	f, err := newField(ctx, dir, sheets, prove, whole)
	if err != nil {
		return err
	}
	f.out = out
	err = do(f)
	if serr := f.close(); err == nil {
		err = serr
	}
	if err != nil && !errors.Is(err, errBrokenOff) {
		log := f.Log.String()
		fmt.Fprintf(os.Stderr, "the end of docscand's log:\n%s\n", log[max(0, len(log)-8000):])
	}
	return err
}

// field is a box with what stands around it.
type field struct {
	*box.Box
	dir      string
	load     string            // the program
	programs map[string]string // by version
	bundles  map[string]string
	sheets   int
	look     time.Duration // see load
	stop     context.CancelFunc
	enough   <-chan struct{} // closed: nothing new is begun
	out      io.Writer
	scanner  *sim.Scanner
	served   chan error
}

// Versions that take turns.
const (
	versionA = "1.0.0"
	versionB = "2.0.0"
)

func newField(ctx context.Context, dir string, sheets, prove int, whole bool) (*field, error) {
	f := &field{dir: dir, sheets: sheets, look: 5 * time.Millisecond, programs: make(map[string]string), bundles: make(map[string]string), served: make(chan error, 1)}
	publisher, err := box.NewPublisher(filepath.Join(dir, "keys"))
	if err != nil {
		return nil, err
	}
	for _, v := range []string{versionA, versionB} {
		program, err := box.Program(ctx, dir, v)
		if err != nil {
			return nil, err
		}
		f.programs[v], f.bundles[v] = program, filepath.Join(dir, v+".bundle")
		if !whole {
			program = filepath.Join(dir, "thin")
			if err := os.WriteFile(program, fmt.Appendf(nil, "#!/bin/sh\nexec %s \"$@\"\n", f.programs[v]), 0o700); err != nil {
				return nil, err
			}
		}
		if err := publisher.Publish(ctx, f.bundles[v], v, program, ""); err != nil {
			return nil, err
		}
	}
	f.load = filepath.Join(dir, "load")
	out, err := exec.CommandContext(ctx, "go", "build", "-o", f.load, "docscan/cmd/docscand/bench/swap/load").CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("build load: %w\n%s", err, out)
	}
	f.Box = box.New(f.programs[versionA], dir)
	f.Apart = true
	if err := stack(f.Stack, sheets); err != nil {
		return nil, err
	}
	quiet := slog.New(slog.DiscardHandler)
	scanner, err := sim.New(sim.Config{Enabled: true, Stack: f.Stack, Resolution: 100, SheetsPerMinute: 180,
		Listen: "127.0.0.1:0", Make: "docscan", Model: "Soak Scanner", Serial: "SOAK-1", ByHand: true}, quiet)
	if err != nil {
		return nil, err
	}
	sctx, stop := context.WithCancel(context.WithoutCancel(ctx))
	f.stop, f.scanner = stop, scanner
	go func() { f.served <- scanner.Serve(sctx) }()
	f.Set["device.sim.enabled"] = "false"
	f.Set["device.escl.urls"] = scanner.URL() + "/eSCL"
	f.Set["update.keys"] = publisher.Keys
	f.Set["update.run_dir"] = filepath.Join(dir, "run")
	f.Set["update.prove_seconds"] = fmt.Sprint(prove)
	if !whole {
		f.look = 50 * time.Millisecond
		f.Set["web.password_passes"] = "1"
	}
	for _, limit := range []string{"logins", "uploads", "exports", "admin"} { // it is one client for all
		f.Set["web."+limit+"_per_minute"] = "1000000"
	}
	if err := f.Start(ctx); err != nil {
		stop()
		return nil, errors.Join(err, <-f.served)
	}
	// Restarts must find it again.
	f.Set["web.listen"] = strings.TrimPrefix(f.URL, "http://")
	return f, nil
}

func (f *field) close() error {
	err := f.Stop()
	f.stop()
	return errors.Join(err, <-f.served)
}

// stack draws a stack of sheets by repeating the sample.
func stack(dir string, sheets int) error {
	if err := sample.Write(dir, 100); err != nil {
		return err
	}
	names, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(names) == 0 {
		return fmt.Errorf("the sample stack has no pages: %w", err)
	}
	for i := range sheets {
		from := names[i%len(names)]
		data, err := os.ReadFile(from)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("s%03d%s", i, filepath.Ext(from))), data, 0o600); err != nil {
			return err
		}
	}
	for _, name := range names {
		if err := os.Remove(name); err != nil {
			return err
		}
	}
	return nil
}

// report is what load prints; see there.
type report struct {
	Requests int      `json:"requests"`
	Failed   int      `json:"failed"`
	Errors   []string `json:"errors"`
	P999     float64  `json:"p999_ms"`
	P50      float64  `json:"p50_ms"`
	Uploads  int      `json:"uploads"`
	LogIn50  float64  `json:"p50_log_in_ms"`
	LogIns   []wait   `json:"log_ins"` // the longest of them, and of all others
	Others   []wait   `json:"others"`
	Events   int      `json:"events"`
	Resets   int      `json:"resets"`
	Twice    int      `json:"twice"`
	Streams  int      `json:"streams"`
}

// wait is how long a request took.
type wait struct {
	Begun time.Time `json:"begun"`
	MS    float64   `json:"ms"`
	What  string    `json:"what"`
}

// longest gives the longest of a part of the requests, of which all are so many times as
// many: of more requests, some take longer for reasons that have nothing to do with what
// is measured.
func longest(list []wait, times float64) float64 {
	if len(list) == 0 {
		return 0
	}
	return list[min(max(int(times+0.5)-1, 0), len(list)-1)].MS
}

func (r report) print(out io.Writer, what string) {
	fmt.Fprintf(out, "%-28s requests %7d  failed %4d  p50 %6.1f ms  p99.9 %7.1f ms  longest %7.1f ms (%s)  log-in p50 %.0f ms, longest %.0f ms  uploads %d  events %d in %d streams, lost %d, twice %d\n",
		what, r.Requests, r.Failed, r.P50, r.P999, longest(r.Others, 1), r.slowest(), r.LogIn50, longest(r.LogIns, 1), r.Uploads, r.Events, r.Streams, r.Resets, r.Twice)
	for _, e := range r.Errors {
		fmt.Fprintln(out, "   ", e)
	}
}

// slowest names the request that took longest.
func (r report) slowest() string {
	if len(r.Others) == 0 {
		return ""
	}
	return r.Others[0].What
}

// under has do done under load, against base.
func (f *field) under(ctx context.Context, base string, uploads bool, do func() error) (report, error) {
	cmd := exec.CommandContext(ctx, f.load, "-url", base, "-token", f.Token, "-password", "seven green tractors", fmt.Sprintf("-uploads=%t", uploads), "-look", f.look.String())
	in, err := cmd.StdinPipe()
	if err != nil {
		return report{}, err
	}
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // an interrupt of the terminal is for us alone
	if err := cmd.Start(); err != nil {
		return report{}, err
	}
	err = do()
	cerr := in.Close()
	if werr := cmd.Wait(); err == nil {
		err = errors.Join(cerr, werr)
	}
	var r report
	if err == nil {
		err = json.NewDecoder(io.LimitReader(&out, 1<<20)).Decode(&r)
	}
	return r, err
}

// fed is what became of the batches that were fed meanwhile.
type fed struct {
	batches, pages, lost, doubled int
}

// feed feeds one batch after the other until ctx ends, and the last one to its
// end.
func (f *field) feed(ctx, whole context.Context) (fed, error) {
	var n fed
	for ctx.Err() == nil {
		f.scanner.Refill()
		b, err := f.Press(whole, "")
		if err != nil {
			return n, fmt.Errorf("press: %w", err)
		}
		end, err := f.WaitFor(whole, b.ID, func(b box.Batch) bool { return b.Final() || b.State == "stopped" })
		if err != nil {
			return n, err
		}
		n.batches++
		n.pages += end.Pages
		n.lost += max(0, f.sheets-end.Pages)
		n.doubled += max(0, end.Pages-f.sheets)
		if end.State != "completed" || len(end.Documents) != 1 {
			return n, fmt.Errorf("batch %s is %s with %d documents, fault %+v", b.ID, end.State, len(end.Documents), end.Fault)
		}
	}
	return n, nil
}

// fedUnder has do done under load, while batches are fed.
func (f *field) fedUnder(ctx context.Context, do func() error) (report, fed, error) {
	fctx, enough := context.WithCancel(ctx)
	defer enough()
	var n fed
	feeding := make(chan error, 1)
	go func() {
		var err error
		n, err = f.feed(fctx, ctx)
		feeding <- err
	}()
	r, err := f.under(ctx, f.URL, true, do)
	enough()
	return r, n, errors.Join(err, <-feeding)
}

// over reports whether nothing new is to be begun.
func (f *field) over() bool {
	select {
	case <-f.enough:
		return true
	default:
		return false
	}
}

// rest waits that long, or until it is enough.
func (f *field) rest(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-f.enough:
		return nil
	case <-time.After(d):
		return nil
	}
}

// measure does the swaps and what they are compared with, and prints the figures of each
// part as soon as it has them. When enough is closed it ends with those.
func (f *field) measure(ctx context.Context, enough <-chan struct{}, swaps, compare int) error {
	f.enough = enough
	f.scanner.Refill()
	first, err := f.Press(ctx, "") // something to look at
	if err == nil {
		_, err = f.WaitFor(ctx, first.ID, box.Batch.Final)
	}
	if err != nil {
		return err
	}
	quiet := min(10*time.Second, time.Duration(swaps)*time.Second)
	calm, err := f.under(ctx, f.URL, true, func() error { return f.rest(ctx, quiet) })
	if err != nil {
		return err
	}
	calm.print(f.out, "nothing changes")
	// Long enough for what happens once in a while without any swap.
	still, _, err := f.fedUnder(ctx, func() error { return f.rest(ctx, max(3*quiet, time.Duration(swaps)*1500*time.Millisecond)) })
	if err != nil {
		return err
	}
	still.print(f.out, "paper, but no swap")
	start, done := time.Now(), 0
	r, got, err := f.fedUnder(ctx, func() (err error) {
		done, err = f.swaps(ctx, swaps)
		return err
	})
	if err != nil {
		return err
	}
	took := time.Since(start)
	r.print(f.out, fmt.Sprintf("%d swaps", done))
	times := float64(r.Requests) / float64(max(still.Requests, 1))
	fmt.Fprintf(f.out, "%28s longest wait that swaps add, of as many requests: log-in %.0f ms, all else %.0f ms; of all %d: %.0f and %.0f ms\n", "",
		longest(r.LogIns, times)-longest(still.LogIns, 1), longest(r.Others, times)-longest(still.Others, 1),
		r.Requests, longest(r.LogIns, 1)-longest(still.LogIns, 1), longest(r.Others, 1)-longest(still.Others, 1))
	over := handOvers(f.Log.Lines("pause_ms="))
	for _, w := range r.Others[:min(len(r.Others), 10)] {
		fmt.Fprintf(f.out, "%28s %.0f ms, %+.1f s from a hand-over: %s\n", "", w.MS, from(over, w.Begun).Seconds(), w.What)
	}
	fmt.Fprintf(f.out, "%28s in %s; %d batches, %d pages, lost %d, doubled %d\n", "", took.Round(time.Second), got.batches, got.pages, got.lost, got.doubled)
	fmt.Fprintf(f.out, "%28s requests waited for a hand-over: %s\n", "", pauses(f.Log.Lines("pause_ms=")))
	if r.Failed+r.Resets+r.Twice+got.lost+got.doubled > 0 {
		err = errors.New("a swap was noticed")
	}
	if compare > 0 && !f.over() {
		err = errors.Join(err, f.compare(ctx, compare))
	}
	if f.over() {
		err = errors.Join(err, fmt.Errorf("%w after %d of %d swaps", errBrokenOff, done, swaps))
	}
	return err
}

// handOvers gives when another version had taken over.
func handOvers(lines []string) []time.Time {
	var all []time.Time
	for _, line := range lines {
		_, text, _ := strings.Cut(line, "time=")
		text, _, _ = strings.Cut(text, " ")
		if at, err := time.Parse(time.RFC3339, text); err == nil {
			all = append(all, at)
		}
	}
	return all
}

// from gives how long after the nearest of some times t is; 0 if there is none.
func from(times []time.Time, t time.Time) time.Duration {
	var nearest time.Duration
	for i, at := range times {
		if d := t.Sub(at); i == 0 || d.Abs() < nearest.Abs() {
			nearest = d
		}
	}
	return nearest
}

// pauses sums up what the daemon says of how long requests waited.
func pauses(lines []string) string {
	var all []int
	for _, line := range lines {
		_, text, _ := strings.Cut(line, "pause_ms=")
		if n, err := strconv.Atoi(text); err == nil {
			all = append(all, n)
		}
	}
	if len(all) == 0 {
		return "never"
	}
	slices.Sort(all)
	return fmt.Sprintf("median %d ms, longest %d ms", all[len(all)/2], all[len(all)-1])
}

// swaps changes from one version to the other and back, n times, and says how often it
// was done: less often if it is enough.
func (f *field) swaps(ctx context.Context, n int) (done int, err error) {
	for i := range n {
		if f.over() {
			return i, nil
		}
		to := versionB
		if i%2 == 1 {
			to = versionA
		}
		u, err := f.Install(ctx, f.bundles[to], true)
		if err != nil {
			return i, fmt.Errorf("swap %d: %w", i+1, err)
		}
		if u.State != "committed" || u.Running != to {
			return i, fmt.Errorf("swap %d to %s: %+v", i+1, to, u)
		}
		if (i+1)%20 == 0 {
			fmt.Fprintf(os.Stderr, "%d swaps\n", i+1)
		}
	}
	return n, nil
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
