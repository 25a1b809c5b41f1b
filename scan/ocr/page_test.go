package ocr

import (
	"bytes"
	"errors"
	"image"
	"image/color"
	stddraw "image/draw"
	"image/jpeg"
	"image/png"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"golang.org/x/image/draw"
	"golang.org/x/image/font"
	"golang.org/x/image/font/gofont/goregular"
	"golang.org/x/image/font/opentype"
	"golang.org/x/image/math/f64"
	"golang.org/x/image/math/fixed"

	"docscan/scan/text"
)

// A sheet is A4 at 200 dpi, with words at known places.
const (
	sheetDPI    = 200
	sheetWidth  = 1654
	sheetHeight = 2339
)

type sheet struct {
	img   *image.Gray
	words []placed
}

// placed is a word with the start of its baseline and its length, in pixels.
type placed struct {
	text        string
	x, y, width float64
}

const letter = `Dear neighbour, the little library on the corner
opens again on Monday morning at nine.
Please bring back the books which you have
borrowed, even if a page is torn or wet.

We have repaired the roof and painted all the
shelves, and there is hot tea in the back room.
Children under twelve pay nothing. Everybody
else is asked for 12 coins a year.`

// paperOf gives a sheet that is the same all over.
func paperOf(width, height int, v uint8) *image.Gray {
	return &image.Gray{Pix: bytes.Repeat([]byte{v}, width*height), Stride: width, Rect: image.Rect(0, 0, width, height)}
}

// printed gives the part of a sheet with all that is on it.
func (s *sheet) printed() image.Rectangle {
	var r image.Rectangle
	for y := range s.img.Rect.Dy() {
		row := s.img.Pix[y*s.img.Stride:][:s.img.Stride]
		if len(bytes.TrimLeft(row, string(row[:1]))) == 0 {
			continue
		}
		for x, v := range row {
			if v != row[0] {
				r = r.Union(image.Rect(x, y, x+1, y+1))
			}
		}
	}
	return r.Inset(-2).Intersect(s.img.Rect)
}

// newSheet draws paragraphs on a sheet, dark on light.
func newSheet(t *testing.T, paragraphs string, paper, ink uint8) *sheet {
	t.Helper()
	f, err := opentype.Parse(goregular.TTF)
	if err != nil {
		t.Fatal(err)
	}
	face, err := opentype.NewFace(f, &opentype.FaceOptions{Size: 12, DPI: sheetDPI})
	if err != nil {
		t.Fatal(err)
	}
	defer face.Close()
	s := &sheet{img: paperOf(sheetWidth, sheetHeight, paper)}
	d := font.Drawer{Dst: s.img, Src: image.NewUniform(color.Gray{Y: ink}), Face: face}
	for i, line := range strings.Split(paragraphs, "\n") {
		d.Dot = fixed.P(200, 300+55*i)
		for word := range strings.FieldsSeq(line) {
			start := d.Dot
			d.DrawString(word)
			s.words = append(s.words, placed{word, float64(start.X) / 64, float64(start.Y) / 64, float64(d.Dot.X-start.X) / 64})
			d.DrawString(" ")
		}
	}
	return s
}

// turned gives the sheet as a scanner sees it that is fed askew, and the places
// of the words there. Degrees turn the paper clockwise.
func (s *sheet) turned(degrees float64) *sheet {
	out := &sheet{}
	w, h := float64(sheetWidth), float64(sheetHeight)
	quarter := int(math.Round(degrees/90)) % 4
	outW, outH := sheetWidth, sheetHeight
	if quarter%2 != 0 {
		outW, outH = outH, outW
	}
	sin, cos := math.Sincos(degrees * math.Pi / 180)
	// About the centre of the one to the centre of the other.
	m := f64.Aff3{
		cos, -sin, float64(outW)/2 - cos*w/2 + sin*h/2,
		sin, cos, float64(outH)/2 - sin*w/2 - cos*h/2,
	}
	out.img = paperOf(outW, outH, s.img.Pix[0])
	// Its margins need not be drawn anew, which takes most of the time.
	draw.BiLinear.Transform(out.img, m, s.img, s.printed(), draw.Src, nil)
	for _, p := range s.words {
		out.words = append(out.words, placed{p.text, m[0]*p.x + m[1]*p.y + m[2], m[3]*p.x + m[4]*p.y + m[5], p.width})
	}
	return out
}

