package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// languages is what the API says of languages.
type languages struct {
	Languages []languageHere `json:"languages"`
	Available []languageHere `json:"available"`
	Wish      *struct {
		Name   string `json:"name"`
		State  string `json:"state"`
		Reason string `json:"reason"`
	} `json:"wish"`
}

type languageHere struct {
	Name  string `json:"name"`
	Title string `json:"title"`
	Own   bool   `json:"own"`
	Size  int64  `json:"size"`
}

// languageSuffix is that of Tesseract's files of data.
const languageSuffix = ".traineddata"

func (a *app) languageCommand() *cobra.Command {
	var available bool
	list := &cobra.Command{
		Use:   "list",
		Short: "list the languages that pages can be read in",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var l languages
			printed, err := a.get(cmd.Context(), "/api/v1/languages", &l)
			if err != nil || printed {
				return err
			}
			var t table
			t.add("NAME", "LANGUAGE", "FROM")
			rows, from := l.Languages, "Debian"
			if available {
				rows, from = l.Available, "Debian, not installed"
			}
			for _, x := range rows {
				where := from
				if x.Own {
					where = "handed in"
				}
				t.add(x.Name, x.Title, where)
			}
			return t.print(a.out)
		},
	}
	list.Flags().BoolVar(&available, "available", false, "list those that Debian has and that are not installed")
	install := &cobra.Command{
		Use:   "install NAME",
		Short: "install Debian's data of a language; the box must be online",
		Args:  cobra.ExactArgs(1),
		RunE:  func(cmd *cobra.Command, args []string) error { return a.installLanguage(cmd.Context(), args[0]) },
	}
	add := &cobra.Command{
		Use:   "add FILE",
		Short: "hand in a .traineddata file of Tesseract, named after its language",
		Long: `Hand in a .traineddata file of Tesseract, for a box that is not online or for a
language that Debian does not have. Its name is that of the language. It is tried
before it is used, and goes before Debian's data of that name.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			name, ok := strings.CutSuffix(filepath.Base(args[0]), languageSuffix)
			if !ok {
				return usagef("the file must be called after its language: deu%s", languageSuffix)
			}
			c, err := a.connect()
			if err != nil {
				return err
			}
			f, size, err := openFile(args[0])
			if err != nil {
				return err
			}
			defer f.Close()
			if _, err := c.Put(cmd.Context(), "/api/v1/languages/"+url.PathEscape(name), f, size); err != nil {
				return err
			}
			fmt.Fprintf(a.out, "%s can be used now. Name it in a profile.\n", clean(name))
			return nil
		},
	}
	remove := &cobra.Command{
		Use:   "remove NAME",
		Short: "remove data that were handed in",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.connect()
			if err != nil {
				return err
			}
			return c.Delete(cmd.Context(), "/api/v1/languages/"+url.PathEscape(args[0]))
		},
	}
	return group("language", "manage the languages that pages can be read in", list, install, add, remove)
}

// installLanguage waits for the end, however long it takes: Ctrl-C ends the waiting.
func (a *app) installLanguage(ctx context.Context, name string) error {
	c, err := a.connect()
	if err != nil {
		return err
	}
	if _, err := c.Post(ctx, "/api/v1/languages", map[string]string{"name": name}); err != nil {
		return err
	}
	for {
		raw, err := c.Get(ctx, "/api/v1/languages")
		if err != nil {
			return err
		}
		var l languages
		if err := decode(raw, &l); err != nil {
			return err
		}
		switch {
		case l.Wish == nil || l.Wish.Name != name:
			return errors.New("docscand was started anew meanwhile; look with: docscanctl language list")
		case l.Wish.State == "failed":
			return errors.New(clean(l.Wish.Reason))
		case l.Wish.State == "installed":
			fmt.Fprintf(a.out, "%s is installed. Name it in a profile.\n", clean(name))
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Second):
		}
	}
}
