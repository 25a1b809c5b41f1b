// Package escl drives scanners that speak eSCL ("AirScan", "driverless"): HTTP
// and XML, over the network or, through package ippusb, over USB.
//
// The protocol is the Mopria Alliance's eSCL; what machines make of it is
// handled where it is met, with the model that does so.
package escl

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"docscan/device"
	"docscan/device/quirks"
)

// Bounds in time. A page has none as a whole, since a long one at a high
// resolution may take minutes; ippusb and the kernel notice a dead wire.
const (
	requestTimeout = 15 * time.Second
	// Machines ask for patience by 503: once a second, as often as the most
	// patient known client grants.
	retryEvery   = time.Second
	startTries   = 10
	pageTries    = 30 // an HP M28w needs many at a high resolution
	abortWait    = 5 * time.Second
	maxAbandoned = 64 << 20 // bytes read of an answer nobody wants, so that the next one begins where it should
)

// defaultMaxSide bounds one side's image: A3 at 600 dpi in colour without
// compression is 209 MB.
const defaultMaxSide = 512 << 20

// Options are what Open needs.
type Options struct {
	BaseURL string            // of the eSCL root, such as http://10.0.0.7/eSCL/
	HTTP    http.RoundTripper // the Scanner owns it and closes idle connections with it
	Info    device.Info       // ID and Port must be set; empty fields are filled from the machine's answer
	MaxSide int64             // bytes of one side's image; 0: 512 MiB
	Temp    string            // folder for sides too large for memory whose length is told at their end only; empty: the system's
	Quirks  quirks.Quirks     // of this model, where it is known already
	List    *quirks.List      // to look the model up in once it has said what it is; may be nil
	Log     *slog.Logger
}

// Scanner drives one machine. Its methods may be called from any goroutine.
type Scanner struct {
	base    *url.URL
	client  *http.Client
	info    device.Info
	caps    device.Caps
	inputs  map[device.Source]input
	maxSide int64
	temp    string
	quirks  quirks.Quirks
	ladder  *device.Ladder
	compact atomic.Bool // its web server is one that knows itself as localhost only
	log     *slog.Logger

	mu    sync.Mutex
	run   *run     // open, or nil
	stale *url.URL // a job of ours that could not be deleted, or nil
}

var _ device.Scanner = (*Scanner)(nil)

// Open asks the machine what it can do. Errors are *device.Fault where the
// reason is known.
func Open(ctx context.Context, o Options) (*Scanner, error) {
	base, err := url.Parse(strings.TrimSuffix(o.BaseURL, "/") + "/")
	if err != nil {
		return nil, fmt.Errorf("open eSCL scanner: %w", err)
	}
	s := &Scanner{
		base: base,
		client: &http.Client{
			Transport: o.HTTP,
			// A machine that sends us elsewhere is not trusted to choose where.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		info:    o.Info,
		maxSide: o.MaxSide,
		temp:    o.Temp,
		quirks:  o.Quirks,
		log:     o.Log.With("device", o.Info.ID),
	}
	if s.maxSide == 0 {
		s.maxSide = defaultMaxSide
	}
	// A transport that has a way to bring the machine back counts our steps, too.
	if t, ok := o.HTTP.(interface{ Ladder() *device.Ladder }); ok {
		s.ladder = t.Ladder()
	} else {
		s.ladder = device.NewLadder(s.log)
	}
	var c capabilities
	if err := s.get(ctx, "ScannerCapabilities", &c); err != nil {
		return nil, fmt.Errorf("capabilities: %w", err)
	}
	maker, model := c.makeAndModel()
	if o.List != nil {
		s.quirks = o.List.Of(0, 0, maker+" "+model)
		if text := s.quirks.Text(); text != "" {
			s.log.Info("quirks of this model are in force", "quirks", strings.ReplaceAll(text, "\n", ", "))
		}
	}
	if s.caps, s.inputs, err = c.caps(s.quirks.MaxResolution); err != nil {
		return nil, fmt.Errorf("capabilities: %w", err)
	}
	s.info.Driver = "escl"
	if s.info.Model == "" {
		s.info.Make, s.info.Model = maker, model
	}
	if s.info.Serial == "" {
		s.info.Serial = c.Serial
	}
	return s, nil
}

var _ device.Diagnoser = (*Scanner)(nil)

// Diagnose gives what the machine says of itself, as it says it.
func (s *Scanner) Diagnose(ctx context.Context) []device.Section {
	list := []device.Section{s.quirks.Section()}
	for _, path := range []string{"ScannerCapabilities", "ScannerStatus"} {
		text, err := s.text(ctx, path)
		if err != nil {
			text = err.Error()
		}
		list = append(list, device.Section{Title: "eSCL " + path, Text: text + "\n"})
	}
	if _, ok := s.client.Transport.(interface{ Ladder() *device.Ladder }); !ok {
		list = append(list, s.ladder.Section()) // otherwise it comes with the transport's
	}
	return list
}

// text asks for a document below the root and gives it as it is.
func (s *Scanner) text(ctx context.Context, path string) (string, error) {
	ctx, stop := context.WithTimeout(ctx, requestTimeout)
	defer stop()
	resp, err := s.do(ctx, http.MethodGet, s.base.JoinPath(path), nil)
	if err != nil {
		return "", err
	}
	defer s.drain(resp)
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxXML))
	return resp.Status + "\n" + string(b), err
}

