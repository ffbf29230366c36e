//! How many decisions are worked out at once. A decision costs processor time that requests need too, so few run, some
//! wait, and who comes after those is turned away.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Who may wait.
const WAITING: usize = 8;

/// Places for decisions.
#[derive(Debug)]
pub struct Places {
    running: Arc<Semaphore>,
    all: Arc<Semaphore>,
}

/// A decision's place, given back when it is dropped. It goes along with the work: a client that hangs up does not make
/// room while its decision is still being worked out.
#[derive(Debug)]
pub struct Place {
    _running: OwnedSemaphorePermit,
    _all: OwnedSemaphorePermit,
}

impl Default for Places {
    /// A quarter of the processors, at least one.
    fn default() -> Self {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        Self::new((processors / 4).max(1))
    }
}

impl Places {
    fn new(running: usize) -> Self {
        Self { running: Arc::new(Semaphore::new(running)), all: Arc::new(Semaphore::new(running + WAITING)) }
    }

    /// Waits for a place. `None`: too many are waiting.
    pub async fn enter(&self) -> Option<Place> {
        let all = Arc::clone(&self.all).try_acquire_owned().ok()?;
        let running = Arc::clone(&self.running).acquire_owned().await.ok()?;
        Some(Place { _running: running, _all: all })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn some_wait_and_the_next_is_turned_away() {
        let places = Arc::new(Places::new(1));
        let first = places.enter().await.unwrap();
        let waiting: Vec<_> = (0..WAITING)
            .map(|_| {
                let places = Arc::clone(&places);
                tokio::spawn(async move { places.enter().await.is_some() })
            })
            .collect();
        while places.all.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        assert!(places.enter().await.is_none(), "no place is left");
        drop(first);
        for one in waiting {
            assert!(one.await.unwrap(), "each gets its turn");
        }
        assert!(places.enter().await.is_some());
    }
}
