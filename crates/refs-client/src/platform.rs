//! How well a platform that is offered suits one that is wanted: by the rules of containerd's `platforms.Only`.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
};

use refs_registry::Platform;

/// The builds of Windows Server that the builds after them are compatible with, the oldest first. Hosts before the first of
/// them run containers of their own build only; one from a generation on runs those of the generation before it, too
/// ([compatibility](https://learn.microsoft.com/en-us/virtualization/windowscontainers/deploy-containers/version-compatibility)).
const WINDOWS_GENERATIONS: [u16; 2] = [20_348, 26_100];
/// Nearly every image of Windows has this feature, and every host.
const WIN32K: &str = "win32k";
/// The latest minor versions of the eighth and the ninth version of the 64-bit ARM architecture that have names.
const ARM64_LATEST: [(u32, u32); 2] = [(8, 9), (9, 7)];
/// ARMv9.0 can do all that ARMv8.5 can, and so on.
const ARM64_AHEAD: u32 = 5;

/// How well an offer suits; a lesser value suits better.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fit {
    /// It is what was asked for, word for word.
    Exact,
    /// It runs there.
    Compatible {
        /// How many better processors there could be.
        steps: u32,
        /// How many features it makes use of.
        features: Reverse<usize>,
        /// Of Windows the version, number by number.
        version: Reverse<Vec<u32>>,
    },
}

impl Fit {
    /// Whether nothing suits better who wants `wanted`.
    pub(crate) fn is_unsurpassed(&self, wanted: &Platform) -> bool {
        match self {
            Self::Exact => true,
            // Of Windows there may be a later version.
            Self::Compatible { steps: 0, features, version: Reverse(version) } => {
                version.is_empty() && features.0 == wanted.os_features.len()
            }
            Self::Compatible { .. } => false,
        }
    }
}

/// How well `offered` suits who wants `wanted`; `None` when it does not run there.
///
/// # Deviation
/// From containerd: what was asked for word for word comes first, and suits even if nobody has heard of it; of the versions
/// of Windows that suit, the latest comes before the others, where containerd takes the first in the list on all systems
/// but Windows.
pub(crate) fn fit(offered: &Platform, wanted: &Platform) -> Option<Fit> {
    if offered == wanted {
        return Some(Fit::Exact);
    }
    let (offer, want) = (Canonical::of(offered), Canonical::of(wanted));
    let steps = want.steps_to(&offer)?;
    let is_windows = want.os == "windows";
    if is_windows && !runs_on_windows(offered, wanted) {
        return None;
    }
    let had: BTreeSet<_> = wanted.os_features.iter().collect();
    let needed: BTreeSet<_> = offered.os_features.iter().collect();
    let is_there = |feature: &&String| had.contains(feature) || (is_windows && *feature == WIN32K);
    if !needed.iter().all(is_there) {
        return None;
    }
    let version = if is_windows { numbers(offered) } else { Vec::new() };
    Some(Fit::Compatible { steps, features: Reverse(needed.len()), version: Reverse(version) })
}

/// Whether this is what builders say of attestations, which they put into an index as if they were images.
pub(crate) fn is_attestation(platform: &Platform) -> bool {
    platform.os == "unknown"
}

/// Whether this says nothing: some tools write the fields without a value for what is for no platform.
pub(crate) fn is_nameless(platform: &Platform) -> bool {
    platform.os.is_empty() && platform.architecture.is_empty()
}

/// Each of `platforms` once, sorted by what they are called.
pub(crate) fn distinct(platforms: impl IntoIterator<Item = Platform>) -> Vec<Platform> {
    let by_name: BTreeMap<_, _> = platforms.into_iter().map(|platform| (platform.to_string(), platform)).collect();
    by_name.into_values().collect()
}

/// System and processor under the one name that Go has for them.
#[derive(Debug, PartialEq, Eq)]
struct Canonical {
    os: String,
    architecture: String,
    variant: String,
}

