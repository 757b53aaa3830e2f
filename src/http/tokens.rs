//! The tokens that `tidewatch token` gives out: a file in the data folder that holds a hash of each, never the token.
//!
//! A token has 256 random bits, so a plain hash keeps it: there is nothing to guess. The file is read again when it
//! changes, at most once a second, so that a token that is given out or taken back counts without a restart.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, fchown};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use bytes::Bytes;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::access::Scope;
use crate::agents::AgentId;
use crate::config::FileStamp;

/// The file in the data folder.
const NAME: &str = "tokens.json";
/// So many tokens at most, so that a look at all of them stays cheap.
const MOST: usize = 1_000;
/// A longer file is not ours.
const LONGEST: u64 = 1 << 20;
/// How often the file is looked at.
const FRESH: Duration = Duration::from_secs(1);
/// What a token begins with, so that people and scanners of code know it.
const PREFIX: &str = "tw_";

/// What a token allows, without the token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Token {
    /// What people call it; the actor of what is done with it.
    pub name: Arc<str>,
    /// The hexadecimal SHA-256 of the token.
    hash: String,
    /// What it allows.
    pub scopes: Vec<Scope>,
    /// The one agent whose heartbeats it may send; any, if none is named.
    pub agent: Option<AgentId>,
    /// When it was made.
    pub created_at: Timestamp,
}

#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    tokens: Vec<Token>,
}

/// Why the tokens could not be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The file cannot be read or written.
    #[error("{}: {what}", .file.display())]
    Io {
        /// The file.
        file: PathBuf,
        /// The system's word.
        what: io::Error,
    },
    /// The file is not what we wrote.
    #[error("{}: no list of tokens: {what}; restore it, or delete it and make the tokens anew", .file.display())]
    Damaged {
        /// The file.
        file: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// There is one of this name.
    #[error("there is a token `{0}` already: revoke it first, or take another name")]
    Taken(String),
    /// There is none of this name.
    #[error("there is no token `{0}`")]
    Unknown(String),
    /// A name is a word on a command line and in a log.
    #[error("`{0}` is no name for a token: use up to 63 letters, digits, `.`, `-` and `_`")]
    Name(String),
    /// Too many.
    #[error("there are {MOST} tokens: revoke some")]
    Full,
}

/// The file, for the command that changes it.
#[derive(Debug)]
pub struct TokenFile(PathBuf);

impl TokenFile {
    /// That of a data folder.
    pub fn of(folder: &Path) -> Self {
        Self(folder.join(NAME))
    }

    /// All tokens, without the tokens.
    ///
    /// # Errors
    /// The file cannot be read, or is damaged.
    pub fn list(&self) -> Result<Vec<Token>, TokenError> {
        self.read().map(|(kept, _)| kept.tokens)
    }

    /// Makes a token and keeps its hash. What is returned is the only copy.
    ///
    /// # Errors
    /// The name is taken or no name, or the file cannot be changed.
    pub fn create(
        &self,
        name: &str,
        scopes: &[Scope],
        agent: Option<AgentId>,
        now: Timestamp,
    ) -> Result<String, TokenError> {
        let sane = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
        if name.is_empty() || name.len() > 63 || !name.chars().all(sane) {
            return Err(TokenError::Name(name.chars().take(80).flat_map(char::escape_debug).collect()));
        }
        let random = random().map_err(|what| self.failed(what))?;
        let token = format!("{PREFIX}{}", BASE64_URL_SAFE_NO_PAD.encode(random));
        self.change(|tokens| {
            if tokens.iter().any(|known| *known.name == *name) {
                return Err(TokenError::Taken(name.to_owned()));
            }
            if tokens.len() >= MOST {
                return Err(TokenError::Full);
            }
            let (hash, scopes) = (hash(token.as_bytes()), scopes.to_vec());
            tokens.push(Token { name: name.into(), hash, scopes, agent, created_at: now });
            Ok(())
        })?;
        Ok(token)
    }

