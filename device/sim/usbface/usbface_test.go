package usbface

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// on runs body in a bubble of fake time with a device that answers with h.
func on(t *testing.T, l Layout, f Faults, h http.HandlerFunc, body func(*testing.T, *Device)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		d, err := New(l, f, h, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		defer d.Close()
		body(t, d)
	})
}

func hello(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "hello "+r.URL.Path) }

// host is the host's end of one interface as a stream.
type host struct {
	ctx     context.Context
	d       *Device
	in, out uint8
}

func (h host) Read(b []byte) (int, error)  { return h.d.In(h.ctx, h.in, b) }
func (h host) Write(b []byte) (int, error) { return h.d.Out(h.ctx, h.out, b) }

// get does one exchange by hand.
func get(t *testing.T, d *Device, path, header string) (string, error) {
	t.Helper()
	h := host{t.Context(), d, 0x82, 0x01}
	if _, err := fmt.Fprintf(h, "GET %s HTTP/1.1\r\nHost: localhost\r\n%s\r\n", path, header); err != nil {
		return "", err
	}
	resp, err := http.ReadResponse(bufio.NewReaderSize(h, 16<<10), nil)
	if err != nil {
		return "", err
	}
	body, err := io.ReadAll(resp.Body)
	return string(body), err
}

func TestDescriptors(t *testing.T) {
	l := DefaultLayout()
	l.Pairs, l.Gap = 2, true
	on(t, l, Faults{}, hello, func(t *testing.T, d *Device) {
		b := d.ConfigDescriptor()
		if got := int(b[2]) | int(b[3])<<8; got != len(b) {
			t.Errorf("wTotalLength = %d, want %d", got, len(b))
		}
		var settings [][2]byte // interface and alternate setting
		for rest := b; len(rest) > 0; rest = rest[rest[0]:] {
			if rest[0] < 2 || int(rest[0]) > len(rest) {
				t.Fatalf("descriptor of %d bytes where %d are left", rest[0], len(rest))
			}
			if rest[1] == typeInterface {
				settings = append(settings, [2]byte{rest[2], rest[3]})
			}
		}
		if want := [][2]byte{{0, 0}, {0, 1}, {2, 0}, {2, 1}}; !slices.Equal(settings, want) {
			t.Errorf("interfaces and settings %v, want %v", settings, want)
		}
		if got := d.DeviceDescriptor(); len(got) != 18 || got[0] != 18 {
			t.Errorf("device descriptor % x", got)
		}
	})
}

func TestLayoutLimits(t *testing.T) {
	for _, change := range []func(*Layout){
		func(l *Layout) { l.Pairs = 0 },
		func(l *Layout) { l.Pairs = 5 },
		func(l *Layout) { l.Serial = strings.Repeat("x", 127) },
	} {
		l := DefaultLayout()
		change(&l)
		if _, err := New(l, Faults{}, http.HandlerFunc(hello), slog.New(slog.DiscardHandler)); err == nil {
			t.Errorf("New accepted %+v", l)
		}
	}
}

// Until its alternate setting is selected an interface is a printer.
func TestAlternateSetting(t *testing.T) {
	on(t, DefaultLayout(), Faults{}, hello, func(t *testing.T, d *Device) {
		if _, err := get(t, d, "/", ""); !errors.Is(err, ErrStall) {
			t.Errorf("setting 0: %v, want a stall", err)
		}
		if d.SetInterface(0, 2) || d.SetInterface(9, 1) {
			t.Error("a setting that does not exist was selected")
		}
		d.SetInterface(0, 1)
		if got, err := get(t, d, "/a", ""); err != nil || got != "hello /a" {
			t.Errorf("setting 1: %q, %v", got, err)
		}
	})
}

// A web server that closes its connection must not be noticed on USB.
func TestServerCloses(t *testing.T) {
	on(t, DefaultLayout(), Faults{}, hello, func(t *testing.T, d *Device) {
		d.SetInterface(0, 1)
		for range 3 {
			if got, err := get(t, d, "/a", "Connection: close\r\n"); err != nil || got != "hello /a" {
				t.Errorf("got %q, %v", got, err)
			}
		}
	})
}

func TestTransfers(t *testing.T) {
	on(t, DefaultLayout(), Faults{}, hello, func(t *testing.T, d *Device) {
		d.SetInterface(0, 1)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if n, err := d.In(ctx, 0x82, make([]byte, 1024)); n != 0 || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("reading of nothing: %d, %v, want to wait", n, err)
		}
		if _, err := d.In(t.Context(), 0x0f, make([]byte, 1024)); !errors.Is(err, ErrStall) {
			t.Errorf("reading from no endpoint: %v, want a stall", err)
		}
		if _, err := fmt.Fprint(host{t.Context(), d, 0x82, 0x01}, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		if _, err := d.In(t.Context(), 0x82, make([]byte, 10)); !errors.Is(err, ErrOverflow) {
			t.Errorf("reading less than a packet: %v, want an overflow", err)
		}
	})
}

