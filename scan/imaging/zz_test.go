package imaging

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

func TestZZ(t *testing.T) {
	for _, path := range strings.Fields(os.Getenv("ZZ")) {
		data, _ := os.ReadFile(path)
		h, err := ReadHeader(data, 1e9)
		if err != nil {
			t.Fatal(path, err)
		}
		dpi := 300
		if h.Width*2 < 2600 && strings.Contains(path, "200") {
			dpi = 200
		}
		if h.XRes > 1 {
			dpi = int(h.XRes)
		}
		if d := os.Getenv("DPI"); d != "" {
			fmt.Sscan(d, &dpi)
		} else if h.Height > 5500 {
			dpi = 600
		} else if h.Height < 2600 {
			dpi = 200
		}
		pix, _, err := Decode(data, h, 1, true)
		if err != nil {
			t.Fatal(err)
		}
		s, _ := pix.Scale(pix.Width()*250/dpi, pix.Height()*250/dpi)
		g, _ := s.Gray()
		sheet, _ := g.Sheet(250)
		if sheet.Cut() {
			g.Outside(sheet, 0.8*250/25.4)
		}
		ev, _ := g.Even()
		ink, err := ev.Ink(250, sheet, Care{Contrast: 0.12, Sharp: 5.3 * min(1, float64(dpi)/300), Mark: 0.6, Letter: 1.3, Few: 8}, 300)
		fmt.Printf("%s dpi %d level %d ink %+v %v\n", path, dpi, sheet.Level, ink, err)
		area, err := func() (float64, error) { g2, _ := s.Gray(); return g2.Tint(250, sheet, 0.15) }()
		fmt.Println("tint", area, err)
		for i, e := range sheet.Edges {
			fmt.Print(i, e, " ")
		}
		fmt.Println()
		if o := os.Getenv("OUT"); o != "" {
			b, _ := ev.EncodeJPEG(80)
			os.WriteFile(o+"-even.jpg", b, 0o600)
			b, _ = g.EncodeJPEG(80)
			os.WriteFile(o+"-gray.jpg", b, 0o600)
		}
	}
}
