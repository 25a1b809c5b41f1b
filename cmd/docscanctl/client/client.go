// Package client speaks the API of docscand, over its local socket or over the
// network.
//
// A [Client] does one call at a time and returns bodies as they came, so that
// a program which prints JSON prints the daemon's own. [Client.Watch] follows
// the stream of events and [Client.Download] fetches a file that survives a
// broken connection. What people are told of errors is the business of the
// command line.
package client

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Bounds of a call.
const (
	maxAnswer   = 64 << 20 // bytes of JSON; a list of all pages of a large batch has some 2 MB
	maxProblem  = 64 << 10
	dialTimeout = 10 * time.Second
	// callTimeout is for calls whose work is a look into the database.
	callTimeout = time.Minute
)

// ErrUnreachable is in the chain of an error that says that there is no answer
// from the daemon; the cause, such as [fs.ErrPermission], is there too.
var ErrUnreachable = errors.New("docscand cannot be reached")

// A Problem is a refusal of the daemon, as RFC 9457 has it.
type Problem struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"` // of HTTP
	Detail string `json:"detail"` // for people
}

// Error gives what is most worth to a person.
func (p *Problem) Error() string {
	switch {
	case p.Detail != "":
		return p.Detail
	case p.Title != "":
		return p.Title
	}
	return fmt.Sprintf("the server answered %d %s", p.Status, http.StatusText(p.Status))
}

// Client calls one daemon. Its methods may be called from any goroutine.
type Client struct {
	base  string // URL without a slash at the end
	token string // of the Authorization header; empty on the local socket
	extra http.Header
	where string
	http  *http.Client
}

// Local returns a client of the daemon whose local socket is path. The daemon
// knows the caller by the rights of this process; there is no token.
func Local(path string) *Client {
	c := newClient(func(ctx context.Context, d *net.Dialer, _, _ string) (net.Conn, error) {
		return d.DialContext(ctx, "unix", path)
	})
	c.base, c.where = "http://localhost", path
	return c
}

// ErrCertificate says that the certificate of the daemon is not the one that was
// named.
var ErrCertificate = errors.New("its certificate has another fingerprint")

// Remote returns a client of the daemon at address, such as
// https://scanner.example:8000, that shows token as its right. fingerprint is the
// SHA-256 of its certificate in hexadecimal, with colons or without; empty: the
// certificate must be one that this machine trusts.
func Remote(address, token, fingerprint string) (*Client, error) {
	u, err := url.Parse(address)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
		return nil, fmt.Errorf("%q is not the address of a server, such as https://scanner.example:8000", address)
	}
	c := newClient(func(ctx context.Context, d *net.Dialer, network, address string) (net.Conn, error) {
		return d.DialContext(ctx, network, address)
	})
	c.base, c.token, c.where = strings.TrimRight(u.String(), "/"), token, u.Host
	if fingerprint != "" {
		want, err := hex.DecodeString(strings.ReplaceAll(strings.TrimSpace(fingerprint), ":", ""))
		if err != nil || len(want) != sha256.Size || u.Scheme != "https" {
			return nil, fmt.Errorf("a fingerprint has %d pairs of hexadecimal digits, and needs an https address", sha256.Size)
		}
		c.pin(want)
	}
	return c, nil
}

// pin takes the certificate with this fingerprint and no other.
func (c *Client) pin(want []byte) {
	t, ok := c.http.Transport.(*http.Transport)
	if !ok {
		return // newClient makes no other
	}
	t.TLSClientConfig = &tls.Config{
		InsecureSkipVerify: true, // instead of the chain, the fingerprint is checked
		VerifyConnection: func(s tls.ConnectionState) error {
			if sum := sha256.Sum256(s.PeerCertificates[0].Raw); !bytes.Equal(sum[:], want) {
				return fmt.Errorf("%w: %x", ErrCertificate, sum)
			}
			return nil
		},
	}
}

