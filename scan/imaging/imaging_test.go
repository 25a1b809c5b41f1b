package imaging

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"golang.org/x/image/ccitt"
)

const limit = 1_000_000

// Every file in testdata is the same card of 120 x 80 pixels: a black rectangle
// and, in the coloured ones, a red one beside it, on white or on nothing.
var cards = []struct {
	file    string
	header  Header // without resolution
	colored bool
	filter  string // in a PDF
}{
	{"gray.jpg", Header{Format: JPEG, Samples: 1, Bits: 8, Plain: true}, false, "DCTDecode"},
	{"color.jpg", Header{Format: JPEG, Samples: 3, Bits: 8, Plain: true}, true, "DCTDecode"},
	{"progressive.jpg", Header{Format: JPEG, Samples: 3, Bits: 8, Plain: true}, true, "DCTDecode"},
	{"cmyk.jpg", Header{Format: JPEG, Samples: 4, Bits: 8}, true, "DCTDecode"},
	{"bilevel.png", Header{Format: PNG, Samples: 1, Bits: 1}, false, "CCITTFaxDecode"},
	{"gray4.png", Header{Format: PNG, Samples: 1, Bits: 4}, false, "FlateDecode"},
	{"gray.png", Header{Format: PNG, Samples: 1, Bits: 8, Plain: true, Lines: true}, false, "FlateDecode"},
	{"gray16.png", Header{Format: PNG, Samples: 1, Bits: 16}, false, "FlateDecode"},
	{"grayalpha.png", Header{Format: PNG, Samples: 2, Bits: 8}, false, "FlateDecode"},
	{"color.png", Header{Format: PNG, Samples: 3, Bits: 8, Plain: true, Lines: true}, true, "FlateDecode"},
	{"color16.png", Header{Format: PNG, Samples: 3, Bits: 16}, true, "FlateDecode"},
	{"palette.png", Header{Format: PNG, Samples: 1, Bits: 2}, true, "FlateDecode"},
	{"transparent.png", Header{Format: PNG, Samples: 1, Bits: 2}, true, "FlateDecode"},
	{"alpha.png", Header{Format: PNG, Samples: 4, Bits: 8}, true, "FlateDecode"},
	{"interlaced.png", Header{Format: PNG, Samples: 3, Bits: 8}, true, "FlateDecode"},
	{"g4.tif", Header{Format: TIFF, Samples: 1, Bits: 1}, false, "CCITTFaxDecode"},
	{"g4-minisblack.tif", Header{Format: TIFF, Samples: 1, Bits: 1}, false, "CCITTFaxDecode"},
	{"gray16.tif", Header{Format: TIFF, Samples: 1, Bits: 16}, false, "FlateDecode"},
	{"lzw.tif", Header{Format: TIFF, Samples: 3, Bits: 8, Lines: true}, true, "FlateDecode"},
	{"big-endian.tif", Header{Format: TIFF, Samples: 3, Bits: 8, Lines: true}, true, "FlateDecode"},
	{"color16.tif", Header{Format: TIFF, Samples: 3, Bits: 16}, true, "FlateDecode"},
	{"alpha16.tif", Header{Format: TIFF, Samples: 4, Bits: 16}, true, "FlateDecode"},
	{"palette.tif", Header{Format: TIFF, Samples: 1, Bits: 2}, true, "FlateDecode"},
	{"pages.tif", Header{Format: TIFF, Samples: 1, Bits: 8, Lines: true}, false, "FlateDecode"}, // the second page is coloured
}

