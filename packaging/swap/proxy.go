//go:build linux

package swap

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"os"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// Headers that tell the next process how a request came to this one. They are
// believed only where nobody but a process of our own user can connect.
const (
	fromHeader  = "Docscan-Swap-From"  // address and port
	localHeader = "Docscan-Swap-Local" // by the local socket: by whom
	tlsHeader   = "Docscan-Swap-Tls"
)

// onward passes requests on to the process that listens at address. The answers
// end their connections, so that what comes next goes there directly.
func onward(address string, log *slog.Logger, peer func(*http.Request) (who string, local bool)) http.Handler {
	proxy := &httputil.ReverseProxy{
		Transport: &http.Transport{
			DisableKeepAlives:  true,
			DisableCompression: true,
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return (&net.Dialer{}).DialContext(ctx, "unix", address)
			},
		},
		Rewrite: func(p *httputil.ProxyRequest) {
			p.Out.URL.Scheme, p.Out.URL.Host = "http", p.In.Host
			if p.Out.URL.Host == "" {
				p.Out.URL.Host = "docscan"
			}
			p.Out.Host = p.In.Host
			for _, name := range []string{"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto"} {
				if v, ok := p.In.Header[name]; ok {
					p.Out.Header[name] = v // Rewrite has taken them out
				}
			}
			p.Out.Header.Set(fromHeader, p.In.RemoteAddr)
			for _, name := range []string{localHeader, tlsHeader} {
				p.Out.Header.Del(name)
			}
			if p.In.TLS != nil {
				p.Out.Header.Set(tlsHeader, "1")
			}
			if who, local := peer(p.In); local {
				p.Out.Header.Set(localHeader, who)
			}
		},
		ModifyResponse: func(r *http.Response) error {
			r.Header.Set("Connection", "close")
			return nil
		},
		FlushInterval: -1, // what is written there is written here at once
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			if r.Context().Err() != nil {
				return // whoever asked has gone
			}
			log.Error("passing a request on failed", "path", r.URL.Path, "err", err)
			w.Header().Set("Connection", "close")
			w.Header().Set("Retry-After", "1")
			http.Error(w, "docscan is changing its version; try again", http.StatusServiceUnavailable)
		},
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// How long a body or an answer may take the other process decides, which
		// cannot reach this connection. Its own is bounded as any.
		if err := http.NewResponseController(w).SetReadDeadline(time.Time{}); err != nil && !errors.Is(err, http.ErrNotSupported) {
			log.Warn("a request that is passed on may break off", "path", r.URL.Path, "err", err)
		}
		proxy.ServeHTTP(w, r)
	})
}

// listenOnward opens a socket for requests that another process passes on. It
// has a name that only it is told, and no file.
func listenOnward() (net.Listener, error) {
	l, err := net.Listen("unix", "@docscan-"+rand.Text())
	if err != nil {
		return nil, fmt.Errorf("listen for requests that are passed on: %w", err)
	}
	return l, nil
}

// own reports whether the process at the other end of c is of our user.
func own(c net.Conn) bool {
	u, ok := c.(*net.UnixConn)
	if !ok {
		return false
	}
	raw, err := u.SyscallConn()
	if err != nil {
		return false
	}
	is := false
	err = raw.Control(func(fd uintptr) {
		cred, err := unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
		is = err == nil && int(cred.Uid) == os.Getuid()
	})
	return err == nil && is
}

// arrive undoes what passing on has done to a request, and gives it to whom it
// came for.
func arrive(public, local http.Handler, s Servers) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := r.Header
		from, here, secure := h.Get(fromHeader), h.Get(localHeader), h.Get(tlsHeader)
		for _, name := range []string{fromHeader, localHeader, tlsHeader} {
			h.Del(name)
		}
		r.RemoteAddr = from
		if secure != "" {
			r.TLS = &tls.ConnectionState{HandshakeComplete: true}
		}
		if here != "" {
			local.ServeHTTP(w, s.AsLocal(r, here))
			return
		}
		public.ServeHTTP(w, s.AsRemote(r))
	})
}

// ownListener takes connections of our own user only.
type ownListener struct{ net.Listener }

func (l ownListener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil || own(c) {
			return c, err
		}
		c.Close()
	}
}

// conns counts the connections of servers, so that the last one can be waited
// for without closing any.
type conns struct{ n atomic.Int64 }

// count is for http.Server.ConnState.
func (c *conns) count(_ net.Conn, s http.ConnState) {
	switch s {
	case http.StateNew:
		c.n.Add(1)
	case http.StateClosed, http.StateHijacked:
		c.n.Add(-1)
	}
}

// wait waits until there is none, or for ctx.
func (c *conns) wait(ctx context.Context) {
	t := time.NewTicker(50 * time.Millisecond)
	defer t.Stop()
	for c.n.Load() > 0 {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
	}
}
