//! What the micro-benchmarks measure: records, and what eventlake and others make of them.
//!
//! The files, in the order of the flow: `records` (the events' bytes), `shapes` (the same events as structs), `decoders` (each
//! contender, from bytes to rows), `lake` and `writers` (the same for files), `agreement` (all contenders see the same values, or
//! nothing is measured), `measuring` (the clock).

pub mod agreement;
pub mod decoders;
pub mod lake;
pub mod measuring;
pub mod records;
pub mod shapes;
pub mod writers;
