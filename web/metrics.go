package web

import (
	"io"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// metrics are figures for Prometheus. What the store and the engine know is asked for
// when they are; only requests are counted here.
type metrics struct {
	requests *prometheus.CounterVec
	took     *prometheus.HistogramVec
	limited  prometheus.Counter
	handler  http.Handler
}

// Bounds of the histogram in seconds: from a page out of the cache to a slow upload.
var buckets = []float64{.001, .0025, .005, .01, .02, .05, .1, .25, .5, 1, 2.5, 10, 60}

func newMetrics(s *Server) *metrics {
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "docscan_http_requests_total", Help: "Requests that were answered."}, []string{"method", "code"}),
		took:     prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "docscan_http_request_duration_seconds", Help: "Time from a request to the end of its answer, without event streams.", Buckets: buckets}, []string{"kind"}),
		limited:  prometheus.NewCounter(prometheus.CounterOpts{Name: "docscan_limits_hit_total", Help: "Requests that were refused because there were too many."}),
	}
	r := prometheus.NewRegistry()
	r.MustRegister(m.requests, m.took, m.limited, &boxCollector{s}, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	m.handler = promhttp.HandlerFor(r, promhttp.HandlerOpts{})
	return m
}

// count takes a request into the figures.
func (m *metrics) count(r *http.Request, status int, took time.Duration) {
	if status == 0 {
		status = http.StatusOK
	}
	method := r.Method
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete:
	default:
		method = "other" // anybody can think of more
	}
	m.requests.WithLabelValues(method, strconv.Itoa(status)).Inc()
	if status == http.StatusTooManyRequests {
		m.limited.Inc()
	}
	kind := "page"
	switch {
	case r.URL.Path == eventsPath, r.URL.Path == eventsBefore:
		return
	case isAPI(r):
		kind = "api"
	case strings.HasPrefix(r.URL.Path, "/static/"):
		kind = "static"
	}
	m.took.WithLabelValues(kind).Observe(took.Seconds())
}

// metricsPage gives the figures to programs on this machine, and elsewhere to those
// with a key of an administrator that is good for reading.
func (s *Server) metricsPage(c *call) error {
	if c.caller == nil && !onThisMachine(c.r) {
		return errNotAuthenticated
	}
	if c.caller != nil {
		if !c.admin() {
			return errAdminOnly
		}
		if err := members.permit(c.caller, http.MethodGet); err != nil {
			return err
		}
	}
	s.metrics.handler.ServeHTTP(c.w, c.r)
	return nil
}

// onThisMachine reports whether a request comes from this machine itself, and not
// through a proxy on it.
func onThisMachine(r *http.Request) bool {
	for _, h := range []string{"Forwarded", "X-Forwarded-For", "X-Real-Ip", "Via"} {
		if r.Header.Get(h) != "" {
			return false
		}
	}
	a, err := netip.ParseAddrPort(r.RemoteAddr)
	return err == nil && a.Addr().Unmap().IsLoopback()
}

// boxCollector asks store, engine and registry when figures are wanted.
type boxCollector struct{ s *Server }

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("docscan_"+name, help, labels, nil)
}

// Figures of the box.
var (
	descBatches   = desc("batches_total", "Batches that ended since the start, by their final state.", "state")
	descPages     = desc("pages_total", "Pages that became safe, done (read) or kept (as an image) since the start.", "state")
	descFaults    = desc("faults_total", "Why feeding stopped, since the start.", "kind")
	descReads     = desc("ocr_pages_total", "Pages that workers have read since the start.")
	descSeconds   = desc("ocr_seconds_total", "Seconds that workers took to read them.")
	descDeaths    = desc("worker_deaths_total", "Workers that crashed, hung or grew too large since the start.")
	descQueue     = desc("queue_pages", "Pages that wait, by what they wait for.", "step")
	descOpen      = desc("open_batches", "Batches that are not finished.")
	descStored    = desc("documents", "Documents that are stored.")
	descDisk      = desc("disk_bytes", "Room of the disk with the data.", "kind")
	descDevices   = desc("devices", "Scanners by their state.", "state")
	descStreams   = desc("event_streams", "Event streams that are open.")
	descAudit     = desc("audit_entries_total", "Entries that the audit log has had.")
	descUnsealed  = desc("audit_unsigned_entries", "Entries behind the last signed checkpoint.")
	descInfo      = desc("build_info", "1, with the version of docscan.", "version")
	descStarted   = desc("start_time_seconds", "When these figures began, in Unix time.")
	descUnhealthy = desc("unhealthy_parts", "Parts that do not answer.", "part")
)

// Describe makes it an unchecked collector: which states there are, the run tells.
func (b *boxCollector) Describe(chan<- *prometheus.Desc) {}

// Collect asks for all figures. What does not answer is told of and left out.
func (b *boxCollector) Collect(ch chan<- prometheus.Metric) {
	s := b.s
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	total := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, v, labels...)
	}
	m := s.Engine.Meter()
	for k, n := range m.Batches {
		total(descBatches, float64(n), string(k))
	}
	for k, n := range m.Pages {
		total(descPages, float64(n), string(k))
	}
	for k, n := range m.Faults {
		total(descFaults, float64(n), string(k))
	}
	total(descReads, float64(m.Reads))
	total(descSeconds, m.ReadSeconds)
	total(descDeaths, float64(m.Deaths))
	gauge(descQueue, float64(m.Preparing), "prepare")
	gauge(descQueue, float64(m.Reading), "read")
	gauge(descStreams, float64(len(s.streams.list())))
	gauge(descInfo, 1, s.Version)
	gauge(descStarted, float64(s.started.UnixMilli())/1000)
	states := make(map[string]int)
	for _, d := range s.Registry.Devices() {
		states[string(d.Status.State)]++
	}
	for k, n := range states {
		gauge(descDevices, float64(n), k)
	}
	ill := 0.0
	open, documents, err := s.Store.Tally()
	if err == nil {
		gauge(descOpen, float64(open))
		gauge(descStored, float64(documents))
		var n, signed uint64
		if n, signed, err = s.Store.AuditCount(); err == nil {
			total(descAudit, float64(n))
			gauge(descUnsealed, float64(n-signed))
		}
	}
	if err != nil {
		ill = 1
		s.Log.Error("the store does not answer", "err", err)
	}
	gauge(descUnhealthy, ill, "store")
	if free, all, err := s.Store.DiskBytes(); err == nil {
		gauge(descDisk, float64(free), "free")
		gauge(descDisk, float64(all), "total")
	}
}

// counted knows with what status an answer began.
type counted struct {
	http.ResponseWriter
	status int
}

// Unwrap lets http.ResponseController see the connection.
func (w *counted) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *counted) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

// ReadFrom lets files go from the disk to the network without passing through here.
func (w *counted) ReadFrom(r io.Reader) (int64, error) { return io.Copy(w.ResponseWriter, r) }
