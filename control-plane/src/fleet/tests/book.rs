use std::sync::Arc;

use tokio_stream::StreamExt;

use super::replica::{route, tally};
use crate::fleet::{
    Book,
    book::{BATCH, Batch, Behind, Reader},
};

/// The names in the next batch, those that are gone with a minus, and `.` where it is complete.
async fn next(reader: &mut Reader) -> String {
    text(&reader.next().await.unwrap().unwrap())
}

fn text(batch: &Batch) -> String {
    let mut words: Vec<String> = batch
        .tallies
        .iter()
        .map(|(object, tally)| match tally {
            Some(tally) => format!("{}={}", object.name, tally.accepted),
            None => format!("-{}", object.name),
        })
        .collect();
    words.extend(batch.complete.then(|| ".".to_owned()));
    words.join(" ")
}

#[tokio::test]
async fn a_reader_gets_what_is_there_and_then_the_last_state_of_what_changed() {
    let book = Arc::new(Book::default());
    book.write(vec![(route("a"), Some(tally(1, 0, 9))), (route("b"), Some(tally(1, 0, 9)))], false);
    let mut reader = book.read();
    assert_eq!(next(&mut reader).await, "a=0 b=0");
    book.write(vec![], true);
    assert_eq!(next(&mut reader).await, ".");
    for accepted in 1..5 {
        book.write(vec![(route("a"), Some(tally(1, accepted, 9)))], true);
    }
    book.write(vec![(route("b"), None)], true);
    assert_eq!(next(&mut reader).await, "a=4 -b .");
    assert_eq!(next(&mut book.read()).await, "a=4 -b .");
}

#[tokio::test]
async fn an_empty_book_is_told_once_it_is_complete() {
    let book = Arc::new(Book::default());
    let mut reader = book.read();
    book.write(vec![], true);
    assert_eq!(next(&mut reader).await, ".");
}

#[tokio::test]
async fn who_missed_that_objects_went_reads_anew_and_who_read_them_goes_on() {
    let book = Arc::new(Book::default());
    let names: Vec<String> = (0..5000).map(|n| format!("r{n}")).collect();
    book.write(names.iter().map(|name| (route(name), Some(tally(1, 1, 1)))).collect(), true);
    let (mut slow, mut quick) = (book.read(), book.read());
    slow.next().await.unwrap().unwrap();
    let mut read = 0;
    while read < names.len() {
        read += quick.next().await.unwrap().unwrap().tallies.len();
    }
    for names in names.chunks(BATCH) {
        book.write(names.iter().map(|name| (route(name), None)).collect(), true);
        assert_eq!(quick.next().await.unwrap().unwrap().tallies.len(), names.len());
    }
    assert_eq!(slow.next().await.unwrap(), Err(Behind));
    let mut left = 0;
    let mut anew = book.read();
    loop {
        let batch = anew.next().await.unwrap().unwrap();
        assert!(batch.tallies.iter().all(|(_, tally)| tally.is_none()));
        left += batch.tallies.len();
        if batch.complete {
            break;
        }
    }
    assert!(left <= 1024, "{left}");
}
