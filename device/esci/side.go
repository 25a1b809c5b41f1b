package esci

import (
	"io"

	"docscan/device"
	"docscan/device/raster"
	"docscan/device/spill"
)

// side is one side of a sheet, on its way in or whole.
type side struct {
	sheet int
	back  bool
	begin extent
	kept  *spill.Queue // first written, then read
}

// image makes of a whole side what is handed over. end is the true size, or nil
// if the machine did not tell.
func (s *side) image(p *plan, end *extent) (*device.Side, error) {
	out := &device.Side{Sheet: s.sheet, Back: s.back, Turned: s.back && p.turned, Resolution: p.dpi}
	head := s.kept.Head()
	if len(head) >= 2 && head[0] == 0xff && head[1] == 0xd8 {
		if end != nil && end.lines > 0 {
			if err := raster.ShortenJPEG(head, end.lines); err != nil {
				return nil, device.Faultf(device.BadAnswer, "JPEG of sheet %d: %v", s.sheet, err)
			}
		}
		out.Type = "image/jpeg"
		out.Body = &body{s.kept, s.kept}
		return out, nil
	}
	if p.jpeg {
		return nil, device.Faultf(device.BadAnswer, "sheet %d is no JPEG, but %.8x", s.sheet, head)
	}
	f := raster.Format{Width: s.begin.width, Mode: p.mode, Resolution: p.dpi}
	stride := f.LineBytes() + s.begin.padding
	if stride == 0 {
		return nil, device.Faultf(device.BadAnswer, "sheet %d is no pixels wide", s.sheet)
	}
	f.Lines = int(s.kept.Len() / int64(stride))
	if end != nil && end.lines > 0 {
		if f.Lines < end.lines {
			return nil, device.Faultf(device.BadAnswer, "sheet %d has %d lines where #pen tells of %d", s.sheet, f.Lines, end.lines)
		}
		f.Lines = end.lines
	}
	lines := io.LimitReader(s.kept, int64(f.Lines)*int64(stride))
	tiff, err := raster.TIFF(f, &unpadded{from: lines, line: f.LineBytes(), padding: s.begin.padding, invert: p.mode == device.LineArt})
	if err != nil {
		return nil, device.Faultf(device.BadAnswer, "size of sheet %d: %v", s.sheet, err)
	}
	out.Type = "image/tiff"
	out.Body = &body{tiff, s.kept}
	return out, nil
}

// body is the image of a side that has come whole.
type body struct {
	from io.Reader
	kept *spill.Queue // nil: closed
}

// Read gives the next bytes of the image.
func (b *body) Read(p []byte) (int, error) {
	if b.kept == nil {
		return 0, io.ErrClosedPipe
	}
	return b.from.Read(p)
}

// Close forgets what was not read.
func (b *body) Close() error {
	if b.kept == nil {
		return nil
	}
	k := b.kept
	b.kept = nil
	return k.Close()
}

// unpadded reads lines without the bytes that follow each of them on the wire.
type unpadded struct {
	from          io.Reader
	line, padding int
	at            int  // in the line
	invert        bool // on the wire 1 is white, in package raster 1 is black
	rest          [maxPadding]byte
}

func (u *unpadded) Read(b []byte) (int, error) {
	if u.padding == 0 {
		u.at, u.line = 0, len(b) // nothing to part
	}
	if u.at == u.line {
		if _, err := io.ReadFull(u.from, u.rest[:u.padding]); err != nil {
			return 0, io.EOF // the last line has gone
		}
		u.at = 0
	}
	n, err := u.from.Read(b[:min(len(b), u.line-u.at)])
	if u.invert {
		raster.Invert(b[:n])
	}
	u.at += n
	return n, err
}
