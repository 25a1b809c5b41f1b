package pdf

import (
	"bytes"
	"encoding/binary"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
	"unicode/utf16"
)

// document writes pages as PDF/A-2u and reads the file strictly.
func document(t *testing.T, pages ...Page) *file {
	t.Helper()
	raw, err := os.ReadFile(write(t, a2u, pages...))
	if err != nil {
		t.Fatal(err)
	}
	return readFile(t, raw)
}

// The rules of ISO 19005-2 that concern the file and its objects (6.1), what no
// part of it may hold (6.2 to 6.11), and what must be there. readFile has
// checked header, end, table, objects and the length of streams.
func TestStructure(t *testing.T) {
	f := document(t, all(t)...)
	id, ok := f.trailer["/ID"].(array)
	if !ok || len(id) != 2 || len(id[0].(str)) != 16 || !bytes.Equal(id[0].(str), id[1].(str)) {
		t.Errorf("6.1.3: the trailer's ID is %v", f.trailer["/ID"])
	}
	if f.trailer["/Size"] != len(f.objects)+1 {
		t.Errorf("6.1.4: size %v with %d objects", f.trailer["/Size"], len(f.objects))
	}
	forbidden := map[name]string{
		"/Encrypt": "6.1.3", "/F": "6.1.7", "/FFilter": "6.1.7", "/FDecodeParms": "6.1.7", "/Perms": "6.1.12",
		"/ExtGState": "6.2.5, not needed", "/TR": "6.2.5", "/HTP": "6.2.5", "/Alternates": "6.2.8", "/OPI": "6.2.8", "/PS": "6.2.9", "/Ref": "6.2.9",
		"/SMask": "6.2.10", "/Group": "6.2.10", "/BM": "6.2.10", "/Annots": "6.3", "/AcroForm": "6.4", "/NeedsRendering": "6.4", "/XFA": "6.4",
		"/A": "6.5", "/AA": "6.5", "/OpenAction": "6.5", "/JavaScript": "6.5", "/EmbeddedFiles": "6.8", "/EF": "6.8",
		"/OCProperties": "6.9", "/AlternatePresentations": "6.10", "/PresSteps": "6.10", "/Requirements": "6.11",
	}
	filters := []any{nil, name("/FlateDecode"), name("/DCTDecode"), name("/CCITTFaxDecode"), name("/JBIG2Decode")}
	f.walk(func(n int, o any) {
		switch o := o.(type) {
		case dict:
			for k, clause := range forbidden {
				if _, ok := o[k]; ok {
					t.Errorf("%s: object %d has %s", clause, n, k)
				}
			}
			if !slices.Contains(filters, o["/Filter"]) {
				t.Errorf("6.1.7.2: object %d has the filter %v", n, o["/Filter"])
			}
		case name:
			if len(o) > 127+1 {
				t.Errorf("6.1.13: object %d has a name of %d bytes", n, len(o))
			}
		case str:
			if len(o) > 32767 {
				t.Errorf("6.1.13: object %d has a string of %d bytes", n, len(o))
			}
		case ref:
			f.get(o)
		}
	})
	for _, page := range f.kids() {
		for _, side := range page["/MediaBox"].(array)[2:] {
			if v := number(t, side); v < 3 || v > 14400 {
				t.Errorf("6.1.13: a page has a side of %v units", v)
			}
		}
	}
	root := f.dict(f.trailer["/Root"])
	if v, ok := f.dict(root["/ViewerPreferences"])["/DisplayDocTitle"].(bool); !ok || !v {
		t.Error("the title is not shown")
	}
	if string(root["/Lang"].(str)) != "de" {
		t.Errorf("the language is %q", root["/Lang"])
	}
}

func number(t *testing.T, o any) float64 {
	t.Helper()
	switch o := o.(type) {
	case int:
		return float64(o)
	case float64:
		return o
	}
	t.Fatalf("%v is no number", o)
	return 0
}

