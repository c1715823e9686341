//! Both parsers on the same texts, in one process.

use std::error::Error;
use std::hint::black_box;
use std::time::Instant;

use refs_url::{Parts, is_oci_ref};
use serde_json::{Value, json};

/// What people write, shortest first.
const FORMS: [(&str, &str); 6] = [
    ("short name", "alpine"),
    ("name and tag", "org/app:1.2.3"),
    ("host and tag", "ghcr.io/org/app:v1.2.3"),
    ("port and tag", "localhost:5000/team/app:latest"),
    (
        "host and digest",
        concat!("ghcr.io/org/app@sha256:", "0123456789abcdef0123456789abcdef", "0123456789abcdef0123456789abcdef"),
    ),
    (
        "port, tag and digest",
        concat!(
            "registry.example.com:5000/team/project/app:v1.2.3@sha256:",
            "0123456789abcdef0123456789abcdef",
            "0123456789abcdef0123456789abcdef"
        ),
    ),
];

/// Each parser has this many rounds at a form, taking turns; the median counts. A round is short beside what the system gives
/// a process at a time.
const ROUNDS: usize = 201;
const FAST_CALLS: u32 = 1_000;
const SLOW_CALLS: u32 = 50;

/// One object a form: nanoseconds a call.
pub fn table() -> Result<Value, Box<dyn Error>> {
    FORMS.iter().map(|(form, text)| row(form, text)).collect()
}

fn row(form: &str, text: &str) -> Result<Value, Box<dyn Error>> {
    let is_strict = refs_url::Reference::parse(text).is_ok();
    oci_client::Reference::try_from(text)?;
    refs_url::Reference::parse_familiar(text)?;
    let mut runs: [(&str, u32, &mut dyn FnMut()); 4] = [
        ("parts", FAST_CALLS, &mut || match is_strict {
            true => drop(black_box(Parts::parse(black_box(text)))),
            false => drop(black_box(Parts::parse_familiar(black_box(text)))),
        }),
        ("reference", FAST_CALLS, &mut || drop(black_box(refs_url::Reference::parse_familiar(black_box(text))))),
        ("is_oci_ref", FAST_CALLS, &mut || {
            black_box(is_oci_ref(black_box(text)));
        }),
        ("oci_client", SLOW_CALLS, &mut || drop(black_box(oci_client::Reference::try_from(black_box(text))))),
    ];
    let mut times: [Vec<f64>; 4] = Default::default();
    for _ in 0..ROUNDS {
        for ((_, calls, call), times) in runs.iter_mut().zip(&mut times) {
            times.push(nanoseconds(*calls, call));
        }
    }
    let mut row = json!({"form": form, "text": text});
    for ((name, ..), times) in runs.iter().zip(&mut times) {
        row[format!("{name}_ns")] = json!(median(times));
    }
    Ok(row)
}

/// Nanoseconds that the very first parse of this process takes.
pub fn first(parser: &str, text: &str) -> Result<u128, Box<dyn Error>> {
    let start = Instant::now();
    let is_read = match parser {
        "refs" => black_box(refs_url::Reference::parse_familiar(black_box(text))).is_ok(),
        "oci" => black_box(oci_client::Reference::try_from(black_box(text))).is_ok(),
        other => return Err(format!("no parser is named `{other}`").into()),
    };
    let took = start.elapsed().as_nanos();
    if is_read { Ok(took) } else { Err(format!("`{text}` is not a reference").into()) }
}

fn nanoseconds(calls: u32, call: &mut dyn FnMut()) -> f64 {
    let start = Instant::now();
    for _ in 0..calls {
        call();
    }
    start.elapsed().as_secs_f64() * 1e9 / f64::from(calls)
}

fn median(times: &mut [f64]) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}
