//! Sends the messages of libbpf to the log, never to the screen; a refused program's name and the verifier's
//! last line are noted for the error message.

use std::sync::Once;

use libbpf_rs::{PrintLevel, set_print};

/// Sends the messages of libbpf to the log. Idempotent.
pub(crate) fn quiet_libbpf() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        set_print(Some((PrintLevel::Debug, |level, text| {
            let text = text.trim_end();
            match level {
                PrintLevel::Warn => {
                    super::refusal::listen(text);
                    tracing::warn!(target: "libbpf", "{text}");
                }
                PrintLevel::Info => tracing::info!(target: "libbpf", "{text}"),
                PrintLevel::Debug => tracing::debug!(target: "libbpf", "{text}"),
            }
        })));
    });
}
