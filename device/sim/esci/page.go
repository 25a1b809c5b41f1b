package esci

import (
	"bytes"
	"encoding/binary"
	"image"
	"image/draw"
	"image/jpeg"
	"slices"

	"docscan/device/sim/paper"
)

// page is one side as the area cuts it out.
type page struct {
	image     image.Image
	para      *para
	at        image.Point // of the area's corner on the image
	width     int
	announced int // lines that the beginning of the page tells
	lines     int // that there are
	turned    bool
}

// newPage puts a side under its area.
func (s *Scanner) newPage(sh *paper.Sheet, back bool, p *para) (*page, error) {
	n := 0
	if back {
		n = 1
	}
	img, err := sh.See(n, s.cfg.Resolution, p.rsm)
	if err != nil {
		return nil, err
	}
	if img == nil {
		img = paper.Blank(image.Rect(0, 0, s.model.Width*p.rsm/100, glassLength*p.rsm/100))
	}
	b := img.Bounds()
	pg := &page{image: img, para: p, width: p.acq[2], announced: p.acq[3], lines: p.acq[3], turned: back && s.model.Twice}
	pg.at = b.Min.Add(image.Pt(p.acq[0], p.acq[1]))
	if !s.model.Left && !p.glass { // the paper lies in the middle
		pg.at.X -= (s.model.Width*p.rsm/100 - b.Dx()) / 2
	}
	if s.model.Truncates || slices.Contains(p.flags, "PEDT") {
		pg.lines = max(1, min(pg.lines, b.Max.Y-pg.at.Y))
	}
	return pg, nil
}

// gray says whether there is no colour in the scan.
func (p *page) gray() bool { return p.para.col != "C024" }

// raster is the whole page, with white where there is no paper.
func (p *page) raster() image.Image {
	r := image.Rect(0, 0, p.width, p.lines)
	var to draw.Image = image.NewRGBA(r)
	if p.gray() {
		to = image.NewGray(r)
	}
	draw.Draw(to, r, image.White, image.Point{}, draw.Src)
	seen := p.image.Bounds().Sub(p.at).Intersect(r)
	draw.Draw(to, seen, p.image, seen.Min.Add(p.at), draw.Src)
	if p.turned {
		turn(to)
	}
	return to
}

// turn puts an image upside down.
func turn(m draw.Image) {
	b := m.Bounds()
	for i, n := 0, b.Dx()*b.Dy(); i < n/2; i++ {
		x, y := b.Min.X+i%b.Dx(), b.Min.Y+i/b.Dx()
		ox, oy := b.Max.X-1-i%b.Dx(), b.Max.Y-1-i/b.Dx()
		c, o := m.At(x, y), m.At(ox, oy)
		m.Set(x, y, o)
		m.Set(ox, oy, c)
	}
}

// data is the page on the wire, with some bytes after each line, of which it
// says how many there are.
func (p *page) data(padding int) ([]byte, int, error) {
	if p.para.fmt == "JPG " && p.para.col != "M001" {
		b, err := p.jpeg()
		return b, 0, err
	}
	img := p.raster()
	var out []byte
	for y := range p.lines {
		switch img := img.(type) {
		case *image.RGBA:
			for x := range p.width {
				out = append(out, img.Pix[y*img.Stride+4*x:][:3]...)
			}
		case *image.Gray:
			row := img.Pix[y*img.Stride:][:p.width]
			if p.para.col == "M001" {
				row = bits(row, p.para.thr)
			}
			out = append(out, row...)
		}
		out = append(out, bytes.Repeat([]byte{0x55}, padding)...)
	}
	return out, padding, nil
}

// bits packs a line: 1 is white, the first pixel is in the highest bit.
func bits(row []byte, threshold int) []byte {
	out := make([]byte, len(row)/8)
	for x, v := range row {
		if int(v) >= threshold {
			out[x/8] |= 0x80 >> (x % 8)
		}
	}
	return out
}

// jpeg makes the file that the hardware would make: its head has the announced
// number of lines, as it is written before the paper has ended.
func (p *page) jpeg() ([]byte, error) {
	var b bytes.Buffer
	if err := jpeg.Encode(&b, p.raster(), &jpeg.Options{Quality: p.para.jpg}); err != nil {
		return nil, err
	}
	out := b.Bytes()
	sof := bytes.Index(out, []byte{0xff, 0xc0})
	binary.BigEndian.PutUint16(out[sof+5:], uint16(p.announced))
	return out, nil
}
