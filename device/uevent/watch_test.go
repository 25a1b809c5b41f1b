package uevent

import (
	"context"
	"log/slog"
	"os"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"
)

func TestGather(t *testing.T) {
	on := func(path string) heard { return heard{event: Event{Action: Add, Path: path}} }
	off := func(path string) heard { return heard{event: Event{Action: Remove, Path: path}} }
	type at struct {
		ms int
		h  heard
	}
	type told struct {
		ms   int
		news News
	}
	var endless []at // a message every 30 ms for 1 s
	for ms := 0; ms < 1000; ms += 30 {
		endless = append(endless, at{ms, heard{missed: true}})
	}
	tests := []struct {
		name string
		in   []at
		want []told
	}{
		{"nothing", nil, nil},
		{"one", []at{{0, on("/a")}}, []told{{50, News{Events: []Event{{Action: Add, Path: "/a"}}}}}},
		{"hub with two", []at{{0, on("/a")}, {40, on("/a/b")}, {80, on("/a/c")}}, []told{{130, News{Events: []Event{
			{Action: Add, Path: "/a"}, {Action: Add, Path: "/a/b"}, {Action: Add, Path: "/a/c"}}}}}},
		{"replug", []at{{0, off("/a")}, {10, on("/b")}, {1000, off("/b")}}, []told{
			{60, News{Events: []Event{{Action: Remove, Path: "/a"}, {Action: Add, Path: "/b"}}}},
			{1050, News{Events: []Event{{Action: Remove, Path: "/b"}}}}}},
		{"overrun", []at{{0, on("/a")}, {1, heard{missed: true}}}, []told{{51, News{Events: []Event{{Action: Add, Path: "/a"}}, Missed: true}}}},
		{"endless", endless, []told{{500, News{Missed: true}}, {1010, News{Missed: true}}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				start := time.Now()
				in := make(chan heard)
				var got []told
				done := make(chan struct{})
				go func() {
					defer close(done)
					gather(t.Context(), in, func(n News) {
						got = append(got, told{int(time.Since(start).Milliseconds()), n})
					})
				}()
				for _, a := range tt.in {
					time.Sleep(time.Until(start.Add(time.Duration(a.ms) * time.Millisecond)))
					in <- a.h
				}
				time.Sleep(time.Second)
				close(in)
				<-done
				if !reflect.DeepEqual(got, tt.want) {
					t.Errorf("told %+v, want %+v", got, tt.want)
				}
			})
		})
	}
}

func TestGatherBounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in := make(chan heard)
		var got News
		done := make(chan struct{})
		go func() { defer close(done); gather(t.Context(), in, func(n News) { got = n }) }()
		for range maxEvents + 1 {
			in <- heard{event: Event{Action: Add, Path: "/a"}}
		}
		time.Sleep(time.Second)
		close(in)
		<-done
		if len(got.Events) != maxEvents || !got.Missed {
			t.Errorf("told %d events, missed %v, want %d, true", len(got.Events), got.Missed, maxEvents)
		}
	})
}

// An ordinary user may listen; the end of the context ends it.
func TestWatchEnds(t *testing.T) {
	s, err := listen()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var log strings.Builder
	done := make(chan struct{})
	go func() {
		defer close(done)
		watch(ctx, slog.New(slog.NewTextHandler(&log, nil)), s, func(News) {})
	}()
	cancel()
	<-done
	if log.Len() > 0 {
		t.Errorf("watch that was ended logged %q, want nothing", log.String())
	}
	if err := s.file.Close(); err == nil {
		t.Error("watch did not close its socket")
	}
}

// A socket that breaks is logged once, and Watch comes back.
func TestWatchBroken(t *testing.T) {
	r, w, err := os.Pipe() // no socket: receiving from it fails at once
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	var log strings.Builder
	watch(t.Context(), slog.New(slog.NewTextHandler(&log, nil)), &socket{r}, func(News) {})
	if got := strings.Count(log.String(), "\n"); got != 1 {
		t.Errorf("logged %d lines, want 1:\n%s", got, log.String())
	}
}

// What a program sends is not believed, even where the kernel lets it send.
func TestReceiveForged(t *testing.T) {
	s, err := listen()
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	conn, err := s.file.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var sendErr error
	err = conn.Control(func(fd uintptr) {
		var to unix.Sockaddr
		if to, sendErr = unix.Getsockname(int(fd)); sendErr != nil {
			return
		}
		a := to.(*unix.SockaddrNetlink)
		sendErr = unix.Sendto(int(fd), plugged("add", "/devices/forged/1-1", "001", "002"), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Pid: a.Pid})
	})
	if err != nil {
		t.Fatal(err)
	}
	if sendErr == unix.EPERM || sendErr == unix.ECONNREFUSED {
		return // the kernel itself refuses the forgery
	}
	if sendErr != nil {
		t.Fatal(sendErr)
	}
	for {
		h, news, err := receive(conn, make([]byte, maxMessage), make([]byte, unix.CmsgSpace(unix.SizeofUcred)))
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(h.event.Path, "forged") {
			t.Fatalf("receive believed %+v", h.event)
		}
		if !news {
			return // the forgery, or something else nobody asked for
		}
	}
}

func TestFromKernel(t *testing.T) {
	cred := func(pid int32) []byte { return unix.UnixCredentials(&unix.Ucred{Pid: pid}) }
	netlink := func(pid uint32) unix.Sockaddr { return &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Pid: pid} }
	tests := []struct {
		name string
		from unix.Sockaddr
		oob  []byte
		want bool
	}{
		{"kernel", netlink(0), cred(0), true},
		{"address of a program", netlink(77), cred(0), false},
		{"process of a program", netlink(0), cred(77), false},
		{"no credentials", netlink(0), nil, false},
		{"two credentials", netlink(0), append(cred(0), cred(0)...), false},
		{"other family", &unix.SockaddrUnix{}, cred(0), false},
		{"nobody", nil, cred(0), false},
	}
	for _, tt := range tests {
		if got := fromKernel(tt.from, tt.oob); got != tt.want {
			t.Errorf("%s: fromKernel = %v, want %v", tt.name, got, tt.want)
		}
	}
}
