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
	"regexp"
	"runtime"
	"slices"
	"strings"
	"time"

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
	Workers            int      `toml:"workers"`              // processes; 0: one for each processor core
	Languages          []string `toml:"languages"`            // of profiles that name none, main language first
	PageTimeoutSeconds int      `toml:"page_timeout_seconds"` // for one step of one page
	WorkerPages        int      `toml:"worker_pages"`         // steps after which a worker is replaced
	WorkerMemoryMB     int      `toml:"worker_memory_mb"`     // a worker that wants more fails
	RecycleMemoryMB    int      `toml:"recycle_memory_mb"`    // a worker that keeps more after a page is replaced
	IdleSeconds        int      `toml:"idle_seconds"`         // an idle worker is stopped after this time
	MaxPixels          int64    `toml:"max_pixels"`           // a larger image is refused by its header
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
// languages are installed; see [CheckLanguages].
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
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// workers gives the number of processes to use.
func (c *Config) workers() int {
	if c.Workers > 0 {
		return c.Workers
	}
	return runtime.NumCPU()
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
	Path      string   // the side as it was scanned
	DPI       int      // Prepared.DPI
	Languages []string // main language first; empty: the configured ones
	Turned    bool     // it lies upside down unless its text says otherwise
	Blank     Blank    // how little ink keeps the side from being blank
	Leave     []Step   // that are left out
	Dir       string   // where upright pictures are to be written: an existing folder of the caller's
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
	Crop       Step = "crop"       // cut to the sheet
	Background Step = "background" // made even and white for reading
)

// Steps lists them in the order in which they are done.
func Steps() []Step { return []Step{Upright, Straighten, Crop, Background} }

// Recognized is what became of a RecognizeJob.
type Recognized struct {
	Text  text.Page
	Blank bool   // nothing is on it that anybody would miss
	View  string // as in Prepared but upright, straight and cut to the sheet; empty where that makes no difference
	Thumb string
	CPU   time.Duration // that the worker took
}

// The sizes of the pictures for a screen: the long side in pixels, and the
// quality of the JPEG.
const (
	viewSide, viewQuality   = 1600, 78
	thumbSide, thumbQuality = 320, 75
)

// languageName is how Tesseract calls a language, such as "eng" or "chi_sim".
var languageName = regexp.MustCompile(`^[A-Za-z][A-Za-z_]{1,30}$`)

// maxLanguages bounds what is tried on one page. Every language costs time and
// memory and makes the others less sure.
const maxLanguages = 5

func checkNames(languages []string) error {
	if len(languages) > maxLanguages {
		return fmt.Errorf("languages names %d: at most %d can be used for one page", len(languages), maxLanguages)
	}
	for _, l := range languages {
		if !languageName.MatchString(l) {
			return fmt.Errorf(`languages names %q, which is not the name of a language, such as "eng" or "deu"`, l)
		}
	}
	return nil
}

// CheckLanguages says which of the languages are not installed and what to do
// about it. The error matches [ErrLanguage].
func CheckLanguages(languages []string) error {
	if err := checkNames(languages); err != nil {
		return fmt.Errorf("%w: %w", ErrLanguage, err)
	}
	installed, err := InstalledLanguages()
	if err != nil {
		return err
	}
	var packages []string
	for _, l := range languages {
		if !slices.Contains(installed, l) {
			packages = append(packages, "tesseract-ocr-"+strings.ToLower(strings.ReplaceAll(l, "_", "-")))
		}
	}
	if len(packages) > 0 {
		return fmt.Errorf("%w: install the Debian package %s", ErrLanguage, strings.Join(packages, " and "))
	}
	return nil
}

// InstalledLanguages lists the languages of which Tesseract's data are on this
// computer, sorted.
func InstalledLanguages() ([]string, error) {
	dir, err := tessdata()
	if err != nil {
		return nil, err
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.traineddata"))
	if err != nil {
		return nil, fmt.Errorf("list languages: %w", err)
	}
	var languages []string
	for _, f := range files {
		l := strings.TrimSuffix(filepath.Base(f), ".traineddata")
		if l != osd && l != "equ" && languageName.MatchString(l) { // these two read no text
			languages = append(languages, l)
		}
	}
	slices.Sort(languages)
	return languages, nil
}

// osd is the data that tell orientation and script.
const osd = "osd"

// tessdata finds the folder with Tesseract's data: that of the environment, or
// the newest of the usual places.
func tessdata() (string, error) {
	if dir := os.Getenv("TESSDATA_PREFIX"); dir != "" {
		return dir, nil
	}
	for _, pattern := range []string{"/usr/share/tesseract-ocr/*/tessdata", "/usr/local/share/tessdata", "/usr/share/tessdata"} {
		dirs, err := filepath.Glob(pattern)
		if err == nil && len(dirs) > 0 {
			return dirs[len(dirs)-1], nil
		}
	}
	return "", fmt.Errorf("%w: there are no language data on this computer: install the Debian package tesseract-ocr-eng", ErrLanguage)
}
