package ippusb

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"docscan/device"
	"docscan/device/quirks"
	"docscan/device/sim/bustest"
	"docscan/device/usb"
)

func TestMain(m *testing.M) { os.Exit(bustest.Main(m)) }

// These tests drive the simulated device through the real gousb and libusb.

// settle is the pause after a claim; the simulated device needs none.
const settle = time.Millisecond

// openPipes opens the one device of the bus with n of its interfaces and gives
// an HTTP client for it.
func openPipes(t *testing.T, cfg Config, n int) *http.Client {
	t.Helper()
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	bus := usb.NewBus(settle, log)
	list, err := bus.Devices()
	if err != nil || len(list) != 1 {
		t.Fatalf("Devices = %v, %v, want one", list, err)
	}
	settings := httpSettings(list[0])
	if len(settings) < n {
		t.Fatalf("%d interfaces, want %d", len(settings), n)
	}
	dev, err := bus.Open(t.Context(), list[0], settings[:n])
	if err != nil {
		t.Fatal(err)
	}
	var pipes []Pipe
	for _, p := range dev.Pipes() {
		pipes = append(pipes, p)
	}
	tr := NewTransport(cfg, quirks.Quirks{}, pipes, dev.Reset, dev.Close, dev.Ladder(), log)
	t.Cleanup(func() {
		if err := tr.Close(); err != nil {
			t.Errorf("Close transport: %v", err)
		}
		if err := bus.Close(); err != nil {
			t.Errorf("Close bus: %v", err)
		}
	})
	return &http.Client{Transport: tr}
}

func get(ctx context.Context, c *http.Client, path string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://scanner.invalid"+path, nil)
	if err != nil {
		return nil, err
	}
	return c.Do(req)
}

// echo does n small exchanges and checks that each answer is its own.
func echo(t *testing.T, c *http.Client, n int) {
	t.Helper()
	for i := range n {
		path := fmt.Sprintf("/echo/%d", i)
		resp, err := get(t.Context(), c, path)
		if err != nil {
			t.Errorf("exchange %d: %v", i, err)
			return
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || string(body) != path {
			t.Errorf("exchange %d: %q, %v", i, body, err)
			return
		}
	}
}

// fetch reads a body of n bytes and checks them.
func fetch(t *testing.T, c *http.Client, n int) {
	t.Helper()
	resp, err := get(t.Context(), c, fmt.Sprintf("/bytes/%d", n))
	if err != nil {
		t.Error(err)
		return
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || len(body) != n {
		t.Errorf("%d bytes, %v, want %d", len(body), err, n)
	}
	for i, b := range body {
		if b != byte(i) {
			t.Errorf("byte %d is %#x, want %#x", i, b, byte(i))
			return
		}
	}
}

func TestOnBusExchanges(t *testing.T) {
	tests := []struct {
		name  string
		flags []string
		pipes int
	}{
		{"three interfaces", nil, 3},
		{"one interface", []string{"-interfaces=1"}, 1},
		{"gap in the interface numbers", []string{"-gap"}, 3},
		{"class of HP", []string{"-hp"}, 2},
		{"empty reads", []string{"-zero-reads=1"}, 2},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			bustest.Run(t, tt.flags, func(t *testing.T) {
				c := openPipes(t, DefaultConfig(), tt.pipes)
				echo(t, c, 20)
				fetch(t, c, 1<<20+511)
				body := strings.Repeat("0123456789abcdef", 1<<14)
				resp, err := c.Post("http://scanner.invalid/echo/", "text/plain", strings.NewReader(body))
				if err != nil {
					t.Fatal(err)
				}
				defer resp.Body.Close()
				if got, err := io.ReadAll(resp.Body); err != nil || string(got) != body {
					t.Errorf("a body sent came back with %d bytes, %v, want %d", len(got), err, len(body))
				}
			})
		})
	}
}

func TestOnBusMuchAtATime(t *testing.T) {
	bustest.Run(t, nil, func(t *testing.T) {
		c := openPipes(t, DefaultConfig(), 2)
		start := time.Now()
		var wg sync.WaitGroup
		wg.Go(func() { fetch(t, c, 10<<20) })
		wg.Go(func() { echo(t, c, 300) })
		wg.Wait()
		t.Logf("10 MB and 300 small exchanges in %v", time.Since(start))
	})
}