func read(t *testing.T, file string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", file))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// lockThread keeps the C libraries on one thread, as a worker does.
func lockThread(t *testing.T) {
	runtime.LockOSThread()
	t.Cleanup(runtime.UnlockOSThread)
}

// goImage gives p as Go sees it.
func goImage(t *testing.T, p *Pix) image.Image {
	t.Helper()
	data, err := p.encodePNG()
	if err != nil {
		t.Fatal(err)
	}
	m, err := png.Decode(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// checkCard compares m with the card. JPEG may be off by a little.
func checkCard(t *testing.T, m image.Image, colored bool) {
	t.Helper()
	if m.Bounds().Dx() != 120 || m.Bounds().Dy() != 80 {
		t.Fatalf("image of %v, want 120 x 80", m.Bounds())
	}
	white, black, red := color.RGBA{255, 255, 255, 255}, color.RGBA{0, 0, 0, 255}, color.RGBA{255, 0, 0, 255}
	for _, tt := range []struct {
		x, y int
		want color.RGBA
	}{{60, 60, white}, {30, 25, black}, {90, 25, red}} {
		if tt.want == red && !colored {
			tt.want = white
		}
		got := color.RGBAModel.Convert(m.At(tt.x, tt.y)).(color.RGBA)
		for i, d := range []int{int(got.R) - int(tt.want.R), int(got.G) - int(tt.want.G), int(got.B) - int(tt.want.B)} {
			if d < -8 || d > 8 {
				t.Errorf("pixel %d,%d is %v, want %v (component %d)", tt.x, tt.y, got, tt.want, i)
				break
			}
		}
	}
}

func TestReadHeader(t *testing.T) {
	for _, c := range cards {
		t.Run(c.file, func(t *testing.T) {
			h, err := ReadHeader(read(t, c.file), limit)
			if err != nil {
				t.Fatal(err)
			}
			h.XRes, h.YRes = 0, 0
			want := c.header
			want.Width, want.Height = 120, 80
			if h != want {
				t.Errorf("header %+v, want %+v", h, want)
			}
		})
	}
}

func TestDecode(t *testing.T) {
	lockThread(t)
	for _, c := range cards {
		t.Run(c.file, func(t *testing.T) {
			data := read(t, c.file)
			h, err := ReadHeader(data, limit)
			if err != nil {
				t.Fatal(err)
			}
			p, damaged, err := Decode(data, h, 1, false)
			if err != nil {
				t.Fatal(err)
			}
			defer p.Close()
			if damaged {
				t.Error("a sound image is called damaged")
			}
			checkCard(t, goImage(t, p), c.colored)

			gray, _, err := Decode(data, h, 1, true)
			if err != nil {
				t.Fatal(err)
			}
			defer gray.Close()
			if h.Format == JPEG && h.Samples <= 3 && gray.Depth() != 8 {
				t.Errorf("asked for grey, got %d bits", gray.Depth())
			}
		})
	}
}

// What stands in the PDF is decoded here by other means than those that made it.
func TestEmbed(t *testing.T) {
	lockThread(t)
	for _, c := range cards {
		t.Run(c.file, func(t *testing.T) {
			data := read(t, c.file)
			h, err := ReadHeader(data, limit)
			if err != nil {
				t.Fatal(err)
			}
			e, asIs := h.PassThrough()
			if asIs != (h.Format == JPEG && h.Plain) {
				t.Errorf("PassThrough = %v for %+v", asIs, h)
			}
			stream := data
			if !asIs {
				p, _, err := Decode(data, h, 1, false)
				if err != nil {
					t.Fatal(err)
				}
				defer p.Close()
				var b bytes.Buffer
				if e, err = Embed(&b, data, h, p); err != nil {
					t.Fatal(err)
				}
				stream = b.Bytes()
			}
			wantColors := 1
			if c.colored {
				wantColors = 3
			}
			if e.Filter != c.filter || e.Width != 120 || e.Height != 80 || e.Colors != wantColors {
				t.Errorf("embedded %+v, want %s with %d colours", e, c.filter, wantColors)
			}
			checkCard(t, decodeStream(t, stream, e), c.colored)
		})
	}
}

// decodeStream decodes the data of an image as a PDF reader would.
func decodeStream(t *testing.T, stream []byte, e Embedded) image.Image {
	t.Helper()
	var m image.Image
	var err error
	switch e.Filter {
	case "DCTDecode":
		m, err = jpeg.Decode(bytes.NewReader(stream))
	case "CCITTFaxDecode":
		gray := image.NewGray(image.Rect(0, 0, e.Width, e.Height))
		err = ccitt.DecodeIntoGray(gray, bytes.NewReader(stream), ccitt.MSB, ccitt.Group4, &ccitt.Options{Invert: e.BlackIs1})
		m = gray
	case "FlateDecode":
		m, err = png.Decode(bytes.NewReader(pngOf(stream, e)))
	}
	if err != nil {
		t.Fatalf("decode the %s stream: %v", e.Filter, err)
	}
	return m
}

// pngOf wraps a stream with PNG predictors in a PNG.
func pngOf(stream []byte, e Embedded) []byte {
	kind := byte(pngGray)
	if e.Colors == 3 {
		kind = pngColor
	}
	head := binary.BigEndian.AppendUint32(nil, uint32(e.Width))
	head = binary.BigEndian.AppendUint32(head, uint32(e.Height))
	head = append(head, byte(e.Bits), kind, 0, 0, 0)
	b := []byte(pngSignature)
	b = chunk(b, "IHDR", head)
	b = chunk(b, "IDAT", stream)
	return chunk(b, "IEND", nil)
}

func chunk(b []byte, name string, body []byte) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(len(body)))
	start := len(b)
	b = append(append(b, name...), body...)
	return binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b[start:]))
}

