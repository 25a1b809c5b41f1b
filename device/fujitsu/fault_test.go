package fujitsu

import (
	"errors"
	"fmt"
	"image"
	"io"
	"log/slog"
	"testing"

	"docscan/device"
	"docscan/device/sim/fujitsu"
	"docscan/device/sim/scantest"
)

// What goes wrong, wherever it strikes: it keeps its reason, the sheets before
// it are whole, and once it is cleared the remaining sheets come.
func TestFaults(t *testing.T) {
	kinds := []struct {
		name string
		f    fujitsu.Fault
		want device.FaultKind
	}{
		{"jam", fujitsu.Fault{Sense: fujitsu.Jam}, device.Jam},
		{"double feed", fujitsu.Fault{Sense: fujitsu.DoubleFeed}, device.DoubleFeed},
		{"cover", fujitsu.Fault{Sense: fujitsu.CoverOpened}, device.Cover},
		{"stop button", fujitsu.Fault{Sense: fujitsu.Sense{3, 0x80, 0x20}}, device.Stopped},
		{"halted", fujitsu.Fault{Sense: fujitsu.Sense{3, 0x80, 0x22}}, device.Stopped},
		{"feeder not set up", fujitsu.Fault{Sense: fujitsu.Sense{3, 0x80, 0x08}}, device.Mispick},
		{"optics", fujitsu.Fault{Sense: fujitsu.Sense{4, 0x80, 0x06}}, device.Hardware},
		{"edge too soon", fujitsu.Fault{Sense: fujitsu.Sense{5, 0, 0}}, device.PageLength},
		{"never heard of", fujitsu.Fault{Sense: fujitsu.Sense{3, 0x81, 0x55}}, device.Hardware},
		{"mute", fujitsu.Fault{Deed: fujitsu.Mute}, device.BadAnswer},
		{"stall", fujitsu.Fault{Deed: fujitsu.Stall}, device.BadAnswer},
		{"out of step", fujitsu.Fault{Deed: fujitsu.Garbage}, device.BadAnswer},
	}
	spots := []struct {
		where fujitsu.Place
		back  bool
	}{
		{fujitsu.AtFeed, false}, {fujitsu.AtScan, false}, {fujitsu.AtRIC, false}, {fujitsu.AtRIC, true},
		{fujitsu.MidRead, false}, {fujitsu.MidRead, true}, {fujitsu.AtStatus, false}, {fujitsu.AtStatus, true},
	}
	models := []string{"fi-4120C", "fi-7160"} // lines by turns, JPEG one after the other
	// Small pages in many pieces: there are many tests.
	size := image.Rect(0, 0, 96, 64)
	var paper []image.Image
	for i := range 4 {
		paper = append(paper, page(i).SubImage(size))
	}
	set := settings(true, device.Color)
	set.Width, set.Length = size.Dx()*300/scantest.DPI, size.Dy()*300/scantest.DPI
	for _, k := range kinds {
		for _, p := range spots {
			if p.where == fujitsu.AtRIC && k.f.Sense[0] == 5 {
				continue // what else the readiness check says does not matter
			}
			for _, model := range models {
				f := k.f
				f.Sheet, f.Where, f.Back = 2, p.where, p.back
				name := fmt.Sprintf("%s at %s of %s", k.name, p.where, model)
				if p.back {
					name += ", back"
				}
				t.Run(name, func(t *testing.T) {
					cfg := fujitsu.Config{Model: model, Pages: paper, Duplex: true, Faults: []fujitsu.Fault{f}, NoData: 1, Short: 1000}
					onBench(t, cfg, func(t *testing.T, b *bench) {
						got, err := scantest.All(t, b.drv, set)
						if device.KindOf(err) != k.want {
							t.Errorf("fault %v, want %s", err, k.want)
						}
						// The front of a sheet may have come before its back fails.
						before := firstSheet(got)
						if len(before) < 2 {
							t.Fatalf("sides %s before the fault", scantest.Places(got))
						}
						for i, side := range got {
							checkSide(t, side, paper[i], device.Color)
						}
						rest, err := scantest.All(t, b.drv, set)
						if !errors.Is(err, io.EOF) || scantest.Places(rest) != "1f 1b" {
							t.Fatalf("after it %s and %v, want the sheet that is left", scantest.Places(rest), err)
						}
						for i, side := range rest {
							checkSide(t, side, paper[2+i], device.Color)
						}
					})
				})
			}
		}
	}
}

