//! Versions of the protocol that a broker does not speak: each refuses in its own way, and the client says why.

use callmq::client::ProtocolVersion::{self, V5, V31, V311};
use interop::{Brand, Running, Way};

use crate::Column;
use crate::site::{Failure, Outcome, Site, ensure};

/// How a broker refuses a version, in the words of the client's error.
const REFUSALS: &[(Brand, ProtocolVersion, &str)] = &[
    (
        Brand::Ejabberd,
        V31,
        "connection refused by the server: Unsupported protocol version",
    ),
    // It does not answer.
    (Brand::Nats, V31, "connection closed by the peer"),
    // Its CONNACK has the form of MQTT 3.1.1, without properties.
    (
        Brand::Nats,
        V5,
        "connection refused by the server: Unsupported protocol version",
    ),
    // It does not answer.
    (Brand::RabbitMq, V5, "connection closed by the peer"),
];

/// What did not go as expected.
pub fn failures(broker: &Running) -> Vec<String> {
    let brand = broker.brand();
    let unspoken = [V31, V311, V5]
        .into_iter()
        .filter(|version| !brand.versions().contains(version));
    unspoken
        .filter_map(|version| {
            let failure = refuses(broker, version).err()?;
            Some(format!("{version:?} is refused: {}", failure.text()))
        })
        .collect()
}

fn refuses(broker: &Running, version: ProtocolVersion) -> Outcome {
    let column = Column {
        version,
        way: Way::Tcp,
    };
    let site = Site::new(broker, column, 999);
    let client = site.client("a");
    let result = client.connect_and_wait(site.options(), 5);
    let Err(error) = result else {
        return Err(Failure::new("it is spoken after all"));
    };
    let known = REFUSALS
        .iter()
        .find(|(brand, of, _)| (*brand, *of) == (broker.brand(), version));
    let Some((_, _, says)) = known else {
        return Err(Failure::new(format!("not in the table: {error}")));
    };
    ensure!(error.to_string() == *says, "{error:?} instead of {says:?}");
    Ok(())
}
