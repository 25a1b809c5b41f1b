package main

import (
	"bytes"
	"encoding/json"
	"time"
)

// What the API says, as far as it is shown to people. With --json everything it
// says is printed.

type device struct {
	Info struct {
		ID     string `json:"id"`
		Port   string `json:"port"`
		Driver string `json:"driver"`
	} `json:"info"`
	Name string `json:"name"`
	Caps struct {
		Sources     []string `json:"sources"`
		Duplex      bool     `json:"duplex"`
		Resolutions []int    `json:"resolutions"`
	} `json:"caps"`
	Status struct {
		State  string `json:"state"`
		Loaded bool   `json:"loaded"`
		Fault  string `json:"fault"`
	} `json:"status"`
}

type profile struct {
	ID         string   `json:"id"`
	Name       string   `json:"name"`
	Source     string   `json:"source"`
	Duplex     bool     `json:"duplex"`
	Mode       string   `json:"mode"`
	Resolution int      `json:"resolution"`
	Languages  []string `json:"languages"`
}

type fault struct {
	Kind   string `json:"kind"`
	What   string `json:"what"`
	Safe   string `json:"safe"`
	Advice string `json:"advice"`
}

type page struct {
	Seq        int     `json:"seq"`
	Sheet      int     `json:"sheet"`
	Back       bool    `json:"back"`
	State      string  `json:"state"` // safe, done or kept
	Note       string  `json:"note"`
	Words      int     `json:"words"`
	Confidence float64 `json:"confidence"`
}

// pages is how many pages a batch has, and the pages where the answer lists
// them.
type pages struct {
	n    int
	list []page
}

// UnmarshalJSON takes a number or a list.
func (p *pages) UnmarshalJSON(b []byte) error {
	if bytes.HasPrefix(b, []byte("[")) {
		err := json.Unmarshal(b, &p.list)
		p.n = len(p.list)
		return err
	}
	return json.Unmarshal(b, &p.n)
}

type batch struct {
	ID        string    `json:"id"`
	State     string    `json:"state"`
	Device    string    `json:"device"`
	Profile   profile   `json:"profile"`
	Origin    string    `json:"origin"`
	Created   time.Time `json:"created"`
	Sheets    int       `json:"sheets"`
	Pages     pages     `json:"pages"`
	Done      int       `json:"done"`
	Fault     *fault    `json:"fault"`
	Documents []string  `json:"documents"`
	Upload    *struct { // nil: it was scanned
		Name  string `json:"name"`
		Pages int    `json:"pages"`
	} `json:"upload"`
}

// from says where the pages come from.
func (b *batch) from() string {
	if b.Upload != nil {
		return b.Upload.Name
	}
	return b.Device
}

// final reports whether the batch never changes again.
func (b *batch) final() bool {
	return b.State == "completed" || b.State == "canceled" || b.State == "failed"
}

type document struct {
	ID      string    `json:"id"`
	Title   string    `json:"title"`
	Batch   string    `json:"batch"`
	Created time.Time `json:"created"`
	Pages   pages     `json:"pages"`
	PDF     struct {
		Size int64 `json:"size"`
	} `json:"pdf"`
	Languages []string `json:"languages"`
	Notes     []string `json:"notes"`
	Hits      []hit    `json:"hits"` // of a search
}

// A hit is a place where a document has what was searched for.
type hit struct {
	Page    int `json:"page"`
	Snippet []struct {
		Text  string `json:"text"`
		Match bool   `json:"match"`
	} `json:"snippet"`
}

type user struct {
	ID       string    `json:"id"`
	Name     string    `json:"name"`
	Role     string    `json:"role"`
	Disabled bool      `json:"disabled"`
	Pending  bool      `json:"pending"`
	Created  time.Time `json:"created"`
}

type token struct {
	ID      string    `json:"id"`
	Name    string    `json:"name"`
	Token   string    `json:"token"` // only where it has just been made
	Scopes  []string  `json:"scopes"`
	Created time.Time `json:"created"`
	Expires time.Time `json:"expires"`
}

type status struct {
	Version     string            `json:"version"`
	Started     time.Time         `json:"started"`
	Free        int64             `json:"disk_free_bytes"`
	OpenBatches int               `json:"open_batches"`
	Waiting     int               `json:"pages_waiting"` // to be read
	Devices     map[string]string `json:"devices"`       // states by ID
}
