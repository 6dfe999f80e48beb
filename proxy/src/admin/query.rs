//! The query of a request.

/// Names and values, decoded; a name without `=` has an empty value.
pub fn pairs(query: &str) -> impl Iterator<Item = (String, String)> {
    let parts = query.split('&').filter(|part| !part.is_empty());
    parts.map(|part| {
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        (decoded(name), decoded(value))
    })
}

/// The first value of `name`.
pub fn value(query: &str, name: &str) -> Option<String> {
    pairs(query).find(|(known, _)| known == name).map(|(_, value)| value)
}

/// `+` is a blank, `%2F` an octet; what is no UTF-8 becomes a replacement character.
fn decoded(text: &str) -> String {
    let (mut octets, mut rest) = (Vec::with_capacity(text.len()), text.as_bytes());
    while let [first, tail @ ..] = rest {
        let digit = |octet: &u8| char::from(*octet).to_digit(16).map(|digit| digit as u8);
        (octets, rest) = match (first, tail) {
            (b'%', [high, low, tail @ ..]) if let (Some(high), Some(low)) = (digit(high), digit(low)) => {
                octets.push(high << 4 | low);
                (octets, tail)
            }
            (b'+', tail) => {
                octets.push(b' ');
                (octets, tail)
            }
            (octet, tail) => {
                octets.push(*octet);
                (octets, tail)
            }
        };
    }
    String::from_utf8_lossy(&octets).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_values_are_decoded() {
        let all: Vec<_> = pairs("format=json&&filter=a%7Cb+c&usedonly&x=%zz%").collect();
        let expected = [("format", "json"), ("filter", "a|b c"), ("usedonly", ""), ("x", "%zz%")];
        assert_eq!(all, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
        assert_eq!(value("a=1&a=2", "a").as_deref(), Some("1"));
        assert_eq!(value("", "a"), None);
    }
}
