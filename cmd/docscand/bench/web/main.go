// Web measures pages and search over many documents, beside nginx serving static files
// of the same sizes in the same run: requests a second, how long they take, memory, also
// with event streams open, and the size and time of the search index. Only the ratios
// travel between machines.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"io"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"text/tabwriter"
	"time"

	"docscan/cmd/docscand/box"
	"docscan/device"
	"docscan/scan"
	"docscan/scan/ocr"
	"docscan/scan/text"
	"docscan/store"
	"docscan/store/search"
	"docscan/web"
)

func main() {
	docs := flag.Int("docs", 100_000, "documents in the store and the index")
	requests := flag.Int("requests", 2000, "requests of each kind")
	dir := flag.String("dir", "/dev/shm", "where the data are made; memory, so that the disk is not what is measured")
	keep := flag.String("keep", "", "a directory where the data stay for the next run, or are from one before")
	memory := flag.Bool("memory", false, "look at docscand's memory only")
	before := flag.String("before", "", "a docscand of another version, whose memory and times over the same data are printed, too")
	flag.Parse()
	exes := []string{"bin/docscand"}
	if *before != "" {
		exes = append(exes, *before)
	}
	if err := run(*docs, *requests, *dir, *keep, *memory, exes); err != nil {
		fmt.Fprintln(os.Stderr, "bench web:", err)
		os.Exit(1)
	}
}

const (
	clients  = 4
	streams  = 200
	words    = 250 // of a document, in the mean
	password = "seven green tractors"
)

func run(docs, requests int, parent, keep string, memory bool, exes []string) error {
	dir := keep
	if dir == "" {
		var err error
		if dir, err = os.MkdirTemp(parent, "docscan-bench-web-"); err != nil {
			return err
		}
		defer os.RemoveAll(dir)
	}
	x, err := open(dir)
	if err != nil {
		return err
	}
	defer x.close()
	m, err := made(x, dir, docs)
	if err != nil {
		return err
	}
	token, err := logIn(x.base, "login", map[string]string{"username": "anna", "password": password})
	if err != nil {
		return err
	}
	if !memory {
		if err := pages(x, dir, m, token, requests); err != nil {
			return err
		}
	}
	took, err := again(dir, x)
	if err != nil {
		return err
	}
	fmt.Printf("closed, opened again by the next version and asked for what is unfinished: %.0f ms\n", float64(took.Microseconds())/1000)
	for _, exe := range exes {
		if err := look(exe, dir, token, kindsOf(rand.New(rand.NewPCG(8, 8)), m.First, m.Phrases), requests, memory); err != nil {
			return fmt.Errorf("%s: %w", exe, err)
		}
	}
	return nil
}

// making is what was made.
type making struct {
	Docs    int
	Text    int64    // bytes
	First   string   // a document
	Phrases []string // two words of each text that stand one behind the other
}

// made makes documents, their index and an administrator, unless a run before has.
func made(x *site, dir string, docs int) (m making, err error) {
	name := filepath.Join(dir, "made.json")
	b, err := os.ReadFile(name)
	if err == nil {
		if err := json.Unmarshal(b, &m); err != nil {
			return m, fmt.Errorf("%s: %w", name, err)
		}
		if m.Docs != docs {
			return m, fmt.Errorf("%s has %d documents, not %d", dir, m.Docs, docs)
		}
		return m, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return m, err
	}
	n, err := x.store.Sizes()
	if err != nil {
		return m, err
	}
	if n.Documents > 0 {
		return m, fmt.Errorf("%s has data that no run has finished (%d documents); remove it", dir, n.Documents)
	}
	m.Docs = docs
	if m.Text, m.First, m.Phrases, err = fill(x.store, docs); err != nil {
		return m, err
	}
	start := time.Now()
	indexed, err := x.engine.Reindex(context.Background())
	if err != nil {
		return m, err
	}
	if indexed != docs {
		return m, fmt.Errorf("%d of %d documents were indexed", indexed, docs)
	}
	build := time.Since(start)
	size, err := indexBytes(filepath.Join(dir, "index"))
	if err != nil {
		return m, err
	}
	fmt.Printf("%d documents of one page, %.0f MB of text: indexed in %.0f s (%.0f a second); index %.0f MB, %.2f of the text\n",
		docs, mb(m.Text), build.Seconds(), float64(docs)/build.Seconds(), mb(size), float64(size)/float64(m.Text))
	secret, err := x.site.SetupCode()
	if err != nil {
		return m, err
	}
	if _, err := logIn(x.base, "setup", map[string]string{"token": secret, "username": "anna", "password": password}); err != nil {
		return m, err
	}
	if b, err = json.Marshal(m); err != nil {
		return m, err
	}
	return m, os.WriteFile(name, b, 0o600)
}

