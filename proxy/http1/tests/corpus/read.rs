//! Reads the files of cases, and takes nothing that `README.md` does not describe.

use crate::case::{Case, End, Message, Role};

/// The cases of one file, or what is wrong with it: file, line and mistake.
pub fn cases(file: &str, bytes: &[u8]) -> Result<Vec<Case>, String> {
    let mistake = |line: usize, what: String| format!("{file}:{line}: {what}");
    let text = std::str::from_utf8(bytes).map_err(|error| mistake(0, error.to_string()))?;
    let mut cases = Vec::new();
    let mut draft: Option<Draft> = None;
    for (line, number) in text.lines().zip(1..) {
        let place = format!("{file}:{number}");
        if let Some(byte) = line.bytes().find(|byte| !(0x20..0x7f).contains(byte)) {
            return Err(mistake(number, format!("byte {byte:#04x}: printable ASCII is accepted")));
        }
        if line.starts_with('#') {
            continue;
        }
        if line.is_empty() {
            cases.extend(draft.take().map(|draft| draft.finish(place)).transpose()?);
        } else if let Some(draft) = &mut draft {
            draft.line(line).map_err(|what| mistake(number, what))?;
        } else {
            draft = Some(Draft::begin(place, line).map_err(|what| mistake(number, what))?);
        }
    }
    cases.extend(draft.map(|draft| draft.finish(format!("{file}: at its end"))).transpose()?);
    Ok(cases)
}

/// A case of which some lines were read. They come in the order of `Stage`.
struct Draft {
    place: String,
    name: String,
    role: Role,
    stage: Stage,
    send: Vec<u8>,
    messages: Vec<Message>,
    end: Option<End>,
}

#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
enum Stage {
    Name,
    Source,
    Send,
    Start,
    Authority,
    Body,
    Trailers,
    Fields,
    End,
}

