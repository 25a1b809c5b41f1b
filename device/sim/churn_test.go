package sim

import (
	"context"
	"net/http"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"docscan/device"
	"docscan/device/escl"
	"docscan/device/ippusb"
	"docscan/device/quirks"
	"docscan/device/sim/bustest"
	"docscan/device/usb"
)

// churnRounds is how often TestChurn unplugs the scanner; make bench sets more.
const churnRounds = "DOCSCAN_CHURN_ROUNDS"

// load is what a leak would make grow.
type load struct {
	goroutines, files int
	heap              uint64 // bytes
	resident          int64  // bytes
}

func measure(t *testing.T) load {
	t.Helper()
	runtime.GC()
	runtime.GC() // finalizers of the first run free more
	files, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		t.Fatal(err)
	}
	var size, resident int64
	for i, f := range [2]*int64{&size, &resident} {
		if *f, err = strconv.ParseInt(strings.Fields(string(text))[i], 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return load{runtime.NumGoroutine(), len(files), m.HeapAlloc, resident * int64(os.Getpagesize())}
}

// A scanner that is unplugged and plugged in again and again is found each time,
// and nothing is left of the times before.
func TestChurn(t *testing.T) {
	rounds := 15
	if v := os.Getenv(churnRounds); v != "" {
		var err error
		if rounds, err = strconv.Atoi(v); err != nil || rounds < 1 {
			t.Fatalf("%s is %q", churnRounds, v)
		}
	}
	dir, _ := stack(t, 2)
	bustest.RunWith(t, onBus(t, dir).Handler(), nil, func(t *testing.T) {
		known, err := quirks.Load("")
		if err != nil {
			t.Fatal(err)
		}
		open := func(ctx context.Context, rt http.RoundTripper, info device.Info, q quirks.Quirks) (device.Scanner, error) {
			return escl.Open(ctx, escl.Options{BaseURL: "http://localhost/eSCL/", HTTP: rt, Info: info, Quirks: q, Log: quiet})
		}
		f := usb.NewFinder(usb.Config{Enabled: true, SettleMS: 1}, quiet, ippusb.NewDriver(ippusb.DefaultConfig(), known, open, quiet))
		changed := make(chan struct{}, 1)
		reg := device.NewRegistry(quiet, func(string) {
			select {
			case changed <- struct{}{}:
			default:
			}
		}, f)
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- reg.Run(ctx) }()
		// await waits until the one scanner is in that state. The kernel's news
		// are not simulated here, so the registry is told to look.
		await := func(want device.State) {
			t.Helper()
			deadline := time.After(time.Minute)
			for {
				reg.Look()
				if list := reg.Devices(); len(list) == 1 && list[0].Status.State == want {
					return
				}
				select {
				case <-changed:
				case <-time.After(20 * time.Millisecond):
				case <-deadline:
					t.Fatalf("the scanner is not %s: %+v", want, reg.Devices())
				}
			}
		}
		round := func() {
			t.Helper()
			await(device.Ready)
			if err := bustest.Unplug(); err != nil {
				t.Fatal(err)
			}
			await(device.Gone)
			if err := bustest.Plug(); err != nil {
				t.Fatal(err)
			}
		}
		for range 5 { // what is made once and kept
			round()
		}
		await(device.Ready)
		before := measure(t)
		for range rounds {
			round()
		}
		await(device.Ready)
		after := measure(t)
		// A look may be under way.
		for end := time.Now().Add(10 * time.Second); after.goroutines > before.goroutines && time.Now().Before(end); after = measure(t) {
			time.Sleep(10 * time.Millisecond)
		}
		t.Logf("after %d rounds: goroutines %d -> %d, files %d -> %d, heap %d -> %d KiB, resident %d -> %d KiB", rounds,
			before.goroutines, after.goroutines, before.files, after.files, before.heap>>10, after.heap>>10, before.resident>>10, after.resident>>10)
		if after.goroutines > before.goroutines+2 || after.files > before.files+1 {
			t.Error("something is left of machines that have gone")
		}
		if grown := int64(after.heap) - int64(before.heap); grown > 1<<20 {
			t.Errorf("the heap has grown by %d bytes", grown)
		}
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	})
}
