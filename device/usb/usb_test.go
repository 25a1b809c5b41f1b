package usb

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/gousb"

	"docscan/device"
	"docscan/device/sim/bustest"
)

func TestMain(m *testing.M) { os.Exit(bustest.Main(m)) }

var quiet = slog.New(slog.DiscardHandler)

func TestID(t *testing.T) {
	port := Desc{Vendor: 0x04c5, Product: 0x132b, Port: "usb:1-2.3"}
	tests := []struct {
		name string
		s    Strings
		want string
	}{
		{"all there", Strings{Manufacturer: "HP", Model: "ENVY 5530 series", Serial: "CN4A/71"}, "hp-envy-5530-series-cn4a-71"},
		{"no serial", Strings{Manufacturer: "FUJITSU", Model: "fi-7160"}, "fujitsu-fi-7160-usb-1-2-3"},
		{"nothing", Strings{}, "04c5-132b-usb-1-2-3"},
		{"not Latin", Strings{Model: "スキャナ 9", Serial: "A1"}, "9-a1"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := ID(tt.s, port); got != tt.want {
				t.Errorf("ID = %q, want %q", got, tt.want)
			}
		})
	}
}

func TestParseString(t *testing.T) {
	tests := []struct {
		name, in, want string
		ok             bool
	}{
		{"text", "\x06\x03H\x00P\x00", "HP", true},
		{"padded", "\x0a\x03H\x00P\x00 \x00\x00\x00", "HP", true},
		{"beyond Latin", "\x06\x03\x2d\x8a\xfc\x00", "設ü", true},
		{"empty", "\x02\x03", "", true},
		{"odd length", "\x07\x03H\x00P\x00X", "HP", true},
		{"claims more than it sends", "\xff\x03H\x00P\x00", "HP", true},
		{"half a surrogate pair", "\x04\x03\x3d\xd8", "\ufffd", true},
		{"another descriptor", "\x06\x02H\x00P\x00", "", false},
		{"nothing", "", "", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := parseString([]byte(tt.in))
			if got != tt.want || (err == nil) != tt.ok {
				t.Errorf("parseString(%q) = %q, %v, want %q, ok %t", tt.in, got, err, tt.want, tt.ok)
			}
		})
	}
}

// Strings come from the machine, so any bytes may arrive.
func FuzzParseString(f *testing.F) {
	f.Add([]byte("\x06\x03H\x00P\x00"))
	f.Add([]byte("\xff\x03\x3d\xd8\x00\xdc"))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := parseString(b)
		if err != nil {
			return
		}
		if !utf8.ValidString(s) || strings.ContainsAny(s, "\x00\n\r\x1b") || len(s) > 3*len(b) {
			t.Errorf("parseString(%x) = %q", b, s)
		}
		if id := Slug(s); strings.Trim(id, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
			t.Errorf("Slug(%q) = %q, which is not fit for a URL", s, id)
		}
	})
}

// descOf makes a device's descriptors of any bytes, as libusb could give them: each
// ten are an endpoint of a setting of an interface of a configuration.
func descOf(b []byte) *gousb.DeviceDesc {
	d := &gousb.DeviceDesc{Bus: 1, Path: []int{1}, Configs: make(map[int]gousb.ConfigDesc)}
	for ; len(b) >= 10; b = b[10:] {
		c := d.Configs[int(b[0])]
		c.Number = int(b[0])
		at := slices.IndexFunc(c.Interfaces, func(i gousb.InterfaceDesc) bool { return i.Number == int(b[1]) })
		if at < 0 {
			c.Interfaces, at = append(c.Interfaces, gousb.InterfaceDesc{Number: int(b[1])}), len(c.Interfaces)
		}
		c.Interfaces[at].AltSettings = append(c.Interfaces[at].AltSettings, gousb.InterfaceSetting{
			Number: int(b[1]), Alternate: int(b[2]), Class: gousb.Class(b[3]), SubClass: gousb.Class(b[4]), Protocol: gousb.Protocol(b[5]),
			Endpoints: map[gousb.EndpointAddress]gousb.EndpointDesc{
				gousb.EndpointAddress(b[6]): {Number: int(b[6] & 0xf), Direction: b[6]&0x80 != 0, TransferType: gousb.TransferType(b[7] & 3), MaxPacketSize: int(b[8])},
				gousb.EndpointAddress(b[9]): {Number: int(b[9] & 0xf), Direction: b[9]&0x80 != 0, TransferType: gousb.TransferTypeBulk, MaxPacketSize: 512},
			},
		})
		d.Configs[int(b[0])] = c
	}
	return d
}

