// Mockbus runs a command in a world where a simulated scanner hangs on the
// first USB bus:
//
//	mockbus [flags] -- command [argument...]
//
// The world is umockdev's: a library loaded before the command's own ones
// answers for /sys, /dev/bus/usb and the usbfs ioctls. So libusb, and all that
// stands on it, is the real one. The device is that of package usbface.
//
// The command is a child of this process. SIGUSR1 to this process unplugs the
// device, SIGUSR2 plugs it in again under the next address. The exit code is
// the command's. This program serves tests only; it is never installed.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"

	"docscan/device/sim/fujitsu"
	"docscan/device/sim/usbface"
)

// preload is umockdev's library, by the name that Debian 12 and 13 share.
const preload = "libumockdev-preload.so.0"

func main() {
	if err := enterPreload(); err != nil {
		fmt.Fprintln(os.Stderr, "mockbus:", err)
		os.Exit(125)
	}
	code, err := run(os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "mockbus:", err)
		code = 125
	}
	os.Exit(code)
}

// enterPreload starts this process again with umockdev's library loaded, which
// must come before libc. libumockdev needs it in its own process to announce
// what happens on the bus.
func enterPreload() error {
	if strings.Contains(os.Getenv("LD_PRELOAD"), preload) {
		return nil
	}
	exe, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program: %w", err)
	}
	env := append(os.Environ(), "LD_PRELOAD="+preload)
	if err := syscall.Exec(exe, os.Args, env); err != nil {
		return fmt.Errorf("start again with %s: %w", preload, err)
	}
	return nil
}

func run(args []string) (int, error) {
	layout := usbface.DefaultLayout()
	var faults usbface.Faults
	flags := flag.NewFlagSet("mockbus", flag.ContinueOnError)
	flags.IntVar(&layout.Pairs, "interfaces", layout.Pairs, "IPP-over-USB interfaces, 1 to 4")
	flags.BoolVar(&layout.Gap, "gap", false, "leave out interface number 1")
	flags.BoolVar(&layout.HP, "hp", false, "class 255/9/1 instead of 7/1/4, of vendor 03f0")
	flags.StringVar(&layout.Serial, "serial", layout.Serial, "serial number, may be empty")
	flags.IntVar(&faults.ZeroReads, "zero-reads", 0, "empty reads before each one with data")
	flags.IntVar(&faults.Strings, "refuse-strings", 0, "requests for strings to refuse at first")
	flags.Int64Var(&faults.StallAfter, "stall-after", 0, "halt the IN endpoint once after so many `bytes`")
	flags.Int64Var(&faults.UnplugAfter, "unplug-after", 0, "vanish after so many `bytes` read")
	epson := flags.String("esci", "", "a simulated ESC/I-2 scanner whose knobs are this `JSON`, as of esci.Config")
	vendor := flags.Bool("echo", false, "a vendor-class device that gives every transfer back, instead of IPP over USB")
	fi := flags.String("fujitsu", "", "a simulated fi or ScanSnap scanner whose knobs are this `JSON`, as of fujitsu.Config")
	twin := flags.Bool("twin", false, "a second device of the same kind, with another serial number, on the second port")
	forward := flags.String("forward", "", "answer with what the web server at this `URL` says; otherwise with a server for tests")
	if err := flags.Parse(args); err != nil {
		return 0, err
	}
	if layout.HP {
		layout.Vendor = 0x03f0
	}
	if flags.NArg() == 0 {
		return 0, errors.New("no command given: mockbus [flags] -- command [argument...]")
	}
	newDevice := func(n int) (*usbface.Device, error) {
		l := layout
		if n > 1 {
			l.Serial += fmt.Sprint(n)
		}
		return ippDevice(l, faults, *forward)
	}
	if *vendor {
		newDevice = func(int) (*usbface.Device, error) {
			l := usbface.VendorLayout(layout.Vendor, layout.Product, layout.Manufacturer, "Echo", layout.Serial)
			return usbface.NewVendor(l, faults, newEcho())
		}
	}
	if *fi != "" {
		newDevice = func(n int) (*usbface.Device, error) { return fujitsuDevice(*fi, n, faults) }
	}
	if *epson != "" {
		newDevice = func(n int) (*usbface.Device, error) { return esciDevice(*epson, n, faults) }
	}
	b, err := newBus()
	if err != nil {
		return 0, err
	}
	defer b.close()
	plug := func() error {
		d, err := newDevice(1)
		if err != nil {
			return err
		}
		return b.plug(d)
	}
	if err := plug(); err != nil {
		return 0, err
	}
	if *twin {
		second := b.second()
		defer second.unplug() // before b, whose testbed it is
		d, err := newDevice(2)
		if err != nil {
			return 0, err
		}
		if err := second.plug(d); err != nil {
			return 0, err
		}
	}
	return b.runChild(flags.Args(), plug)
}

// ippDevice makes a device that answers over IPP over USB with what the web
// server at that URL says, or with one for tests if there is none.
func ippDevice(l usbface.Layout, f usbface.Faults, server string) (*usbface.Device, error) {
	log := stderr()
	if server == "" {
		return usbface.New(l, f, plain(), log)
	}
	to, err := url.Parse(server)
	if err != nil {
		return nil, fmt.Errorf("-forward: %w", err)
	}
	return usbface.New(l, f, &httputil.ReverseProxy{
		Rewrite:       func(r *httputil.ProxyRequest) { r.SetURL(to); r.Out.Host = r.In.Host },
		FlushInterval: -1, // at once
	}, log)
}

// stderr tells people what goes wrong, and programs what was measured.
func stderr() *slog.Logger {
	return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelInfo}))
}

// fujitsuDevice makes a simulated fi or ScanSnap scanner, the n-th of its kind.
func fujitsuDevice(knobs string, n int, f usbface.Faults) (*usbface.Device, error) {
	cfg, err := fujitsu.ParseConfig(knobs)
	if err != nil {
		return nil, err
	}
	cfg.Log = stderr()
	if n > 1 {
		cfg.Serial += uint32(n)
	}
	s, err := fujitsu.New(cfg)
	if err != nil {
		return nil, err
	}
	return usbface.NewVendor(s.Layout(), f, s)
}

// runChild runs the command and obeys signals until it ends.
func (b *bus) runChild(args []string, plug func() error) (int, error) {
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGTERM, syscall.SIGINT)
	defer signal.Stop(signals)

	child := exec.CommandContext(context.Background(), args[0], args[1:]...)
	child.Stdin, child.Stdout, child.Stderr = os.Stdin, os.Stdout, os.Stderr
	child.Env = append(os.Environ(), "UMOCKDEV_DIR="+b.root)
	child.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := child.Start(); err != nil {
		return 0, fmt.Errorf("start the command: %w", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- child.Wait() }()
	for {
		select {
		case s := <-signals:
			switch s {
			case syscall.SIGUSR1:
				b.unplug()
			case syscall.SIGUSR2:
				b.unplug()
				if err := plug(); err != nil {
					return 0, err
				}
			default:
				child.Process.Signal(s) // an error means that it has just ended
			}
		case <-b.gone():
			b.unplug()
		case err := <-ended:
			var exit *exec.ExitError
			if errors.As(err, &exit) && exit.Exited() {
				return exit.ExitCode(), nil
			}
			if err != nil {
				return 0, fmt.Errorf("run the command: %w", err)
			}
			return 0, nil
		}
	}
}
