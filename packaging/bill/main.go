// Bill writes what is in a version of docscan: the bill of materials and the
// licences.
//
//	bill -version V -arch A -created SECONDS -packages FILE -out DIR PROGRAM...
//
// It makes in DIR docscan.spdx.json, an SPDX 2.3 document of the Go modules in the
// PROGRAMs and of the Debian packages whose libraries they load or have in them;
// copyright, the same in the form of Debian's copyright files; and THIRD-PARTY, the
// licences of the modules. The same input gives the same bytes.
package main

import (
	"bufio"
	"bytes"
	"cmp"
	"debug/buildinfo"
	"debug/elf"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spdx/tools-golang/json"
	"github.com/spdx/tools-golang/spdx/v2/common"
	"github.com/spdx/tools-golang/spdx/v2/v2_3"
	"github.com/spdx/tools-golang/spdxlib"
)

func main() {
	var b bill
	created := flag.Int64("created", 0, "the `second` the version was made, since 1970")
	packages := flag.String("packages", "", "`file` of lines: Debian package, version, source package")
	out := flag.String("out", "", "`directory` to write to")
	flag.StringVar(&b.version, "version", "", "the `version` of docscan")
	flag.StringVar(&b.arch, "arch", "", "Debian's name of the `architecture`")
	flag.Parse()
	b.created = time.Unix(*created, 0).UTC()
	if err := run(&b, *packages, *out, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "bill:", err)
		os.Exit(1)
	}
}

// bill is what goes into both files.
type bill struct {
	version, arch string
	created       time.Time
	parts         []part
}

// part is one thing that docscan is made of.
type part struct {
	name, version string
	licence       string // an SPDX expression
	text          string // of the licence; empty for Debian's packages, which bring theirs
	purl          string // as github.com/package-url/purl-spec has it
	loaded        bool   // it is not in the program, which loads it
}

func run(b *bill, packages, out string, programs []string) error {
	if b.version == "" || b.arch == "" || out == "" || len(programs) == 0 {
		return errors.New("-version, -arch, -out and a program are needed")
	}
	modules, err := modulesOf(programs)
	if err != nil {
		return err
	}
	libraries, err := librariesOf(b.arch, packages, programs)
	if err != nil {
		return err
	}
	b.parts = append(modules, libraries...)
	doc := b.document()
	if err := spdxlib.ValidateDocument(doc); err != nil {
		return fmt.Errorf("bill of materials: %w", err)
	}
	var text bytes.Buffer
	if err := json.Write(doc, &text, json.Indent("\t")); err != nil {
		return fmt.Errorf("bill of materials: %w", err)
	}
	return errors.Join(
		os.WriteFile(filepath.Join(out, "docscan.spdx.json"), text.Bytes(), 0o644),
		os.WriteFile(filepath.Join(out, "copyright"), []byte(b.copyright()), 0o644),
		os.WriteFile(filepath.Join(out, "THIRD-PARTY"), []byte(b.texts()), 0o644))
}

