package raster

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
)

// JPEGLines gives the number of lines that a JPEG file says it has in its head,
// which is the beginning of the file; 0 are told behind the image only. It reports
// false where the head does not reach as far.
func JPEGLines(head []byte) (lines int, ok bool) {
	height, err := jpegHeight(head)
	if err != nil {
		return 0, false
	}
	return int(binary.BigEndian.Uint16(height)), true
}

// ShortenJPEG tells a JPEG file how many lines it has, if there are fewer than its
// head says: the machine writes that before it has seen the end of the paper.
// head is the beginning of the file.
func ShortenJPEG(head []byte, lines int) error {
	height, err := jpegHeight(head)
	if err != nil {
		return err
	}
	if was := int(binary.BigEndian.Uint16(height)); lines < was || was == 0 && lines <= 0xffff {
		binary.BigEndian.PutUint16(height, uint16(lines))
	}
	return nil
}

// JPEGLinesAtEnd gives the number of lines that stands behind the image of a JPEG
// file (ITU-T T.81, B.2.5: DNL), of which tail is the end; 0 is none.
func JPEGLinesAtEnd(tail []byte) int {
	dnl := []byte{0xff, 0xdc, 0, 4} // marker and length
	at := bytes.LastIndex(tail, dnl)
	if at < 0 || at+len(dnl)+2 > len(tail) {
		return 0
	}
	return int(binary.BigEndian.Uint16(tail[at+len(dnl):]))
}

// jpegHeight finds the two bytes of the frame header (ITU-T T.81, B.2.2: SOF) that
// are the number of lines.
func jpegHeight(head []byte) ([]byte, error) {
	for at := 2; at+4 <= len(head); {
		if head[at] != 0xff {
			return nil, fmt.Errorf("no marker at byte %d", at)
		}
		marker := head[at+1]
		size := int(binary.BigEndian.Uint16(head[at+2:]))
		switch {
		case marker == 0xff: // fills up
			at++
			continue
		case size < 2 || marker == 0xda || marker == 0xd9:
			return nil, errors.New("no frame header before the image")
		case marker >= 0xc0 && marker <= 0xcf && marker != 0xc4 && marker != 0xc8 && marker != 0xcc:
			if size < 8 || at+9 > len(head) {
				return nil, errors.New("a frame header that is cut off")
			}
			return head[at+5 : at+7], nil
		}
		at += 2 + size
	}
	return nil, errors.New("no frame header")
}
