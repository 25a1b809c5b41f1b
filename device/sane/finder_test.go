package sane

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"docscan/device"
	"docscan/device/confine"
)

// plug puts a USB device into a sysfs.
func plug(t *testing.T, sys, port string, bus, address int, serial string) {
	t.Helper()
	dir := filepath.Join(sys, sysDevices, port)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for file, text := range map[string]string{
		"busnum": strconv.Itoa(bus), "devnum": strconv.Itoa(address), "idVendor": "04b8", "idProduct": "0131",
		"bDeviceClass": "00", "manufacturer": "ODD", "product": "Scanner 5", "serial": serial,
	} {
		if err := os.WriteFile(filepath.Join(dir, file), []byte(text+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func unplug(t *testing.T, sys, port string) {
	t.Helper()
	if err := os.RemoveAll(filepath.Join(sys, sysDevices, port)); err != nil {
		t.Fatal(err)
	}
}

func infos(found []device.Found) []device.Info {
	var list []device.Info
	for _, f := range found {
		list = append(list, f.Info)
	}
	return list
}

// A machine has the ID that a driver of ours would give it, is offered once even
// if two backends know it, and not at all if a driver of ours has it or it has
// been unplugged.
func TestPlaces(t *testing.T) {
	r := newOddRig(t, "usb\n", nil)
	plug(t, r.sys, "1-2.3", 1, 4, "ABC123")
	plug(t, r.sys, "2-1", 1, 5, "")
	ours := false
	r.drives = func(bus, address int) bool { return ours && bus == 1 && address == 4 }

	first := device.Info{ID: "odd-scanner-5-abc123", Make: "Odd", Model: "USB Scanner", Serial: "ABC123", Port: "usb:1-2.3", Driver: "sane"}
	second := device.Info{ID: "odd-scanner-5-usb-2-1", Port: "usb:2-1", Driver: "sane"}
	if got, want := infos(r.devices(t)), []device.Info{first, second}; !slices.Equal(got, want) {
		t.Fatalf("found %+v, want %+v", got, want)
	}
	found := r.devices(t)
	s, err := found[0].Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	unplug(t, r.sys, "2-1") // nobody has said so, and no search is made
	if got, want := infos(r.devices(t)), []device.Info{first}; !slices.Equal(got, want) {
		t.Errorf("found %+v, want %+v", got, want)
	}
	ours = true
	if got := infos(r.devices(t)); len(got) != 0 {
		t.Errorf("found %+v", got)
	}
	ours = false
	unplug(t, r.sys, "1-2.3")
	if got := infos(r.devices(t)); len(got) != 0 {
		t.Errorf("found %+v", got)
	}
	if _, err := s.Status(t.Context()); device.KindOf(err) != device.Unplugged {
		t.Errorf("status of what was unplugged: %v", err)
	}
}

// No search is made while a run is open; a device that is held is known without
// one.
func TestSearchesWait(t *testing.T) {
	r := newRig(t, "number_of_devices 1\n", func(c *Config) { c.RelistSeconds = 0 })
	s := r.scanner(t, 0)
	run, err := s.Start(t.Context(), allPages)
	if err != nil {
		t.Fatal(err)
	}
	before := r.last
	r.Changed()
	if got := len(r.devices(t)); got != 1 || r.last != before {
		t.Errorf("%d devices; a search in the middle of a run: %t", got, r.last != before)
	}
	if err := run.Close(); err != nil {
		t.Error(err)
	}
	if got := len(r.devices(t)); got != 1 || r.last == before {
		t.Errorf("%d devices; a search after the run: %t", got, r.last != before)
	}
	before = r.last
	if got := len(r.devices(t)); got != 1 || r.last != before {
		t.Errorf("%d devices; a search without a reason: %t", got, r.last != before)
	}
}

func TestDeviceOf(t *testing.T) {
	devices := []usbDevice{{bus: 1, address: 4}, {bus: 1, address: 12}, {bus: 3, address: 2}}
	devices[0].desc.Port, devices[2].desc.Port = "usb:2-1.4", "usb:2-1"
	devices[1].said.Serial, devices[2].said.Serial = "21D59A", "1"
	tests := []struct {
		name string
		want int // index; -1: none
	}{
		{"epson2:libusb:001:004", 0},
		{"brother4:bus1;dev12", 1},
		{"epson2:libusb:001:005", -1},
		{"pixma:04A91736_21D59A", 1},
		{"hpaio:/usb/Model?serial=21D59A", 1},
		{"pixma:04A91736_21D59AB", -1},
		{"utsushi:esci:usb:/sys/devices/pci0000:00/0000:00:14.0/usb2/2-1/2-1.4/2-1.4:1.0", 0},
		{"utsushi:esci:usb:/sys/devices/pci0000:00/0000:00:14.0/usb2/2-1/2-1:1.0", 2},
		{"test:1", -1}, // too short to mean the third
		{"umax:/dev/sg0", -1},
		{"epson2:libusb:99999999999999999999:1", -1},
	}
	for _, tt := range tests {
		got := deviceOf(tt.name, devices)
		if tt.want < 0 && got != nil || tt.want >= 0 && got != &devices[tt.want] {
			t.Errorf("%s: %+v, want number %d", tt.name, got, tt.want)
		}
	}
}

func TestBackendsOfSystem(t *testing.T) {
	dir := settings(t, map[string]string{
		"dll.conf":              "# net\ntest\n epson2 # flatbeds\n../../evil\ntest\n\n",
		"dll.d/hplip":           "hpaio\n",
		"dll.d/old~":            "umax\n",
		"dll.d/x.dpkg-old":      "agfa\n",
		"dll.d/.hidden":         "leo\n",
		"dll.d/docscan-airscan": "airscan",
	})
	got, err := backends(dir)
	if want := []string{"test", "epson2", "airscan", "hpaio"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("backends %v, %v, want %v", got, err, want)
	}
	cfg := DefaultConfig()
	cfg.ConfigDir = dir
	f := &Finder{cfg: cfg, dir: t.TempDir()}
	conf, err := f.conf("all", []string{"hpaio"})
	if err != nil {
		t.Fatal(err)
	}
	again, err := backends(conf)
	if want := []string{"test", "epson2"}; err != nil || !slices.Equal(again, want) {
		t.Errorf("backends of the copy %v, %v, want %v", again, err, want)
	}
	if got, err := backends(t.TempDir()); err != nil || len(got) != 0 {
		t.Errorf("backends of nobody: %v, %v", got, err)
	}
}

func TestConfig(t *testing.T) {
	if c := DefaultConfig(); c.Check() != nil {
		t.Errorf("the default is wrong: %v", c.Check())
	}
	for key, change := range map[string]func(*Config){
		"list_seconds":    func(c *Config) { c.ListSeconds = 0 },
		"relist_seconds":  func(c *Config) { c.RelistSeconds = -1 },
		"call_seconds":    func(c *Config) { c.CallSeconds = 601 },
		"start_seconds":   func(c *Config) { c.StartSeconds = 0 },
		"silence_seconds": func(c *Config) { c.SilenceSeconds = 0 },
		"memory_mb":       func(c *Config) { c.MemoryMB = 10 },
		"exclude":         func(c *Config) { c.Exclude = []string{"../x"} },
		"config_dir":      func(c *Config) { c.ConfigDir = "sane.d" },
	} {
		c := DefaultConfig()
		change(&c)
		if err := c.Check(); err == nil || !strings.Contains(err.Error(), key) {
			t.Errorf("%s: %v", key, err)
		}
	}
	r := newRig(t, "", func(c *Config) { c.Enabled = false })
	if found := r.devices(t); len(found) != 0 || !r.last.IsZero() {
		t.Errorf("switched off, it found %v", found)
	}
}

// A helper cannot read what it need not, talk to the network or start programs.
func TestRights(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	dir := t.TempDir()
	out, err := exec.CommandContext(t.Context(), os.Args[0], "confined", dir, secret, l.Addr().String()).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	want := []string{"own file: true", "network: false", "program: false", "privileges: false"}
	if confine.Landlock() == nil {
		want = append(want, "secret: false")
	}
	got := string(out)
	for _, line := range want {
		if !strings.Contains(got, line+"\n") {
			t.Errorf("no %q in\n%s", line, got)
		}
	}
}

// confined is what a helper would try.
func confined(dir, secret, address string) int {
	giveUp(helperFlags{dir: dir, memoryMB: 256})
	can := func(what string, err error) { fmt.Printf("%s: %t\n", what, err == nil) }
	can("own file", os.WriteFile(filepath.Join(dir, "calibration"), nil, 0o600))
	_, err := os.ReadFile(secret)
	can("secret", err)
	_, err = net.Dial("tcp", address)
	can("network", err)
	can("program", exec.Command("/bin/true").Run())
	status, err := os.ReadFile("/proc/self/status")
	if err == nil && strings.Contains(string(status), "NoNewPrivs:\t1") {
		err = syscall.EPERM
	}
	can("privileges", err)
	return 0
}

// A helper dies with the daemon, however that dies.
func TestDiesWithDaemon(t *testing.T) {
	conf := settings(t, map[string]string{"dll.conf": "test\n", "test.conf": "number_of_devices 1\n"})
	cmd := exec.CommandContext(t.Context(), os.Args[0], "daemon", conf, t.TempDir())
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, 0); err != nil {
		t.Fatalf("no helper: %v", err)
	}
	cmd.Process.Kill()
	cmd.Wait() // it was killed
	until(t, "the helper is gone", func() bool {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		return err != nil || strings.Contains(string(b), ") Z ")
	})
}

// testDaemon has a helper hang in a device, says which process that is, and
// waits to be killed.
func testDaemon(conf, dir string) int {
	l := newLauncher(helperExe(), helperFlags{library: libraryFile, dir: dir, readable: []string{conf}, memoryMB: 256}, conf)
	p, err := l.startProcess(conf)
	if err != nil {
		fmt.Println(err)
		return 1
	}
	syscall.Kill(p.cmd.Process.Pid, syscall.SIGSTOP) // it cannot see that its pipe ends
	fmt.Println(p.cmd.Process.Pid)
	io.Copy(io.Discard, os.Stdin)
	select {}
}

// Names that backends give to sources and modes.
func TestNames(t *testing.T) {
	type meaning struct {
		source device.Source
		duplex bool
	}
	for name, want := range map[string]meaning{
		"Flatbed":                   {device.Platen, false},
		"FlatBed":                   {device.Platen, false},
		"Normal":                    {device.Platen, false},
		"fb":                        {device.Platen, false},
		"adf":                       {device.Feeder, false},
		"ADF":                       {device.Feeder, false},
		"ADF Front":                 {device.Feeder, false},
		"ADF Back":                  {"", false},
		"ADF Rear":                  {"", false},
		"ADF Duplex":                {device.Feeder, true},
		"Duplex":                    {device.Feeder, true},
		"Automatic Document Feeder": {device.Feeder, false},
		"Automatic Document Feeder(left aligned,Duplex)": {device.Feeder, true},
		"Transparency Adapter":                           {"", false},
		"TMA Slides":                                     {"", false},
		"Card Duplex":                                    {"", false},
		"Auto":                                           {"", false},
	} {
		source, duplex := sourceOf(name)
		if got := (meaning{source, duplex}); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, want %+v", name, got, want)
		}
	}
	type colours struct {
		mode     device.ColorMode
		dithered bool
	}
	for name, want := range map[string]colours{
		"Color": {device.Color, false}, "24bit Color[Fast]": {device.Color, false}, "48-bit Color": {device.Color, true},
		"Gray": {device.Gray, false}, "True Gray": {device.Gray, false}, "Grayscale": {device.Gray, false},
		"Lineart": {device.LineArt, false}, "Black & White": {device.LineArt, false}, "Binary": {device.LineArt, false},
		"Halftone": {device.LineArt, true}, "Gray[Error Diffusion]": {device.LineArt, true}, "bw": {device.LineArt, false},
		"Infrared": {"", false}, "Whatever": {"", false},
	} {
		mode, dithered := modeOf(name)
		if got := (colours{mode, dithered}); got != want {
			t.Errorf("%s: %+v, want %+v", name, got, want)
		}
	}
}
