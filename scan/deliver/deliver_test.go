package deliver

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/net/webdav"

	"docscan/scan"
	"docscan/store"
	"docscan/store/audit"
)

// kit is a queue over a real store, whose clock the test moves.
type kit struct {
	*Queue
	t     *testing.T
	clock time.Time
}

func newKit(t *testing.T) *kit {
	t.Helper()
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	st, err := store.Open(store.Config{Dir: t.TempDir()}, log)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	})
	k := &kit{t: t, clock: time.Now()}
	k.Queue = New(st, func(uint64) *scan.Subscription { return nil }, log)
	k.now = func() time.Time { return k.clock }
	return k
}

func (k *kit) must(err error) {
	k.t.Helper()
	if err != nil {
		k.t.Fatal(err)
	}
}

// file puts a document into the store.
func (k *kit) file(title, content string) store.Document {
	k.t.Helper()
	b := store.Batch{ID: store.BatchID(store.NewID()), State: store.BatchScanning, Created: k.clock, Documents: []store.DocumentID{store.DocumentID(store.NewID())}}
	k.must(k.store.AddBatch(b))
	d := store.Document{ID: b.Documents[0], Title: title, Date: "2026-03-09", Batch: b.ID, Created: k.clock, PDF: k.blob(content)}
	k.must(k.store.FileDocument(d))
	return d
}

func (k *kit) blob(content string) store.Blob {
	k.t.Helper()
	w, err := k.store.NewBlob()
	k.must(err)
	_, err = io.WriteString(w, content)
	k.must(err)
	b, err := w.Commit("application/pdf")
	k.must(err)
	return b
}

// change gives a document another title and content.
func (k *kit) change(id store.DocumentID, title, content string) {
	k.t.Helper()
	blob := k.blob(content)
	_, err := k.store.UpdateDocument(id, func(d *store.Document) error {
		d.Title, d.PDF = title, blob
		return nil
	})
	k.must(err)
}

func (k *kit) destination(d store.Destination) store.Destination {
	k.t.Helper()
	d.ID, d.Created = store.DestinationID(store.NewID()), k.clock
	k.must(Try(k.t.Context(), d))
	k.must(k.store.PutDestination(d, audit.Entry{Action: "destination_added", Status: audit.Success}))
	return d
}

// round does what Run does when it is woken.
func (k *kit) round() {
	k.t.Helper()
	k.must(k.look(k.t.Context(), false))
}

func (k *kit) state(d store.Destination) State {
	k.t.Helper()
	s, err := k.State(d.ID)
	k.must(err)
	return s
}

// files gives the names in a folder and what is in them, but for the marker.
func files(t *testing.T, dir string) map[string]string {
	t.Helper()
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	all := make(map[string]string)
	for _, e := range list {
		if e.Name() == marker {
			continue
		}
		data, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		all[e.Name()] = string(data)
	}
	return all
}

func same(a, b map[string]string) bool {
	if len(a) != len(b) {
		return false
	}
	for k, v := range a {
		if b[k] != v {
			return false
		}
	}
	return true
}