// firstSheet keeps the sides of the first sheet.
func firstSheet(list []scantest.Side) []scantest.Side {
	var of []scantest.Side
	for _, l := range list {
		if l.Where[0] == '1' {
			of = append(of, l)
		}
	}
	return of
}

// checkSide checks a side against its page.
func checkSide(t *testing.T, side scantest.Side, p image.Image, mode device.ColorMode) {
	t.Helper()
	if side.Type == "image/jpeg" {
		sameJPEG(t, side, p, mode)
		return
	}
	scantest.Same(t, side.Where, side.Pixels, p, mode, 0)
}

// A machine that goes away says so, wherever it was, and needs no minute to be
// told that it must forget its scan.
func TestUnplug(t *testing.T) {
	for _, where := range []fujitsu.Place{fujitsu.AtFeed, fujitsu.AtScan, fujitsu.AtRIC, fujitsu.MidRead, fujitsu.AtStatus} {
		t.Run(string(where), func(t *testing.T) {
			cfg := fujitsu.Config{Pages: pages(4), Duplex: true, Faults: []fujitsu.Fault{{Sheet: 2, Where: where, Deed: fujitsu.Unplug}}}
			onBench(t, cfg, func(t *testing.T, b *bench) {
				scantest.Unplugged(t, b.drv, settings(true, device.LineArt), "1f 1b")
			})
		})
	}
}

func TestDoubleFeedPolicy(t *testing.T) {
	tests := []struct {
		policy device.DoubleFeedPolicy
		want   string
		err    device.FaultKind
	}{
		{"", "1f 1b", device.DoubleFeed},
		{device.StopAtDoubleFeed, "1f 1b", device.DoubleFeed},
		{device.FlagDoubleFeed, "1f 1b 2f! 2b! 3f 3b", ""},
		{device.IgnoreDoubleFeed, "1f 1b 2f 2b 3f 3b", ""},
	}
	for _, tt := range tests {
		t.Run("policy "+string(tt.policy), func(t *testing.T) {
			cfg := fujitsu.Config{Pages: pages(6), Duplex: true, Faults: []fujitsu.Fault{{Sheet: 2, Sense: fujitsu.DoubleFeed}}}
			onBench(t, cfg, func(t *testing.T, b *bench) {
				set := settings(true, device.Gray)
				set.DoubleFeed = tt.policy
				got, err := scantest.All(t, b.drv, set)
				if scantest.Places(got) != tt.want || device.KindOf(err) != tt.err {
					t.Errorf("%s and %v, want %s and %q", scantest.Places(got), err, tt.want, tt.err)
				}
			})
		})
	}
}

// What Start itself finds wrong.
func TestStartRefuses(t *testing.T) {
	tests := []struct {
		name string
		cfg  fujitsu.Config
		set  device.Settings
		kind device.FaultKind
		err  error
	}{
		{"empty", fujitsu.Config{}, settings(false, device.Gray), device.NoPaper, nil},
		{"cover open", fujitsu.Config{Pages: pages(1), CoverOpen: true}, settings(false, device.Gray), device.Cover, nil},
		{"no platen", fujitsu.Config{Pages: pages(1)}, device.Settings{Source: device.Platen}, "", device.ErrUnsupported},
		{"both sides of a platen", fujitsu.Config{Model: "fi-5120C", Pages: pages(1)}, device.Settings{Source: device.Platen, Duplex: true}, "", device.ErrUnsupported},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			onBench(t, tt.cfg, func(t *testing.T, b *bench) {
				scantest.Refuses(t, b.drv, tt.set, tt.kind, tt.err)
			})
		})
	}
}