// licences of the modules that docscan is linked with. Whoever adds a module adds
// its licence; that the text says so is read by a person.
func licences() map[string]string {
	return map[string]string{
		"aead.dev/minisign":                             "MIT",
		"github.com/beorn7/perks":                       "MIT",
		"github.com/boombuler/barcode":                  "MIT",
		"github.com/cespare/xxhash/v2":                  "MIT",
		"github.com/coreos/go-systemd/v22":              "Apache-2.0",
		"github.com/ebitengine/purego":                  "Apache-2.0",
		"github.com/elastic/go-seccomp-bpf":             "Apache-2.0",
		"github.com/fxamacker/cbor/v2":                  "MIT",
		"github.com/go-viper/mapstructure/v2":           "MIT",
		"github.com/go-webauthn/webauthn":               "BSD-3-Clause",
		"github.com/go-webauthn/x":                      "BSD-3-Clause",
		"github.com/gofrs/flock":                        "BSD-3-Clause",
		"github.com/golang-jwt/jwt/v5":                  "MIT",
		"github.com/google/go-tpm":                      "Apache-2.0",
		"github.com/google/gousb":                       "Apache-2.0",
		"github.com/google/jsonschema-go":               "MIT",
		"github.com/google/uuid":                        "BSD-3-Clause",
		"github.com/julienschmidt/httprouter":           "BSD-3-Clause",
		"github.com/kevinburke/ssh_config":              "MIT",
		"github.com/klauspost/compress":                 "BSD-3-Clause AND Apache-2.0 AND MIT",
		"github.com/landlock-lsm/go-landlock":           "MIT",
		"github.com/makiuchi-d/gozxing":                 "MIT",
		"github.com/mattn/go-sqlite3":                   "MIT",
		"github.com/munnerz/goautoneg":                  "BSD-3-Clause",
		"github.com/otiai10/gosseract/v2":               "MIT",
		"github.com/pelletier/go-toml/v2":               "MIT",
		"github.com/philhofer/fwd":                      "MIT",
		"github.com/pquerna/otp":                        "Apache-2.0",
		"github.com/prometheus/client_golang":           "Apache-2.0",
		"github.com/prometheus/client_model":            "Apache-2.0",
		"github.com/prometheus/common":                  "Apache-2.0",
		"github.com/prometheus/procfs":                  "Apache-2.0",
		"github.com/richardlehane/mscfb":                "Apache-2.0",
		"github.com/richardlehane/msoleps":              "Apache-2.0",
		"github.com/skeema/knownhosts":                  "Apache-2.0",
		"github.com/spf13/cobra":                        "Apache-2.0",
		"github.com/spf13/pflag":                        "BSD-3-Clause",
		"github.com/tiendc/go-deepcopy":                 "MIT",
		"github.com/tinylib/msgp":                       "MIT",
		"github.com/x448/float16":                       "MIT",
		"github.com/xuri/efp":                           "BSD-3-Clause",
		"github.com/xuri/excelize/v2":                   "BSD-3-Clause",
		"github.com/xuri/nfp":                           "BSD-3-Clause",
		"go.etcd.io/bbolt":                              "MIT",
		"golang.org/x/crypto":                           "BSD-3-Clause",
		"golang.org/x/image":                            "BSD-3-Clause",
		"golang.org/x/mod":                              "BSD-3-Clause",
		"golang.org/x/net":                              "BSD-3-Clause",
		"golang.org/x/sync":                             "BSD-3-Clause",
		"golang.org/x/sys":                              "BSD-3-Clause",
		"golang.org/x/term":                             "BSD-3-Clause",
		"golang.org/x/text":                             "BSD-3-Clause",
		"golang.org/x/time":                             "BSD-3-Clause",
		"golang.org/x/xerrors":                          "BSD-3-Clause",
		"google.golang.org/protobuf":                    "BSD-3-Clause",
		"kernel.org/pub/linux/libs/security/libcap/psx": "BSD-3-Clause OR GPL-2.0-only",
		"periph.io/x/conn/v3":                           "Apache-2.0",
		"periph.io/x/host/v3":                           "Apache-2.0",
	}
}

// modulesOf gives Go itself and the modules that are linked into the programs.
func modulesOf(programs []string) ([]part, error) {
	dirs, err := moduleDirs()
	if err != nil {
		return nil, err
	}
	found := make(map[string]part)
	for _, p := range programs {
		info, err := buildinfo.ReadFile(p)
		if err != nil {
			return nil, fmt.Errorf("modules of %s: %w", p, err)
		}
		root, err := goOutput("env", "GOROOT")
		if err != nil {
			return nil, err
		}
		text, err := licenceText(strings.TrimSpace(root))
		if err != nil {
			return nil, err
		}
		version := strings.TrimPrefix(info.GoVersion, "go")
		found["std"] = part{name: "Go standard library", version: version, licence: "BSD-3-Clause", text: text, purl: "pkg:golang/std@" + version}
		for _, d := range info.Deps {
			licence, ok := licences()[d.Path]
			if !ok {
				return nil, fmt.Errorf("the licence of module %s is not known: add it in packaging/bill", d.Path)
			}
			if text, err = licenceText(dirs[d.Path]); err != nil {
				return nil, fmt.Errorf("module %s: %w", d.Path, err)
			}
			found[d.Path] = part{d.Path, d.Version, licence, text, "pkg:golang/" + d.Path + "@" + d.Version, false}
		}
	}
	return sorted(found), nil
}

func sorted(m map[string]part) []part {
	return slices.SortedFunc(maps.Values(m), func(a, b part) int { return cmp.Compare(a.name, b.name) })
}

// moduleDirs tells where the modules lie.
func moduleDirs() (map[string]string, error) {
	text, err := goOutput("list", "-m", "-f", "{{.Path}}\t{{.Dir}}", "all")
	if err != nil {
		return nil, err
	}
	dirs := make(map[string]string)
	for line := range strings.Lines(text) {
		path, dir, _ := strings.Cut(strings.TrimSpace(line), "\t")
		dirs[path] = dir
	}
	return dirs, nil
}

