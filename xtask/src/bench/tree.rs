//! The directories that are pushed and pulled. A seed makes them, the same bytes on every run and machine; but how programs
//! compress only programs show, and those are the ones that whoever runs this has: the Rust toolchain's.

use std::fs::{self, File};
use std::io::Write;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::error::{Error, Result};
use crate::interop::process::Outcome;

/// A directory, by what it is there to show.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Tree {
    /// Small text files, a few a directory: what documentation and source look like.
    Many { files: u32 },
    /// The largest programs and libraries of the Rust toolchain that together have at most this many bytes.
    Programs { at_most_bytes: u64 },
    /// A few files of this many bytes that compress to a half.
    Big { files: u32, file_bytes: u64 },
    /// Files of a few bytes, a hundred a directory: what costs is the entry.
    Entries { directories: u32 },
}

impl Tree {
    /// A name for paths and repositories.
    pub(crate) fn name(self) -> String {
        match self {
            Self::Many { files } => format!("many{files}"),
            Self::Programs { at_most_bytes } => format!("programs{}m", at_most_bytes >> 20),
            Self::Big { files, file_bytes } => format!("big{files}x{}m", file_bytes >> 20),
            Self::Entries { directories } => format!("entries{directories}"),
        }
    }

    /// Writes it below `root`, which is absent.
    pub(crate) fn write(self, root: &Path) -> Result<()> {
        match self {
            Self::Many { files } => many(root, files),
            Self::Programs { at_most_bytes } => programs(root, at_most_bytes),
            Self::Big { files, file_bytes } => big(root, files, file_bytes),
            Self::Entries { directories } => entries(root, directories),
        }
    }
}

/// The top directories of [`Tree::Many`]; one of them is 8 % of the tree.
const TOPS: u32 = 12;
/// Directories below each of the two upper levels.
const BRANCHES: u32 = 15;
/// The text, and the bytes like machine code, that files are cut out of; well beyond what a compressor looks back.
const POOL_BYTES: usize = 8 << 20;

/// One file in five is empty; the others have 12.5 KB on average, so that all have 10 KB.
fn many(root: &Path, files: u32) -> Result<()> {
    let mut dice = Dice::new(1);
    let text = text(&mut dice);
    let leaves = TOPS * BRANCHES * BRANCHES;
    for number in 0..files {
        let leaf = u32::try_from(u64::from(number) * u64::from(leaves) / u64::from(files)).unwrap_or(0);
        let (top, middle, low) = (leaf / (BRANCHES * BRANCHES), leaf / BRANCHES % BRANCHES, leaf % BRANCHES);
        let bytes = if dice.below(5) == 0 { 0 } else { dice.below(160) * dice.below(160) * 2 };
        let from = dice.below(POOL_BYTES - 160 * 160 * 2);
        let path = root.join(format!("t{top:02}/m{middle:02}/l{low:02}/f{number:05}.txt"));
        write(&path, &text[from..from + bytes])?;
    }
    Ok(())
}

fn programs(root: &Path, at_most_bytes: u64) -> Result<()> {
    fs::create_dir_all(root).map_err(Error::file("create", root))?;
    let mut left = at_most_bytes;
    for (bytes, path) in toolchain()? {
        if bytes <= left {
            left -= bytes;
            fs::copy(&path, root.join(path.file_name().unwrap_or_default())).map_err(Error::file("copy", &path))?;
        }
    }
    Ok(())
}

/// What the Rust toolchain in use has in `bin` and `lib` that is large, the largest first.
fn toolchain() -> Result<Vec<(u64, PathBuf)>> {
    const LARGE: u64 = 4 << 20;
    let printed = Outcome::of(Command::new("rustc").args(["--print", "sysroot"]))?.stdout()?;
    let sysroot = PathBuf::from(String::from_utf8_lossy(&printed).trim_end());
    let mut files = Vec::new();
    for folder in ["bin", "lib"].map(|name| sysroot.join(name)) {
        for entry in fs::read_dir(&folder).map_err(Error::file("list", &folder))? {
            let entry = entry.map_err(Error::file("list", &folder))?;
            let metadata = entry.metadata().map_err(Error::file("stat", entry.path()))?;
            if metadata.is_file() && metadata.len() >= LARGE {
                files.push((metadata.len(), entry.path()));
            }
        }
    }
    files.sort();
    files.reverse();
    Ok(files)
}

