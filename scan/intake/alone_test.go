package intake

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"image/color"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"golang.org/x/image/tiff"

	"docscan/device"
)

// imageOf gives the tags by which image n of a TIFF is shown, without places, and its data.
func imageOf(t *testing.T, f *File, n int) (tags map[uint16][]int64, data [][]byte) {
	t.Helper()
	in, err := f.openTIFF()
	if err != nil {
		t.Fatal(err)
	}
	defer in.file.Close()
	list, err := in.directory(n)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range in.pieces(list) {
		b := make([]byte, p.size)
		if _, err := in.file.ReadAt(b, p.at); err != nil {
			t.Fatal(err)
		}
		data = append(data, b)
	}
	tags = make(map[uint16][]int64)
	for _, g := range list {
		if g.tag != tagStripOffsets && g.tag != tagTileOffsets {
			for _, b := range in.values(g) {
				tags[g.tag] = append(tags[g.tag], int64(b))
			}
			if n := in.numbers(g); n != nil {
				tags[g.tag] = n
			}
		}
	}
	return tags, data
}

// What is JPEG within a TIFF stays the same to the byte.
func TestJPEGInTIFFStaysAsItIs(t *testing.T) {
	for _, form := range [][]string{{"-c", "jpeg:90"}, {"-B", "-c", "jpeg:90", "-r", "16"}, {"-8", "-c", "jpeg:90"}, {"-c", "jpeg:r:95", "-t", "-w", "32", "-l", "32"}} {
		path := filepath.Join(t.TempDir(), "all.tif")
		command(t, "tiffcp", append(form, sheets(t, 3), path)...)
		f, err := Open(t.Context(), config(t), path, t.TempDir())
		if err != nil || f.Pages != 3 {
			t.Fatalf("%v: %+v, %v", form, f, err)
		}
		for n := 1; n <= 3; n++ {
			side, err := f.Page(t.Context(), n, t.TempDir())
			if err != nil {
				t.Fatalf("%v, page %d: %v", form, n, err)
			}
			one, err := Open(t.Context(), config(t), side.Path, t.TempDir())
			if err != nil || one.Pages != 1 || one.big {
				t.Fatalf("%v, page %d: %+v, %v", form, n, one, err)
			}
			tags, data := imageOf(t, f, n)
			gotTags, got := imageOf(t, one, 1)
			if len(data) == 0 || !slices.EqualFunc(got, data, bytes.Equal) {
				t.Errorf("%v, page %d: its data are others, %d pieces for %d", form, n, len(got), len(data))
			}
			if len(tags) != len(gotTags) {
				t.Errorf("%v, page %d: %d tags, want %d", form, n, len(gotTags), len(tags))
			}
			for tag, want := range tags {
				if !slices.Equal(gotTags[tag], want) {
					t.Errorf("%v, page %d: tag %d is %v, want %v", form, n, tag, gotTags[tag], want)
				}
			}
			command(t, "tiffinfo", "-D", side.Path)
		}
	}
}

// All else is left to tiffcp, which knows how to mend what old writers have left out, such as the
// sizes of strips.
func TestOtherImagesOfTIFFAreLeftToTiffcp(t *testing.T) {
	for _, form := range [][]string{{"-c", "lzw:2", "-r", "7"}, {"-8", "-c", "zip"}, {"-B", "-c", "none", "-r", "3"}, {"-c", "none", "-r", "50"}} {
		path := filepath.Join(t.TempDir(), "all.tif")
		command(t, "tiffcp", append(form, sheets(t, 2), path)...)
		if form[len(form)-1] == "50" {
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			for _, entry := range []string{"\x17\x01\x03\x00\x01\x00\x00\x00", "\x17\x01\x04\x00\x01\x00\x00\x00"} {
				for at := 0; ; at += 12 {
					i := bytes.Index(data[at:], []byte(entry))
					if i < 0 {
						break
					}
					at += i
					clear(data[at+8 : at+12])
				}
			}
			path = write(t, "sizeless.tif", data)
		}
		f, err := Open(t.Context(), config(t), path, t.TempDir())
		if err != nil || f.Pages != 2 {
			t.Fatalf("%v: %+v, %v", form, f, err)
		}
		for n := 1; n <= 2; n++ {
			if ok, err := f.alone(t.Context(), n, filepath.Join(t.TempDir(), "alone.tif")); ok || err != nil {
				t.Errorf("%v, page %d: %v, %v; want it left to tiffcp", form, n, ok, err)
			}
			side, err := f.Page(t.Context(), n, t.TempDir())
			if err != nil {
				t.Fatalf("%v, page %d: %v", form, n, err)
			}
			file, err := os.Open(side.Path)
			if err != nil {
				t.Fatal(err)
			}
			defer file.Close()
			m, err := tiff.Decode(file)
			if err != nil {
				t.Fatalf("%v, page %d: %v", form, n, err)
			}
			if got := color.GrayModel.Convert(m.At(n-1, 0)); m.Bounds().Dx() != 99+n || got != (color.Gray{Y: 200}) {
				t.Errorf("%v, page %d: %d wide, its dot is %v", form, n, m.Bounds().Dx(), got)
			}
		}
	}
}

