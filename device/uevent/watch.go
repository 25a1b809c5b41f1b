package uevent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A machine that is plugged in is a device, its interfaces and perhaps a hub.
// News waits until nothing came for settle, so that a burst is one look; a
// burst without end is cut after patience.
const (
	settle   = 50 * time.Millisecond
	patience = 500 * time.Millisecond
)

// maxEvents bounds one burst. What goes beyond is only counted as missed.
const maxEvents = 256

// News is one burst of changes on the bus.
type News struct {
	Events []Event // in the order they happened, at most 256
	Missed bool    // there was more than could be heard: look at everything again
}

// heard is one message from the socket; missed stands for lost ones.
type heard struct {
	event  Event
	missed bool
}

// Watch calls tell after every burst of changes until ctx ends. It needs no
// rights. Where the kernel does not let this process listen, it says so in one
// line of the log and returns at once.
//
// The kernel speaks before udev has given the new device's file its owner, so
// that opening it may still be refused for a moment after an Add.
func Watch(ctx context.Context, log *slog.Logger, tell func(News)) {
	s, err := listen()
	if err != nil {
		log.Info("no news of USB from the kernel; scanners are found by looking now and then", "err", err)
		return
	}
	watch(ctx, log, s, tell)
}

// watch reads s, which it closes, until ctx ends or s fails.
func watch(ctx context.Context, log *slog.Logger, s *socket, tell func(News)) {
	defer s.close()
	stop := context.AfterFunc(ctx, s.interrupt)
	defer stop()
	in := make(chan heard)
	done := make(chan error, 1)
	gone := make(chan struct{})
	go func() {
		defer close(in)
		done <- s.read(in, gone)
	}()
	gather(ctx, in, tell)
	close(gone)
	s.interrupt()
	if err := <-done; err != nil && ctx.Err() == nil {
		log.Warn("no more news of USB from the kernel; scanners are found by looking now and then", "err", err)
	}
}

// gather makes News of what comes from in, until in is closed or ctx ends.
func gather(ctx context.Context, in <-chan heard, tell func(News)) {
	for {
		var news News
		var quiet, late <-chan time.Time // nil, so never ready, until the first message
		for gathering := true; gathering; {
			select {
			case <-ctx.Done():
				return
			case h, ok := <-in:
				if !ok {
					return
				}
				if quiet == nil {
					late = time.After(patience)
				}
				quiet = time.After(settle)
				if h.missed || len(news.Events) == maxEvents {
					news.Missed = true
					continue
				}
				news.Events = append(news.Events, h.event)
			case <-quiet:
				gathering = false
			case <-late:
				gathering = false
			}
		}
		tell(news)
	}
}

// socket is where the kernel speaks.
type socket struct{ file *os.File }

// kernelGroup is the netlink group in which the kernel speaks; in group 2 udev
// does.
const kernelGroup = 1

func listen() (*socket, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_KOBJECT_UEVENT)
	if err != nil {
		return nil, fmt.Errorf("open the kernel's event socket: %w", err)
	}
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PASSCRED, 1); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("ask for the sender of kernel events: %w", err)
	}
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: kernelGroup}); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("listen to kernel events: %w", err)
	}
	return &socket{os.NewFile(uintptr(fd), "uevent")}, nil
}

// interrupt ends a read under way, and every later one.
func (s *socket) interrupt() { _ = s.file.SetReadDeadline(time.Unix(1, 0)) }

func (s *socket) close() { _ = s.file.Close() }

// read passes on to out what the kernel says, until it is interrupted, which is
// no error, or gone is closed.
func (s *socket) read(out chan<- heard, gone <-chan struct{}) error {
	conn, err := s.file.SyscallConn()
	if err != nil {
		return fmt.Errorf("read kernel events: %w", err)
	}
	buf := make([]byte, maxMessage)
	oob := make([]byte, unix.CmsgSpace(unix.SizeofUcred))
	for {
		h, news, err := receive(conn, buf, oob)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read kernel events: %w", err)
		}
		if !news {
			continue
		}
		select {
		case out <- h:
		case <-gone:
			return nil
		}
	}
}

// receive reads one message. It is news if it is the kernel's and about a USB
// device, or if messages were lost.
func receive(conn syscall.RawConn, buf, oob []byte) (h heard, news bool, err error) {
	var n, oobn, flags int
	var from unix.Sockaddr
	waitErr := conn.Read(func(fd uintptr) bool {
		n, oobn, flags, from, err = unix.Recvmsg(int(fd), buf, oob, 0)
		return err != unix.EAGAIN && err != unix.EINTR
	})
	switch {
	case waitErr != nil:
		return heard{}, false, waitErr
	case err == unix.ENOBUFS:
		return heard{missed: true}, true, nil // the kernel had more to say than the socket could hold
	case err != nil:
		return heard{}, false, err
	case !fromKernel(from, oob[:oobn]):
		return heard{}, false, nil
	case flags&unix.MSG_TRUNC != 0:
		return heard{missed: true}, true, nil
	}
	e, err := parse(buf[:n])
	return heard{event: e}, err == nil, nil
}

// fromKernel reports whether the kernel itself sent a message. Programs with
// enough rights can send to the same socket; they have an address and a process
// id, the kernel has neither.
func fromKernel(from unix.Sockaddr, oob []byte) bool {
	if a, ok := from.(*unix.SockaddrNetlink); !ok || a.Pid != 0 {
		return false
	}
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil || len(messages) != 1 {
		return false
	}
	cred, err := unix.ParseUnixCredentials(&messages[0])
	return err == nil && cred.Pid == 0
}
