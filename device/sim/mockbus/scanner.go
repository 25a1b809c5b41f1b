package main

import (
	"flag"
	"fmt"
	"log/slog"
	"net/http"
)

// scannerFlags defines the flags of the scanner behind the bus and gives what
// makes it of them.
func scannerFlags(flags *flag.FlagSet) func(log *slog.Logger) (http.Handler, error) {
	size := flags.Int("size", 10<<20, "bytes")
	return func(*slog.Logger) (http.Handler, error) {
		mux := http.NewServeMux()
		mux.HandleFunc("/bytes", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", fmt.Sprint(*size))
			w.Write(make([]byte, *size))
		})
		mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { fmt.Fprintln(w, "hello", r.URL) })
		return mux, nil
	}
}
