package sane

import (
	"bytes"
	"encoding/binary"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

// Lines as the standard defines them, and what we make of them.
func TestConvert(t *testing.T) {
	native := func(samples ...uint16) string {
		var b []byte
		for _, s := range samples {
			b = binary.NativeEndian.AppendUint16(b, s)
		}
		return string(b)
	}
	tests := []struct {
		name string
		p    parameters
		in   string
		want string
	}{
		{"grey", parameters{Format: frameGray, Depth: 8, Pixels: 3, Bytes: 3}, "abcdef", "abcdef"},
		{"grey with padding", parameters{Format: frameGray, Depth: 8, Pixels: 2, Bytes: 3}, "ab.cd.", "abcd"},
		{"half a line at the end", parameters{Format: frameGray, Depth: 8, Pixels: 3, Bytes: 3}, "abcde", "abc"},
		{"grey of 16 bits", parameters{Format: frameGray, Depth: 16, Pixels: 2, Bytes: 4}, native(0x4101, 0x42ff), "AB"},
		{"line art", parameters{Format: frameGray, Depth: 1, Pixels: 9, Bytes: 2}, "\xaa\x80", "\xaa\x80"},
		{"colour", parameters{Format: frameRGB, Depth: 8, Pixels: 2, Bytes: 6}, "rgbRGB", "rgbRGB"},
		{"colour of 16 bits", parameters{Format: frameRGB, Depth: 16, Pixels: 1, Bytes: 6}, native(0x4100, 0x4200, 0x4300), "ABC"},
		{"colour of one bit", parameters{Format: frameRGB, Depth: 1, Pixels: 2, Bytes: 3}, "\x80\x40\xc0", "\xff\x00\xff\x00\xff\xff"},
		{"plane", parameters{Format: frameRed, Depth: 8, Pixels: 3, Bytes: 3}, "abc", "abc"},
		{"plane of 16 bits", parameters{Format: frameGreen, Depth: 16, Pixels: 1, Bytes: 2}, native(0x4142), "A"},
		{"plane of one bit", parameters{Format: frameBlue, Depth: 1, Pixels: 3, Bytes: 1}, "\x40", "\x00\xff\x00"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.p.Lines = -1
			if err := tt.p.check(); err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(iotest.OneByteReader(newLineReader(tt.p, iotest.HalfReader(strings.NewReader(tt.in)))))
			if err != nil || string(got) != tt.want {
				t.Errorf("%x, %v, want %x", got, err, tt.want)
			}
		})
	}
}

func TestMerge(t *testing.T) {
	got, err := io.ReadAll(iotest.OneByteReader(newMerger(2, [3]io.Reader{
		strings.NewReader("rRrR"), strings.NewReader("gGgG"), strings.NewReader("bBbB"),
	})))
	if want := "rgbRGBrgbRGB"; err != nil || string(got) != want {
		t.Errorf("%q, %v, want %q", got, err, want)
	}
}

// A frame that is cut off is told from an end between two.
func TestFrameCutOff(t *testing.T) {
	whole := framed(`{"status":5}`, []byte("pixels"))
	for n := range whole {
		var a answer
		_, err := readFrame(bytes.NewReader(whole[:n]), &a, make([]byte, maxBody))
		if want := io.ErrUnexpectedEOF; n > 0 && err != want || n == 0 && err != io.EOF {
			t.Errorf("after %d bytes: %v", n, err)
		}
	}
}
