package usbface

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// script is a function that keeps what it hears and says what it was given.
type script struct {
	heard  [][]byte
	says   chan []byte
	resets int
}

func (s *script) Out(_ context.Context, b []byte) error {
	s.heard = append(s.heard, slices.Clone(b))
	return nil
}

func (s *script) In(ctx context.Context) ([]byte, error) {
	select {
	case b := <-s.says:
		return b, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (s *script) Reset() { s.resets++ }

// onVendor runs body in a bubble of fake time with a vendor's device.
func onVendor(t *testing.T, body func(*testing.T, *Device, *script)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		fn := &script{says: make(chan []byte, 8)}
		d, err := NewVendor(VendorLayout(0x1209, 2, "docscan", "Vendor", ""), Faults{}, fn)
		if err != nil {
			t.Fatal(err)
		}
		defer d.Close()
		body(t, d, fn)
	})
}

// A transfer of the host is a message, and so is one of the device.
func TestMessagesKeepTheirBounds(t *testing.T) {
	onVendor(t, func(t *testing.T, d *Device, fn *script) {
		for _, s := range []string{"one", "", "three"} {
			if n, err := d.Out(t.Context(), 0x01, []byte(s)); err != nil || n != len(s) {
				t.Fatalf("Out(%q) = %d, %v", s, n, err)
			}
		}
		if want := [][]byte{[]byte("one"), {}, []byte("three")}; !slices.EqualFunc(fn.heard, want, bytes.Equal) {
			t.Errorf("heard %q, want %q", fn.heard, want)
		}
		long := bytes.Repeat([]byte("0123456789abcdef"), 100) // three packets and 64 bytes
		fn.says <- []byte("short")
		fn.says <- nil
		fn.says <- long
		fn.says <- []byte("next")
		tests := []struct {
			ask  int
			want []byte
		}{{5, []byte("short")}, {18, nil}, {1024, long[:1024]}, {600, long[1024:]}, {512, []byte("next")}}
		for _, tt := range tests {
			b := make([]byte, tt.ask)
			n, err := d.In(t.Context(), 0x82, b)
			if err != nil || !bytes.Equal(b[:n], tt.want) {
				t.Errorf("In of %d = %q, %v, want %q", tt.ask, b[:n], err, tt.want)
			}
		}
	})
}

// A packet that does not fit into what the host asked for is lost.
func TestMessageOverflows(t *testing.T) {
	onVendor(t, func(t *testing.T, d *Device, fn *script) {
		fn.says <- make([]byte, 20)
		if _, err := d.In(t.Context(), 0x82, make([]byte, 13)); !errors.Is(err, ErrOverflow) {
			t.Errorf("20 bytes for 13: %v, want an overflow", err)
		}
		fn.says <- []byte("good")
		b := make([]byte, 13)
		if n, err := d.In(t.Context(), 0x82, b); err != nil || string(b[:n]) != "good" {
			t.Errorf("after it: %q, %v", b[:n], err)
		}
	})
}

func TestMessageTransferEnds(t *testing.T) {
	onVendor(t, func(t *testing.T, d *Device, fn *script) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := d.In(ctx, 0x82, make([]byte, 512)); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("reading of nothing: %v, want the deadline", err)
		}
		ended := make(chan error, 1)
		go func() {
			_, err := d.In(t.Context(), 0x82, make([]byte, 512))
			ended <- err
		}()
		synctest.Wait()
		d.Unplug()
		if err := <-ended; !errors.Is(err, ErrGone) {
			t.Errorf("reading while unplugged: %v, want gone", err)
		}
	})
}

// Selecting the interface forgets the rest of a message.
func TestMessageReset(t *testing.T) {
	onVendor(t, func(t *testing.T, d *Device, fn *script) {
		fn.says <- make([]byte, 2000)
		if _, err := d.In(t.Context(), 0x82, make([]byte, 512)); err != nil {
			t.Fatal(err)
		}
		if !d.SetInterface(0, 0) || d.SetInterface(0, 1) {
			t.Error("the interface has not just the setting 0")
		}
		fn.says <- []byte("new")
		b := make([]byte, 512)
		if n, err := d.In(t.Context(), 0x82, b); err != nil || string(b[:n]) != "new" || fn.resets != 1 {
			t.Errorf("after %d resets: %q, %v", fn.resets, b[:n], err)
		}
	})
}

// A vendor's device is no printer, and says so.
func TestVendorDescribes(t *testing.T) {
	onVendor(t, func(t *testing.T, d *Device, _ *script) {
		want := []byte{
			9, 2, 32, 0, 1, 1, 0, 0xc0, 1,
			9, 4, 0, 0, 2, 255, 255, 255, 0,
			7, 5, 0x82, 2, 0, 2, 0,
			7, 5, 0x01, 2, 0, 2, 0,
		}
		if got := d.ConfigDescriptor(); !bytes.Equal(got, want) {
			t.Errorf("configuration % x\nwant % x", got, want)
		}
		for _, s := range []Setup{{0xa1, 0, 0, 0, 64}, {0xa1, 1, 0, 0, 1}, {0x21, 2, 0, 0, 0}} {
			if _, err := d.Control(s); !errors.Is(err, ErrStall) {
				t.Errorf("request %+v of the printer class: %v, want a stall", s, err)
			}
		}
		if got := d.Class(0); got != [3]byte{255, 255, 255} {
			t.Errorf("class %v", got)
		}
	})
}
