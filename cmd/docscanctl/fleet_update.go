package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"docscan/packaging/bundle"
	"docscan/packaging/fleet/inventory"
	"docscan/packaging/fleet/rollout"
)

func (f *fleet) updateCommand() *cobra.Command {
	o := rollout.Defaults()
	var waves, maxFailures, window, file, keys string
	c := &cobra.Command{
		Use:   "update FILE...",
		Short: "bring an update to the boxes, in waves",
		Long: `Bring one version to the boxes of the inventory, in waves. Name its update files:
one full file for each kind of machine, and deltas, which are sent to boxes that
have the version they begin from. Each box checks the signature itself.

The rollout is a file. Interrupt it, close the laptop, go on later or elsewhere
with "docscanctl fleet continue FILE", and see who is where with "fleet show FILE".`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var err error
			if o.Waves, err = parseWaves(waves); err != nil {
				return usagef("--wave: %w", err)
			}
			if o.MaxFailures, err = rollout.ParseShare(maxFailures); err != nil {
				return usagef("--max-failures: %w", err)
			}
			if o.Window, err = rollout.ParseWindow(window); err != nil {
				return usagef("--window: %w", err)
			}
			o.AtOnce = f.atOnce
			hosts, err := f.hosts()
			if err != nil {
				return err
			}
			bundles, err := readBundles(args, keys)
			if err != nil {
				return err
			}
			plan, err := rollout.NewPlan(bundles, hosts, o, who(), time.Now())
			if err != nil {
				return failure{exitUsage, err}
			}
			if file == "" {
				file = "docscan-" + plan.Version + ".rollout"
			}
			r, err := rollout.Create(file, plan, who())
			if errors.Is(err, rollout.ErrThere) {
				err = usagef("%w; go on with \"docscanctl fleet continue %s\", or name another with --rollout", err, file)
			}
			if err != nil {
				return taken(err)
			}
			return f.roll(cmd.Context(), r, nil)
		},
	}
	p := c.Flags()
	p.IntVar(&o.Canary, "canary", o.Canary, "how many boxes go first")
	p.StringVar(&waves, "wave", "5%,25%,100%", "up to where each further wave goes, in boxes or percent")
	p.StringVar(&maxFailures, "max-failures", o.MaxFailures.String(), "how many of the boxes so far may fail before the rollout halts")
	p.DurationVar(&o.Pause, "pause", o.Pause, "how long to wait between two waves")
	p.DurationVar(&o.Watch, "watch", o.Watch, "how long a box must stay well with the new version")
	p.StringVar(&window, "window", "", "touch boxes only at this time of the day, such as 20:00-05:00")
	p.BoolVar(&o.RollbackOnHalt, "rollback-on-halt", false, "if the rollout halts, take back what it has changed")
	p.IntVar(&o.RateKB, "rate", 0, "at most so many KiB a second to one box")
	p.IntVar(&o.TotalRateKB, "total-rate", 0, "at most so many KiB a second to all boxes together")
	p.DurationVar(&o.Transfer, "transfer-time", o.Transfer, "how long one transfer may take before it is put off")
	p.DurationVar(&o.Lost, "lost-after", o.Lost, "how long a box that installs may be silent")
	p.DurationVar(&o.Patience, "patience", 0, "how long to try boxes again that are off, after the last wave")
	p.StringVar(&file, "rollout", "", "keep the rollout in `FILE` (default docscan-VERSION.rollout)")
	p.StringVar(&keys, "keys", "", "prove the signature here too, with the public keys in `DIR`")
	return c
}

func parseWaves(s string) ([]rollout.Share, error) {
	var list []rollout.Share
	for word := range strings.SplitSeq(s, ",") {
		w, err := rollout.ParseShare(word)
		if err != nil {
			return nil, err
		}
		list = append(list, w)
	}
	return list, nil
}

