package sim

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/jpeg"
	_ "image/png" // ScanImageInfo tells the true size of a page
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	_ "golang.org/x/image/tiff"
)

// job is one scan job. Scanner.mu guards it.
type job struct {
	id       int
	duplex   bool
	platen   bool
	fed      int  // whole sheets delivered
	sides    int  // delivered
	back     bool // the next side is the back of the current sheet
	last     string
	ready    time.Time // when the next sheet has come through
	over     bool
	canceled bool
	sending  bool
	done     chan struct{} // closed when the job is over
}

func (j *job) path() string { return "/eSCL/ScanJobs/" + strconv.Itoa(j.id) }

// finish ends the job.
func (j *job) finish() {
	if !j.over {
		j.over = true
		close(j.done)
	}
}

// Handler is the eSCL service below /eSCL/.
func (s *Scanner) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /eSCL/ScannerCapabilities", s.capabilities)
	mux.HandleFunc("GET /eSCL/ScannerStatus", s.status)
	mux.HandleFunc("POST /eSCL/ScanJobs", s.createJob)
	mux.HandleFunc("GET /eSCL/ScanJobs/{id}/NextDocument", s.nextDocument)
	mux.HandleFunc("GET /eSCL/ScanJobs/{id}/ScanImageInfo", s.imageInfo)
	mux.HandleFunc("DELETE /eSCL/ScanJobs/{id}", s.deleteJob)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		gone, garbled := s.unplugged(), s.struck != nil && s.struck.Kind == NotXML
		s.mu.Unlock()
		switch {
		case gone:
			panic(http.ErrAbortHandler) // nobody is there to answer
		case garbled:
			text(w, http.StatusOK, "text/xml", "<<< 0x3f8a firmware panic >>>")
		default:
			mux.ServeHTTP(w, r)
		}
	})
}

// text answers with a framed body.
func text(w http.ResponseWriter, code int, mediaType, body string) {
	w.Header().Set("Content-Type", mediaType)
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(code)
	_, _ = io.WriteString(w, body) // a client that has gone needs no answer
}

// refuse answers with a status alone.
func refuse(w http.ResponseWriter, code int) { text(w, code, "text/plain", http.StatusText(code)+"\n") }

const namespaces = `xmlns:scan="http://schemas.hp.com/imaging/escl/2011/05/03" xmlns:pwg="http://www.pwg.org/schemas/2010/12/sm"`

// Sizes of the paper sources in 1/300 inch: A4 with a margin, and a feeder that
// takes sheets of up to 35.6 cm.
const (
	maxWidth, platenLength, feederLength = 2550, 3508, 4200
)

func escape(s string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(s)) // a Builder does not fail
	return b.String()
}

func (s *Scanner) capabilities(w http.ResponseWriter, _ *http.Request) {
	input := func(name string, length int) string {
		return fmt.Sprintf(`<scan:%[1]s><scan:MinWidth>16</scan:MinWidth><scan:MaxWidth>%[2]d</scan:MaxWidth><scan:MinHeight>16</scan:MinHeight><scan:MaxHeight>%[3]d</scan:MaxHeight><scan:MaxScanRegions>1</scan:MaxScanRegions>
<scan:SettingProfiles><scan:SettingProfile><scan:ColorModes><scan:ColorMode>RGB24</scan:ColorMode><scan:ColorMode>Grayscale8</scan:ColorMode></scan:ColorModes>
<scan:DocumentFormats><pwg:DocumentFormat>image/jpeg</pwg:DocumentFormat><scan:DocumentFormatExt>image/jpeg</scan:DocumentFormatExt></scan:DocumentFormats>
<scan:SupportedResolutions><scan:DiscreteResolutions><scan:DiscreteResolution><scan:XResolution>%[4]d</scan:XResolution><scan:YResolution>%[4]d</scan:YResolution></scan:DiscreteResolution></scan:DiscreteResolutions></scan:SupportedResolutions></scan:SettingProfile></scan:SettingProfiles>
<scan:SupportedIntents><scan:Intent>Document</scan:Intent></scan:SupportedIntents><scan:MaxOpticalXResolution>%[4]d</scan:MaxOpticalXResolution><scan:MaxOpticalYResolution>%[4]d</scan:MaxOpticalYResolution></scan:%[1]s>
`, name, maxWidth, length, s.cfg.Resolution)
	}
	duplex, option := "", ""
	if s.cfg.Duplex {
		duplex, option = input("AdfDuplexInputCaps", feederLength), "<scan:AdfOption>Duplex</scan:AdfOption>"
	}
	text(w, http.StatusOK, "text/xml", xml.Header+fmt.Sprintf(`<scan:ScannerCapabilities %s><pwg:Version>2.63</pwg:Version><pwg:MakeAndModel>%s</pwg:MakeAndModel><scan:Manufacturer>%s</scan:Manufacturer><pwg:SerialNumber>%s</pwg:SerialNumber>
<scan:Platen>%s</scan:Platen><scan:Adf>%s%s<scan:FeederCapacity>200</scan:FeederCapacity><scan:AdfOptions><scan:AdfOption>DetectPaperLoaded</scan:AdfOption>%s</scan:AdfOptions></scan:Adf></scan:ScannerCapabilities>`,
		namespaces, escape(s.cfg.Make+" "+s.cfg.Model), escape(s.cfg.Make), escape(s.cfg.Serial),
		input("PlatenInputCaps", platenLength), input("AdfSimplexInputCaps", feederLength), duplex, option))
}

