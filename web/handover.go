package web

import (
	"context"
	"net/http"
	"time"

	"docscan/store"
)

// LocalRequest reports whether a request came over the local socket, and if so
// whether by somebody who is trusted there.
func LocalRequest(r *http.Request) (local, trusted bool) {
	p, local := r.Context().Value(peerKey{}).(peer)
	return local, p.trusted
}

// AsLocal makes a request that another process of docscan has passed on what it
// was there.
func AsLocal(r *http.Request, trusted bool) *http.Request {
	return r.WithContext(context.WithValue(r.Context(), peerKey{}, peer{trusted}))
}

// AsRemote makes a request that another process has passed on one that came over
// the network.
func AsRemote(r *http.Request) *http.Request {
	return r.WithContext(context.WithValue(r.Context(), peerKey{}, nil))
}

// ProofKey makes a log-in of the box itself, for putting the next process to the
// proof, and returns its secret.
func (s *Server) ProofKey(holds time.Duration) (string, error) {
	secret, now := newSecret(), time.Now()
	return secret, s.Store.AddSession(store.Session{
		ID: store.SessionID(store.NewID()), Hash: hashSecret(secret), Created: now, Seen: now,
		Expires: now.Add(holds), Agent: "proof of an update",
	})
}

// leave says that a request needs nothing of the store any more: a hand-over to
// another process need not wait for it.
func (s *Server) leave(c *call) {
	if s.Leave != nil {
		s.Leave(c.r.Context())
	}
}
