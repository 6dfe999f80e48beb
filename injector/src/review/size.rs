//! How much memory a JSON text takes as a tree, counted before it is read: an object of one field has 8 octets of text and
//! more than 600 in memory.

/// Objects that are not empty, and values of all kinds. A large Pod has some hundreds.
const MOST_OBJECTS: usize = 30_000;
const MOST_VALUES: usize = 300_000;

/// What a text has of what takes memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Size {
    objects: usize,
    values: usize,
}

/// A text that would take too much memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it has {found} {what}; {most} are accepted")]
pub struct TooLarge {
    what: &'static str,
    found: usize,
    most: usize,
}

impl Size {
    /// Counts without looking at whether it is JSON.
    pub fn of(text: &[u8]) -> Self {
        let mut size = Self { objects: 0, values: 1 };
        let (mut in_string, mut escaped, mut opened) = (false, false, false);
        for byte in text {
            if in_string {
                match byte {
                    _ if escaped => escaped = false,
                    b'\\' => escaped = true,
                    b'"' => in_string = false,
                    _ => {}
                }
                continue;
            }
            match byte {
                b' ' | b'\t' | b'\r' | b'\n' => continue,
                b'"' => {
                    size.objects += usize::from(opened);
                    in_string = true;
                }
                b'{' | b'[' | b',' => size.values += 1,
                _ => {}
            }
            opened = *byte == b'{';
        }
        size
    }

    /// Whether there is room for it.
    pub fn check(self) -> Result<(), TooLarge> {
        let counts = [("objects", self.objects, MOST_OBJECTS), ("values", self.values, MOST_VALUES)];
        match counts.into_iter().find(|(_, found, most)| found > most) {
            Some((what, found, most)) => Err(TooLarge { what, found, most }),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size(text: &str) -> (usize, usize) {
        let Size { objects, values } = Size::of(text.as_bytes());
        (objects, values)
    }

    #[test]
    fn objects_and_values_are_counted_and_strings_are_not_looked_into() {
        assert_eq!(size(r#"{"a": {"b": [1, 2, {}]}, "c": null}"#).0, 2);
        assert_eq!(size("{ \n\"a\":1}"), (1, 2));
        assert_eq!(size(r#""{\"a\":[{},{\\""#), (0, 1));
        assert_eq!(size(r#"["\\", {"x":1}]"#).0, 1);
    }

    #[test]
    fn what_takes_too_much_is_told_with_what_is_accepted() {
        let many = |one: &str, count: usize| format!("[{}]", vec![one; count].join(","));
        assert_eq!(Size::of(many(r#"{"a":1}"#, 30_000).as_bytes()).check(), Ok(()));
        let error = Size::of(many(r#"{"a":1}"#, 30_001).as_bytes()).check().unwrap_err();
        assert_eq!(error.to_string(), "it has 30001 objects; 30000 are accepted");
        let error = Size::of(many("1", 400_000).as_bytes()).check().unwrap_err();
        assert!(error.to_string().ends_with("values; 300000 are accepted"), "{error}");
    }
}
