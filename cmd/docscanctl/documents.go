package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"docscan/cmd/docscanctl/client"
)

func (a *app) documentsCommand() *cobra.Command {
	return group("documents", "find, read, download and change documents",
		a.documentsListCommand(), a.documentsShowCommand(), a.documentsGetCommand(), a.documentsTextCommand(), a.documentsReadCommand(),
		a.documentsEditCommand(), a.documentsTrashCommand(), a.documentsRestoreCommand())
}

func (a *app) documentsListCommand() *cobra.Command {
	var query, cursor string
	var limit int
	c := &cobra.Command{
		Use:   "list",
		Short: "list documents, the newest first, or search their text with -q",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			v := url.Values{"limit": {strconv.Itoa(limit)}}
			if query != "" {
				v.Set("q", query)
			}
			if cursor != "" {
				v.Set("cursor", cursor)
			}
			var answer struct {
				Documents []document `json:"documents"`
				Next      string     `json:"next"`
			}
			printed, err := a.get(cmd.Context(), "/api/v1/documents?"+v.Encode(), &answer)
			if err != nil || printed {
				return err
			}
			if len(answer.Documents) == 0 {
				fmt.Fprintln(a.out, "There are no such documents.")
				return nil
			}
			var t table
			t.add("DOCUMENT", "SCANNED", "PAGES", "TITLE")
			for _, d := range answer.Documents {
				t.add(d.ID, moment(d.Created), strconv.Itoa(d.Pages.n), d.Title)
				for _, h := range d.Hits {
					t.note(a.snippet(&h))
				}
			}
			if err := t.print(a.out); err != nil {
				return err
			}
			if answer.Next != "" {
				fmt.Fprintf(a.out, "\nThere are more: add --cursor %s\n", clean(answer.Next))
			}
			return nil
		},
	}
	c.Flags().StringVarP(&query, "query", "q", "", "only documents with these `WORDS`")
	c.Flags().IntVar(&limit, "limit", 20, "how many")
	c.Flags().StringVar(&cursor, "cursor", "", "go on after an earlier list, as it says at its end")
	return c
}

// snippet writes a hit as one line, what matched in bold or in brackets.
func (a *app) snippet(h *hit) string {
	on, off := "[", "]"
	if f, ok := a.out.(*os.File); ok && term.IsTerminal(int(f.Fd())) && a.getenv("NO_COLOR") == "" {
		on, off = "\x1b[1m", "\x1b[0m"
	}
	var b strings.Builder
	for _, s := range h.Snippet {
		if s.Match {
			b.WriteString(on + clean(s.Text) + off)
		} else {
			b.WriteString(clean(s.Text))
		}
	}
	return fmt.Sprintf("page %d: %s", h.Page, strings.Join(strings.Fields(b.String()), " "))
}

func (a *app) documentsShowCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "show ID",
		Short: "show what is known of one document",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var d document
			printed, err := a.get(cmd.Context(), documentPath(args[0], ""), &d)
			if err != nil || printed {
				return err
			}
			var t table
			t.add("Document", d.ID)
			t.add("Title", d.Title)
			t.add("Scanned", moment(d.Created))
			t.add("Pages", strconv.Itoa(d.Pages.n))
			t.add("PDF", bytesText(d.PDF.Size))
			t.add("Languages", strings.Join(d.Languages, ", "))
			t.add("Batch", d.Batch)
			for _, n := range d.Notes {
				t.add("Note", n)
			}
			return t.print(a.out)
		},
	}
}

// download writes what is at path to the file out, or to standard output if that
// is -. Without it, to the file name, which must not be there.
func (a *app) download(ctx context.Context, c *client.Client, path, out, name string) error {
	if out == "-" {
		_, err := c.DownloadTo(ctx, path, a.out)
		return err
	}
	if out == "" {
		if _, err := os.Lstat(name); err == nil {
			return fmt.Errorf("%s is there already; choose a name with -o, which replaces what is there", name)
		}
		out = name
	}
	n, err := c.Download(ctx, path, out)
	if err != nil {
		return err
	}
	if a.json {
		return a.printJSON(map[string]any{"file": out, "size": n})
	}
	fmt.Fprintf(a.out, "%s (%s)\n", clean(out), bytesText(n))
	return nil
}

