package scan

import (
	"context"
	"testing"

	"docscan/device"
	"docscan/store"
)

func TestBacks(t *testing.T) {
	tests := []struct {
		name            string
		turned, upright int
		want            bool
	}{
		{"nothing seen", 0, 0, false},
		{"too few", 4, 0, false},
		{"enough", 5, 0, true},
		{"one printed the other way", 9, 1, true},
		{"as they come", 9, 2, false},
		{"all upright", 0, 50, false},
	}
	for _, tt := range tests {
		if got := (backs{tt.turned, tt.upright}).turned(); got != tt.want {
			t.Errorf("%s: %t, want %t", tt.name, got, tt.want)
		}
	}
	// A firmware that does better is believed after a while.
	b := backs{Turned: backsMost}
	n := 0
	for ; b.turned(); n++ {
		b.add(false)
	}
	if n > 30 {
		t.Errorf("%d upright backs were needed", n)
	}
}

// What the backs of a model have in common is remembered, by model and not by
// machine.
func TestLearnBack(t *testing.T) {
	e := chooser(t)
	list := map[string]string{"one": "S1", "two": "S1", "other": "S2"}
	finder := func(context.Context) ([]device.Found, error) {
		var found []device.Found
		for id, model := range list {
			found = append(found, device.Found{Info: device.Info{ID: id, Make: "Acme", Model: model}, Open: func(context.Context) (device.Scanner, error) {
				return nil, device.Faultf(device.HeldByOther, "for the test")
			}})
		}
		return found, nil
	}
	seen := make(chan string, 10)
	reg := device.NewRegistry(e.log, func(id string) { seen <- id }, finderFunc(finder))
	e.Attach(reg)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- reg.Run(ctx) }()
	for range list {
		<-seen
	}
	front, back := store.Page{}, store.Page{Back: true}
	for range backsEnough {
		e.learnBack("one", front, 180, 100) // no back
		e.learnBack("one", back, 180, 3)    // too few words to tell
		e.learnBack("one", back, 90, 100)   // lies on its side
		e.learnBack("gone", back, 180, 100) // nobody knows what it was
		e.learnBack("other", back, 0, 100)  // as it should be
	}
	if e.backsTurned("one") || e.backsTurned("other") || e.backsTurned("gone") {
		t.Error("backs are taken for turned by pages that do not tell")
	}
	for range backsEnough {
		e.learnBack("one", back, 180, backWords)
	}
	if !e.backsTurned("one") || !e.backsTurned("two") || e.backsTurned("other") {
		t.Errorf("turned: %t, the same model %t, another %t; want the first two", e.backsTurned("one"), e.backsTurned("two"), e.backsTurned("other"))
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// finderFunc is a device.Finder made of its one method.
type finderFunc func(context.Context) ([]device.Found, error)

func (f finderFunc) Find(ctx context.Context) ([]device.Found, error) { return f(ctx) }
