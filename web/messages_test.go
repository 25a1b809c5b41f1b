package web

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"text/template/parse"
	"time"
)

// TestCatalogues: every message of the templates and of the program stands in
// every catalogue, with the same values in it, and nothing else does.
func TestCatalogues(t *testing.T) {
	want := messagesOfTemplates(t)
	maps.Copy(want, messagesOfProgram(t))
	want["English"] = true // names the catalogue's own language
	for _, l := range allTongues(t) {
		if l == english {
			continue
		}
		for m := range want {
			s, ok := l.text[m]
			if !ok {
				t.Errorf("%s lacks a message: %q", l.Tag, m)
				continue
			}
			if got, want := verbs(s), verbs(m); !slices.Equal(got, want) {
				t.Errorf("%s: %q has the values %q, want %q", l.Tag, s, got, want)
			}
			if strings.Count(s, "|") != strings.Count(m, "|") {
				t.Errorf("%s: %q needs one|many like %q", l.Tag, s, m)
			}
		}
		for m := range l.text {
			if !want[m] {
				t.Errorf("%s has a message that nobody says: %q", l.Tag, m)
			}
		}
	}
}

// verbs gives what stands for values in a message, sorted, without their
// explicit numbers.
func verbs(s string) []string {
	list := regexp.MustCompile(`%(\[\d\])?[a-z]`).FindAllString(s, -1)
	for i, v := range list {
		list[i] = "%" + v[len(v)-1:]
	}
	slices.Sort(list)
	return list
}

func allTongues(t *testing.T) []*tongue {
	t.Helper()
	all, err := loadTongues()
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 2 {
		t.Fatal("there is no catalogue")
	}
	return all
}

// eachTemplate parses all templates and calls f with each of their nodes.
func eachTemplate(t *testing.T, f func(file string, n parse.Node)) {
	t.Helper()
	files, err := fs.Glob(templateFiles, "templates/*.html")
	if err != nil || len(files) == 0 {
		t.Fatalf("no templates: %v", err)
	}
	for _, file := range files {
		data, err := templateFiles.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		builtin := map[string]any{"and": 0, "or": 0, "not": 0, "eq": 0, "ne": 0, "lt": 0, "le": 0, "gt": 0, "ge": 0, "len": 0, "index": 0, "slice": 0, "print": 0, "printf": 0, "urlquery": 0, "html": 0}
		own := make(map[string]any)
		for name, f := range functions(english, nil, nil) {
			own[name] = f
		}
		trees, err := parse.Parse(file, string(data), "", "", builtin, own)
		if err != nil {
			t.Fatal(err)
		}
		for _, tree := range trees {
			walk(tree.Root, func(n parse.Node) { f(path.Base(file), n) })
		}
	}
}

func walk(n parse.Node, f func(parse.Node)) {
	branch := func(b *parse.BranchNode) {
		walk(b.Pipe, f)
		walk(b.List, f)
		if b.ElseList != nil {
			walk(b.ElseList, f)
		}
	}
	f(n)
	switch n := n.(type) {
	case *parse.ListNode:
		for _, c := range n.Nodes {
			walk(c, f)
		}
	case *parse.ActionNode:
		walk(n.Pipe, f)
	case *parse.PipeNode:
		for _, c := range n.Cmds {
			walk(c, f)
		}
	case *parse.CommandNode:
		for _, a := range n.Args {
			walk(a, f)
		}
	case *parse.IfNode:
		branch(&n.BranchNode)
	case *parse.RangeNode:
		branch(&n.BranchNode)
	case *parse.WithNode:
		branch(&n.BranchNode)
	case *parse.TemplateNode:
		if n.Pipe != nil {
			walk(n.Pipe, f)
		}
	}
}

func messagesOfTemplates(t *testing.T) map[string]bool {
	all := make(map[string]bool)
	eachTemplate(t, func(_ string, n parse.Node) {
		c, ok := n.(*parse.CommandNode)
		if !ok || len(c.Args) < 2 {
			return
		}
		f, ok := c.Args[0].(*parse.IdentifierNode)
		if !ok {
			return
		}
		text := func(i int) (string, bool) {
			if i >= len(c.Args) {
				return "", false
			}
			s, ok := c.Args[i].(*parse.StringNode)
			if !ok {
				return "", false
			}
			return s.Text, true
		}
		switch f.Ident {
		case "t":
			if s, ok := text(1); ok {
				all[s] = true
			}
		case "n":
			one, ok := text(2)
			many, ok2 := text(3)
			if !ok || !ok2 {
				t.Errorf("%s: n wants its messages as they are", c)
			}
			all[one+"|"+many] = true
		}
	})
	return all
}