func TestOnBusAbandonedAnswers(t *testing.T) {
	bustest.Run(t, nil, func(t *testing.T) {
		c := openPipes(t, DefaultConfig(), 1)
		for range 5 {
			ctx, cancel := context.WithCancel(t.Context())
			resp, err := get(ctx, c, "/bytes/2000000")
			if err != nil {
				t.Fatal(err)
			}
			io.CopyN(io.Discard, resp.Body, 100_000)
			cancel()
			echo(t, c, 2)
			resp.Body.Close()
		}
		climbed(t, c, map[device.Rung]int{device.Drain: 5})
	})
}

// climbed checks how often each step was taken to bring the machine back.
func climbed(t *testing.T, c *http.Client, want map[device.Rung]int) {
	t.Helper()
	ladder := c.Transport.(*Transport).Ladder()
	for _, r := range []device.Rung{device.Drain, device.CancelCommand, device.ClearHalt, device.SoftReset, device.PortReset, device.TellPerson} {
		if got := ladder.Count(r); got != want[r] {
			t.Errorf("%s: %d times, want %d", r, got, want[r])
		}
	}
}

func TestOnBusStall(t *testing.T) {
	bustest.Run(t, []string{"-stall-after=500000"}, func(t *testing.T) {
		c := openPipes(t, DefaultConfig(), 1)
		resp, err := get(t.Context(), c, "/bytes/1000000")
		if err != nil {
			t.Fatal(err)
		}
		if n, err := io.Copy(io.Discard, resp.Body); err == nil || n > 600_000 {
			t.Errorf("%d bytes, %v, want a stall after 500000", n, err)
		}
		resp.Body.Close()
		echo(t, c, 5)
		climbed(t, c, map[device.Rung]int{device.ClearHalt: 1, device.SoftReset: 1})
	})
}

// A silent machine is restarted, then its port is reset, and goes on.
func TestOnBusReset(t *testing.T) {
	bustest.Run(t, nil, func(t *testing.T) {
		cfg := DefaultConfig()
		cfg.SilenceSeconds = 1
		c := openPipes(t, cfg, 2)
		var wg sync.WaitGroup
		for range 4 { // two on each pipe
			wg.Go(func() {
				if _, err := get(t.Context(), c, "/never"); device.KindOf(err) != device.BadAnswer {
					t.Errorf("error = %v, want a bad answer", err)
				}
			})
		}
		wg.Wait()
		echo(t, c, 10)
		if n := c.Transport.(*Transport).Ladder().Count(device.PortReset); n < 1 {
			t.Errorf("%d resets of the port", n)
		}
	})
}

func TestOnBusUnplugInAnAnswer(t *testing.T) {
	bustest.Run(t, []string{"-unplug-after=500000"}, func(t *testing.T) {
		c := openPipes(t, DefaultConfig(), 2)
		resp, err := get(t.Context(), c, "/bytes/1000000")
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if n, err := io.Copy(io.Discard, resp.Body); device.KindOf(err) != device.Unplugged {
			t.Errorf("%d bytes, %v, want a fault of kind unplugged", n, err)
		}
		if _, err := get(t.Context(), c, "/echo/"); device.KindOf(err) != device.Unplugged {
			t.Errorf("the next request: %v, want a fault of kind unplugged", err)
		}
	})
}

// Debian's ipp-usb, which knows hundreds of real machines, takes the simulated
// one for another of them. While it runs it holds the device.
func TestOnBusThroughIPPUSB(t *testing.T) {
	for _, flags := range [][]string{{"-interfaces=2"}, {"-gap"}} {
		t.Run(strings.Join(flags, " "), func(t *testing.T) {
			bustest.Run(t, flags, func(t *testing.T) {
				url := bustest.IPPUSB(t)
				c := &http.Client{Transport: elsewhere(url)}
				echo(t, c, 20)
				fetch(t, c, 1<<20+511)
				var rt http.RoundTripper
				found := awaitFound(t, newFinder(t, &rt), 1)
				if _, err := found[0].Open(t.Context()); device.KindOf(err) != device.HeldByOther {
					t.Errorf("opened beside ipp-usb: %v, want a fault of kind in-use", err)
				}
				echo(t, c, 5)
			})
		})
	}
}

