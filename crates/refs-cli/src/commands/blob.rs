//! `refs blob`

use std::{
    fmt,
    io::{self, Write},
    path::Path,
};

use refs_client::{Error, Sent};
use refs_registry::{
    Descriptor,
    error::{Doing, Wanted},
};
use refs_url::Target;
use serde::Serialize;

use super::Failure;
use crate::{
    args::Blob,
    registry_args::{GetBlob, PutBlob, StatBlob},
    wiring::Session,
};

#[derive(Serialize)]
struct Shown {
    reference: String,
    digest: String,
    size: u64,
    /// Of a blob that was put: whether its bytes had to be sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    uploaded: Option<bool>,
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.digest, self.size)
    }
}

pub(super) async fn run(session: &Session, args: Blob) -> Result<(), Failure> {
    match args {
        Blob::Get(args) => get(session, &args).await,
        Blob::Put(args) => put(session, &args).await,
        Blob::Stat(args) => stat(session, &args).await,
    }
}

async fn get(session: &Session, args: &GetBlob) -> Result<(), Failure> {
    let client = session.client();
    let Some(file) = &args.output else {
        let reading = client.read_blob(&args.at, io::stdout());
        let read = session.showing("fetching", reading).await.map_err(|error| match error {
            Error::Io { doing: Doing::Write, source, .. } => Failure::Stdout(source),
            error => error.into(),
        });
        return Ok(read?.flush()?);
    };
    let size = session.showing("fetching", client.save_blob(&args.at, file)).await?;
    let Some(Target::Digest(digest)) = args.at.target() else { return Ok(()) };
    tell(session, &Shown { reference: args.at.to_string(), digest: digest.to_string(), size, uploaded: None })
}

async fn put(session: &Session, args: &PutBlob) -> Result<(), Failure> {
    if let Some(Target::Tag(tag)) = args.at.target() {
        let words = format!("a blob has no tag, and `{tag}` is one: `refs push` and `refs tag` set those");
        return Err(Failure::Usage(words));
    }
    let client = session.client();
    let (Descriptor { digest, size, .. }, sent) = if args.file == Path::new("-") {
        session.showing("sending", client.put_stream(&args.at, io::stdin())).await?
    } else {
        session.showing("sending", client.put_file(&args.at, &args.file)).await?
    };
    let reference = args.at.clone().at_digest(digest.clone()).to_string();
    tell(session, &Shown { reference, digest: digest.to_string(), size, uploaded: Some(sent == Sent::Uploaded) })
}

async fn stat(session: &Session, args: &StatBlob) -> Result<(), Failure> {
    let size = session.client().blob_size(&args.at).await?;
    let Some(Target::Digest(digest)) = args.at.target() else { return Ok(()) };
    let Some(size) = size else {
        let (at, wanted) = (args.at.repository().to_string(), Wanted::Blob(digest));
        return Err(refs_registry::Error::NotFound { wanted, at: at.into(), code: None }.into());
    };
    tell(session, &Shown { reference: args.at.to_string(), digest: digest.to_string(), size, uploaded: None })
}

fn tell(session: &Session, shown: &Shown) -> Result<(), Failure> {
    let mut output = session.output();
    output.result(shown)?;
    Ok(output.flush()?)
}
