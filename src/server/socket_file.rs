//! A Unix socket's file: made with its mode, replaced when its gateway is
//! dead, removed when ours stops.

use super::listen::{BACKLOG, BindError, Listen};
use socket2::{Domain, SockAddr, Socket, Type};
use std::fs::{self, File, Permissions};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

/// The file of a socket that we bound. Dropped after the socket, it removes
/// the file, unless another process has the name, or the socket, by then.
#[derive(Debug)]
pub struct SocketFile {
    path: PathBuf,
    /// Device and number of the file that we made.
    made: (u64, u64),
}

impl SocketFile {
    /// Listens at `path`. A socket that nobody listens on any more is replaced.
    pub(super) fn bind(path: &Path, mode: u32) -> Result<(UnixListener, Self), BindError> {
        let place = Listen::Unix(path.to_owned());
        match fs::symlink_metadata(path) {
            Ok(there) if !there.file_type().is_socket() => return Err(BindError::NoSocket(place)),
            Ok(_) if is_answered(path) => return Err(BindError::InUse(place)),
            Ok(_) => fs::remove_file(path).map_err(|error| BindError::from_io(&place, error))?,
            Err(_) => {}
        }
        bind(path, mode).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => BindError::NoFolder(place),
            _ => BindError::from_io(&place, error),
        })
    }
}

fn bind(path: &Path, mode: u32) -> io::Result<(UnixListener, SocketFile)> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    // The file gets the mode of the socket it is made for, without what the
    // process masks: at no time may more come in than the mode says.
    let file = File::from(OwnedFd::from(socket));
    file.set_permissions(Permissions::from_mode(mode))?;
    let socket = Socket::from(OwnedFd::from(file));
    socket.bind(&SockAddr::unix(path)?)?;
    let there = fs::symlink_metadata(path)?;
    let file = SocketFile {
        path: path.to_owned(),
        made: (there.dev(), there.ino()),
    };
    fs::set_permissions(path, Permissions::from_mode(mode))?;
    socket.listen(BACKLOG as i32)?;
    Ok((UnixListener::from(OwnedFd::from(socket)), file))
}

/// Whether someone listens there.
fn is_answered(path: &Path) -> bool {
    // A full queue is one that someone keeps, and is not waited for.
    let connect = || {
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        socket.set_nonblocking(true)?;
        socket.connect(&SockAddr::unix(path)?)
    };
    match connect() {
        Ok(()) => true,
        Err(error) => !matches!(
            error.kind(),
            io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound
        ),
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let is_ours = fs::symlink_metadata(&self.path)
            .is_ok_and(|there| (there.dev(), there.ino()) == self.made);
        // Who was handed our socket over listens on.
        if is_ours && !is_answered(&self.path) {
            let _ = fs::remove_file(&self.path);
        }
    }
}