// manyValues is a TIFF of which all tags that are kept have very many values, the same for all.
func manyValues(count int) []byte {
	le := binary.LittleEndian
	b := append([]byte("II*\x00\x08\x00\x00\x00"), byte(len(kept)), 0)
	values := uint32(len(b) + 12*len(kept) + 4)
	for _, tag := range kept {
		b = le.AppendUint16(b, tag)
		switch tag {
		case tagCompression:
			b = append(b, 3, 0, 1, 0, 0, 0, compressedJPEG, 0, 0, 0)
		case tagStripOffsets, tagStripBytes:
			b = append(b, 4, 0, 1, 0, 0, 0, 8, 0, 0, 0)
		case tagTileOffsets, tagTileBytes:
			b = append(b, 4, 0, 1, 0, 0, 0, 9, 0, 0, 0)
		default:
			const double = 12
			b = le.AppendUint32(le.AppendUint32(append(b, double, 0), uint32(count)), values)
		}
	}
	return append(b, make([]byte, 4+8*count)...)
}

// Values that are as many as the format allows are not read into the daemon.
func TestValuesOfTIFFAreBounded(t *testing.T) {
	for _, tt := range []struct {
		count int
		ok    bool
	}{{4, true}, {mostValues / 8 / 10, false}, {mostValues/8 + 1, false}, {1 << 20, false}} {
		f := &File{path: write(t, "bomb.tif", manyValues(tt.count))}
		out := filepath.Join(t.TempDir(), "out.tif")
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		ok, err := f.alone(t.Context(), 1, out)
		runtime.ReadMemStats(&after)
		if ok != tt.ok || err != nil {
			t.Errorf("%d values: %v, %v, want %v", tt.count, ok, err, tt.ok)
		}
		if took := after.TotalAlloc - before.TotalAlloc; took > 1<<20 {
			t.Errorf("%d values: took %d bytes of memory", tt.count, took)
		}
		if _, err := os.Stat(out); !tt.ok && !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%d values: a file is there: %v", tt.count, err)
		}
	}
}

// Who cancels an upload does not wait for the copy of an image, and one without room waits for it.
func TestCopyOfImageEnds(t *testing.T) {
	path := filepath.Join(t.TempDir(), "all.tif")
	command(t, "tiffcp", "-c", "jpeg:90", sheets(t, 2), path)
	f, err := Open(t.Context(), config(t), path, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if _, err := f.Page(ctx, 1, t.TempDir()); !errors.Is(err, context.Canceled) {
		t.Errorf("canceled: %v", err)
	}
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer full.Close()
	_, err = io.Copy(full, &untilEnd{t.Context(), strings.NewReader("an image")})
	if err = takingOut(err); device.KindOf(err) != device.DiskFull {
		t.Errorf("a full disk: %v", err)
	}
}

// What is taken out of a TIFF is never more than the file, and can be taken out again.
func FuzzAlone(f *testing.F) {
	f.Add(manyValues(1), false)
	f.Add([]byte("II*\x00\x08\x00\x00\x00\x03\x00\x03\x01\x03\x00\x01\x00\x00\x00\x07\x00\x00\x00\x11\x01\x04\x00\x01\x00\x00\x00\x08\x00\x00\x00\x17\x01\x04\x00\x01\x00\x00\x00\x04\x00\x00\x00\x00\x00\x00\x00"), false)
	f.Add([]byte("MM\x00*\x00\x00\x00\x08\x00\x01"), false)
	f.Add([]byte("II+\x00\x08\x00\x00\x00\x10\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00"), true)
	f.Fuzz(func(t *testing.T, data []byte, big bool) {
		dir := t.TempDir()
		in := &File{path: filepath.Join(dir, "in.tif"), big: big}
		if err := os.WriteFile(in.path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		in.ended()
		out := &File{path: filepath.Join(dir, "out.tif")}
		ok, err := in.alone(t.Context(), 1, out.path)
		if err != nil {
			t.Fatal(err)
		}
		if !ok {
			return
		}
		info, err := os.Stat(out.path)
		if err != nil {
			t.Fatal(err)
		}
		// The data once, and the values, of which places can be twice as long as they were.
		if most := int64(len(data)) + 2*mostValues + 64 + 13*int64(len(kept)); info.Size() > most {
			t.Errorf("%d bytes of %d", info.Size(), len(data))
		}
		_, want := imageOf(t, in, 1)
		if _, got := imageOf(t, out, 1); !slices.EqualFunc(got, want, bytes.Equal) {
			t.Errorf("its data are others: %q, want %q", got, want)
		}
		if !out.ended() {
			t.Error("the new file does not end")
		}
	})
}
