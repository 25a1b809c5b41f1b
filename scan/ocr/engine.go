package ocr

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"unsafe"

	"github.com/otiai10/gosseract/v2"

	"docscan/scan/imaging"
)

// #include <stdlib.h>
// #include <tesseract/capi.h>
import "C"

// An engine is Tesseract, kept ready for the languages of the last page. It is started and
// given images through gosseract; what it has read, and the orientation of a page, for which
// that has no good calls, come through Tesseract's own interface.
type engine struct {
	tessdata  string
	client    *gosseract.Client // nil until the first page
	languages string            // that client is ready for
}

func (e *engine) close() {
	if e.client != nil {
		e.client.Close()
		e.client = nil
	}
}

// A layout is what the engine is told to expect of a page.
type layout = gosseract.PageSegMode

// The layouts in use.
const (
	anyLayout = gosseract.PSM_AUTO         // columns, tables, pictures: it finds out
	oneBlock  = gosseract.PSM_SINGLE_BLOCK // lines one below the other
	oneLine   = gosseract.PSM_SINGLE_LINE
)

// read recognises the text of p, which has the given resolution, and closes p as soon as
// the engine has a copy: memory is what a small box is short of.
func (e *engine) read(p *imaging.Pix, dpi int, l layout, languages []string) ([]hocrLine, error) {
	if e.tessdata == "" {
		return nil, errors.New("there are no language data")
	}
	if joined := strings.Join(languages, "+"); e.client == nil || joined != e.languages {
		// While it starts, gosseract collects what Tesseract says in a buffer that
		// a few lines overflow. It says nothing if all its files are there.
		for _, l := range languages {
			if err := e.installed(l); err != nil {
				return nil, err
			}
		}
		if e.client != nil {
			e.client.Close()
		}
		e.client, e.languages = gosseract.NewClient(), joined
		if err := errors.Join(e.client.SetTessdataPrefix(e.tessdata), e.client.SetLanguage(languages...)); err != nil {
			return nil, fmt.Errorf("start Tesseract: %w", err)
		}
	}
	// The layout is given as a variable, which gosseract sets after the start: its
	// own call for that comes before, and is forgotten.
	if err := errors.Join(e.client.SetVariable("tessedit_pageseg_mode", strconv.Itoa(int(l))),
		e.client.SetVariable("user_defined_dpi", strconv.Itoa(dpi))); err != nil {
		return nil, fmt.Errorf("set up Tesseract: %w", err)
	}
	const side = 32 // pixels
	corner, err := p.Cut(0, 0, min(side, p.Width()), min(side, p.Height()))
	if err != nil {
		return nil, err
	}
	defer corner.Close()
	lines, err := e.linesOn(p)
	if err != nil {
		return nil, err
	}
	// The engine keeps two copies of what it has read until it is given something else,
	// and the next steps need that memory.
	if _, err := e.linesOn(corner); err != nil {
		return nil, err
	}
	return lines, nil
}

// linesOn gives what stands on p, and closes it.
func (e *engine) linesOn(p *imaging.Pix) (lines []hocrLine, err error) {
	err = p.Serialized(func(data []byte) error {
		expectImage()
		return e.client.SetImageFromBytes(data)
	})
	p.Close()
	if err == nil {
		lines, err = e.recognized()
	}
	if err != nil {
		return nil, fmt.Errorf("read the text: %w", err)
	}
	return lines, nil
}

// recognized lets the engine read its image.
func (e *engine) recognized() ([]hocrLine, error) {
	if api := apiOf(e.client); api != nil {
		// Of all that gosseract gives, this takes the least time.
		if _, err := e.client.GetBoundingBoxes(gosseract.RIL_BLOCK); err != nil {
			return nil, err
		}
		return linesOf(api)
	}
	hocr, err := e.client.HOCRText()
	if err != nil {
		return nil, err
	}
	return parseHOCR(hocr)
}

// another starts a Tesseract beside the one that reads pages. The caller deletes it.
func (e *engine) another(data string, mode C.TessOcrEngineMode) (*C.TessBaseAPI, error) {
	path, name := C.CString(e.tessdata), C.CString(data)
	defer C.free(unsafe.Pointer(path))
	defer C.free(unsafe.Pointer(name))
	api := C.TessBaseAPICreate()
	if C.TessBaseAPIInit2(api, path, name, mode) != 0 {
		C.TessBaseAPIDelete(api)
		return nil, fmt.Errorf("start Tesseract with the data %q", data)
	}
	return api, nil
}

// readLines recognises parts of p, of one line each, in one language alone, and gives the
// words of each.
func (e *engine) readLines(p *imaging.Pix, dpi int, language string, parts []box) ([][]hocrWord, error) {
	api, err := e.another(language, C.OEM_LSTM_ONLY)
	if err != nil {
		return nil, err
	}
	defer C.TessBaseAPIDelete(api)
	C.TessBaseAPISetPageSegMode(api, C.PSM_SINGLE_LINE)
	C.TessBaseAPISetImage2(api, (*C.struct_Pix)(p.Pointer()))
	C.TessBaseAPISetSourceResolution(api, C.int(dpi))
	out := make([][]hocrWord, len(parts))
	for i, b := range parts {
		C.TessBaseAPISetRectangle(api, C.int(b.left), C.int(b.top), C.int(b.right-b.left), C.int(b.bottom-b.top))
		if C.TessBaseAPIRecognize(api, nil) != 0 {
			continue // it found no line
		}
		lines, err := linesOf(unsafe.Pointer(api))
		if err != nil {
			return nil, err
		}
		for _, l := range lines {
			out[i] = append(out[i], l.words...)
		}
	}
	return out, nil
}

// installed looks for the data of a language.
func (e *engine) installed(language string) error {
	info, err := os.Stat(filepath.Join(e.tessdata, language+".traineddata"))
	if err != nil {
		return fmt.Errorf("language data: %w", err)
	}
	if info.Size() == 0 {
		return fmt.Errorf("language data: the file of %s is empty", language)
	}
	return nil
}

// orientation tells by its letters how a page lies: quarters is the number of
// clockwise quarter turns that make it upright. confidence is 0 when there are
// too few letters, or no data to tell by. Few pages need it, and its data take
// 40 MB, so that they are let go at once, and the languages make room for them.
func (e *engine) orientation(p *imaging.Pix, dpi int) (quarters int, confidence float64, err error) {
	if e.tessdata == "" || e.installed(osd) != nil {
		return 0, 0, nil
	}
	e.close()
	api, err := e.another(osd, C.OEM_TESSERACT_ONLY)
	if err != nil {
		return 0, 0, err
	}
	defer C.TessBaseAPIDelete(api)
	C.TessBaseAPISetPageSegMode(api, C.PSM_OSD_ONLY)
	C.TessBaseAPISetImage2(api, (*C.struct_Pix)(p.Pointer()))
	C.TessBaseAPISetSourceResolution(api, C.int(dpi))
	var degrees C.int
	var sure, scriptSure C.float
	var script *C.char // belongs to Tesseract
	if C.TessBaseAPIDetectOrientationScript(api, &degrees, &sure, &script, &scriptSure) == 0 {
		return 0, 0, nil
	}
	// It tells how far the page is turned clockwise.
	return (4 - int(degrees)/90) % 4, float64(sure), nil
}
