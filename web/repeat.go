package web

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"io"
	"net/http"
	"sync"
	"time"

	"docscan/store"
)

// A client that got no answer cannot know whether its request was done. With the header
// Idempotency-Key it can repeat a POST: within replyTime the same key of the same user
// gives the first answer again, and nothing is done twice
// (draft-ietf-httpapi-idempotency-key-header).
const (
	replyTime = 24 * time.Hour
	maxKey    = 128     // bytes of a key
	maxReply  = 1 << 20 // bytes of an answer that are kept
)

// secretAnswers are not kept: they hold what is shown once.
var secretAnswers = map[string]bool{
	"/api/v1/tokens": true, "/api/v1/users/:id/reset": true, "/api/admin/users/:id/generate-temp-password": true,
	"/api/v1/second-factor": true, "/api/v1/second-factor/confirm": true, "/api/v1/second-factor/recovery": true, "/api/v1/passkey-challenges": true,
	"/api/v1/password": true,
}

// repeats knows which requests with a key are being worked at.
type repeats struct {
	mu     sync.Mutex
	busy   map[string]bool
	forgot time.Time // when the store last forgot old answers
}

// forget says from before when answers are to be forgotten now: a moment before all of
// them if that was done lately, as it looks at each.
func (x *repeats) forget(now time.Time) time.Time {
	x.mu.Lock()
	defer x.mu.Unlock()
	if now.Sub(x.forgot).Abs() < tidyTime {
		return time.Time{}
	}
	x.forgot = now
	return now.Add(-replyTime)
}

func (x *repeats) begin(key string) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.busy[key] {
		return false
	}
	if x.busy == nil {
		x.busy = make(map[string]bool)
	}
	x.busy[key] = true
	return true
}

func (x *repeats) end(key string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	delete(x.busy, key)
}

// once runs a POST of a program, or answers as before if it was run before. What is for
// anyone, a log-in above all, is run each time, also for somebody who is logged in.
func (s *Server) once(rt route, c *call) error {
	given := c.r.Header.Get("Idempotency-Key")
	if given == "" || rt.method != http.MethodPost || !isAPI(c.r) || c.caller == nil || rt.access == anyone {
		return rt.handle(s, c)
	}
	if len(given) > maxKey {
		return problemf(400, "bad-key", "Bad key", "An Idempotency-Key has at most %d bytes.", maxKey)
	}
	key := hashSecret(string(c.user.ID) + "\x00" + c.user.Name + "\x00" + given)
	if !s.repeats.begin(key) {
		return problemf(409, "in-progress", "Still at it", "The same request is being worked at. Ask again in a moment.")
	}
	defer s.repeats.end(key)
	old, ok, err := s.Store.Reply(key)
	if err != nil {
		return err
	}
	// A body may hold a password, which a quick hash of it would give away to whoever
	// reads the database. The client's key is not there.
	body := &summed{ReadCloser: c.r.Body, sum: hmac.New(sha256.New, []byte(given))}
	c.r.Body = body
	if ok && time.Since(old.Time) < replyTime {
		return s.replay(c, body, old)
	}
	w := &heldAnswer{ResponseWriter: c.w, status: http.StatusOK}
	c.w = w
	if err := rt.handle(s, c); err != nil {
		return err // nothing was done that must not be done again
	}
	if w.status/100 != 2 || w.body.Len() > maxReply {
		return nil
	}
	sum, err := body.rest()
	if err != nil {
		return nil // the answer is written; a repeat is another request
	}
	r := store.Reply{Request: c.r.Method + " " + c.r.URL.RequestURI(), Sum: sum, Time: time.Now(), Status: w.status, Body: w.body.Bytes()}
	if secretAnswers[rt.path] {
		r.Body = nil
	}
	for _, name := range []string{"Content-Type", "Location", "ETag"} {
		if v := w.Header().Get(name); v != "" {
			r.Header = append(r.Header, [2]string{name, v})
		}
	}
	if err := s.Store.AddReply(key, r, s.repeats.forget(time.Now())); err != nil {
		s.Log.Error("keeping an answer for a repeat failed", "path", c.r.URL.Path, "err", err)
	}
	return nil
}

// replay gives an answer again, if the request is the same.
func (s *Server) replay(c *call, body *summed, old store.Reply) error {
	sum, err := body.rest()
	if err != nil {
		return err
	}
	switch {
	case old.Request != c.r.Method+" "+c.r.URL.RequestURI() || old.Sum != sum:
		return problemf(422, "key-reused", "Key used already", "This Idempotency-Key was used for another request. Take a new one.")
	case old.Body == nil && old.Status != http.StatusNoContent:
		return problemf(409, "done-already", "Done already", "This was done already. Its answer held a secret that is shown once.")
	}
	h := c.w.Header()
	for _, x := range old.Header {
		h.Set(x[0], x[1])
	}
	h.Set("Idempotency-Replayed", "true")
	h.Set("Cache-Control", "no-store")
	c.w.WriteHeader(old.Status)
	_, err = c.w.Write(old.Body)
	return err
}

// summed hashes a body as it is read.
type summed struct {
	io.ReadCloser
	sum hash.Hash
}

func (b *summed) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.sum.Write(p[:n])
	return n, err
}

// rest reads what nobody has read, and gives the hash of the whole.
func (b *summed) rest() (string, error) {
	if _, err := io.Copy(io.Discard, b); err != nil {
		return "", err
	}
	return hex.EncodeToString(b.sum.Sum(nil)), nil
}

// heldAnswer keeps what is answered.
type heldAnswer struct {
	http.ResponseWriter
	status int
	body   bytes.Buffer
}

// Unwrap lets http.ResponseController see the connection.
func (w *heldAnswer) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *heldAnswer) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

// Write never fails: whoever has gone meanwhile asks again, and is then to get the answer
// of what was done now.
func (w *heldAnswer) Write(p []byte) (int, error) {
	if w.body.Len() <= maxReply {
		w.body.Write(p)
	}
	_, _ = w.ResponseWriter.Write(p)
	return len(p), nil
}
