package ocr

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"docscan/scan/refusal"
)

// Language data come from Debian's packages, or from a person who has handed in a
// file. Tesseract takes all its languages from one folder. Where there are files of
// a person's, that folder is theirs, and the others are linked into it.

const dataSuffix = ".traineddata"

// A Language is one whose data are here.
type Language struct {
	Name string `json:"name"` // Tesseract's, such as "eng" or "chi_sim"
	Own  bool   `json:"own"`  // a person has handed it in
	Size int64  `json:"size"` // bytes of its data
}

// languageName is how Tesseract calls a language, such as "eng" or "chi_sim".
var languageName = regexp.MustCompile(`^[A-Za-z][A-Za-z_]{1,30}$`)

// maxLanguages bounds what is tried on one page. Every language costs time and
// memory and makes the others less sure.
const maxLanguages = 5

func checkNames(languages []string) error {
	if len(languages) > maxLanguages {
		return refusal.New(ErrLanguage, "One page can be read in at most %d languages, not in %d.", maxLanguages, len(languages))
	}
	for _, l := range languages {
		if !languageName.MatchString(l) {
			return refusal.New(ErrLanguage, "%q is not the name of a language, such as eng or deu_frak.", l)
		}
	}
	return nil
}

// DebianPackage is the package with the data of a language.
func DebianPackage(language string) string {
	return "tesseract-ocr-" + strings.ToLower(strings.ReplaceAll(language, "_", "-"))
}

// CheckLanguages says which of the languages are not installed and what to do
// about it. The error matches [ErrLanguage].
func (c *Config) CheckLanguages(languages []string) error {
	if err := checkNames(languages); err != nil {
		return err
	}
	installed, err := c.Installed()
	if err != nil {
		return err
	}
	var packages []string
	for _, l := range languages {
		if !slices.ContainsFunc(installed, func(x Language) bool { return x.Name == l }) {
			packages = append(packages, DebianPackage(l))
		}
	}
	if len(packages) > 0 {
		return refusal.New(ErrLanguage, "A language is not installed. Install the Debian package: %s", strings.Join(packages, ", "))
	}
	return nil
}

// Installed lists the languages whose data are on this computer, by name. Data that
// read no text are not among them.
func (c *Config) Installed() ([]Language, error) {
	own, err := dataIn(c.DataDir, true)
	if err != nil {
		return nil, err
	}
	var all []Language
	if system, err := tessdata(); err == nil {
		if all, err = dataIn(system, false); err != nil {
			return nil, err
		}
	} else if len(own) == 0 {
		return nil, err
	}
	all = slices.DeleteFunc(all, func(l Language) bool {
		return slices.ContainsFunc(own, func(o Language) bool { return o.Name == l.Name })
	})
	all = slices.DeleteFunc(append(all, own...), func(l Language) bool { return l.Name == osd || l.Name == "equ" })
	slices.SortFunc(all, func(a, b Language) int { return strings.Compare(a.Name, b.Name) })
	return all, nil
}

// dataIn lists the language data in a folder that need not be there. In that of a
// person's, links are ours and do not count.
func dataIn(dir string, own bool) ([]Language, error) {
	if dir == "" {
		return nil, nil
	}
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("list languages: %w", err)
	}
	var all []Language
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), dataSuffix)
		if !ok || !languageName.MatchString(name) || own && !e.Type().IsRegular() {
			continue
		}
		info, err := os.Stat(filepath.Join(dir, e.Name()))
		if err != nil {
			continue // removed meanwhile, or a link to nothing
		}
		all = append(all, Language{Name: name, Own: own, Size: info.Size()})
	}
	return all, nil
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

// dataDirs gives the folder that a worker takes its languages from and, behind it,
// the one that links in there lead to.
func (c *Config) dataDirs() ([]string, error) {
	own, err := dataIn(c.DataDir, true)
	if err != nil {
		return nil, err
	}
	system, serr := tessdata()
	switch {
	case len(own) == 0 && serr != nil:
		return nil, serr
	case len(own) == 0:
		return []string{system}, nil
	case serr != nil:
		return []string{c.DataDir}, nil
	}
	return []string{c.DataDir, system}, linkData(system, c.DataDir)
}

// linkData makes the data in system reachable in dir, as far as dir has none of
// that name, and takes away links to what is gone.
func linkData(system, dir string) error {
	have, err := dataIn(system, false)
	if err != nil {
		return err
	}
	wanted := make(map[string]bool)
	for _, l := range have {
		wanted[l.Name+dataSuffix] = true
		link, target := filepath.Join(dir, l.Name+dataSuffix), filepath.Join(system, l.Name+dataSuffix)
		info, err := os.Lstat(link)
		if err == nil && info.Mode().IsRegular() {
			continue
		}
		if to, err := os.Readlink(link); err == nil && to == target {
			continue
		}
		// In one step, as another worker may be about to read it.
		fresh := filepath.Join(dir, ".link-"+l.Name)
		if err := os.Remove(fresh); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("link language data: %w", err)
		}
		if err := os.Symlink(target, fresh); err != nil {
			return fmt.Errorf("link language data: %w", err)
		}
		if err := os.Rename(fresh, link); err != nil {
			return fmt.Errorf("link language data: %w", err)
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("link language data: %w", err)
	}
	for _, e := range entries {
		if e.Type()&fs.ModeSymlink != 0 && strings.HasSuffix(e.Name(), dataSuffix) && !wanted[e.Name()] {
			if err := os.Remove(filepath.Join(dir, e.Name())); err != nil {
				return fmt.Errorf("link language data: %w", err)
			}
		}
	}
	return nil
}

// maxData bounds a file of language data, in bytes. The largest that there are, the
// best ones for a whole script, have 90 MB.
const maxData = 128 << 20

