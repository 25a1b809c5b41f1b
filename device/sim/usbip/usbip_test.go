package usbip

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"docscan/device/sim/usbface"
)

// testDevice is a device whose endpoint 1 OUT keeps what it gets, and whose
// endpoint 2 IN says what comes from say. Others are halted.
type testDevice struct {
	gone chan struct{}
	say  chan string

	mu  sync.Mutex
	got []byte
}

func newTestDevice() *testDevice {
	return &testDevice{gone: make(chan struct{}), say: make(chan string, 8)}
}

func (d *testDevice) Gone() <-chan struct{} { return d.gone }

func (d *testDevice) Control(s usbface.Setup) ([]byte, error) {
	if s.Type != 0xc0 {
		return nil, usbface.ErrStall
	}
	return []byte("answer")[:min(6, s.Length)], nil
}

func (d *testDevice) In(ctx context.Context, ep uint8, b []byte) (int, error) {
	if ep != 0x82 {
		return 0, usbface.ErrStall
	}
	select {
	case s := <-d.say:
		if len(s) > len(b) {
			return copy(b, s), usbface.ErrOverflow
		}
		return copy(b, s), nil
	case <-ctx.Done():
		return 0, ctx.Err()
	case <-d.gone:
		return 0, usbface.ErrGone
	}
}

