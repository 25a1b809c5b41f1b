package esci

import (
	"errors"
	"io"
	"log/slog"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"docscan/device"
	"docscan/device/sim/esci"
	"docscan/device/sim/scantest"
	"docscan/device/sim/usbface"
)

func TestCaps(t *testing.T) {
	feeder, colors := []device.Source{device.Feeder}, []device.ColorMode{device.Color, device.Gray}
	all := []device.ColorMode{device.Color, device.Gray, device.LineArt}
	tests := []struct {
		model string
		want  device.Caps
	}{
		{"DS-530", device.Caps{Sources: feeder, Duplex: true, Modes: colors, Resolutions: []int{50, 75, 100, 150, 200, 240, 300, 360, 400, 600}, MaxWidth: 2550, MaxLength: 4650}},
		{"DS-860", device.Caps{Sources: feeder, Duplex: true, Modes: all, Resolutions: []int{50, 75, 100, 150, 200, 240, 300, 400, 600}, MaxWidth: 2550, MaxLength: 4200}},
		{"DS-40", device.Caps{Sources: feeder, Modes: all, Resolutions: []int{100, 300, 600}, MaxWidth: 2550, MaxLength: 4200}},
		{"DS-1630", device.Caps{Sources: []device.Source{device.Feeder, device.Platen}, Duplex: true, Modes: colors, Resolutions: []int{50, 75, 100, 150, 200, 300, 600, 1200}, MaxWidth: 2550, MaxLength: 4650}},
	}
	for _, tt := range tests {
		t.Run(tt.model, func(t *testing.T) {
			onBench(t, esci.Config{Model: tt.model}, func(t *testing.T, b *bench) {
				if got := b.drv.Caps(); !reflect.DeepEqual(got, tt.want) {
					t.Errorf("Caps = %+v, want %+v", got, tt.want)
				}
				if got, want := b.drv.Info(), (device.Info{Make: "EPSON", Model: tt.model, Serial: "SIM0000001"}); got != want {
					t.Errorf("Info = %+v, want %+v", got, want)
				}
			})
		})
	}
}

func TestStatus(t *testing.T) {
	tests := []struct {
		name string
		cfg  esci.Config
		set  func(*esci.Scanner)
		want device.Status
	}{
		{"ready", esci.Config{Pages: pages(1)}, nil, device.Status{State: device.Ready, Loaded: true}},
		{"empty", esci.Config{}, nil, device.Status{State: device.Empty}},
		{"empty, with a platen", esci.Config{Model: "DS-1630"}, nil, device.Status{State: device.Ready}},
		{"cover", esci.Config{Pages: pages(1), CoverOpen: true}, nil, device.Status{State: device.CoverOpen, Fault: device.Cover, Loaded: true}},
		{"panel in use", esci.Config{Pages: pages(1)}, func(s *esci.Scanner) { s.Hold(true) }, device.Status{State: device.InUse}},
		{"knows no inquiry session", esci.Config{Model: "DS-510", Pages: pages(1)}, nil, device.Status{State: device.Ready, Loaded: true}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			onBench(t, tt.cfg, func(t *testing.T, b *bench) {
				if tt.set != nil {
					tt.set(b.sim)
				}
				got, err := b.drv.Status(t.Context())
				if err != nil || got != tt.want {
					t.Errorf("Status = %+v, %v, want %+v", got, err, tt.want)
				}
				if b.sim.InSession() {
					t.Error("the machine was not given back")
				}
			})
		})
	}
}

