package sane

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"image"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"golang.org/x/image/tiff"

	"docscan/device"
)

// helperExe is the program that helpers run: docscand, if make has built it. libsane's test
// backend has processes or threads of its own make an image, behind the back of the race
// detector, with which they can come to a stop.
func helperExe() string {
	if exe := os.Getenv("TEST_DOCSCAND"); exe != "" {
		return exe
	}
	return os.Args[0]
}

// The test binary is its own helper, and its own daemon that can be killed.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		switch args := os.Args[2:]; os.Args[1] {
		case HelperCommand:
			// Without the second for which the race detector lets a program sleep
			// at its end.
			syscall.Exit(HelperMain(args))
		case "confined":
			os.Exit(confined(args[0], args[1], args[2]))
		case "daemon":
			os.Exit(testDaemon(args[0], args[1]))
		}
	}
	flag.Parse()
	if err := flag.Set("test.parallel", "4"); err != nil { // most of them wait for a helper most of the time
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// settings writes SANE's settings for the backends in a folder, and gives it.
func settings(t testing.TB, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// A rig is a Finder of libsane's own test backend, or of another library.
type rig struct {
	*Finder
	log *bytes.Buffer
}

// newRig makes one. Its folder for the backend has test.conf as given.
func newRig(t testing.TB, testConf string, change func(*Config)) *rig {
	t.Helper()
	return newRigWith(t, libraryFile, settings(t, map[string]string{"dll.conf": "test\n", "test.conf": testConf}), change)
}

func newRigWith(t testing.TB, library, confDir string, change func(*Config)) *rig {
	t.Helper()
	cfg := DefaultConfig()
	cfg.ConfigDir = confDir
	if change != nil {
		change(&cfg)
	}
	log := new(bytes.Buffer)
	f, err := newFinder(cfg, helperExe(), t.TempDir(), library, func(int, int) bool { return false },
		slog.New(slog.NewTextHandler(&syncWriter{w: log}, nil)))
	if err != nil {
		t.Fatal(err)
	}
	f.sys = t.TempDir() // no USB
	t.Cleanup(func() {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Log(log.String())
		}
	})
	return &rig{f, log}
}

// devices finds until the search under way has ended.
func (r *rig) devices(t *testing.T) []device.Found {
	t.Helper()
	if _, err := r.Find(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.work.Wait()
	found, err := r.Find(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// scanner opens device number i.
func (r *rig) scanner(t *testing.T, i int) *Scanner {
	t.Helper()
	found := r.devices(t)
	if len(found) <= i {
		t.Fatalf("%d devices found", len(found))
	}
	s, err := found[i].Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	if b, ok := s.(withButtons); ok {
		return b.Scanner
	}
	return s.(*Scanner)
}

// decoded reads a side to its end and gives its image.
func decoded(t *testing.T, s *device.Side) image.Image {
	t.Helper()
	b, err := io.ReadAll(s.Body)
	if err != nil {
		t.Fatalf("sheet %d: %v", s.Sheet, err)
	}
	img, err := tiff.Decode(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	return img
}

// scanAll runs once and gives the images of all sides and the error at the end.
func scanAll(ctx context.Context, t *testing.T, s device.Scanner, set device.Settings) ([]image.Image, error) {
	t.Helper()
	r, err := s.Start(ctx, set)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}()
	var all []image.Image
	for {
		side, err := r.Next(ctx)
		if err != nil {
			return all, err
		}
		if _, err := side.Body.Read(nil); err != nil && err != io.EOF {
			return all, err
		}
		b, err := io.ReadAll(side.Body)
		if err != nil {
			return all, err
		}
		img, err := tiff.Decode(bytes.NewReader(b))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, img)
	}
}

// until waits for a condition.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !ok(); {
		if time.Now().After(end) {
			t.Fatalf("waited in vain: %s", what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func TestFeederOfTen(t *testing.T) {
	s := newRig(t, "number_of_devices 1\n", nil).scanner(t, 0)
	set := device.Settings{Source: device.Feeder, Mode: device.Gray, Resolution: 50, Width: 300, Length: 300}
	images, err := scanAll(t.Context(), t, s, set)
	if err != io.EOF {
		t.Fatalf("the run ended with %v", err)
	}
	if len(images) != 10 {
		t.Errorf("%d sheets, want 10", len(images))
	}
	for _, img := range images {
		if got, want := img.Bounds().Size(), (image.Point{49, 49}); got != want { // 25 mm at 50 dpi
			t.Errorf("size %v, want %v", got, want)
		}
	}
}
