//! Whether the helper is in use: calls, logs that are read, connections of its own socket.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tokio::sync::Notify;

/// What is going on, and since when nothing is.
#[derive(Debug, Clone)]
pub struct Activity(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    idle: Notify,
}

#[derive(Debug)]
struct State {
    uses: usize,
    last: Instant,
}

/// Something that is going on, until this is dropped.
#[derive(Debug)]
pub struct Use(Activity);

impl Default for Activity {
    fn default() -> Self {
        let state = Mutex::new(State { uses: 0, last: Instant::now() });
        Self(Arc::new(Shared { state, idle: Notify::new() }))
    }
}

impl Activity {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Something begins.
    #[must_use]
    pub fn begin(&self) -> Use {
        self.state().uses += 1;
        Use(self.clone())
    }

    /// When the helper has been idle for `timeout`; `None` while it is in use.
    #[must_use]
    pub fn deadline(&self, timeout: Duration) -> Option<Instant> {
        let state = self.state();
        (state.uses == 0).then(|| state.last + timeout)
    }

    /// Waits until nothing is going on, or, where nothing is, until something was once more.
    pub async fn changed(&self) {
        self.0.idle.notified().await;
    }

    /// Waits until nothing is going on.
    pub async fn idle(&self) {
        while self.deadline(Duration::ZERO).is_none() {
            self.changed().await;
        }
    }
}

impl Drop for Use {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.uses -= 1;
        state.last = Instant::now();
        if state.uses == 0 {
            self.0.0.idle.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn idle_is_counted_from_the_end_of_the_last_use() {
        let activity = Activity::default();
        let timeout = Duration::from_secs(60);
        let first = activity.deadline(timeout).unwrap();
        let (a, b) = (activity.begin(), activity.begin());
        assert_eq!(activity.deadline(timeout), None);
        drop(a);
        assert_eq!(activity.deadline(timeout), None);
        drop(b);
        assert!(activity.deadline(timeout).unwrap() > first);
        // The end was told, whether or not somebody was waiting for it.
        activity.changed().await;
        activity.idle().await;
    }
}
