package ocr

import (
	"math"
	"reflect"
	"strings"
	"testing"
)

const sampleHOCR = `<div class='ocr_page' id='page_1' title='image "unknown"; bbox 0 0 800 600; ppageno 0'>
 <div class='ocr_photo' id='block_1_1' title="bbox 500 10 700 200"></div>
 <div class='ocr_carea' id='block_1_2' title="bbox 36 92 618 361">
  <p class='ocr_par' id='par_1_1' lang='eng' title="bbox 36 92 618 361">
   <span class='ocr_line' id='line_1_1' title="bbox 36 92 580 122; baseline 0.002 -6; x_size 30; x_descenders 6; x_ascenders 7">
    <span class='ocrx_word' id='word_1_1' title='bbox 36 92 96 116; x_wconf 96'>Salt &amp;</span>
    <span class='ocrx_word' id='word_1_2' lang='fra' title='bbox 109 92 178 122; x_wconf 91'><strong>pep<em>per</em></strong></span>
    <span class='ocrx_word' id='word_1_3' title='bbox 190 92 200 122; x_wconf 3'> </span>
   </span>
  </p>
  <p class='ocr_par' id='par_1_2' lang='deu' title="bbox 36 200 618 361">
   <span class='ocr_header' id='line_1_2' title="bbox 36 200 300 230">
    <span class='ocrx_word' id='word_1_4' title='bbox 36 200 300 230; x_wconf 88'>Grüße</span>
   </span>
   <span class='ocr_line' id='line_1_3' title="bbox 36 300 300 330; textangle 90">
    <span class='ocrx_word' id='word_1_5' title='bbox 36 300 60 330; x_wconf 70'>up</span>
   </span>
   <span class='ocr_line' id='line_1_4' title="bbox 36 300 300 330">
    <span class='ocrx_word' id='word_1_6' title='bbox 36 300 60 330; x_wconf 70'></span>
   </span>
  </p>
 </div>
</div>`

func TestParseHOCR(t *testing.T) {
	got, err := parseHOCR(sampleHOCR)
	if err != nil {
		t.Fatal(err)
	}
	want := []hocrLine{
		{
			paragraph: 1, box: box{36, 92, 580, 122}, slope: 0.002, offset: -6, based: true, size: 30, descenders: 6,
			words: []hocrWord{{box{36, 92, 96, 116}, "Salt&", 96, "eng"}, {box{109, 92, 178, 122}, "pepper", 91, "fra"}},
		},
		{paragraph: 2, box: box{36, 200, 300, 230}, words: []hocrWord{{box{36, 200, 300, 230}, "Grüße", 88, "deu"}}},
		{paragraph: 2, box: box{36, 300, 300, 330}, angle: 90, words: []hocrWord{{box{36, 300, 60, 330}, "up", 70, "deu"}}},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("lines\n%+v\nwant\n%+v", got, want)
	}
}

func TestParseHOCRRefuses(t *testing.T) {
	for _, title := range []string{"bbox 10 10 5 20", "bbox 1 2 3", "bbox 0 9 9 0"} {
		hocr := strings.Replace(sampleHOCR, "bbox 36 92 96 116", title, 1)
		if _, err := parseHOCR(hocr); err == nil {
			t.Errorf("a word with %q passed", title)
		}
	}
}

// Tesseract gives sideways lines an upright baseline or none at all.
func TestSetAngles(t *testing.T) {
	word := func(left, top float64) hocrWord { return hocrWord{box: box{left, top, left + 30, top + 90}} }
	tests := []struct {
		name string
		line hocrLine
		want int
	}{
		{"level", hocrLine{based: true, words: []hocrWord{word(0, 0), word(100, 3)}}, 0},
		{"down, upright baseline", hocrLine{based: true, slope: -97.6, words: []hocrWord{word(0, 0), word(2, 100)}}, 270},
		{"down, no baseline", hocrLine{words: []hocrWord{word(0, 0), word(2, 100)}}, 270},
		{"up, no baseline", hocrLine{words: []hocrWord{word(0, 100), word(2, 0)}}, 90},
		{"one word, upright baseline", hocrLine{based: true, slope: 80, words: []hocrWord{word(0, 0)}}, 270},
		{"one word, no baseline", hocrLine{words: []hocrWord{word(0, 0)}}, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			lines := []hocrLine{tt.line}
			setAngles(lines)
			if lines[0].angle != tt.want {
				t.Errorf("angle %d, want %d", lines[0].angle, tt.want)
			}
		})
	}
}

// The text within hOCR is what somebody printed, and the numbers come from C++.
func FuzzParseHOCR(f *testing.F) {
	f.Add(sampleHOCR)
	f.Add(`<p class=ocr_par><span class=ocr_line title="bbox 0 0 9 9; baseline nan inf; textangle 1e300"><span class=ocrx_word title="bbox 0 0 1 1; x_wconf -5">a`)
	f.Fuzz(func(t *testing.T, hocr string) {
		lines, err := parseHOCR(hocr)
		if err != nil {
			return
		}
		p := newPlacement(3000, 2000, 2500, 1667, 3, 20, 1.5)
		for _, l := range lines {
			if len(l.words) == 0 {
				t.Error("a line without words")
			}
			for _, w := range p.words(&l) {
				if !proper(w.Text) || !within(w.Confidence, 0, 100) {
					t.Errorf("word %+v", w)
				}
				for _, v := range []float64{w.X, w.Y, w.Width, w.Height, w.Descent, w.Angle} {
					if math.IsNaN(v) || math.IsInf(v, 0) {
						t.Errorf("word %+v", w)
					}
				}
			}
		}
	})
}
