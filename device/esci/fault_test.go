package esci

import (
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"

	"docscan/device"
	"docscan/device/sim/esci"
	"docscan/device/sim/scantest"
)

// What goes wrong, wherever it strikes: it keeps its reason, the sheets before
// it are whole, and once it is cleared the remaining sheets come.
func TestFaults(t *testing.T) {
	kinds := []struct {
		f    esci.Fault
		want device.FaultKind
	}{
		{esci.Fault{Cause: esci.Jam}, device.Jam},
		{esci.Fault{Cause: esci.DoubleFeed}, device.DoubleFeed},
		{esci.Fault{Cause: esci.CoverOpened}, device.Cover},
		{esci.Fault{Cause: esci.Defect}, device.Hardware},
		{esci.Fault{Cause: esci.Lamp}, device.Hardware},
		{esci.Fault{Cause: esci.Locked}, device.Hardware},
		{esci.Fault{Cause: esci.Separation}, device.Hardware},
		{esci.Fault{Cause: esci.BatteryLow}, device.Hardware},
		{esci.Fault{Cause: esci.NotAllowed}, device.HeldByOther},
		{esci.Fault{Cause: "WHAT"}, device.Hardware},
		{esci.Fault{Deed: esci.Cancel}, device.Stopped},
		{esci.Fault{Deed: esci.Mute}, device.BadAnswer},
		{esci.Fault{Deed: esci.Stall}, device.BadAnswer},
		{esci.Fault{Deed: esci.Garbage}, device.BadAnswer},
		{esci.Fault{Deed: esci.Refuse}, device.BadAnswer},
	}
	spots := []struct {
		where esci.Place
		back  bool
	}{
		{esci.AtPara, false}, {esci.AtStart, false}, {esci.AtFeed, false},
		{esci.MidPage, false}, {esci.MidPage, true}, {esci.AtEnd, false}, {esci.AtEnd, true},
	}
	machines := []struct {
		model string
		mode  device.ColorMode
	}{{"DS-530", device.Color}, {"raw only", device.Gray}}
	for _, k := range kinds {
		for _, p := range spots {
			if k.f.Deed == esci.Cancel && (p.where == esci.AtPara || p.where == esci.AtStart) {
				continue // that is told with image data only
			}
			for _, m := range machines {
				f := k.f
				f.Where, f.Back, f.Sheet = p.where, p.back, 2
				first := p.where == esci.AtPara || p.where == esci.AtStart // of the run
				if first {
					f.Sheet = 1
				}
				t.Run(fmt.Sprintf("%v of %s", f, m.model), func(t *testing.T) {
					cfg := esci.Config{Model: m.model, Pages: pages(4), Duplex: true, Faults: []esci.Fault{f}, NoData: 1, Block: 1000}
					onBench(t, cfg, func(t *testing.T, b *bench) {
						got, err := scantest.All(t, b.drv, settings(true, m.mode))
						if device.KindOf(err) != k.want {
							t.Errorf("fault %v, want %s", err, k.want)
						}
						if f.Cause != "" && !strings.Contains(err.Error(), "ADF "+strings.TrimSpace(string(f.Cause))) {
							t.Errorf("fault %v does not say what the machine said", err)
						}
						rest, want, number := 4, "1f 1b 2f 2b", 0
						if !first {
							// The front of a sheet may have come before its back fails.
							if !strings.HasPrefix(scantest.Places(got)+" ", "1f 1b ") {
								t.Fatalf("sides %s before the fault", scantest.Places(got))
							}
							rest, want, number = 2, "1f 1b", 2
						}
						for i, side := range got {
							checkSide(t, side, i, m.mode)
						}
						if b.sim.InSession() {
							t.Error("the machine was not given back")
						}
						again, err := scantest.All(t, b.drv, settings(true, m.mode))
						if err != io.EOF || scantest.Places(again) != want || len(again) != rest {
							t.Fatalf("after it %s and %v, want %s", scantest.Places(again), err, want)
						}
						for i, side := range again {
							checkSide(t, side, number+i, m.mode)
						}
					})
				})
			}
		}
	}
}

// A machine that goes away says so, wherever it was, and needs no minute to be
// told that it must stop.
func TestUnplug(t *testing.T) {
	for _, where := range []esci.Place{esci.AtPara, esci.AtStart, esci.AtFeed, esci.MidPage, esci.AtEnd} {
		t.Run(string(where), func(t *testing.T) {
			f := esci.Fault{Sheet: 2, Where: where, Deed: esci.Unplug}
			want := "1f 1b"
			if where == esci.AtPara || where == esci.AtStart {
				f.Sheet, want = 1, ""
			}
			onBench(t, esci.Config{Pages: pages(4), Duplex: true, Faults: []esci.Fault{f}}, func(t *testing.T, b *bench) {
				scantest.Unplugged(t, b.drv, settings(true, device.LineArt), want)
			})
		})
	}
}

