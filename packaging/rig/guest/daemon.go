package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

// socket is where docscand answers to root without a password.
const socket = "/var/lib/docscan/docscand.sock"

// daemon asks docscand.
type daemon struct{ http http.Client }

func newDaemon() *daemon {
	return &daemon{http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", socket)
		},
	}}}
}

// What docscand says, as far as it is looked at.
type (
	scanner struct {
		Info   struct{ ID, Serial, Port string }
		Status struct {
			State, Fault string
			Loaded       bool
		}
	}
	batch struct {
		ID, State, Origin string
		Sheets            int
		Fault             *struct{ Kind, What, Safe, Advice string }
		Documents         []string
	}
)

// get asks for path and reads the answer into out, or gives it as text.
func (d *daemon) get(path string, out any) (string, error) {
	resp, err := d.http.Get("http://localhost" + path)
	return read(path, resp, err, out)
}

// post sends body as JSON to path.
func (d *daemon) post(path string, body any) error {
	text, err := json.Marshal(body)
	if err != nil {
		return err
	}
	resp, err := d.http.Post("http://localhost"+path, "application/json", bytes.NewReader(text))
	_, err = read(path, resp, err, nil)
	return err
}

// read reads an answer, if there is one.
func read(path string, resp *http.Response, err error, out any) (string, error) {
	if err != nil {
		return "", fmt.Errorf("ask docscand: %w", err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return "", fmt.Errorf("ask docscand for %s: %w", path, err)
	}
	if resp.StatusCode/100 != 2 {
		return "", fmt.Errorf("ask docscand for %s: %s: %s", path, resp.Status, body)
	}
	if out != nil {
		if err := json.Unmarshal(body, out); err != nil {
			return "", fmt.Errorf("ask docscand for %s: %w: %s", path, err, body)
		}
	}
	return string(body), nil
}

// scanner gives the machine with that serial number; one that docscand has never
// seen is in no state.
func (d *daemon) scanner(serial string) (scanner, error) {
	var answer struct{ Devices []scanner }
	if _, err := d.get("/api/v1/devices", &answer); err != nil {
		return scanner{}, err
	}
	for _, s := range answer.Devices {
		if s.Info.Serial == serial {
			return s, nil
		}
	}
	return scanner{}, nil
}

// batches gives all batches, newest first.
func (d *daemon) batches() ([]batch, error) {
	var answer struct{ Batches []batch }
	_, err := d.get("/api/v1/batches", &answer)
	return answer.Batches, err
}

// pages gives the text of each page of a document.
func (d *daemon) pages(id string) ([]string, error) {
	text, err := d.get("/api/v1/documents/"+id+"/text", nil)
	if err != nil {
		return nil, err
	}
	return strings.Split(strings.TrimRight(text, "\f\n"), "\f"), nil
}
