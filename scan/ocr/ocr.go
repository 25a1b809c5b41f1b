// Package ocr turns scanned sides into pictures for a PDF and a screen, and into
// text.
//
// A [Pool] does this in worker processes: the daemon's own binary started again
// with the argument "worker", which calls [WorkerMain]. Images come from outside
// and are decoded by large C libraries, so a worker has no network, no file but
// those it is handed open, and bounds on memory and time. What it answers is
// checked before it is believed. A worker that crashes, hangs or eats memory
// costs one page one try; the next page gets a new worker.
//
// The engine is Tesseract through gosseract. Everything else about pixels is in
// package imaging.
package ocr

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"docscan/scan/imaging"
	"docscan/scan/text"
)

// Why a page could not be worked on. The text of errors that wrap these is fit
// for people.
var (
	ErrTimeout  = errors.New("the page took too long")
	ErrCrashed  = errors.New("the worker process failed")
	ErrMemory   = errors.New("the page needs more memory than a worker may have")
	ErrImage    = errors.New("the image cannot be used") // it will not get better
	ErrLanguage = errors.New("language not installed")   // nor will this before somebody installs it
	ErrClosed   = errors.New("the workers are stopped")
)

// Config is the section [ocr].
type Config struct {
	Workers            int      `toml:"workers"`              // processes; 0: as many as cores and memory allow
	Languages          []string `toml:"languages"`            // of profiles that name none, main language first
	PageTimeoutSeconds int      `toml:"page_timeout_seconds"` // for one step of one page
	WorkerPages        int      `toml:"worker_pages"`         // steps after which a worker is replaced
	WorkerMemoryMB     int      `toml:"worker_memory_mb"`     // a worker that wants more fails
	RecycleMemoryMB    int      `toml:"recycle_memory_mb"`    // a worker that keeps more after a page is replaced
	IdleSeconds        int      `toml:"idle_seconds"`         // an idle worker is stopped after this time
	MaxPixels          int64    `toml:"max_pixels"`           // a larger image is refused by its header
	DataDir            string   `toml:"data_dir"`             // of languages that were handed in; empty: see [Config.In]
}

// In gives c with what it leaves to the folder of all data: languages that were
// handed in are in tessdata there.
func (c Config) In(dir string) Config {
	if c.DataDir == "" {
		c.DataDir = filepath.Join(dir, "tessdata")
	}
	return c
}

// DefaultConfig suits an office scanner on a small computer.
func DefaultConfig() Config {
	return Config{
		Languages:          []string{"eng"},
		PageTimeoutSeconds: 180,
		WorkerPages:        200,
		WorkerMemoryMB:     1024,
		RecycleMemoryMB:    256,
		IdleSeconds:        60,
		MaxPixels:          150_000_000,
	}
}

// Check says what is wrong with the settings. It does not look whether the
// languages are installed; see [Config.CheckLanguages].
func (c *Config) Check() error {
	var errs []error
	between := func(key string, v, low, high int64) {
		if v < low || v > high {
			errs = append(errs, fmt.Errorf("%s is %d: it must be %d to %d", key, v, low, high))
		}
	}
	between("workers", int64(c.Workers), 0, 256)
	between("page_timeout_seconds", int64(c.PageTimeoutSeconds), 5, 3600)
	between("worker_pages", int64(c.WorkerPages), 1, 100_000)
	between("worker_memory_mb", int64(c.WorkerMemoryMB), 128, 65536)
	between("recycle_memory_mb", int64(c.RecycleMemoryMB), 64, 65536)
	between("idle_seconds", int64(c.IdleSeconds), 1, 86400)
	between("max_pixels", c.MaxPixels, 1_000_000, 1_000_000_000)
	if len(c.Languages) == 0 {
		errs = append(errs, errors.New(`languages is empty: name at least one, such as "eng"`))
	}
	if err := checkNames(c.Languages); err != nil {
		errs = append(errs, fmt.Errorf("languages: %w", err))
	}
	return errors.Join(errs...)
}

// workers gives the number of processes to use: one for each core, as far as
// the memory goes. A box with 1 GB has two, one with 512 MB one.
func (c *Config) workers() int {
	if c.Workers > 0 {
		return c.Workers
	}
	return workersFor(runtime.NumCPU(), memory())
}

// workersFor gives the number of workers for a box of so many cores and bytes of
// memory; 0 bytes if that is not known. A worker needs up to 150 MiB for the
// pages that scanners give, and more for odd ones; the daemon and the system's
// other programs need the reserve.
func workersFor(cores int, memory int64) int {
	const reserve, each = 350 << 20, 250 << 20
	if memory <= 0 {
		return max(cores, 1)
	}
	return max(min(cores, int((memory-reserve)/each)), 1)
}

