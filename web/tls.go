package web

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// How pages and API are encrypted.
const (
	tlsAuto = "auto" // unless only this machine can reach them
	tlsOn   = "on"
	tlsOff  = "off" // never: passwords can be read on the way
)

// Secure reports whether pages and API are served over TLS on a socket; "": on that of the
// next start of the service. Where TLS leaves that to who can reach it, the socket itself
// tells: it outlives processes, and Listen may name another address since. A name is none
// that tells, whatever address it has here: it is for others.
func (c *Config) Secure(socket string) bool {
	if c.TLS != tlsAuto {
		return c.TLS == tlsOn
	}
	host, _, err := net.SplitHostPort(c.Listen)
	if err != nil || host != "" && host != "localhost" && net.ParseIP(host) == nil {
		return true
	}
	if socket != "" {
		if host, _, err = net.SplitHostPort(socket); err != nil {
			return true
		}
	}
	ip := net.ParseIP(host)
	return host != "localhost" && (ip == nil || !ip.IsLoopback())
}

// The certificate that docscan makes itself. Apple's systems refuse one that
// holds longer than 398 days; browsers want a new exception after each renewal,
// so it is renewed late.
const (
	ownTime   = 397 * 24 * time.Hour
	renewTime = 14 * 24 * time.Hour
	lookTime  = 10 * time.Second // between looks at the files, at most one a handshake
)

// Certificate is what docscan proves with who it is: a certificate made by itself
// or one given by file. It follows the files: a new one needs no restart.
type Certificate struct {
	log       *slog.Logger
	cert, key string   // files
	given     bool     // by file, instead of made here
	names     []string // more names for one made here

	mu      sync.Mutex
	now     *tls.Certificate
	stamp   string // of the files when they were read
	looked  time.Time
	standIn *Certificate // shown in the place of a given one that cannot be used; nil: none is
}

// OpenCertificate gives the certificate that cfg names, or the one in dir, which
// it makes if there is none.
func OpenCertificate(cfg Config, dir string, log *slog.Logger) (*Certificate, error) {
	c := &Certificate{log: log, cert: cfg.Certificate, key: cfg.Key, given: cfg.Certificate != "", names: cfg.Names}
	if !c.given {
		dir = filepath.Join(dir, "tls")
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, fmt.Errorf("keep the certificate: %w", err)
		}
		c.cert, c.key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
		if err := c.renew(); err != nil {
			return nil, fmt.Errorf("make a certificate: %w", err)
		}
	}
	if err := c.load(); err != nil {
		return nil, fmt.Errorf("use the certificate %s with the key %s: %w", c.cert, c.key, err)
	}
	return c, nil
}

// OpenAnyway is OpenCertificate for a start that nobody watches, as after a power cut. Where
// the certificate that cfg names cannot be used, such as while somebody renews it, one of
// docscan's own is shown until it can: scanning must not wait for it.
func OpenAnyway(cfg Config, dir string, log *slog.Logger) (*Certificate, error) {
	c, err := OpenCertificate(cfg, dir, log)
	if err == nil || cfg.Certificate == "" {
		return c, err
	}
	own := cfg
	own.Certificate, own.Key = "", ""
	standIn, oerr := OpenCertificate(own, dir, log)
	if oerr != nil {
		return nil, errors.Join(err, oerr)
	}
	log.Error("the given certificate cannot be used; docscan shows one of its own until it can", "err", err)
	return &Certificate{log: log, cert: cfg.Certificate, key: cfg.Key, given: true, looked: time.Now(), standIn: standIn}, nil
}

// Given reports whether somebody else vouches for it.
func (c *Certificate) Given() bool { return c.given && !c.StoodIn() }

// StoodIn reports whether one of docscan's own is shown because the given one cannot be
// used.
func (c *Certificate) StoodIn() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.standIn != nil
}

// Fingerprint is the SHA-256 of the certificate as browsers show it.
func (c *Certificate) Fingerprint() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.standIn != nil {
		return c.standIn.Fingerprint()
	}
	sum := sha256.Sum256(c.now.Certificate[0])
	return strings.ReplaceAll(fmt.Sprintf("% X", sum), " ", ":")
}

// suites are what is taken with TLS 1.2: of what Go knows, all that also prove what they
// carry. TLS 1.3 has no others.
var suites = []uint16{
	tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
	tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
}

// Config is for servers.
func (c *Certificate) Config() *tls.Config {
	return &tls.Config{
		MinVersion:     tls.VersionTLS12,
		CipherSuites:   suites,
		NextProtos:     []string{"h2", "http/1.1"},
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return c.current(), nil },
	}
}

// current gives the certificate, as the files have it now. One that cannot be
// used does not take the place of one that can.
func (c *Certificate) current() *tls.Certificate {
	c.mu.Lock()
	defer c.mu.Unlock()
	if time.Since(c.looked) < lookTime && time.Since(c.looked) >= 0 {
		return c.shown()
	}
	c.looked = time.Now()
	if !c.given {
		if err := c.renew(); err != nil {
			c.log.Error("renewing the certificate failed", "err", err)
		}
	}
	stamp, err := c.stampOf()
	if told := stamp == c.stamp; err == nil && (!told || c.standIn != nil) { // which rights alone may mend
		c.stamp = stamp
		switch err = c.read(); {
		case err != nil && told:
			err = nil // one that is broken is told of once
		case err == nil:
			c.standIn = nil
			c.log.Info("certificate read anew", "ends", c.now.Leaf.NotAfter.UTC().Format(time.DateOnly))
		}
	}
	if err != nil {
		c.log.Error("the certificate in use stays: the new one cannot be read", "err", err)
	}
	return c.shown()
}

