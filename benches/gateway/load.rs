//! The clients: raw HTTP/1.1 over sockets that stay open, so that little of the machine goes into them.

use std::cell::Cell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use bytes::{Buf, BytesMut};
use memchr::memmem;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::mock::content_length;

/// A connection to what is measured.
pub struct Client {
    stream: TcpStream,
    buffer: BytesMut,
}

/// A request that is sent again and again.
pub fn request(model: &str, stream: bool, key: &str) -> Vec<u8> {
    let question =
        "Please summarise the following paragraph in one short sentence for a busy reader. ".repeat(11);
    let streaming = if stream { r#","stream":true,"stream_options":{"include_usage":true}"# } else { "" };
    let body = format!(
        r#"{{"model":"{model}","messages":[{{"role":"system","content":"You are terse."}},{{"role":"user","content":"{question}"}}],"temperature":0.2,"max_tokens":256{streaming}}}"#
    );
    format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer {key}\r\ncontent-type: application/json\r\naccept: application/json\r\nuser-agent: bench\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

impl Client {
    pub async fn connect(to: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(to).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: BytesMut::with_capacity(16 * 1024) })
    }

    /// Sends a request and reads a whole answer.
    pub async fn whole(&mut self, request: &[u8]) -> Result<()> {
        let length = self.answer(request).await?;
        self.buffer.advance(length);
        Ok(())
    }

    /// Asks the gateway's API.
    pub async fn get(&mut self, path: &str, key: &str) -> Result<String> {
        let request =
            format!("GET {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer {key}\r\n\r\n");
        let length = self.answer(request.as_bytes()).await?;
        Ok(String::from_utf8(self.buffer.split_to(length).to_vec())?)
    }

    /// Leaves a whole body at the start of the buffer and returns its length.
    async fn answer(&mut self, request: &[u8]) -> Result<usize> {
        self.stream.write_all(request).await?;
        let head = self.head().await?;
        let length = content_length(&head).context("the answer has no length")?;
        while self.buffer.len() < length {
            self.more().await?;
        }
        Ok(length)
    }

    /// Sends a request and waits for the first event of the stream.
    pub async fn first_event(&mut self, request: &[u8]) -> Result<()> {
        self.stream.write_all(request).await?;
        self.head().await?;
        while memmem::find(&self.buffer, b"data: ").is_none() {
            self.more().await?;
        }
        Ok(())
    }

    /// Reads a stream to its end; `seen` gets the events of each read.
    pub async fn rest(&mut self, mut seen: impl FnMut(&[u8])) -> Result<()> {
        let mut done = false;
        loop {
            if let Some(end) = memmem::rfind(&self.buffer, b"\n\n") {
                let events = self.buffer.split_to(end + 2);
                done |= memmem::find(&events, b"data: [DONE]").is_some();
                seen(&events);
            }
            if self.buffer.ends_with(b"0\r\n\r\n") {
                self.buffer.clear();
                if !done {
                    bail!("a stream ended without [DONE]");
                }
                return Ok(());
            }
            self.more().await?;
        }
    }

    async fn head(&mut self) -> Result<BytesMut> {
        loop {
            if let Some(at) = memmem::find(&self.buffer, b"\r\n\r\n") {
                let head = self.buffer.split_to(at + 4);
                if !head.starts_with(b"HTTP/1.1 200") {
                    // What follows is likely the reason.
                    bail!("{} {}", String::from_utf8_lossy(&head), String::from_utf8_lossy(&self.buffer));
                }
                return Ok(head);
            }
            self.more().await?;
        }
    }

    async fn more(&mut self) -> Result<()> {
        self.buffer.reserve(4 * 1024);
        if self.stream.read_buf(&mut self.buffer).await? == 0 {
            bail!("closed in the middle of an answer");
        }
        Ok(())
    }
}

/// Runs `work` on a thread that never sleeps. When what is measured is slower than its clients, they would sleep between
/// answers, and each of its writes would pay for waking them: a cost that a faster subject does not have.
async fn awake<T>(work: impl Future<Output = T>) -> T {
    let busy = tokio::task::spawn_local(async {
        loop {
            tokio::task::yield_now().await;
        }
    });
    let done = work.await;
    busy.abort();
    done
}

/// `connections` clients, each with the next request as soon as it has its answer, for `time`. Returns the requests.
pub async fn saturate(to: SocketAddr, request: &[u8], connections: usize, time: Duration) -> Result<u64> {
    let end = Instant::now() + time;
    let mut tasks = JoinSet::new();
    for _ in 0..connections {
        let request = request.to_vec();
        tasks.spawn_local(async move {
            let (mut client, mut count) = (Client::connect(to).await?, 0_u64);
            while Instant::now() < end {
                client.whole(&request).await?;
                count += 1;
            }
            anyhow::Ok(count)
        });
    }
    awake(sum(tasks)).await
}

