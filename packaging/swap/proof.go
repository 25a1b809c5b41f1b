//go:build linux

package swap

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

// examiner puts the new process to the proof, over the real socket, as a client
// from outside would.
type examiner struct {
	address string
	version string // the new one says it has this
	tls     *tls.Config
	client  *http.Client
}

// Reach gives the address by which a program on this machine reaches who listens on
// address. A box need not know the name localhost: then it is the number.
func Reach(address string) string {
	host, port, err := net.SplitHostPort(address)
	if ip := net.ParseIP(host); err != nil || host != "" && (ip == nil || !ip.IsUnspecified()) {
		return address
	}
	if _, err := net.LookupHost("localhost"); err != nil {
		return net.JoinHostPort("127.0.0.1", port)
	}
	return net.JoinHostPort("localhost", port)
}

// newExaminer speaks to who listens at address.
func newExaminer(address string, version string, patience time.Duration) *examiner {
	address = Reach(address)
	// Whose certificate it is does not matter here.
	config := &tls.Config{InsecureSkipVerify: true}
	return &examiner{address: address, version: version, tls: config, client: &http.Client{
		Timeout: patience,
		// Each question comes over a connection of its own: a kept one might lead
		// to the old process.
		Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: config},
		CheckRedirect: func(*http.Request, []*http.Request) error {
			return http.ErrUseLastResponse
		},
	}}
}

// url is where the new process answers: new settings may have changed whether it
// speaks TLS. One that says nothing at all to the question does not answer anything.
func (e *examiner) url(ctx context.Context) (string, error) {
	ctx, stop := context.WithTimeout(ctx, e.client.Timeout)
	defer stop()
	d := tls.Dialer{Config: e.tls}
	c, err := d.DialContext(ctx, "tcp", e.address)
	switch {
	case ctx.Err() != nil:
		return "", fmt.Errorf("%w: no answer within %s", errUnwell, e.client.Timeout)
	case err != nil:
		return "http://" + e.address, nil
	}
	_ = c.Close() // it was only to see
	return "https://" + e.address, nil
}

// maxAnswer bounds what is read of an answer, in bytes.
const maxAnswer = 1 << 20

// ask asks and wants one of these statuses.
func (e *examiner) ask(ctx context.Context, method, path, key string, body []byte, want ...int) ([]byte, error) {
	base, err := e.url(ctx)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, method, base+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if key != "" {
		req.Header.Set("Authorization", "Bearer "+key)
	}
	resp, err := e.client.Do(req)
	var late net.Error
	if errors.As(err, &late) && late.Timeout() {
		return nil, fmt.Errorf("%w: %w", errUnwell, err) // it could not hand back either
	}
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err == nil && !slices.Contains(want, resp.StatusCode) {
		err = fmt.Errorf("status %d, want %d", resp.StatusCode, want[0])
	}
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", method, path, err)
	}
	return b, nil
}

// health asks whether it works.
func (e *examiner) health(ctx context.Context) error {
	_, err := e.ask(ctx, "GET", "/api/health", "", nil, http.StatusOK)
	return err
}

// logIn goes the way of a person: with a log-in from before, which it then ends,
// and with a wrong password.
func (e *examiner) logIn(ctx context.Context, key string) error {
	b, err := e.ask(ctx, "GET", "/api/v1/status", key, nil, http.StatusOK)
	if err != nil {
		return err
	}
	var status struct {
		Version string `json:"version"`
	}
	if err := json.Unmarshal(b, &status); err != nil || status.Version != e.version {
		return fmt.Errorf("it says that it is version %q, want %q", status.Version, e.version)
	}
	if _, err := e.ask(ctx, "POST", "/api/v1/logout", key, nil, http.StatusNoContent); err != nil {
		return err
	}
	if _, err := e.ask(ctx, "GET", "/api/v1/me", key, nil, http.StatusUnauthorized); err != nil {
		return fmt.Errorf("a log-in that was ended: %w", err)
	}
	// This name can belong to nobody. Others may just have tried too often from here.
	_, err = e.ask(ctx, "POST", "/api/v1/login", "", []byte(`{"username":"docscan","password":"not a password"}`), http.StatusUnauthorized, http.StatusTooManyRequests)
	return err
}

// judge compares what the new process shows with what the old one could.
func judge(before, now Proof, version string) error {
	if now.Version != version {
		return fmt.Errorf("it says that it is version %q, want %q", now.Version, version)
	}
	if lost := missing(before, now); len(lost) > 0 {
		return fmt.Errorf("it does not find the scanner %s", strings.Join(lost, ", "))
	}
	words := strings.Fields(before.Text)
	read := strings.Fields(now.Text)
	missed := 0
	for _, w := range words {
		if !slices.Contains(read, w) {
			missed++
		}
	}
	if missed*5 > len(words) { // another engine may read a word otherwise
		return fmt.Errorf("of %d words on a known page it does not read %d", len(words), missed)
	}
	return nil
}

// missing are the machines that were there before and are not now.
func missing(before, now Proof) []string {
	return slices.DeleteFunc(slices.Clone(before.Devices), func(id string) bool { return slices.Contains(now.Devices, id) })
}

// anonymous is how much memory of its own a process has, in bytes.
func anonymous(pid int) (int64, error) {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(b)) {
		if v, ok := strings.CutPrefix(line, "RssAnon:"); ok {
			kb, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(v), "kB")), 10, 64)
			return kb << 10, err
		}
	}
	return 0, errors.New("the kernel does not tell") // a zombie: its end is noticed elsewhere
}

// preferred makes the kernel end process pid before others when memory runs out.
// It returns what undoes that.
func preferred(pid int) (undo func()) {
	name := "/proc/" + strconv.Itoa(pid) + "/oom_score_adj"
	before, err := os.ReadFile(name)
	if err != nil || os.WriteFile(name, []byte("600"), 0) != nil {
		return func() {}
	}
	return func() { _ = os.WriteFile(name, before, 0) } // it may have ended
}
