// Guest is the hands and eyes in the rig's machine:
//
//	guest chip   makes the GPIO chip, before docscand starts
//	guest        presses the button, pulls the plug, looks at the lights, and asks
//	             docscand what became of it
//	guest update does to a box what rig's kernel command line asks for
//
// What it prints behind "rig: " is for the people outside.
package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"time"

	"golang.org/x/sync/errgroup"
)

func main() {
	if len(os.Args) > 1 && os.Args[1] == "chip" {
		if err := makeChip(); err != nil {
			fmt.Fprintln(os.Stderr, "guest:", err)
			os.Exit(1)
		}
		return
	}
	do := run
	if len(os.Args) > 1 && os.Args[1] == "update" {
		do = runUpdate
	}
	if err := do(); err != nil {
		fmt.Printf("rig: FAIL: %v\n", err)
		os.Exit(1)
	}
	fmt.Println("rig: PASS")
}

// run has the board looked at while the steps are taken.
func run() error {
	b, err := newBoard()
	if err != nil {
		return err
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	p, err := newPort(log)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var g errgroup.Group
	ear := new(ear)
	g.Go(func() error { ear.listen(ctx, log); return nil })
	g.Go(func() error { return b.look(ctx) })
	g.Go(func() error {
		defer cancel()
		r := &rig{stopLooking: cancel, began: time.Now(), board: b, ear: ear, port: p, daemon: newDaemon()}
		for _, step := range []func() error{r.check, r.plugIn, r.scan, r.pull, r.resume, r.nothing, r.breakChip} {
			if err := step(); err != nil {
				return err
			}
		}
		return nil
	})
	return g.Wait()
}
