//! What is measured: each series a kind of work on a tree, each row a way to do it.

use super::options::{Options, Weight};
use super::row::Row;
use super::tree::Tree;

/// Rows that do the same work.
#[derive(Debug)]
pub(crate) struct Series {
    pub(crate) name: String,
    pub(crate) tree: Option<Tree>,
    pub(crate) weight: Weight,
    pub(crate) rows: &'static [Row],
}

const fn row(name: &'static str, line: &'static str) -> Row {
    Row { name, line }
}

/// `{to}` is a new repository in each run.
const PUSH: &[Row] = &[
    row("refs push", "{refs} push {tree} {to}"),
    row(
        "tar | pigz -6, crane append",
        "tar -C {tree} -c . | {pigz} -6 > {file} && {crane} append --new_layer {file} --new_tag {to}",
    ),
    row(
        "tar | gzip -6, crane append",
        "tar -C {tree} -c . | gzip -6 > {file} && {crane} append --new_layer {file} --new_tag {to}",
    ),
    row(
        "tar, crane append (level 1)",
        "tar -C {tree} -c . > {file} && {crane} append --new_layer {file} --new_tag {to}",
    ),
    row("oras push", "cd {trees} && {oras} push --plain-http {to} {name}"),
    row("oci-client, level 6", "{oci-client} push {tree} {to}"),
    row("jmgilman/go/oci", "{go-oci} push {tree} {to}"),
];

const PUSH_LARGE: &[Row] = &[PUSH[0], PUSH[1], PUSH[3]];

const PULL_ESTARGZ: &[Row] = &[
    row("refs pull", "{refs} pull {estargz} {out}/tree {unlimited} {cold}"),
    row("crane export | tar x", "{crane} export {estargz} - | tar x -C {out}"),
    row("curl | tar xz (verifies nothing)", "{curl} -sSf {estargz-blob} | tar xz -C {out}"),
    row("oci-client", "{oci-client} pull {estargz} {out}"),
];

const PULL_PLAIN: &[Row] = &[
    row("refs pull", "{refs} pull {plain} {out}/tree {unlimited} {cold}"),
    row("crane export | tar x", "{crane} export {plain} - | tar x -C {out}"),
    row("curl | tar xz (verifies nothing)", "{curl} -sSf {plain-blob} | tar xz -C {out}"),
    row(
        "crane pull, umoci raw unpack",
        "{crane} pull --format=oci --annotate-ref {plain} {side} && {umoci} raw unpack --rootless --image {side}:{plain} {out}/tree",
    ),
    row("oras pull (its own artifact)", "{oras} pull --plain-http -o {out} {oras-form}"),
    row("oci-client", "{oci-client} pull {plain} {out}"),
    row("jmgilman/go/oci (its own artifact)", "{go-oci} pull {go-oci-form} {out}/tree"),
];

const PULL_LARGE: &[Row] = &[PULL_ESTARGZ[0], PULL_ESTARGZ[1]];

const LIST: &[Row] = &[
    row("refs ls", "{refs} ls {estargz} {cold}"),
    row("crane export | tar t", "{crane} export {estargz} - | tar t"),
    row("curl | tar tz", "{curl} -sSf {estargz-blob} | tar tz"),
    row("crane manifest (one request, no list)", "{crane} manifest {estargz}"),
];

/// One of twelve directories.
const GLOB_DIRECTORY: &[Row] = &[
    row("refs pull --path t03/**", "{refs} pull {estargz} {out}/tree --path t03/** {unlimited} {cold}"),
    row("curl | tar xz t03", "{curl} -sSf {estargz-blob} | tar xz -C {out} t03"),
    row("crane export | tar x t03", "{crane} export {estargz} - | tar x -C {out} t03"),
];

const GLOB_SCATTERED: &[Row] = &[
    row("refs pull --path **/*0.txt", "{refs} pull {estargz} {out}/tree --path **/*0.txt {unlimited} {cold}"),
    row("curl | tar xz *0.txt", "{curl} -sSf {estargz-blob} | tar xz -C {out} --wildcards '*0.txt'"),
    row("crane export | tar x *0.txt", "{crane} export {estargz} - | tar x -C {out} --wildcards '*0.txt'"),
];

/// `{warm}` is a cache that the run before has filled.
const PULL_AGAIN: &[Row] = &[
    row("refs pull, again", "{refs} pull {estargz} {out}/tree {unlimited}{warm}"),
    row("crane export | tar x", "{crane} export {estargz} - | tar x -C {out}"),
];

/// `{graph}` is an index of three platforms, `{elsewhere}` a new repository of another registry in each run.
const COPY_BETWEEN: &[Row] = &[
    row("refs cp", "{refs} cp {graph} {elsewhere}"),
    row("crane cp", "{crane} cp {graph} {elsewhere}"),
    row(
        "skopeo copy --all (remembers nothing)",
        "env _CONTAINERS_ROOTLESS_UID=1000 XDG_DATA_HOME={out} {skopeo} copy --all {insecure} docker://{graph} docker://{elsewhere}",
    ),
    row(
        "skopeo copy --all (knows what it copied before)",
        "{skopeo} copy --all {insecure} docker://{graph} docker://{elsewhere}",
    ),
];

