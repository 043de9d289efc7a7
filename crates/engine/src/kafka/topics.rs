//! What the cluster knows of a topic: its id and its partitions; and the id of the cluster itself.
//!
//! rdkafka has no wrapper for DescribeTopics, the only call that tells a topic's id, so this file holds one over
//! librdkafka's own functions. It works on any client (consumer, producer) from any thread, while that client
//! is busy with its own work.

use std::ffi::{CStr, CString, c_char};
use std::ptr::NonNull;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::bindings as ffi;
use rdkafka::client::{Client, ClientContext};
use rdkafka::types::{RDKafkaErrorCode, RDKafkaRespErr};

/// How much longer than a request's own timeout we wait for librdkafka's word that it timed out.
const GRACE: Duration = Duration::from_millis(500);
/// How long a broker that answers is asked again without another look at which there are.
const CHOSEN_FOR: Duration = Duration::from_secs(10);

/// A topic as the cluster describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicDescription {
    pub name: String,
    /// Kafka's own spelling, 22 characters of base64url. None: the broker has no topic ids.
    pub topic_id: Option<String>,
    /// In the order of their numbers.
    pub partitions: Vec<PartitionDescription>,
    pub is_internal: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionDescription {
    pub partition: i32,
    /// The broker's id; None while there is no leader.
    pub leader: Option<i32>,
    pub replicas: usize,
}

/// Why there is no description. Only the first is the cluster's answer that there is no such topic.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DescribeError {
    #[error("topic {topic} does not exist on this cluster")]
    UnknownTopic { topic: String },
    /// Nobody answered in time. Asking again may help.
    #[error("the cluster did not describe {topics}: {reason}")]
    NoAnswer { topics: String, reason: String },
    /// The cluster answered with an error of its own, such as a missing permission.
    #[error("the cluster would not describe {topic}: {reason}")]
    Refused { topic: String, reason: String },
}

/// Describes one topic.
///
/// # Errors
/// As [`DescribeError`] says; `timeout` bounds the wait.
pub fn describe<C: Asking>(
    client: &Client<C>,
    topic: &str,
    timeout: Duration,
) -> Result<TopicDescription, DescribeError> {
    let mut answers = describe_all(client, &[topic], timeout)?;
    answers.pop().expect("one answer for the one topic asked for")
}

/// Describes several topics in one request; one answer for each, in the order asked.
///
/// # Errors
/// When the request as a whole failed. A topic that is missing or refused is its own answer's error.
pub fn describe_all<C: Asking>(
    client: &Client<C>,
    topics: &[&str],
    timeout: Duration,
) -> Result<Vec<Result<TopicDescription, DescribeError>>, DescribeError> {
    if topics.is_empty() {
        return Ok(Vec::new());
    }
    let no_answer = |reason: String| DescribeError::NoAnswer {
        topics: topics.join(", "),
        reason,
    };
    let deadline = Instant::now() + timeout;
    let asked = client.context().asked();
    let broker = match asked.lately() {
        Some(broker) => broker,
        None => asked.note(broker_to_ask(client, timeout).map_err(no_answer)?),
    };
    let remaining = deadline.saturating_duration_since(Instant::now());
    let request = DescribeRequest::new(client, broker, topics, remaining).map_err(no_answer)?;
    let result = request.wait(remaining + GRACE).map_err(|reason| {
        asked.forget();
        no_answer(reason)
    })?;
    let mut descriptions = result.topics();
    Ok(topics
        .iter()
        .map(|topic| {
            let found = descriptions.iter().position(|(name, _)| name == topic);
            match found {
                Some(index) => descriptions.swap_remove(index).1,
                // librdkafka fails the request when an answer is missing; a repeated name is the caller's slip.
                None => Err(no_answer("the answer leaves this topic out".to_owned())),
            }
        })
        .collect())
}

/// The cluster's id. None: it did not say within `timeout`, or has none. Asks the network only the first time.
pub fn cluster_id<C: ClientContext>(client: &Client<C>, timeout: Duration) -> Option<String> {
    let millis = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
    // SAFETY: the client is borrowed and so alive; the returned text, when not null, is ours: NUL-terminated, copied
    // here and freed once with librdkafka's own allocator, as rdkafka.h asks.
    unsafe {
        let text = ffi::rd_kafka_clusterid(client.native_ptr(), millis);
        let text = NonNull::new(text)?;
        let copy = CStr::from_ptr(text.as_ptr()).to_string_lossy().into_owned();
        ffi::rd_kafka_mem_free(client.native_ptr(), text.as_ptr().cast());
        Some(copy)
    }
}

