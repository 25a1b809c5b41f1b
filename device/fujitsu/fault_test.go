package fujitsu

import (
	"context"
	"errors"
	"fmt"
	"image"
	"io"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"docscan/device"
	"docscan/device/sim/fujitsu"
	"docscan/device/sim/usbface"
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
	set.Width, set.Length = size.Dx()*300/testDPI, size.Dy()*300/testDPI
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
						got, err := scanAll(t, b.drv, set)
						if device.KindOf(err) != k.want {
							t.Errorf("fault %v, want %s", err, k.want)
						}
						// The front of a sheet may have come before its back fails.
						before := firstSheet(got)
						if len(before) < 2 {
							t.Fatalf("sides %s before the fault", places(got))
						}
						for i, side := range got {
							checkSide(t, side, paper[i], device.Color)
						}
						rest, err := scanAll(t, b.drv, set)
						if !errors.Is(err, io.EOF) || places(rest) != "1f 1b" {
							t.Fatalf("after it %s and %v, want the sheet that is left", places(rest), err)
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
func firstSheet(list []taken) []taken {
	var of []taken
	for _, l := range list {
		if l.where[0] == '1' {
			of = append(of, l)
		}
	}
	return of
}

// checkSide checks a side against its page.
func checkSide(t *testing.T, side taken, p image.Image, mode device.ColorMode) {
	t.Helper()
	if side.kind == "image/jpeg" {
		sameJPEG(t, side, p, mode)
		return
	}
	same(t, side.where, side.pixels, p, mode, 0)
}

// A machine that goes away says so, wherever it was, and needs no minute to be
// told that it must forget its scan.
func TestUnplug(t *testing.T) {
	for _, where := range []fujitsu.Place{fujitsu.AtFeed, fujitsu.AtScan, fujitsu.AtRIC, fujitsu.MidRead, fujitsu.AtStatus} {
		t.Run(string(where), func(t *testing.T) {
			cfg := fujitsu.Config{Pages: pages(4), Duplex: true, Faults: []fujitsu.Fault{{Sheet: 2, Where: where, Deed: fujitsu.Unplug}}}
			onBench(t, cfg, func(t *testing.T, b *bench) {
				began := time.Now()
				got, err := scanAll(t, b.drv, settings(true, device.LineArt))
				if device.KindOf(err) != device.Unplugged || places(got) != "1f 1b" {
					t.Errorf("%s and %v, want one sheet and unplugged", places(got), err)
				}
				if d := time.Since(began); d > time.Second {
					t.Errorf("it took %v", d)
				}
				if _, err := b.drv.Status(t.Context()); device.KindOf(err) != device.Unplugged {
					t.Errorf("Status: %v, want unplugged", err)
				}
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
				got, err := scanAll(t, b.drv, set)
				if places(got) != tt.want || device.KindOf(err) != tt.err {
					t.Errorf("%s and %v, want %s and %q", places(got), err, tt.want, tt.err)
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
				_, err := b.drv.Start(t.Context(), tt.set)
				if device.KindOf(err) != tt.kind || tt.err != nil && !errors.Is(err, tt.err) || err == nil {
					t.Errorf("Start: %v, want %q, %v", err, tt.kind, tt.err)
				}
			})
		})
	}
}

// A machine that sends without end is stopped.
func TestTooLarge(t *testing.T) {
	for _, model := range []string{"fi-4120C", "fi-7160", "fi-5120C"} {
		t.Run(model, func(t *testing.T) {
			onBench(t, fujitsu.Config{Model: model, Pages: pages(4), Duplex: true, Short: 1000}, func(t *testing.T, b *bench) {
				b.drv.o.MaxSide = 3000
				got, err := scanAll(t, b.drv, settings(true, device.Color))
				if device.KindOf(err) != device.TooLarge || len(got) > 0 {
					t.Errorf("%s and %v, want it to be too large", places(got), err)
				}
				b.drv.o.MaxSide = defaultMaxSide
				if got, err = scanAll(t, b.drv, settings(true, device.Color)); !errors.Is(err, io.EOF) || places(got) != "1f 1b" {
					t.Errorf("afterwards %s and %v", places(got), err)
				}
			})
		})
	}
}

// A second run must wait, and the first one is not disturbed by looks.
func TestBusy(t *testing.T) {
	onBench(t, fujitsu.Config{Pages: pages(2)}, func(t *testing.T, b *bench) {
		r, err := b.drv.Start(t.Context(), settings(false, device.Gray))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := b.drv.Start(t.Context(), settings(false, device.Gray)); device.KindOf(err) != device.Busy {
			t.Errorf("a second Start: %v, want busy", err)
		}
		if st, err := b.drv.Status(t.Context()); err != nil || st.State != device.Scanning || !st.Loaded {
			t.Errorf("Status = %+v, %v, want scanning", st, err)
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
		if st, err := b.drv.Status(t.Context()); err != nil || st.State != device.Ready {
			t.Errorf("Status afterwards = %+v, %v, want ready", st, err)
		}
	})
}

// Cancel lets the sheet that is inside come and takes no other.
func TestCancel(t *testing.T) {
	for _, model := range []string{"fi-7160", "fi-8170", "fi-5120C", "iX500"} {
		t.Run(model, func(t *testing.T) {
			onBench(t, fujitsu.Config{Model: model, Pages: pages(6), Duplex: true}, func(t *testing.T, b *bench) {
				r, err := b.drv.Start(t.Context(), settings(true, device.Color))
				if err != nil {
					t.Fatal(err)
				}
				if _, err := r.Next(t.Context()); err != nil {
					t.Fatal(err)
				}
				for range 2 {
					if err := r.Cancel(t.Context()); err != nil {
						t.Fatal(err)
					}
				}
				side, err := r.Next(t.Context()) // the front was not read at all
				if err != nil || side.Sheet != 1 || !side.Back {
					t.Fatalf("after the cancel: %+v, %v, want the back", side, err)
				}
				for range 2 {
					if _, err := r.Next(t.Context()); device.KindOf(err) != device.Stopped {
						t.Errorf("next sheet: %v, want stopped", err)
					}
				}
				if err := r.Close(); err != nil {
					t.Error(err)
				}
				if left, fed := b.sim.Sheets(); left != 2 || fed != 1 {
					t.Errorf("%d sheets left, %d fed, want 2 and 1", left, fed)
				}
				got, err := scanAll(t, b.drv, settings(true, device.Color))
				if !errors.Is(err, io.EOF) || places(got) != "1f 1b 2f 2b" {
					t.Errorf("the rest is %s, %v", places(got), err)
				}
			})
		})
	}
}

// A cancel is heard while a machine is waited for.
func TestCancelWhileBusy(t *testing.T) {
	onBench(t, fujitsu.Config{Pages: pages(2), Busy: 1_000_000}, func(t *testing.T, b *bench) {
		r, err := b.drv.Start(t.Context(), settings(false, device.Gray))
		if err != nil {
			t.Fatal(err)
		}
		stop := time.AfterFunc(3*time.Second, func() { r.Cancel(context.Background()) })
		defer stop.Stop()
		began := time.Now()
		if _, err := r.Next(t.Context()); device.KindOf(err) != device.Stopped {
			t.Errorf("Next: %v, want stopped", err)
		}
		if d := time.Since(began); d < 2*time.Second || d > 4*time.Second {
			t.Errorf("stopped after %v, want 3 s", d)
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
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
				began := time.Now()
				_, err := scanAll(t, b.drv, settings(false, device.Gray))
				if d := time.Since(began); device.KindOf(err) != tt.want || d < busyTime || d > busyTime+10*time.Second {
					t.Errorf("%v after %v, want %s after %v", err, d, tt.want, busyTime)
				}
			})
		})
	}
}

// The caller's patience counts too, and leaves a machine that works.
func TestContextEnds(t *testing.T) {
	cfg := fujitsu.Config{Pages: pages(2), Faults: []fujitsu.Fault{{Sheet: 1, Where: fujitsu.AtScan, Deed: fujitsu.Mute}}}
	onBench(t, cfg, func(t *testing.T, b *bench) {
		r, err := b.drv.Start(t.Context(), settings(false, device.Gray))
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithTimeout(t.Context(), time.Second)
		defer stop()
		if _, err := r.Next(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Next: %v, want the deadline", err)
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
		got, err := scanAll(t, b.drv, settings(false, device.Gray))
		if !errors.Is(err, io.EOF) || places(got) != "1f 2f" {
			t.Errorf("afterwards %s, %v", places(got), err)
		}
	})
}

// deaf is a way to a machine that hears nothing until its port is reset.
type deaf struct {
	wire
	deaf     bool
	restarts int
}

func (d *deaf) Read(ctx context.Context, b []byte) (int, error) {
	if d.deaf {
		<-ctx.Done()
		return 0, ctx.Err()
	}
	return d.wire.Read(ctx, b)
}

func (d *deaf) Restart(ctx context.Context) error {
	d.restarts++
	return d.wire.Restart(ctx)
}

// A machine that no restart of its interface brings back gets a reset of its
// port, and each step is counted.
func TestLadder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim, err := fujitsu.New(fujitsu.Config{Model: "fi-7160", Resolution: testDPI, Pages: pages(2)})
		if err != nil {
			t.Fatal(err)
		}
		dev, err := usbface.NewVendor(sim.Layout(), usbface.Faults{}, sim)
		if err != nil {
			t.Fatal(err)
		}
		defer dev.Close()
		pipe, resets := &deaf{wire: wire{dev}}, 0
		ladder := device.NewLadder(slog.New(slog.DiscardHandler))
		drv, err := Open(t.Context(), Options{
			Pipe: pipe, Temp: t.TempDir(), Log: slog.New(slog.DiscardHandler), Ladder: ladder,
			Reset: func(context.Context) error {
				dev.Reset()
				resets++
				pipe.deaf = false
				return nil
			},
			Diagnose: func() []device.Section { return []device.Section{ladder.Section()} },
		})
		if err != nil {
			t.Fatal(err)
		}
		defer drv.Close()
		run, err := drv.Start(t.Context(), settings(false, device.Gray))
		if err != nil {
			t.Fatal(err)
		}
		pipe.deaf = true
		if _, err := run.Next(t.Context()); device.KindOf(err) != device.BadAnswer {
			t.Errorf("Next: %v, want bad-answer", err)
		}
		if err := run.Close(); err != nil {
			t.Error(err)
		}
		// What the registry does every two seconds brings it back.
		tries := 0
		for err = errors.New("not asked"); err != nil && tries < 5; tries++ {
			_, err = drv.Status(t.Context())
		}
		if err != nil || resets != 1 || pipe.restarts == 0 {
			t.Errorf("after %d looks %v, %d restarts and %d resets, want one reset after a restart", tries, err, pipe.restarts, resets)
		}
		if n := ladder.Count(device.TellPerson); n != 1 {
			t.Errorf("the person was told %d times, want once", n)
		}
		got, err := scanAll(t, drv, settings(false, device.Gray))
		if err != io.EOF || len(got) == 0 {
			t.Errorf("after it %d sides and %v", len(got), err)
		}
		text := ""
		for _, s := range drv.Diagnose(t.Context()) {
			text += s.Title + "\n" + s.Text
		}
		for _, want := range []string{"What the scanner says of itself", "Recovery", "tell the person 1", "fi-7160"} {
			if !strings.Contains(text, want) {
				t.Errorf("the diagnosis does not say %q:\n%s", want, text)
			}
		}
	})
}
