package web

import (
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// Headers in which a proxy says for whom it asks. Only the one that is configured
// is believed: the other one may come from the client.
const (
	forwardedFor = "X-Forwarded-For"
	forwarded    = "Forwarded" // RFC 7239
)

// checkProxies reports the first proxy that is no address or network.
func (c *Config) checkProxies() error {
	for _, p := range c.TrustedProxies {
		if _, err := parseNetwork(p); err != nil {
			return fmt.Errorf("trusted_proxies has %q; it must be an address or a network, like 10.0.0.2 or 10.0.0.0/24", p)
		}
	}
	if c.ForwardedHeader != forwardedFor && c.ForwardedHeader != forwarded {
		return fmt.Errorf("forwarded_header is %q; it must be %s or %s", c.ForwardedHeader, forwardedFor, forwarded)
	}
	return nil
}

func parseNetwork(s string) (netip.Prefix, error) {
	if p, err := netip.ParsePrefix(s); err == nil {
		return p.Masked(), nil
	}
	a, err := netip.ParseAddr(s)
	if err != nil {
		return netip.Prefix{}, err
	}
	return netip.PrefixFrom(a, a.BitLen()), nil
}

// proxies are the networks of checked TrustedProxies.
func (c *Config) proxies() (list []netip.Prefix) {
	for _, s := range c.TrustedProxies {
		if p, err := parseNetwork(s); err == nil {
			list = append(list, p)
		}
	}
	return list
}

func trusted(proxies []netip.Prefix, host string) bool {
	a, err := netip.ParseAddr(host)
	return err == nil && slices.ContainsFunc(proxies, func(p netip.Prefix) bool { return p.Contains(a.Unmap().WithZone("")) })
}

// believe lets requests of trusted proxies be those of whom they ask for.
func (s *Server) believe(h http.Handler) http.Handler {
	proxies := s.cfg.proxies()
	if len(proxies) == 0 {
		return h
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if trusted(proxies, address(r)) {
			q := new(http.Request)
			*q = *r
			client, secure := s.forwardedBy(r, proxies)
			if client != "" {
				q.RemoteAddr = net.JoinHostPort(client, "0")
			}
			if secure && q.TLS == nil {
				q.TLS = &tls.ConnectionState{HandshakeComplete: true}
			}
			r = q
		}
		h.ServeHTTP(w, r)
	})
}

// forwardedBy gives the last address in the chain of proxies that is none of
// ours, "" if there is none, and whether the connection to it was encrypted.
// What is to the left of it, its client could have written itself.
func (s *Server) forwardedBy(r *http.Request, proxies []netip.Prefix) (client string, secure bool) {
	secure = strings.EqualFold(r.Header.Get("X-Forwarded-Proto"), "https") && s.cfg.ForwardedHeader == forwardedFor
	hops := strings.Split(strings.Join(r.Header.Values(s.cfg.ForwardedHeader), ","), ",")
	for _, hop := range slices.Backward(hops) {
		host := strings.TrimSpace(hop)
		if s.cfg.ForwardedHeader == forwarded {
			var proto string
			host, proto = forwardedPair(hop)
			secure = strings.EqualFold(proto, "https")
		}
		host = withoutPort(host)
		if _, err := netip.ParseAddr(host); err != nil {
			return client, secure // hidden or malformed: nothing before it is known
		}
		client = host
		if !trusted(proxies, host) {
			return client, secure
		}
	}
	return client, secure
}

// forwardedPair reads for and proto of one element of Forwarded.
func forwardedPair(hop string) (host, proto string) {
	for part := range strings.SplitSeq(hop, ";") {
		name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		value = strings.Trim(value, `"`)
		switch strings.ToLower(name) {
		case "for":
			host = value
		case "proto":
			proto = value
		}
	}
	return host, proto
}

func withoutPort(host string) string {
	if h, _, err := net.SplitHostPort(host); err == nil {
		return h
	}
	return strings.Trim(host, "[]")
}