func readBundles(names []string, keys string) ([]rollout.Bundle, error) {
	var trusted *bundle.Keys
	if keys != "" {
		var err error
		if trusted, err = bundle.LoadKeys(keys); err != nil {
			return nil, err
		}
	}
	var list []rollout.Bundle
	for _, name := range names {
		b, err := rollout.ReadBundle(name, trusted)
		if err != nil {
			return nil, err
		}
		list = append(list, b)
	}
	return list, nil
}

// taken gives its exit code to a rollout that somebody else works with.
func taken(err error) error {
	if errors.Is(err, rollout.ErrTaken) {
		return failure{exitTaken, err}
	}
	return err
}

func (f *fleet) continueCommand() *cobra.Command {
	var bundles []string
	var retry bool
	c := &cobra.Command{
		Use:   "continue ROLLOUT",
		Short: "go on with a rollout, and catch up with boxes that were off",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			r, err := rollout.Open(args[0], who())
			if err != nil {
				return taken(err)
			}
			r.Options.Retry = retry
			if err := f.refresh(r); err != nil {
				return errors.Join(err, r.Close())
			}
			return f.roll(cmd.Context(), r, bundles)
		},
	}
	c.Flags().StringSliceVar(&bundles, "bundles", nil, "look for the update files in `DIR`")
	c.Flags().BoolVar(&retry, "retry", false, "try boxes again that have failed")
	return c
}

// refresh takes over how boxes are reached from an inventory that was named.
func (f *fleet) refresh(r *rollout.Rollout) error {
	if f.inventory == "" {
		return nil
	}
	inv, err := inventory.Load(f.inventory)
	if err != nil {
		return failure{exitUsage, err}
	}
	byName := make(map[string]inventory.Host)
	for _, h := range inv.Hosts {
		byName[h.Name] = h
	}
	for i, h := range r.Plan.Boxes {
		if now, ok := byName[h.Name]; ok {
			r.Plan.Boxes[i] = now
		}
	}
	return nil
}

// roll runs a rollout and tells what came of it.
func (f *fleet) roll(ctx context.Context, r *rollout.Rollout, bundles []string) error {
	defer r.Close()
	d, err := f.dialer()
	if err != nil {
		return err
	}
	defer d.Close()
	p := f.newProgress(r)
	err = r.Run(ctx, f.deps(d, bundles, p))
	p.end()
	return f.rolled(ctx, r, err)
}

// rolled writes the report and says in a few lines and the exit code how a
// rollout stands.
func (f *fleet) rolled(ctx context.Context, r *rollout.Rollout, err error) error {
	if errors.Is(err, rollout.ErrBundle) {
		return err
	}
	names, rerr := r.WriteReport()
	if f.json {
		rerr = errors.Join(rerr, f.printJSON(r.Report()))
	} else {
		f.printReport(r)
		if len(names) > 0 {
			fmt.Fprintf(f.out, "Report: %s\n", clean(strings.Join(names, ", ")))
		}
	}
	switch {
	case rerr != nil:
		return errors.Join(err, rerr)
	case ctx.Err() != nil:
		return failure{exitStopped, fmt.Errorf("interrupted. Boxes that were asked to install go on by themselves. Go on with: docscanctl fleet continue %s", r.File())}
	case errors.Is(err, rollout.ErrHalted):
		return failure{exitHalted, err}
	case err != nil:
		return err
	}
	return some(len(r.Plan.Boxes)-r.Counts()[rollout.Updated], len(r.Plan.Boxes))
}

// maxNamed is how many boxes a line of a summary names.
const maxNamed = 5

