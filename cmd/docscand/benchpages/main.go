// Benchpages measures what becomes of single pages: how well they are read, how
// they are turned and straightened, which are taken for blank, and what that
// costs, beside Debian's OCRmyPDF and the bare tesseract command on the same
// files in the same run. It draws its own pages, and takes those of a corpus if
// it is given one: a folder with a manifest.json.
//
// Times are only worth something as ratios; machines differ.
package main

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"math"
	"os"
	"os/signal"
	"regexp"
	"slices"
	"strings"

	"docscan/scan/ocr"
)

// workers is how many pages every contender works on at a time.
const workers = 2

// sets are the sets of pages: three that are drawn, and the corpus.
var sets = []string{"generated", "varied", "codes", "corpus"}

func main() {
	if len(os.Args) > 1 && os.Args[1] == "worker" {
		os.Exit(ocr.WorkerMain(os.Args[2:]))
	}
	var o options
	flag.StringVar(&o.corpus, "corpus", "", "folder of a corpus with its manifest.json")
	flag.StringVar(&o.sets, "sets", strings.Join(sets, ","), "sets of pages")
	flag.StringVar(&o.peers, "peers", "tesseract,pdf,pdfa", "who else reads them: the bare engine, OCRmyPDF to PDF, and with its cleaning to PDF/A")
	flag.BoolVar(&o.reread, "reread", false, "read the pages once more from their PDF")
	flag.IntVar(&o.seed, "seed", 1, "first seed of generated pages")
	flag.IntVar(&o.seeds, "seeds", 1, "generated pages of each kind")
	flag.StringVar(&o.languages, "languages", "eng,deu,fra", "languages of the profile, main language first")
	flag.StringVar(&o.size, "size", string(ocr.BalancedSize), "size of the PDF: balanced, original or smallest")
	flag.StringVar(&o.only, "only", "", "pages whose name contains one of these, with commas between")
	flag.BoolVar(&o.each, "each", false, "a line for each page")
	flag.IntVar(&o.endure, "endure", 0, "instead: so many pages in a row in one worker, for its memory; those of -only, if it is given")
	flag.StringVar(&o.dir, "keep", "", "folder to keep the drawn pages, their PDFs and all texts in")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := bench(ctx, os.Stdout, o); err != nil {
		fmt.Fprintln(os.Stderr, "benchpages:", err)
		os.Exit(1)
	}
}

type options struct {
	corpus, sets, peers, languages, size, only, dir string
	reread, each                                    bool
	seed, seeds, endure                             int
}

func (o options) languageList() []string { return strings.Split(o.languages, ",") }

func (o options) with(set string) bool { return slices.Contains(strings.Split(o.sets, ","), set) }

// A contender is one who reads all pages.
type contender struct {
	name  string
	cost  cost
	texts map[string]string
}

func bench(ctx context.Context, w io.Writer, o options) error {
	dir := o.dir
	if dir == "" {
		var err error
		if dir, err = os.MkdirTemp("", "docscan-benchpages"); err != nil {
			return err
		}
		defer os.RemoveAll(dir)
	} else if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	if o.endure > 0 {
		return endurance(ctx, w, o, dir)
	}
	for _, set := range sets {
		pages, err := o.pages(set, dir)
		if err != nil {
			return err
		}
		if len(pages) == 0 {
			continue
		}
		log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
		c, found, err := docscan(ctx, log, pages, o, dir)
		if err != nil {
			return err
		}
		contenders := []contender{c}
		for peer := range strings.SplitSeq(o.peers, ",") {
			c := contender{name: peer}
			switch peer {
			case "":
				continue
			case "tesseract":
				c.cost, c.texts, err = bare(ctx, pages, o.languageList(), dir)
			case "pdf", "pdfa":
				c.name = "omp " + peer
				c.cost, c.texts, err = ocrmypdf(ctx, pages, o.languageList(), dir, peer, peer == "pdfa")
			default:
				err = fmt.Errorf("nobody is called %q", peer)
			}
			if err != nil {
				return err
			}
			contenders = append(contenders, c)
		}
		report(w, set, pages, contenders, found, o.each)
	}
	return nil
}