impl Canonical {
    fn of(platform: &Platform) -> Self {
        let os = match platform.os.to_ascii_lowercase() {
            os if os == "macos" => "darwin".to_owned(),
            os => os,
        };
        let architecture = platform.architecture.to_ascii_lowercase();
        let variant = platform.variant.as_deref().unwrap_or_default().to_ascii_lowercase();
        let (architecture, variant) = match (architecture.as_str(), variant.as_str()) {
            ("i386", _) => ("386", ""),
            ("x86_64" | "x86-64" | "amd64", "v1") => ("amd64", ""),
            ("x86_64" | "x86-64", variant) => ("amd64", variant),
            ("aarch64" | "arm64", "8" | "v8" | "v8.0") => ("arm64", ""),
            ("aarch64" | "arm64", "9" | "9.0" | "v9.0") => ("arm64", "v9"),
            ("aarch64", variant) => ("arm64", variant),
            ("armhf", _) | ("arm", "" | "7") => ("arm", "v7"),
            ("armel", _) | ("arm", "6") => ("arm", "v6"),
            ("arm", "5") => ("arm", "v5"),
            ("arm", "8") => ("arm", "v8"),
            (architecture, variant) => (architecture, variant),
        };
        Self { os, architecture: architecture.to_owned(), variant: variant.to_owned() }
    }

    /// How many processors, real or not, are closer to this one than that of `offer`; `None` when that does not run here.
    fn steps_to(&self, offer: &Self) -> Option<u32> {
        if self.os != offer.os {
            return None;
        }
        if (&self.architecture, &self.variant) == (&offer.architecture, &offer.variant) {
            return Some(0);
        }
        match (self.architecture.as_str(), offer.architecture.as_str()) {
            ("amd64", "amd64") => {
                let level = version(&offer.variant, 1)?;
                version(&self.variant, 1)?.checked_sub(level).filter(|_| level >= 1)
            }
            ("amd64", "386") if offer.variant.is_empty() => Some(version(&self.variant, 1).unwrap_or(1).max(1)),
            ("arm", "arm") => arm_steps(version(&self.variant, 7)?, &offer.variant),
            ("arm64", "arm64") => self.arm64_ladder()?.position(|rung| Some(rung) == arm64(&offer.variant)).map(count),
            ("arm64", "arm") => Some(count(self.arm64_ladder()?.count()) + arm_steps(8, &offer.variant)?),
            _ => None,
        }
    }

    /// The versions of the 64-bit ARM architecture that this processor runs, its own first; `None` when it has no such.
    fn arm64_ladder(&self) -> Option<impl Iterator<Item = (u32, u32)> + use<>> {
        let (major, minor) = arm64(&self.variant)?;
        let [(_, latest), _] = ARM64_LATEST;
        let older = if major == 9 { 0..(minor + ARM64_AHEAD).min(latest) + 1 } else { 0..0 };
        let of_eight = older.rev().map(|minor| (8, minor));
        Some((0..=minor).rev().map(move |minor| (major, minor)).chain(of_eight))
    }
}

/// How far below the 32-bit ARM architecture `wanted` the one called `offered` is. What is before the fifth runs nowhere
/// else.
fn arm_steps(wanted: u32, offered: &str) -> Option<u32> {
    let offered = version(offered, 7).filter(|version| *version >= 5)?;
    wanted.checked_sub(offered)
}

/// The number in `v3`, or `unnamed` for no variant.
fn version(variant: &str, unnamed: u32) -> Option<u32> {
    match variant.strip_prefix('v') {
        Some(number) if !number.starts_with(['0', '+']) => number.parse().ok(),
        None if variant.is_empty() => Some(unnamed),
        _ => None,
    }
}

/// Major and minor version of a 64-bit ARM architecture.
fn arm64(variant: &str) -> Option<(u32, u32)> {
    let found = match variant {
        "" => (8, 0),
        "v9" => (9, 0),
        _ => {
            let (major, minor) = variant.strip_prefix('v')?.split_once('.')?;
            (version(&format!("v{major}"), 8)?, version(&format!("v{minor}"), 0)?)
        }
    };
    ARM64_LATEST.iter().any(|&(major, latest)| found.0 == major && found.1 <= latest).then_some(found)
}

fn count(steps: usize) -> u32 {
    u32::try_from(steps).unwrap_or(u32::MAX)
}

/// Whether a container of `offered` runs on the version of Windows that `wanted` names, if either names one.
fn runs_on_windows(offered: &Platform, wanted: &Platform) -> bool {
    let Some((host, host_build)) = windows_build(wanted) else { return true };
    if offered.os_version.as_deref().is_none_or(str::is_empty) {
        return true;
    }
    let Some((container, build)) = windows_build(offered) else { return false };
    let generation = WINDOWS_GENERATIONS.iter().rposition(|&first| host_build >= first);
    let oldest = generation.map_or(host_build, |generation| WINDOWS_GENERATIONS[generation.saturating_sub(1)]);
    host == container && (oldest..=host_build).contains(&build)
}