// messagesOfProgram finds what the Go files of this package hand to T, N, msg
// and problemf, and adds the words of faults.
func messagesOfProgram(t *testing.T) map[string]bool {
	all := make(map[string]bool)
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	letters := regexp.MustCompile(`[A-Za-z]{2}`)
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		tree, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(tree, func(n ast.Node) bool {
			c, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			name := ""
			switch f := c.Fun.(type) {
			case *ast.Ident:
				name = f.Name
			case *ast.SelectorExpr:
				name = f.Sel.Name
			}
			text := func(i int) string {
				if i >= len(c.Args) {
					return ""
				}
				lit, ok := c.Args[i].(*ast.BasicLit)
				if !ok || lit.Kind != token.STRING {
					return ""
				}
				s, err := strconv.Unquote(lit.Value)
				if err != nil {
					t.Fatal(err)
				}
				return s
			}
			add := func(s string) {
				if letters.MatchString(strings.Join(regexp.MustCompile(`%[a-z]`).Split(s, -1), "")) {
					all[s] = true
				}
			}
			switch name {
			case "msg", "T":
				add(text(0))
			case "N":
				if text(1) != "" {
					add(text(1) + "|" + text(2))
				}
			case "problemf":
				add(text(2))
				add(text(3))
			}
			return true
		})
	}
	for _, m := range literals(t, "../scan/faults.go", "words") {
		all[m] = true
	}
	for _, pattern := range []string{"../scan/*.go", "../scan/*/*.go"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			for function, at := range map[string]int{"refuse": 0, "refuseChoice": 0, "badData": 0, "New": 1} {
				maps.Copy(all, messagesIn(t, file, function, at))
			}
		}
	}
	intake, err := os.ReadFile("../scan/intake/intake.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile(`(?m)^\t\t\{\d+, "[^"]*", ("(?:[^"\\]|\\.)*")\},$`).FindAllStringSubmatch(string(intake), -1) {
		what, err := strconv.Unquote(m[1])
		if err != nil {
			t.Fatal(err)
		}
		all[what] = true // kinds of files that are sent by mistake
	}
	return all
}

// Every page has a title: one that holds always, or that of what it shows.
func TestTitles(t *testing.T) {
	files, err := fs.Glob(templateFiles, "templates/*.html")
	if err != nil {
		t.Fatal(err)
	}
	if len(files) < len(titles) {
		t.Errorf("%d titles for %d files of pages", len(titles), len(files))
	}
	noPages := []string{"layout", "live", "parts", "results"}
	named := []string{"document", "problem"} // by what they show
	for _, file := range files {
		name := strings.TrimSuffix(path.Base(file), ".html")
		if titles[name] == "" && !slices.Contains(noPages, name) && !slices.Contains(named, name) {
			t.Errorf("the page %s has no title", name)
		}
	}
}

