//! Schemas made from bytes, each made once: it takes longer than a record under it.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use crate::choices::Choices;
use crate::decode::{Subject, schemas};

/// Schemas held; when there are more, all are made anew.
const HELD_MAX: usize = 512;

thread_local! {
    static HELD: RefCell<HashMap<Vec<u8>, Rc<Subject>>> = RefCell::new(HashMap::new());
}

/// The schema that these bytes choose.
pub(super) fn of(chosen: &[u8]) -> Rc<Subject> {
    HELD.with_borrow_mut(|held| {
        if let Some(subject) = held.get(chosen) {
            return Rc::clone(subject);
        }
        if held.len() >= HELD_MAX {
            held.clear();
        }
        let subject = Rc::new(Subject::new(schemas::root(&mut Choices::new(chosen))));
        held.insert(chosen.to_owned(), Rc::clone(&subject));
        subject
    })
}
