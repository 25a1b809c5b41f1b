package main

import (
	"fmt"

	"docscan/device/sim/esci"
	"docscan/device/sim/usbface"
)

// esciDevice makes a simulated ESC/I-2 scanner, the n-th of its kind.
func esciDevice(knobs string, n int, f usbface.Faults) (*usbface.Device, error) {
	cfg, err := esci.ParseConfig(knobs)
	if err != nil {
		return nil, err
	}
	cfg.Log = stderr()
	if n > 1 {
		cfg.Serial = fmt.Sprint("SIM000000", n)
	}
	s, err := esci.New(cfg)
	if err != nil {
		return nil, err
	}
	return usbface.NewVendor(s.Layout(), f, s)
}
