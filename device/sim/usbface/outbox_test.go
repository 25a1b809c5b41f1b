package usbface

import (
	"context"
	"errors"
	"testing"
	"time"
)

func TestOutbox(t *testing.T) {
	var o Outbox
	ctx := t.Context()
	read := func(want string, wantErr error) {
		t.Helper()
		b, err := o.In(ctx)
		if string(b) != want || !errors.Is(err, wantErr) {
			t.Errorf("read %q, %v; want %q, %v", b, err, want, wantErr)
		}
	}
	go o.Say(Message{Data: []byte("a")})
	read("a", nil) // it waited
	o.Say(Message{Err: ErrStall})
	o.Say(Message{Data: []byte("b"), Pause: time.Hour})
	read("", ErrStall)
	ended, stop := context.WithCancel(ctx)
	stop()
	if _, err := o.In(ended); !errors.Is(err, context.Canceled) || o.Waiting() != 1 {
		t.Errorf("a read that was given up: %v, %d messages left; want 1", err, o.Waiting())
	}
	if n := o.Drop(); n != 1 || o.Waiting() != 0 {
		t.Errorf("dropped %d, %d left; want 1 and none", n, o.Waiting())
	}
	o.Say(Message{Data: []byte("c")})
	o.Mute()
	o.Say(Message{Data: []byte("d")})
	read("c", nil)
	if _, err := o.In(ended); !errors.Is(err, context.Canceled) {
		t.Errorf("a mute function said something: %v", err)
	}
	o.Reset()
	o.Say(Message{Data: []byte("e")})
	read("e", nil)
	go o.Unplug()
	read("", ErrGone)
	if !o.Gone() {
		t.Error("it is not gone")
	}
}