impl Draft {
    fn begin(place: String, line: &str) -> Result<Self, String> {
        let words: Vec<&str> = line.split(' ').collect();
        let (name, role) = match words[..] {
            ["request", name] => (name, Role::Request),
            ["response", name, "to", "nothing"] => (name, Role::Unasked),
            ["response", name, "to", "GET+upgrade"] => (name, Role::ResponseToUpgrade),
            ["response", name, "to", method]
                if !method.is_empty() && method.bytes().all(|b| b.is_ascii_uppercase()) =>
            {
                (name, Role::ResponseTo(method.to_owned()))
            }
            _ => return Err(format!("{line:?} begins no case: request NAME, response NAME to METHOD are accepted")),
        };
        let is_kebab =
            |word: &str| !word.is_empty() && word.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'.'));
        if !name.split('-').all(is_kebab) {
            return Err(format!("the name {name} is not in kebab-case"));
        }
        let name = name.to_owned();
        Ok(Self { place, name, role, stage: Stage::Name, send: Vec::new(), messages: Vec::new(), end: None })
    }

    fn line(&mut self, line: &str) -> Result<(), String> {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        if rest.starts_with(' ') || line.ends_with(' ') {
            return Err("a raw space at an end of the line: \\s is accepted".to_owned());
        }
        let stage = self.next_stage(word, rest)?;
        match word {
            "from" => {}
            "send" => self.send.extend(unescaped(rest)?),
            "message" => self.message(rest)?,
            "authority" => self.last().authority = Some(rest.to_owned()),
            "body" => self.last().body = unescaped(rest)?,
            "trailer" => self.last().trailers.push(rest.to_owned()),
            "keeps" => self.last().keeps.push(lower(rest)?),
            "drops" => self.last().drops.push(lower(rest)?),
            _ => self.end = Some(self.end(word, rest)?),
        }
        self.stage = stage;
        Ok(())
    }

    fn next_stage(&self, word: &str, rest: &str) -> Result<Stage, String> {
        let (stage, after): (_, &[Stage]) = match word {
            "from" => (Stage::Source, &[Stage::Name]),
            "send" => (Stage::Send, &[Stage::Source, Stage::Send]),
            "message" if self.stage >= Stage::Send && self.stage < Stage::End => return Ok(Stage::Start),
            "authority" => (Stage::Authority, &[Stage::Start]),
            "body" => (Stage::Body, &[Stage::Start, Stage::Authority]),
            "trailer" => (Stage::Trailers, &[Stage::Start, Stage::Authority, Stage::Body, Stage::Trailers]),
            "keeps" | "drops" if self.stage >= Stage::Start && self.stage < Stage::End => return Ok(Stage::Fields),
            "idle" | "closed" | "waits" | "tunnel" | "refused"
                if self.stage >= Stage::Send && self.stage < Stage::End =>
            {
                return Ok(Stage::End);
            }
            _ => (Stage::Name, &[]),
        };
        if !after.contains(&self.stage) {
            return Err(format!("{word:?} is no line, or not at this place"));
        }
        if rest.is_empty() { Err(format!("{word} says nothing")) } else { Ok(stage) }
    }

    fn message(&mut self, rest: &str) -> Result<(), String> {
        let (start, times) = rest.split_once(" times ").unwrap_or((rest, "1"));
        let words = start.split(' ').filter(|word| !word.is_empty()).count();
        let is_status = start.len() == 3 && start.bytes().all(|byte| byte.is_ascii_digit());
        if (self.role == Role::Request) != (words == 2) || (self.role != Role::Request) != is_status {
            return Err(format!("{start:?} begins no message: METHOD TARGET, for responses STATUS, is accepted"));
        }
        let times = times.parse().map_err(|_| format!("{times:?} is no number of times"))?;
        let message = Message { start: start.to_owned(), ..Message::default() };
        self.messages.extend(std::iter::repeat_n(message, times));
        Ok(())
    }

    /// The last message: next_stage saw one.
    fn last(&mut self) -> &mut Message {
        self.messages.last_mut().expect("these lines stand below a message")
    }

    fn end(&self, word: &str, rest: &str) -> Result<End, String> {
        let end = match word {
            "tunnel" if !self.messages.is_empty() => return Ok(End::Tunnel(unescaped(rest)?)),
            "refused" => return self.refusal(rest),
            "idle" => End::Idle,
            "closed" => End::Closed,
            "waits" => End::Waits,
            _ => return Err(format!("{word} has no message in front of it")),
        };
        if rest.is_empty() { Ok(end) } else { Err(format!("{rest:?} behind {word}")) }
    }

    fn refusal(&self, rest: &str) -> Result<End, String> {
        let (status, rule) = match (&self.role, rest.split_once(' ')) {
            (Role::Request, Some((status, rule))) => {
                let status = status.parse().ok().filter(|status| (400..600).contains(status));
                (Some(status.ok_or_else(|| format!("{rest:?} does not begin with a status of 400 to 599"))?), rule)
            }
            _ => (None, rest),
        };
        let section = rule.strip_prefix("RFC ").and_then(|rule| rule.split_once(" section "));
        let is_section = |text: &str| text.split('.').all(|part| part.parse::<u8>().is_ok());
        if !section.is_some_and(|(number, section)| number.parse::<u16>().is_ok() && is_section(section)) {
            return Err(format!("{rule:?} is no rule: RFC N section N is accepted"));
        }
        Ok(End::Refused { status, rule: rule.to_owned() })
    }

    fn finish(self, place: String) -> Result<Case, String> {
        let Some(end) = self.end else {
            return Err(format!("{place}: {} has no end", self.name));
        };
        let Self { place, name, role, send, messages, .. } = self;
        Ok(Case { place, name, role, send, messages, end })
    }
}

fn lower(name: &str) -> Result<String, String> {
    let is_lower = !name.bytes().any(|byte| byte.is_ascii_uppercase());
    if is_lower { Ok(name.to_owned()) } else { Err(format!("{name} is not in lower case")) }
}

/// The bytes that escapes stand for.
fn unescaped(text: &str) -> Result<Vec<u8>, String> {
    let mut rest = text;
    let bytes = run(&mut rest)?;
    if rest.is_empty() { Ok(bytes) } else { Err(format!("a brace that nothing opened, before {rest:?}")) }
}