// pages prints how fast pages and searches are, beside nginx.
func pages(x *site, dir string, m making, token string, requests int) error {
	nginx, err := startNginx(dir)
	if err != nil {
		return err
	}
	defer os.RemoveAll(nginx.root)
	defer nginx.stop()
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "what\tbytes\tdocscan a second\tmedian ms\t95 % ms\t99 % ms\tnginx a second\tnginx 99 % ms")
	for _, k := range kindsOf(rand.New(rand.NewPCG(7, 7)), m.First, m.Phrases) {
		if _, err := load(x.base, token, k.paths(1)); err != nil { // what is made once is made
			return fmt.Errorf("%s: %w", k.name, err)
		}
		paths := k.paths(requests)
		a, err := load(x.base, token, paths)
		if err != nil {
			return fmt.Errorf("%s: %w", k.name, err)
		}
		if err := nginx.put(a.bytes); err != nil {
			return err
		}
		for i := range paths {
			paths[i] = "/file"
		}
		b, err := load(nginx.url, "", paths)
		if err != nil {
			return fmt.Errorf("nginx: %w", err)
		}
		fmt.Fprintf(w, "%s\t%d\t%.0f\t%.1f\t%.1f\t%.1f\t%.0f\t%.1f\n", k.name, a.bytes, a.rate, a.at(50), a.at(95), a.at(99), b.rate, b.at(99))
	}
	return w.Flush()
}

// kind is a kind of request.
type kind struct {
	name string
	path func() string
}

// paths gives n requests of a kind.
func (k kind) paths(n int) []string {
	list := make([]string, n)
	for i := range list {
		list[i] = k.path()
	}
	return list
}

// kindsOf are all kinds; first is a document.
func kindsOf(r *rand.Rand, first string, phrases []string) []kind {
	return []kind{
		{"log-in page", func() string { return "/login" }},
		{"document list", func() string { return "/documents" }},
		{"search, two words", func() string { return "/documents?q=" + word(r) + "+" + word(r) }},
		{"search, beginning of a word", func() string { return "/documents?q=" + (word(r) + "a")[:3] }},
		{"search, a common word", func() string { return "/documents?q=" + vocabulary[r.IntN(20)] }},
		{"search, the first letter", func() string { return "/documents?q=" + word(r)[:1] }},
		{"search, a phrase", func() string { return "/documents?q=%22" + phrases[r.IntN(len(phrases))] + "%22" }},
		{"search, nothing found", func() string { return "/documents?q=" + misspelt(word(r)) }},
		{"search by the API", func() string { return "/api/v1/documents?q=" + word(r) }},
		{"thumbnail", func() string { return "/api/v1/documents/" + first + "/pages/1/thumb" }},
	}
}

// site is docscan's pages over a store.
type site struct {
	store  *store.Store
	index  *search.Index
	pool   *ocr.Pool
	engine *scan.Engine
	site   *web.Server
	server *http.Server
	base   string // address
}

