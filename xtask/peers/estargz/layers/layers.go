// Package layers says what the reference implementations find in a layer.
package layers

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"path"
	"sort"
	"strings"

	"github.com/containerd/stargz-snapshotter/estargz"
)

// Entry is what a layer has under a path. Hard links are what they lead to.
type Entry struct {
	Path   string            `json:"path"`
	Type   string            `json:"type"`
	Mode   int64             `json:"mode"`
	Size   int64             `json:"size,omitempty"`
	Mtime  int64             `json:"mtime"`
	UID    int               `json:"uid,omitempty"`
	GID    int               `json:"gid,omitempty"`
	Target string            `json:"target,omitempty"`
	Major  int               `json:"major,omitempty"`
	Minor  int               `json:"minor,omitempty"`
	Xattrs map[string][]byte `json:"xattrs,omitempty"`
	Digest string            `json:"digest,omitempty"`
}

// Listing is all that a layer has, ordered by path, and its landmark, which is not among the entries.
type Listing struct {
	Entries  []Entry
	Landmark string
}

// Open opens a layer with the reference implementation.
func Open(content []byte, options ...estargz.OpenOption) (*estargz.Reader, error) {
	return estargz.Open(io.NewSectionReader(bytes.NewReader(content), 0, int64(len(content))), options...)
}

// List reads every entry, and every file to its end.
func List(reader *estargz.Reader) (listing Listing, err error) {
	root, _ := reader.Lookup("")
	err = listing.add(reader, "", root)
	sort.Slice(listing.Entries, func(i, j int) bool { return listing.Entries[i].Path < listing.Entries[j].Path })
	return listing, err
}

func (listing *Listing) add(reader *estargz.Reader, above string, directory *estargz.TOCEntry) (err error) {
	directory.ForeachChild(func(name string, child *estargz.TOCEntry) bool {
		name = path.Join(above, name)
		if name == estargz.PrefetchLandmark || name == estargz.NoPrefetchLandmark {
			listing.Landmark = name
			return true
		}
		var found Entry
		if found, err = entryOf(reader, name, child); err != nil {
			return false
		}
		listing.Entries = append(listing.Entries, found)
		err = listing.add(reader, name, child)
		return err == nil
	})
	return err
}

func entryOf(reader *estargz.Reader, name string, e *estargz.TOCEntry) (Entry, error) {
	found := Entry{
		Path: name, Type: e.Type, Mode: e.Mode & 07777, Size: e.Size, UID: e.UID, GID: e.GID, Target: e.LinkName,
		Major: e.DevMajor, Minor: e.DevMinor, Xattrs: e.Xattrs,
	}
	if !e.ModTime().IsZero() {
		found.Mtime = e.ModTime().Unix()
	}
	if e.Type == "reg" {
		content, err := reader.OpenFile(name)
		if err != nil {
			return found, err
		}
		bytes, err := io.ReadAll(content)
		if err != nil {
			return found, err
		}
		found.Digest = Sum(bytes)
	}
	return found, nil
}

// OfTar lists an archive as Go's own library reads them.
func OfTar(from []byte) ([]Entry, error) {
	byPath, links := map[string]Entry{}, map[string]string{}
	archive := tar.NewReader(bytes.NewReader(from))
	types := map[byte]string{
		tar.TypeReg: "reg", tar.TypeDir: "dir", tar.TypeSymlink: "symlink", tar.TypeChar: "char", tar.TypeBlock: "block",
		tar.TypeFifo: "fifo",
	}
	for {
		h, err := archive.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, err
		}
		name := path.Clean(h.Name)
		if h.Typeflag == tar.TypeLink {
			links[name] = path.Clean(h.Linkname)
			continue
		}
		found := Entry{
			Path: name, Type: types[h.Typeflag], Mode: h.Mode, Size: h.Size, Mtime: h.ModTime.Unix(), UID: h.Uid, GID: h.Gid,
			Target: h.Linkname, Major: int(h.Devmajor), Minor: int(h.Devminor), Xattrs: xattrs(h),
		}
		if h.Typeflag == tar.TypeReg {
			bytes, err := io.ReadAll(archive)
			if err != nil {
				return nil, err
			}
			found.Digest = Sum(bytes)
		}
		byPath[name] = found
	}
	for name, target := range links {
		found := byPath[target]
		found.Path = name
		byPath[name] = found
	}
	entries := []Entry{}
	for _, found := range byPath {
		entries = append(entries, found)
	}
	sort.Slice(entries, func(i, j int) bool { return entries[i].Path < entries[j].Path })
	return entries, nil
}

func xattrs(h *tar.Header) map[string][]byte {
	found := map[string][]byte{}
	for key, value := range h.PAXRecords {
		if name, ok := strings.CutPrefix(key, "SCHILY.xattr."); ok {
			found[name] = []byte(value)
		}
	}
	return found
}

// Sum is the digest of some bytes.
func Sum(content []byte) string {
	return fmt.Sprintf("sha256:%x", sha256.Sum256(content))
}