// Info says what the machine is.
func (s *Scanner) Info() device.Info { return s.info }

// Caps says what the machine can do.
func (s *Scanner) Caps() device.Caps { return s.caps }

// Close frees the connections. An open run must be closed before.
func (s *Scanner) Close() error {
	s.client.CloseIdleConnections()
	if c, ok := s.client.Transport.(io.Closer); ok {
		return c.Close()
	}
	return nil
}

// Status asks the machine how it is; it does not touch a job.
func (s *Scanner) Status(ctx context.Context) (device.Status, error) {
	st, err := s.status(ctx)
	if err != nil {
		return device.Status{}, err
	}
	s.mu.Lock()
	ours := s.run != nil
	s.mu.Unlock()
	return st.device(ours), nil
}

func (s *Scanner) status(ctx context.Context) (*status, error) {
	var st status
	if err := s.get(ctx, "ScannerStatus", &st); err != nil {
		return nil, fmt.Errorf("status: %w", err)
	}
	return &st, nil
}

// get asks for an XML document below the root.
func (s *Scanner) get(ctx context.Context, path string, v any) error {
	ctx, stop := context.WithTimeout(ctx, requestTimeout)
	defer stop()
	resp, err := s.do(ctx, http.MethodGet, s.base.JoinPath(path), nil)
	if err != nil {
		return err
	}
	defer s.drain(resp)
	switch resp.StatusCode {
	case http.StatusOK:
	case http.StatusServiceUnavailable: // it boots, or wakes up
		return device.Faultf(device.Warming, "%s: HTTP status %s", path, resp.Status)
	default:
		return device.Faultf(device.BadAnswer, "%s: HTTP status %s", path, resp.Status)
	}
	return parse(resp.Body, v)
}

// do sends one request. A failure to reach the machine is a Fault of kind
// Unplugged, unless ctx ended.
func (s *Scanner) do(ctx context.Context, method string, u *url.URL, body []byte) (*http.Response, error) {
	var r io.Reader
	if body != nil {
		r = bytes.NewReader(body)
	}
	req, err := http.NewRequestWithContext(ctx, method, u.String(), r)
	if err != nil {
		return nil, err
	}
	if body != nil {
		req.Header.Set("Content-Type", "text/xml")
	}
	req.Host = s.host(u)
	req.Header.Set("Accept-Encoding", "identity") // images gain nothing, and the sides' sizes must be true
	resp, err := s.client.Do(req)
	if err != nil {
		return nil, wireError(ctx, err)
	}
	if strings.Contains(resp.Header.Get("Server"), "HP_Compact_Server") {
		s.compact.Store(true)
	}
	return resp, nil
}

// host is what a request for u has in its Host header; "" is what u says.
func (s *Scanner) host(u *url.URL) string {
	switch {
	case s.quirks.Host != "":
		return s.quirks.Host
	case s.compact.Load():
		return "localhost"
	case s.quirks.HostPort && u.Port() == "":
		return net.JoinHostPort(u.Hostname(), map[string]string{"http": "80", "https": "443"}[u.Scheme])
	}
	return ""
}

// wireError says what a failed exchange means.
func wireError(ctx context.Context, err error) error {
	var f *device.Fault
	if errors.As(err, &f) {
		return f // the transport knows better
	}
	if cause := ctx.Err(); errors.Is(cause, context.Canceled) {
		return cause
	}
	// A machine that speaks, but not HTTP, is there.
	if strings.Contains(err.Error(), "malformed HTTP") {
		return &device.Fault{Kind: device.BadAnswer, Err: err}
	}
	return &device.Fault{Kind: device.Unplugged, Detail: "no answer", Err: err}
}