/// A client whose context keeps which broker was asked last.
pub trait Asking: ClientContext {
    fn asked(&self) -> &AskedBroker;
}

/// The broker that was asked last. To choose one costs the metadata of every topic that the client knows, so with many topics, each
/// of which asks for itself, it is chosen anew only after a while, and when it does not answer.
#[derive(Debug, Default)]
pub struct AskedBroker(Mutex<Option<(i32, Instant)>>);

impl AskedBroker {
    fn last(&self) -> MutexGuard<'_, Option<(i32, Instant)>> {
        // Every change of it is a single assignment: a panic elsewhere leaves it whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lately(&self) -> Option<i32> {
        let last = *self.last();
        last.filter(|(_, chosen)| chosen.elapsed() < CHOSEN_FOR)
            .map(|(broker, _)| broker)
    }

    fn note(&self, broker: i32) -> i32 {
        *self.last() = Some((broker, Instant::now()));
        broker
    }

    fn forget(&self) {
        *self.last() = None;
    }
}

/// The controller, as librdkafka itself would choose, when there is one among the brokers; otherwise the first
/// broker. The built-in broker names a controller that does not exist.
fn broker_to_ask<C: Asking>(client: &Client<C>, timeout: Duration) -> Result<i32, String> {
    let millis = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
    let rk = client.native_ptr();
    // SAFETY: the client is borrowed and so alive. With `all_topics` 0 and no topic, librdkafka asks for the topics
    // that this client knows already, and so creates none. On success `metadata` is ours until it is destroyed, once,
    // below; `brokers` points to `broker_cnt` elements of it, whose ids are copied out before.
    let (error, ids, controller) = unsafe {
        let mut metadata = std::ptr::null();
        let error = ffi::rd_kafka_metadata(rk, 0, std::ptr::null_mut(), &raw mut metadata, millis);
        if metadata.is_null() {
            (error, Vec::new(), -1)
        } else {
            let count = usize::try_from((*metadata).broker_cnt).unwrap_or(0);
            let mut ids = Vec::with_capacity(count);
            for at in 0..count {
                ids.push((*(*metadata).brokers.add(at)).id);
            }
            ffi::rd_kafka_metadata_destroy(metadata);
            // The metadata just told it: no wait.
            (error, ids, ffi::rd_kafka_controllerid(rk, 0))
        }
    };
    if ids.contains(&controller) {
        return Ok(controller);
    }
    ids.first()
        .copied()
        .ok_or_else(|| RDKafkaErrorCode::from(error).to_string())
}

/// A describe request under way, with a queue of its own, so that requests of several threads never mix and a late
/// answer to an abandoned one goes nowhere. Borrows the client: a queue must be destroyed before its client.
struct DescribeRequest<'c, C: ClientContext> {
    _client: &'c Client<C>,
    queue: NonNull<ffi::rd_kafka_queue_t>,
}

