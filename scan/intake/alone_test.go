package intake

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"testing"
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

// What is JPEG within a TIFF stays the same to the byte, and so does all else.
func TestImageOfTIFFStaysAsItIs(t *testing.T) {
	for _, form := range [][]string{
		{"-c", "jpeg:90"}, {"-c", "jpeg:r:95", "-t", "-w", "32", "-l", "32"}, {"-c", "lzw:2", "-r", "7"}, {"-8", "-c", "zip"}, {"-B", "-c", "none", "-r", "3"},
	} {
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

// What is taken out of a TIFF is never more than the file, and can be taken out again.
func FuzzAlone(f *testing.F) {
	f.Add([]byte("II*\x00\x08\x00\x00\x00\x03\x00\x00\x01\x03\x00\x01\x00\x00\x00\x01\x00\x00\x00\x11\x01\x04\x00\x01\x00\x00\x00\x08\x00\x00\x00\x17\x01\x04\x00\x01\x00\x00\x00\x04\x00\x00\x00\x00\x00\x00\x00"), false)
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
		ok, err := in.alone(1, out.path)
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
		// The data once, and for each tag at most its values, which stand in the file.
		if most := int64(len(data))*int64(len(kept)+3) + 64; info.Size() > most {
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