func newClient(dial func(ctx context.Context, d *net.Dialer, network, address string) (net.Conn, error)) *Client {
	d := &net.Dialer{Timeout: dialTimeout}
	return &Client{http: &http.Client{
		Transport: &http.Transport{
			DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
				return dial(ctx, d, network, address)
			},
			Proxy:               http.ProxyFromEnvironment,
			TLSHandshakeTimeout: dialTimeout,
		},
		// A token must not follow a redirect to somewhere else.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// Say adds a header to every request.
func (c *Client) Say(name, value string) {
	if c.extra == nil {
		c.extra = make(http.Header)
	}
	c.extra.Set(name, value)
}

// Where names the daemon that is called: the path of its socket or its host.
func (c *Client) Where() string { return c.where }

// Get asks for path and gives the JSON of the answer.
func (c *Client) Get(ctx context.Context, path string) (json.RawMessage, error) {
	return c.call(ctx, http.MethodGet, path, nil)
}

// Post sends in as JSON, or nothing if it is nil, and gives the JSON of the
// answer.
func (c *Client) Post(ctx context.Context, path string, in any) (json.RawMessage, error) {
	return c.call(ctx, http.MethodPost, path, in)
}

// Patch is Post with the method PATCH: it changes what in names, if that is still in
// the state whose ETag is given; "*" is whatever state it is in.
func (c *Client) Patch(ctx context.Context, path string, in any, state string) (json.RawMessage, error) {
	cctx, stop := context.WithTimeoutCause(ctx, callTimeout, fmt.Errorf("no answer within %v", callTimeout))
	defer stop()
	return c.exchange(cctx, http.MethodPatch, path, in, "If-Match", state)
}

// Delete deletes what is at path, in whatever state it is.
func (c *Client) Delete(ctx context.Context, path string) error {
	cctx, stop := context.WithTimeoutCause(ctx, callTimeout, fmt.Errorf("no answer within %v", callTimeout))
	defer stop()
	_, err := c.exchange(cctx, http.MethodDelete, path, nil, "If-Match", "*")
	return err
}

// PostLong is Post for work that takes as long as ctx allows.
func (c *Client) PostLong(ctx context.Context, path string, in any) (json.RawMessage, error) {
	return c.exchange(ctx, http.MethodPost, path, in)
}

func (c *Client) call(ctx context.Context, method, path string, in any) (json.RawMessage, error) {
	cctx, stop := context.WithTimeoutCause(ctx, callTimeout, fmt.Errorf("no answer within %v", callTimeout))
	defer stop()
	return c.exchange(cctx, method, path, in)
}

func (c *Client) exchange(ctx context.Context, method, path string, in any, header ...string) (json.RawMessage, error) {
	var body []byte
	if in != nil {
		var err error
		if body, err = json.Marshal(in); err != nil {
			return nil, fmt.Errorf("%s %s: %w", method, path, err)
		}
	}
	fields := http.Header{"Accept": {"application/json"}}
	for i := 0; i < len(header); i += 2 {
		fields.Set(header[i], header[i+1])
	}
	resp, err := c.do(ctx, method, path, fields, body)
	if err != nil {
		return nil, err
	}
	return readAnswer(ctx, method, path, resp)
}

// Send posts the bytes of a file, size of them, and gives the JSON of the answer.
// It takes as long as ctx allows.
func (c *Client) Send(ctx context.Context, path string, file io.Reader, size int64) (json.RawMessage, error) {
	return c.sendBody(ctx, http.MethodPost, path, file, size)
}

// Put is Send with the method PUT.
func (c *Client) Put(ctx context.Context, path string, file io.Reader, size int64) (json.RawMessage, error) {
	return c.sendBody(ctx, http.MethodPut, path, file, size)
}

func (c *Client) sendBody(ctx context.Context, method, path string, file io.Reader, size int64) (json.RawMessage, error) {
	header := http.Header{"Accept": {"application/json"}, "Content-Type": {"application/octet-stream"}}
	resp, err := c.doBody(ctx, method, path, header, file, size)
	if err != nil {
		return nil, err
	}
	return readAnswer(ctx, method, path, resp)
}

// readAnswer reads the JSON of an answer.
func readAnswer(ctx context.Context, method, path string, resp *http.Response) (json.RawMessage, error) {
	defer resp.Body.Close()
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("%w: the connection broke off: %w", ErrUnreachable, cause(ctx, err))
	case len(data) > maxAnswer:
		return nil, fmt.Errorf("%s %s: the answer is larger than %d bytes", method, path, maxAnswer)
	case len(data) == 0:
		return nil, nil
	case !json.Valid(data):
		return nil, fmt.Errorf("%s %s: the answer is not JSON: is this really docscand?", method, path)
	}
	return data, nil
}

// Open asks for path and gives the body of the answer as a stream.
func (c *Client) Open(ctx context.Context, path string) (io.ReadCloser, error) {
	resp, err := c.do(ctx, http.MethodGet, path, nil, nil)
	if err != nil {
		return nil, err
	}
	return resp.Body, nil
}

// do does one request. An answer that is no success becomes a *Problem.
func (c *Client) do(ctx context.Context, method, path string, header http.Header, body []byte) (*http.Response, error) {
	if len(body) > 0 {
		header = header.Clone()
		if header == nil {
			header = make(http.Header)
		}
		header.Set("Content-Type", "application/json")
	}
	return c.doBody(ctx, method, path, header, bytes.NewReader(body), int64(len(body)))
}

// doBody does one request with a body of size bytes.
func (c *Client) doBody(ctx context.Context, method, path string, header http.Header, body io.Reader, size int64) (*http.Response, error) {
	if size == 0 {
		body = http.NoBody
	}
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, body)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", method, path, err)
	}
	req.ContentLength = size
	for k, v := range header {
		req.Header[k] = v
	}
	for k, v := range c.extra {
		req.Header[k] = v
	}
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		var inner *url.Error
		if errors.As(err, &inner) {
			err = inner.Err // the outer one repeats method and address
		}
		var dial *net.OpError
		if errors.As(err, &dial) && dial.Op == "dial" {
			err = dial.Err // so does this one
		}
		return nil, fmt.Errorf("%w at %s: %w", ErrUnreachable, c.where, cause(ctx, err))
	}
	if resp.StatusCode/100 != 2 {
		defer resp.Body.Close()
		return nil, readProblem(resp)
	}
	return resp, nil
}

// cause gives why ctx ended, if that is what err comes from.
func cause(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// readProblem makes a Problem of an answer that is no success. One that comes
// from something else than docscand, such as a proxy, has just its status.
func readProblem(resp *http.Response) *Problem {
	p := &Problem{}
	kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if kind == "application/problem+json" || kind == "application/json" {
		data, err := io.ReadAll(io.LimitReader(resp.Body, maxProblem))
		if err != nil || json.Unmarshal(data, p) != nil {
			p = &Problem{}
		}
	}
	p.Status = resp.StatusCode
	return p
}
