package main

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	mathrand "math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"aead.dev/minisign"

	"docscan/device/sim/sample"
	"docscan/packaging/bundle"
)

// shop is what "rig update" works with. Its machine has a whole Debian on one
// disk, without a cache that a power cut could empty: what the machine was told is
// written stays written, and nothing else does.
type shop struct {
	dir, work     string // what fetch has made; what is made here
	deb           string
	limit         time.Duration // of one life of the machine
	out           io.Writer
	verbose       bool
	container     bool // instead of a machine in QEMU
	hang          bool // the broken version does, instead of ending
	initrd, disk  string
	version       string // of the package
	installations time.Duration
}

func runUpdate(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("rig update", flag.ExitOnError)
	s := &shop{out: out}
	flags.StringVar(&s.dir, "dir", ".tools/rig", "`directory` with vmlinuz, modules, box.tar, init and guest")
	flags.StringVar(&s.deb, "deb", "", "the package `file` to try")
	flags.DurationVar(&s.limit, "limit", 20*time.Minute, "the `time` after which a machine is stopped")
	flags.BoolVar(&s.verbose, "v", false, "show all that the machine says")
	flags.BoolVar(&s.container, "container", false, "let the Debian run in a container of this machine's kernel; needs root")
	flags.BoolVar(&s.hang, "hang", false, "let the broken version hang at its start, and not end when it is asked to")
	cuts := flags.Int("cuts", 2, "`how often` the power is cut during an installation")
	seed := flags.Uint64("seed", uint64(time.Now().UnixNano()), "`number` that the instants of the cuts come from")
	if err := flags.Parse(args); err != nil {
		return err
	}
	var err error
	if s.work, err = os.MkdirTemp("", "docscan-rig"); err != nil {
		return fmt.Errorf("make a folder for the machine: %w", err)
	}
	defer os.RemoveAll(s.work)
	if err := s.prepare(ctx); err != nil {
		return err
	}
	fmt.Fprintf(out, "rig: power cuts with -seed %d\n", *seed)
	if err := s.life(ctx, "install,language,fleet,upgrade,swap,restore,break", -1); err != nil {
		return err
	}
	task := "back,cut"
	chance := mathrand.New(mathrand.NewPCG(*seed, 0))
	for range *cuts {
		at := time.Duration(chance.Int64N(int64(s.installations)))
		if err := s.life(ctx, task, at); err != nil {
			return fmt.Errorf("with a power cut %v after the begin of the installation before: %w", at, err)
		}
		task = "cut"
	}
	return s.life(ctx, strings.TrimSuffix(task, "cut")+"remove", -1)
}

// life lets the machine live once, with that task. If cut is not negative it loses
// its power so long after an installation has begun, or when that has ended.
func (s *shop) life(ctx context.Context, task string, cut time.Duration) error {
	ctx, stop := context.WithTimeoutCause(ctx, s.limit, fmt.Errorf("the machine did not come to an end within %v", s.limit))
	defer stop()
	running, kill := context.WithCancel(ctx)
	defer kill()
	c := &console{out: s.out, all: s.verbose}
	var begun time.Time
	c.hear = func(line string) {
		switch {
		case strings.Contains(line, "  installing "):
			begun = time.Now()
			if cut >= 0 {
				time.AfterFunc(cut, kill)
			}
		case strings.Contains(line, "  installed ") && cut >= 0:
			kill()
		case strings.Contains(line, "  installed "):
			s.installations = time.Since(begun)
		}
	}
	var err error
	if s.container {
		err = runContainer(running, s.disk, filepath.Join(s.work, "mounted"), "rigtask="+task, c)
	} else {
		err = runMachine(running, filepath.Join(s.dir, "vmlinuz"), s.initrd, "file="+s.disk+",cache=writethrough", "rigroot=1 rigtask="+task, c)
	}
	switch {
	case ctx.Err() != nil:
		err = context.Cause(ctx)
	case cut >= 0 && running.Err() != nil && !begun.IsZero():
		fmt.Fprintf(s.out, "rig: power cut %.1f s after the begin of the installation\n", time.Since(begun).Seconds())
		return nil
	case err == nil:
		err = c.verdict()
	}
	if err != nil && !s.verbose {
		s.out.Write(c.said.Bytes())
	}
	return err
}