// Colours (6.2.3, 6.2.4) and images (6.2.8).
func TestColours(t *testing.T) {
	f := document(t, all(t)...)
	intents := f.dict(f.trailer["/Root"])["/OutputIntents"].(array)
	if len(intents) != 1 {
		t.Fatalf("%d output intents", len(intents))
	}
	intent := f.dict(intents[0])
	if intent["/S"] != name("/GTS_PDFA1") || len(intent["/OutputConditionIdentifier"].(str)) == 0 {
		t.Errorf("6.2.3: the output intent is %v", intent)
	}
	profile := intent["/DestOutputProfile"]
	icc := f.data(profile)
	if n := f.get(profile).(stream).dict["/N"]; n != 3 {
		t.Errorf("6.2.3: a profile of %v components", n)
	}
	// ICC.1:1998-09, 6.1: size, version, class, space, signature.
	if size := binary.BigEndian.Uint32(icc); int(size) != len(icc) {
		t.Errorf("the profile is %d bytes, says %d", len(icc), size)
	}
	if icc[8] != 2 || string(icc[12:24]) != "mntrRGB XYZ " || string(icc[36:40]) != "acsp" {
		t.Errorf("the profile's header is %q", icc[:40])
	}
	tags := map[string][]byte{}
	for i := range binary.BigEndian.Uint32(icc[128:]) {
		e := icc[132+12*i:]
		at, length := binary.BigEndian.Uint32(e[4:]), binary.BigEndian.Uint32(e[8:])
		if at%4 != 0 || int(at+length) > len(icc) {
			t.Fatalf("tag %s is at %d, %d bytes", e[:4], at, length)
		}
		tags[string(e[:4])] = icc[at : at+length]
	}
	// 6.3.1 and 6.3.3: what an RGB display profile must have.
	for _, tag := range []string{"desc", "cprt", "wtpt", "rXYZ", "gXYZ", "bXYZ", "rTRC", "gTRC", "bTRC"} {
		if len(tags[tag]) < 12 {
			t.Errorf("the profile has no %s", tag)
		}
	}
	// White is the sum of the primaries: D50.
	for i := range 3 {
		var sum int32
		for _, c := range []string{"rXYZ", "gXYZ", "bXYZ"} {
			sum += int32(binary.BigEndian.Uint32(tags[c][8+4*i:]))
		}
		if white := int32(binary.BigEndian.Uint32(tags["wtpt"][8+4*i:])); max(sum-white, white-sum) > 20 {
			t.Errorf("component %d of red, green and blue adds up to %d, white is %d", i, sum, white)
		}
	}
	images := 0
	for n, o := range f.objects {
		s, ok := o.(stream)
		if !ok || s.dict["/Subtype"] != name("/Image") {
			continue
		}
		images++
		if s.dict["/ImageMask"] == true {
			// ISO 32000-1, 8.9.6.2: a stencil has no colours of its own.
			if _, ok := s.dict["/ColorSpace"]; ok || s.dict["/BitsPerComponent"] != 1 {
				t.Errorf("stencil %d is %v", n, s.dict)
			}
			continue
		}
		if space := s.dict["/ColorSpace"]; space != name("/DeviceRGB") && space != name("/DeviceGray") {
			t.Errorf("6.2.4: image %d is in %v", n, space)
		}
		if s.dict["/Interpolate"] != false {
			t.Errorf("6.2.8: image %d has Interpolate %v", n, s.dict["/Interpolate"])
		}
	}
	// One has two layers with an image, another none.
	if images != len(f.kids()) {
		t.Errorf("%d images on %d pages", images, len(f.kids()))
	}
}

