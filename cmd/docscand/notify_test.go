package main

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// systemd listens as systemd does and gives what it is told. watchdog is
// WatchdogSec; 0 is a unit without one.
func systemd(t *testing.T, watchdog time.Duration) (next func() string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "notify")
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	t.Setenv("NOTIFY_SOCKET", path)
	t.Setenv("WATCHDOG_USEC", "")
	t.Setenv("WATCHDOG_PID", "")
	if watchdog > 0 {
		t.Setenv("WATCHDOG_USEC", strconv.FormatInt(watchdog.Microseconds(), 10))
		t.Setenv("WATCHDOG_PID", strconv.Itoa(os.Getpid()))
	}
	return func() string {
		b := make([]byte, 4096)
		c.SetReadDeadline(time.Now().Add(10 * time.Second))
		n, err := c.Read(b)
		if err != nil {
			t.Fatalf("nothing more was told: %v", err)
		}
		return string(b[:n])
	}
}

func TestNotify(t *testing.T) {
	next := systemd(t, 20*time.Millisecond)
	answers := make(chan error)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error)
	go func() {
		done <- notify(ctx, nil, slog.New(slog.DiscardHandler), func() error {
			select {
			case err := <-answers:
				return err
			case <-ctx.Done():
				return nil
			}
		})
	}()
	want := func(want string) {
		t.Helper()
		if got := next(); got != want {
			t.Errorf("systemd was told %q, want %q", got, want)
		}
	}
	want("READY=1\nSTATUS=ready to scan")
	answers <- nil
	want("WATCHDOG=1")
	answers <- errors.New("no\nanswer")
	want("STATUS=not well: no answer")
	answers <- nil
	want("WATCHDOG=1\nSTATUS=ready to scan")
	stop() // while a probe hangs
	want("STOPPING=1\nSTATUS=finishing what is under way")
	if err := <-done; err != nil {
		t.Errorf("notify: %v", err)
	}
}

func TestNotifyWithoutWatchdog(t *testing.T) {
	next := systemd(t, 0)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error)
	go func() {
		done <- notify(ctx, nil, slog.New(slog.DiscardHandler), func() error {
			t.Error("nobody asked for a probe")
			return nil
		})
	}()
	if got := next(); got != "READY=1\nSTATUS=ready to scan" {
		t.Errorf("first: %q", got)
	}
	stop()
	if got := next(); got != "STOPPING=1\nSTATUS=finishing what is under way" {
		t.Errorf("last: %q", got)
	}
	if err := <-done; err != nil {
		t.Errorf("notify: %v", err)
	}
}

// With each step of a start systemd waits as long as the unit says for the first.
func TestNotifyStep(t *testing.T) {
	next := systemd(t, 0)
	notifyStep(slog.New(slog.DiscardHandler), "it opens the data")
	if got := next(); got != "STATUS=it opens the data\nEXTEND_TIMEOUT_USEC=120000000" {
		t.Errorf("systemd was told %q", got)
	}
	unit, err := os.ReadFile("../../packaging/systemd/docscand.service")
	must(t, err)
	if !strings.Contains(string(unit), "\nTimeoutStartSec=2min\n") || startPatience != 2*time.Minute {
		t.Errorf("a step may take %v, and the unit's first one another time", startPatience)
	}
}

func TestNowAndThen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := 0
		call := nowAndThen(time.Second, func() { n++ })
		for range 25 { // at 0, 1 and 2 s
			call()
			time.Sleep(100 * time.Millisecond)
		}
		if n != 3 {
			t.Errorf("%d calls in 2.5 s, want 3", n)
		}
	})
}

func TestNotifyWithoutSystemd(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "")
	t.Setenv("WATCHDOG_USEC", "")
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if err := notify(ctx, nil, slog.New(slog.DiscardHandler), func() error { return nil }); err != nil {
		t.Errorf("notify: %v", err)
	}
}

// Who hands over names the next main process with its last word, and does not
// say that the daemon is stopping.
func TestNotifyHandsOver(t *testing.T) {
	next := systemd(t, time.Hour)
	handedOver, done := make(chan struct{}), make(chan error)
	log := slog.New(slog.DiscardHandler)
	go func() { done <- notify(t.Context(), handedOver, log, func() error { return nil }) }()
	for _, want := range []string{"READY=1\nSTATUS=ready to scan", "WATCHDOG=1"} {
		if got := next(); got != want {
			t.Errorf("systemd was told %q, want %q", got, want)
		}
	}
	close(handedOver)
	if err := <-done; err != nil {
		t.Errorf("notify: %v", err)
	}
	notifyMain(log, 4711)
	if got := next(); got != "WATCHDOG=1\nMAINPID=4711" {
		t.Errorf("last: %q", got)
	}
}