// save writes the sheet as a PNG.
func (s *sheet) save(t *testing.T) string {
	t.Helper()
	var b bytes.Buffer
	if err := (&png.Encoder{CompressionLevel: png.NoCompression}).Encode(&b, s.img); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "sheet.png")
	if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func wordsOf(p *text.Page) []text.Word {
	var words []text.Word
	for _, l := range p.Lines {
		words = append(words, l.Words...)
	}
	return words
}

// between gives the angle from a to b in degrees, -180 to 180.
func between(a, b float64) float64 { return math.Remainder(b-a, 360) }

// Every word is read, and stands where it was drawn, however the sheet was fed.
func TestRecognizePlacesWords(t *testing.T) {
	p := newPagePool(t, nil)
	upright := newSheet(t, letter, 245, 30)
	for _, tt := range []struct {
		name    string
		degrees float64 // clockwise turn of the paper
		rotate  int     // clockwise turn that puts it right
		skew    float64
	}{
		{"upright", 0, 0, 0},
		{"2 degrees askew", 2, 0, 2},
		{"3 degrees askew the other way", -3, 0, -3},
		{"upside down", 180, 180, 0},
		{"upside down and askew", 181.5, 180, 1.5},
		{"turned to the right", 90, 270, 0},
		{"turned to the left", 270, 90, 0},
		{"turned to the left and askew", 269, 90, -1},
		{"laid onto the glass anyhow", 18, 0, 0}, // nor shown straight
		{"laid onto the glass anyhow, upside down", 198, 180, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := upright.turned(tt.degrees)
			dir := t.TempDir()
			got, err := p.Recognize(t.Context(), RecognizeJob{Path: s.save(t), DPI: sheetDPI, Dir: dir})
			if err != nil {
				t.Fatal(err)
			}
			page := got.Text
			if page.Width != s.img.Rect.Dx() || page.Height != s.img.Rect.Dy() || page.DPI != sheetDPI || page.Version != 1 {
				t.Errorf("page of %d x %d at %d dpi, version %d", page.Width, page.Height, page.DPI, page.Version)
			}
			if page.Rotate != tt.rotate || math.Abs(page.Skew-tt.skew) > 0.15 {
				t.Errorf("rotate %d, skew %.2f, want %d, %.2f", page.Rotate, page.Skew, tt.rotate, tt.skew)
			}
			checkUprightView(t, got, dir)
			words := wordsOf(&page)
			if len(words) != len(s.words) {
				t.Fatalf("%d words, want %d:\n%s", len(words), len(s.words), page.Plain())
			}
			for i, w := range words {
				want := s.words[i]
				if w.Text != want.text {
					t.Errorf("word %d is %q, want %q", i, w.Text, want.text)
				}
				// Side bearings and the engine's rounding make the difference.
				const near = 8
				if math.Hypot(w.X-want.x, w.Y-want.y) > near || math.Abs(w.Width-want.width) > near {
					t.Errorf("%q at %.0f,%.0f, %.0f long; want %.0f,%.0f, %.0f", w.Text, w.X, w.Y, w.Width, want.x, want.y, want.width)
				}
				if math.Abs(between(w.Angle, tt.degrees)) > 0.7 {
					t.Errorf("%q runs along %.2f degrees, want %.2f", w.Text, w.Angle, tt.degrees)
				}
				// 12 pt at 200 dpi are 33 pixels.
				if w.Height < 20 || w.Height > 45 || w.Descent < 0 || w.Descent > 15 {
					t.Errorf("%q is %.0f high, %.0f of it below the baseline", w.Text, w.Height, w.Descent)
				}
			}
			if first, last := page.Lines[0].Paragraph, page.Lines[len(page.Lines)-1].Paragraph; first >= last {
				t.Errorf("paragraphs %d to %d, want at least two", first, last)
			}
		})
	}
}