// The button is seen only while it is down, and not while a run is open.
func TestButtons(t *testing.T) {
	cfg := esci.Config{Pages: pages(1), Presses: []esci.Press{{After: 1, For: 1, Value: 0x11}, {After: 3, For: 9, Value: 2}}}
	onBench(t, cfg, func(t *testing.T, b *bench) {
		for i, want := range [][]string{nil, {"scan"}, nil, {"scan"}} {
			got, err := b.drv.Buttons(t.Context())
			if err != nil || !got.Loaded || !slices.Equal(got.Down, want) {
				t.Errorf("look %d: %+v, %v, want %v down and loaded", i, got, err, want)
			}
		}
		r, err := b.drv.Start(t.Context(), settings(false, device.Gray))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := b.drv.Buttons(t.Context()); err != nil || len(got.Down) > 0 {
			t.Errorf("while running: %+v, %v, want nothing down", got, err)
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	onBench(t, esci.Config{Model: "DS-40"}, func(t *testing.T, b *bench) { // has none
		if got, err := b.drv.Buttons(t.Context()); err != nil || got.Loaded || len(got.Down) > 0 {
			t.Errorf("without a button: %+v, %v", got, err)
		}
	})
}

// A machine that its last host left in the middle of a scan is freed.
func TestLeftByOther(t *testing.T) {
	onBench(t, esci.Config{Pages: pages(2), Left: true}, func(t *testing.T, b *bench) {
		got, err := scantest.All(t, b.drv, settings(false, device.Gray))
		if err != io.EOF || scantest.Places(got) != "1f 2f" {
			t.Errorf("%s, %v", scantest.Places(got), err)
		}
	})
}

// What is no ESC/I-2 scanner is not taken for one, and is not waited for for ever.
func TestOpenRefuses(t *testing.T) {
	tests := []struct {
		name string
		cfg  esci.Config
		want device.FaultKind
	}{
		{"panel in use", esci.Config{Held: true}, device.HeldByOther},
		{"reserved", esci.Config{Reserved: 1_000_000}, device.HeldByOther},
		{"busy", esci.Config{Busy: 1_000_000}, device.Warming},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tt.cfg.Model = "DS-860"
				sim, err := esci.New(tt.cfg)
				if err != nil {
					t.Fatal(err)
				}
				dev, err := usbface.NewVendor(sim.Layout(), usbface.Faults{}, sim)
				if err != nil {
					t.Fatal(err)
				}
				defer dev.Close()
				began := time.Now()
				_, err = Open(t.Context(), Options{Pipe: scantest.Wire{Dev: dev}, Log: slog.New(slog.DiscardHandler)})
				if device.KindOf(err) != tt.want {
					t.Errorf("Open: %v, want %s", err, tt.want)
				}
				if d := time.Since(began); d > 2*busyTime {
					t.Errorf("it took %v", d)
				}
				if sim.InSession() {
					t.Error("the machine was not given back")
				}
			})
		})
	}
}

// A platen gives one side.
func TestPlaten(t *testing.T) {
	onBench(t, esci.Config{Model: "DS-1630", Pages: pages(3), NoLeft: true}, func(t *testing.T, b *bench) {
		set := settings(false, device.Color)
		set.Source = device.Platen
		got, err := scantest.All(t, b.drv, set)
		if err != io.EOF || scantest.Places(got) != "1f" {
			t.Fatalf("%s and %v, want one side", scantest.Places(got), err)
		}
		checkSide(t, got[0], 0, device.Color)
	})
}

