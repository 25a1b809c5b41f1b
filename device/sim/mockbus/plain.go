package main

import (
	"io"
	"net/http"
	"strconv"
)

// plain is a web server without a scanner, for tests of the bus and of what
// carries HTTP over it.
func plain() http.Handler {
	mux := http.NewServeMux()
	// The path comes back, so that a client notices the answer to another
	// request.
	mux.HandleFunc("GET /echo/", func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, r.URL.Path)
	})
	mux.HandleFunc("POST /echo/", func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 16<<20))
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		w.Write(b)
	})
	// So many bytes, each the low byte of its place.
	mux.HandleFunc("GET /bytes/{n}", func(w http.ResponseWriter, r *http.Request) {
		n, err := strconv.Atoi(r.PathValue("n"))
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		b := make([]byte, 64<<10)
		for i := range b {
			b[i] = byte(i)
		}
		for n > 0 {
			k, err := w.Write(b[:min(n, len(b))])
			if err != nil {
				return
			}
			n -= k
		}
	})
	// No answer as long as the connection stands.
	mux.HandleFunc("GET /never", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	// What ipp-usb wants to see before it serves a device.
	mux.HandleFunc("GET /eSCL/ScannerCapabilities", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/xml")
		io.WriteString(w, leastCapabilities)
	})
	return mux
}

const leastCapabilities = `<?xml version="1.0" encoding="UTF-8"?>
<scan:ScannerCapabilities xmlns:scan="http://schemas.hp.com/imaging/escl/2011/05/03" xmlns:pwg="http://www.pwg.org/schemas/2010/12/sm">
<pwg:Version>2.63</pwg:Version>
<scan:Platen><scan:PlatenInputCaps><scan:SettingProfiles><scan:SettingProfile>
<scan:ColorModes><scan:ColorMode>RGB24</scan:ColorMode></scan:ColorModes>
<scan:DocumentFormats><pwg:DocumentFormat>image/jpeg</pwg:DocumentFormat></scan:DocumentFormats>
</scan:SettingProfile></scan:SettingProfiles></scan:PlatenInputCaps></scan:Platen>
</scan:ScannerCapabilities>
`
