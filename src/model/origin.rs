//! Country and network operator of addresses, from databases in the MMDB format that the user named.
//! They are whole in memory: a lookup is a walk of at most 128 steps and sends nothing.

use std::net::IpAddr;

use maxminddb::{PathElement, Reader};

/// The databases, in the order given: each may have the country, the network's operator, or both.
#[derive(Debug, Default)]
pub struct Origins {
    databases: Vec<Reader<Vec<u8>>>,
}

/// Country and operator of an address. The texts are the database's own and untrusted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Origin<'a> {
    /// ISO 3166-1, two letters.
    pub country: Option<&'a str>,
    /// The autonomous system's number.
    pub number: Option<u32>,
    /// The autonomous system's name.
    pub operator: Option<&'a str>,
}

const COUNTRY: [PathElement<'_>; 2] = [PathElement::Key("country"), PathElement::Key("iso_code")];
const REGISTERED: [PathElement<'_>; 2] =
    [PathElement::Key("registered_country"), PathElement::Key("iso_code")];
const NUMBER: [PathElement<'_>; 1] = [PathElement::Key("autonomous_system_number")];
const OPERATOR: [PathElement<'_>; 1] = [PathElement::Key("autonomous_system_organization")];

impl Origins {
    /// Adds a whole database, or says why it is invalid.
    pub fn add(&mut self, database: Vec<u8>) -> Result<(), String> {
        self.databases.push(Reader::from_source(database).map_err(|e| e.to_string())?);
        Ok(())
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.databases.is_empty()
    }

    /// Country and operator of an address; data of an unexpected type are ignored.
    pub fn get(&self, ip: IpAddr) -> Origin<'_> {
        let mut origin = Origin::default();
        // A database of IPv4 alone refuses the others.
        for found in self.databases.iter().filter_map(|d| d.lookup(ip).ok()) {
            let text = |path: &[PathElement<'_>]| found.decode_path(path).ok().flatten();
            origin.country =
                origin.country.or_else(|| text(&COUNTRY)).or_else(|| text(&REGISTERED));
            origin.operator = origin.operator.or_else(|| text(&OPERATOR));
            origin.number = origin.number.or_else(|| found.decode_path(&NUMBER).ok().flatten());
        }
        origin
    }
}

impl std::fmt::Display for Origin<'_> {
    /// `DE AS64500 Example Net`, without unknown parts; not escaped.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let number = self.number.map(|n| format!("AS{n}"));
        let parts = [self.country, number.as_deref(), self.operator];
        let known: Vec<&str> = parts.into_iter().flatten().collect();
        f.write_str(&known.join(" "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_database_does_no_harm() {
        crate::testing::fuzz::check("mmdb", |bytes| {
            let mut origins = Origins::default();
            if origins.add(bytes.to_vec()).is_err() {
                return;
            }
            for ip in ["1.1.1.1", "192.0.2.7", "255.255.255.255", "::", "2001:db8::1"] {
                let _ = origins.get(ip.parse().unwrap()).to_string();
            }
        });
    }
}
