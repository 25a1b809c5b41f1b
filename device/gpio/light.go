package gpio

import (
	"time"

	"docscan/device"
)

// Pattern says how an LED shows something.
type Pattern string

// The patterns. They differ in rhythm and not only in speed, so that they are
// told apart at a glance.
const (
	Off         Pattern = "off"
	On          Pattern = "on"
	BlinkSlow   Pattern = "blink-slow"   // half a second on, half a second off
	BlinkFast   Pattern = "blink-fast"   // nearly three times a second
	DoubleFlash Pattern = "double-flash" // two short flashes, then a pause
)

// times are how long p is on and off in turn, beginning with on, over and over.
// None flashes more than three times a second, the limit of WCAG 2.2, 2.3.1.
func (p Pattern) times() []time.Duration {
	const ms = time.Millisecond
	switch p {
	case BlinkSlow:
		return []time.Duration{500 * ms, 500 * ms}
	case BlinkFast:
		return []time.Duration{170 * ms, 170 * ms}
	case DoubleFlash:
		return []time.Duration{120 * ms, 160 * ms, 120 * ms, 1100 * ms}
	}
	return nil
}

// at says whether an LED is lit when p has been shown for elapsed, and for how
// long that stays so; 0: until something else is shown.
func (p Pattern) at(elapsed time.Duration) (lit bool, stays time.Duration) {
	times := p.times()
	if times == nil {
		return p == On, 0
	}
	var period time.Duration
	for _, t := range times {
		period += t
	}
	elapsed %= period
	for i, t := range times {
		if elapsed < t {
			return i%2 == 0, t - elapsed
		}
		elapsed -= t
	}
	return false, 0 // not reached: the times add up to the period
}

// patterns are what each colour shows by default. Green: the paper is safe and
// may be taken away. Yellow, or blue: docscan is at work. Red: a person is
// needed. White is for an LED that is alone.
var patterns = map[string]map[device.Light]Pattern{
	"white": {
		device.LightIdle:      On,
		device.LightScanning:  BlinkSlow,
		device.LightSafe:      On,
		device.LightWorking:   On,
		device.LightDelivered: On,
		device.LightNeedsYou:  DoubleFlash,
		device.LightFault:     BlinkFast,
	},
	"green": {
		device.LightIdle:      On,
		device.LightSafe:      On,
		device.LightWorking:   On,
		device.LightDelivered: DoubleFlash,
	},
	"yellow": atWork,
	"blue":   atWork,
	"red": {
		device.LightNeedsYou: DoubleFlash,
		device.LightFault:    BlinkFast,
	},
}

var atWork = map[device.Light]Pattern{
	device.LightScanning: BlinkSlow,
	device.LightSafe:     On,
	device.LightWorking:  DoubleFlash,
}
