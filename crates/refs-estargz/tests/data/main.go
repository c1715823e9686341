// Makes the layers beside it, with the reference implementations of eStargz and of stargz, its predecessor:
//
//	go mod init golden && go get github.com/containerd/stargz-snapshotter/estargz@v0.19.1 \
//	  github.com/google/crfs/stargz@v0.0.0-20191108021818-71d77da419c9 && go run .
package main

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/containerd/stargz-snapshotter/estargz"
	"github.com/google/crfs/stargz"
)

func check(err error) {
	if err != nil {
		panic(err)
	}
}

func source() []byte {
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	add := func(h tar.Header, content string) {
		h.ModTime, h.Size = time.Unix(1700000000, 0), int64(len(content))
		h.Uid, h.Gid, h.Uname, h.Gname = 50, 100, "user", "group"
		check(w.WriteHeader(&h))
		_, err := io.WriteString(w, content)
		check(err)
	}
	add(tar.Header{Name: "./", Typeflag: tar.TypeDir, Mode: 0755}, "")
	add(tar.Header{Name: "./bar/", Typeflag: tar.TypeDir, Mode: 01777}, "")
	add(tar.Header{Name: "./bar/bar.txt", Typeflag: tar.TypeReg, Mode: 04755}, "aaa")
	add(tar.Header{Name: "./bar/empty", Typeflag: tar.TypeReg, Mode: 0644}, "")
	add(tar.Header{Name: "./foo.txt", Typeflag: tar.TypeReg, Mode: 0644, Format: tar.FormatPAX,
		PAXRecords: map[string]string{"SCHILY.xattr.user.foo": "bar"}}, "This is twenty-three b.")
	add(tar.Header{Name: "./link", Typeflag: tar.TypeLink, Linkname: "./foo.txt", Mode: 0644}, "")
	add(tar.Header{Name: "./symlink", Typeflag: tar.TypeSymlink, Linkname: "../../x", Mode: 0777}, "")
	add(tar.Header{Name: "./char", Typeflag: tar.TypeChar, Devmajor: 111, Devminor: 222, Mode: 0600}, "")
	add(tar.Header{Name: "./twelve", Typeflag: tar.TypeReg, Mode: 0644}, "abcdefghijkl")
	check(w.Close())
	return archive.Bytes()
}

func build(name string, options ...estargz.Option) {
	from := source()
	options = append(options, estargz.WithParallelism(1))
	blob, err := estargz.Build(io.NewSectionReader(bytes.NewReader(from), 0, int64(len(from))), options...)
	check(err)
	content, err := io.ReadAll(blob)
	check(err)
	check(os.WriteFile(name, content, 0o644))
	fmt.Println(name, blob.TOCDigest())
}

func main() {
	build("whole.tar.gz")
	build("chunks-of-4.tar.gz", estargz.WithChunkSize(4))
	build("shared-members.tar.gz", estargz.WithMinChunkSize(8000))
	build("prioritized.tar.gz", estargz.WithPrioritizedFiles([]string{"twelve"}))

	var legacy bytes.Buffer
	w := stargz.NewWriter(&legacy)
	check(w.AppendTar(bytes.NewReader(source())))
	check(w.Close())
	check(os.WriteFile("legacy.tar.gz", legacy.Bytes(), 0o644))
}
