//! Numbers as text, without the machinery of `std::fmt`.

/// Appends `number` in decimal.
pub(super) fn push_decimal(out: &mut Vec<u8>, number: u64) {
    push_digits::<10>(out, number);
}

/// Appends `number` in hexadecimal, lower case.
pub(super) fn push_hexadecimal(out: &mut Vec<u8>, number: u64) {
    push_digits::<16>(out, number);
}

fn push_digits<const RADIX: u64>(out: &mut Vec<u8>, mut number: u64) {
    // The largest number of 64 bits has 20 decimal digits.
    let mut digits = [0_u8; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b"0123456789abcdef"[(number % RADIX) as usize];
        number /= RADIX;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_the_standard_library_writes_them() {
        for number in [0, 1, 9, 10, 15, 16, 255, 65_536, u64::MAX - 1, u64::MAX] {
            let (mut decimal, mut hexadecimal) = (Vec::new(), Vec::new());
            push_decimal(&mut decimal, number);
            push_hexadecimal(&mut hexadecimal, number);
            assert_eq!(decimal, number.to_string().as_bytes());
            assert_eq!(hexadecimal, format!("{number:x}").as_bytes());
        }
    }
}
