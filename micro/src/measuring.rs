//! How a contender is timed: a whole batch at a time, by the processor's time, so that what else the machine does counts little.

use std::hint::black_box;
use std::time::Duration;

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, SamplingMode, Throughput};
use rustix::time::{ClockId, clock_gettime};

/// The measurements of one topic, to be told apart by the contenders' names. `rows` is what one measurement handles.
pub fn group<'a>(
    criterion: &'a mut Criterion,
    what: &str,
    topic: &str,
    rows: usize,
) -> BenchmarkGroup<'a, WallTime> {
    let mut group = criterion.benchmark_group(format!("{what}/{topic}"));
    group.throughput(Throughput::Elements(rows as u64));
    group.sampling_mode(SamplingMode::Flat);
    group
}

/// Times a contender that may run again and again.
pub fn measure<T>(group: &mut BenchmarkGroup<'_, WallTime>, contender: &str, run: impl Fn() -> T) {
    measure_once_each(group, contender, || (), |(), timer| timer.time(&run));
}

/// Times a contender that uses up what it is given, which is made anew before each time.
pub fn measure_once_each<I>(
    group: &mut BenchmarkGroup<'_, WallTime>,
    contender: &str,
    prepare: impl Fn() -> I,
    run: impl Fn(&mut I, &mut Timer),
) {
    group.bench_function(contender, |bencher| {
        bencher.iter_custom(|iterations| {
            let mut timer = Timer(Duration::ZERO);
            for _ in 0..iterations {
                run(&mut prepare(), &mut timer);
            }
            timer.0
        });
    });
}

/// Sums up the processor's time of what is timed. What it makes is dropped when the clock has stopped.
pub struct Timer(Duration);

impl Timer {
    pub fn time<T>(&mut self, run: impl FnOnce() -> T) {
        let began = processor_time();
        let made = black_box(run());
        self.0 += processor_time() - began;
        drop(made);
    }
}

/// Of this thread, in the kernel too.
fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::try_from(time).expect("it counts from 0")
}
