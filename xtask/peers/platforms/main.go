// Says which platforms containerd takes for which, which of them it likes better, and how it reads them: `platforms
// DIRECTORY` writes platforms.txt and specifiers.txt there.
package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/containerd/platforms"
	specs "github.com/opencontainers/image-spec/specs-go/v1"
)

// What comes first in the file: how it was made, and how it is read.
const head = "# Made by `cargo xtask golden` with github.com/containerd/platforms v1.0.0-rc.5: for each platform that is wanted,\n" +
	"# those that `Only` matches of all that are offered, better ones before `>`.\n"

// As an index has them, none of them made canonical.
var known = strings.Fields(`
	linux/amd64 linux/amd64/v1 linux/amd64/v2 linux/amd64/v3 linux/amd64/v4 linux/amd64/odd
	linux/x86_64 linux/x86_64/v3 linux/x86-64 Linux/AMD64 linux/386 linux/i386 linux/i386/v2 linux/386/v2
	linux/arm linux/arm/v4 linux/arm/v5 linux/arm/v6 linux/arm/v7 linux/arm/v8 linux/arm/v9
	linux/arm/5 linux/arm/6 linux/arm/7 linux/arm/8 linux/armhf linux/armel linux/armhf/v6
	linux/arm64 linux/arm64/8 linux/arm64/v8 linux/arm64/v8.0 linux/arm64/v8.1 linux/arm64/v8.4 linux/arm64/v8.5
	linux/arm64/v8.6 linux/arm64/v8.9 linux/arm64/V8 linux/aarch64 linux/aarch64/v8
	linux/arm64/9 linux/arm64/9.0 linux/arm64/v9 linux/arm64/v9.0 linux/arm64/v9.1 linux/arm64/v9.3 linux/arm64/v9.5
	linux/arm64/v9.7
	linux/ppc64le linux/ppc64 linux/s390x linux/riscv64 linux/loong64 linux/mips64le linux/wasm wasi/wasm
	darwin/arm64 macos/arm64 macOS/aarch64 darwin/amd64 freebsd/amd64 freebsd(14.1)/amd64 android/arm64
	windows/amd64 windows/386 windows/arm64 windows/arm
	windows(10.0.14393.1)/amd64 windows(10.0.17763)/amd64 windows(10.0.17763.1)/amd64 windows(10.0.17763.5329)/amd64
	windows(10.0.20348)/amd64 windows(10.0.20348.2655)/amd64 windows(10.0.22621)/amd64 windows(10.0.25398.1)/amd64
	windows(10.0.26100)/amd64 windows(10.0.26100.32)/amd64 windows(10.0.26200)/amd64 windows(6.3.9600)/amd64
	windows(10.0.20348)/arm64 windows(10.0)/amd64 windows(rubbish)/amd64
	windows(10.0.20348+win32k)/amd64 windows(+win32k)/amd64
	linux(+gpu)/amd64 linux(+sse4)/amd64 linux(+gpu+sse4)/amd64 linux(+sse4+gpu)/amd64
	linux(+gpu)/arm64 linux(+gpu)/386
	unknown/unknown plan9/mips
`)

// Which containerd takes for nothing, not even for themselves: it knows no such variants.
var unheardOf = strings.Fields("linux/arm64/v8.10 linux/arm64/v10 linux/arm64/odd")

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: platforms DIRECTORY")
		os.Exit(2)
	}
	var text strings.Builder
	text.WriteString(head)
	for _, wanted := range slices.Concat(known, unheardOf) {
		fmt.Fprintf(&text, "%s:%s\n", wanted, preferred(wanted))
	}
	write("platforms.txt", text.String())
	write("specifiers.txt", specifiers())
}

func write(name, text string) {
	if err := os.WriteFile(filepath.Join(os.Args[1], name), []byte(text), 0o644); err != nil {
		panic(err)
	}
}

// Those that are taken for the wanted one, the best first; `>` stands before those that are not so good.
func preferred(wanted string) string {
	comparer := platforms.Only(platform(wanted))
	var taken []string
	for _, offered := range slices.Concat(known, unheardOf) {
		if comparer.Match(platform(offered)) {
			taken = append(taken, offered)
		}
	}
	less := func(a, b string) bool { return comparer.Less(platform(a), platform(b)) }
	slices.SortStableFunc(taken, func(a, b string) int {
		switch {
		case less(a, b):
			return -1
		case less(b, a):
			return 1
		}
		return 0
	})
	var text strings.Builder
	for i, offered := range taken {
		if i > 0 && less(taken[i-1], offered) {
			text.WriteString(" >")
		}
		text.WriteString(" " + offered)
	}
	return text.String()
}

// Reads OS[(VERSION[+FEATURE]…)]/ARCHITECTURE[/VARIANT] as it is; containerd's own parser makes it canonical.
func platform(text string) specs.Platform {
	parts := strings.Split(text, "/")
	os, options, _ := strings.Cut(parts[0], "(")
	version, features, hasFeatures := strings.Cut(strings.TrimSuffix(options, ")"), "+")
	platform := specs.Platform{OS: os, OSVersion: version, Architecture: parts[1]}
	if hasFeatures {
		platform.OSFeatures = strings.Split(features, "+")
	}
	if len(parts) > 2 {
		platform.Variant = parts[2]
	}
	return platform
}
