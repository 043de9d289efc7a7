//! `count`, which counts distinct texts of a dictionary once a dictionary instead of once a row.

use std::mem::size_of;

use arrow::array::{Array as _, ArrayRef, AsArray as _, StringViewArray, UInt32Array};
use arrow::buffer::Buffer;
use arrow::compute::take;
use arrow::datatypes::{DataType, FieldRef};
use datafusion::common::{HashSet, Result, ScalarValue};
use datafusion::functions_aggregate::count::Count;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::{
    Accumulator, AggregateUDFImpl, Documentation, GroupsAccumulator, ReversedUDAF, SetMonotonicity,
    Signature, StatisticsArgs,
};

/// Fewer rows than these are not worth a second look: the rest of a file, or one group of many.
const ROWS_MIN: usize = 4_096;

/// DataFusion's `count`, but for how it looks at distinct texts.
#[derive(Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct CountTexts {
    count: Count,
}

impl AggregateUDFImpl for CountTexts {
    fn name(&self) -> &str {
        self.count.name()
    }

    fn signature(&self) -> &Signature {
        self.count.signature()
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        self.count.return_type(types)
    }

    fn is_nullable(&self) -> bool {
        self.count.is_nullable()
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        self.count.state_fields(args)
    }

    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        let are_texts = args.is_distinct
            && args.exprs.len() == 1
            && args.expr_fields[0].data_type() == &DataType::Utf8View;
        let count = self.count.accumulator(args)?;
        Ok(if are_texts {
            Box::new(DistinctTexts::new(count))
        } else {
            count
        })
    }

    fn groups_accumulator_supported(&self, args: AccumulatorArgs) -> bool {
        self.count.groups_accumulator_supported(args)
    }

    fn create_groups_accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn GroupsAccumulator>> {
        self.count.create_groups_accumulator(args)
    }

    fn create_sliding_accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        self.count.create_sliding_accumulator(args)
    }

    fn reverse_expr(&self) -> ReversedUDAF {
        self.count.reverse_expr()
    }

    fn default_value(&self, data_type: &DataType) -> Result<ScalarValue> {
        self.count.default_value(data_type)
    }

    fn value_from_stats(&self, args: &StatisticsArgs) -> Option<ScalarValue> {
        self.count.value_from_stats(args)
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.count.documentation()
    }

    fn set_monotonicity(&self, data_type: &DataType) -> SetMonotonicity {
        self.count.set_monotonicity(data_type)
    }
}

/// Passes on to the counting only texts that it can not have seen. Rows of one dictionary hold the very same view of the same
/// bytes for the same text, so comparing 16 bytes tells most rows that repeat, without a look at their text. Two views of equal
/// texts may differ: those are both passed on, and counted as one there.
#[derive(Debug)]
struct DistinctTexts {
    count: Box<dyn Accumulator>,
    /// What the views seen point into. Held, so that nothing else can come to lie at their addresses.
    bytes: Vec<Buffer>,
    seen: HashSet<u128>,
    /// Whether texts come without a dictionary, so that looking is in vain.
    is_in_vain: bool,
}

impl DistinctTexts {
    fn new(count: Box<dyn Accumulator>) -> DistinctTexts {
        DistinctTexts {
            count,
            bytes: Vec::new(),
            seen: HashSet::new(),
            is_in_vain: false,
        }
    }

    /// Rows whose views were not seen before; nulls, which do not count, are not among them.
    fn unseen(&mut self, texts: &StringViewArray) -> UInt32Array {
        let same = |(held, buffer): (&Buffer, &Buffer)| held.ptr_eq(buffer) && held.len() == buffer.len();
        let buffers = texts.data_buffers();
        if self.bytes.len() != buffers.len() || !self.bytes.iter().zip(buffers.iter()).all(same) {
            self.bytes = buffers.to_vec();
            self.seen.clear();
        }
        let views = texts.views().iter().zip(0_u32..);
        let unseen = views.filter(|&(view, row)| texts.is_valid(row as usize) && self.seen.insert(*view));
        UInt32Array::from_iter_values(unseen.map(|(_, row)| row))
    }
}

