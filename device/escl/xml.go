package escl

import (
	"encoding/xml"
	"fmt"
	"io"
	"slices"
	"strings"

	"docscan/device"
)

// maxXML bounds what is read of an XML answer. Real capabilities take some
// 10 KB.
const maxXML = 1 << 20

// parse decodes a bounded XML answer. Names are matched without regard to their
// namespaces, which machines get wrong.
func parse(r io.Reader, v any) error {
	data, err := io.ReadAll(io.LimitReader(r, maxXML+1))
	if err != nil {
		return err
	}
	if len(data) > maxXML {
		return device.Faultf(device.BadAnswer, "more than %d bytes of XML", maxXML)
	}
	if err := xml.Unmarshal(data, v); err != nil {
		return &device.Fault{Kind: device.BadAnswer, Detail: fmt.Sprintf("not XML: %.80q", data), Err: err}
	}
	return nil
}

// capabilities is the answer to GET ScannerCapabilities.
type capabilities struct {
	XMLName      xml.Name `xml:"ScannerCapabilities"`
	Version      string   `xml:"Version"`
	MakeAndModel string   `xml:"MakeAndModel"`
	Manufacturer string   `xml:"Manufacturer"`
	Serial       string   `xml:"SerialNumber"`
	UUID         string   `xml:"UUID"`
	Platen       *struct {
		Caps inputCaps `xml:"PlatenInputCaps"`
	} `xml:"Platen"`
	Adf *struct {
		Simplex *inputCaps `xml:"AdfSimplexInputCaps"`
		Duplex  *inputCaps `xml:"AdfDuplexInputCaps"`
	} `xml:"Adf"`
}

type inputCaps struct {
	MaxWidth  int       `xml:"MaxWidth"`  // 1/300 inch
	MaxHeight int       `xml:"MaxHeight"` // 1/300 inch
	Profiles  []profile `xml:"SettingProfiles>SettingProfile"`
}

type profile struct {
	ColorModes []string `xml:"ColorModes>ColorMode"`
	Formats    []string `xml:"DocumentFormats>DocumentFormat"`
	FormatsExt []string `xml:"DocumentFormats>DocumentFormatExt"`
	Discrete   []struct {
		X int `xml:"XResolution"`
	} `xml:"SupportedResolutions>DiscreteResolutions>DiscreteResolution"`
	Range *struct {
		Min  int `xml:"Min"`
		Max  int `xml:"Max"`
		Step int `xml:"Step"`
	} `xml:"SupportedResolutions>ResolutionRange>XResolutionRange"`
}

// modeNames are eSCL's names of the colour modes.
var modeNames = map[device.ColorMode]string{
	device.Color:   "RGB24",
	device.Gray:    "Grayscale8",
	device.LineArt: "BlackAndWhite1",
}

// usualResolutions are what is offered of a machine that names only a range.
var usualResolutions = []int{75, 100, 150, 200, 240, 300, 400, 600, 1200}

// input is what one paper source can do.
type input struct {
	width, height int // 1/300 inch
	modes         []device.ColorMode
	resolutions   []int
	jpeg          bool
	ext           bool // formats are asked for by DocumentFormatExt
}

// input reads the caps of one source. Nonsense in them is left out.
func (c *inputCaps) input() input {
	in := input{width: bounded(c.MaxWidth), height: bounded(c.MaxHeight)}
	for _, p := range c.Profiles {
		for _, mode := range []device.ColorMode{device.Color, device.Gray, device.LineArt} {
			if slices.Contains(p.ColorModes, modeNames[mode]) && !slices.Contains(in.modes, mode) {
				in.modes = append(in.modes, mode)
			}
		}
		for _, d := range p.Discrete {
			if d.X >= 50 && d.X <= 4800 {
				in.resolutions = append(in.resolutions, d.X)
			}
		}
		if p.Range != nil {
			for _, r := range usualResolutions {
				if r >= p.Range.Min && r <= p.Range.Max && (p.Range.Step <= 1 || (r-p.Range.Min)%p.Range.Step == 0) {
					in.resolutions = append(in.resolutions, r)
				}
			}
		}
		for _, list := range [][]string{p.FormatsExt, p.Formats} {
			in.jpeg = in.jpeg || slices.Contains(list, "image/jpeg")
		}
		in.ext = in.ext || slices.Contains(p.FormatsExt, "image/jpeg")
	}
	slices.Sort(in.resolutions)
	in.resolutions = slices.Compact(in.resolutions)
	return in
}

// bounded takes a length in 1/300 inch; the longest feeders take some 6 m.
func bounded(n int) int {
	if n < 0 || n > 300*400 {
		return 0
	}
	return n
}