// drain reads an answer to its end: over USB there is one stream for all
// answers, and what is left of one would be taken for the next.
func (s *Scanner) drain(resp *http.Response) {
	if _, err := io.CopyN(io.Discard, resp.Body, maxAbandoned); err != nil && !errors.Is(err, io.EOF) {
		s.log.Debug("an answer was cut off", "err", err)
	}
	resp.Body.Close()
}

// scanSettings is the body of POST ScanJobs.
type scanSettings struct {
	XMLName xml.Name `xml:"scan:ScanSettings"`
	Scan    string   `xml:"xmlns:scan,attr"`
	PWG     string   `xml:"xmlns:pwg,attr"`
	Version string   `xml:"pwg:Version"`
	Region  struct {
		Units  string `xml:"pwg:ContentRegionUnits"`
		Height int    `xml:"pwg:Height"`
		Width  int    `xml:"pwg:Width"`
		X      int    `xml:"pwg:XOffset"`
		Y      int    `xml:"pwg:YOffset"`
	} `xml:"pwg:ScanRegions>pwg:ScanRegion"`
	Source      string `xml:"pwg:InputSource"`
	ColorMode   string `xml:"scan:ColorMode"`
	Format      string `xml:"pwg:DocumentFormat"`
	FormatExt   string `xml:"scan:DocumentFormatExt,omitempty"`
	XResolution int    `xml:"scan:XResolution"`
	YResolution int    `xml:"scan:YResolution"`
	Duplex      *bool  `xml:"scan:Duplex,omitempty"`
}

// settings translates what is wanted into what this machine can do.
// lines is the length that is asked for, in pixels.
func (s *Scanner) settings(set device.Settings) (body []byte, resolution, lines int, err error) {
	in, ok := s.inputs[set.Source]
	if !ok {
		return nil, 0, 0, fmt.Errorf("scan from the %s: %w", set.Source, device.ErrUnsupported)
	}
	if set.Duplex && (!s.caps.Duplex || set.Source != device.Feeder) {
		return nil, 0, 0, fmt.Errorf("scan both sides: %w", device.ErrUnsupported)
	}
	x := scanSettings{
		Scan:    "http://schemas.hp.com/imaging/escl/2011/05/03",
		PWG:     "http://www.pwg.org/schemas/2010/12/sm",
		Version: "2.0",
		Source:  "Platen",
		Format:  "image/jpeg",
	}
	x.Region.Units = "escl:ThreeHundredthsOfInches"
	x.Region.Width, x.Region.Height = size(set.Width, in.width), size(set.Length, in.height)
	x.ColorMode = modeNames[nearestMode(set.Mode, in.modes)]
	resolution = nearestResolution(set.Resolution, in.resolutions)
	x.XResolution, x.YResolution = resolution, resolution
	if in.ext {
		x.FormatExt = x.Format
	}
	if set.Source == device.Feeder {
		x.Source, x.Duplex = "Feeder", &set.Duplex
	}
	body, err = xml.Marshal(&x)
	return append([]byte(xml.Header), body...), resolution, x.Region.Height * resolution / 300, err
}

// A4 in 1/300 inch, for a source that does not say how large it is.
const defaultSize = 3508

func size(want, most int) int {
	if most == 0 {
		most = defaultSize
	}
	if want <= 0 || want > most {
		return most
	}
	return want
}

// nearestMode gives the mode itself or the next richer one: what is too much
// can be taken away later.
func nearestMode(want device.ColorMode, have []device.ColorMode) device.ColorMode {
	order := []device.ColorMode{device.LineArt, device.Gray, device.Color}
	reached := want == ""
	best := device.Color
	for _, m := range order {
		reached = reached || m == want
		for _, h := range have {
			if h == m {
				best = m
				if reached && want != "" {
					return m
				}
			}
		}
	}
	return best
}

const defaultResolution = 300

func nearestResolution(want int, have []int) int {
	if want <= 0 {
		want = defaultResolution
	}
	if len(have) == 0 {
		return want
	}
	best := have[0]
	for _, r := range have {
		if abs(r-want) < abs(best-want) || abs(r-want) == abs(best-want) && r > best {
			best = r
		}
	}
	return best
}

func abs(n int) int { return max(n, -n) }