    /// Takes a token back.
    ///
    /// # Errors
    /// There is none of this name, or the file cannot be changed.
    pub fn revoke(&self, name: &str) -> Result<(), TokenError> {
        self.change(|tokens| {
            let before = tokens.len();
            tokens.retain(|known| *known.name != *name);
            if tokens.len() < before { Ok(()) } else { Err(TokenError::Unknown(name.to_owned())) }
        })
    }

    /// One change at a time, and at any moment the file is whole.
    fn change(&self, change: impl FnOnce(&mut Vec<Token>) -> Result<(), TokenError>) -> Result<(), TokenError> {
        let failed = |what| self.failed(what);
        let mut options = OpenOptions::new();
        options.create(true).truncate(false).write(true).mode(0o600);
        let lock = options.open(self.0.with_extension("lock")).map_err(failed)?;
        lock.lock().map_err(failed)?;
        let (mut kept, _) = self.read()?;
        change(&mut kept.tokens)?;
        let fresh = self.0.with_extension("new");
        let text = serde_json::to_vec_pretty(&kept).map_err(|error| failed(error.into()))?;
        let mut file =
            OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&fresh).map_err(failed)?;
        file.write_all(&text).and_then(|()| file.sync_all()).map_err(failed)?;
        let folder = self.0.parent().unwrap_or(Path::new("."));
        if rustix::process::geteuid().is_root() {
            // Made by root for the server's user, who must be able to read it.
            let owner = std::fs::metadata(folder).map_err(failed)?;
            for file in [&file, &lock] {
                fchown(file, Some(owner.uid()), Some(owner.gid())).map_err(failed)?;
            }
        }
        std::fs::rename(&fresh, &self.0).map_err(failed)?;
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)
    }

    /// What is kept, and by what a change of it is seen. No file is no token.
    fn read(&self) -> Result<(Kept, FileStamp), TokenError> {
        let mut file = match File::open(&self.0) {
            // That the folder is none is for whoever works in it to say.
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                return Ok((Kept::default(), FileStamp::default()));
            }
            other => other.map_err(|what| self.failed(what))?,
        };
        let seen = FileStamp::of(&file.metadata().map_err(|what| self.failed(what))?);
        let mut text = Vec::new();
        (&mut file).take(LONGEST).read_to_end(&mut text).map_err(|what| self.failed(what))?;
        let kept: Result<Kept, _> = serde_json::from_slice(&text);
        let kept = kept.map_err(|error| TokenError::Damaged { file: self.0.clone(), what: error.to_string() })?;
        Ok((kept, seen))
    }

    fn failed(&self, what: io::Error) -> TokenError {
        TokenError::Io { file: self.0.clone(), what }
    }
}

/// Bits that nobody can guess.
pub(super) fn random() -> io::Result<[u8; 32]> {
    let mut random = [0; 32];
    File::open("/dev/urandom")?.read_exact(&mut random)?;
    Ok(random)
}

fn hash(token: &[u8]) -> String {
    format!("{:x}", Bytes::copy_from_slice(&Sha256::digest(token)))
}

/// The tokens as the server sees them.
#[derive(Debug)]
pub struct Tokens {
    file: TokenFile,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    looked: Instant,
    seen: FileStamp,
    known: Arc<Vec<Token>>,
    /// The file is damaged: nobody knows whether there are tokens, so nothing is open.
    damaged: bool,
    /// There was a token: what others reach may be listened on because of it, so nothing opens again until a restart or
    /// a reload, which ask anew where it may listen.
    given: bool,
}

impl Tokens {
    /// Those of a data folder.
    ///
    /// # Errors
    /// The file is there and cannot be read: a start that went on would be open where it was closed.
    pub fn open(folder: &Path) -> Result<Self, TokenError> {
        let file = TokenFile::of(folder);
        let (kept, seen) = file.read()?;
        let given = !kept.tokens.is_empty();
        let state = State { looked: Instant::now(), seen, known: Arc::new(kept.tokens), damaged: false, given };
        Ok(Self { file, state: Mutex::new(state) })
    }

