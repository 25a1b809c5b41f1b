# docscan: `make run` and `make test` do all set-up on a fresh Debian 12 or 13.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:

# The oldest Go that builds docscan, and the one fetched (as a checked Go
# module, by whatever Go Debian has) where there is none or an older one.
GO_WANTED := 1.26
GO_FETCHED := 1.26.8
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
PDFCPU := github.com/pdfcpu/pdfcpu/cmd/pdfcpu@v0.15.0

# What builds and runs docscan, and what only its tests and benchmarks need.
BUILD_PACKAGES := gcc g++ libc6-dev pkg-config git ca-certificates \
	libusb-1.0-0-dev libtesseract-dev libleptonica-dev libzbar-dev libsqlite3-dev
RUN_PACKAGES := tesseract-ocr-eng tesseract-ocr-deu tesseract-ocr-osd libsane1 \
	poppler-utils libtiff-tools
TEST_PACKAGES := jbig2dec umockdev libumockdev-dev ipp-usb sane-utils sane-airscan slowhttptest \
	qpdf mupdf-tools ghostscript tesseract-ocr-fra curl jq minisign dash zstd systemd openssh-server openssh-client \
	chromium prometheus libpdfbox2-java default-jre-headless libactivation-java libjaxb-api-java
# What the rig needs here, and what its machine has beside docscand's libraries.
RIG_PACKAGES := qemu-system-x86 systemd-container mmdebstrap uidmap binutils make libelf-dev xz-utils e2fsprogs
RIG_MACHINE := systemd-sysv udev usbutils tesseract-ocr-eng tesseract-ocr-osd
# What packages for other machines are built with, and what tries them here.
DEB_PACKAGES := clang lld mmdebstrap uidmap patchelf dpkg-dev xz-utils
DEB_TEST_PACKAGES := lintian qemu-user-static systemd curl jq
ATTACK_PACKAGES := libwhisker2-perl libnet-ssleay-perl
FLEET_PACKAGES := ansible-core
BENCH_PACKAGES := ocrmypdf img2pdf unpaper nginx-light fonts-urw-base35 fonts-dejavu-core

GO := $(CURDIR)/.tools/go
export GOFLAGS := -buildvcs=false
export GOTOOLCHAIN := local
export OMP_THREAD_LIMIT := 1
export PATH := $(CURDIR)/.tools:$(PATH)
# Debian's libsqlite3, with its full-text search.
TAGS := sqlite_fts5,libsqlite3
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
# The version that packages and update files have.
RELEASE ?= $(shell packaging/version)
ARCHS ?= amd64 arm64 armhf
LDFLAGS := -s -w -X main.version=$(VERSION)
# The packages without goroutines of their own, as make lint sees to.
PIXELS := ./scan/imaging/...
# A number of inputs, not a time: the fuzzer of Go 1.26 now and then reports the
# end of its time as a failure.
FUZZTIME ?= 3000x

.PHONY: help run test test-parsers test-rigs attack fleet rig rig-update deb bundle test-deb test-image build bench bench-pages bench-memory soak lint fuzz clean setup setup-test setup-bench

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | column -t -s "$$(printf '\t')"

setup: .tools/build.stamp .tools/go.stamp

.tools/build.stamp: Makefile
	@packaging/apt-install $(BUILD_PACKAGES) $(RUN_PACKAGES)
	@mkdir -p .tools && touch $@

.tools/test.stamp: Makefile .tools/build.stamp .tools/go.stamp
	@packaging/apt-install $(TEST_PACKAGES)
	@GOBIN=$(CURDIR)/.tools $(GO) install $(PDFCPU)
	@touch $@

.tools/bench.stamp: Makefile .tools/test.stamp
	@packaging/apt-install $(BENCH_PACKAGES)
	@touch $@

.tools/go.stamp: packaging/fetch-go Makefile
	@packaging/fetch-go $(GO_WANTED) $(GO_FETCHED) $(CURDIR)/.tools
	@touch $@

build: setup ## build bin/docscand and bin/docscanctl
	@mkdir -p bin
	$(GO) build -tags $(TAGS) -ldflags '$(LDFLAGS)' -o bin/docscand ./cmd/docscand
	CGO_ENABLED=0 $(GO) build -ldflags '$(LDFLAGS)' -o bin/docscanctl ./cmd/docscanctl

run: build ## set up, build and start docscan with a simulated scanner
	@mkdir -p var
	@bin/docscand sample var/stack
	@exec env DOCSCAN_STORE_DIR="$${DOCSCAN_STORE_DIR:-var}" \
		DOCSCAN_DEVICE_SIM_ENABLED="$${DOCSCAN_DEVICE_SIM_ENABLED:-true}" \
		DOCSCAN_DEVICE_SIM_STACK="$${DOCSCAN_DEVICE_SIM_STACK:-var/stack}" \
		bin/docscand --config docscan.toml