// What is asked for is taken to the nearest that the machine has.
func TestPlan(t *testing.T) {
	tests := []struct {
		name, model string
		set         device.Settings
		want        string // in the parameters
	}{
		{"all zero", "DS-530", device.Settings{}, "#ADFPEDTDFL1#COLC024#FMTJPG #JPGd090#GMMUG18#RSMd300#RSSd300#PAGd000#BSZi1048576#ACQi0000003i0000000i0002544i0004650"},
		{"no end of paper", "DS-860", device.Settings{Duplex: true, Mode: device.LineArt}, "#ADFDPLXDFL1#COLM001#FMTRAW #THRd128#RSMd300#RSSd300#PAGd000#BSZi1048576#ACQi0000003i0000000i0002544i0004200"},
		{"double feeds ignored", "DS-860", device.Settings{Duplex: true, DoubleFeed: device.IgnoreDoubleFeed}, "#ADFDPLX#COLC024"},
		{"double feeds flagged", "DS-860", device.Settings{Duplex: true, DoubleFeed: device.FlagDoubleFeed}, "#ADFDPLXDFL1#COLC024"},
		{"no line art", "DS-530", device.Settings{Mode: device.LineArt}, "#COLM008#FMTJPG "},
		{"finer of two", "DS-40", device.Settings{Resolution: 200}, "#RSMd300#RSSd300"},
		{"coarser than all", "DS-40", device.Settings{Resolution: 20}, "#RSMd100"},
		{"more than the optics have", "DS-1630", device.Settings{Resolution: 1200}, "#RSMd600"},
		{"and on the glass", "DS-1630", device.Settings{Resolution: 1200, Source: device.Platen}, "#FB #COLC024#FMTJPG #JPGd090#GMMUG18#RSMi0001200#RSSi0001200#PAGd000#BSZi1048576#ACQi0000000i0000000i0010200i0014040"},
		{"A5 at the left", "DS-40", device.Settings{Width: 1748, Length: 2480}, "#ACQi0000000i0000000i0001744i0002480"},
		{"A5 in the middle", "DS-530", device.Settings{Width: 1748, Length: 2480}, "#ACQi0000403i0000000i0001744i0002480"},
		{"larger than the source", "DS-40", device.Settings{Width: 9999, Length: 9999}, "i0002544i0004200"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if tt.set.Source == "" {
				tt.set.Source = device.Feeder
			}
			onBench(t, esci.Config{Model: tt.model}, func(t *testing.T, b *bench) {
				p, err := b.drv.plan(tt.set)
				if err != nil {
					t.Fatal(err)
				}
				if got := string(b.drv.parameters(p)); !strings.Contains(got, tt.want) {
					t.Errorf("parameters %s\nwant in them %s", got, tt.want)
				}
			})
		})
	}
}

// Any bytes may come for a reply.
func FuzzParseReply(f *testing.F) {
	for _, s := range []string{
		"#pstd160i0000003i0000120#typIMGB", "#peni0000160i0000120#lftd000", "#errADF PJ  ADF OPN #nrdBUSY",
		"#atnCAN ", "#parFAIL", "#---", "#psti-000001i0000000i0000120", "#h00", "#PRDhFFF",
	} {
		b := append([]byte("IMG x0000000"), s...)
		f.Add(append(b, make([]byte, max(0, replySize-len(b)))...))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := parseReply(b) // refusing is fine, panicking is not
		if err != nil {
			if !errors.Is(err, errStep) {
				t.Errorf("parseReply(%q): %v", b, err)
			}
			return
		}
		for _, e := range []*extent{r.begin, r.end} {
			if e != nil && (e.width < 0 || e.width > maxWidth || e.lines < 0 || e.lines > maxLines || e.padding < 0 || e.padding > maxPadding) {
				t.Errorf("parseReply(%q) believed %+v", b, e)
			}
		}
		if r.size < 0 || len(r.code) != 4 {
			t.Errorf("parseReply(%q) = %+v", b, r)
		}
	})
}

// Any bytes may come for what a machine says of itself and how it is.
func FuzzAnswers(f *testing.F) {
	for _, s := range []string{
		"#ADFAREAd850i0001550#ADFALGNCNTR#ADFRESOd600#PRDh007DS-530 \x00#S/Nh004#PB #PB ",
		"#ADFDPLXDFL1#COLLISTC024M008#FMTLISTRAW JPG #RSMRANGi0000050i0000600#RSSLISTd300",
		"#ERRADF PE  #PB d001", "#ADFAREAi-000001x7FFFFFF", "#JPGRANGd001d100#THRRANG",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if i, err := parseInfo(b); err == nil {
			for _, s := range []*source{i.feeder, i.glass} {
				if s != nil && !s.believable() {
					t.Errorf("parseInfo(%q) believed %+v", b, s)
				}
			}
		}
		if c, err := parseCapabilities(b); err == nil {
			list := c.resolutions(0)
			if !slices.IsSorted(list) || list[0] < 1 || len(c.modes()) == 0 {
				t.Errorf("parseCapabilities(%q): %v dpi, %v", b, list, c.modes())
			}
		}
		if l := parseStatus(b); l.event < 0 || l.event > 3 {
			t.Errorf("parseStatus(%q).event = %d", b, l.event)
		}
	})
}
