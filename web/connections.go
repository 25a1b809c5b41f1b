package web

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"
)

// stallTime is how long a client may take nothing of an answer.
const stallTime = 60 * time.Second

// Listener bounds the connections of l, in all and of each address, and encrypts
// them with cert, unless that is nil. Addresses of proxies in front of docscan
// have no bound of their own.
func Listener(l net.Listener, cfg Config, cert *Certificate) net.Listener {
	b := &boundListener{Listener: l, most: cfg.MaxConnections, each: cfg.ConnectionsPerAddress, proxies: cfg.proxies(), open: make(map[netip.Prefix]int)}
	if cert == nil {
		return b
	}
	b.guard = true
	return tls.NewListener(b, cert.Config())
}

// boundListener closes connections that are too many as soon as they come.
type boundListener struct {
	net.Listener
	most, each int
	proxies    []netip.Prefix
	guard      bool // what comes must be TLS

	mu    sync.Mutex
	total int
	open  map[netip.Prefix]int
}

func (l *boundListener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		host, _, err := net.SplitHostPort(c.RemoteAddr().String())
		if err != nil {
			host = ""
		}
		key := limitKey(host)
		if !l.enter(key, trusted(l.proxies, host)) {
			c.Close()
			continue
		}
		var out net.Conn = &boundConn{Conn: c, leave: sync.OnceFunc(func() { l.leave(key) })}
		if l.guard {
			out = &guardConn{Conn: out}
		}
		return out, nil
	}
}

// enter counts a connection, if there may be one more.
func (l *boundListener) enter(key netip.Prefix, proxy bool) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.total >= l.most || !proxy && l.open[key] >= l.each {
		return false
	}
	l.total++
	l.open[key]++
	return true
}

func (l *boundListener) leave(key netip.Prefix) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.total--
	if l.open[key]--; l.open[key] == 0 {
		delete(l.open, key)
	}
}

// boundConn is a counted connection whose far end must go on reading.
type boundConn struct {
	net.Conn
	leave func()
}

func (c *boundConn) Write(b []byte) (int, error) {
	if err := c.SetWriteDeadline(time.Now().Add(stallTime)); err != nil {
		return 0, err
	}
	return c.Conn.Write(b)
}

func (c *boundConn) Close() error {
	defer c.leave()
	return c.Conn.Close()
}

// guardConn is a connection that should speak TLS. Whoever begins in plain HTTP,
// as browsers do with an address that somebody has typed, is sent to https.
type guardConn struct {
	net.Conn
	begun bool
}

// handshake is the first byte of TLS (RFC 8446, section 5.1).
const handshake = 22

func (c *guardConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if c.begun || n == 0 {
		return n, err
	}
	c.begun = true
	if b[0] == handshake {
		return n, err
	}
	c.sendAway(bytes.NewReader(b[:n]))
	return 0, io.EOF
}

// maxPlain bounds what is read of a plain request, in bytes.
const maxPlain = 8 << 10

// sendAway answers a plain request with where to go. Its body, which may hold a
// password, is not looked at.
func (c *guardConn) sendAway(begun io.Reader) {
	r, err := http.ReadRequest(bufio.NewReader(io.LimitReader(io.MultiReader(begun, c.Conn), maxPlain)))
	if err != nil {
		return
	}
	host, port, err := net.SplitHostPort(r.Host)
	if err != nil {
		host, port = r.Host, ""
	}
	const text = "Use https here.\n"
	answer := fmt.Sprintf("HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: %d\r\n\r\n%s", len(text), text)
	if (r.Method == http.MethodGet || r.Method == http.MethodHead) && fitForCertificate(host) {
		if port != "" {
			host = net.JoinHostPort(host, port)
		}
		answer = "HTTP/1.1 307 Temporary Redirect\r\nConnection: close\r\nLocation: https://" + host + r.URL.EscapedPath() + query(r) + "\r\nContent-Length: 0\r\n\r\n"
	}
	_, _ = io.WriteString(c.Conn, answer) // it is closed either way
}

func query(r *http.Request) string {
	if r.URL.RawQuery == "" {
		return ""
	}
	return "?" + r.URL.Query().Encode() // nothing in it can end the line
}