// prepare makes initramfs and disk.
func (s *shop) prepare(ctx context.Context) error {
	s.initrd, s.disk = filepath.Join(s.work, "initrd"), filepath.Join(s.work, "disk")
	if err := buildLoader(s.initrd, s.dir); err != nil {
		return err
	}
	root := filepath.Join(s.work, "root")
	if err := os.Mkdir(root, 0o755); err != nil {
		return err
	}
	if err := command(ctx, "tar", "-C", root, "-xf", filepath.Join(s.dir, "box.tar")); err != nil {
		return err
	}
	if err := s.fillKit(ctx, root); err != nil {
		return fmt.Errorf("what the machine is given: %w", err)
	}
	f, err := os.Create(s.disk)
	if err != nil {
		return err
	}
	if err := errors.Join(f.Truncate(2<<30), f.Close()); err != nil {
		return err
	}
	return errors.Join(command(ctx, "/usr/sbin/mkfs.ext4", "-q", "-d", root, s.disk), os.RemoveAll(root))
}

func command(ctx context.Context, name string, args ...string) error {
	out, err := exec.CommandContext(ctx, name, args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w: %s", name, err, out)
	}
	return nil
}

// buildLoader makes an initramfs that knows how to read the disk.
func buildLoader(path, dir string) error {
	m, err := findModules(filepath.Join(dir, "modules"))
	if err != nil {
		return err
	}
	list, err := m.resolve([]string{"virtio_pci", "virtio_blk", "crc32c_generic", "ext4"})
	if err != nil {
		return err
	}
	program, err := os.ReadFile(filepath.Join(dir, "init"))
	if err != nil {
		return err
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	a := newArchive(f)
	for _, name := range []string{"dev", "rig"} {
		a.addOurs(name, isDir|0o755, nil)
	}
	var order strings.Builder
	for _, m := range list {
		a.addOurs("rig/"+m.name+".ko", isFile|0o644, m.data)
		fmt.Fprintf(&order, "%s.ko\n", m.name)
	}
	a.addOurs("rig/modules", isFile|0o644, []byte(order.String()))
	a.addOurs("init", isFile|0o755, program)
	return errors.Join(a.close(), f.Close())
}

// rigService runs the task and ends the machine.
const rigService = `[Unit]
Description=Hands on the box
After=multi-user.target
SuccessAction=poweroff-immediate
FailureAction=poweroff-immediate

[Service]
Type=oneshot
ExecStart=/rig/guest update
Environment=PATH=/usr/sbin:/usr/bin
StandardOutput=journal+console
StandardError=journal+console
TimeoutStartSec=infinity
`

// fillKit puts package, updates and the program that uses them into the machine.
func (s *shop) fillKit(ctx context.Context, root string) error {
	kit, keys := filepath.Join(root, "rig"), filepath.Join(root, "etc/docscan/update-keys")
	wants := filepath.Join(root, "etc/systemd/system/multi-user.target.wants")
	for _, dir := range []string{kit, keys, wants} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	public, private, err := minisign.GenerateKey(rand.Reader)
	if err != nil {
		return err
	}
	key, err := public.MarshalText()
	if err != nil {
		return err
	}
	service := filepath.Join(root, "etc/systemd/system/rig.service")
	guest, err := os.ReadFile(filepath.Join(s.dir, "guest"))
	if err != nil {
		return err
	}
	deb, err := os.ReadFile(s.deb)
	if err != nil {
		return err
	}
	if s.hang { // as shipped it is six minutes until the third time
		dir := filepath.Join(root, "etc/systemd/system/docscand.service.d")
		err := os.MkdirAll(dir, 0o755)
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, "rig.conf"), []byte("[Service]\nTimeoutStartSec=40\n"), 0o644)
		}
		if err != nil {
			return err
		}
	}
	return errors.Join(
		os.WriteFile(filepath.Join(keys, "rig.pub"), key, 0o644),
		os.WriteFile(service, []byte(rigService), 0o644),
		os.Symlink("../rig.service", filepath.Join(wants, "rig.service")),
		os.WriteFile(filepath.Join(kit, "guest"), guest, 0o755),
		os.WriteFile(filepath.Join(kit, "docscan.deb"), deb, 0o644),
		os.WriteFile(filepath.Join(root, "etc/fstab"), nil, 0o644),
		s.page(filepath.Join(kit, "page.jpg")),
		s.repository(ctx, filepath.Join(kit, "repository")),
		s.updates(ctx, kit, private),
	)
}

