package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"docscan/device/gpio"
	"docscan/device/quirks"
	"docscan/device/sane"
	"docscan/packaging/swap"
	"docscan/scan/ocr"
	"docscan/store"
)

// The results of a check.
const (
	resultOK      = "ok"
	resultWarning = "warning" // it may well be meant so
	resultFail    = "fail"    // docscand will not start, or not do its work
)

// finding is what one check found.
type finding struct {
	Check  string `json:"check"`
	Result string `json:"result"`
	What   string `json:"what"`
	Advice string `json:"advice,omitempty"` // what to do
}

func ok(format string, args ...any) finding {
	return finding{Result: resultOK, What: fmt.Sprintf(format, args...)}
}

func warning(what, advice string) finding {
	return finding{Result: resultWarning, What: what, Advice: advice}
}

func fail(what, advice string) finding {
	return finding{Result: resultFail, What: what, Advice: advice}
}

// checks is what a start needs. None changes anything: no check may write,
// create or delete a file, not even for a moment.
var checks = []struct {
	name string
	run  func(ctx context.Context, cfg *config) []finding
}{
	{"data directory", checkDirectory},
	{"disk space", checkSpace},
	{"store", checkStore},
	{"local socket", checkSocket},
	{"listen address", checkListen},
	{"encryption", checkEncryption},
	{"languages", checkLanguages},
	{"simulated scanner", checkSimulator},
	{"usb", checkUSB},
	{"sane", checkSANE},
	{"quirks", checkQuirks},
	{"panel", checkPanel},
	{"clock", checkClock},
}

// check is the command of that name. It gives 0 when nothing failed, 1 when
// something did, and 2 for wrong usage.
func check(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	var a configArgs
	flags := flag.NewFlagSet("check", flag.ContinueOnError)
	asJSON := flags.Bool("json", false, "")
	knownPage := flags.Bool("known-page", false, "")
	database := flags.String("database", "", "")
	if err := a.parse(flags, args); err != nil {
		return exitStatus(err)
	}
	var findings []finding
	cfg, file, err := readSettings(a, os.Environ())
	if err != nil {
		// Nothing else can be said before it is known what is meant.
		for line := range strings.Lines(err.Error()) {
			f := fail(strings.TrimSuffix(line, "\n"), "Correct this; docscan.toml as it is shipped explains every setting.")
			f.Check = "settings"
			findings = append(findings, f)
		}
	} else {
		f := ok("%s is in order", file)
		if file == "" {
			f = ok("there is no docscan.toml; the defaults hold")
		}
		f.Check = "settings"
		findings = append(findings, f)
		for _, c := range checks {
			for _, f := range c.run(ctx, &cfg) {
				f.Check = c.name
				findings = append(findings, f)
			}
		}
		if *database != "" {
			f := checkDatabase(*database)
			f.Check = "database"
			findings = append(findings, f)
		}
		if *knownPage {
			f := checkKnownPage(ctx, &cfg)
			f.Check = "known page"
			findings = append(findings, f)
		}
	}
	print := printFindings
	if *asJSON {
		print = printFindingsJSON
	}
	if err := print(stdout, findings); err != nil {
		fmt.Fprintf(stderr, "docscand: print what was found: %v\n", err)
		return 1
	}
	if slices.ContainsFunc(findings, func(f finding) bool { return f.Result == resultFail }) {
		return 1
	}
	return 0
}