// pages gives the pages of a set that are wanted.
func (o options) pages(set, dir string) ([]page, error) {
	wanted := func(id string) bool {
		return slices.ContainsFunc(strings.Split(o.only, ","), func(part string) bool { return strings.Contains(id, part) })
	}
	switch {
	case !o.with(set), set == "corpus" && o.corpus == "":
		return nil, nil
	case set == "corpus":
		pages, err := corpus(o.corpus)
		return slices.DeleteFunc(pages, func(p page) bool { return !wanted(p.id) }), err
	}
	return generated(dir, set, o.seed, o.seeds, wanted)
}

// report prints one set of pages.
func report(w io.Writer, set string, pages []page, contenders []contender, found map[string]finding, each bool) {
	n := float64(len(pages))
	fmt.Fprintf(w, "%s: %d pages\n%-30s", set, len(pages), "")
	row := func(name, format string, value func(contender) float64) {
		fmt.Fprintf(w, "%-30s", name)
		for _, c := range contenders {
			fmt.Fprintf(w, " %11s", fmt.Sprintf(format, value(c)))
		}
		fmt.Fprintln(w)
	}
	for _, c := range contenders {
		fmt.Fprintf(w, " %11s", c.name)
	}
	fmt.Fprintln(w)
	row("pages a minute", "%.1f", func(c contender) float64 { return n / c.cost.wall.Minutes() })
	row("CPU seconds a page", "%.2f", func(c contender) float64 { return c.cost.cpu.Seconds() / n })
	row("peak of one process, MiB", "%.0f", func(c contender) float64 { return float64(c.cost.peak) / (1 << 20) })
	row("bytes a page", "%.0f", func(c contender) float64 { return float64(c.cost.bytes) / n })
	all, byKind := newScores(), make(map[string]*scores)
	var kinds []string
	for _, p := range pages {
		if !p.scored {
			continue
		}
		s := byKind[p.kind]
		if s == nil {
			s = newScores()
			byKind[p.kind] = s
			kinds = append(kinds, p.kind)
		}
		for _, to := range []*scores{s, all} {
			to.add(p, contenders, found[p.id])
		}
	}
	if len(kinds) > 0 {
		row("character errors, %", "%.2f", func(c contender) float64 { return 100 * all.by[c.name].cer() })
		row("word F1", "%.3f", func(c contender) float64 { return all.by[c.name].f1() })
	}
	decisions(w, pages, found)
	fmt.Fprintf(w, "pages with text: median PDF %d bytes", median(all.sizes))
	if all.again.chars > 0 {
		fmt.Fprintf(w, "; read from it %.2f %%", 100*all.again.cer())
	}
	fmt.Fprintf(w, "\n\n%-44s character errors, %% and word F1; read from the PDF, %%; median bytes of the PDF\n", "")
	first := contenders[0].name
	slices.SortStableFunc(kinds, func(a, b string) int { return cmp.Compare(byKind[b].by[first].cer(), byKind[a].by[first].cer()) })
	for _, k := range kinds {
		s := byKind[k]
		fmt.Fprintf(w, "%-44s", k)
		worse := ""
		for _, c := range contenders {
			fmt.Fprintf(w, "  %6.2f %.3f", 100*s.by[c.name].cer(), s.by[c.name].f1())
			if s.by[c.name].cer() < s.by[first].cer() {
				worse = "  worse than " + c.name
			}
		}
		if s.again.chars > 0 {
			fmt.Fprintf(w, "  %6.2f", 100*s.again.cer())
		}
		fmt.Fprintf(w, " %7d%s\n", median(s.sizes), worse)
	}
	if each {
		fmt.Fprintln(w)
		for _, p := range pages {
			f := found[p.id]
			fmt.Fprintf(w, "%-42s CPU %5.2f  %3d MiB  blank %-5v turn %3d (%3d) skew %5.2f (%5.2f) conf %3.0f  %7d of %7d bytes", p.id, f.cpu.Seconds(), f.peak>>20, f.blank, f.rotate, p.upright, f.skew, p.skew, f.confidence, f.pdf, f.scan)
			if p.scored {
				s := compare(contenders[0].texts[p.id], p.want, p.fold)
				fmt.Fprintf(w, "  CER %6.2f F1 %.3f", 100*s.cer(), s.f1())
				if f.again != "" {
					s := compare(f.again, p.want, p.fold)
					fmt.Fprintf(w, " again %6.2f", 100*s.cer())
				}
			}
			if !slices.Equal(sorted(p.codes), sorted(f.codes)) {
				fmt.Fprintf(w, "  codes %q, not %q", f.codes, p.codes)
			}
			if f.err != nil {
				fmt.Fprintf(w, "  %v", f.err)
			}
			fmt.Fprintf(w, "  %s\n", f.layers)
		}
	}
	fmt.Fprintln(w)
}

