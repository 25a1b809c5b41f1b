package deliver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"docscan/store"
)

type webDAV struct {
	base           *url.URL
	user, password string
	client         *http.Client
}

func newWebDAV(d store.Destination) (*webDAV, error) {
	u, err := url.Parse(d.URL)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return nil, refuseChoice("an address is like https://cloud.example.org/remote.php/dav/files/anna/Scans, with name and password apart")
	}
	if !strings.HasSuffix(u.Path, "/") {
		u.Path += "/"
	}
	client := &http.Client{
		Transport: &http.Transport{
			Proxy: http.ProxyFromEnvironment, TLSHandshakeTimeout: 20 * time.Second,
			ResponseHeaderTimeout: 2 * time.Minute, DisableKeepAlives: true, MaxResponseHeaderBytes: 64 << 10,
		},
		// The password goes to the address that was chosen and to no other.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return &webDAV{u, d.User, d.Password, client}, nil
}

// Plain reports whether what goes to d, its password as well, can be read on the way: over
// HTTP without encryption to another machine.
func Plain(d store.Destination) bool {
	u, err := url.Parse(d.URL)
	if d.Kind != "webdav" || err != nil || u.Scheme != "http" || u.Hostname() == "localhost" {
		return false
	}
	ip, err := netip.ParseAddr(u.Hostname())
	return err != nil || !ip.Unmap().IsLoopback()
}

// An answer is what matters of one.
type answer struct {
	status int
	tag    string // names the content of the file
	size   int64  // of the file, or -1
}

// send makes a request for a file in the collection, "" for the collection.
func (w *webDAV) send(ctx context.Context, method, name string, body io.Reader, size int64, header ...string) (answer, error) {
	u := *w.base
	u.Path += name
	req, err := http.NewRequestWithContext(ctx, method, u.String(), body)
	if err != nil {
		return answer{}, err
	}
	if body != nil {
		req.ContentLength = size
		req.Header.Set("Content-Type", "application/pdf")
	}
	if w.user != "" {
		req.SetBasicAuth(w.user, w.password)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := w.client.Do(req)
	if err != nil {
		var u *url.Error
		if errors.As(err, &u) {
			err = u.Err // without the address, which the person knows
		}
		return answer{}, because("the server does not answer", err)
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, io.LimitReader(resp.Body, 1<<20)); err != nil {
		return answer{}, because("the server's answer breaks off", err)
	}
	return answer{resp.StatusCode, resp.Header.Get("ETag"), resp.ContentLength}, nil
}

// refusal says what a status means for the person.
func refusal(status int) error {
	switch status {
	case http.StatusUnauthorized:
		return refuse("the server refuses the name or the password")
	case http.StatusForbidden:
		return refuse("the server does not let this user write there")
	case http.StatusNotFound, http.StatusConflict:
		return refuse("there is no such folder on the server; make it there first")
	case http.StatusInsufficientStorage, http.StatusRequestEntityTooLarge:
		return refuse("the server has no room for the document")
	case http.StatusMovedPermanently, http.StatusFound, http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		return refuse("the server has moved; enter its new address")
	}
	return fmt.Errorf("the server answers with status %d", status)
}

func (w *webDAV) check(ctx context.Context, first bool) error {
	if !first {
		return nil // the file itself tells
	}
	a, err := w.send(ctx, "PROPFIND", "", nil, 0, "Depth", "0")
	switch {
	case err != nil:
		return err
	case a.status == http.StatusMethodNotAllowed || a.status == http.StatusOK:
		return refuse("this address does not speak WebDAV")
	case a.status != http.StatusMultiStatus:
		return refusal(a.status)
	}
	return nil
}

func (w *webDAV) put(ctx context.Context, name string, r io.ReadSeeker, file store.Blob, old store.Delivery) (as, tag string, err error) {
	ours, err := w.unchanged(ctx, old)
	if err != nil {
		return "", "", err
	}
	if ours && old.Name == name {
		tag, taken, err := w.upload(ctx, name, r, file.Size, "If-Match", old.Tag)
		if err != nil || !taken {
			return name, tag, err
		}
		ours = false // somebody was quicker
	}
	for n := 1; n <= maxNames; n++ {
		as := numbered(name, n)
		// Not every server knows If-None-Match, so that it is looked first.
		a, err := w.send(ctx, http.MethodHead, as, nil, 0)
		if err != nil {
			return "", "", err
		}
		if a.status == http.StatusOK {
			continue
		}
		if a.status != http.StatusNotFound {
			return "", "", refusal(a.status)
		}
		tag, taken, err := w.upload(ctx, as, r, file.Size, "If-None-Match", "*")
		if err != nil {
			return "", "", err
		}
		if taken {
			continue
		}
		if ours { // the file of the document as it was
			if a, err := w.send(ctx, http.MethodDelete, old.Name, nil, 0, "If-Match", old.Tag); err != nil {
				return "", "", err
			} else if a.status >= 500 {
				return "", "", refusal(a.status)
			}
		}
		return as, tag, nil
	}
	return "", "", fmt.Errorf("%d files have this name already", maxNames)
}

// unchanged reports whether the file that arrived before is as we left it.
func (w *webDAV) unchanged(ctx context.Context, old store.Delivery) (bool, error) {
	if old.Name == "" || old.Tag == "" {
		return false, nil
	}
	a, err := w.send(ctx, http.MethodHead, old.Name, nil, 0)
	return a.status == http.StatusOK && a.tag == old.Tag, err
}

// upload sends a file and makes sure that the server has it. taken says that the
// condition did not hold.
func (w *webDAV) upload(ctx context.Context, name string, r io.ReadSeeker, size int64, condition, value string) (tag string, taken bool, err error) {
	if _, err := r.Seek(0, io.SeekStart); err != nil {
		return "", false, err
	}
	a, err := w.send(ctx, http.MethodPut, name, io.LimitReader(r, size), size, condition, value)
	switch {
	case err != nil:
		return "", false, err
	case a.status == http.StatusPreconditionFailed:
		return "", true, nil
	case a.status != http.StatusCreated && a.status != http.StatusNoContent && a.status != http.StatusOK:
		return "", false, refusal(a.status)
	}
	if a, err = w.send(ctx, http.MethodHead, name, nil, 0); err != nil {
		return "", false, err
	}
	if a.status != http.StatusOK {
		return "", false, refusal(a.status)
	}
	if a.size >= 0 && a.size != size {
		return "", false, fmt.Errorf("the server has %d of %d bytes of the file", a.size, size)
	}
	return a.tag, false, nil
}