// TestToldIsKnown: what package scan writes down for people, the catalogues know.
func TestToldIsKnown(t *testing.T) {
	verbs := regexp.MustCompile(`%[qvw]`)
	for _, from := range []struct{ file, function, begin string }{
		{"../scan/assemble.go", "Sprintf", "Page %d"}, {"../scan/separate.go", "Sprintf", "Page %d"}, {"../scan/upload.go", "Sprintf", ""},
		{"../scan/deliver/folder.go", "because", ""}, {"../scan/deliver/webdav.go", "because", ""},
		{"../scan/deliver/folder.go", "Errorf", "%d files"}, {"../scan/deliver/webdav.go", "Errorf", "the server answers"},
	} {
		found := false
		for m := range messagesIn(t, from.file, from.function, 0) {
			if !strings.HasPrefix(m, from.begin) || strings.Contains(m, "from this page in docscan") { // drawn into a PDF
				continue
			}
			found = true
			m = verbs.ReplaceAllString(m, "%s")
			if from.function == "because" {
				m += ": %s"
			}
			if !slices.ContainsFunc(told, func(s string) bool { return strings.HasPrefix(s, m) }) {
				t.Errorf("%s: %q is not known", from.file, m)
			}
		}
		if !found {
			t.Errorf("%s: nothing is written down", from.file)
		}
	}
	for _, from := range []struct{ file, pattern string }{
		{"../packaging/bundle/bundle.go", `errors\.New\("(.*)"\)`}, {"../packaging/slot/slot.go", `\tErr.*errors\.New\("(.*)"\)`},
		{"../packaging/swap/swap.go", `errors\.New\("(.*)"\)`}, {"../packaging/swap/update.go", `u\.(?:say|begin)\("([^"]*\.)"`},
		{"../packaging/swap/settings.go", `u\.begin\("([^"]*\.)"`}, {"../packaging/slot/boot.go", `reason = "(.+)"`},
	} {
		text, err := os.ReadFile(from.file)
		if err != nil {
			t.Fatal(err)
		}
		found := regexp.MustCompile(from.pattern).FindAllStringSubmatch(string(text), -1)
		if len(found) == 0 {
			t.Errorf("%s: nothing is written down", from.file)
		}
		for _, m := range found {
			if !slices.Contains(told, m[1]) {
				t.Errorf("%s: %q is not known", from.file, m[1])
			}
		}
	}
	de := wished(allTongues(t), "de", english)
	for s, want := range map[string]string{
		"Page 3: the scanner noticed two sheets at once here; one may be missing.":                                                                     "Seite 3: Der Scanner hat hier zwei Blätter auf einmal bemerkt; eines kann fehlen.",
		"the server does not answer: no such host":                                                                                                     "der Server antwortet nicht: no such host",
		"Page 2 cannot be shown: the file is damaged and cannot be opened: page 2 has no size.":                                                        "Seite 2 kann nicht gezeigt werden: die Datei ist beschädigt und lässt sich nicht öffnen: Seite 2 hat keine Größe.",
		"Page 2 is kept as an image only: the image is too large to be read: it claims 4294967295 x 1000 pixels, and the limit is 150 million pixels.": "Seite 2 ist nur als Bild aufgehoben: das Bild ist zu groß, um gelesen zu werden: Es hat nach eigener Angabe 4294967295 x 1000 Bildpunkte; höchstens 150 Millionen dürfen es sein.",
		"Page 2 is kept as an image only: the image is too large to be read: it claims 70000 x 1000 pixels, and the limit is 65535 on a side.":         "Seite 2 ist nur als Bild aufgehoben: das Bild ist zu groß, um gelesen zu werden: Es hat nach eigener Angabe 70000 x 1000 Bildpunkte; höchstens 65535 dürfen es auf einer Seite sein.",
		"Page 1 cannot be shown: It took longer than 180 seconds and was given up. Print it anew as PDF and send that.":                                "Seite 1 kann nicht gezeigt werden: Es dauerte länger als 180 Sekunden und wurde aufgegeben. Drucken Sie es neu als PDF und senden Sie dieses.",
		"docscan was stopped in the middle of this scan. Scan the sheets that are missing again.":                                                      de.T("docscan was stopped in the middle of this scan.") + " " + de.T("Scan the sheets that are missing again."),
		"Page 99999999999999999999: the scanner noticed two sheets at once here; one may be missing.":                                                  "Page 99999999999999999999: the scanner noticed two sheets at once here; one may be missing.",
		`"a.tif" could not be read to its end: it is cut off, and what came after these pages is missing. The file as it was sent is kept.`:            `"a.tif" ließ sich nicht bis zum Ende lesen: sie ist abgeschnitten, und was nach diesen Seiten kam, fehlt. Die Datei, wie sie gesendet wurde, ist aufgehoben.`,
		"nobody knows this":         "nobody knows this",
		"Version 2.0.0 takes over.": "Version 2.0.0 übernimmt.",
		"version 2.0.0: the new version did not prove itself: it has ended":                               "version 2.0.0: die neue Version hat sich nicht bewährt: it has ended",
		"key 12AB: the update file is signed with a revoked key; get one that is signed with another key": "key 12AB: " + de.T("the update file is signed with a revoked key; get one that is signed with another key"),
	} {
		if got := de.Told(s); got != want {
			t.Errorf("Told(%q) = %q, want %q", s, got, want)
		}
		if got := english.Told(s); got != s {
			t.Errorf("in English: %q", got)
		}
	}
}

// messagesIn finds the texts that are value at of calls of a function.
func messagesIn(t *testing.T, file, function string, at int) map[string]bool {
	t.Helper()
	tree, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	all := make(map[string]bool)
	ast.Inspect(tree, func(n ast.Node) bool {
		c, ok := n.(*ast.CallExpr)
		if !ok {
			return true
		}
		switch f := c.Fun.(type) {
		case *ast.Ident:
			if f.Name != function || function == "New" {
				return true
			}
		case *ast.SelectorExpr:
			if x, ok := f.X.(*ast.Ident); !ok || f.Sel.Name != function || function == "New" && x.Name != "refusal" {
				return true
			}
		default:
			return true
		}
		if at >= len(c.Args) {
			return true
		}
		if lit, ok := c.Args[at].(*ast.BasicLit); ok && lit.Kind == token.STRING {
			s, err := strconv.Unquote(lit.Value)
			if err != nil {
				t.Fatal(err)
			}
			all[s] = true
		}
		return true
	})
	return all
}

