//! Regular expressions as the data planes take them: RE2's syntax, of which Rust's `regex` crate knows almost all.
//!
//! Envoy and gRPC compile them by RE2 (<https://github.com/google/re2/wiki/Syntax>). What only one of the two takes, or
//! what they read differently, is refused here rather than by a NACK of every sidecar.

use regex::RegexBuilder;
use regex_syntax::ast::{
    self, AssertionKind, Ast, ClassSetBinaryOp, ClassSetItem, ClassUnicode, ClassUnicodeKind, Flag, Flags,
    FlagsItemKind, GroupKind, HexLiteralKind, Literal, LiteralKind, Repetition, RepetitionKind, RepetitionRange, Span,
    Visitor, parse::Parser,
};

/// `RE2::kMaxRepeat`: how often repetitions within each other may repeat together.
const MOST_REPEATS: u32 = 1000;

/// The general categories of RE2's `unicode_groups`.
const CATEGORIES: &str =
    "Any C Cc Cf Co Cs L Ll Lm Lo Lt Lu M Mc Me Mn N Nd Nl No P Pc Pd Pe Pf Pi Po Ps S Sc Sk Sm So Z Zl Zp Zs";

/// The scripts of RE2's `unicode_groups` up to Unicode 13 (2020); later ones are left out for older releases.
const SCRIPTS: &str = "Adlam Ahom Anatolian_Hieroglyphs Arabic Armenian Avestan Balinese Bamum Bassa_Vah Batak Bengali Bhaiksuki \
    Bopomofo Brahmi Braille Buginese Buhid Canadian_Aboriginal Carian Caucasian_Albanian Chakma Cham Cherokee \
    Chorasmian Common Coptic Cuneiform Cypriot Cyrillic Deseret Devanagari Dives_Akuru Dogra Duployan \
    Egyptian_Hieroglyphs Elbasan Elymaic Ethiopic Georgian Glagolitic Gothic Grantha Greek Gujarati Gunjala_Gondi \
    Gurmukhi Han Hangul Hanifi_Rohingya Hanunoo Hatran Hebrew Hiragana Imperial_Aramaic Inherited \
    Inscriptional_Pahlavi Inscriptional_Parthian Javanese Kaithi Kannada Katakana Kayah_Li Kharoshthi Khmer Khojki \
    Khudawadi Lao Latin Lepcha Limbu Linear_A Linear_B Lisu Lycian Lydian Mahajani Makasar Malayalam Mandaic \
    Manichaean Marchen Masaram_Gondi Medefaidrin Meetei_Mayek Mende_Kikakui Meroitic_Cursive Meroitic_Hieroglyphs \
    Miao Modi Mongolian Mro Multani Myanmar Nabataean Nandinagari New_Tai_Lue Newa Nko Nushu \
    Nyiakeng_Puachue_Hmong Ogham Ol_Chiki Old_Hungarian Old_Italic Old_North_Arabian Old_Permic Old_Persian \
    Old_Sogdian Old_South_Arabian Old_Turkic Oriya Osage Osmanya Pahawh_Hmong Palmyrene Pau_Cin_Hau Phags_Pa \
    Phoenician Psalter_Pahlavi Rejang Runic Samaritan Saurashtra Sharada Shavian Siddham SignWriting Sinhala \
    Sogdian Sora_Sompeng Soyombo Sundanese Syloti_Nagri Syriac Tagalog Tagbanwa Tai_Le Tai_Tham Tai_Viet Takri \
    Tamil Tangut Telugu Thaana Thai Tibetan Tifinagh Tirhuta Ugaritic Vai Wancho Warang_Citi Yezidi Yi \
    Zanabazar_Square";

/// Why the text is no regular expression of both RE2 and the `regex` crate, where it is none. Both run in linear time;
/// what neither has (look-around, back-references) is refused too.
pub fn fault(text: &str) -> Option<String> {
    let why = match RegexBuilder::new(text).size_limit(1 << 20).build() {
        // The last line of the crate's drawing of the error says what it is.
        Err(regex::Error::Syntax(drawing)) => {
            drawing.lines().last().unwrap_or(&drawing).trim_start_matches("error: ").to_owned()
        }
        Err(error) => error.to_string(),
        Ok(_) => {
            let ast = Parser::new().parse(text).ok()?;
            ast::visit(&ast, Walk { text, repeats: Vec::new() }).err()?
        }
    };
    Some(format!("{text:?} is no regular expression (RE2 syntax): {why}"))
}

/// Finds the first thing that RE2 takes otherwise or not at all.
struct Walk<'a> {
    text: &'a str,
    /// Of the repetitions around what is looked at, how often they repeat together.
    repeats: Vec<u32>,
}

