//! Threads of the model: coroutines that stand still before every call to the world, and may stay there for ever.
//!
//! A writer's code reads as the engine's does, call by call. Whoever runs the schedule decides who makes its next call;
//! a crash drops the coroutine where it stands.

use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use crate::coverage::Transition;
use crate::world::{ProcessId, World};

type Condition = Rc<dyn Fn(&World) -> bool>;

/// A call that did not work.
#[derive(Clone, Debug)]
pub enum Trouble {
    /// Trying again may help; the call may have been done all the same.
    NotNow,
    /// A person must act.
    Fatal(String),
}

/// A thread's access to the world.
#[derive(Clone)]
pub struct Thread {
    world: Rc<RefCell<World>>,
    pub me: ProcessId,
    waits_for: Rc<RefCell<Option<Condition>>>,
}

impl Thread {
    #[must_use]
    pub fn new(world: Rc<RefCell<World>>, me: ProcessId) -> Thread {
        Thread {
            world,
            me,
            waits_for: Rc::default(),
        }
    }

    /// Looks at the world, or changes what is nobody's step.
    pub fn with<T>(&self, act: impl FnOnce(&mut World) -> T) -> T {
        act(&mut self.world.borrow_mut())
    }

    /// One step: others may come before it.
    pub async fn step<T>(&self, transition: Transition, act: impl FnOnce(&mut World) -> T) -> T {
        Turn::default().await;
        self.with(|world| {
            world.fired(transition);
            act(world)
        })
    }

    /// One step that may fail, before it is done or after.
    pub async fn call<T>(
        &self,
        transition: Transition,
        act: impl FnOnce(&mut World) -> T,
    ) -> Result<T, Trouble> {
        Turn::default().await;
        self.with(|world| {
            let fails = world.profile.call_fails;
            if world.strikes(fails) {
                world.fired(Transition::CallFails);
                if world.strikes(500) {
                    world.fired(transition);
                    act(world);
                }
                world.tell_of(self.me, || format!("sees a call fail: {}", transition.text()));
                return Err(Trouble::NotNow);
            }
            world.fired(transition);
            Ok(act(world))
        })
    }

    /// Others may come here.
    pub async fn turn(&self) {
        Turn::default().await;
    }

    /// Stands still until something is so.
    pub async fn until(&self, condition: impl Fn(&World) -> bool + 'static) {
        let condition: Condition = Rc::new(condition);
        loop {
            if self.with(|world| condition(world)) {
                return;
            }
            *self.waits_for.borrow_mut() = Some(Rc::clone(&condition));
            Turn::default().await;
            *self.waits_for.borrow_mut() = None;
        }
    }
}

/// Gives the turn away once.
#[derive(Default)]
struct Turn {
    taken: bool,
}

impl Future for Turn {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        if self.taken {
            return Poll::Ready(());
        }
        self.taken = true;
        Poll::Pending
    }
}

/// A coroutine with what the schedule knows of it.
pub struct Task {
    pub process: ProcessId,
    pub name: &'static str,
    body: Pin<Box<dyn Future<Output = ()>>>,
    waits_for: Rc<RefCell<Option<Condition>>>,
    /// It stands still until this step.
    pub stalled_until: u64,
    pub is_over: bool,
}

impl Task {
    pub fn new(name: &'static str, thread: &Thread, body: impl Future<Output = ()> + 'static) -> Task {
        Task {
            process: thread.me,
            name,
            body: Box::pin(body),
            waits_for: Rc::clone(&thread.waits_for),
            stalled_until: 0,
            is_over: false,
        }
    }

    #[must_use]
    pub fn is_ready(&self, world: &World) -> bool {
        let waits = self.waits_for.borrow();
        !self.is_over && waits.as_ref().is_none_or(|condition| condition(world))
    }

    /// Up to its next step.
    pub fn go_on(&mut self) {
        let mut context = Context::from_waker(Waker::noop());
        if self.body.as_mut().poll(&mut context).is_ready() {
            self.is_over = true;
        }
    }
}
