//! Programs that are asked for credentials: found, run without a shell, and bounded in time and in what they may say.

use std::{
    env,
    ffi::OsString,
    io,
    path::{Path, PathBuf},
    process::Stdio,
    sync::Arc,
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt},
    process::{Child, Command},
};
use zeroize::Zeroizing;

use crate::transport::{Clock, SystemClock};

/// Where programs that keep credentials are looked for, and how long each may take.
#[derive(Debug, Clone)]
pub struct Programs {
    /// The folders to look in, written as `PATH` is; `None` finds nothing.
    pub search: Option<OsString>,
    /// How long a program may take; then it is killed.
    pub timeout: Duration,
    /// The clock that measures it.
    pub clock: Arc<dyn Clock>,
}

impl Default for Programs {
    /// The folders of `PATH`, and 10 s.
    fn default() -> Self {
        Self { search: env::var_os("PATH"), timeout: Duration::from_secs(10), clock: Arc::new(SystemClock) }
    }
}

/// What a program said, and whether it succeeded.
#[derive(Debug)]
pub(super) struct Said {
    pub(super) succeeded: bool,
    pub(super) stdout: Zeroizing<Vec<u8>>,
    pub(super) stderr: Zeroizing<Vec<u8>>,
}

/// Why a program has said nothing that can be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unusable {
    #[error("it cannot be run")]
    Run(#[source] io::Error),
    #[error("it did not end within {} s", .0.as_secs())]
    Timeout(Duration),
    #[error("it said more than {OUTPUT_BYTES} bytes")]
    TooMuch,
}

/// More than any credential has.
const OUTPUT_BYTES: u64 = 64 * 1024;

impl Programs {
    /// The file that `name` stands for; `name` has no separator in it.
    pub(super) fn find(&self, name: &str) -> Option<PathBuf> {
        let name = format!("{name}{}", env::consts::EXE_SUFFIX);
        // An empty entry means the current folder, which may be anyone's.
        let folders = env::split_paths(self.search.as_ref()?).filter(|folder| folder.is_absolute());
        folders.map(|folder| folder.join(&name)).find(|path| is_executable(path))
    }

    /// Runs `program` with `input` on its stdin. It is killed when it takes too long, says too much, or nobody waits for
    /// it any more.
    pub(super) async fn run(&self, program: &Path, arguments: &[&str], input: &[u8]) -> Result<Said, Unusable> {
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let child = command.spawn().map_err(Unusable::Run)?;
        tokio::select! {
            biased;
            said = converse(child, input) => said,
            () = self.clock.sleep(self.timeout) => Err(Unusable::Timeout(self.timeout)),
        }
    }
}

async fn converse(mut child: Child, input: &[u8]) -> Result<Said, Unusable> {
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let tell = async {
        if let Some(mut stdin) = stdin {
            // A program that needs no input may have closed it: what it says is what counts.
            drop(stdin.write_all(input).await);
        }
    };
    let ((), stdout, stderr) = tokio::join!(tell, bounded(stdout), bounded(stderr));
    let (stdout, stderr) = (stdout?, stderr?);
    let status = child.wait().await.map_err(Unusable::Run)?;
    Ok(Said { succeeded: status.success(), stdout, stderr })
}

/// All that comes out of `pipe`.
async fn bounded(pipe: Option<impl AsyncRead + Unpin>) -> Result<Zeroizing<Vec<u8>>, Unusable> {
    let mut said = Zeroizing::new(Vec::new());
    if let Some(pipe) = pipe {
        pipe.take(OUTPUT_BYTES + 1).read_to_end(&mut said).await.map_err(Unusable::Run)?;
    }
    if said.len() as u64 > OUTPUT_BYTES { Err(Unusable::TooMuch) } else { Ok(said) }
}

#[cfg(unix)]
fn is_executable(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    path.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}

#[cfg(not(unix))]
fn is_executable(path: &Path) -> bool {
    path.is_file()
}
