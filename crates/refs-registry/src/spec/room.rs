//! How much memory a JSON document takes once it is read.

/// More than any document of registries takes: a manifest that is as long as manifests can be, and lists nothing but images.
const MOST_BYTES: usize = 56_000_000;

/// What an object takes that is read without knowing what it is, and what any value takes; with the copies that are made
/// on the way, as measured.
const OBJECT_BYTES: usize = 850;
const VALUE_BYTES: usize = 150;

/// Whether what `json` says takes no more memory than anyone needs. Its length is no measure of that: `{"a":0}` becomes a
/// thousand bytes, so that a manifest of 4 MiB could take half a gigabyte.
pub(crate) fn has_room(json: &[u8]) -> bool {
    let (mut taken, mut is_text, mut is_escaped) = (0_usize, false, false);
    for byte in json {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = is_text,
            b'"' => is_text = !is_text,
            b'{' if !is_text => taken += OBJECT_BYTES,
            b',' | b'[' if !is_text => taken += VALUE_BYTES,
            _ => {}
        }
        if taken > MOST_BYTES {
            return false;
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(many: &str, times: usize, expect: bool) {
        let json = format!("[{}0]", many.repeat(times));
        assert_eq!(has_room(json.as_bytes()), expect, "{times} of {many}");
    }

    #[test]
    fn what_is_short_and_takes_much_memory_has_no_room() {
        const LEN: usize = 4 << 20;
        check(r#"{"a":0},"#, LEN / 8, false);
        check("0,", LEN / 2, false);
        check("[],", LEN / 3, false);
        check(r#""a","#, 300_000, true);
        check(r#""a","#, 2 * LEN / 4, false);
        // Within a text nothing counts, whatever is escaped in it.
        check(r#""{{{{{{{{,,,,,,,,[[[[[[[[\"{{{{{{{{\\","#, LEN / 40, true);
        let image = format!(
            r#"{{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"sha256:{}","size":1234,"platform":{{"architecture":"amd64","os":"linux"}},"annotations":{{"org.opencontainers.image.ref.name":"v1"}}}},"#,
            "a".repeat(64)
        );
        check(&image, LEN / image.len(), true);
    }
}