// bomb is a small file that claims a great size.
func bomb(format Format, width, height int) []byte {
	switch format {
	case PNG:
		return pngOf([]byte{0x78, 0x9c}, Embedded{Width: width, Height: height, Colors: 3, Bits: 8})
	case JPEG:
		b := []byte("\xff\xd8\xff\xc0\x00\x11\x08")
		b = binary.BigEndian.AppendUint16(b, uint16(height))
		b = binary.BigEndian.AppendUint16(b, uint16(width))
		return append(b, "\x03\x01\x22\x00\x02\x11\x00\x03\x11\x00\xff\xd9"...)
	}
	b := []byte("II*\x00\x08\x00\x00\x00\x02\x00")
	for tag, v := range map[uint16]int{tagWidth: width, tagHeight: height} {
		b = binary.LittleEndian.AppendUint16(b, tag)
		b = append(b, 4, 0, 1, 0, 0, 0)
		b = binary.LittleEndian.AppendUint32(b, uint32(v))
	}
	return append(b, 0, 0, 0, 0)
}

func TestReadHeaderRefuses(t *testing.T) {
	tests := []struct {
		name string
		data []byte
		want error
		text string
	}{
		{"nothing", nil, ErrFormat, ""},
		{"text", []byte("<html>busy</html>"), ErrFormat, ""},
		{"gif", []byte("GIF89a\x01\x00\x01\x00"), ErrFormat, ""},
		{"png of 100,000 x 100,000", bomb(PNG, 100_000, 100_000), ErrSize, "100000 x 100000"},
		{"tiff of 100,000 x 100,000", bomb(TIFF, 100_000, 100_000), ErrSize, "100000 x 100000"},
		{"jpeg of 65,000 x 65,000", bomb(JPEG, 65_000, 65_000), ErrSize, "65000 x 65000"},
		{"png of 4,000,000,000 x 4,000,000,000", bomb(PNG, 4e9, 4e9), ErrSize, ""},
		{"png of 100,000 x 1", bomb(PNG, 100_000, 1), ErrSize, "100000 x 1"},
		{"jpeg without height", bomb(JPEG, 100, 0), ErrSize, ""},
		{"jpeg cut off", []byte("\xff\xd8\xff\xe0\x00\x10JFIF"), ErrDamaged, ""},
		{"jpeg without a frame", []byte("\xff\xd8\xff\xd9"), ErrDamaged, ""},
		{"png cut off", []byte(pngSignature + "\x00\x00\x00\x0dIHDR\x00"), ErrDamaged, ""},
		{"tiff without a directory", []byte("II*\x00\xff\xff\xff\xff"), ErrDamaged, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := ReadHeader(tt.data, 150_000_000)
			if !errors.Is(err, tt.want) || err != nil && !strings.Contains(err.Error(), tt.text) {
				t.Errorf("error %v, want %v with %q", err, tt.want, tt.text)
			}
		})
	}
}