func (d *testDevice) Out(_ context.Context, ep uint8, b []byte) (int, error) {
	if ep != 0x01 {
		return 0, usbface.ErrStall
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.got = append(d.got, b...)
	return len(b), nil
}

// host is what the kernel does.
type host struct {
	t    *testing.T
	conn net.Conn
	done chan error // of Serve
}

func newHost(t *testing.T, dev Device) *host {
	t.Helper()
	ours, theirs, err := pair()
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.FileConn(theirs)
	if err != nil {
		t.Fatal(err)
	}
	theirs.Close()
	h := &host{t: t, conn: conn, done: make(chan error, 1)}
	go func() { h.done <- Serve(t.Context(), ours, dev) }()
	t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return h
}

// order makes a header as the kernel does.
func order(code, seq, direction, ep, flags, length uint32, setup [8]byte) []byte {
	b := make([]byte, headerLen)
	for i, v := range []uint32{code, seq, 1<<16 | 2, direction, ep, flags, length} {
		binary.BigEndian.PutUint32(b[4*i:], v)
	}
	copy(b[40:], setup[:])
	return b
}

func (h *host) send(b ...[]byte) {
	h.t.Helper()
	if _, err := h.conn.Write(slices.Concat(b...)); err != nil {
		h.t.Fatal(err)
	}
}

// answer is one header of the device with the data behind it.
type answer struct {
	code, seq      uint32
	status, actual int32
	data           string
}

// receive reads one answer; in says that it is that of an IN transfer.
func (h *host) receive(in bool) answer {
	h.t.Helper()
	b := make([]byte, headerLen)
	if _, err := io.ReadFull(h.conn, b); err != nil {
		h.t.Fatal(err)
	}
	u32 := func(off int) uint32 { return binary.BigEndian.Uint32(b[off:]) }
	a := answer{code: u32(0), seq: u32(4), status: int32(u32(20)), actual: int32(u32(24))}
	if in && a.code == retSubmit && a.actual > 0 {
		data := make([]byte, a.actual)
		if _, err := io.ReadFull(h.conn, data); err != nil {
			h.t.Fatal(err)
		}
		a.data = string(data)
	}
	return a
}

func (h *host) want(in bool, want answer) {
	h.t.Helper()
	if got := h.receive(in); got != want {
		h.t.Errorf("answer %+v, want %+v", got, want)
	}
}

func TestTransfers(t *testing.T) {
	dev := newTestDevice()
	h := newHost(t, dev)

	h.send(order(cmdSubmit, 1, 1, 0, 0, 64, [8]byte{0xc0, 1, 0, 0, 0, 0, 64, 0}))
	h.want(true, answer{retSubmit, 1, 0, 6, "answer"})
	h.send(order(cmdSubmit, 2, 1, 0, 0, 4, [8]byte{0xc0, 1, 0, 0, 0, 0, 4, 0}))
	h.want(true, answer{retSubmit, 2, 0, 4, "answ"})
	h.send(order(cmdSubmit, 3, 0, 0, 0, 0, [8]byte{0x40, 1}))
	h.want(false, answer{retSubmit, 3, ePipe, 0, ""})

	h.send(order(cmdSubmit, 4, 0, 1, 0, 5, [8]byte{}), []byte("hello"))
	h.want(false, answer{retSubmit, 4, 0, 5, ""})
	h.send(order(cmdSubmit, 5, 0, 3, 0, 1, [8]byte{}), []byte("x"))
	h.want(false, answer{retSubmit, 5, ePipe, 0, ""})
	dev.mu.Lock()
	if got := string(dev.got); got != "hello" {
		t.Errorf("the device got %q, want hello", got)
	}
	dev.mu.Unlock()

	dev.say <- "page"
	h.send(order(cmdSubmit, 6, 1, 2, 0, 512, [8]byte{}))
	h.want(true, answer{retSubmit, 6, 0, 4, "page"})
	dev.say <- "page"
	h.send(order(cmdSubmit, 7, 1, 2, shortNotOK, 512, [8]byte{}))
	h.want(true, answer{retSubmit, 7, eRemoteIO, 4, "page"})
	dev.say <- "page"
	h.send(order(cmdSubmit, 8, 1, 2, 0, 2, [8]byte{}))
	h.want(true, answer{retSubmit, 8, eOverflow, 2, "pa"})

	h.conn.Close()
	if err := <-h.done; err != nil {
		t.Errorf("Serve after the host has gone = %v, want nil", err)
	}
}

// Transfers at one endpoint end in their order, however many wait there.
func TestOrder(t *testing.T) {
	dev := newTestDevice()
	h := newHost(t, dev)
	h.send(order(cmdSubmit, 1, 1, 2, 0, 8, [8]byte{}), order(cmdSubmit, 2, 1, 2, 0, 8, [8]byte{}), order(cmdSubmit, 3, 1, 2, 0, 8, [8]byte{}))
	for _, s := range []string{"a", "b", "c"} {
		dev.say <- s
	}
	h.want(true, answer{retSubmit, 1, 0, 1, "a"})
	h.want(true, answer{retSubmit, 2, 0, 1, "b"})
	h.want(true, answer{retSubmit, 3, 0, 1, "c"})
}

// An unlinked transfer is answered by that of the unlink alone, whether it is
// under way or waits, and takes nothing from the device.
func TestUnlink(t *testing.T) {
	dev := newTestDevice()
	h := newHost(t, dev)
	h.send(order(cmdSubmit, 1, 1, 2, 0, 8, [8]byte{}), order(cmdSubmit, 2, 1, 2, 0, 8, [8]byte{}))
	h.send(order(cmdUnlink, 3, 1, 2, 2, 0, [8]byte{}))
	h.want(false, answer{retUnlink, 3, eConnReset, 0, ""})
	h.send(order(cmdUnlink, 4, 1, 2, 1, 0, [8]byte{}))
	h.want(false, answer{retUnlink, 4, eConnReset, 0, ""})
	h.send(order(cmdUnlink, 5, 1, 2, 1, 0, [8]byte{}))
	h.want(false, answer{retUnlink, 5, 0, 0, ""})
	dev.say <- "next"
	h.send(order(cmdSubmit, 6, 1, 2, 0, 8, [8]byte{}))
	h.want(true, answer{retSubmit, 6, 0, 4, "next"})
}

// A device that goes takes the connection with it, in the middle of a transfer.
func TestUnplug(t *testing.T) {
	dev := newTestDevice()
	h := newHost(t, dev)
	h.send(order(cmdSubmit, 1, 1, 2, 0, 8, [8]byte{}))
	close(dev.gone)
	if _, err := io.ReadFull(h.conn, make([]byte, 1)); err != io.EOF {
		t.Errorf("read after the unplug = %v, want EOF", err)
	}
	if err := <-h.done; err != nil {
		t.Errorf("Serve = %v, want nil", err)
	}
}

func TestServeEndsWithContext(t *testing.T) {
	ours, theirs := net.Pipe()
	defer theirs.Close()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- Serve(ctx, ours, newTestDevice()) }()
	cancel()
	if err := <-done; err != nil {
		t.Errorf("Serve = %v, want nil", err)
	}
}

