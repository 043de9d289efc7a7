//! Histograms: stretches of equal width between the least and the greatest value, and the rows in each.

use super::figures::{Bin, Kind, Moment, Value};

/// As many as there are at most.
pub const BINS_MAX: usize = 16;

/// Edges of stretches, and their rows so far.
#[derive(Debug)]
pub struct Bins {
    /// One more than there are bins; none where there is nothing to divide.
    edges: Vec<Value>,
    positions: Vec<f64>,
    rows: Vec<u64>,
}

impl Bins {
    /// Bins between two values. Those of whole numbers are whole, and all as wide as each other; so the last may end beyond the
    /// greatest value.
    pub fn between(kind: Kind, min: Option<&Value>, max: Option<&Value>) -> Bins {
        let edges = match (min, max) {
            (Some(Value::Number(min)), Some(Value::Number(max))) if min < max => of_numbers(*min, *max),
            (Some(min), Some(max)) => match (whole(min), whole(max)) {
                (Some(min), Some(max)) if min < max => of_whole(kind, min, max),
                _ => Vec::new(),
            },
            _ => Vec::new(),
        };
        Bins {
            positions: edges.iter().filter_map(Value::position).collect(),
            rows: vec![0; edges.len().saturating_sub(1)],
            edges,
        }
    }

    /// The edges between bins.
    pub fn inner_edges(&self) -> &[f64] {
        match self.positions.as_slice() {
            [] => &[],
            [_, inner @ .., _] => inner,
            [_] => &[],
        }
    }

    pub fn take(&mut self, value: &Value, rows: u64) {
        if let Some(position) = value.position()
            && !self.rows.is_empty()
        {
            let bin = self.inner_edges().partition_point(|edge| *edge <= position);
            self.rows[bin] += rows;
        }
    }

    pub fn finish(self) -> Vec<Bin> {
        let edges = self.edges.windows(2);
        let bin = |(edges, rows): (&[Value], u64)| Bin {
            from: edges[0].clone(),
            to: edges[1].clone(),
            rows,
        };
        edges.zip(self.rows).map(bin).collect()
    }

    /// The bins where it is known how many rows lie below each one's end.
    pub fn of_cumulated(mut self, below: &[u64]) -> Vec<Bin> {
        let mut before = 0;
        for (rows, below) in self.rows.iter_mut().zip(below) {
            *rows = below - before;
            before = *below;
        }
        self.finish()
    }
}

fn of_numbers(min: f64, max: f64) -> Vec<Value> {
    let edge = |index: usize| {
        let share = index as f64 / BINS_MAX as f64;
        match index {
            0 => min,
            BINS_MAX => max,
            // Not by their difference, which may be beyond all numbers.
            _ => min * (1.0 - share) + max * share,
        }
    };
    (0..=BINS_MAX).map(|index| Value::Number(edge(index))).collect()
}

fn of_whole(kind: Kind, min: i64, max: i64) -> Vec<Value> {
    let values = i128::from(max) - i128::from(min) + 1;
    let width = (values + BINS_MAX as i128 - 1) / BINS_MAX as i128;
    let bins = (values + width - 1) / width;
    let edge = |index: i128| {
        let edge = i64::try_from(i128::from(min) + index * width).unwrap_or(i64::MAX);
        match kind {
            Kind::Time => Value::Time(Moment(edge)),
            Kind::Date => Value::Date(edge),
            _ => Value::Integer(edge),
        }
    };
    (0..=bins).map(edge).collect()
}

fn whole(value: &Value) -> Option<i64> {
    match value {
        Value::Integer(value) | Value::Time(Moment(value)) | Value::Date(value) => Some(*value),
        Value::Number(_) | Value::Boolean(_) | Value::Text(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(kind: Kind, values: &[Value]) -> Vec<(Value, Value, u64)> {
        let mut bins = Bins::between(kind, values.first(), values.last());
        values.iter().for_each(|value| bins.take(value, 1));
        let bins = bins.finish().into_iter();
        bins.map(|bin| (bin.from, bin.to, bin.rows)).collect()
    }

    #[test]
    fn few_whole_numbers_have_a_bin_each_and_many_share_equal_ones() {
        let ratings: Vec<Value> = [1, 2, 2, 5].map(Value::Integer).to_vec();
        let rows: Vec<u64> = counted(Kind::Integer, &ratings).iter().map(|bin| bin.2).collect();
        assert_eq!(rows, [1, 2, 0, 0, 1]);
        let twenty: Vec<Value> = (0..20).map(Value::Integer).collect();
        let bins = counted(Kind::Integer, &twenty);
        assert_eq!(bins.len(), 10);
        assert!(bins.iter().all(|bin| bin.2 == 2), "{bins:?}");
        let extremes = [i64::MIN, 0, i64::MAX].map(Value::Integer);
        let rows: u64 = counted(Kind::Integer, &extremes).iter().map(|bin| bin.2).sum();
        assert_eq!(rows, 3);
    }

    #[test]
    fn numbers_are_divided_evenly_and_the_greatest_is_in_the_last_bin() {
        let numbers: Vec<Value> = (0..=16).map(|value| Value::Number(f64::from(value))).collect();
        let bins = counted(Kind::Number, &numbers);
        assert_eq!(bins.len(), BINS_MAX);
        assert_eq!(bins[3], (Value::Number(3.0), Value::Number(4.0), 1));
        assert_eq!(bins[15], (Value::Number(15.0), Value::Number(16.0), 2));
        let extremes = [f64::MIN, 0.0, f64::MAX].map(Value::Number);
        let rows: u64 = counted(Kind::Number, &extremes).iter().map(|bin| bin.2).sum();
        assert_eq!(rows, 3);
    }

    #[test]
    fn one_value_is_no_distribution() {
        assert!(counted(Kind::Number, &[Value::Number(1.0)]).is_empty());
        assert!(counted(Kind::Time, &[Value::Time(Moment(1))]).is_empty());
        assert!(Bins::between(Kind::Integer, None, None).finish().is_empty());
    }

    #[test]
    fn bins_of_counts_below_their_ends_are_those_of_values() {
        let values: Vec<Value> = (0..64).map(Value::Integer).collect();
        let bins = Bins::between(Kind::Integer, values.first(), values.last());
        let below = |edge: &f64| {
            values
                .iter()
                .filter(|value| value.position() < Some(*edge))
                .count() as u64
        };
        let mut ends: Vec<u64> = bins.inner_edges().iter().map(below).collect();
        ends.push(values.len() as u64);
        let rows: Vec<u64> = bins.of_cumulated(&ends).iter().map(|bin| bin.rows).collect();
        assert_eq!(rows, [4; 16]);
    }
}