impl<'c, C: ClientContext> DescribeRequest<'c, C> {
    fn new(client: &'c Client<C>, broker: i32, topics: &[&str], timeout: Duration) -> Result<Self, String> {
        let names: Vec<CString> = topics
            .iter()
            .map(|topic| CString::new(*topic).map_err(|_| format!("{topic:?} holds a NUL byte")))
            .collect::<Result<_, _>>()?;
        let mut pointers: Vec<*const c_char> = names.iter().map(|name| name.as_ptr()).collect();
        let timeout_millis = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX).max(1);
        let rk = client.native_ptr();
        // SAFETY: `rk` is a live client, borrowed for 'c. `pointers` are `pointers.len()` NUL-terminated texts that
        // live to the end of this function, and the collection copies them. The options and the collection are made,
        // used and destroyed here: DescribeTopics copies what it needs of both before it returns. Neither constructor
        // returns null for these arguments (they end the process when memory is out). The queue is owned by the
        // returned value, which destroys it once, and librdkafka keeps a reference of its own for the answer.
        unsafe {
            let queue = NonNull::new(ffi::rd_kafka_queue_new(rk)).ok_or("no queue to be had")?;
            let options = ffi::rd_kafka_AdminOptions_new(
                rk,
                ffi::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS,
            );
            // These refuse only what lies outside 0 to 3,600,000 ms, and a negative broker id: neither can be here.
            let mut reason = [0 as c_char; 128];
            ffi::rd_kafka_AdminOptions_set_request_timeout(
                options,
                timeout_millis.min(3_600_000),
                reason.as_mut_ptr(),
                reason.len(),
            );
            ffi::rd_kafka_AdminOptions_set_broker(options, broker, reason.as_mut_ptr(), reason.len());
            let collection =
                ffi::rd_kafka_TopicCollection_of_topic_names(pointers.as_mut_ptr(), pointers.len());
            ffi::rd_kafka_DescribeTopics(rk, collection, options, queue.as_ptr());
            ffi::rd_kafka_TopicCollection_destroy(collection);
            ffi::rd_kafka_AdminOptions_destroy(options);
            Ok(DescribeRequest {
                _client: client,
                queue,
            })
        }
    }

    fn wait(&self, timeout: Duration) -> Result<DescribeResult<'_>, String> {
        let millis = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
        // SAFETY: the queue is live and only this value polls it. An event that comes back is ours, and is destroyed
        // by `DescribeResult`. `rd_kafka_event_DescribeTopics_result` gives null for an event of another type, and
        // otherwise a pointer into the event.
        unsafe {
            let event = ffi::rd_kafka_queue_poll(self.queue.as_ptr(), millis);
            let event = NonNull::new(event).ok_or_else(|| format!("no answer within {millis} ms"))?;
            let result = DescribeResult {
                event,
                _queue: std::marker::PhantomData,
            };
            let error = ffi::rd_kafka_event_error(event.as_ptr());
            if error != RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR {
                let text = ffi::rd_kafka_event_error_string(event.as_ptr());
                return Err(owned_text(text));
            }
            if ffi::rd_kafka_event_DescribeTopics_result(event.as_ptr()).is_null() {
                return Err("librdkafka answered with an event of another kind".to_owned());
            }
            Ok(result)
        }
    }
}

impl<C: ClientContext> Drop for DescribeRequest<'_, C> {
    fn drop(&mut self) {
        // SAFETY: made by `rd_kafka_queue_new`, owned by this value alone, and destroyed here once, while the client
        // that it belongs to is still borrowed.
        unsafe { ffi::rd_kafka_queue_destroy(self.queue.as_ptr()) }
    }
}

/// The event that holds an answer. Everything read from it is copied out before it is destroyed.
struct DescribeResult<'q> {
    event: NonNull<ffi::rd_kafka_event_t>,
    _queue: std::marker::PhantomData<&'q ()>,
}

type NamedAnswer = (String, Result<TopicDescription, DescribeError>);

impl DescribeResult<'_> {
    fn topics(&self) -> Vec<NamedAnswer> {
        // SAFETY: the event is live and was checked in `wait` to be a DescribeTopics result. The array holds `count`
        // pointers, each to a description that lives as long as the event; `answer` copies out of them.
        unsafe {
            let result = ffi::rd_kafka_event_DescribeTopics_result(self.event.as_ptr());
            let mut count = 0;
            let array = ffi::rd_kafka_DescribeTopics_result_topics(result, &raw mut count);
            pointers(array, count)
                .iter()
                .map(|topic| answer(*topic))
                .collect()
        }
    }
}

impl Drop for DescribeResult<'_> {
    fn drop(&mut self) {
        // SAFETY: the event came from `rd_kafka_queue_poll`, is owned by this value alone, and is destroyed here once.
        unsafe { ffi::rd_kafka_event_destroy(self.event.as_ptr()) }
    }
}

