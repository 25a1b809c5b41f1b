package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"docscan/device/sim/esci"
	"docscan/device/sim/fujitsu"
)

// driverRuns are the scanners and modes that our driver and SANE's are measured
// with, each on a simulated scanner of its own, in turn.
var driverRuns = []struct {
	model      string
	mode, sane string
	family     family
	conf       string // of SANE's driver
}{
	{"fi-7160", "color", "Color", fi, "option buffer-size 262144\nusb 0x04c5 0x132e\n"}, // what ours asks of this model
	{"fi-7160", "gray", "Gray", fi, "option buffer-size 262144\nusb 0x04c5 0x132e\n"},
	{"fi-7160", "lineart", "Lineart", fi, "option buffer-size 262144\nusb 0x04c5 0x132e\n"},
	{"fi-4120C", "color", "Color", fi, "option buffer-size 65536\nusb 0x04c5 0x1041\n"},
	{"DS-530", "color", "Color", ds, "usb 0x04b8 0x0155\n"},
	{"DS-530", "gray", "Gray", ds, "usb 0x04b8 0x0155\n"},
	{"DS-860", "lineart", "Lineart", ds, "usb 0x04b8 0x0152\n"},
	{"raw only", "color", "Color", ds, "usb 0x04b8 0x0146\n"}, // a DS-50000 that lacks JPEG
}

// family is a protocol, and how scanimage is asked for both sides of A4 in it.
type family struct {
	backend string
	flag    string // of mockbus
	paper   []string
}

var (
	fi = family{"fujitsu", "-fujitsu", []string{"--source=ADF Duplex", "--page-width=210", "--page-height=297", "-x", "210", "-y", "297"}}
	ds = family{"epsonds", "-esci", []string{"--source=ADF Duplex", "-l", "0", "-t", "0", "-x", "210", "-y", "297"}}
)

// knobs describes the scanner to mockbus.
func (f family) knobs(model, stack string) ([]byte, error) {
	if f.backend == ds.backend {
		return json.Marshal(esci.Config{Model: model, Stack: stack, Duplex: true, Resolution: dpi})
	}
	return json.Marshal(fujitsu.Config{Model: model, Stack: stack, Duplex: true, Resolution: dpi})
}

// The sheets of these runs: A4 as both drivers give it, 210 by 297 mm.
const driverPages = 12

// turns is how often each driver scans a stack, by turns with the other. The run
// that took the least CPU counts: what else the machine does only adds to it.
const turns = 3

// driven is what a run of package main in drive prints.
type driven struct {
	Sides    int     `json:"sides"`
	Bytes    int64   `json:"bytes"`
	Wall     float64 `json:"wall_seconds"`
	CPU      float64 `json:"cpu_seconds"`
	Resident int64   `json:"max_resident_bytes"`
}

// drivers prints what our driver takes on a simulated scanner beside scanimage
// with SANE's own driver. Bytes are what is handed on: the scanner's own JPEG
// where it has it, or all pixels.
func drivers(ctx context.Context, w io.Writer, _, dir string) error {
	stack := filepath.Join(dir, "sheets")
	if err := fill(stack, dir, driverPages); err != nil {
		return fmt.Errorf("draw the sheets: %w", err)
	}
	bus, err := filepath.Abs(".tools/mockbus")
	if err != nil {
		return err
	}
	drive, err := filepath.Abs(".tools/drive")
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "%-22s %23s %23s %23s\n", "scanner and mode", "CPU ms a side", "wall ms a side", "bytes a side")
	fmt.Fprintf(w, "%-22s %23s %23s %23s\n", "", "docscan   SANE  ratio", "docscan   SANE  ratio", "docscan    SANE  ratio")
	for i, r := range driverRuns {
		knobs, err := r.family.knobs(r.model, stack)
		if err != nil {
			return err
		}
		conf, out := filepath.Join(dir, fmt.Sprintf("conf%d", i)), filepath.Join(dir, fmt.Sprintf("sane%d", i))
		if err := errors.Join(os.Mkdir(conf, 0o700),
			os.WriteFile(filepath.Join(conf, "dll.conf"), []byte(r.family.backend+"\n"), 0o600),
			os.WriteFile(filepath.Join(conf, r.family.backend+".conf"), []byte(r.conf), 0o600),
		); err != nil {
			return err
		}
		world := []string{r.family.flag + "=" + string(knobs), "--", drive}
		own := slices.Concat(world, []string{"-mode", r.mode, "-width", "2480", "-length", "3508"})
		ask := slices.Concat(world, []string{"--", "scanimage"}, r.family.paper, []string{
			"--mode=" + r.sane, fmt.Sprintf("--resolution=%d", dpi), "--format=pnm", "--batch=" + filepath.Join(out, "p%d.pnm")})
		var ours, theirs driven
		for turn := range turns {
			a, err := driveOnce(ctx, bus, nil, own...)
			if err != nil {
				return err
			}
			if err := os.Mkdir(out, 0o700); err != nil {
				return err
			}
			b, err := driveOnce(ctx, bus, []string{"SANE_CONFIG_DIR=" + conf}, ask...)
			if err != nil {
				return err
			}
			files, err := filepath.Glob(filepath.Join(out, "*.pnm"))
			if err != nil {
				return err
			}
			if a.Sides != driverPages || len(files) != driverPages {
				return fmt.Errorf("%s: %d sides by docscan and %d by SANE, want %d", r.model, a.Sides, len(files), driverPages)
			}
			for _, name := range files {
				info, err := os.Stat(name)
				if err != nil {
					return err
				}
				b.Bytes += info.Size()
			}
			if err := os.RemoveAll(out); err != nil {
				return err
			}
			if turn == 0 || a.CPU < ours.CPU {
				ours = a
			}
			if turn == 0 || b.CPU < theirs.CPU {
				theirs = b
			}
		}
		const n = driverPages
		fmt.Fprintf(w, "%-22s %7.0f %6.0f %6.2f  %7.0f %6.0f %6.2f %8.0fk %6.0fk %6.2f\n", r.model+" "+r.mode,
			1000*ours.CPU/n, 1000*theirs.CPU/n, ours.CPU/theirs.CPU,
			1000*ours.Wall/n, 1000*theirs.Wall/n, ours.Wall/theirs.Wall,
			float64(ours.Bytes)/n/1000, float64(theirs.Bytes)/n/1000, float64(ours.Bytes)/float64(theirs.Bytes))
	}
	fmt.Fprintln(w)
	return nil
}

// driveOnce runs one program on a bus of its own and reads what it took.
func driveOnce(ctx context.Context, bus string, env []string, args ...string) (driven, error) {
	cmd := exec.CommandContext(ctx, bus, args...)
	cmd.Env = append(os.Environ(), env...)
	var said strings.Builder
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		return driven{}, fmt.Errorf("%s: %w\n%s", strings.Join(args[2:], " "), err, said.String())
	}
	var d driven
	if err := json.Unmarshal(out, &d); err != nil {
		return driven{}, fmt.Errorf("read what the run took: %w: %q", err, out)
	}
	return d, nil
}
