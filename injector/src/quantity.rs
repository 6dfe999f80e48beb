//! Quantities of Kubernetes: `100m`, `1.5`, `128Mi`, `1e3`.

const SUFFIXES: [&str; 16] = ["", "n", "u", "m", "k", "M", "G", "T", "P", "E", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];

/// Whether the API server takes the text for a quantity of at least 0.
pub fn is_quantity(text: &str) -> bool {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, suffix) = text.split_at(end);
    let is_number = number.bytes().any(|b| b.is_ascii_digit()) && number.bytes().filter(|b| *b == b'.').count() <= 1;
    is_number && number.len() <= 18 && (SUFFIXES.contains(&suffix) || is_exponent(suffix))
}

fn is_exponent(suffix: &str) -> bool {
    let digits = suffix.strip_prefix(['e', 'E']).map(|power| power.strip_prefix(['+', '-']).unwrap_or(power));
    digits.is_some_and(|digits| (1..=2).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_told_from_other_texts() {
        for good in ["1", "100m", "0.5", ".5", "1.", "128Mi", "1e3", "2E-1", "3E", "0"] {
            assert!(is_quantity(good), "{good}");
        }
        for bad in ["", ".", "1.2.3", "-1", "100 m", "1mi", "1e", "1e999", "Mi", "100MB", "1234567890123456789"] {
            assert!(!is_quantity(bad), "{bad}");
        }
    }
}
