// Makes an eStargz layer of an archive with the reference implementation, and prints the digest of its table of
// contents: `convert ARCHIVE BLOB`.
package main

import (
	"fmt"
	"io"
	"os"

	"github.com/containerd/stargz-snapshotter/estargz"
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: convert ARCHIVE BLOB")
		os.Exit(2)
	}
	if err := convert(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func convert(archive, to string) error {
	source, err := os.Open(archive)
	if err != nil {
		return err
	}
	defer source.Close()
	info, err := source.Stat()
	if err != nil {
		return err
	}
	blob, err := estargz.Build(io.NewSectionReader(source, 0, info.Size()), estargz.WithChunkSize(1<<20))
	if err != nil {
		return err
	}
	defer blob.Close()
	target, err := os.Create(to)
	if err != nil {
		return err
	}
	defer target.Close()
	if _, err := io.Copy(target, blob); err != nil {
		return err
	}
	_, err = fmt.Println(blob.TOCDigest())
	return err
}
