package sheets

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"docscan/scan/imaging"
	"docscan/scan/imaging/barcode"
)

// read prints the first page of a PDF at dpi, with another program, and gives
// what is read from it.
func read(t *testing.T, file []byte, dpi int) []string {
	t.Helper()
	dir := t.TempDir()
	path := filepath.Join(dir, "sheet.pdf")
	if err := os.WriteFile(path, file, 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("qpdf", "--check", path).CombinedOutput(); err != nil {
		t.Errorf("qpdf --check: %v\n%s", err, out)
	}
	if out, err := exec.Command("pdftoppm", "-r", strconv.Itoa(dpi), "-gray", "-png", "-singlefile", path, filepath.Join(dir, "sheet")).CombinedOutput(); err != nil {
		t.Fatalf("pdftoppm: %v\n%s", err, out)
	}
	data, err := os.ReadFile(filepath.Join(dir, "sheet.png"))
	if err != nil {
		t.Fatal(err)
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	h, err := imaging.ReadHeader(data, 50e6)
	if err != nil {
		t.Fatal(err)
	}
	p, _, err := imaging.Decode(data, h, 1, true)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	g, err := p.Gray()
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	codes, err := barcode.Read(g, float64(dpi), 255)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, c := range codes {
		if s := string(c.Kind) + " " + c.Text; !slices.Contains(got, s) {
			got = append(got, s)
		}
	}
	slices.Sort(got)
	return got
}

// What is printed is read again, also where it is scanned coarsely.
func TestSeparators(t *testing.T) {
	tests := []struct {
		kind, text string
		want       []string
	}{
		{Patch, "", []string{"code39 PATCHT", "patch T", "qr PATCHT"}},
		{QR, "Nächster Vorgang", []string{"qr Nächster Vorgang"}},
		{Code128, "NEXT-1", []string{"code128 NEXT-1"}},
		{Code39, "NEXT 2", []string{"code39 NEXT 2"}},
	}
	for _, tt := range tests {
		for _, dpi := range []int{300, 150} {
			t.Run(fmt.Sprint(tt.kind, dpi), func(t *testing.T) {
				var b bytes.Buffer
				s := Separators{Kind: tt.kind, Text: tt.text, Sheets: 2, Letter: dpi == 150, Title: "Trennblatt", Advice: "Zwischen zwei Dokumente legen."}
				if err := s.Write(&b, time.Now()); err != nil {
					t.Fatal(err)
				}
				if got := read(t, b.Bytes(), dpi); !slices.Equal(got, tt.want) {
					t.Errorf("read %q, want %q", got, tt.want)
				}
			})
		}
	}
}

// Every label of a sheet is read; the smallest only as finely as offices scan.
func TestLabels(t *testing.T) {
	tests := []struct {
		layout, kind string
		dpi          int
	}{
		{"L4731", QR, 300}, {"L4732", DataMatrix, 150}, {"L4737", Code128, 150}, {"L7160", Code39, 300},
	}
	for _, tt := range tests {
		t.Run(fmt.Sprint(tt.layout, tt.kind, tt.dpi), func(t *testing.T) {
			l := Labels{Layout: tt.layout, Kind: tt.kind, Prefix: "ASN", Digits: 5, From: 98, Count: 12, Skip: 3, Right: 1, Down: -0.5}
			var b bytes.Buffer
			if err := l.Write(&b, time.Now()); err != nil {
				t.Fatal(err)
			}
			var want []string
			for n := 98; n < 110; n++ {
				want = append(want, fmt.Sprintf("%s ASN%05d", tt.kind, n))
			}
			if got := read(t, b.Bytes(), tt.dpi); !slices.Equal(got, want) {
				t.Errorf("read %q, want %q", got, want)
			}
			if next, err := l.Next(); next != 110 || err != nil {
				t.Errorf("the next number is %d (%v), want 110", next, err)
			}
		})
	}
}

// All labels lie on the paper, and none on another.
func TestLayouts(t *testing.T) {
	for _, l := range Layouts() {
		p := newPaper(l.Letter)
		right, low := l.Left+l.Right*float64(l.Columns-1)+l.Width, l.Top+l.Down*float64(l.Rows-1)+l.Height
		if l.Right < l.Width || l.Down < l.Height || right > p.width-l.Left+1 || low > p.height-l.Top+1 {
			t.Errorf("%s: labels end at %g x %g mm, of %g x %g", l.Name, right, low, p.width, p.height)
		}
	}
}

func TestWhatCannotBePrinted(t *testing.T) {
	ok := Labels{Layout: "L4731", Kind: QR, Prefix: "ASN", Digits: 5, From: 1}
	with := func(change func(*Labels)) Labels {
		l := ok
		change(&l)
		return l
	}
	for name, l := range map[string]Labels{
		"layout":    with(func(l *Labels) { l.Layout = "?" }),
		"kind":      with(func(l *Labels) { l.Kind = Patch }),
		"digits":    with(func(l *Labels) { l.Digits = 0 }),
		"number":    with(func(l *Labels) { l.From = 0 }),
		"skip":      with(func(l *Labels) { l.Skip = 189 }),
		"too many":  with(func(l *Labels) { l.Count = 1e6 }),
		"moved far": with(func(l *Labels) { l.Down = 11 }),
		"too long":  with(func(l *Labels) { l.Kind = Code39 }),
		"no text":   with(func(l *Labels) { l.Kind, l.Layout, l.Prefix = Code39, "L7160", "ä" }),
	} {
		if err := l.Write(&bytes.Buffer{}, time.Now()); !errors.Is(err, ErrChoice) {
			t.Errorf("%s: %v, want ErrChoice", name, err)
		}
	}
	for name, s := range map[string]Separators{
		"kind":   {Kind: "aztec", Text: "X", Sheets: 1},
		"text":   {Kind: QR, Sheets: 1},
		"sheets": {Kind: Patch, Sheets: MaxSheets + 1},
		"umlaut": {Kind: Code39, Text: "Ä", Sheets: 1},
		"long":   {Kind: Code128, Text: string(bytes.Repeat([]byte("x"), 101)), Sheets: 1},
	} {
		if err := s.Write(&bytes.Buffer{}, time.Now()); !errors.Is(err, ErrChoice) {
			t.Errorf("%s: %v, want ErrChoice", name, err)
		}
	}
}

// A code is drawn of any text, or the text is refused.
func FuzzCode(f *testing.F) {
	for _, text := range []string{"", "next", "A B", "ä", "\x00", "\n", "😀", strings.Repeat("9", 60)} {
		for i := range LabelKinds() {
			f.Add(uint8(i), text)
		}
	}
	p := newPaper(false)
	f.Fuzz(func(t *testing.T, kind uint8, text string) {
		list := LabelKinds()
		if err := p.code(list[int(kind)%len(list)], text, 20, 20, 100, 50); err != nil && !errors.Is(err, ErrChoice) {
			t.Error(err)
		}
	})
}
