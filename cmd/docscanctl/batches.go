package main

import (
	"fmt"
	"net/url"
	"strconv"

	"github.com/spf13/cobra"
)

func (a *app) batchesCommand() *cobra.Command {
	var limit int
	list := &cobra.Command{
		Use:   "list",
		Short: "list the newest batches",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var answer struct {
				Batches []batch `json:"batches"`
			}
			printed, err := a.get(cmd.Context(), "/api/v1/batches?limit="+strconv.Itoa(limit), &answer)
			if err != nil || printed {
				return err
			}
			if len(answer.Batches) == 0 {
				fmt.Fprintln(a.out, "Nothing has been scanned yet.")
				return nil
			}
			var t table
			t.add("BATCH", "BEGUN", "STATE", "PAGES", "PROFILE", "DEVICE")
			for _, b := range answer.Batches {
				t.add(b.ID, moment(b.Created), b.State, strconv.Itoa(b.Pages.n), b.Profile.Name, b.from())
			}
			return t.print(a.out)
		},
	}
	list.Flags().IntVar(&limit, "limit", 20, "how many")
	show := &cobra.Command{
		Use:   "show ID",
		Short: "show one batch with its pages",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var b batch
			printed, err := a.get(cmd.Context(), "/api/v1/batches/"+url.PathEscape(args[0]), &b)
			if err != nil || printed {
				return err
			}
			return a.showBatch(&b)
		},
	}
	var wait bool
	resume := &cobra.Command{
		Use:   "resume ID",
		Short: "go on with a stopped batch, in the same document",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.press(cmd.Context(), batchPath(args[0], "resume"), nil, wait)
		},
	}
	resume.Flags().BoolVar(&wait, "wait", false, "show the pages and wait for the document")
	finish := a.batchAction("finish", "close a stopped batch: the pages that are safe become the document",
		"Batch %s is closed; its pages become the document.\n")
	cancel := a.batchAction("cancel", "stop feeding after the current sheet; pages that are safe become the document",
		"Batch %s stops after the current sheet; pages that are safe are kept.\n")
	return group("batches", "see and steer what was scanned", list, show, resume, finish, cancel)
}

func batchPath(id, action string) string {
	return "/api/v1/batches/" + url.PathEscape(id) + "/" + action
}

// batchAction is a command that does one thing to a batch and prints done.
func (a *app) batchAction(name, short, done string) *cobra.Command {
	return &cobra.Command{
		Use:   name + " ID",
		Short: short,
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var b batch
			printed, err := a.post(cmd.Context(), batchPath(args[0], name), nil, &b)
			if err != nil || printed {
				return err
			}
			fmt.Fprintf(a.out, done, clean(b.ID))
			return nil
		},
	}
}

func (a *app) showBatch(b *batch) error {
	var t table
	t.add("Batch", b.ID)
	t.add("State", b.State)
	t.add("Begun", moment(b.Created))
	if b.Upload != nil {
		t.add("Uploaded", b.Upload.Name)
	} else {
		t.add("Device", b.Device)
	}
	t.add("Profile", b.Profile.Name)
	t.add("Pages", fmt.Sprintf("%d on %s, %d of them read", b.Pages.n, count(b.Sheets, "sheet"), b.Done))
	if f := b.Fault; f != nil {
		t.add("Fault", f.What)
		t.add("Safe", f.Safe)
		t.add("To do", f.Advice)
	}
	if b.State == "completed" {
		for _, d := range b.Documents {
			t.add("Document", d)
		}
	}
	if err := t.print(a.out); err != nil || len(b.Pages.list) == 0 {
		return err
	}
	fmt.Fprintln(a.out)
	var p table
	p.add("PAGE", "SHEET", "SIDE", "STATE", "WORDS", "NOTE")
	for _, x := range b.Pages.list {
		p.add(strconv.Itoa(x.Seq), strconv.Itoa(x.Sheet), sideName(x.Back), x.State, strconv.Itoa(x.Words), x.Note)
	}
	return p.print(a.out)
}
