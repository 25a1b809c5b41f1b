package esci

import (
	"context"
	"fmt"
	"image"
	"image/color"
	"io"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/image/tiff"

	"docscan/device"
	"docscan/device/quirks"
	"docscan/device/sim/esci"
	"docscan/device/sim/scantest"
	"docscan/device/usb"
)

// liar is a machine that says what it is told to, by request: each answer once,
// the last one again and again. What it is not told for it answers well.
type liar struct {
	says  map[string][]string
	next  []string // transfers to be read
	await bool     // data of a request come next
}

func (l *liar) Write(_ context.Context, b []byte) (int, error) {
	code := string(b[:min(4, len(b))])
	switch {
	case l.await:
		l.await = false
		l.answer("PARA", string(told("PARA", 0, "#parOK  ")))
	case len(b) == 2:
		l.answer(code, "\x06")
	case string(b[5:]) != "0000000":
		l.await = true
	case code == "INFO":
		l.answer(code, withData(code, "#ADFAREAd850i0001400#PRDh004LIAR#FB AREAd850i0001170#PB "))
	case code == "CAPA":
		l.answer(code, withData(code, "#ADFDPLX#COLLISTC024M008M001#FMTLISTRAW #RSMLISTd100d300#RSSLISTd100d300"))
	default:
		l.answer(code, string(told(code, 0, "")))
	}
	return len(b), nil
}

// answer queues what it was told to say to a request, or well.
func (l *liar) answer(code, well string) {
	if list := l.says[code]; len(list) > 0 {
		l.next = append(l.next, strings.Split(list[0], "|")...)
		if len(list) > 1 {
			l.says[code] = list[1:]
		}
		return
	}
	l.next = append(l.next, strings.Split(well, "|")...)
}

func (l *liar) Read(ctx context.Context, b []byte) (int, error) {
	if len(l.next) == 0 {
		<-ctx.Done()
		return 0, ctx.Err()
	}
	n := copy(b, l.next[0])
	l.next = l.next[1:]
	return n, nil
}

func (l *liar) Exchange(ctx context.Context, x *usb.Exchange) error {
	return scantest.InTurn(ctx, l, x)
}

func (l *liar) Restart(context.Context) error {
	l.next, l.await = nil, false
	return nil
}

// told makes a reply.
func told(code string, n int, tokens string) []byte {
	b := fmt.Appendf(nil, "%sx%07X%s", code, n, tokens)
	for len(b) < replySize {
		b = append(b, '#', '-', '-', '-')
	}
	return b[:replySize]
}

// withData makes a reply with data.
func withData(code, data string) string { return string(told(code, len(data), "")) + "|" + data }

// img makes an answer to IMG with data.
func img(tokens, data string) string {
	s := string(told("IMG ", len(data), tokens))
	if data != "" {
		s += "|" + data
	}
	return s
}