func goOutput(args ...string) (string, error) {
	out, err := exec.Command("go", args...).Output()
	if err != nil {
		return "", fmt.Errorf("go %s: %w", args[0], err)
	}
	return string(out), nil
}

// licenceText reads the licence, and what must go with it, of what lies in dir.
func licenceText(dir string) (string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return "", fmt.Errorf("look for the licence: %w", err)
	}
	var text strings.Builder
	for _, e := range entries {
		name := strings.ToLower(strings.TrimSuffix(e.Name(), filepath.Ext(e.Name())))
		if e.IsDir() || !slices.Contains([]string{"license", "licence", "copying", "notice", "patents"}, name) {
			continue
		}
		b, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			return "", fmt.Errorf("read the licence: %w", err)
		}
		fmt.Fprintf(&text, "%s\n", strings.TrimSpace(string(b)))
	}
	if text.Len() == 0 {
		return "", fmt.Errorf("no licence in %s", dir)
	}
	return text.String(), nil
}

// A library is a shared one that docscan loads, and the Debian package that has it
// in the release that docscan is linked against.
type library struct{ file, name, licence string }

func libraries() []library {
	return []library{
		{"libtesseract.so.5", "libtesseract5", "Apache-2.0"},
		{"liblept.so.5", "liblept5", "BSD-2-Clause"},
		{"libjpeg.so.62", "libjpeg62-turbo", "BSD-3-Clause AND IJG AND Zlib"},
		{"libusb-1.0.so.0", "libusb-1.0-0", "LGPL-2.1-or-later"},
		{"libudev.so.1", "libudev1", "LGPL-2.1-or-later"},
		{"libzbar.so.0", "libzbar0", "LGPL-2.1-or-later"},
		{"libsqlite3.so.0", "libsqlite3-0", "blessing"},
		{"libstdc++.so.6", "libstdc++6", "GPL-3.0-or-later WITH GCC-exception-3.1"},
		{"libgcc_s.so.1", "libgcc-s1", "GPL-3.0-or-later WITH GCC-exception-3.1"},
		{"libc.so.6", "libc6", "LGPL-2.1-or-later"},
		{"libm.so.6", "libc6", "LGPL-2.1-or-later"},
		{"libresolv.so.2", "libc6", "LGPL-2.1-or-later"},
		{"ld-linux-aarch64.so.1", "libc6", "LGPL-2.1-or-later"},
		{"ld-linux-armhf.so.3", "libc6", "LGPL-2.1-or-later"},
		{"ld-linux-x86-64.so.2", "libc6", "LGPL-2.1-or-later"},
	}
}

// taken are libraries that a program has in it, by architecture: see
// packaging/debian/sysroot. Leptonica comes with libtesseract.
func taken(arch string) []library {
	l := []library{{"", "liblept5", "BSD-2-Clause"}}
	if arch == "armhf" {
		l = append(l, library{"", "libusb-1.0-0", "LGPL-2.1-or-later"})
	}
	return l
}

// librariesOf gives the Debian packages of the libraries that the programs load.
func librariesOf(arch, packages string, programs []string) ([]part, error) {
	versions, err := readPackages(packages)
	if err != nil {
		return nil, err
	}
	found := make(map[string]part)
	add := func(l library, loaded bool) error {
		version, ok := versions[l.name]
		if !ok {
			return fmt.Errorf("%s does not say which version of %s it is", packages, l.name)
		}
		found[l.name] = part{
			name: l.name, version: version, licence: l.licence, loaded: loaded,
			purl: "pkg:deb/debian/" + l.name + "@" + version + "?arch=" + arch,
		}
		return nil
	}
	for _, p := range programs {
		needed, err := neededBy(p)
		if err != nil {
			return nil, err
		}
		for _, file := range needed {
			i := slices.IndexFunc(libraries(), func(l library) bool { return l.file == file })
			if i < 0 {
				return nil, fmt.Errorf("%s loads %s: say in packaging/bill which package has it, and let docscan's depend on that", p, file)
			}
			if err := add(libraries()[i], true); err != nil {
				return nil, err
			}
		}
		if len(needed) == 0 {
			continue
		}
		for _, l := range taken(arch) {
			if err := add(l, l.name == "liblept5"); err != nil {
				return nil, err
			}
		}
	}
	return sorted(found), nil
}