// What arrives, for each kind of destination; root is where it lands.
func TestArrives(t *testing.T) {
	for _, kind := range []string{"folder", "webdav"} {
		t.Run(kind, func(t *testing.T) {
			k, root := newKit(t), t.TempDir()
			older := k.file("Before", "old")
			k.clock = k.clock.Add(time.Minute)
			to := store.Destination{Name: "there", Kind: kind, Folder: root}
			if kind == "webdav" {
				srv := httptest.NewServer(guarded(&webdav.Handler{FileSystem: webdav.Dir(root), LockSystem: webdav.NewMemLS()}))
				defer srv.Close()
				to.Folder, to.URL, to.User, to.Password = "", srv.URL, "anna", "secret"
			}
			if err := os.WriteFile(filepath.Join(root, "2026-03-09 Letter.pdf"), []byte("somebody's"), 0o600); err != nil {
				t.Fatal(err)
			}
			to = k.destination(to)
			a := k.file("Letter", "one")
			b := k.file("Odd / name: \"x\"", "two")
			k.round()
			k.round() // a second look brings nothing twice
			want := map[string]string{"2026-03-09 Letter.pdf": "somebody's", "2026-03-09 Letter (2).pdf": "one", "2026-03-09 Odd - name- -x-.pdf": "two"}
			if got := files(t, root); !same(got, want) {
				t.Fatalf("%q, want %q", got, want)
			}
			if s := k.state(to); s.Arrived != 2 || s.Waiting != 0 {
				t.Errorf("%+v, want 2 arrived", s)
			}

			// A document that changes takes the place of its file; one that somebody
			// has changed there stays.
			k.change(b.ID, "Plain", "two, better")
			k.round()
			delete(want, "2026-03-09 Odd - name- -x-.pdf")
			want["2026-03-09 Plain.pdf"] = "two, better"
			if got := files(t, root); !same(got, want) {
				t.Fatalf("after a change: %q, want %q", got, want)
			}
			k.change(b.ID, "Plain", "two, best")
			k.round()
			want["2026-03-09 Plain.pdf"] = "two, best"
			if got := files(t, root); !same(got, want) {
				t.Fatalf("after another: %q, want %q", got, want)
			}
			if err := os.WriteFile(filepath.Join(root, "2026-03-09 Letter (2).pdf"), []byte("one, with remarks"), 0o600); err != nil {
				t.Fatal(err)
			}
			k.change(a.ID, "Letter", "one, better")
			k.round()
			want["2026-03-09 Letter (2).pdf"], want["2026-03-09 Letter (3).pdf"] = "one, with remarks", "one, better"
			if got := files(t, root); !same(got, want) {
				t.Fatalf("what somebody changed is gone: %q, want %q", got, want)
			}
			if _, err := k.store.Delivery(to.ID, older.ID); !errors.Is(err, store.ErrNotFound) {
				t.Errorf("a document from before was delivered: %v", err)
			}
			to.Older = true
			k.must(k.store.PutDestination(to))
			k.round()
			if got := files(t, root)["2026-03-09 Before.pdf"]; got != "old" {
				t.Errorf("a document from before: %q, want it to come when that is wished", got)
			}
		})
	}
}

// guarded asks for a name and a password.
func guarded(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, password, _ := r.BasicAuth(); user != "anna" || password != "secret" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		h.ServeHTTP(w, r)
	})
}

