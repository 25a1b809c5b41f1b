package ocr

import "testing"

// The engine's parallel loops are this program's, for which it has to be seen by the libraries.
func TestSingleThread(t *testing.T) {
	if !singleThread() {
		t.Error("libgomp's own GOMP_parallel is used")
	}
}
