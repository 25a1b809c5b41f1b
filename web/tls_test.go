package web

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"docscan/store"
)

var quiet = slog.New(slog.DiscardHandler)

// serveTLS serves h as docscand does, and returns the address.
func serveTLS(t *testing.T, cfg Config, cert *Certificate, h http.Handler) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := NewHTTPServer(h, quiet)
	done := make(chan error, 1)
	go func() { done <- srv.Serve(Listener(l, cfg, cert)) }()
	t.Cleanup(func() {
		srv.Close()
		if err := <-done; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
	return l.Addr().String()
}

func hello(w http.ResponseWriter, r *http.Request) {
	_, _ = io.WriteString(w, r.Proto) // the client sees what is missing
}

// leaf gives the certificate that a server shows.
func leaf(t *testing.T, address string, config *tls.Config) *x509.Certificate {
	t.Helper()
	c, err := tls.Dial("tcp", address, config)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	return c.ConnectionState().PeerCertificates[0]
}

func TestOwnCertificate(t *testing.T) {
	dir := t.TempDir()
	cfg := DefaultConfig()
	cfg.Names = []string{"scan.example", "192.0.2.7"}
	cert, err := OpenCertificate(cfg, dir, quiet)
	if err != nil {
		t.Fatal(err)
	}
	address := serveTLS(t, cfg, cert, http.HandlerFunc(hello))
	pool := x509.NewCertPool()
	data, err := os.ReadFile(filepath.Join(dir, "tls", "cert.pem"))
	if err != nil || !pool.AppendCertsFromPEM(data) {
		t.Fatal("no certificate was kept", err)
	}
	for _, name := range []string{"localhost", "127.0.0.1", "scan.example", "192.0.2.7"} {
		got := leaf(t, address, &tls.Config{RootCAs: pool, ServerName: name, MinVersion: tls.VersionTLS13})
		if days := time.Until(got.NotAfter).Hours() / 24; days < 390 || days > 398 {
			t.Errorf("it holds %.0f days", days)
		}
	}
	if _, err := tls.Dial("tcp", address, &tls.Config{RootCAs: pool, ServerName: "other.example"}); err == nil {
		t.Error("it stands for a name that is not ours")
	}
	for what, config := range map[string]*tls.Config{ // what is too old, of clients that would take it
		"TLS 1.1": {MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11},
		"CBC": {MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{
			tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA, tls.TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA, tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256,
		}},
	} {
		config.RootCAs, config.ServerName = pool, "localhost"
		if c, err := tls.Dial("tcp", address, config); err == nil {
			c.Close()
			t.Errorf("%s is spoken", what)
		} else if !strings.HasPrefix(err.Error(), "remote error: ") {
			t.Errorf("%s: it is not the box that refuses: %v", what, err)
		}
	}
	info, err := os.Stat(filepath.Join(dir, "tls", "key.pem"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the key: %v, %v", info.Mode(), err)
	}
	again, err := OpenCertificate(cfg, dir, quiet)
	if err != nil || again.Fingerprint() != cert.Fingerprint() {
		t.Errorf("the next start has another certificate: %v", err)
	}
	if f := cert.Fingerprint(); len(f) != 32*3-1 || strings.Count(f, ":") != 31 {
		t.Errorf("the fingerprint is %q", f)
	}
	cfg.Names = []string{"new.example"}
	renamed, err := OpenCertificate(cfg, dir, quiet)
	if err != nil || renamed.Fingerprint() == cert.Fingerprint() {
		t.Errorf("a new name, and the certificate stays: %v", err)
	}
	client := http.Client{Transport: &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	resp, err := client.Get("https://" + address)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, err := io.ReadAll(resp.Body); err != nil || string(body) != "HTTP/2.0" {
		t.Errorf("spoken: %q, %v", body, err)
	}
}

// A certificate that ends soon is renewed by itself, with the key that people
// may have written down.
func TestRenewal(t *testing.T) {
	dir := t.TempDir()
	cert, err := OpenCertificate(DefaultConfig(), dir, quiet)
	if err != nil {
		t.Fatal(err)
	}
	old := cert.current().Leaf
	if !fits(old, mustKey(t, cert), nil) {
		t.Error("a new one does not fit")
	}
	late := *old
	late.NotAfter = time.Now().Add(renewTime - time.Hour)
	early := *old
	early.NotBefore = time.Now().Add(time.Hour)
	if fits(&late, mustKey(t, cert), nil) || fits(&early, mustKey(t, cert), nil) {
		t.Error("one that ends soon, or does not hold yet, is kept")
	}
	other, err := OpenCertificate(DefaultConfig(), t.TempDir(), quiet)
	if err != nil {
		t.Fatal(err)
	}
	if fits(old, mustKey(t, other), nil) {
		t.Error("one of another key is kept")
	}
	if err := os.Remove(filepath.Join(dir, "tls", "cert.pem")); err != nil {
		t.Fatal(err)
	}
	cert.mu.Lock()
	cert.looked = time.Time{}
	cert.mu.Unlock()
	if now := cert.current().Leaf; now.SerialNumber.Cmp(old.SerialNumber) == 0 || !bytes.Equal(now.RawSubjectPublicKeyInfo, old.RawSubjectPublicKeyInfo) {
		t.Error("it was not made anew, or with another key")
	}
}

func mustKey(t *testing.T, c *Certificate) *ecdsa.PrivateKey {
	t.Helper()
	key, err := c.ownKey()
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// Addresses that the network gives for a day make no other certificate.
func TestPassingAddresses(t *testing.T) {
	c := &Certificate{names: []string{"2001:db8::1", "scan.example"}}
	names := []string{"box.local", "localhost", "127.0.0.1", "192.0.2.7", "::1", "2001:db8::1", "2001:db8:77:0:1c2d:3e4f:5a6b:7c8d", "scan.example"}
	if got, want := c.lasting(names), []string{"box.local", "localhost", "127.0.0.1", "192.0.2.7", "2001:db8::1", "scan.example"}; !slices.Equal(got, want) {
		t.Errorf("a certificate must have %q, want %q", got, want)
	}
}

// A given certificate is read anew when its files change; one that is broken does
// not take the place of one that works.
func TestGivenCertificate(t *testing.T) {
	dirs := [2]string{t.TempDir(), t.TempDir()}
	var made [2]*Certificate
	for i, dir := range dirs {
		var err error
		if made[i], err = OpenCertificate(DefaultConfig(), dir, quiet); err != nil {
			t.Fatal(err)
		}
	}
	cfg := DefaultConfig()
	cfg.Certificate, cfg.Key = filepath.Join(t.TempDir(), "cert.pem"), filepath.Join(t.TempDir(), "key.pem")
	install := func(cert, key string) {
		t.Helper()
		for from, to := range map[string]string{cert: cfg.Certificate, key: cfg.Key} {
			data, err := os.ReadFile(from)
			if err == nil {
				err = os.WriteFile(to, data, 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	file := func(i int, name string) string { return filepath.Join(dirs[i], "tls", name) }
	install(file(0, "cert.pem"), file(0, "key.pem"))
	given, err := OpenCertificate(cfg, t.TempDir(), quiet)
	if err != nil || !given.Given() {
		t.Fatal(err)
	}
	look := func() string {
		given.mu.Lock()
		given.looked = time.Time{}
		given.mu.Unlock()
		given.current()
		return given.Fingerprint()
	}
	install(file(0, "cert.pem"), file(1, "key.pem")) // they do not belong together
	if look() != made[0].Fingerprint() {
		t.Error("a broken pair took its place")
	}
	install(file(1, "cert.pem"), file(1, "key.pem"))
	if look() != made[1].Fingerprint() {
		t.Error("the new one is not used")
	}
	if err := os.Remove(cfg.Certificate); err != nil {
		t.Fatal(err)
	}
	if look() != made[1].Fingerprint() {
		t.Error("without its file it is not used any more")
	}
	if _, err := OpenCertificate(cfg, t.TempDir(), quiet); err == nil {
		t.Error("a start without the file")
	}
	block, _ := pem.Decode([]byte("-----BEGIN X-----\n-----END X-----\n"))
	if block == nil {
		t.Fatal("no block")
	}
	if err := os.WriteFile(cfg.Certificate, pem.EncodeToMemory(block), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenCertificate(cfg, t.TempDir(), quiet); err == nil {
		t.Error("a start with a file that is no certificate")
	}
}

// A box starts with a certificate that cannot be used, and takes it as soon as it can.
func TestStandInCertificate(t *testing.T) {
	elsewhere, err := OpenCertificate(DefaultConfig(), t.TempDir(), quiet)
	if err != nil {
		t.Fatal(err)
	}
	cfg, dir := DefaultConfig(), t.TempDir()
	cfg.Certificate, cfg.Key = filepath.Join(dir, "given.pem"), filepath.Join(dir, "given.key")
	copyTo := func(from, to string) {
		t.Helper()
		data, err := os.ReadFile(from)
		if err == nil {
			err = os.WriteFile(to, data, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	copyTo(elsewhere.cert, cfg.Certificate) // its key is not there yet
	if _, err := OpenCertificate(cfg, dir, quiet); err == nil {
		t.Fatal("half a pair can be used")
	}
	c, err := OpenAnyway(cfg, dir, quiet)
	if err != nil {
		t.Fatal(err)
	}
	own, err := OpenCertificate(DefaultConfig(), dir, quiet)
	if err != nil {
		t.Fatal(err)
	}
	address := serveTLS(t, cfg, c, http.HandlerFunc(hello))
	shown := func() []byte { return leaf(t, address, &tls.Config{InsecureSkipVerify: true}).Raw }
	if !bytes.Equal(shown(), own.current().Leaf.Raw) || c.Given() || !c.StoodIn() || c.Fingerprint() != own.Fingerprint() {
		t.Errorf("given %t, stood in %t, fingerprint %s", c.Given(), c.StoodIn(), c.Fingerprint())
	}
	s, _ := newFleetSite(t)
	s.Certificate = c
	if got := s.local(updateUID, "GET", "/api/v1/update/facts", ""); !strings.Contains(got.Body.String(), "certificate of web.certificate cannot be used") {
		t.Errorf("a fleet does not hear of it: %s", got.Body)
	}
	key, err := os.ReadFile(elsewhere.key)
	if err != nil {
		t.Fatal(err)
	}
	put := func(key []byte) { // with nothing about the file that tells that it is another
		t.Helper()
		at := time.Now().Truncate(time.Hour)
		if err := errors.Join(os.WriteFile(cfg.Key, key, 0o600), os.Chtimes(cfg.Key, at, at)); err != nil {
			t.Fatal(err)
		}
		c.mu.Lock()
		c.looked = time.Time{}
		c.mu.Unlock()
	}
	put(bytes.Repeat([]byte("x"), len(key)))
	if !bytes.Equal(shown(), own.current().Leaf.Raw) || !c.StoodIn() {
		t.Error("with a broken key the given one is shown")
	}
	put(key)
	if !bytes.Equal(shown(), elsewhere.current().Leaf.Raw) || !c.Given() || c.StoodIn() || c.Fingerprint() != elsewhere.Fingerprint() {
		t.Errorf("when it is whole: given %t, stood in %t, fingerprint %s", c.Given(), c.StoodIn(), c.Fingerprint())
	}
	if c, err := OpenAnyway(cfg, dir, quiet); err != nil || !c.Given() {
		t.Errorf("the next start: %v", err)
	}
}

// Whoever types the address without https gets there.
func TestPlainRequestsAreSentAway(t *testing.T) {
	cfg := DefaultConfig()
	cert, err := OpenCertificate(cfg, t.TempDir(), quiet)
	if err != nil {
		t.Fatal(err)
	}
	address := serveTLS(t, cfg, cert, http.HandlerFunc(hello))
	for _, tt := range []struct{ send, want string }{
		{"GET /documents?q=a%0d%0aX:y HTTP/1.1\r\nHost: box.example:8000\r\n\r\n", "307 Temporary Redirect\r\nConnection: close\r\nLocation: https://box.example:8000/documents?q=a%0D%0AX%3Ay\r\n"},
		{"GET / HTTP/1.1\r\nHost: 192.0.2.1:8000\r\n\r\n", "Location: https://192.0.2.1:8000/\r\n"},
		{"GET / HTTP/1.1\r\nHost: [2001:db8::1]:8000\r\n\r\n", "Location: https://[2001:db8::1]:8000/\r\n"},
		{"POST /login HTTP/1.1\r\nHost: box\r\nContent-Length: 9\r\n\r\npassword=", "400 Bad Request"},
		{"GET / HTTP/1.1\r\nHost: evil\"><script>\r\n\r\n", "400 Bad Request"},
		{"GET " + strings.Repeat("/", maxPlain) + " HTTP/1.1\r\n\r\n", ""},
		{"\x00\x01\x02", ""},
		{"SSH-2.0-OpenSSH\r\n", ""},
	} {
		c, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(c, tt.send); err != nil {
			t.Fatal(err)
		}
		if err := c.(*net.TCPConn).CloseWrite(); err != nil && !errors.Is(err, syscall.ENOTCONN) { // it may be refused already
			t.Fatal(err)
		}
		got, _ := io.ReadAll(c) // what was sent and not read may reset the connection
		c.Close()
		if !strings.Contains(string(got), tt.want) || tt.want == "" && len(got) > 0 {
			t.Errorf("%.40q: %q, want %q", tt.send, got, tt.want)
		}
	}
}

func TestSecure(t *testing.T) {
	for _, tt := range []struct {
		tls, listen string
		want        bool
	}{
		{"auto", "127.0.0.1:8000", false},
		{"auto", "localhost:8000", false},
		{"auto", "[::1]:8000", false},
		{"auto", ":8000", true},
		{"auto", "0.0.0.0:8000", true},
		{"auto", "192.0.2.1:8000", true},
		{"auto", "box.example:8000", true},
		{"on", "127.0.0.1:8000", true},
		{"off", ":8000", false},
	} {
		if c := (Config{TLS: tt.tls, Listen: tt.listen}); c.Secure("") != tt.want {
			t.Errorf("tls %s on %s: %t", tt.tls, tt.listen, c.Secure(""))
		}
	}
}

// One address has its bound, and all have one.
func TestConnectionsAreBounded(t *testing.T) {
	cfg := DefaultConfig()
	cfg.MaxConnections, cfg.ConnectionsPerAddress = 16, 4
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	bound := Listener(l, cfg, nil)
	accepted := make(chan net.Conn, 16)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := bound.Accept()
			if err != nil {
				return
			}
			accepted <- c
		}
	}()
	defer func() {
		l.Close()
		<-done
	}()
	dial := func() net.Conn {
		t.Helper()
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	var held []net.Conn
	for range 4 {
		defer dial().Close()
		held = append(held, <-accepted)
	}
	extra := dial()
	defer extra.Close()
	if n, err := extra.Read(make([]byte, 1)); n != 0 || err == nil {
		t.Error("a fifth connection is open")
	}
	held[0].Close()
	held[0].Close() // counts once
	defer dial().Close()
	held[0] = <-accepted
	extra = dial()
	defer extra.Close()
	if n, err := extra.Read(make([]byte, 1)); n != 0 || err == nil {
		t.Error("after one was closed, two more are open")
	}
	for _, c := range held {
		c.Close()
	}
	b := bound.(*boundListener)
	for i := range cfg.MaxConnections + 1 {
		if ok := b.enter(limitKey("192.0.2."+string(rune('0'+i%10))), true); ok != (i < cfg.MaxConnections) {
			t.Errorf("connection %d of a proxy: %t", i+1, ok)
		}
	}
}

// Only a proxy that was named is believed, and only what it says itself.
func TestForwarded(t *testing.T) {
	for _, tt := range []struct {
		what, header, from, value, want string
		secure                          bool
	}{
		{"nobody's proxy", forwardedFor, "198.51.100.1:99", "203.0.113.9", "198.51.100.1", false},
		{"our proxy", forwardedFor, "10.0.0.2:99", "203.0.113.9", "203.0.113.9", true},
		{"what the client wrote itself", forwardedFor, "10.0.0.2:99", "127.0.0.1, 203.0.113.9", "203.0.113.9", true},
		{"two proxies of ours", forwardedFor, "10.0.0.2:99", "203.0.113.9, 10.0.0.3", "203.0.113.9", true},
		{"nothing", forwardedFor, "10.0.0.2:99", "", "10.0.0.2", true},
		{"nonsense", forwardedFor, "10.0.0.2:99", "203.0.113.9, 10.0.0.3, \x7f<script>", "10.0.0.2", true},
		{"IPv6", forwardedFor, "[::ffff:10.0.0.2]:99", "2001:db8::7", "2001:db8::7", true},
		{"the other header", forwarded, "10.0.0.2:99", `for="[2001:db8::7]:4711";proto=https`, "2001:db8::7", true},
		{"the other header, plain", forwarded, "10.0.0.2:99", `for=203.0.113.9`, "203.0.113.9", false},
		{"the other header, hidden", forwarded, "10.0.0.2:99", `for=203.0.113.1, for=_hidden`, "10.0.0.2", false},
	} {
		s := &Server{cfg: Config{TrustedProxies: []string{"10.0.0.0/24"}, ForwardedHeader: tt.header}}
		r, err := http.NewRequest("GET", "/", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.RemoteAddr = tt.from
		r.Header.Set("X-Forwarded-Proto", "https")
		r.Header.Set(tt.header, tt.value)
		if tt.header == forwarded {
			r.Header.Set(forwardedFor, "192.0.2.66") // a client's own
		}
		s.believe(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			if got := address(r); got != tt.want || (r.TLS != nil) != tt.secure {
				t.Errorf("%s: %s, encrypted %t; want %s, %t", tt.what, got, r.TLS != nil, tt.want, tt.secure)
			}
		})).ServeHTTP(nil, r)
	}
}

func FuzzForwarded(f *testing.F) {
	f.Add(`for="[2001:db8::7]:4711";proto=https, for=10.0.0.1`, true)
	f.Add("203.0.113.9, 10.0.0.3", false)
	f.Fuzz(func(t *testing.T, value string, rfc bool) {
		header := forwardedFor
		if rfc {
			header = forwarded
		}
		cfg := Config{TrustedProxies: []string{"10.0.0.0/24"}, ForwardedHeader: header}
		s := &Server{cfg: cfg}
		client, _ := s.forwardedBy(&http.Request{Header: http.Header{header: {value}}}, cfg.proxies())
		if client != "" && net.ParseIP(strings.SplitN(client, "%", 2)[0]) == nil {
			t.Errorf("%q gives %q, which is no address", value, client)
		}
	})
}

// Who set up the box, logs in or stands at the screen can compare the fingerprint.
func TestFingerprintIsShown(t *testing.T) {
	cert, err := OpenCertificate(Config{}, t.TempDir(), quiet)
	if err != nil {
		t.Fatal(err)
	}
	s := newSite(t, nil)
	s.Certificate = cert
	code, err := s.SetupCode()
	if err != nil {
		t.Fatal(err)
	}
	link := SetupLink("", code)
	shows := func(path, token string, header ...string) {
		t.Helper()
		if a := s.ask("GET", path, token, "", header...); a.StatusCode != 200 || !strings.Contains(a.body, cert.Fingerprint()) {
			t.Errorf("%s: %s, without the fingerprint", path, a.Status)
		}
	}
	c := s.ask("GET", link, "", "").Cookies()[0]
	shows("/setup", "", "Cookie", c.Name+"="+c.Value)
	panel := s.user("wall", store.RolePanel)
	shows("/login", "")
	shows("/kiosk", panel)
}
