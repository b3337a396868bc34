//! Constant fields of `--field KEY=VALUE`: the same in each line.

/// Fields, as they are put into lines.
#[derive(Clone, Debug, Default)]
pub struct Fields(Vec<(String, String)>);

impl Fields {
    /// Checks the names: each is none of `own`, the keys of lines, and given once.
    pub fn new(given: &[(String, String)], own: &[String]) -> Result<Self, String> {
        for (at, (name, _)) in given.iter().enumerate() {
            if own.iter().any(|own| own.eq_ignore_ascii_case(name)) {
                return Err(format!(
                    "--field {name}: lines have a key of this name; choose another"
                ));
            }
            let earlier = given.iter().take(at).any(|(n, _)| n.eq_ignore_ascii_case(name));
            if earlier {
                return Err(format!("--field {name} is given twice"));
            }
        }
        Ok(Self(given.to_vec()))
    }

    /// Names and values, in the order given.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (&**name, &**value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_field_hides_a_key_or_another_field() {
        let of = |name: &str| (name.to_owned(), "x".to_owned());
        let own = ["pid".to_owned()];
        for given in [&["pid"][..], &["PID"], &["env", "ENV"]] {
            let given: Vec<_> = given.iter().map(|name| of(name)).collect();
            assert!(Fields::new(&given, &own).is_err(), "{given:?}");
        }
        assert!(Fields::new(&[of("env"), of("team")], &own).is_ok());
    }
}