// literals gives the texts in the composite literals of a type, and in those of
// maps to it.
func literals(t *testing.T, file, kind string) (all []string) {
	t.Helper()
	tree, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	collect := func(n ast.Node) bool {
		if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING {
			s, err := strconv.Unquote(lit.Value)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, s)
		}
		return true
	}
	ast.Inspect(tree, func(n ast.Node) bool {
		c, ok := n.(*ast.CompositeLit)
		if !ok {
			return true
		}
		of := c.Type
		if m, ok := of.(*ast.MapType); ok {
			of = m.Value
		}
		if id, ok := of.(*ast.Ident); ok && id.Name == kind {
			ast.Inspect(c, collect)
			return false
		}
		return true
	})
	if len(all) == 0 {
		t.Errorf("no %s in %s", kind, file)
	}
	return all
}

// TestEveryPageIsMade: pages are made when they are asked for, and each can be.
func TestEveryPageIsMade(t *testing.T) {
	files, err := loadAssets()
	if err != nil {
		t.Fatal(err)
	}
	all := allTongues(t)
	pages, err := loadTemplates(all, files, func() *time.Location { return time.UTC })
	if err != nil {
		t.Fatal(err)
	}
	names, err := fs.Glob(templateFiles, "templates/*.html")
	if err != nil || len(names) == 0 {
		t.Fatal(names, err)
	}
	for _, l := range all {
		for _, f := range names {
			if _, err := pages.page(l.Tag, strings.TrimSuffix(path.Base(f), ".html")); err != nil {
				t.Errorf("%s, %s: %v", f, l.Tag, err)
			}
		}
	}
	if _, err := pages.page("en", "../web"); err == nil {
		t.Error("a page that is none is made")
	}
}

// TestNoBareText: a template has no words of its own outside of t and n.
func TestNoBareText(t *testing.T) {
	tags := regexp.MustCompile(`(?s)<!DOCTYPE html>|<[^>]*>|&[a-z]+;`)
	words := regexp.MustCompile(`\pL{2,}`)
	spoken := regexp.MustCompile(`(?:title|alt|aria-label|placeholder)="([^"]*)"`)
	files, err := fs.Glob(templateFiles, "templates/*.html")
	if err != nil {
		t.Fatal(err)
	}
	actions := regexp.MustCompile(`(?s){{.*?}}`)
	for _, file := range files {
		data, err := templateFiles.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		rest := actions.ReplaceAllString(string(data), "")
		for _, m := range spoken.FindAllStringSubmatch(rest, -1) {
			if words.MatchString(m[1]) {
				t.Errorf("%s: an attribute has bare text: %s", file, m[0])
			}
		}
		for _, line := range strings.Split(tags.ReplaceAllString(rest, ""), "\n") {
			line = strings.ReplaceAll(line, "docscan", "")
			if words.MatchString(line) {
				t.Errorf("%s: bare text: %q", file, strings.TrimSpace(line))
			}
		}
	}
}

func TestWished(t *testing.T) {
	all := allTongues(t)
	tests := []struct{ accept, want string }{
		{"", "en"},
		{"de", "de"},
		{"de-AT, en;q=0.5", "de"},
		{"fr, de;q=0.3, en;q=0.8", "en"},
		{"fr", "en"},
		{"de;q=0", "en"},
		{"DE;q=x, en", "en"},
		{strings.Repeat("xx,", 40) + "de", "en"}, // beyond what is looked at
	}
	for _, tt := range tests {
		if got := wished(all, tt.accept, english).Tag; got != tt.want {
			t.Errorf("wished(%q) = %s, want %s", tt.accept, got, tt.want)
		}
	}
}

func TestTongue(t *testing.T) {
	all := allTongues(t)
	de := wished(all, "de", english)
	day := time.Date(2026, 3, 9, 14, 5, 0, 0, time.Local)
	tests := []struct{ got, want string }{
		{english.When(day), "9 Mar 2026, 14:05"},
		{de.When(day), "9. März 2026, 14:05"},
		{english.Size(3 << 19), "1.5 MB"},
		{de.Size(3 << 19), "1,5 MB"},
		{english.Number(25.4), "25.4"},
		{de.Number(25.4), "25,4"},
		{de.Number(10), "10"},
		{english.N(1, "%d page", "%d pages"), "1 page"},
		{de.N(2, "%d page", "%d pages"), "2 Seiten"},
		{de.Problem(problemf(413, "too-large", "Request too large", "The request is larger than %d bytes.", 7)).Detail, "Die Anfrage ist größer als 7 Bytes."},
	}
	for _, tt := range tests {
		if tt.got != tt.want {
			t.Errorf("got %q, want %q", tt.got, tt.want)
		}
	}
}

// What a browser sends may be anything.
func FuzzWished(f *testing.F) {
	f.Add("de-DE,de;q=0.9,en;q=0.8")
	f.Add(";;,q=,;q=NaN")
	all, err := loadTongues()
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, accept string) {
		if wished(all, accept, english) == nil {
			t.Error("no language")
		}
	})
}