// checkUprightView wants new pictures for a page that has to be turned or
// straightened, and none for another.
func checkUprightView(t *testing.T, got Recognized, dir string) {
	t.Helper()
	if asItLies(&got.Text, got.Holes) {
		if got.View != "" || got.Thumb != "" {
			t.Errorf("upright page with new pictures %q, %q", got.View, got.Thumb)
		}
		if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
			t.Errorf("left behind: %v, %v", left, err)
		}
		return
	}
	checkPicture(t, got.View, 1131, 1600)
	checkPicture(t, got.Thumb, 226, 320)
}

// checkPicture wants a JPEG of about that size.
func checkPicture(t *testing.T, path string, width, height int) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	c, err := jpeg.DecodeConfig(f)
	if err != nil {
		t.Fatal(err)
	}
	if d := c.Width - width; d < -2 || d > 2 {
		t.Errorf("%s is %d wide, want %d", filepath.Base(path), c.Width, width)
	}
	if d := c.Height - height; d < -2 || d > 2 {
		t.Errorf("%s is %d high, want %d", filepath.Base(path), c.Height, height)
	}
}

func TestRecognizeKinds(t *testing.T) {
	blot := func(s *sheet, r image.Rectangle, v uint8) {
		stddraw.Draw(s.img, r, image.NewUniform(color.Gray{Y: v}), image.Point{}, stddraw.Src)
	}
	tests := []struct {
		name      string
		sheet     func() *sheet
		languages []string
		want      []string // words among those read; none: the page is blank
	}{
		{"blank", func() *sheet { return newSheet(t, "", 250, 0) }, nil, nil},
		{"blank with a punch hole's shadow and dust", func() *sheet {
			s := newSheet(t, "", 235, 0)
			blot(s, image.Rect(500, 700, 503, 703), 0)
			blot(s, image.Rect(0, 0, 10, sheetHeight), 40)
			return s
		}, nil, nil},
		{"three words", func() *sheet { return newSheet(t, "Three small words", 250, 40) }, nil, []string{"Three", "small", "words"}},
		{"three words upside down", func() *sheet { return newSheet(t, "Three small words", 250, 40).turned(180) }, nil, []string{"Three", "small", "words"}},
		{"white on dark", func() *sheet { return newSheet(t, letter, 35, 245) }, nil, []string{"library", "Children"}},
		{"light grey on tinted paper", func() *sheet { return newSheet(t, letter, 205, 110) }, nil, []string{"library", "Children"}},
		{"two languages", func() *sheet {
			return newSheet(t, "The answer is written below in two languages.\n\nDie Größe der Tür überrascht uns, weil sie höher ist.", 250, 20)
		}, []string{"eng", "deu"}, []string{"answer", "Größe", "überrascht", "höher"}},
	}
	p := newPagePool(t, nil)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if err := new(Config).CheckLanguages(tt.languages); err != nil {
				t.Fatal(err)
			}
			got, err := p.Recognize(t.Context(), RecognizeJob{Path: tt.sheet().save(t), DPI: sheetDPI, Languages: tt.languages, Dir: t.TempDir()})
			if err != nil {
				t.Fatal(err)
			}
			plain := got.Text.Plain()
			if len(tt.want) == 0 && plain != "" {
				t.Errorf("read %q on a blank page", plain)
			}
			read := strings.FieldsFunc(plain, func(r rune) bool { return strings.ContainsRune(" \n.,", r) })
			for _, w := range tt.want {
				if !slices.Contains(read, w) {
					t.Errorf("%q is not among the words read:\n%s", w, plain)
				}
			}
			if want := tt.languages; want != nil && !slices.Equal(got.Text.Languages, want) {
				t.Errorf("languages %v, want %v", got.Text.Languages, want)
			}
		})
	}
}

// soft gives the sheet as a third carbon copy of it looks: pale, and no edge is sharp.
func (s *sheet) soft(contrast float64) *sheet {
	const times, reach = 3, 2
	paper := float64(s.img.Pix[0])
	pix := s.img.Pix
	for range times {
		for _, step := range []int{1, s.img.Stride} {
			from := slices.Clone(pix)
			for i := reach * step; i < len(pix)-reach*step; i++ {
				sum := 0
				for k := -reach; k <= reach; k++ {
					sum += int(from[i+k*step])
				}
				pix[i] = uint8(sum / (2*reach + 1))
			}
		}
	}
	for i, v := range pix {
		pix[i] = uint8(paper - contrast*(paper-float64(v)))
	}
	return s
}

