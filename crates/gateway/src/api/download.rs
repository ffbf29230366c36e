//! A file that is sent while it is written. Built whole in memory first, an export of a million attempts would take a
//! gigabyte; here it takes four chunks. A client that stops reading is dropped, since the snapshot that the export reads
//! from keeps the ledger's log from being tidied up.

use std::io::{self, Write};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderValue, header};
use axum::response::Response;
use bytes::Bytes;
use http_body::Frame;
use tokio::runtime::Handle;
use tokio::sync::mpsc::{Receiver, Sender, channel};

/// Bytes of a chunk.
const CHUNK: usize = 64 * 1024;
/// Chunks under way.
const CHUNKS: usize = 4;
/// How long a client may take for a chunk.
const PATIENCE: Duration = Duration::from_secs(30);

/// Answers with what `write` writes, as a CSV file called `name`. It runs off the runtime; its error cuts the answer off.
pub(super) fn csv(
    name: &'static str,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()> + Send + 'static,
) -> Response {
    let (sender, receiver) = channel(CHUNKS);
    let runtime = Handle::current();
    tokio::task::spawn_blocking(move || {
        let mut out = Chunks { sender, runtime, buffer: Vec::with_capacity(CHUNK) };
        if let Err(error) = write(&mut out).and_then(|()| out.flush()) {
            // Nobody is left to tell when the client has gone.
            let _ = out.send(Err(error));
        }
    });
    let mut response = Response::new(Body::new(Chunked(receiver)));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/csv; charset=utf-8"));
    if let Ok(value) = HeaderValue::try_from(format!("attachment; filename=\"{name}\"")) {
        headers.insert(header::CONTENT_DISPOSITION, value);
    }
    response
}

struct Chunks {
    sender: Sender<io::Result<Bytes>>,
    runtime: Handle,
    buffer: Vec<u8>,
}

impl Chunks {
    fn send(&self, chunk: io::Result<Bytes>) -> io::Result<()> {
        let sending = self.sender.send_timeout(chunk, PATIENCE);
        self.runtime.block_on(sending).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

impl Write for Chunks {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.buffer.len() >= CHUNK {
            self.flush()?;
        }
        self.buffer.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let full = std::mem::replace(&mut self.buffer, Vec::with_capacity(CHUNK));
        self.send(Ok(full.into()))
    }
}

struct Chunked(Receiver<io::Result<Bytes>>);

impl http_body::Body for Chunked {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        self.0.poll_recv(cx).map(|chunk| chunk.map(|chunk| chunk.map(Frame::data)))
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;

    use super::*;

    #[tokio::test]
    async fn what_is_written_is_sent_in_order_and_an_error_cuts_it_off() {
        let response = csv("a.csv", |out| (0..100_000).try_for_each(|n| writeln!(out, "{n}")));
        assert_eq!(response.headers()["content-type"], "text/csv; charset=utf-8");
        let body = response.into_body().collect().await.unwrap().to_bytes();
        let expected: String = (0..100_000).map(|n| n.to_string() + "\n").collect();
        assert_eq!(body, expected);

        let broken = csv("a.csv", |out| {
            out.write_all(b"half")?;
            Err(io::Error::other("the ledger went away"))
        });
        assert!(broken.into_body().collect().await.is_err(), "half a file is no file");
    }

    #[tokio::test]
    async fn a_client_that_has_gone_ends_the_export() {
        let (ended, wait) = tokio::sync::oneshot::channel();
        let response = csv("a.csv", move |out| {
            let result = (0..).try_for_each(|_: u64| out.write_all(&[b'x'; 1000]));
            let _ = ended.send(result.as_ref().map_err(io::Error::kind).err());
            result
        });
        drop(response);
        assert_eq!(wait.await.unwrap(), Some(io::ErrorKind::BrokenPipe));
    }
}