func TestHeaderResolution(t *testing.T) {
	phys := func(x, y uint32, unit byte) []byte {
		body := binary.BigEndian.AppendUint32(nil, x)
		body = append(binary.BigEndian.AppendUint32(body, y), unit)
		whole := bomb(PNG, 10, 10)
		head := len(pngSignature) + 25
		return append(chunk(bytes.Clone(whole[:head]), "pHYs", body), whole[head:]...)
	}
	jfif := func(unit byte, x uint16) []byte {
		b := []byte("\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01\x02")
		b = append(b, unit)
		b = binary.BigEndian.AppendUint16(b, x)
		b = binary.BigEndian.AppendUint16(b, x)
		return append(append(b, 0, 0), bomb(JPEG, 10, 10)[2:]...)
	}
	exif := append([]byte("\xff\xd8\xff\xe1\x00\x2aExif\x00\x00"), "MM\x00\x2a\x00\x00\x00\x08\x00\x01"+
		"\x01\x1a\x00\x05\x00\x00\x00\x01\x00\x00\x00\x1a"+"\x00\x00\x00\x00"+"\x00\x00\x02\x58\x00\x00\x00\x02"...)
	tests := []struct {
		name string
		data []byte
		want float64
	}{
		{"png per metre", phys(11811, 11811, 1), 300},
		{"png without a unit", phys(1, 1, 0), 0},
		{"jfif per inch", jfif(1, 200), 200},
		{"jfif per centimetre", jfif(2, 118), 299.7},
		{"jfif ratio", jfif(0, 1), 0},
		{"exif", append(exif, bomb(JPEG, 10, 10)[2:]...), 300},
		{"tiff", read(t, "g4.tif"), 300},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h, err := ReadHeader(tt.data, limit)
			if err != nil {
				t.Fatal(err)
			}
			if math.Abs(h.XRes-tt.want) > 0.1 {
				t.Errorf("%.2f dpi, want %.2f", h.XRes, tt.want)
			}
		})
	}
}

// A camera says how it was held, beside what JFIF says of the resolution.
func TestHeaderTurn(t *testing.T) {
	jfif := "\xff\xe0\x00\x10JFIF\x00\x01\x02\x01\x00\xc8\x00\xc8\x00\x00"
	for orientation, want := range []int{0, 0, 0, 2, 2, 3, 1, 1, 3, 0} {
		mirrored := orientation == 2 || orientation == 4 || orientation == 5 || orientation == 7
		data := append([]byte("\xff\xd8"+jfif+"\xff\xe1\x00\x1aExif\x00\x00II\x2a\x00\x08\x00\x00\x00\x01\x00"+
			"\x12\x01\x03\x00\x01\x00\x00\x00"), byte(orientation), 0, 0, 0)
		binary.BigEndian.PutUint16(data[2+len(jfif)+2:], 2+6+8+2+12)
		h, err := ReadHeader(append(data, bomb(JPEG, 10, 10)[2:]...), limit)
		if err != nil || h.Turn != want || h.Mirrored != mirrored || h.XRes != 200 {
			t.Errorf("orientation %d: %+v, %v, want %d turns, mirrored: %v", orientation, h, err, want, mirrored)
		}
	}
}

// oriented gives a JPEG file an Exif segment with an orientation.
func oriented(file []byte, orientation byte) []byte {
	exif := "\xff\xe1\x00\x22Exif\x00\x00II\x2a\x00\x08\x00\x00\x00\x01\x00\x12\x01\x03\x00\x01\x00\x00\x00" + string([]byte{orientation}) + "\x00\x00\x00\x00\x00\x00\x00"
	return slices.Concat(file[:2], []byte(exif), file[2:])
}