// Descriptors come from the device, so any may arrive. What is made of them must
// be found again where gousb looks for it.
func FuzzDescriptors(f *testing.F) {
	f.Add([]byte{1, 0, 1, 7, 1, 4, 0x81, 2, 64, 0x02, 1, 3, 1, 7, 1, 4, 0x83, 2, 64, 0x04})
	f.Add([]byte{1, 0xff, 0xff, 255, 255, 255, 0x81, 2, 64, 0x01, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		d := descOf(b)
		for _, s := range describe(d).Settings {
			list := indexed(d.Configs[s.Config].Interfaces)
			if s.Interface >= len(list) || list[s.Interface].Number != s.Interface {
				t.Fatalf("interface %d is not where gousb looks for it", s.Interface)
			}
			alts := list[s.Interface].AltSettings
			if len(alts) < 2 || !slices.ContainsFunc(alts, func(a gousb.InterfaceSetting) bool { return a.Alternate == s.Alternate }) {
				t.Fatalf("setting %d of interface %d cannot be selected", s.Alternate, s.Interface)
			}
			if s.In < 1 || s.In > 15 || s.Out < 1 || s.Out > 15 {
				t.Fatalf("endpoints %d and %d", s.In, s.Out)
			}
		}
	})
}

// google/gousb#134: interface numbers with a gap.
func TestIndexed(t *testing.T) {
	list := []gousb.InterfaceDesc{
		{Number: 0, AltSettings: []gousb.InterfaceSetting{{Number: 0, Alternate: 0}}},
		{Number: 3, AltSettings: []gousb.InterfaceSetting{{Number: 3, Alternate: 0}, {Number: 3, Alternate: 1}}},
	}
	got := indexed(list)
	if len(got) != 4 {
		t.Fatalf("%d interfaces, want 4", len(got))
	}
	for i, want := range []int{0, -1, -1, 3} {
		if got[i].Number != want {
			t.Errorf("interface at index %d is number %d, want %d", i, got[i].Number, want)
		}
	}
	for _, i := range []int{0, 3} {
		if n := len(got[i].AltSettings); n < 2 {
			t.Errorf("interface %d seems to have %d settings, so gousb would select none", i, n)
		}
	}
	if len(list[0].AltSettings) != 1 {
		t.Error("indexed changed its argument")
	}
}

func TestExplain(t *testing.T) {
	d := Desc{Bus: 1, Address: 4, Port: "usb:1-2"}
	tests := []struct {
		name     string
		err      error
		wantKind device.FaultKind
		wantIs   error
		wantText string
	}{
		{"unplugged", gousb.ErrorNoDevice, device.Unplugged, gousb.ErrorNoDevice, "usb:1-2"},
		{"unplugged in a transfer", gousb.TransferNoDevice, device.Unplugged, nil, "usb:1-2"},
		{"busy, as gousb says it", fmt.Errorf("failed to claim interface 0: %v", gousb.ErrorBusy), device.HeldByOther, nil, "ipp-usb"},
		{"no rights", gousb.ErrorAccess, device.NoRights, ErrAccess, "/dev/bus/usb/001/004"},
		{"stall", gousb.TransferStall, "", errStall, "usb:1-2"},
		{"end of the context", context.Canceled, "", context.Canceled, ""},
		{"anything else", gousb.ErrorIO, "", gousb.ErrorIO, "usb:1-2"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := explain(d, "open", tt.err)
			if device.KindOf(got) != tt.wantKind || tt.wantIs != nil && !errors.Is(got, tt.wantIs) || !strings.Contains(got.Error(), tt.wantText) {
				t.Errorf("explain(%v) = %v, want kind %q, the error %v and the text %q", tt.err, got, tt.wantKind, tt.wantIs, tt.wantText)
			}
		})
	}
}

func TestPort(t *testing.T) {
	for _, tt := range []struct {
		path []int
		want string
	}{{nil, "usb:2"}, {[]int{1}, "usb:2-1"}, {[]int{1, 4, 3}, "usb:2-1.4.3"}} {
		if got := port(2, tt.path); got != tt.want {
			t.Errorf("port(2, %v) = %q, want %q", tt.path, got, tt.want)
		}
	}
}

