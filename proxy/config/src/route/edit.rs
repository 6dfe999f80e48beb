//! Edits of fields (Envoy, "custom request/response headers").

use byrnie_proto::envoy::envoy::config::core::v3::{HeaderValueOption, header_value_option::HeaderAppendAction};

use crate::{Fields, Refused, fields::At, format::literal, line::Of, value::each};

/// What one level (a table, a virtual host, a route, a target) changes: first it takes fields away, then it judges by
/// what is left which to set and which to add, sets, and adds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Edits {
    remove: Box<[Box<[u8]>]>,
    changes: Box<[Change]>,
}

/// A field that is set or added.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    name: Box<[u8]>,
    value: Box<[u8]>,
    action: HeaderAppendAction,
    /// Whether a further value is joined to the one that is there.
    one_line: bool,
}

impl Edits {
    /// Reads the edits of requests or of responses (`of`).
    pub fn read(add: &[HeaderValueOption], remove: &[String], of: Of, at: &At<'_>) -> Result<Self, Refused> {
        let (adding, removing) = match of {
            Of::Requests => ("request_headers_to_add", "request_headers_to_remove"),
            Of::Responses => ("response_headers_to_add", "response_headers_to_remove"),
        };
        let changes = each(add, &at.field(adding), |option, at| Change::read(option, of, at))?;
        let remove = each(remove, &at.field(removing), |name, at| Ok(field_name(name, at)?.into_bytes().into()))?;
        // An empty value is left out before anything is judged.
        let changes = changes.into_iter().flatten().collect();
        Ok(Self { remove: remove.into(), changes })
    }

    /// Whether nothing is changed.
    pub fn is_empty(&self) -> bool {
        self.remove.is_empty() && self.changes.is_empty()
    }

    /// Changes `fields`.
    pub fn apply(&self, fields: &mut Fields) {
        if !self.remove.is_empty() {
            fields.remove_where(|name| self.remove.iter().any(|gone| **gone == *name));
        }
        match &*self.changes {
            [] => {}
            [only] => only.apply(fields, only.is_due(fields)),
            changes => Self::apply_all(changes, fields),
        }
    }

    /// All are judged by the fields as they are before the first is applied; those that set come before those that add.
    fn apply_all(changes: &[Change], fields: &mut Fields) {
        let conditional = changes.iter().any(Change::is_conditional);
        let due: Vec<bool> =
            if conditional { changes.iter().map(|change| change.is_due(fields)).collect() } else { Vec::new() };
        for sets in [true, false] {
            for (index, change) in changes.iter().enumerate().filter(|(_, change)| change.sets() == sets) {
                change.apply(fields, due.get(index).is_none_or(|due| *due));
            }
        }
    }
}

impl Change {
    /// `None` where an empty value is not kept.
    fn read(option: &HeaderValueOption, of: Of, at: &At<'_>) -> Result<Option<Self>, Refused> {
        let (name, value, action) = Self::parts(option, at)?;
        let kept = option.keep_empty_value || !value.is_empty();
        let one_line = of.is_one_line(name.as_bytes());
        Ok(kept.then(|| Self { name: name.into_bytes().into(), value: value.into(), action, one_line }))
    }

    /// Name, value and action of an option.
    pub fn parts(option: &HeaderValueOption, at: &At<'_>) -> Result<(String, Vec<u8>, HeaderAppendAction), Refused> {
        at.check(option)?;
        let mut action = at.field("append_action").known(option.append_action)?;
        #[allow(deprecated)]
        if let Some(append) = option.append {
            if action != HeaderAppendAction::AppendIfExistsOrAdd {
                return Err(at.field("append").refuse("not beside append_action"));
            }
            if !append.value {
                action = HeaderAppendAction::OverwriteIfExistsOrAdd;
            }
        }
        let at = &at.field("header");
        let header = at.required(&option.header)?;
        at.check(header)?;
        let name = field_name(&header.key, &at.field("key"))?;
        let at = &at.field("value");
        let value = literal(header.value.as_bytes(), at)?;
        if value.iter().any(|octet| matches!(octet, b'\r' | b'\n' | b'\0')) {
            return Err(at.unlike(&header.value, "a text of one line"));
        }
        Ok((name, value, action))
    }

    fn sets(&self) -> bool {
        matches!(self.action, HeaderAppendAction::OverwriteIfExistsOrAdd | HeaderAppendAction::OverwriteIfExists)
    }

    fn is_conditional(&self) -> bool {
        matches!(self.action, HeaderAppendAction::AddIfAbsent | HeaderAppendAction::OverwriteIfExists)
    }

    fn is_due(&self, fields: &Fields) -> bool {
        match self.action {
            HeaderAppendAction::AppendIfExistsOrAdd | HeaderAppendAction::OverwriteIfExistsOrAdd => true,
            HeaderAppendAction::AddIfAbsent => fields.get(&self.name).is_none(),
            HeaderAppendAction::OverwriteIfExists => fields.get(&self.name).is_some(),
        }
    }

    fn apply(&self, fields: &mut Fields, due: bool) {
        match (due, self.sets()) {
            (false, _) => {}
            (true, true) => fields.set(&self.name, &self.value),
            (true, false) if self.one_line && fields.get(&self.name).is_some() => {
                let mut joined = Vec::new();
                for value in fields.all(&self.name) {
                    joined.extend_from_slice(value);
                    joined.push(b',');
                }
                joined.extend_from_slice(&self.value);
                fields.set(&self.name, &joined);
            }
            (true, false) => fields.push(&self.name, &self.value),
        }
    }
}

/// A name in lower case that may be edited.
fn field_name(name: &str, at: &At<'_>) -> Result<String, Refused> {
    let name = at.text(name)?.to_ascii_lowercase();
    let token = name.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b));
    if !token || name == "host" {
        return Err(at.unlike(name, "the name of a field, not `host`"));
    }
    Ok(name)
}