// A mirrored JPEG is shown as it wishes, whoever decodes it, and does not go into a PDF as it is.
func TestMirrored(t *testing.T) {
	lockThread(t)
	// A page with a black patch in its upper left corner, as the eight orientations store it: the
	// patch lies in another corner, and where it is longer it is wide or high.
	const long, short = 160, 80
	for orientation := 1; orientation <= 8; orientation++ {
		w, h, right, low := long, short, false, false
		switch orientation {
		case 2:
			right = true
		case 3:
			right, low = true, true
		case 4:
			low = true
		case 5:
			w, h = h, w
		case 6:
			w, h, low = h, w, true
		case 7:
			w, h, right, low = h, w, true, true
		case 8:
			w, h, right = h, w, true
		}
		m := image.NewGray(image.Rect(0, 0, w, h))
		fill(m, m.Rect, 255)
		patch := image.Rect(0, 0, w/2, h/2)
		if right {
			patch = patch.Add(image.Pt(w/2, 0))
		}
		if low {
			patch = patch.Add(image.Pt(0, h/2))
		}
		fill(m, patch, 0)
		var b bytes.Buffer
		if err := jpeg.Encode(&b, m, nil); err != nil {
			t.Fatal(err)
		}
		data := oriented(b.Bytes(), byte(orientation))
		head, err := ReadHeader(data, limit)
		if err != nil {
			t.Fatal(err)
		}
		for _, reduce := range []int{1, 2} {
			pix, damaged, err := Decode(data, head, reduce, true)
			if err != nil || damaged {
				t.Fatal(err, damaged)
			}
			planes, err := DecodePlanes(data, head, reduce)
			if err != nil {
				t.Fatal(err)
			}
			// The patch lies where it did, but for the mirror: the turn is for who reads the page.
			dark := right != head.Mirrored
			y := pix.Height() / 4
			if low {
				y = pix.Height() * 3 / 4
			}
			got := goImage(t, pix)
			for i, side := range []int{pix.Width() / 4, pix.Width() * 3 / 4} {
				want := dark == (i == 1)
				if v, _, _, _ := got.At(side, y).RGBA(); (v < 0x8000) != want {
					t.Errorf("orientation %d, 1/%d: black at %d,%d: %v, want %v", orientation, reduce, side, y, v < 0x8000, want)
				}
				if v := planes.Y.Pix[y*planes.Y.Stride+side]; (v < 0x80) != want {
					t.Errorf("orientation %d, 1/%d: black in the planes at %d,%d: %v, want %v", orientation, reduce, side, y, v < 0x80, want)
				}
			}
			turned, err := pix.Turn(head.Turn)
			if err != nil {
				t.Fatal(err)
			}
			if v, _, _, _ := goImage(t, turned).At(turned.Width()/4, turned.Height()/4).RGBA(); v > 0x8000 || turned.Width() < turned.Height() {
				t.Errorf("orientation %d: shown at %d x %d with %#x at its upper left, want the patch and the page lying", orientation, turned.Width(), turned.Height(), v)
			}
			turned.Close()
			planes.Close()
			pix.Close()
		}
		if _, ok := head.PassThrough(); ok == head.Mirrored {
			t.Errorf("orientation %d: as it is in a PDF: %v, which shows it mirrored or codes it anew", orientation, ok)
		}
	}
}

func TestHeaderDPI(t *testing.T) {
	tests := []struct {
		name       string
		x, y       float64
		asked      int
		width      int
		height     int
		wantResult int
	}{
		{"its own", 300, 300, 200, 2480, 3508, 300},
		{"its own, rounded", 299.9994, 299.9994, 0, 2480, 3508, 300},
		{"the default of software", 72, 72, 300, 2480, 3508, 300},
		{"the other default of software", 96, 96, 300, 2480, 3508, 300},
		{"96 and nothing asked", 96, 96, 0, 794, 1123, 96},
		{"72 is below what can be", 72, 72, 0, 1654, 2339, 200},
		{"nonsense", 30000, 30000, 400, 3307, 4677, 400},
		{"not square", 204, 98, 200, 1728, 1100, 200},
		{"nothing known, A4 at 300", 0, 0, 0, 2480, 3508, 300},
		{"nothing known, A4 at 600", 0, 0, 0, 4960, 7016, 600},
		{"nothing known, nonsense asked", 0, 0, 5, 1240, 1754, 150},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := Header{XRes: tt.x, YRes: tt.y, Width: tt.width, Height: tt.height}
			if got := h.DPI(tt.asked); got != tt.wantResult {
				t.Errorf("DPI(%d) = %d, want %d", tt.asked, got, tt.wantResult)
			}
		})
	}
}

