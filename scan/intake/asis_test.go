package intake

import (
	"bytes"
	"compress/zlib"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"docscan/scan/imaging"
	"docscan/scan/pdf"
	"docscan/scan/text"
)

// scannedJPEG is a page of 150 dpi with rows of dark blocks, a patch of colour and a full stop.
func scannedJPEG(t *testing.T) []byte {
	t.Helper()
	m := image.NewRGBA(image.Rect(0, 0, 1240, 1754))
	for y := range 1754 {
		for x := range 1240 {
			c := color.RGBA{R: 243, G: 240, B: uint8(232 + (x*7+y*3)%11), A: 255}
			switch {
			case x > 150 && x < 1090 && y > 200 && y < 1500 && y%40 < 14 && x%23 < 15:
				c = color.RGBA{R: 35, G: 35, B: 40, A: 255}
			case x > 700 && x < 900 && y > 1550 && y < 1650:
				c = color.RGBA{R: 200, G: 40, B: 30, A: 255}
			case x >= 1150 && x < 1152 && y >= 100 && y < 102:
				c = color.RGBA{R: 35, G: 35, B: 40, A: 255}
			}
			m.SetRGBA(x, y, c)
		}
	}
	var b bytes.Buffer
	if err := jpeg.Encode(&b, m, &jpeg.Options{Quality: 80}); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// A page that is one JPEG and nothing more that can be seen comes as that JPEG, byte for byte;
// what shows more, or shows it otherwise, is drawn.
func TestScanAsItIs(t *testing.T) {
	scan := scannedJPEG(t)
	show := func(page, image, content string) string {
		return write(t, "a.pdf", pdfOf("<</Type/Catalog/Pages 2 0 R>>", "<</Type/Pages/Kids[3 0 R]/Count 1>>",
			"<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Resources<</XObject<</I 4 0 R>>>>/Contents 5 0 R"+page+">>",
			fmt.Sprintf("<</Type/XObject/Subtype/Image/Width 1240/Height 1754/ColorSpace/DeviceRGB/BitsPerComponent 8/Filter/DCTDecode%s/Length %d>>\nstream\n%s\nendstream", image, len(scan), scan),
			fmt.Sprintf("<</Length %d>>\nstream\n%s\nendstream", len(content), content)))
	}
	const whole = "q 595 0 0 842 0 0 cm/I Do Q"
	// In a PDF nobody heeds what a camera has written into the JPEG; a JPEG alone is shown as it says.
	plain := scan
	backwards := slices.Concat(scan[:2], []byte("\xff\xe1\x00\x22Exif\x00\x00II\x2a\x00\x08\x00\x00\x00\x01\x00\x12\x01\x03\x00\x01\x00\x00\x00\x02\x00\x00\x00\x00\x00\x00\x00"), scan[2:])
	scan = backwards
	mirrored := show("", "", whole)
	scan = plain
	words := filepath.Join(t.TempDir(), "words.pdf")
	out, err := os.Create(words)
	if err != nil {
		t.Fatal(err)
	}
	line := text.Line{}
	for i := range 12 {
		line.Words = append(line.Words, text.Word{Text: "another", X: 150 + 70*float64(i), Y: 214, Width: 60, Height: 14, Confidence: 90})
	}
	w := pdf.NewWriter(out, pdf.Meta{})
	must := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	must(w.AddPage(pdf.Page{
		Image: pdf.Image{Width: 1240, Height: 1754, DPI: 150, Colors: 3, Bits: 8, Filter: "DCTDecode", Size: int64(len(scan)), Data: bytes.NewReader(scan)},
		Text:  &text.Page{Version: 1, Width: 1240, Height: 1754, DPI: 150, Lines: []text.Line{line}},
	}))
	must(w.Close())
	must(out.Close())
	tests := []struct {
		name  string
		path  string
		asIs  bool
		words bool
	}{
		{"a scan", show("", "", whole), true, false},
		{"a scan with words that are not seen", words, true, true},
		{"a stamp on it", show("", "", whole+" 0 0 1 rg 300 800 40 4 re f"), false, false},
		{"a full stop on it", show("", "", whole+" 0 g 300.3 800.3 0.6 0.6 re f"), false, false},
		{"a white dot on it", show("", "", whole+" 1 g 380 62 1 1 re f"), false, false}, // on the patch of colour
		{"its full stop covered", show("", "", whole+" 0.95 0.94 0.93 rg 551 792.5 2.5 2 re f"), false, false},
		{"a thin line on it", show("", "", whole+" 0 0 0 RG 0.5 w 100 60 m 300 60 l S"), false, false},
		{"a comment on it", show("/Annots[<</Type/Annot/Subtype/Square/Rect[100 20 160 50]/C[1 0 0]/F 4>>]", "", whole), false, false},
		{"turned", show("/Rotate 180", "", whole), false, false},
		{"inverted", show("", "/Decode[1 0 1 0 1 0]", whole), false, false},
		{"smaller than the page", show("", "", "q 500 0 0 707 40 60 cm/I Do Q"), false, false},
		{"mirrored", show("", "", "q -595 0 0 842 595 0 cm/I Do Q"), false, false},
		{"a JPEG that says it is mirrored", mirrored, false, false},
		{"shown twice", show("", "", whole+" q 100 0 0 100 20 20 cm/I Do Q"), false, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f, err := Open(t.Context(), config(t), tt.path, t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			side, err := f.Page(t.Context(), 1, t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			got, err := os.ReadFile(side.Path)
			if err != nil {
				t.Fatal(err)
			}
			if (bytes.Equal(got, scan) || bytes.Equal(got, backwards)) != tt.asIs {
				t.Errorf("the scan as it is: %v, want %v", !tt.asIs, tt.asIs)
			}
			if side.Type != "image/jpeg" || tt.asIs && side.Resolution != 150 {
				t.Errorf("%s at %d dpi, want image/jpeg, at 150 if it is the scan", side.Type, side.Resolution)
			}
			if (side.Text != nil) != tt.words {
				t.Errorf("text %v, want some: %v", side.Text, tt.words)
			}
		})
	}
}

// Print of one bit a pixel stays as it is, pixel for pixel.
func TestBilevelAsItIs(t *testing.T) {
	const width, height, stride = 1240, 1754, 155
	rows := make([]byte, stride*height)
	for i := range rows {
		rows[i] = 0xff // white
		if y := i / stride; y > 200 && y < 1500 && y%40 < 14 && i%3 > 0 {
			rows[i] = byte(y * i)
		}
	}
	var b bytes.Buffer
	z := zlib.NewWriter(&b)
	if _, err := z.Write(rows); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	const content = "q 595 0 0 842 0 0 cm/I Do Q"
	path := write(t, "a.pdf", pdfOf("<</Type/Catalog/Pages 2 0 R>>", "<</Type/Pages/Kids[3 0 R]/Count 1>>",
		"<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Resources<</XObject<</I 4 0 R>>>>/Contents 5 0 R>>",
		fmt.Sprintf("<</Type/XObject/Subtype/Image/Width %d/Height %d/ColorSpace/DeviceGray/BitsPerComponent 1/Filter/FlateDecode/Length %d>>\nstream\n%s\nendstream", width, height, b.Len(), b.String()),
		fmt.Sprintf("<</Length %d>>\nstream\n%s\nendstream", len(content), content)))
	f, err := Open(t.Context(), config(t), path, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	side, err := f.Page(t.Context(), 1, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(side.Path)
	if err != nil {
		t.Fatal(err)
	}
	h, err := imaging.ReadHeader(data, 1e9)
	if err != nil || h.Bits != 1 || side.Type != "image/png" || side.Resolution != 150 {
		t.Errorf("%s at %d dpi, %+v, %v; want a PNG of one bit at 150", side.Type, side.Resolution, h, err)
	}
	m, err := png.Decode(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	if m.Bounds() != image.Rect(0, 0, width, height) {
		t.Fatalf("%v, want %d x %d", m.Bounds(), width, height)
	}
	for y := range height {
		for x := range width {
			white := rows[y*stride+x/8]&(0x80>>(x%8)) != 0
			if got := color.GrayModel.Convert(m.At(x, y)).(color.Gray).Y; (got == 255) != white || (got == 0) == white {
				t.Fatalf("the pixel at %d,%d is %d, white %v", x, y, got, white)
			}
		}
	}
}