// A sign in a pale colour that is nearly as light as the paper keeps its side; paper in that colour does not.
func TestPaleColourIsNotBlank(t *testing.T) {
	p := newPagePool(t, nil)
	paper, green := color.NRGBA{R: 248, G: 247, B: 244, A: 255}, color.NRGBA{R: 224, G: 244, B: 224, A: 255}
	for _, tt := range []struct {
		name  string
		sheet color.Color
		sign  color.Color
		blank bool
	}{{"white", paper, paper, true}, {"green", green, green, true}, {"a green sign", paper, green, false}} {
		m := image.NewNRGBA(image.Rect(0, 0, sheetWidth, sheetHeight))
		stddraw.Draw(m, m.Rect, image.NewUniform(tt.sheet), image.Point{}, stddraw.Src)
		stddraw.Draw(m, image.Rect(300, 300, 480, 420), image.NewUniform(tt.sign), image.Point{}, stddraw.Src)
		path := filepath.Join(t.TempDir(), "side.jpg")
		f, err := os.Create(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(jpeg.Encode(f, m, &jpeg.Options{Quality: 80}), f.Close()); err != nil {
			t.Fatal(err)
		}
		got, err := p.Recognize(t.Context(), RecognizeJob{Path: path, DPI: sheetDPI, Dir: t.TempDir()})
		if err != nil || got.Blank != tt.blank {
			t.Errorf("%s: blank %v, %v; want %v", tt.name, got.Blank, err, tt.blank)
		}
	}
}

// What is as soft as the print on the other side of a sheet is kept if it can be read.
func TestSoftPrintIsNotBlank(t *testing.T) {
	p := newPagePool(t, nil)
	recognize := func(s *sheet) *Recognized {
		t.Helper()
		got, err := p.Recognize(t.Context(), RecognizeJob{Path: s.save(t), DPI: sheetDPI, Dir: t.TempDir()})
		if err != nil {
			t.Fatal(err)
		}
		return &got
	}
	got := recognize(newSheet(t, letter, 240, 20).soft(0.5))
	if plain := got.Text.Plain(); got.Blank || !strings.Contains(plain, "library") || !strings.Contains(plain, "neighbour") {
		t.Errorf("soft print is blank: %v; read\n%s", got.Blank, plain)
	}
	back := newSheet(t, letter, 240, 20).soft(0.5)
	for y := range sheetHeight {
		slices.Reverse(back.img.Pix[y*back.img.Stride:][:sheetWidth])
	}
	if got := recognize(back); !got.Blank {
		t.Errorf("print that is seen through the paper is kept; read\n%s", got.Text.Plain())
	}
}

// A side that is known to come upside down is turned where its text does not
// tell, and left alone where the text says otherwise.
func TestRecognizeTurned(t *testing.T) {
	scrawl := func() *sheet {
		s := newSheet(t, "", 250, 0)
		for i := range 400 { // a stroke that is no letter
			stddraw.Draw(s.img, image.Rect(200+i, 300+i%40, 204+i, 304+i%40), image.NewUniform(color.Gray{Y: 40}), image.Point{}, stddraw.Src)
		}
		return s
	}
	tests := []struct {
		name   string
		sheet  *sheet
		turned bool
		want   int // clockwise turn that makes it upright
	}{
		{"blank", newSheet(t, "", 250, 0), true, 180},
		{"blank, nothing known", newSheet(t, "", 250, 0), false, 0},
		{"a scrawl", scrawl(), true, 180},
		{"text, upside down as expected", newSheet(t, letter, 250, 20).turned(180), true, 180},
		{"text, upright against all expectation", newSheet(t, letter, 250, 20), true, 0},
	}
	p := newPagePool(t, nil)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			got, err := p.Recognize(t.Context(), RecognizeJob{Path: tt.sheet.save(t), DPI: sheetDPI, Turned: tt.turned, Dir: dir})
			if err != nil {
				t.Fatal(err)
			}
			if got.Text.Rotate != tt.want {
				t.Errorf("turned by %d degrees, want %d", got.Text.Rotate, tt.want)
			}
			if tt.want != 0 {
				checkUprightView(t, got, dir)
			}
		})
	}
}

