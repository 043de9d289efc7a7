//! The events as structs, as a program would declare them that knows its topics by heart.
//!
//! Texts are `Text`, borrowed from the record wherever it has them as they are: nothing is copied, and nothing can be
//! kept when the record is gone. With `String` instead it can be.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeOwned, Deserializer, Visitor};
use serde::{Deserialize, Serialize};

/// An event's struct, with texts that are borrowed and with texts of its own.
pub trait Shape {
    type Borrowed<'a>: Deserialize<'a> + Serialize;
    type Owned: DeserializeOwned + Serialize;
}

macro_rules! shape {
    ($event:ident) => {
        impl Shape for $event<String> {
            type Borrowed<'a> = $event<Text<'a>>;
            type Owned = $event<String>;
        }
    };
}

#[derive(Deserialize, Serialize)]
pub struct Click<T> {
    event_type: T,
    user_id: i64,
    item_id: i64,
    timestamp: T,
    page_url: T,
    click_duration: f64,
}
shape!(Click);

#[derive(Deserialize, Serialize)]
pub struct View<T> {
    event_type: T,
    user_id: i64,
    item_id: i64,
    timestamp: T,
    view_duration: f64,
    device_type: T,
}
shape!(View);

#[derive(Deserialize, Serialize)]
pub struct Rating<T> {
    event_type: T,
    user_id: i64,
    item_id: i64,
    timestamp: T,
    rating: i64,
    review_text: Option<T>,
}
shape!(Rating);

#[derive(Deserialize, Serialize)]
pub struct Ticket<T> {
    ticket_id: T,
    client_id: i64,
    created_at: T,
    request: T,
    r#type: T,
    priority: T,
}
shape!(Ticket);

#[derive(Deserialize, Serialize)]
pub struct Order<T> {
    order_id: T,
    created_at: T,
    status: T,
    currency: T,
    customer: Customer<T>,
    payment: Payment<T>,
    lines: Vec<Line<T>>,
    note: T,
    client: Client<T>,
}
shape!(Order);

#[derive(Deserialize, Serialize)]
struct Customer<T> {
    id: i64,
    name: T,
    email: T,
    loyal: bool,
    address: Address<T>,
}

#[derive(Deserialize, Serialize)]
struct Address<T> {
    street: T,
    city: T,
    postcode: T,
    country: T,
}

#[derive(Deserialize, Serialize)]
struct Payment<T> {
    method: T,
    amount: f64,
    reference: T,
}

#[derive(Deserialize, Serialize)]
struct Line<T> {
    item_id: i64,
    title: T,
    quantity: i64,
    unit_price: f64,
}

#[derive(Deserialize, Serialize)]
struct Client<T> {
    device: T,
    version: T,
    session: T,
}

/// A text, borrowed where the parser lends it. Serde's own `Cow` is so only directly in a field, not in an `Option`.
#[derive(Serialize)]
#[serde(transparent)]
pub struct Text<'a>(Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(TextVisitor).map(Text)
    }
}

struct TextVisitor;

impl<'de> Visitor<'de> for TextVisitor {
    type Value = Cow<'de, str>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a string")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(text))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(text.to_owned()))
    }
}
