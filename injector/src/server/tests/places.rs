use tokio::io::AsyncReadExt;

use super::*;

#[tokio::test]
async fn a_new_connection_has_the_place_of_the_one_that_has_rested_longest_and_of_none_with_a_review() {
    for alpn in [b"h2".as_slice(), b"http/1.1"] {
        let mut running = Running::with(3).await;
        let (mut busy, mut used, mut idle) =
            (running.client(alpn).await, running.client(alpn).await, running.client(alpn).await);
        for client in [&mut busy, &mut idle, &mut used] {
            assert_eq!(client.ask(post("/inject", 1)).await, (200, "- 1".to_owned()));
        }
        let asking = tokio::spawn(async move { busy.ask(wait()).await });
        running.asked.recv().await.unwrap();
        assert_eq!(running.ask(alpn, post("/inject", 1)).await, (200, "- 1".to_owned()));
        idle.ended.await.unwrap();
        assert_eq!(used.ask(post("/inject", 2)).await, (200, "- 2".to_owned()));
        running.answer.go.add_permits(1);
        assert_eq!(asking.await.unwrap(), (200, "- 4".to_owned()));
    }
}

#[tokio::test]
async fn a_new_connection_waits_while_there_is_a_review_on_each() {
    let mut running = Running::with(1).await;
    let mut busy = running.client(b"h2").await;
    let asking = tokio::spawn(async move { (busy.ask(wait()).await, busy.ended.await) });
    running.asked.recv().await.unwrap();
    let waiting = running.ask(b"h2", post("/inject", 1));
    let releasing = async {
        running.answer.go.add_permits(1);
        asking.await.unwrap()
    };
    let (answered, (first, ended)) = tokio::join!(waiting, releasing);
    assert_eq!((first, answered), ((200, "- 4".to_owned()), (200, "- 1".to_owned())));
    ended.unwrap();
}

#[tokio::test]
async fn a_peer_that_leaves_things_half_done_keeps_nobody_out() {
    // Half of a head, and of HTTP/2 its preface and settings, without an answer to what the other side says.
    let http1: &[u8] = b"POST /inject HTTP/1.1\r\nhost: inj";
    let http2: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    for (alpn, octets) in [(&b"http/1.1"[..], http1), (b"h2", http2)] {
        let running = Running::with(1).await;
        let mut slow = running.connect(alpn).await;
        slow.write_all(octets).await.unwrap();
        if alpn == b"h2" {
            // The other side's settings: it has understood.
            slow.read_exact(&mut [0; 9]).await.unwrap();
        }
        assert_eq!(running.ask(b"h2", post("/inject", 1)).await, (200, "- 1".to_owned()));
    }
}
