//go:build linux

package swap

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"reflect"
	"strings"
	"testing"
	"time"

	"docscan/packaging/slot"
)

func TestMessages(t *testing.T) {
	tests := []message{
		{Say: sayReady, Proxy: "@docscan-x"},
		{Say: sayTake, Baton: Baton(`{"last":7}`)},
		{Say: sayProof, Proof: &Proof{Version: "1.0.0", Text: "a page", Devices: []string{"d"}}},
		{Say: sayRecord, Event: &slot.Event{Step: slot.StepTry, Origin: slot.Origin{Who: "anna"}}},
		{Say: sayFailed, Reason: "no data"},
	}
	var b []byte
	for _, m := range tests {
		var err error
		if b, err = appendMessage(b, m); err != nil {
			t.Fatal(err)
		}
	}
	r := bytes.NewReader(b)
	for _, want := range tests {
		got, err := readMessage(r)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %+v (%v), want %+v", want.Say, got, err, want)
		}
	}
	if _, err := readMessage(r); !errors.Is(err, io.EOF) {
		t.Errorf("at the end: %v, want EOF", err)
	}
}

func TestBadMessages(t *testing.T) {
	whole, err := appendMessage(nil, message{Say: sayReady})
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name string
		in   []byte
		want string
	}{
		{"cut off", whole[:len(whole)-1], "unexpected EOF"},
		{"half a length", whole[:2], "unexpected EOF"},
		{"too long", binary.BigEndian.AppendUint32(nil, maxMessage+1), "at most"},
		{"no JSON", append(binary.BigEndian.AppendUint32(nil, 1), '{'), "read a message"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := readMessage(bytes.NewReader(tt.in)); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v, want %s", err, tt.want)
			}
		})
	}
}

// The other process may be broken in any way.
func FuzzReadMessage(f *testing.F) {
	for _, m := range []message{{Say: sayReady, Proxy: "@x"}, {Say: sayTake, Baton: Baton(`{"last":1}`)}, {Say: sayProof, Proof: &Proof{Devices: []string{"d"}}}} {
		b, err := appendMessage(nil, m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Add([]byte{0, 0, 0, 4, 'n', 'u', 'l', 'l'})
	f.Add([]byte{255, 255, 255, 255})
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := readMessage(bytes.NewReader(b))
		if err != nil {
			return
		}
		again, err := appendMessage(nil, m)
		if err != nil {
			t.Fatalf("%+v was read and cannot be written: %v", m, err)
		}
		if _, err := readMessage(bytes.NewReader(again)); err != nil {
			t.Errorf("%+v was written and cannot be read: %v", m, err)
		}
	})
}

// ropes gives both ends.
func ropes(t *testing.T) (near, far *rope) {
	t.Helper()
	near, file, err := newRope()
	if err == nil {
		far, err = ropeOf(file)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		near.close() // one of them may be closed
		far.close()
	})
	return near, far
}

func TestRopeBreaks(t *testing.T) {
	near, far := ropes(t)
	if _, err := near.receive(time.Millisecond); err == nil || !strings.Contains(err.Error(), "no answer") {
		t.Errorf("while nobody speaks: %v", err)
	}
	if err := far.send(message{Say: sayFailed, Reason: "no data"}); err != nil {
		t.Fatal(err)
	}
	var failed errFailed
	if _, err := near.receive(0); !errors.As(err, &failed) || failed != "no data" {
		t.Errorf("a failure is told as %v", err)
	}
	if err := far.close(); err != nil {
		t.Fatal(err)
	}
	if _, err := near.receive(0); !errors.Is(err, errGone) {
		t.Errorf("after its end: %v, want %v", err, errGone)
	}
	if _, err := near.ask(message{Say: sayProve}, sayProof, time.Second); !errors.Is(err, errGone) {
		t.Errorf("asking after its end: %v, want %v", err, errGone)
	}
}

// One that is slow and says what it does is not taken for one that hangs, and one that
// says something for ever is.
func TestSignsOfLife(t *testing.T) {
	const silence = 2500 * time.Millisecond
	tests := []struct {
		name  string
		steps int // one after a third of the silence
		then  string
		most  time.Duration
		want  string
	}{
		{"slow", 4, sayReady, time.Minute, ""},
		{"quick", 0, sayReady, time.Minute, ""},
		{"hangs at once", 0, "", time.Minute, "no answer within 2.5s"},
		{"hangs later", 2, "", time.Minute, "no answer within 2.5s; the last that it said: step 2"},
		{"goes on for ever", 30, "", 2 * silence, "no answer within"},
		{"fails", 2, sayFailed, time.Minute, "no data"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			near, far := ropes(t)
			go func() { // ends with the rope
				for i := range tt.steps {
					time.Sleep(silence / 3)
					if far.send(message{Say: sayStep, Reason: fmt.Sprintf("step %d", i+1)}) != nil {
						return
					}
				}
				if tt.then != "" {
					_ = far.send(message{Say: tt.then, Reason: "no data"})
				}
			}()
			m, err := near.await(silence, tt.most)
			if tt.want == "" && (err != nil || m.Say != tt.then) || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("%q, %v; want %q", m.Say, err, tt.want)
			}
		})
	}
}

// One socket in two processes: while one is paused the other gets what comes,
// also what came while both were.
func TestSocketsAreHandedOver(t *testing.T) {
	near, far := ropes(t)
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	old, err := NewListener(inner)
	if err != nil {
		t.Fatal(err)
	}
	defer old.Close()
	if err := near.sendFiles([]*Listener{old}); err != nil {
		t.Fatal(err)
	}
	got, err := far.receiveFiles()
	if err != nil || len(got) != 1 {
		t.Fatalf("%d sockets (%v), want 1", len(got), err)
	}
	next := got[0]
	defer next.Close()
	type accepted struct {
		by string
		c  net.Conn
	}
	all := make(chan accepted)
	for name, l := range map[string]*Listener{"old": old, "new": next} {
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return // closed
				}
				all <- accepted{name, c}
			}
		}()
	}
	dial := func() {
		c, err := (&net.Dialer{}).DialContext(context.Background(), "tcp", inner.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
	}
	want := func(by string) {
		t.Helper()
		a := <-all
		a.c.Close()
		if a.by != by {
			t.Errorf("the %s process accepted, want the %s", a.by, by)
		}
	}
	dial()
	want("old")
	if err := old.Pause(); err != nil {
		t.Fatal(err)
	}
	dial()
	dial()
	if err := next.Resume(); err != nil {
		t.Fatal(err)
	}
	want("new")
	want("new")
	if err := errors.Join(next.Pause(), old.Resume()); err != nil {
		t.Fatal(err)
	}
	dial()
	want("old")
}
