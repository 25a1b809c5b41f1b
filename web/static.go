package web

import (
	"bytes"
	"compress/gzip"
	"embed"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"strings"
	"sync"
)

//go:embed static
var staticFiles embed.FS

// bundles are files that are made of several, in this order, so that a page asks
// for one. What is not ours among them, packaging/vendor-web has fetched.
var bundles = map[string][]string{
	"pages.js": {"vendor/htmx.min.js", "vendor/sse.min.js", "vendor/idiomorph-ext.min.js", "docscan.js"},
}

// staticTypes do not depend on what the system knows of types.
var staticTypes = map[string]string{
	".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml",
	".webmanifest": "application/manifest+json", ".txt": "text/plain; charset=utf-8", ".LICENSE": "text/plain; charset=utf-8",
}

// asset is a file of the program, ready to be sent.
type asset struct {
	kind         string // media type
	plain        []byte
	gzip         func() ([]byte, error) // packed, when it is first asked for; nil: too small
	tag          string                 // names the content
	addressNamed string                 // its address with tag in it
}

// assets are all of them, by name.
type assets map[string]*asset

func loadAssets() (assets, error) {
	all := make(assets)
	err := fs.WalkDir(staticFiles, "static", func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := staticFiles.ReadFile(p)
		if err != nil {
			return err
		}
		all.add(strings.TrimPrefix(p, "static/"), data)
		return nil
	})
	if err != nil {
		return nil, err
	}
	for name, parts := range bundles {
		var b bytes.Buffer
		for _, p := range parts {
			part, ok := all[p]
			if !ok {
				return nil, fmt.Errorf("%s has no part %s", name, p)
			}
			b.Write(part.plain)
			b.WriteString("\n;\n")
		}
		all.add(name, b.Bytes())
	}
	return all, nil
}

func (a assets) add(name string, data []byte) {
	ext := path.Ext(name)
	x := &asset{kind: staticTypes[ext], plain: data, tag: hashSecret(string(data))[:16]}
	x.addressNamed = "/static/" + strings.TrimSuffix(name, ext) + "." + x.tag + ext
	if len(data) >= smallest {
		x.gzip = sync.OnceValues(func() ([]byte, error) { return pack(data) })
	}
	a[name] = x
}

func pack(data []byte) ([]byte, error) {
	var b bytes.Buffer
	z, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	if _, err := z.Write(data); err != nil {
		return nil, err
	}
	err = z.Close()
	return b.Bytes(), err
}

// address gives the address of a file with its content's name in it, so that a
// browser need never ask for it again.
func (a assets) address(name string) (string, error) {
	x, ok := a[name]
	if !ok {
		return "", fmt.Errorf("there is no file %q", name)
	}
	return x.addressNamed, nil
}

// find gives the file of an address below /static/, and whether the address
// names its content.
func (a assets) find(name string) (x *asset, named bool) {
	if x, ok := a[name]; ok {
		return x, false
	}
	ext := path.Ext(name)
	stem := strings.TrimSuffix(name, ext)
	if i := strings.LastIndexByte(stem, '.'); i >= 0 {
		if x, ok := a[stem[:i]+ext]; ok {
			// A page of the version before may ask for what it knew; it gets what is here.
			return x, x.tag == stem[i+1:]
		}
	}
	return nil, false
}

// static sends a file of the program.
func (s *Server) static(c *call) error {
	x, named := s.assets.find(strings.TrimPrefix(path.Clean(c.ps.ByName("file")), "/"))
	if x == nil {
		return errNotFound
	}
	h := c.w.Header()
	h.Set("ETag", `"`+x.tag+`"`)
	h.Set("Cache-Control", "no-cache")
	if named {
		h.Set("Cache-Control", "public, max-age=31536000, immutable")
	}
	if c.r.Header.Get("If-None-Match") == `"`+x.tag+`"` {
		c.w.WriteHeader(http.StatusNotModified)
		return nil
	}
	h.Set("Content-Type", x.kind)
	h.Add("Vary", "Accept-Encoding")
	data := x.plain
	if x.gzip != nil && strings.Contains(c.r.Header.Get("Accept-Encoding"), "gzip") {
		var err error
		if data, err = x.gzip(); err != nil {
			return err
		}
		h.Set("Content-Encoding", "gzip")
	}
	_, err := c.w.Write(data)
	return err
}
