//! The fields of a head, in order and with their case.

use super::known::Known;

/// The field lines of one head, and which of them end at this hop.
#[derive(Clone, Copy)]
pub(crate) struct Fields<'h, 'b> {
    /// The whole head, into which names and values point.
    pub head: &'b [u8],
    pub list: &'h [httparse::Header<'b>],
    /// Bit n: field n is not for the next hop.
    pub own: u128,
}

impl<'h, 'b> Fields<'h, 'b> {
    pub fn all(&self) -> FieldIter<'h, 'b> {
        FieldIter { fields: *self, skip: 0, at: 0 }
    }

    pub fn end_to_end(&self) -> FieldIter<'h, 'b> {
        FieldIter { fields: *self, skip: self.own, at: 0 }
    }

    /// The first value of that name.
    pub fn get(&self, name: &[u8]) -> Option<&'b [u8]> {
        let named = |field: &&httparse::Header<'b>| field.name.as_bytes().eq_ignore_ascii_case(name);
        self.list.iter().find(named).map(|field| field.value)
    }

    /// The value of field `index`.
    pub fn value(&self, index: u8) -> Option<&'b [u8]> {
        self.list.get(usize::from(index)).map(|field| field.value)
    }

    /// Where the first field line begins, or the empty line of a head without fields.
    pub fn start(&self) -> usize {
        self.line_start(0)
    }

    /// Where the line of field `index` begins in the head; behind the last one, where the empty line does.
    fn line_start(&self, index: usize) -> usize {
        self.list.get(index).map_or(self.head.len().saturating_sub(2), |field| offset(self.head, field.name))
    }
}

/// Where `part`, a slice of `whole`, begins in it.
#[inline]
pub(super) fn offset(whole: &[u8], part: &str) -> usize {
    (part.as_ptr() as usize).wrapping_sub(whole.as_ptr() as usize)
}

/// Fields of a head in their order, as name and value.
#[derive(Clone)]
pub struct FieldIter<'h, 'b> {
    fields: Fields<'h, 'b>,
    skip: u128,
    at: usize,
}

impl FieldIter<'_, '_> {
    /// Appends the lines that are left, as they were received, to `out`: of those that are for the next hop the ones
    /// that `keep` wants. Neighbours go in one copy. Returns how many of them are Host.
    pub(crate) fn copy_lines(&self, out: &mut Vec<u8>, mut keep: impl FnMut(&[u8], &[u8]) -> bool) -> u8 {
        let (fields, mut skip) = (&self.fields, (self.skip | self.fields.own).checked_shr(self.at as u32).unwrap_or(0));
        let (mut hosts, mut run) = (0_u8, None);
        for (index, field) in (self.at..).zip(&fields.list[self.at..]) {
            let name = field.name.as_bytes();
            let ends_here = skip & 1 == 1;
            skip >>= 1;
            if !ends_here && keep(name, field.value) {
                run.get_or_insert_with(|| fields.line_start(index));
                hosts = hosts.saturating_add(u8::from(name.len() == 4 && Known::of(name) == Some(Known::Host)));
            } else if let Some(start) = run.take() {
                out.extend_from_slice(&fields.head[start..fields.line_start(index)]);
            }
        }
        if let Some(start) = run {
            out.extend_from_slice(&fields.head[start..fields.line_start(fields.list.len())]);
        }
        hosts
    }
}

impl<'b> Iterator for FieldIter<'_, 'b> {
    type Item = (&'b [u8], &'b [u8]);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let index = self.at;
            let field = self.fields.list.get(index)?;
            self.at += 1;
            if self.skip >> index & 1 == 0 {
                return Some((field.name.as_bytes(), field.value));
            }
        }
    }
}

impl std::fmt::Debug for FieldIter<'_, '_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let text = String::from_utf8_lossy;
        f.debug_map().entries(self.clone().map(|(name, value)| (text(name), text(value)))).finish()
    }
}
