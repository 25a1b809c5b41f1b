package main

// handOver does nothing: on Windows files inherit the rights of their folder.
func handOver(string) error { return nil }
