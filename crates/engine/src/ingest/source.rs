//! What a topic hands out: the queue of its assigned partitions, read in batches without copying a payload.
//!
//! rdkafka has no wrapper for serving a queue by callback, nor for forwarding the queues of many partitions to one, so
//! this file speaks to librdkafka itself. Everything unsafe in reading records is here.

use std::any::Any;
use std::ffi::{CStr, CString, c_char, c_void};
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::ptr;
use std::sync::Arc;
use std::time::Duration;

use eventlake_core::names::TopicName;
use eventlake_core::position::{Offset, PartitionId};
use rdkafka::bindings as rd;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::types::{RDKafkaErrorCode, RDKafkaRespErr};

/// What a partition's queue may hold besides records.
#[derive(Debug)]
pub enum SourceItem<'a> {
    Record(SourceRecord<'a>),
    /// The reader stands at the end of the partition: nothing that Kafka hands out lies before `position`.
    End {
        partition: PartitionId,
        position: Offset,
    },
    /// The position is not in the partition: retention has passed it, or it lies beyond the partition's end.
    OutOfRange {
        partition: PartitionId,
        detail: String,
    },
    /// Kafka refused something, and librdkafka tries again by itself without moving the position.
    Passing {
        partition: PartitionId,
        detail: String,
    },
    /// Bytes that cannot be read, by checksum, compression or format: going on would skip records.
    Unreadable {
        partition: PartitionId,
        detail: String,
    },
}

/// One record, borrowed from librdkafka's own buffer.
pub struct SourceRecord<'a> {
    message: *mut rd::rd_kafka_message_t,
    batch: PhantomData<&'a ()>,
}

impl std::fmt::Debug for SourceRecord<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SourceRecord({}, {})", self.partition(), self.offset())
    }
}

impl SourceRecord<'_> {
    fn raw(&self) -> &rd::rd_kafka_message_t {
        // SAFETY: the pointer came from librdkafka, which destroys the message only after the borrow 'a ends.
        unsafe { &*self.message }
    }

    #[must_use]
    pub fn partition(&self) -> PartitionId {
        PartitionId(self.raw().partition)
    }

    #[must_use]
    pub fn offset(&self) -> Offset {
        Offset(self.raw().offset)
    }

    /// None: a tombstone.
    #[must_use]
    pub fn payload(&self) -> Option<&[u8]> {
        // SAFETY: librdkafka gives a pointer to `len` bytes that live as long as the message.
        unsafe { bytes(self.raw().payload, self.raw().len) }
    }

    #[must_use]
    pub fn key(&self) -> Option<&[u8]> {
        // SAFETY: as for the payload.
        unsafe { bytes(self.raw().key, self.raw().key_len) }
    }

    /// Kafka's timestamp in microseconds since 1970; None when the record carries none.
    #[must_use]
    pub fn timestamp_micros(&self) -> Option<i64> {
        let mut kind = rd::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
        // SAFETY: the message is alive, and `kind` is a valid place to write to.
        let millis = unsafe { rd::rd_kafka_message_timestamp(self.message, &raw mut kind) };
        let absent = kind == rd::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
        (!absent && millis != -1).then(|| millis.saturating_mul(1000))
    }

    #[must_use]
    pub fn leader_epoch(&self) -> Option<i32> {
        // SAFETY: the message is alive.
        let epoch = unsafe { rd::rd_kafka_message_leader_epoch(self.message) };
        (epoch >= 0).then_some(epoch)
    }

    /// The record's headers, copied, in their order.
    #[must_use]
    pub fn headers(&self) -> Vec<(String, Option<Vec<u8>>)> {
        let mut headers = ptr::null_mut();
        // SAFETY: the message is alive; the headers found belong to it and are only read while it is.
        let found = unsafe { rd::rd_kafka_message_headers(self.message, &raw mut headers) };
        if found != RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR {
            return Vec::new();
        }
        (0..).map_while(|index| header(headers, index)).collect()
    }
}