// A share that is not mounted gets nothing: the box's own disk must not fill. When
// it is back, everything arrives.
func TestUnmounted(t *testing.T) {
	k, root := newKit(t), t.TempDir()
	share := filepath.Join(root, "share")
	k.must(os.Mkdir(share, 0o700))
	to := k.destination(store.Destination{Kind: "folder", Folder: share})
	k.must(os.Rename(share, share+"-away"))
	k.must(os.Mkdir(share, 0o700))
	a, b := k.file("A", "a"), k.file("B", "b")
	k.round()
	if got := files(t, share); len(got) != 0 {
		t.Errorf("%q in the empty mount point", got)
	}
	s := k.state(to)
	if s.Waiting != 2 || !strings.Contains(s.Error, "not mounted") {
		t.Errorf("%+v, want 2 waiting and why", s)
	}
	d, err := k.store.Delivery(to.ID, a.ID)
	k.must(err)
	if want := k.clock.Add(firstWait); !d.Next.Equal(want) {
		t.Errorf("the next try is at %v, want %v", d.Next, want)
	}
	k.round() // not before its time
	if d, err = k.store.Delivery(to.ID, a.ID); err != nil || d.Tries != 1 {
		t.Errorf("%d tries, %v, want 1", d.Tries, err)
	}
	for range 20 {
		k.clock = k.clock.Add(longest)
		k.must(k.retry(t.Context()))
	}
	if d, err = k.store.Delivery(to.ID, a.ID); err != nil || d.Tries != 21 || d.Next.Sub(k.clock) != longest {
		t.Errorf("after a day: %+v, %v", d, err)
	}
	// One of them is thrown away meanwhile: it is no longer wanted there.
	_, err = k.store.UpdateDocument(b.ID, func(d *store.Document) error {
		d.Trashed = k.clock
		return nil
	})
	k.must(err)
	k.must(os.Remove(share))
	k.must(os.Rename(share+"-away", share))
	k.clock = k.clock.Add(longest)
	k.must(k.retry(t.Context()))
	if got, want := files(t, share), map[string]string{"2026-03-09 A.pdf": "a"}; !same(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	if s := k.state(to); s.Waiting != 0 || s.Arrived != 1 || s.Error != "" {
		t.Errorf("%+v, want nothing waiting", s)
	}
}

// Why a folder cannot be written to is told with what to do.
func TestMayNotWrite(t *testing.T) {
	for cause, want := range map[error][]string{syscall.EROFS: {"ReadWritePaths=", "mount it for writing"}, syscall.EACCES: {"may not write into the folder: permission denied"}} {
		got := mayNotWrite(&fs.PathError{Op: "open", Path: "/srv/x", Err: cause}).Error()
		for _, w := range want {
			if !strings.Contains(got, w) || strings.Contains(got, "/srv/x") {
				t.Errorf("%v: %q, want %q", cause, got, w)
			}
		}
	}
}

// What is sent to another machine without encryption can be read on the way.
func TestPlain(t *testing.T) {
	for address, want := range map[string]bool{
		"http://nas.local/dav": true, "HTTP://192.0.2.1:8080/": true, "http://[2001:db8::1]/": true, "http://127.0.0.1.example.org/": true,
		"https://nas.local/dav": false, "http://127.0.0.1:8080/": false, "http://localhost/": false, "http://[::1]/": false, "http://[::ffff:127.0.0.1]/": false,
	} {
		if got := Plain(store.Destination{Kind: "webdav", URL: address}); got != want {
			t.Errorf("%s can be read: %t, want %t", address, got, want)
		}
	}
	if Plain(store.Destination{Kind: "folder", Folder: "/srv", URL: "http://nas.local/"}) {
		t.Error("a folder is taken for an address")
	}
}

// What cannot be a destination is refused with what to do.
func TestTry(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	status := http.StatusOK
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if status == http.StatusFound {
			w.Header().Set("Location", "http://127.0.0.1:1/elsewhere")
		}
		w.WriteHeader(status)
	}))
	defer srv.Close()
	tests := []struct {
		name   string
		d      store.Destination
		status int
		want   string
	}{
		{"no kind", store.Destination{}, 0, "there is no kind"},
		{"a relative folder", store.Destination{Kind: "folder", Folder: "scans"}, 0, "named from the root"},
		{"no folder", store.Destination{Kind: "folder", Folder: filepath.Join(dir, "none")}, 0, "does not exist"},
		{"a file", store.Destination{Kind: "folder", Folder: file}, 0, "a file, not a folder"},
		{"no address", store.Destination{Kind: "webdav", URL: "cloud"}, 0, "an address is like"},
		{"a password in the address", store.Destination{Kind: "webdav", URL: "https://anna:secret@cloud"}, 0, "apart"},
		{"a file address", store.Destination{Kind: "webdav", URL: "file:///etc"}, 0, "an address is like"},
		{"an ordinary site", store.Destination{Kind: "webdav", URL: srv.URL}, 200, "does not speak WebDAV"},
		{"a wrong password", store.Destination{Kind: "webdav", URL: srv.URL}, 401, "name or the password"},
		{"no such collection", store.Destination{Kind: "webdav", URL: srv.URL}, 404, "no such folder"},
		{"one that sends elsewhere", store.Destination{Kind: "webdav", URL: srv.URL, User: "a", Password: "b"}, 302, "has moved"},
		{"a broken one", store.Destination{Kind: "webdav", URL: srv.URL}, 500, "status 500"},
		{"none there", store.Destination{Kind: "webdav", URL: "http://127.0.0.1:1"}, 0, "does not answer"},
	}
	for _, tt := range tests {
		status = tt.status
		err := Try(t.Context(), tt.d)
		if !errors.Is(err, ErrChoice) || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
	}
}

