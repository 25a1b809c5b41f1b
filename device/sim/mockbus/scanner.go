package main

import (
	"flag"
	"log/slog"
	"net/http"
)

// scannerFlags defines the flags of the scanner behind the bus and gives what
// makes it of them.
func scannerFlags(*flag.FlagSet) func(log *slog.Logger) (http.Handler, error) {
	return func(*slog.Logger) (http.Handler, error) { return plain(), nil }
}