func documentPath(id, part string) string {
	return "/api/v1/documents/" + url.PathEscape(id) + part
}

func (a *app) documentsGetCommand() *cobra.Command {
	var out string
	var original bool
	c := &cobra.Command{
		Use:   "get ID",
		Short: "download a document as PDF, or the file that was handed in for it",
		Long: `Download a document as PDF. The file appears when it is whole; a connection
that breaks off is taken up again.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.connect()
			if err != nil {
				return err
			}
			path := documentPath(args[0], "/pdf")
			if original {
				path = documentPath(args[0], "/original")
				if out == "" {
					return usagef("name a file with -o: what was handed in may be of any kind")
				}
			}
			if out == "-" {
				if f, ok := a.out.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
					return usagef("a PDF is nothing for a terminal; name a file with -o")
				}
			}
			return a.download(cmd.Context(), c, path, out, filepath.Base(args[0])+".pdf")
		},
	}
	c.Flags().StringVarP(&out, "output", "o", "", "write to `FILE`, or to standard output if it is - (default ID.pdf)")
	c.Flags().BoolVar(&original, "original", false, "the file as it was handed in, with its signatures and attachments, instead of the PDF")
	return c
}

// maxText bounds the text of one document in bytes; 1000 dense pages have some
// 5 MB.
const maxText = 64 << 20

func (a *app) documentsTextCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "text ID",
		Short: "print the text of a document, with a form feed between its pages",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.connect()
			if err != nil {
				return err
			}
			var b limitedBuilder
			if _, err := c.DownloadTo(cmd.Context(), documentPath(args[0], "/text"), &b); err != nil {
				return err
			}
			if a.json {
				return a.printJSON(map[string]string{"id": args[0], "text": b.String()})
			}
			for i, page := range strings.Split(b.String(), "\f") {
				if i > 0 {
					fmt.Fprint(a.out, "\f")
				}
				if _, err := fmt.Fprint(a.out, paragraph(page)); err != nil {
					return err
				}
			}
			return nil
		},
	}
}

// limitedBuilder is a strings.Builder that refuses to grow beyond maxText.
type limitedBuilder struct{ strings.Builder }

func (b *limitedBuilder) Write(p []byte) (int, error) {
	if b.Len()+len(p) > maxText {
		return 0, errors.New("the text is too long")
	}
	return b.Builder.Write(p)
}

// withoutFlag names steps of the clean-up that are left out.
const withoutFlag = "without"

func (a *app) documentsReadCommand() *cobra.Command {
	var languages, without []string
	c := &cobra.Command{
		Use:   "read ID",
		Short: "have a document read again, such as in other languages or without a step of the clean-up",
		Long: `Have a document read again, in its turn behind new paper. It stays as it is until
all its pages are read. The images as they came must still be kept.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.connect()
			if err != nil {
				return err
			}
			path := documentPath(args[0], "")
			raw, err := c.Get(cmd.Context(), path)
			if err != nil {
				return err
			}
			var d struct {
				Revision int `json:"revision"`
			}
			if err := decode(raw, &d); err != nil {
				return err
			}
			wish := map[string]any{"languages": languages, "revision": d.Revision}
			if cmd.Flags().Changed(withoutFlag) {
				wish["leave"] = slices.DeleteFunc(without, func(s string) bool { return s == "" })
			}
			_, err = c.Post(cmd.Context(), path+"/read", wish)
			return err
		},
	}
	c.Flags().StringSliceVar(&languages, "language", nil, "read it in these `LANGUAGES`, the main one first: deu,eng (default: those of its profile)")
	c.Flags().StringSliceVar(&without, withoutFlag, nil, "without these `STEPS` of the clean-up: upright, straighten, crop, background, colour; '' for all of them (default: as its profile says)")
	return c
}
