//! The bytes of a connection, watched: which came first, and whether any came at all.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    task::{Context, Poll},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What came of a connection so far. Shared with who waits for it, so that it can be told after
/// the connection is gone.
#[derive(Debug, Clone, Default)]
pub(crate) struct Seen(Arc<AtomicU32>);

/// Bit that says that something came.
const ANY: u32 = 1 << 16;

impl Seen {
    /// Whether any byte came.
    pub(crate) fn any(&self) -> bool {
        self.0.load(Ordering::Relaxed) & ANY != 0
    }

    /// Whether what came begins like a TLS record: an alert or a handshake, of SSL 3 or TLS
    /// (RFC 8446, section 5.1).
    pub(crate) fn looks_like_tls(&self) -> bool {
        let [_, _, first, second] = self.0.load(Ordering::Relaxed).to_be_bytes();
        matches!(first, 0x15 | 0x16) && second == 0x03
    }

    fn note(&self, bytes: &[u8]) {
        if let [first, rest @ ..] = bytes
            && !self.any()
        {
            // One byte alone: no server sends a record's first byte by itself.
            let second = rest.first().copied().unwrap_or_default();
            let first = u32::from(u16::from_be_bytes([*first, second]));
            self.0.store(ANY | first, Ordering::Relaxed);
        }
    }
}

/// A connection of which it is noted what comes.
pub(crate) struct Watched<S> {
    inner: S,
    seen: Seen,
}

impl<S> Watched<S> {
    pub(crate) const fn new(inner: S, seen: Seen) -> Self {
        Self { inner, seen }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let result = Pin::new(&mut self.inner).poll_read(cx, buf);
        self.seen.note(&buf.filled()[before..]);
        result
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_bytes_tell() {
        let table: [(&[&[u8]], bool, bool); 5] = [
            (&[], false, false),
            (&[b""], false, false),
            (&[b"HTTP/1.1 200 OK"], true, false),
            (&[&[0x15, 3, 3, 0, 2, 2, 50]], true, true),
            (&[b"H", &[0x15, 3]], true, false),
        ];
        for (reads, any, tls) in table {
            let seen = Seen::default();
            reads.iter().for_each(|bytes| seen.note(bytes));
            assert_eq!((seen.any(), seen.looks_like_tls()), (any, tls), "{reads:?}");
        }
    }
}
