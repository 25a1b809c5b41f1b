package ippusb

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"docscan/device/quirks"
	"docscan/device/sim/usbface"
	"docscan/device/usb"
)

// ear notes what is written to it.
type ear struct{ sizes []int }

func (e *ear) Read(context.Context, []byte) (int, error) { return 0, io.EOF }
func (e *ear) Restart(context.Context) error             { return nil }
func (e *ear) Write(_ context.Context, b []byte) (int, error) {
	e.sizes = append(e.sizes, len(b))
	return len(b), nil
}

func TestHabitsOfWriting(t *testing.T) {
	tests := []struct {
		name   string
		quirks quirks.Quirks
		size   int
		want   []int // transfers
		takes  time.Duration
	}{
		{"none", quirks.Quirks{}, 512, []int{512}, 0},
		{"empty packet after a full one", quirks.Quirks{ZeroLengthWrite: true}, 1024, []int{1024, 0}, 0},
		{"none after a short one", quirks.Quirks{ZeroLengthWrite: true}, 1000, []int{1000}, 0},
		{"none after nothing", quirks.Quirks{ZeroLengthWrite: true}, 0, []int{0}, 0},
		{"pause", quirks.Quirks{WriteDelayMS: 30}, 512, []int{512}, 30 * time.Millisecond},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e := &ear{}
				began := time.Now()
				n, err := odd(e, tt.quirks, 512).Write(t.Context(), make([]byte, tt.size))
				if n != tt.size || err != nil || !slices.Equal(e.sizes, tt.want) || time.Since(began) != tt.takes {
					t.Errorf("Write = %d, %v in transfers of %v after %v, want %v after %v", n, err, e.sizes, time.Since(began), tt.want, tt.takes)
				}
			})
		})
	}
}

// While a machine boots, its answers may break off. The silence then ends the
// answer, and the pipe is put in step again.
func TestPartialStart(t *testing.T) {
	for _, partial := range []bool{false, true} {
		t.Run(fmt.Sprint(partial), func(t *testing.T) {
			h := echoPath(map[string]http.HandlerFunc{"/boot": raw("HTTP/1.1 503 Wait\r\nContent-Length: 100\r\n\r\nbooting")})
			onBench(t, 1, usbface.Faults{}, h, func(t *testing.T, b *bench) {
				b.transport.started.Store(false)
				b.transport.quirks = quirks.Quirks{PartialStart: partial, StartSeconds: 20}
				began := time.Now()
				got, err := b.get(t.Context(), "/boot")
				if partial && (got != "booting" || err != nil) || !partial && err == nil {
					t.Errorf("the answer is %q, %v", got, err)
				}
				if took := time.Since(began); took != 20*time.Second {
					t.Errorf("it took %v, want the 20 s of the quirk", took)
				}
				b.inStep()
				if b.restarts != 1 {
					t.Errorf("%d restarts, want 1", b.restarts)
				}
			})
		})
	}
}

func TestRequestDelay(t *testing.T) {
	onBench(t, 1, usbface.Faults{}, echoPath(nil), func(t *testing.T, b *bench) {
		b.transport.quirks.RequestDelayMS = 250
		began := time.Now()
		b.inStep() // four requests, three pauses between
		if took := time.Since(began); took < 750*time.Millisecond || took > time.Second {
			t.Errorf("four requests took %v, want three pauses of 250 ms", took)
		}
	})
}

// What a quirk says a machine is, is what it is called, and brings the quirks
// of that model.
func TestNameByQuirk(t *testing.T) {
	l, err := quirks.Load("")
	if err != nil {
		t.Fatal(err)
	}
	d := usb.Desc{Vendor: 0x0924, Product: 0x42e8, Settings: []usb.Setting{
		{Config: 1, Interface: 0, Class: 7, SubClass: 1, Protocol: 4, In: 1, Out: 1},
		{Config: 1, Interface: 1, Class: 7, SubClass: 1, Protocol: 4, In: 2, Out: 2},
	}}
	v := NewDriver(DefaultConfig(), l, nil, nil)
	info, ok := v.Know(d, usb.Strings{})
	if !ok || info.Make != "Xerox" || info.Model != "B205" {
		t.Errorf("Know = %+v, %t, want a Xerox B205", info, ok)
	}
	if q := v.quirksOf(d, usb.Strings{}); q.Reset != quirks.HardReset || !q.WaitOnNotFound {
		t.Errorf("quirks %+v, want those by id and those by model", q)
	}
}
