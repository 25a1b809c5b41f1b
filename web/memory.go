package web

import (
	"runtime/debug"
	runtimemetrics "runtime/metrics"
)

// heapIdle is memory that this process holds but does not use, in bytes.
func heapIdle() int64 {
	m := []runtimemetrics.Sample{{Name: "/memory/classes/heap/free:bytes"}}
	runtimemetrics.Read(m)
	return int64(m[0].Value.Uint64())
}

// releaseHeap gives it back to the system.
func releaseHeap() { debug.FreeOSMemory() }
