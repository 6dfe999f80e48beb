use thiserror::Error;

/// Why a header block cannot be decoded. Each is a connection error of type COMPRESSION_ERROR (RFC 9113 section 4.3):
/// the dynamic table may be out of step with the peer's from here on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum DecodeError {
    /// Section 5.1 leaves the bound to the decoder.
    #[error("integer above 2^32 - 1 or with more than 5 continuation octets")]
    IntegerOverflow,
    /// The block ends within an integer or a string.
    #[error("header block ends within a field")]
    Truncated,
    /// Section 6.1: an indexed field with the index 0.
    #[error("indexed field with index 0")]
    IndexZero,
    /// Section 2.3.3: an index past the last entry of the dynamic table.
    #[error("index {index}, the tables end at {last}")]
    IndexOutOfTable {
        /// As received.
        index: u32,
        /// The highest index that would have been accepted.
        last: u32,
    },
    /// Section 5.2: the symbol EOS stands within a string.
    #[error("huffman string holds EOS")]
    HuffmanEos,
    /// Section 5.2: more than 7 bits of padding.
    #[error("huffman string ends with more than 7 bits of padding")]
    HuffmanPaddingTooLong,
    /// Section 5.2: the padding is not the first bits of EOS; a code cut short looks the same.
    #[error("huffman string ends with padding that is not all ones")]
    HuffmanPaddingNotOnes,
    /// Section 6.3: above the acknowledged SETTINGS_HEADER_TABLE_SIZE, or above the least value that it had since the
    /// last block (section 4.2).
    #[error("table size update to {size}, at most {limit} is allowed")]
    SizeUpdateAboveLimit {
        /// As received.
        size: u32,
        /// The highest size that would have been accepted.
        limit: u32,
    },
    /// Section 4.2: a size update stands at the start of a block only.
    #[error("table size update after the first field of a header block")]
    SizeUpdateMisplaced,
    /// Section 4.2: at most two, the smallest and the final size.
    #[error("more than two table size updates at the start of a header block")]
    SizeUpdateRepeated,
    /// Section 4.2: SETTINGS_HEADER_TABLE_SIZE went below the size in use and the next block does not start with an
    /// update.
    #[error("no table size update after the limit fell to {limit}")]
    SizeUpdateMissing {
        /// The highest size that the update could have had.
        limit: u32,
    },
}

impl DecodeError {
    /// The section of RFC 7541 that the block broke.
    pub fn section(self) -> &'static str {
        match self {
            Self::IntegerOverflow => "RFC 7541 section 5.1",
            Self::Truncated | Self::HuffmanEos => "RFC 7541 section 5.2",
            Self::HuffmanPaddingTooLong | Self::HuffmanPaddingNotOnes => "RFC 7541 section 5.2",
            Self::IndexZero => "RFC 7541 section 6.1",
            Self::IndexOutOfTable { .. } => "RFC 7541 section 2.3.3",
            Self::SizeUpdateAboveLimit { .. } => "RFC 7541 section 6.3",
            Self::SizeUpdateMisplaced | Self::SizeUpdateRepeated | Self::SizeUpdateMissing { .. } => {
                "RFC 7541 section 4.2"
            }
        }
    }
}
