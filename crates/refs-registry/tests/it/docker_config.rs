use refs_registry::{
    ErrorKind,
    auth::{Credential, Credentials, DockerConfig},
};
use refs_url::{Host, RepoName};

/// What `config` has for the repository, as text: the entry's name and what it shows.
async fn found(config: &str, host: &str, repository: &str) -> Result<Vec<String>, ErrorKind> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.json");
    std::fs::write(&path, config).unwrap();
    let repository = RepoName::parse(repository).unwrap();
    let host = Host::parse(host).unwrap();
    let candidates =
        DockerConfig::at(&path).candidates(&host, Some(&repository)).await.map_err(|error| error.kind())?;
    let shown = candidates.into_iter().map(|candidate| {
        let shown = match candidate.credential {
            Credential::Basic { username, password } => format!("{username}:{}", password.reveal()),
            Credential::Bearer(token) => format!("bearer {}", token.reveal()),
            Credential::Identity(token) => format!("identity {}", token.reveal()),
            other => format!("{other:?}"),
        };
        assert!(candidate.from.ends_with(&format!("in `{}`", path.display())), "{}", candidate.from);
        shown
    });
    Ok(shown.collect())
}

/// What an entry named `key` gives for `host`.
async fn check(key: &str, host: &str, expect: bool) {
    let config = format!("{{\"auths\":{{\"{key}\":{{\"username\":\"u\",\"password\":\"p\"}}}}}}");
    let expect: &[&str] = if expect { &["u:p"] } else { &[] };
    assert_eq!(found(&config, host, "a/b").await.unwrap(), expect, "{key} for {host}");
}

#[tokio::test]
async fn m051_an_entry_is_for_its_own_host() {
    check("r.test", "r.test", true).await;
    check("R.test", "r.test", true).await;
    check("https://r.test", "r.test", true).await;
    check("https://r.test/v1/", "r.test", true).await;
    check("http://r.test/v2", "r.test", true).await;
    check("https://r.test:443/", "r.test", true).await;
    check("r.test:5000", "r.test:5000", true).await;
    check("r.test:5000", "r.test", false).await;
    check("r.test", "r.test:5000", false).await;
    check("r.test", "r.test.evil", false).await;
    check("r.test", "evil-r.test", false).await;
    check("test", "r.test", false).await;
    check("", "r.test", false).await;
    check("https://index.docker.io/v1/", "docker.io", true).await;
    check("docker.io", "registry-1.docker.io", true).await;
    check("https://index.docker.io/v1/", "r.test", false).await;
    check("r.test/a", "r.test", true).await;
    check("r.test/a/b", "r.test", true).await;
    check("r.test/a/b/c", "r.test", false).await;
    check("r.test/aa", "r.test", false).await;
}

#[tokio::test]
async fn the_longest_path_goes_first() {
    let config = r#"{"auths":{
        "r.test":{"username":"host","password":"p"},
        "r.test/a/b":{"username":"deep","password":"p"},
        "r.test/a":{"username":"near","password":"p"}}}"#;
    assert_eq!(found(config, "r.test", "a/b/c").await.unwrap(), ["deep:p", "near:p", "host:p"]);
    assert_eq!(found(config, "r.test", "a/x").await.unwrap(), ["near:p", "host:p"]);
    assert_eq!(found(config, "r.test", "x").await.unwrap(), ["host:p"]);
}

#[tokio::test]
async fn fields_are_read_as_docker_writes_them() {
    async fn check(entry: &str, expect: &[&str]) {
        let config = format!("{{\"auths\":{{\"r.test\":{entry}}},\"other\":[1]}}");
        assert_eq!(found(&config, "r.test", "a").await.unwrap(), expect, "{entry}");
    }
    check(r#"{"auth":"dXNlcjpwYTpzcw=="}"#, &["user:pa:ss"]).await;
    check(r#"{"auth":"dXNlcjpwYTpzcw"}"#, &["user:pa:ss"]).await;
    check(r#"{"auth":"dXNlcjpwAAA="}"#, &["user:p"]).await;
    check(r#"{"auth":"dXNlcjpw","username":"x","password":"y"}"#, &["user:p"]).await;
    check(r#"{"auth":"","username":"x","password":"y"}"#, &["x:y"]).await;
    check(r#"{"username":"x"}"#, &[]).await;
    check("{}", &[]).await;
    check(r#"{"auth":"MDo=","identitytoken":"t"}"#, &["identity t"]).await;
    check(r#"{"auth":"!!!","identitytoken":"t"}"#, &["identity t"]).await;
    check(r#"{"auth":"dXNlcjpw","identitytoken":"t"}"#, &["identity t", "user:p"]).await;
    check(r#"{"registrytoken":"t"}"#, &["bearer t"]).await;
}

#[tokio::test]
async fn a_file_that_is_absent_or_broken_has_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let broken = folder.path().join("config.json");
    std::fs::write(&broken, "{\"auths\":[").unwrap();
    let host = Host::parse("r.test").unwrap();
    for path in [folder.path().join("absent.json"), broken, folder.path().to_owned()] {
        assert_eq!(DockerConfig::at(path).candidates(&host, None).await.unwrap(), []);
    }
}

#[tokio::test]
async fn a_configuration_in_a_variable_is_named_by_it() {
    let config = DockerConfig::inline("DOCKER_AUTH_CONFIG", r#"{"auths":{"r.test":{"auth":"dTpw"}}}"#.into());
    let candidates = config.candidates(&Host::parse("r.test").unwrap(), None).await.unwrap();
    assert_eq!(candidates[0].from, "`r.test` in `DOCKER_AUTH_CONFIG`");
    assert!(!format!("{config:?}").contains("dTpw"));
}

#[tokio::test]
async fn an_entry_that_cannot_be_decoded_concerns_its_host_only() {
    for entry in [r#"{"auth":"!!!"}"#, r#"{"auth":"bm9jb2xvbg=="}"#, r#"{"auth":"//8="}"#, "7", r#"{"auth":7}"#] {
        let config = format!("{{\"auths\":{{\"bad.test\":{entry},\"r.test\":{{\"auth\":\"dXNlcjpw\"}}}}}}");
        assert_eq!(found(&config, "r.test", "a").await.unwrap(), ["user:p"]);
        assert_eq!(found(&config, "bad.test", "a").await.unwrap_err(), ErrorKind::Settings);
    }
}

#[tokio::test]
async fn an_error_in_the_file_does_not_quote_its_secrets() {
    let host = Host::parse("r.test").unwrap();
    for config in [
        r#"{"auths":{"r.test":"hunter2"}}"#,
        r#"{"auths":{"r.test":{"password":["hunter2"]}}}"#,
        r#"{"auths":"hunter2"}"#,
        r#"{"auths":{"r.test":{"auth":"hunter2-"}}}"#,
        r#"{"auths":{"r.test":{"auth":"aHVudGVyMg=="}}}"#,
    ] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.json");
        std::fs::write(&path, config).unwrap();
        let Err(error) = DockerConfig::at(&path).candidates(&host, None).await else { continue };
        let causes = std::iter::successors(Some(&error as &dyn std::error::Error), |error| error.source());
        let said: Vec<String> = causes.map(|error| format!("{error} {error:?}")).collect();
        assert!(!said.concat().contains("hunter2"), "{said:?}");
    }
}
