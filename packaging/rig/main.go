// Rig starts a machine in QEMU with Debian's own kernel and systemd, in which
// docscand runs as on a box, and has a program in there press its buttons and
// pull its plugs:
//
//	rig [flags]
//	rig update [flags]
//
// The second one installs Debian's package in the machine, changes versions, breaks
// them and cuts the power: see update.go.
//
// The machine's USB controller, USB device nodes, GPIO chip, disk and process
// rights are those of the kernel; only what hangs on them is simulated. It has
// no network. Rig shows what the program in the machine says and ends with its
// verdict; when that is bad, it shows all that the machine said. What the
// machine is made of, packaging/rig/fetch and the Makefile put into -dir.
package main

import (
	"bytes"
	"context"
	"embed"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// files go over those of the minimal Debian.
//
//go:embed files
var files embed.FS

// Lines with which the program in the machine speaks to rig.
const (
	sayPrefix = "rig: "
	sayPass   = "rig: PASS"
	sayFail   = "rig: FAIL"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	do, args := run, os.Args[1:]
	if len(args) > 0 && args[0] == "update" {
		do, args = runUpdate, args[1:]
	}
	if err := do(ctx, args, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "rig:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("rig", flag.ExitOnError)
	dir := flags.String("dir", ".tools/rig", "`directory` with vmlinuz, modules, root.tar, init and guest")
	docscand := flags.String("docscand", "bin/docscand", "the `program` to try")
	limit := flags.Duration("limit", 6*time.Minute, "the `time` after which the machine is stopped")
	verbose := flags.Bool("v", false, "show all that the machine says")
	if err := flags.Parse(args); err != nil {
		return err
	}
	work, err := os.MkdirTemp("", "docscan-rig")
	if err != nil {
		return fmt.Errorf("make a folder for the machine: %w", err)
	}
	defer os.RemoveAll(work)
	initrd, disk := filepath.Join(work, "initrd"), filepath.Join(work, "disk")
	if err := buildInitrd(initrd, *dir, *docscand); err != nil {
		return err
	}
	if err := buildDisk(ctx, disk); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, *limit, fmt.Errorf("the machine did not come to an end within %v", *limit))
	defer cancel()
	c := &console{out: out, all: *verbose}
	err = boot(ctx, filepath.Join(*dir, "vmlinuz"), initrd, disk, c)
	if err == nil {
		err = c.verdict()
	}
	if err != nil && !*verbose {
		out.Write(c.said.Bytes())
	}
	return err
}

// buildInitrd makes the machine's file system: Debian's, ours over it, and the
// kernel's modules.
func buildInitrd(path, dir, docscand string) error {
	m, err := findModules(filepath.Join(dir, "modules"))
	if err != nil {
		return err
	}
	list, err := m.resolve(wanted)
	if err != nil {
		return err
	}
	f, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("make the machine's file system: %w", err)
	}
	defer f.Close()
	root, err := os.Open(filepath.Join(dir, "root.tar"))
	if err != nil {
		return fmt.Errorf("make the machine's file system: %w", err)
	}
	defer root.Close()
	a := newArchive(f)
	if err := errors.Join(a.addTar(root), a.addFiles(files, "files")); err != nil {
		return fmt.Errorf("make the machine's file system: %w", err)
	}
	a.addOurs("var/lib/docscan", isDir|0o755, nil)
	a.addOurs("rig", isDir|0o755, nil)
	var order strings.Builder
	for _, m := range list {
		a.addOurs("rig/"+m.name+".ko", isFile|0o644, m.data)
		fmt.Fprintf(&order, "%s.ko\n", m.name)
	}
	a.addOurs("rig/modules", isFile|0o644, []byte(order.String()))
	for _, p := range []struct{ name, from string }{
		{"init", filepath.Join(dir, "init")},
		{"rig/guest", filepath.Join(dir, "guest")},
		{"usr/bin/docscand", docscand},
	} {
		data, err := os.ReadFile(p.from)
		if err != nil {
			return fmt.Errorf("make the machine's file system: %w", err)
		}
		a.addOurs(p.name, isFile|0o755, data)
	}
	if err := errors.Join(a.close(), f.Close()); err != nil {
		return fmt.Errorf("make the machine's file system: %w", err)
	}
	return nil
}

// diskSize is room for some batches and the least that docscan wants free.
const diskSize = 1 << 30

// buildDisk makes an empty disk, of which only what is written takes room.
func buildDisk(ctx context.Context, path string) error {
	f, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("make the disk: %w", err)
	}
	defer f.Close()
	if err := f.Truncate(diskSize); err != nil {
		return fmt.Errorf("make the disk: %w", err)
	}
	out, err := exec.CommandContext(ctx, "/usr/sbin/mkfs.ext4", "-q", path).CombinedOutput()
	if err != nil {
		return fmt.Errorf("make the disk: %w: %s", err, out)
	}
	return nil
}

// boot runs the machine until it switches itself off or ctx ends.
func boot(ctx context.Context, kernel, initrd, disk string, c *console) error {
	return runMachine(ctx, kernel, initrd, "file="+disk+",cache=unsafe", "systemd.unit=rig.target", c)
}

// runMachine runs a machine with this disk, and with more on the kernel's command
// line.
func runMachine(ctx context.Context, kernel, initrd, disk, more string, c *console) error {
	cmd := exec.CommandContext(ctx, "qemu-system-x86_64",
		"-machine", "q35", "-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2", "-m", "1536",
		"-nodefaults", "-display", "none", "-no-reboot", "-net", "none", "-serial", "stdio",
		"-drive", disk+",if=virtio,format=raw",
		"-kernel", kernel, "-initrd", initrd,
		"-append", "console=ttyS0 quiet panic=-1 rdinit=/init systemd.show_status=0 systemd.condition-needs-update=0 "+more)
	cmd.Stdout, cmd.Stderr = c, c
	err := cmd.Run()
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case err != nil:
		return fmt.Errorf("run the machine: %w", err)
	}
	return nil
}

// console takes what the machine says.
type console struct {
	out  io.Writer
	all  bool // show everything at once
	said bytes.Buffer
	line []byte            // the beginning of a line whose end has not come
	hear func(line string) // told each line that was for rig, if not nil
	last string            // the last line that was for rig
}

// Write passes on the lines that are for people.
func (c *console) Write(b []byte) (int, error) {
	c.said.Write(b)
	if c.all {
		c.out.Write(b)
	}
	c.line = append(c.line, b...)
	for {
		line, rest, ok := bytes.Cut(c.line, []byte("\n"))
		if !ok {
			return len(b), nil
		}
		if i := bytes.Index(line, []byte(sayPrefix)); i >= 0 {
			c.last = strings.TrimRight(string(line[i:]), "\r")
			if c.hear != nil {
				c.hear(c.last)
			}
			if !c.all {
				fmt.Fprintln(c.out, c.last)
			}
		}
		c.line = bytes.Clone(rest)
	}
}

// verdict is what the program in the machine said last.
func (c *console) verdict() error {
	switch {
	case strings.HasPrefix(c.last, sayPass):
		return nil
	case strings.HasPrefix(c.last, sayFail):
		return errors.New(strings.TrimPrefix(c.last, sayPrefix))
	}
	return errors.New("the machine stopped without a verdict")
}