// A side that was cut off in the cable is still worth keeping as far as it goes.
// Of a damaged TIFF of group 4 libtiff gives what it can, and only says so.
func TestDecodeDamagedGroup4(t *testing.T) {
	lockThread(t)
	p := drawn(t, 255, func(m *image.Gray) {
		for y := 20; y < m.Rect.Max.Y-20; y += 12 {
			for x := 20 + y%7; x < m.Rect.Max.X-20; x += 9 + y%5 {
				fill(m, image.Rect(x, y, x+4, y+7), 0)
			}
		}
	})
	defer p.Close()
	bits, err := p.Binary(128)
	if err != nil {
		t.Fatal(err)
	}
	defer bits.Close()
	whole, err := bits.encodeG4()
	if err != nil {
		t.Fatal(err)
	}
	d, err := readIFD(whole)
	if err != nil {
		t.Fatal(err)
	}
	at, n := d.number(tagStripOffset, 0), d.number(tagStripBytes, 0)
	holed := slices.Clone(whole)
	clear(holed[at+n/2 : at+n/2+n/8])
	for _, tt := range []struct {
		name string
		data []byte
		want bool
	}{{"whole", whole, false}, {"a hole in it", holed, true}, {"whole again", whole, false}} {
		h, err := ReadHeader(tt.data, 1<<30)
		if err != nil {
			t.Fatal(err)
		}
		got, damaged, err := Decode(tt.data, h, 1, false)
		if err != nil {
			t.Fatal(tt.name, err)
		}
		if damaged != tt.want || got.Width() != bits.Width() {
			t.Errorf("%s: damaged %v, want %v", tt.name, damaged, tt.want)
		}
		got.Close()
	}
}

func TestDecodeDamaged(t *testing.T) {
	lockThread(t)
	for _, c := range cards {
		t.Run(c.file, func(t *testing.T) {
			data := read(t, c.file)
			data = data[:len(data)*3/4]
			h, err := ReadHeader(data, limit)
			if err != nil {
				if !errors.Is(err, ErrDamaged) {
					t.Fatalf("error %v, want %v", err, ErrDamaged)
				}
				return
			}
			p, damaged, err := Decode(data, h, 1, false)
			if err == nil {
				defer p.Close()
			}
			switch {
			case h.Format == JPEG && (err != nil || !damaged || p.Width() != 120 || p.Height() != 80):
				t.Errorf("damaged %v, error %v: want what there is", damaged, err)
			case err != nil && !errors.Is(err, ErrDamaged):
				t.Errorf("error %v, want %v", err, ErrDamaged)
			}
		})
	}
}

// drawn gives a page of gray with black bars as lines of print, at 250 dpi.
func drawn(t *testing.T, background uint8, draw func(m *image.Gray)) *Pix {
	t.Helper()
	m := image.NewGray(image.Rect(0, 0, 1000, 1400))
	for i := range m.Pix {
		m.Pix[i] = background
	}
	draw(m)
	return pixOf(t, m)
}

