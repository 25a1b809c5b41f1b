package main

import (
	"docscan/device/sim/esci"
	"docscan/device/sim/usbface"
)

// esciDevice makes a simulated ESC/I-2 scanner.
func esciDevice(knobs string, f usbface.Faults) (*usbface.Device, error) {
	cfg, err := esci.ParseConfig(knobs)
	if err != nil {
		return nil, err
	}
	cfg.Log = stderr()
	s, err := esci.New(cfg)
	if err != nil {
		return nil, err
	}
	return usbface.NewVendor(s.Layout(), f, s)
}
