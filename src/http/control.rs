//! The control socket: the same routes for the commands of our own user, with every scope.

use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use tokio::net::{UnixListener, UnixStream};

use super::server::{Listen, Peer};

/// The socket's name in the data folder.
pub const NAME: &str = "control.sock";

/// Why there is no control socket.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// Another server works on this folder.
    #[error("{}: another tidewatch serves this data folder; end it, or use another --data-dir", .0.display())]
    Taken(PathBuf),
    /// Something that is no socket has its name.
    #[error("{}: this is no socket; move it away", .0.display())]
    Foreign(PathBuf),
    /// The system does not let us; the path may be too long (107 bytes at most).
    #[error("{}: the control socket cannot be made: {what}", .path.display())]
    Io {
        /// The socket.
        path: PathBuf,
        /// The system's word.
        what: io::Error,
    },
}

/// The listening socket; its file goes when it is dropped.
pub struct ControlSocket {
    listener: UnixListener,
    path: PathBuf,
    inode: u64,
}

impl ControlSocket {
    /// Listens in `folder`, with mode 0600. The socket of a process that is gone is replaced.
    pub async fn bind(folder: &Path) -> Result<Self, ControlError> {
        let path = folder.join(NAME);
        let failed = |what| ControlError::Io { path: path.clone(), what };
        match std::fs::symlink_metadata(&path) {
            Ok(found) if !found.file_type().is_socket() => return Err(ControlError::Foreign(path)),
            Ok(_) if UnixStream::connect(&path).await.is_ok() => return Err(ControlError::Taken(path)),
            Ok(_) | Err(_) => {}
        }
        // Made under another name, so that nobody can connect before its mode is right; renaming replaces what is there.
        let fresh = folder.join(".control.new");
        match std::fs::remove_file(&fresh) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
            _ => {}
        }
        let listener = UnixListener::bind(&fresh).map_err(failed)?;
        std::fs::set_permissions(&fresh, std::fs::Permissions::from_mode(0o600)).map_err(failed)?;
        let inode = std::fs::symlink_metadata(&fresh).map_err(failed)?.ino();
        std::fs::rename(&fresh, &path).map_err(failed)?;
        Ok(Self { listener, path, inode })
    }
}

impl Drop for ControlSocket {
    fn drop(&mut self) {
        // A later server may have put its own there.
        let ours = std::fs::symlink_metadata(&self.path).is_ok_and(|found| found.ino() == self.inode);
        if ours && let Err(error) = std::fs::remove_file(&self.path) {
            tracing::warn!(%error, path = %self.path.display(), "the control socket stays behind");
        }
    }
}

impl Listen for ControlSocket {
    type Stream = UnixStream;

    /// Only our own user and root: the mode says so, and the kernel's word on the peer says it again.
    async fn accept(&self) -> io::Result<(UnixStream, Peer)> {
        let (stream, _) = self.listener.accept().await?;
        let uid = stream.peer_cred()?.uid();
        if uid != 0 && uid != rustix::process::geteuid().as_raw() {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        Ok((stream, Peer::Local))
    }
}