/// Bytes up to the end of `rest` or to the brace that closes a repetition, which stays there.
fn run(rest: &mut &str) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    while let Some(first) = rest.bytes().next().filter(|first| *first != b'}') {
        *rest = &rest[1..];
        if first == b'\\' { escape(rest, &mut bytes)? } else { bytes.push(first) }
    }
    Ok(bytes)
}

fn escape(rest: &mut &str, bytes: &mut Vec<u8>) -> Result<(), String> {
    let kind = rest.bytes().next().ok_or("a backslash at the end of the line")?;
    *rest = &rest[1..];
    match kind {
        b'r' => bytes.push(b'\r'),
        b'n' => bytes.push(b'\n'),
        b't' => bytes.push(b'\t'),
        b'0' => bytes.push(0),
        b's' => bytes.push(b' '),
        b'\\' => bytes.push(b'\\'),
        b'x' => {
            let digits = rest.get(..2).filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()));
            let digits = digits.ok_or("\\x without two hexadecimal digits")?;
            bytes.push(u8::from_str_radix(digits, 16).expect("these are two hexadecimal digits"));
            *rest = &rest[2..];
        }
        b'{' => {
            let (count, behind) = rest.split_once('*').ok_or("a repetition without a star")?;
            let count: usize = count.parse().map_err(|_| format!("{count:?} is no count of a repetition"))?;
            *rest = behind;
            let inner = run(rest)?;
            *rest = rest.strip_prefix('}').ok_or("a repetition without an end")?;
            bytes.extend(inner.repeat(count));
        }
        other => return Err(format!("\\{} is no escape", char::from(other))),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_stand_for_bytes() {
        let bytes = unescaped(r"a\r\n\t\0\\\s\x7f\{2*b\{3*c}\n}}").map_err(|mistake| mistake.contains("brace"));
        assert_eq!(bytes, Err(true));
        assert_eq!(unescaped(r"a\r\n\t\0\\\s\x7f\{2*b\{3*c}\n}").unwrap(), b"a\r\n\t\0\\ \x7fbccc\nbccc\n");
    }

    #[test]
    fn a_mistake_is_named_with_file_and_line() {
        let good = "request a-b\nfrom x\nsend GET\nmessage GET /\nbody x\nidle";
        assert_eq!(cases("f.txt", good.as_bytes()).unwrap().len(), 1);
        for (mistake, line) in [
            ("request A-b\nfrom x\nsend x\nidle", 1),
            ("response a\nfrom x\nsend x\nidle", 1),
            ("request a\nsend x\nidle", 2),
            ("request a\nfrom x\nidle", 3),
            ("request a\nfrom x\nsend x \nidle", 3),
            ("request a\nfrom x\nsend  x\nidle", 3),
            ("request a\nfrom x\nsend \\q\nidle", 3),
            ("request a\nfrom x\nsend \\x4\nidle", 3),
            ("request a\nfrom x\nsend \\{3*x\nidle", 3),
            ("request a\nfrom x\nsend x\ty\nidle", 3),
            ("request a\nfrom x\nsend x\nbody y\nidle", 4),
            ("request a\nfrom x\nsend x\nmessage 200\nidle", 4),
            ("response a to GET\nfrom x\nsend x\nmessage GET /\nidle", 4),
            ("request a\nfrom x\nsend x\nmessage GET /\ntrailer a: b\nbody y\nidle", 6),
            ("request a\nfrom x\nsend x\nrefused RFC 9112 section 5", 4),
            ("request a\nfrom x\nsend x\nrefused 400 somehow", 4),
            ("request a\nfrom x\nsend x\ntunnel y", 4),
            ("request a\nfrom x\nsend x\nidle\nidle", 5),
            ("request a\nfrom x\nsend x\nidle\nmessage GET /", 5),
        ] {
            let found = cases("f.txt", mistake.as_bytes()).expect_err(mistake);
            assert!(found.starts_with(&format!("f.txt:{line}: ")), "{mistake:?}: {found}");
        }
        assert!(cases("f.txt", b"request a\nfrom x\nsend x").unwrap_err().contains("a has no end"));
    }
}
