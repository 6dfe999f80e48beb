use super::*;

/// What tests of the decoder see of the table.
impl Table {
    /// Names and values, the newest first.
    pub(in super::super) fn contents(&self) -> Vec<(Vec<u8>, Vec<u8>)> {
        self.entries.iter().map(|&entry| self.owned(entry)).collect()
    }

    pub(in super::super) fn size(&self) -> usize {
        self.size
    }

    fn owned(&self, entry: Entry) -> (Vec<u8>, Vec<u8>) {
        let mut name = Vec::new();
        self.append_name(entry, &mut name);
        let mut octets = Vec::new();
        self.append(entry, &mut octets);
        let value = octets.split_off(name.len());
        assert_eq!(octets, name);
        (entry.index().map_or(name, |index| index.name().to_vec()), value)
    }

    fn add(&mut self, name: &str, value: &str) {
        self.insert(StaticIndex::of_name(name.as_bytes()), name.as_bytes(), value.as_bytes());
    }
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(Vec<u8>, Vec<u8>)> {
    expected.iter().map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec())).collect()
}

#[test]
fn a_table_without_entries_holds_no_memory() {
    let mut table = Table::new(4096);
    assert_eq!(table.memory(), 0);
    table.resize(0);
    table.resize(4096);
    table.rest();
    assert_eq!(table.memory(), 0);
}

#[test]
fn the_newest_entry_comes_first() {
    let mut table = Table::new(4096);
    table.add("x-one", "1");
    table.add("host", "two");
    table.add("x-three", "");
    assert_eq!(table.contents(), pairs(&[("x-three", ""), ("host", "two"), ("x-one", "1")]));
    assert_eq!(table.size(), (5 + 1 + 32) + (4 + 3 + 32) + (7 + 32));
    assert!(table.get(3).is_none());
}

#[test]
fn an_entry_of_exactly_the_maximum_fits_and_a_larger_one_empties_the_table() {
    let mut table = Table::new(64);
    table.add("x-a", &"v".repeat(29));
    assert_eq!((table.len(), table.size()), (1, 64));
    table.add("x-a", &"v".repeat(30));
    assert_eq!((table.len(), table.size()), (0, 0));
}

#[test]
fn a_smaller_maximum_evicts_the_oldest() {
    let mut table = Table::new(4096);
    for value in ["1", "2", "3"] {
        table.add("x", value);
    }
    table.resize(34 * 2 + 33);
    assert_eq!(table.contents(), pairs(&[("x", "3"), ("x", "2")]));
    table.resize(0);
    assert_eq!((table.len(), table.size()), (0, 0));
    table.add("x", "4");
    assert_eq!(table.len(), 0);
}

#[test]
fn entries_survive_that_they_wrap_around_the_end_of_the_ring() {
    let mut table = Table::new(200);
    let values: Vec<String> = (0..1000).map(|n| format!("{n:0>width$}", width = 3 + n % 40)).collect();
    for (position, value) in values.iter().enumerate() {
        table.add("x-n", value);
        let held: Vec<_> = values[..=position].iter().rev().take(table.len()).map(|v| ("x-n", v.as_str())).collect();
        assert_eq!(table.contents(), pairs(&held));
        assert!(table.size() <= 200 && table.size() + 3 + 42 + 32 >= 200.min(position * 38));
    }
}

#[test]
fn memory_stays_within_the_maximum_and_a_small_record_for_each_entry() {
    for max in [4096, super::super::MAX_TABLE_SIZE] {
        let mut table = Table::new(max);
        for n in 0..20_000 {
            table.add("x-request-id", &n.to_string());
        }
        assert!(table.memory() <= max as usize + table.len().next_power_of_two() * 8, "{} bytes", table.memory());
    }
}

#[test]
fn the_names_of_the_static_table_are_not_stored() {
    let mut table = Table::new(4096);
    table.add("content-type", "text/plain");
    assert_eq!(table.stored, 10);
    assert_eq!(table.size(), 12 + 10 + 32);
}

#[test]
fn rest_keeps_the_entries_and_nothing_else() {
    let mut table = Table::new(300);
    for n in 0..50 {
        table.add("x-n", &format!("value {n}"));
    }
    let held = table.contents();
    table.rest();
    assert_eq!(table.contents(), held);
    assert_eq!(table.memory(), table.stored + held.len() * size_of::<Entry>());
    table.add("x-n", "after");
    assert_eq!(table.contents()[0], pairs(&[("x-n", "after")])[0]);
    assert_eq!(table.contents()[1..], held[..table.len() - 1]);
    table.resize(0);
    table.rest();
    assert_eq!(table.memory(), 0);
}

#[test]
fn an_entry_record_takes_eight_bytes() {
    assert_eq!(size_of::<Entry>(), 8);
}
