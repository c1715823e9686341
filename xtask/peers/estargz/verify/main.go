// Checks a layer as the reference implementation of eStargz does, chunk by chunk, and prints its entries as JSON:
// `verify BLOB TOC_DIGEST`.
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"

	"github.com/containerd/stargz-snapshotter/estargz"
	"github.com/opencontainers/go-digest"

	"estargz-peers/layers"
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: verify BLOB TOC_DIGEST")
		os.Exit(2)
	}
	if err := verify(os.Args[1], digest.Digest(os.Args[2])); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func verify(blob string, tocDigest digest.Digest) error {
	content, err := os.ReadFile(blob)
	if err != nil {
		return err
	}
	reader, err := layers.Open(content)
	if err != nil {
		return err
	}
	verifiers, err := reader.VerifyTOC(tocDigest)
	if err != nil {
		return err
	}
	listing, err := layers.List(reader)
	if err != nil {
		return err
	}
	for _, entry := range listing.Entries {
		if entry.Type != "reg" {
			continue
		}
		if err := verifyFile(reader, verifiers, entry); err != nil {
			return fmt.Errorf("%s: %w", entry.Path, err)
		}
	}
	return json.NewEncoder(os.Stdout).Encode(listing.Entries)
}

func verifyFile(reader *estargz.Reader, verifiers estargz.TOCEntryVerifier, file layers.Entry) error {
	// Only a file's own name leads to its chunks, and that of a hard link does not.
	source, _ := reader.Lookup(file.Path)
	content, err := reader.OpenFile(file.Path)
	if err != nil {
		return err
	}
	for offset := int64(0); offset < file.Size; {
		chunk, ok := reader.ChunkEntryForOffset(source.Name, offset)
		if !ok || chunk.ChunkOffset != offset {
			return fmt.Errorf("no chunk starts at %d", offset)
		}
		verifier, err := verifiers.Verifier(chunk)
		if err != nil {
			return err
		}
		if _, err := io.Copy(verifier, io.NewSectionReader(content, offset, chunk.ChunkSize)); err != nil {
			return err
		}
		if !verifier.Verified() {
			return fmt.Errorf("the chunk at %d is not what its digest says", offset)
		}
		offset += chunk.ChunkSize
	}
	return nil
}
