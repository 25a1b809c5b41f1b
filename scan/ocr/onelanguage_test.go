package ocr

import "testing"

// What another language has read is put right by that of the page, in its place and if
// it is as sure; numbers, and names that the page's language does not know, stay.
func TestOneLanguage(t *testing.T) {
	at := func(x float64, s, language string, confidence float64) hocrWord {
		return hocrWord{box: box{x, 0, x + 50, 20}, text: s, language: language, confidence: confidence}
	}
	line := hocrLine{words: []hocrWord{
		at(0, "mention", "fra", 96), at(60, "tres", "eng", 92), at(120, "Müller", "deu", 95), at(180, "12,50", "eng", 70), at(240, "recu", "eng", 90),
	}}
	again := []hocrWord{at(0, "mentïon", "fra", 97), at(61, "très", "fra", 91), at(121, "Muller", "fra", 60), at(181, "12.5O", "fra", 99), at(290, "reçu", "fra", 96)}
	r := reading{lines: []hocrLine{line, {words: []hocrWord{at(0, "expéditeur", "fra", 95), at(60, "correspondance", "fra", 95)}}}}
	language, ok := r.mainLanguage()
	if !ok || language != "fra" {
		t.Fatalf("the page is in %q, %v", language, ok)
	}
	line.adopt(again, language)
	for i, want := range []string{"mention", "très", "Müller", "12,50", "recu"} {
		if line.words[i].text != want {
			t.Errorf("word %d is %q, want %q", i, line.words[i].text, want)
		}
	}
	even := reading{lines: []hocrLine{{words: []hocrWord{at(0, "sixteen", "eng", 90), at(60, "sechzig", "deu", 90)}}}}
	if language, ok := even.mainLanguage(); ok {
		t.Errorf("a page in two languages is in %q", language)
	}
}