/// Header number `index`, or None behind the last.
fn header(headers: *const rd::rd_kafka_headers_t, index: usize) -> Option<(String, Option<Vec<u8>>)> {
    let (mut name, mut value, mut size) = (ptr::null::<c_char>(), ptr::null::<c_void>(), 0_usize);
    // SAFETY: `headers` is alive (see `SourceRecord::headers`) and the three places are valid to write to.
    let code =
        unsafe { rd::rd_kafka_header_get_all(headers, index, &raw mut name, &raw mut value, &raw mut size) };
    if code != RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR {
        return None;
    }
    // SAFETY: on success the name is a string that ends in NUL, and the value null or `size` bytes.
    let (name, value) = unsafe { (CStr::from_ptr(name), bytes(value, size)) };
    Some((name.to_string_lossy().into_owned(), value.map(<[u8]>::to_vec)))
}

/// # Safety
/// `start` is null or points to `len` bytes that outlive 'a.
unsafe fn bytes<'a>(start: *const c_void, len: usize) -> Option<&'a [u8]> {
    if start.is_null() {
        return None;
    }
    // SAFETY: by the caller's promise.
    Some(unsafe { std::slice::from_raw_parts(start.cast::<u8>(), len) })
}

/// The queue to which all assigned partitions of one topic are forwarded. Owned by the topic's consumer thread.
pub struct TopicQueue<C: ConsumerContext + 'static> {
    queue: Arc<RawQueue<C>>,
}

/// Forwards partitions to a topic's queue, and wakes who waits on it. Held by those who have news for its thread.
pub struct QueueHandle<C: ConsumerContext + 'static> {
    queue: Arc<RawQueue<C>>,
    topic: CString,
}

struct RawQueue<C: ConsumerContext + 'static> {
    queue: *mut rd::rd_kafka_queue_t,
    /// Keeps the client alive for as long as the queue: librdkafka wants queues destroyed first.
    consumer: Arc<BaseConsumer<C>>,
}

// SAFETY: librdkafka's queues are its means of passing between threads; every call on them takes their own lock.
unsafe impl<C: ConsumerContext> Send for RawQueue<C> {}
// SAFETY: as above.
unsafe impl<C: ConsumerContext> Sync for RawQueue<C> {}

impl<C: ConsumerContext> Drop for RawQueue<C> {
    fn drop(&mut self) {
        // SAFETY: made by rd_kafka_queue_new, destroyed once, and the client is still alive.
        unsafe { rd::rd_kafka_queue_destroy(self.queue) };
    }
}

/// A new queue on the client, as its two ends.
#[must_use]
pub fn topic_queue<C: ConsumerContext>(
    consumer: &Arc<BaseConsumer<C>>,
    topic: &TopicName,
) -> (TopicQueue<C>, QueueHandle<C>) {
    // SAFETY: the client is alive, and RawQueue keeps it so.
    let queue = unsafe { rd::rd_kafka_queue_new(consumer.client().native_ptr()) };
    let queue = Arc::new(RawQueue {
        queue,
        consumer: Arc::clone(consumer),
    });
    let topic = CString::new(topic.as_str()).expect("a topic's name has no NUL");
    (
        TopicQueue {
            queue: Arc::clone(&queue),
        },
        QueueHandle { queue, topic },
    )
}

impl<C: ConsumerContext> Clone for QueueHandle<C> {
    fn clone(&self) -> Self {
        QueueHandle {
            queue: Arc::clone(&self.queue),
            topic: self.topic.clone(),
        }
    }
}

impl<C: ConsumerContext> QueueHandle<C> {
    /// Lets everything that is fetched of the partition arrive in this queue. To be called before it is assigned.
    pub fn forward(&self, partition: PartitionId) {
        let client = self.queue.consumer.client().native_ptr();
        // SAFETY: client, topic and queue are alive; the partition's queue is only borrowed for the call.
        unsafe {
            let source = rd::rd_kafka_queue_get_partition(client, self.topic.as_ptr(), partition.0);
            rd::rd_kafka_queue_forward(source, self.queue.queue);
            rd::rd_kafka_queue_destroy(source);
        }
    }