impl Accumulator for DistinctTexts {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let rows = values[0].len();
        if self.is_in_vain || rows < ROWS_MIN {
            return self.count.update_batch(values);
        }
        let unseen = self.unseen(values[0].as_string_view());
        if unseen.len() > rows / 2 {
            self.is_in_vain = true;
            (self.bytes, self.seen) = (Vec::new(), HashSet::new());
            return self.count.update_batch(values);
        }
        self.count.update_batch(&[take(&values[0], &unseen, None)?])
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        self.count.evaluate()
    }

    fn size(&self) -> usize {
        let held: usize = self.bytes.iter().map(Buffer::len).sum();
        self.count.size() + held + self.seen.capacity() * (size_of::<u128>() + 1)
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        self.count.state()
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.count.merge_batch(states)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::StringViewBuilder;
    use datafusion::functions_aggregate::count::count_udaf;
    use datafusion::logical_expr::AggregateUDF;
    use datafusion::prelude::SessionContext;

    use super::*;

    /// Texts as a dictionary of these gives them, each too long to stand in its view; every seventh is null.
    fn of_dictionary(words: &[String], rows: usize) -> ArrayRef {
        let mut builder = StringViewBuilder::new();
        words.iter().for_each(|word| builder.append_value(word));
        let rows = (0..rows).map(|row| (row % 7 != 0).then_some((row * 31 % words.len()) as u32));
        take(&builder.finish(), &UInt32Array::from_iter(rows), None).expect("rows of the dictionary")
    }

    fn words(from: usize, count: usize) -> Vec<String> {
        let word = |n| format!("https://boutique.example/an-article-{n}");
        (from..from + count).map(word).collect()
    }

    /// What is counted over these batches, by ours and by DataFusion's.
    fn counted(batches: &[ArrayRef]) -> (i64, i64) {
        let by = |count: AggregateUDF| {
            let context = SessionContext::new();
            context.register_udaf(count);
            let schema = arrow::datatypes::Schema::new(vec![arrow::datatypes::Field::new(
                "text",
                DataType::Utf8View,
                true,
            )]);
            let schema = Arc::new(schema);
            let batch = |texts: &ArrayRef| {
                arrow::array::RecordBatch::try_new(Arc::clone(&schema), vec![Arc::clone(texts)])
            };
            let rows = batches
                .iter()
                .map(|texts| batch(texts).expect("one column"))
                .collect();
            let table = datafusion::datasource::MemTable::try_new(Arc::clone(&schema), vec![rows]);
            context
                .register_table("texts", Arc::new(table.expect("a table")))
                .expect("its name is free");
            let runtime = tokio::runtime::Builder::new_current_thread()
                .build()
                .expect("a runtime");
            let answer = runtime.block_on(async {
                let sql = "SELECT count(DISTINCT text) FROM texts";
                context.sql(sql).await.expect(sql).collect().await.expect(sql)
            });
            answer[0]
                .column(0)
                .as_primitive::<arrow::datatypes::Int64Type>()
                .value(0)
        };
        (
            by(AggregateUDF::from(CountTexts::default())),
            by((*count_udaf()).clone()),
        )
    }

    #[test]
    fn texts_of_several_dictionaries_and_of_none_are_counted_once() {
        let many = of_dictionary(&words(0, 20_000), 8_192);
        let batches = [
            of_dictionary(&words(0, 300), 8_192),
            of_dictionary(&words(200, 300), 8_192),
            of_dictionary(&words(0, 300), 5_000),
            of_dictionary(&words(600, 100), 90),
            of_dictionary(&["short".to_owned(), String::new()], 6_000),
            many,
            of_dictionary(&words(0, 300), 8_192),
        ];
        for end in 1..=batches.len() {
            let (ours, theirs) = counted(&batches[..end]);
            assert_eq!(ours, theirs, "of {end} batches");
        }
        assert_eq!(counted(&batches[..2]).0, 500);
        assert_eq!(counted(&batches[..5]).0, 579);
    }

    #[test]
    fn only_the_first_row_of_each_text_of_a_dictionary_is_looked_at() {
        let texts = of_dictionary(&words(0, 300), 8_192);
        let mut distinct = DistinctTexts::new(Box::new(Refused));
        assert_eq!(distinct.unseen(texts.as_string_view()).len(), 300);
        let next = texts.slice(4_096, 4_096);
        assert_eq!(
            distinct.unseen(next.as_string_view()).len(),
            0,
            "the same dictionary"
        );
        let other = of_dictionary(&words(0, 300), 8_192);
        assert_eq!(
            distinct.unseen(other.as_string_view()).len(),
            300,
            "another dictionary"
        );
    }

    /// Counts nothing.
    #[derive(Debug)]
    struct Refused;

    impl Accumulator for Refused {
        fn update_batch(&mut self, _: &[ArrayRef]) -> Result<()> {
            unreachable!("only rows are chosen")
        }

        fn evaluate(&mut self) -> Result<ScalarValue> {
            unreachable!("only rows are chosen")
        }

        fn size(&self) -> usize {
            0
        }

        fn state(&mut self) -> Result<Vec<ScalarValue>> {
            unreachable!("only rows are chosen")
        }

        fn merge_batch(&mut self, _: &[ArrayRef]) -> Result<()> {
            unreachable!("only rows are chosen")
        }
    }
}
