package store

import (
	"encoding/json"
	"testing"
	"time"
)

func TestKeepUnknown(t *testing.T) {
	type part struct {
		ID   string `json:"id"`
		Turn int    `json:"turn,omitempty"`
	}
	type base struct {
		Owner string `json:"owner"`
	}
	type record struct {
		base
		Title string    `json:"title"`
		Note  string    `json:"note,omitempty"`
		Made  time.Time `json:"made,omitzero"`
		Main  *part     `json:"main,omitempty"`
		Parts []part    `json:"parts,omitempty"`
		Tags  []string  `json:"tags,omitempty"`
	}
	tests := []struct {
		name, before string
		now          record
		want         string
	}{
		{"no record before", ``, record{Title: "a"}, `{"owner":"","title":"a"}`},
		{"nothing unknown", `{"owner":"o","title":"a","note":"n"}`, record{Title: "b"}, `{"owner":"","title":"b"}`},
		{"unknown field", `{"owner":"o","title":"a","colour":{"r":1}}`, record{Title: "b"}, `{"colour":{"r":1},"owner":"","title":"b"}`},
		{"a large number stays what it is", `{"title":"a","n":12345678901234567890}`, record{Title: "b"}, `{"n":12345678901234567890,"owner":"","title":"b"}`},
		{"a known field that is taken away stays away", `{"title":"a","note":"n","x":1}`, record{Title: "b"}, `{"owner":"","title":"b","x":1}`},
		{"in an object", `{"title":"a","main":{"id":"1","x":1}}`, record{Title: "a", Main: &part{ID: "2"}}, `{"main":{"id":"2","x":1},"owner":"","title":"a"}`},
		{"the object is taken away", `{"title":"a","main":{"id":"1","x":1}}`, record{Title: "a"}, `{"owner":"","title":"a"}`},
		{"in a list, where nothing else changed", `{"title":"a","parts":[{"id":"1","x":1},{"id":"2","x":2},{"id":"3","x":3}]}`,
			record{Title: "a", Parts: []part{{"3", 0}, {"2", 90}}}, `{"owner":"","parts":[{"id":"3","x":3},{"id":"2","turn":90}],"title":"a"}`},
		{"of another kind", `{"title":5,"x":1}`, record{Title: "a"}, `{"owner":"","title":"a","x":1}`},
		{"no object", `[1]`, record{Title: "a"}, `{"owner":"","title":"a"}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			j, err := json.Marshal(tt.now)
			if err != nil {
				t.Fatal(err)
			}
			var before []byte
			if tt.before != "" {
				before = []byte(tt.before)
			}
			got, err := keepUnknown(before, j, &tt.now)
			if err != nil || string(got) != tt.want {
				t.Errorf("%s, %v; want %s", got, err, tt.want)
			}
		})
	}
}
