package fujitsu

import (
	"bytes"
	"encoding/binary"
	"image"
	"image/color"
	"image/draw"
	"image/jpeg"
	"io"
)

// page is one side as the window cuts it out, by lines.
type page struct {
	image image.Image
	w     *window
	at    image.Point // of the window's corner on the image
	width int
	lines int // down to where the data end
	back  color.Color
}

// newScans makes the streams of the sheet in the path.
func (s *Scanner) newScans() (scans [2]*scan, joint *scan, err error) {
	var pages [2]*page
	for i, w := range s.windows {
		if w == nil {
			continue
		}
		if pages[i], err = s.newPage(i, w); err != nil {
			return scans, nil, err
		}
	}
	if f, b := pages[0], pages[1]; f != nil && b != nil && f.w.jpeg && s.model.JPEG == Interleaved {
		data, err := interleave(f.raster(), b.raster())
		if err != nil {
			return scans, nil, err
		}
		return scans, f.scan(bytes.NewReader(data), len(data), 1), nil
	}
	for i, p := range pages {
		switch {
		case p == nil:
		case p.w.jpeg:
			data, err := encode(p.raster(), s.model.JFIF)
			if err != nil {
				return scans, nil, err
			}
			scans[i] = p.scan(bytes.NewReader(data), len(data), 1)
		default:
			line := p.w.lineBytes()
			scans[i] = p.scan(&lines{page: p, order: s.model.Order}, line*p.lines, line)
		}
	}
	return scans, nil, nil
}

func (p *page) scan(data io.Reader, total, line int) *scan {
	_, announced := p.w.pixels()
	return &scan{data: data, line: line, total: total, width: p.width, lines: announced, paper: [2]int{p.width, p.lines}}
}

// newPage puts a side under its window.
func (s *Scanner) newPage(side int, w *window) (*page, error) {
	img, err := s.path.See(side, s.cfg.Resolution, w.dpi)
	if err != nil {
		return nil, err
	}
	if img == nil {
		img = image.NewUniform(color.White)
	}
	p := &page{image: img, w: w, back: color.White}
	if s.mode(0x37, 2)&0x80 != 0 && s.mode(0x37, 2)&(0x20>>side) != 0 {
		p.back = color.Black
	}
	p.width, p.lines = w.pixels()
	b := img.Bounds()
	p.at = b.Min.Add(image.Pt(w.x*w.dpi/1200, w.y*w.dpi/1200))
	if w.paperWidth > 0 { // the paper lies in the middle
		p.at.X += b.Dx()/2 - w.paperWidth*w.dpi/1200/2
	}
	if s.mode(0x3c, 3)&0x80 != 0 { // the length is found
		p.lines = max(1, min(p.lines, b.Max.Y-p.at.Y))
	}
	return p, nil
}

// draw fills to, whose rectangle is in lines of the page, with what the scanner
// sees there.
func (p *page) draw(to draw.Image) {
	r := to.Bounds()
	draw.Draw(to, r, image.NewUniform(p.back), image.Point{}, draw.Src)
	seen := p.image.Bounds().Sub(p.at).Intersect(r)
	draw.Draw(to, seen, p.image, seen.Min.Add(p.at), draw.Src)
}

// raster is the whole page, for a compressor.
func (p *page) raster() image.Image {
	r := image.Rect(0, 0, p.width, p.lines)
	if p.w.composition == grayImage {
		to := image.NewGray(r)
		p.draw(to)
		return to
	}
	to := image.NewRGBA(r)
	p.draw(to)
	return to
}

// lines is a page as uncompressed data.
type lines struct {
	page  *page
	order Order
	y     int
	row   *image.RGBA
	wire  []byte // of the row, not yet read
}

// Read gives the next bytes.
func (l *lines) Read(b []byte) (int, error) {
	if len(l.wire) == 0 {
		if l.y == l.page.lines {
			return 0, io.EOF
		}
		l.next()
	}
	n := copy(b, l.wire)
	l.wire = l.wire[n:]
	return n, nil
}