// Whatever a machine says, the run ends with a fault that tells it, and in time.
func TestLies(t *testing.T) {
	const begin, end = "#psti0000160i0000000i0000120#typIMGA", "#peni0000160i0000120#typIMGA"
	page := strings.Repeat("w", 160*120)
	tests := []struct {
		name string
		says map[string][]string
		want device.FaultKind
		text string
	}{
		{"another request's answer", map[string][]string{"TRDT": {string(told("STAT", 0, ""))}}, device.BadAnswer, "STAT"},
		{"too much to a question", map[string][]string{"STAT": {string(told("STAT", 1<<20, ""))}}, device.BadAnswer, "1048576 bytes"},
		{"too much of an image", map[string][]string{"IMG ": {string(told("IMG ", 2<<20, ""))}}, device.BadAnswer, "2097152 bytes"},
		{"more than announced", map[string][]string{"STAT": {string(told("STAT", 4, "")) + "|#PB d001"}}, device.BadAnswer, "announced"},
		{"less than announced", map[string][]string{"IMG ": {string(told("IMG ", 400, "")) + "|short"}}, device.BadAnswer, "no answer in time"},
		{"forgot the session", map[string][]string{"STAT": {"\x15"}}, device.BadAnswer, "0x15"},
		{"forgot it, and does not know its end", map[string][]string{"STAT": {"\x15"}, "FIN ": {"\x15"}}, device.BadAnswer, "0x15"},
		{"never ends a session", map[string][]string{"STAT": {"\x15"}, "FIN ": {""}}, device.BadAnswer, "0x15"},
		{"never begins one", map[string][]string{"\x1cX": {"?"}}, device.BadAnswer, "in place of an ACK"},
		{"parameters", map[string][]string{"PARA": {string(told("PARA", 0, "#parLOST"))}}, device.BadAnswer, "#parFAIL"},
		{"parameters and a fault", map[string][]string{"PARA": {string(told("PARA", 0, "#errADF ERR "))}}, device.Hardware, "ADF ERR"},
		{"page in a page", map[string][]string{"IMG ": {img(begin, "x"), img(begin, "x")}}, device.BadAnswer, "#pst in the middle"},
		{"data without a page", map[string][]string{"IMG ": {img("", "xyz")}}, device.BadAnswer, "3 bytes outside"},
		{"end without a page", map[string][]string{"IMG ": {img(end, "")}}, device.BadAnswer, "#pen outside"},
		{"end before the lines", map[string][]string{"IMG ": {img(begin, "xyz"), img(end, "")}}, device.BadAnswer, "0 lines where #pen tells of 120"},
		{"page of no width", map[string][]string{"IMG ": {img("#psti0000000i0000000i0000120", "x"), img(end, "")}}, device.BadAnswer, "no pixels wide"},
		{"page of no lines", map[string][]string{"IMG ": {img(begin, ""), img("#peni0000000i0000000", "")}}, device.BadAnswer, "size of sheet 1"},
		{"page of negative size", map[string][]string{"IMG ": {img("#psti-000001i0000000i0000120", "")}}, device.BadAnswer, "#pst of -1"},
		{"end of one number", map[string][]string{"IMG ": {img("#peni0000001", "")}}, device.BadAnswer, "#pen with the numbers"},
		{"bad JPEG", map[string][]string{"IMG ": {img(begin, "\xff\xd8 no"), img(end, "")}}, device.BadAnswer, "JPEG of sheet 1"},
		{"feeder empty in a page", map[string][]string{"IMG ": {img(begin, "xyz"), img("#errADF PE  ", "")}}, device.Jam, "ADF PE"},
		{"feeder empty at once", map[string][]string{"IMG ": {img("#errADF PE  ", "")}}, device.NoPaper, "ADF PE"},
		{"jam and empty", map[string][]string{"IMG ": {img("#errADF PE  ADF PJ  ", "")}}, device.Jam, "ADF PE, ADF PJ"},
		{"a page without end", map[string][]string{"IMG ": {img(begin, page), img("", "")}}, device.Warming, "nothing came"},
		{"no reply", map[string][]string{"TRDT": {"TRDTx0000000"}}, device.BadAnswer, "no answer in time"},
		{"reply without a length", map[string][]string{"TRDT": {strings.Repeat("TRDTx?", 11)[:64]}}, device.BadAnswer, "out of step"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				pipe := &liar{}
				s, err := Open(t.Context(), Options{Pipe: pipe, Temp: t.TempDir(), Log: slog.New(slog.DiscardHandler)})
				if err != nil {
					t.Fatal(err)
				}
				pipe.says = tt.says
				set := settings(false, device.Gray)
				got, err := scantest.All(t, s, set)
				if device.KindOf(err) != tt.want || !strings.Contains(err.Error(), tt.text) || len(got) > 0 {
					t.Errorf("%d sides and %v, want %s that tells of %q", len(got), err, tt.want, tt.text)
				}
				pipe.says = map[string][]string{"IMG ": {img(begin, page), img(end+"#lftd000", "")}}
				if got, err = scantest.All(t, s, set); err != io.EOF || scantest.Places(got) != "1f" {
					t.Errorf("the next run gave %s and %v, want a side", scantest.Places(got), err)
				}
				if err := s.Close(); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// The sides of sheets must keep together, or memory would have no bound.
func TestSidesTooFarApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin, end := "#psti0000008i0000000i0000001#typIMGB", "#peni0000008i0000001#typIMGB"
		pipe := &liar{says: map[string][]string{"IMG ": {img(begin, "12345678"), img(end, ""), img(begin, "12345678"), img(end, "")}}}
		s, err := Open(t.Context(), Options{Pipe: pipe, Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := scantest.All(t, s, settings(true, device.Gray)); device.KindOf(err) != device.BadAnswer || !strings.Contains(err.Error(), "0 fronts and 2 backs") {
			t.Errorf("two backs without a front: %v", err)
		}
	})
}

// A machine that never answers to an inquiry session is asked in one for all, and
// costs the time to find that out once.
func TestDeafToInquiry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, err := Open(t.Context(), Options{Pipe: &liar{says: map[string][]string{"\x1cY": {""}}}, Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		if st, err := s.Status(t.Context()); err != nil || st.State != device.Ready {
			t.Errorf("Status = %+v, %v, want ready", st, err)
		}
		if d := time.Since(began); d > time.Second {
			t.Errorf("it took %v", d)
		}
	})
}

// What a machine says of itself must be of a scanner.
func TestOpenNoScanner(t *testing.T) {
	tests := map[string]map[string][]string{
		"neither a feeder": {"INFO": {string(told("INFO", 8, "")) + "|#PRDh000"}},
		"INFO is answered": {"INFO": {string(told("UNKN", 0, ""))}},
		"none of the colo": {"CAPA": {string(told("CAPA", 4, "")) + "|#---"}},
		"CAPA: no resolut": {"CAPA": {string(told("CAPA", 12, "")) + "|#COLLISTM008"}},
	}
	for want, says := range tests {
		synctest.Test(t, func(t *testing.T) {
			_, err := Open(t.Context(), Options{Pipe: &liar{says: says}, Log: slog.New(slog.DiscardHandler)})
			if device.KindOf(err) != device.BadAnswer || !strings.Contains(err.Error(), want) {
				t.Errorf("Open: %v, want a bad answer that tells of %q", err, want)
			}
		})
	}
}

// What a person is told of a machine that wants something.
func TestStatusWords(t *testing.T) {
	tests := []struct {
		tokens, data string
		want         device.Status
	}{
		{"#nrdWUP ", "", device.Status{State: device.WarmingUp, Loaded: true}},
		{"#nrdRSVD", "", device.Status{State: device.InUse}},
		{"", "#ERRADF PJ  ", device.Status{State: device.Faulty, Loaded: true, Fault: device.Jam}},
		{"", "#ERRADF PE  #ERRFB OPN ", device.Status{State: device.Ready}},
		{"#errADF DFED", "", device.Status{State: device.Faulty, Loaded: true, Fault: device.DoubleFeed}},
		{"", "#PB d003", device.Status{State: device.Ready, Loaded: true}},
	}
	for _, tt := range tests {
		synctest.Test(t, func(t *testing.T) {
			answer := string(told("STAT", len(tt.data), tt.tokens))
			if tt.data != "" {
				answer += "|" + tt.data
			}
			s, err := Open(t.Context(), Options{Pipe: &liar{says: map[string][]string{"STAT": {answer}}}, Log: slog.New(slog.DiscardHandler)})
			if err != nil {
				t.Fatal(err)
			}
			if got, err := s.Status(t.Context()); err != nil || got != tt.want {
				t.Errorf("Status with %s %s = %+v, %v, want %+v", tt.tokens, tt.data, got, err, tt.want)
			}
		})
	}
}

// large is a picture too large for memory, of which each pixel tells its place.
type large struct{ image.Rectangle }

func (large) ColorModel() color.Model   { return color.RGBAModel }
func (l large) Bounds() image.Rectangle { return l.Rectangle }
func (large) At(x, y int) color.Color {
	return color.RGBA{uint8(x), uint8(y), uint8(x>>8 + y>>4&0xf0), 255}
}
func (large) RGBA64At(x, y int) color.RGBA64 {
	return color.RGBA64{uint16(uint8(x)) * 0x101, uint16(uint8(y)) * 0x101, uint16(uint8(x>>8+y>>4&0xf0)) * 0x101, 0xffff}
}

// A sheet whose two sides are larger than memory comes out as it went in.
func TestLargeSides(t *testing.T) {
	paper := large{image.Rect(0, 0, 1696, 2200)} // letter at 200 dpi: 11 MB a side
	cfg := esci.Config{Model: "raw only", Resolution: 200, Duplex: true, Pages: []image.Image{paper, paper}}
	onBench(t, cfg, func(t *testing.T, b *bench) {
		r, err := b.drv.Start(t.Context(), device.Settings{Source: device.Feeder, Duplex: true, Resolution: 200, Width: 2544, Length: 3300})
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			side, err := r.Next(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			m, err := tiff.Decode(side.Body)
			if err != nil || m.Bounds() != paper.Bounds() {
				t.Fatalf("%v, %v", m, err)
			}
			for y := 0; y < 2200; y += 7 {
				for x := 0; x < 1696; x += 7 {
					if got, want := color.RGBAModel.Convert(m.At(x, y)), paper.At(x, y); got != want {
						t.Fatalf("%d,%d is %v, want %v", x, y, got, want)
					}
				}
			}
		}
		if _, err := r.Next(t.Context()); err != io.EOF {
			t.Errorf("after the sheet: %v", err)
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
}

// The driver knows its machines, and leaves the others and those it is told to.
func TestDriverKnows(t *testing.T) {
	vendor := []usb.Setting{{Class: 7}, {Class: 0xff, In: 2, Out: 1}}
	tests := []struct {
		name string
		d    usb.Desc
		want bool
	}{
		{"DS-530", usb.Desc{Vendor: 0x04b8, Product: 0x0155, Settings: vendor}, true},
		{"printer only", usb.Desc{Vendor: 0x04b8, Product: 0x0155, Settings: vendor[:1]}, false},
		{"flatbed that speaks ESC/I", usb.Desc{Vendor: 0x04b8, Product: 0x0151, Settings: vendor}, false},
		{"another maker", usb.Desc{Vendor: 0x04c5, Product: 0x0155, Settings: vendor}, false},
	}
	v := NewDriver("", &quirks.List{}, slog.New(slog.DiscardHandler))
	for _, tt := range tests {
		info, ok := v.Know(tt.d, usb.Strings{Manufacturer: "EPSON", Model: "EPSON DS-530"})
		if v.Match(tt.d) != tt.want || ok != tt.want || info.Name() != "EPSON DS-530" {
			t.Errorf("%s: %+v, %t, %t, want %t", tt.name, info, v.Match(tt.d), ok, tt.want)
		}
	}
	if info, _ := v.Know(tests[0].d, usb.Strings{}); info.Make != "EPSON" || info.Driver != "esci" {
		t.Errorf("without strings: %+v", info)
	}
}