impl Visitor for Walk<'_> {
    type Output = ();
    type Err = String;

    fn finish(self) -> Result<(), String> {
        Ok(())
    }

    fn visit_pre(&mut self, ast: &Ast) -> Result<(), String> {
        match ast {
            Ast::Flags(flags) => self.flags(&flags.flags),
            Ast::Literal(literal) => self.literal(literal),
            Ast::Assertion(assertion) => match assertion.kind {
                AssertionKind::StartLine
                | AssertionKind::EndLine
                | AssertionKind::StartText
                | AssertionKind::EndText
                | AssertionKind::WordBoundary
                | AssertionKind::NotWordBoundary => Ok(()),
                _ => self.refuse(&assertion.span, "is no word boundary there: \\b and \\B are accepted"),
            },
            Ast::ClassUnicode(class) => self.property(class),
            Ast::Repetition(repetition) => self.repetition(repetition),
            Ast::Group(group) => match &group.kind {
                GroupKind::CaptureIndex(_) => Ok(()),
                GroupKind::CaptureName { starts_with_p, name } => self.group_name(*starts_with_p, name),
                GroupKind::NonCapturing(flags) => self.flags(flags),
            },
            Ast::Empty(_) | Ast::Dot(_) | Ast::ClassPerl(_) | Ast::ClassBracketed(_) => Ok(()),
            Ast::Alternation(_) | Ast::Concat(_) => Ok(()),
        }
    }

    fn visit_post(&mut self, ast: &Ast) -> Result<(), String> {
        if let Ast::Repetition(_) = ast {
            self.repeats.pop();
        }
        Ok(())
    }

    fn visit_class_set_item_pre(&mut self, item: &ClassSetItem) -> Result<(), String> {
        match item {
            ClassSetItem::Literal(literal) => self.literal(literal),
            ClassSetItem::Range(range) => self.literal(&range.start).and_then(|()| self.literal(&range.end)),
            ClassSetItem::Unicode(class) => self.property(class),
            ClassSetItem::Bracketed(class) => {
                self.refuse(&class.span, "is a class within a class, which is not accepted: write \"[\" as \"\\[\"")
            }
            ClassSetItem::Empty(_) | ClassSetItem::Ascii(_) | ClassSetItem::Perl(_) | ClassSetItem::Union(_) => Ok(()),
        }
    }

    fn visit_class_set_binary_op_pre(&mut self, operation: &ClassSetBinaryOp) -> Result<(), String> {
        self.refuse(&operation.span, "has one of &&, --, ~~, which are not accepted within a class")
    }
}

impl Walk<'_> {
    fn refuse(&self, span: &Span, why: &str) -> Result<(), String> {
        Err(format!("{:?} {why}", self.at(span)))
    }

    fn at(&self, span: &Span) -> &str {
        self.text.get(span.start.offset..span.end.offset).unwrap_or(self.text)
    }

    fn literal(&self, literal: &Literal) -> Result<(), String> {
        match &literal.kind {
            LiteralKind::HexFixed(kind) | LiteralKind::HexBrace(kind) if *kind != HexLiteralKind::X => {
                let wanted = format!("is no escape there: \\x{{{:X}}} is accepted", u32::from(literal.c));
                self.refuse(&literal.span, &wanted)
            }
            _ => Ok(()),
        }
    }

    fn flags(&self, flags: &Flags) -> Result<(), String> {
        let refused = flags
            .items
            .iter()
            .find(|item| matches!(item.kind, FlagsItemKind::Flag(Flag::Unicode | Flag::CRLF | Flag::IgnoreWhitespace)));
        match refused {
            Some(item) => self.refuse(&item.span, "is no flag there: i, m, s and U are accepted"),
            None => Ok(()),
        }
    }

    fn property(&self, class: &ClassUnicode) -> Result<(), String> {
        let known = match &class.kind {
            // Rust reads \pL and \pl alike.
            ClassUnicodeKind::OneLetter(letter) => "CLMNPSZ".contains(*letter),
            ClassUnicodeKind::Named(name) => CATEGORIES.split(' ').chain(SCRIPTS.split(' ')).any(|known| known == name),
            ClassUnicodeKind::NamedValue { .. } => false,
        };
        if known {
            return Ok(());
        }
        let why = "is no class there: general categories by their short name (\\p{Lu}) and scripts (\\p{Greek}) are \
                   accepted, as they are capitalized";
        self.refuse(&class.span, why)
    }

    fn group_name(&self, starts_with_p: bool, name: &ast::CaptureName) -> Result<(), String> {
        // Older releases of RE2 list `(?<name>` as not supported (doc/syntax.txt).
        if !starts_with_p {
            return self.refuse(&name.span, "names a group by (?<, where older releases accept (?P< only");
        }
        match name.name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
            true => Ok(()),
            false => self.refuse(&name.span, "is no name of a group: letters, digits and _ are accepted"),
        }
    }

    fn repetition(&mut self, repetition: &Repetition) -> Result<(), String> {
        let operator = self.at(&repetition.op.span);
        if let Ast::Repetition(_) = &*repetition.ast {
            return Err(format!("{operator:?} repeats a repetition: put the inner one in a group, as in (?:a+)*"));
        }
        let mut times = 1;
        if let RepetitionKind::Range(range) = &repetition.op.kind {
            let (written, most) = match range {
                RepetitionRange::Exactly(least) => (format!("{{{least}}}"), *least),
                RepetitionRange::AtLeast(least) => (format!("{{{least},}}"), *least),
                RepetitionRange::Bounded(least, most) => (format!("{{{least},{most}}}"), *most),
            };
            // RE2 takes "{ 2}" and "{02}" as the text that they are.
            if operator.trim_end_matches('?') != written {
                return Err(format!("{operator:?} is no repetition there: {written:?} is accepted"));
            }
            times = most.max(1);
        }
        let repeats = self.repeats.last().unwrap_or(&1).saturating_mul(times);
        if repeats > MOST_REPEATS {
            let why =
                format!("{operator:?} makes {repeats} repetitions, at most {MOST_REPEATS} are accepted, counting");
            return Err(format!("{why} those around it"));
        }
        self.repeats.push(repeats);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