/// `connections` clients that read one stream after the other for `time`. Returns the events.
pub async fn stream(to: SocketAddr, request: &[u8], connections: usize, time: Duration) -> Result<u64> {
    let end = Instant::now() + time;
    let mut tasks = JoinSet::new();
    for _ in 0..connections {
        let request = request.to_vec();
        tasks.spawn_local(async move {
            let (mut client, mut count) = (Client::connect(to).await?, 0_u64);
            while Instant::now() < end {
                client.first_event(&request).await?;
                client.rest(|events| count += memmem::find_iter(events, b"data: ").count() as u64).await?;
            }
            anyhow::Ok(count)
        });
    }
    awake(sum(tasks)).await
}

async fn sum(mut tasks: JoinSet<Result<u64>>) -> Result<u64> {
    let mut all = 0;
    while let Some(done) = tasks.join_next().await {
        all += done??;
    }
    Ok(all)
}

/// A request each `gap`, on whichever of `connections` is free; the time of each in nanoseconds. `streamed` stops the
/// clock at the first event.
pub async fn paced(
    to: SocketAddr,
    request: &[u8],
    connections: usize,
    gap: Duration,
    count: usize,
    streamed: bool,
) -> Result<Vec<u64>> {
    let mut free = Vec::new();
    for _ in 0..connections {
        free.push(Client::connect(to).await?);
    }
    let mut beat = tokio::time::interval(gap);
    beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut tasks: JoinSet<Result<(Client, u64)>> = JoinSet::new();
    let mut times = Vec::with_capacity(count);
    for _ in 0..count {
        beat.tick().await;
        while let Some(done) = tasks.try_join_next() {
            let (client, time) = done??;
            free.push(client);
            times.push(time);
        }
        let mut client = match free.pop() {
            Some(client) => client,
            None => Client::connect(to).await?,
        };
        let request = request.to_vec();
        tasks.spawn_local(async move {
            let begun = Instant::now();
            if streamed {
                client.first_event(&request).await?;
            } else {
                client.whole(&request).await?;
            }
            let time = nanos(begun.elapsed());
            if streamed {
                client.rest(|_| {}).await?;
            }
            Ok((client, time))
        });
    }
    while let Some(done) = tasks.join_next().await {
        times.push(done??.1);
    }
    Ok(times)
}

/// `count` timed streams at once: the way of each chunk from the mock's write to the client's read, in nanoseconds.
pub async fn transit(to: SocketAddr, request: &[u8], count: usize, clock: Instant) -> Result<Vec<u64>> {
    let mut tasks = JoinSet::new();
    for n in 0..count {
        let request = request.to_vec();
        tasks.spawn_local(async move {
            // Spread over one beat.
            tokio::time::sleep(crate::mock::BEAT * u32::try_from(n)? / u32::try_from(count)?).await;
            let mut client = Client::connect(to).await?;
            let mut ways = Vec::new();
            client.first_event(&request).await?;
            client
                .rest(|events| {
                    let now = nanos(clock.elapsed());
                    ways.extend(stamps(events).map(|sent| now.saturating_sub(sent)));
                })
                .await?;
            anyhow::Ok(ways)
        });
    }
    let mut all = Vec::new();
    while let Some(done) = tasks.join_next().await {
        all.extend(done??);
    }
    Ok(all)
}

fn stamps(events: &[u8]) -> impl Iterator<Item = u64> {
    memmem::find_iter(events, b"at=").filter_map(|at| {
        let digits = events.get(at + 3..at + 23)?;
        std::str::from_utf8(digits).ok()?.parse().ok()
    })
}

/// Opens `count` streams that go quiet after their first event. `None` in the middle: the other side refused.
pub async fn open_idle(to: SocketAddr, request: &[u8], count: usize) -> Result<Vec<Client>> {
    const AT_A_TIME: usize = 100;
    let left = Rc::new(Cell::new(count));
    let mut tasks: JoinSet<Result<Vec<Client>>> = JoinSet::new();
    for _ in 0..AT_A_TIME.min(count) {
        let (request, left) = (request.to_vec(), Rc::clone(&left));
        tasks.spawn_local(async move {
            let mut open = Vec::new();
            while let Some(rest) = left.get().checked_sub(1) {
                left.set(rest);
                let mut client = Client::connect(to).await?;
                client.first_event(&request).await?;
                // What an idle client holds is not measured, but must fit.
                client.buffer = BytesMut::new();
                open.push(client);
            }
            Ok(open)
        });
    }
    let mut all = Vec::with_capacity(count);
    while let Some(done) = tasks.join_next().await {
        all.extend(done??);
    }
    Ok(all)
}

pub fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