lint: setup ## formatting, vet and staticcheck
	@files=$$(git ls-files "*.go"); gofmt=$$($(GO) env GOROOT)/bin/gofmt; test -z "$$($$gofmt -l $$files)" || { $$gofmt -d $$files; exit 1; }
	$(GO) vet -tags $(TAGS) ./...
	@for os in windows darwin; do CGO_ENABLED=0 GOOS=$$os $(GO) vet ./cmd/docscanctl || exit 1; done # builds for them, too
	$(GO) run ./packaging/narrow -tags $(TAGS) ./... # so do boxes of 32 bits
	@! grep -rnE '^[[:space:]]*go (func|[A-Za-z_.]+)\(' --include='*.go' scan/imaging || { echo 'These are tested without the race detector: see PIXELS.'; exit 1; }
	$(GO) run $(STATICCHECK) -tags $(TAGS) ./...

test: setup .tools/test.stamp build lint ## set up and run all tests
	$(GO) build -o .tools/mockbus ./device/sim/mockbus
	@# Pixels are worked on by one goroutine: the race detector finds nothing there, and takes ten
	@# times as long. The same holds for workers, so that tests which read pages start the real ones.
	$(GO) test -vet=off -tags $(TAGS) $(PIXELS)
	@# The race detector lets each program sleep for a second at its end; there are hundreds. One package
	@# more than there are cores is tested at once, as many wait for their boxes. What vet would look at
	@# again, lint has seen.
	@mkdir -p .tools/programs
	GORACE=atexit_sleep_ms=50 TEST_MOCKBUS=$(CURDIR)/.tools/mockbus TEST_DOCSCAND=$(CURDIR)/bin/docscand TEST_PROGRAMS=$(CURDIR)/.tools/programs \
		$(GO) test -race -vet=off -p $$(($$(nproc) + 1)) -tags $(TAGS) -timeout 45m $$($(GO) list -tags $(TAGS) ./... | grep -v '/scan/imaging')
	@$(MAKE) --no-print-directory -j2 --output-sync=target test-parsers test-rigs

# Parts of test, side by side: a machine in QEMU has less use for two cores than tests.
test-parsers:
	$(GO) test -vet=off -tags $(TAGS) ./scan/pdf -run PDFium
	@packaging/fuzz $(GO) $(TAGS) $(FUZZTIME)
	@packaging/attack bin/docscand none 3

test-rigs:
	@$(MAKE) --no-print-directory rig
	@# A container takes a minute. Where none can have a disk of its own, QEMU takes ten.
	@$(MAKE) --no-print-directory rig-update CUTS=1 CONTAINER=$$(losetup -f >/dev/null 2>&1 && echo 1)

.tools/deb.stamp: Makefile .tools/build.stamp
	@packaging/apt-install $(DEB_PACKAGES)
	@touch $@

.tools/deb-test.stamp: Makefile .tools/deb.stamp
	@packaging/apt-install $(DEB_TEST_PACKAGES)
	@touch $@

deb: setup .tools/deb.stamp ## build Debian packages and update files into out/; ARCHS="amd64 arm64 armhf"
	@for arch in $(ARCHS); do packaging/debian/build $$arch $(RELEASE) out; done

test-deb: build .tools/deb-test.stamp ## build the packages twice and compare, look at them with lintian, run them emulated; ARCHS=arm64, REPRODUCE=clean
	@packaging/debian/test $(RELEASE) .tools/test-deb $(ARCHS)

bundle: deb ## the same as deb: both are made of one tree; docs/updates.md tells how to sign

# How long each slow attack lasts, in seconds.
ATTACK_SECONDS ?= 30

.tools/attack.stamp: Makefile packaging/fetch-nikto .tools/test.stamp
	@packaging/apt-install $(ATTACK_PACKAGES)
	@packaging/fetch-nikto .tools
	@touch $@

attack: build .tools/attack.stamp ## let slowhttptest and nikto loose on a running docscand
	@packaging/attack bin/docscand .tools $(ATTACK_SECONDS)

fuzz: setup ## fuzz every parser of outside bytes for a short time
	@packaging/fuzz $(GO) $(TAGS) $(FUZZTIME)

.tools/rig.stamp: Makefile .tools/build.stamp
	@packaging/apt-install $(RIG_PACKAGES)
	@touch $@