// printReport tells in a few lines what became of the boxes.
func (f *fleet) printReport(r *rollout.Rollout) {
	p := r.Report()
	fmt.Fprintf(f.out, "%s of %s: %s. %s sent.\n", clean(p.Version), count(len(p.Boxes), "box"), countsText(p.Counts), rollout.FormatBytes(p.Sent))
	for _, reason := range p.Reasons {
		names := reason.Boxes
		more := ""
		if len(names) > maxNamed {
			more = fmt.Sprintf(" and %d more", len(names)-maxNamed)
			names = names[:maxNamed]
		}
		fmt.Fprintf(f.out, "  %s (%s) %s%s: %s\n", clean(string(reason.State)), clean(reason.Kind), clean(strings.Join(names, ", ")), more, clean(reason.Text))
	}
	if p.Halted != "" {
		fmt.Fprintf(f.out, "Halted: %s\n", clean(p.Halted))
	}
}

// countsText says how many boxes are where.
func countsText(c rollout.Counts) string {
	var parts []string
	for _, s := range []rollout.State{rollout.Updated, rollout.Committed, rollout.Installing, rollout.Failed, rollout.Lost, rollout.OffLine, rollout.Kept, rollout.Returning, rollout.Returned, rollout.Waiting} {
		if c[s] > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", c[s], s))
		}
	}
	return strings.Join(parts, ", ")
}

func (f *fleet) showCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "show ROLLOUT",
		Short: "show where each box of a rollout stands",
		Args:  cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			r, err := rollout.Read(args[0])
			if err != nil {
				return err
			}
			if f.json {
				return f.printJSON(r.Report())
			}
			var t table
			t.add("BOX", "WAVE", "STATE", "FROM", "SINCE", "SENT", "WHY")
			for _, b := range r.Boxes() {
				t.add(b.Name, r.WaveName(b.Wave), string(b.State), b.From, moment(b.Since), rollout.FormatBytes(b.Sent), b.Text)
			}
			if err := t.print(f.out); err != nil {
				return err
			}
			fmt.Fprintf(f.out, "\nLast worked with by %s.\n", clean(r.Opened()))
			f.printReport(r)
			return nil
		},
	}
}

func (f *fleet) rollbackCommand() *cobra.Command {
	var reason string
	c := &cobra.Command{
		Use:   "rollback ROLLOUT",
		Short: "take back what a rollout has changed",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			r, err := rollout.Open(args[0], who())
			if err != nil {
				return taken(err)
			}
			defer r.Close()
			if err := f.refresh(r); err != nil {
				return err
			}
			d, err := f.dialer()
			if err != nil {
				return err
			}
			defer d.Close()
			changed := 0
			for _, b := range r.Boxes() {
				if b.Changed && b.State != rollout.Failed {
					changed++
				}
			}
			p := f.newProgress(r)
			err = r.TakeBack(cmd.Context(), f.deps(d, nil, p), reason)
			p.end()
			back := r.Counts()[rollout.Returned]
			if err := f.rolled(cmd.Context(), r, err); err != nil && exitCode(err) != exitSome {
				return err
			}
			return some(changed-back, changed)
		},
	}
	c.Flags().StringVar(&reason, "reason", "an operator took it back", "why, for the history and the audit log of the boxes")
	return c
}

// progress tells a person how a rollout goes on: one line a wave, one a box that
// needs a look. On a terminal the line of the present wave is rewritten as its boxes
// move; elsewhere it is written now and then.
type progress struct {
	w     io.Writer
	r     *rollout.Rollout
	width func() int // of the terminal; nil: there is none
	stop  chan struct{}
	done  chan struct{}

	mu    sync.Mutex
	line  string // the one that is rewritten
	wave  int
	begun time.Time // of the wave, in this run
	said  map[string]bool
}

// How often the line is rewritten, and a plain one is written.
const (
	liveStep  = 500 * time.Millisecond
	plainStep = 30 * time.Second
)

func (f *fleet) newProgress(r *rollout.Rollout) *progress {
	p := &progress{w: f.err, r: r, width: f.terminalWidth(), stop: make(chan struct{}), done: make(chan struct{}), begun: time.Now(), said: make(map[string]bool), wave: r.Wave()}
	go p.run()
	return p
}