// A server that takes half a file, or breaks off, has not got it.
func TestHalfAFile(t *testing.T) {
	k, root := newKit(t), t.TempDir()
	var broken atomic.Bool
	dav := &webdav.Handler{FileSystem: webdav.Dir(root), LockSystem: webdav.NewMemLS()}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if broken.Load() && r.Method == http.MethodPut {
			r.Body = io.NopCloser(io.LimitReader(r.Body, 3))
		}
		dav.ServeHTTP(w, r)
	}))
	defer srv.Close()
	to := k.destination(store.Destination{Kind: "webdav", URL: srv.URL})
	broken.Store(true)
	k.file("A", "whole document")
	k.round()
	if s := k.state(to); s.Arrived != 0 || !strings.Contains(s.Error, "3 of 14 bytes") {
		t.Errorf("%+v, want it told", s)
	}
	broken.Store(false)
	k.must(k.look(t.Context(), true))
	got := files(t, root)
	if s := k.state(to); s.Arrived != 1 || !slices.Contains([]string{got["2026-03-09 A.pdf"], got["2026-03-09 A (2).pdf"]}, "whole document") {
		t.Errorf("%+v, %q, want it whole", s, got)
	}
}

// A crash between the file and its receipt brings no second file.
func TestReceiptLost(t *testing.T) {
	k, root := newKit(t), t.TempDir()
	to := k.destination(store.Destination{Kind: "folder", Folder: root})
	d := k.file("A", "a")
	k.round()
	k.must(k.store.PutDelivery(store.Delivery{Destination: to.ID, Document: d.ID})) // as if it had not been written
	k.round()
	if got, want := files(t, root), map[string]string{"2026-03-09 A.pdf": "a"}; !same(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

// A full queue is worked off from the store after a restart, and ends when asked.
func TestRun(t *testing.T) {
	k, root := newKit(t), t.TempDir()
	k.destination(store.Destination{Kind: "folder", Folder: root, Older: true})
	k.file("A", "a")
	engine := scan.New(scan.DefaultConfig(), 1, k.store, nil, nil, k.log)
	q := New(k.store, engine.Subscribe, k.log)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- q.Run(ctx) }()
	arrives := func(name string) {
		t.Helper()
		for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
			if _, err := os.Stat(filepath.Join(root, name)); err == nil {
				return
			}
		}
		t.Errorf("%s does not arrive", name)
	}
	arrives("2026-03-09 A.pdf")
	k.file("B", "b")
	q.Wake()
	arrives("2026-03-09 B.pdf")
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// Titles may be anything; names of files may not.
func FuzzFileName(f *testing.F) {
	f.Add("Letter", "2026-03-09")
	f.Add("../../etc/passwd\x00", "")
	f.Add(strings.Repeat("ä", 400)+". .", "")
	f.Fuzz(func(t *testing.T, title, day string) {
		if day != "" {
			if _, err := time.Parse(time.DateOnly, day); err != nil {
				return // the store takes no other
			}
		}
		name := fileName(store.Document{Title: title, Date: day}, time.UTC)
		if len(numbered(name, maxNames)) > 255 || strings.ContainsAny(name, "/\\\x00\n") || filepath.Base(name) != name || strings.HasPrefix(name, ".") {
			t.Errorf("%q", name)
		}
	})
}