/// SAFETY: `topic` must point to a description whose event is alive.
unsafe fn answer(topic: *const ffi::rd_kafka_TopicDescription_t) -> NamedAnswer {
    // SAFETY: all of these read a live description (the caller's promise) and return null, or pointers into it that are
    // copied before this function returns.
    unsafe {
        let name = owned_text(ffi::rd_kafka_TopicDescription_name(topic));
        let error = ffi::rd_kafka_TopicDescription_error(topic);
        let code = ffi::rd_kafka_error_code(error);
        if code != RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR {
            let reason = owned_text(ffi::rd_kafka_error_string(error));
            let fault = topic_fault(&name, code.into(), reason);
            return (name, Err(fault));
        }
        let mut count = 0;
        let array = ffi::rd_kafka_TopicDescription_partitions(topic, &raw mut count);
        let mut partitions: Vec<_> = pointers(array, count).iter().map(|p| partition(*p)).collect();
        partitions.sort_by_key(|partition| partition.partition);
        let id = ffi::rd_kafka_TopicDescription_topic_id(topic);
        let description = TopicDescription {
            name: name.clone(),
            topic_id: (!id.is_null()).then(|| topic_id_bits(id)).and_then(topic_id_text),
            partitions,
            is_internal: ffi::rd_kafka_TopicDescription_is_internal(topic) != 0,
        };
        (name, Ok(description))
    }
}

/// SAFETY: `info` must point to a partition of a description whose event is alive.
unsafe fn partition(info: *const ffi::rd_kafka_TopicPartitionInfo_t) -> PartitionDescription {
    // SAFETY: reads of a live partition (the caller's promise); the leader may be null.
    unsafe {
        let leader = ffi::rd_kafka_TopicPartitionInfo_leader(info);
        let leader = (!leader.is_null()).then(|| ffi::rd_kafka_Node_id(leader));
        let mut replicas = 0;
        ffi::rd_kafka_TopicPartitionInfo_replicas(info, &raw mut replicas);
        PartitionDescription {
            partition: ffi::rd_kafka_TopicPartitionInfo_partition(info),
            leader: leader.filter(|id| *id >= 0),
            replicas,
        }
    }
}

/// SAFETY: `id` must point to a live Uuid.
unsafe fn topic_id_bits(id: *const ffi::rd_kafka_Uuid_t) -> u128 {
    // SAFETY: plain reads of the live Uuid (the caller's promise). `rd_kafka_Uuid_base64str` is not used: it writes a
    // cache into the value, and in base64's other alphabet.
    let (high, low) = unsafe {
        (
            ffi::rd_kafka_Uuid_most_significant_bits(id),
            ffi::rd_kafka_Uuid_least_significant_bits(id),
        )
    };
    (u128::from(high.cast_unsigned()) << 64) | u128::from(low.cast_unsigned())
}

/// Kafka's spelling of a topic id. Zero is what a broker without topic ids leaves there.
fn topic_id_text(bits: u128) -> Option<String> {
    use base64::Engine;
    (bits != 0).then(|| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bits.to_be_bytes()))
}

fn topic_fault(topic: &str, code: RDKafkaErrorCode, reason: String) -> DescribeError {
    let topic = topic.to_owned();
    match code {
        RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic => {
            DescribeError::UnknownTopic { topic }
        }
        RDKafkaErrorCode::LeaderNotAvailable => DescribeError::NoAnswer {
            topics: topic,
            reason,
        },
        _ => DescribeError::Refused { topic, reason },
    }
}

/// SAFETY: `array` must be null or point to `count` readable elements that outlive the use of the result.
unsafe fn pointers<'a, T>(array: *mut *const T, count: usize) -> &'a [*const T] {
    if array.is_null() || count == 0 {
        return &[];
    }
    // SAFETY: the caller's promise.
    unsafe { std::slice::from_raw_parts(array, count) }
}

/// SAFETY: `text` must be null or a NUL-terminated text.
unsafe fn owned_text(text: *const c_char) -> String {
    if text.is_null() {
        return String::new();
    }
    // SAFETY: not null, and the caller's promise.
    unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_id_is_spelled_as_kafka_spells_it() {
        assert_eq!(topic_id_text(0), None);
        // java.util.Base64's URL encoder without padding, as Kafka's Uuid.toString uses it.
        let bits = 0xfbff_0000_0000_0000_0000_0000_0000_00ff;
        assert_eq!(topic_id_text(bits).as_deref(), Some("-_8AAAAAAAAAAAAAAAAA_w"));
    }
}
