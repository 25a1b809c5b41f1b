package fujitsu

import (
	"errors"
	"image"
	"io"
	"os"
	"runtime"
	"slices"
	"testing"

	"docscan/device"
	"docscan/device/sim/fujitsu"
	"docscan/device/sim/scantest"
)

func TestInfoAndCaps(t *testing.T) {
	tests := []struct {
		model   string
		make    string
		sources []device.Source
		modes   []device.ColorMode
	}{
		{"fi-7160", "FUJITSU", []device.Source{device.Feeder}, []device.ColorMode{device.Color, device.Gray, device.LineArt}},
		{"iX500", "FUJITSU", []device.Source{device.Feeder}, []device.ColorMode{device.Color, device.Gray, device.LineArt}},
		{"fi-5120C", "FUJITSU", []device.Source{device.Feeder, device.Platen}, []device.ColorMode{device.Color, device.Gray, device.LineArt}},
		{"fi-8040", "RICOH", []device.Source{device.Feeder}, []device.ColorMode{device.Color, device.Gray, device.LineArt}},
	}
	for _, tt := range tests {
		t.Run(tt.model, func(t *testing.T) {
			onBench(t, fujitsu.Config{Model: tt.model}, func(t *testing.T, b *bench) {
				if got := b.drv.Info(); got.Make != tt.make || got.Serial != "1234" {
					t.Errorf("Info = %+v", got)
				}
				c := b.drv.Caps()
				if !slices.Equal(c.Sources, tt.sources) || !slices.Equal(c.Modes, tt.modes) || !c.Duplex || c.MaxWidth != 2592 || c.MaxLength < 6600 {
					t.Errorf("Caps = %+v", c)
				}
				if want := []int{75, 100, 150, 200, 240, 300, 400, 600}; !slices.Equal(c.Resolutions, want) {
					t.Errorf("resolutions %v, want %v", c.Resolutions, want)
				}
			})
		})
	}
}

// short is a page of part of the length of a test page.
func short(n, height int) image.Image {
	return page(n).SubImage(image.Rect(0, 0, testWidth, height))
}

// Without a length the machine finds the end of each sheet, and the images are
// as long as the paper.
func TestFindsTheEnd(t *testing.T) {
	paper := []image.Image{short(0, 48), short(1, 48), short(2, testHeight), short(3, testHeight), short(4, 1), short(5, 1)}
	for _, model := range []string{"fi-7160", "iX500"} {
		for _, mode := range []device.ColorMode{device.Gray, device.Color} {
			t.Run(model+" "+string(mode), func(t *testing.T) {
				onBench(t, fujitsu.Config{Model: model, Pages: paper, Duplex: true}, func(t *testing.T, b *bench) {
					set := settings(true, mode)
					set.Length = 0
					if mode == device.Gray { // lines, on either machine
						b.drv.v.grayJPEG = false
					}
					got, err := scantest.All(t, b.drv, set)
					if !errors.Is(err, io.EOF) || len(got) != len(paper) {
						t.Fatalf("%s, %v", scantest.Places(got), err)
					}
					for i, side := range got {
						if side.Type == "image/jpeg" {
							sameJPEG(t, side, paper[i], mode)
						} else {
							scantest.Same(t, side.Where, side.Pixels, paper[i], mode, 1)
						}
					}
				})
			})
		}
	}
}

// A machine that cannot find the end of the paper is not asked for metres of it.
func TestLegalIsEnough(t *testing.T) {
	onBench(t, fujitsu.Config{Model: "fi-4120C", Pages: pages(1)}, func(t *testing.T, b *bench) {
		got, err := scantest.All(t, b.drv, device.Settings{Source: device.Feeder, Mode: device.LineArt, Resolution: scantest.DPI})
		if !errors.Is(err, io.EOF) || len(got) != 1 {
			t.Fatalf("%s, %v", scantest.Places(got), err)
		}
		if size := got[0].Pixels.Bounds().Size(); size != image.Pt(864, 1400) {
			t.Errorf("size %v, want 8.64 by 14 inch", size)
		}
	})
}

