package imaging

import (
	"bytes"
	"encoding/binary"
	"errors"
	"image"
	"image/color"
	"image/png"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
)

// noisy draws an image of all greys or colours.
func noisy(w, h int, colored bool) *image.RGBA {
	r := rand.New(rand.NewPCG(5, uint64(w)))
	m := image.NewRGBA(image.Rect(0, 0, w, h))
	for y := range h {
		for x := range w {
			c := color.RGBA{uint8(2*x + r.IntN(9)), uint8(3*y + r.IntN(9)), uint8(r.IntN(256)), 255}
			if !colored {
				c = color.RGBA{c.R, c.R, c.R, 255}
			}
			m.SetRGBA(x, y, c)
		}
	}
	return m
}

// bareTIFF gives the file of an image whose pixels are as they come from a scanner, in strips of
// so many rows.
func bareTIFF(m *image.RGBA, samples, rows int, order binary.AppendByteOrder) []byte {
	w, h := m.Rect.Dx(), m.Rect.Dy()
	strips := (h + rows - 1) / rows
	var pixels []byte
	for y := range h {
		for x := range w {
			c := m.RGBAAt(x, y)
			pixels = append(pixels, []byte{c.R, c.G, c.B}[:samples]...)
		}
	}
	mark := "II"
	if order.AppendUint16(nil, 1)[1] == 1 {
		mark = "MM"
	}
	const entries = 9
	first := uint32(8 + 2 + 12*entries + 4)
	bits, offsets, counts := first, first+6, first+6+4*uint32(strips)
	at := counts + 4*uint32(strips)
	b := order.AppendUint32(order.AppendUint16([]byte(mark), 42), 8)
	b = order.AppendUint16(b, entries)
	entry := func(tag, kind uint16, n, value uint32) {
		b = order.AppendUint32(order.AppendUint16(order.AppendUint16(b, tag), kind), n)
		if kind == 3 && n == 1 {
			b = order.AppendUint16(order.AppendUint16(b, uint16(value)), 0)
		} else {
			b = order.AppendUint32(b, value)
		}
	}
	entry(256, 4, 1, uint32(w))
	entry(257, 4, 1, uint32(h))
	if samples == 3 {
		entry(258, 3, 3, bits)
	} else {
		entry(258, 3, 1, 8)
	}
	entry(259, 3, 1, 1)
	entry(262, 3, 1, map[int]uint32{1: 1, 3: 2}[samples])
	one := func(all, single uint32) uint32 { // of one value the entry holds it
		if strips == 1 {
			return single
		}
		return all
	}
	entry(273, 4, uint32(strips), one(offsets, at))
	entry(277, 3, 1, uint32(samples))
	entry(278, 4, 1, uint32(rows))
	entry(279, 4, uint32(strips), one(counts, uint32(len(pixels))))
	b = order.AppendUint32(b, 0)
	for range 3 {
		b = order.AppendUint16(b, 8)
	}
	size := rows * w * samples
	for i := range strips {
		b = order.AppendUint32(b, at+uint32(i*size))
	}
	for i := range strips {
		b = order.AppendUint32(b, uint32(min(size, len(pixels)-i*size)))
	}
	return append(b, pixels...)
}

