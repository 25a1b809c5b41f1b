package web

import (
	"context"
	"encoding/json"
	"net/http/httptest"
	"net/netip"
	"testing"
	"time"
)

// The limit on log-ins is not new again after a hand-over.
func TestAttemptsGoOn(t *testing.T) {
	key := netip.MustParsePrefix("192.0.2.1/32")
	first := &Server{logins: newLimiter[netip.Prefix](2, time.Minute)}
	for range 2 {
		if _, ok := first.logins.allow(key); !ok {
			t.Fatal("refused too early")
		}
	}
	first.logins.seen[netip.MustParsePrefix("192.0.2.2/32")] = []time.Time{time.Now().Add(-time.Hour)}
	wire, err := json.Marshal(first.Attempts())
	if err != nil {
		t.Fatal(err)
	}
	var a Attempts
	if err := json.Unmarshal(wire, &a); err != nil {
		t.Fatal(err)
	}
	if len(a) != 1 {
		t.Errorf("attempts from %d networks are handed over, want 1", len(a))
	}
	next := &Server{logins: newLimiter[netip.Prefix](2, time.Minute)}
	next.TakeAttempts(a)
	if _, ok := next.logins.allow(key); ok {
		t.Error("the next server allows a third attempt")
	}
}

// Over the socket for requests that are passed on everybody is docscan itself;
// what counts is what the request was where it came from.
func TestPassedOnRequests(t *testing.T) {
	r := httptest.NewRequest("GET", "/", nil)
	r = r.WithContext(context.WithValue(r.Context(), peerKey{}, peer{trusted: true}))
	if local, trusted := LocalRequest(r); !local || !trusted {
		t.Errorf("over the local socket: local %t, trusted %t", local, trusted)
	}
	if local, trusted := LocalRequest(AsRemote(r)); local || trusted {
		t.Errorf("from the network: local %t, trusted %t", local, trusted)
	}
	if local, trusted := LocalRequest(AsLocal(AsRemote(r), false)); !local || trusted {
		t.Errorf("from somebody at the box: local %t, trusted %t", local, trusted)
	}
	s := &Server{}
	if who, err := s.identify(AsRemote(r)); who != nil || err != nil {
		t.Errorf("from the network without a log-in: %+v (%v), want nobody", who, err)
	}
}
