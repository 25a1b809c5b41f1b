package ocr

import (
	"bytes"
	"fmt"
	"math"
	"reflect"
	"unsafe"

	"github.com/otiai10/gosseract/v2"

	"docscan/scan/imaging"
)

// #cgo CXXFLAGS: -std=c++17
// #include <tesseract/capi.h>
// #include "words.h"
import "C"

// To write hOCR the engine looks for the order of the words of a line, and begins at the first
// word of the page, several times for each word: on a page of a thousand words that takes a tenth
// of all the time. Where all text runs from left to right the order is the one in which they
// stand, and they are taken as they are.

// linesOf gives what a TessBaseAPI has read, as [parseHOCR] gives it.
func linesOf(api unsafe.Pointer) ([]hocrLine, error) {
	var r C.words_read
	defer C.words_free(&r)
	switch C.words_of(api, maxWords, &r) {
	case C.words_done:
	case C.words_mixed:
		return parseHOCR(hocrOf(api))
	default:
		return nil, fmt.Errorf("%w: take the words of a page", imaging.ErrMemory)
	}
	if r.n_words > maxWords {
		return nil, fmt.Errorf("more than %d words", maxWords)
	}
	text := unsafe.Slice((*byte)(unsafe.Pointer(r.bytes)), int(r.n_bytes))
	at := func(n C.int32_t) string {
		s, _, _ := bytes.Cut(text[n:], []byte{0})
		return string(s)
	}
	lines := make([]hocrLine, 0, int(r.n_lines))
	for _, l := range unsafe.Slice(r.lines, int(r.n_lines)) {
		line := hocrLine{
			paragraph: int(l.paragraph), slope: float64(l.slope), offset: float64(l.offset), based: l.based != 0,
			size: float64(l.size), descenders: float64(l.descenders), angle: (int(l.angle)%360 + 360) % 360,
		}
		if err := line.box.set(sides(l.left, l.top, l.right, l.bottom)); err != nil {
			return nil, err
		}
		lines = append(lines, line)
	}
	for _, w := range unsafe.Slice(r.words, int(r.n_words)) {
		word := hocrWord{text: wordText(at(w.text)), confidence: math.Min(math.Max(float64(w.confidence), 0), 100), language: at(w.language)}
		if err := word.box.set(sides(w.left, w.top, w.right, w.bottom)); err != nil {
			return nil, err
		}
		if l := &lines[w.line]; word.text != "" {
			l.words = append(l.words, word)
		}
	}
	lines = withWords(lines)
	setAngles(lines)
	return lines, nil
}

// hocrOf gives what a TessBaseAPI has read as the engine writes it.
func hocrOf(api unsafe.Pointer) string {
	said := C.TessBaseAPIGetHOCRText((*C.TessBaseAPI)(api), 0)
	if said == nil {
		return ""
	}
	defer C.TessDeleteText(said)
	return C.GoString(said)
}

func sides(left, top, right, bottom C.int32_t) []float64 {
	return []float64{float64(left), float64(top), float64(right), float64(bottom)}
}

// apiOf gives the TessBaseAPI of a client, which gosseract keeps to itself, or nil.
func apiOf(client *gosseract.Client) unsafe.Pointer {
	if api := reflect.ValueOf(client).Elem().FieldByName("api"); api.IsValid() && api.Kind() == reflect.UnsafePointer {
		return api.UnsafePointer()
	}
	return nil
}
