package main

import (
	"archive/tar"
	"bytes"
	"strings"
	"time"
)

// Every time in the archives, in seconds since 1970, where an entry does not ask for another.
const mtime = 1700000000

// An entry of an archive, and its content.
type item struct {
	header  tar.Header
	content string
}

func directory(name string, mode int64) item {
	return item{header: tar.Header{Name: name + "/", Typeflag: tar.TypeDir, Mode: mode}}
}

func file(name string, mode int64, content string) item {
	return item{tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: mode}, content}
}

func link(name string, flag byte, target string) item {
	return item{header: tar.Header{Name: name, Typeflag: flag, Linkname: target, Mode: 0644}}
}

func device(name string, flag byte, major, minor int64) item {
	return item{header: tar.Header{Name: name, Typeflag: flag, Devmajor: major, Devminor: minor, Mode: 0600}}
}

// A tree with one of everything that all formats of tar can hold.
func common(prefix string) []item {
	return []item{
		directory(prefix+"bar", 01777),
		file(prefix+"bar/bar.txt", 04755, "aaa"),
		file(prefix+"bar/empty", 0644, ""),
		directory(prefix+"bar/below", 02755),
		file(prefix+"bar/below/deep", 0600, "deep"),
		file(prefix+"foo.txt", 0644, "This is twenty-three b."),
		link(prefix+"link", tar.TypeLink, prefix+"foo.txt"),
		link(prefix+"symlink", tar.TypeSymlink, "../../x"),
		device(prefix+"char", tar.TypeChar, 111, 222),
		device(prefix+"block", tar.TypeBlock, 123, 456),
		device(prefix+"fifo", tar.TypeFifo, 0, 0),
		file(prefix+"twelve", 0644, "abcdefghijkl"),
		{tar.Header{Name: prefix + "undated", Typeflag: tar.TypeReg, Mode: 0644, ModTime: time.Unix(0, 0)}, "1970"},
	}
}

// What only long names, attributes and fractions of seconds need.
func extended() []item {
	long := strings.Repeat("n", 150)
	return []item{
		directory("long", 0755),
		file("long/"+long, 0644, "long name"),
		link("long/symlink", tar.TypeSymlink, strings.Repeat("t/", 75)+"t"),
		link("long/hardlink", tar.TypeLink, "long/"+long),
	}
}

func attributes() []item {
	records := map[string]string{"SCHILY.xattr.user.foo": "bar", "SCHILY.xattr.user.invalid": "\xff\xfe\xfd"}
	return []item{
		{tar.Header{Name: "attributes", Typeflag: tar.TypeReg, Mode: 0644, PAXRecords: records}, "Some contents"},
		{tar.Header{Name: "fraction", Typeflag: tar.TypeReg, Mode: 0644, ModTime: time.Unix(mtime, 600_000_000)}, "x"},
	}
}

func archive(format tar.Format, items ...[]item) []byte {
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	for _, some := range items {
		for _, item := range some {
			h := item.header
			h.Format, h.Size = format, int64(len(item.content))
			h.Uid, h.Gid, h.Uname, h.Gname = 50, 100, "user", "group"
			if h.ModTime.IsZero() {
				h.ModTime = time.Unix(mtime, 0)
			}
			check(w.WriteHeader(&h))
			_, err := w.Write([]byte(item.content))
			check(err)
		}
	}
	check(w.Close())
	return archive.Bytes()
}

// The archive that most layers are made of.
func whole() []byte {
	return archive(tar.FormatPAX, common(""), extended(), attributes())
}

// The same as far as it may be unpacked: no devices, no pipes, and no link that leads out.
func files() []byte {
	isFile := func(item item) bool {
		return item.header.Typeflag < tar.TypeChar || item.header.Typeflag == tar.TypeDir
	}
	var items []item
	for _, item := range common("") {
		item.header.Linkname = strings.TrimPrefix(item.header.Linkname, "../../")
		if isFile(item) {
			items = append(items, item)
		}
	}
	return archive(tar.FormatPAX, items, extended(), attributes())
}

// Bytes that do not compress, the same at every run.
func noise(length int) string {
	state, bytes := uint32(1), make([]byte, length)
	for i := range bytes {
		state = state*1664525 + 1013904223
		bytes[i] = byte(state >> 24)
	}
	return string(bytes)
}