// storedAs gives a TIFF as libtiff's tool stores it.
func storedAs(t testing.TB, file []byte, how ...string) []byte {
	t.Helper()
	in, out := filepath.Join(t.TempDir(), "in.tif"), filepath.Join(t.TempDir(), "out.tif")
	if err := os.WriteFile(in, file, 0o600); err != nil {
		t.Fatal(err)
	}
	if said, err := exec.Command("tiffcp", slices.Concat(how, []string{in, out})...).CombinedOutput(); err != nil {
		t.Fatalf("tiffcp: %v: %s", err, said)
	}
	data, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// storages are the ways of storing lines that scanners and other programs use.
func storages() map[string][]string {
	return map[string][]string{
		"LZW":                    {"-c", "lzw"},
		"LZW of differences":     {"-c", "lzw:2", "-r", "10"},
		"LZW in planes":          {"-c", "lzw:2", "-p", "separate", "-r", "7"},
		"LZW, high byte first":   {"-c", "lzw", "-B"},
		"Deflate":                {"-c", "zip", "-r", "1"},
		"Deflate of differences": {"-c", "zip:2", "-r", "20"},
		"PackBits":               {"-c", "packbits", "-r", "20"},
		"PackBits in planes":     {"-c", "packbits", "-p", "separate"},
		"bare planes":            {"-c", "none", "-p", "separate", "-r", "10"},
		"bare, low byte first":   {"-c", "none", "-L"},
	}
}

// lineFiles are images of lines with what they show.
func lineFiles(t *testing.T) map[string]struct {
	data []byte
	m    *image.RGBA
} {
	t.Helper()
	gray, colored := noisy(61, 47, false), noisy(61, 47, true)
	files := map[string]struct {
		data []byte
		m    *image.RGBA
	}{
		"TIFF, grey":                  {bareTIFF(gray, 1, 47, binary.LittleEndian), gray},
		"TIFF, colour":                {bareTIFF(colored, 3, 47, binary.LittleEndian), colored},
		"TIFF, colour, strips":        {bareTIFF(colored, 3, 10, binary.BigEndian), colored},
		"TIFF, colour without colour": {bareTIFF(gray, 3, 47, binary.LittleEndian), gray},
	}
	for name, how := range storages() {
		files["TIFF, colour, "+name] = struct {
			data []byte
			m    *image.RGBA
		}{storedAs(t, files["TIFF, colour"].data, how...), colored}
		files["TIFF, grey, "+name] = struct {
			data []byte
			m    *image.RGBA
		}{storedAs(t, files["TIFF, grey"].data, how...), gray}
	}
	for name, m := range map[string]*image.RGBA{"PNG, colour": colored, "PNG, colour without colour": gray} {
		var b bytes.Buffer
		if err := png.Encode(&b, m); err != nil {
			t.Fatal(err)
		}
		files[name] = struct {
			data []byte
			m    *image.RGBA
		}{b.Bytes(), m}
	}
	return files
}

// isColored reports whether a pixel is not grey.
func isColored(m *image.RGBA) bool {
	c := m.RGBAAt(30, 30)
	return c.R != c.G || c.G != c.B
}

// mean gives the mean colour of a square of the image.
func mean(m *image.RGBA, x, y, size int) (r, g, b int) {
	n := 0
	for j := y * size; j < min((y+1)*size, m.Rect.Dy()); j++ {
		for i := x * size; i < min((x+1)*size, m.Rect.Dx()); i++ {
			c := m.RGBAAt(i, j)
			r, g, b, n = r+int(c.R), g+int(c.G), b+int(c.B), n+1
		}
	}
	return (r + n/2) / n, (g + n/2) / n, (b + n/2) / n
}

// What is decoded line by line shows what the file shows, at each size, and without its
// colours if nobody wants them.
func TestDecodeLines(t *testing.T) {
	lockThread(t)
	for name, f := range lineFiles(t) {
		t.Run(name, func(t *testing.T) {
			h, err := ReadHeader(f.data, limit)
			if err != nil || !h.Lines || !h.Reduces() {
				t.Fatalf("header %+v, %v", h, err)
			}
			for _, reduce := range []int{1, 2, 4, 8} {
				p, damaged, err := Decode(f.data, h, reduce, false)
				if err != nil || damaged {
					t.Fatal(damaged, err)
				}
				defer p.Close()
				gray, _, err := Decode(f.data, h, reduce, true)
				if err != nil {
					t.Fatal(err)
				}
				defer gray.Close()
				wantDepth := 8
				if isColored(f.m) {
					wantDepth = 32
				}
				if p.Depth() != wantDepth || gray.Depth() != 8 {
					t.Errorf("at 1/%d: %d bits a pixel, without colours %d", reduce, p.Depth(), gray.Depth())
				}
				got, light := goImage(t, p), goImage(t, gray)
				if w, hh := (61+reduce-1)/reduce, (47+reduce-1)/reduce; got.Bounds().Dx() != w || got.Bounds().Dy() != hh || light.Bounds() != got.Bounds() {
					t.Fatalf("at 1/%d: %v and %v", reduce, got.Bounds(), light.Bounds())
				}
				for y := range got.Bounds().Dy() {
					for x := range got.Bounds().Dx() {
						r, g, b := mean(f.m, x, y, reduce)
						c := color.RGBAModel.Convert(got.At(x, y)).(color.RGBA)
						if int(c.R) != r || int(c.G) != g || int(c.B) != b {
							t.Fatalf("at 1/%d: pixel %d,%d is %v, want %d,%d,%d", reduce, x, y, c, r, g, b)
						}
						v := int(color.GrayModel.Convert(light.At(x, y)).(color.Gray).Y)
						if want := int(luminance(uint8(r), uint8(g), uint8(b))); v != want {
							t.Fatalf("at 1/%d: pixel %d,%d has a light of %d, want %d", reduce, x, y, v, want)
						}
					}
				}
			}
		})
	}
}

// The planes of lines are those of the whole image.
func TestLinePlanes(t *testing.T) {
	lockThread(t)
	for name, f := range lineFiles(t) {
		t.Run(name, func(t *testing.T) {
			h, err := ReadHeader(f.data, limit)
			if err != nil {
				t.Fatal(err)
			}
			for _, reduce := range []int{1, 2} {
				whole, _, err := Decode(f.data, h, reduce, false)
				if err != nil {
					t.Fatal(err)
				}
				defer whole.Close()
				want, err := whole.Planes()
				if err != nil {
					t.Fatal(err)
				}
				defer want.Close()
				got, err := DecodePlanes(f.data, h, reduce)
				if err != nil {
					t.Fatal(err)
				}
				defer got.Close()
				if got.Gray() != want.Gray() {
					t.Fatalf("grey: %v, want %v", got.Gray(), want.Gray())
				}
				for i, p := range []*Plane{got.Y, got.Cb, got.Cr} {
					q := []*Plane{want.Y, want.Cb, want.Cr}[i]
					if p == nil {
						continue
					}
					if p.Width != q.Width || p.Height != q.Height || !bytes.Equal(p.Pix[:p.Width*p.Height], q.Pix[:p.Width*p.Height]) {
						t.Errorf("at 1/%d: plane %d differs", reduce, i)
					}
				}
			}
		})
	}
}

// A PDF gets every pixel of bare lines, and one byte for each that is grey.
func TestEmbedLines(t *testing.T) {
	lockThread(t)
	for name, f := range lineFiles(t) {
		h, err := ReadHeader(f.data, limit)
		if err != nil {
			t.Fatal(err)
		}
		small, _, err := Decode(f.data, h, 4, false)
		if err != nil {
			t.Fatal(err)
		}
		defer small.Close()
		var b bytes.Buffer
		e, err := Embed(&b, f.data, h, small)
		if err != nil {
			t.Fatal(err)
		}
		wantColors := 1
		if isColored(f.m) || h.Format == PNG { // of which the data are taken as they are
			wantColors = 3
		}
		if e.Width != 61 || e.Height != 47 || e.Colors != wantColors || e.Filter != "FlateDecode" || e.Predictor != 15 {
			t.Errorf("%s: embedded %+v", name, e)
			continue
		}
		got := decodeStream(t, b.Bytes(), e)
		for y := range 47 {
			for x := range 61 {
				if c := color.RGBAModel.Convert(got.At(x, y)).(color.RGBA); c != f.m.RGBAAt(x, y) {
					t.Fatalf("%s: pixel %d,%d is %v, want %v", name, x, y, c, f.m.RGBAAt(x, y))
				}
			}
		}
	}
}

// Bytes that repeat, and many that do not, which fill the table of LZW several times, are read as
// they were stored.
func TestStoredLines(t *testing.T) {
	lockThread(t)
	m := noisy(700, 90, true)
	for y := range 30 {
		for x := range 700 {
			m.SetRGBA(x, y, color.RGBA{uint8(x / 300), 255, 255, 255})
		}
	}
	for name, how := range storages() {
		data := storedAs(t, bareTIFF(m, 3, 90, binary.LittleEndian), how...)
		h, err := ReadHeader(data, limit)
		if err != nil || !h.Lines {
			t.Fatalf("%s: header %+v, %v", name, h, err)
		}
		p, damaged, err := Decode(data, h, 1, false)
		if err != nil || damaged {
			t.Fatalf("%s: %v, %v", name, damaged, err)
		}
		defer p.Close()
		got := goImage(t, p)
		for y := range 90 {
			for x := range 700 {
				if c := color.RGBAModel.Convert(got.At(x, y)).(color.RGBA); c != m.RGBAAt(x, y) {
					t.Fatalf("%s: pixel %d,%d is %v, want %v", name, x, y, c, m.RGBAAt(x, y))
				}
			}
		}
	}
}

// Of a TIFF with a strip that is damaged the other ones are read, and that it is damaged is told; of
// one in which nothing can be read nothing is.
func TestDamagedStrips(t *testing.T) {
	lockThread(t)
	m := noisy(61, 47, true)
	file := bareTIFF(m, 3, 47, binary.LittleEndian)
	for _, compression := range []string{"lzw", "zip"} {
		data := storedAs(t, file, "-c", compression, "-r", "10")
		d, err := readIFD(data)
		if err != nil {
			t.Fatal(err)
		}
		h, err := ReadHeader(data, limit)
		if err != nil {
			t.Fatal(err)
		}
		strips := d.strips(h)
		spoil := func(strip []byte) {
			for i := range strip {
				strip[i] = 0xff
			}
		}
		spoil(strips[2])
		p, damaged, err := Decode(data, h, 1, false)
		if err != nil || !damaged {
			t.Fatalf("%s: damaged %v, %v", compression, damaged, err)
		}
		defer p.Close()
		got := goImage(t, p)
		for _, at := range []image.Point{{5, 5}, {5, 19}, {60, 30}, {60, 46}} {
			if c := color.RGBAModel.Convert(got.At(at.X, at.Y)).(color.RGBA); c != m.RGBAAt(at.X, at.Y) {
				t.Errorf("%s: pixel %v is %v, want %v", compression, at, c, m.RGBAAt(at.X, at.Y))
			}
		}
		if c := color.RGBAModel.Convert(got.At(5, 25)); c != (color.RGBA{255, 255, 255, 255}) {
			t.Errorf("%s: a pixel of the damaged strip is %v", compression, c)
		}
		for _, s := range strips {
			spoil(s)
		}
		if _, _, err := Decode(data, h, 1, false); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: error %v, want %v", compression, err, ErrDamaged)
		}
	}
}