// Letters tell how a page lies: many of them by themselves, and where more seem to hang
// than stand by a few, when the engine has read some.
func TestLie(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	data, err := tessdata()
	if err != nil {
		t.Fatal(err)
	}
	open := func(t *testing.T, text string, degrees float64) *page {
		f, err := os.Open(newSheet(t, text, 250, 20).turned(degrees).save(t))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
		src, err := openSource(f, 1e8)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(src.close)
		w := &worker{engine: engine{tessdata: data}}
		t.Cleanup(w.engine.close)
		p, err := w.openPage(src, request{DPI: sheetDPI, Languages: []string{"eng"}})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(p.close)
		return p
	}
	for _, tt := range []struct {
		name    string
		degrees float64
		want    int // clockwise quarter turns
	}{
		{"upright", 0, 0},
		{"upside down", 180, 2},
		{"on its side", 90, 3},
	} {
		t.Run("text "+tt.name, func(t *testing.T) {
			p := open(t, strings.Repeat(letter+"\n", 4), tt.degrees)
			got, err := p.lie()
			if err != nil || got != tt.want || !p.lies || p.worker.engine.client != nil {
				t.Errorf("%d quarter turns, told by letters %v, %v: want %d without the engine", got, p.lies, err, tt.want)
			}
		})
	}
	for _, tt := range []struct {
		name     string
		text     string
		degrees  float64
		mistaken int
		want     int
		lies     bool
	}{
		{"upright", letter, 0, 2, 0, true},
		{"upright, taken for one on its side", letter, 0, 1, 0, true},
		{"on its side", letter, 90, 1, 3, true},
		{"no word", strings.Repeat("- .. -\n", 30), 0, 2, 0, false},
	} {
		t.Run("by a sample, "+tt.name, func(t *testing.T) {
			p := open(t, tt.text, tt.degrees)
			ink, err := p.binary()
			if err != nil {
				t.Fatal(err)
			}
			defer ink.Close()
			got, err := p.lieBySample(ink, tt.mistaken)
			if err != nil || got != tt.want || p.lies != tt.lies {
				t.Errorf("%d quarter turns, told by letters %v, %v: want %d, %v", got, p.lies, err, tt.want, tt.lies)
			}
		})
	}
}

