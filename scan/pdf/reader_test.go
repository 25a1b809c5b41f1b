package pdf

import (
	"bytes"
	"compress/zlib"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// What a PDF object can be, besides bool, int, float64 and nil.
type (
	name   string
	str    []byte // a string object
	ref    int    // number of an object, generation 0
	array  []any
	dict   map[name]any
	stream struct {
		dict dict
		raw  []byte
	}
	operator string // in content streams only
)

// lexer reads objects strictly: what this package writes, not all that PDF
// allows. It panics with a lexError.
type lexer struct {
	data    []byte
	at      int
	content bool // operators are allowed, references are not
}

type lexError string

func (l *lexer) fail(format string, args ...any) {
	panic(lexError(fmt.Sprintf("at byte %d: ", l.at) + fmt.Sprintf(format, args...)))
}

func (l *lexer) space() {
	for l.at < len(l.data) && bytes.IndexByte([]byte(" \n"), l.data[l.at]) >= 0 {
		l.at++
	}
}

func (l *lexer) starts(s string) bool { return bytes.HasPrefix(l.data[l.at:], []byte(s)) }

func (l *lexer) take(s string) {
	if !l.starts(s) {
		l.fail("no %q", s)
	}
	l.at += len(s)
}

// word takes what pattern matches here.
func (l *lexer) word(pattern *regexp.Regexp) string {
	m := pattern.Find(l.data[l.at:])
	l.at += len(m)
	return string(m)
}

var (
	reName      = regexp.MustCompile(`^/[A-Za-z0-9_.-]+`)
	reNumber    = regexp.MustCompile(`^-?[0-9]+(\.[0-9]+)?`)
	reReference = regexp.MustCompile(`^[0-9]+ 0 R`)
	reHex       = regexp.MustCompile(`^<([0-9A-F][0-9A-F])*>`)
	reOperator  = regexp.MustCompile(`^[A-Za-z]+`)
)

func (l *lexer) object() any {
	l.space()
	switch {
	case l.at == len(l.data):
		l.fail("the end")
	case l.starts("<<"):
		l.take("<<")
		d := make(dict)
		for l.space(); !l.starts(">>"); l.space() {
			k := name(l.word(reName))
			if _, twice := d[k]; k == "" || twice {
				l.fail("key %q is none, or there twice", k)
			}
			d[k] = l.object()
		}
		l.take(">>")
		return d
	case l.starts("<"):
		h := l.word(reHex)
		b := make(str, max(0, len(h)/2-1))
		for i := range b {
			n, _ := strconv.ParseUint(h[2*i+1:2*i+3], 16, 8)
			b[i] = byte(n)
		}
		if h == "" {
			l.fail("a string that is not in pairs of digits")
		}
		return b
	case l.starts("("):
		var b str
		for l.at++; !l.starts(")"); l.at++ {
			if l.starts("(") {
				l.fail("a bracket in a string")
			}
			if l.starts(`\`) {
				l.at++
			}
			b = append(b, l.data[l.at])
		}
		l.take(")")
		return b
	case l.starts("["):
		l.take("[")
		a := array{}
		for l.space(); !l.starts("]"); l.space() {
			a = append(a, l.object())
		}
		l.take("]")
		return a
	case l.starts("/"):
		return name(l.word(reName))
	case !l.content && reReference.Match(l.data[l.at:]):
		n, _ := strconv.Atoi(strings.TrimSuffix(l.word(reReference), " 0 R"))
		return ref(n)
	case reNumber.Match(l.data[l.at:]):
		s := l.word(reNumber)
		if n, err := strconv.Atoi(s); err == nil {
			return n
		}
		f, err := strconv.ParseFloat(s, 64)
		if err != nil {
			l.fail("number %s", s)
		}
		return f
	}
	switch w := l.word(reOperator); {
	case w == "true" || w == "false":
		return w == "true"
	case w == "null":
		return nil
	case w != "" && l.content:
		return operator(w)
	}
	l.fail("neither object nor operator: %.20q", l.data[l.at:])
	return nil
}

// file is a document that was read.
type file struct {
	t       *testing.T
	raw     []byte
	objects map[int]any
	trailer dict
}

var reXrefLine = regexp.MustCompile(`^(\d{10}) (\d{5}) ([nf]) \n$`)

// readFile reads a whole document and fails the test where it is not exactly
// as ISO 32000-1, 7.5 and ISO 19005-2, 6.1 want it.
func readFile(t *testing.T, raw []byte) *file {
	t.Helper()
	defer func() {
		if e, ok := recover().(lexError); ok {
			t.Fatal(e)
		}
	}()
	f := &file{t: t, raw: raw, objects: make(map[int]any)}
	const header = "%PDF-1.7\n%\xe2\xe3\xcf\xd3\n"
	if !bytes.HasPrefix(raw, []byte(header)) {
		t.Errorf("6.1.2: the header is %q", raw[:16])
	}
	end := &lexer{data: raw, at: bytes.LastIndex(raw, []byte("startxref\n"))}
	end.take("startxref\n")
	start, _ := end.object().(int)
	end.take("\n%%EOF\n")
	if end.at != len(raw) {
		t.Errorf("6.1.3: %d bytes follow the end mark", len(raw)-end.at)
	}
	l := &lexer{data: raw, at: start}
	l.take("xref\n0 ")
	count, _ := l.object().(int)
	l.take("\n")
	at := make(map[int]int) // object number by offset
	for n := range count {
		m := reXrefLine.FindSubmatch(raw[l.at : l.at+20])
		if m == nil {
			t.Fatalf("6.1.4: entry %d is %q", n, raw[l.at:l.at+20])
		}
		l.at += 20
		if string(m[3]) == "n" {
			offset, _ := strconv.Atoi(string(m[1]))
			at[offset] = n
		} else if n == 0 && string(m[2]) != "65535" {
			t.Errorf("6.1.4: entry 0 is %q", m[0])
		}
	}
	l.take("trailer\n")
	f.trailer, _ = l.object().(dict)
	l.take("\nstartxref\n")
	// Objects fill the file without a gap between header and table.
	l.at = len(header)
	for l.at < start {
		n, ok := at[l.at]
		if !ok {
			t.Fatalf("6.1.4: what is at byte %d is not in the table", l.at)
		}
		delete(at, l.at)
		l.take(fmt.Sprintf("%d 0 obj\n", n))
		o := l.object()
		l.take("\n")
		if l.starts("stream\n") {
			d := o.(dict)
			l.take("stream\n")
			length, ok := d["/Length"].(int)
			if !ok || length > len(raw)-l.at {
				l.fail("6.1.7: length %v", d["/Length"])
			}
			o = stream{d, raw[l.at : l.at+length]}
			l.at += length
			l.take("\nendstream\n")
		}
		l.take("endobj\n")
		f.objects[n] = o
	}
	for offset, n := range at {
		t.Errorf("6.1.4: object %d is not at %d", n, offset)
	}
	return f
}

// get follows a reference.
func (f *file) get(o any) any {
	f.t.Helper()
	r, ok := o.(ref)
	if !ok {
		return o
	}
	o, ok = f.objects[int(r)]
	if !ok {
		f.t.Fatalf("there is no object %d", r)
	}
	return o
}

func (f *file) dict(o any) dict {
	f.t.Helper()
	d, ok := f.get(o).(dict)
	if !ok {
		f.t.Fatalf("%v is no dictionary", o)
	}
	return d
}

// data gives the bytes of a stream without its compression.
func (f *file) data(o any) []byte {
	f.t.Helper()
	s, ok := f.get(o).(stream)
	if !ok {
		f.t.Fatalf("%v is no stream", o)
	}
	if s.dict["/Filter"] == nil {
		return s.raw
	}
	z, err := zlib.NewReader(bytes.NewReader(s.raw))
	if err != nil {
		f.t.Fatal(err)
	}
	b, err := io.ReadAll(z)
	if err != nil {
		f.t.Fatal(err)
	}
	return b
}

// walk calls visit with every dictionary, those of streams included, and every
// other object that is not a container.
func (f *file) walk(visit func(n int, o any)) {
	var inner func(n int, o any)
	inner = func(n int, o any) {
		switch o := o.(type) {
		case dict:
			visit(n, o)
			for k, v := range o {
				visit(n, k)
				inner(n, v)
			}
		case stream:
			inner(n, o.dict)
		case array:
			for _, v := range o {
				inner(n, v)
			}
		default:
			visit(n, o)
		}
	}
	for n, o := range f.objects {
		inner(n, o)
	}
	inner(0, f.trailer)
}

// kids are the pages.
func (f *file) kids() []dict {
	pages := f.dict(f.dict(f.trailer["/Root"])["/Pages"])
	var list []dict
	for _, k := range pages["/Kids"].(array) {
		list = append(list, f.dict(k))
	}
	if pages["/Count"] != len(list) {
		f.t.Errorf("%v pages, want %d", pages["/Count"], len(list))
	}
	return list
}

// An operation is an operator of a content stream and what comes before it.
type operation struct {
	op   operator
	args []any
}

func (f *file) operations(o any) []operation {
	f.t.Helper()
	defer func() {
		if e, ok := recover().(lexError); ok {
			f.t.Fatal("content stream ", e)
		}
	}()
	l := &lexer{data: f.data(o), content: true}
	var list []operation
	var args []any
	for l.space(); l.at < len(l.data); l.space() {
		o := l.object()
		if op, ok := o.(operator); ok {
			list = append(list, operation{op, args})
			args = nil
		} else {
			args = append(args, o)
		}
	}
	return list
}