// shown is what clients get; mu is held.
func (c *Certificate) shown() *tls.Certificate {
	if c.standIn != nil {
		return c.standIn.current()
	}
	return c.now
}

func (c *Certificate) load() (err error) {
	if c.stamp, err = c.stampOf(); err != nil {
		return err
	}
	c.looked = time.Now()
	return c.read()
}

// read reads the files.
func (c *Certificate) read() error {
	pair, err := tls.LoadX509KeyPair(c.cert, c.key)
	if err != nil {
		return err
	}
	if time.Now().After(pair.Leaf.NotAfter) {
		c.log.Warn("the certificate has ended; browsers will warn", "ended", pair.Leaf.NotAfter.UTC().Format(time.DateOnly))
	}
	c.now = &pair
	return nil
}

// stampOf tells whether the files have changed.
func (c *Certificate) stampOf() (string, error) {
	var b strings.Builder
	for _, name := range []string{c.cert, c.key} {
		info, err := os.Stat(name)
		if err != nil {
			return "", err
		}
		fmt.Fprint(&b, info.Size(), info.ModTime().UnixNano(), " ")
	}
	return b.String(), nil
}

// renew makes the certificate if there is none, if it ends soon, or if this
// machine has names and addresses that do not stand in it. The key stays.
func (c *Certificate) renew() error {
	key, err := c.ownKey()
	if err != nil {
		return err
	}
	names, err := ownNames(c.names)
	if err != nil {
		return err
	}
	if data, err := os.ReadFile(c.cert); err == nil {
		if block, _ := pem.Decode(data); block != nil {
			old, err := x509.ParseCertificate(block.Bytes)
			if err == nil && fits(old, key, c.lasting(names)) {
				return nil
			}
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return err
	}
	host, _ := os.Hostname() // without one the name says less
	now := time.Now()
	t := &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: strings.TrimSpace("docscan " + host)},
		// A box without a clock may be behind until it has asked for the time.
		NotBefore:             now.Add(-24 * time.Hour),
		NotAfter:              now.Add(ownTime),
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
	}
	for _, n := range names {
		if ip := net.ParseIP(n); ip != nil {
			t.IPAddresses = append(t.IPAddresses, ip)
		} else {
			t.DNSNames = append(t.DNSNames, n)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, t, t, &key.PublicKey, key)
	if err != nil {
		return err
	}
	c.log.Info("certificate made", "names", names, "ends", t.NotAfter.UTC().Format(time.DateOnly))
	return writeWhole(c.cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

// lasting leaves out addresses of IPv6 that nobody has configured: with many providers they
// are others each day, and people type them nowhere. A certificate made for each would have
// every browser ask for a new exception, and its fingerprint written down in vain.
func (c *Certificate) lasting(names []string) []string {
	return slices.DeleteFunc(slices.Clone(names), func(n string) bool {
		ip := net.ParseIP(n)
		return ip != nil && ip.To4() == nil && !slices.Contains(c.names, n)
	})
}

// fits reports whether a certificate of this key still serves.
func fits(old *x509.Certificate, key *ecdsa.PrivateKey, names []string) bool {
	if pub, ok := old.PublicKey.(*ecdsa.PublicKey); !ok || !pub.Equal(&key.PublicKey) {
		return false
	}
	if now := time.Now(); now.Before(old.NotBefore) || now.Add(renewTime).After(old.NotAfter) {
		return false
	}
	return !slices.ContainsFunc(names, func(n string) bool { return old.VerifyHostname(n) != nil })
}

// ownKey gives the key of the certificate made here, and makes it the first time.
func (c *Certificate) ownKey() (*ecdsa.PrivateKey, error) {
	data, err := os.ReadFile(c.key)
	if err == nil {
		block, _ := pem.Decode(data)
		if block == nil {
			return nil, fmt.Errorf("%s holds no key; remove it, and a new one is made", c.key)
		}
		any, err := x509.ParsePKCS8PrivateKey(block.Bytes)
		if key, ok := any.(*ecdsa.PrivateKey); ok {
			return key, nil
		}
		return nil, fmt.Errorf("%s holds no ECDSA key; remove it, and a new one is made: %w", c.key, err)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return key, writeWhole(c.key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

// writeWhole writes a file that nobody ever sees half, for its owner's eyes.
func writeWhole(name string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(name), ".new-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // is no more after the rename
	_, err = bytes.NewReader(data).WriteTo(f)
	if err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), name)
}

// ownNames are the names and addresses by which this machine can be reached.
func ownNames(more []string) ([]string, error) {
	names := slices.Clone(more)
	if host, err := os.Hostname(); err == nil && host != "" {
		host = strings.ToLower(host)
		names = append(names, host)
		if !strings.Contains(host, ".") {
			names = append(names, host+".local") // by multicast DNS
		}
	}
	names = append(names, "localhost", "127.0.0.1", "::1")
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return nil, err
	}
	for _, a := range addrs {
		if n, ok := a.(*net.IPNet); ok && n.IP.IsGlobalUnicast() {
			names = append(names, n.IP.String())
		}
	}
	names = slices.DeleteFunc(names, func(n string) bool { return !fitForCertificate(n) })
	slices.Sort(names)
	return slices.Compact(names), nil
}

// fitForCertificate reports whether a name can stand in a certificate.
func fitForCertificate(name string) bool {
	if net.ParseIP(name) != nil {
		return true
	}
	return name != "" && len(name) <= 253 && strings.Trim(name, "-.") == name &&
		!strings.ContainsFunc(name, func(r rune) bool { return plain(r) < 0 })
}

// fingerprint is that of the certificate where no one else vouches for it, so that
// people can compare it; "" otherwise.
func (s *Server) fingerprint() string {
	if s.Certificate == nil || s.Certificate.Given() {
		return ""
	}
	return s.Certificate.Fingerprint()
}