    /// Whether any was given out, so that nothing is open any more.
    pub fn any(&self) -> bool {
        let state = self.fresh();
        state.damaged || state.given
    }

    /// What a token allows; `None` for one that is not ours.
    pub fn find(&self, token: &[u8]) -> Option<Token> {
        let hash = hash(token);
        let known = Arc::clone(&self.fresh().known);
        let same = |each: &&Token| bool::from(each.hash.as_bytes().ct_eq(hash.as_bytes()));
        known.iter().find(same).cloned()
    }

    /// What is known, at most [`FRESH`] old.
    fn fresh(&self) -> MutexGuard<'_, State> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.looked.elapsed() >= FRESH {
            state.looked = Instant::now();
            let seen = std::fs::metadata(&self.file.0).map(|metadata| FileStamp::of(&metadata)).unwrap_or_default();
            if seen != state.seen {
                state.seen = seen;
                self.reload(&mut state);
            }
        }
        state
    }

    fn reload(&self, state: &mut State) {
        match self.file.read() {
            Ok((kept, seen)) => {
                tracing::info!(tokens = kept.tokens.len(), "the tokens were read anew");
                let given = state.given || !kept.tokens.is_empty();
                *state = State { seen, known: Arc::new(kept.tokens), damaged: false, looked: state.looked, given };
            }
            // Who has a token must not be turned away because a file could not be opened: Alertmanager does not try
            // again after a 401.
            Err(error @ TokenError::Io { .. }) => {
                tracing::error!(%error, "the tokens stay as they were");
            }
            Err(error) => {
                tracing::error!(%error, "no token of the file is taken any more");
                (state.known, state.damaged) = (Arc::default(), true);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_kept_as_a_hash_and_counts_until_it_is_taken_back() {
        let folder = tempfile::tempdir().unwrap();
        let file = TokenFile::of(folder.path());
        let tokens = Tokens::open(folder.path()).unwrap();
        assert!(!tokens.any());
        let agent = Some("steward".parse().unwrap());
        let token = file.create("steward", &[Scope::Heartbeat], agent, Timestamp::UNIX_EPOCH).unwrap();
        let text = std::fs::read_to_string(folder.path().join(NAME)).unwrap();
        assert!(
            token.starts_with("tw_") && token.len() == 46 && !text.contains(token.trim_start_matches("tw_")),
            "{text}"
        );
        let mode = std::fs::metadata(folder.path().join(NAME)).unwrap().mode();
        assert_eq!(mode & 0o777, 0o600);
        let look_again = || tokens.state.lock().unwrap().looked -= FRESH;
        look_again();
        let found = tokens.find(token.as_bytes()).unwrap();
        assert_eq!((&*found.name, found.scopes), ("steward", vec![Scope::Heartbeat]));
        assert!(tokens.find(b"tw_another").is_none());
        assert!(matches!(file.create("steward", &[], None, Timestamp::UNIX_EPOCH), Err(TokenError::Taken(_))));
        assert!(matches!(file.create("a b", &[], None, Timestamp::UNIX_EPOCH), Err(TokenError::Name(_))));
        file.revoke("steward").unwrap();
        assert!(matches!(file.revoke("steward"), Err(TokenError::Unknown(_))));
        look_again();
        assert!(tokens.find(token.as_bytes()).is_none() && tokens.any(), "closed as it was");
        std::fs::remove_file(folder.path().join(NAME)).unwrap();
        look_again();
        assert!(tokens.any() && !Tokens::open(folder.path()).unwrap().any(), "until a restart");
        // Damaged, it closes everything.
        std::fs::write(folder.path().join(NAME), "{").unwrap();
        look_again();
        assert!(tokens.any() && tokens.find(token.as_bytes()).is_none());
        assert!(Tokens::open(folder.path()).is_err());
    }
}
