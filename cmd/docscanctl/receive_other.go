//go:build !linux

package main

import (
	"errors"

	"github.com/spf13/cobra"
)

func (a *app) receiveSetupCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "setup",
		Short: "let a fleet into a box over SSH (on the box)",
		RunE: func(*cobra.Command, []string) error {
			return errors.New("this is done on the box, which runs Linux")
		},
	}
}
