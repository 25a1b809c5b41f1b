package ocr

// #cgo LDFLAGS: -ldl
// #include "single.h"
import "C"

// singleThread reports whether the engine's loops run in its own thread, without libgomp.
func singleThread() bool { return C.single_thread() != 0 }
