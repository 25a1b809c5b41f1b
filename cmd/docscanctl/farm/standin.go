//go:build linux

package farm

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"docscan/packaging/bundle"
	"docscan/packaging/fleet/receive"
	"docscan/packaging/slot"
)

// A StandIn answers at a box's local socket in the place of docscand, so that a
// thousand of them fit into one process. Uploads, signatures, slots and what is
// refused are docscan's own; only the hand-over to a new process is missing.
type StandIn struct {
	Version string // of a box without slots; its program's version
	Fault   Fault
	Prove   time.Duration // how long a new version is on trial
	Keys    string        // directory of the keys it trusts

	dir   string
	slots *slot.Slots
	srv   *http.Server

	mu       sync.Mutex
	doing    string
	failure  string
	kind     string
	gone     bool // it answers no more
	installs int
}

// newStandIn starts one whose data are in dir.
func newStandIn(dir string, s *StandIn) error {
	var err error
	s.dir = dir
	cfg := slot.DefaultConfig()
	cfg.Dir, cfg.RunDir = filepath.Join(dir, "slots"), filepath.Join(dir, "run")
	if s.slots, err = slot.Open(cfg, nil); err != nil {
		return err
	}
	socket := filepath.Join(dir, "docscand.sock")
	l, err := net.Listen("unix", socket)
	if err != nil {
		return err
	}
	if err := os.Chmod(socket, 0o666); err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/v1/update", s.answer(func(*http.Request) (any, error) { return s.status() }))
	mux.HandleFunc("GET /api/v1/update/facts", s.answer(func(*http.Request) (any, error) { return s.facts() }))
	mux.HandleFunc("GET /api/v1/update/uploads/{digest}", s.answer(s.part))
	mux.HandleFunc("PUT /api/v1/update/uploads/{digest}", s.answer(s.part))
	mux.HandleFunc("POST /api/v1/update/install", s.answer(s.install))
	mux.HandleFunc("POST /api/v1/update/rollback", s.answer(s.rollBack))
	s.srv = &http.Server{Handler: mux}
	go s.srv.Serve(l) // until close
	return nil
}

func (s *StandIn) close() { s.srv.Close() }

// Installs is how often it was asked to install.
func (s *StandIn) Installs() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.installs
}

// Running is the version it runs.
func (s *StandIn) Running() (string, error) {
	st, err := s.slots.Status()
	if err != nil || st.Current == nil {
		return s.Version, err
	}
	return st.Current.Manifest.Version, nil
}

// answer serves f; what it refuses has a kind as docscand's API has it.
func (s *StandIn) answer(f func(*http.Request) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		gone := s.gone
		s.mu.Unlock()
		if gone {
			panic(http.ErrAbortHandler)
		}
		v, err := f(r)
		w.Header().Set("Content-Type", "application/json")
		if err != nil {
			w.WriteHeader(http.StatusConflict)
			v = map[string]any{"type": "/problems/update-" + kindOf(err), "status": http.StatusConflict, "detail": err.Error()}
		}
		_ = json.NewEncoder(w).Encode(v) // whoever asked may have gone
	}
}

func kindOf(err error) string {
	switch {
	case errors.Is(err, slot.ErrBusy), errors.Is(err, errBusy):
		return receive.KindBusy
	case errors.Is(err, slot.ErrNoRoom):
		return receive.KindNoRoom
	case errors.Is(err, bundle.ErrBase):
		return receive.KindBase
	}
	return receive.KindRefused
}

var errBusy = errors.New("another update is going on; wait for its end")

func (s *StandIn) status() (*receive.Status, error) {
	st, err := s.slots.Status()
	if err != nil {
		return nil, err
	}
	version := func(v *slot.Version) *receive.Version {
		if v == nil {
			return nil
		}
		return &receive.Version{Slot: v.Slot, Version: v.Manifest.Version, Digest: v.Digest}
	}
	running, err := s.Running()
	s.mu.Lock()
	defer s.mu.Unlock()
	return &receive.Status{
		Running: running, State: string(st.State), Doing: s.doing, Reason: st.Reason, Failure: s.failure, FailureKind: s.kind,
		Current: version(st.Current), Previous: version(st.Previous), Next: version(st.Next),
	}, err
}