func open(dir string) (_ *site, err error) {
	log := slog.New(slog.DiscardHandler)
	x := &site{}
	defer func() {
		if err != nil {
			x.close()
		}
	}()
	if x.store, err = store.Open(store.Config{Dir: dir}, log); err != nil {
		return nil, err
	}
	if x.index, err = openIndex(dir, x.store); err != nil {
		return nil, err
	}
	if x.pool, err = ocr.NewPool(ocr.DefaultConfig(), "/bin/false", log); err != nil {
		return nil, err
	}
	x.engine = scan.New(scan.DefaultConfig(), 1, x.store, x.pool, x.index, log)
	reg := device.NewRegistry(log, x.engine.DeviceChanged)
	x.engine.Attach(reg)
	x.site, err = web.New(web.DefaultConfig(), web.Deps{Store: x.store, Engine: x.engine, Registry: reg, Index: x.index, Version: "bench", Versions: func() string { return "" }, Log: log})
	if err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	x.server = x.site.Server(x.site.Handler())
	go x.server.Serve(l)
	x.base = "http://" + l.Addr().String()
	return x, nil
}

func openIndex(dir string, st *store.Store) (*search.Index, error) {
	return search.Open(filepath.Join(dir, "index", "search.db"), scan.Texts(st), slog.New(slog.DiscardHandler))
}

// close closes what is open; again has closed some of it already.
func (x *site) close() {
	if x.server != nil {
		x.server.Close()
	}
	if x.pool != nil {
		x.pool.Close()
	}
	if x.index != nil {
		x.index.Close()
	}
	if x.store != nil {
		x.store.Close()
	}
}

// warm is how many requests of each kind come before memory is looked at.
const warm = 100