// pixOf gives a Pix of an image.
func pixOf(t *testing.T, m image.Image) *Pix {
	t.Helper()
	var b bytes.Buffer
	if err := png.Encode(&b, m); err != nil {
		t.Fatal(err)
	}
	h, err := ReadHeader(b.Bytes(), 10*limit)
	if err != nil {
		t.Fatal(err)
	}
	p, _, err := Decode(b.Bytes(), h, 1, false)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

func fill(m *image.Gray, r image.Rectangle, v uint8) {
	for y := r.Min.Y; y < r.Max.Y; y++ {
		for x := r.Min.X; x < r.Max.X; x++ {
			m.SetGray(x, y, color.Gray{Y: v})
		}
	}
}

// lines draws rows of small blocks, as print is.
func lines(m *image.Gray) {
	for y := 200; y < 1200; y += 50 {
		for x := 100; x < 900; x += 30 {
			fill(m, image.Rect(x, y, x+16, y+20), 20)
		}
	}
}

func TestSkew(t *testing.T) {
	lockThread(t)
	page := drawn(t, 255, lines)
	for _, degrees := range []float64{0, 0.5, -2, 5, -8} {
		turned, err := page.Rotate(degrees, 150)
		if err != nil {
			t.Fatal(err)
		}
		defer turned.Close()
		ink, err := turned.Binary(128)
		if err != nil {
			t.Fatal(err)
		}
		defer ink.Close()
		if got := ink.Skew(); math.Abs(got-degrees) > 0.1 {
			t.Errorf("skew %.2f, want %.2f", got, degrees)
		}
	}
	empty, err := drawn(t, 255, func(*image.Gray) {}).Binary(128)
	if err != nil {
		t.Fatal(err)
	}
	defer empty.Close()
	if got := empty.Skew(); got != 0 {
		t.Errorf("skew of an empty page is %g, want 0", got)
	}
}

func TestSolids(t *testing.T) {
	lockThread(t)
	tests := []struct {
		name      string
		draw      func(m *image.Gray)
		wantShare float64
		painted   bool // the corner of the image became white
	}{
		{"print only", lines, 0, false},
		{"dark bed", func(m *image.Gray) {
			fill(m, m.Bounds(), 30)
			fill(m, image.Rect(80, 80, 900, 1300), 255)
			fill(m, image.Rect(200, 200, 220, 230), 0)
		}, 0, true},
		{"photograph", func(m *image.Gray) { fill(m, image.Rect(300, 300, 700, 650), 60) }, 0.1, false},
		{"light print on a bar up to the edge", func(m *image.Gray) {
			fill(m, image.Rect(0, 0, 1000, 280), 40)
			for x := 100; x < 900; x += 30 {
				fill(m, image.Rect(x, 100, x+16, 130), 255)
			}
		}, 0.2, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := drawn(t, 255, tt.draw)
			before := color.GrayModel.Convert(goImage(t, p).At(2, 2)).(color.Gray).Y
			share, err := p.Solids(p, 250, 255)
			if err != nil {
				t.Fatal(err)
			}
			if math.Abs(share-tt.wantShare) > 0.02 {
				t.Errorf("share %.3f, want %.2f", share, tt.wantShare)
			}
			after := color.GrayModel.Convert(goImage(t, p).At(2, 2)).(color.Gray).Y
			if painted := before != after; painted != tt.painted {
				t.Errorf("corner went from %d to %d, want painted %v", before, after, tt.painted)
			}
		})
	}
}

// What was packed is the same again, whatever its width and however much of it is white.
func TestPack(t *testing.T) {
	lockThread(t)
	for _, tt := range []struct {
		name          string
		width, height int
		white         func(x, y int) bool
		most          float64 // of the image's memory
	}{
		{"a page with lines", 203, 300, func(_, y int) bool { return y%20 > 3 }, 0.25},
		{"all white", 64, 64, func(int, int) bool { return true }, 0.01},
		{"a photograph", 101, 77, func(int, int) bool { return false }, 1.05},
		{"every other pixel", 33, 9, func(x, y int) bool { return (x+y)%2 == 0 }, 1.05},
		{"one pixel", 1, 1, func(int, int) bool { return false }, 4},
	} {
		t.Run(tt.name, func(t *testing.T) {
			img := image.NewGray(image.Rect(0, 0, tt.width, tt.height))
			for i := range img.Pix {
				if img.Pix[i] = uint8(i * 31); tt.white(i%tt.width, i/tt.width) {
					img.Pix[i] = 255
				}
			}
			k, err := pixOf(t, img).Pack()
			if err != nil {
				t.Fatal(err)
			}
			defer k.Close()
			for range 2 { // it can be taken out more than once
				q, err := k.Unpack()
				if err != nil {
					t.Fatal(err)
				}
				if got := q.raster(); !bytes.Equal(got.pix, img.Pix) || got.w != tt.width {
					t.Error("it is not what was put away")
				}
				q.Close()
			}
			if room := float64(4*k.size) / float64(tt.height*(tt.width+3)); room > tt.most {
				t.Errorf("it takes %.2f of the image's memory, want at most %.2f", room, tt.most)
			}
		})
	}
}

func TestFitKeepsShape(t *testing.T) {
	lockThread(t)
	p := drawn(t, 255, lines)
	for _, tt := range []struct{ side, width, height int }{{700, 500, 700}, {5000, 1000, 1400}} {
		q, err := p.Fit(tt.side)
		if err != nil {
			t.Fatal(err)
		}
		defer q.Close()
		if q.Width() != tt.width || q.Height() != tt.height {
			t.Errorf("Fit(%d) gives %d x %d, want %d x %d", tt.side, q.Width(), q.Height(), tt.width, tt.height)
		}
	}
}