// One platen scan gives one side.
func TestPlaten(t *testing.T) {
	set := settings(false, device.LineArt)
	set.Source = device.Platen
	onBench(t, fujitsu.Config{Model: "fi-5120C", Pages: pages(2)}, func(t *testing.T, b *bench) {
		got, err := scantest.All(t, b.drv, set)
		if !errors.Is(err, io.EOF) || scantest.Places(got) != "1f" {
			t.Fatalf("%s, %v", scantest.Places(got), err)
		}
		scantest.Same(t, "platen", got[0].Pixels, page(0), device.LineArt, 0)
		if left, fed := b.sim.Sheets(); left != 2 || fed != 0 {
			t.Errorf("%d sheets left, %d fed: the feeder was used", left, fed)
		}
	})
}

// The body of a side need not be read.
func TestUnreadSides(t *testing.T) {
	for _, model := range []string{"fi-4120C", "fi-7160", "fi-5120C"} {
		t.Run(model, func(t *testing.T) {
			onBench(t, fujitsu.Config{Model: model, Pages: pages(6), Duplex: true}, func(t *testing.T, b *bench) {
				r, err := b.drv.Start(t.Context(), settings(true, device.Color))
				if err != nil {
					t.Fatal(err)
				}
				var last *device.Side
				n := 0
				for ; ; n++ {
					side, err := r.Next(t.Context())
					if errors.Is(err, io.EOF) {
						break
					}
					if err != nil {
						t.Fatal(err)
					}
					if n%2 == 1 { // a little of some
						if _, err := io.ReadFull(side.Body, make([]byte, 100)); err != nil {
							t.Fatal(err)
						}
					}
					last = side
				}
				if n != 6 {
					t.Errorf("%d sides, want 6", n)
				}
				if _, err := last.Body.Read(make([]byte, 1)); !errors.Is(err, io.ErrClosedPipe) {
					t.Errorf("reading a side that is over: %v", err)
				}
				if err := r.Close(); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// A run that is closed in the middle of a sheet leaves nothing in the machine.
func TestCloseInMidSheet(t *testing.T) {
	onBench(t, fujitsu.Config{Model: "fi-4120C", Pages: pages(4), Duplex: true}, func(t *testing.T, b *bench) {
		r, err := b.drv.Start(t.Context(), settings(true, device.Color))
		if err != nil {
			t.Fatal(err)
		}
		side, err := r.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(side.Body, make([]byte, 1000)); err != nil {
			t.Fatal(err)
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
		got, err := scantest.All(t, b.drv, settings(true, device.Color))
		if !errors.Is(err, io.EOF) || scantest.Places(got) != "1f 1b" {
			t.Fatalf("afterwards %s, %v", scantest.Places(got), err)
		}
		scantest.Same(t, "next sheet", got[0].Pixels, page(2), device.Color, 0)
	})
}

// Presses are seen once, held buttons for as long as they are, and a look at the
// status takes none away.
func TestButtons(t *testing.T) {
	cfg := fujitsu.Config{Pages: pages(1), Presses: []fujitsu.Press{{After: 1, For: 2}, {After: 4, For: 1}, {After: 4, For: 2, Send: true}}}
	onBench(t, cfg, func(t *testing.T, b *bench) {
		want := [][]string{
			nil, {"scan"}, {"scan"}, nil,
			{"send", "scan"}, // the look before this one was Status: scan went down and up there
			nil,
		}
		for i, w := range want {
			if i == 4 {
				if st, err := b.drv.Status(t.Context()); err != nil || st.State != device.Ready {
					t.Fatalf("Status = %+v, %v", st, err)
				}
			}
			got, err := b.drv.Buttons(t.Context())
			if err != nil || !got.Loaded || !slices.Equal(got.Down, w) {
				t.Errorf("look %d: %+v, %v, want %+v", i, got, err, w)
			}
		}
	})
}

func TestStatus(t *testing.T) {
	onBench(t, fujitsu.Config{Pages: pages(1)}, func(t *testing.T, b *bench) {
		check := func(want device.Status) {
			t.Helper()
			if got, err := b.drv.Status(t.Context()); err != nil || got != want {
				t.Errorf("Status = %+v, %v, want %+v", got, err, want)
			}
		}
		check(device.Status{State: device.Ready, Loaded: true})
		b.sim.SetCover(true)
		check(device.Status{State: device.CoverOpen, Loaded: true, Fault: device.Cover})
		b.sim.SetCover(false)
		if _, err := scantest.All(t, b.drv, settings(false, device.Gray)); !errors.Is(err, io.EOF) {
			t.Fatal(err)
		}
		check(device.Status{State: device.Empty})
		if err := b.sim.Load(); err != nil {
			t.Fatal(err)
		}
		check(device.Status{State: device.Ready, Loaded: true})
	})
}

// A machine that sleeps is shown so, its buttons are still seen, and a run wakes it.
func TestAsleep(t *testing.T) {
	onBench(t, fujitsu.Config{Pages: pages(2), Duplex: true, Presses: []fujitsu.Press{{After: 1, For: 1}}}, func(t *testing.T, b *bench) {
		b.sim.Sleep()
		if st, err := b.drv.Status(t.Context()); err != nil || st != (device.Status{State: device.Asleep, Loaded: true}) {
			t.Errorf("Status = %+v, %v, want asleep", st, err)
		}
		if got, err := b.drv.Buttons(t.Context()); err != nil || !slices.Equal(got.Down, []string{"scan"}) {
			t.Errorf("Buttons = %+v, %v, want a press", got, err)
		}
		got, err := scantest.All(t, b.drv, settings(true, device.Color))
		if err != io.EOF || scantest.Places(got) != "1f 1b" {
			t.Errorf("%s, %v, want the sheet", scantest.Places(got), err)
		}
		if st, err := b.drv.Status(t.Context()); err != nil || st.State != device.Empty {
			t.Errorf("Status afterwards = %+v, %v, want empty", st, err)
		}
	})
}

// large is a page that takes no memory: all its lines are one.
func large(width, height int) image.Image {
	line := image.NewRGBA(image.Rect(0, 0, width, 1))
	for i := range line.Pix {
		line.Pix[i] = uint8(i / 9)
	}
	line.Stride, line.Rect.Max.Y = 0, height
	return line
}

// A sheet whose sides are each larger than what may wait in memory: it comes
// whole, the heap stays small, and no file is left. It is as wide as the
// machine takes, at 600 dpi.
func TestMemory(t *testing.T) {
	const memory = 4 << 20
	size := image.Pt(5184, 500) // 8 MB a side
	cfg := fujitsu.Config{Model: "fi-4120C", Resolution: 600, Duplex: true, Pages: []image.Image{large(size.X, size.Y), large(size.X, size.Y)}}
	onBench(t, cfg, func(t *testing.T, b *bench) {
		set := device.Settings{Source: device.Feeder, Duplex: true, Mode: device.Color, Resolution: 600, Width: size.X / 2, Length: size.Y / 2}
		b.drv.room = memory
		runtime.GC()
		var before, now runtime.MemStats
		runtime.ReadMemStats(&before)
		r, err := b.drv.Start(t.Context(), set)
		if err != nil {
			t.Fatal(err)
		}
		var peak uint64
		buf := make([]byte, 1<<20)
		for range 2 {
			side, err := r.Next(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			total := 0
			for {
				n, err := io.ReadFull(side.Body, buf)
				total += n
				runtime.GC() // or what is garbage by now would count
				runtime.ReadMemStats(&now)
				peak = max(peak, now.HeapAlloc)
				if err != nil {
					break
				}
			}
			if want := size.X * size.Y * 3; total < want || total > want+1000 {
				t.Errorf("side of %d bytes, want %d and a head", total, want)
			}
		}
		if grown := int64(peak) - int64(before.HeapAlloc); grown > 3*memory {
			t.Errorf("the heap grew by %d MB", grown>>20)
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
		if left, err := os.ReadDir(b.drv.o.Temp); err != nil || len(left) > 0 {
			t.Errorf("files left: %v, %v", left, err)
		}
	})
}
