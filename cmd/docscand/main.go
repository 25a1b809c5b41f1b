// Docscand owns the scanners of one box, from the press of a button to a
// document that cannot be lost. This package wires the rooms of the house
// together and owns no logic of its own.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"syscall"

	"docscan/device/sane"
	"docscan/device/sim/sample"
	"docscan/scan/intake"
	"docscan/scan/ocr"
)

// version is set by the build from the newest tag.
var version = "unknown"

const usage = `docscand keeps the scanners of this box and everything scanned with them.

Usage:
  docscand [run] [flags]     start
  docscand check [flags]     test everything a start needs, and change nothing
  docscand adopt [flags]     let the version of Debian's package be what starts
  docscand sample DIR        draw a sample stack of pages for the simulated scanner
  docscand version           print the version

Flags of run, check and adopt:
  --config FILE              settings (default: docscan.toml here, or /etc/docscan/docscan.toml)
  --data DIR                 the same as --set store.dir=DIR
  --listen ADDRESS           the same as --set web.listen=ADDRESS
  --set TABLE.KEY=VALUE      override one setting; may be repeated
  --json                     (check) print one JSON object a line
  --known-page               (check) read a page whose words are known
  --database FILE            (check) look at this copy of the database, too
  --if-none                  (adopt) only if no version is installed
  --downgrade                (adopt) also if it is older than the installed one

Every setting can also be given by environment, as DOCSCAN_TABLE_KEY. Flags go
before environment, environment before the file.
Exit status: 0 well ended or all checks passed, 1 a failure, 2 wrong usage.
`

func main() {
	os.Exit(command(os.Args[1:]))
}

// command runs one command and gives the exit status.
func command(args []string) int {
	name := "run"
	if len(args) > 0 && args[0] != "" && args[0][0] != '-' {
		name, args = args[0], args[1:]
	}
	// Workers and helpers lead: they must not touch anything before their cage is
	// shut.
	switch name {
	case "worker":
		return ocr.WorkerMain(args)
	case intake.Command:
		return intake.Main(args)
	case sane.HelperCommand:
		return sane.HelperMain(args)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var err error
	switch name {
	case "run":
		err = run(ctx, args)
	case "check":
		return check(ctx, args, os.Stdout, os.Stderr)
	case "adopt":
		err = adopt(ctx, args)
	case "sample":
		err = drawSample(args)
	case "version":
		fmt.Printf("docscand %s (%s, %s/%s)\n", version, runtime.Version(), runtime.GOOS, runtime.GOARCH)
	case "help":
		fmt.Print(usage)
	default:
		err = usageError(fmt.Sprintf("there is no command %q", name))
	}
	return exitStatus(err)
}

// usageError is what the person who typed the command can mend.
type usageError string

func (e usageError) Error() string { return string(e) }

// exitStatus prints err, if any, and gives the status that stands for it.
func exitStatus(err error) int {
	var wrong usageError
	switch {
	case err == nil:
		return 0
	case errors.Is(err, flag.ErrHelp):
		fmt.Print(usage)
		return 0
	case errors.As(err, &wrong):
		fmt.Fprintf(os.Stderr, "docscand: %v\nTry: docscand help\n", err)
		return 2
	}
	fmt.Fprintf(os.Stderr, "docscand: %v\n", err)
	return 1
}

func drawSample(args []string) error {
	if len(args) != 1 {
		return usageError("sample wants one directory")
	}
	return sample.Write(args[0], 300)
}
