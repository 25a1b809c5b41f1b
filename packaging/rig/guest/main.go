package main

import (
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"time"

	"docscan/device/sim/usbface"
	"docscan/device/sim/usbip"
)

func main() {
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprintln(w, "hello") })
	d, err := usbface.New(usbface.DefaultLayout(), usbface.Faults{}, h, slog.Default())
	if err != nil {
		fmt.Println("rig: FAIL", err)
		return
	}
	start := time.Now()
	a, err := usbip.Attach(usbip.Controller, 0, d)
	if err != nil {
		fmt.Println("rig: FAIL", err)
		return
	}
	for range 20 {
		out, err := exec.Command("lsusb").CombinedOutput()
		fmt.Printf("rig: %v lsusb %v\n%s", time.Since(start), err, out)
		if len(out) > 200 {
			break
		}
		time.Sleep(time.Second)
	}
	out, err := exec.Command("lsusb", "-v", "-d", "1209:0001").CombinedOutput()
	fmt.Printf("%s %v\n", out, err)
	out, _ = exec.Command("sh", "-c", "dmesg | tail -20; uptime; ls -la /sys/class/gpio* /sys/kernel/config; systemd-analyze; systemd-analyze blame | head -20; free -m").CombinedOutput()
	fmt.Printf("%s\n", out)
	fmt.Println("detach", a.Detach())
	os.Stdout.WriteString("rig: PASS\n")
}
