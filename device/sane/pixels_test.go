package sane

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"image"
	"image/color"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"docscan/device"
)

// SANE's own command line scans the same picture from the same backend: our
// pixels must be its pixels.
func TestSamePixelsAsScanimage(t *testing.T) {
	t.Parallel()
	color, gray, art := device.Color, device.Gray, device.LineArt
	tests := []struct {
		name   string
		conf   string // of the test backend
		mode   device.ColorMode
		force  string   // depth that is set besides
		want   []string // options of scanimage
		format string   // of the picture that scanimage makes
	}{
		{"colour 8 bit", "", color, "", []string{"--mode=Color", "--depth=8"}, "P6"},
		{"grey 8 bit", "", gray, "", []string{"--mode=Gray", "--depth=8"}, "P5"},
		{"line art", "", art, "", []string{"--mode=Gray", "--depth=1"}, "P4"},
		{"colour 16 bit", "", color, "16", []string{"--mode=Color", "--depth=16"}, "P6"},
		{"grey 16 bit", "", gray, "16", []string{"--mode=Gray", "--depth=16"}, "P5"},
		{"three passes", "three-pass true\n", color, "", []string{"--mode=Color", "--depth=8"}, "P6"},
		{"three passes, blue first", "three-pass true\nthree-pass-order BGR\n", color, "", []string{"--mode=Color", "--depth=8"}, "P6"},
		{"three passes 16 bit", "three-pass true\nthree-pass-order GBR\n", color, "16", []string{"--mode=Color", "--three-pass=no", "--depth=16"}, "P6"},
		{"hand scanner", "hand-scanner true\n", gray, "", []string{"--mode=Gray", "--depth=8", "--hand-scanner=yes"}, "P5"},
		{"hand scanner in colour", "hand-scanner true\n", color, "", []string{"--mode=Color", "--depth=8", "--hand-scanner=yes"}, "P6"},
		{"padded lines", "ppl-loss 7\n", color, "", []string{"--mode=Color", "--depth=8", "--ppl-loss=0"}, "P6"},
		{"small pieces", "read-limit true\nread-limit-size 313\n", gray, "", []string{"--mode=Gray", "--depth=8"}, "P5"},
		{"with delays", "read-delay true\nread-delay-duration 20000\n", gray, "", []string{"--mode=Gray", "--depth=8"}, "P5"},
		{"parameters that change at the start", "fuzzy-parameters true\n", color, "", []string{"--mode=Color", "--depth=8"}, "P6"},
	}
	for _, tt := range tests {
		for _, picture := range []string{"Color pattern", "Grid"} {
			t.Run(tt.name+", "+picture, func(t *testing.T) {
				t.Parallel()
				conf := "number_of_devices 1\ntest-picture \"" + picture + "\"\n" + tt.conf
				r := newRig(t, conf, nil)
				s := r.scanner(t, 0)
				choices := append([]step{}, steps[:]...)
				if tt.force != "" {
					choices = append(choices, func(o options, _ *device.Settings) []assignment {
						opt := o.find("depth")
						return []assignment{{*opt, value{Word: opt.word(16)}}}
					})
				}
				set := device.Settings{Source: device.Platen, Mode: tt.mode, Resolution: 100, Width: 600, Length: 300}
				run, err := s.startWith(t.Context(), set, choices)
				if err != nil {
					t.Fatal(err)
				}
				side, err := run.Next(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				if n := len(run.kept); strings.HasPrefix(tt.name, "three") && n != 3 {
					t.Errorf("%d frames, want 3", n)
				}
				got := decoded(t, side)
				if err := run.Close(); err != nil {
					t.Error(err)
				}
				want := scanimage(t, r.cfg.ConfigDir, tt.format, append(tt.want, "--test-picture="+picture, "--resolution=100",
					"-x", "51", "-y", "25"))
				if tt.name == "padded lines" { // scanimage takes the padding for pixels
					want = want.(*image.RGBA).SubImage(image.Rect(0, 0, want.Bounds().Dx()-7, want.Bounds().Dy()))
				}
				compare(t, got, want)
			})
		}
	}
}

// scanimage runs SANE's own program on the test backend.
func scanimage(t *testing.T, conf, format string, options []string) image.Image {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), 30*time.Second)
	defer stop()
	cmd := exec.CommandContext(ctx, "scanimage", append([]string{"-d", "test:0", "--format=pnm"}, options...)...)
	cmd.Env = append(os.Environ(), "SANE_CONFIG_DIR="+conf)
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("scanimage: %v\n%s", err, said.String())
	}
	img, err := readPNM(out, format)
	if err != nil {
		t.Fatalf("scanimage's picture: %v", err)
	}
	return img
}

// readPNM reads a picture of a known format: P4, P5 or P6. Of 16 bits it keeps
// the upper 8.
func readPNM(b []byte, format string) (image.Image, error) {
	r := bufio.NewReader(bytes.NewReader(b))
	line := func() (string, error) {
		for {
			s, err := r.ReadString('\n')
			if err != nil || !strings.HasPrefix(s, "#") {
				return strings.TrimSpace(s), err
			}
		}
	}
	kind, err := line()
	if err != nil || kind != format {
		return nil, fmt.Errorf("format %q, %v, want %s", kind, err, format)
	}
	size, err := line()
	if err != nil {
		return nil, err
	}
	var w, h int
	if _, err := fmt.Sscan(size, &w, &h); err != nil {
		return nil, err
	}
	most := 255
	if format != "P4" {
		s, err := line()
		if err != nil {
			return nil, err
		}
		if _, err := fmt.Sscan(s, &most); err != nil {
			return nil, err
		}
	}
	data, err := io.ReadAll(r)
	if err != nil {
		return nil, err
	}
	sample := func(i int) uint8 {
		if most > 255 {
			return uint8(binary.BigEndian.Uint16(data[2*i:]) >> 8)
		}
		return data[i]
	}
	img := image.NewRGBA(image.Rect(0, 0, w, h))
	for y := range h {
		for x := range w {
			var c color.Color
			switch format {
			case "P4":
				c = color.White
				if data[y*((w+7)/8)+x/8]&(0x80>>(x%8)) != 0 {
					c = color.Black
				}
			case "P5":
				c = color.Gray{sample(y*w + x)}
			case "P6":
				i := 3 * (y*w + x)
				c = color.RGBA{sample(i), sample(i + 1), sample(i + 2), 255}
			}
			img.Set(x, y, c)
		}
	}
	return img, nil
}

// compare says where two pictures differ first.
func compare(t *testing.T, got, want image.Image) {
	t.Helper()
	if got.Bounds() != want.Bounds() {
		t.Fatalf("size %v, want %v", got.Bounds(), want.Bounds())
	}
	for y := range want.Bounds().Dy() {
		for x := range want.Bounds().Dx() {
			r1, g1, b1, _ := got.At(x, y).RGBA()
			r2, g2, b2, _ := want.At(x, y).RGBA()
			if r1>>8 != r2>>8 || g1>>8 != g2>>8 || b1>>8 != b2>>8 {
				t.Fatalf("pixel %d,%d is %x %x %x, want %x %x %x", x, y, r1>>8, g1>>8, b1>>8, r2>>8, g2>>8, b2>>8)
			}
		}
	}
}
