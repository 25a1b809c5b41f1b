package main

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
)

// notifyMain tells systemd that process pid is the main one of the unit from now
// on. The watchdog's time begins anew, so that the other has all of it.
func notifyMain(log *slog.Logger, pid int) {
	if _, err := daemon.SdNotify(false, fmt.Sprintf("%s\nMAINPID=%d", daemon.SdNotifyWatchdog, pid)); err != nil {
		log.Warn("telling systemd failed", "err", err)
	}
}

// startPatience is how long systemd waits for the next step of a start. It is the unit's
// TimeoutStartSec, which counts from the begin; a test compares.
const startPatience = 2 * time.Minute

// notifyStep tells systemd what a start does now, and that it may take as long as before.
func notifyStep(log *slog.Logger, doing string) {
	if _, err := daemon.SdNotify(false, fmt.Sprintf("STATUS=%s\nEXTEND_TIMEOUT_USEC=%d", doing, startPatience.Microseconds())); err != nil {
		log.Warn("telling systemd failed", "err", err)
	}
}

// nowAndThen lets do happen when it is called, but not again within every.
func nowAndThen(every time.Duration, do func()) func() {
	var last time.Time
	return func() {
		if time.Since(last) >= every {
			last = time.Now()
			do()
		}
	}
}

// notify tells systemd that the daemon is ready, keeps the unit's watchdog
// quiet for as long as alive finds nothing wrong, and says that the daemon is
// stopping when ctx ends. Without systemd it just waits for that. It ends
// silently when the daemon is handed over to another process.
//
// alive is asked twice in each WatchdogSec of the unit. While it hangs or gives
// an error the watchdog hears nothing, so systemd ends the daemon and starts it
// anew. It must come back soon after ctx has ended.
func notify(ctx context.Context, handedOver <-chan struct{}, log *slog.Logger, alive func() error) error {
	interval, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		return fmt.Errorf("read the watchdog's interval: %w", err)
	}
	tell := func(state ...string) {
		if _, err := daemon.SdNotify(false, strings.Join(state, "\n")); err != nil {
			log.Warn("telling systemd failed", "err", err)
		}
	}
	tell(daemon.SdNotifyReady, "STATUS=ready to scan")
	defer func() {
		if ctx.Err() != nil {
			tell(daemon.SdNotifyStopping, "STATUS=finishing what is under way")
		}
	}()
	if interval == 0 {
		select {
		case <-ctx.Done():
		case <-handedOver:
		}
		return nil
	}
	t := time.NewTicker(interval / 2)
	defer t.Stop()
	well := true
	for {
		err := alive()
		switch {
		case ctx.Err() != nil:
			return nil
		case err == nil && well:
			tell(daemon.SdNotifyWatchdog)
		case err == nil:
			tell(daemon.SdNotifyWatchdog, "STATUS=ready to scan")
		default:
			log.Error("the daemon cannot do its work", "err", err)
			// A line break would begin another message.
			tell("STATUS=not well: " + strings.Join(strings.Fields(err.Error()), " "))
		}
		well = err == nil
		select {
		case <-ctx.Done():
			return nil
		case <-handedOver:
			return nil
		case <-t.C:
		}
	}
}