// ErrData says why a file of language data is refused. Its text is fit for people.
var ErrData = errors.New("the language data cannot be used")

func badData(message string, args ...any) error {
	return refusal.New(ErrData, message, args...)
}

// DefaultLanguages are those of pages for which none are named.
func (p *Pool) DefaultLanguages() []string { return p.cfg.Languages }

// Languages lists the languages that pages can be read in.
func (p *Pool) Languages() ([]Language, error) { return p.cfg.Installed() }

// CheckLanguages is [Config.CheckLanguages].
func (p *Pool) CheckLanguages(languages []string) error { return p.cfg.CheckLanguages(languages) }

// AddLanguage takes language data that a person hands in, or puts them in place of
// such as are there. Before they are used, a confined worker has read a page with
// them. The error wraps ErrData where they are no good.
func (p *Pool) AddLanguage(ctx context.Context, name string, r io.Reader) error {
	if p.cfg.DataDir == "" {
		return badData("This docscan has no folder for language data.")
	}
	if !languageName.MatchString(name) || name == osd || name == "equ" {
		return badData("%q is not the name of a language, such as eng or deu_frak.", name)
	}
	if err := os.MkdirAll(p.cfg.DataDir, 0o700); err != nil {
		return fmt.Errorf("take language data: %w", err)
	}
	trial, err := os.MkdirTemp(p.cfg.DataDir, ".trial-")
	if err != nil {
		return fmt.Errorf("take language data: %w", err)
	}
	defer os.RemoveAll(trial)
	path := filepath.Join(trial, name+dataSuffix)
	if err := writeData(path, r); err != nil {
		return err
	}
	if err := p.tryData(ctx, trial, name); err != nil {
		return err
	}
	if err := os.Rename(path, filepath.Join(p.cfg.DataDir, name+dataSuffix)); err != nil {
		return fmt.Errorf("take language data: %w", err)
	}
	return syncDir(p.cfg.DataDir)
}

// RemoveLanguage removes data that a person has handed in. If Debian's are there
// too, they hold again.
func (p *Pool) RemoveLanguage(name string) error {
	own, err := dataIn(p.cfg.DataDir, true)
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(own, func(l Language) bool { return l.Name == name }) {
		return badData("%q was not handed in; a language of Debian's is removed with its package.", name)
	}
	if err := os.Remove(filepath.Join(p.cfg.DataDir, name+dataSuffix)); err != nil {
		return fmt.Errorf("remove language data: %w", err)
	}
	return syncDir(p.cfg.DataDir)
}

func writeData(path string, r io.Reader) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err != nil {
		return fmt.Errorf("take language data: %w", err)
	}
	defer f.Close()
	n, err := io.Copy(f, io.LimitReader(r, maxData+1))
	switch {
	case err != nil:
		return fmt.Errorf("take language data: %w", err)
	case n > maxData:
		return badData("The file is larger than %d MiB.", maxData>>20)
	}
	if err := checkData(f, n); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return fmt.Errorf("take language data: %w", err)
	}
	return nil
}

// Parts of a file of language data (tesseract, src/ccutil/tessdatamanager.h): the
// number of entries, then where each begins, -1 for one that is missing.
const (
	maxEntries = 24
	entryLSTM  = 17 // the network that reads
	entryOld   = 4  // the shapes of the engine before it
)

// checkData looks whether a file has the form of language data. It keeps what is
// surely something else from the engine; what is in the parts, only the engine
// knows.
func checkData(r io.ReaderAt, size int64) error {
	head := make([]byte, 4+8*maxEntries)
	n, err := r.ReadAt(head, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("read language data: %w", err)
	}
	if n < 4 {
		return badData("The file is empty.")
	}
	order := binary.ByteOrder(binary.LittleEndian)
	entries := order.Uint32(head)
	if entries > maxEntries {
		order = binary.BigEndian
		entries = order.Uint32(head)
	}
	if entries == 0 || entries > maxEntries || n < 4+8*int(entries) {
		return badData("This is no .traineddata file of Tesseract.")
	}
	reads := false
	for i := range int(entries) {
		at := int64(order.Uint64(head[4+8*i:]))
		if at < -1 || at >= size || at >= 0 && at < 4+8*int64(entries) {
			return badData("The file is incomplete or damaged.")
		}
		reads = reads || at >= 0 && (i == entryLSTM || i == entryOld)
	}
	if !reads {
		return badData("There is nothing in the file that reads text.")
	}
	return nil
}

// tryData reads the known page in a worker that has these data only.
func (p *Pool) tryData(ctx context.Context, dir, name string) error {
	page := filepath.Join(dir, "page.png")
	if err := DrawKnownPage(page); err != nil {
		return err
	}
	flags := p.workerFlags([]string{dir})
	w, err := p.launchWorker(ctx, flags)
	if err != nil {
		return err
	}
	defer w.kill()
	t := &task{
		ctx:   ctx,
		req:   request{Kind: kindRecognize, MaxPixels: p.cfg.MaxPixels, DPI: KnownDPI, Languages: []string{name}},
		image: page,
		out:   []string{filepath.Join(dir, "upright.jpg"), filepath.Join(dir, "upright-thumb.jpg")},
	}
	t.answer, err = w.do(ctx, time.Duration(p.cfg.PageTimeoutSeconds)*time.Second, t)
	if err == nil {
		err = t.answer.check(t.req)
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		return badData("The engine cannot read with these data: %v", err)
	}
	return nil
}

func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("sync language data: %w", err)
	}
	defer d.Close()
	if err := d.Sync(); err != nil {
		return fmt.Errorf("sync language data: %w", err)
	}
	return nil
}
