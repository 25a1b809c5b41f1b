package ocr

import (
	"bytes"
	"fmt"
	"image"
	"image/png"
	"os"
	"runtime"
	"strings"
	"testing"

	"docscan/scan/imaging"
)

// anonymous is how much memory of its own this process has.
func anonymous(t *testing.T) (n int64) {
	t.Helper()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	_, kb, _ := strings.Cut(string(status), "RssAnon:")
	if _, err := fmt.Sscan(kb, &n); err != nil {
		t.Fatal(err)
	}
	return n << 10
}

// While the engine reads an image, gosseract's own copy of it takes no memory, and what is
// read is what stands there, also of the next image and after a small one.
func TestSpareImageIsLetGoOf(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	const side = 6000
	m := image.NewGray(image.Rect(0, 0, side, side))
	for i := range m.Pix {
		m.Pix[i] = 255
	}
	var b bytes.Buffer
	if err := png.Encode(&b, m); err != nil {
		t.Fatal(err)
	}
	h, err := imaging.ReadHeader(b.Bytes(), side*side)
	if err != nil {
		t.Fatal(err)
	}
	w := &worker{}
	cfg := DefaultConfig()
	dirs, err := cfg.dataDirs()
	if err != nil {
		t.Fatal(err)
	}
	w.engine.tessdata = dirs[0]
	defer w.engine.close()
	if _, err := w.engine.read(pixOf(t, b.Bytes(), h), 250, anyLayout, []string{"eng"}); err != nil { // the engine has started
		t.Fatal(err)
	}
	for range 2 {
		before := anonymous(t)
		p := pixOf(t, b.Bytes(), h)
		if err := p.Serialized(func(data []byte) error {
			expectImage()
			return w.engine.client.SetImageFromBytes(data)
		}); err != nil {
			t.Fatal(err)
		}
		p.Close()
		if _, err := w.engine.client.HOCRText(); err != nil {
			t.Fatal(err)
		}
		// The engine has its copy, and its thresholds, which are as large; gosseract's is gone.
		if more := anonymous(t) - before; more > 2*side*side+side*side/2 {
			t.Errorf("an image of %d bytes takes %d more while it is read", side*side, more)
		}
	}
}

// pixOf decodes an image.
func pixOf(t *testing.T, data []byte, h imaging.Header) *imaging.Pix {
	t.Helper()
	p, _, err := imaging.Decode(data, h, 1, true)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// Where an image cannot be decoded once more, for a further reading of a doubtful page, what was
// read is kept.
func TestSecondDecodeFails(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	f, err := os.Open(newSheet(t, "These words were read", 255, 0).save(t))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	src, err := openSource(f, 100e6)
	if err != nil {
		t.Fatal(err)
	}
	defer src.close()
	p, err := new(worker).openPage(src, request{DPI: sheetDPI, Languages: []string{"eng"}})
	if err != nil {
		t.Fatal(err)
	}
	defer p.close()
	if err := p.putAway(); err != nil {
		t.Fatal(err)
	}
	whole := src.data
	defer func() { src.data = whole }()
	src.data = whole[:20]
	first := &reading{words: 4, confidence: 85, score: 100}
	if best, err := p.readOtherwise(first); err != nil || best != first {
		t.Errorf("%+v, %v", best, err)
	}
	if _, err := p.readOtherwise(&reading{confidence: 85}); err == nil {
		t.Error("nothing was read, and nothing is wrong")
	}
}
