package main

import (
	"context"
	"strings"
	"testing"
	"time"
)

// The short form of the soak: nobody at work notices that the version changes.
func TestNobodyNotices(t *testing.T) {
	ctx, stop := context.WithTimeout(t.Context(), 5*time.Minute)
	defer stop()
	var out strings.Builder
	err := soak(ctx, &out, 3, 15, 1, 0)
	t.Logf("\n%s", &out)
	if err != nil {
		t.Fatal(err)
	}
}
