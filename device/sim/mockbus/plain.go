package main

import (
	"io"
	"net/http"
	"strconv"
)

// plain is a web server without a scanner, for tests of the bus and of what
// carries HTTP over it.
func plain() http.Handler {
	mux := http.NewServeMux()
	// The path comes back, so that a client notices the answer to another
	// request.
	mux.HandleFunc("GET /echo/", func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, r.URL.Path)
	})
	mux.HandleFunc("POST /echo/", func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 16<<20))
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		w.Write(b)
	})
	// So many bytes, each the low byte of its place.
	mux.HandleFunc("GET /bytes/{n}", func(w http.ResponseWriter, r *http.Request) {
		n, err := strconv.Atoi(r.PathValue("n"))
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		b := make([]byte, 64<<10)
		for i := range b {
			b[i] = byte(i)
		}
		for n > 0 {
			k, err := w.Write(b[:min(n, len(b))])
			if err != nil {
				return
			}
			n -= k
		}
	})
	// No answer as long as the connection stands.
	mux.HandleFunc("GET /never", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	return mux
}
