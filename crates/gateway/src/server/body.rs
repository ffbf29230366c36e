//! Reading a request body: bounded in size and in patience.

use std::future::Future;
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body::Body;

/// Bytes that must come within one stall time: a byte a second is no progress.
const PROGRESS: usize = 4 * 1024;

/// Why a request body could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// More than the bound, announced or found: a 413.
    #[error("the request body is larger than allowed")]
    TooLarge,
    /// Not enough came in time: a 408.
    #[error("the request body did not come in time")]
    Stalled,
    /// The connection broke or the chunks are malformed: a 400, if anyone is there to read it.
    #[error("the request body could not be read")]
    Broken,
}

/// Reads `body` to its end. A body that announces more than `max` bytes is refused before it is read; of one that does
/// not, at most `max` bytes and one read are. Each `stall` must bring 4 KiB or the end.
pub async fn read_body<B>(body: B, max: usize, stall: Duration) -> Result<Bytes, BodyError>
where
    B: Body<Data = Bytes>,
{
    let expected = body.size_hint().exact();
    if expected.is_some_and(|expected| expected > max as u64) {
        return Err(BodyError::TooLarge);
    }
    let mut body = pin!(body);
    // The usual body is there, in one piece: no timer, no copy.
    let mut timer: Option<Pin<Box<tokio::time::Sleep>>> = None;
    let mut since_timer = 0;
    let mut first = Bytes::new();
    let mut rest = BytesMut::new();
    std::future::poll_fn(|cx| {
        loop {
            match body.as_mut().poll_frame(cx) {
                Poll::Ready(None) => return Poll::Ready(Ok(())),
                Poll::Ready(Some(Err(_))) => return Poll::Ready(Err(BodyError::Broken)),
                Poll::Ready(Some(Ok(frame))) => {
                    let Ok(data) = frame.into_data() else { continue };
                    since_timer += data.len();
                    if first.len() + rest.len() + data.len() > max {
                        return Poll::Ready(Err(BodyError::TooLarge));
                    }
                    if first.is_empty() && rest.is_empty() {
                        first = data;
                        continue;
                    }
                    if !first.is_empty() {
                        // A length is a claim: space is taken as bytes come.
                        rest.reserve(first.len() + data.len());
                        rest.extend_from_slice(&std::mem::take(&mut first));
                    }
                    rest.extend_from_slice(&data);
                }
                Poll::Pending => {
                    let sleep = timer.get_or_insert_with(|| {
                        since_timer = 0;
                        Box::pin(tokio::time::sleep(stall))
                    });
                    if sleep.as_mut().poll(cx).is_pending() {
                        return Poll::Pending;
                    }
                    if since_timer < PROGRESS {
                        return Poll::Ready(Err(BodyError::Stalled));
                    }
                    timer = None;
                }
            }
        }
    })
    .await?;
    Ok(if rest.is_empty() { first } else { rest.freeze() })
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::task::Context;

    use http_body::{Frame, SizeHint};

    use super::*;

    /// Plays pieces; `None` is a pause for ever.
    struct Played(VecDeque<Option<Result<&'static [u8], ()>>>, SizeHint);

    impl Body for Played {
        type Data = Bytes;
        type Error = ();

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, ()>>> {
            match self.0.pop_front() {
                None => Poll::Ready(None),
                Some(None) => Poll::Pending,
                Some(Some(piece)) => {
                    Poll::Ready(Some(piece.map(|piece| Frame::data(Bytes::from_static(piece)))))
                }
            }
        }

        fn size_hint(&self) -> SizeHint {
            self.1
        }
    }

    async fn read(
        pieces: &[Option<Result<&'static [u8], ()>>],
        announced: Option<u64>,
    ) -> Result<Bytes, BodyError> {
        let hint = announced.map(SizeHint::with_exact).unwrap_or_default();
        read_body(Played(pieces.iter().copied().collect(), hint), 10, Duration::from_millis(20)).await
    }

    #[tokio::test]
    async fn pieces_are_joined_up_to_the_bound() {
        assert_eq!(read(&[], None).await.unwrap(), "");
        assert_eq!(read(&[Some(Ok(b"hello"))], Some(5)).await.unwrap(), "hello");
        assert_eq!(
            read(&[Some(Ok(b"hello")), Some(Ok(b" you")), Some(Ok(b"!"))], None).await.unwrap(),
            "hello you!"
        );
        assert_eq!(read(&[Some(Ok(b"hello ")), Some(Ok(b"world"))], None).await, Err(BodyError::TooLarge));
    }

    #[tokio::test]
    async fn an_announced_excess_is_refused_unread() {
        assert_eq!(read(&[None], Some(11)).await, Err(BodyError::TooLarge));
    }

    #[tokio::test]
    async fn silence_and_breakage_are_told_apart() {
        assert_eq!(read(&[Some(Ok(b"x")), None, None], Some(5)).await, Err(BodyError::Stalled));
        assert_eq!(read(&[Some(Ok(b"x")), Some(Err(()))], Some(5)).await, Err(BodyError::Broken));
    }
}
