package web

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// testsOfAll names all tests and fuzz targets of this repository.
func testsOfAll(t *testing.T) map[string]bool {
	t.Helper()
	all := make(map[string]bool)
	named := regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w*)\(`)
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if d != nil && d.IsDir() && path != ".." && strings.HasPrefix(d.Name(), ".") {
			return fs.SkipDir // what is fetched for the tests, such as an earlier release with its own
		}
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		data, err := os.ReadFile(path)
		for _, m := range named.FindAllSubmatch(data, -1) {
			all[string(m[1])] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// requirements takes apart what stands for several requirements: V1.2.3-5, V4.3.
func requirements(t *testing.T, text string) (list []string) {
	t.Helper()
	for _, m := range regexp.MustCompile(`(V\d+(?:\.\d+)*)(?:-(\d+))?`).FindAllStringSubmatch(text, -1) {
		list = append(list, m[1])
		if m[2] == "" {
			continue
		}
		at := strings.LastIndexByte(m[1], '.') + 1
		from, err := strconv.Atoi(m[1][at:])
		if err != nil {
			t.Fatal(err)
		}
		to, err := strconv.Atoi(m[2])
		if err != nil {
			t.Fatal(err)
		}
		for n := from + 1; n <= to; n++ {
			list = append(list, m[1][:at]+strconv.Itoa(n))
		}
	}
	return list
}

// The page on security has every requirement of OWASP's ASVS 5.0.0 of the levels 1 and
// 2, and the tests it names are there.
func TestSecurityPageIsTrue(t *testing.T) {
	page, err := os.ReadFile("../docs/security.md")
	if err != nil {
		t.Fatal(err)
	}
	ids, err := os.ReadFile("testdata/asvs-5.0.0-levels-1-2.txt")
	if err != nil {
		t.Fatal(err)
	}
	makefile, err := os.ReadFile("../Makefile")
	if err != nil {
		t.Fatal(err)
	}
	there := testsOfAll(t)
	names := regexp.MustCompile("`((?:Test|Fuzz)\\w+|make [a-z-]+)`")
	exists := func(name string) bool {
		if target, ok := strings.CutPrefix(name, "make "); ok {
			return strings.Contains(string(makefile), "\n"+target+":")
		}
		return there[name]
	}
	for _, m := range names.FindAllStringSubmatch(string(page), -1) {
		if !exists(m[1]) {
			t.Errorf("there is no %s", m[1])
		}
	}
	_, table, ok := strings.Cut(string(page), "## OWASP ASVS")
	if !ok {
		t.Fatal("there is no table")
	}
	said := make(map[string]bool)
	not, rows, _ := strings.Cut(table, "\n| requirement")
	_, not, _ = strings.Cut(not, "Not applicable:")
	for _, id := range requirements(t, not) {
		said[id] = true
	}
	for line := range strings.Lines(rows) {
		cells := strings.Split(line, " | ")
		if len(cells) != 3 || !strings.HasPrefix(line, "| V") {
			continue
		}
		for _, id := range requirements(t, cells[0]) {
			if said[id] {
				t.Errorf("%s stands there twice", id)
			}
			said[id] = true
		}
		shown := strings.TrimSuffix(strings.TrimSpace(cells[2]), " |")
		if !names.MatchString(shown) && shown != "-" && shown != "code" && shown != "docs/architecture.md" {
			t.Errorf("%s is shown by %q, which is nothing", cells[0], shown)
		}
	}
	for id := range strings.Lines(string(ids)) {
		id = strings.TrimSpace(id)
		section := id[:strings.LastIndexByte(id, '.')]
		chapter, _, _ := strings.Cut(id, ".")
		if !said[id] && !said[section] && !said[chapter] {
			t.Errorf("nothing is said of %s", id)
		}
	}
	// What another list leaves to tests is there, too.
	for route, name := range elsewhere {
		if !there[name] {
			t.Errorf("%s is left to %s, which is not there", route, name)
		}
	}
}

// notLookedAt are routes of pages that the browser tests need not look at one by one.
var notLookedAt = map[string]string{
	"/live":              "a part of /",
	"/kiosk/now":         "a part of /kiosk",
	"/documents/:id/now": "a part of /documents/:id",
	"/welcome":           "leads to the next step",
	"/metrics":           "for programs",
	"/static/*file":      "files of pages",
}

// The tests with a browser, where axe and rulers judge what is seen, look at every page.
func TestBrowserSeesEveryPage(t *testing.T) {
	files, err := filepath.Glob("../cmd/docscand/browser/*_test.go")
	if err != nil || len(files) == 0 {
		t.Fatalf("there are no tests with a browser: %v", err)
	}
	looked := make(map[string]bool)
	note := func(n ast.Node) {
		ast.Inspect(n, func(n ast.Node) bool {
			if l, ok := n.(*ast.BasicLit); ok && l.Kind == token.STRING {
				at, _, _ := strings.Cut(strings.Trim(l.Value, `"`), "?")
				looked[routeOf(at)] = true
			}
			return true
		})
	}
	for _, name := range files {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.ValueSpec:
				if n.Names[0].Name == "everyPage" {
					note(n)
				}
			case *ast.CallExpr:
				if f, ok := n.Fun.(*ast.SelectorExpr); ok && f.Sel.Name == "seen" {
					note(n)
				}
			}
			return true
		})
	}
	for _, rt := range routes() {
		if rt.method == "GET" && rt.summary == "" && !looked[rt.path] && notLookedAt[rt.path] == "" {
			t.Errorf("no test with a browser looks at %s", rt.path)
		}
	}
}