rig: build .tools/rig.stamp ## press the button and pull the plug on Debian's kernel in QEMU
	@packaging/rig/fetch .tools/rig bin/docscand $(RIG_MACHINE)
	CGO_ENABLED=0 $(GO) build -o .tools/rig/ ./packaging/rig/init ./packaging/rig/guest
	$(GO) run ./packaging/rig -dir .tools/rig -docscand bin/docscand

# What docscan's package depends on is in the machine already: it has no network.
RIG_BOX := systemd-sysv udev dbus openssh-server $(shell awk '/^Depends: /{sub(/^Depends: /, ""); gsub(/[\050][^\051]*[\051]|[|][^,]*|,/, ""); print}' packaging/debian/control)
CUTS ?= 30

.tools/rig-package/$(RELEASE): setup .tools/deb.stamp
	@rm -rf .tools/rig-package && packaging/debian/build amd64 $(RELEASE) .tools/rig-package
	@touch $@

rig-update: .tools/rig-package/$(RELEASE) .tools/rig.stamp ## install the package in QEMU, change versions, break them, cut the power; CUTS=30, HANG=1: the broken one hangs, CONTAINER=1 for a container instead
	@packaging/rig/fetch .tools/rig - $(RIG_BOX)
	CGO_ENABLED=0 $(GO) build -o .tools/rig/ ./packaging/rig/init ./packaging/rig/guest
	$(GO) build -o .tools/rig/rig ./packaging/rig
	$(if $(CONTAINER),unshare --mount) .tools/rig/rig update $(if $(CONTAINER),-container) $(if $(HANG),-hang) -dir .tools/rig -deb .tools/rig-package/docscan_*_amd64.deb -cuts $(CUTS)

test-image: .tools/rig-package/$(RELEASE) .tools/rig.stamp ## make the root file system of packaging/image, and start it read-only, twice
	@packaging/image/build .tools/rig-package/docscan_*_amd64.deb .tools/image.tar
	@packaging/image/try .tools/image.tar

.tools/fleet.stamp: Makefile .tools/test.stamp
	@packaging/apt-install $(FLEET_PACKAGES)
	@touch $@

fleet: build .tools/fleet.stamp ## update a thousand boxes over SSH, and measure beside Ansible; BOXES=N
	@mkdir -p .tools/fleet
	for v in 1.0.0 2.0.0; do $(GO) build -tags $(TAGS) -ldflags "-s -w -X main.version=$$v" -o .tools/fleet/docscand-$$v ./cmd/docscand; done
	$(GO) build -o .tools/fleet/measure ./cmd/docscanctl/farm/measure
	.tools/fleet/measure -docscanctl $(CURDIR)/bin/docscanctl -old $(CURDIR)/.tools/fleet/docscand-1.0.0 -new $(CURDIR)/.tools/fleet/docscand-2.0.0 -reports $(CURDIR)/.tools/fleet -boxes $(or $(BOXES),1000)

bench: build .tools/bench.stamp ## measure the whole path beside OCRmyPDF on the same pages
	$(GO) build -o .tools/mockbus ./device/sim/mockbus
	$(GO) build -o .tools/drive ./cmd/docscand/bench/drive
	DOCSCAN_CHURN_ROUNDS=1000 $(GO) test ./device/sim -run '^TestChurn$$' -v | grep 'after .* rounds'
	$(GO) run -tags $(TAGS) ./cmd/docscand/bench
	$(GO) run -tags $(TAGS) ./cmd/docscand/bench/web

soak: build .tools/bench.stamp ## swap between two versions under load, and count what is noticed; Ctrl-C ends it with the figures so far
	$(GO) build -tags $(TAGS) -o .tools/soak ./cmd/docscand/bench/swap
	.tools/soak

# A collection of pages with its manifest in a folder beside the checkout.
CORPUS ?= $(patsubst %/manifest.json,%,$(firstword $(wildcard ../*/corpus/manifest.json)))

bench-pages: setup .tools/bench.stamp ## measure clean-up and reading of single pages beside OCRmyPDF and Tesseract; CORPUS=folder adds its pages, QUICK=1 leaves the peers out
	$(GO) build -tags $(TAGS) -o .tools/benchpages ./cmd/docscand/benchpages
	.tools/benchpages -corpus "$(CORPUS)" $(if $(QUICK),-peers '',-reread)

bench-memory: setup .tools/bench.stamp ## measure the memory of one worker over PAGES pages in a row (500)
	$(GO) build -tags $(TAGS) -o .tools/benchpages ./cmd/docscand/benchpages
	.tools/benchpages -endure $(or $(PAGES),500)

clean: ## remove what was built; data under var stays
	rm -rf bin .tools
