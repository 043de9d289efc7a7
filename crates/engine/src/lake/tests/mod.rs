//! The log and table on a real file system: races, crashes at every call, damage, cleaning, exchange.

mod commits;
mod crash;
mod damage;
mod durability;
mod exchange;
mod owner;
mod race;
pub(crate) mod support;
mod truncation;