// caps gives what the machine can do, by source; most is the highest resolution
// to use, or 0.
func (c *capabilities) caps(most int) (device.Caps, map[device.Source]input, error) {
	var caps device.Caps
	inputs := make(map[device.Source]input)
	if c.Adf != nil && (c.Adf.Simplex != nil || c.Adf.Duplex != nil) {
		one := c.Adf.Simplex
		if one == nil {
			one = c.Adf.Duplex
		}
		inputs[device.Feeder] = one.input()
		caps.Sources = append(caps.Sources, device.Feeder)
		// Asking for duplex without this has frozen machines until they were
		// unplugged (Canon MF64xC).
		caps.Duplex = c.Adf.Duplex != nil
	}
	if c.Platen != nil {
		inputs[device.Platen] = c.Platen.Caps.input()
		caps.Sources = append(caps.Sources, device.Platen)
	}
	if len(caps.Sources) == 0 {
		return caps, nil, device.Faultf(device.BadAnswer, "the capabilities name no paper source")
	}
	for _, s := range caps.Sources {
		in := inputs[s]
		if most > 0 {
			in.resolutions = slices.DeleteFunc(in.resolutions, func(r int) bool { return r > most })
			inputs[s] = in
		}
		caps.MaxWidth, caps.MaxLength = max(caps.MaxWidth, in.width), max(caps.MaxLength, in.height)
		for _, m := range in.modes {
			if !slices.Contains(caps.Modes, m) {
				caps.Modes = append(caps.Modes, m)
			}
		}
		caps.Resolutions = append(caps.Resolutions, in.resolutions...)
	}
	slices.Sort(caps.Resolutions)
	caps.Resolutions = slices.Compact(caps.Resolutions)
	return caps, inputs, nil
}

// makeAndModel splits the one name that eSCL gives.
func (c *capabilities) makeAndModel() (maker, model string) {
	name := strings.TrimSpace(c.MakeAndModel)
	if c.Manufacturer != "" {
		return c.Manufacturer, strings.TrimSpace(strings.TrimPrefix(name, c.Manufacturer))
	}
	maker, model, ok := strings.Cut(name, " ")
	if !ok {
		return "", name
	}
	return maker, model
}

// status is the answer to GET ScannerStatus.
type status struct {
	XMLName xml.Name `xml:"ScannerStatus"`
	State   string   `xml:"State"`
	Adf     string   `xml:"AdfState"`
	Jobs    []struct {
		URI     string   `xml:"JobUri"`
		State   string   `xml:"JobState"`
		Reasons []string `xml:"JobStateReasons>JobStateReason"`
	} `xml:"Jobs>JobInfo"`
}

// imageInfo is the answer to GET ScanImageInfo: the true size of the image that was
// sent last.
type imageInfo struct {
	XMLName xml.Name `xml:"ScanImageInfo"`
	Height  int      `xml:"ActualHeight"` // lines
}

// adfFaults are the states of the feeder that stop it (Mopria eSCL, AdfState;
// ScannerAdfDoorOpen is sent by firmware that knows an older draft).
var adfFaults = map[string]device.FaultKind{
	"ScannerAdfJam":                 device.Jam,
	"ScannerAdfMispick":             device.Mispick,
	"ScannerAdfHatchOpen":           device.Cover,
	"ScannerAdfDoorOpen":            device.Cover,
	"ScannerAdfDuplexPageTooShort":  device.PageLength,
	"ScannerAdfDuplexPageTooLong":   device.PageLength,
	"ScannerAdfMultipickDetected":   device.DoubleFeed,
	"ScannerAdfInputTrayFailed":     device.Hardware,
	"ScannerAdfInputTrayOverloaded": device.Mispick,
}

// fault is why the feeder stands, or "" if it does not.
func (s *status) fault() device.FaultKind {
	if k, ok := adfFaults[s.Adf]; ok {
		return k
	}
	if s.State == "Down" {
		return device.Hardware
	}
	return ""
}

// device puts the status into the words of package device. ours says that a run
// of ours is open, so that a busy machine is our own doing. A feeder that is
// "processing" says nothing: Kyocera's idle one does so too.
func (s *status) device(ours bool) device.Status {
	st := device.Status{State: device.Ready, Loaded: s.Adf == "ScannerAdfLoaded"}
	switch fault := s.fault(); {
	case fault == device.Cover:
		st.State, st.Fault = device.CoverOpen, fault
	case fault != "":
		st.State, st.Fault = device.Faulty, fault
	case ours:
		st.State = device.Scanning
	case s.State == "Testing":
		st.State = device.WarmingUp
	case s.State == "Processing":
		st.State = device.InUse
	case s.Adf == "ScannerAdfEmpty":
		st.State = device.Empty
	}
	return st
}