func (s *Scanner) status(w http.ResponseWriter, _ *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	state, adf := "Idle", "ScannerAdfEmpty"
	switch kind := s.standing(); {
	case adfStates[kind] != "":
		adf = adfStates[kind]
	case s.job != nil && !s.job.over && !s.job.platen:
		adf = "ScannerAdfProcessing"
	case s.loaded():
		adf = "ScannerAdfLoaded"
	}
	jobs := ""
	if j := s.job; j != nil {
		jobState, reason, waiting := "Processing", "JobScanning", 1
		switch {
		case j.canceled:
			jobState, reason, waiting = "Canceled", "JobCanceledByUser", 0
		case j.over && s.struck != nil:
			jobState, reason, waiting = "Aborted", "AbortedBySystem", 0
		case j.over:
			jobState, reason, waiting = "Completed", "JobCompletedSuccessfully", 0
		default:
			state = "Processing"
		}
		jobs = fmt.Sprintf("<scan:Jobs><scan:JobInfo><pwg:JobUri>%s</pwg:JobUri><pwg:JobUuid>urn:uuid:00000000-0000-0000-0000-%012d</pwg:JobUuid><scan:Age>0</scan:Age><pwg:ImagesCompleted>%d</pwg:ImagesCompleted><pwg:ImagesToTransfer>%d</pwg:ImagesToTransfer><pwg:JobState>%s</pwg:JobState><pwg:JobStateReasons><pwg:JobStateReason>%s</pwg:JobStateReason></pwg:JobStateReasons></scan:JobInfo></scan:Jobs>",
			j.path(), j.id, j.sides, waiting, jobState, reason)
	}
	text(w, http.StatusOK, "text/xml", xml.Header+fmt.Sprintf("<scan:ScannerStatus %s><pwg:Version>2.63</pwg:Version><pwg:State>%s</pwg:State><scan:AdfState>%s</scan:AdfState>%s</scan:ScannerStatus>", namespaces, state, adf, jobs))
}

// maxSettings bounds the body of a new job.
const maxSettings = 64 << 10