// Start asks the machine for a job.
func (s *Scanner) Start(ctx context.Context, set device.Settings) (device.Run, error) {
	body, resolution, lines, err := s.settings(set)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	if s.run != nil {
		s.mu.Unlock()
		return nil, device.Faultf(device.Busy, "a run is open")
	}
	r := &run{s: s, set: set, resolution: resolution, lines: lines}
	s.run = r
	s.mu.Unlock()
	if r.job, err = s.createJob(ctx, set, body); err != nil {
		s.ended(r)
		return nil, err
	}
	return r, nil
}

func (s *Scanner) ended(r *run) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.run == r {
		s.run = nil
	}
}

// createJob posts the settings until the machine takes or refuses them.
func (s *Scanner) createJob(ctx context.Context, set device.Settings, body []byte) (*url.URL, error) {
	if s.quirks.CheckFeeder && set.Source == device.Feeder {
		st, err := s.status(ctx)
		if err != nil {
			return nil, err
		}
		if st.Adf == "ScannerAdfEmpty" {
			return nil, device.Faultf(device.NoPaper, "%s before the job", st.Adf)
		}
	}
	for try := 1; ; try++ {
		job, code, err := s.postJob(ctx, body)
		if err != nil || job != nil {
			return job, err
		}
		st, err := s.status(ctx)
		if err != nil {
			return nil, err
		}
		if set.Source == device.Feeder {
			if k := st.fault(); k != "" {
				return nil, device.Faultf(k, "%s, HTTP status %d to a new job", st.Adf, code)
			}
			// AirSane says 409 to an empty feeder; others take the job first.
			if st.Adf == "ScannerAdfEmpty" {
				return nil, device.Faultf(device.NoPaper, "%s, HTTP status %d to a new job", st.Adf, code)
			}
		}
		if code == http.StatusConflict {
			s.deleteStale(ctx)
		}
		if code != http.StatusServiceUnavailable && code != http.StatusConflict {
			return nil, device.Faultf(device.BadAnswer, "HTTP status %d to a new job", code)
		}
		if try == startTries {
			kind := device.Warming
			if code == http.StatusConflict || st.State == "Processing" {
				kind = device.HeldByOther
			}
			return nil, device.Faultf(kind, "HTTP status %d to a new job, %d times; state %s", code, try, st.State)
		}
		if err := sleep(ctx, retryEvery); err != nil {
			return nil, err
		}
	}
}

// deleteStale deletes a job of ours that outlived its connection: it may be what
// keeps the machine busy.
func (s *Scanner) deleteStale(ctx context.Context) {
	s.mu.Lock()
	job := s.stale
	s.stale = nil
	s.mu.Unlock()
	if job == nil {
		return
	}
	if err := s.deleteJob(ctx, job); err != nil {
		s.log.Warn("deleting a stale job failed", "err", err)
	}
}

func (s *Scanner) deleteJob(ctx context.Context, job *url.URL) error {
	ctx, stop := context.WithTimeout(ctx, requestTimeout)
	defer stop()
	resp, err := s.do(ctx, http.MethodDelete, job, nil)
	if err != nil {
		return fmt.Errorf("delete the job: %w", err)
	}
	s.drain(resp)
	switch resp.StatusCode {
	case http.StatusOK, http.StatusAccepted, http.StatusNoContent, http.StatusNotFound, http.StatusGone:
		return nil
	}
	return device.Faultf(device.BadAnswer, "HTTP status %s to deleting the job", resp.Status)
}

// postJob tries once; a nil URL without error is a refusal with a status code.
func (s *Scanner) postJob(ctx context.Context, body []byte) (*url.URL, int, error) {
	ctx, stop := context.WithTimeout(ctx, requestTimeout)
	defer stop()
	resp, err := s.do(ctx, http.MethodPost, s.base.JoinPath("ScanJobs"), body)
	if err != nil {
		return nil, 0, err
	}
	defer s.drain(resp)
	if resp.StatusCode != http.StatusCreated {
		return nil, resp.StatusCode, nil
	}
	// Only the path is true: hosts have been made up, or an IPv6 address cut off
	// (HP Deskjet 3520, Xerox B205).
	location := resp.Header.Get("Location")
	u, err := url.Parse(location)
	if err != nil || strings.Trim(u.Path, "/") == "" {
		return nil, 0, device.Faultf(device.BadAnswer, "the job's Location is %.100q", location)
	}
	return s.base.ResolveReference(&url.URL{Path: strings.TrimSuffix(u.Path, "/")}), resp.StatusCode, nil
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// unreachable reports whether err says that nothing is at the other end.
func unreachable(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) || device.KindOf(err) == device.Unplugged
}