/// Major and minor version, and the build; `None` for what is no version of Windows.
fn windows_build(platform: &Platform) -> Option<((u8, u8), u16)> {
    let mut numbers = platform.os_version.as_deref()?.split('.');
    let (major, minor, build) = (numbers.next()?, numbers.next()?, numbers.next()?);
    let found = ((major.parse().ok()?, minor.parse().ok()?), build.parse().ok()?);
    (found != ((0, 0), 0)).then_some(found)
}

/// The numbers of a version; what is none counts as 0.
fn numbers(platform: &Platform) -> Vec<u32> {
    let version = platform.os_version.as_deref().unwrap_or_default();
    version.split('.').take(4).map(|number| number.parse().unwrap_or(0)).collect()
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, option, prelude::*};

    use super::*;

    const CONTAINERD: &str = include_str!("../tests/data/platforms.txt");
    const SPECIFIERS: &str = include_str!("../tests/data/specifiers.txt");

    fn platform(text: &str) -> Platform {
        Platform::parse(text).unwrap()
    }

    /// Those of `offered` that suit, the best first, in the words of the golden data.
    fn preferred<'a>(offered: &[&'a str], wanted: &str) -> Vec<&'a str> {
        let suits = |text: &&'a str| fit(&platform(text), &platform(wanted)).map(|fit| (fit, *text));
        let mut suiting: Vec<_> = offered.iter().filter_map(suits).collect();
        suiting.sort_by(|(a, _), (b, _)| a.cmp(b));
        suiting.into_iter().map(|(_, text)| text).collect()
    }

    #[track_caller]
    fn check(offered: &[&str], wanted: &str, expected: &[&str]) {
        assert_eq!(preferred(offered, wanted), expected, "{wanted}");
    }

    #[test]
    fn containerd_takes_the_same_and_likes_the_same_better() {
        let lines: Vec<_> = CONTAINERD
            .lines()
            .filter_map(|line| line.split_once(':'))
            .filter(|(wanted, _)| !wanted.starts_with('#'))
            .collect();
        let offered: Vec<_> = lines.iter().map(|(wanted, _)| *wanted).collect();
        assert!(offered.len() > 80, "{offered:?}");
        for (wanted, taken) in lines {
            let ours = preferred(&offered, wanted);
            assert_eq!(ours.first(), Some(&wanted), "what was asked for comes first");
            let mut others = ours.into_iter().skip(1);
            for equals in taken.split('>') {
                let mut theirs: Vec<_> = equals.split_whitespace().filter(|text| *text != wanted).collect();
                let mut ours: Vec<_> = others.by_ref().take(theirs.len()).collect();
                theirs.sort_unstable();
                ours.sort_unstable();
                assert_eq!(ours, theirs, "for {wanted}");
            }
            assert_eq!(others.next(), None, "containerd does not take it for {wanted}");
        }
    }

    /// What `platform` means, and its version and features.
    fn meant(platform: &Platform) -> (Canonical, String, Vec<String>) {
        let version = platform.os_version.clone().unwrap_or_default();
        (Canonical::of(platform), version, platform.os_features.clone())
    }

    #[test]
    fn what_is_written_means_the_same_to_containerd() {
        let lines: Vec<_> = SPECIFIERS.lines().filter(|line| !line.starts_with('#')).collect();
        assert!(lines.len() > 90, "{lines:?}");
        for line in lines {
            let (text, theirs) = line.split_once('\t').unwrap();
            let ours = Platform::parse(text).as_ref().map(meant);
            let theirs: Vec<_> = theirs.split('\t').collect();
            let [os, version, features, processor, variant] = theirs[..] else {
                assert_eq!((&theirs[..], ours), (&["refused"][..], None), "{text}");
                continue;
            };
            let here = Platform::linux_here().architecture;
            let read = Platform {
                os_version: Some(version.to_owned()),
                os_features: features.split('+').filter(|feature| !feature.is_empty()).map(str::to_owned).collect(),
                variant: Some(variant.to_owned()),
                ..Platform::new(os, if processor == "HERE" { &here } else { processor })
            };
            assert_eq!(ours, Some(meant(&read)), "{text}");
        }
    }

    #[test]
    fn best_comes_first_wherever_it_stands() {
        check(
            &["linux/386", "linux/amd64", "linux/amd64/v3", "linux/amd64/v2"],
            "linux/amd64/v2",
            &["linux/amd64/v2", "linux/amd64", "linux/386"],
        );
        check(
            &["linux/arm/v5", "linux/arm/v6", "linux/arm/v7", "linux/arm64"],
            "linux/arm64",
            &["linux/arm64", "linux/arm/v7", "linux/arm/v6", "linux/arm/v5"],
        );
    }

    #[test]
    fn words_that_were_asked_for_come_before_others_for_the_same() {
        check(&["linux/arm64", "linux/arm64/v8"], "linux/arm64/v8", &["linux/arm64/v8", "linux/arm64"]);
        check(&["linux/arm64/v8", "linux/arm64"], "linux/aarch64", &["linux/arm64/v8", "linux/arm64"]);
        check(&["linux/arm64", "linux/arm64/v77"], "linux/arm64/v77", &["linux/arm64/v77"]);
    }

    #[test]
    fn latest_version_of_windows_that_runs_there_comes_first() {
        let offered = [
            "windows(10.0.20348.9)/amd64",
            "windows(10.0.20348.10)/amd64",
            "windows(10.0.26100.1)/amd64",
            "windows/amd64",
        ];
        check(&offered, "windows(10.0.25000)/amd64", &[offered[1], offered[0], offered[3]]);
        check(&offered, "windows(10.0.20348.9)/amd64", &[offered[0], offered[1], offered[3]]);
        check(&offered, "windows(10.0.17763)/amd64", &[offered[3]]);
    }

    #[test]
    fn variant_with_a_huge_number_takes_no_longer() {
        check(&["linux/amd64", "linux/386"], "linux/amd64/v4000000000", &["linux/amd64", "linux/386"]);
        check(&["linux/arm/v7", "linux/arm/v4294967296"], "linux/arm/v4000000000", &["linux/arm/v7"]);
        check(&["linux/amd64/v01", "linux/amd64/v-1", "linux/amd64/v0"], "linux/amd64/v2", &[]);
    }

    #[test]
    fn each_is_told_once_and_in_order() {
        let told = distinct(["linux/arm64", "linux/386", "linux/arm64", "windows(10.0.1)/amd64"].map(platform));
        let told: Vec<_> = told.iter().map(ToString::to_string).collect();
        assert_eq!(told, ["linux/386", "linux/arm64", "windows(10.0.1)/amd64"]);
    }

    fn any_platform() -> impl Strategy<Value = Platform> {
        let os = prop_oneof!["linux", "windows", "macos", "[a-z]{0,3}"];
        let architecture = prop_oneof!["amd64", "386", "arm", "arm64", "aarch64", "[a-z0-9]{0,3}"];
        let variant = option::of("v?[0-9]{0,10}(\\.[0-9]{0,10})?");
        let version = option::of("[0-9]{0,10}(\\.[0-9a]{0,10}){0,4}");
        let features = vec(prop_oneof![Just("win32k".to_owned()), Just("gpu".to_owned())], 0..3);
        (os, architecture, variant, version, features).prop_map(
            |(os, architecture, variant, os_version, os_features)| Platform {
                os_version,
                os_features,
                variant,
                ..Platform::new(&os, &architecture)
            },
        )
    }

    proptest! {
        #[test]
        fn nothing_suits_better_than_what_was_asked_for(offered in any_platform(), wanted in any_platform()) {
            prop_assert_eq!(fit(&wanted, &wanted), Some(Fit::Exact));
            let fit = fit(&offered, &wanted);
            prop_assert!(fit.is_none_or(|fit| fit >= Fit::Exact));
        }

        #[test]
        fn what_suits_no_better_than_another_is_never_taken_for_the_best(
            offered in any_platform(),
            other in any_platform(),
            wanted in any_platform(),
        ) {
            let (Some(first), Some(second)) = (fit(&offered, &wanted), fit(&other, &wanted)) else { return Ok(()) };
            prop_assert!(!first.is_unsurpassed(&wanted) || first <= second || second == Fit::Exact);
        }
    }
}