func TestUnplugEndsTransfers(t *testing.T) {
	on(t, DefaultLayout(), Faults{}, hello, func(t *testing.T, d *Device) {
		d.SetInterface(0, 1)
		ended := make(chan error, 1)
		go func() {
			_, err := d.In(t.Context(), 0x82, make([]byte, 1024))
			ended <- err
		}()
		synctest.Wait()
		d.Unplug()
		if err := <-ended; !errors.Is(err, ErrGone) {
			t.Errorf("read under way: %v, want gone", err)
		}
		if _, err := d.Out(t.Context(), 0x01, []byte("x")); !errors.Is(err, ErrGone) {
			t.Errorf("write after: %v, want gone", err)
		}
		if _, err := d.Control(Setup{Type: 0x80, Request: 6, Value: 0x100, Length: 18}); !errors.Is(err, ErrGone) {
			t.Errorf("request after: %v, want gone", err)
		}
	})
}

// What was under way before a reset must not come after it.
func TestResetForgets(t *testing.T) {
	big := func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/big" {
			w.Write(bytes.Repeat([]byte("x"), 100_000))
			return
		}
		hello(w, r)
	}
	resets := map[string]func(*Device) error{
		"port reset":      func(d *Device) error { d.Reset(); d.SetInterface(0, 1); return nil },
		"setting":         func(d *Device) error { d.SetInterface(0, 1); return nil },
		"soft reset":      func(d *Device) error { _, err := d.Control(Setup{Type: 0x21, Request: 2}); return err },
		"set and restore": func(d *Device) error { d.SetInterface(0, 0); d.SetInterface(0, 1); return nil },
	}
	for name, reset := range resets {
		t.Run(name, func(t *testing.T) {
			on(t, DefaultLayout(), Faults{}, big, func(t *testing.T, d *Device) {
				d.SetInterface(0, 1)
				h := host{t.Context(), d, 0x82, 0x01}
				fmt.Fprint(h, "GET /big HTTP/1.1\r\nHost: localhost\r\n\r\n")
				if _, err := h.Read(make([]byte, 16<<10)); err != nil {
					t.Fatal(err)
				}
				if err := reset(d); err != nil {
					t.Fatal(err)
				}
				if got, err := get(t, d, "/a", ""); err != nil || got != "hello /a" {
					t.Errorf("got %q, %v", got, err)
				}
			})
		})
	}
}

func TestControl(t *testing.T) {
	tests := []struct {
		name string
		s    Setup
		want string
		err  error
	}{
		{"manufacturer", Setup{0x80, 6, 0x0301, 0x0409, 255}, "\x10\x03d\x00o\x00c\x00s\x00c\x00a\x00n\x00", nil},
		{"cut", Setup{0x80, 6, 0x0301, 0x0409, 4}, "\x10\x03d\x00", nil},
		{"no such string", Setup{0x80, 6, 0x0309, 0x0409, 255}, "", ErrStall},
		{"device id", Setup{0xa1, 0, 0, 0, 10}, "\x00\x30MFG:docs", nil},
		{"capabilities", Setup{0x80, 6, 0x2100, 0, 255}, "\x0a\x21\x00\x01\x00\x00\x12\x00\x00\x00", nil},
		{"configuration", Setup{0x80, 8, 0, 0, 1}, "\x01", nil},
		{"select setting", Setup{0x01, 11, 1, 2, 0}, "", nil},
		{"select none", Setup{0x01, 11, 7, 2, 0}, "", ErrStall},
		{"setting", Setup{0x81, 10, 0, 0, 1}, "\x00", nil},
		{"clear halt", Setup{0x02, 1, 0, 0x82, 0}, "", nil},
		{"clear halt of nothing", Setup{0x02, 1, 0, 0x8f, 0}, "", ErrStall},
		{"unknown", Setup{0xc0, 0x51, 0, 0, 8}, "", ErrStall},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			on(t, DefaultLayout(), Faults{}, hello, func(t *testing.T, d *Device) {
				got, err := d.Control(tt.s)
				if string(got) != tt.want || !errors.Is(err, tt.err) {
					t.Errorf("Control(%+v) = %q, %v, want %q, %v", tt.s, got, err, tt.want, tt.err)
				}
			})
		})
	}
}

// A host may send any setup packet.
func FuzzControl(f *testing.F) {
	f.Add([]byte{0x80, 6, 0, 1, 0, 0, 18, 0})
	f.Add([]byte{0x21, 2, 0, 0, 2, 0, 0, 0})
	f.Add([]byte{0x01, 11, 1, 0, 1, 0, 0, 0})
	d, err := New(DefaultLayout(), Faults{}, http.HandlerFunc(hello), slog.New(slog.DiscardHandler))
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { d.Close() })
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := ParseSetup(b)
		if err != nil {
			return
		}
		if got, err := d.Control(s); err == nil && len(got) > int(s.Length) {
			t.Errorf("Control(%+v) gave %d bytes, more than asked for", s, len(got))
		}
	})
}
