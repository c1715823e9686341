//! Layers of lines, packed in every format.

use refs_estargz::{Footer, TOC_DIGEST_ANNOTATION};
use refs_registry::MediaType;
use refs_testkit::{
    Image, Tree,
    image::{gzip, zstd},
};
use refs_url::Digest;

/// How a layer is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    Tar,
    Gzip,
    Zstd,
    Estargz,
    Chunked,
}

pub(crate) const FORMATS: [Format; 5] = [Format::Tar, Format::Estargz, Format::Gzip, Format::Chunked, Format::Zstd];

/// An entry of a line: `dir/` is a directory, `link -> target` a symbolic link, `name = file` a hard link, `file content`
/// anything else.
struct Line<'l> {
    path: &'l str,
    kind: tar::EntryType,
    /// Content, or a target.
    text: &'l str,
}

impl<'l> Line<'l> {
    fn parse(line: &'l str) -> Self {
        let of = |kind, (path, text)| Self { path, kind, text };
        if let Some(halves) = line.split_once(" -> ") {
            return of(tar::EntryType::Symlink, halves);
        }
        if let Some(halves) = line.split_once(" = ") {
            return of(tar::EntryType::Link, halves);
        }
        match line.strip_suffix('/') {
            Some(path) => of(tar::EntryType::Directory, (path, "")),
            None => of(tar::EntryType::Regular, line.split_once(' ').unwrap_or((line, ""))),
        }
    }

    fn content(&self) -> &'l [u8] {
        if self.kind == tar::EntryType::Regular { self.text.as_bytes() } else { b"" }
    }

    fn header(&self) -> Vec<u8> {
        let mut header = tar::Header::new_ustar();
        header.as_old_mut().name[..self.path.len()].copy_from_slice(self.path.as_bytes());
        header.set_entry_type(self.kind);
        header.set_size(self.content().len() as u64);
        header.set_mode(if self.kind == tar::EntryType::Directory { 0o755 } else { 0o644 });
        if self.text.len() > self.content().len() {
            header.set_link_name_literal(self.text).unwrap();
        }
        header.set_cksum();
        header.as_bytes().to_vec()
    }

    /// In a table of contents; the content is at `offset`.
    fn element(&self, offset: usize) -> String {
        let Self { path, text, .. } = self;
        match self.kind {
            tar::EntryType::Directory => format!(r#"{{"type":"dir","name":"{path}/","mode":493}}"#),
            tar::EntryType::Symlink => {
                format!(r#"{{"type":"symlink","name":"{path}","mode":420,"linkName":"{text}"}}"#)
            }
            tar::EntryType::Link => format!(r#"{{"type":"hardlink","name":"{path}","mode":420,"linkName":"{text}"}}"#),
            _ => {
                let (size, digest) = (text.len(), Digest::sha256(text.as_bytes()));
                format!(
                    r#"{{"type":"reg","name":"{path}","mode":420,"size":{size},"offset":{offset},"digest":"{digest}","chunkDigest":"{digest}"}}"#
                )
            }
        }
    }
}

fn padding(content: &[u8]) -> Vec<u8> {
    vec![0; content.len().next_multiple_of(512) - content.len()]
}

fn archive(lines: &[&str]) -> Vec<u8> {
    let mut archive = Vec::new();
    for line in lines.iter().map(|line| Line::parse(line)) {
        archive.extend([line.header(), line.content().to_vec(), padding(line.content())].concat());
    }
    [archive, vec![0; 1024]].concat()
}

/// The archive, in which each file's content is compressed by itself, and the elements of its table of contents.
fn indexed(lines: &[&str], compressed: impl Fn(&[u8]) -> bytes::Bytes) -> (Vec<u8>, String) {
    let (mut payload, mut elements) = (Vec::new(), Vec::new());
    for line in lines.iter().map(|line| Line::parse(line)) {
        payload.extend(compressed(&line.header()));
        elements.push(line.element(payload.len()));
        payload.extend(compressed(line.content()));
        payload.extend(compressed(&padding(line.content())));
    }
    payload.extend(compressed(&[0; 1024]));
    (payload, format!(r#"{{"version":1,"entries":[{}]}}"#, elements.join(",")))
}

fn skippable(bytes: &[u8]) -> Vec<u8> {
    [b"\x50\x2a\x4d\x18".as_slice(), &(bytes.len() as u32).to_le_bytes(), bytes].concat()
}

/// `image`, and a layer of `lines` on it.
pub(crate) fn with(image: Image, lines: &[&str], format: Format) -> Image {
    match format {
        Format::Tar => image.layer(MediaType::OCI_LAYER, archive(lines)),
        Format::Gzip => image.layer(MediaType::OCI_LAYER_GZIP, gzip(&archive(lines))),
        Format::Zstd => image.layer(MediaType::OCI_LAYER_ZSTD, zstd(&archive(lines))),
        Format::Estargz => {
            let (payload, json) = indexed(lines, gzip);
            let toc = gzip(&Tree::new().file("stargz.index.json", json.clone()).tar());
            let blob = [&payload[..], &toc, &Footer::encode(payload.len() as u64)].concat();
            let digest = Digest::sha256(json.as_bytes());
            image.layer(MediaType::OCI_LAYER_GZIP, blob).annotate_last(TOC_DIGEST_ANNOTATION, digest.as_str())
        }
        Format::Chunked => {
            let (payload, json) = indexed(lines, zstd);
            let toc = zstd(json.as_bytes());
            let numbers = [payload.len() + 8, toc.len(), json.len(), 1];
            let fields = numbers.map(|number| (number as u64).to_le_bytes()).concat();
            let footer = skippable(&[&fields[..], b"GnUlInUx"].concat());
            let blob = [&payload[..], &skippable(&toc), &footer].concat();
            let digest = Digest::sha256(json.as_bytes());
            image.layer(MediaType::OCI_LAYER_ZSTD, blob).annotate_last(TOC_DIGEST_ANNOTATION, digest.as_str())
        }
    }
}

pub(crate) fn image(layers: &[&[&str]], formats: impl IntoIterator<Item = Format>) -> Image {
    layers.iter().zip(formats).fold(Image::new(), |image, (lines, format)| with(image, lines, format))
}

/// The formats, each layer's by turns, beginning with another.
pub(crate) fn turns(start: usize) -> impl Iterator<Item = Format> {
    FORMATS.into_iter().cycle().skip(start)
}
