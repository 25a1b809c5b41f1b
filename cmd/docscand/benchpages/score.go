package main

import (
	"strings"

	"golang.org/x/text/unicode/norm"
)

// A score is how well text was read: edits that make the text read into the one
// that stands on the page, and words found whatever their order.
type score struct {
	edits, chars    int
	hits, said, all int // words: read rightly, read, on the page
}

func (s *score) add(o score) {
	s.edits += o.edits
	s.chars += o.chars
	s.hits += o.hits
	s.said += o.said
	s.all += o.all
}

// cer is the share of characters in error; it can be more than 1.
func (s score) cer() float64 {
	if s.chars == 0 {
		return 0
	}
	return float64(s.edits) / float64(s.chars)
}

// f1 is the harmonic mean of precision and recall of the words.
func (s score) f1() float64 {
	if s.said+s.all == 0 {
		return 1
	}
	return 2 * float64(s.hits) / float64(s.said+s.all)
}

// compare scores got, which was read, by want, which stands there. fold takes
// capitals for small letters.
func compare(got, want string, fold bool) score {
	got, want = normal(got), normal(want)
	if fold {
		got, want = strings.ToLower(got), strings.ToLower(want)
	}
	g, w := strings.Fields(got), strings.Fields(want)
	s := score{edits: distance([]rune(got), []rune(want)), chars: len([]rune(want)), said: len(g), all: len(w)}
	count := make(map[string]int)
	for _, word := range w {
		count[word]++
	}
	for _, word := range g {
		if count[word] > 0 {
			count[word]--
			s.hits++
		}
	}
	return s
}

// plain folds what looks the same in print.
var plain = strings.NewReplacer("’", "'", "‘", "'", "‚", "'", "“", `"`, "”", `"`, "„", `"`, "«", `"`, "»", `"`,
	"–", "-", "—", "-", "‐", "-", "‑", "-", "−", "-", "ﬁ", "fi", "ﬂ", "fl", "ﬀ", "ff", "ﬃ", "ffi", "ﬄ", "ffl",
	"…", "...", "\u00ad", "", "\u00a0", " ", "\u202f", " ", "☐", "", "☒", "", "•", "", "·", "")

func normal(s string) string {
	return strings.Join(strings.Fields(plain.Replace(norm.NFC.String(s))), " ")
}

// distance is Levenshtein's: insertions, deletions and replacements.
func distance(a, b []rune) int {
	prev, cur := make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range prev {
		prev[j] = j
	}
	for i, r := range a {
		cur[0] = i + 1
		for j, q := range b {
			c := prev[j]
			if r != q {
				c++
			}
			cur[j+1] = min(c, prev[j+1]+1, cur[j]+1)
		}
		prev, cur = cur, prev
	}
	return prev[len(b)]
}
