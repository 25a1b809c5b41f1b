package esci

import (
	"fmt"
	"strings"
)

// VendorID is Seiko Epson's on USB.
const VendorID = 0x04b8

// Model is what one machine can do, and how it says so.
type Model struct {
	ProductID uint16
	Product   string
	Width     int // of the feeder, in 1/100 inch
	Length    int
	Flatbed   bool // has a glass of that width, 11.7 inches long
	Left      bool // paper lies at the left edge; otherwise in the middle
	Duplex    bool
	Twice     bool     // by feeding it twice
	Double    []string // double-feed settings that it knows: DFL1, DFL2
	PaperEnd  bool     // PARA knows PEDT: the image ends with the paper
	Truncates bool     // the image always ends with the paper
	Raw       bool     // FMT knows RAW
	JPEG      bool     // FMT knows JPG
	LineArt   bool     // COL knows M001
	Button    bool
	Dpi       []int // resolutions; two of them with Range set are the bounds
	Range     bool
	NoInquiry bool // knows no inquiry session: FS Y is refused
}

// Models gives the machines that can be simulated, by name: each stands for
// others that behave like it. The lists of numbers are those that such machines
// report.
func Models() map[string]Model {
	return map[string]Model{
		"DS-530": {
			ProductID: 0x0155, Product: "DS-530", Width: 850, Length: 1550, Duplex: true, Double: []string{"DFL1"}, PaperEnd: true,
			JPEG: true, Button: true, Dpi: []int{50, 75, 100, 150, 200, 240, 300, 360, 400, 600},
		},
		"DS-860": {
			ProductID: 0x0152, Product: "DS-860", Width: 850, Length: 1400, Duplex: true, Double: []string{"DFL1", "DFL2"},
			Raw: true, JPEG: true, LineArt: true, Button: true, Dpi: []int{50, 600}, Range: true,
		},
		"DS-510": {
			ProductID: 0x014c, Product: "DS-510", Width: 850, Length: 1400, Duplex: true, Double: []string{"DFL1", "DFL2"}, Truncates: true,
			JPEG: true, LineArt: true, Dpi: []int{100, 300, 600}, NoInquiry: true,
		},
		"DS-40": {
			ProductID: 0x0150, Product: "DS-40", Width: 850, Length: 1400, Left: true, Truncates: true,
			JPEG: true, LineArt: true, Dpi: []int{100, 300, 600},
		},
		"DS-1630": {
			ProductID: 0x015c, Product: "DS-1630", Width: 850, Length: 1550, Flatbed: true, Duplex: true, Twice: true, PaperEnd: true,
			Raw: true, JPEG: true, Dpi: []int{50, 75, 100, 150, 200, 300, 600, 1200},
		},
		"raw only": {
			ProductID: 0x0146, Product: "DS-50000", Width: 1170, Length: 1700, Duplex: true, Double: []string{"DFL1"}, PaperEnd: true,
			Raw: true, LineArt: true, Dpi: []int{50, 600}, Range: true,
		},
	}
}

// modelNamed looks a model up.
func modelNamed(name string) (Model, error) {
	m, ok := Models()[name]
	if !ok {
		return Model{}, fmt.Errorf("simulated scanner: no model %q", name)
	}
	return m, nil
}

// glassLength is that of the flatbed, in 1/100 inch.
const glassLength = 1170

// info is what INFO says.
func (m Model) info(serial string) string {
	var b strings.Builder
	put := func(s ...string) { b.WriteString(strings.Join(s, "")) }
	put("#ADFTYPEFEED")
	if m.Duplex {
		put("#ADFDPLX", map[bool]string{false: "1SCN", true: "2SCN"}[m.Twice])
	}
	put("#ADFFORDPF1N#ADFALGN", map[bool]string{true: "LEFT", false: "CNTR"}[m.Left])
	put("#ADFAREA", number(m.Width), number(m.Length), "#ADFAMIN", number(200), number(200), "#ADFAMAX", number(m.Width), number(24000))
	put("#ADFRESO", number(600), "#ADFRCVR#ADFOVSN", number(0), number(39))
	if m.Flatbed {
		put("#FB ALGNLEFT#FB AREA", number(m.Width), number(glassLength), "#FB RESO", number(1200))
	}
	put("#IMX", number(65535), number(65535))
	if m.Button {
		put("#PB ")
	}
	put("#PRD", text(m.Product+" "), "#VER", text("ADF     SPECF   "), "#DSZ", number(1536))
	if m.Truncates {
		put("#DLS")
	}
	put("#S/N", text(serial))
	return b.String()
}

// capabilities is what CAPA says.
func (m Model) capabilities() string {
	var b strings.Builder
	put := func(s ...string) { b.WriteString(strings.Join(s, "")) }
	if m.Duplex {
		put("#ADFDPLX")
	}
	if m.PaperEnd {
		put("#ADFPEDT")
	}
	if len(m.Double) > 0 {
		put("#ADF", strings.Join(m.Double, ""))
	}
	put("#ADFEJCT#ADFCRP #ADFSKEW#ADFOVSN")
	put(list("#COL", quad, m.colors()), list("#FMT", quad, m.formats()))
	if m.JPEG {
		put("#JPGRANG", number(1), number(100))
	}
	if m.LineArt {
		put("#THRRANG", number(0), number(255))
	}
	put("#GMMLISTUG10UG18#GMTLISTRED GRN BLU MONO#CMXLISTUNITUM08")
	for _, token := range []string{"#RSM", "#RSS"} {
		if m.Range {
			put(token, "RANG", integer(m.Dpi[0]), integer(m.Dpi[1])) // SANE knows no other form of it
		} else {
			put(list(token, number, m.Dpi))
		}
	}
	put("#CRPRANGi-000020", number(20))
	return b.String()
}

func (m Model) colors() []string {
	c := []string{"C024"}
	if m.LineArt {
		c = append(c, "M001")
	}
	return append(c, "M008", "R008", "G008", "B008")
}

func (m Model) formats() []string {
	var f []string
	if m.Raw {
		f = append(f, "RAW")
	}
	if m.JPEG {
		f = append(f, "JPG")
	}
	return f
}

// scans says whether it has that resolution.
func (m Model) scans(dpi int) bool {
	if m.Range {
		return dpi >= m.Dpi[0] && dpi <= m.Dpi[1]
	}
	for _, d := range m.Dpi {
		if d == dpi {
			return true
		}
	}
	return false
}