// What is shown on a screen has no more holes than the PDF, though the page lies upright.
func TestShownWithoutHoles(t *testing.T) {
	s := newSheet(t, letter, 250, 20)
	// 12 mm from the edge, 80 mm from each other and 6 mm wide.
	const radius = 24
	holes := [][2]int{{94, 850}, {94, 1480}}
	for y := range sheetHeight {
		for x := range sheetWidth {
			for _, at := range holes {
				if math.Hypot(float64(x-at[0]), float64(y-at[1])) <= radius {
					s.img.Pix[y*s.img.Stride+x] = 20
				}
			}
		}
	}
	dir := t.TempDir()
	got, err := newPagePool(t, nil).Recognize(t.Context(), RecognizeJob{Path: s.save(t), DPI: sheetDPI, Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	if got.Text.Rotate != 0 || len(got.Holes) != len(holes) {
		t.Fatalf("turned by %d, holes %v", got.Text.Rotate, got.Holes)
	}
	f, err := os.Open(got.View)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	m, err := jpeg.Decode(f)
	if err != nil {
		t.Fatal(err)
	}
	for _, at := range holes {
		x, y := at[0]*m.Bounds().Dx()/sheetWidth, at[1]*m.Bounds().Dy()/sheetHeight
		if v := color.GrayModel.Convert(m.At(x, y)).(color.Gray).Y; v < 230 {
			t.Errorf("a hole is shown at %d, %d: %d", x, y, v)
		}
	}
}

// What the engine makes room for comes back as it was: on a bed and with holes, on dark
// paper, and from a scan that is reduced.
func TestPageIsPutAway(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	onBed := newSheet(t, letter, 245, 20)
	stddraw.Draw(onBed.img, image.Rect(0, 0, 120, sheetHeight), image.NewUniform(color.Gray{Y: 30}), image.Point{}, stddraw.Src)
	for _, y := range []int{sheetHeight/2 - 315, sheetHeight/2 + 315} { // 80 mm apart
		for dy := -24; dy <= 24; dy++ {
			half := int(math.Sqrt(float64(24*24 - dy*dy)))
			stddraw.Draw(onBed.img, image.Rect(215-half, y+dy, 215+half+1, y+dy+1), image.NewUniform(color.Gray{Y: 30}), image.Point{}, stddraw.Src)
		}
	}
	for _, tt := range []struct {
		name     string
		sheet    *sheet
		dpi      int
		holes    int
		negative bool
	}{
		{"on a bed, with holes", onBed, sheetDPI, 2, false},
		{"dark paper", newSheet(t, letter, 40, 230), sheetDPI, 0, true},
		{"reduced", newSheet(t, letter, 245, 20), 600, 0, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f, err := os.Open(tt.sheet.save(t))
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			src, err := openSource(f, 1e8)
			if err != nil {
				t.Fatal(err)
			}
			defer src.close()
			p, err := new(worker).openPage(src, request{DPI: tt.dpi, Blank: KeepBlank})
			if err != nil {
				t.Fatal(err)
			}
			defer p.close()
			if len(p.holes) != tt.holes || p.negative != tt.negative {
				t.Fatalf("%d holes, negative %v: want %d, %v", len(p.holes), p.negative, tt.holes, tt.negative)
			}
			was := [][]byte{pixels(t, p, whitened), pixels(t, p, scanned)}
			for range 2 {
				if err := p.putAway(); err != nil {
					t.Fatal(err)
				}
				if p.gray != nil || p.clean != nil {
					t.Error("the images take memory while the engine reads")
				}
				for i, g := range []ground{whitened, scanned} {
					if !bytes.Equal(pixels(t, p, g), was[i]) {
						t.Errorf("image %d is not what it was", i)
					}
				}
			}
		})
	}
}

// pixels gives those of an image of p.
func pixels(t *testing.T, p *page, g ground) []byte {
	t.Helper()
	pix, err := p.image(g)
	if err != nil {
		t.Fatal(err)
	}
	var data []byte
	if err := pix.Serialized(func(b []byte) error { data = bytes.Clone(b); return nil }); err != nil {
		t.Fatal(err)
	}
	return data
}

// A photograph of a camera has nothing to tell how it lies; the camera does. Where
// there is text, that is believed.
func TestCameraTellsHowItWasHeld(t *testing.T) {
	text := newSheet(t, letter, 250, 20)
	photograph := newSheet(t, "", 250, 0)
	for y := 300; y < 1300; y++ {
		for x := 200; x < 1400; x++ {
			photograph.img.Pix[y*photograph.img.Stride+x] = uint8(60 + (x+2*y)/40%100)
		}
	}
	tests := []struct {
		name        string
		sheet       *sheet
		orientation byte
		want        int
	}{
		{"a photograph", photograph, 6, 90},
		{"a photograph, nothing said", photograph, 1, 0},
		{"text", text.turned(270), 6, 90},
		{"text that lies otherwise", text, 8, 0},
	}
	p := newPagePool(t, nil)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var b bytes.Buffer
			if err := jpeg.Encode(&b, tt.sheet.img, &jpeg.Options{Quality: 90}); err != nil {
				t.Fatal(err)
			}
			exif := "\xff\xe1\x00\x22Exif\x00\x00II\x2a\x00\x08\x00\x00\x00\x01\x00\x12\x01\x03\x00\x01\x00\x00\x00" + string([]byte{tt.orientation}) + "\x00\x00\x00\x00\x00\x00\x00"
			dir := t.TempDir()
			path := filepath.Join(dir, "camera.jpg")
			if err := os.WriteFile(path, slices.Concat(b.Bytes()[:2], []byte(exif), b.Bytes()[2:]), 0o600); err != nil {
				t.Fatal(err)
			}
			got, err := p.Recognize(t.Context(), RecognizeJob{Path: path, DPI: sheetDPI, Dir: dir})
			if err != nil {
				t.Fatal(err)
			}
			if got.Text.Rotate != tt.want {
				t.Errorf("turned by %d degrees, want %d", got.Text.Rotate, tt.want)
			}
		})
	}
}

