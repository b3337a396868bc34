//! A little MMDB file: networks of IPv4 with their values.
//! The format: https://maxmind.github.io/MaxMind-DB/

use std::net::Ipv4Addr;

/// A value of the data section.
#[derive(Clone)]
pub enum Value {
    Text(&'static str),
    Number(u32),
    Map(Vec<(&'static str, Value)>),
}

/// The bytes before a value: its kind and size; kinds from 8 on have a byte of their own, sizes
/// from 29 on too.
fn control(kind: u8, size: usize) -> Vec<u8> {
    let kind = usize::from(kind);
    assert!(size < 29 + 256, "longer ones are not needed");
    let first = |high: usize| (high << 5 | size.min(29)) as u8;
    let mut bytes = if kind < 8 { vec![first(kind)] } else { vec![first(0), kind as u8 - 7] };
    bytes.extend((size >= 29).then(|| (size - 29) as u8));
    bytes
}

fn write(value: &Value) -> Vec<u8> {
    match value {
        Value::Text(text) => [control(2, text.len()), text.as_bytes().to_vec()].concat(),
        Value::Number(n) => [control(6, 4), n.to_be_bytes().to_vec()].concat(),
        Value::Map(pairs) => {
            let inside =
                pairs.iter().flat_map(|(k, v)| [write(&Value::Text(k)), write(v)].concat());
            control(7, pairs.len()).into_iter().chain(inside).collect()
        }
    }
}

/// A database of these networks: address, bits, value. No network contains another.
pub fn database(networks: &[(Ipv4Addr, u32, Value)]) -> Vec<u8> {
    // Nodes of two records: the next node, a place in the data, or nothing.
    #[derive(Clone, Copy)]
    enum To {
        Node(usize),
        Data(usize),
        Nothing,
    }
    let mut nodes = vec![[To::Nothing; 2]];
    let mut data = Vec::new();
    for (address, bits, value) in networks {
        let at = data.len();
        data.extend(write(value));
        let mut node = 0;
        for depth in 0..*bits {
            let side = (u32::from(*address) >> (31 - depth) & 1) as usize;
            if depth + 1 == *bits {
                nodes[node][side] = To::Data(at);
            } else if let To::Node(next) = nodes[node][side] {
                node = next;
            } else {
                nodes.push([To::Nothing; 2]);
                nodes[node][side] = To::Node(nodes.len() - 1);
                node = nodes.len() - 1;
            }
        }
    }
    let count = nodes.len();
    let record = |to: &To| match to {
        To::Node(n) => *n as u32,
        To::Nothing => count as u32,
        To::Data(at) => (count + 16 + at) as u32,
    };
    let mut file: Vec<u8> =
        nodes.iter().flatten().flat_map(|to| record(to).to_be_bytes()[1..].to_vec()).collect();
    file.extend([0; 16]);
    file.extend(data);
    file.extend(b"\xab\xcd\xefMaxMind.com");
    // Whole numbers of 16 bits have a type of their own.
    let short = |n: u16| [control(5, 2), n.to_be_bytes().to_vec()].concat();
    let pairs = [
        ("binary_format_major_version", short(2)),
        ("binary_format_minor_version", short(0)),
        ("build_epoch", [control(9, 1), vec![1]].concat()),
        ("database_type", write(&Value::Text("Test"))),
        ("description", write(&Value::Map(vec![]))),
        ("ip_version", short(4)),
        ("languages", control(11, 0)),
        ("node_count", write(&Value::Number(count as u32))),
        ("record_size", short(24)),
    ];
    file.extend(control(7, pairs.len()));
    for (key, value) in pairs {
        file.extend(write(&Value::Text(key)));
        file.extend(value);
    }
    file
}
