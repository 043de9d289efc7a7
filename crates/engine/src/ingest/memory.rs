//! The one byte budget of the process: who holds how much in buffers, and librdkafka's share of the limit.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::resident::{give_back_free_pages, resident_bytes};

/// What the process holds before any record is buffered: code, threads, clients, the allocator's slack.
const BASE_BYTES: u64 = 44 << 20;
/// librdkafka may overshoot its bound on a partition's queue by one fetch.
const FETCH_BYTES_MIN: u64 = 16 << 10;
const FETCH_BYTES_MAX: u64 = 1 << 20;
const QUEUE_BYTES_MAX: u64 = 64 << 20;
/// All queues together. With `ROLL_BYTES_MAX` it keeps a buffer, which may take in all that is queued behind its last
/// record, well below the 2 GiB that one Arrow column of text can hold.
const QUEUES_BYTES_MAX: u64 = 512 << 20;
const ROLL_BYTES_MAX: u64 = 512 << 20;

/// How many of each there are, of the topics that are configured.
#[derive(Clone, Copy, Debug)]
pub struct ClusterShape {
    pub brokers: usize,
    pub topics: usize,
    pub partitions: usize,
}

/// How the memory limit is shared out, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shares {
    /// Open and sealed buffers of all topics.
    pub buffer_bytes: u64,
    /// Bound of the queue of each topic: librdkafka's bound is per partition, but it looks at the queue that the
    /// partition is forwarded to.
    pub queue_bytes_per_topic: u64,
    /// Bound of what one fetch may bring of a partition. A broker hands out whole batches of a producer, and of one that is
    /// larger than this only where it is the first of the response: each fetch then brings one batch of all partitions together.
    pub fetch_bytes_per_partition: u64,
    /// Bound of one fetch response.
    pub fetch_bytes: u64,
}

impl Shares {
    /// Shares out `limit_bytes` for a cluster whose partitions may all be assigned to this process.
    ///
    /// A topic's queue is handed out as a whole, and filled again meanwhile, and each time one fetch of each broker may go
    /// beyond its bound: so bound and fetch each get a quarter of the queues' share. A fetch may bring more of a partition than the
    /// queues' share would give each: only when nobody reads do all queues fill up to it, and [`Budget::watch`] then takes it from the
    /// buffers.
    ///
    /// Writing a roll needs room besides its buffer: the sorted copy of a time partition and its encoded pages. So
    /// buffers get under half of what remains, and a roll in turn is at most a third of that.
    #[must_use]
    pub fn of(limit_bytes: u64, cluster: ClusterShape) -> Shares {
        let ClusterShape {
            brokers,
            topics,
            partitions,
        } = cluster;
        let [brokers, topics, partitions] = [brokers, topics, partitions].map(|count| count.max(1) as u64);
        let free = limit_bytes.saturating_sub(BASE_BYTES).max(16 << 20);
        let queues = (free / 5).min(QUEUES_BYTES_MAX);
        let fetch = (free * 2 / 5 / partitions).clamp(FETCH_BYTES_MIN, FETCH_BYTES_MAX);
        Shares {
            buffer_bytes: free * 2 / 5,
            queue_bytes_per_topic: (queues / 4 / topics).clamp(FETCH_BYTES_MIN, QUEUE_BYTES_MAX),
            fetch_bytes_per_partition: fetch,
            fetch_bytes: (queues / 4 / brokers).clamp(1 << 20, 50 << 20),
        }
    }

    /// The open bytes at which one topic rolls: as configured, but never more than a third of the buffers, nor
    /// than 512 MiB.
    #[must_use]
    pub fn roll_bytes(&self, configured: u64) -> u64 {
        configured.min(self.buffer_bytes / 3).min(ROLL_BYTES_MAX)
    }
}

/// Who holds how many bytes. Each topic keeps its own two figures; nobody needs a lock to read them all.
#[derive(Debug)]
pub struct Budget {
    topics: Vec<Arc<Holding>>,
    limit_bytes: u64,
    buffer_bytes: u64,
    /// What the process holds beyond the shares: see [`Budget::watch`].
    excess_bytes: AtomicU64,
}

/// The bytes one topic holds.
#[derive(Debug, Default)]
pub struct Holding {
    open: AtomicU64,
    sealed: AtomicU64,
}

impl Holding {
    pub fn set_open(&self, bytes: u64) {
        self.open.store(bytes, Relaxed);
    }

    /// Open bytes became a sealed buffer of this size, which counts until the returned value is dropped.
    pub fn seal(self: &Arc<Self>, bytes: u64) -> SealedBytes {
        self.sealed.fetch_add(bytes, Relaxed);
        SealedBytes {
            holding: Arc::clone(self),
            bytes,
        }
    }
}

/// The bytes of a sealed buffer, to be dropped together with its rows.
#[derive(Debug)]
pub struct SealedBytes {
    holding: Arc<Holding>,
    bytes: u64,
}

impl Drop for SealedBytes {
    fn drop(&mut self) {
        self.holding.sealed.fetch_sub(self.bytes, Relaxed);
    }
}

impl Budget {
    #[must_use]
    pub fn new(topics: usize, limit_bytes: u64, shares: &Shares) -> Budget {
        Budget {
            topics: (0..topics).map(|_| Arc::default()).collect(),
            limit_bytes,
            buffer_bytes: shares.buffer_bytes,
            excess_bytes: AtomicU64::new(0),
        }
    }