// look has docscand itself open the data in a directory, and prints what it has in memory
// when it has started, has answered requests of all kinds, and many watch its events; and
// how long requests take.
func look(exe, dir, token string, kinds []kind, requests int, memory bool) error {
	ctx, stop := context.WithTimeout(context.Background(), time.Minute)
	defer stop()
	exe, err := filepath.Abs(exe)
	if err != nil {
		return err
	}
	home, err := os.MkdirTemp("", "docscan-bench-web-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(home)
	b := box.New(exe, home)
	b.Dir, b.Token = dir, token
	if err := os.Mkdir(b.Stack, 0o700); err != nil {
		return err
	}
	if err := b.Start(ctx); err != nil {
		return err
	}
	defer b.Stop()
	fmt.Printf("memory of %s, just started: %s\n", exe, resident(b.PID(), dir))
	var mixed []string
	for range warm {
		for _, k := range kinds {
			mixed = append(mixed, k.path())
		}
	}
	if _, err := load(b.URL, token, mixed); err != nil {
		return err
	}
	fmt.Printf("after %d requests of all kinds: %s\n", len(mixed), resident(b.PID(), dir))
	end, err := watch(b.URL, token)
	if err != nil {
		return err
	}
	fmt.Printf("with %d event streams open: %s\n", streams, resident(b.PID(), dir))
	end()
	if memory {
		return nil
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "what\tmedian ms\t95 % ms\t99 % ms")
	for _, k := range kinds {
		f, err := load(b.URL, token, k.paths(requests))
		if err != nil {
			return fmt.Errorf("%s: %w", k.name, err)
		}
		fmt.Fprintf(w, "%s\t%.1f\t%.1f\t%.1f\n", k.name, f.at(50), f.at(95), f.at(99))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	fmt.Printf("then: %s\n", resident(b.PID(), dir))
	return nil
}

// again closes the store and the index and opens them, which is what requests wait
// for when another version takes over. It gives how long that takes.
func again(dir string, x *site) (time.Duration, error) {
	start := time.Now()
	if err := errors.Join(x.index.Close(), x.store.Close()); err != nil {
		return 0, err
	}
	st, err := store.Open(store.Config{Dir: dir}, slog.New(slog.DiscardHandler))
	if err != nil {
		return 0, err
	}
	defer st.Close()
	index, err := openIndex(dir, st)
	if err != nil {
		return 0, err
	}
	defer index.Close()
	if _, err := st.OpenBatches(); err != nil {
		return 0, err
	}
	return time.Since(start), nil
}

func mb(n int64) float64 { return float64(n) / 1e6 }

// vocabulary has the commonest words first, which are short, as a language has: with
// the space behind it a word takes six bytes in the mean.
var vocabulary = func() []string {
	r := rand.New(rand.NewPCG(1, 2))
	syllables := strings.Fields("ba be bi bo bu da de di do du ka ke ki ko ku la le li lo lu ma me mi mo mu na ne ni no nu ra re ri ro ru sa se si so su ta te ti to tu")
	list := make([]string, 60_000)
	for i := range list {
		least, more := 2, 5
		switch {
		case i < 100:
			least, more = 1, 2
		case i < 2000:
			least, more = 1, 4
		}
		var b strings.Builder
		for range least + r.IntN(more) {
			b.WriteString(syllables[r.IntN(len(syllables))])
		}
		list[i] = b.String()
	}
	return list
}()

// word picks one by Zipf's law.
func word(r *rand.Rand) string {
	return vocabulary[rand.NewZipf(r, 1.1, 8, uint64(len(vocabulary)-1)).Uint64()]
}

// misspelt puts in a letter that no word has.
func misspelt(w string) string { return w[:len(w)/2] + "x" + w[len(w)/2:] }

// different is how many pages have a text of their own: the texts of a hundred
// thousand would take a gigabyte of memory. A batch has a stack of them.
const (
	different = 10_000
	stack     = 50
)

// fill files documents. It gives the bytes of their text, one of them, and two words
// of each text that stand one behind the other.
func fill(st *store.Store, docs int) (written int64, first string, phrases []string, err error) {
	thumb, err := picture(st)
	if err != nil {
		return 0, "", nil, err
	}
	now := time.Now()
	var b store.Batch
	var pages []store.DocumentPage
	r := rand.New(rand.NewPCG(3, 4))
	zipf := rand.NewZipf(r, 1.1, 8, uint64(len(vocabulary)-1))
	var sizes []int64
	for n := range min(docs, different) {
		if n%stack == 0 {
			b = store.Batch{ID: store.BatchID(store.NewID()), State: store.BatchScanning, Created: now, Updated: now}
			if err := st.AddBatch(b); err != nil {
				return 0, "", nil, err
			}
		}
		page := write(r, zipf)
		line := page.Lines[r.IntN(len(page.Lines)-1)].Words // the last may have one word
		at := r.IntN(len(line) - 1)
		phrases = append(phrases, line[at].Text+"+"+line[at+1].Text)
		w, err := st.NewBlob()
		if err != nil {
			return 0, "", nil, err
		}
		if err := text.Write(w, page); err != nil {
			return 0, "", nil, err
		}
		blob, err := w.Commit(text.MediaType)
		if err != nil {
			return 0, "", nil, err
		}
		_, err = st.AddPage(store.Page{Batch: b.ID, Seq: n%stack + 1, Sheet: n%stack + 1, State: store.PageDone, Created: now, Text: blob, Thumb: thumb, View: thumb})
		if err != nil {
			return 0, "", nil, err
		}
		pages = append(pages, store.DocumentPage{Batch: b.ID, Seq: n%stack + 1})
		sizes = append(sizes, int64(len(page.Findable())))
	}
	for n := range docs {
		d := store.Document{ID: store.DocumentID(store.NewID()), Title: "Document " + strconv.Itoa(n), Batch: pages[n%different].Batch,
			Pages: []store.DocumentPage{pages[n%different]}, Found: &store.Found{}, PDF: thumb, Created: now, Updated: now, Languages: []string{"eng"}}
		if err := st.FileDocument(d); err != nil {
			return 0, "", nil, err
		}
		written += sizes[n%different]
		first = string(d.ID)
	}
	return written, first, phrases, nil
}

// write makes a page of words in lines of ten.
func write(r *rand.Rand, zipf *rand.Zipf) *text.Page {
	page := &text.Page{Width: 2480, Height: 3508, DPI: 300, Languages: []string{"eng"}, Confidence: 93}
	for n := range words/2 + r.IntN(words) {
		if n%10 == 0 {
			page.Lines = append(page.Lines, text.Line{Paragraph: n / 50})
		}
		line := &page.Lines[len(page.Lines)-1]
		line.Words = append(line.Words, text.Word{Text: vocabulary[zipf.Uint64()], X: float64(200 + n%10*210), Y: float64(300 + n/10*60),
			Width: 180 + r.Float64(), Height: 40 + r.Float64(), Descent: 8, Confidence: 90 + 9*r.Float64()})
	}
	return page
}

// picture keeps a picture of the size of a thumbnail.
func picture(st *store.Store) (store.Blob, error) {
	img := image.NewGray(image.Rect(0, 0, 200, 280))
	for i := range img.Pix {
		img.SetGray(i%200, i/200, color.Gray{uint8(i * 7)})
	}
	w, err := st.NewBlob()
	if err != nil {
		return store.Blob{}, err
	}
	if err := jpeg.Encode(w, img, nil); err != nil {
		return store.Blob{}, err
	}
	return w.Commit("image/jpeg")
}

func indexBytes(dir string) (n int64, err error) {
	entries, err := os.ReadDir(dir)
	for _, e := range entries {
		info, ierr := e.Info()
		if ierr != nil {
			return 0, ierr
		}
		n += info.Size()
	}
	return n, err
}

// resident is what a process has in memory, as ps says it, and the parts of that: its own,
// and of files, which are the system's to take back.
func resident(pid int, dir string) string {
	exe, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid))
	if err != nil {
		return err.Error()
	}
	maps, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps", pid))
	if err != nil {
		return err.Error()
	}
	var own, program, libraries, data float64 // MB
	of := &libraries
	for line := range strings.Lines(string(maps)) {
		f := strings.Fields(line)
		if !strings.HasSuffix(f[0], ":") { // addresses, rights, offset, device, inode, file
			switch file := f[len(f)-1]; {
			case file == exe:
				of = &program
			case strings.HasPrefix(file, dir):
				of = &data
			default:
				of = &libraries
			}
			continue
		}
		if f[0] != "Rss:" && f[0] != "Anonymous:" {
			continue
		}
		kb, err := strconv.Atoi(f[1])
		if err != nil {
			return err.Error()
		}
		if n := float64(kb) * 1024 / 1e6; f[0] == "Rss:" {
			*of += n
		} else { // what it has made its own of a file is not the file's any more
			own, *of = own+n, *of-n
		}
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return err.Error()
	}
	var all int // kB
	if _, rss, ok := strings.Cut(string(status), "VmRSS:"); ok {
		if _, err := fmt.Sscan(rss, &all); err != nil {
			return err.Error()
		}
	}
	return fmt.Sprintf("%.1f MB: own %.1f, its file %.1f, libraries %.1f, of the data %.1f", float64(all)*1024/1e6, own, program, libraries, data)
}

