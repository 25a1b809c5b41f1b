package main

import (
	"context"
	"io"

	"docscan/packaging/slot"
	"docscan/scan"
	"docscan/web"
)

var _ web.Updates = (*process)(nil)

// Status tells how the installed versions and the update stand.
func (d *process) Status() (web.UpdateStatus, error) {
	st, err := d.slots.Status()
	if err != nil {
		return web.UpdateStatus{}, err
	}
	doing, failure := d.updater.Doing()
	u := web.UpdateStatus{
		Running: version, State: string(st.State), Doing: doing, Reason: st.Reason, Deadline: st.Deadline,
		Current: updateVersion(st.Current), Previous: updateVersion(st.Previous), Next: updateVersion(st.Next),
	}
	if d.frame.OnTrial() {
		u.Doing = "Version " + version + " is on trial."
	}
	if failure != nil {
		u.Failure, u.FailureKind = failure.Error(), updateKind(failure)
	}
	return u, nil
}

// History gives the last steps.
func (d *process) History() ([]web.UpdateStep, error) {
	events, err := d.slots.History()
	return updateSteps(events), err
}

// Part takes a part of an upload.
func (d *process) Part(ctx context.Context, digest string, size, offset int64, r io.Reader) (int64, error) {
	next, err := d.updater.Part(ctx, digest, size, offset, r)
	return next, fitForPeople(err)
}

// Receive takes a whole update file.
func (d *process) Receive(ctx context.Context, size int64, r io.Reader) (string, int64, error) {
	digest, n, err := d.updater.Receive(ctx, size, r)
	return digest, n, fitForPeople(err)
}

// Install begins to install an upload.
func (d *process) Install(_ context.Context, digest string, size int64, downgrade bool, by scan.By) error {
	return fitForPeople(d.updater.Install(digest, size, downgrade, origin(by)))
}

// Package begins to install what Debian's package has brought.
func (d *process) Package(_ context.Context, downgrade bool, by scan.By) error {
	return fitForPeople(d.updater.Package(downgrade, origin(by)))
}

// RollBack begins to go back.
func (d *process) RollBack(_ context.Context, reason string, by scan.By) error {
	return fitForPeople(d.updater.RollBack(reason, origin(by)))
}

// Restart begins to start the version that runs anew.
func (d *process) Restart(_ context.Context, by scan.By) error {
	return fitForPeople(d.updater.Restart(origin(by)))
}

// Configure has settings checked, and taken.
func (d *process) Configure(ctx context.Context, settings []byte, dryRun bool, by scan.By) error {
	return fitForPeople(d.updater.Configure(ctx, settings, dryRun, origin(by)))
}

// atTheBox is from where a step comes that was asked for at the box itself.
const atTheBox = "local"

// origin is how the slots name who asks for something.
func origin(by scan.By) slot.Origin {
	o := slot.Origin{Who: by.Actor, From: by.Address}
	if o.From == "" {
		o.From = atTheBox
	}
	return o
}
