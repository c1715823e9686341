//! Values as strings in serde formats.

use refs_url::{Digest, Host, Reference, RepoName, Tag, Target};
use serde::{Serialize, de::DeserializeOwned};

#[track_caller]
fn check<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(text: &str) {
    let json = serde_json::Value::from(text);
    let value = serde_json::from_value::<T>(json.clone());
    assert_eq!(value.and_then(serde_json::to_value).ok(), Some(json));
}

#[test]
fn values_are_strings() {
    check::<Reference>("a.b/c:v1");
    check::<Digest>("other:x");
    check::<Host>("a.b:5");
    check::<RepoName>("a/b");
    check::<Tag>("v1");
    check::<Target>("v1");
    check::<Target>("other:x");
}

#[cfg(feature = "semver")]
#[test]
fn constraints_are_strings() {
    check::<refs_url::version::Constraint>(">=1.1, <2 || ~3.4");
    let error = serde_json::from_str::<refs_url::version::Constraint>(r#"">=""#).unwrap_err();
    assert_eq!(error.to_string(), "constraint expects a version at byte 2 of `>=` at line 1 column 4");
}

#[test]
fn a_wrong_string_is_an_error_without_credentials() {
    let error = serde_json::from_str::<Reference>(r#""user:pw@a.b/c""#).unwrap_err();
    assert_eq!(error.to_string(), "registry host is invalid at byte 7 of `***@a.b/c` at line 1 column 15");
}
