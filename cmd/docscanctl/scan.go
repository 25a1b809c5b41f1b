package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"time"

	"github.com/spf13/cobra"

	"docscan/cmd/docscanctl/client"
)

// recheck is how often a batch that is waited for is asked for without an
// event: the stream may hang without either side noticing.
const recheck = 10 * time.Second

func (a *app) scanCommand() *cobra.Command {
	var device, profile string
	var wait, anew bool
	c := &cobra.Command{
		Use:   "scan",
		Short: "scan what is in the scanner, as a press on its button does",
		Long: `Scan what is in the scanner, as a press on its button does. A batch that a
fault has stopped goes on in the same document; with --anew it is filed with
the pages that are safe, and another document begins.

With --wait the pages are shown as they become safe, until the document is
filed (exit code 0) or a person is needed at the scanner (exit code 1).`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			wish := make(map[string]any)
			if device != "" {
				wish["device"] = device
			}
			if profile != "" {
				wish["profile"] = profile
			}
			if anew {
				wish["anew"] = true
			}
			return a.press(cmd.Context(), "/api/v1/scans", wish, wait)
		},
	}
	c.Flags().StringVar(&device, "device", "", "scan with the device of this `ID` (default: the only one, or the first that is ready)")
	c.Flags().StringVar(&profile, "profile", "", "scan with the settings of this profile `ID` (default: the first)")
	c.Flags().BoolVar(&anew, "anew", false, "do not go on with a batch that a fault has stopped: file it and begin another")
	c.Flags().BoolVar(&wait, "wait", false, "show the pages and wait for the document")
	return c
}

// press starts or resumes a batch by a POST of in to path, and shows it.
func (a *app) press(ctx context.Context, path string, in any, wait bool) error {
	c, err := a.connect()
	if err != nil {
		return err
	}
	raw, err := c.Post(ctx, path, in)
	if err != nil {
		return err
	}
	var b batch
	if err := decode(raw, &b); err != nil {
		return err
	}
	if wait {
		return a.follow(ctx, c, b.ID)
	}
	if a.json {
		return a.printJSON(raw)
	}
	fmt.Fprintf(a.out, "Scanning with %q on %s.\nBatch %s\n", clean(b.Profile.Name), clean(b.Device), clean(b.ID))
	return nil
}

// follow shows a batch until it needs nothing more or a person. With --json it
// is silent and prints the batch at the end.
func (a *app) follow(ctx context.Context, c *client.Client, id string) error {
	w := &watcher{out: a.out}
	if a.json {
		w.out = io.Discard
	}
	wctx, stop := context.WithCancel(ctx)
	defer stop()
	// Events only say that it is time to look: many of them may come while one
	// look is under way, and then one more look is enough.
	look := make(chan struct{}, 1)
	poke := func() {
		select {
		case look <- struct{}{}:
		default:
		}
	}
	watched := make(chan error, 1)
	go func() {
		watched <- c.Watch(wctx, poke, func(e client.Event) bool {
			if e.Batch == id || e.Name == "reset" {
				poke()
			}
			return true
		})
	}()
	defer func() { stop(); <-watched }()
	t := time.NewTicker(recheck)
	defer t.Stop()
	for {
		select {
		case <-look:
		case <-t.C:
		case err := <-watched:
			watched <- err // for the deferred wait
			if ctx.Err() != nil {
				return leave(id)
			}
			return err
		}
		raw, err := c.Get(ctx, "/api/v1/batches/"+url.PathEscape(id))
		switch {
		case ctx.Err() != nil:
			return leave(id)
		case errors.Is(err, client.ErrUnreachable):
			continue // Watch knows how long to be patient, and pokes when it is back
		case err != nil:
			return err
		}
		var b batch
		if err := decode(raw, &b); err != nil {
			return err
		}
		w.show(&b)
		if !b.final() && b.State != "stopped" {
			continue
		}
		if a.json {
			if err := a.printJSON(raw); err != nil {
				return err
			}
		}
		return a.outcome(ctx, c, w, &b)
	}
}

// leave is what Ctrl-C does to a wait: it ends the waiting, not the scan.
func leave(id string) error {
	return fmt.Errorf("no longer waiting; the scan itself goes on. To see it: docscanctl batches show %s. To stop it: docscanctl batches cancel %[1]s", id)
}

// outcome says how a batch ended or why it stopped.
func (a *app) outcome(ctx context.Context, c *client.Client, w *watcher, b *batch) error {
	switch b.State {
	case "completed":
		for _, id := range b.Documents {
			raw, err := c.Get(ctx, "/api/v1/documents/"+url.PathEscape(id))
			if err != nil {
				return err
			}
			var d document
			if err := decode(raw, &d); err != nil {
				return err
			}
			fmt.Fprintf(w.out, "Filed %q with %s.\n", clean(d.Title), count(d.Pages.n, "page"))
			for _, n := range d.Notes {
				fmt.Fprintf(w.out, "Note: %s\n", clean(n))
			}
			fmt.Fprintf(w.out, "To get it: docscanctl documents get %s\n", clean(id))
		}
		return nil
	case "canceled":
		return errors.New("the scan was canceled before a page was safe")
	}
	f := b.Fault
	if f == nil {
		f = &fault{What: "The scan ended without a page.", Advice: "See the log of docscand for the reason."}
	}
	if b.State == "stopped" {
		return fmt.Errorf("%s\n%s %s\nTo go on from here: docscanctl batches resume %s --wait\nTo file what is safe: docscanctl batches finish %[4]s",
			f.What, f.Safe, f.Advice, b.ID)
	}
	return fmt.Errorf("%s %s", f.What, f.Advice)
}

// A watcher prints what is new each time it is shown a batch.
type watcher struct {
	out     io.Writer
	begun   bool
	shown   int // pages
	paperIn bool
}

func (w *watcher) show(b *batch) {
	if b.Upload != nil {
		for _, p := range b.Pages.list {
			if p.Seq > w.shown {
				fmt.Fprintf(w.out, "Page %d of %d is there.\n", p.Seq, b.Upload.Pages)
				w.shown = p.Seq
			}
		}
		return
	}
	if !w.begun {
		w.begun = true
		fmt.Fprintf(w.out, "Scanning with %q on %s, batch %s.\n", clean(b.Profile.Name), clean(b.Device), clean(b.ID))
	}
	for _, p := range b.Pages.list {
		if p.Seq > w.shown {
			fmt.Fprintf(w.out, "Page %d is safe (sheet %d, %s).\n", p.Seq, p.Sheet, sideName(p.Back))
			w.shown = p.Seq
		}
	}
	if !w.paperIn && (b.State == "processing" || b.State == "completed") {
		w.paperIn = true
		fmt.Fprintf(w.out, "All paper is in and safe (%s); it may be taken away. Reading the text.\n", count(b.Pages.n, "page"))
	}
}

func sideName(back bool) string {
	if back {
		return "back"
	}
	return "front"
}