// feeder answers as an eSCL scanner with n sheets does, in as much as matters
// to what carries HTTP.
func feeder(n int, page []byte) http.Handler {
	left := n
	mux := http.NewServeMux()
	mux.HandleFunc("GET /eSCL/ScannerCapabilities", func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, `<scan:ScannerCapabilities xmlns:scan="http://schemas.hp.com/imaging/escl/2011/05/03" xmlns:pwg="http://www.pwg.org/schemas/2010/12/sm">
<pwg:Version>2.63</pwg:Version><scan:Adf><scan:AdfSimplexInputCaps><scan:SettingProfiles><scan:SettingProfile>
<scan:ColorModes><scan:ColorMode>RGB24</scan:ColorMode></scan:ColorModes>
<scan:DocumentFormats><pwg:DocumentFormat>image/jpeg</pwg:DocumentFormat></scan:DocumentFormats>
</scan:SettingProfile></scan:SettingProfiles></scan:AdfSimplexInputCaps></scan:Adf></scan:ScannerCapabilities>`)
	})
	mux.HandleFunc("POST /eSCL/ScanJobs", func(w http.ResponseWriter, r *http.Request) {
		if b, err := io.ReadAll(r.Body); err != nil || string(b) != settings || r.ContentLength != int64(len(settings)) {
			http.Error(w, "bad settings", http.StatusBadRequest)
			return
		}
		w.Header().Set("Location", "http://made-up.local/eSCL/ScanJobs/1")
		w.WriteHeader(http.StatusCreated)
	})
	mux.HandleFunc("GET /eSCL/ScanJobs/1/NextDocument", func(w http.ResponseWriter, r *http.Request) {
		if left == 0 {
			http.NotFound(w, r)
			return
		}
		left--
		w.Header().Set("Content-Type", "image/jpeg")
		w.Write(page)
	})
	mux.HandleFunc("DELETE /eSCL/ScanJobs/1", func(http.ResponseWriter, *http.Request) {})
	return mux
}

const settings = "<scan:ScanSettings/>"

// A whole scan, through our driver and through Debian's.
func TestOnBusScan(t *testing.T) {
	page := bytes.Repeat([]byte("\xff\xd8page\xff\xd9"), 60_000)
	for _, way := range []string{"ours", "ipp-usb"} {
		t.Run(way, func(t *testing.T) {
			bustest.RunWith(t, feeder(3, page), nil, func(t *testing.T) {
				var c *http.Client
				if way == "ours" {
					c = openPipes(t, DefaultConfig(), 2)
				} else {
					c = &http.Client{Transport: elsewhere(bustest.IPPUSB(t))}
				}
				resp, err := c.Post("http://scanner.invalid/eSCL/ScanJobs", "text/xml", strings.NewReader(settings))
				if err != nil {
					t.Fatal(err)
				}
				resp.Body.Close()
				if resp.StatusCode != http.StatusCreated {
					t.Fatalf("ScanJobs: %s", resp.Status)
				}
				job := "/eSCL/ScanJobs/1"
				if at := resp.Header.Get("Location"); !strings.HasSuffix(at, job) {
					t.Errorf("Location %q", at)
				}
				pages := 0
				for ; ; pages++ {
					resp, err := get(t.Context(), c, job+"/NextDocument")
					if err != nil {
						t.Fatal(err)
					}
					body, err := io.ReadAll(resp.Body)
					resp.Body.Close()
					if resp.StatusCode == http.StatusNotFound {
						break
					}
					if err != nil || !bytes.Equal(body, page) {
						t.Fatalf("page %d: %s with %d bytes, %v, want %d", pages+1, resp.Status, len(body), err, len(page))
					}
				}
				if pages != 3 {
					t.Errorf("%d pages, want 3", pages)
				}
				req, err := http.NewRequestWithContext(t.Context(), http.MethodDelete, "http://scanner.invalid"+job, nil)
				if err != nil {
					t.Fatal(err)
				}
				if resp, err = c.Do(req); err != nil {
					t.Fatal(err)
				}
				resp.Body.Close()
			})
		})
	}
}

