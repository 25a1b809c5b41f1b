// Command narrow type-checks this module's packages, those with cgo too, as for a
// machine whose int has 32 bits: one of the boxes has such, and a constant that does
// not fit would be noticed only when its package is built.
//
//	narrow [build flags] packages
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path/filepath"
)

func main() {
	faults, err := check(os.Args[1:])
	for _, f := range faults {
		fmt.Println(f)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "narrow:", err)
	}
	if err != nil || len(faults) > 0 {
		os.Exit(1)
	}
}

// A pkg is what `go list` says of a package.
type pkg struct {
	ImportPath, Dir, Export string
	DepOnly, Standard       bool
	CompiledGoFiles         []string
	ImportMap               map[string]string
}

// check gives what does not fit 32 bits in the packages that args name for `go list`.
func check(args []string) (faults []error, err error) {
	cmd := exec.Command("go", append([]string{"list", "-deps", "-export", "-compiled",
		"-json=ImportPath,Dir,Export,DepOnly,Standard,CompiledGoFiles,ImportMap"}, args...)...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go list: %w", err)
	}
	exports := make(map[string]string)
	var ours []pkg
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p pkg
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, fmt.Errorf("go list: %w", err)
		}
		exports[p.ImportPath] = p.Export
		if !p.DepOnly && !p.Standard {
			ours = append(ours, p)
		}
	}
	if len(ours) == 0 {
		return nil, errors.New("no packages")
	}
	for _, p := range ours {
		f, err := p.check(exports)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", p.ImportPath, err)
		}
		faults = append(faults, f...)
	}
	return faults, nil
}

func (p *pkg) check(exports map[string]string) (faults []error, err error) {
	set := token.NewFileSet()
	var files []*ast.File
	for _, name := range p.CompiledGoFiles {
		if !filepath.IsAbs(name) {
			name = filepath.Join(p.Dir, name)
		}
		f, err := parser.ParseFile(set, name, nil, parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		files = append(files, f)
	}
	lookup := func(path string) (io.ReadCloser, error) {
		if to, ok := p.ImportMap[path]; ok {
			path = to
		}
		return os.Open(exports[path])
	}
	conf := types.Config{
		Importer: importer.ForCompiler(set, "gc", lookup),
		Sizes:    types.SizesFor("gc", "arm"),
		Error:    func(err error) { faults = append(faults, err) },
	}
	_, _ = conf.Check(p.ImportPath, set, files, nil) // the error is the first of faults
	return faults, nil
}