// A machine that sends without end is stopped.
func TestTooLarge(t *testing.T) {
	for _, model := range []string{"fi-4120C", "fi-7160", "fi-5120C"} {
		t.Run(model, func(t *testing.T) {
			onBench(t, fujitsu.Config{Model: model, Pages: pages(4), Duplex: true, Short: 1000}, func(t *testing.T, b *bench) {
				b.drv.o.MaxSide = 1000
				got, err := scantest.All(t, b.drv, settings(true, device.Color))
				if device.KindOf(err) != device.TooLarge || len(got) > 0 {
					t.Errorf("%s and %v, want it to be too large", scantest.Places(got), err)
				}
				b.drv.o.MaxSide = defaultMaxSide
				if got, err = scantest.All(t, b.drv, settings(true, device.Color)); !errors.Is(err, io.EOF) || scantest.Places(got) != "1f 1b" {
					t.Errorf("afterwards %s and %v", scantest.Places(got), err)
				}
			})
		})
	}
}

// A second run must wait, and the first one is not disturbed by looks.
func TestBusy(t *testing.T) {
	onBench(t, fujitsu.Config{Pages: pages(2)}, func(t *testing.T, b *bench) {
		scantest.Busy(t, b.drv, settings(false, device.Gray))
	})
}

// Cancel lets the sheet that is inside come and takes no other.
func TestCancel(t *testing.T) {
	for _, model := range []string{"fi-7160", "fi-8170", "fi-5120C", "iX500"} {
		t.Run(model, func(t *testing.T) {
			onBench(t, fujitsu.Config{Model: model, Pages: pages(6), Duplex: true}, func(t *testing.T, b *bench) {
				scantest.Cancel(t, b.drv, settings(true, device.Color), b.sim.Sheets)
			})
		})
	}
}

// A cancel is heard while a machine is waited for.
func TestCancelWhileBusy(t *testing.T) {
	onBench(t, fujitsu.Config{Pages: pages(2), Busy: 1_000_000}, func(t *testing.T, b *bench) {
		scantest.CancelWhileWaiting(t, b.drv, settings(false, device.Gray))
	})
}

// A machine that stays busy, or has nothing to say, is not waited for for ever.
func TestPatienceEnds(t *testing.T) {
	tests := []struct {
		name string
		cfg  fujitsu.Config
		want device.FaultKind
	}{
		{"busy", fujitsu.Config{Busy: 1_000_000}, device.Warming},
		{"no data", fujitsu.Config{NoData: 1_000_000}, device.Hardware},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.cfg.Pages, tt.cfg.Model = pages(1), "fi-4120C"
			onBench(t, tt.cfg, func(t *testing.T, b *bench) {
				scantest.PatienceEnds(t, b.drv, settings(false, device.Gray), tt.want, busyTime)
			})
		})
	}
}

// The caller's patience counts too, and leaves a machine that works.
func TestContextEnds(t *testing.T) {
	cfg := fujitsu.Config{Pages: pages(2), Faults: []fujitsu.Fault{{Sheet: 1, Where: fujitsu.AtScan, Deed: fujitsu.Mute}}}
	onBench(t, cfg, func(t *testing.T, b *bench) {
		scantest.ContextEnds(t, b.drv, settings(false, device.Gray))
	})
}

// A machine that no restart of its interface brings back gets a reset of its
// port, and each step is counted.
func TestLadder(t *testing.T) {
	onBench(t, fujitsu.Config{Model: "fi-7160", Pages: pages(2)}, func(t *testing.T, b *bench) {
		scantest.Ladder(t, b.dev, "fi-7160", settings(false, device.Gray), func(pipe *scantest.Deaf, ladder *device.Ladder) (device.Scanner, error) {
			return Open(t.Context(), Options{
				Pipe: pipe, Reset: pipe.Reset, Temp: t.TempDir(), Log: slog.New(slog.DiscardHandler), Ladder: ladder,
				Diagnose: func() []device.Section { return []device.Section{ladder.Section()} },
			})
		})
	})
}