// What is cut off or has a wrong byte is called damaged, and what is no file of bare lines is not read
// as one.
func TestDamagedLines(t *testing.T) {
	lockThread(t)
	for name, f := range lineFiles(t) {
		h, err := ReadHeader(f.data, limit)
		if err != nil {
			t.Fatal(err)
		}
		cut := f.data[:len(f.data)*3/4]
		if h.Format == TIFF {
			if h, err := ReadHeader(cut, limit); err == nil && h.Lines {
				t.Errorf("%s: it has all its lines without its end", name)
			}
			if binary.LittleEndian.Uint32(f.data[4:]) != 8 && binary.BigEndian.Uint32(f.data[4:]) != 8 {
				continue // not bareTIFF's own
			}
			// With an unknown compression, white is 0: by the places of their entries.
			for _, entry := range []int{3, 4} {
				bad := bytes.Clone(f.data)
				value := bad[10+12*entry+8 : 10+12*entry+10]
				value[0], value[1] = 5, 5
				if h, err := ReadHeader(bad, limit); err == nil && h.Lines {
					t.Errorf("%s: it has lines with %d in entry %d", name, value, entry)
				}
			}
			continue
		}
		if _, _, err := Decode(cut, h, 1, true); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: cut off: %v", name, err)
		}
		bad := bytes.Clone(f.data)
		bad[len(bad)/2] ^= 1
		if _, err := DecodePlanes(bad, h, 1); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: with a wrong byte: %v", name, err)
		}
	}
}

