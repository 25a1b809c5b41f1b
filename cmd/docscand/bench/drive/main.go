// Drive scans the whole feeder of the one scanner on the bus with docscan's own
// drivers, or lets another program do so, and prints what that took. It serves
// the benchmark only.
//
//	drive [-mode color] [-dpi 300] [-simplex] [-width N] [-length N]
//	drive -- command [argument...]
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"docscan/device"
	"docscan/device/esci"
	"docscan/device/escl"
	"docscan/device/fujitsu"
	"docscan/device/ippusb"
	"docscan/device/quirks"
	"docscan/device/usb"
)

// result is what a run took.
type result struct {
	Sides    int     `json:"sides"` // 0: another program's, which does not say
	Bytes    int64   `json:"bytes"`
	Wall     float64 `json:"wall_seconds"`
	CPU      float64 `json:"cpu_seconds"`
	Resident int64   `json:"max_resident_bytes"`
}

func main() {
	mode := flag.String("mode", string(device.Color), "color, gray or lineart")
	dpi := flag.Int("dpi", 300, "resolution")
	simplex := flag.Bool("simplex", false, "front sides only")
	width := flag.Int("width", 0, "of the scanned area in 1/300 inch; 0: all there is")
	length := flag.Int("length", 0, "of the scanned area in 1/300 inch; 0: all there is")
	flag.Parse()
	var r result
	var err error
	if flag.NArg() > 0 {
		r, err = other(flag.Args())
	} else {
		r, err = own(device.Settings{Source: device.Feeder, Duplex: !*simplex, Mode: device.ColorMode(*mode), Resolution: *dpi, Width: *width, Length: *length})
	}
	if err == nil {
		err = json.NewEncoder(os.Stdout).Encode(r)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "drive:", err)
		os.Exit(1)
	}
}

// own scans with our drivers. The time begins when the scanner is open, as it is
// in the daemon.
func own(set device.Settings) (r result, err error) {
	ctx := context.Background()
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	known, err := quirks.Load("")
	if err != nil {
		return r, err
	}
	open := func(ctx context.Context, rt http.RoundTripper, info device.Info, q quirks.Quirks) (device.Scanner, error) {
		return escl.Open(ctx, escl.Options{BaseURL: "http://localhost/eSCL/", HTTP: rt, Info: info, Quirks: q, Log: log})
	}
	temp, err := os.MkdirTemp("", "drive")
	if err != nil {
		return r, err
	}
	defer os.RemoveAll(temp)
	f := usb.NewFinder(usb.Config{Enabled: true, SettleMS: 1}, log,
		ippusb.NewDriver(ippusb.DefaultConfig(), known, open, log), fujitsu.NewDriver(temp, known, log),
		esci.NewDriver(temp, known, log))
	defer func() { err = errors.Join(err, f.Close()) }()
	found, err := f.Find(ctx)
	if err != nil || len(found) != 1 {
		return r, fmt.Errorf("%d scanners on the bus, want one: %w", len(found), err)
	}
	s, err := found[0].Open(ctx)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	began, before := time.Now(), used(syscall.RUSAGE_SELF)
	run, err := s.Start(ctx, set)
	if err != nil {
		return r, err
	}
	for {
		side, err := run.Next(ctx)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return r, errors.Join(err, run.Close())
		}
		n, err := io.Copy(io.Discard, side.Body)
		if err != nil {
			return r, errors.Join(err, run.Close())
		}
		r.Sides++
		r.Bytes += n
	}
	if err := run.Close(); err != nil {
		return r, err
	}
	r.Wall, r.CPU = time.Since(began).Seconds(), (used(syscall.RUSAGE_SELF) - before).Seconds()
	r.Resident = resident(syscall.RUSAGE_SELF)
	return r, nil
}

// other lets a program scan and counts the bytes of what it prints.
func other(args []string) (r result, err error) {
	cmd := exec.Command(args[0], args[1:]...)
	var said strings.Builder
	cmd.Stderr = &said
	out, err := cmd.StdoutPipe()
	if err != nil {
		return r, err
	}
	began := time.Now()
	if err := cmd.Start(); err != nil {
		return r, err
	}
	if r.Bytes, err = io.Copy(io.Discard, out); err != nil {
		return r, err
	}
	err = cmd.Wait()
	// scanimage --batch ends so when the feeder is empty.
	if err != nil && !strings.Contains(said.String(), "out of documents") {
		return r, fmt.Errorf("%w\n%s", err, said.String())
	}
	r.Wall, r.CPU = time.Since(began).Seconds(), used(syscall.RUSAGE_CHILDREN).Seconds()
	r.Resident = resident(syscall.RUSAGE_CHILDREN)
	return r, nil
}

// used is the CPU time taken so far.
func used(who int) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(who, &u); err != nil {
		panic(err) // only for a wrong who
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// resident is the peak of memory, which Linux gives in KiB.
func resident(who int) int64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(who, &u); err != nil {
		panic(err)
	}
	return u.Maxrss << 10
}