// neededBy lists the shared libraries that a program names.
func neededBy(program string) ([]string, error) {
	f, err := elf.Open(program)
	if err != nil {
		return nil, fmt.Errorf("libraries of %s: %w", program, err)
	}
	defer f.Close()
	return f.ImportedLibraries()
}

func readPackages(name string) (map[string]string, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	versions := make(map[string]string)
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) != 3 {
			return nil, fmt.Errorf("%s: %q is not package, version and source", name, lines.Text())
		}
		versions[fields[0]] = fields[1]
	}
	return versions, lines.Err()
}

// document is the bill as SPDX: docscan, and what it contains or loads.
func (b *bill) document() *v2_3.Document {
	const top = common.ElementID("Package-docscan")
	doc := &v2_3.Document{
		SPDXVersion: v2_3.Version, DataLicense: v2_3.DataLicense, SPDXIdentifier: "DOCUMENT",
		DocumentName: "docscan-" + b.version + "-" + b.arch,
		// Nothing is to be found there; it only has to differ from all others.
		DocumentNamespace: "https://docscan.invalid/spdx/docscan-" + b.version + "-" + b.arch,
		CreationInfo: &v2_3.CreationInfo{
			Created:  b.created.Format(time.RFC3339),
			Creators: []common.Creator{{CreatorType: "Tool", Creator: "docscan-bill"}},
		},
	}
	relate := func(from common.ElementID, how string, to common.ElementID) {
		doc.Relationships = append(doc.Relationships, &v2_3.Relationship{
			RefA: common.MakeDocElementID("", string(from)), Relationship: how, RefB: common.MakeDocElementID("", string(to)),
		})
	}
	doc.Packages = append(doc.Packages, spdxPackage(top, part{"docscan", b.version, "Apache-2.0", "", "", false}))
	relate("DOCUMENT", common.TypeRelationshipDescribe, top)
	for i, p := range b.parts {
		id := common.ElementID(fmt.Sprintf("Package-%d", i+1))
		doc.Packages = append(doc.Packages, spdxPackage(id, p))
		if p.loaded {
			relate(top, common.TypeRelationshipDynamicLink, id)
		} else {
			relate(top, common.TypeRelationshipContains, id)
		}
	}
	return doc
}

func spdxPackage(id common.ElementID, p part) *v2_3.Package {
	s := &v2_3.Package{
		PackageName: p.name, PackageSPDXIdentifier: id, PackageVersion: p.version,
		PackageDownloadLocation: "NOASSERTION", PackageCopyrightText: "NOASSERTION",
		PackageLicenseConcluded: "NOASSERTION", PackageLicenseDeclared: p.licence,
	}
	if p.purl != "" {
		s.PackageExternalReferences = []*v2_3.PackageExternalReference{{Category: common.CategoryPackageManager, RefType: common.TypePackageManagerPURL, Locator: p.purl}}
	}
	return s
}

// copyright is the bill as Debian's copyright files are: machine-readable, in the
// form 1.0. It names licences; their texts are in texts.
func (b *bill) copyright() string {
	var t strings.Builder
	t.WriteString("Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\nUpstream-Name: docscan\n")
	t.WriteString("Comment: The programs have in them what is named below. Copyright notices and\n licences of it are in /usr/lib/docscan/release/THIRD-PARTY.\n")
	t.WriteString("\nFiles: *\nCopyright: 2026 the authors of docscan\nLicense: Apache-2.0\n On Debian systems the text is in /usr/share/common-licenses/Apache-2.0.\n")
	for _, p := range b.parts {
		if !p.loaded {
			fmt.Fprintf(&t, "\nFiles: %s\nCopyright: as its licence in THIRD-PARTY says\nComment: version %s\nLicense: %s\n", strings.ReplaceAll(p.name, " ", "-"), p.version, p.licence)
		}
	}
	return t.String()
}

// texts are the licences of what the programs have in them.
func (b *bill) texts() string {
	var t strings.Builder
	for _, p := range b.parts {
		if p.loaded {
			continue
		}
		text := p.text
		if text == "" {
			text = "The text is in /usr/share/doc/" + p.name + "/copyright of Debian's package.\n"
		}
		fmt.Fprintf(&t, "%s\n%s %s (%s)\n\n%s\n", strings.Repeat("=", 72), p.name, p.version, p.licence, text)
	}
	return t.String()
}
