package main

import (
	"context"
	"strings"
	"testing"
	"time"
)

// The short form of the soak: nobody at work notices that the version changes. To
// pack whole programs takes the race detector most of a minute.
func TestNobodyNotices(t *testing.T) {
	ctx, stop := context.WithTimeout(t.Context(), 5*time.Minute)
	defer stop()
	var out strings.Builder
	err := soak(ctx, &out, 2, 8, 1, 0, false)
	t.Logf("\n%s", &out)
	if err != nil {
		t.Fatal(err)
	}
}