    /// Wakes the thread that waits for records.
    pub fn wake(&self) {
        // SAFETY: the queue is alive.
        unsafe { rd::rd_kafka_queue_yield(self.queue.queue) };
    }
}

impl<C: ConsumerContext> TopicQueue<C> {
    /// Hands all that is queued to `each`, in order; waits at most `wait` for the first item.
    ///
    /// While it is handed out, librdkafka sees an empty queue and fetches up to its bound again: at most twice the bound
    /// is ever in memory. To hand out less and put the rest back would let that happen with every call.
    ///
    /// librdkafka's `consume_batch_queue` would do the same and must not be used: it counts the end of a partition as
    /// a record that was consumed, so that after a rebalance, which makes it fetch from the consumed position again,
    /// the record at that end is skipped. The callback below is served from the same queue at the same cost.
    pub fn poll(&mut self, wait: Duration, mut each: impl FnMut(&SourceItem<'_>)) {
        let mut batch = Batch {
            client: self.queue.consumer.client().native_ptr(),
            each: &mut each,
            panic: None,
        };
        let wait_ms = i32::try_from(wait.as_millis()).unwrap_or(i32::MAX);
        // SAFETY: queue and client are alive, and the batch is borrowed for this call alone, in which librdkafka
        // calls back on this very thread.
        unsafe {
            rd::rd_kafka_consume_callback_queue(
                self.queue.queue,
                wait_ms,
                Some(hand_out),
                (&raw mut batch).cast::<c_void>(),
            );
        }
        if let Some(panic) = batch.panic {
            resume_unwind(panic);
        }
    }
}

/// What the callback needs: one poll's state.
struct Batch<'a> {
    client: *mut rd::rd_kafka_t,
    each: &'a mut dyn FnMut(&SourceItem<'_>),
    /// A panic of `each`, carried over librdkafka's frames.
    panic: Option<Box<dyn Any + Send>>,
}

/// Takes one message from librdkafka, which destroys it afterwards.
unsafe extern "C" fn hand_out(message: *mut rd::rd_kafka_message_t, batch: *mut c_void) {
    // SAFETY: `poll` passed its batch, and waits for this thread to come back.
    let batch = unsafe { &mut *batch.cast::<Batch<'_>>() };
    if batch.panic.is_none() {
        let each = AssertUnwindSafe(|| (batch.each)(&item(message)));
        batch.panic = catch_unwind(each).err();
    }
    if batch.panic.is_some() {
        // What is left of the queue stays in it.
        // SAFETY: the client is alive.
        unsafe { rd::rd_kafka_yield(batch.client) };
    }
}

fn item<'a>(message: *mut rd::rd_kafka_message_t) -> SourceItem<'a> {
    let record = SourceRecord {
        message,
        batch: PhantomData,
    };
    let raw = record.raw();
    if raw.err == RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR {
        return SourceItem::Record(record);
    }
    let partition = record.partition();
    let detail = || {
        // For an error, the payload is librdkafka's own description of it.
        let text = record
            .payload()
            .map(|text| String::from_utf8_lossy(text).into_owned());
        text.unwrap_or_else(|| RDKafkaErrorCode::from(raw.err).to_string())
    };
    match RDKafkaErrorCode::from(raw.err) {
        RDKafkaErrorCode::PartitionEOF => SourceItem::End {
            partition,
            position: record.offset(),
        },
        RDKafkaErrorCode::AutoOffsetReset
        | RDKafkaErrorCode::OffsetOutOfRange
        | RDKafkaErrorCode::LogTruncation => SourceItem::OutOfRange {
            partition,
            detail: detail(),
        },
        RDKafkaErrorCode::BadMessage
        | RDKafkaErrorCode::BadCompression
        | RDKafkaErrorCode::InvalidMessage
        | RDKafkaErrorCode::InvalidMessageSize
        | RDKafkaErrorCode::MessageSizeTooLarge
        | RDKafkaErrorCode::NotImplemented
        | RDKafkaErrorCode::UnsupportedCompressionType => SourceItem::Unreadable {
            partition,
            detail: detail(),
        },
        _ => SourceItem::Passing {
            partition,
            detail: detail(),
        },
    }
}
