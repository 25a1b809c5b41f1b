package scantest

import (
	"bytes"
	"context"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"docscan/device"
	"docscan/device/sim/bustest"
)

// Same checks an image against a page, as the mode shows it. No level of a colour
// may be further off than that; of line art, levels so near to the middle count
// as either.
func Same(t testing.TB, what string, got, want image.Image, mode device.ColorMode, off int) {
	t.Helper()
	if got.Bounds().Size() != want.Bounds().Size() {
		t.Errorf("%s is of %v, want %v", what, got.Bounds().Size(), want.Bounds().Size())
		return
	}
	g, w := rgba(got).Pix, rgba(want).Pix
	if mode == device.Color && bytes.Equal(g, w) {
		return
	}
	for i := 0; i < len(w); i += 4 {
		wanted := [3]uint8(w[i:])
		if mode != device.Color {
			v := color.GrayModel.Convert(color.RGBA{w[i], w[i+1], w[i+2], 255}).(color.Gray).Y
			if mode == device.LineArt {
				if apart(v, 128) < off {
					continue // too near to tell
				}
				v = map[bool]uint8{false: 0, true: 255}[v >= 128]
			}
			wanted = [3]uint8{v, v, v}
		}
		if apart(g[i], wanted[0]) > off || apart(g[i+1], wanted[1]) > off || apart(g[i+2], wanted[2]) > off {
			t.Errorf("%s at %d,%d is %v, want %v", what, i/4%want.Bounds().Dx(), i/4/want.Bounds().Dx(), g[i:i+3], wanted)
			return
		}
	}
}

// rgba copies an image.
func rgba(img image.Image) *image.RGBA {
	to := image.NewRGBA(image.Rectangle{Max: img.Bounds().Size()})
	draw.Draw(to, to.Rect, img, img.Bounds().Min, draw.Src)
	return to
}

func apart(a, b uint8) int { return max(int(a)-int(b), int(b)-int(a)) }

// Shown says in which mode an image is by its pixels.
func Shown(img image.Image) device.ColorMode {
	gray, ok := img.(*image.Gray)
	if !ok {
		return device.Color
	}
	for _, v := range gray.Pix {
		if v != 0 && v != 255 {
			return device.Gray
		}
	}
	return device.LineArt
}

// Scanimage runs Debian's scanimage on a bus with what those flags of mockbus plug
// in, and gives what it said. Of SANE's drivers it has the one that is named, with
// the lines of its configuration.
func Scanimage(t *testing.T, flags []string, driver, conf string, args ...string) (string, error) {
	t.Helper()
	dir := t.TempDir()
	for name, content := range map[string]string{"dll.conf": driver + "\n", driver + ".conf": conf} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	cmd := exec.CommandContext(ctx, bustest.Build(t), slices.Concat(flags, []string{"--", "scanimage"}, args)...)
	cmd.Env = append(os.Environ(), "SANE_CONFIG_DIR="+dir)
	out, err := cmd.CombinedOutput()
	if strings.Contains(string(out), "executable file not found") {
		t.Fatal("scanimage is not installed; make test installs sane-utils")
	}
	if strings.Contains(string(out), "the host did wrong") {
		t.Errorf("SANE's driver did what the simulated scanner takes for wrong:\n%s", out)
	}
	return string(out), err
}

// Area asks scanimage for the whole of a test page of that size in pixels.
func Area(size image.Point) []string {
	return []string{fmt.Sprintf("--resolution=%d", DPI), "-x", millimetres(size.X), "-y", millimetres(size.Y)}
}

// Paper tells a driver of SANE's that has to be told how large the paper is.
func Paper(size image.Point) []string {
	return []string{"--page-width=" + millimetres(size.X), "--page-height=" + millimetres(size.Y)}
}

// millimetres is a little more than so many pixels: SANE rounds down.
func millimetres(pixels int) string { return fmt.Sprintf("%.4f", float64(pixels)*25.4/DPI+0.02) }
