//! Who waits in a long poll, and waking one of them: one host at a time, never a broadcast over the fleet.

use crate::model::id::HostName;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// The most polls of one host at once: its agent has one, a connection that died unnoticed another.
const MAX_POLLS: usize = 4;

/// The hosts that wait now.
#[derive(Debug, Default)]
pub struct Wakes {
    waiting: Mutex<BTreeMap<HostName, Entry>>,
}

#[derive(Debug)]
struct Entry {
    notify: Arc<Notify>,
    polls: usize,
}

/// One poll's place; leaves when dropped.
#[derive(Debug)]
pub struct Waiting<'a> {
    wakes: &'a Wakes,
    host: HostName,
    /// Is notified when the host's orders may have changed.
    pub notify: Arc<Notify>,
}

impl Wakes {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<HostName, Entry>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Enters a poll of the host; `None` when it has too many already.
    pub fn enter(&self, host: &HostName) -> Option<Waiting<'_>> {
        let mut waiting = self.lock();
        let entry = waiting.entry(host.clone()).or_insert_with(|| Entry { notify: Arc::default(), polls: 0 });
        if entry.polls >= MAX_POLLS {
            return None;
        }
        entry.polls += 1;
        Some(Waiting { wakes: self, host: host.clone(), notify: entry.notify.clone() })
    }

    /// Wakes the host's polls; nothing happens when it has none: its next poll looks afresh anyway.
    pub fn wake(&self, host: &HostName) {
        if let Some(entry) = self.lock().get(host) {
            entry.notify.notify_waiters();
        }
    }

    /// Wakes all: only for the end of the process.
    pub fn wake_all(&self) {
        self.lock().values().for_each(|entry| entry.notify.notify_waiters());
    }

    /// Tells whether the host waits now.
    #[must_use]
    pub fn is_waiting(&self, host: &HostName) -> bool {
        self.lock().contains_key(host)
    }

    /// Counts the hosts that wait now.
    #[must_use]
    pub fn count(&self) -> usize {
        self.lock().len()
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut waiting = self.wakes.lock();
        let Some(entry) = waiting.get_mut(&self.host) else { return };
        entry.polls = entry.polls.saturating_sub(1);
        if entry.polls == 0 {
            waiting.remove(&self.host);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    async fn woken(notified: impl Future<Output = ()>) -> bool {
        tokio::time::timeout(Duration::from_secs(1), notified).await.is_ok()
    }

    #[tokio::test(start_paused = true)]
    async fn only_the_named_host_is_woken() {
        let wakes = Wakes::default();
        let (a, b) = (HostName::new("a").unwrap(), HostName::new("b").unwrap());
        let (at_a, at_b) = (wakes.enter(&a).unwrap(), wakes.enter(&b).unwrap());
        let (mut for_a, mut for_b) = (Box::pin(at_a.notify.notified()), Box::pin(at_b.notify.notified()));
        for_a.as_mut().enable();
        for_b.as_mut().enable();
        wakes.wake(&a);
        assert!(woken(for_a).await);
        assert!(!woken(for_b).await);
    }

    #[test]
    fn a_poll_that_ends_leaves_nothing_behind() {
        let wakes = Wakes::default();
        let host = HostName::new("a").unwrap();
        let (first, second) = (wakes.enter(&host).unwrap(), wakes.enter(&host).unwrap());
        drop(first);
        assert!(wakes.is_waiting(&host));
        drop(second);
        assert_eq!(wakes.count(), 0);
    }
}