func newBus(t *testing.T) *Bus {
	t.Helper()
	b := NewBus(time.Millisecond, slog.New(slog.NewTextHandler(t.Output(), nil)))
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return b
}

// Whatever this machine has, asking must do no harm: one without USB is one
// without devices.
func TestDevicesHere(t *testing.T) {
	if _, err := newBus(t).Devices(); err != nil {
		t.Errorf("Devices: %v", err)
	}
}

// Where libusb cannot start there is nothing to find, which is said once. It is
// tried again each time.
func TestNoUSB(t *testing.T) {
	var before syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &before); err != nil {
		t.Fatal(err)
	}
	none := syscall.Rlimit{Cur: 0, Max: before.Max} // libusb cannot open anything
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &none); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	b := NewBus(0, slog.New(slog.NewTextHandler(&out, nil)))
	for range 3 {
		if list, err := b.Devices(); err != nil || len(list) > 0 {
			t.Errorf("Devices = %v, %v, want nothing", list, err)
		}
	}
	if _, err := b.Open(t.Context(), Desc{Port: "usb:1-1"}, []Setting{{}}); device.KindOf(err) != device.Unplugged {
		t.Errorf("Open = %v, want a fault of kind unplugged", err)
	}
	if n := strings.Count(out.String(), "no USB on this machine"); n != 1 {
		t.Errorf("said %d times that there is no USB, want once:\n%s", n, &out)
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &before); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Devices(); err != nil || b.ctx == nil {
		t.Errorf("libusb was not tried again: %v", err)
	}
	if err := b.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
}

func TestClosedBus(t *testing.T) {
	b := NewBus(0, slog.New(slog.DiscardHandler))
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Devices(); err == nil {
		t.Error("a closed bus lists devices")
	}
}

func TestOnBusDescriptors(t *testing.T) {
	tests := []struct {
		name  string
		flags []string
		want  []Setting // of class 7/1/4 or that of HP
	}{
		{"three", nil, []Setting{
			{1, 0, 1, 7, 1, 4, 2, 1, 512}, {1, 1, 1, 7, 1, 4, 4, 3, 512}, {1, 2, 1, 7, 1, 4, 6, 5, 512}}},
		{"gap", []string{"-gap", "-interfaces=2"}, []Setting{
			{1, 0, 1, 7, 1, 4, 2, 1, 512}, {1, 2, 1, 7, 1, 4, 4, 3, 512}}},
		{"HP", []string{"-hp", "-interfaces=1"}, []Setting{{1, 0, 1, 255, 9, 1, 2, 1, 512}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			bustest.Run(t, tt.flags, func(t *testing.T) {
				list, err := newBus(t).Devices()
				if err != nil || len(list) != 1 {
					t.Fatalf("Devices = %v, %v, want one without the hub", list, err)
				}
				got := slices.DeleteFunc(list[0].Settings, func(s Setting) bool { return s.Is(7, 1, 2) })
				if !slices.Equal(got, tt.want) {
					t.Errorf("settings %v, want %v", got, tt.want)
				}
			})
		})
	}
}

// Some machines refuse the first times that a string is asked for, and some until
// their port is reset.
func TestOnBusStringsRefused(t *testing.T) {
	for _, tt := range []struct {
		refused int
		ok      bool
	}{{2, true}, {3, true}, {6, false}} {
		t.Run(fmt.Sprint(tt.refused), func(t *testing.T) {
			bustest.Run(t, []string{fmt.Sprintf("-refuse-strings=%d", tt.refused)}, func(t *testing.T) {
				b := newBus(t)
				list, err := b.Devices()
				if err != nil || len(list) != 1 {
					t.Fatalf("Devices = %v, %v", list, err)
				}
				s, err := b.Strings(t.Context(), list[0])
				if (err == nil) != tt.ok || tt.ok && s.Serial != "SIM0001" {
					t.Errorf("Strings = %+v, %v, want ok %t", s, err, tt.ok)
				}
			})
		})
	}
}

// choosy is a Driver of all that has strings, of which it thinks for a while.
type choosy struct {
	asked atomic.Int32
	think func(d Desc)
}

func (c *choosy) Match(Desc) bool {
	c.asked.Add(1)
	return true
}

func (c *choosy) Know(d Desc, s Strings) (device.Info, bool) {
	c.think(d)
	return device.Info{Make: s.Manufacturer, Model: s.Model}, true
}

