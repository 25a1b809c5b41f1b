package main

import (
	"github.com/spf13/cobra"

	"docscan/packaging/bundle"
)

// bundleCommand makes and looks at update files. It needs no docscand.
func (a *app) bundleCommand() *cobra.Command {
	return &cobra.Command{
		Use:                "bundle create|delta|sign|verify|inspect",
		Short:              "make, sign and verify update files",
		DisableFlagParsing: true, // the commands below it have flags of their own kind
		RunE: func(cmd *cobra.Command, args []string) error {
			a.code = bundle.Command(cmd.Context(), args, a.in, a.out, a.err)
			return nil
		},
	}
}
