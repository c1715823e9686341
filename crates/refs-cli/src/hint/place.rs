//! What was meant by a text that names no place, or none that will do.

use std::path::Path;

use refs_client::{Error, Location};
use refs_store::Layout;
use refs_url::{Host, ParseError, ParseErrorKind, Reference, redacted};

use super::client_hint;

/// What to do next about a place that is to be copied to. A file is none: what is on the disk is meant as a layout.
pub(crate) fn destination_hint(error: &Error) -> Option<String> {
    match error {
        Error::Reference(error) if is_path(error.input()) => Some(layout_at(error.input())),
        error => client_hint(error),
    }
}

/// The repository of what is at `at`, as a command takes it.
pub(super) fn repository_of(at: &str) -> String {
    match Location::parse(at) {
        Ok(Location::File(_)) | Err(_) => "REPO".to_owned(),
        Ok(at) => at.repository().to_string(),
    }
}

/// Whether `text` is written as a path is, or is there.
fn is_path(text: &str) -> bool {
    ["/", "./", "../"].iter().any(|start| text.starts_with(start)) || Path::new(text).exists()
}

/// How refs reads what `input` names by skopeo's transport `name`. What is quoted is without a password.
pub(super) fn transport_hint(name: &str, input: &str) -> String {
    let path = input.strip_prefix(name).and_then(|rest| rest.strip_prefix(':')).unwrap_or_default();
    match name {
        "oci" => layout_at(path),
        "oci-archive" => "unpack it with tar: the directory is an image layout, `ocidir://DIR:TAG`".to_owned(),
        _ => format!("`skopeo copy {input} oci:DIR:TAG` makes an image layout of it, which is `ocidir://DIR:TAG`"),
    }
}

/// What was meant by a text that is no reference.
///
/// # Security
/// Nothing of the text is quoted that could hold a password: only what is a reference behind `docker://`, or is on the disk.
pub(super) fn reference_hint(error: &ParseError) -> Option<String> {
    let input = error.input();
    if ["http://", "https://"].iter().any(|scheme| input.starts_with(scheme)) {
        return Some("leave out the scheme; for plain HTTP there is `--plain-http HOST`".to_owned());
    }
    if let Some(path) = input.strip_prefix("docker://").filter(|path| is_path(path)) {
        return Some(layout_at(&redacted(path)));
    }
    on_disk(input).or_else(|| layout_hint(input)).or_else(|| host_alone(input)).or_else(|| {
        match (error.kind(), format!("docker://{input}")) {
            (ParseErrorKind::MissingRegistry, familiar) if Reference::parse_familiar(&familiar).is_ok() => {
                Some(format!("put the registry's host first; on Docker Hub this is `{familiar}`"))
            }
            _ => error.hint(),
        }
    })
}

/// What may have been meant by `at`, which Docker Hub does not give: `docker://` before a directory of this machine is one
/// of its repositories.
pub(super) fn directory_hint(at: &str) -> Option<String> {
    let name = at.strip_prefix("docker.io/")?;
    let name = name.strip_prefix("library/").unwrap_or(name);
    let name = name.split_once('@').map_or(name, |(name, _digest)| name);
    let (path, tag) = name.rsplit_once(':').unwrap_or((name, "latest"));
    let tag = if tag == "latest" { String::new() } else { format!(":{tag}") };
    let is_there = Path::new(path).is_dir();
    is_there
        .then(|| format!("if the directory `{path}` is meant, an image layout on the disk is `ocidir://{path}{tag}`"))
}

/// How to write a layout, where another scheme was put before its path, or half of ours.
fn layout_hint(input: &str) -> Option<String> {
    let path = ["oci-layout://", "oci-layout:", "ocidir:"].iter().find_map(|scheme| input.strip_prefix(scheme))?;
    Some(format!("an image layout on the disk is `ocidir://{}`", redacted(path)))
}

/// What can be asked of a registry, where nothing but its host was named.
fn host_alone(input: &str) -> Option<String> {
    // `debian:12` could be a host with a port as well, but is not likely to be meant so.
    let host = Host::parse(input).ok().filter(|host| host.is_loopback() || host.name().contains(['.', ':']))?;
    Some(format!("`refs repos {host}` lists its repositories; name one of them as in `{host}/app`"))
}

/// How to write what lies at `path` on the disk, which may have a tag behind it.
fn on_disk(path: &str) -> Option<String> {
    if Path::new(path).is_file() {
        return Some(format!("a file on the disk is `file://{path}`"));
    }
    let directory = path.rsplit_once(':').filter(|(_, tag)| !tag.contains('/')).map_or(path, |(before, _)| before);
    if [path, directory].iter().any(|directory| Layout::is_at(Path::new(directory))) {
        return Some(layout_at(path));
    }
    None
}

fn layout_at(path: &str) -> String {
    format!("an image layout on the disk is `ocidir://{path}`")
}

/// What was meant by a text that is no host.
pub(crate) fn host_hint(error: &ParseError) -> Option<String> {
    let input = error.input();
    let rest = input.split_once("://").map_or(input, |(_scheme, rest)| rest);
    let host =
        rest.split('/').next().and_then(|host| Host::parse(host).ok()).filter(|_| rest != input || rest.contains('/'));
    host.map(|host| format!("give only the host: `{host}`")).or_else(|| error.hint())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(at: &str, layout: Option<&str>) {
        let hint = directory_hint(at);
        assert_eq!(hint.as_ref().map(|hint| hint.rsplit("is ").next().unwrap()), layout, "{at}");
    }

    #[test]
    fn directory_that_was_taken_for_a_repository_is_found() {
        // Tests run in the folder of their crate.
        check("docker.io/library/src:latest", Some("`ocidir://src`"));
        check("docker.io/library/src:v1", Some("`ocidir://src:v1`"));
        check("docker.io/src/commands:v1", Some("`ocidir://src/commands:v1`"));
        check(&format!("docker.io/library/src@sha256:{}", "0".repeat(64)), Some("`ocidir://src`"));
        check("docker.io/library/absent:latest", None);
        check("ghcr.io/library/src:latest", None);
    }
}