func (c *choosy) Open(context.Context, *Bus, Desc, device.Info) (device.Scanner, error) {
	return nil, device.ErrUnsupported
}

// A machine that is slow to say what it is does not keep the others waiting, and
// nobody else may touch it meanwhile.
func TestOnBusSlowToAnswer(t *testing.T) {
	t.Parallel()
	bustest.Run(t, []string{"-twin"}, func(t *testing.T) {
		thought := make(chan struct{})
		c := &choosy{think: func(d Desc) {
			if d.Port == "usb:1-1" {
				<-thought
			}
		}}
		f := NewFinder(Config{Enabled: true}, quiet, c)
		find := func(want ...string) []Desc {
			t.Helper()
			found, err := f.Find(t.Context())
			var ports []string
			for _, d := range found {
				ports = append(ports, d.Info.Port)
			}
			if err != nil || !slices.Equal(ports, want) {
				t.Fatalf("found %v, %v, want %v", ports, err, want)
			}
			list, err := f.bus.Devices()
			if err != nil || len(list) != 2 {
				t.Fatalf("Devices = %v, %v", list, err)
			}
			return list
		}
		both := find("usb:1-2")
		if !f.Drives(both[0].Bus, both[0].Address) {
			t.Error("the slow one is left to others")
		}
		began := time.Now()
		find("usb:1-2")
		if d := time.Since(began); d > askPatience/2 {
			t.Errorf("it was waited for a second time, %v", d)
		}
		close(thought)
		f.work.Wait()
		find("usb:1-1", "usb:1-2")
		if n := c.asked.Load(); n != 2 {
			t.Errorf("asked %d times, want each once", n)
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	})
}

// A machine that never says what it is, is asked ever more seldom, and then it is
// found after all.
func TestOnBusSaysNothing(t *testing.T) {
	t.Parallel()
	bustest.Run(t, []string{"-refuse-strings=12"}, func(t *testing.T) {
		c := &choosy{think: func(Desc) {}}
		f := NewFinder(Config{Enabled: true}, quiet, c)
		var gaps []time.Duration
		for last, n := time.Now(), int32(0); ; time.Sleep(10 * time.Millisecond) {
			found, err := f.Find(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if m := c.asked.Load(); m != n {
				gaps = append(gaps, time.Since(last))
				last, n = time.Now(), m
			}
			if len(found) == 1 {
				break
			}
		}
		// Six refusals are one try, of which each has a reset of the port in it.
		if len(gaps) != 3 || gaps[1] < firstRetry || gaps[2] < 2*firstRetry {
			t.Errorf("it was asked after %v", gaps)
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	})
}

// A transfer that nobody waits for any more, and one on a closed device, end.
func TestOnBusTransferEnds(t *testing.T) {
	bustest.Run(t, nil, func(t *testing.T) {
		b := newBus(t)
		list, err := b.Devices()
		if err != nil || len(list) != 1 {
			t.Fatalf("Devices = %v, %v", list, err)
		}
		settings := slices.DeleteFunc(slices.Clone(list[0].Settings), func(s Setting) bool { return !s.Is(7, 1, 4) })
		d, err := b.Open(t.Context(), list[0], settings)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		buf := make([]byte, 1024)
		if n, err := d.Pipes()[0].Read(ctx, buf); n != 0 || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Read = %d, %v, want the deadline", n, err)
		}
		ended := make(chan error, 1)
		go func() {
			_, err := d.Pipes()[1].Read(t.Context(), buf)
			ended <- err
		}()
		if err := d.Pipes()[0].Restart(t.Context()); err != nil {
			t.Errorf("Restart: %v", err)
		}
		select {
		case err := <-ended:
			t.Errorf("the restart of one pipe ended a read of another: %v", err)
		default:
		}
		if err := d.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		if err := <-ended; err == nil {
			t.Error("a read ended well on a closed device")
		}
		if _, err := d.Pipes()[0].Write(t.Context(), buf); err == nil {
			t.Error("a write went to a closed device")
		}
	})
}

// A device that talks in messages gets and gives them whole: each transfer is
// one, on the real libusb too.
func TestOnBusMessages(t *testing.T) {
	bustest.Run(t, []string{"-echo"}, func(t *testing.T) {
		b := newBus(t)
		list, err := b.Devices()
		if err != nil || len(list) != 1 || len(list[0].Settings) != 1 || !list[0].Settings[0].Is(255, 255, 255) {
			t.Fatalf("Devices = %v, %v, want one of a vendor's class", list, err)
		}
		d, err := b.Open(t.Context(), list[0], list[0].Settings)
		if err != nil {
			t.Fatal(err)
		}
		defer d.Close()
		p := d.Pipes()[0]
		for _, size := range []int{31, 0, 512, 1024, 70_000} {
			msg := bytes.Repeat([]byte{byte(size)}, size)
			if n, err := p.Write(t.Context(), msg); n != size || err != nil {
				t.Fatalf("Write of %d = %d, %v", size, n, err)
			}
		}
		for _, size := range []int{31, 0, 512, 1024, 70_000} {
			got := make([]byte, 128<<10)
			n, err := p.Read(t.Context(), got)
			if err != nil || n != size {
				t.Errorf("Read = %d, %v, want %d", n, err, size)
			}
		}
		if _, err := p.Write(t.Context(), make([]byte, 100)); err != nil {
			t.Fatal(err)
		}
		if err := p.Restart(t.Context()); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		if n, err := p.Read(ctx, make([]byte, 512)); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Read after a restart = %d, %v, want nothing to come", n, err)
		}
	})
}

// An exchange does its parts in turn for as long as each moves what it should.
func TestOnBusExchange(t *testing.T) {
	bustest.Run(t, []string{"-echo"}, func(t *testing.T) {
		b := newBus(t)
		list, err := b.Devices()
		if err != nil || len(list) != 1 {
			t.Fatalf("Devices = %v, %v", list, err)
		}
		d, err := b.Open(t.Context(), list[0], list[0].Settings)
		if err != nil {
			t.Fatal(err)
		}
		p := d.Pipes()[0]
		command, data := bytes.Repeat([]byte{1}, 31), bytes.Repeat([]byte{2}, 100)
		for _, tt := range []struct {
			name string
			want int
			// What comes of it.
			moved [4]int
			left  int // bytes that are still to come
		}{
			{"whole", 31, [4]int{31, 100, 31, 100}, 0},
			{"less comes than wanted", 32, [4]int{31, 100, 31, 0}, 100},
		} {
			x := Exchange{Command: command, Out: data, In: make([]byte, 512), Want: tt.want, Status: make([]byte, 512), Limit: time.Minute}
			if err := p.Exchange(t.Context(), &x); err != nil || x.Moved != tt.moved {
				t.Fatalf("%s: moved %v, %v, want %v", tt.name, x.Moved, err, tt.moved)
			}
			if !bytes.Equal(x.In[:31], command) || !bytes.Equal(x.Status[:x.Moved[3]], data[:x.Moved[3]]) {
				t.Errorf("%s: got %x and %x", tt.name, x.In, x.Status)
			}
			if tt.left > 0 {
				if n, err := p.Read(t.Context(), make([]byte, 512)); n != tt.left || err != nil {
					t.Errorf("%s: after it Read = %d, %v, want %d", tt.name, n, err, tt.left)
				}
			}
		}
		if text := d.journal.text(); !strings.Contains(text, "transfers so far 8, of which failed 0; bytes 524\n") { // the read of what was left too
			t.Errorf("the journal says: %s", text)
		}
		over, stop := context.WithCancel(t.Context())
		stop()
		soon, stop := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer stop()
		for _, tt := range []struct {
			ctx   context.Context
			limit time.Duration
			err   error
		}{{over, 0, context.Canceled}, {soon, 0, context.DeadlineExceeded}, {t.Context(), 50 * time.Millisecond, ErrLate}} {
			x := Exchange{Command: command, In: make([]byte, 512), Want: 31, Status: make([]byte, 512), Limit: tt.limit} // nothing comes for Status
			if err := p.Exchange(tt.ctx, &x); !errors.Is(err, tt.err) || x.Moved[3] != 0 {
				t.Errorf("moved %v, %v, want %v", x.Moved, err, tt.err)
			}
			if err := p.Restart(t.Context()); err != nil { // drops what it still has to say
				t.Fatal(err)
			}
		}
		ended := make(chan error, 1)
		go func() {
			ended <- p.Exchange(t.Context(), &Exchange{Command: command, In: make([]byte, 512), Want: 31, Status: make([]byte, 512)})
		}()
		if err := d.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		if err := <-ended; err == nil {
			t.Error("an exchange ended well on a closed device")
		}
	})
}
