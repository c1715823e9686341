package main

import (
	"fmt"
	"runtime"
	"strings"

	"github.com/containerd/platforms"
)

// What comes first in the file: how it was made, and how it is read.
const specifiersHead = "# Made by `cargo xtask golden` with github.com/containerd/platforms v1.0.0-rc.5: what `Parse` makes of a text on\n" +
	"# linux. Behind the text, parted by tabs: system, version, features, processor (HERE for that of the machine), variant;\n" +
	"# or `refused`.\n"

// What somebody may write behind --platform: lone words first.
var written = []string{
	"linux", "Linux", "windows", "darwin", "macos", "macOS", "freebsd", "android", "plan9", "js", "zos", "ios", "nacl",
	"windows(10.0.20348)", "windows()", "linux(+gpu)", "macOS(14.1)", "unknown", "ubuntu", "x",
	"amd64", "AMD64", "x86_64", "x86-64", "X86_64", "x86", "386", "i386", "i686", "arm64", "aarch64", "arm", "armhf",
	"armel", "armv7", "arm64be", "armbe", "ppc64le", "s390x", "riscv64", "loong64", "mips64p32le", "wasm", "sparc64",
	"amd64p32", "amd64(1)", "arm64(+gpu)", "v8", "",
	"linux/amd64", "linux/x86_64", "Linux/AMD64", "linux/amd64/v1", "linux/amd64/v3", "linux/arm", "linux/arm/v7",
	"linux/arm/7", "linux/armhf", "linux/armel", "linux/arm64", "linux/arm64/v8", "linux/aarch64", "linux/arm64/v9.0",
	"linux/arm/V6", "ubuntu/odd", "ubuntu/odd/v1", "macos/arm64", "windows(10.0.20348.1)/amd64",
	"windows(10.0.1+win32k)/amd64", "linux(+gpu+sse4)/arm64/v8", "linux()/amd64", "linux(1%2B1+a%2Fb)/amd64",
	"linux/", "/", "/amd64", "linux//v7", "linux/arm/", "linux/arm/v7/x", "linux/arm/v7/", "linux /amd64", " linux",
	"linux/a*", "*", "linux/*", "linux(1/amd64", "linux)/amd64", "(1)/amd64", "linux(+)/amd64", "linux(1+)/amd64",
	"linux(1)x/amd64", "linux(1)(2)/amd64", "li.nux/amd64", "li_nux/am.d64", "linux(%2)/amd64", "linux(%zz)/amd64",
	"linux(1 )/amd64", "linux(1/2)/amd64", "linux/amd64(1)", "lin\u00fcx/amd64", "amd64/linux", "arm64/v8", "arm/v7",
}

func specifiers() string {
	var text strings.Builder
	text.WriteString(specifiersHead)
	for _, specifier := range written {
		fmt.Fprintf(&text, "%s\t%s\n", specifier, read(specifier))
	}
	return text.String()
}

func read(specifier string) string {
	platform, err := platforms.Parse(specifier)
	if err != nil {
		return "refused"
	}
	// A lone processor is part of what was written, under one of its names; a lone system is completed.
	os, _, _ := strings.Cut(specifier, "(")
	processor := platform.Architecture
	if !strings.Contains(specifier, "/") && platform.OS == platforms.Normalize(platforms.Platform{OS: os}).OS {
		processor = strings.Replace(processor, runtime.GOARCH, "HERE", 1)
	}
	features := strings.Join(platform.OSFeatures, "+")
	return strings.Join([]string{platform.OS, platform.OSVersion, features, processor, platform.Variant}, "\t")
}
