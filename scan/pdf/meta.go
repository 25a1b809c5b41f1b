package pdf

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"strings"
	"time"
	"unicode"

	"golang.org/x/text/language"
)

// scripts are what the endings of Tesseract's language names say of the script,
// where the language has more than one. "frk" is German in Fraktur there, and
// another language everywhere else.
var scripts = map[string]string{
	"chi_sim": "zh-Hans", "chi_sim_vert": "zh-Hans", "chi_tra": "zh-Hant", "chi_tra_vert": "zh-Hant",
	"frk": "de-Latf", "deu_latf": "de-Latf", "dan_frak": "da-Latf", "deu_frak": "de-Latf", "slk_frak": "sk-Latf",
	"aze_cyrl": "az-Cyrl", "srp_latn": "sr-Latn", "uzb_cyrl": "uz-Cyrl",
}

// tag gives the BCP 47 tag of a language name, or "" for what is no language.
// Most of Tesseract's names are ISO 639-2 codes, perhaps with an ending; BCP 47
// wants the code of two letters where there is one.
func tag(name string) string {
	if t, ok := scripts[name]; ok {
		return t
	}
	code, _, _ := strings.Cut(name, "_")
	t, err := language.Parse(code)
	if err != nil { // also what is no language, such as "osd" and "script/Latin"
		return ""
	}
	return t.String()
}

// lang is the catalog's entry for the main language.
func (w *Writer) lang() string {
	for _, name := range w.meta.Languages {
		if t := tag(name); t != "" {
			return "/Lang(" + t + ")"
		}
	}
	return ""
}

// clean leaves what may stand in XML: the same text must be in the document
// information and in the metadata (ISO 19005-2, 6.6.2.3.3).
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == unicode.ReplacementChar || r == 0xfffe || r == 0xffff || r < ' ':
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, " "))
}

// info writes the document information dictionary.
func (w *Writer) info() {
	var b strings.Builder
	for _, e := range []struct{ key, value string }{
		{"Title", w.meta.Title}, {"Author", w.meta.Author}, {"Subject", w.meta.Subject}, {"Producer", w.meta.Producer},
	} {
		if e.value != "" {
			fmt.Fprintf(&b, "/%s%s", e.key, pdfString(clean(e.value)))
		}
	}
	for _, e := range []struct {
		key  string
		time time.Time
	}{{"CreationDate", w.meta.Created}, {"ModDate", w.meta.Modified}} {
		if !e.time.IsZero() {
			// In UTC, so that both forms of a date agree to the letter. Strict
			// readers want the offset in full.
			fmt.Fprintf(&b, "/%s(D:%s+00'00')", e.key, e.time.UTC().Format("20060102150405"))
		}
	}
	w.object(objInfo, "<<%s>>", b.String())
}

// metadata writes the XMP packet, unfiltered, so that programs which know
// nothing of PDF find it. It has no room to be changed in place: that would be a
// tenth of a short letter, and who changes a document writes it anew.
func (w *Writer) metadata() {
	var b bytes.Buffer
	text := func(s string) string {
		var e bytes.Buffer
		// Writing to a buffer does not fail.
		_ = xml.EscapeText(&e, []byte(clean(s)))
		return e.String()
	}
	b.WriteString("<?xpacket begin=\"\uFEFF\" id=\"W5M0MpCehiHzreSzNTczkc9d\"?>\n" +
		`<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">` + "\n")
	part := func(namespace, uri, body string) {
		if body != "" {
			fmt.Fprintf(&b, "<rdf:Description rdf:about=\"\" xmlns:%s=\"%s\">%s</rdf:Description>\n", namespace, uri, body)
		}
	}
	element := func(name, value, before, after string) string {
		if value == "" {
			return ""
		}
		return "<" + name + ">" + before + text(value) + after + "</" + name + ">"
	}
	date := func(name string, t time.Time) string {
		if t.IsZero() {
			return ""
		}
		return element(name, t.UTC().Format("2006-01-02T15:04:05Z"), "", "")
	}
	const alt, endAlt = `<rdf:Alt><rdf:li xml:lang="x-default">`, `</rdf:li></rdf:Alt>`
	part("pdfaid", "http://www.aiim.org/pdfa/ns/id/", fmt.Sprintf("<pdfaid:part>%d</pdfaid:part><pdfaid:conformance>%s</pdfaid:conformance>", w.part.part, w.part.conformance))
	part("dc", "http://purl.org/dc/elements/1.1/",
		element("dc:title", w.meta.Title, alt, endAlt)+
			element("dc:creator", w.meta.Author, `<rdf:Seq><rdf:li>`, `</rdf:li></rdf:Seq>`)+
			element("dc:description", w.meta.Subject, alt, endAlt)+
			"<dc:format>application/pdf</dc:format>"+w.dcLanguages())
	part("xmp", "http://ns.adobe.com/xap/1.0/", date("xmp:CreateDate", w.meta.Created)+date("xmp:ModifyDate", w.meta.Modified)+date("xmp:MetadataDate", w.meta.Modified))
	part("pdf", "http://ns.adobe.com/pdf/1.3/", element("pdf:Producer", w.meta.Producer, "", ""))
	b.WriteString("</rdf:RDF></x:xmpmeta>\n")
	b.WriteString(`<?xpacket end="r"?>`)
	w.begin(objMetadata)
	w.printf("<</Type/Metadata/Subtype/XML/Length %d>>\nstream\n", b.Len())
	w.write(b.Bytes())
	w.printf("\nendstream\nendobj\n")
}

// dcLanguages names all languages of the document.
func (w *Writer) dcLanguages() string {
	var b strings.Builder
	for _, name := range w.meta.Languages {
		if t := tag(name); t != "" {
			b.WriteString("<rdf:li>" + t + "</rdf:li>")
		}
	}
	if b.Len() == 0 {
		return ""
	}
	return "<dc:language><rdf:Bag>" + b.String() + "</rdf:Bag></dc:language>"
}