// Every file in imaging's testdata is a card of 120 x 80 pixels.
func TestPrepareFormats(t *testing.T) {
	files, err := filepath.Glob("../imaging/testdata/*.*")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	p := newPagePool(t, nil)
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			path, dir := card(t, filepath.Base(file)), t.TempDir()
			got, err := p.Prepare(t.Context(), PrepareJob{Path: path, Resolution: 300, Dir: dir})
			if err != nil {
				t.Fatal(err)
			}
			if got.Width != 120 || got.Height != 80 || got.Damaged {
				t.Errorf("%d x %d, damaged %v; want 120 x 80", got.Width, got.Height, got.Damaged)
			}
			if want := map[string]string{".jpg": "jpeg", ".png": "png", ".tif": "tiff"}[filepath.Ext(file)]; got.Format != want {
				t.Errorf("format %s, want %s", got.Format, want)
			}
			wantDPI := 300
			if filepath.Base(file) == "color.png" {
				wantDPI = 200 // says so itself
			}
			if got.DPI != wantDPI {
				t.Errorf("%d dpi, want %d", got.DPI, wantDPI)
			}
			checkPicture(t, got.View, 120, 80)
			checkPicture(t, got.Thumb, 120, 80)
			asIs := got.Image.Path == path
			if want := got.Format == "jpeg" && filepath.Base(file) != "cmyk.jpg"; asIs != want {
				t.Errorf("used as it is: %v, want %v", asIs, want)
			}
			if info, err := os.Stat(got.Image.Path); err != nil || info.Size() == 0 {
				t.Errorf("the image for the PDF: %v, %v", info, err)
			}
			if _, err := os.Stat(filepath.Join(dir, "image")); asIs == (err == nil) {
				t.Errorf("file for the PDF in the folder: %v", err)
			}
		})
	}
}

func TestPrepareRefuses(t *testing.T) {
	whole, err := os.ReadFile(card(t, "gray.png"))
	if err != nil {
		t.Fatal(err)
	}
	bomb := bytes.Clone(whole)
	copy(bomb[16:], "\x00\x01\x86\xa0\x00\x01\x86\xa0") // 100,000 x 100,000
	tests := []struct {
		name string
		data []byte
		want string
	}{
		{"empty", nil, "0 bytes"},
		{"a page of the scanner's web server", []byte("<html>busy"), "not a JPEG, PNG or TIFF"},
		{"claims 100,000 x 100,000", bomb, "100000 x 100000 pixels"},
		{"cut off", whole[:len(whole)-20], "damaged"},
		{"random after the header", append(bytes.Clone(whole[:40]), bytes.Repeat([]byte{0xa5}, 500)...), "damaged"},
	}
	p := newPagePool(t, nil)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path, dir := filepath.Join(t.TempDir(), "side"), t.TempDir()
			if err := os.WriteFile(path, tt.data, 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := p.Prepare(t.Context(), PrepareJob{Path: path, Dir: dir})
			if !errors.Is(err, ErrImage) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want %v with %q", err, ErrImage, tt.want)
			}
			if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
				t.Errorf("left behind: %v, %v", left, err)
			}
			if _, err := p.Recognize(t.Context(), RecognizeJob{Path: path, DPI: 300, Dir: dir}); !errors.Is(err, ErrImage) {
				t.Errorf("reading it gives %v, want %v", err, ErrImage)
			}
		})
	}
}

// A JPEG that was cut off is kept as far as it goes, in a form that every
// reader of PDF takes.
func TestPrepareDamaged(t *testing.T) {
	whole, err := os.ReadFile(card(t, "color.jpg"))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "side.jpg")
	if err := os.WriteFile(path, whole[:len(whole)-100], 0o600); err != nil {
		t.Fatal(err)
	}
	p := newPagePool(t, nil)
	got, err := p.Prepare(t.Context(), PrepareJob{Path: path, Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	if !got.Damaged || got.Image.Path == path || got.Image.Filter != "DCTDecode" {
		t.Errorf("prepared %+v: want it damaged and coded again", got)
	}
	f, err := os.Open(got.Image.Path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := jpeg.Decode(f); err != nil {
		t.Errorf("the image for the PDF: %v", err)
	}
}