// Any bytes may come as lines.
func FuzzDecodeLines(f *testing.F) {
	f.Add(bareTIFF(noisy(9, 7, true), 3, 3, binary.LittleEndian))
	f.Add(bareTIFF(noisy(9, 7, false), 1, 7, binary.BigEndian))
	for _, how := range storages() {
		f.Add(storedAs(f, bareTIFF(noisy(9, 7, true), 3, 7, binary.LittleEndian), how...))
	}
	var b bytes.Buffer
	if err := png.Encode(&b, noisy(9, 7, true)); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes())
	f.Fuzz(func(t *testing.T, data []byte) {
		h, err := ReadHeader(data, 10_000)
		if err != nil || !h.Lines {
			return
		}
		lockThread(t)
		if p, _, err := Decode(data, h, 2, false); err == nil {
			p.Close()
		}
		if p, err := DecodePlanes(data, h, 1); err == nil {
			p.Close()
		}
		if h.Format == TIFF {
			var b bytes.Buffer
			if e, err := Embed(&b, data, h, nil); !errors.Is(err, ErrDamaged) && (err != nil || e.Width != h.Width) {
				t.Errorf("embedded %+v, %v", e, err)
			}
		}
	})
}

// A TIFF whose claims fit no file, and one whose bytes have their bits the other way round,
// have no lines to be taken as they are.
func TestClaimedLines(t *testing.T) {
	order := binary.LittleEndian
	file := func() []byte { return bareTIFF(noisy(8, 8, true), 3, 8, order) }
	entry := func(b []byte, n int) []byte { return b[8+2+12*n:] }
	if h, err := ReadHeader(file(), limit); err != nil || !h.Lines {
		t.Fatalf("%+v, %v", h, err)
	}
	overflow := file() // 3570783445 * 1722007169 * 3 is 2^64-1
	order.PutUint32(entry(overflow, 0)[8:], 3570783445)
	order.PutUint32(entry(overflow, 1)[8:], 1722007169)
	order.PutUint32(entry(overflow, 7)[8:], 1722007169)
	tall := file() // a strip of a row for each of a hundred million, which lie one upon the other
	order.PutUint32(entry(tall, 1)[8:], 100_000_000)
	order.PutUint32(entry(tall, 5)[4:], 100_000_000)
	order.PutUint32(entry(tall, 7)[8:], 1)
	mirrored := file()
	copy(entry(mirrored, 8), []byte{266 & 0xff, 266 >> 8, 3, 0, 1, 0, 0, 0, 2, 0, 0, 0}) // FillOrder
	for _, tt := range []struct {
		name string
		data []byte
		want error
	}{{"a size that overflows", overflow, ErrSize}, {"a hundred million rows", tall, ErrSize}, {"bits from the low end", mirrored, nil}} {
		if h, err := ReadHeader(tt.data, limit); h.Lines || !errors.Is(err, tt.want) {
			t.Errorf("%s: %+v, %v, want %v", tt.name, h, err, tt.want)
		}
	}
}