// elsewhere sends requests to another host than they name.
type elsewhere string

func (e elsewhere) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.URL.Host = strings.TrimPrefix(string(e), "http://")
	r.Host = r.URL.Host
	return http.DefaultTransport.RoundTrip(r)
}

// opened is a scanner that is nothing but its transport.
type opened struct {
	device.Scanner
	rt http.RoundTripper
}

func (opened) Close() error { return nil }

// newFinder gives a finder whose scanners put their transport into rt.
func newFinder(t *testing.T, rt *http.RoundTripper) *usb.Finder {
	t.Helper()
	open := func(_ context.Context, r http.RoundTripper, _ device.Info, _ quirks.Quirks) (device.Scanner, error) {
		*rt = r
		return opened{rt: r}, nil
	}
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	f := usb.NewFinder(usb.Config{Enabled: true, SettleMS: 1}, log, NewDriver(DefaultConfig(), &quirks.List{}, open, log))
	t.Cleanup(func() {
		if err := f.Close(); err != nil {
			t.Errorf("Close finder: %v", err)
		}
	})
	return f
}

// awaitFound waits until the Finder sees n machines.
func awaitFound(t *testing.T, f *usb.Finder, n int) []device.Found {
	t.Helper()
	for {
		found, err := f.Find(t.Context())
		if err != nil {
			t.Fatalf("Find: %v", err)
		}
		if len(found) == n {
			return found
		}
		select {
		case <-t.Context().Done():
			t.Fatalf("%d machines found, want %d", len(found), n)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func TestOnBusFinder(t *testing.T) {
	bustest.Run(t, []string{"-refuse-strings=2"}, func(t *testing.T) {
		var rt http.RoundTripper
		f := newFinder(t, &rt)
		want := device.Info{
			ID: "docscan-simulated-scanner-sim0001", Make: "docscan", Model: "Simulated Scanner",
			Serial: "SIM0001", Port: "usb:1-1", Driver: "escl",
		}
		first := awaitFound(t, f, 1)[0]
		if first.Info != want {
			t.Errorf("found %+v, want %+v", first.Info, want)
		}
		s, err := first.Open(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		echo(t, &http.Client{Transport: rt}, 3)
		if _, err := first.Open(t.Context()); device.KindOf(err) != device.HeldByOther {
			t.Errorf("opened twice: %v, want a fault of kind in-use", err)
		}

		waiting := make(chan error, 1)
		go func() {
			_, err := get(t.Context(), &http.Client{Transport: rt}, "/never")
			waiting <- err
		}()
		if err := bustest.Unplug(); err != nil {
			t.Fatal(err)
		}
		if err := <-waiting; device.KindOf(err) != device.Unplugged {
			t.Errorf("unplugged while waiting: %v, want a fault of kind unplugged", err)
		}
		awaitFound(t, f, 0)
		if err := s.Close(); err != nil {
			t.Errorf("Close of an unplugged machine: %v", err)
		}
		if _, err := first.Open(t.Context()); device.KindOf(err) != device.Unplugged {
			t.Errorf("opened after unplug: %v, want a fault of kind unplugged", err)
		}

		if err := bustest.Plug(); err != nil {
			t.Fatal(err)
		}
		again := awaitFound(t, f, 1)[0]
		if again.Info != want {
			t.Errorf("found again %+v, want %+v", again.Info, want)
		}
		if s, err = again.Open(t.Context()); err != nil {
			t.Fatal(err)
		}
		echo(t, &http.Client{Transport: rt}, 3)
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
}

func TestOnBusNoSerial(t *testing.T) {
	bustest.Run(t, []string{"-serial="}, func(t *testing.T) {
		var rt http.RoundTripper
		found := awaitFound(t, newFinder(t, &rt), 1)
		if got, want := found[0].Info.ID, "docscan-simulated-scanner-usb-1-1"; got != want {
			t.Errorf("ID = %q, want %q", got, want)
		}
	})
}

// A machine with one interface only is not trusted to speak HTTP.
func TestOnBusOneInterface(t *testing.T) {
	bustest.Run(t, []string{"-interfaces=1"}, func(t *testing.T) {
		var rt http.RoundTripper
		awaitFound(t, newFinder(t, &rt), 0)
	})
}
