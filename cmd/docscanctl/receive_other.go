//go:build !linux

package main

import (
	"errors"

	"github.com/spf13/cobra"
)

// receiveBoxCommands are those that are for the box alone.
func (a *app) receiveBoxCommands() []*cobra.Command {
	return []*cobra.Command{{
		Use:   "setup",
		Short: "let a fleet into a box over SSH (on the box)",
		RunE: func(*cobra.Command, []string) error {
			return errors.New("this is done on the box, which runs Linux")
		},
	}}
}
