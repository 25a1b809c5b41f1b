package raster

import (
	"bytes"
	"image"
	"image/jpeg"
	"slices"
	"testing"
)

func TestShortenJPEG(t *testing.T) {
	var b bytes.Buffer
	if err := jpeg.Encode(&b, image.NewGray(image.Rect(0, 0, 8, 16)), nil); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ lines, want int }{{16, 16}, {9, 9}, {17, 16}} {
		file := slices.Clone(b.Bytes())
		if err := ShortenJPEG(file, tt.lines); err != nil {
			t.Fatal(err)
		}
		if c, err := jpeg.DecodeConfig(bytes.NewReader(file)); err != nil || c.Height != tt.want {
			t.Errorf("%d lines: %v, %v, want %d", tt.lines, c, err, tt.want)
		}
	}
	for _, bad := range []string{"", "\xff\xd8", "\xff\xd8\xff\xd9\x00\x00", "\xff\xd8\xff\xc0\x00\x02", "\xff\xd8\x00\x00\x00\x00", "\xff\xd8\xff\xe0\xff\xff"} {
		if err := ShortenJPEG([]byte(bad), 9); err == nil {
			t.Errorf("ShortenJPEG(%q) found a height", bad)
		}
	}
}

// Any bytes may come for a JPEG file.
func FuzzShortenJPEG(f *testing.F) {
	var b bytes.Buffer
	if err := jpeg.Encode(&b, image.NewGray(image.Rect(0, 0, 8, 16)), nil); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes(), 9)
	f.Add([]byte("\xff\xd8\xff\xff\xff\xc2\x00\x08"), 1)
	f.Fuzz(func(t *testing.T, b []byte, lines int) {
		was := slices.Clone(b)
		err := ShortenJPEG(b, lines&0xffff)
		changed := 0
		for i := range b {
			if b[i] != was[i] {
				changed++
			}
		}
		if changed > 2 || err != nil && changed > 0 {
			t.Errorf("ShortenJPEG(%x) changed it to %x, %v", was, b, err)
		}
	})
}

func TestJPEGLinesAtEnd(t *testing.T) {
	for tail, want := range map[string]int{
		"": 0, "\xff\xd9": 0, "\xff\xdc\x00\x04\x01": 0,
		"ab\xff\xdc\x00\x04\x01\x02\xff\xd9": 258, "\xff\xdc\x00\x04\x00\x09\xff\xd9\x00\x00": 9,
	} {
		if got := JPEGLinesAtEnd([]byte(tail)); got != want {
			t.Errorf("%q: %d lines, want %d", tail, got, want)
		}
	}
}