// Content streams (6.2.2) and the font (6.2.11): what is shown is invisible, of
// an embedded glyph as wide as the document says, and has a Unicode value.
func TestContentAndFont(t *testing.T) {
	f := document(t, all(t)...)
	var font dict
	used := map[uint16]bool{}
	for _, page := range f.kids() {
		resources := f.dict(page["/Resources"])
		depth, mode := 0, any(0)
		for _, o := range f.operations(page["/Contents"]) {
			switch o.op {
			case "q":
				depth++
			case "Q":
				depth--
			case "cm", "BT", "ET", "Tm", "Td", "Tz", "re", "f":
			case "rg": // of the device's colours, which the output intent covers
				for _, c := range o.args {
					if v := number(t, c); v < 0 || v > 1 {
						t.Errorf("a colour of %v", o.args)
					}
				}
			case "Do":
				f.get(f.dict(resources["/XObject"])[o.args[0].(name)])
			case "Tf":
				font = f.dict(f.dict(resources["/Font"])[o.args[0].(name)])
			case "Tr":
				mode = o.args[0]
			case "Tj":
				if mode != 3 {
					t.Errorf("text in mode %v, want it invisible", mode)
				}
				s := o.args[0].(str)
				for i := 0; i < len(s); i += 2 {
					used[binary.BigEndian.Uint16(s[i:])] = true
				}
			default:
				t.Errorf("6.2.2: operator %s", o.op)
			}
			if depth < 0 || depth > 28 {
				t.Errorf("6.1.13: %d saved states", depth)
			}
		}
	}
	if len(used) == 0 {
		t.Fatal("no text was found")
	}
	descendant := f.dict(font["/DescendantFonts"].(array)[0])
	descriptor := f.dict(descendant["/FontDescriptor"])
	if font["/Subtype"] != name("/Type0") || font["/Encoding"] != name("/Identity-H") || descendant["/Subtype"] != name("/CIDFontType2") {
		t.Errorf("6.2.11.2: the font is %v over %v", font, descendant)
	}
	if font["/BaseFont"] != descendant["/BaseFont"] || font["/BaseFont"] != descriptor["/FontName"] {
		t.Error("6.2.11.2: the font has several names")
	}
	system := f.dict(descendant["/CIDSystemInfo"])
	if string(system["/Registry"].(str)) != "Adobe" || string(system["/Ordering"].(str)) != "Identity" {
		t.Errorf("6.2.11.3.1: the characters are of %v", system)
	}
	for _, key := range []name{"/Flags", "/FontBBox", "/ItalicAngle", "/Ascent", "/Descent", "/CapHeight", "/StemV", "/FontFile2"} {
		if descriptor[key] == nil {
			t.Errorf("6.2.11.2: the descriptor has no %s", key)
		}
	}
	program := f.data(descriptor["/FontFile2"])
	if length := f.get(descriptor["/FontFile2"]).(stream).dict["/Length1"]; length != len(program) {
		t.Errorf("6.2.11.2: the program is %d bytes, says %v", len(program), length)
	}
	tables := trueTypeTables(t, program)
	glyphs := int(binary.BigEndian.Uint16(tables["maxp"][4:]))
	gids := f.data(descendant["/CIDToGIDMap"])
	unicode := readCMap(t, string(f.data(font["/ToUnicode"])))
	for cid := range used {
		gid := int(binary.BigEndian.Uint16(gids[2*cid:]))
		if gid == 0 || gid >= glyphs {
			t.Errorf("6.2.11.4, 6.2.11.8: character %d is glyph %d of %d", cid, gid, glyphs)
		}
		if width := binary.BigEndian.Uint16(tables["hmtx"][4*gid:]); int(width) != descendant["/DW"] {
			t.Errorf("6.2.11.5: glyph %d is %d wide, the document says %v", gid, width, descendant["/DW"])
		}
		switch s := unicode[cid]; s {
		case "", "\x00", "\ufeff", "\ufffe":
			t.Errorf("6.2.11.7.2: character %d is %q in Unicode", cid, s)
		}
	}
}

// trueTypeTables takes a font apart and checks the sums of its tables.
func trueTypeTables(t *testing.T, program []byte) map[string][]byte {
	t.Helper()
	tables := map[string][]byte{}
	if sum := checksum(program); sum != 0xB1B0AFBA {
		t.Errorf("the font's sum is %#x", sum)
	}
	for i := range int(binary.BigEndian.Uint16(program[4:])) {
		e := program[12+16*i:]
		at, length := binary.BigEndian.Uint32(e[8:]), binary.BigEndian.Uint32(e[12:])
		data := slices.Clone(program[at : at+length])
		tables[string(e[:4])] = data
		if string(e[:4]) == "head" {
			data = slices.Clone(data)
			clear(data[8:12]) // its sum is taken without the sum of all
		}
		if sum := checksum(data); sum != binary.BigEndian.Uint32(e[4:]) {
			t.Errorf("table %s has the sum %#x", e[:4], sum)
		}
	}
	for _, name := range []string{"glyf", "head", "hhea", "hmtx", "loca", "maxp"} { // ISO 32000-1, 9.9
		if len(tables[name]) == 0 {
			t.Errorf("the font has no %s", name)
		}
	}
	loca := tables["loca"]
	if end := 2 * int(binary.BigEndian.Uint16(loca[len(loca)-2:])); end != len(tables["glyf"]) {
		t.Errorf("the glyphs end at %d of %d", end, len(tables["glyf"]))
	}
	return tables
}

// readCMap gives the string of each character.
func readCMap(t *testing.T, cmap string) map[uint16]string {
	t.Helper()
	out := map[uint16]string{}
	left := 0
	for l := range strings.Lines(cmap) {
		l = strings.TrimSpace(l)
		switch before, after, ok := strings.Cut(l, " "); {
		case ok && after == "beginbfchar":
			left = int(number(t, (&lexer{data: []byte(before)}).object()))
			if left > 100 {
				t.Errorf("a section of %d", left)
			}
		case l == "endbfchar" && left != 0:
			t.Errorf("a section lacks %d entries", left)
		case left > 0:
			x := &lexer{data: []byte(l)}
			cid, target := x.object().(str), x.object().(str)
			var units []uint16
			for i := 0; i < len(target); i += 2 {
				units = append(units, binary.BigEndian.Uint16(target[i:]))
			}
			out[binary.BigEndian.Uint16(cid)] = string(utf16.Decode(units))
			left--
		}
	}
	return out
}