const COPY_WITHIN: &[Row] = &[
    row("refs cp", "{refs} cp {graph} {to}"),
    row("crane cp", "{crane} cp {graph} {to}"),
    row(
        "skopeo copy --all (remembers nothing)",
        "env _CONTAINERS_ROOTLESS_UID=1000 XDG_DATA_HOME={out} {skopeo} copy --all {insecure} docker://{graph} docker://{to}",
    ),
    row(
        "skopeo copy --all (knows what it copied before)",
        "{skopeo} copy --all {insecure} docker://{graph} docker://{to}",
    ),
];

const START: &[Row] = &[
    row("refs --version", "{refs} --version"),
    row("crane version", "{crane} version"),
    row("oras version", "{oras} version"),
    row("umoci --version", "{umoci} --version"),
    row("true (nothing at all)", "true"),
];

const SCALE: [(&str, &[Row]); 4] = [
    ("push", &[PUSH[0], PUSH[2]]),
    ("pull", &[PULL_ESTARGZ[0], PULL_ESTARGZ[1]]),
    ("ls", &[LIST[0], LIST[1]]),
    ("glob", &[GLOB_SCATTERED[0], GLOB_SCATTERED[2]]),
];

/// The series that `options` choose, the quick ones first.
pub(crate) fn chosen(options: &Options) -> Vec<Series> {
    let trees = Trees::new(options);
    let mut all = vec![series("start".to_owned(), None, Weight::Tiny, START)];
    all.extend(on_many(trees.many));
    let copied = |work: &str, rows| series(format!("cp {work}"), Some(trees.copied), Weight::Medium, rows);
    all.extend([copied("between registries", COPY_BETWEEN), copied("within a registry", COPY_WITHIN)]);
    all.extend(on_large("big", trees.big, Weight::Medium));
    all.extend(on_large("entries", trees.entries, Weight::Heavy));
    all.extend(on_large("one", trees.one, Weight::Heavy));
    for (times, files) in [("x1", 100), ("x10", 1_000), ("x100", 10_000)] {
        let tree = Some(Tree::Many { files });
        let rows = SCALE.into_iter();
        all.extend(rows.map(|(work, rows)| series(format!("scale {work} {times}"), tree, Weight::Medium, rows)));
    }
    all.retain(|series| options.wants(&series.name));
    all
}

fn on_many(tree: Tree) -> [Series; 7] {
    let on = |name: &str, weight, rows| series(format!("{name} many"), Some(tree), weight, rows);
    [
        on("ls", Weight::Light, LIST),
        on("glob directory", Weight::Light, GLOB_DIRECTORY),
        on("glob scattered", Weight::Light, GLOB_SCATTERED),
        on("pull estargz", Weight::Light, PULL_ESTARGZ),
        on("pull plain", Weight::Light, PULL_PLAIN),
        on("pull again", Weight::Light, PULL_AGAIN),
        on("push", Weight::Medium, PUSH),
    ]
}

fn on_large(name: &str, tree: Tree, weight: Weight) -> Vec<Series> {
    let on = |work: &str, weight, rows| series(format!("{work} {name}"), Some(tree), weight, rows);
    let list = on("ls", weight, &LIST[..2]);
    let pushed = |rows| on("push", Weight::Heavy, rows);
    match weight {
        Weight::Heavy => vec![list, on("pull estargz", weight, PULL_LARGE), pushed(&PUSH[..1])],
        _ => {
            let pulled = [on("pull estargz", weight, PULL_ESTARGZ), on("pull plain", weight, PULL_PLAIN)];
            [list].into_iter().chain(pulled).chain([pushed(PUSH_LARGE)]).collect()
        }
    }
}

fn series(name: String, tree: Option<Tree>, weight: Weight, rows: &'static [Row]) -> Series {
    Series { name, tree, weight, rows }
}

/// The trees, smaller in a quick run.
struct Trees {
    many: Tree,
    big: Tree,
    one: Tree,
    entries: Tree,
    copied: Tree,
}

impl Trees {
    fn new(options: &Options) -> Self {
        const MIB: u64 = 1 << 20;
        let (big, one, directories) = if options.is_quick() { (80, 96, 100) } else { (400, 1024, 991) };
        Self {
            many: Tree::Many { files: 9_000 },
            big: Tree::Programs { at_most_bytes: big * MIB },
            one: Tree::Big { files: 1, file_bytes: one * MIB },
            // With its directory a hundred files are 101 entries.
            entries: Tree::Entries { directories },
            // Each of three platforms has a layer of it.
            copied: Tree::Programs { at_most_bytes: 80 * MIB },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_program_is_the_first_row_of_every_series() {
        for series in chosen(&Options::parse(&["--scale"]).unwrap()) {
            let ours: Vec<bool> = series.rows.iter().map(Row::is_ours).collect();
            assert!(ours[0] && !ours[1..].contains(&true), "{}", series.name);
        }
    }
}
