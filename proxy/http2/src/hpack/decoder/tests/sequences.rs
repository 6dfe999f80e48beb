//! Random sequences of blocks, settings and rests, and random octets.

use proptest::prelude::*;

use super::reference::{Literal, Manner, Pair, ReferenceEncoder};
use super::*;

#[derive(Clone, Debug)]
enum Step {
    Setting(u32),
    Block { wish: Option<u32>, fields: Vec<(Pair, Manner)> },
    Rest,
}

fn name() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => (1u32..=61).prop_map(|index| StaticIndex::new(index).unwrap().name().to_vec()),
        4 => "x-[a-c]{1,2}".prop_map(String::into_bytes),
        1 => prop::collection::vec(any::<u8>(), 0..80),
    ]
}

fn value() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        2 => (1u32..=61).prop_map(|index| StaticIndex::new(index).unwrap().value().to_vec()),
        4 => "[a-b]{0,2}".prop_map(String::into_bytes),
        2 => "[ -~]{0,100}".prop_map(String::into_bytes),
        1 => prop::collection::vec(any::<u8>(), 0..300),
    ]
}

fn manner() -> impl Strategy<Value = Manner> {
    let literal = prop_oneof![3 => Just(Literal::Incremental), 1 => Just(Literal::Without), 1 => Just(Literal::Never)];
    (any::<[bool; 5]>(), literal).prop_map(|([whole_entry, entry_name, from_the_last, name, value], literal)| Manner {
        whole_entry,
        entry_name,
        from_the_last,
        literal,
        huffman_name: name,
        huffman_value: value,
    })
}

fn table_size() -> impl Strategy<Value = u32> {
    prop_oneof![Just(0), 0u32..300, 0u32..5000, Just(MAX_TABLE_SIZE)]
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let fields = prop::collection::vec(((name(), value()), manner()), 0..12);
    let block = (prop::option::weighted(0.2, table_size()), fields);
    let step = prop_oneof![
        1 => table_size().prop_map(Step::Setting),
        1 => Just(Step::Rest),
        6 => block.prop_map(|(wish, fields)| Step::Block { wish, fields }),
    ];
    prop::collection::vec(step, 1..16)
}

fn limits() -> impl Strategy<Value = FieldLimits> {
    prop_oneof![
        Just(LIMITS),
        (0u32..2000, 0u16..20, 0u32..30, 0u32..120).prop_map(|(list_size, count, name, value)| FieldLimits {
            list_size,
            count,
            name,
            value
        }),
    ]
}

/// The first of the fields that the limits allow.
fn within(limits: &FieldLimits, given: &[(Pair, bool)]) -> usize {
    let mut size = 0;
    given
        .iter()
        .take(usize::from(limits.count))
        .take_while(|((name, value), _)| {
            size += name.len() + value.len() + 32;
            name.len() <= limits.name as usize
                && value.len() <= limits.value as usize
                && size <= limits.list_size as usize
        })
        .count()
}

proptest! {
    #[test]
    fn the_decoder_follows_an_encoder_that_uses_everything(
        first in table_size(),
        steps in steps(),
        limits in limits(),
    ) {
        let mut encoder = ReferenceEncoder::new(first);
        let mut decoder = Decoder::new(first);
        let mut arena = Fields::new();
        for step in steps {
            match step {
                Step::Setting(size) => {
                    encoder.limit(size);
                    decoder.set_max_table_size(size);
                }
                Step::Rest => {
                    decoder.rest();
                    arena.rest();
                }
                Step::Block { wish, fields } => {
                    let mut block = Vec::new();
                    encoder.start(&mut block, wish);
                    let mut given = Vec::new();
                    for (field, manner) in fields {
                        let is_never_indexed = encoder.field(&mut block, &field, manner);
                        given.push((field, is_never_indexed));
                    }
                    decoder.decode(&block, &limits, &mut arena).unwrap();
                    let stored = within(&limits, &given);
                    prop_assert_eq!(arena.exceeded().is_some(), stored < given.len());
                    prop_assert_eq!(arena.len(), stored);
                    for (((name, value), is_never_indexed), field) in given.iter().zip(arena.iter()) {
                        prop_assert_eq!((field.name, field.value), (&name[..], &value[..]));
                        prop_assert_eq!(field.never_indexed, *is_never_indexed);
                        prop_assert_eq!(field.index, StaticIndex::of_name(name));
                    }
                    prop_assert_eq!(decoder.contents(), encoder.table.iter().cloned().collect::<Vec<_>>());
                    prop_assert_eq!(decoder.table_size(), encoder.size());
                }
            }
        }
    }

    #[test]
    fn random_octets_never_panic_and_never_pass_the_limits(
        blocks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..400), 1..8),
        limits in limits(),
    ) {
        let mut decoder = Decoder::new(4096);
        let mut arena = Fields::new();
        for block in blocks {
            if decoder.decode(&block, &limits, &mut arena).is_err() {
                prop_assert!(arena.is_empty());
                decoder = Decoder::new(4096);
            }
            prop_assert!(arena.len() <= usize::from(limits.count));
            prop_assert!(arena.size() <= limits.list_size as usize);
            let size: usize = arena.iter().map(|field| field.name.len() + field.value.len() + 32).sum();
            prop_assert_eq!(arena.size(), size);
            prop_assert!(arena.iter().all(|field| field.name.len() <= limits.name as usize));
            prop_assert!(arena.iter().all(|field| field.value.len() <= limits.value as usize));
            prop_assert!(decoder.table_size() <= 4096);
            prop_assert!(decoder.memory() <= 4096 + 256 * 8);
        }
    }
}
