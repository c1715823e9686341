// Makes layers with the reference implementations of eStargz, of stargz, its predecessor, and of both dialects of
// zstd:chunked, and says as JSON what these implementations find in them: `golden DIRECTORY`.
package main

import (
	"archive/tar"
	"bytes"
	"compress/flate"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/containerd/stargz-snapshotter/estargz"
	"github.com/containerd/stargz-snapshotter/estargz/externaltoc"
	"github.com/containerd/stargz-snapshotter/estargz/zstdchunked"
	"github.com/containers/storage/pkg/chunked/compressor"
	"github.com/google/crfs/stargz"
	"github.com/klauspost/compress/zstd"

	"estargz-peers/layers"
)

// A layer, and what a reference implementation says of it.
type layer struct {
	File        string            `json:"file"`
	MadeBy      string            `json:"made_by"`
	TOCDigest   string            `json:"toc_digest,omitempty"`
	DiffID      string            `json:"diff_id,omitempty"`
	Unpacked    string            `json:"unpacked,omitempty"`
	Landmark    string            `json:"landmark,omitempty"`
	Annotations map[string]string `json:"annotations,omitempty"`
	Tree        string            `json:"tree"`
	entries     []layers.Entry
	content     []byte
}

var made []layer

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: golden DIRECTORY")
		os.Exit(2)
	}
	options()
	archives()
	members()
	elsewhere()
	older()
	chunkedZstd()
	slices.SortFunc(made, func(a, b layer) int { return strings.Compare(a.File, b.File) })
	for _, layer := range made {
		check(os.WriteFile(filepath.Join(os.Args[1], layer.File), layer.content, 0o644))
	}
	check(os.WriteFile(filepath.Join(os.Args[1], "golden.json"), list(), 0o644))
}

// All layers and all trees as JSON, one layer or entry in a line. A tree is there once, under the name of the first layer
// that has it.
func list() []byte {
	var lines, trees []string
	names := map[string]string{}
	for _, layer := range made {
		var entries []string
		for _, entry := range layer.entries {
			entries = append(entries, line(entry))
		}
		tree := strings.Join(entries, ",\n")
		if _, known := names[tree]; !known {
			names[tree] = layer.File
			trees = append(trees, fmt.Sprintf("%s: [\n%s\n]", line(layer.File), tree))
		}
		layer.Tree = names[tree]
		lines = append(lines, line(layer))
	}
	const form = "{\"layers\": [\n%s\n],\n\"trees\": {\n%s\n}}\n"
	return fmt.Appendf(nil, form, strings.Join(lines, ",\n"), strings.Join(trees, ",\n"))
}

func line(value any) string {
	line, err := json.Marshal(value)
	check(err)
	return string(line)
}

// Levels, chunk sizes, order.
func options() {
	build("whole.tar.gz", whole())
	build("files.tar.gz", files())
	build("chunks-of-4.tar.gz", whole(), estargz.WithChunkSize(4))
	build("chunks-that-fit.tar.gz", whole(), estargz.WithChunkSize(12))
	build("stored.tar.gz", archive(tar.FormatUSTAR, common("")), estargz.WithCompressionLevel(flate.NoCompression))
	build("fastest.tar.gz", whole(), estargz.WithCompressionLevel(flate.BestSpeed))
	build("huffman.tar.gz", archive(tar.FormatUSTAR, common("")), estargz.WithCompressionLevel(flate.HuffmanOnly))
	build("in-parts.tar.gz", whole(), estargz.WithParallelism(4))
	build("prioritized.tar.gz", whole(), estargz.WithPrioritizedFiles([]string{"twelve", "long/hardlink", "bar/below/deep"}))
}

// Formats of tar, and the ways in which names start.
func archives() {
	build("empty.tar.gz", archive(tar.FormatUSTAR))
	build("root.tar.gz", archive(tar.FormatPAX, []item{directory(".", 0755)}, common("./")))
	build("slashes.tar.gz", archive(tar.FormatPAX, []item{directory("", 0755)}, common("/")))
	build("parents.tar.gz", archive(tar.FormatPAX, common("../")))
	build("ustar.tar.gz", archive(tar.FormatUSTAR, common("")))
	build("gnu.tar.gz", archive(tar.FormatGNU, common(""), extended()))
	twice := archive(tar.FormatPAX, []item{file("a", 0644, "first"), file("a", 0600, "second")})
	build("twice.tar.gz", twice)
	appended("appended-twice.tar.gz", twice)
	build("implied.tar.gz", archive(tar.FormatPAX, []item{file("a/b/c", 0644, "no directories")}))
	marks := []item{file(estargz.PrefetchLandmark, 0644, "old"), file(estargz.TOCTarName, 0644, "old"), file("a", 0644, "a")}
	build("marked.tar.gz", archive(tar.FormatPAX, marks))
}

// Members that several files share.
func members() {
	items := []item{
		directory("foo", 0755), file("foo/foo1", 0644, noise(3000)), file("foo/foo2", 0644, "bb"),
		file("foo/foo22", 0644, "ccc"), directory("bar", 0755), file("bar/bar.txt", 0644, "aaa"),
		file("foo/foo3", 0644, noise(3000)),
	}
	from := archive(tar.FormatPAX, items)
	build("shared.tar.gz", from, estargz.WithMinChunkSize(800))
	build("shared-chunks.tar.gz", from, estargz.WithMinChunkSize(800), estargz.WithChunkSize(1700))
	build("shared-all.tar.gz", whole(), estargz.WithMinChunkSize(1<<20))
}

