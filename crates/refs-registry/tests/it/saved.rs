use std::{fs, os::unix::fs::PermissionsExt};

use refs_registry::{
    ErrorKind,
    auth::{Credentials, Forgotten, Saved, Secret},
};
use refs_url::Host;

use crate::helpers::Desk;

fn host(text: &str) -> Host {
    Host::parse(text).unwrap()
}

fn password() -> Secret {
    "hunter2".into()
}

#[tokio::test]
async fn a_login_in_a_new_file_is_what_docker_writes() {
    let desk = Desk::new();
    let saved = desk.file().save(&host("r.test:5000"), "user", &password()).await.unwrap();
    assert_eq!(saved, Saved::PlainText(desk.path("config.json")));
    let expect = "{\n\t\"auths\": {\n\t\t\"r.test:5000\": {\"auth\":\"dXNlcjpodW50ZXIy\"}\n\t}\n}\n";
    assert_eq!(desk.text("config.json"), expect);
    let mode = fs::metadata(desk.path("config.json")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(desk.file().candidates(&host("r.test:5000"), None).await.unwrap().len(), 1);
}

#[tokio::test]
async fn all_else_in_the_file_stays_as_it_is() {
    let desk = Desk::new();
    let before = "{\n\t\"zebra\": [1.50, 1e3],\n\t\"auths\": {\n\t\t\"z.test\": {\n\t\t\t\"auth\": \"dTpw\"\n\t\t},\n\t\t\
                  \"r.test\": {},\n\t\t\"a.test/x\": {}\n\t},\n\t\"HttpHeaders\": {\"User-Agent\": \"x\"},\n\t\"apple\": null\n}\n";
    let config = desk.config(before);
    config.save(&host("r.test"), "u", &"p".into()).await.unwrap();
    assert_eq!(desk.text("config.json"), before.replace("\"r.test\": {}", "\"r.test\": {\"auth\":\"dTpw\"}"));
    let forgotten = config.forget(&host("r.test")).await.unwrap();
    assert_eq!(forgotten, Forgotten { helper: None, file: Some(desk.path("config.json")) });
    assert_eq!(desk.text("config.json"), before.replace("\t\t\"r.test\": {},\n", ""));
    assert_eq!(config.forget(&host("a.test")).await.unwrap(), Forgotten::default());
    assert_eq!(config.forget(&host("r.test")).await.unwrap(), Forgotten::default());
}

#[tokio::test]
async fn docker_hub_is_filed_under_dockers_name_for_it() {
    let desk = Desk::new();
    let config = desk.config(r#"{"auths":{"docker.io":{"auth":"eDp5"},"registry-1.docker.io/o":{"auth":"eDp5"}}}"#);
    config.save(&host("docker.io"), "u", &"p".into()).await.unwrap();
    let text = desk.text("config.json");
    assert!(text.contains(r#""https://index.docker.io/v1/": {"auth":"dTpw"}"#), "{text}");
    assert!(!text.contains("\"docker.io\"") && text.contains("registry-1.docker.io/o"), "{text}");
    config.forget(&host("index.docker.io")).await.unwrap();
    assert!(!desk.text("config.json").contains("https"));
}

#[tokio::test]
async fn a_file_that_is_not_understood_is_not_touched() {
    for text in ["{\"auths\":", "[]", "\"hunter2\"", r#"{"auths":["hunter2"]}"#, "{} trailing"] {
        let desk = Desk::new();
        let config = desk.config(text);
        let saved = config.save(&host("r.test"), "u", &password()).await.unwrap_err();
        let forgotten = config.forget(&host("r.test")).await.unwrap_err();
        for error in [saved, forgotten] {
            assert_eq!(error.kind(), ErrorKind::Settings, "{text}");
            assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
        }
        assert_eq!(desk.text("config.json"), text);
    }
}

#[tokio::test]
async fn a_link_to_the_file_stays_a_link() {
    for existing in [None, Some("{\"x\":1}")] {
        let desk = Desk::new();
        fs::create_dir(desk.path("dotfiles")).unwrap();
        if let Some(text) = existing {
            fs::write(desk.path("dotfiles/docker.json"), text).unwrap();
        }
        std::os::unix::fs::symlink("dotfiles/docker.json", desk.path("config.json")).unwrap();
        desk.file().save(&host("r.test"), "u", &password()).await.unwrap();
        assert!(fs::symlink_metadata(desk.path("config.json")).unwrap().is_symlink());
        assert!(desk.text("dotfiles/docker.json").contains("r.test"));
        assert_eq!(fs::read_dir(desk.path("dotfiles")).unwrap().count(), 1);
    }
}

#[tokio::test]
async fn a_helper_keeps_the_login_when_there_is_one() {
    let desk = Desk::new();
    desk.program(
        "docker-credential-x",
        r#"case $1 in
        store) /bin/cat > kept;;
        get) [ "$(/bin/cat)" = r.test ] && [ -e kept ] && /bin/cat kept && exit; echo credentials not found; exit 1;;
        erase) [ "$(/bin/cat)" = r.test ] && rm kept;;
        esac"#,
    );
    let config = desk.config(r#"{"auths":{"r.test":{"auth":"b2xkOm9sZA=="}},"credsStore":"x"}"#);
    let program = "docker-credential-x".to_owned();
    let named = format!("credential helper `{program}`");
    let saved = config.save(&host("r.test"), "u", &password()).await.unwrap();
    assert_eq!((saved.to_string(), saved), (named.clone(), Saved::Helper(program.clone())));
    assert_eq!(desk.text("kept"), r#"{"ServerURL":"r.test","Username":"u","Secret":"hunter2"}"#);
    let text = desk.text("config.json");
    assert!(text.contains("\"r.test\": {}") && !text.contains("b2xkOm9sZA=="), "{text}");
    assert_eq!(config.candidates(&host("r.test"), None).await.unwrap()[0].from, named);
    let forgotten = desk.file().forget(&host("r.test")).await.unwrap();
    assert_eq!(forgotten, Forgotten { helper: Some(program), file: None });
    assert!(!desk.path("kept").exists());
    assert_eq!(desk.file().forget(&host("r.test")).await.unwrap(), Forgotten::default());
}

#[tokio::test]
async fn a_helper_that_cannot_keep_it_leaves_the_file_as_it_is() {
    let desk = Desk::new();
    desk.program("docker-credential-x", "echo cannot keep $(/bin/cat); exit 1");
    let text = r#"{"credHelpers":{"r.test":"x"}}"#;
    let error = desk.config(text).save(&host("r.test"), "u", &password()).await.unwrap_err();
    let shown = format!("{error} {error:?}");
    assert!(shown.contains("cannot keep") && !shown.contains("hunter2"), "{shown}");
    assert_eq!(desk.text("config.json"), text);
}

#[tokio::test]
async fn a_store_that_is_not_installed_leaves_it_to_the_file() {
    let desk = Desk::new();
    let saved = desk.config(r#"{"credsStore":"gone"}"#).save(&host("r.test"), "u", &password()).await.unwrap();
    assert_eq!(saved, Saved::PlainText(desk.path("config.json")));
    let error = desk.config(r#"{"credHelpers":{"r.test":"gone"}}"#).save(&host("r.test"), "u", &password()).await;
    assert_eq!(error.unwrap_err().kind(), ErrorKind::Settings);
}
