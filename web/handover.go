package web

import (
	"context"
	"net/http"
	"os"
	"path"
	"slices"
	"strconv"
	"time"

	"docscan/store"
)

// trustedPeer is how a peer that is trusted is passed on to another process of
// docscan, which runs as the same user; any other is passed on by its number.
const trustedPeer = "true"

// LocalRequest reports whether a request came over the local socket, and if so
// by whom, in words that AsLocal understands.
func LocalRequest(r *http.Request) (who string, local bool) {
	p, local := r.Context().Value(peerKey{}).(peer)
	switch {
	case !local:
		return "", false
	case p.trusted():
		return trustedPeer, true
	}
	return strconv.Itoa(p.uid), true
}

// AsLocal makes a request that another process of docscan has passed on what it
// was there.
func AsLocal(r *http.Request, who string) *http.Request {
	p := peer{-1}
	if uid, err := strconv.Atoi(who); who == trustedPeer {
		p.uid = os.Getuid()
	} else if err == nil && uid > 0 {
		p.uid = uid
	}
	return r.WithContext(context.WithValue(r.Context(), peerKey{}, p))
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
	return secret, s.Store.AddSession(nil, store.Session{
		ID: store.SessionID(store.NewID()), Hash: hashSecret(secret), Created: now, Seen: now,
		Expires: now.Add(holds), Agent: "proof of an update",
	})
}

// longWork are requests, by method and path, whose work may take longer than a hand-over has
// time: checks of all that is stored, exports, changes of many documents, also of all of a
// person or of a group.
var longWork = []string{
	"POST /api/v1/system/check", "POST /system/check", "GET /api/v1/system/backup", "GET " + auditExport, "POST /api/v1/audit/verify", "POST /audit/verify",
	"GET /api/v1/export", "POST /api/v1/changes", "POST /api/v1/changes/*/undo", "POST /changes/*/undo", "POST /documents", "POST /api/v1/documents/*/merge", "POST /trash",
	"DELETE /api/v1/users/*", "POST /people/*/*", "DELETE /api/v1/groups/*", "POST /groups/*/delete",
	"GET /api/results", "GET /api/results/*/export/*", "GET /api/batches/*/results", "GET /api/batches/*/export/*",
}

// Lasting reports whether the work for a request may take longer than a hand-over has time.
func Lasting(r *http.Request) bool {
	return slices.ContainsFunc(longWork, func(pattern string) bool {
		fits, _ := path.Match(pattern, r.Method+" "+r.URL.Path) // no pattern is malformed, as a test sees
		return fits
	})
}

// leave says that a request needs nothing of the store any more: a hand-over to
// another process need not wait for it.
func (s *Server) leave(c *call) {
	if s.Leave != nil {
		s.Leave(c.r.Context())
	}
}
