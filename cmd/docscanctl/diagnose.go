package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/spf13/cobra"

	"docscan/cmd/docscanctl/client"
)

func (a *app) deviceCommand() *cobra.Command {
	return group("device", "look into one scanner", a.deviceDiagnoseCommand())
}

func (a *app) deviceDiagnoseCommand() *cobra.Command {
	var out string
	c := &cobra.Command{
		Use:   "diagnose [ID]",
		Short: "write all that is known of a scanner into one file",
		Long: `Write all that is known of a scanner into one file, for whoever is to help:
versions, USB descriptors, quirks in force, what the scanner says of itself, what
happened to it and its last transfers. Nothing of what was scanned is in it. ID
may be left out where there is one scanner.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.connect()
			if err != nil {
				return err
			}
			id := ""
			if len(args) == 1 {
				id = args[0]
			} else if id, err = onlyDevice(cmd.Context(), c); err != nil {
				return err
			}
			path := "/api/v1/devices/" + url.PathEscape(id) + "/diagnosis"
			name := "docscan-" + strings.Map(func(r rune) rune {
				if r == '/' || r == '\\' {
					return '-'
				}
				return r
			}, id) + ".txt"
			return a.download(cmd.Context(), c, path, out, name)
		},
	}
	c.Flags().StringVarP(&out, "output", "o", "", "write to `FILE`, or to standard output if it is - (default docscan-ID.txt)")
	return c
}

// onlyDevice gives the scanner that is meant when none is named.
func onlyDevice(ctx context.Context, c *client.Client) (string, error) {
	raw, err := c.Get(ctx, "/api/v1/devices")
	if err != nil {
		return "", err
	}
	var answer struct {
		Devices []device `json:"devices"`
	}
	if err := json.Unmarshal(raw, &answer); err != nil {
		return "", fmt.Errorf("read the list of scanners: %w", err)
	}
	switch len(answer.Devices) {
	case 0:
		return "", errors.New("no scanner has been seen since docscand started")
	case 1:
		return answer.Devices[0].Info.ID, nil
	}
	return "", usagef("there are several scanners; name the one that is meant (docscanctl devices lists them)")
}
