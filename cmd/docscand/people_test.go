package main

import (
	"bufio"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"docscan/cmd/docscand/box"
)

// Whoever is logged in stays so while the version changes, over connections that
// are encrypted with the same certificate, no request fails, and no limit begins anew.
func TestSwapOverTLS(t *testing.T) {
	b, ctx := newSwapBox(t, 1, 0)
	must(t, b.Stop())
	b.Set["web.tls"] = "on"
	b.Set["web.admin_per_minute"] = strconv.Itoa(adminChanges)
	transport := &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
	b.HTTP = &http.Client{Transport: transport}
	must(t, b.Start(ctx))
	if !strings.HasPrefix(b.URL, "https://") {
		t.Fatalf("it runs at %s", b.URL)
	}
	before := fingerprintOf(t, b.URL)
	if lines := b.Log.Lines("connections are encrypted"); len(lines) == 0 || !strings.Contains(lines[len(lines)-1], before) {
		t.Errorf("the log does not tell the fingerprint %s: %q", before, lines)
	}

	next := b.publish(t, ctx, "2.0.0", "")
	watching, stop := context.WithCancel(ctx)
	defer stop()
	var work sync.WaitGroup
	defer work.Wait()
	asked, failed := make(chan int, 1), make(chan error, 2)
	work.Go(func() { // requests one after the other, over connections that are kept
		n := 0
		for watching.Err() == nil {
			var me struct{ Name string }
			err := b.Get(watching, "/api/v1/me", &me)
			if err == nil {
				err = countsOn(watching, b.Box, n > 0)
			}
			if err != nil && watching.Err() == nil {
				failed <- fmt.Errorf("request %d: %w", n, err)
				break
			}
			n++
			time.Sleep(5 * time.Millisecond) // the new version's check gives way to these
		}
		asked <- n
	})
	end, streamErr := openStream(ctx, b.Box)
	must(t, streamErr)

	u, err := b.Install(ctx, next, false)
	must(t, err)
	if u.State != "committed" || u.Running != "2.0.0" {
		t.Fatalf("after the swap: %+v", u)
	}
	stop()
	select {
	case err := <-failed:
		t.Error(err)
	case n := <-asked:
		if n < 10 {
			t.Errorf("only %d requests were made meanwhile", n)
		}
	}
	select {
	case <-end: // the reader comes back, with what it has seen last
	case <-ctx.Done():
		t.Error("an event stream of the version before goes on for ever")
	}
	if after := fingerprintOf(t, b.URL); after != before {
		t.Errorf("the certificate is another one: %s, was %s", after, before)
	}
	must(t, b.Get(ctx, "/api/v1/me", nil))
}

// adminChanges is the limit on an administrator's changes in a minute.
const adminChanges = 100000

// countsOn asks for a change that is refused and yet counts, and is an error if it is
// the first of this minute although there was one just before.
func countsOn(ctx context.Context, b *box.Box, before bool) error {
	req, err := http.NewRequestWithContext(ctx, "POST", b.URL+"/api/v1/groups", strings.NewReader(`{"name":""}`))
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+b.Token)
	resp, err := b.HTTP.Do(req)
	if err != nil {
		return err
	}
	resp.Body.Close()
	var left, seconds int
	if _, err := fmt.Sscanf(resp.Header.Get("RateLimit"), `"admin";r=%d;t=%d`, &left, &seconds); err != nil {
		return fmt.Errorf("%s with the limit %q: %w", resp.Status, resp.Header.Get("RateLimit"), err)
	}
	if before && left > adminChanges-2 {
		return fmt.Errorf("a limit has begun anew: %d are left", left)
	}
	return nil
}

// openStream watches events; the channel is closed when the stream has ended.
func openStream(ctx context.Context, b *box.Box) (<-chan struct{}, error) {
	req, err := http.NewRequestWithContext(ctx, "GET", b.URL+"/api/v1/events", nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+b.Token)
	resp, err := b.HTTP.Do(req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		resp.Body.Close()
		return nil, errors.New(resp.Status)
	}
	end := make(chan struct{})
	go func() {
		defer close(end)
		defer resp.Body.Close()
		for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		}
	}()
	return end, nil
}

// fingerprintOf is what a browser shows of the certificate.
func fingerprintOf(t *testing.T, url string) string {
	t.Helper()
	d := tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true}}
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	c, err := d.DialContext(ctx, "tcp", strings.TrimPrefix(url, "https://"))
	must(t, err)
	defer c.Close()
	sum := sha256.Sum256(c.(*tls.Conn).ConnectionState().PeerCertificates[0].Raw)
	return strings.ReplaceAll(fmt.Sprintf("% X", sum), " ", ":")
}

// The steps of the service before, as its people did them after an upgrade.
func TestUpgradeGuide(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	b := box.New(release(t, "1.0.0"), dir)
	must(t, os.Mkdir(b.Stack, 0o700))
	ctx, stop := context.WithTimeout(t.Context(), 5*time.Minute)
	defer stop()
	must(t, b.Start(ctx))
	defer func() { must(t, b.Stop()) }()
	file := filepath.Join(dir, "invoice.jpg")
	must(t, os.WriteFile(file, drawPage(t, "Invoice of the boiler"), 0o600))
	ctl := filepath.Join(dir, "docscanctl")
	out, err := exec.CommandContext(ctx, "go", "build", "-o", ctl, "docscan/cmd/docscanctl").CombinedOutput()
	if err != nil {
		t.Fatalf("build docscanctl: %v\n%s", err, out)
	}
	script := exec.CommandContext(ctx, "testdata/upgrade-guide.sh", b.URL, file, ctl, "--socket", filepath.Join(b.Dir, "docscand.sock"))
	script.Env = append(os.Environ(), "ADMIN="+box.Admin, "PASSWORD="+box.Password)
	out, err = script.CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s\ndocscand's log:\n%s", err, out, b.Log)
	}
	t.Logf("%s", out)

	// What the limits know outlives the process.
	must(t, b.Stop())
	must(t, b.Start(ctx))
	resp, err := http.Post(b.URL+"/api/login", "application/json", strings.NewReader(`{"username":"nobody","password":"wrong"}`))
	must(t, err)
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusTooManyRequests || resp.Header.Get("Retry-After") == "" {
		t.Errorf("a log-in after a restart: %s, want 429 still", resp.Status)
	}
}