// next makes the data of one line.
func (l *lines) next() {
	p := l.page
	if l.row == nil {
		l.row = image.NewRGBA(image.Rect(0, 0, p.width, 1))
	}
	l.row.Rect = image.Rect(0, l.y, p.width, l.y+1)
	p.draw(l.row)
	l.y++
	out := make([]byte, p.w.lineBytes())
	for x := range p.width {
		px := l.row.Pix[4*x:][:3:3]
		switch {
		case p.w.composition == grayImage:
			out[x] = ^luma(px)
		case p.w.composition == binaryImage:
			if luma(px) < 128 != p.w.reverse {
				out[x/8] |= 0x80 >> (x % 8)
			}
		case l.order == ByPixel:
			out[3*x], out[3*x+1], out[3*x+2] = ^px[0], ^px[1], ^px[2]
		case l.order == ByPixelBG:
			out[3*x], out[3*x+1], out[3*x+2] = ^px[2], ^px[1], ^px[0]
		case l.order == ByLine:
			out[x], out[p.width+x], out[2*p.width+x] = ^px[0], ^px[1], ^px[2]
		}
	}
	l.wire = out
}

// luma is the grey of a colour, as color.GrayModel has it.
func luma(px []byte) byte {
	return byte((19595*uint32(px[0])*0x101 + 38470*uint32(px[1])*0x101 + 7471*uint32(px[2])*0x101 + 1<<15) >> 24)
}

// quality is of the hardware's JPEG.
const quality = 85

// encode makes a JPEG file, with the head that has the resolution or without.
func encode(img image.Image, jfif bool) ([]byte, error) {
	var b bytes.Buffer
	if err := jpeg.Encode(&b, img, &jpeg.Options{Quality: quality}); err != nil {
		return nil, err
	}
	if !jfif {
		return b.Bytes(), nil
	}
	head := []byte("\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01\x02\x01\x01\x2c\x01\x2c\x00\x00") // 300 dpi
	return append(head, b.Bytes()[2:]...), nil
}

// interleave makes the one JPEG of both sides that older machines send: an image
// of twice the width, whose restart intervals are by turns of the front and of
// the back. Each interval is a strip of one side, encoded as if it were alone.
func interleave(front, back image.Image) ([]byte, error) {
	r := front.Bounds()
	rows := 16 // of a strip: colours are sampled two by two
	if _, gray := front.(*image.Gray); gray {
		rows = 8
	}
	var out []byte
	n := 0
	for y := 0; y < r.Dy(); y += rows {
		for _, side := range []image.Image{front, back} {
			strip := side.(interface {
				SubImage(image.Rectangle) image.Image
			}).SubImage(image.Rect(0, y, r.Dx(), min(y+rows, r.Dy())))
			one, err := encode(strip, false)
			if err != nil {
				return nil, err
			}
			head, data := cut(one)
			if n == 0 {
				out = jointHead(head, r, rows)
			} else {
				out = append(out, 0xff, 0xd0+byte((n-1)%8))
			}
			out = append(out, data...)
			n++
		}
	}
	return append(out, 0xff, 0xd9), nil
}

// cut parts a JPEG file after its start of scan and takes the end off.
func cut(b []byte) (head, data []byte) {
	sos := bytes.Index(b, []byte{0xff, 0xda})
	start := sos + 2 + be16(b[sos+2:])
	return b[:start], b[start : len(b)-2]
}

// jointHead is the head of a strip made that of both sides: their size, and the
// length of an interval, in blocks.
func jointHead(strip []byte, r image.Rectangle, rows int) []byte {
	sof := bytes.Index(strip, []byte{0xff, 0xc0})
	binary.BigEndian.PutUint16(strip[sof+5:], uint16(r.Dy()))
	binary.BigEndian.PutUint16(strip[sof+7:], uint16(2*r.Dx()))
	dri := []byte{0xff, 0xdd, 0, 4, 0, 0}
	binary.BigEndian.PutUint16(dri[4:], uint16(r.Dx()/rows))
	out := append([]byte{}, strip[:sof]...)
	out = append(out, dri...)
	return append(out, strip[sof:]...)
}