func (s *StandIn) facts() (*receive.Docscan, error) {
	v, err := s.Running()
	d := &receive.Docscan{Version: v, Healthy: true, DiskFree: 1 << 30, DiskTotal: 1 << 32, Devices: []receive.Device{{Name: "Simulated Scanner", State: "ready"}}}
	if s.Fault == Unwell && v != s.Version {
		d.Healthy, d.Trouble = false, []string{"the index does not answer"}
	}
	return d, err
}

func (s *StandIn) part(r *http.Request) (any, error) {
	size, err := strconv.ParseInt(r.URL.Query().Get("size"), 10, 64)
	if err != nil {
		return nil, err
	}
	if s.Fault == Full {
		return nil, fmt.Errorf("%d MiB are needed, 3 MiB are free: %w", size>>20+64, slot.ErrNoRoom)
	}
	u, err := bundle.OpenUpload(filepath.Join(s.dir, "updates"), r.PathValue("digest"), size)
	if err != nil {
		return nil, err
	}
	if r.Method == http.MethodPut {
		offset, err := strconv.ParseInt(r.URL.Query().Get("offset"), 10, 64)
		if err == nil {
			err = u.Write(r.Context(), offset, r.Body)
		}
		if err != nil {
			return nil, err
		}
	}
	return map[string]int64{"offset": u.Offset()}, nil
}

// begin lets do run by itself, if nothing else is going on.
func (s *StandIn) begin(doing string, do func(context.Context) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.doing != "" {
		return errBusy
	}
	s.doing, s.failure, s.kind = doing, "", ""
	go func() {
		err := do(context.Background())
		s.mu.Lock()
		defer s.mu.Unlock()
		s.doing = ""
		if err != nil {
			s.failure, s.kind = err.Error(), kindOf(err)
		}
	}()
	return nil
}

func (s *StandIn) install(r *http.Request) (any, error) {
	var in struct {
		Digest string `json:"digest"`
		Size   int64  `json:"size"`
	}
	if err := json.NewDecoder(io.LimitReader(r.Body, 1<<16)).Decode(&in); err != nil {
		return nil, err
	}
	u, err := bundle.OpenUpload(filepath.Join(s.dir, "updates"), in.Digest, in.Size)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	s.installs++
	s.mu.Unlock()
	by := slot.Origin{Who: receive.UpdateAccount, From: "local"}
	err = s.begin("The update file is checked.", func(ctx context.Context) error {
		f, err := u.Finish(ctx)
		if err != nil {
			return err
		}
		defer f.Close()
		keys, err := bundle.LoadKeys(s.Keys)
		if err != nil {
			return err
		}
		b, err := bundle.Open(f, in.Size, keys)
		if err != nil {
			return errors.Join(err, u.Discard())
		}
		if err := s.slots.Install(ctx, b, slot.Request{Origin: by, Target: bundle.Target{Version: s.Version, Schema: 2, DataSchema: 2, DataReader: 1}}); err != nil {
			return err
		}
		if err := u.Discard(); err != nil {
			return err
		}
		if _, err := s.slots.Try(ctx, by); err != nil {
			return err
		}
		if s.Fault == NeverBack {
			s.mu.Lock()
			s.gone = true
			s.mu.Unlock()
			return nil
		}
		time.Sleep(s.Prove)
		if s.Fault == TakesBack {
			reason := "the new version did not prove itself: it reads 3 of 10 words of the known page"
			return errors.Join(errors.New(reason), s.slots.RollBack(ctx, reason, slot.Boot()))
		}
		return s.slots.Commit(by)
	})
	if err != nil {
		return nil, err
	}
	return s.status()
}

func (s *StandIn) rollBack(r *http.Request) (any, error) {
	var in struct {
		Reason string `json:"reason"`
	}
	if err := json.NewDecoder(io.LimitReader(r.Body, 1<<16)).Decode(&in); err != nil {
		return nil, err
	}
	st, err := s.slots.Status()
	if err == nil && (st.Previous == nil || st.State != slot.Committed) {
		err = slot.ErrNoWay
	}
	if err == nil {
		err = s.begin("It goes back.", func(ctx context.Context) error {
			return s.slots.RollBack(ctx, in.Reason, slot.Origin{Who: receive.UpdateAccount, From: "local"})
		})
	}
	if err != nil {
		return nil, err
	}
	return s.status()
}
