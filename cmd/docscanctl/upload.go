package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"docscan/cmd/docscanctl/client"
)

func (a *app) uploadCommand() *cobra.Command {
	var profile string
	var wait bool
	c := &cobra.Command{
		Use:   "upload FILE...",
		Short: "hand in PDF, TIFF, JPEG or PNG files instead of paper",
		Long: `Hand in files instead of paper: PDF, TIFF (also of several images), JPEG or
PNG. Each becomes a searchable document; words that are in a PDF are kept, and so
is the file itself.

A file is safe once its line is printed. One that is refused does not keep the
others back; the exit code is then 1. With --wait the documents are waited for.`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, files []string) error {
			c, err := a.connect()
			if err != nil {
				return err
			}
			refused := 0
			for _, file := range files {
				err := a.upload(cmd.Context(), c, file, profile, wait)
				if err != nil && (cmd.Context().Err() != nil || errors.Is(err, client.ErrUnreachable)) || len(files) == 1 {
					return err
				}
				if err != nil {
					refused++
					fmt.Fprintf(a.err, "%s: %v\n", clean(file), err)
				}
			}
			if refused > 0 {
				return fmt.Errorf("%d of %d files were not taken; the others are safe", refused, len(files))
			}
			return nil
		},
	}
	c.Flags().StringVar(&profile, "profile", "", "treat the pages as this profile `ID` says (default: the first)")
	c.Flags().BoolVar(&wait, "wait", false, "wait for the documents")
	return c
}

// openFile opens a file that is to be sent, and gives its size in bytes.
func openFile(name string) (*os.File, int64, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, 0, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is not a file", name)
	}
	if err != nil {
		return nil, 0, errors.Join(err, f.Close())
	}
	return f, info.Size(), nil
}

// upload hands in one file.
func (a *app) upload(ctx context.Context, c *client.Client, name, profile string, wait bool) error {
	f, size, err := openFile(name)
	if err != nil {
		return err
	}
	defer f.Close()
	query := url.Values{"name": {filepath.Base(name)}}
	if profile != "" {
		query.Set("profile", profile)
	}
	raw, err := c.Send(ctx, "/api/v1/uploads?"+query.Encode(), f, size)
	if err != nil {
		return err
	}
	var answer struct {
		Uploads []struct {
			Batch batch `json:"batch"`
		} `json:"uploads"`
	}
	if err := decode(raw, &answer); err != nil {
		return err
	}
	if len(answer.Uploads) != 1 || answer.Uploads[0].Batch.Upload == nil {
		return errors.New("docscand did not say what became of the file")
	}
	b := answer.Uploads[0].Batch
	if !a.json || wait {
		if !a.json {
			fmt.Fprintf(a.out, "%s is safe (%s). Batch %s\n", clean(name), count(b.Upload.Pages, "page"), clean(b.ID))
		}
		if wait {
			return a.follow(ctx, c, b.ID)
		}
		return nil
	}
	return a.printJSON(raw)
}