func TestServeRefuses(t *testing.T) {
	tests := []struct {
		name string
		b    []byte
	}{
		{"unknown command", order(7, 1, 0, 0, 0, 0, [8]byte{})},
		{"direction", order(cmdSubmit, 1, 2, 0, 0, 0, [8]byte{})},
		{"endpoint", order(cmdSubmit, 1, 0, 16, 0, 0, [8]byte{})},
		{"too long", order(cmdSubmit, 1, 1, 2, 0, maxTransfer+1, [8]byte{})},
		{"negative", order(cmdSubmit, 1, 1, 2, 0, 1<<31, [8]byte{})},
		{"the same twice", append(order(cmdSubmit, 1, 1, 2, 0, 8, [8]byte{}), order(cmdSubmit, 1, 1, 2, 0, 8, [8]byte{})...)},
		{"too many", bytes.Join(slices.Collect(func(yield func([]byte) bool) {
			for i := range uint32(maxQueued + 2) {
				if !yield(order(cmdSubmit, i+1, 1, 2, 0, 8, [8]byte{})) {
					return
				}
			}
		}), nil)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := newHost(t, newTestDevice())
			h.conn.Write(tt.b) // may fail, as Serve stops reading
			if err := <-h.done; err == nil {
				t.Error("Serve = nil, want an error")
			}
		})
	}
}

// The device of the eSCL scanners answers an HTTP request here as on any bus.
func TestUsbface(t *testing.T) {
	handler := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "scanner") })
	dev, err := usbface.New(usbface.DefaultLayout(), usbface.Faults{}, handler, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer dev.Close()
	h := newHost(t, dev)
	h.send(order(cmdSubmit, 1, 1, 0, 0, 18, [8]byte{0x80, 6, 0, 1, 0, 0, 18, 0}))
	if got := h.receive(true); got.data != string(dev.DeviceDescriptor()) {
		t.Errorf("device descriptor %x, want %x", got.data, dev.DeviceDescriptor())
	}
	h.send(order(cmdSubmit, 2, 0, 0, 0, 0, [8]byte{0x01, 11, 1}))
	h.want(false, answer{retSubmit, 2, 0, 0, ""})
	request := []byte("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
	h.send(order(cmdSubmit, 3, 0, 1, 0, uint32(len(request)), [8]byte{}), request)
	h.want(false, answer{retSubmit, 3, 0, int32(len(request)), ""})
	h.send(order(cmdSubmit, 4, 1, 2, 0, 4096, [8]byte{}))
	if got := h.receive(true); got.status != 0 || !bytes.Contains([]byte(got.data), []byte("\r\n\r\nscanner")) {
		t.Errorf("answer %+v, want one with the word scanner", got)
	}
}

// The host is the kernel, but its bytes come through a socket.
func FuzzServe(f *testing.F) {
	f.Add(order(cmdSubmit, 1, 1, 0, 0, 64, [8]byte{0xc0, 1, 0, 0, 0, 0, 64, 0}))
	f.Add(append(order(cmdSubmit, 1, 1, 2, 0, 8, [8]byte{}), order(cmdUnlink, 2, 1, 2, 1, 0, [8]byte{})...))
	f.Add(append(order(cmdSubmit, 4, 0, 1, 0, 5, [8]byte{}), "hello"...))
	f.Fuzz(func(t *testing.T, b []byte) {
		ours, theirs := net.Pipe()
		dev := newTestDevice()
		done := make(chan error, 1)
		go func() { done <- Serve(t.Context(), ours, dev) }()
		drained := make(chan struct{})
		go func() { defer close(drained); io.Copy(io.Discard, theirs) }()
		theirs.Write(b) // may fail, as Serve stops reading
		theirs.Close()
		<-done
		<-drained
		dev.mu.Lock()
		defer dev.mu.Unlock()
		if len(dev.got) > len(b) {
			t.Errorf("%d bytes became %d at the device", len(b), len(dev.got))
		}
	})
}
