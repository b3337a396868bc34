//! Users and passwords of basic authentication.

use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hashbrown::HashMap;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

/// The hash that the password of an unknown user is compared with: it takes as long as that of a known
/// one.
const NO_USER: &str = "$2y$10$abcdefghijklmnopqrstuuN4Z6m9M9p2f0a1x3YpFDbCsIYQ4F6dW";

/// The users.
pub struct Users {
    hashes: HashMap<String, String>,
    /// The last right password of each user: a scrape does not pay for bcrypt each time.
    right: Mutex<HashMap<String, String>>,
    /// One hash at a time, whoever sends wrong passwords.
    one: Semaphore,
}

impl std::fmt::Debug for Users {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} users", self.hashes.len())
    }
}

impl Users {
    /// Names with their bcrypt hashes.
    pub fn new(hashes: Vec<(String, String)>) -> Self {
        Self {
            hashes: hashes.into_iter().collect(),
            right: Mutex::default(),
            one: Semaphore::new(1),
        }
    }

    /// Whether the value of `Authorization` is that of a user.
    pub async fn allows(self: &Arc<Self>, authorization: Option<&[u8]>) -> bool {
        let Some((name, password)) = authorization.and_then(credentials) else { return false };
        if self.is_known(&name, &password) {
            return true;
        }
        let Ok(_one) = self.one.acquire().await else { return false };
        let users = self.clone();
        let checked = spawn_blocking(move || users.check(name, password)).await;
        checked.unwrap_or(false)
    }

    fn is_known(&self, name: &str, password: &str) -> bool {
        let right = self.right.lock().unwrap_or_else(PoisonError::into_inner);
        right.get(name).is_some_and(|right| is_same(right.as_bytes(), password.as_bytes()))
    }

    fn check(&self, name: String, password: String) -> bool {
        let hash = self.hashes.get(&name).map_or(NO_USER, |hash| hash);
        let is_right = bcrypt::verify(&password, hash).unwrap_or(false);
        if is_right && self.hashes.contains_key(&name) {
            let mut right = self.right.lock().unwrap_or_else(PoisonError::into_inner);
            right.insert(name, password);
            return true;
        }
        false
    }
}

/// Name and password of `Basic BASE64`.
fn credentials(value: &[u8]) -> Option<(String, String)> {
    let (scheme, rest) = value.split_at_checked(b"basic ".len())?;
    if !scheme.eq_ignore_ascii_case(b"basic ") {
        return None;
    }
    let text = String::from_utf8(STANDARD.decode(rest.trim_ascii()).ok()?).ok()?;
    let (name, password) = text.split_once(':')?;
    Some((name.into(), password.into()))
}

/// Compares in a time that does not depend on the first difference.
fn is_same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |sum, (a, b)| sum | (a ^ b)) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_users_with_their_password_are_allowed() {
        let hash = |password| bcrypt::hash(password, 4).unwrap();
        let users = vec![("alice".into(), hash("a:b")), ("bob".into(), hash(""))];
        let users = Arc::new(Users::new(users));
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let basic = |text: &str| format!("Basic {}", STANDARD.encode(text));
        for (value, allowed) in [
            (Some(basic("alice:a:b")), true),
            (Some(basic("alice:a:b").to_lowercase().replacen("basic", "bAsIc", 1)), false),
            (Some(basic("alice:a")), false),
            (Some(basic("alice")), false),
            (Some(basic("carol:a:b")), false),
            (Some(basic("bob:")), true),
            (Some("Basic !".into()), false),
            (Some("Bearer x".into()), false),
            (Some("Bas".into()), false),
            (None, false),
        ] {
            for _ in 0..2 {
                let answer = users.allows(value.as_ref().map(|value| value.as_bytes()));
                assert_eq!(runtime.block_on(answer), allowed, "{value:?}");
            }
        }
        assert_eq!(format!("{users:?}"), "2 users");
    }

    #[test]
    fn any_header_does_no_harm() {
        crate::testing::fuzz::check("authorization", |value| {
            let Some((name, password)) = credentials(value) else { return };
            assert!(!name.contains(':') && name.len() + password.len() < value.len());
        });
    }
}