// repository makes a source of packages with one in it: the data of a language. Nobody
// reads with them.
func (s *shop) repository(ctx context.Context, dir string) error {
	tree := filepath.Join(s.work, "language")
	control := "Package: tesseract-ocr-fry\nVersion: 1:99\nArchitecture: all\nMaintainer: docscan <developers@docscan.invalid>\nDescription: a language for the rig\n"
	for name, text := range map[string]string{"DEBIAN/control": control, "usr/share/tesseract-ocr/5/tessdata/fry.traineddata": "none"} {
		name = filepath.Join(tree, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	const file = "fry.deb"
	if err := command(ctx, "dpkg-deb", "--root-owner-group", "--build", tree, filepath.Join(dir, file)); err != nil {
		return err
	}
	deb, err := os.ReadFile(filepath.Join(dir, file))
	if err != nil {
		return err
	}
	list := fmt.Sprintf("%sFilename: ./%s\nSize: %d\nSHA256: %x\n", control, file, len(deb), sha256.Sum256(deb))
	return os.WriteFile(filepath.Join(dir, "Packages"), []byte(list), 0o644)
}

// page draws what the machine files.
func (s *shop) page(name string) error {
	dir := filepath.Join(s.work, "sample")
	if err := sample.Write(dir, 150); err != nil {
		return err
	}
	all, err := filepath.Glob(filepath.Join(dir, "*.jpg"))
	if err != nil || len(all) == 0 {
		return fmt.Errorf("no sample page: %w", err)
	}
	return os.Rename(all[0], name)
}

// cannotStart is a version that a running docscan can hand over to, and that
// systemd cannot start.
const cannotStart = `#!/bin/sh
case ${1:-run} in
run) [ -n "${DOCSCAN_SWAP_FD:-}" ] || exit 3 ;;
esac
exec "$0.real" "$@"
`

// hangsAtStart is one that systemd cannot start, and hardly end.
const hangsAtStart = `#!/bin/sh
case ${1:-run} in
run) [ -n "${DOCSCAN_SWAP_FD:-}" ] || { trap '' TERM; while :; do sleep 1; done; } ;;
esac
exec "$0.real" "$@"
`

// updates makes two good updates and one broken one of the version in the package.
// They differ from it in nothing but the number, which each program knows.
func (s *shop) updates(ctx context.Context, kit string, key minisign.PrivateKey) error {
	tree := filepath.Join(s.work, "tree")
	if err := unpackRelease(ctx, s.deb, tree); err != nil {
		return err
	}
	text, err := os.ReadFile(filepath.Join(tree, bundle.ManifestName))
	if err != nil {
		return err
	}
	m, err := bundle.ParseManifest(text)
	if err != nil {
		return err
	}
	s.version = m.Version
	program := filepath.Join(tree, "bin/docscand")
	original, err := os.ReadFile(program)
	if err != nil {
		return err
	}
	if err := os.Remove(filepath.Join(tree, bundle.ManifestName)); err != nil {
		return err
	}
	for _, u := range []struct{ name, first string }{{"good-", "7"}, {"good-", "8"}, {"broken", "9"}} {
		m.Version = u.first + s.version[1:]
		changed := bytes.ReplaceAll(original, []byte(s.version), []byte(m.Version))
		if bytes.Equal(changed, original) {
			return fmt.Errorf("%s does not know its version %s", program, s.version)
		}
		name := filepath.Join(kit, u.name+m.Version+".bundle")
		if u.name == "broken" {
			name = filepath.Join(kit, "broken.bundle")
			if err := os.WriteFile(program+".real", changed, 0o755); err != nil {
				return err
			}
			changed = []byte(cannotStart)
			if s.hang {
				changed = []byte(hangsAtStart)
			}
		}
		if err := os.WriteFile(program, changed, 0o755); err != nil {
			return err
		}
		manifest, err := makeBundle(ctx, name, tree, m, key)
		if err != nil {
			return err
		}
		if u.first == "7" {
			if err := s.upgrade(ctx, filepath.Join(kit, "upgrade.deb"), m.Version, changed, manifest); err != nil {
				return err
			}
		}
	}
	return nil
}

// makeBundle makes a signed update and gives its manifest.
func makeBundle(ctx context.Context, name, tree string, m bundle.Manifest, key minisign.PrivateKey) ([]byte, error) {
	var unsigned, signed bytes.Buffer
	if err := bundle.Create(ctx, &unsigned, m, tree); err != nil {
		return nil, err
	}
	if err := bundle.Sign(&signed, bytes.NewReader(unsigned.Bytes()), int64(unsigned.Len()), key); err != nil {
		return nil, err
	}
	t := tar.NewReader(&unsigned)
	h, err := t.Next() // it comes first while there is no signature
	if err != nil || h.Name != bundle.ManifestName {
		return nil, fmt.Errorf("%s does not begin with its manifest: %w", name, err)
	}
	manifest, err := io.ReadAll(t)
	return manifest, errors.Join(err, os.WriteFile(name, signed.Bytes(), 0o644))
}

// upgrade makes the package of a later version.
func (s *shop) upgrade(ctx context.Context, name, version string, program, manifest []byte) error {
	root := filepath.Join(s.work, "upgrade")
	if err := command(ctx, "dpkg-deb", "-R", s.deb, root); err != nil {
		return err
	}
	defer os.RemoveAll(root)
	control, release := filepath.Join(root, "DEBIAN/control"), filepath.Join(root, "usr/lib/docscan/release")
	text, err := os.ReadFile(control)
	if err != nil {
		return err
	}
	debian := func(v string) []byte { return []byte("\nVersion: " + strings.Replace(v, "-", "~", 1) + "\n") }
	changed := bytes.Replace(text, debian(s.version), debian(version), 1)
	if bytes.Equal(changed, text) {
		return fmt.Errorf("the package does not have version %s", s.version)
	}
	return errors.Join(
		os.WriteFile(control, changed, 0o644),
		os.WriteFile(filepath.Join(release, "bin/docscand"), program, 0o755),
		os.WriteFile(filepath.Join(release, bundle.ManifestName), manifest, 0o644),
		command(ctx, "dpkg-deb", "--root-owner-group", "-Zgzip", "-z1", "--build", root, name),
	)
}

// unpackRelease unpacks the version in a package.
func unpackRelease(ctx context.Context, deb, to string) error {
	const inside = "./usr/lib/docscan/release/"
	text, err := exec.CommandContext(ctx, "dpkg-deb", "--fsys-tarfile", deb).Output()
	if err != nil {
		return fmt.Errorf("unpack %s: %w", deb, err)
	}
	t := tar.NewReader(bytes.NewReader(text))
	for {
		h, err := t.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("unpack %s: %w", deb, err)
		}
		name, ok := strings.CutPrefix(h.Name, inside)
		if !ok || h.Typeflag != tar.TypeReg {
			continue
		}
		name = filepath.Join(to, name)
		content, err := io.ReadAll(t)
		if err == nil {
			err = os.MkdirAll(filepath.Dir(name), 0o755)
		}
		if err == nil {
			err = os.WriteFile(name, content, fs.FileMode(h.Mode&0o755))
		}
		if err != nil {
			return fmt.Errorf("unpack %s: %w", deb, err)
		}
	}
}