// What a profile says of double feeds. A machine that does not take both sides
// without looking for them looks all the same.
func TestDoubleFeedPolicy(t *testing.T) {
	tests := []struct {
		policy device.DoubleFeedPolicy
		needs  bool
		want   string
		err    device.FaultKind
	}{
		{"", false, "1f 1b", device.DoubleFeed},
		{device.StopAtDoubleFeed, true, "1f 1b", device.DoubleFeed},
		{device.FlagDoubleFeed, false, "1f 1b", device.DoubleFeed},
		{device.IgnoreDoubleFeed, false, "1f 1b 2f 2b 3f 3b", ""},
		{device.IgnoreDoubleFeed, true, "1f 1b", device.DoubleFeed},
	}
	for _, tt := range tests {
		t.Run(fmt.Sprintf("%s %t", tt.policy, tt.needs), func(t *testing.T) {
			cfg := esci.Config{Pages: pages(6), Duplex: true, NeedsDFL: tt.needs, Faults: []esci.Fault{{Sheet: 2, Cause: esci.DoubleFeed}}}
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
	both := settings(true, device.Gray)
	tests := []struct {
		name string
		cfg  esci.Config
		set  device.Settings
		kind device.FaultKind
		err  error
	}{
		{"empty", esci.Config{}, settings(false, device.Gray), device.NoPaper, nil},
		{"cover open", esci.Config{Pages: pages(1), CoverOpen: true}, settings(false, device.Gray), device.Cover, nil},
		{"reserved", esci.Config{Pages: pages(1), Reserved: 9}, settings(false, device.Gray), device.HeldByOther, nil},
		{"no platen", esci.Config{Pages: pages(1)}, device.Settings{Source: device.Platen}, "", device.ErrUnsupported},
		{"no source", esci.Config{Pages: pages(1)}, device.Settings{}, "", device.ErrUnsupported},
		{"both sides of a platen", esci.Config{Model: "DS-1630", Pages: pages(1)}, device.Settings{Source: device.Platen, Duplex: true}, "", device.ErrUnsupported},
		{"both sides of a simplex feeder", esci.Config{Model: "DS-40", Pages: pages(1)}, both, "", device.ErrUnsupported},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			reserved := tt.cfg.Reserved
			tt.cfg.Reserved = 0
			onBench(t, tt.cfg, func(t *testing.T, b *bench) {
				b.sim.Reserve(reserved)
				scantest.Refuses(t, b.drv, tt.set, tt.kind, tt.err)
				if b.sim.InSession() {
					t.Error("the machine was not given back")
				}
			})
		})
	}
}

// A machine may say why it cannot start only when it is asked for the image.
func TestToldLate(t *testing.T) {
	cfg := esci.Config{Pages: pages(1), TellLate: true, Faults: []esci.Fault{{Sheet: 1, Where: esci.AtStart, Cause: esci.Jam}}}
	onBench(t, cfg, func(t *testing.T, b *bench) {
		if _, err := scantest.All(t, b.drv, settings(false, device.Gray)); device.KindOf(err) != device.Jam {
			t.Errorf("first run: %v, want a jam", err)
		}
		if got, err := scantest.All(t, b.drv, settings(false, device.Gray)); err != io.EOF || scantest.Places(got) != "1f" {
			t.Errorf("second run: %s, %v", scantest.Places(got), err)
		}
	})
}

// A second run must wait, and the first one is not disturbed by looks.
func TestBusy(t *testing.T) {
	onBench(t, esci.Config{Pages: pages(2)}, func(t *testing.T, b *bench) {
		scantest.Busy(t, b.drv, settings(false, device.Gray))
	})
}

// Cancel lets the sheet that is inside come and takes no other.
func TestCancel(t *testing.T) {
	for _, cfg := range []esci.Config{{}, {Model: "DS-530"}, {Order: esci.BackWhole, Block: 1000}, {NoData: 7, EndAlone: true}} {
		t.Run(fmt.Sprintf("%s %s", cfg.Model, cfg.Order), func(t *testing.T) {
			cfg.Pages, cfg.Duplex = pages(6), true
			onBench(t, cfg, func(t *testing.T, b *bench) {
				scantest.Cancel(t, b.drv, settings(true, device.Color), b.sim.Sheets)
			})
		})
	}
}

// A cancel is heard while a machine is waited for.
func TestCancelWhileWaiting(t *testing.T) {
	onBench(t, esci.Config{Pages: pages(2), NoData: 1_000_000}, func(t *testing.T, b *bench) {
		scantest.CancelWhileWaiting(t, b.drv, settings(false, device.Gray))
	})
}

// A machine that stays busy, or has nothing to say, is not waited for for ever.
func TestPatienceEnds(t *testing.T) {
	onBench(t, esci.Config{Pages: pages(1), NoData: 1_000_000}, func(t *testing.T, b *bench) {
		scantest.PatienceEnds(t, b.drv, settings(false, device.Gray), device.Warming, busyTime)
	})
	onBench(t, esci.Config{Pages: pages(1)}, func(t *testing.T, b *bench) {
		b.sim.Warm(1_000_000)
		scantest.PatienceEnds(t, b.drv, settings(false, device.Gray), device.Warming, busyTime)
	})
}

// The caller's patience counts too, and leaves a machine that works.
func TestContextEnds(t *testing.T) {
	cfg := esci.Config{Pages: pages(2), Faults: []esci.Fault{{Sheet: 1, Where: esci.MidPage, Deed: esci.Mute}}}
	onBench(t, cfg, func(t *testing.T, b *bench) {
		scantest.ContextEnds(t, b.drv, settings(false, device.Gray))
	})
}

// A machine that no restart of its interface brings back gets a reset of its
// port, and each step is counted.
func TestLadder(t *testing.T) {
	onBench(t, esci.Config{Model: "DS-530", Pages: pages(2)}, func(t *testing.T, b *bench) {
		scantest.Ladder(t, b.dev, "DS-530", settings(false, device.Gray), func(pipe *scantest.Deaf, ladder *device.Ladder) (device.Scanner, error) {
			return Open(t.Context(), Options{
				Pipe: pipe, Reset: pipe.Reset, Temp: t.TempDir(), Log: slog.New(slog.DiscardHandler), Ladder: ladder,
				Diagnose: func() []device.Section { return []device.Section{ladder.Section()} },
			})
		})
	})
}