// The header is read from bytes of a machine or a network.
func FuzzReadHeader(f *testing.F) {
	for _, c := range cards {
		data, err := os.ReadFile(filepath.Join("testdata", c.file))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		h, err := ReadHeader(data, limit)
		if err == nil && (h.Width < 1 || h.Height < 1 || int64(h.Width)*int64(h.Height) > limit) {
			t.Errorf("%d x %d pixels passed the limit of %d", h.Width, h.Height, limit)
		}
		if h.DPI(0) < MinDPI || h.DPI(0) > MaxDPI {
			t.Errorf("resolution %d", h.DPI(0))
		}
	})
}

// Strokes are what is left where no run of ink down the page is shorter.
func TestStrokes(t *testing.T) {
	lockThread(t)
	r := rand.New(rand.NewPCG(3, 4))
	const w, h = 150, 70
	m := image.NewGray(image.Rect(0, 0, w, h))
	for x := range w {
		black := false
		for y := range h {
			if r.IntN(2+x/10) == 0 {
				black = !black
			}
			if !black {
				m.SetGray(x, y, color.Gray{255})
			}
		}
	}
	ink := func(m *image.Gray) *Pix {
		p := pixOf(t, m)
		b, err := p.Binary(128)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(b.Close)
		return b
	}
	for _, least := range []int{1, 2, 3, 5, 8, 13, 22, 33, 70} {
		opened := image.NewGray(m.Rect)
		for x := range w {
			for y := 0; y < h; {
				end := y
				for end < h && m.GrayAt(x, end).Y == 0 {
					end++
				}
				for i := y; i <= end && i < h; i++ {
					if i == end || end-y < least {
						opened.SetGray(x, i, color.Gray{255})
					}
				}
				y = end + 1
			}
		}
		want, err := ink(opened).Pieces(least, h, 3000)
		if err != nil {
			t.Fatal(err)
		}
		got, err := ink(m).Strokes(least, 3000)
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("strokes of %d: %d, want %d, %v", least, len(got), len(want), err)
		}
	}
}

// Each pixel of a turned image is between the four from whose middle it comes, and white is around
// the image.
func TestRotatePixels(t *testing.T) {
	lockThread(t)
	r := rand.New(rand.NewPCG(5, 6))
	const w, h = 61, 43
	m := image.NewGray(image.Rect(0, 0, w, h))
	for i := range m.Pix {
		m.Pix[i] = uint8(r.IntN(256))
	}
	at := func(x, y int) int {
		if !(image.Point{x, y}).In(m.Rect) {
			return 255
		}
		return int(m.GrayAt(x, y).Y)
	}
	for _, degrees := range []float64{0, 0.3, -0.3, 2, -7, 44, -44} {
		for _, border := range []int{0, 5} {
			p, err := pixOf(t, m).Rotate(degrees, border)
			if err != nil {
				t.Fatal(err)
			}
			defer p.Close()
			got := goImage(t, p)
			sin, cos := math.Sincos(degrees * math.Pi / 180)
			s, c := int(math.Round(sin*65536)), int(math.Round(cos*65536))
			mx, my := (w+2*border)/2, (h+2*border)/2
			for y := range h + 2*border {
				for x := range w + 2*border {
					u := (mx-border)<<16 + (x-mx)*c + (y-my)*s
					v := (my-border)<<16 - (x-mx)*s + (y-my)*c
					fx, fy := u>>8&255, v>>8&255
					top := at(u>>16, v>>16)*(256-fx) + at(u>>16+1, v>>16)*fx
					low := at(u>>16, v>>16+1)*(256-fx) + at(u>>16+1, v>>16+1)*fx
					want := (top*(256-fy) + low*fy + 32768) >> 16
					if g := int(color.GrayModel.Convert(got.At(x, y)).(color.Gray).Y); g != want {
						t.Fatalf("turned by %g, border %d: pixel %d,%d is %d, want %d", degrees, border, x, y, g, want)
					}
				}
			}
		}
	}
}