fn big(root: &Path, files: u32, file_bytes: u64) -> Result<()> {
    let mut dice = Dice::new(2);
    let mut pool = code(&mut dice);
    fs::create_dir_all(root).map_err(Error::file("create", root))?;
    for number in 0..files {
        let path = root.join(format!("program{number}.bin"));
        let mut file = File::create(&path).map_err(Error::file("create", &path))?;
        let mut left = file_bytes;
        while left > 0 {
            // No two passes are the same bytes, so that nothing gains from equal pieces far apart.
            for page in pool.chunks_exact_mut(4096) {
                page[..8].copy_from_slice(&dice.next().to_le_bytes());
            }
            let len = usize::try_from(left).unwrap_or(usize::MAX).min(pool.len());
            file.write_all(&pool[..len]).map_err(Error::file("write", &path))?;
            left -= len as u64;
        }
    }
    Ok(())
}

/// With the directories above, 101 entries a directory.
fn entries(root: &Path, directories: u32) -> Result<()> {
    let mut dice = Dice::new(3);
    let text = text(&mut dice);
    for directory in 0..directories {
        for number in 0..100 {
            let from = dice.below(POOL_BYTES / 2);
            let path = root.join(format!("d{directory:04}/e{number:02}.txt"));
            write(&path, &text[from..from + dice.below(200)])?;
        }
    }
    Ok(())
}

fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    crate::interop::trees::write(path, bytes)
}

/// Lines of words, few of them common and most rare, and now and then a line from a little before: gzip makes a quarter of it.
fn text(dice: &mut Dice) -> Vec<u8> {
    let words: Vec<Vec<u8>> = (0..6_000).map(|_| word(dice)).collect();
    let mut text = Vec::with_capacity(POOL_BYTES + 256);
    let mut lines: Vec<Range<usize>> = Vec::new();
    while text.len() < POOL_BYTES {
        let start = text.len();
        match lines.len().checked_sub(1 + dice.below(120)) {
            Some(before) if dice.below(100) < 55 => {
                text.extend_from_within(lines[before].clone());
            }
            _ => line(dice, &words, &mut text),
        }
        lines.push(start..text.len());
    }
    text
}

fn line(dice: &mut Dice, words: &[Vec<u8>], text: &mut Vec<u8>) {
    text.extend(std::iter::repeat_n(b' ', 4 * dice.below(4)));
    for _ in 0..=dice.below(9) {
        text.extend_from_slice(&words[dice.skewed(words.len())]);
        text.push(b" .,(_=:"[dice.skewed(7)]);
    }
    text.push(b'\n');
}

fn word(dice: &mut Dice) -> Vec<u8> {
    (0..2 + dice.below(9)).map(|_| b"etaoinsrhldcumfpgwybvkxjqz"[dice.skewed(26)]).collect()
}

/// Bytes like machine code: instructions that repeat, addresses that do not, tables, padding. gzip makes about two fifths of it.
fn code(dice: &mut Dice) -> Vec<u8> {
    let opcodes: Vec<Vec<u8>> = (0..2_000).map(|_| (0..1 + dice.below(6)).map(|_| dice.byte()).collect()).collect();
    let mut code = Vec::with_capacity(POOL_BYTES + 128);
    while code.len() < POOL_BYTES {
        match dice.below(40) {
            0 => code.extend([0; 48]),
            1..=14 => code.extend((0..2).map(|_| dice.byte())),
            _ => code.extend_from_slice(&opcodes[dice.skewed(opcodes.len())]),
        }
    }
    code
}

/// Numbers from a seed (xorshift64).
struct Dice(u64);

impl Dice {
    fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn byte(&mut self) -> u8 {
        self.next().to_le_bytes()[2]
    }

    /// Less than `limit`, which is above 0.
    fn below(&mut self, limit: usize) -> usize {
        usize::try_from((self.next() >> 11) % limit as u64).unwrap_or(0)
    }

    /// Less than `limit`, the small ones far more often.
    fn skewed(&mut self, limit: usize) -> usize {
        let share = self.below(1 << 20) as f64 / f64::from(1 << 20);
        ((share * share * share) * limit as f64) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(tree: Tree, files: usize) {
        let folder = tempfile::tempdir().unwrap();
        let roots = ["one", "two"].map(|name| folder.path().join(name));
        for root in &roots {
            tree.write(root).unwrap();
        }
        let [one, two] = roots.map(|root| crate::bench::setting::Contents::below(&root).unwrap());
        assert_eq!(one, two);
        assert_eq!(one.files, files);
    }

    #[test]
    fn a_tree_is_the_same_every_time() {
        check(Tree::Many { files: 300 }, 300);
        check(Tree::Big { files: 2, file_bytes: 10_000 }, 2);
        check(Tree::Entries { directories: 2 }, 200);
    }
}
