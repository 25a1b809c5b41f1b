package main

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
)

func (a *app) statusCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "status",
		Short: "show how docscan is, with its scanners and what they are doing",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var s status
			printed, err := a.get(cmd.Context(), "/api/v1/status", &s)
			if err != nil || printed {
				return err
			}
			return a.showStatus(&s)
		},
	}
}

func (a *app) showStatus(s *status) error {
	work := "nothing to do"
	if s.OpenBatches > 0 {
		work = fmt.Sprintf("%s open, %s to be read", count(s.OpenBatches, "batch"), count(s.Waiting, "page"))
	}
	var t table
	t.add("docscand", s.Version+", running since "+moment(s.Started))
	t.add("Work", work)
	t.add("Disk", bytesText(s.Free)+" free")
	if len(s.Devices) == 0 {
		t.add("Scanners", "none is connected")
	}
	for _, id := range slices.Sorted(maps.Keys(s.Devices)) {
		t.add("Scanner", id+": "+words(s.Devices[id]))
	}
	return t.print(a.out)
}

func (a *app) devicesCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "devices",
		Short: "list the scanners and how they are",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var answer struct {
				Devices []device `json:"devices"`
			}
			printed, err := a.get(cmd.Context(), "/api/v1/devices", &answer)
			if err != nil || printed {
				return err
			}
			return a.showDevices(answer.Devices)
		},
	}
}

func (a *app) showDevices(list []device) error {
	if len(list) == 0 {
		fmt.Fprintln(a.out, "No scanner is connected.")
		return nil
	}
	var t table
	t.add("DEVICE", "NAME", "STATE", "SOURCES", "PORT")
	for _, d := range list {
		t.add(d.Info.ID, d.Name, stateText(&d), sourcesText(&d), d.Info.Port)
	}
	return t.print(a.out)
}

// stateText says how a device is, with what is wrong with it.
func stateText(d *device) string {
	s := words(d.Status.State)
	if f := d.Status.Fault; f != "" && f != d.Status.State {
		s += " (" + words(f) + ")"
	}
	return s
}

// words writes a name of the API, such as warming-up, as words.
func words(name string) string { return strings.ReplaceAll(name, "-", " ") }

func sourcesText(d *device) string {
	s := strings.Join(d.Caps.Sources, ", ")
	if d.Caps.Duplex {
		s += ", duplex"
	}
	return s
}

func (a *app) profilesCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "profiles",
		Short: "list the profiles that scan --profile takes",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var answer struct {
				Profiles []profile `json:"profiles"`
			}
			printed, err := a.get(cmd.Context(), "/api/v1/profiles", &answer)
			if err != nil || printed {
				return err
			}
			var t table
			t.add("PROFILE", "NAME", "SOURCE", "SIDES", "COLOUR", "DPI", "LANGUAGES")
			for _, p := range answer.Profiles {
				sides := "front"
				if p.Duplex {
					sides = "both"
				}
				t.add(p.ID, p.Name, p.Source, sides, p.Mode, strconv.Itoa(p.Resolution), cmp.Or(strings.Join(p.Languages, ", "), "default"))
			}
			return t.print(a.out)
		},
	}
}
