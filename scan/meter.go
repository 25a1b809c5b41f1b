package scan

import (
	"errors"
	"maps"
	"time"

	"docscan/device"
	"docscan/scan/ocr"
	"docscan/store"
)

// A Meter is what the engine has done since it was made, and what waits.
type Meter struct {
	Batches     map[store.BatchState]uint64 // that ended, by their final state
	Pages       map[store.PageState]uint64  // that became safe, done or kept
	Faults      map[device.FaultKind]uint64 // that stopped feeding
	Reads       uint64                      // pages that workers have read
	ReadSeconds float64                     // that they took for it
	Deaths      uint64                      // workers that crashed, hung or grew too large
	Preparing   int                         // pages that wait for their pictures
	Reading     int                         // pages that wait to be read
}

// Meter gives the figures as they are.
func (e *Engine) Meter() Meter {
	e.metering.Lock()
	m := e.meter
	m.Batches, m.Pages, m.Faults = maps.Clone(m.Batches), maps.Clone(m.Pages), maps.Clone(m.Faults)
	e.metering.Unlock()
	m.Preparing, m.Reading = e.prepare.len(), e.recognise.len()
	return m
}

func (q *queue) len() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.wait)
}

func (e *Engine) countBatch(s store.BatchState) {
	e.metering.Lock()
	defer e.metering.Unlock()
	if s.Final() {
		add(&e.meter.Batches, s)
	}
}

func (e *Engine) countPage(s store.PageState) {
	e.metering.Lock()
	defer e.metering.Unlock()
	add(&e.meter.Pages, s)
}

func (e *Engine) countFault(err error) {
	e.metering.Lock()
	defer e.metering.Unlock()
	add(&e.meter.Faults, device.KindOf(err))
}

func (e *Engine) countRead(took time.Duration) {
	e.metering.Lock()
	defer e.metering.Unlock()
	e.meter.Reads++
	e.meter.ReadSeconds += took.Seconds()
}

// countDeath counts an error that means that a worker had to be replaced.
func (e *Engine) countDeath(err error) {
	if !errors.Is(err, ocr.ErrCrashed) && !errors.Is(err, ocr.ErrTimeout) && !errors.Is(err, ocr.ErrMemory) {
		return
	}
	e.metering.Lock()
	defer e.metering.Unlock()
	e.meter.Deaths++
}

func add[K comparable](m *map[K]uint64, key K) {
	if *m == nil {
		*m = make(map[K]uint64)
	}
	(*m)[key]++
}
