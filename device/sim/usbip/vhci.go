package usbip

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// Controller is where the kernel has its first virtual host controller once
// the module vhci_hcd is loaded.
const Controller = "/sys/devices/platform/vhci_hcd.0"

// highSpeed is the kernel's number for USB 2 (USB_SPEED_HIGH).
const highSpeed = 3

// Attached is a device on a port of the virtual controller.
type Attached struct {
	conn net.Conn
	done sync.WaitGroup
	err  error // of Serve, once done
}

// Attach plugs dev into a port of the controller, of which the first eight or
// so are of USB 2: ports are counted from 0. Only root may. The device stays
// there until Detach or until it goes by itself.
func Attach(controller string, port int, dev Device) (*Attached, error) {
	ours, theirs, err := pair()
	if err != nil {
		return nil, fmt.Errorf("attach to port %d: %w", port, err)
	}
	defer theirs.Close() // the kernel holds it by then
	// The last but one number tells devices of one machine apart.
	order := fmt.Sprintf("%d %d %d %d", port, theirs.Fd(), 1<<16|(port+2), highSpeed)
	if err := os.WriteFile(filepath.Join(controller, "attach"), []byte(order), 0); err != nil {
		ours.Close()
		return nil, fmt.Errorf("attach to port %d: %w", port, err)
	}
	a := &Attached{conn: ours}
	a.done.Go(func() { a.err = Serve(context.Background(), ours, dev) })
	return a, nil
}

// Detach pulls the plug and waits for the end of what Attach started.
func (a *Attached) Detach() error {
	a.conn.Close()
	a.done.Wait()
	return a.err
}

// pair makes a stream socket with two ends: ours, and the one for the kernel.
func pair() (ours net.Conn, theirs *os.File, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("make a socket: %w", err)
	}
	f := os.NewFile(uintptr(fds[0]), "usbip")
	defer f.Close() // FileConn has its own copy
	theirs = os.NewFile(uintptr(fds[1]), "vhci")
	if ours, err = net.FileConn(f); err != nil {
		theirs.Close()
		return nil, nil, fmt.Errorf("use a socket: %w", err)
	}
	return ours, theirs, nil
}

// isReset reports whether the host ended the connection with something unread.
func isReset(err error) bool {
	return errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}
