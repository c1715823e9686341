//! Notes on an upload under way, for whoever goes on with it.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use refs_registry::{Error, Result, UploadState, error::Doing};
use refs_url::Digest;
use serde::{Deserialize, Serialize};

use crate::{
    file::{blocking, each_chunk},
    ingest::{Ingest, make_folder, reclaim},
};

/// How far an upload has come, written down so that a later run of the same upload, in another process too, can go on with
/// it. Whoever has the journal open is the only one; it closes with the last clone.
///
/// # Security
/// It holds the address of the session, which may be all that it takes to write into it: the file is for its owner alone,
/// and no Debug shows it.
#[derive(Debug, Clone)]
pub struct Journal {
    file: Arc<Mutex<Ingest>>,
    path: Arc<Path>,
    begun: Begun,
}

/// How many bytes were acknowledged of each upload that the journals of this process were last told of.
#[derive(Debug, Clone, Default)]
pub(crate) struct Begun(Arc<Mutex<BTreeMap<Arc<Path>, u64>>>);

impl Begun {
    pub(crate) fn bytes(&self) -> u64 {
        self.map().values().sum()
    }

    fn map(&self) -> MutexGuard<'_, BTreeMap<Arc<Path>, u64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How far an upload has come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UploadProgress {
    /// The session, and the bytes that the place has acknowledged.
    pub upload: UploadState,
    /// Of how many of these, the first ones, `digest` is. No more than were acknowledged.
    pub hashed: u64,
    /// What the first bytes of anything that goes on with the upload must hash to.
    pub digest: Digest,
}

/// No registry keeps a session for longer.
const EXPIRED: Duration = Duration::from_secs(7 * 24 * 60 * 60);
const MAX_BYTES: u64 = 64 * 1024;

impl Journal {
    /// The journal of the upload `key`, in `folder`, which is made when it is missing; `None` while another has it open.
    /// `begun` is told how the upload gets on.
    pub(crate) fn open(folder: &Path, key: &str, begun: &Begun) -> Result<Option<Self>> {
        make_folder(folder)?;
        reclaim(folder, SystemTime::now().checked_sub(EXPIRED).unwrap_or(SystemTime::UNIX_EPOCH))?;
        let path: PathBuf = folder.join(Digest::sha256(key.as_bytes()).encoded());
        let Some(mut ingest) = Ingest::claim(&path)? else { return Ok(None) };
        if ingest.bytes() == 0 {
            ingest.replace(b"")?;
        }
        Ok(Some(Self { file: Arc::new(Mutex::new(ingest)), path: path.into(), begun: begun.clone() }))
    }

    /// What was last written; `None` when there is nothing, or nothing that makes sense.
    ///
    /// # Errors
    /// `Io`.
    pub async fn read(&self) -> Result<Option<UploadProgress>> {
        self.run(|file, path| {
            let mut json = Vec::new();
            each_chunk(&file.reader()?, path, 0..file.bytes().min(MAX_BYTES), |chunk| {
                json.extend_from_slice(chunk);
                Ok(())
            })?;
            Ok(serde_json::from_slice(&json).ok())
        })
        .await
    }

    /// Replaces what was written by `progress`. A power cut may lose it.
    ///
    /// # Errors
    /// `Io`; `Full`. What there is may make no sense then.
    pub async fn write(&self, progress: &UploadProgress) -> Result<()> {
        let (progress, bytes) = (progress.clone(), progress.upload.offset);
        self.run(move |file, path| {
            let json = serde_json::to_vec(&progress).map_err(|error| Error::io(Doing::Write, path, error.into()))?;
            file.replace(&json)
        })
        .await?;
        self.begun.map().insert(Arc::clone(&self.path), bytes);
        Ok(())
    }

    /// Forgets what was written: nobody will go on with the upload.
    ///
    /// # Errors
    /// `Io`.
    pub async fn clear(&self) -> Result<()> {
        self.begun.map().remove(&self.path);
        self.run(|file, _| file.replace(b"")).await
    }

    async fn run<T, F>(&self, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&mut Ingest, &Path) -> Result<T> + Send + 'static,
    {
        let (file, path) = (Arc::clone(&self.file), Arc::clone(&self.path));
        blocking(&self.path, move || work(&mut file.lock().unwrap_or_else(PoisonError::into_inner), &path)).await
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn progress(offset: u64) -> UploadProgress {
        let upload =
            UploadState { session: "https://example.org/v2/o/r/blobs/uploads/1?_state=secret".to_owned(), offset };
        UploadProgress { upload, hashed: offset, digest: Digest::sha256(b"content") }
    }

    #[tokio::test]
    async fn what_was_written_last_is_read_by_whoever_comes_next() -> Result<()> {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("uploads");
        let begun = Begun::default();
        let journal = Journal::open(&folder, "a", &begun)?.unwrap();
        assert_eq!((journal.read().await?, begun.bytes()), (None, 0));
        journal.write(&progress(1000)).await?;
        journal.write(&progress(9)).await?;
        assert_eq!(begun.bytes(), 9);
        assert!(Journal::open(&folder, "a", &begun)?.is_none(), "it is open");
        assert_eq!(Journal::open(&folder, "b", &begun)?.unwrap().read().await?, None);
        drop(journal);
        let journal = Journal::open(&folder, "a", &begun)?.unwrap();
        assert_eq!(journal.read().await?, Some(progress(9)));
        assert!(!format!("{journal:?}{:?}", progress(9)).contains("secret"));
        journal.clear().await?;
        assert_eq!((journal.read().await?, begun.bytes()), (None, 0));
        drop(journal);
        assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 0);
        Ok(())
    }

    #[tokio::test]
    async fn a_journal_is_for_its_owner_alone_and_nonsense_in_it_is_nothing() -> Result<()> {
        let folder = tempfile::tempdir().unwrap();
        let journal = Journal::open(folder.path(), "a", &Begun::default())?.unwrap();
        journal.write(&progress(9)).await?;
        let path = folder.path().join(Digest::sha256(b"a").encoded());
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        drop(journal);
        std::fs::write(&path, r#"{"upload":{"session":"#).unwrap();
        assert_eq!(Journal::open(folder.path(), "a", &Begun::default())?.unwrap().read().await?, None);
        Ok(())
    }

    #[tokio::test]
    async fn journals_of_sessions_that_must_have_expired_go() -> Result<()> {
        let folder = tempfile::tempdir().unwrap();
        Journal::open(folder.path(), "a", &Begun::default())?.unwrap().write(&progress(9)).await?;
        let path = folder.path().join(Digest::sha256(b"a").encoded());
        let file = std::fs::File::open(&path).unwrap();
        file.set_modified(SystemTime::now() - EXPIRED - Duration::from_secs(60)).unwrap();
        drop(Journal::open(folder.path(), "b", &Begun::default())?);
        assert!(!path.exists());
        Ok(())
    }
}
