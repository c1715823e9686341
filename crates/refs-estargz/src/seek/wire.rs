//! Numbers and texts as bytes: seven bits of a number a byte, the lowest first; the length of a text before it.

use bytes::{Buf, Bytes};

use super::SeekFault;

pub(super) fn put_number(number: u64, bytes: &mut Vec<u8>) {
    let mut rest = number;
    while rest > 0x7f {
        bytes.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    bytes.push(rest as u8);
}

pub(super) fn put_text(text: &[u8], bytes: &mut Vec<u8>) {
    put_number(text.len() as u64, bytes);
    bytes.extend_from_slice(text);
}

/// Takes values off the front of bytes. Nothing is allocated for what is not there.
#[derive(Debug)]
pub(super) struct Values(pub(super) Bytes);

impl Values {
    pub(super) fn byte(&mut self, field: &'static str) -> Result<u8, SeekFault> {
        self.0.try_get_u8().ok().ok_or(SeekFault::Field(field))
    }

    pub(super) fn number(&mut self, field: &'static str) -> Result<u64, SeekFault> {
        let mut number = 0;
        for shift in (0..u64::BITS).step_by(7) {
            let byte = self.byte(field)?;
            let bits = u64::from(byte & 0x7f);
            if bits << shift >> shift != bits {
                break;
            }
            number |= bits << shift;
            if byte < 0x80 {
                return Ok(number);
            }
        }
        Err(SeekFault::Field(field))
    }

    /// A number that must fit into fewer bits.
    pub(super) fn small<T: TryFrom<u64>>(&mut self, field: &'static str) -> Result<T, SeekFault> {
        T::try_from(self.number(field)?).ok().ok_or(SeekFault::Field(field))
    }

    /// A number that may be negative.
    pub(super) fn number_of_eight_bytes(&mut self, field: &'static str) -> Result<i64, SeekFault> {
        self.0.try_get_i64_le().ok().ok_or(SeekFault::Field(field))
    }

    pub(super) fn bytes(&mut self, field: &'static str) -> Result<Bytes, SeekFault> {
        let length: usize = self.small(field)?;
        if length > self.0.len() {
            return Err(SeekFault::Field(field));
        }
        Ok(self.0.split_to(length))
    }

    pub(super) fn text(&mut self, field: &'static str) -> Result<String, SeekFault> {
        String::from_utf8(self.bytes(field)?.into()).ok().ok_or(SeekFault::Field(field))
    }

    /// A text that means a value.
    pub(super) fn parsed<T: std::str::FromStr>(&mut self, field: &'static str) -> Result<T, SeekFault> {
        self.text(field)?.parse().ok().ok_or(SeekFault::Field(field))
    }

    pub(super) fn finish(&self, field: &'static str) -> Result<(), SeekFault> {
        if self.0.is_empty() { Ok(()) } else { Err(SeekFault::Field(field)) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn values_come_back_as_they_were_put(number: u64, text: Vec<u8>, other in 0..300u64) {
            let mut bytes = Vec::new();
            put_number(number, &mut bytes);
            put_text(&text, &mut bytes);
            put_number(other, &mut bytes);
            let mut values = Values(bytes.into());
            prop_assert_eq!(values.number("first"), Ok(number));
            prop_assert_eq!(values.bytes("text"), Ok(Bytes::from(text)));
            prop_assert_eq!(values.number("second"), Ok(other));
            prop_assert_eq!(values.finish("end"), Ok(()));
        }
    }

    #[test]
    fn numbers_beyond_64_bits_and_lengths_beyond_the_bytes_are_refused() {
        for bytes in [&[0xff; 11][..], &[0xff; 9], &[0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 2], &[]] {
            assert_eq!(Values(Bytes::copy_from_slice(bytes)).number("n"), Err(SeekFault::Field("n")), "{bytes:?}");
        }
        assert_eq!(Values(Bytes::from_static(&[4, 1, 2, 3])).bytes("b"), Err(SeekFault::Field("b")));
    }
}
