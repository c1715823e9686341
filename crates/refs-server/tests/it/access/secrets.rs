//! Nothing that is shown shows a secret.

use refs_server::{Anonymous, Key, Options, ShortKey};

use super::rig::{ask_with, authorization, bearer, server};

#[tokio::test]
async fn m053_settings_and_answers_show_no_secret() {
    let access = bearer(Anonymous::Nothing);
    let options = Options { access: Some(access.clone()), ..Options::default() };
    let server = server(access).await;
    let refused = ask_with(&server, "GET /token", authorization("admin:hunter2").as_deref()).await;
    let shown = format!("{options:?} {server:?} {refused:?}");
    for secret in ["$2", "7, 7", "hunter2", authorization("admin:hunter2").unwrap().trim_start_matches("Basic ")] {
        assert!(!shown.contains(secret), "{secret}: {shown}");
    }
    assert!(shown.contains("***"), "{shown}");
}

#[test]
fn a_key_is_long_enough_and_never_shown() {
    assert_eq!(Key::new(&[1; 31]).err(), Some(ShortKey(31)));
    assert_eq!(format!("{:?}", Key::new(&[1; 64]).unwrap()), "***");
    assert_eq!(format!("{:?}", Key::random().unwrap()), "***");
}