// scores are those of some pages.
type scores struct {
	by    map[string]*score // by contender
	again score             // of docscan's own PDF
	sizes []int64           // bytes of it
}

func newScores() *scores { return &scores{by: make(map[string]*score)} }

func (s *scores) add(p page, contenders []contender, f finding) {
	for _, c := range contenders {
		if s.by[c.name] == nil {
			s.by[c.name] = new(score)
		}
		s.by[c.name].add(compare(c.texts[p.id], p.want, p.fold))
	}
	if f.again != "" {
		s.again.add(compare(f.again, p.want, p.fold))
	}
	if f.pdf > 0 {
		s.sizes = append(s.sizes, f.pdf)
	}
}

func median(list []int64) int64 {
	if len(list) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(list))
	return sorted[len(sorted)/2]
}

// label is what a label says; a space and zeros before its number mean nothing.
var label = regexp.MustCompile(`^([A-Z]+) ?0*([0-9]+)$`)

// sorted gives what several codes say, each once.
func sorted(codes []string) []string {
	var said []string
	for _, c := range codes {
		said = append(said, label.ReplaceAllString(c, "$1$2"))
	}
	slices.Sort(said)
	return slices.Compact(said)
}

// decisions prints what was decided of the pages, and where that was wrong.
func decisions(w io.Writer, pages []page, found map[string]finding) {
	line := func(name string, counts func(page) bool, right func(page, finding) bool) {
		var all int
		var wrong []string
		for _, p := range pages {
			if !counts(p) {
				continue
			}
			if all++; !right(p, found[p.id]) {
				wrong = append(wrong, p.id)
			}
		}
		fmt.Fprintf(w, "%-30s %11s", name, fmt.Sprintf("%d of %d", all-len(wrong), all))
		if len(wrong) > 0 {
			fmt.Fprintf(w, "   wrong: %s", strings.Join(wrong, " "))
		}
		fmt.Fprintln(w)
	}
	line("kept, and should be", func(p page) bool { return !p.blank }, func(_ page, f finding) bool { return !f.blank })
	line("blank, and set aside", func(p page) bool { return p.blank }, func(_ page, f finding) bool { return f.blank })
	line("upright", func(p page) bool { return p.known }, func(p page, f finding) bool { return f.rotate == p.upright })
	line("straight to 0.1 degrees", func(p page) bool { return p.skewed }, func(p page, f finding) bool { return math.Abs(f.skew-p.skew) <= 0.1 })
	line("separator, and set aside", func(p page) bool { return p.separator }, func(_ page, f finding) bool { return f.separator })
	line("no separator, and kept", func(p page) bool { return !p.separator }, func(_ page, f finding) bool { return !f.separator })
	line("barcodes, all and no other", func(p page) bool { return len(p.codes) > 0 }, func(p page, f finding) bool {
		return slices.Equal(sorted(p.codes), sorted(f.codes))
	})
	line("no barcode, and none invented", func(p page) bool { return len(p.codes) == 0 }, func(_ page, f finding) bool { return len(f.codes) == 0 })
	line("PDF not larger than the scan", func(p page) bool { return found[p.id].err == nil }, func(_ page, f finding) bool { return f.pdf <= f.plain })
	line("no failure", func(page) bool { return true }, func(_ page, f finding) bool { return f.err == nil })
}