    /// Looks at what the whole process holds. The shares foresee the allocator's slack and librdkafka's overshoot; where
    /// they take more, the buffers have to do with less.
    pub fn watch(&self) {
        let Some(resident) = resident_bytes() else { return };
        let excess = excess(resident, self.limit_bytes, self.buffer_bytes);
        let before = self.excess_bytes.swap(excess, Relaxed);
        if excess > before {
            give_back_free_pages();
        }
    }

    /// The holding of the topic with this index.
    #[must_use]
    pub fn holding(&self, topic: usize) -> Arc<Holding> {
        Arc::clone(&self.topics[topic])
    }

    /// Bytes in all buffers, open and sealed.
    #[must_use]
    pub fn used_bytes(&self) -> u64 {
        self.topics
            .iter()
            .map(|topic| topic.open.load(Relaxed) + topic.sealed.load(Relaxed))
            .sum()
    }

    /// What the buffers are charged with: their bytes, and the process' excess.
    #[must_use]
    pub fn charged_bytes(&self) -> u64 {
        self.used_bytes() + self.excess_bytes.load(Relaxed)
    }

    /// True when no other topic has more open bytes than this one.
    #[must_use]
    pub fn is_largest(&self, holding: &Holding) -> bool {
        let own = holding.open.load(Relaxed);
        self.topics.iter().all(|topic| topic.open.load(Relaxed) <= own)
    }
}

/// By how many bytes the process comes closer to its limit than a sixteenth of it. Never more than half of the buffers'
/// share: whatever else grows, records go on being landed.
fn excess(resident_bytes: u64, limit_bytes: u64, buffer_bytes: u64) -> u64 {
    resident_bytes
        .saturating_sub(limit_bytes / 16 * 15)
        .min(buffer_bytes / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_near_its_limit_takes_from_the_buffers_but_never_more_than_half() {
        let mib = 1 << 20;
        assert_eq!(excess(200 * mib, 256 * mib, 80 * mib), 0);
        assert_eq!(excess(240 * mib, 256 * mib, 80 * mib), 0);
        assert_eq!(excess(250 * mib, 256 * mib, 80 * mib), 10 * mib);
        assert_eq!(excess(900 * mib, 256 * mib, 80 * mib), 40 * mib);
    }

    #[test]
    fn what_the_process_holds_too_much_is_charged_to_the_buffers() {
        let shares = Shares::of(
            64 << 20,
            ClusterShape {
                brokers: 1,
                topics: 1,
                partitions: 1,
            },
        );
        // A limit below what this very process holds.
        let budget = Budget::new(1, 1, &shares);
        budget.holding(0).set_open(7);
        assert_eq!(budget.charged_bytes(), 7);
        budget.watch();
        assert_eq!(budget.used_bytes(), 7);
        let seen = resident_bytes().map_or(0, |_| shares.buffer_bytes / 2);
        assert!(budget.charged_bytes() > 7 && budget.charged_bytes() <= 7 + seen);
    }

    #[test]
    fn the_shares_stay_within_the_limit_whatever_the_partitions() {
        for limit_mib in [64_u64, 128, 256, 512, 4096] {
            for partitions in [0, 1, 4, 16, 64, 1000] {
                let limit = limit_mib << 20;
                let shares = Shares::of(
                    limit,
                    ClusterShape {
                        brokers: 3,
                        topics: 4,
                        partitions,
                    },
                );
                let queues = 2 * (4 * shares.queue_bytes_per_topic + 3 * shares.fetch_bytes);
                let floor = 2 * (4 * FETCH_BYTES_MIN + (3 << 20));
                assert!(
                    queues <= (limit / 5).max(floor),
                    "{limit_mib} MiB over {partitions}: {shares:?}"
                );
                assert!(shares.buffer_bytes < limit / 2, "{shares:?}");
                assert!(shares.roll_bytes(u64::MAX) * 3 <= shares.buffer_bytes);
            }
        }
    }

    /// A broker answers with one batch for all partitions together where each batch is larger than this: 1,000 partitions with batches
    /// of 160 KB took seven times the fetches.
    #[test]
    fn a_fetch_has_room_for_a_producers_batch_of_each_of_many_partitions() {
        let of = |partitions| {
            let cluster = ClusterShape {
                brokers: 1,
                topics: 200,
                partitions,
            };
            Shares::of(512 << 20, cluster).fetch_bytes_per_partition
        };
        assert!(of(1_000) >= 190_000, "{}", of(1_000));
        assert_eq!(of(4), FETCH_BYTES_MAX);
        // All queues may be filled up to it while nobody reads.
        for partitions in [100, 1_000, 10_000] {
            assert!(of(partitions) * partitions as u64 <= 200 << 20, "{partitions}");
        }
    }

    #[test]
    fn the_largest_topic_is_the_one_with_most_open_bytes() {
        let budget = Budget::new(
            2,
            64 << 20,
            &Shares::of(
                64 << 20,
                ClusterShape {
                    brokers: 1,
                    topics: 2,
                    partitions: 2,
                },
            ),
        );
        let (first, second) = (budget.holding(0), budget.holding(1));
        first.set_open(10);
        second.set_open(9);
        let sealed = second.seal(100);
        assert!(budget.is_largest(&first) && !budget.is_largest(&second));
        assert_eq!(budget.used_bytes(), 119);
        drop(sealed);
        assert_eq!(budget.used_bytes(), 19);
    }
}