// The archive as it was, and the table of contents in another file.
func elsewhere() {
	lossless("lossless.tar.gz", append(whole(), make([]byte, 100)...))
	lossless("files-lossless.tar.gz", files())

	var external, toc bytes.Buffer
	compression := externaltoc.NewGzipCompressor()
	w := estargz.NewWriterWithCompressor(&external, compression)
	check(w.AppendTar(bytes.NewReader(whole())))
	_, err := w.Close()
	check(err)
	_, err = compression.WriteTOCTo(&toc)
	check(err)
	provide := func() ([]byte, error) { return toc.Bytes(), nil }
	decompressor := externaltoc.NewGzipDecompressor(provide)
	add(read("external.tar.gz", "externaltoc.GzipCompressor", external.Bytes(), estargz.WithDecompressors(decompressor)))
}

func older() {
	var blob bytes.Buffer
	w := stargz.NewWriter(&blob)
	check(w.AppendTar(bytes.NewReader(archive(tar.FormatPAX, common(""), attributes()))))
	check(w.Close())
	add(read("legacy.tar.gz", "stargz.Writer", blob.Bytes()))
}

// Both dialects of zstd:chunked. The library of the second has no reader that could be called from here, so what is in it
// is told by its tar archive.
func chunkedZstd() {
	metadata := map[string]string{}
	compression := &zstdCompression{&zstdchunked.Compressor{CompressionLevel: zstd.SpeedDefault, Metadata: metadata}, &zstdchunked.Decompressor{}}
	for chunkSize, name := range map[int]string{0: "stargz.tar.zst", 4: "stargz-chunks-of-4.tar.zst"} {
		options := []estargz.Option{estargz.WithChunkSize(chunkSize), estargz.WithCompression(compression)}
		made := built(name, whole(), options, estargz.WithDecompressors(&zstdchunked.Decompressor{}))
		made.Annotations = maps.Clone(metadata)
		add(made)
	}
	zeros := []item{
		file("holes", 0644, "before"+string(make([]byte, 3000))+"after"),
		file("zeros", 0644, string(make([]byte, 5000))),
		file("hole-at-the-end", 0644, "before"+string(make([]byte, 2000))),
	}
	from := archive(tar.FormatPAX, common(""), extended(), attributes(), zeros)
	var blob bytes.Buffer
	annotations := map[string]string{}
	w, err := compressor.ZstdCompressor(&blob, annotations, nil)
	check(err)
	_, err = w.Write(from)
	check(err)
	check(w.Close())
	entries, err := layers.OfTar(from)
	check(err)
	add(layer{
		File: "storage.tar.zst", MadeBy: "compressor.ZstdCompressor", Annotations: annotations,
		DiffID: layers.Sum(from), entries: entries, content: blob.Bytes(),
	})
}

type zstdCompression struct {
	*zstdchunked.Compressor
	*zstdchunked.Decompressor
}

func build(name string, from []byte, options ...estargz.Option) {
	add(built(name, from, options))
}

// Makes a layer of one part, unless `options` say otherwise: where parts end would depend on the machine.
func built(name string, from []byte, options []estargz.Option, open ...estargz.OpenOption) layer {
	options = append([]estargz.Option{estargz.WithParallelism(1)}, options...)
	blob, err := estargz.Build(io.NewSectionReader(bytes.NewReader(from), 0, int64(len(from))), options...)
	check(err)
	content, err := io.ReadAll(blob)
	check(err)
	check(blob.Close())
	made := read(name, "estargz.Build", content, open...)
	made.TOCDigest, made.DiffID = blob.TOCDigest().String(), blob.DiffID().String()
	return made
}

// Makes a layer from which the archive can be had again, bit for bit.
func lossless(name string, from []byte) {
	var blob bytes.Buffer
	w := estargz.NewWriter(&blob)
	check(w.AppendTarLossLess(bytes.NewReader(from)))
	digest, err := w.Close()
	check(err)
	made := read(name, "estargz.Writer.AppendTarLossLess", blob.Bytes())
	made.TOCDigest, made.DiffID, made.Unpacked = digest.String(), w.DiffID(), layers.Sum(from)
	add(made)
}

// Makes a layer of the entries as they are: Build drops and sorts some before.
func appended(name string, from []byte) {
	var blob bytes.Buffer
	w := estargz.NewWriter(&blob)
	check(w.AppendTar(bytes.NewReader(from)))
	digest, err := w.Close()
	check(err)
	made := read(name, "estargz.Writer.AppendTar", blob.Bytes())
	made.TOCDigest, made.DiffID = digest.String(), w.DiffID()
	add(made)
}

func add(layer layer) {
	made = append(made, layer)
}

// What the reference implementation finds in a layer.
func read(name, madeBy string, content []byte, options ...estargz.OpenOption) layer {
	reader, err := layers.Open(content, options...)
	check(err)
	listing, err := layers.List(reader)
	check(err)
	return layer{File: name, MadeBy: madeBy, Landmark: listing.Landmark, entries: listing.Entries, content: content}
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
