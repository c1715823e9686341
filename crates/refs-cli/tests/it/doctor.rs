//! `refs doctor`

use refs_testkit::{FakeRegistry, Fault, On, Quirks};
use serde_json::Value;

use crate::support::{CLOSED, Machine, pushed, registry, small};

/// The results by name.
fn results(report: &Value) -> Vec<(&str, &str)> {
    let findings = report["findings"].as_array().unwrap();
    findings.iter().map(|finding| (finding["name"].as_str().unwrap(), finding["result"].as_str().unwrap())).collect()
}

#[test]
fn a_registry_that_works_is_told_to_and_how() {
    let (machine, registry) = (Machine::new(), registry());
    pushed(&machine, &registry, &small());
    let report = machine.json(&format!("doctor {}", registry.host()));
    assert_eq!(results(&report), [("connection", "ok"), ("api", "ok"), ("login", "ok")]);
    assert_eq!(report["findings"][0]["detail"], "plain HTTP, HTTP/1.1");
    let report = machine.json(&format!("doctor {}/o/r --uploads", registry.host()));
    let rest =
        [("manifest", "ok"), ("rate limit", "unknown"), ("ranges", "ok"), ("referrers", "ok"), ("uploads", "ok")];
    assert_eq!(results(&report)[3..], rest);
    assert_eq!(report["usable"], true);
    let printed = machine.prints(&format!("doctor {}/o/r:v1", registry.host()));
    for line in [
        "  security     plain HTTP  (default)",
        "  ok       ranges ",
        "  unknown  uploads ",
        "hint: `--uploads` tries one",
        "  nothing            anonymous",
    ] {
        assert!(printed.contains(line), "{line} is not in {printed}");
    }
}

#[test]
fn nothing_is_written_unless_asked_for() {
    let (machine, registry) = (Machine::new(), registry());
    pushed(&machine, &registry, &small());
    machine.prints(&format!("doctor {}/o/r:v1", registry.host()));
    assert!(registry.requests().iter().all(|seen| seen.method == "GET" || seen.method == "HEAD"));
}

#[test]
fn what_does_not_work_is_told_with_a_hint_and_a_code() {
    let (machine, registry) = (Machine::new(), FakeRegistry::builder().quirks(Quirks::old_spec()).start_blocking());
    pushed(&machine, &registry, &small());
    let report = machine.json(&format!("doctor {}/o/r:v1", registry.host()));
    assert!(results(&report).contains(&("referrers", "failed")), "{report}");
    assert_eq!(report["usable"], true, "that is no reason not to use it");
    let run = machine.run(&format!("doctor {}/o/r:v9 --format json", registry.host()));
    let report: Value = serde_json::from_str(&run.text()).unwrap();
    assert_eq!((run.code, &report["usable"]), (3, &Value::from(false)));
    registry.fault(On::any("/v2/").always(), Fault::Status { status: 404, headers: Vec::new() });
    let run = machine.run(&format!("doctor {}", registry.host()));
    assert_eq!(run.code, 3, "{}", run.stderr);
    assert!(run.text().contains("hint: something else than a registry answers there"), "{}", run.text());
    let run = machine.run(&format!("doctor {CLOSED}"));
    assert_eq!(run.code, 7);
    assert!(run.text().contains("  failed   connection  cannot reach"), "{}", run.text());
    assert_eq!(machine.run("doctor ocidir://x").code, 2);
    assert_eq!(machine.run("doctor a:b:c").code, 2);
    assert_eq!(machine.run(&format!("doctor {CLOSED} --uploads")).code, 2);
}

#[test]
fn m172_what_is_set_is_told_with_its_line_and_secrets_are_not() {
    let (machine, registry) = (Machine::new(), FakeRegistry::builder().token_auth("user", "hunter2").start_blocking());
    machine.login(&registry, "user", "hunter2");
    let host = registry.host();
    let settings = format!(
        "[hosts.'{host}']\nproxy = 'none'\nconcurrency = 3\nreferrers = 'tag'\n[[hosts.'{host}'.mirrors]]\n\
         url = 'https://mirror.test/p'\ntags = true\n[hosts.'*']\nproxy = 'http://u:hunter2@proxy.test:3128'\n"
    );
    let config = machine.configure(&settings);
    let run = machine.run(&format!("doctor {host} -vv --format json"));
    assert_eq!(run.code, 0, "{}", run.stderr);
    assert!(!run.text().contains("hunter2") && !run.stderr.contains("hunter2"), "{}", run.text());
    let report: Value = serde_json::from_str(&run.text()).unwrap();
    let row = |name: &str, value: &str, from: &str| serde_json::json!({ "name": name, "value": value, "from": from });
    let at = |line| format!("{}:{line}", config.display());
    let expect = [
        row("security", "plain HTTP", "default"),
        row("proxy", "none", &at(6)),
        row("mirror", "https://mirror.test/v2/p for digests and tags", &at(10)),
        row("concurrency", "3", &at(7)),
    ];
    assert_eq!(report["settings"], serde_json::json!(expect));
    assert_eq!(report["quirks"][1], row("referrers", "kept under a tag", &at(8)));
    let kinds: Vec<_> =
        report["credentials"].as_array().unwrap().iter().map(|it| it["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["name and password", "nothing"]);
    assert!(report["findings"][2]["detail"].as_str().unwrap().starts_with("it took `"), "{report}");
    // A proxy's login, when it is in force.
    machine.configure("[hosts.'*']\nproxy = 'http://u:hunter2@127.0.0.1:1'\n");
    let run = machine.run("doctor registry.test -vv");
    assert_eq!(run.code, 7);
    assert!(run.text().contains("proxy        http://***@127.0.0.1:1"), "{}", run.text());
    assert!(!run.text().contains("hunter2") && !run.stderr.contains("hunter2"), "{} {}", run.text(), run.stderr);
}
