package main

import (
	"fmt"
	"os"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// doorbell makes poll work. usbfs tells that a transfer has ended by making the
// open device node writable, but umockdev answers for ioctls only: poll asks
// the kernel about the file that stands in for the node. So that file is a FIFO
// which is full, and thus not writable, until there is something to reap.
//
// All open files of one device share the bell: one that has nothing to reap
// may be woken too, and finds out. The bell lives as long as this process:
// nobody can tell when the last program stops polling.
type doorbell struct {
	fd  int
	mu  sync.Mutex
	on  bool
	len int // bytes that fill the FIFO
}

// newDoorbell makes a FIFO called name, filled.
func newDoorbell(name string) (*doorbell, error) {
	if err := syscall.Mkfifo(name, 0o666); err != nil {
		return nil, fmt.Errorf("make FIFO %s: %w", name, err)
	}
	fd, err := syscall.Open(name, syscall.O_RDWR|syscall.O_NONBLOCK|syscall.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open FIFO %s: %w", name, err)
	}
	size, err := unix.FcntlInt(uintptr(fd), unix.F_SETPIPE_SZ, os.Getpagesize())
	if err != nil {
		syscall.Close(fd)
		return nil, fmt.Errorf("shrink FIFO %s: %w", name, err)
	}
	d := &doorbell{fd: fd, len: size, on: true}
	d.set(false)
	return d, nil
}

// set makes the node writable or not.
func (d *doorbell) set(on bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if on == d.on {
		return
	}
	d.on = on
	// Neither call can block or fail: the FIFO is empty or full by turns, and
	// nobody else reads or writes it.
	b := make([]byte, d.len)
	if on {
		syscall.Read(d.fd, b)
	} else {
		syscall.Write(d.fd, b)
	}
}
