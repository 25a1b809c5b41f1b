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
	"slices"
	"strings"

	"docscan/scan/ocr"
)

// workers is how many pages every contender works on at a time.
const workers = 2

func main() {
	if len(os.Args) > 1 && os.Args[1] == "worker" {
		os.Exit(ocr.WorkerMain(os.Args[2:]))
	}
	var o options
	flag.StringVar(&o.corpus, "corpus", "", "folder of a corpus with its manifest.json")
	flag.BoolVar(&o.quick, "quick", false, "docscan alone, without the peers")
	flag.IntVar(&o.seeds, "seeds", 1, "generated pages of each kind")
	flag.StringVar(&o.languages, "languages", "eng,deu,fra", "languages of the profile, main language first")
	flag.StringVar(&o.only, "only", "", "pages whose name contains one of these, with commas between")
	flag.BoolVar(&o.each, "each", false, "a line for each page")
	flag.StringVar(&o.dir, "keep", "", "folder to keep the drawn pages and all texts in")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := bench(ctx, os.Stdout, o); err != nil {
		fmt.Fprintln(os.Stderr, "benchpages:", err)
		os.Exit(1)
	}
}

type options struct {
	corpus, languages, only, dir string
	quick, each                  bool
	seeds                        int
}

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
	all, err := generated(dir, o.seeds)
	if err != nil {
		return err
	}
	if o.corpus != "" {
		more, err := corpus(o.corpus)
		if err != nil {
			return err
		}
		all = append(all, more...)
	}
	all = slices.DeleteFunc(all, func(p page) bool {
		return !slices.ContainsFunc(strings.Split(o.only, ","), func(part string) bool { return strings.Contains(p.id, part) })
	})
	languages := strings.Split(o.languages, ",")
	for _, set := range []string{"generated", "corpus"} {
		pages := slices.DeleteFunc(slices.Clone(all), func(p page) bool { return p.set != set })
		if len(pages) == 0 {
			continue
		}
		log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
		c, found, err := docscan(ctx, log, pages, languages, dir)
		if err != nil {
			return err
		}
		contenders := []contender{c}
		if !o.quick {
			c, texts, err := bare(ctx, pages, languages, dir)
			if err != nil {
				return err
			}
			contenders = append(contenders, contender{"tesseract", c, texts})
			if c, texts, err = ocrmypdf(ctx, pages, languages, dir); err != nil {
				return err
			}
			contenders = append(contenders, contender{"ocrmypdf", c, texts})
		}
		report(w, set, pages, contenders, found, o.each)
	}
	return nil
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
	row("peak of one worker, MiB", "%.0f", func(c contender) float64 { return float64(c.cost.peak) / (1 << 20) })
	row("bytes a page", "%.0f", func(c contender) float64 { return float64(c.cost.bytes) / n })
	scores := map[string]map[string]*score{"": {}} // by kind and contender
	for _, c := range contenders {
		scores[""][c.name] = new(score)
	}
	for _, p := range pages {
		if !p.scored {
			continue
		}
		for _, kind := range []string{p.kind, ""} {
			if scores[kind] == nil {
				scores[kind] = make(map[string]*score)
			}
			for _, c := range contenders {
				if scores[kind][c.name] == nil {
					scores[kind][c.name] = new(score)
				}
				scores[kind][c.name].add(compare(c.texts[p.id], p.want, p.fold))
			}
		}
	}
	row("character errors, %", "%.2f", func(c contender) float64 { return 100 * scores[""][c.name].cer() })
	row("word F1", "%.3f", func(c contender) float64 { return scores[""][c.name].f1() })
	decisions(w, pages, found)
	fmt.Fprintf(w, "\n%-44s character errors, %% and word F1 by kind\n", "")
	var kinds []string
	for _, p := range pages {
		if p.scored && !slices.Contains(kinds, p.kind) {
			kinds = append(kinds, p.kind)
		}
	}
	first := contenders[0].name
	slices.SortStableFunc(kinds, func(a, b string) int { return cmp.Compare(scores[b][first].cer(), scores[a][first].cer()) })
	for _, k := range kinds {
		fmt.Fprintf(w, "%-44s", k)
		for _, c := range contenders {
			fmt.Fprintf(w, "  %6.2f %.3f", 100*scores[k][c.name].cer(), scores[k][c.name].f1())
		}
		fmt.Fprintln(w)
	}
	if each {
		fmt.Fprintln(w)
		for _, p := range pages {
			f := found[p.id]
			fmt.Fprintf(w, "%-42s CPU %5.2f  %3d MiB  blank %-5v turn %3d (%3d) skew %5.2f (%5.2f) conf %3.0f", p.id, f.cpu.Seconds(), f.peak>>20, f.blank, f.rotate, p.upright, f.skew, p.skew, f.confidence)
			if p.scored {
				s := compare(contenders[0].texts[p.id], p.want, p.fold)
				fmt.Fprintf(w, "  CER %6.2f F1 %.3f", 100*s.cer(), s.f1())
			}
			if f.err != nil {
				fmt.Fprintf(w, "  %v", f.err)
			}
			fmt.Fprintln(w)
		}
	}
	fmt.Fprintln(w)
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
	line("no failure", func(page) bool { return true }, func(_ page, f finding) bool { return f.err == nil })
}