// logIn gives the token of a new log-in.
func logIn(base, how string, say map[string]string) (string, error) {
	body, err := json.Marshal(say)
	if err != nil {
		return "", err
	}
	resp, err := http.Post(base+"/api/v1/"+how, "application/json", bytes.NewReader(body))
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	var in struct {
		Token string `json:"access_token"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&in); err != nil || in.Token == "" {
		return "", fmt.Errorf("%s: %s, %v", how, resp.Status, err)
	}
	return in.Token, nil
}

// figures are what a load has shown.
type figures struct {
	took  []time.Duration // sorted
	rate  float64         // requests a second
	bytes int             // of an answer
}

func (f *figures) at(percent int) float64 {
	return float64(f.took[min(len(f.took)-1, len(f.took)*percent/100)].Microseconds()) / 1000
}

// load asks for paths, several at a time over kept connections.
func load(base, token string, paths []string) (figures, error) {
	next := make(chan string)
	go func() {
		defer close(next)
		for _, p := range paths {
			next <- p
		}
	}()
	var f figures
	var failed error
	var mu sync.Mutex
	var wg sync.WaitGroup
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: clients, DisableCompression: true}}
	defer client.CloseIdleConnections()
	start := time.Now()
	for range clients {
		wg.Go(func() {
			for p := range next {
				began := time.Now()
				n, err := get(client, base+p, token)
				took := time.Since(began)
				mu.Lock()
				f.took = append(f.took, took)
				f.bytes = n
				if err != nil && failed == nil {
					failed = err
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	f.rate = float64(len(paths)) / time.Since(start).Seconds()
	slices.Sort(f.took)
	return f, failed
}

func get(client *http.Client, url, token string) (int, error) {
	req, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		return 0, err
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := client.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	n, err := io.Copy(io.Discard, resp.Body)
	if resp.StatusCode != http.StatusOK {
		return 0, fmt.Errorf("%s: %s", url, resp.Status)
	}
	return int(n), err
}

// watch opens event streams.
func watch(base, token string) (stop func(), err error) {
	ctx, cancel := context.WithCancel(context.Background())
	client := &http.Client{Transport: &http.Transport{}}
	for range streams {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, base+"/api/v1/events", nil)
		if err != nil {
			cancel()
			return nil, err
		}
		req.Header.Set("Authorization", "Bearer "+token)
		resp, err := client.Do(req)
		if err != nil || resp.StatusCode != http.StatusOK {
			cancel()
			return nil, fmt.Errorf("open a stream: %v, %w", resp, err)
		}
		if _, err := resp.Body.Read(make([]byte, 64)); err != nil {
			cancel()
			return nil, err
		}
	}
	return cancel, nil
}

// nginx serves one file.
type nginx struct {
	url, root string
	cmd       *exec.Cmd
}

func startNginx(dir string) (*nginx, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	address := l.Addr().String()
	l.Close()
	n := &nginx{url: "http://" + address, root: filepath.Join(dir, "nginx")}
	if err := os.Mkdir(n.root, 0o755); err != nil {
		return nil, err
	}
	conf := fmt.Sprintf(`daemon off; pid %[1]s/pid; error_log %[1]s/error.log; worker_processes 2; user root;
events { worker_connections 256; }
http { access_log off; sendfile on; keepalive_requests 1000000; client_body_temp_path %[1]s/b; proxy_temp_path %[1]s/p; fastcgi_temp_path %[1]s/f; uwsgi_temp_path %[1]s/u; scgi_temp_path %[1]s/s;
server { listen %[2]s; root %[1]s; } }
`, n.root, address)
	if err := os.WriteFile(filepath.Join(n.root, "conf"), []byte(conf), 0o644); err != nil {
		return nil, err
	}
	if err := n.put(1); err != nil {
		return nil, err
	}
	n.cmd = exec.Command("/usr/sbin/nginx", "-c", filepath.Join(n.root, "conf"))
	n.cmd.Stderr = os.Stderr
	if err := n.cmd.Start(); err != nil {
		return nil, err
	}
	for range 100 {
		if c, err := net.Dial("tcp", address); err == nil {
			c.Close()
			return n, nil
		}
		time.Sleep(50 * time.Millisecond)
	}
	n.stop()
	return nil, fmt.Errorf("nginx does not listen on %s", address)
}

func (n *nginx) put(size int) error {
	return os.WriteFile(filepath.Join(n.root, "file"), make([]byte, size), 0o644)
}

func (n *nginx) stop() {
	_ = n.cmd.Process.Signal(os.Interrupt)
	_ = n.cmd.Wait()
}