// The metadata are to be found in plain, claim PDF/A-2u and say the same as the
// document information (6.6.2).
func TestMetadata(t *testing.T) {
	f := document(t, kinds(t)["plain grey"])
	s := f.get(f.dict(f.trailer["/Root"])["/Metadata"]).(stream)
	if s.dict["/Filter"] != nil || s.dict["/Type"] != name("/Metadata") || s.dict["/Subtype"] != name("/XML") {
		t.Errorf("6.6.2.1: the stream is %v", s.dict)
	}
	if !bytes.HasPrefix(s.raw, []byte(`<?xpacket begin="`)) || !bytes.HasSuffix(s.raw, []byte(`<?xpacket end="r"?>`)) || bytes.Contains(s.raw, []byte("encoding=")) {
		t.Error("6.6.2.1: the packet is not one")
	}
	values := make(map[string][]string)
	dec := xml.NewDecoder(bytes.NewReader(s.raw))
	var path []string
	for {
		tok, err := dec.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		switch tok := tok.(type) {
		case xml.StartElement:
			path = append(path, tok.Name.Space+tok.Name.Local)
		case xml.EndElement:
			path = path[:len(path)-1]
		case xml.CharData:
			if s := strings.TrimSpace(string(tok)); s != "" {
				values[path[3]] = append(values[path[3]], s)
			}
		}
	}
	const pdfaid, dc, xmp, adobe = "http://www.aiim.org/pdfa/ns/id/", "http://purl.org/dc/elements/1.1/", "http://ns.adobe.com/xap/1.0/", "http://ns.adobe.com/pdf/1.3/"
	want := map[string][]string{
		pdfaid + "part": {"2"}, pdfaid + "conformance": {"U"},
		dc + "title": {meta.Title}, dc + "creator": {meta.Author}, dc + "description": {meta.Subject}, dc + "format": {"application/pdf"}, dc + "language": {"de", "en"},
		xmp + "CreateDate": {"2026-11-23T17:30:05Z"}, xmp + "ModifyDate": {"2026-11-23T18:31:00Z"}, xmp + "MetadataDate": {"2026-11-23T18:31:00Z"},
		adobe + "Producer": {meta.Producer},
	}
	for key, v := range want {
		if !slices.Equal(values[key], v) {
			t.Errorf("%s is %q, want %q", key, values[key], v)
		}
	}
	if len(values) != len(want) {
		t.Errorf("the metadata are %q", values)
	}
	info := f.dict(f.trailer["/Info"])
	for key, want := range map[name]string{
		"/Title": meta.Title, "/Author": meta.Author, "/Subject": meta.Subject, "/Producer": meta.Producer,
		"/CreationDate": "D:20261123173005+00'00'", "/ModDate": "D:20261123183100+00'00'",
	} {
		if got := textString(info[key].(str)); got != want {
			t.Errorf("%s is %q, want %q", key, got, want)
		}
	}
}

// textString reads a text string (ISO 32000-1, 7.9.2.2).
func textString(s str) string {
	if !bytes.HasPrefix(s, []byte{0xfe, 0xff}) {
		return string(s)
	}
	var units []uint16
	for i := 2; i < len(s); i += 2 {
		units = append(units, binary.BigEndian.Uint16(s[i:]))
	}
	return string(utf16.Decode(units))
}

// Titles come from people and devices: any bytes must give a file that reads
// back, with the same text in both places.
func TestOddTitles(t *testing.T) {
	for _, title := range []string{
		"", "(", `\)`, "a\x00b\tc\n", "\xff\xfe", "]]>&amp;<x>", "🖨 \U0010ffff", "\ufffe\uffff\ufffd", "\u0085\u009f", strings.Repeat("ß", 5000),
	} {
		var b bytes.Buffer
		m := meta
		m.Title = title
		w := NewWriter(&b, m)
		if err := w.AddPage(kinds(t)["bilevel"]); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		f := readFile(t, b.Bytes())
		var meta struct {
			Title string `xml:"RDF>Description>title>Alt>li"`
		}
		packet := f.get(f.dict(f.trailer["/Root"])["/Metadata"]).(stream).raw
		if err := xml.Unmarshal(packet, &meta); err != nil {
			t.Errorf("title %q: %v", title, err)
		}
		var got string
		if s, ok := f.dict(f.trailer["/Info"])["/Title"].(str); ok {
			got = textString(s)
		}
		if got != meta.Title || got == "" && title != "" {
			t.Errorf("title %q: %q in the information, %q in the metadata", title, got, meta.Title)
		}
	}
}

func TestLanguageTags(t *testing.T) {
	for name, want := range map[string]string{
		"eng": "en", "deu": "de", "heb": "he", "ces": "cs", "grc": "grc", "chi_sim": "zh-Hans", "jpn_vert": "ja", "frk": "de-Latf",
		"osd": "", "equ": "", "script/Latin": "", "": "", "en)": "",
	} {
		if got := tag(name); got != want {
			t.Errorf("tag(%q) = %q, want %q", name, got, want)
		}
	}
}