func printFindings(w io.Writer, findings []finding) error {
	var b strings.Builder
	fails, warnings := 0, 0
	for _, f := range findings {
		result := f.Result
		switch result {
		case resultFail:
			result = "FAIL"
			fails++
		case resultWarning:
			warnings++
		}
		fmt.Fprintf(&b, "%-8s %-18s %s\n", result, f.Check, f.What)
		if f.Advice != "" {
			fmt.Fprintf(&b, "%-8s %-18s -> %s\n", "", "", f.Advice)
		}
	}
	switch {
	case fails > 0:
		fmt.Fprintf(&b, "\ndocscand is not ready like this (failed: %d, warnings: %d).\n", fails, warnings)
	case warnings > 0:
		fmt.Fprintf(&b, "\ndocscand is ready to start (warnings: %d).\n", warnings)
	default:
		b.WriteString("\ndocscand is ready to start.\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// printFindingsJSON prints one object a line.
func printFindingsJSON(w io.Writer, findings []finding) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	for _, f := range findings {
		if err := e.Encode(f); err != nil {
			return err
		}
	}
	return nil
}

// who names the user this process runs as.
func who() string {
	if os.Geteuid() == 0 {
		return "root"
	}
	return fmt.Sprintf("user %d", os.Geteuid())
}

// allowed reports whether this process may use path in the way mode says.
func allowed(path string, mode uint32) bool {
	return unix.Faccessat(unix.AT_FDCWD, path, mode, unix.AT_EACCESS) == nil
}

// existing gives dir, or the nearest directory above it that is there.
func existing(dir string) (string, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	for {
		_, err := os.Stat(dir)
		if err == nil || !errors.Is(err, fs.ErrNotExist) || dir == filepath.Dir(dir) {
			return dir, err
		}
		dir = filepath.Dir(dir)
	}
}

func checkDirectory(_ context.Context, cfg *config) []finding {
	dir := cfg.Store.Dir
	there, err := existing(dir)
	if err != nil {
		return []finding{fail(err.Error(), "Set store.dir to a directory that docscand may use.")}
	}
	st, err := os.Stat(there)
	if err != nil {
		return []finding{fail(err.Error(), "Set store.dir to a directory that docscand may use.")}
	}
	if !st.IsDir() {
		return []finding{fail(there+" is no directory", "Remove the file, or set store.dir to a directory.")}
	}
	if !allowed(there, unix.R_OK|unix.W_OK|unix.X_OK) {
		return []finding{fail(fmt.Sprintf("%s may not write in %s", who(), there), "Run this as the user that docscand runs as, or give that user the directory: chown -R docscan "+there)}
	}
	if abs, err := filepath.Abs(dir); err == nil && abs != there {
		return []finding{ok("%s will be created", dir)}
	}
	// What a run as another user has left behind cannot be opened later.
	for _, name := range []string{"docscan.db", "blobs", "spool", "index"} {
		path := filepath.Join(dir, name)
		if _, err := os.Lstat(path); err == nil && !allowed(path, unix.R_OK|unix.W_OK) {
			return []finding{fail(fmt.Sprintf("%s may not write %s", who(), path), "Run this as the user that docscand runs as, or give that user the data: chown -R docscan "+dir)}
		}
	}
	return []finding{ok("%s", dir)}
}

func checkSpace(_ context.Context, cfg *config) []finding {
	there, err := existing(cfg.Store.Dir)
	if err != nil {
		return nil // checkDirectory has said it
	}
	var st unix.Statfs_t
	if err := unix.Statfs(there, &st); err != nil {
		return []finding{fail(fmt.Sprintf("the free space of %s cannot be told: %v", there, err), "Set store.dir to a local disk.")}
	}
	if st.Flags&unix.ST_RDONLY != 0 {
		return []finding{fail(there+" is on a disk that is mounted read-only", "Mount it for writing; a disk that became read-only of its own is likely damaged.")}
	}
	free := st.Bavail * uint64(st.Bsize) >> 20
	need := uint64(cfg.Scan.MinFreeMB)
	switch {
	case free < need:
		return []finding{fail(fmt.Sprintf("only %d MiB are free; scanning needs %d (scan.min_free_mb)", free, need), "Free some space or use a larger disk.")}
	case free < 4*need:
		return []finding{warning(fmt.Sprintf("only %d MiB are free", free), fmt.Sprintf("Free some space soon: below %d MiB (scan.min_free_mb) scanning stops.", need))}
	}
	return []finding{ok("%d MiB are free", free)}
}

func checkStore(_ context.Context, cfg *config) []finding {
	err := store.Probe(cfg.Store.Dir)
	switch {
	case err == nil:
		return []finding{ok("the data can be read")}
	case errors.Is(err, fs.ErrNotExist):
		return []finding{ok("there are no data yet")}
	case errors.Is(err, store.ErrLocked):
		return []finding{ok("docscand is running with these data")}
	case errors.Is(err, fs.ErrPermission):
		return []finding{fail(err.Error(), "Run this as the user that docscand runs as.")}
	case errors.Is(err, store.ErrNewerSchema):
		return []finding{fail(err.Error(), "")}
	}
	return []finding{fail(err.Error(), "Do not delete anything. Copy the directory, then restore a backup: docscanctl restore FILE")}
}

// checkDatabase looks at a copy of the database, as the one in use is held by the
// docscand that is running.
func checkDatabase(name string) finding {
	switch err := store.ProbeFile(name); {
	case err == nil:
		return ok("this version can read the data")
	case errors.Is(err, store.ErrNewerSchema):
		return fail(err.Error(), "")
	default:
		return fail(err.Error(), "docscanctl check says what is wrong with the data.")
	}
}

// maxSocketPath is how long the path of a socket can be on Linux, in bytes.
const maxSocketPath = 107

func checkSocket(_ context.Context, cfg *config) []finding {
	path := filepath.Join(cfg.Store.Dir, "docscand.sock")
	if len(path) > maxSocketPath {
		return []finding{fail(fmt.Sprintf("%s is too long for the name of a socket (%d bytes, at most %d)", path, len(path), maxSocketPath), "Choose a shorter store.dir.")}
	}
	st, err := os.Lstat(path)
	if err == nil && st.Mode()&fs.ModeSocket == 0 {
		return []finding{fail(path+" is there and is no socket", "Remove it.")}
	}
	return []finding{ok("%s", path)}
}

// probeTimeout bounds each question to something that may be a running docscand.
const probeTimeout = 2 * time.Second

func checkListen(ctx context.Context, cfg *config) []finding {
	address := cfg.Web.Listen
	l, err := net.Listen("tcp", address)
	switch {
	case err == nil:
		l.Close()
		return []finding{ok("%s is free", address)}
	case errors.Is(err, syscall.EADDRINUSE):
		scheme := "http://"
		if cfg.Web.Secure("") {
			scheme = "https://"
		}
		if isDocscan(ctx, scheme+swap.Reach(address)) && errors.Is(store.Probe(cfg.Store.Dir), store.ErrLocked) {
			return []finding{ok("%s is held by the docscand that is running", address)}
		}
		return []finding{fail(address+" is taken by another program", "Stop it (ss -tlnp shows which one it is), or set web.listen to another address.")}
	case errors.Is(err, syscall.EACCES):
		return []finding{fail(fmt.Sprintf("%s may not listen on %s", who(), address), "Choose a port from 1024 up in web.listen, or give docscand the right CAP_NET_BIND_SERVICE.")}
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return []finding{fail("this machine does not have the address "+address, "Set web.listen to an address of this machine, or to :PORT for all of them.")}
	}
	return []finding{fail(err.Error(), "Set web.listen to HOST:PORT, such as 127.0.0.1:8000.")}
}

// isDocscan reports whether a docscand answers at url, well or not.
func isDocscan(ctx context.Context, url string) bool {
	ctx, stop := context.WithTimeout(ctx, probeTimeout)
	defer stop()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/api/health", nil)
	if err != nil {
		return false
	}
	// Whose certificate it is does not matter: nothing secret is asked or told.
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	resp, err := client.Do(req)
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	var health struct {
		Service string `json:"service"`
	}
	err = json.NewDecoder(io.LimitReader(resp.Body, 64<<10)).Decode(&health)
	return err == nil && strings.Contains(health.Service, "docscan")
}

// certificateTime is how long a certificate should hold yet.
const certificateTime = 14 * 24 * time.Hour

func checkEncryption(_ context.Context, cfg *config) []finding {
	w := &cfg.Web
	switch {
	case !w.Secure("") && w.TLS == "off":
		return []finding{warning("pages and API are not encrypted: whoever is on the network can read passwords", "Set web.tls to auto, unless a proxy in front of docscan encrypts.")}
	case !w.Secure(""):
		return []finding{ok("not needed: only this machine can reach %s", w.Listen)}
	case w.Certificate == "":
		return []finding{ok("with a certificate that docscan makes itself")}
	}
	pair, err := tls.LoadX509KeyPair(w.Certificate, w.Key)
	if err != nil {
		return []finding{fail(fmt.Sprintf("the certificate %s with the key %s: %v", w.Certificate, w.Key, err), "Set web.certificate and web.key to PEM files that belong together and that "+who()+" may read.")}
	}
	var list []finding
	if ends := pair.Leaf.NotAfter; time.Until(ends) < certificateTime {
		list = append(list, warning("the certificate ends on "+ends.UTC().Format(time.DateOnly), "Put a new one in its place; docscand reads it without a restart."))
	}
	if info, err := os.Stat(w.Key); err == nil && info.Mode()&0o007 != 0 {
		list = append(list, warning(fmt.Sprintf("everybody on this machine can read the key %s", w.Key), "Take the rights of others away: chmod o-rwx "+w.Key))
	}
	if len(list) == 0 {
		list = append(list, ok("with the certificate %s", w.Certificate))
	}
	return list
}

func checkLanguages(_ context.Context, cfg *config) []finding {
	own := cfg.OCR.In(cfg.Store.Dir)
	if err := own.CheckLanguages(cfg.OCR.Languages); err != nil {
		return []finding{fail(err.Error(), "Install what is missing, or change ocr.languages.")}
	}
	return []finding{ok("%s", strings.Join(cfg.OCR.Languages, ", "))}
}

func checkSimulator(_ context.Context, cfg *config) []finding {
	sim := cfg.Device.Sim
	if !sim.Enabled {
		return []finding{ok("off")}
	}
	entries, err := os.ReadDir(sim.Stack)
	if err != nil {
		return []finding{warning(fmt.Sprintf("the stack %q cannot be read: %v", sim.Stack, errors.Unwrap(err)), "Set device.sim.stack to a folder with page images, or draw one: docscand sample DIR")}
	}
	n := 0
	for _, e := range entries {
		switch strings.ToLower(filepath.Ext(e.Name())) {
		case ".png", ".jpg", ".jpeg", ".tif", ".tiff":
			n++
		}
	}
	if n == 0 {
		return []finding{warning(sim.Stack+" holds no page images; the feeder will be empty", "Put PNG, JPEG or TIFF files there, or draw a sample: docscand sample "+sim.Stack)}
	}
	return []finding{ok("%d page images in %s", n, sim.Stack)}
}

// checkKnownPage reads a page whose words are known, as the daemon would. What
// it needs for that is in a directory for passing things, not in the data.
func checkKnownPage(ctx context.Context, cfg *config) finding {
	const advice = "Look for what the system's log says of tesseract."
	exe, err := os.Executable()
	if err != nil {
		return fail(err.Error(), advice)
	}
	dir, err := os.MkdirTemp("", "docscan-check-")
	if err != nil {
		return fail(err.Error(), "Make room in the directory for passing things (TMPDIR, /tmp).")
	}
	defer os.RemoveAll(dir)
	pool, err := ocr.NewPool(cfg.OCR.In(cfg.Store.Dir), exe, slog.New(slog.DiscardHandler))
	if err != nil {
		return fail(err.Error(), advice)
	}
	defer pool.Close()
	start := time.Now()
	if _, err := readKnownPage(ctx, pool, dir); err != nil {
		return fail(err.Error(), advice)
	}
	return ok("read in %d ms", time.Since(start).Milliseconds())
}

// usbRoot is where Linux shows the devices on the bus.
const usbRoot = "/dev/bus/usb"

func checkUSB(_ context.Context, cfg *config) []finding {
	if !cfg.Device.USB.Enabled {
		return []finding{ok("off")}
	}
	return checkBus(usbRoot)
}

func checkSANE(_ context.Context, cfg *config) []finding {
	if !cfg.Device.SANE.Enabled {
		return []finding{ok("off")}
	}
	path, there := sane.Installed()
	if !there {
		return []finding{warning("libsane is not installed, so scanners that docscan has no driver of its own for are not found", "Install it (apt install libsane1), or set device.sane.enabled to false.")}
	}
	return []finding{ok("%s is loaded by helpers when it is needed", path)}
}

func checkQuirks(_ context.Context, cfg *config) []finding {
	if _, err := quirks.Load(cfg.Device.Quirks); err != nil {
		return []finding{fail(err.Error(), "Correct the file, or take it out of the folder.")}
	}
	return []finding{ok("the rules on single models are in order")}
}

func checkPanel(_ context.Context, cfg *config) []finding {
	if !cfg.Panel.Enabled() {
		return []finding{ok("there is none")}
	}
	if err := gpio.Examine(cfg.Panel); err != nil {
		return []finding{fail(err.Error(), "docs/panel.md says how a panel is wired and set up.")}
	}
	return []finding{ok("the lines of buttons and lights are there and free")}
}

// checkBus looks whether docscand may open the devices below root. Which of
// them are scanners cannot be told without opening them.
func checkBus(root string) []finding {
	devices, err := filepath.Glob(filepath.Join(root, "*", "*"))
	if err != nil || len(devices) == 0 {
		return []finding{warning("no USB devices are to be seen in "+root, "Nothing is wrong if the scanner is on the network. In a container, pass "+root+" on.")}
	}
	closed := 0
	for _, d := range devices {
		if !allowed(d, unix.R_OK|unix.W_OK) {
			closed++
		}
	}
	if closed == len(devices) {
		return []finding{warning(fmt.Sprintf("%s may open none of the %d USB devices", who(), closed), "Install docscan's udev rules and plug the scanner in again, or run docscand as a user who may use scanners (group scanner or lp).")}
	}
	return []finding{ok("%d of %d devices may be opened", len(devices)-closed, len(devices))}
}

// built is a day that is past for sure: the clock of a box without a battery
// starts long before it.
var built = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func checkClock(_ context.Context, cfg *config) []finding {
	return checkTime(time.Now(), cfg.Store.Dir)
}

func checkTime(now time.Time, dir string) []finding {
	if now.Before(built) {
		return []finding{warning("the clock says "+now.UTC().Format(time.DateTime)+" UTC, which is past long ago", "Set the clock (timedatectl). Documents scanned until then carry this date.")}
	}
	// A database from the future says that the clock went back.
	if st, err := os.Stat(filepath.Join(dir, "docscan.db")); err == nil && st.ModTime().After(now.Add(time.Minute)) {
		return []finding{warning(fmt.Sprintf("the clock says %s UTC, but the data were written at %s", now.UTC().Format(time.DateTime), st.ModTime().UTC().Format(time.DateTime)), "Set the clock (timedatectl).")}
	}
	return []finding{ok("%s UTC", now.UTC().Format(time.DateTime))}
}
