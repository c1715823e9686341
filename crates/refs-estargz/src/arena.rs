//! Many small things in few allocations that never move: growing copies nothing, and takes no more memory than is used.

use std::ops::{Index, IndexMut, Range};

use crate::{Error, Result, TocPart};

/// Rows of one type, in segments.
#[derive(Debug, Clone)]
pub(crate) struct Rows<T> {
    segments: Vec<Vec<T>>,
}

/// A segment has so many rows; only the last may have fewer.
const SEGMENT_ROWS: usize = 1 << 12;

impl<T> Default for Rows<T> {
    fn default() -> Self {
        Self { segments: Vec::new() }
    }
}

impl<T> Rows<T> {
    pub(crate) fn len(&self) -> usize {
        self.segments.last().map_or(0, |last| (self.segments.len() - 1) * SEGMENT_ROWS + last.len())
    }

    pub(crate) fn push(&mut self, row: T) {
        if self.len().is_multiple_of(SEGMENT_ROWS) {
            // The first grows as it needs to: most tables are small.
            let rows = if self.segments.is_empty() { 0 } else { SEGMENT_ROWS };
            self.segments.push(Vec::with_capacity(rows));
        }
        if let Some(last) = self.segments.last_mut() {
            last.push(row);
        }
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.segments.iter_mut().flatten()
    }

    /// Moves each row to its place.
    pub(crate) fn rearrange(&mut self, mut places: Vec<u32>) {
        for row in 0..places.len() {
            while places[row] as usize != row {
                let place = places[row] as usize;
                self.swap(row, place);
                places.swap(row, place);
            }
        }
    }

    fn swap(&mut self, left: usize, right: usize) {
        let (lower, upper) = (left.min(right), left.max(right));
        let (head, tail) = self.segments.split_at_mut(upper / SEGMENT_ROWS);
        match head.get_mut(lower / SEGMENT_ROWS) {
            Some(segment) => std::mem::swap(&mut segment[lower % SEGMENT_ROWS], &mut tail[0][upper % SEGMENT_ROWS]),
            None => tail[0].swap(lower % SEGMENT_ROWS, upper % SEGMENT_ROWS),
        }
    }
}

impl<T> Index<usize> for Rows<T> {
    type Output = T;

    fn index(&self, row: usize) -> &T {
        &self.segments[row / SEGMENT_ROWS][row % SEGMENT_ROWS]
    }
}

impl<T> IndexMut<usize> for Rows<T> {
    fn index_mut(&mut self, row: usize) -> &mut T {
        &mut self.segments[row / SEGMENT_ROWS][row % SEGMENT_ROWS]
    }
}

/// Where each row goes when they are to be in `order`, which lists each of them once.
pub(crate) fn places(order: &[u32]) -> Vec<u32> {
    let mut places = vec![0; order.len()];
    for (place, &row) in (0..).zip(order) {
        places[row as usize] = place;
    }
    places
}

/// The first index in `range` that `is_before` does not hold for, if it holds for all before that and for none after.
pub(crate) fn partition_point(range: Range<usize>, is_before: impl Fn(usize) -> bool) -> usize {
    let Range { mut start, mut end } = range;
    while start < end {
        let middle = start.midpoint(end);
        if is_before(middle) { start = middle + 1 } else { end = middle }
    }
    start
}

/// Texts without NUL, in segments.
#[derive(Debug, Clone, Default)]
pub(crate) struct Texts {
    segments: Vec<String>,
}

/// Where a text is among [`Texts`]: the segment, and the place in it in the lower bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TextAt(u32);

const OFFSET_BITS: u32 = 16;
/// What ends a text: four bytes of length would take more.
const END: char = '\0';
/// A segment has so many bytes, or one text that is longer.
const SEGMENT_BYTES: usize = 1 << OFFSET_BITS;

impl Texts {
    /// # Errors
    ///
    /// [`Error::TocLimit`] when there are 4 GiB already.
    pub(crate) fn push(&mut self, text: &str) -> Result<TextAt> {
        let too_many = || Error::TocLimit { part: TocPart::Inflated, limit: u64::from(u32::MAX) };
        let has_room = |last: &String| last.len() + text.len() < SEGMENT_BYTES;
        if !self.segments.last().is_some_and(has_room) {
            let bytes = if self.segments.is_empty() { 0 } else { SEGMENT_BYTES };
            self.segments.push(String::with_capacity(bytes.max(text.len() + 1)));
        }
        let segment = self.segments.len() - 1;
        let last = &mut self.segments[segment];
        let at = u32::try_from(segment << OFFSET_BITS | last.len()).ok().ok_or_else(too_many)?;
        last.push_str(text);
        last.push(END);
        Ok(TextAt(at))
    }
}

impl Index<TextAt> for Texts {
    type Output = str;

    fn index(&self, TextAt(at): TextAt) -> &str {
        let (segment, start) = (at >> OFFSET_BITS, at as usize % SEGMENT_BYTES);
        let text = &self.segments[segment as usize][start..];
        text.split_once(END).map_or(text, |(text, _)| text)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rows(count: usize) -> Rows<usize> {
        let mut rows = Rows::default();
        (0..count).for_each(|row| rows.push(row));
        rows
    }

    #[test]
    fn rows_are_found_across_segments() {
        for count in [0, 1, SEGMENT_ROWS, SEGMENT_ROWS + 1, 3 * SEGMENT_ROWS] {
            let rows = rows(count);
            assert_eq!(rows.len(), count);
            assert!((0..count).all(|row| rows[row] == row));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn rearranged_rows_are_those_of_the_order(
            count in prop_oneof![0..20_usize, SEGMENT_ROWS - 2..2 * SEGMENT_ROWS + 2],
            step in 1..10_000_usize,
        ) {
            let mut order: Vec<u32> = (0..count as u32).collect();
            order.sort_by_key(|row| (*row as usize).wrapping_mul(step) % 1009);
            let mut rows = rows(count);
            rows.rearrange(places(&order));
            prop_assert!(order.iter().enumerate().all(|(place, row)| rows[place] == *row as usize));
        }

        #[test]
        fn texts_come_back(lengths in prop::collection::vec(prop_oneof![0..50_usize, 30_000..140_000_usize], 0..12)) {
            let mut texts = Texts::default();
            let text = |at: usize, length: usize| "é".repeat(length / 2) + &at.to_string();
            let pushed: Vec<_> =
                lengths.iter().enumerate().map(|(at, length)| texts.push(&text(at, *length)).unwrap()).collect();
            for (at, length) in lengths.into_iter().enumerate() {
                prop_assert!(texts[pushed[at]] == text(at, length));
            }
        }

        #[test]
        fn partition_point_is_that_of_a_slice(mut values in prop::collection::vec(0..20_u8, 0..40), pivot in 0..20_u8) {
            values.sort_unstable();
            let expected = values.partition_point(|value| *value < pivot);
            prop_assert_eq!(partition_point(0..values.len(), |at| values[at] < pivot), expected);
        }
    }
}
