//! RFC 7541 appendix C.2 to C.6, octet by octet, with the dynamic table after each block.

use super::*;

struct Example {
    block: &'static str,
    fields: &'static [(&'static str, &'static str)],
    /// The newest entry first.
    table: &'static [(&'static str, &'static str)],
    table_size: usize,
}

fn octets(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.bytes().filter(u8::is_ascii_hexdigit).collect();
    digits.chunks(2).map(|pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

fn owned(pairs: &[(&str, &str)]) -> Vec<(Vec<u8>, Vec<u8>)> {
    pairs.iter().map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec())).collect()
}

/// Decodes the examples as the blocks of one connection.
#[track_caller]
fn hold(max_table_size: u32, examples: &[Example]) {
    let mut decoder = Decoder::new(max_table_size);
    let mut fields = Fields::new();
    for example in examples {
        decoder.decode(&octets(example.block), &LIMITS, &mut fields).unwrap();
        let decoded: Vec<_> = fields.iter().map(|field| (field.name.to_vec(), field.value.to_vec())).collect();
        assert_eq!(decoded, owned(example.fields));
        assert_eq!(decoder.contents(), owned(example.table));
        assert_eq!(decoder.table_size(), example.table_size);
    }
}

#[test]
fn c_2_1_literal_with_indexing() {
    hold(
        4096,
        &[Example {
            block: "400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572",
            fields: &[("custom-key", "custom-header")],
            table: &[("custom-key", "custom-header")],
            table_size: 55,
        }],
    );
}

#[test]
fn c_2_2_literal_without_indexing() {
    hold(
        4096,
        &[Example {
            block: "040c 2f73 616d 706c 652f 7061 7468",
            fields: &[(":path", "/sample/path")],
            table: &[],
            table_size: 0,
        }],
    );
}

#[test]
fn c_2_3_literal_never_indexed() {
    hold(
        4096,
        &[Example {
            block: "1008 7061 7373 776f 7264 0673 6563 7265 74",
            fields: &[("password", "secret")],
            table: &[],
            table_size: 0,
        }],
    );
}

#[test]
fn c_2_4_indexed() {
    hold(4096, &[Example { block: "82", fields: &[(":method", "GET")], table: &[], table_size: 0 }]);
}

/// The blocks of C.3 and C.4 say the same in different strings.
fn requests(blocks: [&'static str; 3]) -> [Example; 3] {
    [
        Example {
            block: blocks[0],
            fields: &[(":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", "www.example.com")],
            table: &[(":authority", "www.example.com")],
            table_size: 57,
        },
        Example {
            block: blocks[1],
            fields: &[
                (":method", "GET"),
                (":scheme", "http"),
                (":path", "/"),
                (":authority", "www.example.com"),
                ("cache-control", "no-cache"),
            ],
            table: &[("cache-control", "no-cache"), (":authority", "www.example.com")],
            table_size: 110,
        },
        Example {
            block: blocks[2],
            fields: &[
                (":method", "GET"),
                (":scheme", "https"),
                (":path", "/index.html"),
                (":authority", "www.example.com"),
                ("custom-key", "custom-value"),
            ],
            table: &[("custom-key", "custom-value"), ("cache-control", "no-cache"), (":authority", "www.example.com")],
            table_size: 164,
        },
    ]
}

#[test]
fn c_3_requests_without_huffman_coding() {
    let blocks = [
        "8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
        "8286 84be 5808 6e6f 2d63 6163 6865",
        "8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65",
    ];
    hold(4096, &requests(blocks));
}

#[test]
fn c_4_requests_with_huffman_coding() {
    let blocks = [
        "8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff",
        "8286 84be 5886 a8eb 1064 9cbf",
        "8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf",
    ];
    hold(4096, &requests(blocks));
}

const DATE: (&str, &str) = ("date", "Mon, 21 Oct 2013 20:13:21 GMT");
const LATER: (&str, &str) = ("date", "Mon, 21 Oct 2013 20:13:22 GMT");
const LOCATION: (&str, &str) = ("location", "https://www.example.com");
const PRIVATE: (&str, &str) = ("cache-control", "private");
const COOKIE: (&str, &str) = ("set-cookie", "foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1");
const GZIP: (&str, &str) = ("content-encoding", "gzip");

/// The blocks of C.5 and C.6 say the same in different strings.
fn responses(blocks: [&'static str; 3]) -> [Example; 3] {
    [
        Example {
            block: blocks[0],
            fields: &[(":status", "302"), PRIVATE, DATE, LOCATION],
            table: &[LOCATION, DATE, PRIVATE, (":status", "302")],
            table_size: 222,
        },
        Example {
            block: blocks[1],
            fields: &[(":status", "307"), PRIVATE, DATE, LOCATION],
            table: &[(":status", "307"), LOCATION, DATE, PRIVATE],
            table_size: 222,
        },
        Example {
            block: blocks[2],
            fields: &[(":status", "200"), PRIVATE, LATER, LOCATION, GZIP, COOKIE],
            table: &[COOKIE, GZIP, LATER],
            table_size: 215,
        },
    ]
}

#[test]
fn c_5_responses_without_huffman_coding() {
    let blocks = [
        "4803 3330 3258 0770 7269 7661 7465 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3120 474d
         546e 1768 7474 7073 3a2f 2f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
        "4803 3330 37c1 c0bf",
        "88c1 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3220 474d 54c0 5a04 677a 6970 7738 666f
         6f3d 4153 444a 4b48 514b 425a 584f 5157 454f 5049 5541 5851 5745 4f49 553b 206d 6178 2d61 6765 3d33 3630 303b
         2076 6572 7369 6f6e 3d31",
    ];
    hold(256, &responses(blocks));
}

#[test]
fn c_6_responses_with_huffman_coding() {
    let blocks = [
        "4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 2d1b ff6e 919d 29ad 1718 63c7
         8f0b 97c8 e9ae 82ae 43d3",
        "4883 640e ffc1 c0bf",
        "88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab 77ad 94e7 821d d7f2 e6c7 b335
         dfdf cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f 9587 3160 65c0 03ed 4ee5 b106 3d50 07",
    ];
    hold(256, &responses(blocks));
}