// run tells how many boxes are where, until end.
func (p *progress) run() {
	defer close(p.done)
	step := plainStep
	if p.width != nil {
		step = liveStep
	}
	t := time.NewTicker(step)
	defer t.Stop()
	before := ""
	for {
		select {
		case <-p.stop:
			p.mu.Lock()
			p.wipe()
			p.mu.Unlock()
			return
		case <-t.C:
		}
		p.mu.Lock()
		wave, begun := p.wave, p.begun
		p.mu.Unlock()
		counts, late := p.r.WaveCounts(wave), p.r.Late(wave)
		p.mu.Lock()
		switch text := countsText(counts); {
		case p.width != nil:
			p.rewrite(liveLine(p.r.WaveName(wave), counts, late, time.Since(begun), p.width()))
		case text != before:
			p.print(p.r.WaveName(wave) + ": " + text)
			before = text
		}
		p.mu.Unlock()
	}
}

// barWidth is how wide the bar of a wave is, in columns.
const barWidth = 20

// liveLine is the line of a wave that goes on, cut to the terminal: a line that
// breaks cannot be rewritten.
func liveLine(name string, c rollout.Counts, late int, took time.Duration, width int) string {
	all, over := 0, 0
	for s, n := range c {
		all += n
		if s.Over() {
			over += n
		}
	}
	full := 0
	if all > 0 {
		full = barWidth * over / all
	}
	line := fmt.Sprintf("%s [%s%s] %d/%d  %v  %s", name, strings.Repeat("#", full), strings.Repeat("-", barWidth-full), over, all, took.Round(time.Second), countsText(c))
	if late > 0 {
		line += fmt.Sprintf("; %d of before again", late)
	}
	line = clean(line)
	for columns(line) >= width && line != "" {
		_, size := utf8.DecodeLastRuneInString(line)
		line = line[:len(line)-size]
	}
	return line
}

// end ends the telling.
func (p *progress) end() {
	close(p.stop)
	<-p.done
}

// wipe takes the line away that is rewritten.
func (p *progress) wipe() {
	if p.line != "" {
		fmt.Fprintf(p.w, "\r%s\r", strings.Repeat(" ", columns(p.line)))
		p.line = ""
	}
}

// rewrite puts a line in the place of the one before, without a flicker.
func (p *progress) rewrite(line string) {
	rest := max(columns(p.line)-columns(line), 0)
	fmt.Fprintf(p.w, "\r%s%s%s", line, strings.Repeat(" ", rest), strings.Repeat("\b", rest))
	p.line = line
}

// tell is told each event, with the rollout's lock held: it only looks at e.
func (p *progress) tell(e rollout.Event) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case e.Doing == rollout.WaveBegun:
		p.wave, p.begun = e.Wave-1, time.Now()
		if p.width == nil {
			p.print(p.r.WaveName(p.wave) + " begins")
		}
	case e.Doing == rollout.WavePassed:
		p.print(fmt.Sprintf("%s is over after %v: %s", p.r.WaveName(e.Wave-1), time.Since(p.begun).Round(time.Second), countsText(e.Counts)))
	case e.Doing == rollout.Halted:
		p.print("HALTED: " + e.Text)
	case e.Box == "" || e.State == "":
	case e.State == rollout.Kept && e.Kind == "key-changed":
		p.once("WARNING " + e.Box + ": " + e.Text)
	case e.Text != "" && e.State != rollout.Waiting && e.State != rollout.Installing:
		p.once(e.Box + " " + string(e.State) + ": " + e.Text)
	}
}

// say tells once what is waited for.
func (p *progress) say(text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.once(text)
}

// once prints a line that was not printed before, such as that of a box that is
// still off.
func (p *progress) once(text string) {
	if !p.said[text] {
		p.said[text] = true
		p.print(text)
	}
}

// print writes a line above the one that is rewritten.
func (p *progress) print(text string) {
	line := p.line
	p.wipe()
	fmt.Fprintln(p.w, clean(text))
	if p.line = line; line != "" {
		fmt.Fprint(p.w, line)
	}
}