// memory is how many bytes this process and its workers may use: what the box
// has, or less where the control group says so. 0: the kernel does not tell.
func memory() int64 {
	var info unix.Sysinfo_t
	if err := unix.Sysinfo(&info); err != nil {
		return 0
	}
	have := int64(info.Totalram) * int64(info.Unit)
	group, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return have
	}
	// Version 2 has one line, 0::/path. The limits of the groups above count too.
	_, path, ok := strings.Cut(strings.TrimSpace(string(group)), "0::")
	if !ok {
		return have
	}
	for ; path != "/" && path != "." && path != ""; path = filepath.Dir(path) {
		limit, err := os.ReadFile(filepath.Join("/sys/fs/cgroup", path, "memory.max"))
		if err != nil {
			continue
		}
		if n, err := strconv.ParseInt(strings.TrimSpace(string(limit)), 10, 64); err == nil { // else it is "max"
			have = min(have, n)
		}
	}
	return have
}

// A PrepareJob asks for the pictures of one side.
type PrepareJob struct {
	Path       string // the side as it was scanned
	Resolution int    // dpi the machine was asked for; 0 if nobody knows
	Dir        string // where the pictures are to be written: an existing folder of the caller's
}

// Prepared is what became of a PrepareJob.
type Prepared struct {
	Format  string // the true format: jpeg, png or tiff
	Width   int    // pixels
	Height  int    // pixels
	DPI     int
	Damaged bool // parts of the image are missing; the pictures show what is there
	Image   PDFImage
	View    string        // a JPEG in Dir for a screen, not turned
	Thumb   string        // a small JPEG in Dir, not turned
	CPU     time.Duration // that the worker took
}

// A PDFImage is a file with an image in the form in which a PDF takes it.
type PDFImage struct {
	Path      string // in Dir, or the path of the job when the file can be used as it is
	Filter    string // DCTDecode, FlateDecode or CCITTFaxDecode
	Width     int
	Height    int
	Colors    int // components: 1 or 3
	Bits      int // per component: 1 or 8
	Predictor int // of FlateDecode: 15
	BlackIs1  bool
}

// A RecognizeJob asks for the text of one side.
type RecognizeJob struct {
	Path       string      // the side as it was scanned
	DPI        int         // Prepared.DPI
	Languages  []string    // main language first; empty: the configured ones
	Turned     bool        // it lies upside down unless its text says otherwise
	Blank      Blank       // how little ink keeps the side from being blank
	Leave      []Step      // that are left out
	Separators []Separator // codes of sides whose text nobody wants
	CodesOnly  bool        // its text is known already
	Dir        string      // where upright pictures are to be written: an existing folder of the caller's
}

// Blank is how little ink keeps a side from being taken for blank.
type Blank string

// From never taking a side for blank to doing so soonest.
const (
	KeepBlank    Blank = "keep"
	CarefulBlank Blank = "careful"
	NormalBlank  Blank = "normal" // also when empty
	EagerBlank   Blank = "eager"
)

// Blanks lists them.
func Blanks() []Blank { return []Blank{NormalBlank, CarefulBlank, EagerBlank, KeepBlank} }

// A Step of the clean-up.
type Step string

// The steps.
const (
	Upright    Step = "upright"    // turned by quarters until its text stands upright
	Straighten Step = "straighten" // turned by less, until its lines are level
	Crop       Step = "crop"       // cut to the sheet, and closed where it was punched
	Background Step = "background" // made even for reading, and white where it nearly is
	Colour     Step = "colour"     // kept only where there is some
)

// Steps lists them in the order in which they are done.
func Steps() []Step { return []Step{Upright, Straighten, Crop, Background, Colour} }

// Recognized is what became of a RecognizeJob.
type Recognized struct {
	Text  text.Page
	Blank bool // nothing is on it that anybody would miss
	// Shine is the mean contrast of what is seen through the paper, if that is much:
	// 0 to 1 of the paper's light.
	Shine float64
	// Negative says that the paper is dark.
	Negative bool
	Holes    []Hole // that are punched
	View     string // as in Prepared but upright, straight, cut to the sheet and without holes; empty where that makes no difference
	Thumb    string
	CPU      time.Duration // that the worker took
}

// A Hole is a punched one.
type Hole = imaging.Hole

// The sizes of the pictures for a screen: the long side in pixels, and the
// quality of the JPEG.
const (
	viewSide, viewQuality   = 1600, 78
	thumbSide, thumbQuality = 320, 75
)
