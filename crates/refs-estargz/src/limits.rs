//! How much a layer may ask of its reader.

/// Bounds on what a table of contents may claim. All are inclusive.
///
/// They hold back a table made to exhaust memory or time. How many bytes a pull may *produce* is not decided here: that
/// is counted where files are written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Compressed bytes of the table of contents. Default: 16 MiB.
    pub toc_compressed: u64,
    /// Inflated bytes of the table of contents. Default: 64 MiB.
    pub toc_inflated: u64,
    /// Entries of the table of contents, chunks included. Default: 1,048,576.
    pub entries: usize,
    /// Bytes of a path. Default: 4,096.
    pub path: usize,
    /// Bytes of one component of a path. Default: 255.
    pub component: usize,
    /// Components of a path. Default: 128.
    pub depth: usize,
    /// Bytes of the target of a link. Default: 4,096.
    pub link: usize,
    /// Bytes of the extended attributes of one entry, names and values. Default: 64 KiB.
    pub xattrs: usize,
    /// Bytes of one chunk, which are held in memory while it is read. Default: 256 MiB.
    pub chunk: u64,
    /// Bytes that must be inflated and thrown away before a chunk in the middle of a member. Default: 64 MiB.
    pub inner_offset: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            toc_compressed: 16 << 20,
            toc_inflated: 64 << 20,
            entries: 1 << 20,
            path: 4096,
            component: 255,
            depth: 128,
            link: 4096,
            xattrs: 64 << 10,
            chunk: 256 << 20,
            inner_offset: 64 << 20,
        }
    }
}