func (s *Scanner) createJob(w http.ResponseWriter, r *http.Request) {
	var set struct {
		XMLName xml.Name `xml:"ScanSettings"`
		Source  string   `xml:"InputSource"`
		Duplex  bool     `xml:"Duplex"`
	}
	if err := xml.NewDecoder(http.MaxBytesReader(w, r.Body, maxSettings)).Decode(&set); err != nil {
		refuse(w, http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = time.Now()
	j := &job{duplex: set.Duplex, platen: set.Source != "Feeder", done: make(chan struct{})}
	switch {
	case s.standing() == NotReady:
		refuse(w, http.StatusServiceUnavailable)
		return
	case s.standing() != "" && !j.platen, s.job != nil && !s.job.over:
		refuse(w, http.StatusConflict)
		return
	case j.duplex && !s.cfg.Duplex:
		refuse(w, http.StatusConflict)
		return
	}
	if err := s.load(); err != nil {
		s.log.Warn("loading the simulated feeder failed", "err", err)
	}
	if len(s.hopper) == 0 && !j.platen {
		refuse(w, http.StatusConflict)
		return
	}
	s.jobs++
	j.id = s.jobs
	j.ready = time.Now().Add(s.feedTime())
	s.job = j
	w.Header().Set("Location", "http://"+r.Host+j.path())
	text(w, http.StatusCreated, "text/plain", "")
}

// feedTime is how long one sheet takes.
func (s *Scanner) feedTime() time.Duration {
	if s.cfg.SheetsPerMinute == 0 {
		return 0
	}
	return time.Minute / time.Duration(s.cfg.SheetsPerMinute)
}

// find gives the job of a request, or nil; s.mu is held.
func (s *Scanner) find(r *http.Request) *job {
	if s.job == nil || r.PathValue("id") != strconv.Itoa(s.job.id) {
		return nil
	}
	return s.job
}

// nextDocument waits for the sheet to come through and sends the next side.
func (s *Scanner) nextDocument(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	j := s.find(r)
	if j == nil || j.over {
		s.mu.Unlock()
		refuse(w, http.StatusNotFound)
		return
	}
	if j.sending {
		s.mu.Unlock()
		refuse(w, http.StatusServiceUnavailable)
		return
	}
	j.sending = true
	wait := time.Until(j.ready)
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		j.sending = false
		s.mu.Unlock()
	}()
	if wait > 0 && !j.back {
		t := time.NewTimer(wait)
		defer t.Stop()
		select {
		case <-t.C:
		case <-j.done:
		case <-r.Context().Done():
			return
		}
	}
	file, cut, code := s.take(j)
	if code != http.StatusOK {
		if code == 0 {
			panic(http.ErrAbortHandler)
		}
		refuse(w, code)
		return
	}
	s.send(w, r, j, file, cut)
}

// take decides what happens to the next side: its file, where it is cut off
// (0: not at all), or the status that takes its place (0: the wire breaks).
func (s *Scanner) take(j *job) (file string, cut Kind, code int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !j.over && j.platen && len(s.hopper) == 0 {
		return bareGlass, "", http.StatusOK
	}
	if j.over || len(s.hopper) == 0 {
		j.finish()
		return "", "", http.StatusNotFound
	}
	at := AtFeed
	if j.back {
		at = Between
	}
	if s.due(j, at) {
		s.strike()
	}
	switch kind := s.standing(); kind {
	case "", Slow, NotImage:
		cut = kind
	case NotReady:
		return "", "", http.StatusServiceUnavailable
	case Unplugged:
		j.finish()
		s.kept = true
		return "", "", 0
	default:
		j.finish()
		s.kept = true // the sheets stay where they are until somebody clears it
		return "", "", http.StatusNotFound
	}
	sh := s.hopper[0]
	if j.back {
		return sh.back, cut, http.StatusOK
	}
	if s.due(j, MidPage) {
		s.strike()
		s.kept = true
		return sh.front, s.struck.Kind, http.StatusOK
	}
	return sh.front, cut, http.StatusOK
}

// send streams a file as it is.
func (s *Scanner) send(w http.ResponseWriter, r *http.Request, j *job, file string, cut Kind) {
	data, err := s.open(file)
	if err != nil {
		s.log.Warn("a page has gone from the simulated feeder", "err", err)
		s.delivered(j, file)
		refuse(w, http.StatusServiceUnavailable)
		return
	}
	defer data.Close()
	if cut == NotImage {
		text(w, http.StatusOK, "image/jpeg", "Error 0x12: scan head not ready")
		return
	}
	size, err := data.Seek(0, io.SeekEnd)
	if err == nil {
		_, err = data.Seek(0, io.SeekStart)
	}
	if err != nil {
		refuse(w, http.StatusServiceUnavailable)
		return
	}
	head := make([]byte, 512)
	n, _ := io.ReadFull(data, head) // a short file is sent as it is
	w.Header().Set("Content-Type", http.DetectContentType(head[:n]))
	if _, err := data.Seek(0, io.SeekStart); err != nil {
		refuse(w, http.StatusServiceUnavailable)
		return
	}
	w.WriteHeader(http.StatusOK) // without a length: chunked, as most machines send
	switch cut {
	case "":
		if _, err := io.Copy(w, data); err != nil {
			return // the client has gone; the side counts as not delivered
		}
	case Slow:
		if !trickle(w, r, data, j.done) {
			return
		}
	default:
		_, _ = io.CopyN(w, data, size/2)
		s.mu.Lock()
		j.finish()
		s.mu.Unlock()
		if cut == Unplugged {
			panic(http.ErrAbortHandler)
		}
		return
	}
	s.delivered(j, file)
}

// bareGlass stands for the glass with nothing on it, where a file has a path.
const bareGlass = "(glass)"

// open opens an image to be sent. Bare glass gives a white A4 page, as the lid
// above it is white.
func (s *Scanner) open(file string) (io.ReadSeekCloser, error) {
	if file != bareGlass {
		return os.Open(file)
	}
	const a4Width, a4Height = 210, 297 // mm
	page := image.NewGray(image.Rect(0, 0, a4Width*s.cfg.Resolution*10/254, a4Height*s.cfg.Resolution*10/254))
	draw.Draw(page, page.Rect, image.NewUniform(color.Gray{Y: 250}), image.Point{}, draw.Src)
	var b bytes.Buffer
	if err := jpeg.Encode(&b, page, nil); err != nil {
		return nil, fmt.Errorf("draw the bare glass: %w", err)
	}
	return memory{bytes.NewReader(b.Bytes())}, nil
}

// memory is an open file that is none.
type memory struct{ *bytes.Reader }

func (memory) Close() error { return nil }

// trickle sends a page in pieces of 4 KiB, ten a second.
func trickle(w http.ResponseWriter, r *http.Request, data io.Reader, done <-chan struct{}) bool {
	t := time.NewTicker(100 * time.Millisecond)
	defer t.Stop()
	for {
		_, err := io.CopyN(w, data, 4096)
		if err == io.EOF {
			return true
		}
		if err != nil || http.NewResponseController(w).Flush() != nil {
			return false
		}
		select {
		case <-t.C:
		case <-done:
			return false
		case <-r.Context().Done():
			return false
		}
	}
}

// delivered moves on to the next side.
func (s *Scanner) delivered(j *job, file string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if j.over || len(s.hopper) == 0 && file != bareGlass {
		return
	}
	j.sides++
	j.last = file
	if file == bareGlass {
		j.finish()
		return
	}
	if !j.back && j.duplex && s.hopper[0].back != "" {
		j.back = true
		return
	}
	j.back = false
	j.fed++
	if j.platen {
		j.finish() // the sheet stays on the glass
		return
	}
	s.hopper = s.hopper[1:]
	if len(s.hopper) == 0 {
		s.kept, s.ran = false, true
	}
	j.ready = j.ready.Add(s.feedTime())
	if now := time.Now(); j.ready.Before(now) {
		j.ready = now
	}
}

func (s *Scanner) imageInfo(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	j := s.find(r)
	file := ""
	if j != nil {
		file = j.last
	}
	s.mu.Unlock()
	f, err := s.open(file)
	if err != nil {
		refuse(w, http.StatusNotFound)
		return
	}
	defer f.Close()
	c, _, err := image.DecodeConfig(f)
	if err != nil {
		refuse(w, http.StatusNotFound)
		return
	}
	text(w, http.StatusOK, "text/xml", xml.Header+fmt.Sprintf("<scan:ScanImageInfo %s><pwg:JobUri>%s</pwg:JobUri><scan:ActualWidth>%d</scan:ActualWidth><scan:ActualHeight>%d</scan:ActualHeight><scan:ActualBytesPerLine>%d</scan:ActualBytesPerLine></scan:ScanImageInfo>",
		namespaces, r.URL.Path, c.Width, c.Height, 3*c.Width))
}

func (s *Scanner) deleteJob(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	j := s.find(r)
	if j == nil {
		refuse(w, http.StatusNotFound)
		return
	}
	if !j.over {
		j.canceled = true
		s.kept = len(s.hopper) > 0
		j.finish()
	}
	text(w, http.StatusOK, "text/plain", "")
}
